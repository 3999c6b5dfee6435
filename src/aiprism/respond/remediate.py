"""Carry runbooks out, durably: guard, act, verify, roll back (requirement R8).

In: runs that `pipeline` or a person called for, as rows. Out: orders to actuators (`steps`), and the outcome on the incident's
timeline. Each change of a run and its line on the timeline are one transaction, so a killed platform goes on where it was.
Runs of one incident happen one after the other, in the order of the runbook files. Where a run may stand is drawn in `runs`.

A guard that will hold again (a cooldown, an hourly limit, hours, a precondition nobody could answer) leaves a run planned, to
be looked at again while its alert fires.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from aiprism.clock import Clock
from aiprism.errors import AiprismError, BadInput, Conflict, NotFound
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import matches_all
from aiprism.model.timerange import format_duration
from aiprism.respond import guards, journal, measures, permission, runs
from aiprism.respond.actions.act import Actuator
from aiprism.respond.bell import Bell
from aiprism.respond.desk import Desk
from aiprism.respond.guards import LOOK_AGAIN, Refusal
from aiprism.respond.incident import Identified, Incident, Noted, Status
from aiprism.respond.measures import Ask, Measures
from aiprism.respond.pipeline import Respond
from aiprism.respond.runbook import Runbook
from aiprism.respond.runs import (
    ABORTED,
    DRY_RUN,
    FAILED,
    PLANNED,
    ROLLED_BACK,
    ROLLING_BACK,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UNDER_WAY,
    VERIFYING,
    WAITING,
    WAITS,
    Run,
)
from aiprism.respond.steps import Steps
from aiprism.respond.trouble import Trouble
from aiprism.store import incidents as store

log = structlog.get_logger()

_ACTIVE = (PLANNED, WAITING, *UNDER_WAY)
_IDLE = 30.0
_TRIES, _PAUSE = 3, 5.0  # for a precondition whose query fails


class Remediation:
    """Carries out what is planned, as long as `run` runs."""

    def __init__(self, respond: Respond, actuators: Mapping[str, Actuator], ask: Ask, clock: Clock) -> None:
        self._respond, self._measures, self._clock = respond, Measures(ask, clock), clock
        self._steps = Steps(respond, actuators, clock)
        self._bell = Bell()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._driven: dict[str, Bell] = {}  # of each run that is carried on; rung when a person ends it
        respond.on_work(self._bell.ring)

    def reload(self, actuators: Mapping[str, Actuator]) -> None:
        """Carry out with these from the next step on."""
        self._steps.reload(actuators)

    async def run(self) -> None:
        """Carry out runs until cancelled; what was begun before a restart is taken up first."""
        try:
            while True:
                await self._bell.wait(self._clock, await self._begin_waiting())
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def carry_out_all(self) -> None:
        """Carry out everything that may begin or is under way, and return when that is done."""
        await self._begin_waiting()
        await asyncio.gather(*self._busy.values())

    # -- people --------------------------------------------------------------------------------------------------

    def start(self, incident_id: str, runbook: str, actor: str, reason: str, fingerprint: str = "") -> str:
        """Call for a runbook by hand, for the alert of that fingerprint or the first firing one it matches; its guards apply.
        The id of the run; Conflict when the incident has no such alert."""
        with self._respond.desk() as desk:
            found = _named(desk.policy.runbooks, runbook)
            incident = desk.incident(incident_id)
            alert = _alert_for(found, incident, fingerprint)
            row = runs.planned(found, desk.policy.runbooks.index(found), incident, alert)
            before = [run for run in store.run_rows(desk.connection, [incident.id]) if run["runbook"] == runbook]
            asked = sum("asked_by" in run["data"] for run in before)
            row = runs.by_hand(row, asked + 1, actor, reason)
            run = runs.of_row(row, desk.policy.runbooks)
            approval = guards.approval_at(found.guard, desk.now)
            if run is not None and approval is not None:  # who asks for it and may approve it has approved it
                permission.refuse_without_role(desk.connection, desk.policy, run, approval, actor, desk.now)
                row["data"]["approved_by"] = actor
            store.plan_run(desk.connection, row)
            text = f"{actor} asked for runbook {runbook} because of {alert.name}: {reason}"
            desk.happen(incident_id, Noted("runbook_asked", actor, text, {"run": row["id"], "reason": reason}))
            desk.made_work = True
        return row["id"]

    def approve(self, run_id: str, actor: str) -> None:
        """Let a run that waits for approval go ahead; Forbidden to who lacks the role it asks for."""
        self._decide(run_id, PLANNED, "runbook_approved", actor, f"{actor} approved it", approved_by=actor)

    def refuse(self, run_id: str, actor: str) -> None:
        """End a run that waits for approval. Anybody may: doing nothing needs no role."""
        self._decide(run_id, SKIPPED, "runbook_skipped", actor, f"{actor} did not approve it", refused_by=actor)

    def abort(self, run_id: str, actor: str, reason: str) -> None:
        """End a run: at once when it has not begun; else what it does is cut off and rolled back. Conflict when it is over, or
        on its way back already."""
        text = f"{actor} ended it" + (f": {reason}" if reason else "")
        with self._respond.desk() as desk:
            row = _row(desk, run_id)
            if row["state"] in (PLANNED, WAITING):
                self._decided(desk, row, SKIPPED, "runbook_skipped", actor, text, aborted_by=actor)
                return
            if row["state"] not in (RUNNING, VERIFYING) or "aborted" in row["data"]:
                raise Conflict(f"run {run_id} is {row['state']}: there is nothing to end")
            _mark(desk, run_id, {"aborted": text})
            noted = Noted("runbook_abort_asked", actor, f"{row['runbook']}: {text}", {"run": run_id})
            desk.happen(row["incident_id"] or "", noted)
        if (bell := self._driven.get(run_id)) is not None:
            bell.ring()

    def _decide(self, run_id: str, state: str, event: str, actor: str, text: str, **data: object) -> None:
        with self._respond.desk() as desk:
            row = _row(desk, run_id)
            if row["state"] != WAITING:
                raise Conflict(f"run {run_id} is {row['state']}: it does not wait for approval")
            run = runs.of_row(row, desk.policy.runbooks)
            approval = guards.approval_at(run.runbook.guard, desk.now) if run is not None else None
            if run is not None and approval is not None and state == PLANNED:
                permission.refuse_without_role(desk.connection, desk.policy, run, approval, actor, desk.now)
            self._decided(desk, row, state, event, actor, text, **data)

    def _decided(
        self, desk: Desk, row: store.RunRow, state: str, event: str, actor: str, text: str, **data: object
    ) -> None:
        finished = {"finished_at": desk.now, "outcome": text} if state == SKIPPED else {}
        kept = {name: value for name, value in row["data"].items() if name not in ("not_before", WAITS)}
        store.mark_run(desk.connection, row["id"], state=state, data={**kept, **data}, **finished)
        noted = Noted(event, actor, f"{row['runbook']}: {text}", {"run": row["id"]})
        desk.happen(row["incident_id"] or "", noted)
        desk.made_work = True

    # -- which runs ----------------------------------------------------------------------------------------------

    async def _begin_waiting(self) -> float:
        """Begin with what may begin; in how many seconds to look again."""
        # The one broad catch of this loop: a database that is away comes back.
        try:
            runs, resting = await asyncio.to_thread(self._look)
        except Exception:
            log.exception("runbook.loop_failed")
            return _IDLE
        for incident_id in dict.fromkeys(row["incident_id"] or "" for row in runs):
            if incident_id not in self._busy:
                task = asyncio.create_task(self._answer(incident_id))
                self._busy[incident_id] = task
                task.add_done_callback(functools.partial(self._answered, incident_id))
        return max(0.0, min(_IDLE, min(resting, default=_IDLE + self._clock.now()) - self._clock.now()))

    def _answered(self, incident_id: str, _task: asyncio.Task[None]) -> None:
        del self._busy[incident_id]
        self._bell.ring()

    def _look(self, incident_id: str | None = None) -> tuple[list[store.RunRow], list[float]]:
        """The runs to carry out now, in order, and when each of the others may begin."""
        now = self._clock.now()
        with self._respond.reading() as connection:
            rows = store.runs_in(connection, _ACTIVE)
        # A run that came with a merged incident is carried on by who began it; its end has us look again.
        held = {row["incident_id"] for row in rows if row["id"] in self._driven}
        mine = [row for row in rows if incident_id in (None, row["incident_id"]) and row["incident_id"] not in held]
        ready = [row for row in mine if _rests_until(row, now) <= now]
        # What has begun is finished before anything new begins; then as the files have it.
        ready.sort(key=lambda row: (row["state"] == PLANNED, row["data"].get("order", 0), row["id"]))
        return ready, [_rests_until(row, now) for row in mine if _rests_until(row, now) > now]

    async def _answer(self, incident_id: str) -> None:
        try:
            while runs := (await asyncio.to_thread(self._look, incident_id))[0]:
                await self.drive(runs[0])
        except Exception:  # as in _begin_waiting: the run stays as it is and is taken up again after a pause
            log.exception("runbook.run_failed", incident=incident_id)
            await self._clock.sleep(_IDLE)

    # -- one run -------------------------------------------------------------------------------------------------

    async def drive(self, row: store.RunRow) -> None:
        """Carry one run on from wherever it stands to its end, or to where it waits for a person."""
        if row["id"] in self._driven:
            return
        self._driven[row["id"]] = bell = Bell()
        try:
            await self._drive(row, bell)
        finally:
            del self._driven[row["id"]]

    async def _drive(self, row: store.RunRow, bell: Bell) -> None:
        run = runs.of_row(row, self._respond.policy.runbooks)
        if run is None:
            await asyncio.to_thread(self._lost, row)
            return
        if row["state"] == WAITING:
            await asyncio.to_thread(self._undecided, run)
            return
        if row["state"] == PLANNED:
            run = await self._admitted(run)
            if run is None:
                return
        await self._carry(
            run, Trouble(run, self._measures.asked, functools.partial(self._aborted, run), self._clock, bell)
        )

    async def _carry(self, run: Run, trouble: Trouble) -> None:
        if run.row["state"] == RUNNING:
            problem = await self._steps.forth(run, trouble)
            go_on = functools.partial(self._turn_back, run, problem) if problem else functools.partial(self._watch, run)
            run = await asyncio.to_thread(go_on)
        if run.row["state"] == VERIFYING:
            problem = await self._verified(run, trouble)
            if not problem:
                problem = await asyncio.to_thread(self._close_well, run, await self._measures.after(run))
            if not problem:
                return
            run = await asyncio.to_thread(self._turn_back, run, problem)
        await self._roll_back(run)

    def _aborted(self, run: Run) -> str:
        with self._respond.reading() as connection:
            row = store.run_row(connection, run.id)
        return str(row["data"].get("aborted", "")) if row is not None else ""

    def _lost(self, row: store.RunRow) -> None:
        """End a run whose runbook is gone or changed since it was called for: half of one and half of another recipe
        is worse than stopping."""
        text = "the runbook was changed or removed meanwhile; what it had begun is left as it is"
        with self._respond.desk() as desk:
            now = _row(desk, row["id"])
            if now["state"] == row["state"]:  # a person may have ended it meanwhile
                self._close(desk, now, FAILED, "runbook_failed", text)

    # -- may it run ----------------------------------------------------------------------------------------------

    async def _admitted(self, run: Run) -> Run | None:
        try:
            run.rehearse()
        except BadInput as error:
            await asyncio.to_thread(self._end, run, FAILED, "runbook_failed", str(error))
            return None
        guard, policy = run.runbook.guard, self._respond.policy
        instances = await self._measures.instances(run)
        refusal = await asyncio.to_thread(self._refusal, run, instances) or await self._unmet(run)
        if refusal:
            await asyncio.to_thread(self._put_off, run, refusal)
            return None
        approval = guards.approval_at(guard, self._clock.now())
        if approval is not None and not run.row["data"].get("approved_by"):
            await asyncio.to_thread(self._wait_for_approval, run, approval)
            return None
        if guard.dry_run or policy.dry_run:
            why = "" if guard.dry_run else " (respond.dry_run: this server does nothing)"
            await asyncio.to_thread(self._end, run, DRY_RUN, "runbook_dry_run", run.told_steps() + why)
            return None
        return await asyncio.to_thread(self._start, run, instances, await self._measures.before(run))

    def _refusal(self, run: Run, instances: int | None) -> Refusal | None:
        with self._respond.reading() as connection:
            incident = journal.read(connection, run.incident_id)
            return permission.refused(connection, self._respond.policy, run, incident, self._clock.now(), instances)

    async def _unmet(self, run: Run) -> Refusal | None:
        """Why the precondition does not hold; None when it does, or there is none."""
        query = run.runbook.guard.precondition
        if not query:
            return None
        failure = ""
        for attempt in range(_TRIES):
            if attempt:
                await self._clock.sleep(_PAUSE)
            try:
                met = await self._measures.asked(run, query)
                return None if met else Refusal(f"precondition does not hold: {run.query(query)}")
            except AiprismError as error:
                failure = str(error)
        return Refusal(f"precondition cannot be asked: {failure}", again=True)

    def _put_off(self, run: Run, refusal: Refusal) -> None:
        with self._respond.desk() as desk:
            self._refuse_or_rest(desk, run, refusal)

    def _refuse_or_rest(self, desk: Desk, run: Run, refusal: Refusal) -> None:
        """End a run that will never be allowed; let one that may be later rest, and say so whenever it waits for another moment
        than was said."""
        row = _row(desk, run.id)
        if row["state"] != PLANNED:  # a person ended it meanwhile
            return
        if refusal.lasts:
            self._close(desk, row, SKIPPED, "runbook_skipped", refusal.reason)
            return
        again = min(max(refusal.until or math.inf, desk.now + 1.0), desk.now + LOOK_AGAIN)
        waits = {"why": refusal.reason, "until": refusal.until}
        _mark(desk, run.id, {"not_before": again, WAITS: waits})
        if _is_another(waits, row["data"].get(WAITS)):
            text = f"runbook {run.runbook.name} {refusal.told(desk.now)}"
            desk.happen(run.incident_id, Noted("runbook_deferred", run.actor, text, {"run": run.id, **waits}))

    def _wait_for_approval(self, run: Run, approval: guards.Approval) -> None:
        with self._respond.desk() as desk:
            if _row(desk, run.id)["state"] != PLANNED:
                return
            until = {} if approval.within is None else {"decide_by": desk.now + approval.within}
            _mark(desk, run.id, {"not_before": desk.now + LOOK_AGAIN, **until}, state=WAITING)
            whose = f" of {approval.role}" if approval.role else ""
            text = f"runbook {run.runbook.name} waits for approval{whose}: {run.told_steps()}"
            data = {"run": run.id, "role": approval.role, "within": approval.within}
            desk.happen(run.incident_id, Noted("runbook_waiting", run.actor, text, data))

    def _undecided(self, run: Run) -> None:
        """Nobody has approved or refused the run so far: it is over when there is nothing left to do, or its time is."""
        with self._respond.desk() as desk:
            row, approval = _row(desk, run.id), run.runbook.guard.approval
            if row["state"] != WAITING:
                return
            if refusal := permission.pointless(run, desk.incident(run.incident_id, itself=True)):
                self._close(desk, row, SKIPPED, "runbook_skipped", refusal.reason)
                return
            if approval is None or approval.within is None or desk.now < row["data"].get("decide_by", math.inf):
                _mark(desk, run.id, {"not_before": desk.now + LOOK_AGAIN})
                return
            nobody = f"nobody decided within {format_duration(approval.within)}"
            if approval.goes_ahead:
                text, data = f"{nobody}: it goes ahead", {"approved_by": run.actor}
                self._decided(desk, row, PLANNED, "runbook_approved", run.actor, text, **data)
            else:
                self._decided(desk, row, SKIPPED, "runbook_skipped", run.actor, nobody)

    # -- act -----------------------------------------------------------------------------------------------------

    def _start(self, run: Run, instances: int | None, before: Mapping[str, object]) -> Run | None:
        with self._respond.desk() as desk:
            row = _row(desk, run.id)
            if row["state"] != PLANNED:  # a person ended it meanwhile
                return None
            # Asked once more, now that nobody else can begin: a run of another incident may have, since the first time.
            incident = desk.incident(run.incident_id, itself=True)
            refusal = permission.refused(desk.connection, desk.policy, run, incident, desk.now, instances)
            if refusal:
                self._refuse_or_rest(desk, run, refusal)
                return None
            values = before["before"]
            row = _mark(desk, run.id, before, state=RUNNING, started_at=desk.now)
            text = f"runbook {run.runbook.name} started{measures.measured(values)}"
            if before.get("worse_before"):
                text += "; worse_when holds already, so it counts from when it was over"
            desk.happen(run.incident_id, Noted("runbook_started", run.actor, text, {"run": run.id, "before": values}))
            return run.changed(row)

    def _watch(self, run: Run) -> Run:
        with self._respond.desk() as desk:
            within = run.runbook.verify.within if run.runbook.verify is not None else 0.0
            return run.changed(_mark(desk, run.id, {"verify_until": desk.now + within}, state=VERIFYING))

    async def _verified(self, run: Run, trouble: Trouble) -> str:
        """Empty once the verify query is true; else why the repair counts as failed."""
        verify, until = run.runbook.verify, float(run.row["data"]["verify_until"])
        if verify is None:
            return ""
        failure = ""
        while True:
            asked_at = self._clock.now()
            if why := await trouble.now():
                return why
            try:
                if await self._measures.asked(run, verify.query):
                    return ""
                failure = ""
            except AiprismError as error:
                failure = f" (last answer: {error})"
            if asked_at >= until:  # not: when the answer came. A slow one, or a pause of ours, is no failed repair
                return f"not verified within {verify.within:g} s: {run.query(verify.query)}{failure}"
            await trouble.rest(min(verify.every, max(0.0, until - self._clock.now())))

    def _close_well(self, run: Run, after: Mapping[str, object]) -> str:
        """End a run that did what it should; why not, when a person ended it in the last moment."""
        verified = run.runbook.verify is not None
        with self._respond.desk() as desk:
            row = _mark(desk, run.id, after)
            if aborted := row["data"].get("aborted"):
                return str(aborted)
            change = measures.change(row["data"])
            text = f"verified{f': {change}' if change else ''}" if verified else "done, not verified"
            self._close(desk, row, SUCCEEDED, "runbook_succeeded", text)
            incident = desk.incident(run.incident_id)
            if verified and incident.status is Status.INVESTIGATING:
                desk.happen(run.incident_id, Identified(run.actor, f"runbook {run.runbook.name} repaired it"))
        return ""

    # -- roll back -----------------------------------------------------------------------------------------------

    def _turn_back(self, run: Run, problem: str) -> Run:
        with self._respond.desk() as desk:
            return run.changed(_mark(desk, run.id, {"problem": problem}, state=ROLLING_BACK))

    async def _roll_back(self, run: Run) -> None:
        problem = str(run.row["data"].get("problem", ""))
        more = await self._steps.back(run)
        after = await self._measures.after(run)
        await asyncio.to_thread(self._close_badly, run, problem, more, after)

    def _close_badly(self, run: Run, problem: str, more: str, after: Mapping[str, object]) -> None:
        with self._respond.desk() as desk:
            row = _mark(desk, run.id, after)
            change = measures.change(row["data"])
            measured = f" ({change})" if change else ""
            if more:
                text = f"{problem}; rollback failed too: {more}{measured}"
                self._close(desk, row, FAILED, "runbook_failed", text)
                return
            rolled_back = bool(run.runbook.rollback)
            text = f"{problem}{'; rolled back' if rolled_back else ''}{measured}"
            state = ABORTED if "aborted" in row["data"] else ROLLED_BACK if rolled_back else FAILED
            self._close(desk, row, state, f"runbook_{state}", text)

    # -- rows ----------------------------------------------------------------------------------------------------

    def _end(self, run: Run, state: str, event: str, text: str) -> None:
        with self._respond.desk() as desk:
            row = _row(desk, run.id)
            if row["state"] == run.row["state"]:
                self._close(desk, row, state, event, text)

    def _close(self, desk: Desk, row: store.RunRow, state: str, event: str, text: str) -> None:
        changes = {"state": state, "finished_at": desk.now, "outcome": text}
        store.mark_run(desk.connection, row["id"], **changes)
        told = (*measures.BEFORE, *measures.AFTER)
        data = {"run": row["id"], **{name: row["data"][name] for name in told if row["data"].get(name)}}
        noted = Noted(event, f"runbook:{row['runbook']}", f"runbook {row['runbook']}: {text}", data)
        desk.happen(row["incident_id"] or "", noted)
        log.info(event.replace("_", ".", 1), run=row["id"], incident=row["incident_id"], outcome=text)


def _rests_until(row: store.RunRow, now: float) -> float:
    """Before which time there is nothing to do about a run."""
    if row["state"] not in (PLANNED, WAITING):
        return 0.0
    again = float(row["data"].get("not_before", 0.0))
    decided = float(row["data"].get("decide_by", math.inf)) if row["state"] == WAITING else math.inf
    # No run rests longer than that: the clock was set back.
    return min(again, decided) if again <= now + LOOK_AGAIN else 0.0


def _is_another(waits: Mapping[str, float | str | None], said: Mapping[str, Any] | None) -> bool:
    """Whether a run waits for another moment than was said, as far as people tell moments apart."""
    if said is None or None in (waits["until"], said["until"]):
        return said is None or waits["until"] != said["until"]
    return abs(float(waits["until"] or 0.0) - float(said["until"])) >= 1.0


def _row(desk: Desk, run_id: str) -> store.RunRow:
    row = store.run_row(desk.connection, run_id)
    if row is None:
        raise NotFound(f"no runbook run {run_id!r}")
    return row


def _mark(desk: Desk, run_id: str, data: Mapping[str, object], **columns: object) -> store.RunRow:
    """Lay changes over a run as it is in the database, where a person may have ended it; the row as it is then."""
    row = _row(desk, run_id)
    merged = {**row["data"], **{name: journal.storable(value) for name, value in data.items()}}
    store.mark_run(desk.connection, run_id, data=merged, **columns)
    return _row(desk, run_id)


def _named(runbooks: Sequence[Runbook], name: str) -> Runbook:
    found = next((each for each in runbooks if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in runbooks) or "none"
        raise NotFound(f"no runbook {name!r}; there are {known}")
    return found


def _alert_for(runbook: Runbook, incident: Incident, fingerprint: str) -> Alert:
    """The firing alert of an incident that a person means."""
    firing = [each for each in incident.alerts if each.state is AlertState.FIRING]
    if fingerprint:
        meant = [each for each in firing if each.fingerprint == fingerprint]
    else:
        meant = [each for each in firing if matches_all(runbook.match, each.labels)]
    if not meant:
        names = ", ".join(f"{each.name} ({each.fingerprint})" for each in firing) or "none"
        which = (
            f"of fingerprint {fingerprint}"
            if fingerprint
            else f"that runbook {runbook.name} matches; name one that is meant"
        )
        raise Conflict(f"{incident.id} has no firing alert {which}. Firing are: {names}")
    return meant[0]

"""Carry runbooks out, durably: guard, act, verify, roll back (requirement R8).

In: runs that `pipeline` planned, as rows. Out: orders to actuators, and the outcome on the incident's timeline. Every
step is a row before it acts and after; each change of a run and its line on the timeline are one transaction. So a
killed platform goes on where it was: a step that had begun is given again with the same key when it is idempotent,
else it counts as unknown and the run is rolled back. Runs of one incident happen one after the other, in the order of
the runbook files.

A guard that will hold again (a cooldown, an hourly limit, a precondition nobody could answer) leaves a run planned, to be
looked at again while its alert fires.

    planned ─┬─▶ running ─▶ verifying ─▶ succeeded
             ├─▶ waiting_approval ─▶ planned           running, verifying ─▶ rolling_back ─▶ rolled_back
             └─▶ skipped, dry_run, failed                                               └──▶ failed
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog
from sqlalchemy import Connection

from aiprism.clock import Clock
from aiprism.errors import AiprismError, BadInput, Conflict, NotFound
from aiprism.model.alerts import AlertState
from aiprism.respond import journal
from aiprism.respond.actions.act import Actuator, Done, Order
from aiprism.respond.bell import Bell
from aiprism.respond.consequences import PLANNED, episode_of
from aiprism.respond.desk import Desk
from aiprism.respond.incident import Identified, Noted, Status
from aiprism.respond.pipeline import Respond
from aiprism.respond.runbook import Runbook, Step, Subject, filled_params, filled_query
from aiprism.respond.subject import service_of
from aiprism.store import incidents as store

log = structlog.get_logger()

Ask: TypeAlias = Callable[[str, float], Sequence[tuple[Mapping[str, str], float]]]
"""Evaluate a PromQL text at a time (Unix seconds): the (labels, value) pairs of the vector. Blocks."""

WAITING, RUNNING, VERIFYING, ROLLING_BACK = "waiting_approval", "running", "verifying", "rolling_back"
SUCCEEDED, FAILED, ROLLED_BACK, SKIPPED, DRY_RUN = "succeeded", "failed", "rolled_back", "skipped", "dry_run"
_ACTIVE = (PLANNED, RUNNING, VERIFYING, ROLLING_BACK)
_ROLLBACK_BASE = 1000  # positions of rollback steps, far behind those of any runbook
_IDLE = 30.0
_GRACE = 5.0  # seconds an actuator has beyond a step's timeout to give its own account of it
_TRIES, _PAUSE = 3, 5.0  # for a precondition whose query fails
_LOOK_AGAIN = 60.0  # seconds a run that may not begin yet rests at most, so that it ends soon after its alert did
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is carried out: its row, what it follows, and whom it is about."""

    row: store.RunRow
    runbook: Runbook
    subject: Subject

    @property
    def id(self) -> str:
        return self.row["id"]

    @property
    def incident_id(self) -> str:
        return self.subject.incident_id

    @property
    def actor(self) -> str:
        return f"runbook:{self.runbook.name}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run must not begin; `until` is when that may have changed (Unix seconds), None when it never will."""

    reason: str
    until: float | None = None


class Remediation:
    """Carries out what is planned, as long as `run` runs."""

    def __init__(self, respond: Respond, actuators: Mapping[str, Actuator], ask: Ask, clock: Clock) -> None:
        self._respond, self._actuators, self._ask, self._clock = respond, actuators, ask, clock
        self._bell = Bell()
        self._busy: dict[str, asyncio.Task[None]] = {}
        respond.on_work(self._bell.ring)

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

    def approve(self, run_id: str, actor: str) -> None:
        """Let a run that waits for approval go ahead."""
        self._decide(run_id, PLANNED, "runbook_approved", actor, f"{actor} approved it", approved_by=actor)
        self._bell.ring()

    def refuse(self, run_id: str, actor: str) -> None:
        """End a run that waits for approval."""
        self._decide(run_id, SKIPPED, "runbook_skipped", actor, f"{actor} did not approve it", refused_by=actor)

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
        mine = [row for row in rows if incident_id is None or row["incident_id"] == incident_id]
        ready = [row for row in mine if _not_before(row) <= now]
        # What has begun is finished before anything new begins; then as the files have it.
        ready.sort(key=lambda row: (row["state"] == PLANNED, row["data"].get("order", 0), row["id"]))
        return ready, [_not_before(row) for row in mine if _not_before(row) > now]

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
        run = self._read(row)
        if run is None:
            await asyncio.to_thread(self._lost, row)
            return
        if row["state"] == PLANNED:
            run = await self._admitted(run)
            if run is None:
                return
        if run.row["state"] == RUNNING:
            problem = await self._steps(run, run.runbook.steps)
            run = (
                await asyncio.to_thread(self._turn_back, run, problem)
                if problem
                else await asyncio.to_thread(self._watch, run)
            )
        if run.row["state"] == VERIFYING:
            problem = await self._verified(run)
            if not problem:
                await self._succeed(run)
                return
            run = await asyncio.to_thread(self._turn_back, run, problem)
        await self._roll_back(run)

    def _read(self, row: store.RunRow) -> Run | None:
        runbook = next((item for item in self._respond.policy.runbooks if item.name == row["runbook"]), None)
        if runbook is None or runbook.digest != row["data"].get("digest"):
            return None
        data = row["data"]
        subject = Subject(
            labels=data["labels"],
            annotations=data["annotations"],
            incident_id=row["incident_id"] or "",
            alertname=data["alertname"],
            fingerprint=data["fingerprint"],
        )
        return Run(row, runbook, subject)

    def _lost(self, row: store.RunRow) -> None:
        """End a run whose runbook is gone or changed since it was called for: half of one and half of another recipe
        is worse than stopping."""
        text = "the runbook was changed or removed meanwhile; what it had begun is left as it is"
        with self._respond.desk() as desk:
            self._close(desk, row, FAILED, "runbook_failed", text)

    # -- may it run ----------------------------------------------------------------------------------------------

    async def _admitted(self, run: Run) -> Run | None:
        try:
            _rehearse(run)
        except BadInput as error:
            await asyncio.to_thread(self._end, run, FAILED, "runbook_failed", str(error))
            return None
        refusal = await asyncio.to_thread(self._refusal, run) or await self._unmet(run)
        if refusal:
            await asyncio.to_thread(self._put_off, run, refusal)
            return None
        if run.runbook.guard.approval and not run.row["data"].get("approved_by"):
            await asyncio.to_thread(self._wait_for_approval, run)
            return None
        if run.runbook.guard.dry_run:
            await asyncio.to_thread(self._end, run, DRY_RUN, "runbook_dry_run", _told_steps(run))
            return None
        return await asyncio.to_thread(self._start, run, await self._measured(run))

    def _refusal(self, run: Run) -> Refusal | None:
        with self._respond.reading() as connection:
            return _refused(connection, run, self._clock.now())

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
                met = await self._asked(run, query)
                return None if met else Refusal(f"precondition does not hold: {_filled(run, query)}")
            except AiprismError as error:
                failure = str(error)
        return Refusal(f"precondition cannot be asked: {failure}", self._clock.now() + _LOOK_AGAIN)

    def _put_off(self, run: Run, refusal: Refusal) -> None:
        with self._respond.desk() as desk:
            self._refuse_or_rest(desk, run, refusal)

    def _refuse_or_rest(self, desk: Desk, run: Run, refusal: Refusal) -> None:
        """End a run that will never be allowed; let one that may be later rest, and say so the first time."""
        if refusal.until is None:
            self._close(desk, run.row, SKIPPED, "runbook_skipped", refusal.reason)
            return
        again = min(max(refusal.until, desk.now + 1.0), desk.now + _LOOK_AGAIN)
        store.mark_run(desk.connection, run.id, data={**run.row["data"], "not_before": again})
        if "not_before" not in run.row["data"]:
            text = f"runbook {run.runbook.name} waits: {refusal.reason}"
            desk.happen(run.incident_id, Noted("runbook_deferred", run.actor, text, {"run": run.id}))

    def _wait_for_approval(self, run: Run) -> None:
        with self._respond.desk() as desk:
            store.mark_run(desk.connection, run.id, state=WAITING)
            text = f"runbook {run.runbook.name} waits for approval: {_told_steps(run)}"
            desk.happen(run.incident_id, Noted("runbook_waiting", run.actor, text, {"run": run.id}))

    def _decide(self, run_id: str, state: str, event: str, actor: str, text: str, **data: object) -> None:
        with self._respond.desk() as desk:
            row = store.run_row(desk.connection, run_id)
            if row is None:
                raise NotFound(f"no runbook run {run_id!r}")
            if row["state"] != WAITING:
                raise Conflict(f"run {run_id} is {row['state']}: it does not wait for approval")
            finished = {"finished_at": desk.now, "outcome": text} if state == SKIPPED else {}
            store.mark_run(desk.connection, run_id, state=state, data={**row["data"], **data}, **finished)
            desk.happen(row["incident_id"] or "", Noted(event, actor, f"{row['runbook']}: {text}", {"run": run_id}))
            desk.made_work = True

    # -- steps ---------------------------------------------------------------------------------------------------

    def _start(self, run: Run, before: list[float]) -> Run | None:
        with self._respond.desk() as desk:
            # Asked once more, now that nobody else can begin: a run of another incident may have, since the first time.
            refusal = _refused(desk.connection, run, desk.now)
            if refusal:
                self._refuse_or_rest(desk, run, refusal)
                return None
            data = {**run.row["data"], "before": journal.storable(before)}
            store.mark_run(desk.connection, run.id, state=RUNNING, started_at=desk.now, data=data)
            text = f"runbook {run.runbook.name} started{_measured_text(before)}"
            desk.happen(run.incident_id, Noted("runbook_started", run.actor, text, {"run": run.id, "before": before}))
            return _with(run, state=RUNNING, started_at=desk.now, data=data)

    async def _steps(self, run: Run, steps: Sequence[Step], *, base: int = 0, stop: bool = True) -> str:
        """Carry out `steps` from the first that is not done; the first problem, or an empty string."""
        known = {row["position"]: row for row in await asyncio.to_thread(self._step_rows, run)}
        problems = []
        for position, step in enumerate(steps, start=base):
            problem = await self._step(run, step, position, known.get(position))
            if problem:
                problems.append(problem)
            if problem and stop:
                break
        return "; ".join(problems)

    def _step_rows(self, run: Run) -> list[store.StepRow]:
        with self._respond.reading() as connection:
            return store.step_rows(connection, [run.id])

    async def _step(self, run: Run, step: Step, position: int, known: store.StepRow | None) -> str:
        if known is not None and known["state"] == "done":
            return ""
        if known is not None and known["state"] != "started":
            return f"step {step.name!r}: {known['result'].get('message', known['state'])}"
        if known is not None and not step.idempotent:
            cut_off = Done(False, "cut off by a restart; whether it took effect is unknown, and it is not repeated")
            return await asyncio.to_thread(self._finish_step, run, step, known, cut_off, "unknown")
        row = known if known is not None else await asyncio.to_thread(self._begin_step, run, step, position)
        order = Order(
            params=filled_params(step, run.subject),
            key=row["idempotency_key"],
            timeout=step.timeout,
            reason=f"{run.actor} for {run.incident_id}",
        )
        done = await self._act(step, order)
        return await asyncio.to_thread(self._finish_step, run, step, row, done, "done" if done.ok else "failed")

    def _begin_step(self, run: Run, step: Step, position: int) -> store.StepRow:
        row: store.StepRow = {
            "run_id": run.id,
            "position": position,
            "name": step.name,
            "kind": step.kind,
            "state": "started",
            "started_at": self._clock.now(),
            "finished_at": None,
            "idempotency_key": f"{run.id}_{position}",
            "result": {},
        }
        with self._respond.desk() as desk:
            store.put_step(desk.connection, row)
        return row

    async def _act(self, step: Step, order: Order) -> Done:
        actuator = self._actuators.get(step.kind)
        if actuator is None:
            return Done(False, f"this server has no {step.kind} actuator")
        acting = asyncio.ensure_future(actuator.act(order))
        sleeping = asyncio.ensure_future(self._clock.sleep(step.timeout + _GRACE))
        try:
            await asyncio.wait((acting, sleeping), return_when=asyncio.FIRST_COMPLETED)
            if acting.done():
                return acting.result()
            return Done(False, f"no answer within {step.timeout:g} s")
        except Exception as error:  # a fault of ours in an actuator must not keep the rollback from running
            log.exception("runbook.actuator_failed", kind=step.kind, step=step.name)
            return Done(False, f"the {step.kind} actuator failed: {type(error).__name__}")
        finally:
            sleeping.cancel()
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)

    def _finish_step(self, run: Run, step: Step, row: store.StepRow, done: Done, state: str) -> str:
        result = {"ok": done.ok, "message": done.message, "data": journal.storable(done.data)}
        with self._respond.desk() as desk:
            store.put_step(desk.connection, {**row, "state": state, "finished_at": desk.now, "result": result})
            undoing = "rollback " if row["position"] >= _ROLLBACK_BASE else ""
            text = f"{undoing}step {step.name!r}: {done.message}"
            data = {"run": run.id, "step": step.name, "kind": step.kind, "state": state, "ok": done.ok}
            desk.happen(run.incident_id, Noted("runbook_step", run.actor, text, data))
        return "" if done.ok else f"step {step.name!r}: {done.message}"

    # -- verify --------------------------------------------------------------------------------------------------

    def _watch(self, run: Run) -> Run:
        with self._respond.desk() as desk:
            within = run.runbook.verify.within if run.runbook.verify is not None else 0.0
            data = {**run.row["data"], "verify_until": desk.now + within}
            store.mark_run(desk.connection, run.id, state=VERIFYING, data=data)
            return _with(run, state=VERIFYING, data=data)

    async def _verified(self, run: Run) -> str:
        """Empty once the verify query is true; else why the repair counts as failed."""
        verify, until = run.runbook.verify, float(run.row["data"]["verify_until"])
        if verify is None:
            return ""
        failure = ""
        while True:
            asked_at = self._clock.now()
            try:
                if await self._asked(run, verify.query):
                    return ""
                failure = ""
            except AiprismError as error:
                failure = f" (last answer: {error})"
            if asked_at >= until:  # not: when the answer came. A slow one, or a pause of ours, is no failed repair
                return f"not verified within {verify.within:g} s: {_filled(run, verify.query)}{failure}"
            await self._clock.sleep(min(verify.every, max(0.0, until - self._clock.now())))

    async def _succeed(self, run: Run) -> None:
        after = await self._measured(run)
        await asyncio.to_thread(self._close_well, run, after)

    def _close_well(self, run: Run, after: list[float]) -> None:
        verified = run.runbook.verify is not None
        text = (
            "verified" + _change_text(run.row["data"].get("before") or [], after) if verified else "done, not verified"
        )
        with self._respond.desk() as desk:
            row: store.RunRow = {**run.row, "data": {**run.row["data"], "after": journal.storable(after)}}
            self._close(desk, row, SUCCEEDED, "runbook_succeeded", text, after=after)
            incident = journal.read(desk.connection, run.incident_id)
            if verified and incident.status is Status.INVESTIGATING:
                desk.happen(run.incident_id, Identified(run.actor, f"runbook {run.runbook.name} repaired it"))

    # -- roll back -----------------------------------------------------------------------------------------------

    def _turn_back(self, run: Run, problem: str) -> Run:
        with self._respond.desk() as desk:
            data = {**run.row["data"], "problem": problem}
            store.mark_run(desk.connection, run.id, state=ROLLING_BACK, data=data)
            return _with(run, state=ROLLING_BACK, data=data)

    async def _roll_back(self, run: Run) -> None:
        problem = str(run.row["data"].get("problem", ""))
        if not run.runbook.rollback:
            await asyncio.to_thread(self._end, run, FAILED, "runbook_failed", problem)
            return
        more = await self._steps(run, run.runbook.rollback, base=_ROLLBACK_BASE, stop=False)
        if more:
            await asyncio.to_thread(self._end, run, FAILED, "runbook_failed", f"{problem}; rollback failed too: {more}")
        else:
            await asyncio.to_thread(self._end, run, ROLLED_BACK, "runbook_rolled_back", f"{problem}; rolled back")

    # -- rows ----------------------------------------------------------------------------------------------------

    def _end(self, run: Run, state: str, event: str, text: str) -> None:
        with self._respond.desk() as desk:
            self._close(desk, run.row, state, event, text)

    def _close(self, desk: Desk, row: store.RunRow, state: str, event: str, text: str, **more: object) -> None:
        changes = {"state": state, "finished_at": desk.now, "outcome": text, "data": row["data"]}
        store.mark_run(desk.connection, row["id"], **changes)
        data = {"run": row["id"], "before": row["data"].get("before"), **more}
        noted = Noted(event, f"runbook:{row['runbook']}", f"runbook {row['runbook']}: {text}", data)
        desk.happen(row["incident_id"] or "", noted)
        log.info(event.replace("_", ".", 1), run=row["id"], incident=row["incident_id"], outcome=text)

    async def _measured(self, run: Run) -> list[float]:
        """The numbers the verify query compares, as they are now; empty when there is none or it cannot be asked."""
        verify = run.runbook.verify
        if verify is None or not verify.measure:
            return []
        try:
            return [value for _, value in await self._asked(run, verify.measure)][:_SHOWN]
        except AiprismError:
            return []

    async def _asked(self, run: Run, query: str) -> Sequence[tuple[Mapping[str, str], float]]:
        return await asyncio.to_thread(self._ask, _filled(run, query), self._clock.now())


def _not_before(row: store.RunRow) -> float:
    return float(row["data"].get("not_before", 0.0)) if row["state"] == PLANNED else 0.0


def _refused(connection: Connection, run: Run, now: float) -> Refusal | None:
    """Why the run must not begin, as far as the control database knows; None when it may."""
    guard, incident = run.runbook.guard, journal.read(connection, run.incident_id)
    alert = incident.alert(run.subject.fingerprint)
    if incident.status in (Status.MONITORING, Status.RESOLVED):
        return Refusal(f"the incident is {incident.status.value} already")
    if alert is None or alert.state is not AlertState.FIRING:
        return Refusal(f"{run.subject.alertname} fires no more")
    if run.row["data"].get("episode", episode_of(incident, alert)) != episode_of(incident, alert):
        return Refusal(f"{run.subject.alertname} fires anew, and called for another run")
    started = store.runs_started_since(connection, run.runbook.name, now - max(guard.cooldown, 3600.0))
    service = service_of(run.subject.labels)
    here = [row["started_at"] or 0.0 for row in started if service_of(row["data"]["labels"]) == service]
    if here and now - max(here) < guard.cooldown:
        reason = f"cooling down: it ran {now - max(here):.0f} s ago, and rests {guard.cooldown:g} s"
        return Refusal(reason, max(here) + guard.cooldown)
    in_hour = sorted(start for row in started if (start := row["started_at"] or 0.0) > now - 3600.0)
    if guard.max_runs_per_hour and len(in_hour) >= guard.max_runs_per_hour:
        reason = f"it ran {len(in_hour)} times in the last hour, and may {guard.max_runs_per_hour} times"
        return Refusal(reason, in_hour[-guard.max_runs_per_hour] + 3600.0)
    return None


def _with(run: Run, **changes: object) -> Run:
    return replace(run, row={**run.row, **changes})  # type: ignore[typeddict-item]


def _rehearse(run: Run) -> None:
    """BadInput when any step or query has a placeholder this alert cannot fill: before the first one acts."""
    for step in (*run.runbook.steps, *run.runbook.rollback):
        filled_params(step, run.subject)
    verify = run.runbook.verify
    for query in (run.runbook.guard.precondition, verify.query if verify else "", verify.measure if verify else ""):
        _filled(run, query)


def _filled(run: Run, query: str) -> str:
    return filled_query(query, run.subject)


def _told_steps(run: Run) -> str:
    return "would do: " + ", ".join(f"{step.name} ({step.kind})" for step in run.runbook.steps)


def _measured_text(values: Sequence[float]) -> str:
    return f", measured {_numbers(values)}" if values else ""


def _change_text(before: Sequence[float], after: Sequence[float]) -> str:
    if not before and not after:
        return ""
    return f": {_numbers(before) or 'nothing'} before, {_numbers(after) or 'nothing'} after"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{float(value):.4g}" for value in values)

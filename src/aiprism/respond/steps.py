"""Carry the steps of a run out, each recorded before it acts and after.

In: a run, and its steps or those of its rollback. Out: the first problem, or none. A step that had begun when the platform died
is given again with the same key when it is idempotent; else it counts as unknown. A step that is too slow, or that trouble cuts
off, has failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from aiprism.clock import Clock
from aiprism.respond import journal
from aiprism.respond.actions.act import Actuator, Done, Order, Past
from aiprism.respond.incident import Noted
from aiprism.respond.pipeline import Respond
from aiprism.respond.runbook import Step, filled_params
from aiprism.respond.runs import Run
from aiprism.respond.trouble import Trouble
from aiprism.store import incidents as store

log = structlog.get_logger()

_ROLLBACK_BASE = 1000  # positions of rollback steps, far behind those of any runbook
_GRACE = 5.0  # seconds an actuator has beyond a step's timeout to give its own account of it


class Steps:
    """Carries out steps with these actuators."""

    def __init__(self, respond: Respond, actuators: Mapping[str, Actuator], clock: Clock) -> None:
        self._respond, self._actuators, self._clock = respond, actuators, clock

    def reload(self, actuators: Mapping[str, Actuator]) -> None:
        """Carry out with these from the next step on; one that is being carried out is finished as it was begun."""
        self._actuators = actuators

    async def forth(self, run: Run, trouble: Trouble) -> str:
        """Carry out the steps that are not done yet, up to the first problem."""
        known = await asyncio.to_thread(self._rows, run)
        for position, step in enumerate(run.runbook.steps):
            if problem := await trouble.now() or await self._step(run, step, position, known, trouble):
                return problem
        return ""

    async def back(self, run: Run) -> str:
        """Carry out every step of the rollback, whatever becomes of each; their problems."""
        known = await asyncio.to_thread(self._rows, run)
        positions = enumerate(run.runbook.rollback, start=_ROLLBACK_BASE)
        return "; ".join([found for at, step in positions if (found := await self._step(run, step, at, known, None))])

    def _rows(self, run: Run) -> dict[int, store.StepRow]:
        with self._respond.reading() as connection:
            return {row["position"]: row for row in store.step_rows(connection, [run.id])}

    async def _step(
        self, run: Run, step: Step, position: int, known: Mapping[int, store.StepRow], trouble: Trouble | None
    ) -> str:
        begun = known.get(position)
        if begun is not None and begun["state"] == "done":
            return ""
        if begun is not None and begun["state"] != "started":
            return f"step {step.name!r}: {begun['result'].get('message', begun['state'])}"
        if begun is not None and not step.idempotent:
            cut_off = Done(False, "cut off by a restart; whether it took effect is unknown, and it is not repeated")
            return await asyncio.to_thread(self._finish, run, step, begun, cut_off, "unknown")
        row = begun if begun is not None else await asyncio.to_thread(self._begin, run, step, position)
        undone = known.get(step.undoes) if step.undoes is not None else None
        if step.undoes is not None and undone is None:
            done = Done(True, "nothing to undo: the step was never begun")
        else:
            done = await self._act(step, _order(run, step, row, undone), trouble)
        return await asyncio.to_thread(self._finish, run, step, row, done, "done" if done.ok else "failed")

    def _begin(self, run: Run, step: Step, position: int) -> store.StepRow:
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

    async def _act(self, step: Step, order: Order, trouble: Trouble | None) -> Done:
        actuator = self._actuators.get(step.kind)
        if actuator is None:
            return Done(False, f"this server has no {step.kind} actuator")
        acting = asyncio.ensure_future(actuator.act(order))
        sleeping = asyncio.ensure_future(self._clock.sleep(step.timeout + _GRACE))
        coming = asyncio.ensure_future(trouble.comes()) if trouble is not None else None
        ends = [each for each in (sleeping, coming) if each is not None]
        try:
            await asyncio.wait((acting, *ends), return_when=asyncio.FIRST_COMPLETED)
            if acting.done():
                return acting.result()
            if coming is not None and coming.done():
                return Done(False, f"cut off: {coming.result()}")
            return Done(False, f"no answer within {step.timeout:g} s")
        except Exception as error:  # a fault of ours in an actuator must not keep the rollback from running
            log.exception("runbook.actuator_failed", kind=step.kind, step=step.name)
            return Done(False, f"the {step.kind} actuator failed: {type(error).__name__}")
        finally:
            for each in (acting, *ends):
                each.cancel()
            await asyncio.gather(acting, *ends, return_exceptions=True)

    def _finish(self, run: Run, step: Step, row: store.StepRow, done: Done, state: str) -> str:
        result = {"ok": done.ok, "message": done.message, "data": journal.storable(done.data)}
        with self._respond.desk() as desk:
            store.put_step(desk.connection, {**row, "state": state, "finished_at": desk.now, "result": result})
            undoing = "rollback " if row["position"] >= _ROLLBACK_BASE else ""
            text = f"{undoing}step {step.name!r}: {done.message}"
            data = {"run": run.id, "step": step.name, "kind": step.kind, "state": state, "ok": done.ok}
            desk.happen(run.incident_id, Noted("runbook_step", run.actor, text, data))
        return "" if done.ok else f"step {step.name!r}: {done.message}"


def _order(run: Run, step: Step, row: store.StepRow, undone: store.StepRow | None) -> Order:
    return Order(
        params=filled_params(step, run.subject),
        key=row["idempotency_key"],
        timeout=step.timeout,
        reason=f"{run.actor} for {run.incident_id}",
        undoes=Past(undone["idempotency_key"], undone["result"].get("data") or {}) if undone is not None else None,
    )

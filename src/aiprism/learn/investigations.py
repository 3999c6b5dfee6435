"""Has every incident investigated, and keeps what was found.

In: timelines that ask for it (an incident was opened, escalated or reopened), and people who do. Out: rows of the control
database, and a line `investigated` on the timeline. The most urgent incidents come first, a few at a time, beside the event
loop: a storm that opens two hundred incidents makes a queue, and no load. One whose turn does not come in time is skipped,
which is counted and said. A row is written when an investigation begins: what a killed platform had begun is done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import structlog

from aiprism.clock import Clock
from aiprism.errors import Conflict, NotFound
from aiprism.learn.findings import Findings
from aiprism.learn.investigate import case_of, conclusion, investigated
from aiprism.learn.look import Sources
from aiprism.learn.topology import Topology
from aiprism.respond import journal
from aiprism.respond.bell import Bell
from aiprism.respond.incident import MACHINE, Noted
from aiprism.respond.pipeline import Respond
from aiprism.store import investigations as store
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "learn.investigation"
LINE = "investigated"  # the event of the timeline
BACK = 86_400.0  # seconds: what asked longer ago than this is not even counted as skipped

_EVERY = 15.0  # seconds between looks for work, whatever rings
_SHORTEST = 0.5
_URGENCY = {name: place for place, name in enumerate(("P0", "P1", "P2", "P3"))}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long one may take, how many at a time, and how long one may wait; seconds."""

    timeout: float = 30.0
    at_once: int = 2
    wait: float = 900.0


class Investigations:
    """The investigations of one tenant."""

    def __init__(
        self,
        respond: Respond,
        engine: Engine,
        sources: Sources,
        topology: Callable[[], Topology],
        clock: Clock,
        telemetry: Telemetry | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._respond, self._engine, self._sources, self._topology = respond, engine, sources, topology
        self._clock, self._telemetry = clock, telemetry or Telemetry()
        self.bounds = bounds or Bounds()
        self._bell = Bell()
        self._task: asyncio.Task[None] | None = None
        respond.on_work(self._bell.ring)

    # -- for people ------------------------------------------------------------------------------------------------

    def read(self, incident_id: str, number: int | None = None) -> dict[str, Any]:
        """That investigation, or the last one that is done; NotFound when there is none."""
        with self._respond.reading() as connection:
            row = store.read(connection, incident_id, number)
            known = store.listed(connection, incident_id)
        if row is None:
            what = f"investigation {number}" if number and known else "investigation"
            raise NotFound(
                f"there is no {what} of incident {incident_id!r}; one begins when it is opened, or by a POST"
            )
        return {**row, "all": known}

    def ask(self, incident_id: str, actor: str) -> int:
        """Have it investigated (again) soon; the number of the investigation. Conflict when none are done here."""
        if not self.bounds.at_once:
            raise Conflict("no investigations are done here (learn.investigations is 0)")
        with self._respond.desk() as desk:
            journal.work_of(desk.connection, incident_id)  # that there is one
            number = store.ask(desk.connection, incident_id, "asked for", actor, desk.now)
        self._bell.ring()
        return number

    # -- by itself -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Investigate from now on; what was under way when the platform ended is begun anew."""
        if self.bounds.at_once:
            self._task = asyncio.create_task(self._loop(), name="investigations")

    async def stop(self) -> None:
        """Investigate no more; those under way are done again after the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _loop(self) -> None:
        resumed = False
        while True:
            # The one broad catch of this loop: a database that is away comes back.
            try:
                if not resumed:
                    await asyncio.to_thread(self.resume)
                    resumed = True
                await self.work()
            except Exception:
                log.exception("investigation.look_failed")
            await self._clock.sleep(_SHORTEST)
            await self._bell.wait(self._clock, _EVERY)

    def resume(self) -> int:
        """Have those that were under way wait again; how many that were."""
        with self._respond.desk() as desk:
            return store.again(desk.connection)

    async def work(self) -> int:
        """Do all that are asked for, the most urgent first; how many that were."""
        done = await asyncio.gather(*(self._worker() for _ in range(max(1, self.bounds.at_once))))
        return sum(done)

    async def _worker(self) -> int:
        done = 0
        while (begun := await asyncio.to_thread(self._take)) is not None:
            await self._investigate(*begun)
            done += 1
        return done

    def _take(self) -> tuple[str, int] | None:
        """Begin the most urgent one; None when nothing is asked for. Those that have waited for too long are skipped."""
        with self._respond.reading() as connection:  # mostly there is nothing, and nobody is kept waiting for that
            if not store.wanted(connection, self._clock.now() - BACK):
                return None
        with self._respond.desk() as desk:
            waiting = store.wanted(desk.connection, desk.now - BACK)
            late = [each for each in waiting if each.number is None and each.asked_at < desk.now - self.bounds.wait]
            for each in late:
                why = f"skipped: its turn did not come within {self.bounds.wait:g} s"
                store.skip(desk.connection, each, MACHINE, desk.now, why)
            rest = sorted(
                (each for each in waiting if each not in late),
                key=lambda each: (_URGENCY.get(each.priority, len(_URGENCY)), each.asked_at, each.incident_id),
            )
            begun = (rest[0].incident_id, store.begin(desk.connection, rest[0], MACHINE, desk.now)) if rest else None
        if late:
            self._telemetry.dropped(STAGE, "late", len(late))
            log.warning("investigation.skipped", incidents=len(late))
        return begun

    async def _investigate(self, incident_id: str, number: int) -> None:
        began = self._clock.monotonic()
        try:
            found = await self._engine.run(self._found, incident_id)
            state, said = store.DONE, conclusion(found)
        except Exception as error:  # the rim: one that fails keeps no other waiting, and is not tried for ever
            log.exception("investigation.failed", incident=incident_id)
            found, state, said = (
                Findings(),
                store.FAILED,
                f"it could not be investigated ({type(error).__name__}: {error})",
            )
        await asyncio.to_thread(self._keep, incident_id, number, state, said, found)
        self._telemetry.took(STAGE, self._clock.monotonic() - began)
        if state == store.DONE:
            self._telemetry.passed(STAGE)
        else:
            self._telemetry.dropped(STAGE, "failed")

    def _found(self, incident_id: str) -> Findings:
        with self._respond.reading() as connection:
            incident = journal.read(connection, incident_id)
        case = case_of(incident, self._topology(), self._respond.policy.services, self._clock.now())
        return investigated(case, self._sources, self.bounds.timeout, self._clock.monotonic)

    def _keep(self, incident_id: str, number: int, state: str, said: str, found: Findings) -> None:
        with self._respond.desk() as desk:
            store.finish(desk.connection, incident_id, number, desk.now, state, said, told(found))
            data = {"number": number, "state": state, "hypotheses": len(found.hypotheses), "missed": len(found.missed)}
            desk.happen(incident_id, Noted(LINE, MACHINE, said, data))


def told(found: Findings) -> dict[str, Any]:
    """The findings as JSON."""
    plain: dict[str, Any] = asdict(found, dict_factory=_plain)
    return {**plain, "missed": list(found.missed)}


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in pairs}

"""The response room as one thing: what app.py builds, starts and stops.

Holds the pipeline that takes alerts, and the five loops behind it: groups, deadlines, delivery, runbooks, rooms. Everything
they work on is in the control database, so `start` on an existing one goes on where a stopped or killed process was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from aiprism.clock import Clock
from aiprism.model.alerts import Alert
from aiprism.respond import journal
from aiprism.respond.actions.act import Actuator
from aiprism.respond.deliver import Delivery, Patience
from aiprism.respond.desk import Policy
from aiprism.respond.dispatch import Dispatch
from aiprism.respond.incident import Event, Incident
from aiprism.respond.measures import Ask
from aiprism.respond.oncall import overrides, reading
from aiprism.respond.pipeline import Respond
from aiprism.respond.remediate import Remediation
from aiprism.respond.roommirror import RoomMirror
from aiprism.respond.watch import Watch
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

LOOK_SECONDS = 2.0


class Responder:
    """Alerts in, answered incidents out. `check_interval` is how often open incidents are looked at, in seconds."""

    def __init__(
        self,
        records: Records,
        *,
        policy: Policy,
        actuators: Mapping[str, Actuator],
        ask: Ask,
        clock: Clock,
        check_interval: float = 60.0,
        patience: Patience | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._records, self._clock = records, clock
        self.pipeline = Respond(records, clock, policy, telemetry)
        self.delivery = Delivery(self.pipeline, clock, patience=patience, telemetry=telemetry)
        self.dispatch = Dispatch(self.pipeline, clock)
        self.watch = Watch(self.pipeline, clock, check_interval)
        self.remediation = Remediation(self.pipeline, actuators, ask, clock)
        self.mirror = RoomMirror(self.pipeline, clock, telemetry=telemetry)
        self._loops: list[asyncio.Task[None]] = []

    @property
    def records(self) -> Records:
        """The control database it works on."""
        return self._records

    @property
    def policy(self) -> Policy:
        """What is configured now."""
        return self.pipeline.policy

    def reload(self, policy: Policy, actuators: Mapping[str, Actuator] | None = None) -> None:
        """Follow another policy from the next alert on, and act by these actuators from the next step on; what is known goes into
        the groups of the policy's routes."""
        if actuators is not None:
            self.remediation.reload(actuators)
        self.pipeline.policy = policy
        self._warn()
        self.pipeline.regroup()
        self.pipeline.check()  # deadlines may have moved

    def accept(self, alerts: Sequence[Alert]) -> None:
        """Take alerts from a detector, from any thread; when this returns they are kept. Repeats change nothing."""
        self.pipeline.accept(alerts)

    def happen(self, incident_id: str, event: Event) -> Incident:
        """Let a person's event happen to an incident; NotFound or Conflict when it cannot."""
        return self.pipeline.happen(incident_id, event)

    def during(self, start: float, end: float) -> list[Incident]:
        """The incidents that were open at any time of a period, newest first."""
        with self.pipeline.reading() as connection:
            return journal.during(connection, start, end)

    async def start(self) -> None:
        """Begin the loops. What a former process left open, unsent or half carried out is taken up at once."""
        for warning in self.policy.routing.warnings:
            log.warning("routing.doubt", what=warning)
        await asyncio.to_thread(self._warn)
        loops = [self.dispatch.run(), self.watch.run(), self.delivery.run(), self.remediation.run(), self.mirror.run()]
        if self._records.shared:
            loops.append(self._look())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    def _warn(self) -> None:
        """Say where nobody will be on call."""
        with self.pipeline.reading() as connection:
            rota = overrides.in_force(connection, self.policy.periods.rota, self._clock.now())
        for warning in reading.warnings(rota, self._clock.now()):
            log.warning("oncall.gap", what=warning)

    async def stop(self) -> None:
        """End the loops. What they were at stays in the control database."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []

    async def _look(self) -> None:
        """Other processes write letters and runs, too, and cannot ring here."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            self.pipeline.ring()

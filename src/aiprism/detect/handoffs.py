"""What leads out of the detect room: asking, recording, telling, keeping, each with its count and its answer to failure.

In: functions of other rooms, handed in by `app.py`. Out: the same steps, of which none can end a loop: a step that fails
is logged, counted and told to the caller, who decides what is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from aiprism.clock import Clock
from aiprism.detect.annotations import Surroundings
from aiprism.detect.signals import RuleQuestion
from aiprism.model.alerts import Alert
from aiprism.model.samples import Sample
from aiprism.query.promql.values import Answer, Value
from aiprism.store.alertstates import AlertStates, KeptAlert
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

Query = Callable[[RuleQuestion, float], Awaitable[Value]]
QueryAll = Callable[[Sequence[RuleQuestion], float], Awaitable[Sequence[Answer]]]
Record = Callable[[Sequence[Sample]], Awaitable[object]]
Notify = Callable[[Sequence[Alert]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, with Prometheus' numbers but for the grace: ours fires on time after a restart."""

    resend_delay: float = 60.0
    outage_tolerance: float = 3600.0
    for_grace: float = 0.0


@dataclass(frozen=True)
class Handoffs:
    """The ways out, each with its count and its answer to failure."""

    query: Query
    query_all: QueryAll | None  # None: each question is asked on its own
    record: Record
    notify: Notify
    states: AlertStates
    clock: Clock
    telemetry: Telemetry
    around: Surroundings
    timing: Timing
    turns: asyncio.Semaphore

    async def ask(self, questions: Sequence[RuleQuestion], at: float) -> Sequence[Answer]:
        """What questions give, or why they give nothing; waits while too many others are being asked."""
        async with self.turns:
            began = self.clock.monotonic()
            try:
                if len(questions) > 1 and self.query_all:
                    return await self.query_all(questions, at)
                values: list[Value | Exception] = [await self.query(each, at) for each in questions]
            except Exception as error:  # whoever asked takes it up again
                values = [error] * len(questions)
            return [Answer(value, (self.clock.monotonic() - began) / len(questions)) for value in values]

    async def write(self, samples: Sequence[Sample]) -> Exception | None:
        """Record samples; a failure is counted and returned."""
        if not samples:
            return None
        return await self.attempt("detect.record", len(samples), "not_recorded", self.record(samples))

    async def tell(self, alerts: Sequence[Alert]) -> bool:
        """Hand alerts on, with the external labels as Prometheus does; True when they were accepted."""
        external = self.around.external_labels
        named = [replace(alert, labels=alert.labels.over(external)) for alert in alerts] if external else alerts
        return await self.attempt("detect.notify", len(alerts), "not_accepted", self.notify(named)) is None

    async def keep(
        self, group: str, at: float | None, changed: Sequence[tuple[str, KeptAlert]], gone: Sequence[tuple[str, str]]
    ) -> bool:
        """Keep alert states; True when they are on disk."""
        saving = asyncio.to_thread(self.states.save, group, at, changed, gone)
        return await self.attempt("detect.states", len(changed) + len(gone), "not_kept", saving) is None

    async def attempt(
        self, stage: str, items: int, reason: str, step: Awaitable[object], **about: object
    ) -> Exception | None:
        """Do `step`; if it fails, log and count it and give the error back. The one broad catch of this room.

        The steps are handed in from other rooms and may fail in ways not known here; a loop must outlive them all.
        """
        try:
            await step
        except Exception as error:
            log.warning("detect.failed", stage=stage, reason=reason, error=str(error), exc_info=_bug(error), **about)
            self.telemetry.dropped(stage, reason, items)
            return error
        self.telemetry.passed(stage, items)
        return None


def _bug(error: Exception) -> bool:
    """Whether an error is one nobody raised on purpose, so that its traceback is worth the space."""
    return isinstance(error, (TypeError, AttributeError, LookupError, AssertionError, NameError))

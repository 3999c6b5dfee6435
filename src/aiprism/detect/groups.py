"""Rule groups at work: each on its own aligned interval, one evaluation after the other, never two at once.

In: groups (from `rules.py`) and five functions: query, record, notify, the kept states, a clock. Out: samples to
`record`, alerts to `notify`, states to the control database, and `status()` for whoever asks. What an evaluation decides
is in `evaluation.py`; what becomes of an alert is left to the response room.

If a step fails: a rule that cannot be evaluated keeps its alerts as they are and is marked unhealthy, its neighbours go
on; samples that cannot be recorded are lost and counted; alerts that are not accepted and states that cannot be kept
are tried again at the next evaluation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog
import xxhash

from aiprism.clock import Clock
from aiprism.detect.annotations import Surroundings
from aiprism.detect.evaluation import (
    Evaluated,
    Setting,
    alert_samples,
    due,
    evaluate,
    resolved,
    resumed,
)
from aiprism.detect.handoffs import Handoffs, Notify, Query, QueryAll, Record, Timing
from aiprism.detect.rules import AlertingRule, Group, Rule
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN, Sample
from aiprism.query.promql.values import Answer, Vector
from aiprism.store.alertstates import AlertStates, KeptAlert, source_of
from aiprism.telemetry import Telemetry

log = structlog.get_logger()
T = TypeVar("T")

# How often an alert whose rule has gone is tried to be told over, until it is accepted.
RETRY_SECONDS = 5.0
# After a restart the first evaluations may come before the first new samples do, so what they do not see is not over.
SETTLING_EVALUATIONS = 2
# However short the interval, exporters that met a dead platform wait before they try again.
SETTLING_SECONDS = 30.0
# Deciding about a series takes up to 0.1 ms; from so many on it is done beside the event loop.
LARGE_VECTOR = 200
# Expressions that take so long together are asked in one go.
SHORT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """How a rule's last evaluation went; `health` is ok, err or unknown, `alerts` are the pending and firing ones."""

    rule: Rule
    health: str = "unknown"
    last_error: str = ""
    evaluated_at: float | None = None
    seconds: float = 0.0
    alerts: tuple[Alert, ...] = ()
    keep_firing_since: Mapping[str, float] = field(default_factory=dict)  # by fingerprint


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """How a group's last evaluation went; `missed` counts intervals that passed while one was still under way."""

    group: Group
    rules: tuple[RuleStatus, ...]
    evaluated_at: float | None = None
    seconds: float = 0.0
    missed: int = 0


class RuleGroups:
    """Every group of the loaded files, evaluated from `start()` to `stop()`."""

    def __init__(
        self,
        groups: Iterable[Group],
        *,
        query: Query,
        record: Record,
        notify: Notify,
        states: AlertStates,
        clock: Clock,
        query_all: QueryAll | None = None,
        telemetry: Telemetry | None = None,
        around: Surroundings | None = None,
        timing: Timing | None = None,
        concurrency: int = 4,
    ) -> None:
        self._handoffs = Handoffs(
            query=query,
            query_all=query_all,
            record=record,
            notify=notify,
            states=states,
            clock=clock,
            telemetry=telemetry or Telemetry(),
            around=around or Surroundings(),
            timing=timing or Timing(),
            turns=asyncio.Semaphore(concurrency),
        )
        self._at_first = tuple(groups)
        self._running: dict[str, _Running] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up the alerts of the last run and begin. Alerts of rules that are gone are told over."""
        kept = await asyncio.to_thread(self._handoffs.states.load)
        await asyncio.to_thread(self._handoffs.states.forget_groups, [group.key for group in self._at_first])
        left = dict(kept.alerts)
        for group in self._at_first:
            running = _Running(group, self._handoffs)
            running.take_up({rule.key: left.pop(rule.key, ()) for rule in group.rules}, kept.evaluated_at)
            self._begin(running)
        self._retire([(kept.groups[key], key, alert) for key, alerts in left.items() for alert in alerts])

    async def stop(self) -> None:
        """End every loop between two evaluations; states stay kept for the next start."""
        await asyncio.gather(*(running.stop() for running in self._running.values()))
        for farewell in self._farewells:
            farewell.cancel()
        await asyncio.gather(*self._farewells, return_exceptions=True)

    async def reload(self, groups: Iterable[Group]) -> None:
        """Go on with `groups`: an unchanged group is not disturbed, an unchanged rule keeps its alerts.

        A rule is the same when file, group, name and labels are, whatever its expression became. Series of rules that
        are gone end at once and their firing alerts are told over.
        """
        wanted = {group.key: group for group in groups}
        changed = {key: running for key, running in self._running.items() if wanted.get(key) != running.group}
        await asyncio.gather(*(running.stop() for running in changed.values()))
        left: list[_RuleState] = []
        for key in changed:
            del self._running[key]
        for key, group in wanted.items():
            if key in self._running:
                continue
            running = _Running(group, self._handoffs)
            if key in changed:
                left += changed.pop(key).hand_over(running)
            self._begin(running)
        left += [state for running in changed.values() for state in running.rules]
        await self._end_series(left)
        self._retire([(state.group_key, state.rule.key, kept) for state in left for kept in state.alerts.values()])

    def status(self) -> tuple[GroupStatus, ...]:
        """Every group and rule as its last evaluation left it, by file and name."""
        ordered = sorted(self._running.values(), key=lambda running: (running.group.file, running.group.name))
        return tuple(running.status() for running in ordered)

    # -- inside --------------------------------------------------------------------------------------------------

    def _begin(self, running: _Running) -> None:
        self._running[running.group.key] = running
        running.start()

    async def _end_series(self, left: Iterable[_RuleState]) -> None:
        ts_ms = round(self._handoffs.clock.now() * 1000)
        ended = [Sample(labels, ts_ms, STALE_NAN) for state in left for labels in state.series]
        await self._handoffs.write(ended)

    def _retire(self, gone: list[tuple[str, str, KeptAlert]]) -> None:
        """Tell the firing alerts among `gone` (group key, rule key, alert) over and forget them all, until it is done."""
        if not gone:
            return
        task = asyncio.create_task(self._farewell(gone))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _farewell(self, gone: list[tuple[str, str, KeptAlert]]) -> None:
        now = self._handoffs.clock.now()
        over = [
            kept.alert if kept.alert.state is AlertState.RESOLVED else resolved(kept, now).alert
            for _, _, kept in gone
            if due(kept, now, 0.0)
        ]
        log.info("rules.retired", alerts=len(gone), told_over=len(over))
        while over and not await self._handoffs.tell(over):
            await self._handoffs.clock.sleep(RETRY_SECONDS)
        # A rule that came back meanwhile keeps its rows: they are its own again.
        loaded = {state.rule.key for running in self._running.values() for state in running.rules}
        names = [(rule, kept.alert.fingerprint) for _, rule, kept in gone if rule not in loaded]
        while not await self._handoffs.keep("", None, [], names):
            await self._handoffs.clock.sleep(RETRY_SECONDS)


class _RuleState:
    """A rule, the alerts and series it has now, and how its last evaluation went."""

    __slots__ = ("alerts", "asked_seconds", "group_key", "rule", "series", "settled_at", "settling", "source", "status")

    def __init__(self, rule: Rule, group_key: str) -> None:
        self.rule, self.group_key = rule, group_key
        self.source = source_of(group_key, rule.name)
        self.alerts: Mapping[str, KeptAlert] = {}
        self.series: frozenset[Labels] = frozenset()
        # An alert that was taken up can be over after so many successful evaluations, and not before this time.
        self.settling, self.settled_at = 0, 0.0
        self.status = RuleStatus(rule)
        self.asked_seconds: float | None = None  # the last time


class _Running:
    """One group: its loop, and what it carries from one evaluation to the next."""

    def __init__(self, group: Group, handoffs: Handoffs) -> None:
        self.group, self.handoffs = group, handoffs
        self.rules = [_RuleState(rule, group.key) for rule in group.rules]
        self.batches = _batches(self.rules)
        self.saved: dict[tuple[str, str], KeptAlert] = {}
        self.seen_at: float | None = None  # of the last run; None: nothing to take up
        self.evaluated_at: float | None = None
        self.seconds = 0.0
        self.missed = 0
        self._between = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    # -- from one run to the next --------------------------------------------------------------------------------

    def take_up(self, alerts: Mapping[str, tuple[KeptAlert, ...]], evaluated_at: Mapping[str, float]) -> None:
        """Begin with the alerts the last run kept, by rule key."""
        for state in self.rules:
            state.alerts = {kept.alert.fingerprint: kept for kept in alerts[state.rule.key]}
            if state.alerts:
                state.settling = SETTLING_EVALUATIONS
                state.settled_at = self.handoffs.clock.now() + SETTLING_SECONDS
            state.series = frozenset(sample.labels for sample in alert_samples(state.alerts.values(), Setting(now=0.0)))
        self.saved = self._kept()
        if self.saved:
            self.seen_at = evaluated_at.get(self.group.key, self.handoffs.clock.now())

    def hand_over(self, heir: _Running) -> list[_RuleState]:
        """Give alerts and series of rules that go on to `heir`; the states of those that do not are returned."""
        mine = {state.rule.key: state for state in self.rules}
        for state in heir.rules:
            before = mine.pop(state.rule.key, None)
            if before is None:
                continue
            state.alerts, state.series = before.alerts, before.series
            state.settling, state.settled_at = before.settling, before.settled_at
            state.status = replace(before.status, rule=state.rule)
        heir.seen_at = self.seen_at
        heir.saved = {key: kept for key, kept in self.saved.items() if key[0] not in mine}
        return list(mine.values())

    def status(self) -> GroupStatus:
        rules = tuple(_with_alerts(state) for state in self.rules)
        return GroupStatus(self.group, rules, self.evaluated_at, self.seconds, self.missed)

    # -- the loop ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.create_task(self._loop(), name=f"rules {self.group.key}")

    async def stop(self) -> None:
        """End the loop; an evaluation under way is finished first."""
        if self._task is None:
            return
        async with self._between:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _loop(self) -> None:
        interval_ms = round(self.group.interval * 1000)
        at_ms = first_slot_ms(self.group, round(self.handoffs.clock.now() * 1000))
        while True:
            now_ms = round(self.handoffs.clock.now() * 1000)
            if at_ms - now_ms > interval_ms:  # the wall clock was set back
                at_ms = first_slot_ms(self.group, now_ms)
            await self.handoffs.clock.sleep((at_ms - now_ms) / 1000)
            async with self._between:
                await self._evaluate(at_ms / 1000)
            # A slot that has begun meanwhile is taken late; those before it are missed.
            late = (round(self.handoffs.clock.now() * 1000) - at_ms) // interval_ms
            if late > 1:
                self.missed += late - 1
                self.handoffs.telemetry.dropped("detect.groups", "missed", late - 1)
                log.warning("rules.intervals_missed", group=self.group.key, missed=late - 1)
            at_ms += max(late, 1) * interval_ms

    async def _evaluate(self, at: float) -> None:
        began = self.handoffs.clock.monotonic()
        self._resume(at)
        for batch in self.batches:
            written = await asyncio.gather(*(self._evaluate_some(some, at) for some in _packed(batch)))
            samples = [sample for samples in written for sample in samples]
            lost, _ = await asyncio.gather(self.handoffs.write(samples), self._tell(at))
            if lost is not None:
                _mark_lost(batch, lost)
        await self._keep(at)
        self.evaluated_at = at
        self.seconds = self.handoffs.clock.monotonic() - began
        self.handoffs.telemetry.passed("detect.groups")
        self.handoffs.telemetry.took("detect.groups", self.seconds)

    def _resume(self, at: float) -> None:
        """At the first evaluation after a restart: time away does not count towards `for`."""
        seen_at, self.seen_at = self.seen_at, None
        if seen_at is None:
            return
        timing = self.handoffs.timing
        for state in self.rules:
            if not isinstance(state.rule, AlertingRule):
                continue
            again = {
                name: resumed(kept, state.rule, seen_at, at, tolerance=timing.outage_tolerance, grace=timing.for_grace)
                for name, kept in state.alerts.items()
            }
            state.alerts = {name: kept for name, kept in again.items() if kept is not None}
        log.info("rules.resumed", group=self.group.key, away_seconds=round(at - seen_at, 3))

    async def _evaluate_some(self, states: Sequence[_RuleState], at: float) -> list[Sample]:
        """Evaluate rules whose expressions are asked in one go."""
        answers = await self.handoffs.ask([state.rule.question for state in states], at - self.group.query_offset)
        samples: list[Sample] = []
        for state, answer in zip(states, answers, strict=True):
            state.asked_seconds = answer.seconds
            found = await self._evaluate_rule(state, answer, at)
            if found:
                samples += found
                await asyncio.sleep(0)  # others must not wait for all of them
        return samples

    async def _evaluate_rule(self, state: _RuleState, answer: Answer, at: float) -> list[Sample]:
        """Evaluate one rule into `state`; its samples, with the ends of the series it no longer yields."""
        began = self.handoffs.clock.monotonic()
        samples: list[Sample] = []

        async def step() -> None:
            outcome = await self._outcome(state, answer, at)
            now_there = frozenset(sample.labels for sample in outcome.samples)
            ts_ms = round((at - self.group.query_offset) * 1000)
            samples.extend(outcome.samples)
            samples.extend(Sample(labels, ts_ms, STALE_NAN) for labels in state.series - now_there)
            _log_moves(state, outcome)
            state.alerts, state.series = outcome.states, now_there
            state.settling = max(state.settling - 1, 0)

        failed = await self.handoffs.attempt("detect.rules", 1, "failed", step(), rule=state.source)
        state.status = RuleStatus(
            rule=state.rule,
            health="ok" if failed is None else "err",
            last_error="" if failed is None else str(failed) or type(failed).__name__,
            evaluated_at=at,
            seconds=answer.seconds + self.handoffs.clock.monotonic() - began,
        )
        return samples

    async def _outcome(self, state: _RuleState, answer: Answer, at: float) -> Evaluated:
        value = answer.value
        if isinstance(value, Exception):
            raise value
        setting = Setting(
            now=at,
            query_offset=self.group.query_offset,
            limit=self.group.limit,
            source=state.source,
            around=self.handoffs.around,
            settling=state.settling > 0 or at < state.settled_at,
        )
        asks = isinstance(state.rule, AlertingRule) and state.rule.asks
        if not asks and not (isinstance(value, Vector) and len(value.items) >= LARGE_VECTOR):
            return evaluate(state.rule, value, state.alerts, setting)
        return await asyncio.to_thread(evaluate, state.rule, value, state.alerts, setting)

    async def _tell(self, at: float) -> None:
        """Hand on what is due; only once accepted is it noted as sent."""
        delay = self.handoffs.timing.resend_delay
        told = [(state, name) for state in self.rules for name, kept in state.alerts.items() if due(kept, at, delay)]
        if not told or not await self.handoffs.tell([state.alerts[name].alert for state, name in told]):
            return
        for state in {id(state): state for state, _ in told}.values():
            names = {name for other, name in told if other is state}
            state.alerts = {
                name: replace(kept, last_sent_at=at) if name in names else kept for name, kept in state.alerts.items()
            }

    async def _keep(self, at: float) -> None:
        """Keep what changed since the last time it was kept, and that the group was evaluated while it has alerts."""
        kept = self._kept()
        changed = [(key[0], now) for key, now in kept.items() if key not in self.saved or _moved(self.saved[key], now)]
        gone = [key for key in self.saved if key not in kept]
        active = any(now.alert.state is not AlertState.RESOLVED for now in kept.values())
        if not (changed or gone or active):
            return
        if await self.handoffs.keep(self.group.key, at, changed, gone):
            self.saved = kept

    def _kept(self) -> dict[tuple[str, str], KeptAlert]:
        return {(state.rule.key, name): kept for state in self.rules for name, kept in state.alerts.items()}


def first_slot_ms(group: Group, now_ms: int) -> int:
    """The first evaluation time after `now_ms`: intervals are aligned to the epoch, shifted by a hash of the group.

    The shift spreads groups over the interval and stays the same across restarts. It is that of Prometheus 2
    (rules/manager.go, EvalTimestamp), so that a file under the same path is evaluated there at the same moments.
    """
    interval_ms = round(group.interval * 1000)
    named = b"".join(part.encode() + b"\xff" for part in ("file", group.file, "name", group.name))
    shift = xxhash.xxh64_intdigest(named) % (interval_ms * 1_000_000) // 1_000_000
    return now_ms - (now_ms - shift) % interval_ms + interval_ms


def _batches(states: Sequence[_RuleState]) -> list[list[_RuleState]]:
    """Neighbours that may be evaluated together, because none selects a metric that one before it in the batch writes."""
    batches: list[list[_RuleState]] = []
    written: set[str] = set()
    for state in states:
        reads = state.rule.reads
        if not batches or (written if reads is None else written & reads):
            batches.append([])
            written = set()
        batches[-1].append(state)
        written |= state.rule.writes
    return batches


def _packed(states: Sequence[_RuleState]) -> list[list[_RuleState]]:
    """Rules to be asked in one go, which share what they read: as many as took `SHORT_SECONDS` the last time. Those that take
    longer, or that nobody has asked yet, are asked side by side."""
    packs: list[list[_RuleState]] = []
    left = 0.0
    for state in states:
        took = SHORT_SECONDS if state.asked_seconds is None else state.asked_seconds
        if not packs or took > left:
            packs.append([])
            left = SHORT_SECONDS
        packs[-1].append(state)
        left -= took
    return packs


def _moved(before: KeptAlert, now: KeptAlert) -> bool:
    """Whether anything changed that a restart must know; a new value or text alone is not worth a write."""
    return (
        before.alert.state is not now.alert.state
        or before.alert.active_at != now.alert.active_at
        or before.keep_firing_since != now.keep_firing_since
        or before.last_sent_at != now.last_sent_at
    )


def _mark_lost(batch: Iterable[_RuleState], lost: Exception) -> None:
    for state in batch:
        if state.status.health == "ok" and state.series:
            state.status = replace(state.status, health="err", last_error=f"the result was not recorded: {lost}")


def _log_moves(state: _RuleState, outcome: Evaluated) -> None:
    for trouble in outcome.troubles:
        log.warning("rule.template_failed", rule=state.source, error=trouble)
    for name, kept in outcome.states.items():
        before = state.alerts.get(name)
        if before is None or before.alert.state is not kept.alert.state:
            log.info(f"alert.{kept.alert.state.value}", rule=state.source, labels=kept.alert.labels.to_dict())


def _with_alerts(state: _RuleState) -> RuleStatus:
    active = [kept for kept in state.alerts.values() if kept.alert.state is not AlertState.RESOLVED]
    return replace(
        state.status,
        alerts=tuple(kept.alert for kept in active),
        keep_firing_since={
            kept.alert.fingerprint: kept.keep_firing_since for kept in active if kept.keep_firing_since is not None
        },
    )

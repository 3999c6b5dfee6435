"""What telemetry says about an incident that is over, read while it is still there, to be kept for good.

In: an incident, and who is asked: rules for what its alerts looked at, the engine for requests, log lines, patterns, traces
and changes. Out: frozen `Evidence`. Each part has its own time and fails by itself, in words that stand in the postmortem:
what could not be read is unknown, never nothing. How much is kept is bounded by the constants below.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import structlog

from aiprism.detect.rules import AlertingRule
from aiprism.detect.signals import RuleQuestion
from aiprism.errors import AiprismError
from aiprism.learn.chart import Chart, Curve
from aiprism.model.events import ChangeEvent
from aiprism.model.logs import LogRecord
from aiprism.model.servicemap import Load
from aiprism.model.timerange import TimeRange, format_duration
from aiprism.query.promql.operators import COMPARISON
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import Binary, Number, Paren
from aiprism.query.promql.values import Matrix
from aiprism.respond.changes import names_of
from aiprism.respond.incident import Incident
from aiprism.services import Catalogue
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.otlpexport import otlp_json
from aiprism.store.patterncounts import pattern_counts
from aiprism.store.servicemap import ServiceMapStore, whole_minutes
from aiprism.store.spans import SpanStore
from aiprism.store.tracesearch import TraceSearch

log = structlog.get_logger()
T = TypeVar("T")

# Seconds of a chart before the incident and after it: so many times as long as it lasted, within bounds, so that twenty
# seconds of trouble are seen as well as two days.
BEFORE, AFTER = (3.0, 300.0, 3600.0), (0.5, 60.0, 300.0)
CHANGES_BEFORE = 7200.0
SECONDS = 20.0  # each part may take

CHARTS, CURVES, POINTS = 8, 6, 240
PATTERNS, LINES, LINE = 20, 100, 2000  # patterns, lines and their characters
TRACES, SPANS = 5, 2000  # failed and slow ones each, spans of all together
SERVICES = 10  # looked at: the first ones its alerts speak of
ERROR_LEVELS = ("ERROR", "FATAL", "CRITICAL")

RangeAsk: TypeAlias = Callable[[RuleQuestion, float, float, float], Matrix]
Ask: TypeAlias = Callable[[str, float], Sequence[tuple[Mapping[str, str], float]]]


@dataclass(frozen=True, slots=True)
class ServiceImpact:
    """How requests to a service went during the incident, and in as much time before it."""

    service: str
    during: Load
    before: Load


@dataclass(frozen=True, slots=True)
class Measure:
    """What a metric says about the impact; without a value `unknown` says why."""

    name: str
    query: str
    value: float | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class ErrorPattern:
    """Lines of errors that differ only in their variable parts, during the incident and in as much time before it."""

    service: str
    level: str
    pattern: str
    lines: int
    before: int
    example: str


@dataclass(frozen=True, slots=True)
class Line:
    """One log line of an error."""

    at: float
    service: str
    level: str
    body: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class KeptTrace:
    """A trace that is kept; `why` is failed or slow."""

    trace_id: str
    why: str
    service: str
    name: str
    at: float
    seconds: float
    spans: int
    errors: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was read; `unknown` says of each part that could not be read why."""

    charts: tuple[Chart, ...] = ()
    impacts: tuple[ServiceImpact, ...] = ()
    measures: tuple[Measure, ...] = ()
    patterns: tuple[ErrorPattern, ...] = ()
    lines: tuple[Line, ...] = ()
    traces: tuple[KeptTrace, ...] = ()
    otlp: Mapping[str, Any] = field(default_factory=dict)  # the spans of `traces`, as an OTLP/JSON request
    changes: tuple[ChangeEvent, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)


# What the platform's own metric families say about people, documents and money. What `increase` says of a counter is stretched to
# the ends of its window, and so a fraction: of what is counted it is rounded.
_MEASURES = (
    (
        "documents that failed",
        'sum(increase(ai_prism_documents_processed_total{processing_status=~"(?i)fail.*|error.*"}[%s]))',
    ),
    ("documents processed", "sum(increase(ai_prism_documents_processed_total[%s]))"),
    ("HTTP requests that failed", 'sum(increase(ai_prism_http_requests_total{status_code=~"5.."}[%s]))'),
    ("most users active at a time", "max_over_time(sum(ai_prism_active_users)[%s:1m])"),
    ("US dollars spent on AI models", "sum(increase(ai_prism_ai_model_cost_usd_total[%s]))"),
)
_NOT_COUNTED = ("US dollars spent on AI models",)


class Gatherer:
    """Reads the evidence of one tenant."""

    def __init__(
        self,
        engine: Engine,
        *,
        ask: Ask,
        ask_range: RangeAsk,
        rules: Callable[[], Sequence[AlertingRule]],
        services: Callable[[], Catalogue],
        seconds: float = SECONDS,
    ) -> None:
        self._engine, self._ask, self._ask_range = engine, ask, ask_range
        self._rules, self._services, self._seconds = rules, services, seconds

    async def gather(self, incident: Incident, now: float) -> Evidence:
        """The evidence of `incident`, which is over, or goes on until `now`."""
        told = _Told(incident, now, self._names(incident), tuple(self._rules()))
        parts: dict[str, Any] = {}
        unknown: dict[str, str] = {}
        for name, read in _PARTS.items():
            # One after the other: they share the store with whoever needs it more.
            try:
                async with asyncio.timeout(self._seconds):
                    parts[name] = await self._engine.run(read, self, told)
            except TimeoutError:
                unknown[name] = f"reading it took longer than {self._seconds:g} s"
            except AiprismError as error:
                unknown[name] = str(error)
            except Exception as error:  # the rim of a part: a postmortem is written without it rather than not at all
                log.exception("postmortem.part_failed", part=name, incident=incident.id)
                unknown[name] = f"it could not be read ({type(error).__name__})"
        traces, otlp = parts.pop("traces", ((), {}))
        return Evidence(**parts, traces=traces, otlp=otlp, unknown=unknown)

    def _names(self, incident: Incident) -> tuple[str, ...]:
        """The names telemetry may have for its services, the first ones first."""
        few = incident.services[:SERVICES]
        known = names_of(self._services(), [incident])[incident.id]
        return (*few, *sorted(known.keys() - set(few)))[: 2 * SERVICES]

    # -- parts, each blocking ------------------------------------------------------------------------------------

    def charts(self, told: _Told) -> tuple[Chart, ...]:
        names = dict.fromkeys(alert.name for alert in told.incident.alerts)
        rules = {rule.name: rule for rule in reversed(told.rules)}
        found = [self._chart(rules[name], told) for name in [*names][:CHARTS] if name in rules]
        return tuple(found)

    def _chart(self, rule: AlertingRule, told: _Told) -> Chart:
        asked, limit = looked_at(rule.question)
        around = told.around
        step = max(1.0, math.ceil((around.end - around.start) / (POINTS - 1)))
        series = sorted(
            self._ask_range(asked, around.start, around.end, step),
            key=lambda each: told.nearness(each.labels.to_dict()),
        )
        curves = tuple(Curve(each.labels.to_dict(), _finite(each.points())) for each in series[:CURVES])
        return Chart(
            title=rule.name,
            expression=str(asked),
            start=around.start,
            end=around.end,
            begun=told.begun,
            ended=told.ended,
            curves=curves,
            limit=limit,
            left_out=max(0, len(series) - CURVES),
        )

    def impacts(self, told: _Told) -> tuple[ServiceImpact, ...]:
        store, aliases = ServiceMapStore(self._engine), self._services().aliases
        wanted = [aliases.get(name, name) for name in told.names]
        during = {each.service: each.load for each in store.service_loads(told.window, aliases)}
        before = {each.service: each.load for each in store.service_loads(told.earlier, aliases)}
        seen = [name for name in dict.fromkeys(wanted) if name in during or name in before]
        return tuple(ServiceImpact(name, during.get(name, Load()), before.get(name, Load())) for name in seen)

    def measures(self, told: _Told) -> tuple[Measure, ...]:
        spent = format_duration(max(60, math.ceil(told.ended - told.begun)))
        return tuple(self._measure(name, query % spent, told.ended) for name, query in _MEASURES)

    def _measure(self, name: str, query: str, at: float) -> Measure:
        try:
            found = [value for _, value in self._ask(query, at) if math.isfinite(value)]
        except AiprismError as error:
            return Measure(name, query, unknown=str(error))
        if not found:
            return Measure(name, query, unknown="no series says it")
        return Measure(name, query, float(round(found[0])) if name not in _NOT_COUNTED else found[0])

    def patterns(self, told: _Told) -> tuple[ErrorPattern, ...]:
        found: list[ErrorPattern] = []
        for service in told.names:
            now, then = (
                pattern_counts(self._engine, window, service=service, levels=ERROR_LEVELS, limit=500)
                for window in (told.window, told.earlier)
            )
            before = {each.pattern_id: each.lines for each in then}
            found += [
                ErrorPattern(
                    each.service,
                    each.level,
                    each.pattern[:LINE],
                    each.lines,
                    before.get(each.pattern_id, 0),
                    each.example[:LINE],
                )
                for each in now
            ]
        return tuple(
            sorted(found, key=lambda each: (each.before > 0, -each.lines, each.service, each.pattern))[:PATTERNS]
        )

    def lines(self, told: _Told) -> tuple[Line, ...]:
        store, found = LogStore(self._engine), list[LogRecord]()
        for service in told.names:
            asked = LogSearch(told.window, service=service, levels=ERROR_LEVELS, limit=LINES, oldest_first=True)
            found += store.search(asked)
        first = sorted(found, key=lambda each: each.ts_ns)[:LINES]
        return tuple(
            Line(each.ts_ns / 1e9, each.service, each.level, each.body[:LINE], each.trace_id) for each in first
        )

    def traces(self, told: _Told) -> tuple[tuple[KeptTrace, ...], Mapping[str, Any]]:
        store, found = SpanStore(self._engine), dict[str, KeptTrace]()
        for why, more in (("failed", {"errors_only": True}), ("slow", {"order": "duration"})):
            ours: dict[str, KeptTrace] = {}
            for service in told.names:
                for each in store.search(replace(TraceSearch(told.window, service=service, limit=TRACES), **more)):
                    kept = KeptTrace(
                        each.trace_id, why, each.root_service, each.root_name, each.start_ns / 1e9, each.duration_ns / 1e9,
                        each.spans, each.errors,
                    )  # fmt: skip
                    ours.setdefault(kept.trace_id, kept)
            best = sorted(ours.values(), key=lambda each: (-each.seconds if why == "slow" else each.at, each.trace_id))
            found = {**{each.trace_id: each for each in best[:TRACES]}, **found}
        otlp = otlp_json(store.exported([*found], limit=SPANS)) if found else {}
        return tuple(sorted(found.values(), key=lambda each: (each.why, each.at))), otlp

    def changes(self, told: _Told) -> tuple[ChangeEvent, ...]:
        window = TimeRange(told.incident.created_at - CHANGES_BEFORE, told.ended)
        names = sorted(told.names)
        return tuple(reversed(EventStore(self._engine).search(window, services=names, limit=50))) if names else ()


_PARTS: Mapping[str, Callable[[Gatherer, _Told], Any]] = {
    "charts": Gatherer.charts,
    "impacts": Gatherer.impacts,
    "measures": Gatherer.measures,
    "patterns": Gatherer.patterns,
    "lines": Gatherer.lines,
    "traces": Gatherer.traces,
    "changes": Gatherer.changes,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Told:
    """The incident as its evidence is looked for."""

    incident: Incident
    now: float
    names: tuple[str, ...]
    rules: tuple[AlertingRule, ...]

    @property
    def begun(self) -> float:
        """When the first alert's condition began to hold."""
        return min((alert.active_at for alert in self.incident.alerts), default=self.incident.created_at)

    @property
    def ended(self) -> float:
        """When the last alert cleared: the quiet after it belongs to the validation, not to the trouble."""
        incident = self.incident
        quiet = incident.monitoring_since or incident.resolved_at
        return max(self.begun + 1.0, min(self.now, quiet if quiet is not None else self.now))

    @property
    def window(self) -> TimeRange:
        return TimeRange(self.begun, self.ended)

    @property
    def earlier(self) -> TimeRange:
        """As many minutes before it: rollups count whole ones."""
        begin, until = whole_minutes(self.window)
        return TimeRange(begin - (until - begin), begin - 1)

    @property
    def around(self) -> TimeRange:
        before, after = (
            min(max(times * (self.ended - self.begun), least), most) for times, least, most in (BEFORE, AFTER)
        )
        return TimeRange(self.begun - before, min(self.now, self.ended + after))

    def nearness(self, labels: Mapping[str, str]) -> tuple[bool, str]:
        """Series that an alert of the incident is about come first."""
        own = {name: value for name, value in labels.items() if name != "__name__"}
        about = any(own.items() <= alert.labels.to_dict().items() for alert in self.incident.alerts)
        return not about, str(sorted(own.items()))


def looked_at(question: RuleQuestion) -> tuple[RuleQuestion, float | None]:
    """What a rule compares with a number, and the number: the curve that people want to see, not where it is above.

    >>> looked_at("sum(rate(errors[5m])) > 0.5"), looked_at("up == 0 and on(job) x")
    (('sum(rate(errors[5m]))', 0.5), ('up == 0 and on(job) x', None))
    """
    if not isinstance(question, str):
        return question, None
    node = parse(question)
    while isinstance(node, Paren):
        node = node.expr
    if isinstance(node, Binary) and node.op in COMPARISON and isinstance(node.right, Number):
        return str(node.left), node.right.value
    return question, None


def _finite(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(at), float(value)) for at, value in points if math.isfinite(value))

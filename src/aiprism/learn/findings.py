"""What an investigation is about, and what it finds: frozen values, and nothing that reads or decides.

In a `Case` stands where to look: the services an incident is about, who calls them and whom they call, and from when on. In
`Findings` stands what each phase found, and what could not be looked at: that nothing was found and that nothing was read are
two answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from aiprism.learn.topology import Topology
from aiprism.respond.incident import Incident


@dataclass(frozen=True, slots=True)
class Case:
    """Where an investigation looks. Names are those of the topology; times are Unix seconds.

    `near` are the services it is not about that call one it is about (-1), or are called by one, over so many calls (1, 2);
    `names` says of each name that telemetry may have whose it is.
    """

    incident: Incident
    services: tuple[str, ...]
    near: Mapping[str, int]
    names: Mapping[str, str]
    onset: float  # when the first alert's condition began to hold
    now: float
    topology: Topology = field(default_factory=Topology)

    @property
    def everyone(self) -> tuple[str, ...]:
        """Its services, then those near them, the nearest first."""
        return (*self.services, *sorted(self.near, key=lambda each: (abs(self.near[each]), each)))

    def nearness(self, service: str) -> float:
        """From 1 for what it is about down to 0: what trouble there says about the incident."""
        if service in self.services:
            return 1.0
        hops = self.near.get(service)
        # What is called can be why its caller is in trouble; who calls only suffers.
        return 0.0 if hops is None else 0.6 if hops < 0 else 0.95 ** abs(hops)


class Family(Enum):
    """What a metric measures, as its name tells."""

    ERRORS = "errors"
    LATENCY = "latency"
    SATURATION = "saturation"
    AVAILABILITY = "availability"
    TRAFFIC = "traffic"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class MetricChange:
    """A metric that is otherwise since the onset than before it. `measure` is rate (of a counter, a second), mean (of a histogram
    or summary), level (of a gauge), or ended: its series stopped, and before and after count those that go on.
    `matcher` finds what it was read from, as PromQL writes it."""

    service: str
    metric: str
    labels: Mapping[str, str]
    measure: str
    family: Family
    before: float
    after: float
    z: float  # robust: by how many times what is usual it is off; negative: below
    changed_at: float
    matcher: str = ""


@dataclass(frozen=True, slots=True)
class LogChange:
    """A statement that is new since the onset, more frequent (`risen`), or, when nothing was written before, merely `seen`."""

    service: str
    level: str
    pattern: str
    change: str
    lines: int
    before: int
    first_seen: float
    examples: tuple[Example, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether it is written as an error."""
        return self.level in ("ERROR", "FATAL", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Example:
    """A log line as it was written."""

    at: float
    body: str
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """A kind of request that takes longer since the onset; medians in seconds."""

    service: str
    operation: str
    before: float
    after: float
    traces: int


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """An operation on the critical path of slow requests: its own seconds, in them and before, and its share of what they take
    longer."""

    service: str
    operation: str
    before: float
    after: float
    share: float


@dataclass(frozen=True, slots=True)
class ErrorOrigin:
    """Where errors of failed traces began: in so many of those that were read, and in so many read from before the onset."""

    service: str
    operation: str
    message: str
    traces: int
    before: int


@dataclass(frozen=True, slots=True)
class TraceExample:
    """A trace to look at; `why` is failed or slow."""

    trace_id: str
    why: str
    service: str
    operation: str
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TraceFindings:
    """What traces tell, the most telling first."""

    slower: tuple[SlowRequest, ...] = ()
    spent: tuple[TimeSpent, ...] = ()
    origins: tuple[ErrorOrigin, ...] = ()
    failed: int = 0  # of `read` traces since the onset
    read: int = 0
    examples: tuple[TraceExample, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()  # who called whom in them: also what the map does not know yet


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may be the cause. `confidence` is from 0 to 1: an ordering by rules of thumb, no probability."""

    kind: str  # change, failing_service, stopped, saturation, recurrence
    service: str
    statement: str
    confidence: float
    evidence: tuple[str, ...]
    next_steps: tuple[str, ...]
    at: float | None = None


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """How a phase went; `missed` says, a sentence each, what it did not look at and why."""

    phase: str
    seconds: float
    queries: int
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """All of it, each part the most telling first."""

    metrics: tuple[MetricChange, ...] = ()
    logs: tuple[LogChange, ...] = ()
    traces: TraceFindings = field(default_factory=TraceFindings)
    hypotheses: tuple[Hypothesis, ...] = ()
    phases: tuple[PhaseReport, ...] = ()

    @property
    def missed(self) -> tuple[str, ...]:
        """What was not looked at."""
        return tuple(each for phase in self.phases for each in phase.missed)

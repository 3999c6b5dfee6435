"""Phase 4: what may be the cause, from what the phases before found, what was changed, and what was so before.

In: findings, changes of the two hours before, past incidents that are alike and what repaired them. Out: `Hypothesis`es, the
most likely first. Confidence adds up what speaks for a cause by the rules of thumb below, and ends at 0.95: it puts hypotheses in
order, and is no probability. Each names its evidence, so that whoever reads it can judge it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiprism.learn.findings import Case, Family, Findings, Hypothesis, LogChange, MetricChange
from aiprism.learn.look import Look
from aiprism.learn.similar import Likeness
from aiprism.model.events import START, ChangeEvent
from aiprism.model.timerange import TimeRange, format_duration
from aiprism.respond.changes import BEFORE
from aiprism.respond.subject import Kind, kind_of

MOST = 6
_MOST_SURE = 0.95
_LEAST = 0.3  # below it a hypothesis is not worth reading
_SOON = 900.0  # seconds from a change to the onset within which it is suspected most
_EVIDENCE = 6
# What so many services got together, of which few are in trouble, is a start of everything rather than a cause.
_TOGETHER, _ROLLOUT = 15.0, 3
_TOO_LATE = 5.0  # seconds after the onset: what was changed later did not bring it

# What was changed, and not what followed: a restart by a runbook, or a note of somebody, explains less.
_KINDS = {
    "deployment": 0.15,
    "release": 0.15,
    "config": 0.12,
    "configuration": 0.12,
    "sync": 0.12,
    "feature_flag": 0.12,
}


@dataclass(frozen=True, slots=True)
class _Known:
    """What hypotheses are made of."""

    case: Case
    found: Findings
    changes: Sequence[ChangeEvent] = ()
    alike: Sequence[Likeness] = ()
    repairs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def metrics(self, service: str, *families: Family) -> list[MetricChange]:
        return [
            each
            for each in self.found.metrics
            if each.service == service and (each.family in families or not families) and each.measure != "ended"
        ]

    def logs(self, service: str) -> list[LogChange]:
        return [each for each in self.found.logs if each.service == service and each.is_error]

    @property
    def everyone(self) -> tuple[str, ...]:
        """All services there may be something about, also those that only traces know."""
        traces = self.found.traces
        traced = (*(each.service for each in traces.spent), *(each.service for each in traces.origins))
        return tuple(dict.fromkeys((*self.case.everyone, *traced)))

    def below(self, service: str) -> frozenset[str]:
        """What a service calls, directly or not, by the map and by the traces that were read."""
        topology = self.case.topology
        found, waiting = set(topology.downstream(service)) if topology.edges else set[str](), [service]
        while waiting:
            fresh = {callee for caller, callee in self.found.traces.calls if caller == waiting[-1]} - found - {service}
            waiting = [*waiting[:-1], *fresh]
            found |= fresh
        return frozenset(found)

    def spent(self, service: str) -> float:
        """Its share of the added time of slow requests."""
        return max(0.0, sum(each.share for each in self.found.traces.spent if each.service == service))

    def began(self, service: str) -> float:
        """The share of the failed traces that were read whose error began there, beyond those before."""
        ours = [each for each in self.found.traces.origins if each.service == service and each.traces > each.before]
        read = max((sum(each.traces for each in self.found.traces.origins)), 1)
        return sum(each.traces - each.before for each in ours) / read

    def elsewhere(self, service: str) -> float:
        """How much of the trouble traces place at others than this service, from 0 to 1."""
        others = [each for each in self.everyone if each != service]
        return max((max(self.spent(each), self.began(each)) for each in others), default=0.0)


def hypotheses(case: Case, look: Look, found: Findings) -> Findings:
    """The phase: `found` with its hypotheses."""
    known = _Known(case, found)
    changes = look.changes(TimeRange(case.onset - BEFORE, case.now))
    alike = look.alike(case.incident, [each.pattern for each in found.logs if each.is_error])
    known = replace(known, changes=changes, alike=alike, repairs=look.repairs([each.id for each in alike]))
    told = [each for make in _MAKERS for each in make(known)]
    likely = [replace(each, confidence=round(min(each.confidence, _MOST_SURE), 2)) for each in told]
    ranked = sorted(likely, key=lambda each: (-each.confidence, each.kind, each.service, each.statement))
    return replace(found, hypotheses=tuple(each for each in ranked if each.confidence >= _LEAST)[:MOST])


# -- a change --------------------------------------------------------------------------------------------------------


def _of_changes(known: _Known) -> Iterator[Hypothesis]:
    told: set[tuple[str, str]] = set()
    for change in sorted(known.changes, key=lambda each: abs(known.case.onset - each.ts)):
        service = known.case.names.get(change.service, change.service)
        ours = service in known.everyone and change.ts <= known.case.onset + _TOO_LATE
        if ours and change.kind != START and (service, change.kind) not in told:
            told.add((service, change.kind))
            yield _of_change(known, change, service)


def _of_change(known: _Known, change: ChangeEvent, service: str) -> Hypothesis:
    ago = max(0.0, known.case.onset - change.ts)
    placed = max(known.spent(service), known.began(service))  # by traces
    near = max(known.case.nearness(service), min(1.0, placed))
    sure = 0.2 + _KINDS.get(change.kind, 0.0) + 0.3 * max(0.0, 1 - ago / _SOON) * near
    sure += 0.15 * any(each.change == "new" for each in known.logs(service)) + 0.15 * (known.began(service) > 0)
    sure += 0.1 * (service in known.case.services)
    # Where traces place the trouble at another service, a change here explains less.
    sure *= 1 - 0.5 * max(0.0, known.elsewhere(service) - placed)
    with_it = {
        each.service for each in known.changes if each.kind == change.kind and abs(each.ts - change.ts) <= _TOGETHER
    }
    sure *= 0.5 if len(with_it) > _ROLLOUT else 1.0
    when = f"{_lasting(ago)} before the first sign" if ago else "as it began"
    return Hypothesis(
        "change",
        service,
        f"{change.kind} of {service}, {when}: {change.title}",
        sure,
        (f"{change.kind} “{change.title}” at {service} {when}", *_signs(known, service))[:_EVIDENCE],
        (f"take back the {change.kind} of {service}, or compare it with the version before", *_look_at(known, service)),
        change.ts,
    )


# -- the deepest service that fails ----------------------------------------------------------------------------------

_IN_TROUBLE = 0.3
_ALSO = 0.6  # of its caller's trouble: then the caller only suffers


def _of_services(known: _Known) -> Iterator[Hypothesis]:
    trouble = {each: _trouble(known, each) for each in known.everyone}
    suspected = {each: amount for each, amount in trouble.items() if amount >= _IN_TROUBLE}
    for service, amount in suspected.items():
        below = known.below(service)
        if _stopped(known, service):
            continue
        if any(suspected.get(each, 0.0) >= _ALSO * amount for each in below):
            continue
        callers = sorted(each for each in suspected if each != service and service in known.below(each))
        deepest = f", and nothing it calls {'is' if below else 'is known to be'} in trouble"
        yield Hypothesis(
            "failing_service",
            service,
            f"{service} {_word(known, service)}{deepest}",
            0.25 + 0.55 * min(1.0, amount) + 0.1 * bool(callers),
            (*_signs(known, service)[: _EVIDENCE - 1], *_suffering(callers)),
            tuple(_look_at(known, service)),
            min((each.changed_at for each in known.metrics(service)), default=None),
        )


def _suffering(callers: Sequence[str]) -> tuple[str, ...]:
    return (f"it is called by {', '.join(callers[:4])}, in trouble too",) if callers else ()


def _trouble(known: _Known, service: str) -> float:
    """How much speaks for trouble in a service itself, from 0 to 1 and some."""
    shown = known.metrics(service, Family.ERRORS, Family.LATENCY, Family.AVAILABILITY)
    amount = 0.35 * any(map(_is_bad, shown)) + 0.2 * bool(known.logs(service)) + 0.9 * bool(_stopped(known, service))
    return amount + 0.9 * known.spent(service) + 0.6 * known.began(service)


def _is_bad(each: MetricChange) -> bool:
    return each.z < 0 if each.family is Family.AVAILABILITY else each.z > 0


def _word(known: _Known, service: str) -> str:
    rising = [each.family for each in known.metrics(service) if each.z > 0]
    fails = known.began(service) > 0 or known.logs(service) or Family.ERRORS in rising
    slow = known.spent(service) > 0.3 or Family.LATENCY in rising
    if known.spent(service) > 0.5 and not known.began(service):
        return "is slow"
    return "fails" if fails else "is slow" if slow else "is in trouble"


# -- a process that is gone, a resource that is used up ----------------------------------------------------------------


def _of_ends(known: _Known) -> Iterator[Hypothesis]:
    for service in known.everyone:
        if not (signs := _stopped(known, service)):
            continue
        callers = sorted(each for each in known.everyone if service in known.below(each) and _trouble(known, each))
        own = service in known.case.services
        yield Hypothesis(
            "stopped",
            service,
            f"{service} stopped running, or an instance of it",
            0.5
            + 0.25 * known.case.nearness(service)
            + 0.15 * (own and _is_about(known, Kind.AVAILABILITY))
            + 0.1 * bool(callers),
            (*(_shown(each) for each in signs), *_suffering(callers), *_signs(known, service))[:_EVIDENCE],
            (f"see why {service} ended (exit status, last log lines, memory), and start it again",),
            min(each.changed_at for each in signs),
        )


def _stopped(known: _Known, service: str) -> list[MetricChange]:
    """What says that a service, or a part of it, runs no more."""
    return [
        each for each in known.found.metrics if each.service == service and (each.measure == "ended" or _is_down(each))
    ]


def _is_down(each: MetricChange) -> bool:
    """Whether it is a health check that passed and fails."""
    return (
        each.measure == "level"
        and bool(re.search("health|^up$", each.metric))
        and each.before >= 0.9
        and each.after <= 0.6
    )


def _of_resources(known: _Known) -> Iterator[Hypothesis]:
    told: set[str] = set()
    for each in known.found.metrics:
        if each.family is not Family.SATURATION or each.z <= 0 or each.service in told:
            continue
        told.add(each.service)
        ratio = any(word in each.metric for word in ("ratio", "utilization", "percent", "usage"))
        full = ratio and (0.8 <= each.after <= 1.5 or 80 <= each.after <= 100)
        sure = 0.2 + 0.2 * min(1.0, each.z / 20) * known.case.nearness(each.service)
        sure += 0.2 * full + 0.3 * _is_about(known, Kind.SATURATION) * (each.service in known.case.services)
        yield Hypothesis(
            "saturation",
            each.service,
            f"{each.service} runs out of a resource: {each.metric} is {_figure(each.after)}, usually {_figure(each.before)}",
            sure,
            (_shown(each), *(sign for sign in _signs(known, each.service) if sign != _shown(each)))[:_EVIDENCE],
            (f"find out what takes {each.metric} of {each.service}; give it more, or restart what leaks",),
            each.changed_at,
        )


def _is_about(known: _Known, kind: Kind) -> bool:
    return any(kind_of(alert.labels) is kind for alert in known.case.incident.alerts)


# -- what was so before ----------------------------------------------------------------------------------------------


def _of_history(known: _Known) -> Iterator[Hypothesis]:
    for each in known.alike[:2]:
        runbooks = tuple(dict.fromkeys(known.repairs.get(each.id, ())))
        helped = f", which {' and '.join(runbooks)} repaired" if runbooks else ""
        yield Hypothesis(
            "recurrence",
            known.case.services[0] if known.case.services else "",
            f"it may be what {each.id} was ({each.title}){helped}",
            0.6 * each.score + 0.1 * bool(runbooks),
            each.reasons,
            (*(f"see whether {name} repairs it again" for name in runbooks), f"read the postmortem of {each.id}"),
            each.at,
        )


_MAKERS: tuple[Callable[[_Known], Iterator[Hypothesis]], ...] = (
    _of_changes, _of_services, _of_ends, _of_resources, _of_history,
)  # fmt: skip


# -- in words --------------------------------------------------------------------------------------------------------


_LOGGED = {"new": "a new error", "risen": "more of an error", "seen": "an error"}


def _signs(known: _Known, service: str) -> tuple[str, ...]:
    """What is otherwise at a service, one line each."""
    traces = known.found.traces
    signs = [
        f"{each.service} {each.operation} accounts for {100 * each.share:.0f} % of the added time of slow requests: "
        f"{_seconds(each.after)}, before {_seconds(each.before)}"
        for each in traces.spent
        if each.service == service and each.share >= 0.2
    ]
    signs += [
        f"errors of {each.traces} failed traces began at {each.service} {each.operation}"
        + (f": {each.message}" if each.message else "")
        for each in traces.origins
        if each.service == service and each.traces > each.before
    ][:2]
    signs += [
        f"{_LOGGED[each.change]} in its log ({each.lines} lines): {each.pattern[:160]}"
        for each in known.logs(service)[:2]
    ]
    signs += [_shown(each) for each in known.metrics(service)[:3]]
    return tuple(signs)


def _shown(each: MetricChange) -> str:
    if each.measure == "ended":
        return f"{each.before - each.after:.0f} of {each.before:.0f} series of {each.service} ended"
    labels = ", ".join(f"{name}={value}" for name, value in each.labels.items())
    unit = "/s" if each.measure == "rate" else ""
    of = f" ({labels})" if labels else ""
    return f"{each.metric}{of} of {each.service}: {_figure(each.after)}{unit}, before {_figure(each.before)}{unit}"


def _look_at(known: _Known, service: str) -> Iterator[str]:
    for each in known.found.traces.examples[:1]:
        yield f"look at trace {each.trace_id} ({each.why})"
    for log in known.logs(service)[:1]:
        yield from (f"{hint}" for hint in log.hints[:1])
        yield f"read the log of {service} since the onset: {log.pattern[:80]}"
    node = known.case.topology.nodes.get(service)
    owner = (node.declared.owner or node.declared.team) if node and node.declared else ""
    if owner and service not in known.case.services:
        yield f"ask {owner}, who owns {service}"


def _figure(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1e6 else f"{value:.3e}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def _lasting(seconds: float) -> str:
    return format_duration(max(1, round(seconds)))

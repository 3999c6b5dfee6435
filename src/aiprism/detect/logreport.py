"""What the logs of a window tell, as findings: anomalies, error patterns, what is slow, what is a matter of security.

In: the evidence, which `loganalysis.py` gathered: statements of the window and of as much time before it, lines of each, what
lines say of durations, and what security rules found. Out: a `Report`, whose fields are named as its JSON. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import log10

from aiprism.detect.logchanges import Change, Kind, Steps, changes, errors_of
from aiprism.detect.loghints import Hint, Hints
from aiprism.detect.logstatements import LogStatement
from aiprism.detect.newpatterns import ERRORS
from aiprism.model.logs import PatternLine
from aiprism.model.timerange import TimeRange
from aiprism.store.patterncounts import Durations

HIGH, MEDIUM, LOW = "high", "medium", "low"
_FEWEST_ERRORS = 3  # lines that make an error pattern (the plan's number), …
_MANY_ERRORS = 10  # … and more than these are severe
_FEWEST_LINES = 50  # in which something can be rare
_RARE_SHARE = 0.05
_RARELY = 0.1  # of what each statement would have if all had as many
_SLOWER = 2.0
_FEWEST_TIMED = 20  # lines, for their durations to be compared with those before
_MOST = 50  # findings of a kind
_EXAMPLES = 3
_MESSAGE = 200  # characters

LinksOf = Callable[[LogStatement, Sequence[PatternLine]], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Example:
    """A line as it was written."""

    timestamp: str
    service: str
    level: str
    message: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A statement that is rare, new, gone, or otherwise frequent or grave than before."""

    anomaly_type: str
    severity: str
    timestamp: str
    service: str
    log_level: str
    message: str
    pattern: str
    cluster_id: str  # the id of the template
    cluster_size: int  # its lines
    distance_score: float  # how rare: -log10 of its share of all lines; of changes, of the chance of a false one
    before: float | None  # lines, or the share of errors, in as much time before
    now: float
    links: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ErrorPattern:
    """An error that is written again and again."""

    id: str
    pattern: str
    occurrence_count: int
    affected_services: Sequence[str]
    time_span_minutes: int
    frequency_per_hour: float
    severity: str
    root_cause_hints: Sequence[str]
    example_logs: Sequence[Example]
    first_seen: str
    last_seen: str
    links: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PerformanceIssue:
    """A statement that tells of time: durations that are long or longer than before, or words that say so."""

    issue_type: str  # slow_operation, slower_operation, slow_line
    id: str
    pattern: str
    affected_services: Sequence[str]
    occurrence_count: int
    severity: str
    p50_seconds: float | None
    p95_seconds: float | None
    longest_seconds: float | None
    p95_seconds_before: float | None
    series: Sequence[tuple[int, int, float, float]]  # beginning of the step, lines, p50, p95
    root_cause_hints: Sequence[str]
    example_logs: Sequence[Example]
    links: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """What a security rule found."""

    rule_id: str
    title: str
    description: str
    severity: str
    tags: Sequence[str]
    occurrence_count: int
    affected_services: Sequence[str]
    first_seen: str
    last_seen: str
    example_logs: Sequence[Example]
    action: str
    pattern_ids: Sequence[str]  # of its lines, the most frequent


@dataclass(frozen=True, slots=True)
class SecurityFindings:
    """What all of them found, in the lines from `since` on, Unix seconds; None: in all of the window."""

    events: Sequence[SecurityEvent] = ()
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do, and because of which finding."""

    priority: str
    recommendation: str
    because: str
    finding: str  # the id of a template, or of a rule


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, the gravest first."""

    anomalies: Sequence[Anomaly] = ()
    error_patterns: Sequence[ErrorPattern] = ()
    performance_issues: Sequence[PerformanceIssue] = ()
    security_events: Sequence[SecurityEvent] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The analysis of a window, with the plan's keys (L1523)."""

    analysis_id: str
    analyzed_at: str
    window_minutes: float
    total_logs: int
    findings: Findings
    metrics: Mapping[str, object]
    recommendations: Sequence[Recommendation]
    left_out: Sequence[str]  # what was not looked at, a sentence each; nothing: all was


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read for a report. Mappings are by the id of a statement."""

    window: TimeRange
    begin: int  # of the first step of the time before, in Unix seconds
    step: int
    steps: Steps
    now: Sequence[LogStatement] = ()
    before: Sequence[LogStatement] = ()
    lines: Mapping[str, Sequence[PatternLine]] = field(default_factory=dict)
    timed: Mapping[str, Durations] = field(default_factory=dict)  # over the window
    timed_before: Mapping[str, Durations] = field(default_factory=dict)
    timed_series: Mapping[str, Sequence[Durations]] = field(default_factory=dict)
    security: SecurityFindings = SecurityFindings()
    uncounted: int = 0  # lines of the window whose statements are none of those that were compared


def report(evidence: Evidence, hints: Hints, *, slow: float, now: float, links_of: LinksOf) -> Report:
    """What the evidence tells. An operation is slow whose 95th percentile is above `slow` seconds."""
    found = Findings(
        anomalies=_anomalies(evidence, links_of),
        error_patterns=_error_patterns(evidence, hints, links_of),
        performance_issues=_performance(evidence, hints, slow, links_of),
        security_events=evidence.security.events,
    )
    return Report(
        analysis_id=f"log_analysis_{int(now)}",
        analyzed_at=iso(now),
        window_minutes=round((evidence.window.end - evidence.window.start) / 60, 3),
        total_logs=sum(each.lines for each in evidence.now) + evidence.uncounted,
        findings=found,
        metrics=_metrics(evidence),
        recommendations=_recommendations(found, evidence, hints),
        left_out=_left_out(evidence),
    )


def _left_out(evidence: Evidence) -> tuple[str, ...]:
    found = []
    if evidence.uncounted:
        found.append(
            f"{_lines(evidence.uncounted)} of rare patterns: there are more patterns than are compared. "
            "Ask for one service, or for a shorter window."
        )
    if evidence.security.since is not None:
        found.append(
            f"security rules were asked of lines from {iso(evidence.security.since)} on: there are more than they are asked of. "
            "Ask for one service, for a shorter window, or for one that ends earlier."
        )
    return tuple(found)


def iso(at: float) -> str:
    """A moment as ISO 8601, in UTC.

    >>> iso(1_800_000_000)
    '2027-01-15T08:00:00+00:00'
    """
    return datetime.fromtimestamp(at, UTC).isoformat()


def example_of(line: PatternLine) -> Example:
    """A line as a report shows it."""
    return Example(iso(line.ts_ns / 1e9), line.service, line.level, line.body, line.trace_id)


def _examples(evidence: Evidence, each: LogStatement) -> tuple[Example, ...]:
    return tuple(example_of(line) for line in evidence.lines.get(each.id, ())[:_EXAMPLES])


def _metrics(evidence: Evidence) -> Mapping[str, object]:
    total = sum(each.lines for each in evidence.now)  # of which is known what they are
    levels: Counter[str] = Counter()
    services: Counter[str] = Counter()
    for each in evidence.now:
        levels.update(each.levels)
        services.update(each.services)
    errors = sum(map(errors_of, evidence.now))
    before = sum(each.lines for each in evidence.before)
    minutes = (evidence.window.end - evidence.window.start) / 60
    return {
        "logs_per_minute": round((total + evidence.uncounted) / minutes, 3) if minutes else 0.0,
        "by_level": dict(levels.most_common()),
        "by_service": dict(services.most_common()),
        "errors": errors,
        "error_share": errors / total if total else 0.0,
        "patterns": len(evidence.now),
        "logs_before": before,
        "errors_before": sum(map(errors_of, evidence.before)),
    }


# -- anomalies -------------------------------------------------------------------------------------------------------


def _anomalies(evidence: Evidence, links_of: LinksOf) -> tuple[Anomaly, ...]:
    changed = changes(evidence.now, evidence.before, evidence.steps)
    found = [_changed(each, evidence, links_of) for each in changed]
    told = {each.statement.template for each in changed}
    found += [_rare(each, evidence, links_of) for each in _rare_ones(evidence) if each.template not in told]
    return tuple(sorted(found, key=lambda each: (_RANK[each.severity], -each.distance_score, each.pattern))[:_MOST])


_RANK = {HIGH: 0, MEDIUM: 1, LOW: 2}


def _rare_ones(evidence: Evidence) -> list[LogStatement]:
    total = sum(each.lines for each in evidence.now)
    if total < _FEWEST_LINES:
        return []
    most = min(_RARE_SHARE * total, _RARELY * total / len(evidence.now))
    return [each for each in evidence.now if each.lines < most]


def _rare(each: LogStatement, evidence: Evidence, links_of: LinksOf) -> Anomaly:
    total = sum(every.lines for every in evidence.now)
    severity = HIGH if errors_of(each) else MEDIUM if "WARN" in each.levels else LOW
    before = next((float(every.lines) for every in evidence.before if every.template == each.template), 0.0)
    return _anomaly("rare_pattern", severity, each, evidence, -log10(each.lines / total), before, each.lines, links_of)


def _changed(change: Change, evidence: Evidence, links_of: LinksOf) -> Anomaly:
    each = change.statement
    worse = change.now > change.before
    if change.kind is Kind.LEVEL:
        severity = HIGH if worse else LOW
    elif errors_of(each):
        severity = HIGH if worse else MEDIUM
    else:
        severity = MEDIUM if change.kind in (Kind.RATE, Kind.VANISHED) or "WARN" in each.levels else LOW
    score = -log10(max(change.chance, 1e-300))
    return _anomaly(change.kind.value, severity, each, evidence, score, change.before, change.now, links_of)


def _anomaly(
    kind: str,
    severity: str,
    each: LogStatement,
    evidence: Evidence,
    score: float,
    before: float,
    now: float,
    links_of: LinksOf,
) -> Anomaly:
    lines = evidence.lines.get(each.id, ())
    newest = lines[0] if lines else None
    return Anomaly(
        anomaly_type=kind,
        severity=severity,
        timestamp=iso(newest.ts_ns / 1e9 if newest else each.last_seen),
        service=newest.service if newest else next(iter(each.services), ""),
        log_level=newest.level if newest else next(iter(each.levels), ""),
        message=(newest.body if newest else each.example)[:_MESSAGE],
        pattern=each.template,
        cluster_id=each.id,
        cluster_size=each.lines,
        distance_score=round(score, 3),
        before=before,
        now=now,
        links=links_of(each, lines),
    )


# -- errors ----------------------------------------------------------------------------------------------------------


def _error_patterns(evidence: Evidence, hints: Hints, links_of: LinksOf) -> tuple[ErrorPattern, ...]:
    grave = [each for each in evidence.now if errors_of(each) >= _FEWEST_ERRORS]
    grave.sort(key=lambda each: -errors_of(each))
    return tuple(_error_pattern(each, evidence, hints, links_of) for each in grave[:_MOST])


def _error_pattern(each: LogStatement, evidence: Evidence, hints: Hints, links_of: LinksOf) -> ErrorPattern:
    count = errors_of(each)
    steps = [step for level in ERRORS for step in each.level_counts.get(level, ())]
    first = max(each.first_seen, evidence.begin + min(steps) * evidence.step)
    last = max(first, min(each.last_seen, evidence.begin + (max(steps) + 1) * evidence.step - 60))
    # Counted by the minute: what was written within one took a minute at most.
    span = (last - first) // 60
    return ErrorPattern(
        id=each.id,
        pattern=each.template,
        occurrence_count=count,
        affected_services=list(each.services),
        time_span_minutes=span,
        frequency_per_hour=round(count / (span + 1) * 60, 3),
        severity=HIGH if count > _MANY_ERRORS else MEDIUM,
        root_cause_hints=[hint.hint for hint in _hints_of(each, evidence, hints)],
        example_logs=_examples(evidence, each),
        first_seen=iso(first),
        last_seen=iso(last),
        links=links_of(each, evidence.lines.get(each.id, ())),
    )


def _hints_of(each: LogStatement, evidence: Evidence, hints: Hints) -> list[Hint]:
    """Those of its template and of its examples: a word that varies may be what tells."""
    texts = [each.template, *(line.body for line in evidence.lines.get(each.id, ())[:_EXAMPLES])]
    return list(dict.fromkeys(hint for text in texts for hint in hints.of(text)))


# -- time ------------------------------------------------------------------------------------------------------------


def _performance(evidence: Evidence, hints: Hints, slow: float, links_of: LinksOf) -> tuple[PerformanceIssue, ...]:
    found = []
    for each in evidence.now:
        said = [hint for hint in _hints_of(each, evidence, hints) if hint.slow]
        kind, severity = _slowness(evidence.timed.get(each.id), evidence.timed_before.get(each.id), slow)
        if kind or said:
            found.append(_issue(kind or "slow_line", severity, each, evidence, said, links_of))
    found.sort(key=lambda issue: (_RANK[issue.severity], -(issue.p95_seconds or 0), -issue.occurrence_count))
    return tuple(found[:_MOST])


def _slowness(now: Durations | None, before: Durations | None, slow: float) -> tuple[str, str]:
    """(what kind of issue durations are, its severity); no kind when they are none."""
    if now is None:
        return "", MEDIUM
    compared = before is not None and min(now.lines, before.lines) >= _FEWEST_TIMED
    if before is not None and compared and now.p50 >= _SLOWER * before.p50 > 0:
        return "slower_operation", HIGH if now.p95 >= slow else MEDIUM
    if now.p95 >= slow:
        return "slow_operation", HIGH if now.p95 >= 10 * slow else MEDIUM
    return "", MEDIUM


def _issue(
    kind: str, severity: str, each: LogStatement, evidence: Evidence, said: Sequence[Hint], links_of: LinksOf
) -> PerformanceIssue:
    now, before = evidence.timed.get(each.id), evidence.timed_before.get(each.id)
    series = evidence.timed_series.get(each.id, ())
    return PerformanceIssue(
        issue_type=kind,
        id=each.id,
        pattern=each.template,
        affected_services=list(each.services),
        occurrence_count=each.lines,
        severity=severity,
        p50_seconds=now.p50 if now else None,
        p95_seconds=now.p95 if now else None,
        longest_seconds=now.longest if now else None,
        p95_seconds_before=before.p95 if before else None,
        series=[(evidence.begin + at.step * evidence.step, at.lines, at.p50, at.p95) for at in series],
        root_cause_hints=[hint.hint for hint in said],
        example_logs=_examples(evidence, each),
        links=links_of(each, evidence.lines.get(each.id, ())),
    )


# -- what to do ------------------------------------------------------------------------------------------------------


def _recommendations(found: Findings, evidence: Evidence, hints: Hints) -> tuple[Recommendation, ...]:
    advice = [*_of_security(found), *_of_errors(found, evidence, hints), *_of_time(found), *_of_changes(found)]
    return tuple(sorted(advice, key=lambda each: _RANK[each.priority]))


_PRIORITIES = {"critical": HIGH, "high": HIGH, "medium": MEDIUM}


def _of_security(found: Findings) -> list[Recommendation]:
    return [
        Recommendation(
            _PRIORITIES.get(each.severity, LOW),
            each.action or f"Look at the lines of {_named(each.affected_services)} that this rule found.",
            f"{each.title}: {_lines(each.occurrence_count)} of {_named(each.affected_services)}",
            each.rule_id,
        )
        for each in found.security_events
    ]


def _of_errors(found: Findings, evidence: Evidence, hints: Hints) -> list[Recommendation]:
    """One for each cause, however many errors it has; and one for each grave error whose cause no hint tells."""
    statements = {each.id: each for each in evidence.now}
    causes: dict[Hint, list[ErrorPattern]] = defaultdict(list)
    unknown = []
    for each in found.error_patterns:
        told = _hints_of(statements[each.id], evidence, hints)
        if told:
            causes[told[0]].append(each)
        elif each.severity == HIGH:
            unknown.append(each)
    return [
        *(_of_cause(hint, errors) for hint, errors in causes.items()),
        *(
            Recommendation(
                each.severity,
                f"Look at a trace and the newest lines of this error in {_named(each.affected_services)}, and add what you learn "
                "to your hints (logs.hints).",
                f"{_lines(each.occurrence_count)}: {each.pattern}",
                each.id,
            )
            for each in unknown
        ),
    ]


def _of_cause(hint: Hint, errors: Sequence[ErrorPattern]) -> Recommendation:
    services = list(dict.fromkeys(name for each in errors for name in each.affected_services))
    count = sum(each.occurrence_count for each in errors)
    return Recommendation(
        HIGH if any(each.severity == HIGH for each in errors) else MEDIUM,
        f"{_sentence(hint.action or hint.hint)}",
        f"{_lines(count)} of {_named(services)}: {hint.hint} ({errors[0].pattern})",
        errors[0].id,
    )


def _of_time(found: Findings) -> list[Recommendation]:
    return [
        Recommendation(
            each.severity,
            f"Find in a trace of {_named(each.affected_services)} what the time is spent on.",
            f"p95 {each.p95_seconds:.3g} s"
            + (f", {each.p95_seconds_before:.3g} s before" if each.p95_seconds_before is not None else "")
            + f": {each.pattern}",
            each.id,
        )
        for each in found.performance_issues
        if each.p95_seconds is not None and each.issue_type != "slow_line"
    ]


def _of_changes(found: Findings) -> list[Recommendation]:
    told = {each.id for each in found.error_patterns}
    return [
        Recommendation(
            MEDIUM,
            f"Compare this error of {each.service or 'a service'} with what was deployed or changed since {each.timestamp}.",
            f"{each.anomaly_type.replace('_', ' ')}: {each.pattern}",
            each.cluster_id,
        )
        for each in found.anomalies
        if each.severity == HIGH and each.anomaly_type != "rare_pattern" and each.cluster_id not in told
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _named(services: Sequence[str]) -> str:
    shown = [name or "a service without a name" for name in services[:3]]
    return ", ".join(shown) + (f" and {len(services) - 3} more" if len(services) > 3 else "")


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}"

"""Phase 3: which requests of the services of an incident became slow or failed since its onset, and where.

In: traces from before the onset and since, of each service the incident is about, and the spans of a few. Out:
`TraceFindings`. Requests are compared with those of their kind (the root's operation), because a day of short ones and a
minute of long ones would say that everything became slow. Where the time goes is told by the critical path, as for any two sets of
traces (`query/traceexplain.py`); where an error began, by the span that failed without a failed one below it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from aiprism.learn.findings import Case, ErrorOrigin, Findings, SlowRequest, TimeSpent, TraceExample, TraceFindings
from aiprism.learn.look import Look
from aiprism.model.spans import TraceSummary
from aiprism.model.timerange import TimeRange
from aiprism.query.traceexplain import spent
from aiprism.query.traces import Story, story
from aiprism.store.tracesearch import TraceSearch

BEFORE = 1800.0
LEAD = 30.0  # traces that began so long before the onset may have met the trouble: they are neither before nor since
MOST_SERVICES = 4
_SAMPLE = 60  # traces of each service, before and since
_READ = 8  # of a kind of request, slow ones and usual ones; failed ones of all
_SLOWER, _LEAST, _FEWEST = (
    1.5,
    0.1,
    3,
)  # slow is so many times what is usual, and so many seconds more, in so many traces
_TOLD = 8
_MESSAGE = 200
_MOST_CALLS = 50


def trace_changes(case: Case, look: Look, found: Findings) -> Findings:
    """The phase: `found` with what traces tell."""
    before, since = list[TraceSummary](), list[TraceSummary]()
    for name in _asked(case):
        before += look.traces(
            TraceSearch(TimeRange(case.onset - BEFORE, case.onset - LEAD), service=name, limit=_SAMPLE)
        )
        since += look.traces(TraceSearch(TimeRange(case.onset - LEAD / 2, case.now), service=name, limit=_SAMPLE))
        failed = TraceSearch(TimeRange(case.onset - LEAD / 2, case.now), service=name, errors_only=True, limit=_READ)
        since += look.traces(failed)
    before, since = _once(before), _once(since)
    slower = _slower(before, since)
    slow, usual = _of_kind(slower, since, slowest=True), _of_kind(slower, before, slowest=False)
    failed_ones = [each for each in since if each.errors]
    failed_before = [each for each in before if each.errors][:_READ]
    wanted = dict.fromkeys(each.trace_id for each in (*slow, *usual, *failed_ones[:_READ], *failed_before))
    told = {trace_id: story(spans) for trace_id, spans in look.spans(tuple(wanted)).items()}
    return replace(
        found,
        traces=TraceFindings(
            slower=slower[:_TOLD],
            spent=_spent(_stories(slow, told), _stories(usual, told), case),
            origins=_origins(_stories(failed_ones, told), _stories(failed_before, told), case),
            failed=len(failed_ones),
            read=len(since),
            examples=(*_examples("slow", slow), *_examples("failed", failed_ones)),
            calls=_calls(told.values(), case),
        ),
    )


def _asked(case: Case) -> Sequence[str]:
    """The names that the first of its services have in traces."""
    few = case.services[:MOST_SERVICES]
    return [name for name, service in case.names.items() if service in few][: 2 * MOST_SERVICES]


def _once(some: Iterable[TraceSummary]) -> list[TraceSummary]:
    return list({each.trace_id: each for each in some}.values())


_Kind = tuple[str, str]


def _by_kind(some: Iterable[TraceSummary]) -> Mapping[_Kind, list[TraceSummary]]:
    found: dict[_Kind, list[TraceSummary]] = defaultdict(list)
    for each in some:
        found[each.root_service, each.root_name].append(each)
    return found


def _slower(before: Sequence[TraceSummary], since: Sequence[TraceSummary]) -> tuple[SlowRequest, ...]:
    """The kinds of requests that take longer, those that lose most time first."""
    usual, found = _by_kind(before), list[SlowRequest]()
    for kind, traces in _by_kind(since).items():
        if min(len(traces), len(usual.get(kind, ()))) >= _FEWEST:
            took = median(each.duration_ns for each in traces) / 1e9
            took_before = median(each.duration_ns for each in usual[kind]) / 1e9
            if took > took_before * _SLOWER and took - took_before > _LEAST:
                found.append(SlowRequest(*kind, took_before, took, len(traces)))
    return tuple(
        sorted(found, key=lambda each: (-(each.after - each.before) * each.traces, each.service, each.operation))
    )


def _of_kind(slower: Sequence[SlowRequest], some: Sequence[TraceSummary], *, slowest: bool) -> list[TraceSummary]:
    """Of the kind of request that lost most: the slowest ones, or those in the middle."""
    if not slower:
        return []
    ours = sorted(
        _by_kind(some)[slower[0].service, slower[0].operation], key=lambda each: (-each.duration_ns, each.trace_id)
    )
    if slowest:
        return ours[:_READ]
    middle = max(0, (len(ours) - _READ) // 2)
    return ours[middle : middle + _READ]


def _stories(some: Sequence[TraceSummary], told: Mapping[str, Story]) -> list[Story]:
    return [told[each.trace_id] for each in some if each.trace_id in told]


def _spent(slow: Sequence[Story], usual: Sequence[Story], case: Case) -> tuple[TimeSpent, ...]:
    found = spent(slow, usual, limit=_TOLD)
    return tuple(
        TimeSpent(
            case.names.get(each.service, each.service),
            each.operation,
            each.other_ns / 1e9,
            each.slow_ns / 1e9,
            each.share,
        )
        for each in found
        if each.share > 0.05
    )


def _origins(failed: Sequence[Story], before: Sequence[Story], case: Case) -> tuple[ErrorOrigin, ...]:
    """Where errors began, the most frequent first."""
    now, then = _counted(failed), _counted(before)
    found = (
        ErrorOrigin(case.names.get(service, service), operation, message, traces, then[service, operation, message])
        for (service, operation, message), traces in now.items()
    )
    return tuple(sorted(found, key=lambda each: (-each.traces, each.service, each.operation, each.message))[:_TOLD])


def _counted(stories: Sequence[Story]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for each in stories:
        began = {
            (failure.service, failure.name, _said(failure.exception, failure.message)) for failure in each.failures
        }
        found.update(began)
    return found


def _calls(stories: Iterable[Story], case: Case) -> tuple[tuple[str, str], ...]:
    found = set[tuple[str, str]]()
    for each in stories:
        for node in each.nodes:
            if node.parent is not None:
                pair = each.nodes[node.parent].span.service, node.span.service
                found.add((case.names.get(pair[0], pair[0]), case.names.get(pair[1], pair[1])))
    return tuple(sorted(pair for pair in found if pair[0] != pair[1])[:_MOST_CALLS])


def _said(exception: str, message: str) -> str:
    return ": ".join(part for part in (exception, message) if part)[:_MESSAGE]


def _examples(why: str, some: Sequence[TraceSummary]) -> list[TraceExample]:
    return [
        TraceExample(each.trace_id, why, each.root_service, each.root_name, each.start_ns / 1e9, each.duration_ns / 1e9)
        for each in some[:3]
    ]

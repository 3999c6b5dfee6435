"""The patterns of stored logs over our own API: what the lines of a window consist of.

Counts come from the rollup that is made while lines are stored; example lines, and the values in the variable places, from
at most `samples` lines of each pattern, of the first and the last minute in which a service wrote it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from aiprism.clock import Clock
from aiprism.detect.logstatements import LogStatement, Variable, statements, variables
from aiprism.model.logs import PatternLine
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.store.patterncounts import begin_of, pattern_counts, pattern_lines
from aiprism.web import links
from aiprism.web.asking import Answering, End, Limit, Start, range_of

# Patterns of a service and level that are compared, the most frequent; whoever has more has variables that no mask knows.
MOST_PATTERNS = 5000
_STEPS = 1440  # most counts of a pattern in one answer: the minutes of a day
_LINKED = 50  # most patterns in one search (`lucene.MOST_TERMS`)
_EXAMPLES = 3
_LOOKED_AT = 10  # most patterns of a statement whose lines are looked at


def serve(routes: APIRouter, engine: Engine, clock: Clock, answer: Answering[Any]) -> None:
    """GET logs/patterns."""

    @routes.get("/logs/patterns", summary="What the log lines consist of: templates, most frequent first")
    async def log_patterns(
        request: Request,
        start: Start = None,
        end: End = None,
        service: str = "",
        level: Annotated[list[str] | None, Query(description="may be repeated")] = None,
        limit: Limit = 100,
        step: Annotated[
            int, Query(ge=0, multiple_of=60, description="seconds of a count; 0: a minute, of more than a day longer")
        ] = 0,
        samples: Annotated[int, Query(ge=0, le=500, description="lines of a pattern that are looked at; 0: none")] = 20,
    ) -> dict[str, Any]:
        window = range_of(clock, start, end)
        width = max(step, step_of(window))
        found: dict[str, Any] = await answer(
            request,
            lambda: _told(engine, window, width, service=service, levels=level or (), limit=limit, samples=samples),
        )
        return found


def step_of(window: TimeRange) -> int:
    """Whole minutes of a count, so that the counts of a window are no more than the minutes of a day."""
    return max(60, -(-int(window.end - window.start) // _STEPS // 60) * 60)


def _told(
    engine: Engine, window: TimeRange, step: int, *, service: str, levels: Sequence[str], limit: int, samples: int
) -> dict[str, Any]:
    counted = pattern_counts(engine, window, step=step, service=service, levels=levels, limit=MOST_PATTERNS)
    found = statements(counted)
    shown = found[:limit]
    lines = lines_of(engine, window, shown, samples)
    return {
        "start": begin_of(window),
        "end": window.end,
        "step": step,
        "lines": sum(each.lines for each in found),
        "is_whole": len(counted) < MOST_PATTERNS and len(found) <= limit,
        "patterns": [told(each, lines.get(each.id, ()), window, step) for each in shown],
    }


def lines_of(
    engine: Engine, window: TimeRange, shown: Sequence[LogStatement], samples: int
) -> Mapping[str, Sequence[PatternLine]]:
    """Lines of each statement, by its id: at most `samples` of each of its ten most frequent patterns."""
    if not samples:
        return {}
    wanted = {pattern: each.id for each in shown for pattern in each.patterns[:_LOOKED_AT]}
    places = {place for each in shown for place in each.places}
    found: dict[str, list[PatternLine]] = defaultdict(list)
    for line in pattern_lines(engine, window, wanted, places, each=samples):
        found[wanted[line.pattern_id]].append(line)
    return found


def told(each: LogStatement, lines: Sequence[PatternLine], window: TimeRange, step: int) -> dict[str, Any]:
    """A statement as JSON."""
    begin = begin_of(window)
    return {
        "id": each.id,
        "template": each.template,
        "count": each.lines,
        "series": [[begin + number * step, lines] for number, lines in each.counts.items()],
        "services": each.services,
        "levels": each.levels,
        "first_seen": each.first_seen,
        "last_seen": each.last_seen,
        "pattern_ids": [str(pattern) for pattern in each.patterns],  # more than a number of JavaScript can hold
        "examples": [_line(line) for line in lines[:_EXAMPLES]] or [{"body": each.example}],
        "sampled": len(lines),
        "variables": [_variable(found) for found in variables(each.template, [line.body for line in lines])],
        "links": links_of(each, lines, window),
    }


def links_of(each: LogStatement, lines: Sequence[PatternLine], window: TimeRange) -> dict[str, Any]:
    """Where the lines of a statement are found, and the traces of those that were looked at."""
    wanted = " OR ".join(map(str, each.patterns[:_LINKED]))
    traces = dict.fromkeys(line.trace_id for line in lines if line.trace_id)
    return {
        "logs": links.logs(window, query=f"pattern_id:({wanted})"),
        "traces": [links.trace(trace) for trace in list(traces)[:_EXAMPLES]],
    }


def _line(line: PatternLine) -> dict[str, Any]:
    return {name: value for name, value in asdict(line).items() if name != "pattern_id"}


def _variable(each: Variable) -> dict[str, Any]:
    numbers = each.numbers
    return {
        "position": each.position,
        "distinct": each.distinct,
        "top": [{"value": value, "lines": lines} for value, lines in each.top],
        "numbers": None
        if numbers is None
        else {
            "unit": numbers.unit,
            "min": numbers.least,
            "max": numbers.most,
            "mean": numbers.mean,
            "p50": numbers.p50,
            "p95": numbers.p95,
        },
    }

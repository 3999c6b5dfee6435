"""The report on the logs of a window over our own API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from aiprism.clock import Clock
from aiprism.detect.loganalysis import LogAnalysis
from aiprism.detect.logstatements import LogStatement
from aiprism.errors import BadInput
from aiprism.model.logs import PatternLine
from aiprism.model.timerange import TimeRange, duration_seconds
from aiprism.web import links as to
from aiprism.web.asking import Answering, End, range_of
from aiprism.web.logpatterns import links_of

_LONGEST = 86_400.0


def serve(routes: APIRouter, analysis: LogAnalysis, clock: Clock, answer: Answering[Any]) -> None:
    """GET logs/report."""

    @routes.get("/logs/report", summary="What the logs of a window tell, compared with as much time before")
    async def report(
        request: Request,
        window: Annotated[str, Query(description="a duration, like 60m, at most a day")] = "60m",
        end: End = None,
        service: Annotated[str, Query(description="of this service alone")] = "",
    ) -> dict[str, Any]:
        now = clock.now()
        span = _window(clock, window, end)

        def links(each: LogStatement, lines: Sequence[PatternLine]) -> Mapping[str, object]:
            return links_of(each, lines, TimeRange(min(span.start, each.first_seen), span.end))

        found = await answer(request, lambda: analysis.report(span, now=now, service=service, links_of=links))
        told = asdict(found)
        for event in told["findings"]["security_events"]:
            wanted = " OR ".join(event["pattern_ids"])
            event["links"] = {
                "logs": to.logs(span, query=f"pattern_id:({wanted})"),
                "traces": [to.trace(line["trace_id"]) for line in event["example_logs"] if line["trace_id"]],
            }
        return told


def _window(clock: Clock, window: str, end: float | None) -> TimeRange:
    seconds = duration_seconds(window)
    if not 60 <= seconds <= _LONGEST:
        raise BadInput(f"window={window!r}: between 1m and 1d, please")
    until = clock.now() if end is None else end
    return range_of(clock, until - seconds, until)

"""From metrics to what belongs to them: the service of each series, and the traces its exemplars were measured in.

In: a PromQL expression, of which the selectors count, and a range. Out: its series and exemplars, each with links. What
Prometheus' own `query_exemplars` answers stays as Prometheus answers it.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request

from aiprism.clock import Clock
from aiprism.learn.survey import Survey
from aiprism.learn.topology import Topology
from aiprism.model.labels import Labels
from aiprism.model.timerange import TimeRange
from aiprism.query.promql import PromQL
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import selectors
from aiprism.store.engine import Engine
from aiprism.store.samples import Exemplar, SampleStore
from aiprism.web import links
from aiprism.web.asking import SECONDS, End, Start, answering, range_of
from aiprism.web.turns import Turns


def router(
    promql: PromQL,
    engine: Engine,
    clock: Clock,
    survey: Survey,
    *,
    turns: Turns | None = None,
    seconds: float = SECONDS,
) -> APIRouter:
    """GET metrics/related below /aiprism/v1."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["explore"])
    answer = answering(turns or Turns(engine), seconds)

    @routes.get(
        "/metrics/related", summary="The series of an expression with their services, and their exemplars' traces"
    )
    async def related(
        request: Request,
        query: Annotated[str, Query(min_length=1, description="PromQL")],
        start: Start = None,
        end: End = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="most series, and most exemplars")] = 100,
    ) -> dict[str, Any]:
        span = range_of(clock, start, end)
        return await answer(request, lambda: _related(promql.samples, query, span, survey.latest, limit))  # type: ignore[no-any-return]

    return routes


def _related(samples: SampleStore, query: str, span: TimeRange, topology: Topology, limit: int) -> dict[str, Any]:
    series: list[Labels] = []
    found: list[dict[str, Any]] = []
    asked = np.empty(0, dtype=np.uint64)  # several selectors may find the same series
    for matchers in dict.fromkeys(selector.matchers for selector in selectors(parse(query))):
        new = samples.select(matchers, span.start_ms, span.end_ms).without(asked)
        asked = np.concatenate([asked, new.fps])
        series += new.only(np.arange(min(len(new), limit + 1 - len(series)))).labels()
        exemplars = samples.exemplars(new, span.start_ms, span.end_ms, limit=limit + 1 - len(found))
        owners = new.only(np.array([each.row for each in exemplars], dtype=np.int64)).labels()
        found += map(_exemplar, exemplars, owners)
    return {
        "series": [_series(each, span, topology) for each in series[:limit]],
        "exemplars": found[:limit],
        "is_whole": len(series) <= limit and len(found) <= limit,
    }


def _exemplar(each: Exemplar, series: Labels) -> dict[str, Any]:
    said = each.labels.to_dict()
    return {
        "series": series.to_dict(),
        "labels": said,
        "value": each.value,
        "ts": each.ts_ms / 1000,
        "links": dict(links.of_exemplar(said)),
    }


def _series(labels: Labels, span: TimeRange, topology: Topology) -> dict[str, Any]:
    said = labels.to_dict()
    named = links.services_named(said)
    name = next((known for each in named if (known := topology.named(each))), named[0] if named else "")
    node = topology.nodes.get(name)
    about = links.of_node(name, node.seen_as if node else (), node.signals if node else (), span) if name else {}
    return {"labels": said, "service": name, "links": {**links.of_series(said, span), **about}}

"""GET /api/v1/status/tsdb: where a tenant's series come from, in the form of Prometheus' TSDB statistics.

In: `limit`, how many of each kind (10). Out: Prometheus' JSON. There are no chunks here, so `chunkCount` is 0; the head is
every series aiprism knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism.errors import BadInput
from aiprism.store.cardinality import Cardinality, Count
from aiprism.store.engine import Engine
from aiprism.web.parameters import Parameters
from aiprism.web.prometheus import Answer, served

DEFAULT_LIMIT, MOST = 10, 10_000
# What Prometheus says of a head without samples.
_NO_FIRST, _NO_LAST = 2**63 - 1, -(2**63)


def router(cardinality: Callable[[int], Cardinality], engine: Engine) -> APIRouter:
    """The one route."""
    routes = APIRouter(prefix="/api/v1", tags=["prometheus"])

    def answer(asked: Parameters) -> Answer:
        return Answer(orjson.dumps(as_prometheus(cardinality(_limit(asked.text("limit"))))))

    @routes.get("/status/tsdb", summary="Totals, and the metrics, labels and values with the most series")
    async def tsdb(request: Request) -> Response:
        return await served(request, lambda asked: engine.run(answer, asked))

    return routes


def as_prometheus(found: Cardinality) -> dict[str, object]:
    """`found` under Prometheus' names."""
    return {
        "headStats": {
            "numSeries": found.series,
            "numLabelPairs": found.label_pairs,
            "chunkCount": 0,
            "minTime": _NO_FIRST if found.first_ms is None else found.first_ms,
            "maxTime": _NO_LAST if found.last_ms is None else found.last_ms,
        },
        "seriesCountByMetricName": _counts(found.series_by_metric),
        "labelValueCountByLabelName": _counts(found.values_by_label),
        "memoryInBytesByLabelName": _counts(found.bytes_by_label),
        "seriesCountByLabelValuePair": _counts(found.series_by_pair),
    }


def _counts(counts: Sequence[Count]) -> list[dict[str, object]]:
    return [asdict(each) for each in counts]


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and int(text[:20])):
        raise BadInput("limit must be a positive number")
    return min(int(text[:20]), MOST)

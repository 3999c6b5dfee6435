"""What a Prometheus has and aiprism has not, answered in Prometheus' form: its clients get an answer instead of a 404.

aiprism sends alerts to no Alertmanager but its own, keeps no blocks, and has no admin API. In: the
requests of whoever wants to see these. Out: empty lists, refusals in words, and `features`: what of the language and of the API
is there (https://prometheus.io/docs/prometheus/latest/querying/api/#features).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism.query.promql.aggregate import OPERATORS as AGGREGATIONS
from aiprism.query.promql.functions import FUNCTIONS
from aiprism.query.promql.operators import ARITHMETIC, COMPARISON, SET_OPERATORS, TRIM
from aiprism.web.parameters import Parameters
from aiprism.web.prometheus import Answer, build_information, refused, served

_NO_ADMIN = "admin APIs disabled: data leaves by retention (docs/retention.md), and 'aiprism backup' takes snapshots"


def router() -> APIRouter:
    """The routes under /api/v1, and /version."""
    routes = APIRouter(tags=["prometheus"])

    def route(path: str, said: Callable[[Parameters], object], summary: str) -> None:
        async def answer(asked: Parameters) -> Answer:
            return Answer(orjson.dumps(said(asked)))

        async def serve(request: Request) -> Response:
            return await served(request, answer)

        routes.add_api_route(f"/api/v1{path}", serve, methods=["GET"], name=path.strip("/"), summary=summary)

    route("/alertmanagers", lambda asked: {"activeAlertmanagers": [], "droppedAlertmanagers": []}, "None but our own")
    route("/status/tsdb/blocks", lambda asked: {"blocks": []}, "Samples are not kept in blocks")
    route("/notifications", lambda asked: [], "What is wrong with this server is said by /-/ready")
    route("/features", lambda asked: features(), "What there is of the language and of the API")

    @routes.get("/api/v1/notifications/live", status_code=204, summary="There is nothing to follow")
    async def live() -> Response:
        return Response(status_code=204)

    async def admin() -> Response:
        return refused(503, "unavailable", _NO_ADMIN)

    for action in ("delete_series", "clean_tombstones", "snapshot"):
        path = f"/api/v1/admin/tsdb/{action}"
        routes.add_api_route(path, admin, methods=["POST"], name=action, summary="Refused: there is no admin API")
        routes.add_api_route(path, admin, methods=["PUT"], include_in_schema=False)

    @routes.get("/version", summary="What /api/v1/status/buildinfo says")
    async def version() -> Mapping[str, str]:
        return build_information()

    return routes


def features() -> Mapping[str, Mapping[str, bool]]:
    """Feature names by category; what is not named is not there."""
    return {
        "api": _all(
            "label_values_match", "labels_match", "series_limit", "labels_limit", "label_values_limit", "lifecycle",
            "query_stats", "query_warnings", "remote_write_receiver", "exclude_alerts",
        ),
        "otlp_receiver": _all("delta_conversion"),
        "promql": _all(
            "anchored", "at_modifier", "bool", "by", "duration_expr", "fill", "fill_left", "fill_right", "group_left",
            "group_right", "ignoring", "negative_offset", "offset", "on", "per_query_lookback_delta", "per_step_stats",
            "smoothed", "subqueries", "without",
        ),
        "promql_functions": _all(*sorted(FUNCTIONS)),
        "promql_operators": _all(*sorted({*AGGREGATIONS, *ARITHMETIC, *COMPARISON, *TRIM, *SET_OPERATORS, "=~", "!~"})),
        "rules": _all("keep_firing_for", "query_offset"),
        "tsdb": _all("exemplar_storage", "native_histograms", "out_of_order"),
    }  # fmt: skip


def _all(*names: str) -> dict[str, bool]:
    return dict.fromkeys(names, True)

"""The Prometheus HTTP API: queries, series and labels, metadata, exemplars, and what Grafana asks to know whom it talks to.

In: GET with a query string or POST with a form. Out: Prometheus' JSON, its error types and its status codes. Each request
runs in the store's bounded thread pool, so the event loop stays free and the number of queries at work is limited.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import orjson
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism import __version__
from aiprism.clock import Clock
from aiprism.errors import AiprismError, BadInput, Cancelled, LimitExceeded, Refused, TimedOut, Unavailable
from aiprism.model.labels import Labels, Matcher
from aiprism.query.promql import Matrix, Notes, PromQL, QueryFailed, Value, Vector
from aiprism.query.promql.account import Account
from aiprism.query.promql.parse import parse
from aiprism.query.promql.pretty import pretty
from aiprism.query.promql.syntax import as_json, selectors
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.web import prometheus_json
from aiprism.web.bodies import retry_headers
from aiprism.web.parameters import Parameters, unescaped
from aiprism.web.turns import Turns

log = structlog.get_logger()

T = TypeVar("T")

# The newest version of which nothing that is no experiment is known to be missing; what there is beyond it, /api/v1/features
# tells. Grafana asks whether it is 2.24 or newer, and no more.
PROMETHEUS_VERSION = "3.11.0"
MAX_POINTS = 11_000
# Bytes below which a packed answer is hardly smaller, as in Prometheus.
_WORTH_PACKING = 1024
_LOOPBACK = ("127.0.0.1", "::1")
_REFUSED = re.compile(r"q=0(\.0*)?")
_TRUNCATED = "results truncated due to limit"


@dataclass(frozen=True, slots=True)
class Answer:
    """The `data` of a response as JSON, and what is to be said of it."""

    data: bytes
    warnings: Sequence[str] = ()
    infos: Sequence[str] = ()


def router(promql: PromQL, engine: Engine, clock: Clock, turns: Turns | None = None) -> APIRouter:
    """The routes under /api/v1; questions about samples are answered by `turns`."""
    routes = APIRouter(prefix="/api/v1", tags=["prometheus"])
    api = _Api(promql, clock)
    taking_turns = turns or Turns(engine)

    def query(path: str, answer: Callable[[Parameters, Question], Answer]) -> None:
        async def in_turn(request: Request, asked: Parameters) -> Answer:
            seconds = asked.seconds(promql.limits.seconds)
            return await taking_turns.answer(request, lambda question: answer(asked, question), seconds)

        async def serve(request: Request) -> Response:
            return await served(request, lambda asked: in_turn(request, asked))

        routes.add_api_route(path, serve, methods=["GET", "POST"], name=answer.__name__, summary=answer.__doc__)

    def route(path: str, answer: Callable[[Parameters], Answer], *, methods: Sequence[str] = ("GET", "POST")) -> None:
        async def serve(request: Request) -> Response:
            return await served(request, lambda parameters: engine.run(answer, parameters))

        routes.add_api_route(path, serve, methods=list(methods), name=answer.__name__, summary=answer.__doc__)

    query("/query", api.query)
    query("/query_range", api.query_range)
    query("/query_exemplars", api.query_exemplars)
    route("/format_query", api.format_query)
    route("/parse_query", api.parse_query)
    route("/series", api.series)
    route("/labels", api.labels)
    route("/label/{name}/values", api.label_values, methods=("GET",))
    route("/metadata", api.metadata, methods=("GET",))
    route("/status/buildinfo", api.build_info, methods=("GET",))
    return routes


class _Api:
    """One method an endpoint: parameters in, the `data` of the answer out."""

    def __init__(self, promql: PromQL, clock: Clock) -> None:
        self._promql, self._clock = promql, clock
        self._index = promql.samples.index

    def query(self, asked: Parameters, question: Question) -> Answer:
        """The value of an expression at one time."""
        at = asked.time("time", self._clock.now())
        return _evaluated(asked, question, partial(self._promql.instant, at=at))

    def query_range(self, asked: Parameters, question: Question) -> Answer:
        """The values of an expression over time."""
        start, end = asked.time("start"), asked.time("end")
        if end < start:
            raise BadInput('invalid parameter "end": end timestamp must not be before start time')
        step = asked.duration("step")
        if step <= 0:
            raise BadInput(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        if (end - start) // step > MAX_POINTS:
            raise BadInput(
                "exceeded maximum resolution of 11,000 points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        return _evaluated(asked, question, partial(self._promql.range, start=start, end=end, step=step))

    def query_exemplars(self, asked: Parameters, question: Question) -> Answer:
        """Example measurements of the series an expression selects."""
        start_ms, end_ms = asked.span_ms()
        if end_ms < start_ms:
            raise BadInput("end timestamp must not be before start timestamp")
        expr = _of_query(lambda: parse(asked.text("query")))
        found: list[tuple[Labels, list[dict[str, object]]]] = []
        asked_for = np.empty(0, dtype=np.uint64)  # several selectors may find the same series
        for matchers in dict.fromkeys(selector.matchers for selector in selectors(expr)):
            question.left()
            selection = self._promql.samples.select(matchers, start_ms, end_ms).without(asked_for)
            asked_for = np.concatenate([asked_for, selection.fps])
            by_row: dict[int, list[dict[str, object]]] = {}
            for each in self._promql.samples.exemplars(selection, start_ms, end_ms):
                by_row.setdefault(each.row, []).append(
                    {
                        "labels": each.labels.to_dict(),
                        "value": prometheus_json.number(each.value),
                        "timestamp": each.ts_ms / 1000,
                    }
                )
            owners = selection.only(np.array(list(by_row), dtype=np.int64)).labels()
            found += zip(owners, by_row.values(), strict=True)
        found.sort(key=lambda one: one[0])
        return Answer(orjson.dumps([{"seriesLabels": labels.to_dict(), "exemplars": each} for labels, each in found]))

    def format_query(self, asked: Parameters) -> Answer:
        """An expression, tidied."""
        return Answer(orjson.dumps(pretty(_of_query(lambda: parse(asked.text("query"))))))

    def parse_query(self, asked: Parameters) -> Answer:
        """The syntax tree of an expression."""
        return Answer(orjson.dumps(as_json(_of_query(lambda: parse(asked.text("query"))))))

    def series(self, asked: Parameters) -> Answer:
        """The label sets of the series selected."""
        sets, span, limit = _sought(asked, required=True)
        found: dict[int, Labels] = {}
        for matchers in sets:
            selection = self._index.select(matchers, *span)
            found.update(zip(selection.fps.tolist(), selection.labels(), strict=True))
        ordered = sorted(found.values())
        return _cut(prometheus_json.label_sets(ordered[:limit]), len(ordered), limit)

    def labels(self, asked: Parameters) -> Answer:
        """The names of labels."""
        sets, span, limit = _sought(asked)
        names = sorted({name for matchers in sets for name in self._index.label_names(matchers, *span)})
        return _cut(orjson.dumps(names[:limit]), len(names), limit)

    def label_values(self, asked: Parameters) -> Answer:
        """The values of one label."""
        name = unescaped(asked.text("name"))
        if not name:
            raise BadInput(f'invalid label name: "{name}"')
        sets, span, limit = _sought(asked)
        values = sorted({text for matchers in sets for text in self._index.label_values(name, matchers, *span)})
        return _cut(orjson.dumps(values[:limit]), len(values), limit)

    def metadata(self, asked: Parameters) -> Answer:
        """Type, help and unit of metrics."""
        limit, per_metric = asked.whole("limit"), asked.whole("limit_per_metric") or -1
        found: dict[str, list[dict[str, str]]] = {}
        for each in self._promql.samples.metadata(asked.text("metric")):
            if each.metric not in found and limit is not None and 0 <= limit <= len(found):
                continue
            said = found.setdefault(each.metric, [])
            if per_metric < 0 or len(said) < per_metric:
                said.append({"type": each.type, "help": each.help, "unit": each.unit})
        return Answer(orjson.dumps(found))

    def build_info(self, asked: Parameters) -> Answer:
        """Which Prometheus this speaks like."""
        return Answer(orjson.dumps(build_information()))


def build_information() -> Mapping[str, str]:
    """Who answers here, under Prometheus' names. No `features`: by these Grafana would take this for a Mimir."""
    unsaid = dict.fromkeys(("branch", "buildUser", "buildDate", "goVersion"), "")
    return {"application": "aiprism", "version": PROMETHEUS_VERSION, "revision": __version__, **unsaid}


# -- answers -------------------------------------------------------------------------------------------------------------


async def served(request: Request, answer: Callable[[Parameters], Awaitable[Answer]]) -> Response:
    try:
        given = await answer(await Parameters.of(request))
    except AiprismError as error:
        return _refusal(error)
    said = b"".join(
        b',"%b":%b' % (name, orjson.dumps(list(texts)))
        for name, texts in ((b"warnings", given.warnings), (b"infos", given.infos))
        if texts
    )
    return await sent(request, b'{"status":"success","data":%b%b}' % (given.data, said))


async def sent(request: Request, body: bytes, media_type: str = "application/json") -> Response:
    """The answer `body`, packed for those who asked for it, unless it crosses no network: on one machine packing only costs."""
    headers = {"Vary": "Accept-Encoding"}
    near = request.client is None or request.client.host in _LOOPBACK
    if near or len(body) < _WORTH_PACKING or not _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(body, headers=headers, media_type=media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(await asyncio.to_thread(_packed, body), headers=headers, media_type=media_type)


def _takes_gzip(accepted: str) -> bool:
    offers = [offer.replace(" ", "").partition(";") for offer in accepted.lower().split(",")]
    return any(name in ("gzip", "*") and not _REFUSED.fullmatch(weight) for name, _, weight in offers)


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)  # 31: a gzip header around it
    return packer.compress(body) + packer.flush()


def refused(status: int, kind: str, why: str) -> Response:
    """An error in Prometheus' form."""
    return _json(status, orjson.dumps({"status": "error", "errorType": kind, "error": why}))


def _refusal(error: AiprismError) -> Response:
    status, kind = _status_of(error)
    response = refused(status, kind, str(error))
    if isinstance(error, Refused):
        response.headers.update(retry_headers(error))
    if status == 500:
        log.error("prometheus.failed", error=str(error))
    return response


def _status_of(error: AiprismError) -> tuple[int, str]:
    match error:
        case Cancelled():
            return error.status, "canceled"
        case TimedOut():
            return 503, "timeout"
        case Unavailable():
            return 503, "unavailable"
        case QueryFailed() | LimitExceeded():
            return 422, "execution"
        case Refused():
            return error.status, "bad_data"
        case _:
            return 500, "internal"


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")


def _of_query(evaluate: Callable[[], T]) -> T:
    try:
        return evaluate()
    except BadInput as error:
        raise BadInput(f'invalid parameter "query": {error}', details=error.details) from error


def _evaluated(asked: Parameters, question: Question, evaluate: Callable[..., Value]) -> Answer:
    limit, lookback, notes = asked.limit(), asked.lookback(), Notes()
    account = Account() if asked.text("stats") else None
    value = _of_query(
        lambda: evaluate(asked.text("query"), question=question, notes=notes, account=account, lookback=lookback)
    )
    answer = _limited(value, limit, notes)
    if account is None:
        return answer
    stats = prometheus_json.stats(account, question.waited or 0.0, by_step=asked.text("stats") == "all")
    return replace(answer, data=b'%b,"stats":%b}' % (answer.data[:-1], stats))


def _limited(value: Value, limit: int | None, notes: Notes) -> Answer:
    warnings = notes.warnings
    if limit is not None and isinstance(value, Vector | Matrix) and len(value) > limit:
        value = Vector(value.items[:limit]) if isinstance(value, Vector) else Matrix(value.series[:limit])
        warnings.append(_TRUNCATED)
    return Answer(prometheus_json.result(value), warnings, notes.infos)


def _sought(
    asked: Parameters, *, required: bool = False
) -> tuple[list[tuple[Matcher, ...]], tuple[int, int], int | None]:
    """What is looked for (no selector at all is everything), when, and how much of it. In times that end before they
    begin there is nothing."""
    sets, span, limit = asked.matcher_sets(required=required) or [()], asked.span_ms(), asked.limit()
    return (sets if span[0] <= span[1] else []), span, limit


def _cut(data: bytes, there: int, limit: int | None) -> Answer:
    return Answer(data, (_TRUNCATED,) if limit is not None and there > limit else ())

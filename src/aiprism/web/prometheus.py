"""The Prometheus HTTP API: queries, series and labels, metadata, exemplars, and what Grafana asks to know whom it talks to.

In: GET with a query string or POST with a form. Out: Prometheus' JSON, its error types and its status codes. Each request
runs in the store's bounded thread pool, so the event loop stays free and the number of queries at work is limited.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

import orjson
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiprism import __version__
from aiprism.clock import Clock
from aiprism.errors import AiprismError, BadInput, Cancelled, LimitExceeded, Refused, TimedOut, Unavailable
from aiprism.model.labels import Labels, Matcher
from aiprism.model.timerange import duration_seconds
from aiprism.query.promql import Matrix, Notes, PromQL, QueryFailed, Value, Vector
from aiprism.query.promql.account import Account
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import VectorSelector, as_json, selectors
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.web import prometheus_json
from aiprism.web.bodies import retry_headers
from aiprism.web.turns import Turns

log = structlog.get_logger()

T = TypeVar("T")

# The version whose API and language this is; Grafana decides by it what to offer.
PROMETHEUS_VERSION = "3.5.0"
MAX_POINTS = 11_000
_ALWAYS = (-(2**53), 2**53)  # milliseconds: before and after everything
# What Go's clients send for the beginning and the end of all time; no calendar of Python's knows these years.
_EDGES = {"-292273086-05-16T16:47:06Z": -(2.0**43), "292277025-08-18T07:12:54.999999999Z": 2.0**43}
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
            seconds = min(promql.limits.seconds, asked.timeout() or promql.limits.seconds)
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


class Parameters:
    """The parameters of a request: form, then query string, then path."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    @classmethod
    async def of(cls, request: Request) -> Parameters:
        pairs: list[tuple[str, str]] = []
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            try:
                pairs += parse_qsl((await request.body()).decode("utf-8"), keep_blank_values=True)
            except ValueError as error:
                raise BadInput(f"error parsing form values: {error}") from error
        pairs += request.query_params.multi_items()
        pairs += [(name, str(value)) for name, value in request.path_params.items()]
        return cls(pairs)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def text(self, name: str) -> str:
        """The first value, an empty text without one."""
        return next(iter(self.all(name)), "")

    def time(self, name: str, default: float | None = None) -> float:
        """Unix seconds."""
        text = self.text(name)
        if not text and default is not None:
            return default
        return _reading(name, _time, text)

    def duration(self, name: str) -> float:
        return _reading(name, _duration, self.text(name))

    def limit(self) -> int | None:
        """How many results at most; None or 0 is any number."""
        text = self.text("limit")
        if not text:
            return None
        if not text.isdecimal():
            raise BadInput(f'invalid parameter "limit": cannot parse {text!r} to a non-negative number')
        return int(text) or None

    def timeout(self) -> float | None:
        return self.duration("timeout") if self.text("timeout") else None

    def lookback(self) -> float | None:
        return self.duration("lookback_delta") or None if self.text("lookback_delta") else None

    def span_ms(self) -> tuple[int, int]:
        """`start` and `end` in milliseconds, by default everything."""
        start, end = _ALWAYS
        if self.text("start"):
            start = round(self.time("start") * 1000)
        if self.text("end"):
            end = round(self.time("end") * 1000)
        if end < start:
            raise BadInput('invalid parameter "end": end timestamp must not be before start timestamp')
        return start, end

    def matcher_sets(self, *, required: bool) -> list[tuple[Matcher, ...]]:
        """What each `match[]` selects."""
        selectors = self.all("match[]")
        if required and not selectors:
            raise BadInput("no match[] parameter provided")
        return [_selector(text).matchers for text in selectors]


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
        if (end - start) / step > MAX_POINTS:
            raise BadInput(
                "exceeded maximum resolution of 11,000 points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        return _evaluated(asked, question, partial(self._promql.range, start=start, end=end, step=step))

    def query_exemplars(self, asked: Parameters, question: Question) -> Answer:
        """Example measurements of the series an expression selects."""
        start_ms, end_ms = asked.span_ms()
        expr = _of_query(lambda: parse(asked.text("query")))
        found = []
        for selector in selectors(expr):
            question.left()
            selection = self._promql.samples.select(selector.matchers, start_ms, end_ms)
            by_row: dict[int, list[dict[str, object]]] = {}
            for each in self._promql.samples.exemplars(selection, start_ms, end_ms):
                by_row.setdefault(each.row, []).append(
                    {
                        "labels": each.labels.to_dict(),
                        "value": prometheus_json.number(each.value),
                        "timestamp": each.ts_ms / 1000,
                    }
                )
            labels = selection.labels()
            found += [{"seriesLabels": labels[row].to_dict(), "exemplars": each} for row, each in by_row.items()]
        return Answer(orjson.dumps(found))

    def format_query(self, asked: Parameters) -> Answer:
        """An expression, tidied."""
        return Answer(orjson.dumps(str(_of_query(lambda: parse(asked.text("query"))))))

    def parse_query(self, asked: Parameters) -> Answer:
        """The syntax tree of an expression."""
        return Answer(orjson.dumps(as_json(_of_query(lambda: parse(asked.text("query"))))))

    def series(self, asked: Parameters) -> Answer:
        """The label sets of the series selected."""
        sets, span, limit = asked.matcher_sets(required=True), asked.span_ms(), asked.limit()
        found: dict[int, Labels] = {}
        for matchers in sets:
            selection = self._index.select(matchers, *span)
            found.update(zip(selection.fps.tolist(), selection.labels(), strict=True))
        ordered = sorted(found.values())
        return _cut(prometheus_json.label_sets(ordered[:limit]), len(ordered), limit)

    def labels(self, asked: Parameters) -> Answer:
        """The names of labels."""
        sets, span, limit = asked.matcher_sets(required=False), asked.span_ms(), asked.limit()
        names = sorted({name for matchers in sets or [()] for name in self._index.label_names(matchers, *span)})
        return _cut(orjson.dumps(names[:limit]), len(names), limit)

    def label_values(self, asked: Parameters) -> Answer:
        """The values of one label."""
        name = _unescaped(asked.text("name"))
        if not name:
            raise BadInput(f'invalid label name: "{name}"')
        sets, span, limit = asked.matcher_sets(required=False), asked.span_ms(), asked.limit()
        values = sorted({text for matchers in sets or [()] for text in self._index.label_values(name, matchers, *span)})
        return _cut(orjson.dumps(values[:limit]), len(values), limit)

    def metadata(self, asked: Parameters) -> Answer:
        """Type, help and unit of metrics."""
        limit, per_metric = (_count(asked, name) for name in ("limit", "limit_per_metric"))
        found: dict[str, list[dict[str, str]]] = {}
        for each in self._promql.samples.metadata(asked.text("metric")):
            if each.metric not in found and limit is not None and len(found) >= limit:
                continue
            said = found.setdefault(each.metric, [])
            if per_metric is None or len(said) < per_metric:
                said.append({"type": each.type, "help": each.help, "unit": each.unit})
        return Answer(orjson.dumps(found))

    def build_info(self, asked: Parameters) -> Answer:
        """Which Prometheus this speaks like."""
        build = {
            "application": "aiprism",
            "version": PROMETHEUS_VERSION,
            "revision": __version__,
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }
        return Answer(orjson.dumps(build))


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
    return _json(200, b'{"status":"success","data":%b%b}' % (given.data, said))


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


def _cut(data: bytes, there: int, limit: int | None) -> Answer:
    return Answer(data, (_TRUNCATED,) if limit is not None and there > limit else ())


# -- parameters ----------------------------------------------------------------------------------------------------------


def _reading(name: str, read: Callable[[str], float], text: str) -> float:
    try:
        return read(text)
    except BadInput as error:
        raise BadInput(f'invalid parameter "{name}": {error}') from error


def _time(text: str) -> float:
    """Unix seconds or RFC 3339."""
    if text in _EDGES:
        return _EDGES[text]
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(f'cannot parse "{text}" to a valid timestamp') from None
        if moment.tzinfo is None:
            raise BadInput(f'cannot parse "{text}" to a valid timestamp') from None
        seconds = moment.timestamp()
    if not abs(seconds) < 2**43:
        raise BadInput(f'cannot parse "{text}" to a valid timestamp')
    return round(seconds, 3)


def _duration(text: str) -> float:
    """Seconds, or a Prometheus duration."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            return duration_seconds(text)
        except BadInput:
            raise BadInput(f'cannot parse "{text}" to a valid duration') from None
    if not abs(seconds) < 2**43:
        raise BadInput(f'cannot parse "{text}" to a valid duration. It overflows int64')
    return seconds


def _count(asked: Parameters, name: str) -> int | None:
    text = asked.text(name)
    if not text:
        return None
    if not text.removeprefix("-").isdecimal():
        raise BadInput(f"{name} must be a number")
    return int(text) if int(text) >= 0 else None


def _selector(text: str) -> VectorSelector:
    try:
        expr = parse(text)
    except BadInput as error:
        raise BadInput(f'invalid parameter "match[]": {error}', details=error.details) from error
    if not isinstance(expr, VectorSelector) or expr.offset_ms or expr.at is not None:
        raise BadInput(f'invalid parameter "match[]": 1:1: parse error: {text!r} is not a series selector')
    return expr


def _unescaped(name: str) -> str:
    """A label name as the client meant it.

    >>> _unescaped("job"), _unescaped("U__http_2e_status__code")
    ('job', 'http.status_code')
    """
    if not name.startswith("U__"):
        return name
    return re.sub(
        r"__|_([0-9a-fA-F]{1,6})_", lambda match: chr(int(match.group(1), 16)) if match.group(1) else "_", name[3:]
    )

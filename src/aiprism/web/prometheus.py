"""Prometheus' query API: the same paths, parameters, JSON and errors, so that its clients read ours unmodified.

In: GET or POST forms of https://prometheus.io/docs/prometheus/latest/querying/api/. Out: `{"status": "success", "data":
…}` or `{"status": "error", "errorType", "error"}`. Evaluation is left to query/promql; rules and alerts to web/rules.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from aiprism import __version__
from aiprism.clock import Clock
from aiprism.errors import BadInput, LimitExceeded, Refused, TimedOut, Unavailable
from aiprism.model.labels import Labels, Matcher
from aiprism.model.timerange import duration_seconds
from aiprism.query.promql import Matrix, PromQL, QueryFailed, Scalar, String, Vector
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import VectorSelector
from aiprism.store.engine import Engine
from aiprism.store.series import SeriesIndex

T = TypeVar("T")
Form = dict[str, list[str]]
Answer = Callable[[Form], Awaitable[object]]

# Our refusals in Prometheus' words: (errorType, status).
_ERRORS: tuple[tuple[type[Refused], str, int], ...] = (
    (TimedOut, "timeout", 503),
    (Unavailable, "unavailable", 503),
    (LimitExceeded, "execution", 422),
    (QueryFailed, "execution", 422),
    (BadInput, "bad_data", 400),
)
_MAX_POINTS = 11_000  # Prometheus' own bound on a range query, answered with its own sentence


def router(promql: PromQL, index: SeriesIndex, engine: Engine, clock: Clock) -> APIRouter:
    """GET and POST below /api/v1."""
    asked = _Asked(promql, index, engine, clock)
    routes = APIRouter(prefix="/api/v1", tags=["prometheus"])
    plain: dict[str, tuple[Answer, str]] = {
        "/query": (asked.instant, "Evaluate at one time"),
        "/query_range": (asked.range, "Evaluate over a range of time"),
        "/query_exemplars": (asked.exemplars, "Exemplars of the series a query selects"),
        "/series": (asked.series, "Label sets of the series that match[] selects"),
        "/labels": (asked.labels, "Label names"),
        "/metadata": (asked.metadata, "Type, help and unit of metrics"),
        "/format_query": (asked.formatted, "A query, laid out"),
        "/status/buildinfo": (asked.build, "Version"),
    }
    for path, (answer, summary) in plain.items():
        routes.add_api_route(path, _endpoint(answer), methods=["GET", "POST"], summary=summary, response_class=Response)

    @routes.get("/label/{name}/values", response_class=Response, summary="Values of one label")
    async def label_values(name: str, request: Request) -> Response:
        return await _answered(asked.label_values(name), request)

    return routes


class _Asked:
    """What each endpoint answers, as the value under `data`."""

    def __init__(self, promql: PromQL, index: SeriesIndex, engine: Engine, clock: Clock) -> None:
        self._promql, self._index, self._engine, self._clock = promql, index, engine, clock

    async def instant(self, form: Form) -> object:
        text, at = _one(form, "query"), _time(form, "time", self._clock.now())
        return await self._engine.run(self._promql.instant, text, at, seconds=_timeout(form))

    async def range(self, form: Form) -> object:
        start, end = _time(form, "start"), _time(form, "end")
        step = _step(_one(form, "step"))
        if end < start:
            raise BadInput('invalid parameter "end": end timestamp must not be before start time')
        if step <= 0:
            raise BadInput(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        if (end - start) / step > _MAX_POINTS:
            raise BadInput(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution "
                "(?step=XX)"
            )
        text = _one(form, "query")
        return await self._engine.run(self._promql.range, text, start, end, step, seconds=_timeout(form))

    async def series(self, form: Form) -> object:
        if not form.get("match[]"):
            raise BadInput("no match[] parameter provided")
        found: dict[Labels, None] = {}
        start_ms, end_ms = self._span(form)
        for matchers in _selectors(form):
            found.update(dict.fromkeys(self._index.select(matchers, start_ms, end_ms).labels()))
        return _limited([labels.to_dict() for labels in sorted(found)], form)

    async def labels(self, form: Form) -> object:
        start_ms, end_ms = self._span(form)
        selectors: Sequence[Sequence[Matcher]] = _selectors(form) or [()]
        names = {name for each in selectors for name in self._index.label_names(each, start_ms, end_ms)}
        return _limited(sorted(names), form)

    def label_values(self, name: str) -> Answer:
        async def answer(form: Form) -> object:
            start_ms, end_ms = self._span(form)
            selectors: Sequence[Sequence[Matcher]] = _selectors(form) or [()]
            values = {value for each in selectors for value in self._index.label_values(name, each, start_ms, end_ms)}
            return _limited(sorted(values), form)

        return answer

    async def metadata(self, form: Form) -> object:
        rows = await self._engine.run(self._promql.samples.metadata, form.get("metric", [""])[0])
        found: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            found.setdefault(row.metric, []).append({"type": row.type, "unit": row.unit, "help": row.help})
        limit = int(form.get("limit", ["0"])[0] or 0)
        return dict(list(found.items())[:limit]) if limit > 0 else found

    async def exemplars(self, form: Form) -> object:
        start_ms, end_ms = self._span(form, required=True)
        samples = self._promql.samples
        grouped: dict[Labels, list[dict[str, object]]] = {}
        for selector in _vector_selectors(parse(_one(form, "query"))):
            selection = samples.select(selector.matchers, start_ms, end_ms)
            series = selection.labels()
            for each in await self._engine.run(samples.exemplars, selection, start_ms, end_ms):
                shown = {"labels": each.labels.to_dict(), "value": _number(each.value), "timestamp": each.ts_ms / 1000}
                grouped.setdefault(series[each.row], []).append(shown)
        return [{"seriesLabels": labels.to_dict(), "exemplars": rows} for labels, rows in grouped.items()]

    async def formatted(self, form: Form) -> object:
        return str(parse(_one(form, "query")))

    async def build(self, form: Form) -> object:
        # Grafana reads the version to know what it may ask; 3.x is what our PromQL follows.
        return {
            "version": "3.5.0",
            "revision": f"aiprism-{__version__}",
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }

    def _span(self, form: Form, *, required: bool = False) -> tuple[int, int]:
        now = None if required else self._clock.now()
        start = _time(form, "start", None if now is None else 0.0)
        return round(start * 1000), round(_time(form, "end", now) * 1000)


# -- the wire --------------------------------------------------------------------------------------------------------


def _endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _answered(answer, request)

    return endpoint


async def _answered(answer: Answer, request: Request) -> Response:
    try:
        data = await answer(await _form(request))
    except Refused as refused:
        return _refusal(refused)
    return Response(f'{{"status":"success","data":{_encoded(data)}}}', media_type="application/json")


async def _form(request: Request) -> Form:
    pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        pairs += [(key, value) for key, value in (await request.form()).multi_items() if isinstance(value, str)]
    form: Form = {}
    for key, value in pairs:
        form.setdefault(key, []).append(value)
    return form


def _refusal(refused: Refused) -> Response:
    kind, status = next(((kind, code) for cls, kind, code in _ERRORS if isinstance(refused, cls)), ("internal", 500))
    body = f'{{"status":"error","errorType":"{kind}","error":{_json(str(refused))}}}'
    headers = {"Retry-After": str(max(1, round(refused.retry_after)))} if isinstance(refused, Unavailable) else {}
    return Response(body, status, headers, media_type="application/json")


def _encoded(data: object) -> str:
    if isinstance(data, Scalar):
        return f'{{"resultType":"scalar","result":{_point(data.ts, data.value)}}}'
    if isinstance(data, String):
        return f'{{"resultType":"string","result":[{_seconds(data.ts)},{_json(data.value)}]}}'
    if isinstance(data, Vector):
        rows = (f'{{"metric":{_metric(each.labels)},"value":{_point(each.ts, each.value)}}}' for each in data.items)
        return f'{{"resultType":"vector","result":[{",".join(rows)}]}}'
    if isinstance(data, Matrix):
        series = (f'{{"metric":{_metric(each.labels)},"values":[{_points(each.ts_ms, each.values)}]}}' for each in data)
        return f'{{"resultType":"matrix","result":[{",".join(series)}]}}'
    return _json(data)


def _points(ts_ms: NDArray[np.int64], values: NDArray[np.float64]) -> str:
    return ",".join(
        [f'[{ts / 1000:.15g},"{_number(value)}"]' for ts, value in zip(ts_ms.tolist(), values.tolist(), strict=True)]
    )


def _point(ts: float, value: float) -> str:
    return f'[{_seconds(ts)},"{_number(value)}"]'


def _seconds(ts: float) -> str:
    return f"{round(ts * 1000) / 1000:.15g}"


def _number(value: float) -> str:
    """A value as Prometheus' JSON writes it: shortest digits, an exponent below 1e-6 and from 1e21 on.

    >>> _number(5.0), _number(0.1), _number(1e21), _number(math.inf), _number(math.nan)
    ('5', '0.1', '1e+21', '+Inf', 'NaN')
    """
    if value == int(value) if math.isfinite(value) and abs(value) < 1e15 else False:
        return "-0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if abs(value) < 1e-6 or abs(value) >= 1e21:
        return np.format_float_scientific(value, trim="-", exp_digits=2)
    return np.format_float_positional(value, trim="-")


def _metric(labels: Labels) -> str:
    return _json(labels.to_dict())


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


# -- parameters ------------------------------------------------------------------------------------------------------


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _time(form: Form, name: str, default: float | None = None) -> float:
    text = _one(form, name)
    if not text and default is not None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        raise BadInput(f'invalid parameter "{name}": cannot parse {_json(text)} to a valid timestamp') from None


def _step(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return duration_seconds(text)
    except BadInput:
        raise BadInput(f'invalid parameter "step": cannot parse {_json(text)} to a valid duration') from None


def _timeout(form: Form) -> float | None:
    return _step(_one(form, "timeout")) if _one(form, "timeout") else None


def _selectors(form: Form) -> list[Sequence[Matcher]]:
    found: list[Sequence[Matcher]] = []
    for text in form.get("match[]", []):
        expression = parse(text)
        if not isinstance(expression, VectorSelector):
            raise BadInput(f'invalid parameter "match[]": {text!r} is not a series selector')
        found.append(expression.matchers)
    return found


def _vector_selectors(expression: object) -> Iterable[VectorSelector]:
    if isinstance(expression, VectorSelector):
        yield expression
        return
    for name in getattr(expression, "__slots__", ()):
        inside = getattr(expression, name)
        for each in inside if isinstance(inside, tuple) else (inside,):
            if hasattr(each, "__slots__"):
                yield from _vector_selectors(each)


def _limited(rows: list[T], form: Form) -> list[T]:
    text = _one(form, "limit")
    if text and not text.isdigit():
        raise BadInput(f'invalid parameter "limit": cannot parse {_json(text)} to a valid limit')
    return rows[: int(text)] if text and int(text) else rows

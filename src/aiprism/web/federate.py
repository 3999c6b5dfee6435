"""GET /federate: the newest sample of every series selected, in Prometheus' text format, for whoever scrapes a Prometheus.

In: `match[]` selectors, any number of them. Out: families by name, series by labels, each sample with its own time; a
series that ended (staleness) is left out, one without `instance` gets an empty one, so that the scraper's does not take
its place. Native histograms have no text form: a series whose newest sample is one is left out, as in Prometheus.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from aiprism.clock import Clock
from aiprism.errors import Refused
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.model.samples import STALE_NAN_BITS
from aiprism.query.promql import PromQL
from aiprism.query.promql.limits import Watch
from aiprism.query.promql.numbers import exposition_text
from aiprism.store.question import Question
from aiprism.web.bodies import retry_headers
from aiprism.web.parameters import Parameters
from aiprism.web.prometheus import sent
from aiprism.web.turns import Turns

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# What a scraper says that can read names of any text.
_ANY_NAME = "escaping=allow-utf-8"
_OLD_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NOT_OLD = re.compile(r"[^a-zA-Z0-9_:]")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Sample = tuple[Labels, int, float]


def router(promql: PromQL, turns: Turns, clock: Clock) -> APIRouter:
    """The one route."""
    routes = APIRouter(tags=["prometheus"])

    @routes.get("/federate", summary="The newest sample of the series selected, as text")
    async def federate(request: Request) -> Response:
        try:
            asked = await Parameters.of(request)
            found = await turns.answer(
                request,
                lambda question: newest(promql, asked, round(clock.now() * 1000), question),
                promql.limits.seconds,
                stage="query.federate",
            )
        except Refused as error:
            return PlainTextResponse(f"{error}\n", error.status, retry_headers(error))
        any_name = _ANY_NAME in request.headers.get("accept", "")
        return await sent(request, exposition(found, any_name=any_name).encode(), MEDIA_TYPE)

    return routes


def newest(promql: PromQL, asked: Parameters, now_ms: int, question: Question | None = None) -> list[Sample]:
    """The newest sample within the lookback of every series that the `match[]` of `asked` select, by name and labels."""
    watch = Watch(promql.limits, question)
    since_ms = now_ms - round(promql.limits.lookback * 1000)
    found: dict[Labels, tuple[int, float]] = {}
    for matchers in asked.matcher_sets():
        selection = promql.samples.select(matchers, since_ms, now_ms)
        watch.check_series(len(selection))
        raw = promql.samples.raw(
            selection, since_ms, now_ms, stale=True, limit=promql.limits.samples, question=watch.question
        )
        last = raw.offsets[1:] - 1
        values = raw.values[last]
        histograms = promql.samples.newest_histograms(selection, since_ms, now_ms, question=watch.question)
        # At one time a histogram counts more than a number.
        is_number = (values.view(np.uint64) != STALE_NAN_BITS) & (histograms[raw.rows] < raw.ts_ms[last])
        alive = np.flatnonzero(is_number)
        rows = zip(
            selection.only(raw.rows[alive]).labels(),
            raw.ts_ms[last[alive]].tolist(),
            values[alive].tolist(),
            strict=True,
        )
        found.update({labels: (ts_ms, value) for labels, ts_ms, value in rows})
    ordered = sorted(found.items(), key=lambda item: (item[0].name, item[0]))
    return [(labels, *sample) for labels, sample in ordered]


def exposition(samples: Iterable[Sample], *, any_name: bool = False) -> str:
    """`samples`, those of a metric together, as text; names the old format has no room for are escaped by underscores
    unless `any_name`.

    >>> print(exposition([(Labels({"__name__": "up", "job": "api"}), 1500, 1.0)]), end="")
    # TYPE up untyped
    up{job="api",instance=""} 1 1500
    """
    lines = []
    for name, family in itertools.groupby(samples, key=lambda sample: sample[0].name):
        shown = _name(name, any_name=any_name)
        lines.append(f"# TYPE {shown} untyped\n")
        lines += (
            f"{_series(shown, labels, any_name=any_name)} {exposition_text(value)} {ts_ms}\n"
            for labels, ts_ms, value in family
        )
    return "".join(lines)


def _series(shown: str, labels: Labels, *, any_name: bool) -> str:
    pairs = [(name, value) for name, value in labels.pairs if name != METRIC_NAME]
    if "instance" not in labels:
        pairs.append(("instance", ""))
    inside = [f'{_name(name, any_name=any_name)}="{value.translate(_ESCAPES)}"' for name, value in pairs]
    if shown.startswith('"'):
        return f"{{{','.join([shown, *inside])}}}"
    return f"{shown}{{{','.join(inside)}}}"


def _name(name: str, *, any_name: bool) -> str:
    if _OLD_NAME.fullmatch(name):
        return name
    if any_name:
        return f'"{name.translate(_ESCAPES)}"'
    escaped = _NOT_OLD.sub("_", name)
    return f"_{escaped}" if escaped[:1].isdigit() else escaped

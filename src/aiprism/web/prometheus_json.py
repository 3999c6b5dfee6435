"""Query results as the bytes of Prometheus' JSON, written array by array: a dashboard asks for tens of thousands of points.

Numbers are texts in Prometheus' form (its shortest, "+Inf", "NaN"), times are seconds with up to three decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from aiprism.model.labels import Labels
from aiprism.query.promql import Matrix, Scalar, Series, String, Value, Vector, VectorItem
from aiprism.query.promql.account import Account
from aiprism.query.promql.native import Histogram, buckets
from aiprism.query.promql.numbers import number_text

_EXACT = 2.0**53  # whole numbers below are what they are as integers, too


def result(value: Value) -> bytes:
    """``{"resultType":…,"result":…}``."""
    match value:
        case Vector():
            kind, body = (
                b"vector",
                _list(b'{"metric":%b,%b}' % (_labels(item.labels), _sample(item)) for item in value),
            )
        case Matrix():
            times = _Times()
            kind, body = b"matrix", _list(_series(series, times) for series in value)
        case Scalar():
            kind, body = b"scalar", b'[%b,"%b"]' % (_seconds(value.ts), _number(value.value))
        case String():
            kind, body = b"string", b"[%b,%b]" % (_seconds(value.ts), orjson.dumps(value.value))
    return b'{"resultType":"%b","result":%b}' % (kind, body)


def stats(account: Account, queued: float, *, by_step: bool) -> bytes:
    """``{"timings":…,"samples":…}``: what a query took, of samples at each step, too, when `by_step`."""
    took, counted = account.timings(queued), account.samples_per_step
    timings = {
        "evalTotalTime": took.total,
        "resultSortTime": took.sorted,
        "queryPreparationTime": took.prepared,
        "innerEvalTime": took.evaluated,
        "execQueueTime": queued,
        "execTotalTime": queued + took.total,
    }
    samples: dict[str, object] = {}
    if by_step:
        times = (account.times_ms / 1000).tolist()
        samples["totalQueryableSamplesPerStep"] = list(zip(times, counted.tolist(), strict=True))
    samples |= {"totalQueryableSamples": int(counted.sum()), "peakSamples": account.peak}
    return orjson.dumps({"timings": timings, "samples": samples})


def number(value: float) -> str:
    """The text of one number: Go's shortest form, with an exponent below 1e-6 and from 1e21."""
    size = abs(value)
    if size and (size < 1e-6 or 1e21 <= size < np.inf):
        return repr(value)
    return number_text(value)


def seconds(ts_ms: int) -> bytes:
    """Milliseconds as seconds, with three decimals unless they are whole."""
    sign, ts_ms = (b"-", -ts_ms) if ts_ms < 0 else (b"", ts_ms)
    whole, rest = divmod(ts_ms, 1000)
    return b"%b%d.%03d" % (sign, whole, rest) if rest else b"%b%d" % (sign, whole)


def numbers(values: NDArray[np.float64]) -> list[bytes]:
    """The texts of many numbers."""
    if not len(values):
        return []
    if not np.isfinite(values).all():
        return [number(value).encode() for value in values.tolist()]
    whole = values == np.rint(values)
    if whole.all() and np.abs(values).max() < _EXACT and not np.signbit(values[values == 0]).any():
        return _dumped(values.astype(np.int64)).split(b",")
    listed = _dumped(np.ascontiguousarray(values))
    # orjson writes whole numbers as 5.0, which nothing else in a list of numbers looks like.
    texts = ((listed + b",").replace(b".0,", b",")[:-1] if whole.any() else listed).split(b",")
    if b"e" in listed:
        return [number(float(text)).encode() if b"e" in text else text for text in texts]
    return texts


def _dumped(values: NDArray[np.float64] | NDArray[np.int64]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


class _Times:
    """The beginnings of points at given times; series of one query mostly share them."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}
        self._array: NDArray[np.int64] | None = None
        self._beginnings: list[bytes] = []

    def beginnings(self, ts_ms: NDArray[np.int64]) -> list[bytes]:
        if ts_ms is not self._array:
            self._array, self._beginnings = ts_ms, [self._beginning(ts) for ts in ts_ms.tolist()]
        return self._beginnings

    def _beginning(self, ts_ms: int) -> bytes:
        text = self._known.get(ts_ms)
        if text is None:
            text = self._known[ts_ms] = b'"],[%b,"' % seconds(ts_ms)
        return text


def _sample(item: VectorItem) -> bytes:
    if item.histogram is None:
        return b'"value":[%b,"%b"]' % (_seconds(item.ts), _number(item.value))
    return b'"histogram":[%b,%b]' % (_seconds(item.ts), histogram(item.histogram))


def histogram(of: Histogram) -> bytes:
    """``{"count":…,"sum":…,"buckets":[[bounds, lower, upper, count],…]}``: `bounds` says which of them belong to a bucket (0
    the upper one, 1 the lower one, 2 none, 3 both); without populated buckets there is no list."""
    listed = [
        b'[%d,"%b","%b","%b"]'
        % (
            _BOUNDS[each.lower_inclusive, each.upper_inclusive],
            _number(each.lower),
            _number(each.upper),
            _number(each.count),
        )
        for each in buckets(of)
    ]
    more = b',"buckets":%b' % _list(listed) if listed else b""
    return b'{"count":"%b","sum":"%b"%b}' % (_number(of.count), _number(of.sum), more)


_BOUNDS = {(False, True): 0, (True, False): 1, (False, False): 2, (True, True): 3}  # lower, upper


def _mixed(series: Series, cells: Sequence[Histogram | None]) -> bytes:
    """A series with histograms among its values."""
    points = list(zip(series.ts_ms.tolist(), series.values.tolist(), cells, strict=True))
    values = [b'[%b,"%b"]' % (seconds(ts), _number(value)) for ts, value, cell in points if cell is None]
    found = [b"[%b,%b]" % (seconds(ts), histogram(cell)) for ts, _, cell in points if cell is not None]
    more = b',"values":%b' % _list(values) if values else b""
    return b'{"metric":%b%b,"histograms":%b}' % (_labels(series.labels), more, _list(found))


def _series(series: Series, times: _Times) -> bytes:
    if series.histograms is not None:
        return _mixed(series, series.histograms.tolist())
    parts: list[bytes] = [b""] * (2 * len(series.ts_ms))
    parts[0::2] = times.beginnings(series.ts_ms)
    parts[1::2] = numbers(series.values)
    points = b"".join(parts)[3:] + b'"]' if parts else b""  # the first point ends no other
    return b'{"metric":%b,"values":[%b]}' % (_labels(series.labels), points)


def _list(items: Iterable[bytes]) -> bytes:
    return b"[%b]" % b",".join(items)


def _labels(labels: Labels) -> bytes:
    return orjson.dumps(labels.to_dict())


def _number(value: float) -> bytes:
    return number(value).encode()


def _seconds(ts: float) -> bytes:
    return seconds(round(ts * 1000))


def label_sets(sets: Sequence[Labels]) -> bytes:
    """A list of label sets."""
    return orjson.dumps([labels.to_dict() for labels in sets])

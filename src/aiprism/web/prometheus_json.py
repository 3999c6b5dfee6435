"""Query results as the bytes of Prometheus' JSON, written array by array: a dashboard asks for tens of thousands of points.

Numbers are texts in Prometheus' form (its shortest, "+Inf", "NaN"), times are seconds with up to three decimals.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprism.model.labels import Labels
from aiprism.query.promql import Matrix, Scalar, Series, String, Value, Vector
from aiprism.query.promql.account import Account
from aiprism.query.promql.native import Histogram, buckets
from aiprism.query.promql.numbers import number_text

_COMMA, _QUOTE = b',"'
_EXACT = 2.0**53  # whole numbers below are what they are as integers, too


def result(value: Value) -> bytes:
    """``{"resultType":…,"result":…}``."""
    match value:
        case Vector():
            return b'{"resultType":"vector","result":%b}' % _vector(value)
        case Matrix():
            return b"".join((b'{"resultType":"matrix","result":', *_matrix(value), b"}"))
        case Scalar():
            return b'{"resultType":"scalar","result":[%b,"%b"]}' % (_seconds(value.ts), _number(value.value))
        case String():
            return b'{"resultType":"string","result":[%b,%b]}' % (_seconds(value.ts), orjson.dumps(value.value))


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
        times = [ts_ms / 1000 if ts_ms % 1000 else ts_ms // 1000 for ts_ms in account.times_ms.tolist()]
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
    return [text[1:] for text in _quoted(values).to_pylist()]


def _quoted(values: NDArray[np.float64]) -> pa.BinaryArray:
    """The texts of many numbers, each after a quotation mark. They lie one after the other in one buffer: a Python object
    for each would cost more than the digits do."""
    listed = b",%b," % orjson.dumps(_written(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    if b".0," in listed:  # orjson writes whole numbers so, which nothing else in a list of numbers looks like
        listed = listed.replace(b".0,", b",")
    octets = np.frombuffer(listed, np.uint8).copy()
    starts = np.flatnonzero(octets == _COMMA)[-len(values) - 1 :]
    octets[starts] = _QUOTE
    buffers = [None, pa.py_buffer(starts.astype(np.int32)), pa.py_buffer(octets)]
    texts = pa.Array.from_buffers(pa.binary(), len(values), buffers)
    odd = _odd(values)
    if not odd.any():
        return texts
    different, which = np.unique(values[odd], return_inverse=True)
    known = pa.array([b'"' + _number(value) for value in different.tolist()], pa.binary())
    return pc.replace_with_mask(texts, odd, known.take(pa.array(which)))


def _written(values: NDArray[np.float64]) -> NDArray[np.float64] | NDArray[np.int64]:
    """The same numbers as integers where they can be: those are written at half the cost."""
    with np.errstate(invalid="ignore"):
        integers = values.astype(np.int64)
    whole = (integers == values).all() and np.abs(values).max(initial=0) < _EXACT
    return integers if whole and not np.signbit(values[integers == 0]).any() else np.ascontiguousarray(values)


def _odd(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of them orjson writes otherwise, or may: it changes to exponents elsewhere."""
    size = np.abs(values)
    usual: NDArray[np.bool_] = (size < 1e16) & ((size >= 1e-5) | (size == 0))
    return ~usual


def _matrix(matrix: Matrix) -> list[bytes | memoryview]:
    """The parts of a list of series. The points of all that have no histograms are written at once."""
    plain = [each for each in matrix if each.histograms is None]
    points = iter(_points(plain))
    parts: list[bytes | memoryview] = []
    for each in matrix:
        if each.histograms is None:
            parts += (
                b',{"metric":' if parts else b'{"metric":',
                _labels(each.labels),
                b',"values":',
                *next(points),
                b"}",
            )
        else:
            parts += (b"," if parts else b"", _mixed(each, each.histograms.tolist()))
    return [b"[", *parts, b"]"]


def _points(series: Sequence[Series]) -> Iterator[tuple[bytes | memoryview, ...]]:
    """The parts of each series' list of points."""
    sizes = np.array([len(each.ts_ms) for each in series], np.int64)
    if not sizes.any():
        yield from [(b"[]",)] * len(series)
        return
    from aiprism.store import numbertext  # it loads numba, which who has nothing stored does not need

    values, times = (np.concatenate(each) for each in zip(*((one.values, one.ts_ms) for one in series), strict=True))
    written, ends = numbertext.points(values, times, sizes)
    for start, end in itertools.pairwise([0, *ends.tolist()]):
        yield b"[", written[start:end], b"]"


def _vector(vector: Vector) -> bytes:
    texts = _quoted(np.array([item.value for item in vector])).to_pylist()
    times = {ts: _seconds(ts) for ts in {item.ts for item in vector}}
    return _list(
        [
            b'{"metric":%b,"value":[%b,%b"]}' % (_labels(item.labels), times[item.ts], text)
            if item.histogram is None
            else b'{"metric":%b,"histogram":[%b,%b]}'
            % (_labels(item.labels), times[item.ts], histogram(item.histogram))
            for item, text in zip(vector, texts, strict=True)
        ]
    )


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

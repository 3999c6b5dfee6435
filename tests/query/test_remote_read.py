"""Remote read gives back what was sent: every sample, histogram and staleness marker, as Prometheus writes them."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from aiprism.config import IngestConfig
from aiprism.errors import BadInput, LimitExceeded
from aiprism.model.histograms import CUSTOM_BUCKETS, STALE_HISTOGRAM, Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN, is_stale
from aiprism.query.remote_read import RemoteRead, _histogram, _sample_fields
from aiprism.receive import prometheus_proto as proto
from aiprism.store.batches import HistogramSample, SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.metricwriting import MetricWriter
from aiprism.web import remote_read
from aiprism.web.turns import Turns
from tests.query.promql.stocked import Stocked

AT = 1_790_000_000_000
EQ, NEQ, RE, NRE = range(4)


def reading(engine: Engine, *, samples: int = 1000, series: int = 100) -> tuple[Stocked, RemoteRead]:
    stocked = Stocked.on(engine)
    return stocked, RemoteRead(stocked.samples, samples=samples, series=series, seconds=60)


def request(*queries: tuple[int, int, list[tuple[int, str, str]]], accepts: tuple[int, ...] = ()) -> bytes:
    made = proto.ReadRequest(accepted_response_types=accepts)
    for start, end, matchers in queries:
        query = made.queries.add(start_timestamp_ms=start, end_timestamp_ms=end)
        for kind, name, value in matchers:
            query.matchers.add(type=kind, name=name, value=value)
    return bytes(made.SerializeToString())


def results(answer: bytes) -> list[dict[str, list[tuple[int, float]]]]:
    return [
        {
            ",".join(f"{pair.name}={pair.value}" for pair in series.labels): [
                (sample.timestamp, sample.value) for sample in series.samples
            ]
            for series in result.timeseries
        }
        for result in proto.ReadResponse.FromString(answer).results
    ]


def up(instance: str, **more: str) -> Labels:
    return Labels({"__name__": "up", "instance": instance, **more})


def test_each_query_has_its_result_with_both_ends_of_its_time(engine: Engine) -> None:
    stocked, remote = reading(engine)
    stocked.add([(up("b"), [(AT, 1.0), (AT + 1, 2.0), (AT + 2, 3.0)]), (up("a"), [(AT, 0.0)])])
    named = (EQ, "__name__", "up")
    assert results(remote.answer(request((AT, AT + 1, [named]), (AT + 2, AT + 9, [named]), (0, 1, [named])))) == [
        {"__name__=up,instance=a": [(AT, 0.0)], "__name__=up,instance=b": [(AT, 1.0), (AT + 1, 2.0)]},
        {"__name__=up,instance=b": [(AT + 2, 3.0)]},
        {},
    ]


@pytest.mark.parametrize(
    ("matcher", "found"),
    [
        ((EQ, "zone", "eu"), {"a"}),
        ((NEQ, "zone", "eu"), {"b", "c"}),
        ((RE, "zone", "e.|us"), {"a", "b"}),
        ((NRE, "zone", "e.|us"), {"c"}),
        ((EQ, "zone", ""), {"c"}),
    ],
)
def test_all_four_kinds_of_matchers_select(engine: Engine, matcher: tuple[int, str, str], found: set[str]) -> None:
    stocked, remote = reading(engine)
    stocked.add([(up("a", zone="eu"), [(AT, 1.0)]), (up("b", zone="us"), [(AT, 1.0)]), (up("c"), [(AT, 1.0)])])
    [result] = proto.ReadResponse.FromString(remote.answer(request((AT, AT, [matcher])))).results
    assert {pair.value for series in result.timeseries for pair in series.labels if pair.name == "instance"} == found


def test_staleness_markers_and_odd_numbers_come_as_they_were_sent(engine: Engine) -> None:
    stocked, remote = reading(engine)
    stocked.add([(up("a"), [(AT, math.inf), (AT + 1, -0.0), (AT + 2, STALE_NAN)])])
    [[series]] = [
        result.timeseries
        for result in proto.ReadResponse.FromString(
            remote.answer(request((AT, AT + 9, [(EQ, "__name__", "up")])))
        ).results
    ]
    values = [sample.value for sample in series.samples]
    assert values[0] == math.inf
    assert math.copysign(1, values[1]) == -1
    assert is_stale(values[2])


def test_native_histograms_come_with_their_series(engine: Engine) -> None:
    stocked, remote = reading(engine)
    labels = Labels({"__name__": "size"})
    position = int(stocked.index.admit([labels], 0.0)[0])
    sent = NativeHistogram(2, 6, 9.5, 1e-9, 1, Buckets((-1, 3), (2, 1), (1, 2, 1)), Buckets((4,), (1,), (1,)))
    made = [HistogramSample(position, AT, sent), HistogramSample(position, AT + 1, STALE_HISTOGRAM)]
    MetricWriter(engine, stocked.index).insert([SampleBatch(histograms=made)], "token", 0.0)
    [result] = proto.ReadResponse.FromString(remote.answer(request((AT, AT + 1, [(EQ, "__name__", "size")])))).results
    [series] = result.timeseries
    first, last = series.histograms
    assert [(span.offset, span.length) for span in first.positive_spans] == [(-1, 2), (3, 1)]
    assert list(first.positive_deltas) == [1, 1, -1]
    assert (first.timestamp, first.schema, first.count_int, first.sum, first.zero_count_int) == (AT, 2, 6, 9.5, 1)
    assert is_stale(last.sum)


def test_histograms_of_fractions_and_custom_bounds_keep_their_counts() -> None:
    one = NativeHistogram(
        CUSTOM_BUCKETS,
        1.5,
        2.0,
        positive=Buckets((1,), (2,), (0.5, 1.0)),
        custom_values=(1, 5),
        reset_hint=ResetHint.GAUGE,
    )
    message = proto.Histogram.FromString(_histogram(AT, one))
    assert message.WhichOneof("count") == "count_float"
    assert (list(message.positive_counts), list(message.custom_values)) == ([0.5, 1.0], [1, 5])
    assert (message.schema, message.reset_hint, message.count_float) == (-53, 3, 1.5)


@given(st.lists(st.tuples(st.integers(-(2**53), 2**53), st.floats(allow_nan=False)), max_size=5))
def test_samples_written_by_hand_are_read_by_protobuf(samples: list[tuple[int, float]]) -> None:
    ts_ms, values = np.array([at for at, _ in samples], np.int64), np.array([value for _, value in samples])
    message = proto.TimeSeries.FromString(_sample_fields(ts_ms, values))
    assert [(sample.timestamp, sample.value) for sample in message.samples] == samples


@pytest.mark.parametrize("at", [2**35, 2**35 - 1, 2**42 - 1, 2**42, AT])
def test_every_length_of_a_time_is_written(at: int) -> None:
    message = proto.TimeSeries.FromString(_sample_fields(np.array([at] * 2), np.array([1.0, 2.0])))
    assert [(sample.timestamp, sample.value) for sample in message.samples] == [(at, 1.0), (at, 2.0)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x0a\xff", "not a ReadRequest"),
        (request((0, 1, [(7, "a", "b")])), "unknown type 7"),
        (request((0, 1, [(RE, "a", "(")])), "regular expression"),
        (request((0, 1, []), accepts=(1,)), "SAMPLES"),
    ],
)
def test_requests_that_cannot_be_answered_are_refused_in_words(engine: Engine, body: bytes, reason: str) -> None:
    _, remote = reading(engine)
    with pytest.raises(BadInput, match=reason):
        remote.answer(body)


def test_the_limits_are_those_of_the_whole_request(engine: Engine) -> None:
    stocked, remote = reading(engine, samples=3, series=2)
    stocked.add([(up("a"), [(AT, 1.0), (AT + 1, 1.0)]), (Labels({"__name__": "n"}), [(AT, 1.0)])])
    one = (AT, AT + 1, [(EQ, "__name__", "up")])
    assert len(results(remote.answer(request(one)))) == 1
    with pytest.raises(LimitExceeded, match=r"more than 3 samples \(query.remote_read_samples\)"):
        remote.answer(request(one, one))
    stocked.add([(up("b"), [(AT, 1.0)])])
    with pytest.raises(LimitExceeded, match="3 series"):
        remote.answer(request((AT, AT + 1, [])))


def test_the_door_speaks_snappy_and_refuses_in_plain_text(engine: Engine) -> None:
    stocked, remote = reading(engine)
    stocked.add([(up("a"), [(AT, 1.0)])])
    app = FastAPI()
    app.include_router(remote_read.router(remote, Turns(engine), IngestConfig()))
    codec = pa.Codec("snappy")

    async def post(body: bytes) -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post("/api/v1/read", content=body)

    body = request((AT, AT, [(EQ, "__name__", "up")]))
    answer = asyncio.run(post(codec.compress(body, asbytes=True)))
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "snappy")
    assert answer.headers["content-type"] == "application/x-protobuf"
    [found] = results(_plain(answer.content))
    assert found == {"__name__=up,instance=a": [(AT, 1.0)]}
    refused = asyncio.run(post(b"\x05abc"))
    assert (refused.status_code, refused.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert "snappy" in refused.text


def _plain(packed: bytes) -> bytes:
    return bytes(pa.Codec("snappy").decompress(packed, packed[0], asbytes=True))


def test_many_series_are_read_part_by_part(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiprism.query.remote_read._AT_A_TIME", 2)
    stocked, remote = reading(engine, samples=5)
    stocked.add([(up(f"i{at}"), [(AT, float(at))]) for at in range(5)])
    [found] = results(remote.answer(request((AT, AT, [(EQ, "__name__", "up")]))))
    assert sorted(found.values()) == [[(AT, float(at))] for at in range(5)]
    stocked.add([(up("i5"), [(AT, 5.0)])])
    with pytest.raises(LimitExceeded, match="more than 5 samples"):
        remote.answer(request((AT, AT, [(EQ, "__name__", "up")])))
    assert len(results(remote.answer(request((AT, AT, [(RE, "instance", "i[0-4]")]))))) == 1

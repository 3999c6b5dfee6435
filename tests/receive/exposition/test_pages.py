"""Pages → batches: whose series they become, what is marked as ended, and what a target or a tenant may not send."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput
from aiprism.model.histograms import STALE_HISTOGRAM, Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.model.samples import is_stale
from aiprism.receive.exposition.pages import Pages, Scraped, Treatment, ended, finest_schema
from aiprism.receive.exposition.proto import MetricFamily
from aiprism.receive.exposition.rows import Format
from aiprism.receive.items import Bounds, Fault
from aiprism.store.batches import MetricMetadata, SampleBatch
from tests.receive.room import Room

AT = 1_790_000_000_000
OURS = Treatment({"job": "j", "instance": "i:1"})


class Scraper:
    """One target, scraped by hand every 15 seconds."""

    def __init__(self, treatment: Treatment = OURS, *, room: Room | None = None, pages: Pages | None = None) -> None:
        self.treatment, self.room = treatment, room or Room()
        self.pages = pages or Pages(self.room.admit)
        self.memory = self.pages.memory()
        self.at_ms = AT

    def scrape(self, page: str | bytes, form: Format = Format.TEXT, within: Bounds | None = None) -> Scraped:
        body = page if isinstance(page, bytes) else page.encode()
        self.at_ms += 15_000
        scraped = self.pages.read(body, form, self.treatment, self.memory, self.at_ms, within or Bounds())
        scraped.after()
        return scraped

    def shown(self, batch: SampleBatch) -> list[str]:
        """Each sample as `series value@time`, times relative to the scrape, `end` for the marker."""
        labels = [Labels(pairs) for pairs in self.room.index.labels(batch.positions)]
        rows = zip(labels, batch.values.tolist(), batch.ts_ms.tolist(), strict=True)
        return [
            f"{_series(each)} {'end' if is_stale(value) else f'{value:g}'}{self._time(at)}" for each, value, at in rows
        ]

    def _time(self, at_ms: int) -> str:
        return "" if at_ms == self.at_ms else f"@{at_ms - self.at_ms:+d}"


def _series(labels: Labels) -> str:
    return labels.name + "".join(f" {name}={value}" for name, value in labels.pairs if name != "__name__")


def test_a_line_becomes_a_series_of_its_target():
    target = Scraper()
    scraped = target.scrape('a{b="c"} 1\na 2\n')
    assert target.shown(scraped.batch) == ["a b=c instance=i:1 job=j 1", "a instance=i:1 job=j 2"]
    assert (scraped.scraped, scraped.kept, scraped.added) == (2, 2, 2)


LABELS = [
    (False, 'job="x"', "exported_job=x instance=i:1 job=j"),
    (True, 'job="x"', "instance=i:1 job=x"),
    (False, 'job="x",exported_job="y"', "exported_exported_job=x exported_job=y instance=i:1 job=j"),
    (True, 'instance=""', "job=j"),
    (False, 'instance=""', "instance=i:1 job=j"),
]


@pytest.mark.parametrize(("honored", "labels", "become"), LABELS)
def test_labels_that_page_and_target_both_have(honored, labels, become):
    target = Scraper(replace(OURS, honor_labels=honored))
    assert target.shown(target.scrape(f"a{{{labels}}} 1").batch) == [f"a {become} 1"]


def test_a_series_that_is_gone_from_the_page_ends_once():
    target = Scraper()
    target.scrape("a 1\nb 2\n")
    scraped = target.scrape("b 3\n")
    assert target.shown(scraped.batch) == ["b instance=i:1 job=j 3", "a instance=i:1 job=j end"]
    assert target.shown(target.scrape("b 3\n").batch) == ["b instance=i:1 job=j 3"]
    back = target.scrape("b 3\na 1\n")
    assert (target.shown(back.batch), back.added) == (["b instance=i:1 job=j 3", "a instance=i:1 job=j 1"], 1)


def test_a_target_that_is_gone_ends_all_its_series():
    target = Scraper()
    target.scrape("a 1\nb 2\n")
    assert target.shown(ended(target.memory, target.at_ms)) == ["a instance=i:1 job=j end", "b instance=i:1 job=j end"]


@pytest.mark.parametrize(
    ("honored", "tracked", "first", "second"),
    [
        (True, False, ["a instance=i:1 job=j 1@-7"], []),
        (True, True, ["a instance=i:1 job=j 1@-7"], ["a instance=i:1 job=j end"]),
        (False, False, ["a instance=i:1 job=j 1"], ["a instance=i:1 job=j end"]),
    ],
)
def test_a_page_may_give_times_of_its_own(honored, tracked, first, second):
    target = Scraper(replace(OURS, honor_timestamps=honored, track_timestamps=tracked))
    assert target.shown(target.scrape(f"a 1 {AT + 15_000 - 7}").batch) == first
    assert target.shown(target.scrape("").batch) == second


def test_of_a_series_that_stands_twice_on_a_page_the_first_counts():
    target = Scraper()
    scraped = target.scrape("a 1\na 2\n")
    assert (target.shown(scraped.batch), scraped.causes) == (["a instance=i:1 job=j 1"], {"duplicate": 1})


def test_relabelling_drops_and_renames():
    def relabelled(labels: Mapping[str, str]) -> Mapping[str, str] | None:
        return None if labels["__name__"] == "a" else {**labels, "job": ""}

    target = Scraper(replace(OURS, relabelled=relabelled))
    for _ in range(2):
        scraped = target.scrape("a 1\nb 2\n")
        assert (target.shown(scraped.batch), scraped.scraped, scraped.kept) == (["b instance=i:1 2"], 2, 1)


LIMITS = [
    ({"sample_limit": 1}, "a 1\nb 2", "sample limit exceeded .limit: 1, samples after relabelling: 2"),
    ({"label_limit": 3}, 'a{b="c"} 1', "label_limit exceeded .metric: a, number of labels: 4, limit: 3"),
    ({"label_name_length_limit": 8}, 'a{bcdefghij="c"} 1', "label_name_length_limit exceeded"),
    (
        {"label_value_length_limit": 3},
        'a{b="üü"} 1',
        "label_value_length_limit exceeded .*label name: b, length: 4, limit: 3",
    ),
]


LEGACY = replace(OURS, legacy_names=True)


def test_names_of_any_text_are_refused_where_the_job_wants_those_of_prometheus_2():
    assert len(Scraper(LEGACY).scrape('a:b_1{c="ü"} 1').batch) == 1
    for page in ('{"a.b"} 1', 'a{"b.c"="1"} 1', 'a{"b:c"="1"} 1'):
        assert len(Scraper(OURS).scrape(page).batch) == 1
        with pytest.raises(BadInput, match="metric_name_validation_scheme: legacy"):
            Scraper(LEGACY).scrape(page)


def test_a_name_that_relabelling_mends_is_none_to_refuse():
    mended = replace(LEGACY, relabelled=lambda labels: {**labels, "__name__": labels["__name__"].replace(".", "_")})
    target = Scraper(mended)
    assert target.shown(target.scrape('{"a.b"} 1').batch) == ["a_b instance=i:1 job=j 1"]


@pytest.mark.parametrize(("limits", "page", "why"), LIMITS)
def test_a_page_over_a_limit_of_its_target_is_refused_whole(limits, page, why):
    treatment = replace(OURS, labels={"job": "j", "instance": "i"}, **limits)
    with pytest.raises(BadInput, match=why):
        Scraper(treatment).scrape(f"{page}\n")


def test_what_a_tenant_has_no_room_for_is_left_out_and_asked_about_again():
    target = Scraper(room=Room(1))
    scraped = target.scrape("a 1\nb 2\nc 3\n")
    assert (target.shown(scraped.batch), scraped.causes) == (["a instance=i:1 job=j 1"], {"max_series": 2})
    assert "no room for 2" in scraped.refusal
    target.room.left = 5
    assert len(target.scrape("a 1\nb 2\nc 3\n").batch) == 3


def test_labels_that_a_tenant_may_not_send_are_left_out():
    room = Room()
    pages = Pages(room.admit, lambda labels: Fault("labels", "too many") if "b" in labels else None)
    target = Scraper(room=room, pages=pages)
    scraped = target.scrape('a 1\na{b="c"} 2\n')
    assert (target.shown(scraped.batch), scraped.causes) == (["a instance=i:1 job=j 1"], {"labels": 1})


def test_times_that_a_tenant_may_not_send_are_left_out():
    target = Scraper()
    within = Bounds(earliest_ns=AT * 1_000_000, latest_ns=(AT + 60_000) * 1_000_000)
    scraped = target.scrape(f"a 1 {AT - 1}\nb 2 {AT}\nc 3 {AT + 60_001}\n", within=within)
    assert (target.shown(scraped.batch), scraped.causes) == (["b instance=i:1 job=j 2@-15000"], {"time": 2})


def test_the_same_line_of_two_targets_is_two_series():
    one = Scraper()
    two = Scraper(replace(OURS, labels={"job": "k"}), room=one.room, pages=one.pages)
    for target, labels in ((one, "instance=i:1 job=j"), (two, "job=k"), (one, "instance=i:1 job=j")):
        assert target.shown(target.scrape("a 1\n").batch) == [f"a {labels} 1"]


def test_metadata_is_stored_when_it_changes_and_once_in_a_while():
    target = Scraper()
    described = [MetricMetadata("a", "counter", "b", "")]
    page = "# HELP a b\n# TYPE a counter\na 1\n"
    assert target.scrape(page).batch.metadata == described
    assert target.scrape(page).batch.metadata == []
    assert target.scrape(page.replace("b\n", "c\n")).batch.metadata == [MetricMetadata("a", "counter", "c", "")]
    target.at_ms += 20 * 3_600_000
    assert target.scrape(page).batch.metadata == described


def test_an_exemplar_is_stored_until_there_is_another():
    target = Scraper()
    trace, span = "0123456789abcdef" * 2, "0123456789abcdef"
    page = 'a_total 1 # {trace_id="%s",span_id="%s",x="y"} 0.5\n# EOF\n' % (trace, span)  # noqa: UP031
    [exemplar] = target.scrape(page, Format.OPENMETRICS).batch.exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex(), exemplar.labels) == (trace, span, {"x": "y"})
    assert (exemplar.value, exemplar.ts_ms) == (0.5, target.at_ms)
    assert not target.scrape(page, Format.OPENMETRICS).batch.exemplars
    assert len(target.scrape(page.replace(" 0.5", " 0.75"), Format.OPENMETRICS).batch.exemplars) == 1


@given(st.lists(st.sets(st.integers(0, 6)), max_size=8))
def test_a_series_is_on_the_page_or_has_ended(pages):
    target = Scraper()
    alive: set[int] = set()
    for page in pages:
        scraped = target.scrape("".join(f"m{each} {each}\n" for each in page))
        values = {f"m{each} instance=i:1 job=j {each}" for each in page}
        ends = {f"m{each} instance=i:1 job=j end" for each in alive - page}
        assert sorted(target.shown(scraped.batch)) == sorted(values | ends)
        assert scraped.added == len(page - alive)
        alive = page


# -- protobuf --------------------------------------------------------------------------------------------------------


def delimited(*families: Any) -> bytes:
    body = b""
    for family in families:
        message = family.SerializeToString()
        size = len(message)
        while size > 0x7F:
            body += bytes([size & 0x7F | 0x80])
            size >>= 7
        body += bytes([size]) + message
    return body


def native() -> Any:
    family = MetricFamily(name="took", type=4, help="How long.")
    histogram = family.metric.add().histogram
    histogram.sample_count, histogram.sample_sum, histogram.schema = 6, 12.5, 3
    histogram.zero_threshold, histogram.zero_count = 0.001, 1
    histogram.positive_span.add(offset=1, length=2)
    histogram.positive_delta.extend([2, 1])
    histogram.bucket.add(cumulative_count=6, upper_bound=10)
    exemplar = histogram.exemplars.add(value=3)
    exemplar.timestamp.seconds, exemplar.timestamp.nanos = 1_700_000_000, 5_000_000
    return family


HISTOGRAM = NativeHistogram(3, 6.0, 12.5, 0.001, 1.0, Buckets((1,), (2,), (2.0, 3.0)), reset_hint=ResetHint.UNKNOWN)


def test_protobuf_has_native_histograms():
    target = Scraper()
    scraped = target.scrape(delimited(native()), Format.PROTOBUF)
    [sample] = scraped.batch.histograms
    assert (sample.histogram, len(scraped.batch.positions)) == (HISTOGRAM, 0)
    assert [each.ts_ms for each in scraped.batch.exemplars] == [1_700_000_000_005]
    assert scraped.batch.metadata == [MetricMetadata("took", "histogram", "How long.", "")]
    gone = target.scrape(b"", Format.PROTOBUF).batch
    assert ([each.histogram for each in gone.histograms], len(gone.positions)) == ([STALE_HISTOGRAM], 0)


def test_classic_series_of_native_histograms_are_kept_when_asked_for():
    target = Scraper(replace(OURS, labels={}, classic=True))
    scraped = target.scrape(delimited(native()), Format.PROTOBUF)
    assert len(scraped.batch.histograms) == 1
    assert target.shown(scraped.batch) == [
        "took_bucket le=10.0 6", "took_bucket le=+Inf 6", "took_sum 12.5", "took_count 6",
    ]  # fmt: skip


def wide(buckets: int) -> Any:
    family = native()
    histogram = family.metric[0].histogram
    del histogram.positive_span[:], histogram.positive_delta[:]
    histogram.positive_span.add(offset=-3, length=buckets)
    histogram.positive_delta.extend([1] + [0] * (buckets - 1))
    histogram.sample_count = buckets + 1
    return family


@pytest.mark.parametrize(
    ("treatment", "schema", "positive"),
    [
        ({}, 3, Buckets((-3,), (8,), (1.0,) * 8)),  # indices -3 … 4
        ({"bucket_limit": 8}, 3, Buckets((-3,), (8,), (1.0,) * 8)),
        # Two neighbours become one: -3 and -2 are -1, -1 and 0 are 0, 1 and 2 are 1, 3 and 4 are 2.
        ({"bucket_limit": 7}, 2, Buckets((-1,), (4,), (2.0,) * 4)),
        ({"bucket_limit": 2}, 1, Buckets((0,), (2,), (4.0, 4.0))),
        ({"finest_schema": finest_schema(1.5)}, 0, Buckets((0,), (2,), (4.0, 4.0))),
        ({"finest_schema": finest_schema(1.1)}, 2, Buckets((-1,), (4,), (2.0,) * 4)),
    ],
)
def test_native_histograms_are_made_as_coarse_as_the_job_says(
    treatment: dict[str, Any], schema: int, positive: Buckets
) -> None:
    [sample] = Scraper(replace(OURS, **treatment)).scrape(delimited(wide(8)), Format.PROTOBUF).batch.histograms
    assert (sample.histogram.schema, sample.histogram.positive) == (schema, positive)
    assert (sample.histogram.count, sample.histogram.zero_count) == (9.0, 1.0)


def test_a_page_with_a_native_histogram_that_cannot_be_made_small_enough_is_refused() -> None:
    with pytest.raises(BadInput, match="2 buckets, more than the job's native_histogram_bucket_limit of 1"):
        Scraper(replace(OURS, bucket_limit=1)).scrape(delimited(wide(8)), Format.PROTOBUF)


def test_protobuf_says_what_the_text_format_says():
    counter = MetricFamily(name="c_total", type=0)
    made = counter.metric.add(timestamp_ms=AT)
    made.counter.value = 3
    made.label.add(name="x", value="y")
    summary = MetricFamily(name="s", type=2)
    about = summary.metric.add().summary
    about.sample_count, about.sample_sum = 4, 5.5
    about.quantile.add(quantile=0.5, value=7)
    histogram = MetricFamily(name="h", type=4)
    buckets = histogram.metric.add().histogram
    buckets.sample_count, buckets.sample_sum = 9, 1.5
    buckets.bucket.add(cumulative_count=2, upper_bound=1)
    gauge = MetricFamily(name="g", type=1)
    gauge.metric.add().gauge.value = -1
    untyped = MetricFamily(name="u", type=3)
    untyped.metric.add().untyped.value = 2
    body = delimited(counter, summary, histogram, gauge, untyped)
    text = f"""# TYPE c_total counter
c_total{{x="y"}} 3 {AT}
# TYPE s summary
s{{quantile="0.5"}} 7
s_sum 5.5
s_count 4
# TYPE h histogram
h_bucket{{le="1"}} 2
h_bucket{{le="+Inf"}} 9
h_sum 1.5
h_count 9
# TYPE g gauge
g -1
# TYPE u untyped
u 2
"""
    one, two = Scraper(), Scraper()
    binary, textual = one.scrape(body, Format.PROTOBUF).batch, two.scrape(text).batch
    assert one.shown(binary) == two.shown(textual)
    assert binary.metadata == textual.metadata
    assert one.shown(one.scrape(body, Format.PROTOBUF).batch)[1:] == two.shown(textual)[1:]


@pytest.mark.parametrize(
    "body", [b"\xff", b"\x05ab", b"\x02\xff\xff", b"\x00", delimited(MetricFamily(name="a", type=9))]
)
def test_what_is_no_protobuf_page_is_refused(body):
    with pytest.raises(BadInput, match=r"page|type"):
        Scraper().scrape(body, Format.PROTOBUF)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_protobuf_page_or_refused(body):
    with contextlib.suppress(BadInput):
        assert Scraper().scrape(body, Format.PROTOBUF).scraped >= 0

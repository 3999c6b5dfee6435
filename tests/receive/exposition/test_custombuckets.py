"""Classic histograms of a page made native: worked out by hand, in all formats, and asked for their quantiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiprism.errors import BadInput
from aiprism.model.histograms import CUSTOM_BUCKETS, STALE_HISTOGRAM, Buckets, NativeHistogram
from aiprism.model.labels import Labels
from aiprism.receive.exposition.pages import Scraped
from aiprism.receive.exposition.proto import MetricFamily
from aiprism.receive.exposition.rows import Format
from tests.receive.exposition.test_pages import AT, OURS, Scraper, delimited, native

CONVERTED = replace(OURS, labels={}, custom_buckets=True)
# Four in all: one up to 0.1, none up to 0.5, two up to 1, one above.
TOOK = """# HELP took How long.
# TYPE took histogram
took_bucket{path="/a",le="0.1"} 1
took_bucket{path="/a",le="0.5"} 1
took_bucket{path="/a",le="1"} 3
took_bucket{path="/a",le="+Inf"} 4
took_sum{path="/a"} 12.5
took_count{path="/a"} 4
"""
HISTOGRAM = NativeHistogram(
    CUSTOM_BUCKETS, 4.0, 12.5, positive=Buckets((0,), (4,), (1.0, 0.0, 2.0, 1.0)), custom_values=(0.1, 0.5, 1.0)
)


def natives(target: Scraper, scraped: Scraped) -> dict[str, NativeHistogram]:
    samples = scraped.batch.histograms
    labels = [Labels(pairs) for pairs in target.room.index.labels(np.array([each.position for each in samples], int))]
    return {
        " ".join(
            [each.name, *(f"{name}={value}" for name, value in each.pairs if name != "__name__")]
        ): sample.histogram
        for each, sample in zip(labels, samples, strict=True)
    }


def shown(page: str, form: Format = Format.TEXT) -> tuple[list[str], dict[str, NativeHistogram]]:
    target = Scraper(CONVERTED)
    scraped = target.scrape(page, form)
    return target.shown(scraped.batch), natives(target, scraped)


def test_a_classic_histogram_becomes_one_with_custom_buckets():
    assert shown(f"a 1\n{TOOK}b 2\n") == (["a 1", "b 2"], {"took path=/a": HISTOGRAM})


def test_it_counts_as_one_sample_and_is_followed_like_any_other():
    target = Scraper(CONVERTED)
    first = target.scrape(TOOK)
    again = target.scrape(TOOK.replace("} 4\n", "} 5\n"))
    gone = target.scrape("a 1\n")
    assert [(each.scraped, each.kept, each.added) for each in (first, again, gone)] == [(1, 1, 1), (1, 1, 0), (1, 1, 1)]
    more = Buckets((0,), (4,), (1.0, 0.0, 2.0, 2.0))
    assert natives(target, again) == {"took path=/a": replace(HISTOGRAM, count=5.0, positive=more)}
    assert natives(target, gone) == {"took path=/a": STALE_HISTOGRAM}
    assert target.shown(gone.batch) == ["a 1"]


def test_the_classic_series_stay_beside_it_when_asked_for():
    target = Scraper(replace(CONVERTED, classic=True))
    scraped = target.scrape(TOOK)
    assert natives(target, scraped) == {"took path=/a": HISTOGRAM}
    assert target.shown(scraped.batch) == [
        "took_bucket le=0.1 path=/a 1", "took_bucket le=0.5 path=/a 1", "took_bucket le=1.0 path=/a 3",
        "took_bucket le=+Inf path=/a 4", "took_sum path=/a 12.5", "took_count path=/a 4",
    ]  # fmt: skip


def test_openmetrics_keeps_exemplars_and_the_time_of_its_creation():
    page = (
        TOOK.replace('le="1"} 3', 'le="1.0"} 3 # {trace_id="00000000000000000000000000000001"} 0.7 1700000000.5')
        + 'took_created{path="/a"} 1.7e+09\n# TYPE g gaugehistogram\ng_bucket{le="+Inf"} 2\ng_gsum 3\ng_gcount 2\n# EOF\n'
    )
    target = Scraper(CONVERTED)
    scraped = target.scrape(page, Format.OPENMETRICS)
    assert natives(target, scraped) == {"took path=/a": HISTOGRAM}
    assert target.shown(scraped.batch) == [
        "took_created path=/a 1.7e+09", "g_bucket le=+Inf 2", "g_gsum 3", "g_gcount 2",
    ]  # fmt: skip
    [exemplar] = scraped.batch.exemplars
    [sample] = scraped.batch.histograms
    assert (exemplar.position, exemplar.value, exemplar.ts_ms) == (sample.position, 0.7, 1_700_000_000_500)


def took_in_protobuf() -> bytes:
    family = MetricFamily(name="took", type=4)
    metric = family.metric.add()
    metric.label.add(name="path", value="/a")
    metric.histogram.sample_count, metric.histogram.sample_sum = 4, 12.5
    for bound, count in ((0.1, 1), (0.5, 1), (1.0, 3)):
        metric.histogram.bucket.add(upper_bound=bound, cumulative_count=count)
    return delimited(family, native_called("size"))


def native_called(name: str):
    family = native()
    family.name = name
    return family


@pytest.mark.parametrize("classic", [False, True])
def test_in_protobuf_what_is_native_already_stays_so(classic: bool):
    target = Scraper(replace(CONVERTED, classic=classic))
    scraped = target.scrape(took_in_protobuf(), Format.PROTOBUF)
    found = natives(target, scraped)
    assert (found["took path=/a"], found["size"].schema, len(found)) == (HISTOGRAM, 3, 2)
    names = {each.split(" ")[0] for each in target.shown(scraped.batch)}
    assert names == (
        {f"{name}_{what}" for name in ("took", "size") for what in ("bucket", "sum", "count")} if classic else set()
    )


def test_without_native_histograms_their_classic_buckets_are_taken():
    target = Scraper(replace(OURS, labels={}, native=False))
    scraped = target.scrape(delimited(native()), Format.PROTOBUF)
    assert scraped.batch.histograms == []
    assert target.shown(scraped.batch) == [
        "took_bucket le=10.0 6", "took_bucket le=+Inf 6", "took_sum 12.5", "took_count 6",
    ]  # fmt: skip
    made = Scraper(replace(CONVERTED, native=False))
    of_ten = NativeHistogram(CUSTOM_BUCKETS, 6.0, 12.5, positive=Buckets((0,), (1,), (6.0,)), custom_values=(10.0,))
    assert natives(made, made.scrape(delimited(native()), Format.PROTOBUF)) == {"took": of_ten}


def h(*lines: str) -> str:
    return "# TYPE h histogram\n" + "".join(f"h_{line}\n" for line in lines)


def custom(bounds: tuple[float, ...], *counts: float, first: int = 0, total: float = 0.0) -> NativeHistogram:
    buckets = Buckets((first,), (len(counts),), counts)
    return NativeHistogram(CUSTOM_BUCKETS, sum(counts), total, positive=buckets, custom_values=bounds)


SOUND = {
    "in any order": (
        h('bucket{le="+Inf"} 3', "count 3", 'bucket{le="2"} 1', "sum 5"),
        custom((2.0,), 1.0, 2.0, total=5.0),
    ),
    "no last bucket": (h('bucket{le="1"} 1', "sum 9", "count 3"), custom((1.0,), 1.0, 2.0, total=9.0)),
    "no count": (h('bucket{le="1"} 0', 'bucket{le="+Inf"} 2', "sum 9"), custom((1.0,), 2.0, first=1, total=9.0)),
    "no buckets": (h("sum 9", "count 3"), custom((), 3.0, total=9.0)),
    "no whole numbers": (h('bucket{le="1"} 0.5', 'bucket{le="+Inf"} 2', "count 2"), custom((1.0,), 0.5, 1.5)),
    "a bucket twice": (
        h('bucket{le="1"} 1', 'bucket{le="1.0"} 7', 'bucket{le="+Inf"} 2', "count 2"),
        custom((1.0,), 1.0, 1.0),
    ),
}


@pytest.mark.parametrize(("page", "expected"), SOUND.values(), ids=SOUND)
def test_what_can_be_understood_is_made_native(page: str, expected: NativeHistogram):
    assert shown(page) == ([], {"h": expected})


def test_one_of_nothing_seen_has_no_buckets():
    empty = NativeHistogram(CUSTOM_BUCKETS, 0.0, 0.0, custom_values=(1.0,))
    assert shown(h('bucket{le="1"} 0', 'bucket{le="+Inf"} 0', "sum 0", "count 0")) == ([], {"h": empty})


UNSOUND = {
    "neither count nor last bucket": h('bucket{le="1"} 1', "sum 9"),
    "not cumulative": h('bucket{le="1"} 2', 'bucket{le="2"} 1', 'bucket{le="+Inf"} 2', "count 2"),
    "another count": h('bucket{le="1"} 1', 'bucket{le="+Inf"} 2', "count 3"),
    "below zero": h('bucket{le="1"} -1', 'bucket{le="+Inf"} 2', "count 2"),
    "no number": h('bucket{le="1"} NaN', 'bucket{le="+Inf"} 2', "count 2"),
    "no bound": h('bucket{le="one"} 1', 'bucket{le="+Inf"} 2', "count 2"),
    "two times": h(f'bucket{{le="1"}} 1 {AT}', 'bucket{le="+Inf"} 2', "count 2"),
    "no type": h('bucket{le="1"} 1', 'bucket{le="+Inf"} 2', "count 2").replace(" histogram", " counter"),
    "of another family": h("count 3", "sum 1").replace(
        " histogram", " histogram\n# TYPE h_count gauge\n# TYPE h_sum gauge"
    ),
}


@pytest.mark.parametrize("page", UNSOUND.values(), ids=UNSOUND)
def test_what_is_not_sound_stays_as_it_is(page: str):
    numbers, histograms = shown(page)
    assert (len(numbers), histograms) == (sum(not line.startswith("#") for line in page.splitlines()), {})


def test_one_that_is_not_sound_does_not_hold_up_its_neighbour_and_may_mend():
    target = Scraper(CONVERTED)
    broken = TOOK + h('bucket{le="1"} 3', 'bucket{le="+Inf"} 2', "count 2")
    scraped = target.scrape(broken)
    assert (natives(target, scraped), len(target.shown(scraped.batch))) == ({"took path=/a": HISTOGRAM}, 3)
    mended = target.scrape(broken.replace('le="1"} 3\nh', 'le="1"} 1\nh'))
    assert natives(target, mended) == {"took path=/a": HISTOGRAM, "h": custom((1.0,), 1.0, 1.0)}
    assert all(each.endswith("end") for each in target.shown(mended.batch))
    assert len(target.shown(mended.batch)) == 3


def test_a_page_with_more_custom_buckets_than_the_job_allows_is_refused():
    target = Scraper(replace(CONVERTED, bucket_limit=4))
    assert natives(target, target.scrape(TOOK)) == {"took path=/a": HISTOGRAM}
    with pytest.raises(BadInput, match="4 buckets, more than the job's native_histogram_bucket_limit of 3"):
        Scraper(replace(CONVERTED, bucket_limit=3)).scrape(TOOK)


def test_relabelling_sees_the_histogram_by_the_name_of_its_family():
    def renamed(labels):
        return {**labels, "__name__": "mine"} if labels["__name__"] == "took" else None

    target = Scraper(replace(CONVERTED, relabelled=renamed))
    assert list(natives(target, target.scrape(TOOK))) == ["mine path=/a"]

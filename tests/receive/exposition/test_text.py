"""Pages of the text formats: what a line says, and what is no page at all."""

from __future__ import annotations

import contextlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from aiprism.errors import BadInput
from aiprism.receive.exposition.rows import NO_TIME, Rows
from aiprism.receive.exposition.text import openmetrics_float, rows
from aiprism.store.batches import MetricMetadata
from aiprism.store.columns import FingerprintTable


def read(page: str | bytes, *, openmetrics: bool = False) -> Rows:
    body = page if isinstance(page, bytes) else page.encode()
    return rows(body, FingerprintTable(), 7, 1, openmetrics=openmetrics)


def said(page: str, *, openmetrics: bool = False) -> list[tuple[dict[str, str], float, int | None]]:
    found = read(page, openmetrics=openmetrics)
    times = [None if at == NO_TIME else at for at in found.ts_ms.tolist()]
    return [(found.labels(at), value, times[at]) for at, value in enumerate(found.values.tolist())]


LINES = [
    ("a 1", {"__name__": "a"}, 1.0, None),
    ("a{} 1", {"__name__": "a"}, 1.0, None),
    ("  a\t1  ", {"__name__": "a"}, 1.0, None),
    ("a 1 1700000000000", {"__name__": "a"}, 1.0, 1_700_000_000_000),
    ("a 1 -5", {"__name__": "a"}, 1.0, -5),
    ('a{b="c"} 1', {"__name__": "a", "b": "c"}, 1.0, None),
    ('a{b="c",} 1', {"__name__": "a", "b": "c"}, 1.0, None),
    ('a { b = "c" , d = "e" } 1', {"__name__": "a", "b": "c", "d": "e"}, 1.0, None),
    ('a{b="}"}1', {"__name__": "a", "b": "}"}, 1.0, None),
    ('a{b="\\\\\\"\\n{,}"} 1', {"__name__": "a", "b": '\\"\n{,}'}, 1.0, None),
    ('a{b="\\x"} 1', {"__name__": "a", "b": "\\x"}, 1.0, None),
    ('a{b=""} 1', {"__name__": "a", "b": ""}, 1.0, None),
    ('a{b="ü€😀"} 1', {"__name__": "a", "b": "ü€😀"}, 1.0, None),
    ('{"a.b"} 1', {"__name__": "a.b"}, 1.0, None),
    ('{"a.b",c="d"} 1', {"__name__": "a.b", "c": "d"}, 1.0, None),
    ('{"a.b","c d"="e"} 1', {"__name__": "a.b", "c d": "e"}, 1.0, None),
    ('a:b_c{__x="1"} 1', {"__name__": "a:b_c", "__x": "1"}, 1.0, None),
    ("a 1e3", {"__name__": "a"}, 1000.0, None),
    ("a -1.5E-3", {"__name__": "a"}, -0.0015, None),
    ("a +.5", {"__name__": "a"}, 0.5, None),
    ("a 5.", {"__name__": "a"}, 5.0, None),
    ("a +Inf", {"__name__": "a"}, math.inf, None),
    ("a -infinity", {"__name__": "a"}, -math.inf, None),
    ("a 1e400", {"__name__": "a"}, math.inf, None),
    ("a 1e-400", {"__name__": "a"}, 0.0, None),
]


@pytest.mark.parametrize(("line", "labels", "value", "at"), LINES, ids=[each[0] for each in LINES])
def test_a_line_is_a_series_a_value_and_perhaps_a_time(line, labels, value, at):
    assert said(line) == said(f"# a comment\n\n{line}\n") == [(labels, value, at)]


NO_LINES = [
    ("a", "expected a value"),
    ("1 2", "no series"),
    ("{} 1", "no series"),
    ('a{b="c" 1', "do not end"),
    ('a{b="c\n"} 1', "do not end"),
    ("a{b=c} 1", "not a label"),
    ('a{b="c" d="e"} 1', "not a label"),
    ('a{b="c",b="d"} 1', "twice"),
    ('a{="c"} 1', "not a label"),
    ('a{,b="c"} 1', "not a label"),
    ('a-b{c="d"} 1', "no series"),
    ('a{b-c="d"} 1', "not a label"),
    ("a 1x", "is no number"),
    ("a 0x10", "is no number"),
    ("a 1_000", "is no number"),
    ("a e5", "is no number"),
    ("a 1e", "is no number"),
    ("a .", "is no number"),
    ("a nano", "is no number"),
    ("a 1 1.5", "is no timestamp"),
    ("a 1 99999999999999999999", "is no timestamp"),
    ("a 1 2 3", "end of the line"),
    ('a 1 # {x="y"} 1', "end of the line"),
    ("# TYPE a bogus\na 1", "is no type"),
]


@pytest.mark.parametrize(("line", "why"), NO_LINES, ids=[each[0] for each in NO_LINES])
def test_what_is_no_line_is_said_with_its_words(line, why):
    with pytest.raises(BadInput, match=why):
        said(line)


def test_a_fault_names_its_line():
    with pytest.raises(BadInput, match=r"line 3: 'two' is no number: 'b two'"):
        read("# HELP a\na 1\nb two\nc 3\n")


def test_labels_that_are_not_utf8_are_refused():
    with pytest.raises(BadInput, match="not UTF-8"):
        read(b'a{b="\xff"} 1\n').labels(0)


def test_bounds_and_quantiles_are_written_one_way_whichever_way_they_were_sent():
    page = "\n".join([
        "# TYPE h histogram", 'h_bucket{le="1"} 1', 'h_bucket{le="0.250"} 1', 'h_bucket{le="+Inf"} 1',
        "# TYPE s summary", 's{quantile="1",le="1"} 1',
        "# TYPE g gauge", 'g{le="1",quantile="1"} 1',
    ])  # fmt: skip
    assert [labels for labels, *_ in said(page)] == [
        {"__name__": "h_bucket", "le": "1.0"},
        {"__name__": "h_bucket", "le": "0.25"},
        {"__name__": "h_bucket", "le": "+Inf"},
        {"__name__": "s", "quantile": "1.0", "le": "1"},
        {"__name__": "g", "le": "1", "quantile": "1"},
    ]


FLOATS = [
    (0.0, "0.0"), (1.0, "1.0"), (-2.0, "-2.0"), (100000.0, "100000.0"), (999999.5, "999999.5"), (1e6, "1e+06"),
    (1234567.0, "1.234567e+06"), (0.0001, "0.0001"), (0.00001, "1e-05"), (1e100, "1e+100"), (math.inf, "+Inf"),
    (-math.inf, "-Inf"), (math.nan, "NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), FLOATS)
def test_bounds_are_written_as_go_writes_them(value, text):
    assert openmetrics_float(value) == text


def test_comments_describe_metrics():
    page = "\n".join([
        "# HELP a one \\\\ two\\nthree", "# TYPE a untyped", "# words", "#HELP c d", '# TYPE "b.c" counter', "# EOF is no end here",
    ])  # fmt: skip
    assert list(read(page).metadata()) == [
        MetricMetadata("a", "unknown", "one \\ two\nthree", ""),
        MetricMetadata("c", "unknown", "d", ""),
        MetricMetadata("b.c", "counter", "", ""),
    ]
    assert read(page).metadata_hash == read(f"{page}\na 1").metadata_hash != read(f"{page}\n# x").metadata_hash


# -- OpenMetrics -----------------------------------------------------------------------------------------------------


def test_openmetrics_has_seconds_units_exemplars_and_an_end():
    page = "\n".join([
        "# TYPE a_seconds counter", "# UNIT a_seconds seconds", "# HELP a_seconds b",
        'a_seconds_total{x="y"} 1 1700000000.25 # {trace_id="abc"} 0.5 1700000000.125',
        'a_seconds_total{x="z"} 2 # {} 7', "# EOF", "",
    ])  # fmt: skip
    found = read(page, openmetrics=True)
    assert said(page, openmetrics=True) == [
        ({"__name__": "a_seconds_total", "x": "y"}, 1.0, 1_700_000_000_250),
        ({"__name__": "a_seconds_total", "x": "z"}, 2.0, None),
    ]
    assert [(each.row, each.labels, each.value, each.ts_ms) for each in found.exemplars] == [
        (0, {"trace_id": "abc"}, 0.5, 1_700_000_000_125),
        (1, {}, 7.0, None),
    ]
    assert list(found.metadata()) == [MetricMetadata("a_seconds", "counter", "b", "seconds")]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("a 1\n", "does not end with # EOF"),
        ("", "does not end with # EOF"),
        ("a 1\n# EOF\nb 2\n", "after # EOF"),
        ("a 1\n\n# EOF\n", "empty line"),
        ("a 1 1e30\n# EOF\n", "is no timestamp"),
        ("a 1 # x\n# EOF\n", "no exemplar"),
        ('a 1 # {x="y"}\n# EOF\n', "no exemplar"),
        ('a 1 # {x="y"} 1 2 3\n# EOF\n', "no exemplar"),
    ],
)
def test_what_is_no_openmetrics_is_refused(page, why):
    with pytest.raises(BadInput, match=why):
        read(page, openmetrics=True)


# -- against others --------------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats() | st.integers(-(2**63), 2**64).map(float) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
)
def test_numbers_are_read_to_the_bit(numbers):
    page = "".join(f'a{{i="{at}"}} {number!r}\n' for at, number in enumerate(numbers))
    bits = [struct.pack("<d", value) for value in read(page).values.tolist()]
    assert bits == [struct.pack("<d", math.nan if math.isnan(number) else number) for number in numbers]


@given(st.text(alphabet="0123456789.eE+-", min_size=1, max_size=24))
def test_what_python_takes_for_a_number_we_do_and_nothing_else(text):
    try:
        number = float(text)
    except ValueError:
        with pytest.raises(BadInput):
            read(f"a {text}\n")
    else:
        assert read(f"a {text}\n").values.tolist() == [number]


LABEL_VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(
        st.tuples(LABEL_VALUES, LABEL_VALUES, st.floats(allow_nan=False)), max_size=5, unique_by=lambda row: row[:2]
    )
)
def test_pages_of_the_python_client_say_what_its_own_parser_reads(values):
    registry = CollectorRegistry()
    counter = Counter("requests", "How\nmany \\ there were.", ["one", "two"], registry=registry)
    gauge = Gauge("level", "", ["one", "two"], registry=registry)
    histogram = Histogram("took_seconds", "x", ["one"], registry=registry, buckets=(0.1, 1, 1e6))
    summary = Summary("size_bytes", "x", ["two"], registry=registry)
    for one, two, value in values:
        counter.labels(one, two).inc(abs(value))
        gauge.labels(one, two).set(value)
        histogram.labels(one).observe(abs(value), {"trace_id": one.encode().hex()[:20]})
        summary.labels(two).observe(abs(value))
    for page, families, openmetrics in (
        (generate_latest(registry).decode(), text_families, False),
        (generate_openmetrics(registry).decode(), openmetrics_families, True),
    ):
        theirs = [
            ({"__name__": sample.name, **sample.labels}, sample.value)
            for family in families(page)
            for sample in family.samples
        ]
        assert [(labels, value) for labels, value, _ in said(page, openmetrics=openmetrics)] == theirs


@given(st.binary(max_size=60) | st.text(alphabet='ab{}"\\=,# \n1.', max_size=60).map(str.encode), st.booleans())
def test_any_bytes_are_read_or_refused(body, openmetrics):
    with contextlib.suppress(BadInput):
        found = read(body, openmetrics=openmetrics)
        assert all(found.labels(at)["__name__"] for at in range(len(found)))
        assert all(each.metric for each in found.metadata())


def test_a_line_that_came_before_is_known_for_its_target_alone():
    known, page = FingerprintTable(), b'a{b="c"} 1\na{b="d"} 2\n'
    first = rows(page, known, 7, 1, openmetrics=False)
    known.put(first.hashes, np.array([4, 9]))
    assert rows(page, known, 7, 1, openmetrics=False).places.tolist() == [4, 9]
    assert rows(page, known, 7, 2, openmetrics=False).places.tolist() == [-1, -1]

"""OpenTelemetry names → Prometheus names, by each of Prometheus' translation strategies."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.receive.otlp_names import Strategy, bucket_edge, label_pairs, metric_name, unit_name

PLAIN, BARE, UTF8, AS_SENT = (
    Strategy.UNDERSCORES_WITH_SUFFIXES,
    Strategy.UNDERSCORES,
    Strategy.UTF8_WITH_SUFFIXES,
    Strategy.AS_SENT,
)
COUNTER, GAUGE, OTHER = (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "becomes"),
    [
        ("http.server.request.duration", "s", OTHER, "http_server_request_duration_seconds"),
        ("http.server.request.duration_seconds", "s", OTHER, "http_server_request_duration_seconds"),
        ("process.memory", "By", GAUGE, "process_memory_bytes"),
        ("requests", "{request}", COUNTER, "requests_total"),
        ("requests_total", "1", COUNTER, "requests_total"),
        ("total.requests", "", COUNTER, "requests_total"),
        ("cpu.utilization", "1", GAUGE, "cpu_utilization_ratio"),
        ("cpu.ratio.used", "1", GAUGE, "cpu_used_ratio"),
        ("queue.length", "1", OTHER, "queue_length"),
        ("net.io", "By/s", GAUGE, "net_io_bytes_per_second"),
        ("net.io", "{packet}/s", GAUGE, "net_io_per_second"),
        ("net.io", "By/{packet}", GAUGE, "net_io_bytes"),
        ("requests", "1/s", COUNTER, "requests_per_second_total"),
        ("speed", "m/min", GAUGE, "speed_meters_per_minute"),
        ("cpu_seconds_total", "s", COUNTER, "cpu_seconds_total"),
        ("2xx", "", COUNTER, "_2xx_total"),
        ("a@@b  c", "", GAUGE, "a_b_c"),
        ("__hidden__", "", GAUGE, "hidden"),
        ("job:latency:p99", "", GAUGE, "job:latency:p99"),
        ("power", "k:W", GAUGE, "power_k_W"),
        ("ai_prism_documents_processed_total", "", COUNTER, "ai_prism_documents_processed_total"),
        ("温度", "Cel", GAUGE, ""),
    ],
)
def test_by_default_names_are_escaped_and_say_unit_and_type(
    name: str, unit: str, kind: tuple[bool, bool], becomes: str
) -> None:
    assert metric_name(name, unit, counter=kind[0], gauge=kind[1], strategy=PLAIN) == becomes


@pytest.mark.parametrize(
    ("strategy", "name", "unit", "kind", "becomes"),
    [
        (BARE, "http.server.duration", "s", COUNTER, "http_server_duration"),
        (BARE, "9.lives", "", GAUGE, "_9_lives"),
        (UTF8, "http.server.duration", "s", OTHER, "http.server.duration_seconds"),
        (UTF8, "http.server.requests", "", COUNTER, "http.server.requests_total"),
        (UTF8, "http.server.requests.total", "", COUNTER, "http.server.requests_total"),
        (UTF8, "cpu_seconds_total", "s", COUNTER, "cpu_seconds_total"),
        (UTF8, "温度", "Cel", GAUGE, "温度_celsius"),
        (UTF8, "cpu.usage", "1", GAUGE, "cpu.usage_ratio"),
        (AS_SENT, "http.server.duration", "s", COUNTER, "http.server.duration"),
    ],
)
def test_other_strategies_keep_what_they_promise(
    strategy: Strategy, name: str, unit: str, kind: tuple[bool, bool], becomes: str
) -> None:
    assert metric_name(name, unit, counter=kind[0], gauge=kind[1], strategy=strategy) == becomes


@given(st.text(max_size=30), st.text(max_size=8), st.booleans(), st.booleans())
def test_an_escaped_name_is_a_prometheus_name_or_empty(name: str, unit: str, counter: bool, gauge: bool) -> None:
    made = metric_name(name, unit, counter=counter, gauge=gauge and not counter, strategy=PLAIN)
    assert made == "" or (made.isascii() and made.replace(":", "_").isidentifier())
    assert "__" not in made


@pytest.mark.parametrize(
    ("unit", "name"), [("By/s", "bytes_per_second"), ("1", ""), ("{x}", ""), ("widgets", "widgets")]
)
def test_units_are_words(unit: str, name: str) -> None:
    assert unit_name(unit) == name


def test_colliding_attribute_keys_are_joined() -> None:
    assert label_pairs([("a.b", "2"), ("a_b", "1"), ("1st", "x"), ("_in", "y"), ("gone", "")], PLAIN) == {
        "a_b": "2;1",
        "key_1st": "x",
        "key_in": "y",
    }


def test_attributes_never_take_the_place_of_labels_of_ours() -> None:
    sent = [("job", "cron"), ("instance", "i"), ("le", "5"), ("__name__", "n"), ("exported_job", "x")]
    assert label_pairs(sent, PLAIN, ("job", "instance", "le")) == {
        "exported_job": "x;cron",
        "exported_instance": "i",
        "exported_le": "5",
        "exported___name__": "n",
    }


def test_utf8_attribute_keys_stay_as_they_are() -> None:
    assert label_pairs([("http.route", "/"), ("größe", "xl")], AS_SENT) == {"http.route": "/", "größe": "xl"}


@given(
    st.lists(
        st.tuples(st.text(max_size=6), st.text(min_size=1, max_size=4)), max_size=6, unique_by=lambda pair: pair[0]
    )
)
def test_no_attribute_value_is_lost(sent: list[tuple[str, str]]) -> None:
    made = label_pairs(sent, PLAIN)
    assert sorted(value for _, value in sent) == sorted(
        part for text in made.values() for part in ([text] if text in {v for _, v in sent} else text.split(";"))
    ) or any(";" in value for _, value in sent)
    assert all(name.isascii() and name.isidentifier() for name in made)


@pytest.mark.parametrize(
    ("bound", "text"), [(1.0, "1"), (0.005, "0.005"), (1e21, "1" + "0" * 21), (math.inf, "+Inf"), (-math.inf, "-Inf")]
)
def test_bucket_bounds_are_written_without_exponents(bound: float, text: str) -> None:
    assert bucket_edge(bound) == text

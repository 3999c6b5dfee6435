"""Which formats a target is asked for, and which one its answer is in."""

from __future__ import annotations

import pytest

from aiprism.errors import BadInput
from aiprism.receive.exposition.negotiate import accept, format_of
from aiprism.receive.exposition.rows import Format


def test_the_first_protocol_is_asked_for_first():
    assert accept(["PrometheusProto", "PrometheusText1.0.0"]) == (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.6,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4"
    )


def test_those_that_know_of_escaping_are_told_what_names_may_be():
    assert accept(["OpenMetricsText1.0.0", "OpenMetricsText0.0.1"], "underscores") == (
        "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,*/*;q=0.4"
    )


ANSWERS = [
    ("text/plain; version=0.0.4; charset=utf-8", "", Format.TEXT),
    ("TEXT/PLAIN", "", Format.TEXT),
    ("application/openmetrics-text; version=1.0.0; charset=utf-8", "", Format.OPENMETRICS),
    (
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        "",
        Format.PROTOBUF,
    ),
    ("text/html", "PrometheusText0.0.4", Format.TEXT),
    ("", "OpenMetricsText1.0.0", Format.OPENMETRICS),
]


@pytest.mark.parametrize(("content_type", "fallback", "form"), ANSWERS)
def test_the_content_type_names_the_format_or_the_job_does(content_type, fallback, form):
    assert format_of(content_type, fallback) is form


@pytest.mark.parametrize(
    "content_type", ["", "text/html", "application/vnd.google.protobuf; proto=x; encoding=delimited"]
)
def test_an_answer_in_no_known_format_is_refused(content_type):
    with pytest.raises(BadInput, match="fallback_scrape_protocol is not set"):
        format_of(content_type, "")

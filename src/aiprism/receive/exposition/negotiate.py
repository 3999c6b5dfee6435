"""Which formats a target is asked for, and in which one it answered.

Source: Prometheus documentation, `scrape_protocols` and `fallback_scrape_protocol` of scrape_config; "Scrape protocol content
negotiation".
"""

from __future__ import annotations

from collections.abc import Sequence

from aiprism.errors import BadInput
from aiprism.receive.exposition.rows import Format

# By the names of scrape_protocols: what the Accept header says.
PROTOCOLS = {
    "PrometheusProto": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
    "PrometheusText1.0.0": "text/plain;version=1.0.0",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
}
_FORMATS = {
    "application/vnd.google.protobuf": Format.PROTOBUF,
    "application/openmetrics-text": Format.OPENMETRICS,
    "text/plain": Format.TEXT,
}


def accept(protocols: Sequence[str], escaping: str = "allow-utf-8") -> str:
    """The Accept header that asks for `protocols`, the first one first; `escaping` says what is to become of names that are not
    of letters, digits and underscores (metric_name_escaping_scheme).

    >>> accept(["OpenMetricsText1.0.0", "PrometheusText0.0.4"])
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4'
    """
    weight = len(PROTOCOLS) + 1
    asked = []
    for each in protocols:
        asked_names = "" if "0.0." in each else f";escaping={escaping}"  # the older ones know nothing of it
        asked.append(f"{PROTOCOLS[each]}{asked_names};q=0.{weight}")
        weight -= 1
    return ",".join([*asked, f"*/*;q=0.{weight}"])


def format_of(content_type: str, fallback: str) -> Format:
    """The format of an answer; BadInput when its Content-Type names none we read and there is no `fallback` protocol."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    found = _FORMATS.get(media)
    if found is Format.PROTOBUF and not _is_families(parameters):
        found = None
    if found:
        return found
    if fallback:
        return _FORMATS[PROTOCOLS[fallback].partition(";")[0]]
    said = f"an unsupported Content-Type {content_type[:100]!r}" if media else "no Content-Type"
    raise BadInput(f"the target answers with {said}, and fallback_scrape_protocol is not set")


def _is_families(parameters: Sequence[str]) -> bool:
    given = dict(each.partition("=")[::2] for each in parameters)
    return given.get("proto") == "io.prometheus.client.metricfamily" and given.get("encoding") == "delimited"

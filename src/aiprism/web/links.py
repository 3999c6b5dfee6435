"""Where one thing leads to the next: the addresses of what belongs to a span, a log record, a series, a service.

In: names, labels and times, as they were sent. Out: path and query of the HTTP API, encoded, without host, so that they hold
behind any proxy. Pure. Every door that tells of one thing takes the addresses of the others from here; whoever names a
new door for them changes this module alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlencode

from aiprism.model.logs import LogRecord
from aiprism.model.spans import Span
from aiprism.model.timerange import TimeRange

API = "/aiprism/v1"
# What belongs to a moment is looked for so many seconds around it: clocks differ, and logs come late.
AROUND = 60.0
# What authors of exemplars call the id of the trace; OpenMetrics leaves it to them.
TRACE_LABELS = ("trace_id", "traceID", "traceId", "TraceID")
# Where a series says which service it is of, most telling first.
SERVICE_LABELS = ("service", "service_name", "job")

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")

Links = Mapping[str, str]


def trace(trace_id: str) -> str:
    """Every span of a trace."""
    return f"{API}/traces/{quote(trace_id, safe='')}"


def traces(
    span: TimeRange | None = None,
    *,
    query: str = "",
    service: str = "",
    operation: str = "",
    errors: bool = False,
    attribute: str = "",
) -> str:
    """A search for traces; `query` is in Lucene's syntax, `attribute` is `key=value`.

    >>> traces(TimeRange(100, 160), service="a&b", errors=True)
    '/aiprism/v1/traces?service=a%26b&errors=true&start=100&end=160'
    """
    asked = {
        "service": service, "operation": operation, "attribute": attribute, "query": query,
        "errors": "true" if errors else "",
    }  # fmt: skip
    return _address(f"{API}/traces", asked, span)


def logs(
    span: TimeRange | None = None, *, query: str = "", service: str = "", level: str = "", trace_id: str = ""
) -> str:
    """A search for log records; `query` is in Lucene's syntax."""
    asked = {"trace_id": trace_id, "service": service, "level": level, "query": query}
    return _address(f"{API}/logs", asked, span)


def service(name: str) -> str:
    """All that is known of a service.

    >>> service("shop/api eu")
    '/aiprism/v1/services/shop%2Fapi%20eu'
    """
    return f"{API}/services/{quote(name, safe='')}"


def incident(incident_id: str) -> str:
    """An incident with its timeline."""
    return f"{API}/incidents/{quote(incident_id, safe='')}"


def values(selector: str, span: TimeRange) -> str:
    """The values of the series that a selector finds, about a hundred points of them."""
    step = max(15, math.ceil((span.end - span.start) / 100))
    return _address("/api/v1/query_range", {"query": selector, "step": str(step)}, span)


def related(selector: str, span: TimeRange) -> str:
    """What belongs to the series that a selector finds: their exemplars' traces, and their services."""
    return _address(f"{API}/metrics/related", {"query": selector}, span)


def exemplars(selector: str, span: TimeRange) -> str:
    """The exemplars of the series that a selector finds, as Prometheus tells them."""
    return _address("/api/v1/query_exemplars", {"query": selector}, span)


def of_span(span: Span) -> Links:
    """The records written within a span, and its service."""
    ended = (span.start_ns + span.duration_ns) / 1e9
    found = {"logs": _span_logs(span.trace_id, span.span_id, TimeRange(span.start_ns / 1e9, ended))}
    return {**found, "service": service(span.service)} if span.service else found


def of_log(record: LogRecord) -> Links:
    """The trace and the span a record was written in, its neighbours, and its service; what it does not name is not there."""
    at = record.ts_ns / 1e9
    context = _address(f"{API}/logs/context", {"ts_ns": str(record.ts_ns), "service": record.service})
    found = {
        "trace": trace(record.trace_id) if record.trace_id else "",
        "span_logs": _span_logs(record.trace_id, record.span_id, TimeRange(at, at)) if record.span_id else "",
        "context": context,
        "service": service(record.service) if record.service else "",
    }
    return {name: link for name, link in found.items() if link}


def of_pattern(pattern_id: int | str, service_name: str, span: TimeRange) -> Links:
    """The records of a pattern of lines, and the traces most of them were written in (as the facet `trace_id`)."""
    query = f"pattern_id:{pattern_id}"
    facet = {"field": "trace_id", "service": service_name, "query": query}
    return {
        "logs": logs(span, query=query, service=service_name),
        "trace_ids": _address(f"{API}/logs/facets", facet, span),
    }


def of_node(name: str, seen_as: Sequence[str], signals: Sequence[str], span: TimeRange) -> Links:
    """All that is known of a service, and what it sent in `span`, under all its names: of the signals it sends.

    >>> of_node("shop", ["shop", "shop-v2"], ["logs"], TimeRange(1, 2))["logs"]
    '/aiprism/v1/logs?query=service%3A%28%22shop%22%20OR%20%22shop-v2%22%29&start=1&end=2'
    """
    found = {"service": service(name)}
    if "logs" in signals:
        found["logs"] = logs_of(seen_as, span)
    if "traces" in signals:
        found["traces"] = traces_of(seen_as, span)
    return found


def logs_of(names: Sequence[str], span: TimeRange, *, level: str = "") -> str:
    """The records of a service under all its names."""
    return logs(span, **_named(names), level=level)


def traces_of(names: Sequence[str], span: TimeRange, *, operation: str = "", errors: bool = False) -> str:
    """The traces of a service under all its names."""
    return traces(span, **_named(names), operation=operation, errors=errors)


def _named(names: Sequence[str]) -> Mapping[str, str]:
    """What a search asks to find a service under all its names."""
    return {"service": names[0]} if len(names) == 1 else {"query": f"service:({' OR '.join(map(quoted, names))})"}


def of_service(name: str, names: Sequence[str], signals: Sequence[str], span: TimeRange) -> Links:
    """What there is of a service besides its page."""
    found = {key: link for key, link in of_node(name, names, signals, span).items() if key != "service"}
    if "traces" in signals:
        found["errors"] = traces_of(names, span, errors=True)
    matching = [("match[]", f"{{{_of_service(label, names)}}}") for label in SERVICE_LABELS]
    return {
        **found,
        "series": f"/api/v1/series?{_encoded(matching)}",
        "events": f"{API}/events?{_encoded([('service', each) for each in names])}",
        "map": _address(f"{API}/services/map", {}, span),
    }


def of_metric(metric: str, label: str, names: Sequence[str], span: TimeRange) -> Links:
    """What belongs to the series of a metric whose `label` says that they are of the service of these names."""
    selector = f"{{__name__={quoted(metric)},{_of_service(label, names)}}}"
    return {"values": values(selector, span), "related": related(selector, span)}


def of_failure(trace_id: str, span_id: str, span: TimeRange) -> Links:
    """The trace a failed span is in, and the records written within the span."""
    return {"trace": trace(trace_id), "logs": _span_logs(trace_id, span_id, span)}


def any_of(names: Sequence[str], *, spaced: bool = False) -> str:
    """A regular expression (RE2) of any of these names; `spaced`: also behind a namespace, as in OpenTelemetry's `job`.

    >>> any_of(["shop", "a.b"]), any_of(["shop"], spaced=True)
    ('shop|a\\\\.b', '(?:.+/)?(?:shop)')
    """
    several = "|".join(_SPECIAL.sub(r"\\\g<0>", name) for name in names)
    return f"(?:.+/)?(?:{several})" if spaced else several


def of_exemplar(labels: Mapping[str, str]) -> Links:
    """The trace an exemplar names; nothing when it names none.

    >>> of_exemplar({"traceID": "4BF92F3577B34DA6A3CE929D0E0E4736"}), of_exemplar({"user": "7"})
    ({'trace': '/aiprism/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736'}, {})
    """
    named = next((labels[name] for name in TRACE_LABELS if labels.get(name)), "")
    return {"trace": trace(named.lower())} if named else {}


def told(thing: Span | LogRecord) -> dict[str, Any]:
    """A span or a record as our doors tell it: what it is, and where it leads."""
    return {**asdict(thing), "links": dict(of_span(thing) if isinstance(thing, Span) else of_log(thing))}


def of_series(labels: Mapping[str, str], span: TimeRange) -> Links:
    """The values of a series, and its exemplars; `of_node` has what belongs to its service."""
    selector = selector_of(labels)
    return {"values": values(selector, span), "exemplars": exemplars(selector, span)}


def services_named(labels: Mapping[str, str]) -> Sequence[str]:
    """What the labels of a series say its service may be called, most telling first. OpenTelemetry's `job` has its namespace before
    the name.

    >>> services_named({"job": "shop/cart", "instance": "a:1"}), services_named({"le": "5"})
    (['shop/cart', 'cart'], [])
    """
    named = [labels[label] for label in SERVICE_LABELS if labels.get(label)]
    return list(dict.fromkeys(part for each in named for part in (each, each.rpartition("/")[2]) if part))


def selector_of(labels: Mapping[str, str]) -> str:
    """The PromQL selector of exactly these labels.

    >>> selector_of({"__name__": "up", "job": 'a"b'})
    '{__name__="up",job="a\\\\"b"}'
    """
    return "{" + ",".join(f"{_label(name)}={quoted(value)}" for name, value in sorted(labels.items())) + "}"


def quoted(text: str) -> str:
    """A string as PromQL reads it; its escapes are those of Lucene's quotes, too, as far as both know them."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _label(name: str) -> str:
    plain = name.replace("_", "a").isalnum() and name.isascii() and not name[0].isdigit()
    return name if plain else quoted(name)


def _of_service(label: str, names: Sequence[str]) -> str:
    return f"{label}=~{quoted(any_of(names, spaced=label == 'job'))}"


def _span_logs(trace_id: str, span_id: str, span: TimeRange) -> str:
    around = TimeRange(span.start - AROUND, span.end + AROUND)
    return logs(around, trace_id=trace_id, query=f"span_id:{span_id}")


def _address(path: str, asked: Mapping[str, str], span: TimeRange | None = None) -> str:
    # Whole seconds, outwards: an address that is read by people, and loses nothing of its range.
    times = {"start": str(math.floor(span.start)), "end": str(math.ceil(span.end))} if span else {}
    said = {name: value for name, value in {**asked, **times}.items() if value}
    return f"{path}?{_encoded(list(said.items()))}" if said else path


def _encoded(asked: Sequence[tuple[str, str]]) -> str:
    return urlencode(asked, quote_via=quote, safe="")

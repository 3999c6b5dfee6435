"""What one span, log record or series may be like: how old, how many attributes, how long their values.

In: a parsed item and the `Bounds` of its signal. Out: the `Fault` it has, or None: the offending item is left out, not its
neighbours. Bounds are plain numbers, so that compiled code over raw bytes can hold them against a body too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiprism.config import LimitsConfig
from aiprism.errors import BadInput, Refused
from aiprism.store.batches import SampleBatch

_UNBOUNDED = 2**63 - 1
_FIRST_PAGE = 50  # bytes of a long name that an answer repeats


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an item stays behind: `code` of a bounded vocabulary for counters, `message` for its sender."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers an item must keep to, inclusive; times in Unix nanoseconds."""

    tenant: str = ""
    earliest_ns: int = 0
    latest_ns: int = _UNBOUNDED
    attributes: int = _UNBOUNDED
    value_bytes: int = _UNBOUNDED
    events: int = _UNBOUNDED
    links: int = _UNBOUNDED
    expanded_bytes: int = _UNBOUNDED
    new_series: int = _UNBOUNDED  # of one request
    signal: str = ""  # as the time settings name it: spans, logs, samples


ANYTHING = Bounds()


class OutOfBounds(BadInput):
    """An item a tenant may not send; its neighbours are none the worse for it. `code` is that of its fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.code = fault.code


def cause_of(refused: Refused) -> str:
    """What counters call it: the limit that is passed, else its code."""
    return str(refused.details.get("limit", refused.code)).rpartition(".")[2]


SeriesFault = Callable[[Mapping[str, str]], Fault | None]


def no_fault(labels: Mapping[str, str]) -> Fault | None:
    """A series may have any labels."""
    return None


def bounds(limits: LimitsConfig, tenant: str, signal: str, now: float) -> Bounds:
    """The bounds at `now` (Unix seconds) of `signal`: spans, logs or samples."""
    past, future = getattr(limits, f"{signal}_past"), getattr(limits, f"{signal}_future")
    return Bounds(
        tenant=tenant,
        earliest_ns=max(0, int((now - past) * 1e9)) if past else 0,
        latest_ns=int((now + future) * 1e9) if future else _UNBOUNDED,
        attributes=limits.attributes or _UNBOUNDED,
        value_bytes=limits.value_bytes or _UNBOUNDED,
        events=limits.events_per_span or _UNBOUNDED,
        links=limits.links_per_span or _UNBOUNDED,
        expanded_bytes=limits.expanded_bytes or _UNBOUNDED,
        new_series=limits.new_series_per_request or _UNBOUNDED,
        signal=signal,
    )


def resource_fault(resource: Any, scope: Any, items: int, within: Bounds) -> Fault | None:
    """What is wrong with all `items` of one scope because of what they share.

    Every row repeats the attributes of its resource and scope. A small body with one long attribute and very many items
    would be gigabytes in the store: a zip bomb without a zip.
    """
    count = max(len(resource.attributes), len(scope.attributes))
    if count > within.attributes:
        return _too_many("resource or scope", "attributes", count, within.attributes, "limits.attributes", within)
    if (size := resource.ByteSize() + scope.ByteSize()) * items > within.expanded_bytes:
        return Fault(
            "expanded",
            f"{items} items that each repeat {size} bytes of resource and scope attributes, more than the "
            f"{within.expanded_bytes} bytes in all that tenant {within.tenant!r} may send (limits.expanded_bytes); send "
            "fewer items at once",
        )
    return None


def new_series_fault(within: Bounds, many: str = "more") -> Fault:
    """Why a request brings too many series at once: each costs the time and memory of its labels."""
    return Fault(
        "new_series_per_request",
        f"the request brings {many} series not met before, of which tenant {within.tenant!r} may send {within.new_series} "
        "at once (limits.new_series_per_request); send smaller batches",
    )


def span_fault(span: Any, within: Bounds, look_at_values: bool) -> Fault | None:
    """What of an OTLP Span is out of bounds. Values are long to walk: a body shorter than one too long needs no look."""
    begun = span.start_time_unix_nano
    if begun < within.earliest_ns or begun > within.latest_ns:
        return time_fault("span", begun, within)
    if (count := len(span.attributes)) > within.attributes:
        return _too_many("span", "attributes", count, within.attributes, "limits.attributes", within)
    events, links = span.events, span.links
    if events or links:
        if len(events) > within.events:
            return _too_many("span", "events", len(events), within.events, "limits.events_per_span", within)
        if len(links) > within.links:
            return _too_many("span", "links", len(links), within.links, "limits.links_per_span", within)
        if (most := max(len(part.attributes) for part in (*events, *links))) > within.attributes:
            return _too_many("span event or link", "attributes", most, within.attributes, "limits.attributes", within)
    look_at_values = look_at_values and span.ByteSize() > within.value_bytes
    return _value_fault("span", _span_values(span), within) if look_at_values else None


def record_fault(record: Any, within: Bounds, look_at_values: bool) -> Fault | None:
    """What of an OTLP LogRecord is out of bounds."""
    if fault := time_fault("log record", record.time_unix_nano or record.observed_time_unix_nano, within):
        return fault
    if len(record.attributes) > within.attributes:
        return _too_many(
            "log record", "attributes", len(record.attributes), within.attributes, "limits.attributes", within
        )
    if not look_at_values or record.ByteSize() <= within.value_bytes:
        return None
    values = (*((pair.key, pair.value) for pair in record.attributes), ("body", record.body))
    return _value_fault("log record", values, within)


def time_fault(what: str, time_ns: int, within: Bounds) -> Fault | None:
    """Whether `time_ns` lies outside of the time a tenant may send items of."""
    if time_ns < within.earliest_ns:
        return Fault(
            "too_old", f"{what} older than tenant {within.tenant!r} may send now (limits.{within.signal}_past)"
        )
    if time_ns > within.latest_ns:
        return Fault(
            "too_new",
            f"{what} whose time lies further in the future than tenant {within.tenant!r} may send "
            f"(limits.{within.signal}_future); is the sender's clock right?",
        )
    return None


def without_stray_exemplars(batch: SampleBatch, within: Bounds) -> SampleBatch:
    """`batch` without the exemplars of a time that samples may not have."""
    kept = [each for each in batch.exemplars if within.earliest_ns <= each.ts_ms * 1_000_000 <= within.latest_ns]
    return batch if len(kept) == len(batch.exemplars) else replace(batch, exemplars=kept)


def labels_fault(labels: Mapping[str, str], limits: LimitsConfig, tenant: str) -> Fault | None:
    """What of a series' labels (its name among them) is over a limit."""
    if limits.labels_per_series and len(labels) > limits.labels_per_series:
        return Fault(
            "labels",
            f"series with {len(labels)} labels, more than the {limits.labels_per_series} that tenant {tenant!r} may use "
            "(limits.labels_per_series)",
        )
    for name, value in labels.items():
        if limits.label_name_bytes and _longer(name, limits.label_name_bytes):
            return Fault(
                "label_name",
                f"label name {name[:_FIRST_PAGE]!r}… is longer than the {limits.label_name_bytes} bytes that tenant "
                f"{tenant!r} may use (limits.label_name_bytes)",
            )
        if limits.label_value_bytes and _longer(value, limits.label_value_bytes):
            return Fault(
                "label_value",
                f"the value of label {name!r} is longer than the {limits.label_value_bytes} bytes that tenant {tenant!r} "
                "may use (limits.label_value_bytes)",
            )
    return None


# -- inside ----------------------------------------------------------------------------------------------------------


def _too_many(what: str, parts: str, count: int, limit: int, setting: str, within: Bounds) -> Fault:
    return Fault(
        parts, f"{what} with {count} {parts}, more than the {limit} that tenant {within.tenant!r} may send ({setting})"
    )


def _value_fault(what: str, values: Iterable[tuple[str, Any]], within: Bounds) -> Fault | None:
    for key, value in values:
        if _size(value) > within.value_bytes:
            return Fault(
                "value",
                f"{what} whose {key[:_FIRST_PAGE]!r} is longer than the {within.value_bytes} bytes that tenant "
                f"{within.tenant!r} may send (limits.value_bytes)",
            )
    return None


def _span_values(span: Any) -> Iterator[tuple[str, Any]]:
    for part in (span, *span.events, *span.links):
        for pair in part.attributes:
            yield pair.key, pair.value


def _size(value: Any) -> int:
    """Bytes of an AnyValue as sent, about: those of a text are exact."""
    if value.HasField("string_value"):
        text = value.string_value
        return len(text) if text.isascii() else len(text.encode())
    return int(value.ByteSize())


def _longer(text: str, limit: int) -> bool:
    # A character is one to four bytes: only what lies between needs counting.
    return len(text) > limit or (4 * len(text) > limit and len(text.encode("utf-8", "surrogatepass")) > limit)

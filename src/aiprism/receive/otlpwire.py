"""Is an OTLP body good as it is? One pass over its bytes, in compiled code, that trusts nothing.

In: an ExportTraceServiceRequest or ExportLogsServiceRequest as bytes. Out: the number of its items, or "look closer". A
body passes only when protobuf's own parser would take it, every item is one the data model allows, and nothing in it is
unusual: a field of the wrong wire type, a submessage given twice, a group, deep nesting. Whatever does not pass takes the
way over the parsed message (otlp.py), which finds the words for it. So this is never the one to refuse.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aiprism.receive.items import ANYTHING, Bounds
from aiprism.store.wire import all_zero, field, fixed64, is_utf8, kernel

LOOK_CLOSER = -1

# Messages within messages below an attribute's value; protobuf's own parser stops at a hundred.
MAX_DEPTH = 32


def spans_of(body: bytes, within: Bounds = ANYTHING) -> int:
    """The number of spans when `body` is good as it is, LOOK_CLOSER otherwise."""
    return int(_count(np.frombuffer(body, np.uint8), False, _numbers(within)))


def records_of(body: bytes, within: Bounds = ANYTHING) -> int:
    """The number of log records when `body` is good as it is, LOOK_CLOSER otherwise."""
    return int(_count(np.frombuffer(body, np.uint8), True, _numbers(within)))


# Rows of what `_numbers` gives
_EARLIEST, _LATEST, _ATTRIBUTES, _VALUE_BYTES, _EVENTS, _LINKS, _EXPANDED = range(7)


def _numbers(within: Bounds) -> npt.NDArray[np.int64]:
    return np.array(
        [
            within.earliest_ns, within.latest_ns, within.attributes, within.value_bytes, within.events, within.links,
            within.expanded_bytes,
        ],
        np.int64,
    )  # fmt: skip


# A tag in these functions is number·8 + wire type: 10 is field 1 with a length, 57 is field 7 of eight bytes.


@kernel
def _value_ok(buf, at, end):
    """AnyValue: string 1, bool 2, int 3, double 4, array 5, kvlist 6, bytes 7."""
    seen = 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag >= 64:
            continue
        seen += 1
        if seen > 1:
            return False
        if tag == 10:
            if not is_utf8(buf, start, at):
                return False
        elif tag == 42 or tag == 50:
            if not _nested_ok(buf, start, at, tag == 50):
                return False
        elif tag != 16 and tag != 24 and tag != 33 and tag != 58:
            return False
    return True


_VALUE, _LIST, _MAP, _PAIR = 0, 1, 2, 3


@kernel
def _nested_ok(buf, at, end, is_map):
    """An ArrayValue or KeyValueList and all below it. A stack of its own: numba cannot load a recursive kernel from disk."""
    kinds, ends, seen = np.empty(MAX_DEPTH, np.int64), np.empty(MAX_DEPTH, np.int64), np.empty(MAX_DEPTH, np.int64)
    level = 0
    kinds[0], ends[0], seen[0] = _MAP if is_map else _LIST, end, 0
    while True:
        while at == ends[level]:
            level -= 1
            if level < 0:
                return True
        kind = kinds[level]
        tag, _, start, after = field(buf, at, ends[level])
        if after < 0:
            return False
        inner = -1
        if kind == _VALUE:
            if tag < 64:
                seen[level] += 1
                if seen[level] > 1:
                    return False
                if tag == 10:
                    if not is_utf8(buf, start, after):
                        return False
                elif tag == 42:
                    inner = _LIST
                elif tag == 50:
                    inner = _MAP
                elif tag != 16 and tag != 24 and tag != 33 and tag != 58:
                    return False
        elif kind == _PAIR:
            if tag == 10:
                if not is_utf8(buf, start, after):
                    return False
            elif tag == 18:
                seen[level] += 1
                if seen[level] > 1:
                    return False
                inner = _VALUE
            elif tag < 24:
                return False
        elif tag == 10:
            inner = _PAIR if kind == _MAP else _VALUE
        elif tag < 16:
            return False
        if inner < 0:
            at = after
            continue
        level += 1
        if level == MAX_DEPTH:
            return False
        kinds[level], ends[level], seen[level] = inner, after, 0
        at = start


@kernel
def _pair_ok(buf, at, end, within):
    """KeyValue: key 1, value 2."""
    if end - at > within[_VALUE_BYTES]:
        return False
    values = 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 10:
            if not is_utf8(buf, start, at):
                return False
        elif tag == 18:
            values += 1
            if values > 1 or not _value_ok(buf, start, at):
                return False
        elif tag < 24:
            return False
    return True


@kernel
def _resource_ok(buf, at, end, within):
    """Resource: attributes 1, dropped_attributes_count 2, entity_refs 3 (schema_url, type, id_keys, description_keys)."""
    attributes = 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 10:
            attributes += 1
            if not _pair_ok(buf, start, at, within):
                return False
        elif tag == 26:
            while start < at:
                part, _, text, start = field(buf, start, at)
                if start < 0 or (part < 40 and (part & 7 != 2 or not is_utf8(buf, text, start))):
                    return False
        elif tag != 16 and tag < 32:
            return False
    return attributes <= within[_ATTRIBUTES]


@kernel
def _scope_ok(buf, at, end, within):
    """InstrumentationScope: name 1, version 2, attributes 3, dropped_attributes_count 4."""
    attributes = 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 10 or tag == 18:
            if not is_utf8(buf, start, at):
                return False
        elif tag == 26:
            attributes += 1
            if not _pair_ok(buf, start, at, within):
                return False
        elif tag != 32 and tag < 40:
            return False
    return attributes <= within[_ATTRIBUTES]


@kernel
def _event_ok(buf, at, end, within):
    """Event: time 1, name 2, attributes 3, dropped_attributes_count 4."""
    attributes = 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 18:
            if not is_utf8(buf, start, at):
                return False
        elif tag == 26:
            attributes += 1
            if not _pair_ok(buf, start, at, within):
                return False
        elif tag == 9:
            if np.int64(fixed64(buf, start)) < 0:
                return False
        elif tag != 32 and tag < 40:
            return False
    return attributes <= within[_ATTRIBUTES]


@kernel
def _link_ok(buf, at, end, within):
    """Link: trace_id 1, span_id 2, trace_state 3, attributes 4, dropped_attributes_count 5, flags 6."""
    attributes = 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 10:
            if at - start != 16:
                return False
        elif tag == 18:
            if at - start != 8:
                return False
        elif tag == 26:
            if not is_utf8(buf, start, at):
                return False
        elif tag == 34:
            attributes += 1
            if not _pair_ok(buf, start, at, within):
                return False
        elif tag != 40 and tag != 53 and tag < 56:
            return False
    return attributes <= within[_ATTRIBUTES]


@kernel
def _span_ok(buf, at, end, within):
    """Span, as opentelemetry-proto 1.5 numbers it. What makes one unfit is said in otlp.py, which finds the words."""
    has_trace, has_span, has_start, statuses = False, False, False, 0
    attributes, events, links = 0, 0, 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 74:  # attributes first: there are many
            attributes += 1
            if not _pair_ok(buf, start, at, within):
                return False
        elif tag == 10:
            has_trace = at - start == 16 and not all_zero(buf, start, at)
            if not has_trace:
                return False
        elif tag == 18:
            has_span = at - start == 8 and not all_zero(buf, start, at)
            if not has_span:
                return False
        elif tag == 34:
            if at - start != 8 and at != start:
                return False
        elif tag == 26 or tag == 42:  # trace_state, name
            if not is_utf8(buf, start, at):
                return False
        elif tag == 57:
            has_start = True
            begun = np.int64(fixed64(buf, start))
            if begun <= 0 or begun < within[_EARLIEST] or begun > within[_LATEST]:
                return False
        elif tag == 65:
            if np.int64(fixed64(buf, start)) < 0:
                return False
        elif tag == 90:
            events += 1
            if not _event_ok(buf, start, at, within):
                return False
        elif tag == 106:
            links += 1
            if not _link_ok(buf, start, at, within):
                return False
        elif tag == 122:
            statuses += 1
            if statuses > 1:
                return False
            while start < at:
                part, _, text, start = field(buf, start, at)
                if start < 0:
                    return False
                if part == 18:
                    if not is_utf8(buf, text, start):
                        return False
                elif part != 24 and part >> 3 in (2, 3):
                    return False
        elif tag != 48 and tag != 80 and tag != 96 and tag != 112 and tag != 133 and tag < 136:
            return False
    if attributes > within[_ATTRIBUTES] or events > within[_EVENTS] or links > within[_LINKS]:
        return False
    return has_trace and has_span and has_start


@kernel
def _record_ok(buf, at, end, within):
    """LogRecord, as opentelemetry-proto 1.5 numbers it."""
    time, observed, bodies, attributes = np.int64(0), np.int64(0), 0, 0
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 50:
            attributes += 1
            if not _pair_ok(buf, start, at, within):
                return False
        elif tag == 42:
            bodies += 1
            if bodies > 1 or at - start > within[_VALUE_BYTES] or not _value_ok(buf, start, at):
                return False
        elif tag == 9:
            time = np.int64(fixed64(buf, start))
        elif tag == 89:
            observed = np.int64(fixed64(buf, start))
        elif tag == 74:
            if at - start != 16 and at != start:
                return False
        elif tag == 82:
            if at - start != 8 and at != start:
                return False
        elif tag == 26 or tag == 98:  # severity_text, event_name
            if not is_utf8(buf, start, at):
                return False
        elif tag != 16 and tag != 56 and tag != 69 and tag >> 3 != 4 and tag < 104:
            return False
    known = time if time else observed
    if time < 0 or observed < 0 or known == 0 or known < within[_EARLIEST] or known > within[_LATEST]:
        return False
    return attributes <= within[_ATTRIBUTES]


@kernel
def _count(buf, are_logs, within):
    """Items of a request; its outer messages are the same for traces and logs: resource 1, scopes 2, schema_url 3."""
    items, at, end = 0, 0, buf.size
    while at < end:
        tag, _, group, at = field(buf, at, end)
        if at < 0 or (tag != 10 and tag < 16):
            return LOOK_CLOSER
        if tag != 10:
            continue
        resources, shared, scope_bytes, before = 0, 0, 0, items
        while group < at:
            tag, _, scoped, group = field(buf, group, at)
            if group < 0:
                return LOOK_CLOSER
            if tag == 10:
                resources += 1
                shared = group - scoped
                if resources > 1 or not _resource_ok(buf, scoped, group, within):
                    return LOOK_CLOSER
            elif tag == 18:
                scopes = 0
                while scoped < group:
                    tag, _, start, scoped = field(buf, scoped, group)
                    if scoped < 0:
                        return LOOK_CLOSER
                    if tag == 18:
                        good = (
                            _record_ok(buf, start, scoped, within) if are_logs else _span_ok(buf, start, scoped, within)
                        )
                        if not good:
                            return LOOK_CLOSER
                        items += 1
                    elif tag == 10:
                        scopes += 1
                        scope_bytes = max(scope_bytes, scoped - start)
                        if scopes > 1 or not _scope_ok(buf, start, scoped, within):
                            return LOOK_CLOSER
                    elif tag == 26:
                        if not is_utf8(buf, start, scoped):
                            return LOOK_CLOSER
                    elif tag < 32:
                        return LOOK_CLOSER
            elif tag == 26:
                if not is_utf8(buf, scoped, group):
                    return LOOK_CLOSER
            elif tag < 32:
                return LOOK_CLOSER
        if (items - before) * (shared + scope_bytes) > within[_EXPANDED]:
            return LOOK_CLOSER
    return items

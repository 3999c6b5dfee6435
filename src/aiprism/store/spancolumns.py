"""Spans of OTLP bodies as columns of the `spans` table.

In: ExportTraceServiceRequest bodies, joined (repeated fields of a protobuf message merge). Out: one Arrow table, row by
row in the order sent. Compiled code notes where everything lies, then column by column is copied; both without the GIL.
What the bodies mean was checked at the door; a body that cannot be read is a StoreError, so that the group commit
singles it out.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from aiprism.errors import StoreError
from aiprism.store.attributes import id_array, map_array, new_pairs, note_pair, text_array
from aiprism.store.origin import new_groups, open_group, origin_columns
from aiprism.store.wire import DAMAGED, field, fixed32, fixed64, kernel

# Ids and start with their tags: no span the doors let through is shorter.
_SHORTEST = 18 + 10 + 9 + 2

# Of each span: positions of bytes and texts (start, then end), numbers, and how many pairs, events and links there are up to
# and with it.
_TRACE, _SPAN, _PARENT, _STATE, _NAME, _MESSAGE = 0, 2, 4, 6, 8, 10
(_KIND, _START, _END, _FLAGS, _STATUS, _NO_ATTRIBUTES, _NO_EVENTS, _NO_LINKS, _GROUP, _PAIRS, _EVENTS, _LINKS,
 _WIDTH) = range(12, 25)  # fmt: skip
# Of each event and link: positions and numbers.
_AT_TIME, _AT_DROPPED, _AT_PAIRS, _AT_NAME = 0, 1, 2, 3
_TO_FLAGS, _TO_DROPPED, _TO_PAIRS, _TO_TRACE, _TO_SPAN, _TO_STATE = 0, 1, 2, 3, 5, 7


def span_columns(body: bytes) -> pa.Table:
    """The rows of `body`; StoreError when it cannot be read."""
    size, buf = len(body), np.frombuffer(body, np.uint8)
    spans = np.empty((size // _SHORTEST + 1, _WIDTH), np.int64)
    events, links = np.empty((size // 2 + 1, 5), np.int64), np.empty((size // 2 + 1, 9), np.int64)
    pairs, event_pairs, link_pairs = new_pairs(size), new_pairs(size), new_pairs(size)
    groups = new_groups(size)
    found = _note(buf, groups, spans, pairs, events, event_pairs, links, link_pairs)
    if found < 0:
        raise StoreError("the body is no readable ExportTraceServiceRequest", code=33)
    # Column by column from here on.
    span = np.ascontiguousarray(spans[:found].T)
    event = np.ascontiguousarray(events[: span[_EVENTS, -1] if found else 0].T)
    link = np.ascontiguousarray(links[: span[_LINKS, -1] if found else 0].T)
    try:
        attributes, kinds = map_array(buf, pairs, span[_PAIRS])
        event_attributes, event_kinds = map_array(buf, event_pairs, event[_AT_PAIRS])
        link_attributes, link_kinds = map_array(buf, link_pairs, link[_TO_PAIRS])
    except ValueError as error:
        raise StoreError(f"the body holds {error}", code=33) from None
    of_events, of_links = _offsets(span[_EVENTS]), _offsets(span[_LINKS])
    lasted = span[_END] - span[_START]
    return pa.table(
        {
            "trace_id": id_array(buf, span[_TRACE], span[_TRACE + 1], 16),
            "span_id": id_array(buf, span[_SPAN], span[_SPAN + 1], 8),
            "parent_span_id": id_array(buf, span[_PARENT], span[_PARENT + 1], 8),
            "trace_state": text_array(buf, span[_STATE], span[_STATE + 1]),
            "flags": pa.array(span[_FLAGS].astype(np.uint32)),
            "name": text_array(buf, span[_NAME], span[_NAME + 1]).dictionary_encode(),
            "kind": pa.array(_known(span[_KIND], 5)),
            "start": pa.array(span[_START], pa.timestamp("ns")),
            "duration_ns": pa.array(np.maximum(lasted, 0).astype(np.uint64)),
            "ended_before_ns": pa.array(np.maximum(-lasted, 0).astype(np.uint64)),
            "status": pa.array(_known(span[_STATUS], 2)),
            "status_message": text_array(buf, span[_MESSAGE], span[_MESSAGE + 1]),
            "attributes": attributes,
            "attribute_kinds": kinds,
            "event_time": _lists(of_events, pa.array(event[_AT_TIME], pa.timestamp("ns"))),
            "event_name": _lists(of_events, text_array(buf, event[_AT_NAME], event[_AT_NAME + 1]).dictionary_encode()),
            "event_attributes": _lists(of_events, event_attributes),
            "event_kinds": _lists(of_events, event_kinds),
            "event_dropped": _lists(of_events, pa.array(event[_AT_DROPPED].astype(np.uint32))),
            "link_trace_id": _lists(of_links, id_array(buf, link[_TO_TRACE], link[_TO_TRACE + 1], 16)),
            "link_span_id": _lists(of_links, id_array(buf, link[_TO_SPAN], link[_TO_SPAN + 1], 8)),
            "link_trace_state": _lists(of_links, text_array(buf, link[_TO_STATE], link[_TO_STATE + 1])),
            "link_attributes": _lists(of_links, link_attributes),
            "link_kinds": _lists(of_links, link_kinds),
            "link_flags": _lists(of_links, pa.array(link[_TO_FLAGS].astype(np.uint32))),
            "link_dropped": _lists(of_links, pa.array(link[_TO_DROPPED].astype(np.uint32))),
            "dropped_attributes": pa.array(span[_NO_ATTRIBUTES].astype(np.uint32)),
            "dropped_events": pa.array(span[_NO_EVENTS].astype(np.uint32)),
            "dropped_links": pa.array(span[_NO_LINKS].astype(np.uint32)),
            **origin_columns(body, groups, span[_GROUP]),
        }
    )


def _offsets(ends: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate((np.zeros(1, np.int32), ends.astype(np.int32))))


def _lists(offsets: pa.Array, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(offsets, values)


def _known(values: np.ndarray, largest: int) -> np.ndarray:
    return np.where((values < 0) | (values > largest), 0, values).astype(np.int8)


# -- compiled --------------------------------------------------------------------------------------------------------
# A tag is number·8 + wire type: 10 is field 1 with a length, 57 is field 7 of eight bytes.


@kernel
def _note(buf, groups, spans, pairs, events, event_pairs, links, link_pairs):
    """Note every span; their number, negative when the body is damaged."""
    rows, group_number = 0, 0
    # Pairs, events, pairs of events, links, pairs of links so far.
    used = np.zeros(5, np.int64)
    at, end = 0, buf.size
    while at < end:
        tag, _, group, at = field(buf, at, end)
        if at < 0:
            return DAMAGED
        if tag != 10:
            continue
        group_start = group
        while group < at:
            tag, _, scoped, group = field(buf, group, at)
            if group < 0:
                return DAMAGED
            if tag != 18:
                continue
            if not open_group(buf, group_start, at, scoped, group, groups, group_number):
                return DAMAGED
            while scoped < group:
                tag, _, start, scoped = field(buf, scoped, group)
                if scoped < 0:
                    return DAMAGED
                if tag != 18:
                    continue
                if rows == spans.shape[0] or not _span(
                    buf, start, scoped, spans[rows], used, pairs, events, event_pairs, links, link_pairs
                ):
                    return DAMAGED
                spans[rows, _GROUP] = group_number
                rows += 1
            group_number += 1
    return rows


@kernel
def _span(buf, at, end, span, used, pairs, events, event_pairs, links, link_pairs):
    span[:] = 0
    count = used[0]
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 74:
            if not note_pair(buf, start, at, pairs, count):
                return False
            count += 1
        elif tag == 10:
            span[_TRACE], span[_TRACE + 1] = start, at
        elif tag == 18:
            span[_SPAN], span[_SPAN + 1] = start, at
        elif tag == 26:
            span[_STATE], span[_STATE + 1] = start, at
        elif tag == 34:
            span[_PARENT], span[_PARENT + 1] = start, at
        elif tag == 42:
            span[_NAME], span[_NAME + 1] = start, at
        elif tag == 48:
            span[_KIND] = np.int32(value)
        elif tag == 57:
            span[_START] = np.int64(fixed64(buf, start))
        elif tag == 65:
            span[_END] = np.int64(fixed64(buf, start))
        elif tag == 80:
            span[_NO_ATTRIBUTES] = np.uint32(value)
        elif tag == 90:
            if not _event(buf, start, at, events[used[1]], used, event_pairs):
                return False
            used[1] += 1
        elif tag == 96:
            span[_NO_EVENTS] = np.uint32(value)
        elif tag == 106:
            if not _link(buf, start, at, links[used[3]], used, link_pairs):
                return False
            used[3] += 1
        elif tag == 112:
            span[_NO_LINKS] = np.uint32(value)
        elif tag == 122:
            while start < at:
                part, value, text, start = field(buf, start, at)
                if start < 0:
                    return False
                if part == 18:
                    span[_MESSAGE], span[_MESSAGE + 1] = text, start
                elif part == 24:
                    span[_STATUS] = np.int32(value)
        elif tag == 133:
            span[_FLAGS] = fixed32(buf, start)
    used[0] = count
    span[_PAIRS], span[_EVENTS], span[_LINKS] = count, used[1], used[3]
    return True


@kernel
def _event(buf, at, end, event, used, pairs):
    event[:] = 0
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 9:
            event[_AT_TIME] = np.int64(fixed64(buf, start))
        elif tag == 18:
            event[_AT_NAME], event[_AT_NAME + 1] = start, at
        elif tag == 26:
            if not note_pair(buf, start, at, pairs, used[2]):
                return False
            used[2] += 1
        elif tag == 32:
            event[_AT_DROPPED] = np.uint32(value)
    event[_AT_PAIRS] = used[2]
    return True


@kernel
def _link(buf, at, end, link, used, pairs):
    link[:] = 0
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 10:
            link[_TO_TRACE], link[_TO_TRACE + 1] = start, at
        elif tag == 18:
            link[_TO_SPAN], link[_TO_SPAN + 1] = start, at
        elif tag == 26:
            link[_TO_STATE], link[_TO_STATE + 1] = start, at
        elif tag == 34:
            if not note_pair(buf, start, at, pairs, used[4]):
                return False
            used[4] += 1
        elif tag == 40:
            link[_TO_DROPPED] = np.uint32(value)
        elif tag == 53:
            link[_TO_FLAGS] = fixed32(buf, start)
    link[_TO_PAIRS] = used[4]
    return True

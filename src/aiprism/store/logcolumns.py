"""Log records of OTLP bodies as columns for the `logs` table.

In: ExportLogsServiceRequest bodies, joined. Out: one Arrow table, row by row in the order sent. What is done to records before
they are stored (redaction, pipelines) works on `sent_columns`; the pattern of each line is found last, in what is left of it
(`with_patterns`). See spancolumns.py, which works the same.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiprism.errors import StoreError
from aiprism.store.attributes import id_array, map_array, new_pairs, note_pair, text_array, value_array
from aiprism.store.logpatterns import patterns_of
from aiprism.store.origin import new_groups, open_group, origin_columns
from aiprism.store.wire import DAMAGED, field, fixed32, fixed64, kernel

# A time with its tag: no record the doors let through is shorter.
_SHORTEST = 9 + 2

_TRACE, _SPAN, _TEXT, _BODY, _EVENT = 0, 2, 4, 6, 8
_TIME, _OBSERVED, _SEVERITY, _FLAGS, _DROPPED, _GROUP, _PAIRS, _WIDTH = range(10, 18)

_LEVELS = ("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def log_columns(body: bytes) -> pa.Table:
    """The rows of `body` as they were sent, with their patterns; StoreError when it cannot be read."""
    return with_patterns(sent_columns(body))


def sent_columns(body: bytes) -> pa.Table:
    """The same without the patterns."""
    size, buf = len(body), np.frombuffer(body, np.uint8)
    records = np.empty((size // _SHORTEST + 1, _WIDTH), np.int64)
    pairs, groups = new_pairs(size), new_groups(size)
    found = _note(buf, groups, records, pairs)
    if found < 0:
        raise StoreError("the body is no readable ExportLogsServiceRequest", code=33)
    record = np.ascontiguousarray(records[:found].T)
    try:
        attributes, kinds = map_array(buf, pairs, record[_PAIRS])
        lines, line_kinds = value_array(buf, record[_BODY], record[_BODY + 1])
    except ValueError as error:
        raise StoreError(f"the body holds {error}", code=33) from None
    timed = record[_TIME] != 0
    text = text_array(buf, record[_TEXT], record[_TEXT + 1]).dictionary_encode()
    return pa.table(
        {
            # A record without its own time is known by when it was observed (log data model, field Timestamp).
            "ts": pa.array(np.where(timed, record[_TIME], record[_OBSERVED]), pa.timestamp("ns")),
            "timed": pa.array(timed),
            "observed": pa.array(record[_OBSERVED], pa.timestamp("ns")),
            "level": _levels(record[_SEVERITY], text),
            "severity_number": pa.array(np.clip(record[_SEVERITY], 0, 255).astype(np.uint8)),
            "severity_text": text,
            "body": lines,
            "body_kind": pa.array(line_kinds),
            "event_name": text_array(buf, record[_EVENT], record[_EVENT + 1]).dictionary_encode(),
            "trace_id": id_array(buf, record[_TRACE], record[_TRACE + 1], 16),
            "span_id": id_array(buf, record[_SPAN], record[_SPAN + 1], 8),
            "flags": pa.array(record[_FLAGS].astype(np.uint32)),
            "attributes": attributes,
            "attribute_kinds": kinds,
            "dropped_attributes": pa.array(record[_DROPPED].astype(np.uint32)),
            **origin_columns(body, groups, record[_GROUP]),
        }
    )


def with_patterns(rows: pa.Table) -> pa.Table:
    """The rows as they are stored, each with the pattern of its line."""
    lines = rows["body"].combine_chunks()
    _, ends, data = lines.buffers()
    ends = np.frombuffer(ends, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    patterns = patterns_of(np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), ends)
    return rows.append_column("pattern", patterns)


def _levels(severity: np.ndarray, text: pa.DictionaryArray) -> pa.Array:
    """The level's name by its number (four numbers a level); by the sender's text when there is no number."""
    by_number = pa.DictionaryArray.from_arrays(
        pa.array(np.clip((severity + 3) // 4, 0, 6).astype(np.int32)), pa.array(_LEVELS)
    )
    numberless = severity <= 0
    if not numberless.any():
        return by_number
    by_text = pa.DictionaryArray.from_arrays(text.indices, pc.utf8_upper(text.dictionary))
    chosen = pc.if_else(pa.array(numberless), by_text.dictionary_decode(), by_number.dictionary_decode())
    return chosen.dictionary_encode()


# -- compiled --------------------------------------------------------------------------------------------------------


@kernel
def _note(buf, groups, records, pairs):
    """Note every record; their number, negative when the body is damaged."""
    rows, noted, group_number = 0, 0, 0
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
                if rows == records.shape[0]:
                    return DAMAGED
                noted = _record(buf, start, scoped, records[rows], pairs, noted)
                if noted < 0:
                    return DAMAGED
                records[rows, _GROUP] = group_number
                rows += 1
            group_number += 1
    return rows


@kernel
def _record(buf, at, end, record, pairs, noted):
    record[:] = 0
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return DAMAGED
        if tag == 50:
            if not note_pair(buf, start, at, pairs, noted):
                return DAMAGED
            noted += 1
        elif tag == 9:
            record[_TIME] = np.int64(fixed64(buf, start))
        elif tag == 16:
            record[_SEVERITY] = np.int32(value)
        elif tag == 26:
            record[_TEXT], record[_TEXT + 1] = start, at
        elif tag == 42:
            record[_BODY], record[_BODY + 1] = start, at
        elif tag == 56:
            record[_DROPPED] = np.uint32(value)
        elif tag == 69:
            record[_FLAGS] = fixed32(buf, start)
        elif tag == 74:
            record[_TRACE], record[_TRACE + 1] = start, at
        elif tag == 82:
            record[_SPAN], record[_SPAN + 1] = start, at
        elif tag == 89:
            record[_OBSERVED] = np.int64(fixed64(buf, start))
        elif tag == 98:
            record[_EVENT], record[_EVENT + 1] = start, at
    record[_PAIRS] = noted
    return noted

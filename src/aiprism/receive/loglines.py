"""Log lines of agents that do not speak OTLP, gathered into the OTLP request that the store takes.

In: lines with their resource, time, level and attributes, as each door's decoder reads them. Out: `Accepted`, whose body
is an ExportLogsServiceRequest. Also known here: what the world calls its levels, and how it writes times and trace ids.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias

import orjson
import re2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

from aiprism.errors import BadInput
from aiprism.receive.items import ANYTHING, Bounds, Fault, OutOfBounds, record_fault, resource_fault
from aiprism.receive.otlp import Accepted

Value: TypeAlias = str | int | float | bool
# What sent the lines: (name, value) pairs, hashable, so that lines of one sender share one resource.
Resource: TypeAlias = tuple[tuple[str, str], ...]

# Objects nested deeper than this stay JSON text instead of becoming dotted names.
MAX_DEPTH = 8
# So do those under a longer name than this, which each of their fields would repeat: a megabyte would become gigabytes.
_LONGEST_NAME = 256
_DEEPEST = 254  # what orjson writes
TIME_LIMIT = 2**63  # nanoseconds are kept as Int64
_EARLIEST = 10**8  # epoch seconds in 1973: smaller numbers are durations or counts that happen to be called time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Severity:
    """A level as OpenTelemetry numbers it (1–24, 0 when unknown), and as the sender wrote it."""

    number: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `time_ns` 0 means that nobody said when: it is known by when it was received."""

    body: str
    time_ns: int = 0
    severity: Severity = Severity()
    attributes: Iterable[tuple[str, Value]] = ()
    trace_id: bytes = b""
    span_id: bytes = b""


class LogLines:
    """A request in the making. `now_ns` is when the lines were received, `within` what each of them must keep to."""

    def __init__(self, now_ns: int, within: Bounds | None = None) -> None:
        self._now_ns, self._within = now_ns, within
        self._causes, self._reason = Counter[str](), ""
        self._request = ExportLogsServiceRequest()
        self._senders: dict[Resource, _Sender] = {}
        self.count = 0

    def add(self, resource: Resource, line: Line) -> None:
        """Add `line` of `resource`; a line without a level gets the one its text shows. OutOfBounds when it may not come in."""
        sender = self._senders.get(resource) or self._new_sender(resource)
        if len(sender.records) >= sender.room:
            self._leave_out(sender.fault(within=self._within or ANYTHING))
        severity = line.severity if line.severity.number else detected(line.severity, line.body)
        record = sender.records.add(
            # A nanosecond apart, so that lines nobody timed stay in the order they came in.
            time_unix_nano=line.time_ns or self._now_ns + self.count,
            observed_time_unix_nano=self._now_ns,
            severity_number=severity.number,
            severity_text=severity.text,
            trace_id=line.trace_id,
            span_id=line.span_id,
        )
        record.body.string_value = line.body
        put_attributes(record.attributes, line.attributes)
        if self._within and (fault := record_fault(record, self._within, look_at_values=True)):
            del sender.records[-1]
            self._leave_out(fault)
        self.count += 1

    def accepted(self, rejected: int = 0, reason: str = "") -> Accepted:
        """Everything added, as the store takes it. `rejected` counts all lines that stayed behind, 0 those out of bounds."""
        return Accepted(
            self._request.SerializeToString(),
            self.count,
            rejected or self._causes.total(),
            reason or self._reason,
            causes=dict(self._causes),
            is_bounded=self._within is not None,
        )

    def _leave_out(self, fault: Fault) -> NoReturn:
        self._causes[fault.code] += 1
        self._reason = self._reason or fault.message
        raise OutOfBounds(fault)

    def _new_sender(self, resource: Resource) -> _Sender:
        logs = self._request.resource_logs.add()
        put_attributes(logs.resource.attributes, resource)
        sender = self._senders[resource] = _Sender.of(logs, self._within)
        return sender


@dataclass(frozen=True, slots=True)
class _Sender:
    """The lines of one resource, and for how many of them there is room: every row in the store repeats the resource."""

    logs: ResourceLogs
    records: Any  # the repeated LogRecord
    room: int

    @classmethod
    def of(cls, logs: ResourceLogs, within: Bounds | None) -> _Sender:
        records = logs.scope_logs.add().log_records
        if within is None:
            return cls(logs, records, TIME_LIMIT)
        fits = len(logs.resource.attributes) <= within.attributes
        return cls(logs, records, within.expanded_bytes // max(1, logs.resource.ByteSize()) if fits else 0)

    def fault(self, within: Bounds) -> Fault:
        """Why there is no room for one more."""
        found = resource_fault(self.logs.resource, self.logs.scope_logs[0].scope, len(self.records) + 1, within)
        assert found is not None, "there is room"
        return found


def put_attributes(repeated: Any, pairs: Iterable[tuple[str, Value]]) -> None:
    """Append `pairs` to a message's repeated KeyValue; integers of more than 64 bits as text."""
    add = repeated.add
    for key, value in pairs:
        pair = add()
        pair.key = key
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        elif -TIME_LIMIT <= value < TIME_LIMIT:
            pair.value.int_value = value
        else:
            pair.value.string_value = str(value)


def flattened(document: dict[str, object]) -> dict[str, Value]:
    """`document` with dotted names for what is nested; lists become JSON text, null is as good as absent.

    >>> flattened({"host": {"name": "web-1", "ip": ["::1"]}, "up": True, "gone": None})
    {'host.name': 'web-1', 'host.ip': '["::1"]', 'up': True}
    """
    flat: dict[str, Value] = {}
    _flatten(document, "", flat, MAX_DEPTH)
    return flat


def json_text(value: object) -> str:
    """`value` as compact JSON; BadInput when it is nested deeper than anybody reads."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # too deep for orjson, or an integer over 64 bits
        if _is_deeper(value, _DEEPEST):
            raise BadInput("a value is nested too deeply") from None
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (RecursionError, ValueError, TypeError):
        raise BadInput("a value cannot be written as JSON") from None


def _is_deeper(value: object, levels: int) -> bool:
    # Level by level: how deep a recursion may go differs between versions of Python.
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _flatten(document: dict[str, object], prefix: str, flat: dict[str, Value], depth: int) -> None:
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, str | int | float):
            flat[name] = value
        elif isinstance(value, dict) and value and depth and len(name) <= _LONGEST_NAME:
            _flatten(value, f"{name}.", flat, depth - 1)
        elif value is not None:
            flat[name] = json_text(value)


# -- levels ----------------------------------------------------------------------------------------------------------

# OpenTelemetry log data model, SeverityNumber; the syslog names by its appendix B.
_NUMBERS = {
    "trace": 1, "finest": 1, "finer": 2, "verbose": 1, "trc": 1,
    "debug": 5, "dbg": 5, "fine": 5, "config": 6,
    "info": 9, "information": 9, "informational": 9, "inf": 9, "log": 9, "success": 9, "notice": 10,
    "warn": 13, "warning": 13, "wrn": 13,
    "error": 17, "err": 17, "eror": 17, "severe": 17, "critical": 18, "crit": 18, "alert": 19,
    "fatal": 21, "panic": 21, "emerg": 21, "emergency": 21, "dpanic": 21, "ftl": 21,
}  # fmt: skip
# One letter in the head of a line says too little, in a field called level it says enough.
_LETTERS = {"t": 1, "d": 5, "i": 9, "n": 10, "w": 13, "e": 17, "c": 18, "f": 21}
# bunyan and pino count in tens.
_TENS = {10: 1, 20: 5, 30: 9, 40: 13, 50: 17, 60: 21}

# Where a line shows its level: a field of JSON or logfmt, else a word by itself in capitals or brackets, or before a
# colon. Only the head of a line is read: further back these words are mostly part of a sentence. (re2 takes a sixth of
# the time of re here.)
_HEAD = 512
_LEVEL_FIELD = re2.compile(
    r"(?i:\b(?:level|lvl|severity|loglevel|log_level|log\.level)\b\"?\s*[=:]\s*\"?)([A-Za-z]{3,13})\b"
)
_LEVEL_WORD = re2.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|ALERT|FATAL|PANIC|EMERG)\b"
    r"|\[(?i:(trace|debug|info|notice|warn|warning|error|err|critical|crit|alert|fatal|panic|emerg))\]"
    r"|(?:^|\s)(?i:(debug|info|notice|warn|warning|error|critical|fatal|panic)):"
)


@lru_cache(maxsize=1024, typed=True)  # every line has one, and there are few
def severity(level: Hashable) -> Severity:
    """What a field called level says: a name, a letter, or a number of bunyan and pino.

    >>> severity("Warning"), severity(50), severity("7 of 9")
    (Severity(number=13, text='Warning'), Severity(number=17, text='50'), Severity(number=0, text='7 of 9'))
    """
    text = level if isinstance(level, str) else str(level)
    name = text.strip().lower()
    number = _NUMBERS.get(name) or _LETTERS.get(name) or 0
    if not number and name.isdigit() and len(name) < 4:
        number = _TENS.get(int(name), 0)
    return Severity(number, text)


def detected(said: Severity, line: str) -> Severity:
    """The level the text of `line` shows; `said` when it shows none."""
    head = line[:_HEAD]
    found = _LEVEL_FIELD.search(head)
    if found:
        shown = severity(found[1])
        if shown.number:
            return shown if not said.text else Severity(shown.number, said.text)
    found = _LEVEL_WORD.search(head)
    if found is None:
        return said
    word = found[found.lastindex or 1]
    return Severity(_NUMBERS[word.lower()], said.text or word)


# -- times and ids ---------------------------------------------------------------------------------------------------


def nanoseconds(value: object) -> int | None:
    """Unix nanoseconds of an RFC 3339 text or an epoch number (seconds to nanoseconds, told by size); None if it is none.

    >>> nanoseconds("2026-01-02T03:04:05.123456789Z"), nanoseconds("1767323045"), nanoseconds(1767323045123)
    (1767323045123456789, 1767323045000000000, 1767323045123000000)
    >>> nanoseconds("tomorrow"), nanoseconds("1066-10-14")
    (None, None)
    """
    if isinstance(value, str):
        found = _of_text(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = _of_number(value)
    else:
        found = None
    return found if found is not None and 0 < found < TIME_LIMIT else None


def _of_number(value: float) -> int | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    size = abs(value)
    if size < _EARLIEST:
        return None
    factor = 1_000_000_000 if size < 1e11 else 1_000_000 if size < 1e14 else 1_000 if size < 1e17 else 1
    if isinstance(value, int):
        return value * factor
    whole, part = divmod(value, 1)  # apart, or the fraction of a second loses digits to the size of the number
    return int(whole) * factor + round(part * factor)


def _of_text(text: str) -> int | None:
    if len(text) > 64:
        return None
    try:
        if text.isdigit():
            return _of_number(int(text))
        if text[:1].isdigit() and "-" not in text and ":" not in text:
            return _of_number(float(text))
        since = datetime.fromisoformat(text)
    except ValueError:
        return None
    gone = (since if since.tzinfo else since.replace(tzinfo=UTC)) - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000_000 + gone.microseconds * 1_000 + _beyond_micro(text)


_FRACTION = re.compile(r"[.,]\d{6}(\d{1,3})")


def _beyond_micro(text: str) -> int:
    # datetime stops at microseconds; the digits behind them are the line's order within one.
    found = _FRACTION.search(text)
    return int(found[1].ljust(3, "0")) if found else 0


def id_bytes(value: object, length: int) -> bytes:
    """A trace (16) or span id (8) from its hex text; shorter ones are padded on the left; empty when it is none.

    >>> id_bytes("463ac35c9f6413ad", 16).hex()
    '0000000000000000463ac35c9f6413ad'
    """
    if not isinstance(value, str) or not 16 <= len(value) <= 2 * length + 4:
        return b""
    try:
        raw = bytes.fromhex(value.replace("-", ""))
    except ValueError:
        return b""
    return raw.rjust(length, b"\0") if len(raw) <= length and any(raw) else b""

"""Syslog messages of RFC 5424 and RFC 3164, and the frames TCP carries them in (RFC 6587).

In: bytes of datagrams or of a stream. Out: resource and `Line` of each message. Nothing is refused: what is not syslog by
the letter is kept as text, with `syslog.malformed` saying why. The time of RFC 3164 has neither year nor zone, so `now`
and `zone` come in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from aiprism.receive.loglines import Line, Resource, Severity, Value, id_bytes, json_text, nanoseconds, severity

# OpenTelemetry log data model, appendix B: syslog's eight severities.
_SEVERITIES = tuple(
    Severity(number, text)
    for number, text in (
        (21, "emerg"), (19, "alert"), (18, "crit"), (17, "err"), (13, "warning"), (10, "notice"), (9, "info"), (5, "debug"),
    )
)  # fmt: skip
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
    "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
_MONTHS = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}  # fmt: skip
_BOM = "\ufeff"

_PRIORITY = re.compile(r"<(\d{1,3})>")
# RFC 5424 §6: VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID, then the structured data.
_HEADER = re.compile(r"[1-9]\d{0,2} (\S+) (\S+) (\S+) (\S+) (\S+) ?")
_ELEMENT = re.compile(r'\[([^ =\]"]+)((?: +[^ =\]"]+="(?:[^"\\]|\\.)*")*) *\]', re.DOTALL)
_PARAMETER = re.compile(r' +([^ =\]"]+)="((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
# RFC 3164 §4.1.2, with what is seen in the wild: a year behind the day, fractions, and RFC 3339 in its place (rsyslog).
_OLD_TIME = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?:? "
    r"|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) "
)
_HOST = re.compile(r"([^\s:\[\]]+(?::[0-9a-fA-F:.]+)?) (?=\S)")
_TAG = re.compile(r"([^\s:\[\]]{1,64})(?:\[([^\]\s]{1,128})\])?: ?")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it came; `cut` when it was longer than allowed and its end is missing."""

    data: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What a message does not say of itself: when it came, in which zone its sender lives, from which address it came.

    `zone` None is the zone of this machine.
    """

    now_ns: int
    zone: tzinfo | None = UTC
    sender: str = ""


def message(frame: Frame, scene: Scene) -> tuple[Resource, Line]:
    """Resource and line of one message."""
    text = frame.data.decode("utf-8", errors="replace").rstrip("\n\r\0")
    parts = _Parts(scene)
    if frame.cut:
        parts.attributes["syslog.truncated"] = True
    found = _PRIORITY.match(text)
    if found is None or int(found[1]) > 191:
        return parts.malformed(text, "no priority" if found is None else f"priority {found[1]} is over 191")
    parts.priority = int(found[1])
    rest = text[found.end() :]
    header = _HEADER.match(rest)
    if header is not None:
        return parts.of_rfc5424(header, rest[header.end() :])
    return parts.of_rfc3164(rest)


class _Parts:
    """One message being read."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.priority = -1
        self._host = self._app = ""
        self._time_ns = 0
        self._trace_id = self._span_id = b""
        self.attributes: dict[str, Value] = {}

    def malformed(self, body: str, why: str) -> tuple[Resource, Line]:
        self.attributes["syslog.malformed"] = why
        return self._done(body)

    def of_rfc5424(self, header: re.Match[str], rest: str) -> tuple[Resource, Line]:
        stamp, self._host, self._app, process, kind = ("" if part == "-" else part for part in header.groups())
        self._process(process)
        if kind:
            self.attributes["syslog.msgid"] = kind
        self._time_ns = nanoseconds(stamp) or 0
        body = self._structured(rest)
        if body is None:
            return self.malformed(rest, "structured data is not well formed")
        if stamp and not self._time_ns:
            return self.malformed(body, f"timestamp {stamp[:40]!r} is not RFC 3339")
        return self._done(body)

    def of_rfc3164(self, rest: str) -> tuple[Resource, Line]:
        stamp = _OLD_TIME.match(rest)
        if stamp is not None:
            self._time_ns = (nanoseconds(stamp[8]) if stamp[8] else self._old_time(stamp)) or 0
            if not self._time_ns:
                return self.malformed(rest, f"timestamp {stamp[0]!r} is no date")
            rest = rest[stamp.end() :]
            host = _HOST.match(rest)
            if host is not None and not host[1].endswith(":"):
                self._host, rest = host[1], rest[host.end() :]
        tag = _TAG.match(rest)
        # `error: no such file` is a level and a text, not a program called error.
        if tag is not None and (tag[2] or not severity(tag[1]).number):
            self._app, rest = tag[1], rest[tag.end() :]
            self._process(tag[2] or "")
        return self._done(rest)

    def _done(self, body: str) -> tuple[Resource, Line]:
        level = Severity()
        if self.priority >= 0:
            level = _SEVERITIES[self.priority & 7]
            self.attributes["syslog.facility"] = _FACILITIES[self.priority >> 3]
        host = self._host or self._scene.sender
        resource = (("service.name", self._app or "syslog"), *((("host.name", host),) if host else ()))
        body = body.removeprefix(_BOM)
        return resource, Line(body, self._time_ns, level, self.attributes.items(), self._trace_id, self._span_id)

    def _process(self, process: str) -> None:
        if process:
            self.attributes["process.pid" if process.isascii() and process.isdigit() else "syslog.procid"] = process

    def _structured(self, rest: str) -> str | None:
        """What follows the structured data; None when there is none that is well formed."""
        if rest == "-" or rest.startswith("- "):
            return rest[2:]
        at = 0
        while (element := _ELEMENT.match(rest, at)) is not None:
            for parameter in _PARAMETER.finditer(element[2]):
                value = parameter[2]
                self._parameter(element[1], parameter[1], _ESCAPED.sub(r"\1", value) if "\\" in value else value)
            if not element[2]:
                self.attributes.setdefault(f"syslog.structured_data.{element[1]}", "")
            at = element.end()
        if not at or rest[at : at + 1] not in ("", " "):
            return None
        return rest[at + 1 :]

    def _parameter(self, element: str, name: str, value: str) -> None:
        if name in ("trace_id", "traceId") and (found := id_bytes(value, 16)):
            self._trace_id = found
        elif name in ("span_id", "spanId") and (found := id_bytes(value, 8)):
            self._span_id = found
        else:
            key = f"syslog.structured_data.{element}.{name}"
            before = self.attributes.get(key)
            # A parameter may come several times (RFC 5424 §6.3.3, `ip` of origin).
            self.attributes[key] = value if before is None else json_text([before, value])

    def _old_time(self, stamp: re.Match[str]) -> int | None:
        month = _MONTHS.get(stamp[1])
        if month is None:
            return None
        now = datetime.fromtimestamp(self._scene.now_ns / 1e9, UTC)
        fields = (month, int(stamp[2]), int(stamp[4]), int(stamp[5]), int(stamp[6]))
        latest = None
        # The last such day that is not in the future, give or take a day for clocks and zones.
        for year in [int(stamp[3])] if stamp[3] else range(now.year - 1, now.year + 2):
            try:
                when = _in_zone(datetime(year, *fields), self._scene.zone)  # noqa: DTZ001
            except (ValueError, OverflowError, OSError):  # the 29th of February, the 31st of June, hour 24
                continue
            if stamp[3] or when <= now + timedelta(days=1):
                latest = when
        fraction = int((stamp[7] or "0").ljust(9, "0"))
        found = None if latest is None else int(latest.timestamp()) * 1_000_000_000 + fraction
        return found if found is not None and 0 < found < 2**63 else None


def _in_zone(naive: datetime, zone: tzinfo | None) -> datetime:
    # astimezone() takes a naive time as that of this machine, by the rules that held on that day.
    return naive.replace(tzinfo=zone) if zone else naive.astimezone(UTC)


# -- frames ----------------------------------------------------------------------------------------------------------

# Only a count that a priority follows is one: a line of text may begin with a number too.
_COUNT = re.compile(rb"([1-9]\d{0,8}) <")
_MAY_COUNT = re.compile(rb"[1-9]\d{0,8} ?\Z")
_END = re.compile(rb"[\n\0]")


class Frames:
    """The messages in a stream: counted in octets or ended by LF (or NUL), each frame as it likes (RFC 6587 §3.4).

    Holds no more than `limit` bytes of a message that is not whole yet; the rest of a longer one is passed over.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = b""
        self._skip = 0  # octets of a counted message still to be passed over
        self._skip_line = False  # everything up to the end of the line is

    @property
    def pending(self) -> int:
        """Bytes of the message that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """The messages that are whole with `data`."""
        self._buffer += data
        return list(self._whole())

    def rest(self) -> list[Frame]:
        """What was not ended when the stream ended: a line without its LF is whole, a counted message is cut."""
        left, self._buffer = self._buffer, b""
        if not left.strip(b"\r\n\0") or self._skip or self._skip_line:
            return []
        count = _COUNT.match(left)
        return [Frame(left[count.end() - 1 :], cut=True)] if count else [Frame(left)]

    def _whole(self) -> Iterator[Frame]:
        at = 0
        while at < len(self._buffer):
            if self._skip:
                passed = min(self._skip, len(self._buffer) - at)
                self._skip -= passed
                at += passed
                continue
            taken = self._next(at)
            if taken is None:
                break
            frame, at = taken
            if frame is not None and frame.data:
                yield frame
        self._buffer = self._buffer[at:]

    def _next(self, at: int) -> tuple[Frame | None, int] | None:
        """(message, where the next begins); None when more is needed to tell."""
        if not self._skip_line:
            count = _COUNT.match(self._buffer, at)
            if count is not None:
                return self._counted(count)
            if _MAY_COUNT.match(self._buffer, at):
                return None
        return self._line(at)

    def _counted(self, count: re.Match[bytes]) -> tuple[Frame | None, int] | None:
        size, start = int(count[1]), count.end() - 1
        if size > self._limit:
            if len(self._buffer) - start < self._limit:
                return None
            self._skip = size - self._limit
            return Frame(self._buffer[start : start + self._limit], cut=True), start + self._limit
        if len(self._buffer) - start < size:
            return None
        return Frame(self._buffer[start : start + size]), start + size

    def _line(self, at: int) -> tuple[Frame | None, int] | None:
        end = _END.search(self._buffer, at)
        if self._skip_line:
            self._skip_line = end is None
            return None, (end.end() if end else len(self._buffer))
        if end is not None:
            data = self._buffer[at : end.start()].rstrip(b"\r")
            return Frame(data[: self._limit], cut=len(data) > self._limit), end.end()
        if len(self._buffer) - at < self._limit:
            return None
        self._skip_line = True
        return Frame(self._buffer[at : at + self._limit], cut=True), at + self._limit

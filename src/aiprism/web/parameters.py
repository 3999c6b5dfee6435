"""The parameters of Prometheus' HTTP API: what a request says, read as strictly and as freely as Prometheus reads it.

In: a query string, a form, or both. Out: times in Unix seconds, durations in seconds, limits and selectors; `BadInput` names
the parameter and says what is wrong, in Prometheus' words where it has some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import Request

from aiprism.errors import BadInput
from aiprism.model.labels import Matcher
from aiprism.model.timerange import duration_seconds
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import VectorSelector

T = TypeVar("T")

ALWAYS = (-(2**53), 2**53)  # milliseconds: before and after everything
# What Go's clients send for the beginning and the end of all time; no calendar of Python's knows these years.
_EDGES = {"-292273086-05-16T16:47:06Z": -(2.0**43), "292277025-08-18T07:12:54.999999999Z": 2.0**43}
# Of ISO 8601, which Python reads, the part that RFC 3339 and Go take.
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_ESCAPED = re.compile(r"U__(?:[^_]|__|_[0-9a-fA-F]{1,6}_)*")
_ESCAPE = re.compile(r"__|_([0-9a-fA-F]{1,6})_")


class Parameters:
    """The parameters of a request: form, then query string, then path."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    @classmethod
    async def of(cls, request: Request) -> Parameters:
        content_type = request.headers.get("content-type", "")
        pairs: list[tuple[str, str]] = []
        try:
            match content_type.partition(";")[0].strip().lower():
                case "application/x-www-form-urlencoded":
                    pairs += parse_qsl((await request.body()).decode("utf-8"), keep_blank_values=True)
                case "multipart/form-data":
                    pairs += _parts(content_type, await request.body())
        except ValueError as error:
            raise BadInput(f"error parsing form values: {error}") from error
        pairs += request.query_params.multi_items()
        pairs += [(name, str(value)) for name, value in request.path_params.items()]
        return cls(pairs)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def text(self, name: str) -> str:
        """The first value, an empty text without one."""
        return next(iter(self.all(name)), "")

    def time(self, name: str, default: float | None = None) -> float:
        """Unix seconds."""
        text = self.text(name)
        if default is None:
            return _reading(name, _time, text)
        if not text:
            return default
        try:
            return _time(text)
        except BadInput as error:
            raise BadInput(f"invalid parameter \"{name}\": invalid time value for '{name}': {error}") from error

    def duration(self, name: str) -> float:
        return _reading(name, _duration, self.text(name))

    def whole(self, name: str) -> int | None:
        """A whole number, None without one."""
        text = self.text(name)
        if not text:
            return None
        if not _WHOLE.fullmatch(text):
            raise BadInput(f"{name} must be a number")
        return int(text)

    def limit(self) -> int | None:
        """How many results at most; None or 0 is any number."""
        text = self.text("limit")
        if text and not _WHOLE.fullmatch(text):
            raise BadInput(f'invalid parameter "limit": cannot parse "{text}" to a whole number')
        limit = int(text or 0)
        if limit < 0:
            raise BadInput('invalid parameter "limit": limit must be non-negative')
        return limit or None

    def seconds(self, most: float) -> float:
        """How long the question may take: `timeout`, which can only shorten `most`."""
        return min(most, self.duration("timeout")) if self.text("timeout") else most

    def lookback(self) -> float | None:
        """Seconds; None for the usual one."""
        text = self.text("lookback_delta")
        if not text:
            return None
        try:
            seconds = _duration(text)
        except BadInput as error:
            raise BadInput(f"error parsing lookback delta duration: {error}") from error
        return seconds if seconds > 0 else None

    def span_ms(self) -> tuple[int, int]:
        """`start` and `end` in milliseconds, by default everything; of one that ends before it begins, nothing is."""
        start, end = ALWAYS
        return round(self.time("start", start / 1000) * 1000), round(self.time("end", end / 1000) * 1000)

    def matcher_sets(self, *, required: bool = False) -> list[tuple[Matcher, ...]]:
        """What each `match[]` selects."""
        selectors = self.all("match[]")
        if required and not selectors:
            raise BadInput("no match[] parameter provided")
        return [selected("match[]", text).matchers for text in selectors]


def selected(name: str, text: str) -> VectorSelector:
    """The series selector that `text`, the parameter `name`, is."""
    expr = _reading(name, parse, text)
    if not isinstance(expr, VectorSelector) or expr.offset_ms or expr.at is not None:
        raise BadInput(f'invalid parameter "{name}": 1:1: parse error: "{text}" is not a series selector')
    return expr


def unescaped(name: str) -> str:
    """A label name as the client meant it; what is not escaped as Prometheus escapes is the name as it stands.

    >>> unescaped("job"), unescaped("U__http_2e_status__code"), unescaped("U__a_zz_")
    ('job', 'http.status_code', 'U__a_zz_')
    """
    codes = [int(code, 16) for code in _ESCAPE.findall(name[3:]) if code]
    if not _ESCAPED.fullmatch(name) or not all(code < 0xD800 or 0xDFFF < code < 0x110000 for code in codes):
        return name
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)) if match.group(1) else "_", name[3:])


def _parts(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """The fields of a multipart form (curl -F)."""
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: %b\r\n\r\n%b" % (content_type.encode("latin-1"), body))
    fields = []
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            fields.append((name, value.decode("utf-8")))
    return fields


def _reading(name: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except BadInput as error:
        raise BadInput(f'invalid parameter "{name}": {error}', details=error.details) from error


def _number(text: str) -> float | None:
    """A number as Go reads one: Python takes blanks around it, too, and digits of all scripts."""
    if text != text.strip() or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _time(text: str) -> float:
    """Unix seconds or RFC 3339."""
    if text in _EDGES:
        return _EDGES[text]
    seconds = _number(text)
    if seconds is None and _RFC_3339.fullmatch(text):
        with suppress(ValueError):
            seconds = datetime.fromisoformat(text).timestamp()
    if seconds is None or not abs(seconds) < 2**43:
        raise BadInput(f'cannot parse "{text}" to a valid timestamp')
    return round(seconds, 3)


def _duration(text: str) -> float:
    """Seconds, or a Prometheus duration."""
    seconds = _number(text)
    if seconds is None:
        try:
            return duration_seconds(text)
        except BadInput:
            raise BadInput(f'cannot parse "{text}" to a valid duration') from None
    if not abs(seconds) < 2**43:
        raise BadInput(f'cannot parse "{text}" to a valid duration. It overflows int64')
    return seconds

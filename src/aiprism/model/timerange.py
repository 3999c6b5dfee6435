"""Durations and spans of time, in the notation Prometheus files use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiprism.errors import BadInput

_UNITS_MS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_LONGEST_MS = (1 << 63) // 1_000_000  # as in Prometheus, which counts nanoseconds
_MOST_DIGITS = 20
_LONGEST_TEXT = 60  # of what is shown again
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def duration_ms(text: str) -> int:
    """Milliseconds of a Prometheus duration; BadInput when it is none.

    >>> duration_ms("1h30m"), duration_ms("250ms"), duration_ms("0")
    (5400000, 250, 0)
    """
    if text == "0":
        return 0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise BadInput(f"not a duration: {text[:_LONGEST_TEXT]!r}; write for example 30s, 5m, 1h30m")
    # The first digits of what nobody means tell as much as all, which Python does not even read.
    counts = ((count or "").lstrip("0")[:_MOST_DIGITS] or "0" for count in match.groups())
    ms = sum(int(count) * unit for count, unit in zip(counts, _UNITS_MS.values(), strict=True))
    if ms > _LONGEST_MS:
        raise BadInput(f"{text[:_LONGEST_TEXT]!r} is longer than a duration may be, which is 292y")
    return ms


def duration_seconds(text: str) -> float:
    """Seconds of a Prometheus duration."""
    return duration_ms(text) / 1000


def format_duration(seconds: float) -> str:
    """The shortest exact Prometheus notation.

    >>> format_duration(5400), format_duration(0.25), format_duration(0)
    ('1h30m', '250ms', '0s')
    """
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS_MS.items():
        if unit == "w" and left % size:  # Prometheus writes 10d, not 1w3d
            continue
        if unit == "y" and left % size:
            continue
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start` to `end`, both inclusive, Unix seconds."""

    start: float
    end: float

    @property
    def start_ms(self) -> int:
        return round(self.start * 1000)

    @property
    def end_ms(self) -> int:
        return round(self.end * 1000)

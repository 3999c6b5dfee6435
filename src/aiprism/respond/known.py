"""An alert as it is known now, by Alertmanager's rules: who said last what counts, when it is over, what stands first.

In: an `Alert` that a detector or a sender reports, and what was known of it. Out: `Known`, which merges the two. A sender
that may vanish says until when its word holds; when that passes, the alert is over. Pure.
Source: types/types.go (Merge, AlertSlice), model/alert.go and provider/mem of Alertmanager and prometheus/common.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from aiprism.detect.gofmt import quote
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels

NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: how Alertmanager says "has not ended"
_FNV_START, _FNV_PRIME, _64_BITS = 14695981039346656037, 1099511628211, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one alert. Times are Unix seconds; `ends_at` is infinite for one that ends when it is said to."""

    labels: Labels
    annotations: Labels
    starts_at: float
    ends_at: float
    updated_at: float
    presumed: bool = False  # `ends_at` is nobody's word but resolve_timeout after the last one
    source: str = ""
    value: float = math.nan
    fingerprint: str = field(default="", compare=False, repr=False)  # ours (`Alert.fingerprint`), not Alertmanager's

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", f"{self.labels.fingerprint:016x}")

    def over(self, now: float) -> bool:
        """Whether it has ended by `now`."""
        return self.ends_at <= now

    def after(self, before: Known | None, now: float) -> Known:
        """What is known after this report, when `before` was known until now."""
        if before is None or not self._overlaps(before):
            return self
        return _merged(before, self, now) if self.updated_at >= before.updated_at else _merged(self, before, now)

    def _overlaps(self, before: Known) -> bool:
        return before.starts_at < self.ends_at < before.ends_at or before.starts_at < self.starts_at < before.ends_at

    def as_alert(self, now: float) -> Alert:
        """The alert at `now`, for detectors' readers and for messages."""
        over = self.over(now)
        return Alert(
            labels=self.labels,
            annotations=self.annotations,
            state=AlertState.RESOLVED if over else AlertState.FIRING,
            value=self.value,
            active_at=self.starts_at,
            fired_at=self.starts_at,
            resolved_at=self.ends_at if over else None,
            source=self.source,
            ends_at=None if over or math.isinf(self.ends_at) else self.ends_at,
            presumed=self.presumed,
        )


def reported(alert: Alert, now: float) -> Known:
    """What a report says by itself. One from a detector that fires holds until the detector says otherwise."""
    begun = alert.fired_at if alert.fired_at is not None else alert.active_at
    if alert.state is AlertState.RESOLVED:
        ends_at = alert.resolved_at if alert.resolved_at is not None else now
    else:
        ends_at = math.inf if alert.ends_at is None else alert.ends_at
    return Known(
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=begun,
        ends_at=ends_at,
        updated_at=now,
        presumed=alert.presumed or math.isinf(ends_at),
        source=alert.source,
        value=alert.value,
        fingerprint=alert.fingerprint,
    )


def _merged(older: Known, younger: Known, now: float) -> Known:
    starts_at = min(older.starts_at, younger.starts_at)
    ends_at = younger.ends_at
    if younger.over(now):  # of two ends the later one that was said
        ends_at = max(older.ends_at, younger.ends_at) if older.over(now) else younger.ends_at
    elif not older.presumed:  # an end that was said counts more than one that was presumed
        ends_at = max(older.ends_at, younger.ends_at)
    return replace(younger, starts_at=starts_at, ends_at=ends_at)


def in_order(alerts: Sequence[Known]) -> tuple[Known, ...]:
    """As Alertmanager's notifications list them: by job, by instance, then by the number of labels and the labels."""
    return tuple(sorted(alerts, key=lambda alert: _place(alert.labels)))


def label_order(labels: Labels) -> tuple[object, ...]:
    """Sorts label sets as Go's model.LabelSet.Before does: fewer labels first; then, at the first name in which they
    differ, the set that lacks it, else the smaller value.

    >>> sorted([Labels({"a": "2"}), Labels({"b": "1"}), Labels({"a": "1"})], key=label_order)
    [Labels(b="1"), Labels(a="1"), Labels(a="2")]
    """
    return len(labels), tuple((_inverted(name), value) for name, value in labels.pairs)


@lru_cache(maxsize=4096)
def _inverted(name: str) -> tuple[int, ...]:
    """Sorts the other way round: of two sets of one size, the one whose next name is the later one lacks the other's."""
    return (*(-ord(char) for char in name), 1)


def _place(labels: Labels) -> tuple[object, ...]:
    # A label that is missing stands last.
    overriding = [(name not in labels, labels.get(name, "")) for name in ("job", "instance")]
    return (*overriding, label_order(labels))


@lru_cache(maxsize=20_000)
def alert_fingerprint(labels: Labels) -> str:
    """Alertmanager's name for an alert: 64-bit FNV-1a over sorted names and values, in sixteen hex digits.

    >>> alert_fingerprint(Labels({"alertname": "test"}))
    '1f56cb8f931d1bd4'
    """
    value = _FNV_START
    for name, text in labels.pairs:
        for byte in b"\xff".join((name.encode(), text.encode(), b"")):
            value = ((value ^ byte) * _FNV_PRIME) & _64_BITS
    return f"{value:016x}"


def rfc3339(seconds: float) -> str:
    """The moment as Go writes it: no more digits of a second than it has.

    >>> rfc3339(1795443300.25), rfc3339(1795443300)
    ('2026-11-23T14:15:00.25Z', '2026-11-23T14:15:00Z')
    """
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    return text.rstrip("0").rstrip(".") + "Z"


@lru_cache(maxsize=10_000)  # of the labels of groups, which each of their alerts asks for
def label_text(labels: Labels) -> str:
    """A label set as Go's model.LabelSet prints itself.

    >>> print(label_text(Labels({"job": "api", "alertname": 'a "b"'})))
    {alertname="a \\"b\\"", job="api"}
    """
    return "{" + ", ".join(sorted(f"{name}={quote(value)}" for name, value in labels.pairs)) + "}"

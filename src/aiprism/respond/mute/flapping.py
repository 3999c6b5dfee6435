"""Flap detection: an alert that comes and goes says so once, and then nothing until it has come to rest.

In: whether an alert fires, as it is reported, and what it did before. Out: a `Flap`, its latest changes and until when it
counts as flapping. While it does, it is told as firing and flapping, whatever it is at the moment; once it has not changed
for a while, it is told as it is. Pure. Off unless it is configured: Alertmanager knows nothing of the kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiprism.errors import BadInput
from aiprism.model.timerange import duration_seconds
from aiprism.respond.known import Known

ANNOTATION = "flap_detection"  # of a rule, over the settings: off, or "4 in 30m, stable 10m"
_WRITTEN = re.compile(r"\s*(\d{1,6})\s+in\s+(\w+)\s*,\s*stable\s+(\w+)\s*")


@dataclass(frozen=True, slots=True)
class Limits:
    """More than `changes` within `window` seconds is flapping, until nothing changed for `stable`. 0 changes: never."""

    changes: int = 0
    window: float = 3600.0
    stable: float = 900.0

    def of(self, alert: Known) -> Limits:
        """Those that hold for an alert: its own, if its rule writes some that can be read."""
        said = alert.annotations.get(ANNOTATION, "")
        return (written(said) or self) if said else self


@dataclass(frozen=True, slots=True)
class Flap:
    """How an alert came and went. Times are Unix seconds."""

    fingerprint: str
    firing: bool  # what it was last
    changes: tuple[float, ...] = ()  # the latest, oldest first
    since: float | None = None  # the first of the changes that made it flap
    until: float | None = None  # when it has come to rest, unless it changes again
    count: int = 0  # changes since then

    def flaps(self, now: float) -> bool:
        """Whether it counts as flapping at `now`."""
        return self.until is not None and now < self.until

    def said(self) -> str:
        """How much it flaps, in words."""
        if self.since is None or self.until is None:
            return ""
        since, until = (datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC") for at in (self.since, self.until))
        return f"{self.count} changes since {since}, told again when it is steady until {until}"


def written(text: str) -> Limits | None:
    """The limits in an annotation; None for a text that says none.

    >>> written("4 in 30m, stable 10m"), written("off"), written("often")
    (Limits(changes=4, window=1800.0, stable=600.0), Limits(changes=0, window=3600.0, stable=900.0), None)
    """
    if text.strip() == "off":
        return Limits()
    found = _WRITTEN.fullmatch(text)
    try:
        return Limits(int(found[1]), duration_seconds(found[2]), duration_seconds(found[3])) if found else None
    except BadInput:
        return None


def changed(
    before: Flap | None, fingerprint: str, *, was_firing: bool, firing: bool, limits: Limits, now: float
) -> Flap | None:
    """What is known of an alert after a report; None while there is nothing to remember. `was_firing` is what it was, of
    one of which nothing is remembered."""
    known = before or Flap(fingerprint, was_firing)
    if limits.changes < 1 or known.firing == firing:
        return before
    recent = [at for at in known.changes if at > now - limits.window]
    after = replace(known, firing=firing, changes=(*recent, now)[-limits.changes - 1 :])
    if known.flaps(now):
        return replace(after, until=now + limits.stable, count=known.count + 1)
    if len(after.changes) > limits.changes:
        return replace(after, since=after.changes[0], until=now + limits.stable, count=len(after.changes))
    return replace(after, since=None, until=None, count=0)


def rested(flap: Flap) -> Flap:
    """The alert has come to rest: what it did before is of no account any more."""
    return Flap(flap.fingerprint, flap.firing)

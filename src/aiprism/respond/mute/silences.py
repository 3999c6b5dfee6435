"""Silences: what one is, which states it goes through, and what a change to one means.

In: what a person asks for, and the moment. Out: silences to keep. Pure; the rules are Alertmanager's: of a silence that
holds only the end may be moved, anything else ends it and makes another.
Source: silence/silence.go of Alertmanager 0.25.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from aiprism.errors import BadInput
from aiprism.model.labels import Matcher

RETENTION = 120 * 3600.0  # seconds an expired one is kept, as Alertmanager's --data.retention


class SilenceState(Enum):
    """In the order in which they are listed."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that all of `matchers` accept are not told between the two moments. Times are Unix seconds."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    updated_at: float
    created_by: str = ""
    comment: str = ""

    def state(self, now: float) -> SilenceState:
        """Where it stands at `now`."""
        if now < self.starts_at:
            return SilenceState.PENDING
        return SilenceState.ACTIVE if now < self.ends_at else SilenceState.EXPIRED

    def active(self, now: float) -> bool:
        """Whether it holds at `now`."""
        return self.starts_at <= now < self.ends_at


def kept_after(wanted: Silence, before: Silence | None, now: float, fresh_id: str) -> tuple[Silence, ...]:
    """What to keep when `wanted` is asked for: the silence that holds from now on, and last the one it replaces, if any.

    `before` is the one that has the id of `wanted`. The first one's id is what the asker is told.
    """
    check(wanted)
    if before is not None and _may_become(before, wanted, now):
        return (replace(wanted, updated_at=now),)
    made = replace(wanted, id=fresh_id, starts_at=max(wanted.starts_at, now), updated_at=now)
    if before is None or before.state(now) is SilenceState.EXPIRED:
        return (made,)
    return made, expired(before, now)


def _may_become(before: Silence, wanted: Silence, now: float) -> bool:
    if before.matchers != wanted.matchers:
        return False
    match before.state(now):
        case SilenceState.ACTIVE:
            return int(before.starts_at) == int(wanted.starts_at) and wanted.ends_at >= now
        case SilenceState.PENDING:
            return wanted.starts_at >= now
        case SilenceState.EXPIRED:
            return False


def expired(silence: Silence, now: float) -> Silence:
    """The silence ended at `now`; one that is over stays as it is."""
    match silence.state(now):
        case SilenceState.ACTIVE:
            return replace(silence, ends_at=now, updated_at=now)
        case SilenceState.PENDING:
            return replace(silence, starts_at=now, ends_at=now, updated_at=now)
        case SilenceState.EXPIRED:
            return silence


def check(silence: Silence) -> None:
    """BadInput in Alertmanager's words when nobody could mean this silence."""
    if not silence.matchers:
        raise BadInput("silence invalid: at least one matcher required")
    if all(matcher.matches("") for matcher in silence.matchers):
        raise BadInput("silence invalid: at least one matcher must not match the empty string")
    if silence.ends_at < silence.starts_at:
        raise BadInput("silence invalid: end time must not be before start time")


def in_order(silences: Iterable[Silence], now: float) -> list[Silence]:
    """As they are listed: those that hold, the first to end first; those to come; then the past ones, latest first."""
    order = list(SilenceState)

    def place(silence: Silence) -> tuple[int, float, str]:
        state = silence.state(now)
        at = silence.starts_at if state is SilenceState.PENDING else silence.ends_at
        return order.index(state), -at if state is SilenceState.EXPIRED else at, silence.id

    return sorted(silences, key=place)

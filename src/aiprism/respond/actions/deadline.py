"""Until when a step may wait, on a clock of its own: whoever must try again asks here whether there is time for it."""

from __future__ import annotations

from dataclasses import dataclass

from aiprism.clock import Clock

PAUSE = 2.0  # seconds between two looks


class OutOfTime(Exception):
    """The step's time is over; the text says what was waited for."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when a step may wait."""

    clock: Clock
    until: float  # of the monotonic clock

    async def pause(self, words: str, seconds: float = PAUSE) -> None:
        """Wait a moment; OutOfTime with `words` when there is none left."""
        if self.clock.monotonic() + seconds > self.until:
            raise OutOfTime(words)
        await self.clock.sleep(seconds)


def deadline(clock: Clock, seconds: float) -> Deadline:
    """The deadline of a step that begins now and may take so long."""
    return Deadline(clock, clock.monotonic() + seconds)

"""One question under way: how long its answer is waited for, and whether anybody still waits.

In: seconds, and word that the asker has gone. Out: the seconds left, or an error that ends the question where it is. Its
statements carry its mark, so that the one under way can be ended in the engine (`Engine.end`), too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiprism.errors import Cancelled, TimedOut


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement a question took, its parameters not yet bound; `rows` and `bytes` came back."""

    sql: str
    parameters: Mapping[str, object]
    rows: int
    bytes: int
    seconds: float


class Question:
    """May be asked from one thread and given up from another. `mark` is a word of ours that no other question has; without
    one, the statement under way runs to its end."""

    def __init__(self, seconds: float, *, mark: str = "", monotonic: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.mark = seconds, mark
        self._monotonic = monotonic
        self._until = monotonic() + seconds
        self._given_up = False
        self.waited: float | None = None  # seconds until it was its turn; None while it waits
        self.noted: Callable[[Statement], None] | None = None  # told of every statement, when somebody wants to know

    def within(self, seconds: float) -> None:
        """From its beginning on it may take no longer than `seconds`."""
        if seconds < self.seconds:
            self._until -= self.seconds - seconds
            self.seconds = seconds

    def give_up(self) -> None:
        """Nobody waits for the answer any more: the next look at the time left ends it."""
        self._given_up = True

    def left(self) -> float:
        """Seconds left, more than none; Cancelled when nobody waits any more, TimedOut when the time is over."""
        if self._given_up:
            raise Cancelled("the query was cancelled: who asked has hung up")
        left = self._until - self._monotonic()
        if left <= 0:
            raise TimedOut(f"the query ran longer than {self.seconds:g} s (limit timeout)")
        return left

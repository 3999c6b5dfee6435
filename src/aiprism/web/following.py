"""What comes in, as server-sent events: records, traces.

In: a way to look for what there is of the last half minute, asked again and again. Out: an event for each thing that was not told
before, oldest first, and `dropped` where some may be missing. Things are told by what they are and not by their time,
because they come late: a search "since the last one" would miss those.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from aiprism.clock import Clock
from aiprism.errors import Unavailable
from aiprism.model.timerange import TimeRange

LATE = 30.0  # seconds a thing may come late
AT_ONCE = 500  # things told after one look
_LOOK, _HEARTBEAT = 0.4, 15.0
_SHARE = 4  # a look is followed by a pause of so many times what it took

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Followed(Generic[T]):
    """What is followed: `look` gives the newest in a time, at most so many, newest first; `key` tells one from others; `tell` says
    what is sent of some. `window` of the last half minute are known apart."""

    event: str
    plural: str
    look: Callable[[TimeRange, int], Sequence[T]]
    key: Callable[[T], Hashable]
    tell: Callable[[Sequence[T]], Sequence[Mapping[str, Any]]]
    window: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look has shown: what is to be sent, oldest first, what is known by now, whether some may be missing."""

    fresh: Sequence[Mapping[str, Any]]
    known: Counter[Hashable]
    is_cut: bool


async def followed(
    what: Followed[Any], start: float | None, clock: Clock, computed: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> AsyncIterator[bytes]:
    """Events, for ever. Of what is there already, what lies after `start` is told, when that is given."""
    known: Counter[Hashable] = Counter()
    first = clock.now() - LATE if start is None else start
    silent, heard = start is None, clock.now()
    while True:
        now, begun = clock.now(), clock.monotonic()
        seen = await computed(partial(_looked, what, TimeRange(min(first, now), now + LATE), known, silent))
        known, first = seen.known, now - LATE
        parts = list(_events(what, seen))
        if parts or silent:
            heard = now
        elif now - heard >= _HEARTBEAT:
            heard, parts = now, [b": still here\n\n"]
        yield b"".join(parts) if not silent else b": following\n\n"
        silent = False
        await clock.sleep(max(_LOOK, _SHARE * (clock.monotonic() - begun)))


def _looked(what: Followed[Any], span: TimeRange, known: Counter[Hashable], silent: bool) -> _Seen:
    items = what.look(span, what.window + 1)
    fresh, known = unseen(items, known, what.key)
    if silent:
        return _Seen([], known, False)
    is_cut = len(fresh) > AT_ONCE or (len(items) > what.window and bool(fresh))
    return _Seen(what.tell(fresh[:AT_ONCE][::-1]), known, is_cut)


def _events(what: Followed[Any], seen: _Seen) -> Iterator[bytes]:
    if seen.is_cut:
        why = (
            f"more than {AT_ONCE} {what.plural} at once, or {what.window} in half a minute: "
            "some may be missing; narrow the search"
        )
        yield f"event: dropped\ndata: {json.dumps({'why': why})}\n\n".encode()
    for each in seen.fresh:
        yield f"event: {what.event}\ndata: {json.dumps(each, ensure_ascii=False)}\n\n".encode()


def unseen(
    items: Sequence[T], known: Counter[Hashable], key: Callable[[T], Hashable]
) -> tuple[list[T], Counter[Hashable]]:
    """The things that were not known before, and all that now are. Equal ones are as many as there are."""
    now: Counter[Hashable] = Counter()
    fresh = []
    for item in items:
        its = key(item)
        now[its] += 1
        if now[its] > known[its]:
            fresh.append(item)
    return fresh, now


class Streams:
    """Answers that go on for long, of which there are only so many at a time."""

    def __init__(self, what: str, most: int) -> None:
        self._what, self._most, self._open = what, most, 0

    async def begun(self, parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """The parts, once the first of them is there: what is wrong with a search is told before anything is sent."""
        if self._open >= self._most:
            raise Unavailable(
                f"{self._most} {self._what} are under way, which is as many as there may be; try again later"
            )
        made = self._all(parts)
        await anext(made)
        return made

    async def _all(self, parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """The parts behind an empty one. It has begun when the first part is there: what never begins does not end either, and a
        client that has left by then would be counted for ever."""
        self._open += 1
        try:
            first = await anext(parts, b"")
            yield b""
            yield first
            async for part in parts:
                yield part
        finally:
            self._open -= 1

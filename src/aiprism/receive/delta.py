"""Deltas made cumulative: what each stream has added up to, as long as its points come in order.

In: the interval of a data point, (start, end] in Unix nanoseconds, and what was counted in it. Out: the total since the
stream began here, and whether it begins with this point. A total is never a guess: a point that overlaps what is already
counted, or comes before it, is refused in words. A point sent twice (the sender did not see our answer) gives the same
total twice. A gap is no fault: the total goes on, of what happened in the gap nobody told. Unless deltas of a stream may
also reach another process (`alone` is False): then what is missing here may be counted there, and the total begins anew.

Memory is bounded: streams not heard of for `idle` seconds are forgotten (they begin anew), and past `limit` streams new
ones are refused. States are values: `undo` puts back what was before a request whose samples could not be stored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from aiprism.errors import BadInput

T = TypeVar("T")


# Values that are made for every point are named tuples: a frozen dataclass takes four times as long to make.


class Total(NamedTuple, Generic[T]):
    """The sum of a stream up to a point; `begins` when that point is its first."""

    value: T
    begins: bool


class _State(NamedTuple, Generic[T]):
    total: T
    added: T  # by the last point, to know it again
    start_ns: int  # of the last point
    end_ns: int
    began_ns: int  # end of the first point
    shape: Hashable  # streams of another shape (bucket bounds) cannot be added up
    seen: float


class Deltas(Generic[T]):
    """Totals of streams, by key. Not thread-safe."""

    def __init__(self, plus: Callable[[T, T], T], *, limit: int, idle: float, alone: bool = True) -> None:
        self._plus, self._limit, self._idle, self._alone = plus, limit, idle, alone
        self._states: OrderedDict[Hashable, _State[T]] = OrderedDict()
        self._looked = -1.0  # when idle streams were last looked for

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, key: object) -> bool:
        return key in self._states

    def continues(self, key: Hashable, start_ns: int) -> bool:
        """Whether a point of `key` from `start_ns` on is added to a total rather than beginning one."""
        state = self._states.get(key)
        return state is not None and (self._alone or start_ns == state.end_ns)

    def add(
        self,
        key: Hashable,
        start_ns: int,
        end_ns: int,
        value: T,
        *,
        now: float,
        shape: Hashable = None,
        since: T | None = None,
        undo: Callable[[Callable[[], None]], None] = lambda step: None,
    ) -> Total[T]:
        """The total of stream `key` with `value` of (start_ns, end_ns]; BadInput when it cannot be added.

        A start of 0 is unknown and taken for the end of the point before. `since` is what a stream that begins here has
        already counted to. What takes the step back is handed to `undo`: to be called the latest first.
        """
        if now != self._looked:
            self._forget_idle(now)
        if start_ns > end_ns:
            raise BadInput("delta point whose start_time_unix_nano lies after its time_unix_nano")
        state = self._states.get(key)
        if state is not None:
            if (start_ns, end_ns, shape, value) == (state.start_ns, state.end_ns, state.shape, state.added):
                return Total(state.total, begins=state.began_ns == end_ns)
            _check_order(state, start_ns, end_ns)
        elif len(self._states) >= self._limit:
            raise BadInput(
                f"more than {self._limit} streams of deltas of this kind (otlp.delta_streams); send cumulative values "
                "or fewer streams"
            )
        if state is not None and state.shape == shape and self.continues(key, start_ns):
            began_ns, total = state.began_ns, self._plus(state.total, value)
        else:
            began_ns, total = end_ns, value if since is None else self._plus(since, value)
        after = _State(total, value, start_ns, end_ns, began_ns, shape, now)
        self._states[key] = after
        self._states.move_to_end(key)
        undo(partial(self._undo, key, state, after))
        return Total(total, begins=began_ns == end_ns)

    def _undo(self, key: Hashable, before: _State[T] | None, after: _State[T]) -> None:
        # Where a later point was added on top its total counts this one too: nothing is lost, only the sample in between.
        if self._states.get(key) is not after:
            return
        if before is None:
            del self._states[key]
        else:
            self._states[key] = before

    def _forget_idle(self, now: float) -> None:
        self._looked = now
        while self._states:
            key, state = next(iter(self._states.items()))
            if now - state.seen <= self._idle:
                return
            del self._states[key]


def _check_order(state: _State[T], start_ns: int, end_ns: int) -> None:
    if end_ns <= state.end_ns:
        raise BadInput(
            "delta point at or before the last one of its stream, which is counted already; "
            "deltas of one stream must come in order"
        )
    if 0 < start_ns < state.end_ns:
        raise BadInput(
            "delta point whose interval overlaps the last one of its stream; if two senders share these attributes, "
            "set service.instance.id"
        )

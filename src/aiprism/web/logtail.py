"""Log records as they come in, as server-sent events.

In: a search, looked for again and again in the last half minute. Out: an event `log` for each record that was not told
before, oldest first, and `dropped` where some may be missing. Records are told by what they are and not by their time,
because they come late: a search "since the last one" would miss those.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aiprism.clock import Clock
from aiprism.model.logs import LogRecord
from aiprism.model.timerange import TimeRange
from aiprism.store.logs import LogSearch, LogStore
from aiprism.web import links

LATE = 30.0  # seconds a record may come late
AT_ONCE = 500  # records told after one look
_WINDOW = 2_000  # records of the last half minute that are known apart
_LOOK, _HEARTBEAT = 0.4, 15.0
_SHARE = 4  # a look is followed by a pause of so many times what it took


async def followed(
    logs: LogStore,
    wanted: LogSearch,
    start: float | None,
    clock: Clock,
    computed: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> AsyncIterator[bytes]:
    """Events, for ever. Of what is there already, what lies after `start` is told, when that is given."""
    told: Counter[tuple[object, ...]] = Counter()
    first = clock.now() - LATE if start is None else start
    silent, heard = start is None, clock.now()
    while True:
        now, begun = clock.now(), clock.monotonic()
        recent = replace(wanted, span=TimeRange(min(first, now), now + LATE), limit=_WINDOW + 1)
        records = await computed(partial(logs.search, recent))
        fresh, told = unseen(records, told)
        first = now - LATE
        parts = [] if silent else list(_events(fresh, cut=len(records) > _WINDOW))
        if parts or silent:
            heard = now
        elif now - heard >= _HEARTBEAT:
            heard, parts = now, [b": still here\n\n"]
        yield b"".join(parts) if not silent else b": following\n\n"
        silent = False
        await clock.sleep(max(_LOOK, _SHARE * (clock.monotonic() - begun)))


def _events(fresh: Sequence[LogRecord], *, cut: bool) -> Iterator[bytes]:
    if len(fresh) > AT_ONCE or (cut and fresh):
        why = f"more than {AT_ONCE} records at once, or {_WINDOW} in half a minute: some may be missing; narrow the search"
        yield f"event: dropped\ndata: {json.dumps({'why': why})}\n\n".encode()
    for record in reversed(fresh[:AT_ONCE]):
        yield f"event: log\ndata: {json.dumps(links.told(record), ensure_ascii=False)}\n\n".encode()


def unseen(
    records: Sequence[LogRecord], told: Counter[tuple[object, ...]]
) -> tuple[list[LogRecord], Counter[tuple[object, ...]]]:
    """The records that were not told before, and all that now were. Equal records are as many as there are."""
    now: Counter[tuple[object, ...]] = Counter()
    fresh = []
    for record in records:
        key = (record.ts_ns, record.service, record.body, record.span_id)
        now[key] += 1
        if now[key] > told[key]:
            fresh.append(record)
    return fresh, now

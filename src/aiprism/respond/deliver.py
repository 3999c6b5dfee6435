"""The outbox: notifications are rows first and are sent after; a killed process goes on where it was.

In: rows that `pipeline` wrote. Out: HTTP posts, and rows marked sent or failed. Tries are repeated with exponential
backoff and jitter until the receiver takes the letter, refuses it for good, or a day has passed (for what is told of a
group: until the group is due again, which tells it anew); a failure is on the incident's timeline. A crash between
sending and marking sends once more with the same key, so a receiver that knows keys (PagerDuty's dedup key,
Idempotency-Key of a webhook) has it once; Slack knows none and may show it twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog

from aiprism.clock import Clock
from aiprism.respond import message, notify
from aiprism.respond.bell import Bell
from aiprism.respond.channels.post import (
    Answer,
    Connections,
    Following,
    Integration,
    Letter,
    Verdict,
    post,
    quiet_http_log,
)
from aiprism.respond.desk import Desk
from aiprism.respond.incident import MACHINE, Noted
from aiprism.respond.pipeline import Respond
from aiprism.respond.template import TemplateError
from aiprism.store import incidents as store
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

Post: TypeAlias = Callable[[Letter, float], Awaitable[Answer]]

_AT_ONCE = 16  # letters on their way to one integration
_IN_HAND = 64  # on their way or being noted: so many may be sent twice when the process is killed
_PORTION = 512  # letters looked for at a time
_LONG = 50  # alerts of a letter from which on it is written aside
_THREAD = 7 * 86_400.0  # seconds after which a message is not gone on from any more
_FAREWELL = 5.0  # seconds a stop waits for letters on their way
_IDLE = 30.0  # seconds between looks when nothing rings: another process may have written rows


@dataclass(frozen=True, slots=True)
class Patience:
    """How tries are spaced, in seconds: doubling from `first` to `longest`, given up `limit` after the first."""

    first: float = 1.0
    longest: float = 60.0
    limit: float = 24 * 3600.0

    def delay(self, attempts: int, chance: float) -> float:
        """How long to wait after that many failed tries; `chance` from 0 to 1 spreads receivers' rush hours (the
        "equal jitter" of the AWS architecture blog: at least half of the full delay)."""
        full = min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))
        return full * (0.5 + 0.5 * chance)


class Delivery:
    """Sends what is in the outbox, as long as `run` runs. Each integration has a lane of its own, so that a receiver
    that hangs keeps nobody else waiting."""

    def __init__(
        self,
        respond: Respond,
        clock: Clock,
        *,
        patience: Patience | None = None,
        send: Post = post,
        chance: Callable[[], float] = random.random,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._respond, self._clock, self._patience = respond, clock, patience or Patience()
        self._send, self._chance, self._telemetry = send, chance, telemetry or Telemetry()
        self._bell = Bell()
        self._lanes: dict[store.Address, asyncio.Task[None]] = {}
        self._answered: list[tuple[store.NotificationRow, Answer, asyncio.Future[None]]] = []
        self._marker: asyncio.Task[None] | None = None
        self._closing = False
        respond.on_work(self._bell.ring)
        quiet_http_log()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._closing = False
        try:
            while True:
                wait = await self._open_lanes()
                await self._bell.wait(self._clock, wait)
        finally:
            await self._close_lanes()

    async def deliver_due(self) -> None:
        """Try everything that is due now once, and return when that is done."""
        await self._open_lanes()
        await asyncio.gather(*self._lanes.values())

    async def _open_lanes(self) -> float:
        """Start a lane for each integration that has something due; in how many seconds to look again."""
        # The one broad catch of this loop: a database that is away comes back.
        try:
            addresses, following = await asyncio.to_thread(self._look)
        except Exception:
            log.exception("notification.loop_failed")
            return self._patience.longest
        for address in addresses:
            if address not in self._lanes:
                lane = asyncio.create_task(self._lane(address))
                self._lanes[address] = lane
                lane.add_done_callback(functools.partial(self._lane_done, address))
        if following is None:
            return _IDLE
        # Due and still waiting: its lane is at work, and rings when it is done.
        left = following - self._clock.now()
        return min(_IDLE, left) if left > 0 else _IDLE

    def _look(self) -> tuple[list[store.Address], float | None]:
        with self._respond.reading() as connection:
            return store.due_addresses(connection, self._clock.now()), store.next_due(connection)

    def _lane_done(self, address: store.Address, _lane: asyncio.Task[None]) -> None:
        del self._lanes[address]
        self._bell.ring()

    async def _close_lanes(self) -> None:
        """Let what is on its way arrive and be marked: a letter cut off now would be sent again after the restart."""
        self._closing, lanes = True, list(self._lanes.values())
        if lanes:
            await asyncio.wait(lanes, timeout=_FAREWELL)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, *([self._marker] if self._marker else []), return_exceptions=True)

    async def _lane(self, address: store.Address) -> None:
        """Send one integration what is due, until nothing is."""
        try:
            async with _Ways() as ways:
                while not self._closing and (rows := await asyncio.to_thread(self._due, address)):
                    await self._deliver_all(rows, ways)
        except Exception:  # as in _open_lanes; what was not marked is still in the outbox
            log.exception("notification.lane_failed", receiver=address.receiver, channel=address.channel)
            await self._clock.sleep(self._patience.longest)

    async def _deliver_all(self, rows: Sequence[store.NotificationRow], ways: _Ways) -> None:
        """Send these, until one is answered that the receiver has too much to do: the rest is put off."""
        left, enough = iter(rows), False

        async def some() -> None:
            nonlocal enough
            for row in left:
                async with ways.one() as connections:
                    if enough or self._closing:
                        return
                    answer = await self._answered_to(row, connections)
                    enough = enough or answer.retry_after is not None
                await self._marked(row, answer)

        await asyncio.gather(*(some() for _ in range(min(_IN_HAND, len(rows)))))

    def _due(self, address: store.Address) -> list[store.NotificationRow]:
        with self._respond.reading() as connection:
            return store.due_notifications(connection, address, self._clock.now(), _PORTION)

    async def _answered_to(self, row: store.NotificationRow, connections: Connections) -> Answer:
        # A letter that makes us stumble, in whatever way, is put off and given up like one that is not taken: it must
        # not keep its lane from sending the others.
        try:
            return await self._sent(row, connections)
        except Exception as error:
            log.exception("notification.letter_failed", notification=row["id"])
            return Answer(Verdict.AGAIN, f"it could not be written: {type(error).__name__}")

    async def _marked(self, row: store.NotificationRow, answer: Answer) -> None:
        """Note what became of a letter, together with all that were answered meanwhile: a commit waits for the disk, and
        a storm has thousands of letters."""
        noted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answered.append((row, answer, noted))
        if self._marker is None or self._marker.done():
            self._marker = asyncio.create_task(self._mark_answered())
        await noted

    async def _mark_answered(self) -> None:
        while self._answered:
            batch, self._answered = self._answered, []
            await self._mark_together(batch)

    async def _mark_together(self, batch: Sequence[tuple[store.NotificationRow, Answer, asyncio.Future[None]]]) -> None:
        pairs = [(row, answer) for row, answer, _ in batch]
        try:
            await asyncio.to_thread(self._mark_all, pairs)
        except Exception as error:  # each lane answers it for its own letters
            for *_, noted in batch:
                if not noted.done():
                    noted.set_exception(error)
        finally:
            for *_, noted in batch:
                if not noted.done():
                    noted.set_result(None)

    def _mark_all(self, pairs: Sequence[tuple[store.NotificationRow, Answer]]) -> None:
        try:
            with self._respond.desk() as desk:
                failed = self._mark_at_once(desk, pairs)
        except Exception:
            log.exception("notification.note_failed", notifications=[row["id"] for row, _ in pairs])
            failed = [self._mark_alone(row, answer) for row, answer in pairs]
        for (row, answer), lost in zip(pairs, failed, strict=True):
            self._count(row, answer, failed=lost)

    def _mark_at_once(
        self, desk: Desk, pairs: Sequence[tuple[store.NotificationRow, Answer]], *, noting: bool = True
    ) -> list[bool]:
        """Write what became of letters, with all that follows; which are given up. What was simply taken takes a few
        statements, and the lines of a timeline one look at its incident, however many there are."""
        taken = [row for row, answer in pairs if _simply_taken(answer)]
        store.mark_sent(desk.connection, taken, desk.now)
        self._taken(desk, taken)
        failed = [False if _simply_taken(answer) else self._mark(desk, row, answer) for row, answer in pairs]
        noted: dict[str, list[Noted]] = {}
        for (row, answer), lost in zip(pairs, failed, strict=True):
            if noting and row["incident_id"] is not None:
                noted.setdefault(row["incident_id"], []).extend(_noted(row, answer, failed=lost))
        for incident, lines in noted.items():
            desk.happen(incident, *lines)
        return failed

    def _taken(self, desk: Desk, rows: Sequence[store.NotificationRow]) -> None:
        notify.delivered(desk.connection, rows, desk.now)
        if notify.finished(desk.connection, rows, desk.now):
            desk.made_work = True

    def _mark_alone(self, row: store.NotificationRow, answer: Answer) -> bool:
        """As `_mark_at_once`; without a line on the timeline if it is that which cannot be written."""
        try:
            with self._respond.desk() as desk:
                return self._mark_at_once(desk, [(row, answer)])[0]
        except Exception:
            log.exception("notification.note_failed", notification=row["id"])
            with self._respond.desk() as desk:
                return self._mark_at_once(desk, [(row, answer)], noting=False)[0]

    async def _sent(self, row: store.NotificationRow, connections: Connections) -> Answer:
        integrations = self._respond.policy.routing.integrations(row["receiver"])
        chosen = integrations[row["integration"]] if row["integration"] < len(integrations) else None
        if chosen is None or chosen.channel != row["channel"]:
            return Answer(Verdict.REFUSED, f"alertmanager.yml no longer has this {row['channel']} integration")
        # What is told of a group is told anew once it is due again, and so is a reminder: a try must not outlast that.
        left = None if row["deadline"] is None else row["deadline"] - self._clock.now()
        if left is not None and left <= 0:
            return Answer(Verdict.REFUSED, _too_late(row))
        try:
            async with asyncio.timeout(left):
                return await self._tried(await self._writer(chosen, row), connections)
        except TimeoutError:
            return Answer(Verdict.REFUSED, _too_late(row))

    async def _writer(self, chosen: Integration, row: store.NotificationRow) -> Callable[[], Awaitable[Letter]]:
        """What writes a letter in its channel's form."""
        told, key = replace(message.from_payload(row["payload"]), integration=row["integration"]), row["id"]
        write = functools.partial(chosen.letter, told, key)
        if isinstance(chosen, Following) and chosen.threads:
            earlier = await asyncio.to_thread(self._earlier, row, told)
            if earlier is not None:
                write = functools.partial(chosen.follow, told, key, earlier)

        async def written() -> Letter:
            # The texts of ten thousand alerts take seconds.
            return await asyncio.to_thread(write) if len(told.alerts) >= _LONG else write()

        return written

    def _earlier(self, row: store.NotificationRow, told: message.Message) -> Mapping[str, str] | None:
        """What a message goes on from: the last about the same, unless that one closed it or is long past."""
        address = store.Address(row["receiver"], row["channel"], row["integration"])
        with self._respond.reading() as connection:
            found = store.last_receipt(connection, address, row["dedup_key"], self._clock.now() - _THREAD)
        if found is None or (not told.is_incident and message.from_payload(found.payload).over):
            return None  # a group that fires again begins anew; an incident that is reopened does not
        return found.given

    async def _tried(self, write: Callable[[], Awaitable[Letter]], connections: Connections) -> Answer:
        try:
            letter = await write()
        except OSError as error:  # a secret that stands in a file
            return Answer(Verdict.AGAIN, f"a file with its secret cannot be read: {error.strerror}")
        except TemplateError as error:  # it would fail again: the message stays the same
            return Answer(Verdict.REFUSED, f"a template of alertmanager.yml failed: {error}")
        return await self._send(replace(letter, over=connections), self._clock.now())

    def _mark(self, desk: Desk, row: store.NotificationRow, answer: Answer) -> bool:
        """Write what became of a letter that was not taken, or with a receipt; whether it is given up."""
        now, attempts = desk.now, row["attempts"] + 1
        given_up = answer.verdict is Verdict.AGAIN and now - row["created_at"] >= self._patience.limit
        failed = answer.verdict is Verdict.REFUSED or given_up
        if answer.verdict is Verdict.DELIVERED:
            changes: dict[str, object] = {"state": "sent", "sent_at": now, "next_at": None, "error": ""}
            changes |= {"receipt": dict(answer.receipt)} if answer.receipt else {}
        elif failed:
            changes = {"state": "failed", "next_at": None, "error": answer.reason}
        else:
            changes = {"next_at": now + self._wait(attempts, answer), "error": answer.reason}
        store.mark_notification(desk.connection, row["id"], attempts=attempts, **changes)
        if answer.retry_after is not None:  # it has too much to do: nothing else is sent there meanwhile either
            address = store.Address(row["receiver"], row["channel"], row["integration"])
            store.defer_notifications(desk.connection, address, now + self._wait(1, answer))
        if answer.verdict is Verdict.DELIVERED:
            self._taken(desk, [row])
        if failed and (notify.finished(desk.connection, [row], now) | notify.unheard(desk.connection, row, now)):
            desk.made_work = True
        return failed

    def _wait(self, attempts: int, answer: Answer) -> float:
        own = self._patience.delay(attempts, self._chance())
        # A receiver that names a time is taken at its word, within reason: an hour at most.
        return own if answer.retry_after is None else min(max(own, answer.retry_after), 3600.0)

    def _count(self, row: store.NotificationRow, answer: Answer, *, failed: bool) -> None:
        where = {"incident": row["incident_id"], "receiver": row["receiver"], "channel": row["channel"]}
        if answer.verdict is Verdict.DELIVERED:
            self._telemetry.passed(f"respond.deliver.{row['channel']}")
            log.info("notification.sent", event_sent=row["event"], **where)
        elif failed:
            self._telemetry.dropped(f"respond.deliver.{row['channel']}", "refused")
            log.warning("notification.failed", event_sent=row["event"], reason=answer.reason, **where)
        else:
            log.info("notification.retry", event_sent=row["event"], reason=answer.reason, **where)


class _Ways:
    """The ways to one integration, of which each takes a letter at a time. Each has connections of its own: a pool that is
    shared looks at all of them for every letter. What is free last is taken first, so that few letters use few."""

    def __init__(self) -> None:
        self._every = [Connections() for _ in range(_AT_ONCE)]
        self._free: asyncio.LifoQueue[Connections] = asyncio.LifoQueue()

    async def __aenter__(self) -> _Ways:
        for each in self._every:
            self._free.put_nowait(each)
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._every:
            await each.close()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Connections]:
        """One that nobody else uses meanwhile."""
        way = await self._free.get()
        try:
            yield way
        finally:
            self._free.put_nowait(way)


def _too_late(row: store.NotificationRow) -> str:
    return notify.LATE if row["group_id"] is not None else "the next reminder is due, which says all that this one does"


def _simply_taken(answer: Answer) -> bool:
    """Whether a letter was taken, and nothing was given for it."""
    return answer.verdict is Verdict.DELIVERED and not answer.receipt


def _noted(row: store.NotificationRow, answer: Answer, *, failed: bool) -> Iterable[Noted]:
    """What the timeline keeps of a try: that it was sent, that it failed for good, or that the first try failed."""
    attempts = row["attempts"] + 1
    data = {"receiver": row["receiver"], "channel": row["channel"], "event": row["event"], "attempts": attempts}
    where = f"{row['receiver']} by {row['channel']}"
    if answer.verdict is Verdict.DELIVERED:
        yield Noted("notification_sent", MACHINE, f"told {where}: {row['event'].partition('#')[0]}", data)
    elif failed:
        yield Noted("notification_failed", MACHINE, f"gave up telling {where}: {answer.reason}", data)
    elif attempts == 1:
        yield Noted("notification_delayed", MACHINE, f"could not tell {where} yet: {answer.reason}", data)

"""Trying a receiver: a letter that says it is a test goes the way of every letter, and what comes back is told.

In: the name of a receiver. Out: what each of its integrations answered. The letter is of an alert that no rule has and no route
sees: it is in no group, in no incident and on no board; the outbox keeps it as `test`. What a service would hold open (a page,
an issue) is closed again at once.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from aiprism.clock import Clock
from aiprism.errors import NotFound, TooMany
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.respond import message
from aiprism.respond.channels.post import Answer, Integration, Verdict, post
from aiprism.respond.deliver import Post
from aiprism.respond.message import Message
from aiprism.respond.pipeline import Respond
from aiprism.respond.template import TemplateError
from aiprism.store import incidents as store

log = structlog.get_logger()

EVENT = "test"
ALERT = "AiprismTest"
EVERY = 10.0  # seconds between two trials of one receiver: a button must not become a storm
# Those that keep an alert until they are told that it is over.
_HOLDS = frozenset({"pagerduty", "opsgenie", "victorops", "jira", "incidentio"})


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of the letter to one integration, in `seconds`; `reason` says why it was not taken, without secrets."""

    channel: str
    integration: int
    delivered: bool
    reason: str
    seconds: float


class Trials:
    """Sends letters that are tests, one round at a time for each receiver."""

    def __init__(
        self,
        respond: Respond,
        clock: Clock,
        external_url: str = "",
        *,
        send: Post = post,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._respond, self._clock, self._external_url = respond, clock, external_url
        self._send, self._new_id = send, new_id
        self._tried_at: dict[str, float] = {}

    async def try_out(self, receiver: str, by: str = "") -> Sequence[Tried]:
        """Tell `receiver` that this is a test; what each of its integrations answered.

        Raises NotFound when alertmanager.yml knows no such receiver, TooMany when it was tried just now.
        """
        known = self._respond.policy.routing.receivers
        if receiver not in known:
            raise NotFound(f"alertmanager.yml has no receiver {receiver!r}; known: {', '.join(known) or 'none'}")
        now = self._clock.now()
        left = self._tried_at.get(receiver, now - EVERY) + EVERY - now
        if left > 0:
            raise TooMany(f"{receiver!r} was tried just now; come again in {left:.0f} s", retry_after=left)
        self._tried_at[receiver] = now
        told = _message(receiver, self._new_id(), by, now, self._external_url)
        integrations = enumerate(known[receiver])
        return await asyncio.gather(*(self._told(each, replace(told, integration=at)) for at, each in integrations))

    async def _told(self, integration: Integration, told: Message) -> Tried:
        key, began = self._new_id(), self._clock.now()
        answer = await self._sent(integration, told, key)
        if answer.verdict is Verdict.DELIVERED and integration.channel in _HOLDS:
            answer = await self._sent(integration, _over(told, self._clock.now()), f"{key}-over")
        seconds = self._clock.now() - began
        await asyncio.to_thread(self._note, integration, told, key, answer)
        delivered = answer.verdict is Verdict.DELIVERED
        log.info("receiver.tried", receiver=told.receiver, channel=integration.channel, taken=delivered)
        return Tried(integration.channel, told.integration, delivered, answer.reason, seconds)

    async def _sent(self, integration: Integration, told: Message, key: str) -> Answer:
        try:
            letter = await asyncio.to_thread(integration.letter, told, key)
        except OSError as error:  # a secret that stands in a file
            return Answer(Verdict.REFUSED, f"a file with its secret cannot be read: {error.strerror}")
        except TemplateError as error:
            return Answer(Verdict.REFUSED, f"a template of alertmanager.yml failed: {error}")
        return await self._send(letter, self._clock.now())

    def _note(self, integration: Integration, told: Message, key: str, answer: Answer) -> None:
        """Keep the letter beside those that were meant: with what became of it, so that nobody sends it again."""
        now, delivered = self._clock.now(), answer.verdict is Verdict.DELIVERED
        row: store.NotificationRow = {
            "id": key, "incident_id": None, "receiver": told.receiver, "channel": integration.channel,
            "integration": told.integration, "event": EVENT, "state": "sent" if delivered else "failed", "attempts": 1,
            "next_at": None, "created_at": told.at, "sent_at": now if delivered else None, "error": answer.reason,
            "payload": message.to_payload(told), "dedup_key": f"test:{key}", "group_id": None, "deadline": None, "tells": None,
        }  # fmt: skip
        with self._respond.desk() as desk:
            store.enqueue(desk.connection, [row])


def _message(receiver: str, test: str, by: str, at: float, external_url: str) -> Message:
    who = by or "somebody"
    labels = Labels({"alertname": ALERT, "severity": "info", "test": test})
    words = {
        "summary": "This is a test of aiprism, nothing is wrong",
        "description": f"{who} tried whether the receiver {receiver} is reached. Nobody has to do anything.",
    }
    tested = Alert(labels, Labels(words), AlertState.FIRING, 1.0, active_at=at, fired_at=at, source=external_url)
    key = f'{{}}:{{test="{test}"}}'
    told = message.of_group(key, Labels({"alertname": ALERT}), [tested], at=at, external_url=external_url)
    return replace(told, receiver=receiver, text="this is a test, nothing is wrong", url=external_url)


def _over(told: Message, at: float) -> Message:
    alerts = tuple(replace(each, state=AlertState.RESOLVED, resolved_at=at) for each in told.alerts)
    return replace(told, event="resolved", status="resolved", alerts=alerts, at=at, resolved_at=at)

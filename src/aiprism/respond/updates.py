"""Status updates: what people tell an audience of an incident, and the log of who was told and whether it arrived.

In: an incident, an audience of war-room.yml, words or a template's name. Out: rows, and letters in the outbox, written at the
desk. What a public audience is told holds nothing that nobody wrote: no title, label or name of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from aiprism.errors import BadInput, NotFound
from aiprism.model.labels import Labels
from aiprism.respond import journal, message
from aiprism.respond.channels.post import Integration
from aiprism.respond.consequences import letter_row
from aiprism.respond.desk import Desk, Policy
from aiprism.respond.digest import PAGERS
from aiprism.respond.incident import Incident, Noted
from aiprism.respond.incident.updating import TOLD
from aiprism.respond.message import Message
from aiprism.respond.pipeline import Respond
from aiprism.respond.roomplan import STATUSES, Audience
from aiprism.respond.template import TemplateError, seen
from aiprism.store import incidents as outbox
from aiprism.store import updates as store

EVENT = "update"
MOST_CHARACTERS = 8_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be told: words, or those of a template (that of the status when none is named)."""

    audience: str
    status: str = ""  # that of the incident when empty
    text: str = ""
    template: str = ""
    title: str = ""


class Updates:
    """The status updates of every incident."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def choices(self) -> dict[str, Any]:
        """Who can be told, and in which words."""
        rooms = self._respond.policy.rooms
        audiences = [
            {"name": each.name, "public": each.public, "title": each.title, "receivers": list(each.receivers)}
            for each in rooms.audiences.values()
        ]
        return {"audiences": audiences, "templates": list(rooms.templates)}

    def preview(self, incident_id: str, wanted: Wanted) -> dict[str, Any]:
        """What would be told, and whom; nothing is."""
        with self._respond.reading() as connection:
            incident = journal.read(connection, incident_id)
        policy = self._respond.policy
        audience = _audience(policy, wanted.audience)
        said = _said(incident, audience, wanted, policy, incident.updated_at)
        told = [
            {"receiver": each.receiver, "channel": each.channel} for each, _ in addresses(audience.receivers, policy)
        ]
        return {"audience": audience.name, "public": audience.public, **_words(said), "would_tell": told}

    def post(self, incident_id: str, author: str, wanted: Wanted) -> dict[str, Any]:
        """Tell it, and put that on the timeline. NotFound for an incident or audience that there is not."""
        with self._respond.desk() as desk:
            incident = desk.incident(incident_id, itself=True)
            audience = _audience(desk.policy, wanted.audience)
            said = _said(incident, audience, wanted, desk.policy, desk.now)
            row = {
                "incident_id": incident_id, "at": desk.now, "author": author, "audience": audience.name,
                "status": said.status, "title": said.title, "text": said.text, "public": audience.public,
            }  # fmt: skip
            number = store.append(desk.connection, row)
            told = _tell(desk, incident_id, audience, said, number)
            text = f"{audience.name} {'is' if told else 'would be'} told: {said.text}"
            data = {"update": number, "audience": audience.name, "status": said.status, "letters": told}
            desk.happen(incident_id, Noted(TOLD, author, text, data))
            desk.made_work = True
        return next(each for each in self.log(incident_id) if each["id"] == number)

    def log(self, incident_id: str) -> list[dict[str, Any]]:
        """The communication log: every update, whom it was sent to, and what became of that. NotFound for no incident."""
        with self._respond.reading() as connection:
            journal.work_of(connection, incident_id)  # that there is one
            rows = store.of_incident(connection, incident_id)
            letters = outbox.notification_rows(connection, [incident_id])
        return [
            {
                **{name: value for name, value in row.items() if name != "incident_id"},
                "told": [_outcome(each) for each in letters if each["event"] == f"{EVENT}#{row['id']}"],
            }
            for row in rows
        ]

    def feed(self, limit: int = 50) -> list[store.UpdateRow]:
        """What everybody may read, newest first."""
        with self._respond.reading() as connection:
            return store.public(connection, limit)


def _audience(policy: Policy, name: str) -> Audience:
    found = policy.rooms.audiences.get(name)
    if found is None:
        known = ", ".join(policy.rooms.audiences) or "none: name some in war-room.yml (respond.war_room)"
        raise NotFound(f"there is no audience {name[:80]!r}; there are {known}")
    return found


def _said(incident: Incident, audience: Audience, wanted: Wanted, policy: Policy, now: float) -> Message:
    """The message, its words filled in. Templates see the incident, but for a public audience: they see what is told there."""
    status = wanted.status or incident.status.value
    if status not in STATUSES:
        raise BadInput(f"an update is {', '.join(STATUSES)}, not {status[:40]!r}")
    whole = message.of_incident(incident, EVENT, "", now, policy.external_url)
    said = replace(whole, title=wanted.title or audience.title or incident.title, status=status, is_incident=False)
    if audience.public:
        said = _bare(said)
    name = wanted.template or status
    words = policy.rooms.templates.get(name)
    if words is None:
        raise NotFound(f"there is no template {name[:80]!r}; there are {', '.join(policy.rooms.templates)}")
    try:
        text = wanted.text or words.of(seen(said))
    except TemplateError as error:
        raise BadInput(f"template {name!r} cannot be filled in: {error}") from None
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise BadInput(f"an update says something, in at most {MOST_CHARACTERS} characters")
    # Of their own subject: they go on from each other, and not from what is told of the incident itself.
    return replace(said, text=text.strip(), alerts=(), description="", subject_id=f"{incident.id}-{audience.name}")


def _bare(said: Message) -> Message:
    """Without anything that is ours."""
    labels = Labels({"update": "status"})
    return replace(
        said, alerts=(), description="", services=(), url="", external_url="", acknowledged_by="",
        group_key='{}:{update="status"}', group_labels=labels,
    )  # fmt: skip


def addresses(receivers: Iterable[str], policy: Policy) -> list[tuple[outbox.Address, Integration]]:
    """What is told when these receivers hear what people say: all but those that page."""
    return [
        (outbox.Address(receiver, integration.channel, number), integration)
        for receiver in receivers
        for number, integration in enumerate(policy.routing.integrations(receiver))
        if integration.channel not in PAGERS
    ]


def _tell(desk: Desk, incident_id: str, audience: Audience, said: Message, number: int) -> int:
    """Put it into the outbox; how many letters that are."""
    occasion = f"{EVENT}#{number}"
    letters = [
        letter_row(replace(said, receiver=address.receiver), integration, address.integration, occasion, incident_id)
        for address, integration in addresses(audience.receivers, desk.policy)
    ]
    outbox.enqueue(desk.connection, letters)
    return len(letters)


def _words(said: Message) -> dict[str, str]:
    return {"status": said.status, "title": said.title, "text": said.text}


def _outcome(row: outbox.NotificationRow) -> dict[str, Any]:
    names = ("receiver", "channel", "state", "sent_at", "attempts", "error")
    return {name: value for name, value in row.items() if name in names}

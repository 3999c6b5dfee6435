"""The loop that has war rooms heard elsewhere: in a channel of Slack for each, and by receivers of alertmanager.yml.

In: a bell that rings when something was said or happened. Out: calls of Slack's Web API, one after the other for each channel,
each answer kept before the next; letters in the outbox for receivers, in portions. Where a channel stands is a row, so a loop that
begins after a restart, or in another process, goes on with it. What comes next is decided in `roomchannel`, what is told in
`roomtelling`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from sqlalchemy import Connection

from aiprism.clock import Clock
from aiprism.httpconfig import Secret
from aiprism.model.alerts import Priority
from aiprism.model.labels import Labels
from aiprism.respond import journal, roomchannel
from aiprism.respond.bell import Bell
from aiprism.respond.channels.slack import escaped, escaped_within, shortened
from aiprism.respond.consequences import letter_row
from aiprism.respond.desk import Desk
from aiprism.respond.incident import MACHINE, Noted
from aiprism.respond.incident.updating import responsible
from aiprism.respond.message import Message
from aiprism.respond.oncall import overrides
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.pipeline import Respond
from aiprism.respond.roomchannel import Ask, Channel, Reply, Stage, Wish, answered, begun, following, lasting_topic
from aiprism.respond.roomkeeping import SLACK, folded, line_of
from aiprism.respond.roomplan import Slack
from aiprism.respond.roomtelling import EVENTS, SPOKEN, Form, Happened, portion
from aiprism.respond.slackapi import SlackApi
from aiprism.respond.updates import addresses
from aiprism.respond.warroom import Line, Place
from aiprism.store import incidents as incident_store
from aiprism.store import roomchannels as store
from aiprism.store import warroom as room_store
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

RECEIVERS = "receivers"  # the other kind of channels
EVENT = "room"  # of letters
_OVER = (Stage.ARCHIVED.value, Stage.LOST.value)
_HEARD_ON = 7 * 86_400.0  # seconds after an incident was resolved in which its room is still heard
_AT_ONCE = 100  # lines that are looked at together
_STEPS = 20  # of one channel, before the others are looked at again
_SHORTEST, _IDLE, _AGAIN = 0.5, 30.0, 5.0  # seconds between looks: at least, at most, and after a failure
_BETWEEN_LETTERS = 5.0  # seconds; what is said meanwhile is told together
_TOGETHER = 2.0  # real seconds that a round waits for Slack; who is not answered by then is not waited for
_TOPIC = 250
_NAMES, _NAME_PATIENCE = 1000, 2.0

_IN_SLACK = Form(escaped, "*{}*", cut=shortened, here=SLACK)
_PLAIN = Form(between="\n\n")


class Api(Protocol):
    """Slack, as a bot sees it."""

    async def call(self, ask: Ask) -> Reply:
        """Ask once."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


def connected(slack: Slack) -> Api:
    """Slack's Web API, as configured."""
    return SlackApi(slack.api_url, slack.token)


@dataclass(slots=True)
class _Line:
    """The connection to Slack, and what it was made with."""

    address: str
    token: Secret
    api: Api


class RoomMirror:
    """Has rooms heard elsewhere as long as `run` runs."""

    def __init__(
        self,
        respond: Respond,
        clock: Clock,
        *,
        connect: Callable[[Slack], Api] = connected,
        together: float = _TOGETHER,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._respond, self._clock, self._connect = respond, clock, connect
        self._together = together
        self._telemetry = telemetry or Telemetry()
        self._bell = Bell()
        self._line: _Line | None = None
        self._names: dict[str, str] = {}
        self._asking: dict[str, asyncio.Task[float]] = {}  # by incident: channels that a round is at
        respond.on_work(self._bell.ring)

    async def run(self) -> None:
        """Mirror until cancelled."""
        try:
            while True:
                # The one broad catch of this loop: a database that is away comes back.
                try:
                    wait = await self.round()
                except Exception:
                    log.exception("room.mirror_failed")
                    wait = _AGAIN
                await self._clock.sleep(_SHORTEST)  # a storm rings with every batch
                await self._bell.wait(self._clock, max(0.0, wait - _SHORTEST))
        finally:
            await self._hang_up()

    async def round(self) -> float:
        """Do what is to be done now; in how many seconds there is more, if nothing rings."""
        waits = [_IDLE, await asyncio.to_thread(self._tell_receivers)]
        slack = self._respond.policy.rooms.slack
        if slack.token:
            api = await self._api(slack)
            channels = await asyncio.to_thread(self._channels, slack)
            idle = [each for each in channels if each.incident_id not in self._asking]
            due = [each for each in idle if each.next_at <= self._clock.now()]
            waits += [each.next_at - self._clock.now() for each in idle if each not in due]
            waits += await self._advance(api, due)
        return max(0.0, min(waits))

    async def _advance(self, api: Api, due: Iterable[Channel]) -> list[float]:
        """Advance these at once; in how many seconds each goes on. One whose answer does not come holds up itself alone."""
        tasks = [asyncio.create_task(self._advanced(api, each), name=each.incident_id) for each in due]
        for task in tasks:
            self._asking[task.get_name()] = task
            task.add_done_callback(self._asked)
        if not tasks:
            return []
        done, late = await asyncio.wait(tasks, timeout=self._together)
        for task in late:
            task.add_done_callback(lambda _: self._bell.ring())
        return [_AGAIN if task.cancelled() or task.exception() else task.result() for task in done]

    def _asked(self, task: asyncio.Task[float]) -> None:
        del self._asking[task.get_name()]
        if not task.cancelled() and (error := task.exception()):
            log.error("room.channel_failed", incident=task.get_name(), exc_info=error)

    async def name_of(self, user: str) -> str:
        """What somebody is called in Slack; their id where that cannot be found out soon."""
        slack = self._respond.policy.rooms.slack
        if user not in self._names and slack.token and len(self._names) < _NAMES:
            try:
                async with asyncio.timeout(_NAME_PATIENCE):
                    reply = await (await self._api(slack)).call(Ask("users.info", {"user": user}))
            except TimeoutError:
                return user
            found = (reply.found or {}).get("user") or {}
            name = (found.get("profile") or {}).get("display_name") or found.get("real_name") or found.get("name")
            if name:
                self._names[user] = str(name)
        return self._names.get(user, user)

    # -- Slack -----------------------------------------------------------------------------------------------------

    async def _api(self, slack: Slack) -> Api:
        line = self._line
        if line is None or (line.address, line.token) != (slack.api_url, slack.token):
            before, line = line, _Line(slack.api_url, slack.token, self._connect(slack))
            self._line = line  # first: whoever asks meanwhile asks this one
            await self._left(before)
        return line.api

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        await self._left(line)

    async def _left(self, line: _Line | None) -> None:
        """End what is being asked, and close the connection it is asked over."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        if line:
            await line.api.close()

    def _channels(self, slack: Slack) -> list[Channel]:
        """Every channel that goes on, with those that rooms want from now on."""
        since = self._clock.now() - max(_HEARD_ON, slack.archive_after + _HEARD_ON)
        with self._respond.reading() as connection:
            wanted = store.lacking(connection, SLACK, [each.value for each in slack.tiers]) if slack.tiers else []
            rows = store.living(connection, SLACK, _OVER, since)
        if wanted:
            with self._respond.desk() as desk:
                for incident_id in store.lacking(desk.connection, SLACK, [each.value for each in slack.tiers]):
                    _begin(desk, incident_id, SLACK)
                rows = store.living(desk.connection, SLACK, _OVER, since)
        return [roomchannel.kept(row) for row in rows]

    async def _advanced(self, api: Api, channel: Channel) -> float:
        """One step after the other, as far as it goes now; in how many seconds it goes on."""
        for _ in range(_STEPS):
            wish = await asyncio.to_thread(self._wish, channel)
            ask = following(channel, wish)
            if ask is None:
                if wish.place == channel.place:
                    return _IDLE
                # Of what came since, nothing is told; of what comes after that, something may be.
                channel = await asyncio.to_thread(self._keep, channel, replace(channel, place=wish.place))
                continue
            asked = begun(channel, ask)
            if asked != channel:
                await asyncio.to_thread(self._keep, channel, asked)
            reply = await api.call(ask)
            after = answered(asked, ask, reply, self._clock.now())
            self._count(ask, reply, passed_over=after.place != asked.place)
            channel = await asyncio.to_thread(self._keep, asked, after)
            if channel.next_at > self._clock.now():
                return channel.next_at - self._clock.now()
        return 0.0

    def _count(self, ask: Ask, reply: Reply, *, passed_over: bool) -> None:
        if ask.posts and reply.found is not None:
            self._telemetry.passed("respond.room.slack")
        elif ask.posts and passed_over:
            self._telemetry.dropped("respond.room.slack", "refused")
            log.warning("room.post_refused", why=reply.error)

    def _keep(self, before: Channel, after: Channel) -> Channel:
        """Write a channel, and what there is to tell of it."""
        after, told = roomchannel.news(before, after)
        with self._respond.desk() as desk:
            store.save(desk.connection, {**roomchannel.stored(after), "kind": SLACK})
            for each in told:
                desk.happen(after.incident_id, Noted(each.event, MACHINE, each.text, {"url": after.url}))
        for each in told:
            log.info(f"room.{each.event}", incident=after.incident_id, text=each.text)
        return after

    def _wish(self, channel: Channel) -> Wish:
        """How the channel is to be now."""
        policy, slack, now = self._respond.policy, self._respond.policy.rooms.slack, self._clock.now()
        with self._respond.reading() as connection:
            [incident] = incident_store.incident_rows(connection, ids=[channel.incident_id])
            lines, events = _unheard(connection, channel.incident_id, channel.place)
            topic = _topic(connection, incident, policy.external_url)
            rota = overrides.in_force(connection, policy.periods.rota, now)
            absorbed = _absorbed(connection, incident)
            taken_in = store.of_incidents(connection, [each["id"] for each in absorbed], SLACK)
            people = [
                *slack.invite,
                *_at_work(connection, incident),
                *(who for each in absorbed for who in _having(each)),
            ]
            if not channel.head:  # later on, only who takes part: an incident may hold ten thousand alerts
                whole = journal.read(connection, channel.incident_id)
                people += responsible(whole, now, replace(policy.periods, rota=rota))
        post, place = portion(lines, events, channel.place, _IN_SLACK)
        resolved = incident["resolved_at"] if incident["status"] == "resolved" else None
        return Wish(
            name=f"{slack.prefix}-{channel.incident_id.removeprefix('INC_')}",
            topic=lasting_topic(channel, topic, now),
            head=_head(incident, policy.external_url, hears=policy.buttons),
            private=slack.private,
            people=_addresses(people, rota),
            taken_in=tuple(each["channel"] for each in taken_in if each["channel"]),
            post=post,
            place=place,
            resolved=incident["status"] == "resolved",
            over=bool(slack.archive_after and resolved is not None and now >= resolved + slack.archive_after),
        )

    # -- receivers -------------------------------------------------------------------------------------------------

    def _tell_receivers(self) -> float:
        """Write letters of what was said since the last ones; in how many seconds there may be more."""
        receivers, now = self._respond.policy.rooms.receivers, self._clock.now()
        if not receivers:
            return _IDLE
        with self._respond.reading() as connection:
            wanted = store.lacking(connection, RECEIVERS, ())
            channels = [roomchannel.kept(row) for row in _living_receivers(connection, now)]
            news = [each for each in channels if any(_unheard(connection, each.incident_id, each.place))]
        if not wanted and not any(each.next_at <= now for each in news):
            return min((each.next_at - now for each in news), default=_IDLE)
        with self._respond.desk() as desk:
            for incident_id in store.lacking(desk.connection, RECEIVERS, ()):
                _begin(desk, incident_id, RECEIVERS)
            for row in _living_receivers(desk.connection, now):
                if row["next_at"] <= now:
                    _tell(desk, roomchannel.kept(row), receivers)
        return _BETWEEN_LETTERS


def _living_receivers(connection: Connection, now: float) -> list[store.ChannelRow]:
    return store.living(connection, RECEIVERS, _OVER, now - _HEARD_ON)


def _begin(desk: Desk, incident_id: str, kind: str) -> None:
    row = roomchannel.stored(Channel(incident_id, next_at=desk.now))
    store.begin(desk.connection, {**row, "kind": kind})


def _tell(desk: Desk, channel: Channel, receivers: Iterable[str]) -> None:
    """Put what is new into the outbox, as far as one letter takes it."""
    lines, events = _unheard(desk.connection, channel.incident_id, channel.place)
    text, place = portion(lines, events, channel.place, _PLAIN)
    if place == channel.place:
        return
    policy = desk.policy
    # Its row and not the incident: to read one of ten thousand alerts would hold up everybody who writes.
    [incident] = incident_store.incident_rows(desk.connection, ids=[channel.incident_id])
    said = _letter(incident, text, desk.now, policy.external_url)
    letters = [
        letter_row(
            replace(said, receiver=address.receiver),
            integration,
            address.integration,
            f"{EVENT}#{place}",
            channel.incident_id,
        )
        for address, integration in addresses(receivers, policy)
    ]
    incident_store.enqueue(desk.connection, letters if text else [])
    after = replace(channel, stage=Stage.OPEN, place=place, next_at=desk.now + _BETWEEN_LETTERS)
    store.save(desk.connection, {**roomchannel.stored(after), "kind": RECEIVERS})
    desk.made_work = True


def _letter(incident: incident_store.IncidentRow, text: str, at: float, external_url: str) -> Message:
    """What receivers are told of a room: what was said and happened, below the incident's title."""
    name = incident["id"]
    return Message(
        event=EVENT,
        text=text,
        at=at,
        subject_id=f"{name}-room",
        is_incident=False,
        title=f"War room of {name}: {incident['title']}",
        description="",
        priority=Priority(incident["priority"]),
        status=incident["status"],
        created_at=incident["created_at"],
        services=tuple(incident["services"]),
        alerts=(),
        url=_room_url(name, external_url),
        acknowledged_by=incident["acknowledged_by"] or "",
        resolved_at=incident["resolved_at"],
        group_key=f'{{}}:{{incident="{name}"}}',
        group_labels=Labels({"incident": name}),
        external_url=external_url,
    )


# -- what is read ----------------------------------------------------------------------------------------------------


def _unheard(connection: Connection, incident_id: str, place: Place) -> tuple[list[Line], list[Happened]]:
    """The first lines of room and timeline after a place, of those that are told elsewhere."""
    kinds = [each.value for each in SPOKEN]
    lines = room_store.lines_after(connection, incident_id, place.line, _AT_ONCE, kinds)
    events = room_store.events_after(connection, incident_id, place.event, _AT_ONCE, tuple(EVENTS))
    happened = [Happened(row["id"], row["at"], row["event"], row["actor"], row["text"]) for row in events]
    return [line_of(row) for row in lines], happened


def _at_work(connection: Connection, incident: incident_store.IncidentRow) -> list[str]:
    """Whoever has something to do with it: who acknowledged it, who it is assigned to, who has a role, who is in the room."""
    return [*_having(incident), *folded(connection, incident["id"]).present]


def _having(incident: incident_store.IncidentRow) -> list[str]:
    work = incident["work"] or {}
    return [incident["acknowledged_by"] or "", work.get("assignee", ""), *work.get("roles", {}).values()]


def _absorbed(connection: Connection, incident: incident_store.IncidentRow) -> list[incident_store.IncidentRow]:
    """The incidents that it took in, and that are kept."""
    ids = (incident["work"] or {}).get("absorbed", ())
    return incident_store.incident_rows(connection, ids=ids) if ids else []


def _addresses(people: Iterable[str], rota: Rota) -> tuple[str, ...]:
    """The mail addresses of these people, by their ids or names in oncall.yml, or as they stand there."""
    named = {person.name.lower(): person for person in rota.people.values()}
    found = []
    for each in people:
        person = rota.people.get(each) or named.get(each.lower())
        found.append(person.email if person else each if "@" in each.strip("@") and " " not in each else "")
    return tuple(dict.fromkeys(address for address in found if address))


def _head(incident: incident_store.IncidentRow, external_url: str, *, hears: bool) -> str:
    """The first message: what it is about, and where all of it is."""
    name = incident["id"]
    room = f"<{escaped(_room_url(name, external_url))}|War room> of {name}"
    heard = "is said there; 👀 on this message acknowledges" if hears else "is not heard there"
    since = (
        f"<!date^{round(incident['created_at'])}^{{date_short_pretty}} {{time_secs}}|{round(incident['created_at'])}>"
    )
    return (
        f"🚨 *{incident['priority']}: {escaped(incident['title'])}*\n"
        f"Since {since}. {room}: what is said there, and what happens, stands here. What is written here {heard}."
    )


def _topic(connection: Connection, incident: incident_store.IncidentRow, external_url: str) -> str:
    """How it stands; of one that another took in, where people go on."""
    into = (incident["work"] or {}).get("merged_into", "")
    if not into:
        return escaped_within(f"{incident['priority']} {incident['status']}: {incident['title']}", _TOPIC)
    into = journal.current_id(connection, into)  # which may have been taken in itself
    its = store.of_incident(connection, into, SLACK)
    where = its["url"] if its and its["url"] else _room_url(into, external_url)
    return f"goes on as part of {into}: {escaped_within(where, _TOPIC)}"


def _room_url(incident_id: str, external_url: str) -> str:
    return f"{external_url.rstrip('/')}/incidents/{incident_id}/room"

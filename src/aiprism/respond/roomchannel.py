"""The channel in Slack that a war room has: how far it has come, what is asked of Slack next, and what an answer means.

Pure. In: a `Channel` as it is kept, a `Wish` of how it is to be, Slack's replies. Out: the next `Ask`, or the next `Channel`. One
line after the other: a channel is made (or found, when it is there already), gets its topic, its people and a first message that
is pinned, and from then on what is said and what happens, in portions. Whatever is lost on the way (an answer, this process)
ends in one channel: a name belongs to one incident, and what we posted carries its place, by which it is found again.
Source: Slack's Web API methods by these names, and its page "Rate limits". Asking is left to `roommirror`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from aiprism.respond.warroom import START, Place

OPENED, FAILED, ARCHIVED, LOST = (
    "channel_opened",
    "channel_failed",
    "channel_archived",
    "channel_lost",
)  # on the timeline
_MARK = "aiprism_room"  # what our messages carry
_PAGE = 200
_GUESTS = 200  # people of one channel who are called into another
_GUEST_PACE = 1.5  # seconds between them: Slack takes fifty a minute, and a busy one would hold up what is said
_LOOKED_THROUGH = 50  # messages in which one of ours is looked for
_PACE = 1.0  # seconds between posts: Slack takes about one each second in a channel
_FIRST, _LONGEST = 1.0, 300.0  # seconds before another try, doubling, while it is not known what became of one
_LONG = 900.0  # seconds, where a person has to do something first
_BUSY_FOR, _PATIENCE = (
    30.0,
    3600.0,
)  # seconds that we wait for a busy Slack: where it does not say how long, and at most
_DOUBTS = 3  # tries without an answer before the timeline says so
_MOST_NAMES = 20
_TOLD_WAIT = 120.0  # seconds of waiting for a busy Slack from which on people are told
_TOPIC_PACE = 60.0  # seconds: each change of a topic is a line in the channel
_NAME = 80  # characters that the name of a channel may have

# Our token, or what it may do: the same would be refused again until somebody changes that.
_DENIED = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_expired", "token_revoked", "no_permission", "missing_scope",
    "not_allowed_token_type", "access_denied", "org_login_required", "ekm_access_denied", "team_access_not_granted",
    "two_factor_setup_required", "enterprise_is_restricted", "accesslimited", "restricted_action", "user_is_restricted",
    "method_not_supported_for_channel_type", "unknown_method", "restricted_action_read_only_channel",
})  # fmt: skip
_GONE = frozenset({"channel_not_found", "is_archived", "not_in_channel"})
# Of these Slack says that something may have happened all the same.
_UNCLEAR = frozenset({"internal_error", "fatal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
_BUSY = frozenset({"ratelimited", "rate_limited"})
# A permission that we were not given, or an action that few may take: much goes without.
_WITHOUT = frozenset({"missing_scope", "restricted_action", "user_is_restricted"})


class Stage(Enum):
    """Where a channel stands."""

    WANTED = "wanted"
    OPEN = "open"
    ARCHIVED = "archived"
    LOST = "lost"  # somebody archived it, or took us out: it is left alone


@dataclass(frozen=True, slots=True)
class Channel:
    """One room's channel, as it is kept after each step. `place` is up to where of room and timeline it has heard."""

    incident_id: str
    stage: Stage = Stage.WANTED
    id: str = ""
    name: str = ""
    home: str = ""  # the workspace, https://…slack.com/
    attempt: int = 1  # of the names that are tried
    looking: bool = False  # the name is taken: by us, perhaps
    cursor: str = ""  # of the page that is looked through next
    topic: str = ""
    topic_at: float = 0.0  # when it was set
    people: Mapping[str, str] = field(default_factory=dict)  # their ids by address; empty for who is not there
    invited: tuple[str, ...] = ()  # addresses, and ids of guests
    taken_in: tuple[str, ...] = ()  # channels of incidents that this one took in, whose people were looked up
    guests: tuple[str, ...] = ()  # the ids of these people
    head: str = ""  # the first message, by its time, which is Slack's name for it
    pinned: bool = False
    place: Place = START
    doubt: bool = False  # something was posted, and nothing is known of it
    tries: int = 0  # without a clear answer
    error: str = ""
    told: str = ""  # the error that the timeline tells
    next_at: float = 0.0

    @property
    def url(self) -> str:
        """Where people find it; empty while it is not there."""
        return f"{self.home}archives/{self.id}" if self.id and self.home else ""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a channel is to be now. `post` is the next part of what it has not heard of, which goes up to `place`."""

    name: str
    topic: str
    head: str
    private: bool = False
    people: tuple[str, ...] = ()  # addresses
    taken_in: tuple[str, ...] = ()  # ids of the channels whose people are called, too
    post: str = ""
    place: Place = START
    resolved: bool = False  # the incident is: nobody is called into a channel that there is not yet
    over: bool = False  # it is to be archived


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of Slack's Web API. `about` is what it is for, where the form does not say it."""

    method: str
    form: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    place: Place = START

    @property
    def posts(self) -> bool:
        """Whether doing it twice would show."""
        return self.method == "chat.postMessage"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: what was found, or Slack's word for why not; neither when nobody knows what became of it."""

    found: Mapping[str, Any] | None = None
    error: str = ""
    why: str = ""  # in words, where Slack said nothing
    needed: str = ""  # the permission that is missing
    retry_after: float | None = None


def named(wanted: str, attempt: int) -> str:
    """The name that is tried then: what Slack takes of it, and a number from the second on.

    >>> named("Inc_20261123_141500_ab12", 1), named("inc", 2)
    ('inc-20261123-141500-ab12', 'inc-2')
    """
    tail = f"-{attempt}" if attempt > 1 else ""
    return re.sub(r"[^a-z0-9-]+", "-", wanted.lower())[: _NAME - len(tail)].strip("-") + tail


def lasting_topic(channel: Channel, topic: str, now: float) -> str:
    """The topic that a channel is to have now: this one at once where it begins otherwise, up to the colon that ends how the
    incident stands; what else is new in it waits for a minute, as a storm gives an incident another title with every batch."""
    same = channel.topic.partition(":")[0] == topic.partition(":")[0]
    return channel.topic if same and channel.topic_at <= now < channel.topic_at + _TOPIC_PACE else topic


# -- what comes next -------------------------------------------------------------------------------------------------


def following(channel: Channel, wish: Wish) -> Ask | None:
    """What is asked of Slack next; None when the channel is as it is to be."""
    if channel.stage in (Stage.ARCHIVED, Stage.LOST) or (wish.resolved and not channel.id):
        return None
    if not channel.home:
        return Ask("auth.test")
    if not channel.id:
        return _making(channel, wish)
    where = {"channel": channel.id}
    if channel.doubt:
        limit = {"limit": str(_LOOKED_THROUGH), "include_all_metadata": "true"}
        return Ask("conversations.history", {**where, **limit})
    if not channel.topic:
        return _topic(channel, wish)
    if (calling := _calling(channel, wish)) is not None:
        return calling
    if not channel.head:
        return _posting(channel, wish.head, START, head=True)
    if not channel.pinned:
        return Ask("pins.add", {**where, "timestamp": channel.head})
    if wish.post:
        return _posting(channel, wish.post, wish.place)
    if channel.topic != wish.topic:
        return _topic(channel, wish)
    if (calling := _calling_guests(channel, wish)) is not None:  # who may be many: what is said does not wait for them
        return calling
    return Ask("conversations.archive", where) if wish.over else None


def _making(channel: Channel, wish: Wish) -> Ask:
    name = named(wish.name, channel.attempt)
    if channel.looking:
        kind = "private_channel" if wish.private else "public_channel"
        form = {"types": kind, "exclude_archived": "true", "limit": str(_PAGE), "cursor": channel.cursor}
        return Ask("users.conversations", {key: value for key, value in form.items() if value}, name)
    return Ask("conversations.create", {"name": name, "is_private": "true" if wish.private else "false"}, name)


def _topic(channel: Channel, wish: Wish) -> Ask:
    return Ask("conversations.setTopic", {"channel": channel.id, "topic": wish.topic}, wish.topic)


def _calling(channel: Channel, wish: Wish) -> Ask | None:
    """Look somebody up by their address, or invite who was found."""
    for address in wish.people:
        if address in channel.invited:
            continue
        if address not in channel.people:
            return Ask("users.lookupByEmail", {"email": address}, address)
        if user := channel.people[address]:
            return Ask("conversations.invite", {"channel": channel.id, "users": user}, address)
    return None


def _calling_guests(channel: Channel, wish: Wish) -> Ask | None:
    """Look who is in the channels of what was taken in, or invite one of them."""
    for other in wish.taken_in:
        if other not in channel.taken_in:
            return Ask("conversations.members", {"channel": other, "limit": str(_GUESTS)}, other)
    called = {channel.people.get(each, each) for each in channel.invited}
    guest = next((each for each in channel.guests if each not in called), "")
    return Ask("conversations.invite", {"channel": channel.id, "users": guest}, guest) if guest else None


def _posting(channel: Channel, text: str, place: Place, *, head: bool = False) -> Ask:
    mark = {"incident": channel.incident_id, "head": head, "place": str(place)}
    form = {
        "channel": channel.id,
        "text": text,
        "unfurl_links": "false",
        "unfurl_media": "false",
        "metadata": json.dumps({"event_type": _MARK, "event_payload": mark}),
    }
    return Ask("chat.postMessage", form, "head" if head else "", place)


def begun(channel: Channel, ask: Ask) -> Channel:
    """The channel as it is kept before this is asked: of a post that is lost it must be known that there may be one."""
    return replace(channel, doubt=True) if ask.posts else channel


# -- what an answer means --------------------------------------------------------------------------------------------


def answered(channel: Channel, ask: Ask, reply: Reply, now: float) -> Channel:
    """The channel after that answer."""
    if reply.found is not None:
        done = _DONE[ask.method](replace(channel, next_at=now), ask, reply.found, now)
        # To look for a post that was lost is no success, unless it is there: posting alone may fail for hours.
        in_vain = ask.method == "conversations.history" and (done.head, done.place) == (channel.head, channel.place)
        return done if in_vain and channel.tries else replace(done, tries=0, error="", told="")
    if reply.error in _BUSY or reply.retry_after is not None:  # which Slack says before it does anything
        wait = min(max(_BUSY_FOR if reply.retry_after is None else reply.retry_after, _PACE), _PATIENCE)
        long = f"Slack has too much to do: it is asked again in {round(wait / 60)} minutes"
        error = long if wait >= _TOLD_WAIT else channel.error
        return replace(channel, doubt=channel.doubt and not ask.posts, error=error, next_at=now + wait)
    if not reply.error or reply.error in _UNCLEAR:
        return _unclear(channel, reply, now)
    return _refused(replace(channel, doubt=channel.doubt and not ask.posts, tries=0), ask, reply, now)


def _unclear(channel: Channel, reply: Reply, now: float) -> Channel:
    tries = channel.tries + 1
    wait = min(_LONGEST, _FIRST * 2.0 ** min(tries - 1, 20))
    why = reply.why or f"Slack says {reply.error}"
    error = channel.error or (f"the channel in Slack has to wait: {why}" if tries >= _DOUBTS else "")
    return replace(channel, tries=tries, error=error, next_at=now + wait)


def _refused(channel: Channel, ask: Ask, reply: Reply, now: float) -> Channel:
    word = reply.error
    if word in _SETTLED.get(ask.method, ()):
        return _DONE[ask.method](replace(channel, next_at=now), ask, {}, now)
    if ask.method == "conversations.create" and word == "name_taken":
        return replace(channel, looking=True, cursor="", next_at=now)
    if ask.method == "conversations.history" and word not in _GONE:
        return replace(channel, doubt=False, next_at=now)  # we may not look: then it is posted again
    if word in _GONE and ask.form.get("channel") == channel.id:
        return replace(channel, stage=Stage.LOST, error=f"Slack says {word} of the channel")
    goes_without = word not in _DENIED or (word in _WITHOUT and not ask.posts)
    if ask.method in _OPTIONAL and goes_without:
        return _OPTIONAL[ask.method](replace(channel, next_at=now), ask)
    needed = f" (the permission {reply.needed})" if reply.needed else ""
    # Cursors do not last: what is looked through again is looked through from the first page on.
    return replace(channel, cursor="", error=f"Slack refuses {ask.method}: {word}{needed}", next_at=now + _LONG)


def _greeted(channel: Channel, _ask: Ask, found: Mapping[str, Any], _now: float) -> Channel:
    url = str(found.get("url") or "https://slack.com/")
    return replace(channel, home=url if url.endswith("/") else f"{url}/")


def _made(channel: Channel, ask: Ask, found: Mapping[str, Any], _now: float) -> Channel:
    made = found.get("channel") or {}
    return replace(channel, id=str(made["id"]), name=str(made.get("name") or ask.about), stage=Stage.OPEN)


def _looked(channel: Channel, ask: Ask, found: Mapping[str, Any], _now: float) -> Channel:
    """Ours of that name is it, with whatever we may have posted there; where none is ours, the next name is tried."""
    ours = next((each for each in found.get("channels") or () if each.get("name") == ask.about), None)
    if ours is not None:
        return replace(
            channel, id=str(ours["id"]), name=ask.about, stage=Stage.OPEN, looking=False, cursor="", doubt=True
        )
    cursor = str((found.get("response_metadata") or {}).get("next_cursor") or "")
    if cursor and cursor != channel.cursor:
        return replace(channel, cursor=cursor)
    return replace(channel, looking=False, cursor="", attempt=channel.attempt % _MOST_NAMES + 1)


def _remembered(channel: Channel, _ask: Ask, found: Mapping[str, Any], _now: float) -> Channel:
    """What of ours stands there: the first message, and the place up to which the last ones go."""
    head, place = channel.head, channel.place
    for message in found.get("messages") or ():
        metadata = message.get("metadata") or {}
        mark = metadata.get("event_payload") or {}
        if metadata.get("event_type") != _MARK or mark.get("incident") != channel.incident_id:
            continue
        if mark.get("head"):
            head = head or str(message.get("ts", ""))
        there = Place.of(str(mark.get("place", ""))) or place
        place = Place(max(place.line, there.line), max(place.event, there.event))
    return replace(channel, head=head, place=place, doubt=False)


def _met(channel: Channel, ask: Ask, found: Mapping[str, Any], _now: float) -> Channel:
    """Who is in a channel that was taken in; of one that cannot be looked into nobody is called."""
    guests = (*channel.guests, *map(str, found.get("members") or ()))
    return replace(channel, taken_in=(*channel.taken_in, ask.about), guests=tuple(dict.fromkeys(guests)))


def _invited(channel: Channel, ask: Ask, _found: Mapping[str, Any], now: float) -> Channel:
    pace = _GUEST_PACE if ask.about in channel.guests else 0.0
    return replace(channel, invited=(*channel.invited, ask.about), next_at=now + pace)


def _posted(channel: Channel, ask: Ask, found: Mapping[str, Any], now: float) -> Channel:
    after = replace(channel, doubt=False, next_at=now + _PACE)
    if ask.about == "head":
        return replace(after, head=str(found.get("ts", "")))
    return replace(after, place=ask.place)


_Done = Callable[[Channel, Ask, Mapping[str, Any], float], Channel]
_DONE: Mapping[str, _Done] = {
    "auth.test": _greeted,
    "conversations.create": _made,
    "users.conversations": _looked,
    "conversations.history": _remembered,
    "conversations.setTopic": lambda channel, ask, _found, now: replace(channel, topic=ask.about, topic_at=now),
    "users.lookupByEmail": lambda channel, ask, found, _now: replace(
        channel, people={**channel.people, ask.about: str((found.get("user") or {}).get("id", ""))}
    ),
    "conversations.invite": _invited,
    "conversations.members": _met,
    "chat.postMessage": _posted,
    "pins.add": lambda channel, _ask, _found, _now: replace(channel, pinned=True),
    "conversations.archive": lambda channel, _ask, _found, _now: replace(channel, stage=Stage.ARCHIVED),
}
# What is refused because it is so already.
_SETTLED: Mapping[str, frozenset[str]] = {
    "conversations.invite": frozenset({"already_in_channel", "cant_invite_self", "cant_invite"}),
    "pins.add": frozenset({"already_pinned"}),
    "conversations.archive": frozenset({"already_archived"}),
    "users.lookupByEmail": frozenset({"users_not_found"}),
}
# What a channel can do without, and how it goes on then. A post that Slack does not take is passed over: all the others wait.
_OPTIONAL: Mapping[str, Callable[[Channel, Ask], Channel]] = {
    "conversations.setTopic": lambda channel, ask: replace(channel, topic=ask.about, topic_at=channel.next_at),
    "users.lookupByEmail": lambda channel, ask: replace(channel, people={**channel.people, ask.about: ""}),
    "conversations.invite": lambda channel, ask: _invited(channel, ask, {}, channel.next_at),
    "conversations.members": lambda channel, ask: _met(channel, ask, {}, channel.next_at),
    "pins.add": lambda channel, _ask: replace(channel, pinned=True),
    "chat.postMessage": lambda channel, ask: replace(
        channel, **({"head": "none"} if ask.about else {"place": ask.place})
    ),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the timeline is told of a channel."""

    event: str
    text: str


def news(before: Channel, after: Channel) -> tuple[Channel, list[Told]]:
    """What there is to tell after a step, and the channel that knows it was told: each trouble once, however long it lasts."""
    if after.id and not before.id:
        return after, [Told(OPENED, f"#{after.name} in Slack: {after.url}")]
    if after.stage is not before.stage and after.stage is Stage.ARCHIVED:
        return after, [Told(ARCHIVED, f"#{after.name} in Slack is archived")]
    if after.stage is not before.stage and after.stage is Stage.LOST:
        return after, [Told(LOST, f"#{after.name} in Slack is left alone: {after.error}")]
    if after.error and after.error != after.told:
        return replace(after, told=after.error), [Told(FAILED, after.error)]
    return after, []


# -- as it is kept ---------------------------------------------------------------------------------------------------

_COLUMNS = ("incident_id", "name", "error", "next_at")
_LISTS = ("invited", "taken_in", "guests")


def stored(channel: Channel) -> dict[str, Any]:
    """The channel as a row: what is looked for in columns, the rest as JSON."""
    every = asdict(channel)
    rest = {key: value for key, value in every.items() if key not in (*_COLUMNS, "stage", "id", "place")}
    return {
        **{key: every[key] for key in _COLUMNS},
        "stage": channel.stage.value,
        "channel": channel.id,
        "url": channel.url,
        "line": channel.place.line,
        "event": channel.place.event,
        "progress": {**rest, **{key: list(rest[key]) for key in _LISTS}},
    }


def kept(row: Mapping[str, Any]) -> Channel:
    """The channel of a row."""
    progress = {**row["progress"], **{key: tuple(row["progress"].get(key, ())) for key in _LISTS}}
    return Channel(
        **{key: row[key] for key in _COLUMNS},
        stage=Stage(row["stage"]),
        id=row["channel"],
        place=Place(row["line"], row["event"]),
        **progress,
    )

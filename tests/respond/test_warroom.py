"""War rooms: who gets one, what is said and pinned, what commands do, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from aiprism.clock import FakeClock
from aiprism.errors import BadInput, ConfigError, NotFound, TooMany
from aiprism.model.alerts import Priority
from aiprism.respond import dossier, journal, roomplan, warroom
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Evidence, Noted, Pinned
from aiprism.respond.pipeline import Respond
from aiprism.respond.remediate import Remediation
from aiprism.respond.rooms import SHOWN, Rooms
from aiprism.respond.warroom import Kind, Line, Place
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert, runbooks

BOOK = """
name: restart
match: [alertname="ServiceDown"]
guard: {approval: required}
steps: [{process: {service: "${labels.service}", action: restart}}]
"""
DOWN = alert("ServiceDown", "checkout", at=T0)


class House:
    """Incidents and their rooms over one control database."""

    def __init__(self, url, plan=None):
        self.clock, self._url = FakeClock(T0 + 5), url
        self._policy = Policy(runbooks=runbooks(BOOK), rooms=plan or roomplan.usual())
        self.enter()

    def enter(self):
        self.records = Records.open(self._url)
        self.respond = Respond(self.records, self.clock, self._policy)
        remediation = Remediation(self.respond, {}, lambda query, at: [], self.clock)
        self.remediation, self.rooms = remediation, Rooms(self.respond, remediation)

    def again(self):
        """As after a restart."""
        self.records.close()
        self.enter()

    def trouble(self, *alerts):
        self.respond.accept(alerts or [DOWN])
        with self.records.reading() as connection:
            return journal.listed(connection, "all", 1)[0].id

    def said(self, incident):
        return [(line["kind"], line["author"], line["text"]) for line in self.rooms.messages(incident)]

    def timeline(self, incident, *words):
        with self.records.reading() as connection:
            rows = store.event_rows(connection, [incident])
        return [row["event"] for row in rows if not words or row["event"] in words]


@pytest.fixture
def house(tmp_path):
    house = House(f"sqlite:///{tmp_path}/control.db")
    yield house
    house.records.close()


def test_who_is_in_the_room_of_what_was_taken_in_comes_into_the_room_where_it_goes_on(house):
    first = house.trouble(alert("Slow", "api-gateway", severity="high", at=T0))  # which has no room
    house.clock.jump(2000)
    second = house.trouble(alert("ServiceDown", "mail", severity="high", at=house.clock.now()))
    house.clock.jump(2000)
    third = house.trouble(alert("ServiceDown", "orders", severity="high", at=house.clock.now()))
    house.rooms.open(second, "ann")
    house.rooms.open(third, "ann")
    house.rooms.say(second, "ann", "the pool is empty")
    house.rooms.say(second, "bob", "is it?")
    house.rooms.leave(second, "bob")
    house.rooms.say(third, "ann", "here too")
    house.rooms.say(third, "cid", "yes")
    house.respond.merge(second, third, "ann")
    assert [line[2] for line in house.said(second)[-1:]] == [f"cid joined, as {third} goes on here"]
    house.respond.merge(first, second, "ann")
    assert [each["name"] for each in house.rooms.read(first)["participants"]] == ["ann", "cid"]
    assert house.timeline(first, "war_room_opened") == ["war_room_opened"]
    assert house.said(first)[0] == ("joined", "ann", f"ann joined, as {second} goes on here")


def test_an_incident_that_is_p0_has_a_room_once_and_the_timeline_says_so(house):
    incident = house.trouble()
    house.trouble(DOWN, alert("ServiceDown", "checkout", at=T0 + 1, instance="b"))
    assert house.timeline(incident, "war_room_opened") == ["war_room_opened"]
    found = house.rooms.read(incident)
    assert (found["opened_by"], found["opened_at"], found["messages"]) == ("automated_system", T0 + 5, [])


def test_an_incident_of_a_lower_tier_gets_a_room_when_it_becomes_p0_or_somebody_wants_one(house):
    incident = house.trouble(alert(severity="high", at=T0))
    with pytest.raises(NotFound, match="has no war room"):
        house.rooms.read(incident)
    house.trouble(alert(severity="critical", at=T0 + 1, instance="b"))
    head = house.rooms.read(incident)["incident"]
    assert (head["priority"], head["assignee"]) == ("P0", "")
    house.clock.jump(900)
    other = house.trouble(alert("DiskFull", "mail", severity="high", at=T0 + 900))
    house.rooms.open(other, "ann")
    house.rooms.open(other, "bob")
    assert (house.rooms.read(other)["opened_by"], house.timeline(other, "war_room_opened")) == (
        "ann",
        ["war_room_opened"],
    )


def test_which_tiers_have_a_room_is_said_in_a_file():
    assert roomplan.read(parse("war_room: {tiers: [P0, P1]}")).tiers == {Priority.P0, Priority.P1}
    assert roomplan.read(parse("war_room: {tiers: []}")).tiers == set()
    with pytest.raises(ConfigError, match=r"war-room.yml:1: .*P9"):
        roomplan.read(parse("war_room: {tiers: [P9]}", file="war-room.yml"))


def test_who_speaks_is_in_the_room_until_they_leave_and_all_of_it_outlives_incident_and_restart(house):
    incident = house.trouble()
    house.rooms.say(incident, "ann", "the pool is empty")
    house.rooms.join(incident, "bob")
    house.rooms.join(incident, "bob")
    house.rooms.leave(incident, "ann")
    house.rooms.say(incident, "bob", "/resolve it was the pool")
    house.again()
    house.rooms.say(incident, "bob", "//etc/fstab was wrong, too")
    assert house.said(incident) == [
        ("joined", "ann", "ann joined"),
        ("said", "ann", "the pool is empty"),
        ("joined", "bob", "bob joined"),
        ("left", "ann", "ann left"),
        ("said", "bob", "/resolve it was the pool"),
        ("answered", "automated_system", "done; the incident is resolved"),
        ("said", "bob", "/etc/fstab was wrong, too"),
    ]
    found = house.rooms.read(incident)
    assert ([each["name"] for each in found["participants"]], found["incident"]["status"]) == (["bob"], "resolved")


def test_who_takes_care_and_what_is_to_be_done_is_said_in_the_room(house):
    incident = house.trouble()
    for text in (
        "/assign",
        "/assign @bob",
        "/task ask ann@example about the pool",
        "/task restart it @bob",
        "/done t1 yes",
    ):
        house.rooms.say(incident, "ann", text)
    with house.records.reading() as connection:
        work = journal.read(connection, incident).work
    assert work.assignee == "bob" == house.rooms.read(incident)["incident"]["assignee"]
    assert [(task.text, task.assignee, task.done_by) for task in work.tasks] == [
        ("ask ann@example about the pool", "", "ann"),
        ("restart it", "bob", ""),
    ]


def test_a_command_happens_to_the_incident_and_what_cannot_is_answered_in_words(house):
    incident = house.trouble()
    for text in ("/ACK on it", "/identify the pool", "/identify again", "/note look at the pool", "/who", "/approve"):
        house.rooms.say(incident, "ann", text)
    answers = [text for kind, _, text in house.said(incident) if kind == "answered"]
    assert answers == [
        "done; the incident is investigating",
        "done; the incident is identified",
        f"incident {incident} is identified: cannot identify it",
        "done; the incident is identified",
        "in the room: ann",
        "no runbooks wait for approval that this means; waiting: none",
    ]
    assert house.timeline(incident, "acknowledged", "identified", "comment") == [
        "acknowledged",
        "identified",
        "comment",
    ]


@pytest.mark.parametrize(
    ("text", "why"), [("/destroy all", "no command /destroy"), ("/note", "/note WORDS"), (" ", "says")]
)
def test_a_command_that_is_none_is_refused_and_not_said(house, text, why):
    incident = house.trouble()
    with pytest.raises(BadInput, match=why):
        house.rooms.say(incident, "ann", text)
    assert house.said(incident) == []


def test_a_runbook_is_approved_from_the_room(house):
    incident = house.trouble()
    asyncio.run(house.remediation.carry_out_all())
    house.rooms.say(incident, "ann", "/approve restart")
    house.rooms.say(incident, "ann", "/run reboot now")
    approved, unknown = (text for kind, _, text in house.said(incident) if kind == "answered")
    assert (approved, "reboot" in unknown) == ("approved: restart", True)
    assert house.timeline(incident, "runbook_approved") == ["runbook_approved"]


def test_evidence_is_pinned_as_it_is_once_and_is_on_the_timeline(house):
    incident = house.trouble()
    line = house.rooms.say(incident, "ann", "look at this")
    entry = house.rooms.read(incident)["timeline"][0]
    pinned = [
        house.rooms.pin(incident, "bob", Evidence.MESSAGE, text="", ref=str(line["id"]), url=""),
        house.rooms.pin(incident, "ann", Evidence.MESSAGE, text="", ref=str(line["id"]), url=""),
        house.rooms.pin(incident, "bob", Evidence.ENTRY, text="", ref=str(entry["id"]), url=""),
        house.rooms.pin(incident, "bob", Evidence.QUERY, text="sum(rate(errors[1m]))", ref="", url="/"),
    ]
    assert [(each["author"], each["text"]) for each in pinned] == [
        ("bob", "ann: look at this"),
        ("bob", "ann: look at this"),
        ("bob", f"incident created: {entry['text']}"),
        ("bob", "sum(rate(errors[1m]))"),
    ]
    house.rooms.unpin(incident, "ann", pinned[0]["id"])
    assert house.rooms.read(incident)["pins"] == pinned[2:]
    assert house.timeline(incident, "pinned", "unpinned") == [*["pinned"] * 3, "unpinned"]


def test_what_is_pinned_on_an_incident_and_in_its_room_is_one_list(house):
    incident = house.trouble()
    house.respond.happen(incident, Pinned("ann", "https://wiki.example.com/pool", "how to drain it"))
    house.rooms.say(incident, "bob", "/pin the pool is too small")
    pin = house.rooms.pin(incident, "bob", Evidence.QUERY, text="up", ref="", url="/")
    told = [(each["id"], each["author"], each["evidence"], each["text"]) for each in house.rooms.read(incident)["pins"]]
    assert told == [
        (1, "ann", "link", "https://wiki.example.com/pool: how to drain it"),
        (2, "bob", "link", "the pool is too small"),
        (3, "bob", "query", "up"),
    ]
    assert house.rooms.read(incident)["pins"][0]["url"] == "https://wiki.example.com/pool"
    house.rooms.unpin(incident, "ann", pin["id"])
    house.respond.happen(incident, Pinned("ann", "4bf92f3577b34da6a3ce929d0e0e4736"))
    with house.records.reading() as connection:
        kept = dossier.dossier(connection, incident)["pins"]
    assert [(each["id"], each["what"], each["evidence"]) for each in kept] == [
        ("E1", "https://wiki.example.com/pool", "link"),
        ("E2", "the pool is too small", "link"),
        ("E4", "4bf92f3577b34da6a3ce929d0e0e4736", "trace"),
    ]
    lines = [line for line in house.rooms.messages(incident) if line["kind"] in ("pinned", "unpinned")]
    assert [(line["kind"], line["data"]["pin"]) for line in lines] == [
        ("pinned", 1), ("pinned", 2), ("pinned", 3), ("unpinned", 3), ("pinned", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/\\evil.example", "x"])
def test_a_pin_leads_to_a_page_or_is_refused(house, url):
    incident = house.trouble()
    with pytest.raises(BadInput, match="the url of a pin"):
        house.rooms.pin(incident, "ann", Evidence.LINK, text="here", ref="", url=url)
    assert house.rooms.read(incident)["pins"] == []


@pytest.mark.parametrize("ref", ["", "0", "99999", "x", "9" * 30])
@pytest.mark.parametrize("evidence", [Evidence.ENTRY, Evidence.MESSAGE])
def test_a_line_that_is_not_there_cannot_be_pinned(house, evidence, ref):
    with pytest.raises(NotFound, match="has no line"):
        house.rooms.pin(house.trouble(), "ann", evidence, text="", ref=ref, url="")


def test_who_writes_too_fast_waits_and_the_others_go_on(house):
    incident = house.trouble()
    for number in range(19):  # the first brought its author in
        house.rooms.say(incident, "bot", f"{number}")
    with pytest.raises(TooMany, match="bot has written 20 lines") as refused:
        house.rooms.say(incident, "bot", "one more")
    house.rooms.say(incident, "ann", "quiet, bot")
    house.clock.jump(refused.value.retry_after)
    house.rooms.say(incident, "bot", "sorry")


@pytest.mark.parametrize(
    ("lately", "lines", "why"), [({"a": 60, "b": 40}, 0, "the room takes 100"), ({}, warroom.MOST_LINES, "is full")]
)
def test_a_room_takes_only_so_much(lately, lines, why):
    with pytest.raises(TooMany, match=why):
        warroom.admitted("ann", lately, lines)
    warroom.admitted("ann", {"ann": 19, "bob": 80}, warroom.MOST_LINES - 1)


def test_what_came_after_a_place_is_told_in_portions_that_leave_nothing_out(house):
    incident = house.trouble()
    start = house.rooms.end(incident)
    for number in range(SHOWN + 20):
        house.clock.jump(1)
        house.rooms.say(incident, "ann", f"{number}")
    house.respond.happen(incident, Noted("comment", "ann", "noted"))
    first = house.rooms.news(incident, start)
    second = house.rooms.news(incident, Place.of(str(first.place)))
    third = house.rooms.news(incident, second.place)
    told = [line["text"] for line in (*first.lines, *second.lines)]
    assert told == ["ann joined", *(str(number) for number in range(SHOWN + 20))]
    assert [entry["text"] for entry in first.timeline] == ["noted"]
    assert (first.incident["id"], second.incident, third.lines, third.place) == (incident, None, [], second.place)


def test_a_room_is_the_same_whoever_folds_it_again():
    lines = [
        Line(1.0, Kind.JOINED, "ann", "", id=1),
        Line(2.0, Kind.SAID, "ann", "oom", id=2),
        Line(3.0, Kind.JOINED, "bob", "", id=3),
        Line(4.0, Kind.LEFT, "ann", "", id=4),
    ]
    assert dict(warroom.folded(lines).present) == {"bob": 3.0}

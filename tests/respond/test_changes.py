"""What was changed before and during an incident stands on its timeline, once."""

from __future__ import annotations

import asyncio

import pytest

from aiprism import services
from aiprism.clock import FakeClock
from aiprism.model.events import ChangeEvent
from aiprism.respond import dossier
from aiprism.respond.changes import MOST, ChangeWatch, names_of
from aiprism.respond.desk import Policy
from aiprism.respond.incident import AlertFired, OriginSeen, Periods, ResolvedByHand, advance, opened
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.store import incidents as store
from aiprism.store.events import EventStore
from aiprism.store.records import Records
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert

CATALOGUE = services.read(parse("services: {shop: {aliases: [shop-api]}, mailer: {}}"))

CALLS = Ways(dict.fromkeys(
    [("web", "orders"), ("web", "cart"), ("orders", "db"), ("db", "disk"), ("disk", "san"), ("shop", "mailer")], "seen"
))  # fmt: skip


class Room:
    """Incidents over a store of change events."""

    def __init__(self, records, engine):
        self.clock, self.events = FakeClock(T0), EventStore(engine)
        self.asked: list[list[str]] = []
        self.respond = Respond(records, self.clock, Policy(services=CATALOGUE, ways=lambda: CALLS))
        self._records = records

        async def search(window, of):
            self.asked.append(list(of))
            return self.events.search(window, services=of)

        self.watch = ChangeWatch(self.respond, search, self.clock)

    def change(self, name, at, service="shop-api", **more):
        self.events.put([ChangeEvent(name, at, "deployment", service, f"{name} is out", "", more, "ci")])

    def look(self):
        return asyncio.run(self.watch.look())

    def lines(self):
        with self._records.reading() as connection:
            ids = [row["id"] for row in store.incident_rows(connection)]
            return [row for row in store.event_rows(connection, ids) if row["event"] == "change"]


@pytest.fixture
def room(tmp_path, engine):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield Room(records, engine)
    records.close()


def test_changes_of_the_two_hours_before_are_on_the_timeline_with_their_evidence(room):
    room.change("old", T0 - 7201)
    room.change("v2", T0 - 240, commit="8a02a8f")
    room.change("other", T0 - 60, service="billing")
    assert (room.look(), room.asked) == (0, [])  # nothing is open: nobody is asked
    room.respond.accept([alert("Down", "shop")])
    assert room.look() == 1
    [line] = room.lines()
    assert (line["actor"], line["text"]) == ("ci", "deployment of shop-api, 4m before it was opened: v2 is out")
    assert (line["data"]["id"], line["data"]["attributes"]) == ("v2", {"commit": "8a02a8f"})


def test_later_changes_follow_while_it_is_open_and_each_is_told_once(room):
    room.respond.accept([alert("Down", "shop")])
    room.clock._now += 90
    room.change("fix", T0 + 60)
    assert [room.look(), room.look()] == [1, 0]
    room.change("fix", T0 + 80)  # said again, otherwise
    assert room.look() == 0
    [line] = room.lines()
    assert line["text"] == "deployment of shop-api, 1m after it was opened: fix is out"
    room.respond.happen(line["incident_id"], ResolvedByHand("ann"))
    room.change("late", T0 + 90)
    assert room.look() == 0


def test_an_incident_has_room_for_so_many_changes_the_earliest_first(room):
    for number in range(MOST + 5):
        room.change(f"c{number:02}", T0 - 1000 + number)
    room.respond.accept([alert("Down", "shop")])
    assert [room.look(), room.look(), len(room.lines())] == [MOST, 0, MOST]
    assert room.lines()[0]["data"]["id"] == "c00"


def test_the_loop_finds_what_was_changed_before_an_incident_that_opens_while_it_runs(room):
    room.change("v2", T0 - 240)

    async def run():
        await room.watch.start()
        await asyncio.to_thread(room.respond.accept, [alert("Down", "shop")])
        async with asyncio.timeout(60):
            while not room.lines():
                await room.clock.advance(1.0)
        await room.watch.stop()

    asyncio.run(run())
    assert len(room.lines()) == 1


@pytest.mark.parametrize(
    ("services", "origin", "concerning"),
    [
        ("web", "", {"web": "", "orders": "web → orders", "cart": "web → cart", "db": "web → orders → db"}),
        ("web orders", "orders", {"web": "", "orders": "", "db": "orders → db", "disk": "orders → db → disk"}),
        ("cart db", "", {"cart": "", "db": "", "disk": "db → disk", "san": "db → disk → san"}),
        ("nobody", "", {"nobody": ""}),
    ],
)
def test_a_change_concerns_an_incident_at_its_services_and_beneath_where_it_began(services, origin, concerning):
    incident = opened(alert("Down", services.split()[0]), T0, Periods())[0]
    for name in services.split()[1:]:
        incident = advance(incident, AlertFired(alert("Down", name)), T0, Periods())[0]
    incident = advance(incident, OriginSeen(origin), T0, Periods())[0]
    assert names_of(CATALOGUE, [incident], CALLS)[incident.id] == concerning


def test_what_was_changed_at_a_service_it_depends_on_is_told_with_the_way_to_it_after_its_own(room):
    room.change("flag", T0 - 60, service="mailer")
    room.change("v2", T0 - 240)
    room.respond.accept([alert("Down", "shop")])
    assert room.look() == 2
    own, beneath = room.lines()
    assert (own["data"]["id"], beneath["data"]["way"]) == ("v2", "shop → mailer")
    assert beneath["text"] == "deployment of mailer (shop → mailer), 1m before it was opened: flag is out"
    with room.respond.reading() as connection:
        told = dossier.dossier(connection, own["incident_id"])["description"].splitlines()
    assert told[1:] == [
        "Changed 4 minutes before: v2 is out (deployment).",
        "Changed a minute before, beneath it (shop → mailer): flag is out (deployment).",
    ]

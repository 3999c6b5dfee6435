"""War rooms over HTTP: what a room tells, the live stream, and what is refused."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import httpx
import pytest

from aiprism.cli import run
from aiprism.clock import SystemClock
from aiprism.respond import roomplan
from aiprism.respond.desk import Policy
from aiprism.respond.responder import Responder
from aiprism.respond.rooms import Rooms
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, routes, warroom
from aiprism.yamlfile import parse
from tests.respond.making import alert
from tests.web.serving import serving

BASE = "/aiprism/v1/incidents"
PAGE = (Path(__file__).parents[2] / "docs" / "war-room.md").read_text(encoding="utf-8")


async def never():
    raise AssertionError("nobody asked for a reload")


@pytest.fixture(scope="module")
def responder(tmp_path_factory):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('rooms')}/control.db")
    clock = SystemClock()
    yield Responder(records, policy=Policy(rooms=roomplan.usual()), actuators={}, ask=lambda query, at: [], clock=clock)
    records.close()


@pytest.fixture(scope="module")
def url(responder):
    rooms = Rooms(responder.pipeline, responder.remediation)
    routers = [incidents.router(responder), warroom.router(rooms, SystemClock())]
    with serving(routes.build(routers, Telemetry(), checks={}, reload=never)) as served:
        yield served


@pytest.fixture
def room(url, responder, request):
    """The address of the room of an incident of this test."""
    responder.accept([alert("ServiceDown", request.node.name, at=SystemClock().now())])
    [found] = [each for each in httpx.get(f"{url}{BASE}").json()["incidents"] if request.node.name in each["services"]]
    return f"{url}{BASE}/{found['id']}/room"


def say(room, text, actor="ann"):
    return httpx.post(f"{room}/messages", json={"actor": actor, "text": text})


class Listener:
    """Somebody who follows a room: what was heard, in order, as (id, event, body)."""

    def __init__(self, room, wanted, **asked):
        self.heard = []
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(room, wanted, asked))
        self._thread.start()
        assert self._began.wait(20)

    def _listen(self, room, wanted, asked):
        with httpx.stream("GET", f"{room}/events", timeout=30, **asked) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            event = {}
            for line in answer.iter_lines():
                self._began.set()
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "event" in event:
                    self.heard.append((event["id"], event["event"], json.loads(event["data"])))
                    event = {}
                if wanted(self.heard) if callable(wanted) else len(self.heard) >= wanted:
                    return

    def done(self):
        self._thread.join(30)
        return self.heard


def test_what_happens_in_a_room_is_heard_live_and_in_order(room):
    def all_of_it(heard):  # how often the incident is told beside depends on when one looks
        kinds = [event for _, event, _ in heard]
        acknowledged = any(event == "incident" and body["acknowledged_by"] for _, event, body in heard)
        return kinds.count("line") >= 4 and "timeline" in kinds and acknowledged

    listener = Listener(room, all_of_it)
    assert say(room, "the pool is empty").status_code == 200
    assert say(room, "/ack").status_code == 200
    heard = listener.done()
    lines = [body["text"] for _, event, body in heard if event == "line"]
    assert lines[:4] == ["ann joined", "the pool is empty", "/ack", "done; the incident is investigating"][: len(lines)]
    entry = next(body for _, event, body in heard if event == "timeline")
    incident = next(body for _, event, body in reversed(heard) if event == "incident")
    assert (entry["event"], incident["acknowledged_by"]) == ("acknowledged", "ann")


@pytest.mark.parametrize("how", ["header", "parameter"])
def test_who_comes_back_hears_what_was_missed_and_nothing_twice(room, how):
    first = Listener(room, 1)
    say(room, "one")
    [(place, _, body)] = first.done()
    say(room, "two")
    asked = {"headers": {"Last-Event-ID": place}} if how == "header" else {"params": {"after": place}}
    again = Listener(room, 2, **asked).done()
    assert (body["text"], [body["text"] for _, _, body in again]) == ("ann joined", ["one", "two"])


def test_a_room_is_read_whole_and_in_parts(room):
    for text in ("one", "two", "three"):
        say(room, text)
    found = httpx.get(room).json()
    assert [line["text"] for line in found["messages"]] == ["ann joined", "one", "two", "three"]
    assert {"usage": "/ack [words]", "does": "say that you have seen it and take care"} in found["commands"]
    last = found["messages"][-1]["id"]
    part = httpx.get(f"{room}/messages", params={"before": last, "limit": 2}).json()["messages"]
    later = httpx.get(f"{room}/messages", params={"after": part[-1]["id"]}).json()["messages"]
    assert ([line["text"] for line in part], [line["text"] for line in later]) == (["one", "two"], ["three"])


def test_people_come_and_go_and_evidence_is_pinned_and_taken_away(room):
    httpx.post(f"{room}/join", json={"actor": "ann"})
    assert [each["name"] for each in httpx.get(room).json()["participants"]] == ["ann"]
    log = {"actor": "ann", "evidence": "log", "text": "<b>oom</b>", "url": "https://logs.example/1"}
    pin = httpx.post(f"{room}/pins", json=log).json()
    assert httpx.get(room).json()["pins"] == [pin]
    gone = httpx.delete(f"{room}/pins/{pin['id']}", params={"actor": "bob"}).json()
    assert gone["pins"] == []
    assert httpx.post(f"{room}/leave", json={"actor": "ann"}).json()["participants"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/messages", {"actor": "ann", "text": "x" * 8001}, 400),
        ("POST", "/messages", {"actor": "", "text": "x"}, 400),
        ("POST", "/messages", {"actor": "ann", "text": "/destroy"}, 400),
        ("POST", "/pins", {"actor": "ann", "text": "x", "url": "javascript:alert(1)"}, 400),
        ("POST", "/pins", {"actor": "ann", "evidence": "rumour", "text": "x"}, 400),
        ("DELETE", "/pins/1?actor=ann", None, 404),
        ("DELETE", "/pins/1", None, 400),
        ("GET", "/events?after=yesterday", None, 400),
        ("GET", "/messages?limit=0", None, 400),
    ],
)
def test_what_cannot_be_is_refused_in_words(room, method, path, body, status):
    answer = httpx.request(method, room + path, json=body)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True), answer.text


def test_there_is_no_room_of_what_is_no_incident(url):
    assert httpx.get(f"{url}{BASE}/INC_none/room").status_code == 404
    assert httpx.post(f"{url}{BASE}/INC_none/room/open", json={"actor": "ann"}).status_code == 404
    assert httpx.get(f"{url}{BASE}/INC_none/room/events").status_code == 404


def test_the_examples_of_the_documentation_do_what_the_page_says(room):
    [plan] = re.findall(r"test_warroom.py runs this block -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert {each.value for each in roomplan.read(parse(plan)).tiers} == {"P0", "P1"}
    [body] = re.findall(r"test_warroom.py runs this block -->\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert httpx.post(f"{room}/messages", json=json.loads(body)).status_code == 200
    found = httpx.get(room).json()
    assert (found["incident"]["status"], found["messages"][-1]["data"]["done"]) == ("identified", True)
    commands = re.findall(r"`(/\w+)[ `]", PAGE.partition("## Commands")[2].partition("## Evidence")[0])
    assert sorted(set(commands)) == sorted(each["usage"].split()[0] for each in found["commands"])


def test_the_command_line_says_and_shows(room, url, capsys):
    incident = room.split("/")[-2]
    assert run(["incidents", "room", incident, "--say", "the pool is empty", "--as", "ann", "--server", url]) == 0
    shown = capsys.readouterr().out
    assert ("here: ann" in shown, "ann  the pool is empty" in shown) == (True, True)

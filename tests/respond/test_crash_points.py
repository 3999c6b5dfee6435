"""A platform that dies anywhere in a runbook: whatever was begun is finished or taken back, with every effect exactly once.

A first life crosses seams (before and after each transaction, before and after each request to the other side, at each question)
and dies at one of them; a second life is built from what the database holds. Each story is told once for every seam there is. The
other side is a real HTTP server that counts by Idempotency-Key.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from aiprism.clock import FakeClock
from aiprism.respond import dossier, journal
from aiprism.respond.actions.act import Done
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Periods
from aiprism.respond.pipeline import Respond
from aiprism.respond.remediate import Remediation
from aiprism.store.records import Records
from tests.respond.making import T0, alert, runbooks
from tests.respond.test_remediate import live

BOOK = """
name: repair
match: [alertname="ServiceDown"]
steps:
  - {{name: drain, webhook: {{url: "{url}/drain", method: PUT}}}}
  - {{name: move, webhook: {{url: "{url}/{move}", method: POST}}, idempotent: {idempotent}}}
verify: {{query: healthy == 1, within: 10s, every: 5s, worse_when: errors > 5}}
rollback:
  - {{name: fill, webhook: {{url: "{url}/fill", method: PUT}}}}
"""


class Killed(BaseException):
    """kill -9, as far as a test can say it: nothing after it runs."""


class Fate:
    """Counts the seams a life crosses, and ends it at one of them."""

    def __init__(self, dies_at=0):
        self.dies_at, self.crossed, self.died = dies_at, [], False

    def cross(self, seam):
        if self.died:
            raise Killed
        self.crossed.append(seam)
        if len(self.crossed) == self.dies_at:
            self.died = True
            raise Killed


class Mortal:
    """A control database of a life."""

    def __init__(self, records, fate):
        self._records, self._fate = records, fate

    @contextmanager
    def begin(self, *, alone=""):
        self._fate.cross("before it is recorded")
        with self._records.begin(alone=alone) as connection:
            yield connection
        self._fate.cross("after it was recorded")

    def reading(self):
        if self._fate.died:
            raise Killed
        return self._records.reading()


@dataclass
class Counted:
    """The other side: what it was asked, by path and key, and what it refuses to do."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def effects(self, path):
        """How often it did something where keys are known: a repeated one has no second effect."""
        keys = [key for asked, key in self.asked if asked == path]
        return len(set(keys))


@pytest.fixture(scope="module")
def there():
    counted = Counted()

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self):
            counted.asked.append((self.path, self.headers["Idempotency-Key"]))
            self.send_response(500 if self.path.endswith("/refuse") else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_POST

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    counted.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield counted
    server.shutdown()
    thread.join()
    server.server_close()


class OverHttp:
    """Asks the other side, in a thread, so that the clock of a test waits for it."""

    def __init__(self, client, fate):
        self._client, self._fate = client, fate

    async def act(self, order):
        self._fate.cross("before it acts")
        headers = {"Idempotency-Key": order.key}
        response = await asyncio.to_thread(
            self._client.request, order.text("method"), order.text("url"), headers=headers
        )
        self._fate.cross("after it acted")
        return Done(response.is_success, f"HTTP {response.status_code}")


class World:
    """What queries tell: how often it is not healthy when asked, and whether errors rise meanwhile."""

    def __init__(self, fate, unhealthy, worse_after):
        self.fate, self.unhealthy, self.worse_after, self.looks = fate, unhealthy, worse_after, 0

    def __call__(self, query, at):
        self.fate.cross("asking")
        if query == "errors > 5":
            self.looks += 1
            return [({}, 9.0)] if self.looks > self.worse_after else []
        if query == "healthy == 1":
            self.unhealthy -= 1
            return [] if self.unhealthy >= 0 else [({}, 1.0)]
        return [({}, 1.0)]


@dataclass(frozen=True)
class Story:
    """How a run goes when nothing dies, and where it may end when something does."""

    move: str
    idempotent: bool
    end: str
    unhealthy: int = 1
    worse_after: int = 10**9


STORIES = {
    "it repairs": Story("move", True, "succeeded"),
    "it repairs, with a step that must not be repeated": Story("move-once", False, "succeeded"),
    "a step fails": Story("refuse", True, "rolled_back"),
    "it does not help": Story("move", True, "rolled_back", unhealthy=10**9),
    "it makes things worse": Story("move", True, "rolled_back", unhealthy=10**9, worse_after=4),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('crash')}/control.db")
    yield records
    records.close()


def lived(records, there, client, story, clock, fate, service, known=None):
    """One life, which ends with its run or at its fate; `known` is the world of the life before."""
    url = f"{there.url}/{service}"
    book = BOOK.format(url=url, move=story.move, idempotent=str(story.idempotent).lower())
    world = World(fate, story.unhealthy, story.worse_after) if known is None else known
    world.fate = fate
    mortal: Any = Mortal(records, fate)
    respond = Respond(mortal, clock, Policy(runbooks=runbooks(book), periods=Periods(validation=600)))
    if known is None:
        Respond(records, clock, respond.policy).accept([alert("ServiceDown", service, at=T0)])
    remediation = Remediation(respond, {"webhook": OverHttp(client, fate)}, world, clock)
    with suppress(Killed):
        asyncio.run(live(clock, remediation))
    return world


def told(records, service):
    with records.reading() as connection:
        [found] = [each for each in journal.listed(connection, "all", 500) if each.services == (service,)]
        return dossier.dossier(connection, found.id)


@pytest.mark.parametrize("name", STORIES)
def test_wherever_the_platform_dies_a_run_is_finished_or_taken_back_with_every_effect_once(records, there, name):
    story, clock, at = STORIES[name], FakeClock(T0 + 5), 0
    seams: list[str] = []
    with httpx.Client(trust_env=False) as client:
        while at <= len(seams):  # 0: the life that never dies tells which seams there are
            service = f"{list(STORIES).index(name)}-{at}"
            fate = Fate(at)
            world = lived(records, there, client, story, clock, fate, service)
            seams = seams or fate.crossed
            if fate.died:
                lived(records, there, client, story, clock, Fate(), service, world)
            where = f"died at {at}: {fate.crossed[-1]}"
            check(told(records, service), there, story, service, where)
            at += 1
    assert Counter(seams)["before it is recorded"] >= 7
    assert {"before it acts", "after it acted", "asking", "after it was recorded"} < set(seams)


def check(incident, there, story, service, where):
    [run] = incident["runs"]
    steps = {step["name"]: step["state"] for step in run["steps"]}
    count = {path: there.effects(f"/{service}/{path}") for path in ("drain", "fill")}
    moved = sum(path == f"/{service}/{story.move}" for path, _ in there.asked)
    taken_back = run["state"] == "rolled_back"
    assert count == {"drain": steps["drain"] == "done", "fill": taken_back}, where
    if story.idempotent:
        assert run["state"] == story.end, where
    else:
        assert moved <= 1, where
        assert (run["state"], steps["move"]) in (("succeeded", "done"), ("rolled_back", "unknown")), where
        assert moved == 1 or steps["move"] == "unknown", where
    over = [
        entry["event"]
        for entry in incident["timeline"]
        if entry["event"] in ("runbook_succeeded", "runbook_rolled_back")
    ]
    assert over == [f"runbook_{run['state']}"], where

"""Pages that are open while the server goes away and comes back: what happened meanwhile is heard, and once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from bench.ui.stock import SAID, talked
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

from tests.journeys.conftest import Server, eventually
from tests.ui.conftest import CONFIG
from tests.ui.door import Door


@dataclass(frozen=True, slots=True)
class House:
    """A server of its own, which these tests start again, behind a door."""

    server: Server
    door: Door
    incident: str

    def fires(self, name: str) -> None:
        """An alert of a service of its own, and so an incident."""
        labels = {"alertname": name, "severity": "critical", "service": f"{name.lower()}-1"}
        httpx.post(f"{self.server.url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()

    def said(self, author: str, text: str) -> None:
        """By somebody who is not behind the door."""
        url = f"{self.server.url}/aiprism/v1/incidents/{self.incident}/room/messages"
        httpx.post(url, json={"actor": author, "text": text}, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With one incident and its room."""
    data = tmp_path_factory.mktemp("live") / "data"
    server = Server(data, CONFIG / "aiprism.yml").start()
    labels = {"alertname": "AIModelLatencyHigh", "severity": "critical", "service": "model-server"}
    httpx.post(f"{server.url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()
    [incident] = eventually(lambda: server.get("/aiprism/v1/incidents")["incidents"], what="an incident")
    httpx.post(
        f"{server.url}/aiprism/v1/incidents/{incident['id']}/room/open", json={"actor": "ann"}
    ).raise_for_status()
    door = Door(server.url)
    yield House(server, door, incident["id"])
    door.close()
    server.stop()


@pytest.fixture
def visitor(browser: Browser, house: House) -> Iterator[BrowserContext]:
    """One browser with as many tabs as a test opens."""
    context = browser.new_context(base_url=house.door.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    yield context
    context.close()


def room_of(visitor: BrowserContext, house: House) -> tuple[Page, Locator, Locator]:
    """A page of the room with what was said, and whether it is live."""
    page = visitor.new_page()
    page.goto(f"/incidents/{house.incident}/room")
    presence = page.locator(".room-presence")
    expect(presence).to_have_text("live")
    return page, page.get_by_role("log", name="what was said"), presence


def test_what_is_said_while_a_connection_is_broken_is_heard_once(visitor: BrowserContext, house: House) -> None:
    _, heard, presence = room_of(visitor, house)
    house.said("bob", "before it broke")
    expect(heard.get_by_text("before it broke")).to_have_count(1)
    with house.door.shut(refuses=False):
        expect(presence).to_have_text("connecting again")
        house.said("bob", "while it was broken")
    expect(presence).to_have_text("live")
    house.said("bob", "after it broke")
    for moment in ("before it broke", "while it was broken", "after it broke"):
        expect(heard.get_by_text(moment)).to_have_count(1)


def test_pages_go_on_once_the_server_was_started_again(visitor: BrowserContext, house: House) -> None:
    _, heard, presence = room_of(visitor, house)
    house.said("bob", "before the restart")
    expect(heard.get_by_text("before the restart")).to_have_count(1)
    listing = visitor.new_page()
    listing.goto("/incidents")
    away = listing.get_by_role("alert").filter(has_text="this page tries again by itself")
    expect(listing.get_by_role("table", name="incidents")).to_contain_text("model-server")
    with house.door.shut(refuses=True):  # which a browser takes for the end of a stream
        assert house.server.stop() == 0
        expect(presence).to_have_text("connecting again")
        expect(away).to_be_visible()
    with house.door.shut(refuses=False):
        house.server.start()
        house.said("bob", "meanwhile")
        house.fires("Meanwhile")
        house.door.leads_to(house.server.url)
    expect(presence).to_have_text("live")
    expect(away).to_have_count(0)
    expect(listing.get_by_role("table", name="incidents")).to_contain_text("meanwhile-1")
    house.said("bob", "after the restart")
    for words in ("before the restart", "meanwhile", "after the restart"):
        expect(heard.get_by_text(words)).to_have_count(1)
    house.fires("After")
    expect(listing.get_by_role("table", name="incidents")).to_contain_text("after-1")


def test_one_tab_listens_for_all_and_another_does_once_it_is_closed(visitor: BrowserContext, house: House) -> None:
    listening: list[Page] = []

    def asked(request: Request) -> None:
        if request.url.endswith("/aiprism/v1/live"):
            listening.append(request.frame.page)

    visitor.on("request", asked)
    tabs = [visitor.new_page() for _ in range(3)]
    for tab in tabs:
        tab.goto("/incidents")
        expect(tab.get_by_role("table", name="incidents")).to_contain_text("model-server")
    assert listening == [tabs[0]]
    house.fires("Shared")
    for tab in tabs:
        expect(tab.get_by_role("table", name="incidents")).to_contain_text("shared-1")
    with visitor.expect_event("request", lambda request: request.url.endswith("/aiprism/v1/live")):
        tabs[0].close()
    house.fires("Taken")
    for tab in tabs[1:]:
        expect(tab.get_by_role("table", name="incidents")).to_contain_text("taken-1")
    assert listening[1] in tabs[1:]


def test_of_a_long_talk_the_lines_in_sight_are_drawn(visitor: BrowserContext, house: House) -> None:
    talked(house.server.data / "control.db", house.incident, time.time(), random.Random(11))
    page, heard, _ = room_of(visitor, house)
    newer = page.get_by_role("button", name="new messages below")
    house.said("bob", "the newest line")
    expect(heard.get_by_text("the newest line")).to_be_in_viewport()
    earlier = page.get_by_role("button", name="earlier messages")
    for held in (400, 600):
        heard.evaluate("each => each.scrollTo(0, 0)")
        with page.expect_response(lambda answer: "/room/messages" in answer.url) as answered:
            earlier.click()
        assert len(answered.value.json()["messages"]) == 200, held
    assert heard.get_by_role("listitem").count() < 100 < SAID
    heard.evaluate("each => each.scrollTo(0, 0)")
    expect(newer).to_have_count(0)
    house.said("bob", "one more while somebody reads")
    newer.click()
    expect(heard.get_by_text("one more while somebody reads")).to_be_in_viewport()
    expect(newer).to_have_count(0)

"""Incidents in a browser: talked about in their room, repaired by runbooks that a person lets go."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Server, eventually
from tests.ui.conftest import Visit, violations
from tests.ui.seeding import ALERT


@pytest.fixture(scope="module")
def model(platform: Server) -> dict[str, Any]:
    """The incident of the slow model."""
    found = platform.get("/aiprism/v1/incidents", status="all")["incidents"]
    return next(dict(each) for each in found if any(alert["name"] == ALERT for alert in each["alerts"]))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_room_keeps_nobody_out_and_fits_a_telephone(visit: Visit, model: dict[str, Any], width: int) -> None:
    for dark in (False, True):
        page = visit(f"/incidents/{model['id']}/room", width=width, dark=dark)
        expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_line_said_in_one_tab_is_heard_in_the_other(visit: Visit, model: dict[str, Any]) -> None:
    ann, bob = (visit(f"/incidents/{model['id']}/room") for _ in range(2))
    for page, name in ((ann, "ann"), (bob, "bob")):
        page.get_by_label("you are").fill(name)
    ann.get_by_label("message").fill("who has the model?")
    ann.get_by_label("message").press("Enter")
    heard = bob.get_by_role("log", name="what was said")
    expect(heard).to_contain_text("who has the model?")
    expect(bob.get_by_role("group", name="who is here")).to_contain_text("ann")
    bob.get_by_label("message").press_sequentially("/ta")
    bob.get_by_label("message").press("Tab")
    expect(bob.get_by_label("message")).to_have_value("/task ")
    bob.get_by_label("message").press_sequentially("ask the provider @bob")
    bob.get_by_role("button", name="send").click()
    expect(ann.get_by_role("list", name="timeline")).to_contain_text("ask the provider")


def test_what_is_pinned_is_evidence_for_everybody_until_it_is_taken_away(visit: Visit, model: dict[str, Any]) -> None:
    ann, bob = (visit(f"/incidents/{model['id']}/room") for _ in range(2))
    ann.get_by_label("you are").fill("ann")
    ann.get_by_role("button", name=re.compile(f"pin .*{ALERT}")).first.click()
    evidence = bob.get_by_role("list", name="evidence")
    expect(evidence).to_contain_text(ALERT)
    ann.get_by_role("combobox", name="kind of evidence").click()
    ann.get_by_role("option", name="query").click()
    ann.get_by_label("evidence to pin").fill("up == 0")
    ann.get_by_label("evidence to pin").press("Enter")
    expect(evidence.get_by_role("link", name="up == 0")).to_have_attribute("href", "/explore/metrics?q=up%20%3D%3D%200")
    ann.get_by_role("button", name="unpin up == 0").click()
    expect(evidence.get_by_text("up == 0")).to_have_count(0)


def test_a_command_that_cannot_be_is_refused_in_words_and_kept(visit: Visit, model: dict[str, Any]) -> None:
    page = visit(f"/incidents/{model['id']}/room", refused=True)
    page.get_by_label("you are").fill("ann")
    page.get_by_label("message").fill("/destroy everything")
    page.get_by_role("button", name="send").click()
    expect(page.get_by_role("alert")).to_contain_text("/destroy")
    expect(page.get_by_label("message")).to_have_value("/destroy everything")


def test_a_room_is_opened_for_an_incident_that_has_none(visit: Visit, platform: Server) -> None:
    labels = {"alertname": "IndexLags", "severity": "high", "service": "search-index"}
    httpx.post(f"{platform.url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()

    def incident() -> Any:
        found = platform.get("/aiprism/v1/incidents")["incidents"]
        return next((each for each in found if "search-index" in each["services"]), None)

    page = visit(f"/incidents/{eventually(incident, what='its incident')['id']}/room", refused=True)
    page.get_by_label("you are").fill("ann")
    page.get_by_role("button", name="open one").click()
    expect(page.get_by_role("status").get_by_text("live")).to_be_visible()

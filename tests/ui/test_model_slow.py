"""The model became slow: from the first page to the postmortem, on the lab's own data, by whoever is on call.

A real fault in a real system; what the runbook would do by itself waits for a person here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from aiprism.cli.demostage import Stage, staged
from aiprism.cli.scenarios import slow_down_the_model
from tests.journeys.conftest import eventually
from tests.ui.conftest import Watched

PATIENCE = 240_000.0  # milliseconds for each thing that a page is to show: a busy machine is no fault of it
RUNBOOK = "open-ai-model-circuit-breaker"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Platform and lab under load, whose breaker is opened by nobody without a person's word."""
    with staged(tmp_path, "127.0.0.1:0", lambda *_: None) as stage:
        runbook = tmp_path / "config" / "runbooks" / f"{RUNBOOK}.yml"
        runbook.write_text(runbook.read_text().replace("guard:\n", "guard:\n  approval: required\n"))
        httpx.post(f"{stage.platform.url}/-/reload").raise_for_status()
        # What is slow is so beside what was before: an investigation compares with traces from half a minute earlier and more.
        before = {"query": "sum(ai_prism_http_requests_total offset 75s) > 20"}
        ask = partial(httpx.get, f"{stage.platform.url}/api/v1/query", params=before)
        eventually(lambda: ask().json()["data"]["result"], within=PATIENCE / 1000, what="a time before")
        yield stage


def test_from_the_first_page_to_the_postmortem(stage: Stage, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=stage.platform.url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    watched = Watched(page, stage.platform.url, refused=True)  # of an investigation that is not done yet: 404
    undo = slow_down_the_model(stage.platform, stage.supervisor)
    try:
        _the_first_page_leads_to_the_incident(page)
        incident = page.url
        _its_evidence_leads_to_a_trace_and_that_to_a_line(page)
        page.goto(incident)
        _a_person_lets_the_runbook_go(page)
    finally:
        undo()
    _it_is_resolved_and_explained(page)
    context.close()
    assert watched.faults == []


def _the_first_page_leads_to_the_incident(page: Page) -> None:
    page.goto("/")
    link = page.get_by_role("table", name="open incidents").get_by_role("link", name=re.compile("slow"))
    expect(link.first).to_be_visible(timeout=PATIENCE)  # nobody reloads: it comes by itself
    link.first.click()
    expect(page.get_by_role("list", name="timeline")).to_contain_text("AIModelLatencyHigh fires")


def _its_evidence_leads_to_a_trace_and_that_to_a_line(page: Page) -> None:
    expect(page.get_by_role("region", name="How its services did").get_by_role("img").first).to_be_visible()
    page.get_by_label("you are").fill("ann")
    found = page.get_by_role("region", name="Investigation")
    slow = found.get_by_role("row").filter(has_text="slow").get_by_role("link").first
    _asked_again(found.get_by_role("button", name="look again"), slow)  # the first slow requests are still under way
    slow.click()
    _picked_one_that_wrote_lines(page)
    page.get_by_role("region", name=re.compile("^span ")).get_by_role("link", name="logs", exact=True).click()
    line = page.get_by_role("list", name="records").get_by_role("button").first
    line.click()
    expect(page.get_by_role("table", name="fields of the record")).to_be_visible()


def _picked_one_that_wrote_lines(page: Page) -> None:
    details = page.get_by_role("region", name=re.compile("^span "))
    expect(page.get_by_role("treeitem").first).to_be_visible()
    for span in page.get_by_role("treeitem").all():
        span.click()
        expect(details).to_be_visible()
        if details.get_by_role("heading", name="Logs").is_visible():
            return
    raise AssertionError("no span of the trace has lines")


def _asked_again(button: Locator, until: Locator) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while not until.is_visible():
        assert time.monotonic() < deadline, f"{until} does not come"
        button.click()
        with suppress(PlaywrightTimeout):
            until.wait_for(timeout=10_000)


def _a_person_lets_the_runbook_go(page: Page) -> None:
    runs = page.get_by_role("region", name="Runbooks")
    expect(runs).to_contain_text("waiting approval", timeout=PATIENCE)
    runs.get_by_role("button", name="approve").first.click()
    expect(runs.get_by_text("succeeded").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("list", name="timeline")).to_contain_text(RUNBOOK)


def _it_is_resolved_and_explained(page: Page) -> None:
    expect(page.get_by_text("resolved", exact=True).first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="postmortem").click()
    expect(page.get_by_role("main")).to_contain_text(RUNBOOK, timeout=PATIENCE)
    expect(page.get_by_role("main").get_by_role("img").first).to_be_visible()

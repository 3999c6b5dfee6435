"""Logs in a browser: from the bars to a line, from there to its trace, and what comes in while one looks on."""

from __future__ import annotations

import re
import time

import httpx
from playwright.sync_api import expect

from tests.journeys.conftest import Server
from tests.ui.conftest import Visit, downloaded


def test_a_click_on_a_value_narrows_the_lines_and_a_line_leads_on(visit: Visit) -> None:
    page = visit("/explore/logs")
    page.get_by_role("region", name="values of level").get_by_role("button", name="ERROR", exact=True).click()
    expect(page).to_have_url(re.compile("q=level%3AERROR"))
    lines = page.get_by_role("list", name="records").get_by_role("button")
    expect(lines.first).to_contain_text("did not answer within")
    expect(page.get_by_role("list", name="records")).not_to_contain_text("accepted from user")
    lines.first.click()
    fields = page.get_by_role("table", name="fields of the record")
    expect(fields).to_contain_text("component")
    expect(page.get_by_role("link", name="trace", exact=True)).to_have_attribute(
        "href", re.compile("/explore/traces/[0-9a-f]{32}")
    )
    page.get_by_role("button", name="lines around it").click()
    expect(page.get_by_role("group", name="lines around the record")).to_contain_text("accepted from user")
    page.get_by_role("button", name="without component pipeline").click()
    expect(page.get_by_text("No record matches")).to_be_visible()
    page.go_back()
    expect(lines.first).to_contain_text("did not answer within")


def test_a_pattern_leads_to_its_lines(visit: Visit) -> None:
    page = visit("/explore/logs?view=patterns")
    page.get_by_role("table", name="patterns").get_by_role("button", name="did not answer within").click()
    expect(page).to_have_url(re.compile("pattern_id"))
    records = page.get_by_role("list", name="records")
    expect(records).to_contain_text("did not answer within")
    expect(records).not_to_contain_text("accepted from user")


def test_a_search_is_typed_with_completion_and_taken_along(visit: Visit) -> None:
    page = visit("/explore/logs")
    page.get_by_label("search", exact=True).click()
    page.keyboard.type("service:")
    expect(page.get_by_role("option", name="document-processor")).to_be_visible()
    page.keyboard.type("document-processor 35?")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="records")).to_contain_text("document 359 accepted")
    expect(page.get_by_role("list", name="records")).not_to_contain_text("document 9 accepted")
    page.get_by_role("button", name="export").click()
    with downloaded(page) as kept:
        page.get_by_role("menuitem", name="CSV").click()
    assert b"document 359 accepted" in kept[0]


def test_a_search_that_cannot_be_read_is_answered_in_words(visit: Visit) -> None:
    page = visit("/explore/logs?q=level%3A%28", refused=True)
    expect(page.get_by_role("alert").first).to_contain_text("a ( is not closed")


def test_lines_come_in_while_one_looks_on_and_wait_while_it_is_paused(visit: Visit, platform: Server) -> None:
    page = visit("/explore/logs?live=1&q=service%3Atail")
    with page.expect_response(re.compile("logs/tail")) as _:
        page.reload()
    records = page.get_by_role("list", name="records")
    expect(records).to_contain_text("waiting for the next line")
    _log(platform, "first light")
    expect(records).to_contain_text("first light")
    page.get_by_role("button", name="pause").click()
    _log(platform, "second light")
    expect(page.get_by_role("button", name="go on (1 waiting)")).to_be_visible()
    expect(records).not_to_contain_text("second light")
    page.get_by_role("button", name="go on").click()
    expect(records).to_contain_text("second light")


def _log(platform: Server, text: str) -> None:
    record = {"timeUnixNano": str(time.time_ns()), "severityNumber": 9, "body": {"stringValue": text}}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "tail"}}]}
    body = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}
    httpx.post(f"{platform.url}/v1/logs", json=body, timeout=60).raise_for_status()

"""Traces in a browser: found, told span by span, compared, and what makes them slow."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Server
from tests.ui.conftest import Visit, violations


@pytest.fixture(scope="module")
def failed(platform: Server) -> dict[str, Any]:
    """A trace that failed in the model."""
    return dict(platform.get("/aiprism/v1/traces", service="api-gateway", errors=True, limit=1)["traces"][0])


@pytest.fixture(scope="module")
def quick(platform: Server) -> dict[str, Any]:
    """A trace as they were before."""
    return dict(platform.get("/aiprism/v1/traces", service="api-gateway", max_duration="1s", limit=1)["traces"][0])


@pytest.mark.parametrize("width", [1280, 390])
def test_a_trace_keeps_nobody_out_and_fits_a_telephone(visit: Visit, failed: dict[str, Any], width: int) -> None:
    page = visit(f"/explore/traces/{failed['trace_id']}?span={'a' * 15}4", width=width)
    expect(page.get_by_role("region", name="span POST /v1/chat/completions")).to_contain_text("claude-sonnet")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_searched_stands_in_the_address_and_leads_to_a_trace(visit: Visit) -> None:
    page = visit("/explore/traces")
    page.get_by_label("query").fill("status:error")
    page.get_by_label("least duration").fill("2s")
    page.get_by_role("button", name="search", exact=True).click()
    expect(page).to_have_url(re.compile(r"q=status%3Aerror.*min=2s"))
    traces = page.get_by_role("table", name="traces", exact=True)
    expect(traces.get_by_role("link").first).to_have_text("api-gateway POST /documents")
    traces.get_by_role("link").first.click()
    expect(page.get_by_role("tree", name="spans").get_by_role("treeitem")).to_have_count(4)


def test_a_box_over_the_chart_narrows_time_and_duration(visit: Visit) -> None:
    page = visit("/explore/traces?service=model-server")
    chart = page.get_by_role("img", name=re.compile("durations over time: [1-9]"))
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + box["height"] * 0.3, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d+.*&to=\d+"))
    expect(page.get_by_label("least duration")).to_have_value(re.compile(r"^\d+(ms|s)"))
    expect(page.get_by_role("combobox", name="service")).to_have_value("model-server")


def test_keys_walk_through_a_trace_and_a_span_leads_on(visit: Visit, failed: dict[str, Any]) -> None:
    page = visit(f"/explore/traces/{failed['trace_id']}")
    expect(page.get_by_role("button", name="model-server POST /v1/chat/completions")).to_be_visible()
    spans = page.get_by_role("tree", name="spans")
    spans.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("region", name="span document_processing")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(spans.get_by_role("treeitem")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(spans.get_by_role("treeitem")).to_have_count(4)
    page.get_by_label("find in this trace").fill("claude")
    expect(page.get_by_text("1 of 4 spans")).to_be_visible()
    page.keyboard.press("Enter")
    details = page.get_by_role("region", name="span POST /v1/chat/completions")
    logs = details.get_by_role("link", name="logs of the trace")  # it wrote none itself
    expect(logs).to_have_attribute("href", re.compile(r"/explore/logs\?.*trace_id%3A%22[0-9a-f]{32}%22$"))
    details.get_by_role("link", name="metrics").click()
    expect(page.get_by_role("img", name="durations of POST /v1/chat/completions")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="traces with model = claude-sonnet").click()
    expect(page.get_by_label("query")).to_have_value('model:"claude-sonnet"')


def test_two_traces_are_compared(visit: Visit, quick: dict[str, Any], failed: dict[str, Any]) -> None:
    page = visit(f"/explore/traces/{quick['trace_id']}")
    page.get_by_role("link", name="compare").click()
    page.get_by_label("second trace").fill(failed["trace_id"])
    page.get_by_role("button", name="compare").click()
    row = page.get_by_role("table", name="differences").get_by_role("row", name="POST /v1/chat/completions")
    expect(row).to_contain_text("failed")
    expect(row).to_contain_text(re.compile(r"\+\d"))
    assert violations(page) == []


def test_what_makes_traces_slow_narrows_the_search(visit: Visit) -> None:
    page = visit("/explore/traces?service=api-gateway&view=slow&slow=2s")
    spent = page.get_by_role("table", name="where slow traces spend their time")
    expect(spent.get_by_role("row").nth(1)).to_contain_text("model-server POST /v1/chat/completions")
    spent.get_by_role("button", name="model-server POST /v1/chat/completions").click()
    expect(page).to_have_url(re.compile("service=model-server"))
    expect(page.get_by_label("least duration")).to_have_value("2s")


def test_a_trace_that_is_not_stored_is_told_in_words(visit: Visit) -> None:
    page = visit(f"/explore/traces/{'0' * 31}1", refused=True)
    expect(page.get_by_text(re.compile("no trace 0+1"))).to_be_visible()

"""Settings in a browser: what is scraped and stored, whether somebody is told, who is on call, what is configured."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.ui.conftest import Visit


def test_a_target_that_is_down_says_why_and_a_dropped_one_is_seen(visit: Visit) -> None:
    page = visit("/settings")
    expect(page).to_have_url(re.compile("/settings/targets"))
    targets = page.get_by_role("table", name="targets", exact=True)
    expect(targets).to_contain_text("http://127.0.0.1:9/metrics")
    expect(targets).to_contain_text("down")
    page.get_by_role("radiogroup", name="state").get_by_text("dropped").click()
    expect(page).to_have_url(re.compile("state=dropped"))
    expect(page.get_by_role("table", name="dropped targets")).to_contain_text("dropped.example.com:80")


def test_what_is_stored_is_told_by_kind_and_table(visit: Visit) -> None:
    page = visit("/settings/storage")
    expect(page.get_by_role("table", name="stored by kind")).to_contain_text("traces")
    spans = page.get_by_role("table", name="stored tables").get_by_role("row", name=re.compile("^spans "))
    expect(spans).to_contain_text("30d")


def test_the_metric_with_the_most_series_leads_to_it(visit: Visit) -> None:
    page = visit("/settings/cardinality")
    metrics = page.get_by_role("table", name="Metrics with the most series")
    expect(metrics.get_by_role("link").first).to_have_attribute("href", re.compile("^/explore/metrics"))
    page.get_by_role("button", name="look").click()
    expect(page.get_by_role("button", name="look again")).to_be_visible()


def test_a_receiver_is_tried_and_says_what_came_back(visit: Visit) -> None:
    page = visit("/settings/integrations")
    nowhere = page.get_by_role("table", name="integrations of nowhere")
    expect(nowhere).to_contain_text("http://127.0.0.1:9")
    expect(page.get_by_text("EXAMPLE-hook")).to_have_count(0)
    page.get_by_role("button", name="test nowhere").click()
    expect(page.get_by_role("status", name="outcome of the test")).to_contain_text("cannot be reached")
    expect(nowhere).to_contain_text("test, ")


def test_somebody_stands_in_and_no_longer_does(visit: Visit) -> None:
    page = visit("/settings/on-call")
    shifts = page.get_by_role("list", name="shifts of primary").get_by_role("listitem")
    expect(shifts).not_to_have_count(0)
    page.get_by_role("button", name="override").click()
    form = page.get_by_role("form", name="override of primary")
    form.get_by_role("combobox", name="who").click()
    page.get_by_role("option", name="Bob Roe").click()
    form.get_by_label("for", exact=True).fill("2h")
    form.get_by_label("why").fill("ann is at the dentist")
    form.get_by_role("button", name="put").click()
    override = page.get_by_role("list", name="overrides").get_by_role("listitem")
    expect(override).to_contain_text("ann is at the dentist")
    expect(page.get_by_role("listitem", name=re.compile("^Bob Roe, .*, by override"))).to_have_count(1)
    override.get_by_role("button", name="end").click()
    expect(override).to_have_count(0)


def test_a_setting_is_found_and_the_configuration_is_read_anew(visit: Visit) -> None:
    page = visit("/settings/configuration")
    page.get_by_label("find settings").fill("sql_rows")
    rows = page.get_by_role("table", name="settings in force").get_by_role("row")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("10000")
    page.get_by_role("button", name="reload").click()
    expect(page.get_by_text("Configuration reloaded")).to_be_visible()


def test_a_name_is_kept_for_what_one_does(visit: Visit) -> None:
    page = visit("/settings/people")
    page.get_by_label("your name").fill("ann")
    expect(page.get_by_text("You are Ann Lee of oncall.yml")).to_be_visible()
    page.reload()
    expect(page.get_by_label("your name")).to_have_value("ann")

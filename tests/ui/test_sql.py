"""Explore → SQL: a table is picked, a question asked and answered as rows and a chart, and what is refused says why."""

from __future__ import annotations

import re
from urllib.parse import quote

from playwright.sync_api import expect

from tests.ui.conftest import Visit, downloaded
from tests.ui.seeding import SERVICES


def test_an_example_is_answered_as_a_chart_and_rows_that_are_taken_along(visit: Visit) -> None:
    page = visit("/explore/sql")
    page.get_by_role("button", name="errors of each service over time").click()
    expect(page).to_have_url(re.compile("q=SELECT"))
    rows = page.get_by_role("table", name="rows")
    expect(rows.get_by_role("row").nth(1)).to_contain_text(re.compile("|".join(SERVICES)))
    expect(page.get_by_role("group", name="legend").get_by_role("button")).to_have_count(len(SERVICES))
    page.get_by_role("button", name="panel menu").click()
    with downloaded(page) as kept:
        page.get_by_role("menuitem", name="rows as CSV").click()
    assert kept[0].decode().splitlines()[0] == "time,service,errors"


def test_a_table_and_a_column_go_into_the_query_and_a_trace_is_a_click_away(visit: Visit) -> None:
    page = visit("/explore/sql")
    tables = page.get_by_role("group", name="tables")
    tables.get_by_text("spans of traces").click()
    tables.get_by_role("button", name="from spans").click()
    query = page.get_by_role("textbox", name="SQL query")
    expect(query).to_contain_text("FROM spans")
    page.get_by_role("button", name="run").click()
    link = page.get_by_role("table", name="rows").get_by_role("link").first
    expect(link).to_have_attribute("href", re.compile("^/explore/traces/[0-9a-f]{32}"))
    tables.get_by_role("button", name="duration_ns", exact=True).click()
    expect(query).to_contain_text("duration_ns")


def test_what_may_not_be_asked_says_why(visit: Visit) -> None:
    page = visit(f"/explore/sql?q={quote('SELECT * FROM file(1)')}", refused=True)
    expect(page.get_by_role("alert")).to_contain_text("table functions are not allowed")

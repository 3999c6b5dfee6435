"""Alerts in a browser: where they go, and what rules would have said of the past."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import expect

from tests.journeys.conftest import Server
from tests.ui.conftest import Visit, violations


def test_where_an_alert_would_go_is_lit_and_told_with_its_group(visit: Visit) -> None:
    page = visit("/alerts/routing")
    routes = page.get_by_role("list", name="routes")
    expect(routes.get_by_role("listitem")).to_have_count(5)
    page.get_by_label("labels of the alert").fill('alertname=Down, severity="critical", service="postgres-9"')
    told = page.get_by_role("list", name="who would be told").get_by_role("listitem")
    expect(told).to_have_count(1)
    expect(told.first).to_contain_text("databases")
    expect(told.first).to_contain_text("service=postgres-9")
    expect(told.first).to_contain_text("after 10s")
    expect(routes.get_by_text("matches", exact=True)).to_have_count(1)
    # The critical route goes on: a model that is down is told to both.
    page.get_by_label("labels of the alert").fill('severity="critical", service="model-server"')
    expect(told).to_have_count(2)
    expect(told.first).to_contain_text("on-call")
    expect(told.last).to_contain_text("model-team")
    expect(page).to_have_url(re.compile("labels="))


def test_an_alert_leads_to_where_it_goes(visit: Visit, platform: Server) -> None:
    labels = {"alertname": "ReplicaLags", "severity": "critical", "service": "redis-2"}
    httpx.post(f"{platform.url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()
    page = visit('/alerts/active?match=alertname%3D"ReplicaLags"')
    page.get_by_role("link", name="route of ReplicaLags").click()
    expect(page.get_by_role("list", name="who would be told")).to_contain_text("databases")
    expect(page.get_by_role("combobox", name="an existing alert")).to_have_value(
        re.compile("ReplicaLags redis-2 critical")
    )


def test_a_condition_is_no_label(visit: Visit) -> None:
    page = visit("/alerts/routing?labels=severity!%3Dcritical")
    expect(page.get_by_text("labels have values, no conditions")).to_be_visible()
    expect(page.get_by_role("list", name="who would be told")).to_have_count(0)


def test_a_rule_is_taken_changed_and_held_against_the_past(visit: Visit) -> None:
    page = visit("/alerts/backtest")
    page.get_by_role("combobox", name="a rule that there is").click()
    page.get_by_role("option", name="MemoryHigh").click()
    rules = page.get_by_label("rules in YAML")
    expect(rules).to_have_value(re.compile("process_memory_bytes > 10000000000"))
    rules.fill(rules.input_value().replace("10000000000", "4e8").replace('"low"', '"critical"'))
    page.get_by_role("button", name="test it").click()
    expect(page.get_by_role("img", name="process_memory_bytes").locator("canvas")).to_be_visible()
    expect(page.get_by_role("table", name="firings of MemoryHigh").get_by_role("row")).to_have_count(4)
    # Three services that fire at once are one notification, and another one for each later alert or reminder.
    told = page.get_by_role("group", name="who would have been told")
    expect(told).to_contain_text(re.compile(r"on-call.* 1 that it fires"))
    expect(page).to_have_url(re.compile("rules="))
    page.reload()
    expect(page.get_by_role("table", name="firings of MemoryHigh")).to_be_visible()


def test_a_rule_on_logs_leads_to_its_past_and_is_changed_there(visit: Visit) -> None:
    page = visit("/alerts/rules")
    page.get_by_role("link", name="backtest DocumentsFail").click()
    expect(page.get_by_text("It would not have fired")).to_be_visible()
    judged = page.get_by_role("list", name="incidents that were told or missed")
    expect(judged).to_contain_text("missed")
    assert violations(page) == []
    rules = page.get_by_label("rules in YAML")
    expect(rules).to_have_value(re.compile(r'logs: "level:ERROR \\"did not answer\\""'))
    rules.fill(rules.input_value().replace("> 1000", "> 0"))
    rules.press("Control+Enter")
    expect(page.get_by_role("img", name="DocumentsFail over time").locator("canvas")).to_be_visible()
    expect(page.get_by_role("table", name="firings of DocumentsFail")).to_contain_text("document-processor")
    assert violations(page) == []


def test_a_rule_that_cannot_be_read_is_refused_with_its_line(visit: Visit) -> None:
    page = visit("/alerts/backtest", refused=True)
    page.get_by_label("rules in YAML").fill("groups: [{name: a, rules: [{alert: A, expr: 'rate(up'}]}]")
    page.get_by_label("rules in YAML").press("Control+Enter")
    expect(page.get_by_role("alert").first).to_contain_text("rules.yml:1")

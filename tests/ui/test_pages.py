"""Every page, in a browser, with data: it shows what there is, keeps nobody out, and fits a telephone."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Server
from tests.ui.conftest import (
    COLOURS,
    MOST_OF_A_PICTURE,
    Visit,
    addressed,
    downloaded,
    go_by_keys,
    pictured,
    recolour,
    settled,
    violations,
)
from tests.ui.seeding import SERVICES

PAGES = {
    "now": "/",
    "metrics": "/explore/metrics?q=sum+by+(job)+(rate(ai_prism_http_requests_total[5m]))",
    "services": "/services",
    "map": "/services/map",
    "service": "/services/document-processor",
    "incidents": "/incidents",
    "the week": "/incidents/review",
    "logs": "/explore/logs?level=ERROR",
    "patterns": "/explore/logs?view=patterns",
    "dashboards": "/dashboards",
    "technical operations": "/dashboards/technical-operations",
    "panel editor": "/dashboards/technical-operations?do=edit&edit=2",
    "traces": "/explore/traces",
    "slow traces": "/explore/traces?view=slow&slow=2s",
    "operations": "/explore/traces?view=operations&service=model-server",
    "sql": "/explore/sql?q=SELECT+service,+count()+AS+spans+FROM+spans+GROUP+BY+service",
    "targets": "/settings/targets",
    "storage": "/settings/storage",
    "cardinality": "/settings/cardinality",
    "integrations": "/settings/integrations",
    "on call": "/settings/on-call",
    "people": "/settings/people",
    "configuration": "/settings/configuration",
    "server": "/settings/status",
    "alerts": "/alerts",
    "held back": "/alerts/held",
    "rules": "/alerts/rules",
    "backtest": "/alerts/backtest?rules=groups:+[{name:+m,+rules:+[{alert:+M,+expr:+process_memory_bytes+>+4e8}]}]",
    "routing": "/alerts/routing?labels=alertname%3DDown%2C+service%3Dpostgres-9%2C+severity%3Dcritical",
    "trace": "/explore/traces/{trace}",
    "incident": "/incidents/{incident}",
    "silences": "/alerts/silences?new=alertname%3D%22AIModelLatencyHigh%22",
}


DARK = ("now", "technical operations", "trace")  # pictured so, too
NARROW = ("now", "incident")
ELSEWHERE = ("war room", "postmortem")  # pictured where somebody talks and one is written: test_incidents.py
PICTURES = [
    f"{each.replace(' ', '-')}.webp"
    for each in (*PAGES, *ELSEWHERE, *(f"{name} dark" for name in DARK), *(f"{name} 390" for name in NARROW))
]
SHOWN = Path(__file__).parents[2] / "docs" / "screenshots"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_keeps_nobody_out(visit: Visit, platform: Server, album: Path, name: str) -> None:
    page = visit(addressed(PAGES[name], platform))
    settled(page)
    assert violations(page) == []
    pictured(page, album / f"{name.replace(' ', '-')}.webp")
    recolour(page, "dark")
    assert violations(page, COLOURS) == []
    if name in DARK:
        settled(page)
        pictured(page, album / f"{name.replace(' ', '-')}-dark.webp")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_telephone(visit: Visit, platform: Server, album: Path, name: str) -> None:
    page = visit(addressed(PAGES[name], platform), width=390, height=800)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if name in NARROW:
        pictured(page, album / f"{name.replace(' ', '-')}-390.webp")


@pytest.mark.parametrize("picture", PICTURES)
def test_the_documentation_shows_every_page(picture: str) -> None:
    assert (SHOWN / picture).is_file(), "make screenshots"
    assert (SHOWN / picture).stat().st_size <= MOST_OF_A_PICTURE
    assert f"](screenshots/{picture})" in (SHOWN.parent / "ui.md").read_text(encoding="utf-8"), "docs/ui.md, Pictures"


def test_no_picture_is_of_a_page_that_is_not_there() -> None:
    assert {each.name for each in SHOWN.iterdir()} == set(PICTURES)


def test_now_shows_the_incident_and_every_service_and_leads_to_them(visit: Visit) -> None:
    page = visit("/")
    incidents = page.get_by_role("table", name="open incidents")
    expect(incidents).to_contain_text("model")
    services = page.get_by_role("table", name="services")
    for service in SERVICES:
        expect(services.get_by_role("link", name=service)).to_have_attribute("href", f"/services/{service}")
    expect(page.get_by_role("table", name="pipeline")).to_contain_text("store.spans")


def test_a_range_of_time_is_of_the_address_and_back_goes_back(visit: Visit) -> None:
    page = visit("/explore/metrics?q=up")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="time range: last 1 hour").click()
    page.get_by_role("button", name="6h", exact=True).click()
    expect(page).to_have_url(re.compile("from=now-6h"))
    expect(page.get_by_role("button", name="time range: last 6 hours")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="time range: last 1 hour")).to_be_visible()


A_MINUTE_LATER = "() => { const now = Date.now; Date.now = () => now() + 60_000; }"


def test_keys_lead_to_pages_and_the_palette_finds_a_service(visit: Visit) -> None:
    page = visit("/")
    expect(page.get_by_role("heading", name="Now")).to_be_visible()
    keyboard, now = page.context.new_cdp_session(page), time.time()
    for key, at in (("g", now), ("e", now + 1)):  # pressed then; a busy page comes to the second one a minute later
        press = {"type": "keyDown", "key": key, "text": key, "timestamp": at}
        keyboard.send("Input.dispatchKeyEvent", press)
        page.evaluate(A_MINUTE_LATER)
    expect(page).to_have_url(re.compile("/explore"))
    page.keyboard.press("Control+k")
    page.get_by_placeholder("a page, a service").fill("document-proc")
    expect(page.get_by_role("dialog").get_by_text("document-processor").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/services/document-processor"))


def test_what_closes_or_was_at_work_gives_the_focus_back(visit: Visit) -> None:
    page = visit("/settings/configuration", width=390)
    reload = page.get_by_role("button", name="reload")
    reload.press("Enter")
    expect(page.get_by_text("Configuration reloaded")).to_be_visible()
    expect(reload).to_be_focused()
    page.keyboard.press("t")
    expect(page.get_by_label("from", exact=True)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("from=now-"))
    expect(reload).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)  # it fades
    for key in ("Control+k", "?"):
        for waits in (0, 5, 20):  # the dialog takes the focus meanwhile, or once it was left already
            page.keyboard.press(key)
            page.wait_for_timeout(waits)
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
            expect(reload).to_be_focused()


def test_a_query_is_drawn_told_and_taken_along(visit: Visit) -> None:
    page = visit(PAGES["metrics"])
    expect(page.get_by_role("img", name="rate(ai_prism_http_requests_total").locator("canvas")).to_be_visible()
    expect(page.get_by_role("table", name="values of")).to_contain_text("api-gateway")
    page.get_by_role("button", name="panel menu").click()
    with downloaded(page) as kept:
        page.get_by_role("menuitem", name="CSV").click()
    header, first, *_ = kept[0].decode().split("\r\n")
    assert header.startswith("time,")
    assert "document-processor" in header
    assert first.count(",") >= len(SERVICES)


def test_a_chart_is_zoomed_with_the_wheel_and_taken_along_with_shift(visit: Visit) -> None:
    page = visit(PAGES["metrics"])
    chart = page.get_by_role("img", name="rate(ai_prism_http_requests_total").locator(".u-over")
    chart.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(page).to_have_url(re.compile(r"from=[\d.]+&to=[\d.]+"))
    start, end = _times(page.url)
    assert end - start == pytest.approx(3600 * math.exp(-0.8), abs=1)
    box = chart.bounding_box()
    assert box
    chart.hover()
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page).not_to_have_url(re.compile(f"from={start}"))
    later = _times(page.url)
    assert later[0] - start == pytest.approx((end - start) / 4, rel=0.02)
    assert later[1] - later[0] == pytest.approx(end - start, abs=0.01)
    page.go_back()
    page.go_back()
    expect(page.get_by_role("button", name="time range: last 1 hour")).to_be_visible()


def _times(url: str) -> tuple[float, float]:
    asked = parse_qs(urlsplit(url).query)
    return float(asked["from"][0]), float(asked["to"][0])


def test_a_query_that_cannot_be_parsed_is_answered_in_words(visit: Visit) -> None:
    page = visit("/explore/metrics", refused=True)
    editor = page.get_by_label("query 1")
    editor.click()
    page.keyboard.type("rate(up")
    with page.expect_response(re.compile("query_range")) as refused:
        page.get_by_role("button", name="run").click()
    assert refused.value.status == 400
    expect(page.get_by_role("alert").first).to_contain_text("parse error")


def test_links_of_alerts_to_prometheus_open_the_query(visit: Visit) -> None:
    page = visit("/graph?g0.expr=sum(process_memory_bytes)&g0.tab=1")
    expect(page).to_have_url(re.compile("/explore/metrics"))
    expect(page.get_by_role("table", name="values of sum(process_memory_bytes)")).to_be_visible()


def test_an_incident_that_opens_is_shown_without_asking_again(visit: Visit, platform: Server) -> None:
    page = visit("/")
    incidents = page.get_by_role("table", name="open incidents")
    expect(incidents).to_contain_text("model")
    expect(incidents).not_to_contain_text("postgres-9")
    labels = {"alertname": "DatabaseDown", "severity": "critical", "service": "postgres-9"}
    httpx.post(f"{platform.url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()
    expect(incidents).to_contain_text("postgres-9")


def test_an_alert_is_silenced_after_a_look_at_what_that_would_mute(visit: Visit, platform: Server) -> None:
    labels = {"alertname": "NoisyNeighbour", "severity": "low", "service": "batch", "zone": "b"}
    others = [{**labels, "zone": zone} for zone in ("a", "c")]
    httpx.post(
        f"{platform.url}/api/v2/alerts", json=[{"labels": each} for each in (labels, *others)]
    ).raise_for_status()
    page = visit('/alerts/active?match=alertname%3D"NoisyNeighbour"%2C+zone%3D"b"')
    page.get_by_role("link", name="silence NoisyNeighbour").click()
    expect(page.get_by_text("It would mute 1 of")).to_be_visible()
    page.get_by_label("matchers").fill('alertname="NoisyNeighbour", zone=~"b|c"')
    expect(page.get_by_role("table", name="what it would mute").get_by_role("row")).to_have_count(3)
    page.get_by_label("created by").fill("ann")
    page.get_by_label("comment").fill("a load test")
    page.get_by_role("button", name="silence", exact=True).click()
    expect(page.get_by_role("table", name="silences")).to_contain_text("a load test")
    page.goto('/alerts/active?match=alertname%3D"NoisyNeighbour"')
    alerts = page.get_by_role("table", name="alerts")
    expect(alerts.get_by_text("suppressed")).to_have_count(2)
    expect(alerts.get_by_text("firing")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_an_incident_is_acknowledged_and_its_alert_silenced_by_keys_alone(
    visit: Visit, platform: Server, width: int
) -> None:
    service = f"mailer-{width}"
    labels = {"alertname": "QueueFull", "severity": "critical", "service": service}
    much = "\n".join(f"{number}. Look at the queue, and write down what you see." for number in range(60))
    alert = {"labels": labels, "annotations": {"description": much}}
    httpx.post(f"{platform.url}/api/v2/alerts", json=[alert]).raise_for_status()
    page = visit("/incidents", width=width)
    page.emulate_media(reduced_motion="reduce")  # what is seen of the focus is seen at once
    go_by_keys(page, page.get_by_role("table", name="incidents").get_by_role("link", name=re.compile(service)))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="acknowledge", exact=True)).to_be_in_viewport()
    go_by_keys(page, page.get_by_label("you are"))
    page.keyboard.type("ann")
    go_by_keys(page, page.get_by_label("note", exact=True))
    page.keyboard.type("the queue is drained")
    acknowledge = page.get_by_role("button", name="acknowledge", exact=True)
    go_by_keys(page, acknowledge)
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="timeline")).to_contain_text("the queue is drained")
    expect(acknowledge).to_have_count(0)
    expect(page.get_by_role("group", name="say what is done")).to_be_focused()
    page.goto(f'/alerts/active?match=service%3D"{service}"')
    go_by_keys(page, page.get_by_role("link", name="silence QueueFull"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("matchers")).to_be_focused()
    expect(page.get_by_role("status").get_by_text("It would mute 1 of")).to_be_visible()
    assert violations(page) == []
    go_by_keys(page, page.get_by_label("comment"))
    page.keyboard.type(f"drained by {width}")
    go_by_keys(page, page.get_by_role("button", name="silence", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="silences")).to_contain_text(f"drained by {width}")
    expect(page.get_by_role("button", name="new silence")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("matchers")).to_be_focused()


def test_a_service_leads_to_its_neighbours_and_its_failed_traces(visit: Visit) -> None:
    page = visit("/services")
    page.get_by_role("table", name="services").get_by_role("link", name="document-processor").click()
    expect(page.get_by_role("img", name="errors of document-processor").locator("canvas")).to_be_visible()
    expect(page.get_by_role("table", name="operations")).to_contain_text("ai_model_invocation")
    failed = page.get_by_role("table", name="errors").get_by_role("link").first
    expect(failed).to_have_attribute("href", re.compile(r"^/explore/traces/[0-9a-f]{32}$"))
    page.get_by_role("table", name="calls").get_by_role("link", name="model-server").click()
    expect(page).to_have_url(re.compile("/services/model-server"))
    expect(page.get_by_role("table", name="changes")).to_contain_text("model-server 2.2.0 rolled out")


def test_the_map_draws_who_calls_whom_and_what_stands_around_one(visit: Visit) -> None:
    page = visit("/services/map")
    expect(page.get_by_role("group", name=re.compile(r"\d services, 2 calls"))).to_be_visible()
    page.goto("/services/map?focus=api-gateway")
    expect(page.get_by_role("group", name="2 services, 1 calls")).to_be_visible()
    page.get_by_role("link", name="document-processor").press("Enter")
    expect(page).to_have_url(re.compile("/services/document-processor"))
    expect(page).to_have_title("document-processor · aiprism")
    page.get_by_role("navigation", name="pages").get_by_role("link", name="Services").click()
    expect(page).to_have_title("Services · aiprism")


def test_an_incident_is_understood_and_taken_up_on_its_page(visit: Visit) -> None:
    page = visit("/incidents")
    page.get_by_role("table", name="incidents").get_by_role("link").filter(has_text="model").first.click()
    expect(page.get_by_role("list", name="timeline")).to_contain_text("AIModelLatencyHigh fires")
    expect(page.get_by_role("table", name="alerts of the incident")).to_contain_text("model-server")
    assert violations(page) == []
    page.get_by_label("you are").fill("ann")
    page.get_by_label("note", exact=True).fill("looking at the model")
    page.get_by_role("button", name="acknowledge", exact=True).click()
    expect(page.get_by_role("list", name="timeline")).to_contain_text("looking at the model")
    page.get_by_label("new task").fill("ask the provider")
    page.get_by_label("new task").press("Enter")
    page.get_by_label("ask the provider").click()  # it is checked once the server has it
    expect(page.get_by_role("list", name="timeline").get_by_text("task done")).to_be_visible()

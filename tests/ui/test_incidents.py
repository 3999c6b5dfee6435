"""Incidents in a browser: talked about in their room, repaired by runbooks that a person lets go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Server, eventually
from tests.ui.conftest import COLOURS, Visit, downloaded, pictured, recolour, settled, violations
from tests.ui.seeding import ALERT


@pytest.fixture(scope="module")
def model(platform: Server) -> dict[str, Any]:
    """The incident of the slow model."""
    found = platform.get("/aiprism/v1/incidents", status="all")["incidents"]
    return next(dict(each) for each in found if any(alert["name"] == ALERT for alert in each["alerts"]))


@pytest.mark.parametrize(("width", "scheme", "other"), [(1280, "light", "dark"), (390, "dark", "light")])
@pytest.mark.parametrize("path", ["", "/room"])
def test_an_incident_keeps_nobody_out_and_fits_a_telephone(
    visit: Visit, model: dict[str, Any], path: str, width: int, scheme: str, other: Literal["light", "dark"]
) -> None:
    page = visit(f"/incidents/{model['id']}{path}", width=width, dark=scheme == "dark")
    expect(page.get_by_role("list", name="timeline").or_(page.get_by_role("log"))).not_to_have_count(0)
    expect(page.get_by_role("status", name="loading")).to_have_count(0)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    recolour(page, other)
    assert violations(page, COLOURS) == []


def test_a_line_said_in_one_tab_is_heard_in_the_other(visit: Visit, model: dict[str, Any], album: Path) -> None:
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
    pictured(ann, album / "war-room.webp")


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
    one = _incident_of(platform, {"alertname": "IndexLags", "severity": "high", "service": "search-index"})
    page = visit(f"/incidents/{one}/room", refused=True)
    page.get_by_label("you are").fill("ann")
    page.get_by_role("button", name="open one").click()
    expect(page.get_by_role("status").get_by_text("live")).to_be_visible()


def test_a_runbook_that_waits_is_let_go_by_a_person(visit: Visit, platform: Server) -> None:
    one = _incident_of(platform, {"alertname": "QueueStuck", "severity": "critical", "service": "batch-worker"})
    page = visit(f"/incidents/{one}")
    page.get_by_role("button", name="acknowledge", exact=True).click()
    expect(page.get_by_label("you are")).to_be_focused()
    expect(page.get_by_text("nobody has it")).to_be_visible()
    page.get_by_label("you are").fill("ann")
    page.get_by_role("button", name="acknowledge", exact=True).click()
    expect(page.get_by_text("ann takes care")).to_be_visible()
    expect(page).to_have_title(re.compile("^P0 .*batch-worker"))
    runs = page.get_by_role("region", name="Runbooks")
    expect(runs.get_by_text("waiting approval")).to_be_visible()
    expect(runs).to_contain_text("would do: ")
    runs.get_by_role("button", name="approve").click()
    expect(runs.get_by_text("succeeded").first).to_be_visible()
    expect(page.get_by_role("list", name="timeline")).to_contain_text("drain-queue")


TWO_DAYS_LATER = "() => { const now = Date.now; Date.now = () => now() + 172_800_000; }"


def test_times_go_on_while_one_looks(visit: Visit, model: dict[str, Any]) -> None:
    page = visit(f"/incidents/{model['id']}?refresh=off")
    opened = page.locator("time").first
    expect(opened).to_have_text(re.compile(r"ago$"))
    settled(page)  # and asks nothing more: only the clock draws it anew
    page.evaluate(TWO_DAYS_LATER)
    expect(opened).to_have_text(re.compile(r"^2d.* ago$"))


def test_an_audience_is_told_after_a_look_at_what_it_would_read(visit: Visit, model: dict[str, Any]) -> None:
    page = visit(f"/incidents/{model['id']}")
    page.get_by_label("you are").fill("ann")
    updates = page.get_by_role("region", name="Status updates")
    updates.get_by_role("combobox", name="audience").click()
    page.get_by_role("option", name="customers").click()
    updates.get_by_role("combobox", name="template").click()
    page.get_by_role("option", name="identified").click()
    expect(updates.get_by_text("We know the cause of the problem")).to_be_visible()
    expect(updates.get_by_text("everybody can read it")).to_be_visible()
    updates.get_by_label("words of the update").fill("Documents take longer than usual.")
    expect(updates.get_by_role("blockquote")).to_contain_text("Documents take longer than usual.")
    updates.get_by_role("button", name="send").click()
    expect(page.get_by_role("table", name="updates that were told")).to_contain_text("longer than usual")
    expect(page.get_by_role("list", name="timeline")).to_contain_text("longer than usual")


def test_why_alerts_are_one_incident_is_told_and_people_part_and_join_them(visit: Visit, platform: Server) -> None:
    both = [
        {"alertname": name, "severity": "critical", "service": "ledger"} for name in ("LedgerSlow", "LedgerErrorsHigh")
    ]
    one = _incident_of(platform, *both)
    page = visit(f"/incidents/{one}")
    page.get_by_label("you are").fill("ann")
    alerts = page.get_by_role("table", name="alerts of the incident")
    expect(alerts.get_by_role("img", name=re.compile(r"time \d\.\d\d, service 1\.00, kind"))).to_have_count(1)
    alerts.get_by_label("pick LedgerErrorsHigh").click()
    page.get_by_role("button", name="split off 1 as an incident").click()
    expect(alerts).not_to_contain_text("LedgerErrorsHigh")
    page.get_by_role("combobox", name="another incident").click()
    page.get_by_role("option").filter(has_text="ledger").first.click()
    page.get_by_role("button", name="merge").click()
    expect(alerts).to_contain_text("LedgerErrorsHigh")
    expect(page.get_by_text(re.compile("by hand: .*ann"))).to_have_count(2)
    assert violations(page) == []


def test_what_is_being_typed_stays_whatever_happens_meanwhile(visit: Visit, platform: Server) -> None:
    labels = {"severity": "critical", "service": "mail-gateway"}
    one = _incident_of(platform, {"alertname": "MailSlow", **labels})
    page, room = visit(f"/incidents/{one}"), visit(f"/incidents/{one}/room")
    page.get_by_label("you are").fill("ann")
    typed = ("note", "words of the update", "evidence to pin", "why it is started", "why this priority", "new task")
    boxes = [page.get_by_role("textbox", name=each, exact=True) for each in typed]
    for name, box in zip(typed, boxes, strict=True):
        box.fill(f"half of a {name}")
    room.get_by_label("message").fill("half of a line")
    for path, said in (
        ("comment", {"text": "the provider answers again"}),
        ("room/messages", {"text": "look at the provider"}),
    ):
        url = f"{platform.url}/aiprism/v1/incidents/{one}/{path}"
        httpx.post(url, json={"actor": "bob", **said}, timeout=30).raise_for_status()
    httpx.post(f"{platform.url}/api/v2/alerts", json=[{"labels": {"alertname": "QueueStuck", **labels}}])
    expect(page.get_by_role("list", name="timeline")).to_contain_text("the provider answers again")
    expect(page.get_by_role("region", name="Runbooks")).to_contain_text("drain-queue")
    expect(page.get_by_role("table", name="alerts of the incident")).to_contain_text("QueueStuck")
    expect(room.get_by_role("log", name="what was said")).to_contain_text("look at the provider")
    assert [box.input_value() for box in boxes] == [f"half of a {each}" for each in typed]
    expect(boxes[-1]).to_be_focused()
    expect(room.get_by_label("message")).to_have_value("half of a line")
    expect(room.get_by_label("message")).to_be_focused()


def test_a_trace_is_pinned_and_the_priority_is_said_with_a_reason(visit: Visit, model: dict[str, Any]) -> None:
    page = visit(f"/incidents/{model['id']}")
    page.get_by_label("you are").fill("ann")
    page.get_by_role("textbox", name="evidence to pin").fill("a" * 32)
    page.get_by_role("textbox", name="evidence to pin").press("Enter")
    pinned = page.get_by_role("list", name="pinned evidence").get_by_role("link")
    expect(pinned).to_have_attribute("href", f"/explore/traces/{'a' * 32}")
    page.get_by_label("why this priority").fill("all customers wait")
    page.get_by_role("button", name="set priority").click()
    expect(page.get_by_role("list", name="timeline")).to_contain_text("all customers wait")
    expect(page.get_by_role("region", name="map").get_by_role("link", name="model-server")).to_be_visible()


def test_a_postmortem_is_read_while_it_is_written_with_its_frozen_charts(
    visit: Visit, platform: Server, album: Path
) -> None:
    # The alert has the name of a rule that is loaded: its expression is charted.
    one = _incident_of(platform, {"alertname": "MemoryHigh", "severity": "critical", "service": "api-gateway"})
    said = {"actor": "ann", "text": "restarted"}
    httpx.post(f"{platform.url}/aiprism/v1/incidents/{one}/resolve", json=said).raise_for_status()
    eventually(lambda: platform.get(f"/aiprism/v1/incidents/{one}/postmortem"), what="its postmortem")
    page = visit(f"/incidents/{one}/postmortem")
    page.get_by_label("you are").fill("ann")
    reads = page.get_by_role("region", name="as it reads")
    expect(reads.get_by_role("heading", name="Action items")).to_be_visible()
    chart = reads.get_by_role("img").first
    expect(chart).to_have_attribute("src", re.compile(r"/postmortem/charts/1\.svg\?version=1$"))
    assert chart.evaluate("async picture => (await picture.decode(), picture.naturalWidth)") > 0
    pictured(page, album / "postmortem.webp")
    text = page.get_by_label("postmortem in Markdown")
    text.fill(
        text.input_value() + "\n\n## Lessons\n\n![elsewhere](//evil.example/x.png) <script>document.title = 1</script>"
    )
    expect(reads.get_by_role("heading", name="Lessons")).to_be_visible()
    expect(reads.get_by_text("elsewhere")).to_be_visible()  # the words of a picture that is not shown
    assert violations(page) == []
    page.get_by_role("button", name="save").click()
    expect(page.get_by_role("combobox", name="version")).to_have_value(re.compile(r"^2 · ann"))
    with downloaded(page) as kept:
        page.get_by_role("link", name="Markdown").click()
    assert b"## Lessons" in kept[0]
    # Somebody else saves while one writes: what one wrote stays, and it is said of which version it is.
    text.fill(text.input_value() + "\n\nmine")
    put = {"author": "bob", "version": 2, "text": text.input_value().replace("mine", "of bob")}
    httpx.put(f"{platform.url}/aiprism/v1/incidents/{one}/postmortem", json=put).raise_for_status()
    discard = page.get_by_role("button", name="discard it and show version 3")
    expect(page.get_by_role("status").filter(has=discard)).to_contain_text("made of version 2 and not saved")
    expect(text).to_have_value(re.compile("mine$"))
    discard.click()
    expect(text).to_have_value(re.compile("of bob$"))
    page.get_by_role("combobox", name="version").click()
    page.get_by_role("option", name=re.compile("^1 ·")).click()
    expect(reads.get_by_role("heading", name="Action items")).to_be_visible()
    expect(reads.get_by_role("heading", name="Lessons")).to_have_count(0)


def test_the_week_is_told_beside_the_week_before_and_one_goes_back(visit: Visit) -> None:
    page = visit("/incidents/review")
    figures = page.get_by_role("group", name="figures of the week")
    expect(figures).to_contain_text("to detect (MTTD)")
    expect(figures.get_by_role("img", name="incidents over 8 weeks")).to_be_visible()
    expect(page.get_by_role("table", name="by service")).to_contain_text("model-server")
    expect(page.get_by_role("table", name="missed deadlines").get_by_role("row")).to_have_count(4)
    page.get_by_role("button", name="the week before").click()
    expect(page).to_have_url(re.compile(r"until=\d+"))
    expect(page.get_by_role("table", name="by service")).to_have_count(0)
    page.get_by_role("button", name="the week after").click()
    expect(page.get_by_role("table", name="by service")).to_contain_text("model-server")


def _incident_of(platform: Server, *labels: dict[str, str]) -> str:
    """The incident that these alerts open together."""
    httpx.post(f"{platform.url}/api/v2/alerts", json=[{"labels": each} for each in labels]).raise_for_status()
    names = {each["alertname"] for each in labels}

    def incident() -> Any:
        found = platform.get("/aiprism/v1/incidents")["incidents"]
        return next((each["id"] for each in found if {alert["name"] for alert in each["alerts"]} == names), None)

    return str(eventually(incident, what=f"an incident of {names}"))

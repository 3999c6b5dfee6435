"""Dashboards of Grafana's, imported and looked at in a browser: every panel shows what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Dialog, expect

from tests.journeys.conftest import Server, eventually
from tests.ui.conftest import Visit, downloaded, go_by_keys, violations

REQUESTS = "sum by (job) (increase(ai_prism_http_requests_total[$__range]))"


def _panel(kind: str, title: str, at: int, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": at + 1, "type": kind, "title": title, "gridPos": {"x": at % 2 * 12, "y": at // 2 * 7, "w": 12, "h": 7},
        "targets": [{"refId": chr(65 + number), **each} for number, each in enumerate(targets)], **more,
    }  # fmt: skip


def _board(uid: str, *panels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"uid": uid, "title": uid, "schemaVersion": 39, "panels": list(panels), **more}


@pytest.fixture
def imported(platform: Server, visit: Visit) -> Any:
    """Imports a dashboard and opens it."""

    def opened(board: dict[str, Any], query: str = "", **how: Any) -> Any:
        body = {"dashboard": board, "overwrite": True}
        httpx.post(f"{platform.url}/aiprism/v1/dashboards", json=body).raise_for_status()
        return visit(f"/dashboards/{board['uid']}{query}", **how)

    return opened


def test_panels_of_every_kind_draw_metrics_logs_traces_and_services(imported: Any, platform: Server) -> None:
    eventually(lambda: platform.get("/aiprism/v1/services/map")["edges"], what="calls on the map")
    up = {"mappings": [{"type": "value", "options": {"1": {"text": "UP", "color": "green"}}}]}
    busy = {"expr": "sum by (job) (ai_prism_http_requests_total) >= bool 0", "legendFormat": "{{job}}"}
    loki, tempo = {"datasource": {"type": "loki"}}, {"datasource": {"type": "tempo"}}
    lines = '{service_name="document-processor"} |= "did not answer"'
    slow = '{ resource.service.name = "model-server" && duration > 2s }'
    both = [
        {"expr": f"sum by (job) ({name})", "format": "table"}
        for name in ("ai_prism_http_requests_total", "process_memory_bytes")
    ]
    merged = {"transformations": [{"id": "merge", "options": {}}]}
    board = _board(
        "kinds",
        _panel("state-timeline", "States", 0, busy, fieldConfig={"defaults": up, "overrides": []}),
        _panel("status-history", "History", 1, busy, fieldConfig={"defaults": up, "overrides": []}),
        _panel("barchart", "Bars", 2, {"expr": REQUESTS, "instant": True, "format": "table"}),
        _panel("histogram", "How often", 3, {"expr": "sum(process_memory_bytes)"}),
        _panel("logs", "Lines", 4, {"expr": lines}, **loki),
        _panel("timeseries", "Levels", 5, {"expr": f"sum by (level) (count_over_time({lines} [1m]))"}, **loki),
        _panel("traces", "Slow", 6, {"query": slow}, **tempo),
        _panel("nodeGraph", "Calls", 7, {"queryType": "serviceMap"}, **tempo),
        _panel("trend", "Growth", 8, *both, **merged, options={"xField": "Value #A"}),
        _panel("xychart", "Cloud", 9, *both, **merged),
        _panel("geomap", "Places", 10, busy),
    )
    page = imported(board, height=1900)
    for title in ("States", "History"):
        expect(page.get_by_role("img", name=f"{title}: at the end")).to_contain_text("UP")
    expect(page.get_by_role("img", name="Bars: ")).to_contain_text("model-server")
    expect(page.get_by_role("img", name="How often: ")).to_be_visible()
    expect(page.get_by_role("list", name="records")).to_contain_text("claude-sonnet did not answer")
    expect(page.get_by_role("img", name="Levels: at the end ERROR")).to_be_visible()
    expect(page.get_by_role("table", name="Slow")).to_contain_text("POST /documents")
    expect(page.get_by_role("group", name="Calls: 3 nodes, 2 edges")).to_be_visible()
    expect(page.get_by_role("img", name="Growth: at the end Value #B")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"Cloud: \d+ points of Value #B over Value #A"))).to_be_visible()
    expect(page.get_by_text("panels of type “geomap”")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("table", name="Slow").get_by_role("link").first.click()
    expect(page.get_by_role("tree", name="spans")).to_be_visible()


def test_a_panel_that_cannot_be_drawn_says_so_in_its_place_and_leaves_the_others(imported: Any) -> None:
    requests = {"expr": REQUESTS, "legendFormat": "{{job}}"}
    page = imported(
        _board("broken", _panel("gauge", "Share", 0, requests), _panel("stat", "Requests", 1, requests)), refused=True
    )
    gauges = page.get_by_role("region", name="Share")
    expect(gauges).to_contain_text("model-server")
    parts = "**/assets/Gauge-*.js"
    page.route(parts, lambda route: route.fulfill(status=404))  # as where the server is of another version by now
    page.reload()
    expect(gauges.get_by_role("alert")).to_contain_text("could not be loaded")
    expect(page.get_by_role("region", name="Requests")).to_contain_text("model-server")
    assert violations(page) == []
    page.unroute(parts)
    gauges.get_by_role("button", name="try again").click()
    expect(gauges).to_contain_text("model-server")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_panel_is_edited_by_keys_alone_and_drawn_as_it_stands(imported: Any, platform: Server, width: int) -> None:
    low: dict[str, Any] = {
        "type": "range",
        "options": {"from": 1, "to": 5, "result": {"text": "low", "icon": "theirs", "index": 0}},
    }
    kept = {
        "options": {"theirs": 1}, "links": [{"title": "there", "url": "/"}],
        "fieldConfig": {"defaults": {"mappings": [low]}, "overrides": []},
    }  # fmt: skip
    board = _board(f"keyed-{width}", _panel("stat", "Requests", 0, {"expr": REQUESTS}, **kept))
    page = imported(board, width=width)
    page.emulate_media(reduced_motion="reduce")
    go_by_keys(page, page.get_by_role("region", name="Requests").get_by_role("button", name="panel menu"))
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile(r"do=edit&edit=1"))
    options = page.get_by_role("option")
    go_by_keys(page, kind := page.get_by_role("combobox", name="type"))
    expect(kind).to_have_value("stat")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_be_visible()  # nobody goes through a list that is not drawn yet
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(kind).to_have_value("gauge")
    go_by_keys(page, page.get_by_role("textbox", name="title"))
    page.keyboard.press("End")
    page.keyboard.type(" by job")
    drawn = page.get_by_role("region", name="Requests by job")
    expect(drawn.get_by_role("img", name="model-server")).to_be_visible()
    go_by_keys(page, page.get_by_role("combobox", name="unit"))
    page.keyboard.type("sho")
    expect(options.first).to_be_visible()
    page.keyboard.type("rt")
    expect(options).to_have_text(["short", "sishort"])
    expect(options.first).to_have_attribute("data-combobox-selected", "true")
    page.keyboard.press("Enter")
    expect(options).to_have_count(0)
    go_by_keys(page, page.get_by_label("from, mapping 1"))
    page.keyboard.press("Control+A")
    page.keyboard.type("-0.5")
    go_by_keys(page, page.get_by_role("checkbox", name="thresholds around"))
    page.keyboard.press("Space")
    query = page.get_by_label("query A")
    for _ in range(100):
        if query.evaluate("(element) => element === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    expect(page.locator(".cm-editor.cm-focused")).to_be_visible()
    page.keyboard.press("Control+A")
    page.keyboard.type("sum(up) * 0 + 42")
    expect(drawn).to_contain_text("42")  # after a pause, before anything is saved
    assert violations(page) == []
    go_by_keys(page, page.get_by_role("button", name="save …"), "Shift+Tab")
    page.keyboard.press("Enter")
    go_by_keys(page, page.get_by_role("textbox", name="what was changed"))
    page.keyboard.type("a gauge")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="edit", exact=True)).to_be_focused()
    expect(page.get_by_role("region", name="Requests by job")).to_contain_text("42")
    saved = platform.get(f"/aiprism/v1/dashboards/keyed-{width}")
    assert (saved["message"], saved["dashboard"]["panels"]) == ("a gauge", [{
        **board["panels"][0], "type": "gauge", "title": "Requests by job",
        "targets": [{"refId": "A", "expr": "sum(up) * 0 + 42"}],
        "fieldConfig": {
            "defaults": {
                "mappings": [{**low, "options": {**low["options"], "from": -0.5}}], "unit": "short",
            },
            "overrides": [],
        },
        "options": {"theirs": 1, "showThresholdMarkers": False},
    }])  # fmt: skip


def test_a_dashboard_is_begun_arranged_and_kept_from_being_left(visit: Visit, platform: Server) -> None:
    page = visit("/dashboards", dark=True)
    page.emulate_media(reduced_motion="reduce")
    questions: list[str] = []

    def stay(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("link", name="new dashboard").click()
    page.get_by_role("button", name="add panel").click()
    page.get_by_label("query A").click()
    page.keyboard.type("sum(up) * 0 + 7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="New panel: at the end")).to_be_visible()
    page.get_by_role("button", name="all panels").click()
    page.get_by_role("region", name="New panel").get_by_role("button", name="panel menu").click()
    page.get_by_role("menuitem", name="Duplicate").click()
    expect(page.get_by_role("region", name="New panel (copy)")).to_be_visible()
    grip = page.get_by_role("button", name="move New panel", exact=True)
    go_by_keys(page, grip)
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(grip).to_be_focused()
    held, lower = grip.bounding_box(), page.get_by_role("button", name="move New panel (copy)").bounding_box()
    assert held
    assert lower
    page.mouse.move(held["x"] + 5, held["y"] + 5)
    page.mouse.down()
    page.mouse.move(held["x"] + 5, lower["y"] + 5, steps=4)
    page.mouse.up()
    page.get_by_role("link", name="Alerts").click()
    page.go_back()  # to the editor of the panel, which is this page still
    expect(page).to_have_url(re.compile(r"edit=1"))
    page.go_back()
    expect(page).not_to_have_url(re.compile(r"edit=1"))
    with page.expect_event("dialog"):
        page.go_back()
    expect(page).to_have_url(re.compile(r"~new"))
    assert questions == ["What you changed here is not saved. Leave this page?"] * 2
    page.get_by_role("button", name="JSON", exact=True).click()
    whole = page.get_by_label("JSON of the dashboard")
    whole.fill((written := whole.input_value())[:-1])
    page.get_by_role("button", name="save …").click()
    unread = page.get_by_role("alert").filter(has_text="is not saved: JSON of the dashboard")
    expect(unread).to_be_visible()
    whole.fill(written)
    expect(unread).to_have_count(0)
    page.get_by_role("textbox", name="title of the dashboard").fill("Begun here")
    assert violations(page) == []
    page.get_by_role("button", name="save", exact=True).click()
    expect(page).to_have_url(re.compile(r"/dashboards/begun-here\b"))
    panels = platform.get("/aiprism/v1/dashboards/begun-here")["dashboard"]["panels"]
    assert [(each["title"], each["gridPos"]) for each in panels] == [
        ("New panel", {"x": 1, "y": 8, "w": 12, "h": 9}),
        ("New panel (copy)", {"x": 12, "y": 0, "w": 12, "h": 8}),
    ]


def test_a_dashboard_of_a_file_is_saved_into_it_but_never_over_what_another_wrote(
    visit: Visit, platform: Server
) -> None:
    assert platform.config
    file = platform.config.parent / "boards" / "by-hand.json"
    page = visit("/dashboards/by-hand?do=edit&edit=1&form=save", refused=True)
    title = page.get_by_role("textbox", name="title", exact=True)
    save = page.get_by_role("button", name="save", exact=True)
    title.fill("By page")
    expect(page.get_by_role("radio", name="the file boards/by-hand.json")).to_be_checked()
    assert violations(page) == []
    save.click()
    expect(page.get_by_role("button", name="edit", exact=True)).to_be_focused()
    board = json.loads(file.read_text())
    assert board["panels"][0]["title"] == "By page"
    page.get_by_role("region", name="By page").hover()
    page.keyboard.press("e")
    title.fill("By page again")
    file.write_text(json.dumps(theirs := {**board, "panels": [{**board["panels"][0], "title": "Theirs"}]}))
    page.get_by_role("button", name="save …").click()
    save.click()
    expect(page.get_by_role("alert")).to_contain_text("boards/by-hand.json was changed meanwhile")
    expect(title).to_have_value("By page again")
    page.get_by_role("button", name="discard").click()
    expect(title).to_have_value("Theirs")
    title.fill("By page again")
    page.get_by_role("radio", name="the control database").check()
    save.click()
    expect(page.get_by_role("region", name="By page again")).to_contain_text("Written by hand.")
    saved = platform.get("/aiprism/v1/dashboards/by-hand")
    assert (saved["origin"], saved["dashboard"]["panels"][0]["title"]) == ("saved", "By page again")
    assert json.loads(file.read_text()) == theirs
    page.get_by_role("button", name="edit", exact=True).click()
    page.get_by_role("button", name="save …").click()
    expect(page.get_by_role("radio", name="the control database")).to_be_checked()  # the file would delete its version


def test_a_dashboard_has_its_own_time_and_its_links_and_numbers_lead_on(imported: Any) -> None:
    per_job = {"expr": REQUESTS, "legendFormat": "{{job}}"}
    links = [{"title": "its service", "url": "/services/${__field.labels.job}?${__url_time_range}"}]
    board = _board(
        "linked",
        _panel("stat", "Requests", 0, per_job, fieldConfig={"defaults": {"links": links}, "overrides": []}),
        _panel("timeseries", "Before", 1, per_job, timeFrom="30m", timeShift="5m"),
        links=[{"title": "ours", "type": "link", "url": "/d/platform/x", "includeVars": True, "keepTime": True}],
        time={"from": "now-2h", "to": "now"}, refresh="5m", timezone="utc",
        templating={"list": [{"name": "size", "type": "custom", "query": "small,large"}]},
    )  # fmt: skip
    page = imported(board)
    expect(page).to_have_url(re.compile(r"from=now-2h&to=now&refresh=5m"))
    expect(page.get_by_text("times in UTC")).to_be_visible()
    expect(page.get_by_role("link", name="ours")).to_have_attribute(
        "href", "/dashboards/platform?from=now-2h&to=now&var-size=small"
    )
    expect(page.get_by_role("region", name="Before")).to_contain_text("last 30m, 5m earlier")
    page.get_by_role("region", name="Requests").get_by_role("button", name="panel menu").click()
    with downloaded(page) as kept:
        page.get_by_role("menuitem", name="PNG").click()
    assert kept[0].startswith(b"\x89PNG")
    assert len(kept[0]) > 5000  # more than a ground of one colour
    page.get_by_role("region", name="Requests").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"/services/[a-z-]+\?from=\d+&to=\d+"))


def test_expressions_are_worked_out_and_annotations_are_switched(imported: Any) -> None:
    expr = {"datasource": {"type": "__expr__", "uid": "__expr__"}}
    asked = {"expr": "sum(process_memory_bytes > bool 0)", "hide": True}
    reduced = {**expr, "type": "reduce", "expression": "A", "reducer": "max", "hide": True}
    board = _board(
        "worked-out",
        _panel("stat", "Answer", 0, asked, reduced, {**expr, "type": "math", "expression": "$B / $B * 42"}),
        _panel("timeseries", "Course", 1, asked, {**expr, "type": "math", "expression": "$A - $A + 7"}),
        _panel("stat", "In SQL", 2, asked, {**expr, "type": "sql", "expression": "SELECT 1"}),
        annotations={"list": [
            {"name": "restarts", "expr": "resets(ai_prism_http_requests_total[5m])", "enable": True},
            {"name": "rollouts", "aiprism": "events", "enable": False},
        ]},
    )  # fmt: skip
    page = imported(board)
    expect(page.get_by_role("region", name="Answer")).to_contain_text("42")
    expect(page.get_by_role("img", name="Course: at the end B 7")).to_be_visible()
    expect(page.get_by_text("expressions of type “sql” are not worked out here")).to_be_visible()
    page.get_by_role("button", name="restarts", pressed=True).click()
    expect(page).to_have_url(re.compile(r"annotation-restarts=off"))
    page.get_by_role("button", name="rollouts", pressed=False).click()
    expect(page).to_have_url(re.compile(r"annotation-restarts=off&annotation-rollouts=on"))
    page.get_by_role("button", name="restarts", pressed=False).click()
    expect(page).not_to_have_url(re.compile(r"annotation-restarts"))
    assert violations(page) == []

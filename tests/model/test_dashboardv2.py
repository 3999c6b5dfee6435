"""Grafana's schema v2 as the classic model: where panels stand, what they ask, variables, annotations."""

from __future__ import annotations

from typing import Any

import pytest

from aiprism.model import dashboards
from aiprism.model.dashboardv2 import classic, is_v2


def element(number: int, *exprs: str, source: str = "prometheus", **more: Any) -> dict[str, Any]:
    queries = [
        {
            "kind": "PanelQuery",
            "spec": {
                "refId": "ABC"[at],
                "hidden": at > 0,
                "query": {"kind": "DataQuery", "group": source, "version": "v0", "spec": {"expr": expr}},
            },
        }
        for at, expr in enumerate(exprs)
    ]
    look = {"options": {"legend": {}}, "fieldConfig": {"defaults": {"unit": "s"}, "overrides": []}}
    spec = {
        "id": number,
        "title": f"Panel {number}",
        "links": [],
        "data": {
            "kind": "QueryGroup",
            "spec": {"queries": queries, "transformations": [], "queryOptions": {"timeFrom": "2h"}},
        },
        "vizConfig": {"kind": "VizConfig", "group": "timeseries", "version": "13.0.0", "spec": look},
    }
    return {"kind": "Panel", "spec": {**spec, **more}}


def item(name: str, x: int, y: int, width: int = 12, height: int = 8, **more: Any) -> dict[str, Any]:
    place = {"x": x, "y": y, "width": width, "height": height}
    return {"kind": "GridLayoutItem", "spec": {**place, "element": {"kind": "ElementReference", "name": name}, **more}}


def grid(*items: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "GridLayout", "spec": {"items": list(items)}}


def rows(*parts: tuple[str, bool, dict[str, Any]]) -> dict[str, Any]:
    made = [
        {"kind": "RowsLayoutRow", "spec": {"title": title, "collapse": shut, "layout": layout}}
        for title, shut, layout in parts
    ]
    return {"kind": "RowsLayout", "spec": {"rows": made}}


def board(layout: dict[str, Any], **more: Any) -> dict[str, Any]:
    elements = {f"panel-{number}": element(number, "up") for number in range(1, 6)}
    spec = {"title": "Shop", "tags": ["web"], "elements": elements, "layout": layout, **more}
    return {
        "apiVersion": "dashboard.grafana.app/v2",
        "kind": "Dashboard",
        "metadata": {"name": "shop-1"},
        "spec": spec,
    }


def places(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            each.get("id", each["title"]),
            *(each["gridPos"][key] for key in "xywh"),
            [p["id"] for p in each.get("panels", ())],
        )
        for each in classic(document)["panels"]
    ]


def test_a_grid_stands_as_it_is_and_repeats() -> None:
    repeat = {"mode": "variable", "value": "job", "direction": "h", "maxPerRow": 4}
    document = board(grid(item("panel-1", 0, 0), item("panel-2", 12, 0, repeat=repeat)))
    assert places(document) == [(1, 0, 0, 12, 8, []), (2, 12, 0, 12, 8, [])]
    second = classic(document)["panels"][1]
    assert (second["repeat"], second["repeatDirection"], second["maxPerRow"]) == ("job", "h", 4)


def test_rows_stand_below_each_other_and_a_shut_one_has_its_panels_within() -> None:
    layout = rows(
        ("Open", False, grid(item("panel-1", 0, 0), item("panel-2", 12, 0))),
        ("Shut", True, grid(item("panel-3", 0, 0))),
        ("Last", False, grid(item("panel-4", 0, 0))),
    )
    assert places(board(layout)) == [
        ("Open", 0, 0, 24, 1, []),
        (1, 0, 1, 12, 8, []),
        (2, 12, 1, 12, 8, []),
        ("Shut", 0, 9, 24, 1, [3]),
        ("Last", 0, 10, 24, 1, []),
        (4, 0, 11, 12, 8, []),
    ]


def test_tabs_are_rows_of_which_the_first_is_open() -> None:
    tabs = [
        {"kind": "TabsLayoutTab", "spec": {"title": title, "layout": grid(item(name, 0, 0))}}
        for title, name in (("One", "panel-1"), ("Two", "panel-2"))
    ]
    found = places(board({"kind": "TabsLayout", "spec": {"tabs": tabs}}))
    assert found == [("One", 0, 0, 24, 1, []), (1, 0, 1, 12, 8, []), ("Two", 0, 9, 24, 1, [2])]


def test_rows_within_what_is_shut_keep_their_panels_and_stand_below_it() -> None:
    inner = rows(("R1", False, grid(item("panel-2", 0, 0))), ("R2", True, grid(item("panel-3", 0, 0))))
    tabs = [
        {"kind": "TabsLayoutTab", "spec": {"title": title, "layout": layout}}
        for title, layout in (
            ("One", grid(item("panel-1", 0, 0))),
            ("Two", inner),
            ("Three", grid(item("panel-4", 0, 0))),
        )
    ]
    assert places(board({"kind": "TabsLayout", "spec": {"tabs": tabs}})) == [
        ("One", 0, 0, 24, 1, []),
        (1, 0, 1, 12, 8, []),
        ("Two", 0, 9, 24, 1, []),
        ("R1", 0, 10, 24, 1, []),
        (2, 0, 11, 12, 8, []),
        ("R2", 0, 19, 24, 1, [3]),
        ("Three", 0, 20, 24, 1, [4]),
    ]


def test_an_element_has_one_place_and_no_number_is_given_twice() -> None:
    document = board(grid(*(item("panel-1", 0, at) for at in range(1000))))
    assert [each["id"] for each in classic(document)["panels"]] == [1]
    for number in ("panel-1", "panel-2"):
        del document["spec"]["elements"][number]["spec"]["id"]
    document["spec"]["layout"] = grid(item("panel-1", 0, 0), item("panel-2", 12, 0))
    assert [each.get("id") for each in classic(document)["panels"]] == [None, None]


def test_an_automatic_grid_gets_places() -> None:
    items = [
        {"kind": "AutoGridLayoutItem", "spec": {"element": {"kind": "ElementReference", "name": f"panel-{number}"}}}
        for number in (1, 2, 3, 4)
    ]
    auto = {"maxColumnCount": 3, "columnWidthMode": "standard", "rowHeightMode": "short", "items": items}
    found = places(board({"kind": "AutoGridLayout", "spec": auto}))
    assert found == [(1, 0, 0, 8, 5, []), (2, 8, 0, 8, 5, []), (3, 16, 0, 8, 5, []), (4, 0, 5, 8, 5, [])]


def test_a_panel_has_its_looks_queries_and_transformations() -> None:
    document = board(grid(item("panel-1", 0, 0)))
    change = {"kind": "Transformation", "group": "organize", "spec": {"options": {"excludeByName": {}}}}
    panel = element(1, "up", "down")
    panel["spec"]["data"]["spec"]["transformations"] = [change]
    document["spec"]["elements"]["panel-1"] = panel
    [found] = classic(document)["panels"]
    assert (found["type"], found["title"], found["timeFrom"]) == ("timeseries", "Panel 1", "2h")
    assert found["fieldConfig"]["defaults"] == {"unit": "s"}
    assert [(each["refId"], each["expr"], each["hide"]) for each in found["targets"]] == [
        ("A", "up", False),
        ("B", "down", True),
    ]
    assert found["datasource"] == {"type": "prometheus"}
    assert found["transformations"] == [{"id": "organize", "options": {"excludeByName": {}}}]


@pytest.mark.parametrize("form", ["v2alpha1", "v2beta1"])
def test_the_forms_before_v2_are_read_too(form: str) -> None:
    panel = element(1, "up")
    data = panel["spec"]["data"]["spec"]
    data["transformations"] = [{"kind": "reduce", "spec": {"id": "reduce", "options": {"reducers": ["max"]}}}]
    if form == "v2alpha1":
        panel["spec"]["vizConfig"] = {"kind": "stat", "spec": panel["spec"]["vizConfig"]["spec"]}
        data["queries"] = [
            {
                "kind": "PanelQuery",
                "spec": {
                    "refId": "A",
                    "hidden": False,
                    "datasource": {"type": "prometheus", "uid": "p1"},
                    "query": {"kind": "prometheus", "spec": {"expr": "up"}},
                },
            }
        ]
    document = board(grid(item("panel-1", 0, 0)))
    document["spec"]["elements"]["panel-1"] = panel
    [found] = classic(document)["panels"]
    assert found["type"] == ("stat" if form == "v2alpha1" else "timeseries")
    assert found["targets"][0]["expr"] == "up"
    assert found["datasource"]["type"] == "prometheus"
    assert found["transformations"] == [{"id": "reduce", "options": {"reducers": ["max"]}}]


def test_queries_of_several_sources_are_mixed() -> None:
    panel = element(1, "up")
    other = element(2, "{job='a'}", source="loki")
    panel["spec"]["data"]["spec"]["queries"] += other["spec"]["data"]["spec"]["queries"]
    document = board(grid(item("panel-1", 0, 0)))
    document["spec"]["elements"]["panel-1"] = panel
    assert classic(document)["panels"][0]["datasource"]["uid"] == "-- Mixed --"


VARIABLE = {"hide": "hideLabel", "sort": "numericalDesc", "refresh": "onTimeRangeChanged", "name": "job", "multi": True}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {
                "kind": "QueryVariable",
                "spec": {
                    **VARIABLE,
                    "query": {
                        "kind": "DataQuery",
                        "group": "prometheus",
                        "datasource": {"name": "${ds}"},
                        "spec": {"query": "label_values(up, job)", "refId": "x"},
                    },
                },
            },
            {
                "type": "query",
                "hide": 1,
                "sort": 4,
                "refresh": 2,
                "query": {"query": "label_values(up, job)", "refId": "x"},
                "datasource": {"type": "prometheus", "uid": "${ds}"},
            },
        ),
        (
            {
                "kind": "QueryVariable",
                "spec": {**VARIABLE, "query": {"kind": "DataQuery", "spec": {"__legacyStringValue": "metrics(a.*)"}}},
            },
            {"query": "metrics(a.*)"},
        ),
        ({"kind": "DatasourceVariable", "spec": {"name": "ds", "pluginId": "prometheus"}}, {"query": "prometheus"}),
        ({"kind": "CustomVariable", "spec": {"name": "size", "query": "a,b"}}, {"type": "custom", "query": "a,b"}),
        ({"kind": "TextVariable", "spec": {"name": "word", "query": "x"}}, {"type": "textbox", "query": "x"}),
        (
            {"kind": "SwitchVariable", "spec": {"name": "on", "current": "true"}},
            {"type": "switch", "current": {"text": "true", "value": "true"}},
        ),
        (
            {"kind": "AdhocVariable", "group": "prometheus", "spec": {"name": "f", "filters": []}},
            {"type": "adhoc", "datasource": {"type": "prometheus"}},
        ),
    ],
)
def test_variables_are_those_of_the_classic_model(given: dict[str, Any], expected: dict[str, Any]) -> None:
    [found] = classic(board(grid(), variables=[given]))["templating"]["list"]
    assert {key: found[key] for key in expected} == expected


def test_variables_of_rows_are_the_dashboards() -> None:
    layout = rows(("Row", False, grid()))
    layout["spec"]["rows"][0]["spec"]["variables"] = [
        {"kind": "CustomVariable", "spec": {"name": "size", "query": "a"}}
    ]
    assert [each["name"] for each in classic(board(layout))["templating"]["list"]] == ["size"]


def test_annotations_times_and_links_are_taken_over() -> None:
    query = {"kind": "DataQuery", "group": "prometheus", "spec": {"expr": "changes(x[5m]) > 0"}}
    found = classic(
        board(
            grid(),
            annotations=[
                {
                    "kind": "AnnotationQuery",
                    "spec": {"name": "Restarts", "enable": True, "iconColor": "red", "query": query},
                }
            ],
            timeSettings={"from": "now-3h", "to": "now", "autoRefresh": "30s", "timezone": "utc"},
            cursorSync="Crosshair",
            links=[{"title": "Docs", "type": "link", "url": "/docs"}],
        )
    )
    [note] = found["annotations"]["list"]
    assert (note["name"], note["expr"], note["enable"]) == ("Restarts", "changes(x[5m]) > 0", True)
    assert (found["time"], found["refresh"], found["timezone"]) == ({"from": "now-3h", "to": "now"}, "30s", "utc")
    assert (found["graphTooltip"], found["links"][0]["url"]) == (1, "/docs")


def test_what_is_missing_or_of_another_kind_breaks_nothing() -> None:
    for layout in (
        {},
        {"kind": "RowsLayout"},
        grid(item("nobody", 0, 0)),
        {"kind": "GridLayout", "spec": {"items": [3]}},
    ):
        assert isinstance(classic(board(layout, variables=[{}], annotations="x"))["panels"], list)


def test_it_is_read_as_any_other_dashboard() -> None:
    document = board(grid(item("panel-1", 0, 0)))
    assert is_v2(document)
    found = dashboards.read(document)
    assert (found.uid, found.title, found.tags, len(found.document["panels"])) == ("shop-1", "Shop", ("web",), 1)

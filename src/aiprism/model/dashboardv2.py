"""Grafana's schema v2 (`kind: Dashboard`), read as the classic JSON model that everything else here knows.

Pure. In: the resource, of `v2`, `v2beta1` or `v2alpha1`. Out: a dashboard with `panels`, `templating`, `annotations`. What the
classic model cannot say is said as near as it can: automatic grids become places of 24 columns, tabs become rows of which the
first is open, and conditions under which a panel is hidden are left out. Source: the types of `@grafana/schema` 13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

Json = Mapping[str, Any]

SCHEMA = 42  # the classic version that has all of this
_COLUMNS = 24
_UNIT, _GAP = 38, 8  # pixels of a row of the classic grid with the gap below it, and of the gap alone
_MIXED = {"type": "datasource", "uid": "-- Mixed --"}
_HEIGHTS = {"short": 168, "standard": 320, "tall": 512}  # pixels
_SYNC = {"Off": 0, "Crosshair": 1, "Tooltip": 2}
_HIDE = {"dontHide": 0, "hideLabel": 1, "hideVariable": 2, "inControlsMenu": 3}
_REFRESH = {"never": 0, "onDashboardLoad": 1, "onTimeRangeChanged": 2}
_SORT = {
    name: at
    for at, name in enumerate((
        "disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc",
        "alphabeticalCaseInsensitiveAsc", "alphabeticalCaseInsensitiveDesc", "naturalAsc", "naturalDesc",
    ))
}  # fmt: skip
_KINDS = {
    "QueryVariable": "query",
    "TextVariable": "textbox",
    "ConstantVariable": "constant",
    "DatasourceVariable": "datasource",
    "IntervalVariable": "interval",
    "CustomVariable": "custom",
    "GroupByVariable": "groupby",
    "AdhocVariable": "adhoc",
    "SwitchVariable": "switch",
}
_OF_QUERIES = ("timeFrom", "timeShift", "maxDataPoints", "interval", "hideTimeOverride", "cacheTimeout")


def is_v2(document: object) -> TypeGuard[Json]:
    """Whether this is a resource of schema v2."""
    return isinstance(document, Mapping) and document.get("kind") == "Dashboard" and "elements" in _of(document, "spec")


def classic(document: Json) -> dict[str, Any]:
    """The same dashboard as the classic model.

    >>> classic({"kind": "Dashboard", "metadata": {"name": "shop"}, "spec": {"title": "Shop", "elements": {}}})["uid"]
    'shop'
    """
    spec = _of(document, "spec")
    time = _of(spec, "timeSettings")
    return {
        "uid": str(_of(document, "metadata").get("name") or ""),
        "title": str(spec.get("title") or ""),
        "description": str(spec.get("description") or ""),
        "tags": [str(tag) for tag in _list(spec, "tags")],
        "schemaVersion": SCHEMA,
        "editable": spec.get("editable", True),
        "timezone": str(time.get("timezone") or ""),
        "refresh": str(time.get("autoRefresh") or ""),
        "time": {"from": str(time.get("from") or "now-6h"), "to": str(time.get("to") or "now")},
        "timepicker": {"hidden": bool(time.get("hideTimepicker"))},
        "graphTooltip": _SYNC.get(str(spec.get("cursorSync")), 0),
        "links": [dict(each) for each in _maps(spec, "links")],
        "templating": {"list": [_variable(each) for each in _variables(spec)]},
        "annotations": {"list": [_annotation(each) for each in _maps(spec, "annotations")]},
        "panels": _Layout(_of(spec, "elements")).panels(_of(spec, "layout")),
    }


# -- panels and where they stand ---------------------------------------------------------------------------------------


class _Layout:
    """Lays elements out, one layout below the other. An element has one place: another item that names it has none."""

    def __init__(self, elements: Json) -> None:
        self._elements = elements
        self._placed: set[str] = set()

    def panels(self, layout: Json) -> list[dict[str, Any]]:
        """The panels of the whole, rows with what they hold."""
        return self._laid(layout, 0)[0]

    def _laid(self, layout: Json, top: int) -> tuple[list[dict[str, Any]], int]:
        """The panels of a layout whose upper edge is at `top`, and where its lower one is; both in rows of the grid."""
        spec = _of(layout, "spec")
        match layout.get("kind"):
            case "RowsLayout":
                return self._rows(_maps(spec, "rows"), top)
            case "TabsLayout":
                return self._rows(_maps(spec, "tabs"), top, is_tabs=True)
            case "AutoGridLayout":
                return self._automatic(spec, top)
            case _:
                return self._grid(_maps(spec, "items"), top)

    def _items(self, layout: Sequence[Json]) -> Iterator[Json]:
        """The items that have a place, by what is said of each."""
        for spec in (_of(item, "spec") for item in layout):
            name = str(_of(spec, "element").get("name") or "")
            if name in self._elements and name not in self._placed:
                self._placed.add(name)
                yield spec

    def _grid(self, items: Sequence[Json], top: int) -> tuple[list[dict[str, Any]], int]:
        panels, bottom = [], top
        for spec in self._items(items):
            x, y, width, height = (_whole(spec.get(key)) for key in ("x", "y", "width", "height"))
            place = {"x": x, "y": top + y, "w": width or _COLUMNS, "h": height or 8}
            panels.append({**self._panel(spec), "gridPos": place, **_repeat(spec)})
            bottom = max(bottom, place["y"] + place["h"])
        return panels, bottom

    def _automatic(self, layout: Json, top: int) -> tuple[list[dict[str, Any]], int]:
        columns = min(_COLUMNS, max(1, _whole(layout.get("maxColumnCount")) or 3))
        width = _COLUMNS // columns
        pixels = _HEIGHTS.get(str(layout.get("rowHeightMode")), _whole(layout.get("rowHeight")) or _HEIGHTS["standard"])
        height = max(1, round((pixels + _GAP) / _UNIT))
        panels: list[dict[str, Any]] = []
        for at, spec in enumerate(self._items(_maps(layout, "items"))):
            place = {"x": at % columns * width, "y": top + at // columns * height, "w": width, "h": height}
            panels.append({**self._panel(spec), "gridPos": place, **_repeat(spec)})
        return panels, top + -(-len(panels) // columns) * height

    def _rows(self, rows: Sequence[Json], top: int, *, is_tabs: bool = False) -> tuple[list[dict[str, Any]], int]:
        panels: list[dict[str, Any]] = []
        for at, spec in enumerate(_of(row, "spec") for row in rows):
            is_shut = at > 0 if is_tabs else bool(spec.get("collapse"))
            has_head = is_shut or not spec.get("hideHeader")
            inside, bottom = self._laid(_of(spec, "layout"), top + has_head)
            if has_head:
                own, below = _apart(inside) if is_shut else ([], inside)
                panels.append({
                    "type": "row",
                    "title": str(spec.get("title") or ""),
                    "collapsed": is_shut,
                    "panels": own,
                    "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1},
                    **_repeat(spec),
                })  # fmt: skip
                inside = below
            panels += inside
            # Rows within a shut one have no place in the classic model: they stand below it, as if it were open.
            top = bottom if inside or not is_shut else top + 1
        return panels, top

    def _panel(self, item: Json) -> dict[str, Any]:
        name = str(_of(item, "element").get("name") or "")
        element = _of(self._elements, name)
        spec = _of(element, "spec")
        number = spec.get("id")
        told = {
            "title": str(spec.get("title") or ""),
            **({"id": number} if isinstance(number, int) and number > 0 else {}),
        }
        if element.get("kind") == "LibraryPanel":
            return {**told, "type": "library-panel-ref", "libraryPanel": dict(_of(spec, "libraryPanel"))}
        shown, data = _of(spec, "vizConfig"), _of(_of(spec, "data"), "spec")
        look, asked = _of(shown, "spec"), _of(data, "queryOptions")
        targets = [_target(_of(each, "spec")) for each in _maps(data, "queries")]
        sources = [each["datasource"] for each in targets if each.get("datasource")]
        same = all(each == sources[0] for each in sources)
        return {
            **told,
            "description": str(spec.get("description") or ""),
            "type": str(shown.get("group") or shown.get("kind") or ""),
            "transparent": bool(spec.get("transparent")),
            "links": [dict(each) for each in _maps(spec, "links")],
            "options": dict(_of(look, "options")),
            "fieldConfig": {"defaults": {}, "overrides": [], **_of(look, "fieldConfig")},
            "targets": targets,
            **({"datasource": sources[0] if same else _MIXED} if sources else {}),
            "transformations": [_transformation(each) for each in _maps(data, "transformations")],
            **{key: asked[key] for key in _OF_QUERIES if asked.get(key)},
        }


def _apart(panels: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The panels before the first row among them, and it with all that follow: they are of it."""
    first = next((at for at, each in enumerate(panels) if each["type"] == "row"), len(panels))
    return panels[:first], panels[first:]


def _repeat(spec: Json) -> dict[str, Any]:
    repeat = _of(spec, "repeat")
    if not repeat.get("value"):
        return {}
    more = {"repeatDirection": repeat.get("direction"), "maxPerRow": repeat.get("maxPerRow")}
    return {"repeat": str(repeat["value"]), **{key: value for key, value in more.items() if value}}


def _target(spec: Json) -> dict[str, Any]:
    query = _of(spec, "query")
    source = _source(query, spec)
    return {
        **_of(query, "spec"),
        "refId": str(spec.get("refId") or "A"),
        "hide": bool(spec.get("hidden")),
        **({"datasource": source} if source else {}),
    }


def _source(query: Json, around: Json) -> dict[str, Any]:
    """The data source of a query: its kind and its uid, where it names one; nothing for the default one."""
    before = _of(around, "datasource")  # as v2alpha1 has it
    kind = query.get("group") or (query.get("kind") if query.get("kind") != "DataQuery" else "") or before.get("type")
    uid = _of(query, "datasource").get("name") or before.get("uid")
    return {key: str(value) for key, value in (("type", kind), ("uid", uid)) if value}


def _transformation(each: Json) -> dict[str, Any]:
    spec = dict(_of(each, "spec"))
    name = each.get("group") or spec.pop("id", None) or each.get("kind")
    return {"id": str(name or ""), "options": {}, **spec}


# -- variables and annotations -----------------------------------------------------------------------------------------


def _variables(spec: Json) -> Iterator[Json]:
    """Those of the dashboard, then those that rows and tabs have for themselves, once each."""
    seen: set[str] = set()
    for each in (*_maps(spec, "variables"), *_inner(_of(spec, "layout"))):
        name = str(_of(each, "spec").get("name") or "")
        if name not in seen:
            seen.add(name)
            yield each


def _inner(layout: Json) -> Iterator[Json]:
    for key in ("rows", "tabs"):
        for part in _maps(_of(layout, "spec"), key):
            yield from _maps(_of(part, "spec"), "variables")
            yield from _inner(_of(_of(part, "spec"), "layout"))


def _variable(each: Json) -> dict[str, Any]:
    spec = dict(_of(each, "spec"))
    query = spec.pop("query", "")
    kind = _KINDS.get(str(each.get("kind")), str(each.get("kind")))
    source = _source(query, spec) if isinstance(query, Mapping) else _source(each, spec)
    return {
        **spec,
        "type": kind,
        "hide": _HIDE.get(str(spec.get("hide")), 0),
        "refresh": _REFRESH.get(str(spec.get("refresh")), 0),
        "sort": _SORT.get(str(spec.get("sort")), 0),
        "query": spec.pop("pluginId", "") if kind == "datasource" else _asked(query),
        **({"current": {"text": spec["current"], "value": spec["current"]}} if kind == "switch" else {}),
        **({"datasource": source} if source and kind in ("query", "adhoc", "groupby") else {}),
    }


def _asked(query: object) -> object:
    """A query as the classic model has it; one that was text before is text."""
    if not isinstance(query, Mapping):
        return query
    spec = _of(query, "spec")
    return spec.get("__legacyStringValue") or dict(spec)


def _annotation(each: Json) -> dict[str, Any]:
    spec = _of(each, "spec")
    query = _of(spec, "query")
    source = _source(query, spec)
    told = {key: spec[key] for key in ("name", "enable", "hide", "iconColor", "filter", "mappings") if key in spec}
    return {
        **_of(spec, "legacyOptions"),
        **told,
        "builtIn": int(bool(spec.get("builtIn"))),
        **({"datasource": source} if source else {}),
        **({"expr": _of(query, "spec")["expr"]} if "expr" in _of(query, "spec") else {}),
        "target": dict(_of(query, "spec")),
    }


# -- what may be missing or of another kind ----------------------------------------------------------------------------


def _of(json: Json, key: str) -> Json:
    found = json.get(key)
    return found if isinstance(found, Mapping) else {}


def _list(json: Json, key: str) -> Sequence[Any]:
    found = json.get(key)
    return found if isinstance(found, list) else ()


def _maps(json: Json, key: str) -> Sequence[Json]:
    return [each for each in _list(json, key) if isinstance(each, Mapping)]


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and abs(value) < 10_000 else 0

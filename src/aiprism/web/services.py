"""Services over our API: how they do, who calls whom, where what is declared and what is seen disagree.

Decode, call, encode; `learn` knows what belongs together, `store` what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from aiprism.clock import Clock
from aiprism.learn.drift import QUIET, Drift, drift
from aiprism.learn.servicemap import Loads, MapEdge, MapNode, Point, ServiceMap, service_map
from aiprism.learn.topology import FEW, OTHERS, Edge, Node, Topology, topology
from aiprism.model.servicemap import Load
from aiprism.model.timerange import TimeRange
from aiprism.services import Catalogue, Service
from aiprism.store.edges import joined_until, service_edges
from aiprism.store.engine import Engine
from aiprism.store.series import SeriesIndex
from aiprism.store.servicemap import MINUTE, ServiceMapStore, whole_minutes
from aiprism.store.spans import SpanStore
from aiprism.web import links
from aiprism.web.asking import SECONDS, Answering, End, Repeated, Start, answering, range_of
from aiprism.web.turns import Turns

WEEK = 7 * 86_400.0
MOST_ROWS = 100_000  # of one map
_UNDECLARED = Service("")

Step = Annotated[int, Query(ge=0, multiple_of=MINUTE, description="seconds; 0: the whole range in one")]
InForce = Callable[[], Catalogue]


def router(
    engine: Engine,
    clock: Clock,
    catalogue: InForce = Catalogue,
    *,
    index: SeriesIndex | None = None,
    turns: Turns | None = None,
    seconds: float = SECONDS,
) -> APIRouter:
    """GET services, services/edges, services/map, services/drift below /aiprism/v1; `index` has the series that show services
    which send metrics only. An answer may take so many seconds, and ends
    when its client hangs up."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["services"])
    answer = answering(turns or Turns(engine), seconds)
    _serve_loads(routes, engine, clock, catalogue, answer)
    _serve_map(routes, engine, clock, catalogue, answer)
    _serve_drift(routes, engine, clock, catalogue, index or SeriesIndex(), answer)
    return routes


def _serve_loads(routes: APIRouter, engine: Engine, clock: Clock, catalogue: InForce, answer: Answering[Any]) -> None:
    repeated = Repeated(clock)

    @routes.get(
        "/services", summary="Rate, errors and latency of each service in the last `window` seconds until `end`"
    )
    async def services(
        request: Request, window: Annotated[float, Query(gt=0, le=86_400)] = 60, end: End = None
    ) -> dict[str, Any]:
        until = range_of(clock, None, end).end
        asked = TimeRange(until - window, until)
        found = await repeated.answer((window, end), lambda: answer(request, lambda: SpanStore(engine).services(asked)))
        known = catalogue()
        return {
            "services": [
                {**asdict(each), **_said(known.named(each.service), "owner", "team", "tier")} for each in found
            ]
        }

    @routes.get("/services/edges", summary="Who calls whom: calls, errors and latency of each pair of services")
    async def edges(
        request: Request,
        start: Start = None,
        end: End = None,
        step: Annotated[int, Query(ge=0, multiple_of=MINUTE, description="seconds; 0: one row an edge")] = 0,
        limit: Annotated[int, Query(ge=1, le=100_000, description="most rows of the answer")] = 10_000,
    ) -> dict[str, Any]:
        span = range_of(clock, start, end)
        found = await answer(request, lambda: service_edges(engine, span, step=step, limit=limit + 1))
        return {
            "edges": [asdict(each) for each in found[:limit]],
            "is_whole": len(found) <= limit,
            "known_until": await answer(request, lambda: joined_until(engine)),
        }


def _serve_map(routes: APIRouter, engine: Engine, clock: Clock, catalogue: InForce, answer: Answering[Any]) -> None:
    store = ServiceMapStore(engine, limit=MOST_ROWS)

    @routes.get("/services/map", summary="Every service, declared or seen, and the calls between them")
    async def mapped(request: Request, start: Start = None, end: End = None, step: Step = 0) -> dict[str, Any]:
        window, known = range_of(clock, start, end), catalogue()
        begin, until = whole_minutes(window)
        told = _Told(window, min(until, clock.now()) - begin, step, known)

        def read() -> dict[str, Any]:
            whole = _loads(store, window, known.aliases, 0)
            steps = _loads(store, window, known.aliases, step) if step else Loads()
            return {
                "known_until": joined_until(engine),
                "is_whole": all(len(each) < MOST_ROWS for loads in (whole, steps) for each in loads.rows),
                **told.map(service_map(_topology(store, known, window), whole, steps)),
            }

        return {"start": begin, "end": until, "step": step, **await answer(request, read)}


def _serve_drift(
    routes: APIRouter, engine: Engine, clock: Clock, catalogue: InForce, index: SeriesIndex, answer: Answering[Any]
) -> None:
    store = ServiceMapStore(engine, limit=MOST_ROWS)

    @routes.get("/services/drift", summary="Where services.yml and what is seen disagree")
    async def drifted(
        request: Request,
        window: Annotated[float, Query(ge=600, le=90 * 86_400, description="seconds that are looked at")] = WEEK,
        quiet: Annotated[float, Query(ge=600, description="seconds without a sign: not seen")] = QUIET,
        min_calls: Annotated[int, Query(ge=1, description="what is seen more rarely is noise")] = FEW,
    ) -> dict[str, Any]:
        now, known = clock.now(), catalogue()
        looked = TimeRange(now - window, now)
        lately = TimeRange(now - min(quiet, window), now)

        def read() -> dict[str, Any]:
            seen, measured = _topology(store, known, looked), _measured_services(index, lately)
            return _drift(drift(seen, now, quiet=quiet, few=min_calls, measured=measured), looked)

        return {
            "window": window,
            "quiet": quiet,
            "min_calls": min_calls,
            "declared": len(known),
            **await answer(request, read),
        }


def _measured_services(index: SeriesIndex, window: TimeRange) -> set[str]:
    """What the series of a time say their services are called."""
    said = ((label, index.label_values(label, (), window.start_ms, window.end_ms)) for label in links.SERVICE_LABELS)
    return {name for label, values in said for value in values for name in links.services_named({label: value})}


def _topology(store: ServiceMapStore, catalogue: Catalogue, window: TimeRange) -> Topology:
    return topology(catalogue, store.seen_services(window), store.seen_calls(window))


def _loads(store: ServiceMapStore, window: TimeRange, names: Mapping[str, str], step: int) -> Loads:
    return Loads(
        store.service_loads(window, names, step),
        store.callee_loads(window, names, step),
        store.call_loads(window, names, step),
    )


class _Told:
    """A map as JSON: rates are of `seconds`, those of points of `step`."""

    def __init__(self, window: TimeRange, seconds: float, step: int, catalogue: Catalogue) -> None:
        self._window, self._seconds, self._step, self._catalogue = window, max(seconds, MINUTE), step, catalogue

    def map(self, made: ServiceMap) -> dict[str, Any]:
        return {"nodes": [self._node(each) for each in made.nodes], "edges": [self._edge(each) for each in made.edges]}

    def _node(self, each: MapNode) -> dict[str, Any]:
        node = each.node
        return {
            "name": node.name,
            "kind": node.kind,
            "seen": each.seen,
            "declared": node.declared is not None,
            "seen_as": list(node.seen_as),
            "signals": list(node.signals),
            **_measured(each.load, self._seconds),
            **_said(node.declared, "description", "owner", "team", "tier", "repository", "runbook"),
            # What stands for many has no page.
            "links": {} if node.name == OTHERS else dict(self._links(node)),
            **self._points(each.points),
        }

    def _links(self, node: Node) -> links.Links:
        return links.of_node(node.name, node.seen_as, node.signals, self._window)

    def _edge(self, each: MapEdge) -> dict[str, Any]:
        return {
            "caller": each.caller,
            "callee": each.callee,
            "connection": each.connection,
            "virtual": each.virtual,
            "system": each.system,
            "seen": each.seen,
            "declared": each.declared,
            **_measured(each.load, self._seconds),
            **self._points(each.points),
        }

    def _points(self, points: Iterable[Point]) -> dict[str, Any]:
        told = [{"start": start, **_measured(load, self._step)} for start, load in points]
        return {"points": told} if self._step else {}


def _measured(load: Load, seconds: float) -> dict[str, Any]:
    return {**asdict(load), "rate": load.calls / seconds, "error_share": load.error_share}


def _said(service: Service | None, *keys: str) -> dict[str, Any]:
    """What services.yml says of a service; what it does not say is empty."""
    return {key: getattr(service or _UNDECLARED, key) for key in keys}


def _drift(found: Drift, window: TimeRange) -> dict[str, Any]:
    return {
        "undeclared_services": [_stray(each, window) for each in found.undeclared_services],
        "unseen_services": [
            {"name": each.name, "last_seen": each.last_seen, **_said(each.declared, "owner", "team", "tier")}
            for each in found.unseen_services
        ],
        "undeclared_dependencies": [_dependency(each) for each in found.undeclared_dependencies],
        "unseen_dependencies": [
            {"caller": each.caller, "callee": each.callee, "last_seen": each.last_seen}
            for each in found.unseen_dependencies
        ],
        "ignored": found.ignored,
    }


def _stray(node: Node, window: TimeRange) -> dict[str, Any]:
    return {
        "name": node.name,
        "kind": node.kind,
        "items": node.items,
        "first_seen": node.first_seen,
        "last_seen": node.last_seen,
        "links": dict(links.of_node(node.name, node.seen_as, node.signals, window)),
    }


def _dependency(edge: Edge) -> dict[str, Any]:
    return {
        "caller": edge.caller,
        "callee": edge.callee,
        "connections": list(edge.connections),
        "calls": edge.calls,
        "first_seen": edge.first_seen,
        "last_seen": edge.last_seen,
    }

"""One service with everything that belongs to it, each thing with where it leads.

Decode, call, encode: what is measured comes from the store, what is wrong from the response room, what is declared from
services.yml, who depends on whom from the topology.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, Request

from aiprism.clock import Clock
from aiprism.errors import NotFound
from aiprism.learn.topology import Edge, Node, Topology, topology
from aiprism.model.labels import METRIC_NAME, Matcher, MatchOp
from aiprism.model.servicemap import Load
from aiprism.model.timerange import TimeRange
from aiprism.respond import board, journal
from aiprism.respond.responder import Responder
from aiprism.respond.subject import service_of
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.series import SeriesIndex
from aiprism.store.servicemap import ServiceMapStore, whole_minutes
from aiprism.store.servicepage import ServicePage
from aiprism.web import links
from aiprism.web.asking import SECONDS, End, Start, answering, range_of
from aiprism.web.turns import Turns

# What was changed a week ago may still be why.
CHANGES_BACK = 7 * 86_400.0
MOST_INCIDENTS, MOST_EVENTS = 1000, 20
_UPKEEP = ("description", "owner", "team", "tier", "repository", "runbook")


def router(
    engine: Engine,
    clock: Clock,
    index: SeriesIndex,
    responder: Responder,
    *,
    turns: Turns | None = None,
    seconds: float = SECONDS,
) -> APIRouter:
    """GET services/{name} below /aiprism/v1: after the doors of fixed names."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["services"])
    answer = answering(turns or Turns(engine), seconds)

    @routes.get(
        "/services/{name:path}", summary="One service: how it does, whom it calls, what is wrong, what was changed"
    )
    async def service(request: Request, name: str, start: Start = None, end: End = None) -> dict[str, Any]:
        window, catalogue = range_of(clock, start, end), responder.policy.services

        def found() -> _Found | None:
            store = ServiceMapStore(engine)
            made = topology(catalogue, store.seen_services(window), store.seen_calls(window))
            return _Found.of(name, made, index, window)

        known = await answer(request, found)
        if known is None:
            raise NotFound(
                f"no service {name!r}: it is not in services.yml, and nothing was seen of it in this time; "
                "GET /aiprism/v1/services/map lists those that are known"
            )
        told = await answer(request, lambda: {**_said(known, window), **_measured(engine, known, window)})
        return {**told, **await asyncio.to_thread(_wrong, responder, known)}

    return routes


@dataclass(frozen=True, slots=True)
class _Found:
    """A service that is known by something: `names` are all it goes by, `metrics` what its series are called."""

    node: Node
    names: Sequence[str]
    topology: Topology
    metrics: Mapping[str, str]  # with the label that says so

    @classmethod
    def of(cls, name: str, made: Topology, index: SeriesIndex, window: TimeRange) -> _Found | None:
        """None when nothing is known of that name."""
        if not name:  # it would be said by the labels that a series has not
            return None
        known = made.named(name)
        node = made.nodes.get(known) or Node(name, "service")
        aliases = node.declared.aliases if node.declared else ()
        names = sorted({node.name, *aliases, *node.seen_as})
        metrics = _metrics(index, names, window)
        if not known and not metrics:
            return None
        return cls(node, names, made, metrics)


def _metrics(index: SeriesIndex, names: Sequence[str], window: TimeRange) -> Mapping[str, str]:
    """The metrics of which a label says that they are of the service, with the most telling of these labels."""
    found: dict[str, str] = {}
    for label in links.SERVICE_LABELS:
        matcher = Matcher(label, MatchOp.REGEX, links.any_of(names, spaced=label == "job"))
        for name in index.label_values(METRIC_NAME, [matcher], window.start_ms, window.end_ms):
            found.setdefault(name, label)
    return dict(sorted(found.items()))


def _said(found: _Found, window: TimeRange) -> dict[str, Any]:
    node, made = found.node, found.topology
    declared = node.declared
    return {
        "name": node.name,
        "kind": node.kind,
        "names": list(found.names),
        "seen": node.last_seen is not None or bool(found.metrics),
        "declared": declared is not None,
        "signals": sorted({*node.signals, *(["metrics"] if found.metrics else [])}),
        "first_seen": node.first_seen,
        "last_seen": node.last_seen,
        **{key: getattr(declared, key) if declared else (None if key == "tier" else "") for key in _UPKEEP},
        "callers": [_edge(edge, edge.caller) for edge in made.edges.values() if edge.callee == node.name],
        "callees": [_edge(edge, edge.callee) for edge in made.edges.values() if edge.caller == node.name],
        "affected": [
            {**asdict(each), "links": {"service": links.service(each.name)}} for each in made.affected(node.name)
        ],
        "metrics": [
            {"name": name, "links": dict(links.of_metric(name, label, found.names, window))}
            for name, label in found.metrics.items()
        ],
        "links": dict(links.of_service(node.name, found.names, node.signals, window)),
    }


def _edge(edge: Edge, other: str) -> dict[str, Any]:
    return {
        "name": other,
        "declared": edge.declared,
        "seen": edge.calls > 0,
        "connections": list(edge.connections),
        "calls": edge.calls,
        "errors": edge.errors,
        "share": edge.share,
        "last_seen": edge.last_seen,
        "links": {"service": links.service(other)},
    }


def _measured(engine: Engine, found: _Found, window: TimeRange) -> dict[str, Any]:
    page, node = ServicePage(engine, found.names, window), found.node
    one = "" if node.seen_as[1:] else "".join(node.seen_as)  # a search names one service, or any
    begin, until = whole_minutes(window)
    span = max(60.0, min(until, window.end) - begin)
    loads = ServiceMapStore(engine)
    names = dict.fromkeys(found.names, node.name)
    of_all = loads.service_loads(window, names) if "traces" in node.signals else loads.callee_loads(window, names)
    red = next((each.load for each in of_all if each.service == node.name), Load())
    events = EventStore(engine).search(
        TimeRange(window.end - CHANGES_BACK, window.end), services=found.names, limit=MOST_EVENTS
    )
    return {
        "red": _load(red, span),
        "operations": [
            {
                "name": each.name,
                "kind": each.kind,
                **_load(each.load, span),
                "links": {"traces": links.traces_of(found.names, window, operation=each.name)},
            }
            for each in page.operations()
        ],
        "errors": [
            {**asdict(each), "links": dict(links.of_failure(each.trace_id, each.span_id, each.span))}
            for each in page.failures()
        ],
        "logs": {
            "levels": [
                {"level": level, "records": records, "links": {"logs": links.logs_of(found.names, window, level=level)}}
                for level, records in page.levels()
            ],
            "patterns": [
                {**asdict(each), "links": dict(links.of_pattern(each.pattern_id, one, window))}
                for each in page.patterns()
            ],
        },
        "events": [asdict(each) for each in events],
    }


def _load(load: Load, seconds: float) -> dict[str, Any]:
    return {**asdict(load), "rate": load.calls / seconds, "error_share": load.error_share}


def _wrong(responder: Responder, found: _Found) -> dict[str, Any]:
    """Open incidents and firing alerts of the service, whatever name they call it by."""

    def is_it(names: Iterable[str]) -> bool:
        return any((each and found.topology.named(each) == found.node.name) or each in found.names for each in names)

    with responder.records.reading() as connection:
        incidents = journal.listed(connection, "open", MOST_INCIDENTS)
        standing = board.alerts(connection, responder.pipeline.holding(connection))
    return {
        "incidents": [
            {
                "id": each.id,
                "title": each.title,
                "priority": each.priority.value,
                "status": each.status.value,
                "created_at": each.created_at,
                "links": {"incident": links.incident(each.id)},
            }
            for each in incidents
            if is_it(each.services)
        ],
        "alerts": [
            {
                "name": each.alert.labels.get("alertname", ""),
                "labels": each.alert.labels.to_dict(),
                "since": each.alert.starts_at,
                "suppressed": each.suppressed,
            }
            for each in standing
            if is_it([service_of(each.alert.labels)])
        ],
    }

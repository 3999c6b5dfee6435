"""The routing tree over HTTP: as alertmanager.yml has it, and where an alert with some labels would go. `respond` decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Query

from aiprism.clock import Clock
from aiprism.model.labels import Labels
from aiprism.respond import group, matcher
from aiprism.respond.responder import Responder
from aiprism.respond.route import Route, Routing


def router(responder: Responder, clock: Clock) -> APIRouter:
    """The routes under /aiprism/v1/routes."""
    routes = APIRouter(prefix="/aiprism/v1/routes", tags=["alertmanager"])

    @routes.get("", summary="The routing tree: what each route takes, whom it tells, when, and whether it is quiet now")
    async def tree() -> dict[str, Any]:
        routing = responder.policy.routing
        return {
            "root": _node(routing, routing.root, clock.now()),
            "receivers": {name: [each.channel for each in told] for name, told in routing.receivers.items()},
            "warnings": list(routing.warnings),
        }

    @routes.get("/test", summary="Who is told about an alert with these labels (label=name=value, may be repeated)")
    async def test(label: Sequence[str] = Query((), description="name=value")) -> dict[str, Any]:
        labels = matcher.label_set(label)
        routing, now = responder.policy.routing, clock.now()
        found = routing.root.matching(labels)
        return {
            "receivers": [route.receiver for route in found],
            "routes": [{**_taking(route, Labels(labels)), **_quiet(routing, route, now)} for route in found],
        }

    return routes


def _node(routing: Routing, route: Route, now: float) -> dict[str, Any]:
    """A route and all below it."""
    return {
        "id": route.id,
        "receiver": route.receiver,
        "matchers": [str(each) for each in route.matchers],
        "continue": route.proceed,
        "group_by": list(route.group_by),
        "group_wait": route.group_wait,
        "group_interval": route.group_interval,
        "repeat_interval": route.repeat_interval,
        "mute_time_intervals": list(route.mute_time_intervals),
        "active_time_intervals": list(route.active_time_intervals),
        **_quiet(routing, route, now),
        "routes": [_node(routing, each, now) for each in route.routes],
    }


def _taking(route: Route, labels: Labels) -> dict[str, Any]:
    """A route that takes an alert, and the group that it is told with."""
    return {
        "id": route.id,
        "receiver": route.receiver,
        "key": route.key,
        "group_by": list(route.group_by),
        "group": group.labels_of(route, labels).to_dict(),
    }


def _quiet(routing: Routing, route: Route, now: float) -> dict[str, Any]:
    return {"muted_by": list(routing.muting(route, now))}

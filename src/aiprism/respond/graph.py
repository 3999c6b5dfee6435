"""Why the alerts of an incident are one incident: the graph that its timeline keeps.

In: an incident and the lines of its timeline and of those it came from. Out: alerts and services as nodes, an edge for each alert
that joined and for each incident taken in because of one, and what was changed shortly before, as JSON. Nothing is
compared anew: weights and topology may have changed since, and the edges are as they were when they decided. Pure but for `read`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from aiprism.model.alerts import Alert
from aiprism.respond import changes, journal
from aiprism.respond.incident import Incident
from aiprism.respond.subject import service_of
from aiprism.store import incidents as store

_PARTS = ("time", "service", "kind")


def read(connection: Connection, incident_id: str) -> dict[str, Any]:
    """The graph of an incident; NotFound when there is none of that id."""
    incident = journal.read(connection, incident_id)
    return graph(incident, store.event_rows(connection, _lineage(connection, incident)))


def _lineage(connection: Connection, incident: Incident) -> list[str]:
    """It, what it took in, and what it was split off from: where its alerts joined."""
    ids = dict.fromkeys((incident.id, *incident.work.absorbed))
    while (source := incident.work.split_from) and source not in ids:
        incident = journal.read(connection, source)
        ids |= dict.fromkeys((source, *incident.work.absorbed))
    return [*ids]


def graph(incident: Incident, lines: Sequence[store.EventRow]) -> dict[str, Any]:
    """Nodes and edges. Of an alert that went to another incident no edge is told."""
    edges = [edge for line in lines if (edge := _edge(line)) and {edge["from"], edge["to"]} <= incident.places.keys()]
    return {
        "incident": incident.id,
        "alerts": [_node(alert) for alert in incident.alerts],
        "services": _services(incident.alerts),
        "edges": sorted(edges, key=lambda edge: edge["at"]),
        "by_hand": [*_by_hand(line for line in lines if line["incident_id"] == incident.id)],
        "changes": changes.shortly(incident, lines),
    }


def _node(alert: Alert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "service": service_of(alert.labels),
        "state": alert.state.value,
        "active_at": alert.active_at,
    }


def _services(alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """Each service with how many of the alerts are its own and when the first one began; the earliest first."""
    onsets: dict[str, list[float]] = {}
    for alert in alerts:
        if service := service_of(alert.labels):
            onsets.setdefault(service, []).append(alert.active_at)
    found = [{"name": name, "alerts": len(each), "active_at": min(each)} for name, each in onsets.items()]
    return sorted(found, key=lambda each: (each["active_at"], each["name"]))


def _edge(line: store.EventRow) -> dict[str, Any] | None:
    """The edge that a line keeps: an alert joined by it, or an incident was taken in because of it."""
    data: Mapping[str, Any] = line["data"] or {}
    why = data.get("similarity")
    alert = data if line["event"] == "alert_joined" else data.get("by")
    if not why or not alert:
        return None
    return {
        "from": alert["fingerprint"],
        "to": why["to"]["fingerprint"],
        "at": line["at"],
        "took_in": data.get("other"),
        "score": why["score"],
        "threshold": why["threshold"],
        "parts": {name: why[name] for name in _PARTS},
        "weights": why["weights"],
        "way": why["way"],
    }


def _by_hand(lines: Iterable[store.EventRow]) -> Iterator[dict[str, Any]]:
    """What people made one or two: for that there is no edge."""
    for line in lines:
        data: Mapping[str, Any] = line["data"] or {}
        if line["event"] in ("merged", "alerts_parted", "incident_split") and "similarity" not in data:
            other = data.get("other") or data.get("into") or data.get("from")
            yield {
                "at": line["at"],
                "event": line["event"],
                "other": other,
                "actor": line["actor"],
                "text": line["text"],
            }

"""Faults of the lab struck at once on a running platform: is each one incident, and is no alert in another one's?

Three faults that have nothing to do with each other, of the kinds of `bench/loop/faults.py`: a model that fails, a service that
crashes, a process that burns its CPU. An alert is of the fault at whose services it is, or of those beneath its service, by what
services.yml declares: the gateway may be in the incident of any of them, as in `simulate.judged`. All others are of none.

    PYTHONPATH=. python bench/correlation/simulate.py --lab        five minutes
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.correlation.storms import Said, Storm
from bench.loop.faults import KINDS

from aiprism import services
from aiprism.cli.demostage import Stage, staged
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.respond.subject import service_of
from aiprism.respond.ways import Ways, declared

QUIET, LONGEST, LOOK = 60.0, 300.0, 2.0  # seconds: without a new alert it is over; at the longest; between looks
WARM = 60.0  # of load before anything is broken, so that rates and baselines are those of a healthy lab
_INCIDENTS = "/aiprism/v1/incidents"


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault, the number of the run by which its victim is chosen, and the services that show it themselves."""

    kind: str
    run: int
    services: frozenset[str]


FAULTS = (
    Fault("model-errors", 0, frozenset({"model-server", "ai-analysis-service"})),
    Fault("service-crash", 2, frozenset({"user-service"})),
    Fault("cpu-stress", 1, frozenset({"notification-service"})),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of it: the alerts with the faults they are of, where each was put, how often people heard."""

    storm: Storm
    homes: Mapping[tuple[str, float], str]
    titles: Mapping[str, str]
    told: int


def struck() -> Seen:
    """Platform and lab are started, the faults struck at once and ended when nothing new alerts."""
    with ExitStack() as leaving:
        place = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="aiprism-lab-storm-"))).resolve()
        os.environ.setdefault("AIPRISM_RESPOND_VALIDATION", "5s")
        stage = leaving.enter_context(staged(place, "127.0.0.1:0", lambda *_: None))
        time.sleep(WARM)
        at, heard = time.time(), _heard(stage)
        kinds = {kind.name: kind for kind in KINDS}
        for fault in FAULTS:
            leaving.callback(kinds[fault.kind].strike(stage, fault.run))
        alerts = _watched(stage, at)
        incidents = _opened(stage, at)
        ways = declared(services.load(place / "config" / "services.yml"))
        return seen(alerts, incidents, ways, _heard(stage) - heard)


def _watched(stage: Stage, since: float) -> list[Alert]:
    """Every alert that fires after `since`, until none has come for a while."""
    found: dict[str, Alert] = {}
    news = time.time()
    while time.time() < min(since + LONGEST, max(news, since + QUIET) + QUIET):
        stage.check()
        firing = stage.platform.get("/api/v1/alerts")["data"]["alerts"]
        told = [*(each for each in firing if each["state"] == "firing"), *_joined(_opened(stage, since))]
        fresh = {alert.fingerprint: alert for alert in map(_of_rule, told) if alert.fingerprint not in found}
        found |= fresh
        news = time.time() if fresh else news
        time.sleep(LOOK)
    return [*found.values()]


def _of_rule(told: Mapping[str, Any]) -> Alert:
    return Alert(Labels(told["labels"]), Labels(), AlertState.FIRING, 1.0, 0.0)


def _joined(incidents: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Those that fired between two looks."""
    for incident in incidents:
        yield from incident["alerts"]


def _opened(stage: Stage, since: float) -> list[dict[str, Any]]:
    listed = stage.platform.get(_INCIDENTS, status="all", limit=50)["incidents"]
    return [each for each in listed if each["created_at"] >= since]


def _heard(stage: Stage) -> int:
    return len(stage.receivers.get("/received")["received"])


def seen(alerts: Sequence[Alert], incidents: Sequence[Mapping[str, Any]], ways: Ways, told: int) -> Seen:
    """What these alerts are of, and where they were put."""
    said = []
    for alert in alerts:
        causes = caused(service_of(alert.labels), ways)
        said.append(Said(0.0, alert, min(causes, default="none"), causes or frozenset({"none"})))
    whole = [each for each in incidents if not each["merged_into"]]
    homes = {(_of_rule(alert).fingerprint, 0.0): each["id"] for each in whole for alert in each["alerts"]}
    titles = {each["id"]: each["title"] for each in whole}
    return Seen(Storm("lab", said, frozenset(ways.calls)), homes, titles, told)


def caused(service: str, ways: Ways) -> frozenset[str]:
    """The faults an alert of this service may be of: those at it, or else those beneath it."""
    at = frozenset(fault.kind for fault in FAULTS if service in fault.services)
    return at or frozenset(fault.kind for fault in FAULTS if fault.services & ways.beneath(service).keys())

"""What rules would have said of incidents."""

from __future__ import annotations

from dataclasses import replace

from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.respond.hindsight import Caught, Fired, Verdict, verdict
from aiprism.respond.incident import Incident, Periods, opened

NOW = 1_700_000_000.0


def incident(service: str, at: float, resolved_at: float | None) -> Incident:
    labels = Labels({"alertname": "A", "severity": "critical", "service": service})
    alert = Alert(labels, Labels(), AlertState.FIRING, 1.0, at, fired_at=at)

    return replace(opened(alert, at, Periods(), id=f"INC_{service}")[0], resolved_at=resolved_at)


def fired(start: float, end: float, **labels: str) -> Fired:
    return Fired({"alertname": "B", **labels}, NOW + start, NOW + end)


def test_an_alert_during_an_incident_of_its_service_catches_it() -> None:
    one = incident("api", NOW, NOW + 600)
    early, late, other = fired(-60, 10, service="api"), fired(100, 200, service="api"), fired(5, 10, service="web")
    assert verdict([one], [late, early, other], NOW + 1000) == Verdict((Caught(one, early, 60.0),), (), (other,))


def test_an_alert_without_a_service_may_be_about_any() -> None:
    one = incident("api", NOW, NOW + 600)
    assert verdict([one], [fired(30, 40)], NOW).caught == (Caught(one, fired(30, 40), -30.0),)


def test_an_alert_long_before_or_after_is_noise() -> None:
    one = incident("api", NOW, NOW + 600)
    before, after = fired(-2000, -1000, service="api"), fired(601, 700, service="api")
    assert verdict([one], [before, after], NOW + 1000) == Verdict((), (one,), (before, after))


def test_an_open_incident_lasts_to_the_end() -> None:
    one = incident("api", NOW, None)
    assert len(verdict([one], [fired(900, 950, service="api")], NOW + 1000).caught) == 1

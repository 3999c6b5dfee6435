"""What a scenario came to: the times from the fault to each station of the loop, and whether the loop closed.

In: the moment of the fault, the incidents it caused, what the receivers were sent. Out: a `Report`, as JSON and as
tables. All times are measured by the platform's and the receivers' own records, in seconds after the fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aiprism.cli import dossier, printing
from aiprism.cli.scenarios import Scenario

CHANNELS = ("pagerduty", "slack", "webhook")
TOLD = ("opened", "resolved")
# Requirement R27.
TARGETS: Mapping[str, float] = {"detect": 30.0, "notify": 120.0}
STATIONS: Mapping[str, str] = {
    "detect": "alert firing",
    "notify": "first notification accepted",
    "remediate": "runbook action done",
    "verify": "repair verified by query",
    "monitor": "alerts clear, incident monitored",
    "resolve": "incident resolved",
}
_SLACK_WORDS = {"Incident:": "opened", "Resolved:": "resolved"}
_PAGERDUTY_ACTIONS = {"trigger": "opened", "resolve": "resolved"}


@dataclass(frozen=True, slots=True)
class Received:
    """What one receiver got about one incident."""

    channel: str
    event: str
    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """A scenario's outcome. `incidents` begin with the one the scenario is about; `checks` all hold when it closed."""

    scenario: Scenario
    fault_at: float
    times: Mapping[str, float | None]
    checks: Mapping[str, bool]
    incidents: Sequence[Mapping[str, Any]]
    received: Sequence[Received]

    @property
    def closed(self) -> bool:
        """Whether the loop closed."""
        return all(self.checks.values())

    def to_json(self) -> dict[str, Any]:
        """The report as `--report` writes it."""
        return {
            "scenario": self.scenario.name,
            "closed": self.closed,
            "fault": self.scenario.says,
            "fault_at": self.fault_at,
            "times": dict(self.times),
            "targets": dict(TARGETS),
            "checks": dict(self.checks),
            "incidents": list(self.incidents),
            "received": [{"channel": each.channel, "event": each.event, "at": each.at} for each in self.received],
        }


def measured(
    scenario: Scenario, fault_at: float, incidents: Sequence[Mapping[str, Any]], posts: Sequence[Mapping[str, Any]]
) -> Report:
    """The report on the incidents since the fault; `posts` is everything the receivers keep."""
    ordered = sorted(incidents, key=lambda incident: (not _holds(incident, scenario.alert), incident["created_at"]))
    main = ordered[0] if ordered and _holds(ordered[0], scenario.alert) else None
    received = tuple(_received(posts, main["id"])) if main else ()
    return Report(
        scenario,
        fault_at,
        _times(fault_at, main, ordered),
        _checks(scenario, main, ordered, received),
        ordered,
        received,
    )


def _holds(incident: Mapping[str, Any], alert: str) -> bool:
    return any(each["name"] == alert for each in incident["alerts"])


def _run(scenario: Scenario, main: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The run that repaired it, else the last one of the expected runbook."""
    runs = [run for run in (main or {}).get("runs", ()) if run["runbook"] == scenario.runbook]
    good = [run for run in runs if run["state"] == "succeeded"]
    return next(iter(good or reversed(runs)), None)


def _times(
    fault_at: float, main: Mapping[str, Any] | None, incidents: Sequence[Mapping[str, Any]]
) -> dict[str, float | None]:
    """Seconds after the fault of each station that was reached."""
    if main is None:
        return dict.fromkeys(STATIONS)
    fired = [alert["fired_at"] for incident in incidents for alert in incident["alerts"]]
    sent = [each["sent_at"] for each in main["notifications"] if each["event"] == "opened"]
    steps = [step for run in main["runs"] for step in run["steps"] if run["state"] == "succeeded"]
    verified = [run["finished_at"] for run in main["runs"] if run["state"] == "succeeded"]
    quiet = [entry["at"] for entry in main["timeline"] if entry["event"] == "monitoring"]
    reached: dict[str, float | None] = {
        "detect": _first(fired),
        "notify": _first(sent),
        "remediate": _first([step["finished_at"] for step in steps]),
        "verify": _first(verified),
        "monitor": quiet[-1] if quiet else None,
        "resolve": main["resolved_at"],
    }
    return {name: None if at is None else round(at - fault_at, 2) for name, at in reached.items()}


def _first(times: Sequence[float | None]) -> float | None:
    return min((at for at in times if at is not None), default=None)


def _checks(
    scenario: Scenario,
    main: Mapping[str, Any] | None,
    incidents: Sequence[Mapping[str, Any]],
    received: Sequence[Received],
) -> dict[str, bool]:
    run = _run(scenario, main)
    got = {(each.channel, each.event) for each in received}
    return {
        f"{scenario.alert} opened an incident": main is not None,
        f"runbook {scenario.runbook} succeeded and was verified": run is not None and _verified(run),
        **{f"{channel} was told that it {word}": (channel, word) in got for channel in CHANNELS for word in TOLD},
        "every notification was delivered": all(
            each["state"] == "sent" for incident in incidents for each in incident["notifications"]
        ),
        "every incident is resolved": bool(incidents) and all(each["status"] == "resolved" for each in incidents),
    }


def _verified(run: Mapping[str, Any]) -> bool:
    return bool(run["state"] == "succeeded" and str(run["outcome"]).startswith("verified"))


def _received(posts: Sequence[Mapping[str, Any]], incident_id: str) -> Iterator[Received]:
    """What each receiver was told about this incident, as that service would have understood it."""
    for post in sorted(posts, key=lambda post: post["at"]):
        event = _EVENTS[post["kind"]](post["body"], incident_id)
        if event:
            yield Received(post["kind"], event, post["at"])


def _slack_event(body: Mapping[str, Any], incident_id: str) -> str:
    if incident_id not in json.dumps(body):
        return ""
    text = str(body.get("text", ""))
    return next((event for word, event in _SLACK_WORDS.items() if word in text), "other")


def _pagerduty_event(body: Mapping[str, Any], incident_id: str) -> str:
    if body.get("dedup_key") != incident_id:
        return ""
    return _PAGERDUTY_ACTIONS.get(str(body.get("event_action")), "other")


def _webhook_event(body: object, incident_id: str) -> str:
    incident = body.get("incident") if isinstance(body, Mapping) else None
    if not isinstance(incident, Mapping) or incident.get("id") != incident_id:
        return ""
    return str(incident.get("event", "other"))


_EVENTS = {"slack": _slack_event, "pagerduty": _pagerduty_event, "webhook": _webhook_event}


# -- on paper --------------------------------------------------------------------------------------------------------


def in_a_line(report: Report) -> str:
    """Whether it closed, and when it reached which station."""
    word = "the loop closed" if report.closed else "the loop did not close"
    reached = ", ".join(f"{name} {at:.1f} s" for name, at in report.times.items() if at is not None)
    return f"{report.scenario.name}: {word}; after the fault: {reached or 'nothing'}"


def pages(report: Report, now: float) -> Iterator[RenderableType]:
    """The report in reading order."""
    word = (
        Text("the loop closed", style="bold green")
        if report.closed
        else Text("the loop did not close", style="bold red")
    )
    yield Text.assemble((f"{report.scenario.name}: ", "bold"), word)
    yield Text(f"at {printing.moment(report.fault_at)}: {report.scenario.says}", style="dim")
    yield Text("")
    yield times_table(report)
    missed = [check for check, holds in report.checks.items() if not holds]
    if missed:
        yield printing.titled("what is missing")
        yield from (Text(f"  ✗ {check}", style="red") for check in missed)
    if report.received:
        yield printing.titled("what the receivers got")
        yield _received_table(report)
    for incident in report.incidents:
        yield Text("")
        yield from dossier.pages(incident, now)


def times_table(report: Report) -> Table:
    """Each station, when it was reached, and the target where there is one."""
    rows = printing.table("", "after the fault", "target", "", right=("after the fault", "target"))
    for name, station in STATIONS.items():
        at, target = report.times[name], TARGETS.get(name)
        met = at is not None and (target is None or at <= target)
        rows.add_row(
            station,
            Text("not reached", style="red") if at is None else Text(f"{at:.1f} s", style="bold"),
            "" if target is None else f"< {target:g} s",
            Text("✓" if met else "✗", style="green" if met else "red") if target is not None else "",
        )
    return rows


def _received_table(report: Report) -> Table:
    rows = printing.table("receiver", *TOLD, "other", right=(*TOLD, "other"))
    for channel in CHANNELS:
        mine = [each for each in report.received if each.channel == channel]
        times = (
            next((f"+{each.at - report.fault_at:.1f} s" for each in mine if each.event == word), "–") for word in TOLD
        )
        rows.add_row(channel, *times, str(sum(each.event not in TOLD for each in mine)))
    return rows

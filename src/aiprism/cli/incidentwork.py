"""What people do about an incident beside moving it, on the command line: priority, who has it, tasks, merging and splitting."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.incidents import identified
from aiprism.cli.remote import Remote
from aiprism.errors import BadInput, NotFound
from aiprism.model.timerange import duration_seconds


def merge(wanted: argparse.Namespace) -> int:
    """Have one incident take in another."""
    other = identified(Remote(wanted.server), wanted.other)
    return _said(wanted, "merge", {"other": other, "text": wanted.text}, lambda now: f"holds {other} now")


def split(wanted: argparse.Namespace) -> int:
    """Make alerts of an incident one of their own."""
    remote = Remote(wanted.server)
    source = identified(remote, wanted.incident_id)
    alerts = _alerts(remote.get(f"/aiprism/v1/incidents/{source}"), wanted.alert)
    return _said(wanted, "split", {"alerts": alerts, "text": wanted.text}, lambda now: f"was split off from {source}")


def _alerts(incident: Mapping[str, Any], named: list[str]) -> list[str]:
    """The fingerprints of the alerts that are meant: by fingerprint, or all of a name."""
    found = []
    for each in named:
        meant = [alert["fingerprint"] for alert in incident["alerts"] if each in (alert["fingerprint"], alert["name"])]
        if not meant:
            there = ", ".join(sorted({alert["name"] for alert in incident["alerts"]}))
            raise NotFound(f"{incident['id']} has no alert {each!r}; it has {there}")
        found += meant
    return found


def assign(wanted: argparse.Namespace) -> int:
    """Say who is to take care of an incident."""
    body = {"to": wanted.person, "text": wanted.text}
    return _said(wanted, "assign", body, lambda now: f"is assigned to {now['assignee'] or 'nobody'}")


def role(wanted: argparse.Namespace) -> int:
    """Give a role to somebody, or to nobody."""
    person = "" if wanted.release else wanted.person or wanted.actor
    return _said(
        wanted,
        "roles",
        {"role": wanted.role, "person": person},
        lambda now: f"has {now['roles'].get(wanted.role, 'nobody')} as {wanted.role}",
    )


def task_add(wanted: argparse.Namespace) -> int:
    """Add a task to an incident."""
    due = None if wanted.due is None else _moment(wanted.due)
    body = {"text": wanted.text, "assignee": wanted.assignee, "due": due, "key": wanted.key}
    return _said(wanted, "tasks", body, lambda now: f"has task {_newest(now, wanted)}: {wanted.text}")


def _newest(incident: Mapping[str, Any], wanted: argparse.Namespace) -> str:
    known = [task["id"] for task in incident["tasks"] if wanted.key and task["key"] == wanted.key]
    return str((known or [task["id"] for task in incident["tasks"]])[-1])


def task_done(wanted: argparse.Namespace) -> int:
    """Say that a task is done."""
    return _said(wanted, f"tasks/{wanted.task}/done", {"text": wanted.text}, lambda now: f"task {wanted.task} is done")


def task_reopen(wanted: argparse.Namespace) -> int:
    """Say that a task is not done after all."""
    body = {"text": wanted.text}
    return _said(wanted, f"tasks/{wanted.task}/reopen", body, lambda now: f"task {wanted.task} is to be done again")


def task_assign(wanted: argparse.Namespace) -> int:
    """Say who does a task, and by when."""
    due = None if wanted.due is None else _moment(wanted.due)
    body = {"assignee": wanted.person, "due": due}
    return _said(wanted, f"tasks/{wanted.task}/assign", body, lambda now: f"task {wanted.task} is {wanted.person}'s")


def pin(wanted: argparse.Namespace) -> int:
    """Keep a piece of evidence at hand."""
    return _said(wanted, "pin", {"what": wanted.what, "text": wanted.text}, lambda now: f"has {wanted.what} at hand")


def priority(wanted: argparse.Namespace) -> int:
    """Say how much is affected, how soon it must be answered, or the priority itself."""
    said = {"impact": wanted.impact, "urgency": wanted.urgency, "priority": wanted.priority}
    if not wanted.automatic and not any(said.values()):
        raise BadInput("say --impact, --urgency or --priority, or --automatic to leave it to the alerts")
    return _said(
        wanted,
        "priority",
        {**said, "text": wanted.reason},
        lambda now: f"is {now['priority']}: impact {now['impact']}, urgency {now['urgency']}",
    )


def _moment(text: str) -> float:
    """A time of day of this machine's zone (ISO), or so long from now on: 2h."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return printing.present() + duration_seconds(text)


def _said(wanted: argparse.Namespace, path: str, body: Mapping[str, Any], told: Callable[[Any], str]) -> int:
    remote = Remote(wanted.server)
    incident_id = identified(remote, wanted.incident_id)
    answer = remote.post(f"/aiprism/v1/incidents/{incident_id}/{path}", {"actor": wanted.actor, **body})
    if wanted.output == "json":
        printing.show_json(answer)
    else:
        printing.show(Text(f"{answer['id']} {told(answer)}"))
    return 0

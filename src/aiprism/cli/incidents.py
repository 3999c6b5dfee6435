"""`aiprism alerts` and `aiprism incidents`: what is wrong now, what happened, and a person's word on it."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import datetime
from typing import Any

from rich.text import Text

from aiprism.cli import dossier, maintenance, printing
from aiprism.cli.remote import Refusal, Remote
from aiprism.errors import BadInput, NotFound

_SEARCHED = 500
_NO_SUCH = 404
_LOOK, _PATIENCE = 0.5, 120  # seconds between looks for an investigation, and how many looks
_WHOLE = re.compile(r"INC_\d{8}_\d{6}_[0-9a-f]{4,16}")


def alerts(wanted: argparse.Namespace) -> int:
    """Alerts that are pending or firing, or those that are held back."""
    if wanted.suppressed:
        return maintenance.suppressed(wanted)
    answer = Remote(wanted.server).get("/api/v1/alerts")
    found = [row for row in answer["data"]["alerts"] if wanted.state in (None, row["state"])]
    if wanted.output == "json":
        printing.show_json({**answer, "data": {"alerts": found}})
        return 0
    if not found:
        printing.show(Text(f"no alert is {wanted.state or 'pending or firing'}", style="green"))
        return 0
    now = printing.present()
    rows = printing.table(
        "state", "alert", "service", "severity", "for", "value", "summary",
        right=("value",), fold="summary", least=("value", "for", "severity"),
    )  # fmt: skip
    for row in sorted(found, key=lambda row: (row["state"] != "firing", row["activeAt"])):
        labels = row["labels"]
        rows.add_row(
            printing.styled(row["state"]),
            Text(labels.get("alertname", ""), style="bold"),
            labels.get("service", ""),
            printing.styled(labels.get("severity", "")),
            printing.duration(max(0.0, round(now - datetime.fromisoformat(row["activeAt"]).timestamp()))),
            printing.figures(float(row["value"])),
            row["annotations"].get("summary", ""),
        )
    printing.show(rows)
    return 0


def listed(wanted: argparse.Namespace) -> int:
    """Incidents, newest first."""
    answer = Remote(wanted.server).get("/aiprism/v1/incidents", status=wanted.status, limit=wanted.limit)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["incidents"]:
        none = {"open": "no incident is open", "resolved": "no incident has been resolved"}
        printing.show(Text(none.get(wanted.status, "there has been no incident"), style="green"))
        return 0
    now = printing.present()
    rows = printing.table(
        "", "status", "incident", "opened", "lasts", "who", "alerts", "title",
        right=("alerts",), fold="title", least=("alerts", "opened", "lasts", "status"),
    )  # fmt: skip
    for row in answer["incidents"]:
        rows.add_row(
            printing.styled(row["priority"]),
            printing.styled(row["status"]),
            Text(row["id"], style="cyan"),
            printing.moment(row["created_at"]),
            printing.duration(float(round((row["resolved_at"] or now) - row["created_at"]))),
            dossier.holder(row),
            str(len(row["alerts"])),
            row["title"],
        )
    printing.show(rows)
    return 0


def show(wanted: argparse.Namespace) -> int:
    """One incident with all that is known of it."""
    remote = Remote(wanted.server)
    incident = remote.get(f"/aiprism/v1/incidents/{identified(remote, wanted.incident_id)}")
    more = {name: _if_any(remote, incident["id"], name) for name in ("investigation", "correlation")}
    _print({**incident, **more}, wanted)
    return 0


def investigate(wanted: argparse.Namespace) -> int:
    """Have an incident investigated again, and show what was found once it is."""
    remote = Remote(wanted.server)
    incident_id = identified(remote, wanted.incident_id)
    where = f"/aiprism/v1/incidents/{incident_id}/investigation"
    number = remote.post(where, {"actor": wanted.actor})["number"]
    for _ in range(_PATIENCE):
        found = remote.get(where, number=number)
        if found["state"] not in ("waiting", "running"):
            break
        time.sleep(_LOOK)
    if wanted.output == "json":
        printing.show_json(found)
    elif found["state"] in ("waiting", "running"):
        printing.show(
            Text(f"investigation {number} of {incident_id} is {found['state']}; `incidents show` will tell of it")
        )
    else:
        printing.show(*dossier.investigation(found))
    return 0 if found["state"] != "failed" else 1


def _if_any(remote: Remote, incident_id: str, name: str) -> Any:
    """What is known of an incident under this name; None when nothing is, as before it was investigated."""
    try:
        return remote.get(f"/aiprism/v1/incidents/{incident_id}/{name}")
    except Refusal as refusal:
        if refusal.status != _NO_SUCH:
            raise
        return None


def postmortem(wanted: argparse.Namespace) -> int:
    """The postmortem of an incident as it stands in a file, so that it can be written into one."""
    remote = Remote(wanted.server)
    where = f"/aiprism/v1/incidents/{identified(remote, wanted.incident_id)}/postmortem"
    if wanted.generate:
        remote.post(where, {"actor": wanted.actor, "again": True})
    sys.stdout.write(remote.text(f"{where}.{wanted.output}", version=wanted.version))
    return 0


def acknowledge(wanted: argparse.Namespace) -> int:
    """Put on the timeline that somebody takes care."""
    return _act(wanted, "acknowledge", "acknowledged")


def resolve(wanted: argparse.Namespace) -> int:
    """Close the incident by hand."""
    return _act(wanted, "resolve", "resolved")


def unacknowledge(wanted: argparse.Namespace) -> int:
    """Put on the timeline that nobody takes care after all."""
    return _act(wanted, "unacknowledge", "handed back")


def respond(wanted: argparse.Namespace) -> int:
    """Put on the timeline that somebody begins to work on it."""
    return _act(wanted, "respond", "worked on")


def comment(wanted: argparse.Namespace) -> int:
    """Put a sentence on the timeline."""
    if not wanted.text:
        raise BadInput("a comment says something: give it with --text")
    return _act(wanted, "comment", "commented on")


def reopen(wanted: argparse.Namespace) -> int:
    """Open the incident again."""
    return _act(wanted, "reopen", "reopened")


def _act(wanted: argparse.Namespace, verb: str, done: str) -> int:
    remote = Remote(wanted.server)
    incident_id = identified(remote, wanted.incident_id)
    said = {"actor": wanted.actor, "text": wanted.text}
    answer = remote.post(f"/aiprism/v1/incidents/{incident_id}/{verb}", said)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    printing.show(Text(f"{incident_id} {done} by {wanted.actor}"))
    return 0


def _print(incident: Any, wanted: argparse.Namespace) -> None:
    if wanted.output == "json":
        printing.show_json(incident)
    else:
        printing.show(*dossier.pages(incident, printing.present()))


def identified(remote: Remote, text: str) -> str:
    """The whole id that `text` means: a whole one, the beginning or end of exactly one, or `last` for the newest."""
    if _WHOLE.fullmatch(text):
        return text
    known = [row["id"] for row in remote.get("/aiprism/v1/incidents", status="all", limit=_SEARCHED)["incidents"]]
    if text == "last":
        if not known:
            raise NotFound("there has been no incident")
        return str(known[0])
    begins = text.startswith("INC_")
    meant = [each for each in known if (each.startswith(text) if begins else each.endswith(text))]
    what = "begins" if begins else "ends"
    if len(meant) > 1:
        raise BadInput(f"{text!r} {what} {len(meant)} incidents: {', '.join(meant)}; write more of the id")
    if not meant:
        words = "begins with" if begins else "ends in"
        raise NotFound(f"no incident {words} {text!r}; `aiprism incidents list --status all` shows them")
    return str(meant[0])

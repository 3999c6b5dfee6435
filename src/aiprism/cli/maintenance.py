"""`aiprism maintenance` and `aiprism alerts --suppressed`: planned work, and what is held back, by whom and why."""

from __future__ import annotations

import argparse
import urllib.parse
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote


def listed(wanted: argparse.Namespace) -> int:
    """Maintenance windows, those that hold first."""
    answer = Remote(wanted.server).get("/aiprism/v1/maintenance")
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    order = ["active", "pending", "over"]
    found = sorted(answer["windows"], key=lambda each: (order.index(each["state"]), each["name"]))
    if not found:
        printing.show(Text("no maintenance is planned", style="green"))
        return 0
    rows = printing.table(
        "state",
        "name",
        "matchers",
        "from",
        "until",
        "again",
        "by",
        "comment",
        fold="comment",
        least=("by", "from", "again"),
    )
    for each in found:
        period = each["holds"] or each["next"] or {}
        rows.add_row(
            printing.styled(each["state"]),
            Text(each["name"], style="bold"),
            ", ".join(each["matchers"]),
            printing.moment(period["start"]) if period else "",
            printing.moment(period["end"]) if period else "",
            each["recurrence"],
            "maintenance.yml" if each["from_file"] else each["author"],
            each["comment"],
        )
    printing.show(rows)
    return 0


def add(wanted: argparse.Namespace) -> int:
    """Plan maintenance."""
    asked = {
        "name": wanted.name,
        "matchers": wanted.matchers,
        "start": wanted.start,
        "end": wanted.end,
        "duration": wanted.duration,
        "recurrence": wanted.recurrence,
        "zone": wanted.zone,
        "comment": wanted.comment,
        "author": wanted.author,
    }
    answer = Remote(wanted.server).post("/aiprism/v1/maintenance", asked)
    return _told(answer, wanted, "is planned")


def end(wanted: argparse.Namespace) -> int:
    """End a window now; what fires on is told."""
    answer = Remote(wanted.server).delete(f"/aiprism/v1/maintenance/{urllib.parse.quote(wanted.window, safe='')}")
    return _told(answer, wanted, "has ended")


def _told(answer: Mapping[str, Any], wanted: argparse.Namespace, what: str) -> int:
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    period = answer["holds"] or answer["next"]
    when = f", {printing.moment(period['start'])} to {printing.moment(period['end'])}" if period else ""
    printing.show(Text(f"maintenance {answer['name']!r} ({answer['id']}) {what}{when}"))
    return 0


def suppressed(wanted: argparse.Namespace) -> int:
    """Notifications that nobody gets now, with the stage that holds them."""
    answer = Remote(wanted.server).get("/aiprism/v1/suppressed")
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["suppressed"]:
        printing.show(Text("nothing is held back", style="green"))
        return 0
    now = printing.present()
    rows = printing.table(
        "stage", "alert", "service", "receiver", "for", "reason", fold="reason", least=("for", "service")
    )
    for each in answer["suppressed"]:
        rows.add_row(
            each["stage"],
            Text(each["alert"], style="bold"),
            each["labels"].get("service", ""),
            each["receiver"],
            printing.duration(max(0.0, round(now - each["since"]))),
            each["reason"],
        )
    printing.show(rows)
    return 0

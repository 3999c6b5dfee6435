"""`aiprism backtest RULES`: what alerting rules would have done in the past, on the data of a running server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.errors import ConfigError
from aiprism.model.timerange import duration_seconds


def run(wanted: argparse.Namespace) -> int:
    """Ask the server and show what each alert would have done, and what of the incidents of that time it would have told."""
    now = printing.present()
    body: dict[str, object] = {
        "files": {str(path): _text(path) for path in wanted.rules},
        "start": printing.moment_in(wanted.start, now),
        "end": printing.moment_in(wanted.end, now),
        "interval": duration_seconds(wanted.interval),
    }
    answer = Remote(wanted.server, timeout=600).post("/aiprism/v1/backtest", body)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    _show_rules(answer)
    if wanted.firings:
        _show_firings(answer)
    _show_told(answer["told"])
    _show_incidents(answer["incidents"])
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", file=str(path)) from error


def _show_rules(answer: Any) -> None:
    rows = printing.table(
        "alert", "group", "fired", "time firing", "longest", "flapping", "only pending", "notes",
        right=("fired", "time firing", "longest", "flapping", "only pending"), fold="notes",
        least=("group", "only pending", "flapping", "longest"),
    )  # fmt: skip
    for rule in answer["rules"]:
        failed = [f"{rule['failed']} of {rule['evaluations']} evaluations failed"] if rule["failed"] else []
        rows.add_row(
            Text(rule["alert"], style="bold"),
            rule["group"],
            str(rule["fired"]),
            printing.duration(rule["seconds"]) if rule["fired"] else "",
            printing.duration(rule["longest"]) if rule["fired"] else "",
            str(rule["flapping"] or ""),
            str(rule["pending_only"] or ""),
            "; ".join([*failed, *rule["notes"]]),
        )
    printing.show(printing.titled(f"{printing.moment(answer['start'])} to {printing.moment(answer['end'])}"), rows)


def _show_firings(answer: Any) -> None:
    rows = printing.table("alert", "fired", "lasted", "labels", fold="labels")
    for rule in answer["rules"]:
        for firing in rule["firings"]:
            end = answer["end"] if firing["ended_at"] is None else firing["ended_at"]
            lasted = printing.duration(end - firing["fired_at"]) + ("+" if firing["ended_at"] is None else "")
            labels = ", ".join(f"{name}={value}" for name, value in firing["labels"].items() if name != "alertname")
            rows.add_row(Text(rule["alert"], style="bold"), printing.moment(firing["fired_at"]), lasted, labels)
    printing.show(rows)


def _show_told(told: Any) -> None:
    rows = printing.table(
        "told", "by", "notifications", "first", "more fires", "again", "over",
        right=("notifications", "first", "more fires", "again", "over"), least=("over", "again", "more fires", "first"),
    )  # fmt: skip
    for each in told:
        counts = [str(each[name] or "") for name in ("first", "firing", "repeat", "resolved")]
        channels = ", ".join(each["channels"]) or "no channel"
        count = f"{'' if each['is_whole'] else 'at least '}{each['notifications']}"
        rows.add_row(Text(each["receiver"], style="bold"), channels, count, *counts)
    if told:
        printing.show(rows)


def _show_incidents(found: Any) -> None:
    rows = printing.table(
        "",
        "incident",
        "opened",
        "told by",
        "earlier",
        "title",
        right=("earlier",),
        fold="title",
        least=("opened", "earlier"),
    )
    for each in found["caught"]:
        sign = "-" if each["earlier"] < 0 else ""
        rows.add_row(
            printing.styled("caught"), each["id"], printing.moment(each["created_at"]), each["alert"],
            sign + printing.duration(abs(each["earlier"])), each["title"],
        )  # fmt: skip
    for each in found["missed"]:
        rows.add_row(printing.styled("missed"), each["id"], printing.moment(each["created_at"]), "", "", each["title"])
    caught, missed, noise = len(found["caught"]), len(found["missed"]), len(found["noise"])
    if caught or missed:
        printing.show(rows)
    words = f"{caught} of {caught + missed} incidents caught; {noise} firings are about no incident"
    printing.show(Text(words if caught + missed else f"there was no incident in that time; {noise} firings"))

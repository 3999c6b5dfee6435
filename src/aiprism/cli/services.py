"""`aiprism services`: how every service does and whose it is; with `--drift`, where services.yml and what is seen disagree."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.model.timerange import duration_seconds, format_duration

_BAD_SHARE, _POOR_SHARE = 0.05, 0.01


def services(wanted: argparse.Namespace) -> int:
    """How every service did in the last window, or what has drifted."""
    remote = Remote(wanted.server)
    if wanted.drift:
        answer = remote.get("/aiprism/v1/services/drift")
        parts = list(_drift(answer, printing.present()))
    else:
        answer = remote.get("/aiprism/v1/services", window=f"{duration_seconds(wanted.window):g}")
        parts = [_loads(answer["services"], wanted.window)]
    if wanted.output == "json":
        printing.show_json(answer)
    else:
        printing.show(*parts)
    return 0


def _loads(found: list[Mapping[str, Any]], window: str) -> RenderableType:
    if not found:
        return Text(f"no service has answered a request in the last {window}", style="dim")
    now, numbers = printing.present(), ("requests/s", "errors", "p50", "p95")
    rows = printing.table(
        "service", *numbers, "owner", "tier", "last seen",
        right=(*numbers, "tier", "last seen"), least=("tier", "last seen", "owner"),
    )  # fmt: skip
    for row in found:
        rows.add_row(
            Text(row["service"], style="bold"),
            printing.figures(row["rate"]),
            _error_share(row["error_share"]),
            printing.duration(row["p50_ms"] / 1000),
            printing.duration(row["p95_ms"] / 1000),
            row["owner"] or row["team"],
            "" if row["tier"] is None else str(row["tier"]),
            printing.ago(row["last_seen"], now),
        )
    return rows


def _error_share(value: float) -> Text:
    """A share of failed requests, in a colour that says how bad it is."""
    style = "bold red" if value >= _BAD_SHARE else "yellow" if value >= _POOR_SHARE else ""
    return Text(printing.share(value), style=style)


def _drift(answer: Mapping[str, Any], now: float) -> Iterator[RenderableType]:
    if not answer["declared"]:
        yield Text("no service is declared: name a services.yml in respond.services", style="dim")
        return
    looked, quiet = format_duration(answer["window"]), format_duration(answer["quiet"])
    parts = [
        (f"seen in the last {looked}, not declared", "undeclared_services", _STRAY),
        (f"declared, not seen for {quiet}", "unseen_services", _UNSEEN),
        ("called, not declared as a dependency", "undeclared_dependencies", _CALL),
        (f"declared as a dependency, not called for {quiet}", "unseen_dependencies", _DEPENDENCY),
    ]
    told = [(title, answer[key], columns) for title, key, columns in parts if answer[key]]
    if not told:
        yield Text(f"services.yml and what was seen in the last {looked} agree", style="green")
    for number, (title, found, columns) in enumerate(told):
        yield Text("\n" * bool(number) + title, style="bold")
        yield _table(found, now, columns)
    if answer["ignored"]:
        yield Text(f"\nleft out: {answer['ignored']} seen fewer than {answer['min_calls']} times", style="dim")


def _table(found: list[Mapping[str, Any]], now: float, columns: tuple[str, ...]) -> RenderableType:
    right = ("since", "last seen", "calls", "tier")
    rows = printing.table(*columns, right=[name for name in columns if name in right])
    for each in found:
        rows.add_row(*(_CELLS[column](each, now) for column in columns))
    return rows


_STRAY, _UNSEEN = ("service", "kind", "since", "last seen"), ("service", "owner", "tier", "last seen")
_CALL, _DEPENDENCY = ("call", "by", "calls", "since", "last seen"), ("call", "last seen")


def _moment(key: str) -> Any:
    def cell(each: Mapping[str, Any], now: float) -> str:
        return "never" if each[key] is None else printing.ago(each[key], now)

    return cell


_CELLS: Mapping[str, Any] = {
    "service": lambda each, now: Text(each["name"], style="bold"),
    "call": lambda each, now: Text(f"{each['caller']} → {each['callee']}", style="bold"),
    "kind": lambda each, now: each["kind"],
    "by": lambda each, now: ", ".join(each["connections"]),
    "calls": lambda each, now: f"{each['calls']:,}",
    "owner": lambda each, now: each["owner"] or each["team"],
    "tier": lambda each, now: "" if each["tier"] is None else str(each["tier"]),
    "since": _moment("first_seen"),
    "last seen": _moment("last_seen"),
}

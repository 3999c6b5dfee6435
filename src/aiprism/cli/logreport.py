"""`aiprism report logs`: what the logs of the last hour tell, in a terminal."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote

_SHOWN = 10  # findings of a kind
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim", "informational": "dim"}


def run(wanted: argparse.Namespace) -> int:
    """Have the server analyse its logs, and show what it found."""
    end = f"{printing.moment_in(wanted.end, printing.present()):.3f}"
    answer = Remote(wanted.server).get("/aiprism/v1/logs/report", window=wanted.window, end=end, service=wanted.service)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    printing.show(*_overview(answer))
    found = answer["findings"]
    for title, findings, shown in (
        ("error patterns", found["error_patterns"], _errors),
        ("anomalies", found["anomalies"], _anomalies),
        ("performance", found["performance_issues"], _performance),
        ("security", found["security_events"], _security),
    ):
        if findings:
            more = f" ({_SHOWN} of {len(findings)})" if len(findings) > _SHOWN else ""
            printing.show(printing.titled(f"{title}{more}"), shown(findings[:_SHOWN]))
    if answer["recommendations"]:
        printing.show(printing.titled("recommended"), *map(_recommended, answer["recommendations"][:_SHOWN]))
    return 0


def _overview(answer: Mapping[str, Any]) -> list[RenderableType]:
    metrics = answer["metrics"]
    lines = Text.assemble(
        (f"{answer['total_logs']:,}", "bold"),
        f" lines of {metrics['patterns']:,} statements in {answer['window_minutes']:g} minutes, ",
        (printing.share(metrics["error_share"]), "red" if metrics["errors"] else ""),
        " of them errors",
    )
    before = Text(f"as long before: {metrics['logs_before']:,} lines, {metrics['errors_before']:,} errors", style="dim")
    found = any(answer["findings"].values())
    missing = [Text(f"left out: {each}", style="yellow") for each in answer["left_out"]]
    return [lines, before, *missing, *([] if found else [Text("nothing stands out", style="green")])]


def _errors(findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = printing.table(
        "lines", "per hour", "severity", "services", "pattern", right=("lines", "per hour"), fold="pattern"
    )
    for each in findings:
        text = Text(each["pattern"])
        for hint in each["root_cause_hints"]:
            text.append(f"\n→ {hint}", style="cyan")
        rows.add_row(
            f"{each['occurrence_count']:,}",
            printing.figures(each["frequency_per_hour"]),
            _severity(each["severity"]),
            ", ".join(each["affected_services"]),
            text,
        )
    return rows


def _anomalies(findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = printing.table(
        "what", "severity", "before", "now", "service", "pattern", right=("before", "now"), fold="pattern"
    )
    for each in findings:
        is_share = each["anomaly_type"] == "level_change"
        before, now = each["before"] or 0.0, each["now"]
        rows.add_row(
            each["anomaly_type"].replace("_", " "),
            _severity(each["severity"]),
            printing.share(before) if is_share else f"{before:,.0f}",
            printing.share(now) if is_share else f"{now:,.0f}",
            each["service"],
            each["pattern"],
        )
    return rows


def _performance(findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    numbers = ("lines", "p50", "p95", "before")
    rows = printing.table("what", *numbers, "services", "pattern", right=numbers, fold="pattern")
    for each in findings:
        rows.add_row(
            each["issue_type"].replace("_", " "),
            f"{each['occurrence_count']:,}",
            *(_seconds(each[name]) for name in ("p50_seconds", "p95_seconds", "p95_seconds_before")),
            ", ".join(each["affected_services"]),
            each["pattern"],
        )
    return rows


def _security(findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = printing.table("lines", "severity", "services", "what", right=("lines",), fold="what")
    for each in findings:
        services = ", ".join(each["affected_services"])
        rows.add_row(f"{each['occurrence_count']:,}", _severity(each["severity"]), services, each["title"])
    return rows


def _recommended(each: Mapping[str, Any]) -> Text:
    return Text.assemble(_severity(each["priority"]), " ", each["recommendation"], (f"\n  {each['because']}", "dim"))


def _severity(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))


def _seconds(value: float | None) -> str:
    return "–" if value is None else printing.duration(value)

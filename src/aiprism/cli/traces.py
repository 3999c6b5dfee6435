"""`aiprism traces` and `trace`: traces of a running server in a terminal."""

from __future__ import annotations

import argparse

from rich.text import Text

from aiprism.cli import printing, waterfall
from aiprism.cli.explore import range_of
from aiprism.cli.remote import Remote


def traces(wanted: argparse.Namespace) -> int:
    """Traces that fit, the newest first."""
    answer = Remote(wanted.server).get(
        "/aiprism/v1/traces",
        **range_of(wanted),
        query=wanted.text,
        service=wanted.service,
        operation=wanted.operation,
        min_duration=wanted.min_duration,
        errors=wanted.errors,
        attribute=wanted.attribute,
        order=wanted.order,
        limit=wanted.limit,
    )
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["traces"]:
        printing.show(Text("no trace fits", style="dim"))
        return 0
    numbers = ("duration", "spans", "errors")
    rows = printing.table("trace", "start", "root", *numbers, "services", right=numbers, fold="services")
    for each in answer["traces"]:
        rows.add_row(
            each["trace_id"],
            printing.clock(each["start_ns"] / 1e9, millis=True),
            Text.assemble((each["root_service"], "cyan"), " ", each["root_name"]),
            printing.duration(each["duration_ns"] / 1e9),
            str(each["spans"]),
            Text(str(each["errors"]), style="bold red") if each["errors"] else "0",
            ", ".join(each["services"]),
        )
    printing.show(rows)
    return 0


def trace(wanted: argparse.Namespace) -> int:
    """One trace as a waterfall, with the log records written within it."""
    answer = Remote(wanted.server).get(f"/aiprism/v1/traces/{wanted.trace_id}", archive=wanted.archive)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    out = printing.console()
    printing.show(*waterfall.drawn(answer, out.width if out.is_terminal else waterfall.PLAIN_WIDTH))
    return 0

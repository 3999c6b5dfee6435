"""`aiprism traces` and `trace`: traces of a running server in a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from aiprism.cli import printing, waterfall
from aiprism.cli.explore import range_of
from aiprism.cli.remote import Remote
from aiprism.errors import AiprismError


def traces(wanted: argparse.Namespace) -> int:
    """Traces that fit, in their order; with --explain, what slow ones have in common."""
    asked: dict[str, Any] = {
        **range_of(wanted), "query": wanted.text, "service": wanted.service, "operation": wanted.operation,
        "min_duration": wanted.min_duration, "attribute": wanted.attribute,
    }  # fmt: skip
    remote = Remote(wanted.server)
    if wanted.explain:
        answer = remote.get("/aiprism/v1/traces/explain", **asked, failed=wanted.errors, limit=wanted.limit)
        return _explained(wanted, answer)
    asked["errors"] = wanted.errors
    if wanted.follow:
        since = {"start": asked["start"]} if wanted.start else {}
        rest = {name: value for name, value in asked.items() if name not in ("start", "end")}
        return _follow(remote, {**since, **rest}, wanted.output == "json")
    answer = remote.get("/aiprism/v1/traces", **asked, order=wanted.order, limit=wanted.limit)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["traces"]:
        printing.show(Text("no trace fits", style="dim"))
        return 0
    numbers = ("duration", "spans", "errors")
    least = ("services", "spans", "errors", "start")
    rows = printing.table("trace", "start", "root", *numbers, "services", right=numbers, fold="services", least=least)
    rows.columns[0].min_width = 32  # an id is there to be copied
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


def _follow(remote: Remote, asked: Mapping[str, Any], as_json: bool) -> int:
    """Every trace of which a span fits as it comes in, a line each; with --start, those since then as well."""
    for event, told in remote.events("/aiprism/v1/traces/tail", **asked):
        if event == "dropped":
            print(f"aiprism: {told['why']}", file=sys.stderr)
        elif as_json:
            print(json.dumps(told, ensure_ascii=False), flush=True)
        else:
            printing.show(_line(told))
            sys.stdout.flush()
    return 0


def _line(told: Mapping[str, Any]) -> Text:
    text = Text(printing.clock(told["start_ns"] / 1e9, millis=True), style="dim")
    text.append(f"  {told['trace_id']}  ", style="not dim")
    text.append(f"{printing.duration(told['duration_ns'] / 1e9):>9}  ", style="not dim bold")
    text.append(told["root_service"] or "?", style="not dim cyan")
    text.append(f" {told['root_name']}  {told['spans']} spans", style="not dim")
    if told["errors"]:
        text.append(f"  {told['errors']} failed", style="not dim bold red")
    return text


def _explained(wanted: argparse.Namespace, answer: Mapping[str, Any]) -> int:
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    sampled, slow = answer["sampled"], "failed" if wanted.errors else "slow"
    told = f"{answer['slow']} {slow}, {answer['other']} others"
    if sampled["slow"] < answer["slow"] or sampled["other"] < answer["other"]:
        told += f"  sample of {sampled['slow']} and {sampled['other']}"
    printing.show(Text(told, style="dim"))
    _spent(answer["operations"])
    if not answer["reasons"]:
        printing.show(Text(f"no value of an attribute tells {slow} traces from the others", style="dim"))
        return 0
    numbers = ("explains", slow, "others", "odds")
    rows = printing.table("value", *numbers, "of", right=numbers, fold="of")
    for each in answer["reasons"]:
        rows.add_row(
            Text.assemble((each["key"], "cyan"), "=", (each["value"], "bold")),
            printing.share(each["explained"]),
            printing.share(each["slow_share"]),
            printing.share(each["other_share"]),
            f"×{printing.figures(each['odds'])}",
            f"{'spans' if each['evidence'] == 'span' else 'traces with'} {each['service']} {each['operation']}",
        )
    printing.show(rows)
    return 0


def trace(wanted: argparse.Namespace) -> int:
    """One trace as a waterfall, with the log records written within it; with --compare, what another did differently."""
    if wanted.compare:
        return _compared(wanted)
    remote = Remote(wanted.server)
    answer = remote.get(f"/aiprism/v1/traces/{wanted.trace_id}", archive=wanted.archive)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if "analysis" not in answer:
        raise AiprismError(
            f"the server at {remote.url} is older than this aiprism: it does not say what the spans of a trace mean together. "
            "Upgrade it, or read the spans with --output json"
        )
    out = printing.console()
    printing.show(*waterfall.drawn(answer, out.width if out.is_terminal else waterfall.PLAIN_WIDTH))
    return 0


def _spent(operations: Sequence[Mapping[str, Any]]) -> None:
    """Where slow traces spend the time that others do not."""
    telling = [each for each in operations if each["share"] >= _LEAST_SHARE]
    if not telling:
        return
    numbers = ("of the difference", "slow", "others")
    rows = printing.table("time goes to", *numbers, right=numbers)
    for each in telling:
        rows.add_row(
            Text.assemble((each["service"], "cyan"), " ", each["operation"]),
            printing.share(each["share"]),
            printing.duration(each["slow_ns"] / 1e9),
            printing.duration(each["other_ns"] / 1e9),
        )
    printing.show(rows, Text(""))


_LEAST_SHARE = 0.05  # of what slow traces take longer
_CHANGES = {
    "missing": "yellow",
    "added": "cyan",
    "failed": "bold red",
    "slower": "red",
    "faster": "green",
    "same": "dim",
}


def _compared(wanted: argparse.Namespace) -> int:
    answer = Remote(wanted.server).get("/aiprism/v1/traces/compare", a=wanted.trace_id, b=wanted.compare)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    printing.show(Text(f"from {answer['a']} to {answer['b']}", style="dim"))
    numbers = ("first", "second", "itself", "spans")
    rows = printing.table("", "call", *numbers, right=numbers)
    for each in answer["paths"]:
        first, second = each["first"], each["second"]
        service, name = each["path"][-1]
        rows.add_row(
            Text(each["change"], style=_CHANGES[each["change"]]),
            Text.assemble("  " * (len(each["path"]) - 1), (service, "cyan"), " ", name),
            printing.duration(first["duration_ns"] / 1e9) if first["spans"] else "-",
            printing.duration(second["duration_ns"] / 1e9) if second["spans"] else "-",
            f"{'+' if each['slower_ns'] > 0 else ''}{printing.duration(each['slower_ns'] / 1e9)}",
            str(first["spans"]) if first["spans"] == second["spans"] else f"{first['spans']} → {second['spans']}",
        )
    printing.show(rows)
    return 0

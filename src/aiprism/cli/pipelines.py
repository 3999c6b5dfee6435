"""`aiprism test pipeline RECORDS`: what would become of log records on their way in; no server, nothing stored.

In: a file of lines or NDJSON, and a pipelines.yml or the aiprism.yml that names one. Out: each record before and after with what
did what to it, and the counts; or the same as JSON.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from aiprism import config
from aiprism.cli import printing
from aiprism.errors import BadInput, ConfigError
from aiprism.query.lucene import condition
from aiprism.receive import pipelinefile, redaction
from aiprism.receive.items import bounds
from aiprism.receive.logpipeline import Pipeline
from aiprism.receive.logtreatment import Treatment, tried
from aiprism.receive.redaction import Redaction

MOST = 10_000


def run(wanted: argparse.Namespace) -> int:
    """Show what would become of the records."""
    settings = config.load(wanted.config, os.environ)
    within = bounds(settings.limits, settings.store.tenant, "logs", time.time())
    found = tried(_treatment(wanted, settings), _records(wanted.records), time.time_ns(), within)
    if wanted.output == "json":
        printing.show_json(found)
    else:
        _show(found)
    return 0


def _treatment(wanted: argparse.Namespace, settings: config.Config) -> Treatment:
    path = wanted.pipelines
    if not path and settings.logs.pipelines:
        [path] = settings.resolved((settings.logs.pipelines,))
    pipeline = pipelinefile.load(path, condition, settings.limits.attributes) if path else Pipeline()
    return Treatment(pipeline, Redaction(redaction.kinds(settings.logs.redact)))


def _records(name: str) -> list[object]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=name) from None
    # At line feeds alone: JSON holds other ends of lines (U+2028) as they are.
    lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip()]
    if len(lines) > MOST:
        raise BadInput(f"{name}: {len(lines)} lines are too many: {MOST} are tried at a time")
    return [_record(line) for line in lines]


def _record(line: str) -> object:
    """A record when the line is one of NDJSON with a text of its own, else the line as it is."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    return document if isinstance(document, dict) and ("body" in document or "message" in document) else line


def _show(found: dict[str, Any]) -> None:
    screen = printing.console()
    for number, each in enumerate(found["records"], start=1):
        before, after = each["before"], each["after"]
        screen.print(f"{number:>4}  {before['body']}", style="dim" if after is None else None, markup=False)
        done = [step for step in each["steps"] if step["outcome"] != "unchanged"]
        width = max((len(step["step"]) for step in done), default=0)
        for step in done:
            why = f": {step['why']}" if "why" in step else ""
            screen.print(f"      {step['step']:{width}}  {step['outcome']}{why}", style="yellow", markup=False)
        for line in _changes(before, after) if after else ():
            screen.print(f"    {line}", markup=False)
    _show_counts(screen, found["counts"])


def _show_counts(screen: Console, counts: dict[str, Any]) -> None:
    told: dict[str, list[str]] = {}
    for each in counts["steps"]:
        told.setdefault(each["step"], []).append(f"{each['outcome']} {each['records']}")
    if counts["redacted"]:
        told["redacted"] = [f"{kind} {number}" for kind, number in sorted(counts["redacted"].items())]
    width = max(map(len, told), default=0)
    screen.print(f"{counts['given']} records, {counts['stored']} to be stored", markup=False)
    for name, parts in told.items():
        screen.print(f"  {name:{width}}  {', '.join(parts)}", markup=False)


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs, a line for each field: + what came, - what went."""
    lines = [f"→ {after['body']}"] if after["body"] != before["body"] else []
    lines += [
        f"  {key} {before[key]} → {after[key]}" for key in ("time", "level", "service") if after[key] != before[key]
    ]
    for place in ("attributes", "resource"):
        old, new = before[place], after[place]
        lines += [f"- {key}={old[key]}" for key in old if key not in new]
        lines += [f"+ {key}={new[key]}" for key in new if old.get(key) != new[key]]
    return lines

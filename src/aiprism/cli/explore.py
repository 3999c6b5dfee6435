"""`aiprism logs`: log records of a running server in a terminal. Traces are in `traces`."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.model.timerange import format_duration

_SINCE = "1h"


def logs(wanted: argparse.Namespace) -> int:
    """Records that fit, the newest last, as one reads a log; with --follow, those that come in as well."""
    remote = Remote(wanted.server)
    query, columns = _saved(remote, wanted)
    asked = {
        "query": query, "service": wanted.service, "level": wanted.level, "trace_id": wanted.trace,
        "archive": wanted.archive,
    }  # fmt: skip
    answer = remote.get("/aiprism/v1/logs", **range_of(wanted), **asked, limit=wanted.limit)
    if wanted.follow:
        return _follow(remote, answer["logs"], asked, columns, as_json=wanted.output == "json")
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["logs"]:
        printing.show(Text("no record fits", style="dim"))
        return 0
    printing.show(*(_line(record, columns) for record in reversed(answer["logs"])))
    return 0


def _saved(remote: Remote, wanted: argparse.Namespace) -> tuple[str, Sequence[str]]:
    """The query, and the fields shown beside the line. `@NAME` asks a saved search, from as far back as that says."""
    named = re.fullmatch(r"@([\w.-]+)(?:\s+(.*))?", wanted.text, re.DOTALL)
    if not named:
        return wanted.text, ()
    search = remote.get(f"/aiprism/v1/searches/{quote(named[1])}")
    if search["seconds"] and not wanted.start:
        wanted.start = format_duration(search["seconds"])
    return f"saved:{named[1]} {named[2] or ''}".rstrip(), search["columns"]


def _follow(
    remote: Remote,
    before: Sequence[Mapping[str, Any]],
    asked: Mapping[str, Any],
    columns: Sequence[str],
    *,
    as_json: bool,
) -> int:
    """What was there already, then every record as it comes in, a line each."""
    shown = {_identity(record) for record in before}
    since = before[0]["ts_ns"] / 1e9 if before else printing.present()
    coming = (
        record
        for event, record in remote.events("/aiprism/v1/logs/tail", **asked, start=since)
        if event == "log" or _dropped(record)
    )
    fresh = (record for record in coming if _identity(record) not in shown)
    for record in itertools.chain(reversed(before), fresh):
        if as_json:
            print(json.dumps(record, ensure_ascii=False), flush=True)
        else:
            printing.show(_line(record, columns))
            sys.stdout.flush()
    return 0


def _identity(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record["ts_ns"], record["service"], record["body"], record["span_id"]


def _dropped(said: Mapping[str, Any]) -> bool:
    print(f"aiprism: {said['why']}", file=sys.stderr)
    return False


def _line(record: Mapping[str, Any], columns: Sequence[str] = ()) -> Text:
    text = Text(printing.clock(record["ts_ns"] / 1e9, millis=True), style="dim")
    text.append(f" {record['level'] or '-':<5} ", style=f"not dim {printing.STYLES.get(record['level'], '')}".strip())
    text.append(f"{record['service']:<20} ", style="not dim cyan")
    text.append(record["body"], style="not dim")
    for name in columns:
        value = record["attributes"].get(name) or record["resource"].get(name) or record.get(name)
        if value and name not in ("service", "level", "body", "trace_id"):
            text.append(f"  {name}={value}")
    if record["trace_id"]:
        text.append(f"  trace={record['trace_id']}")
    return text


def range_of(wanted: argparse.Namespace) -> dict[str, str]:
    """--start and --end as the API takes them."""
    now = printing.present()
    return {
        "start": f"{printing.moment_in(wanted.start or _SINCE, now):.3f}",
        "end": f"{printing.moment_in(wanted.end, now):.3f}",
    }

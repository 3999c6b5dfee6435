"""`aiprism sql`: a read-only query in ClickHouse's SQL to a running server, answered as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.errors import BadInput
from aiprism.model.timerange import duration_seconds

_NUMBERS = ("UInt", "Int", "Float", "Decimal")


def run(wanted: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    now = printing.present()
    text = sys.stdin.read() if wanted.text == "-" else wanted.text
    start, end = printing.moment_in(wanted.start, now), printing.moment_in(wanted.end, now)
    if start >= end:
        raise BadInput(f"the range is empty: --start {wanted.start} is not before --end {wanted.end or 'now'}")
    body: dict[str, object] = {"query": text, "from": start, "to": end}
    if wanted.step:
        body["step"] = duration_seconds(wanted.step)
    if wanted.limit:
        body["limit"] = wanted.limit
    answer = Remote(wanted.server).post("/aiprism/v1/sql", body)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    _show(answer)
    return 0


def _show(answer: Any) -> None:
    names = [column["name"] for column in answer["columns"]]
    numbers = [column["name"] for column in answer["columns"] if column["type"].startswith(_NUMBERS)]
    rows = printing.table(*names, right=numbers)
    for row in answer["rows"]:
        rows.add_row(*(Text(printing.harmless(_cell(value))) for value in row))
    printing.show(rows)
    if answer["truncated"]:
        printing.show(Text(f"there is more: these are the first {answer['limit']} rows", style="yellow"))


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

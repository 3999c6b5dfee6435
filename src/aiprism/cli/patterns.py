"""`aiprism patterns`: the statements a plain log file consists of, without a server.

In: a file, or standard input, of one message per line. Out: a table of templates by number of lines, the same as JSON, or
a CSV row for each line (`LineId,EventId,EventTemplate`).
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from rich.text import Text

from aiprism.cli import printing
from aiprism.detect.logpatterns import VARIABLE, Mined, Statement, mined
from aiprism.errors import BadInput

_BLOCK = 1 << 26  # bytes mined at a time


def run(arguments: argparse.Namespace) -> int:
    """Mine the file and print what it consists of."""
    if arguments.file == "-":
        found = mined(_blocks(sys.stdin.buffer))
    else:
        try:
            with Path(arguments.file).open("rb") as file:
                found = mined(_blocks(file))
        except OSError as error:
            raise BadInput(f"{arguments.file}: {error.strerror}") from error
    if arguments.output == "csv":
        _print_lines(found)
    elif arguments.output == "json":
        printing.show_json([_told(each) for each in found.statements])
    else:
        _print_table(found)
    return 0


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The file in blocks of whole lines."""
    rest = b""
    while block := file.read(_BLOCK):
        whole, newline, tail = (rest + block).rpartition(b"\n")
        if newline:
            yield whole + newline
        rest = tail
    if rest:
        yield rest


def _print_lines(found: Mined) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("LineId", "EventId", "EventTemplate"))
    rows = [(each.id, each.template) for each in found.statements]
    writer.writerows((line, *rows[at]) for line, at in enumerate(found.of_line.tolist(), 1))


def _told(statement: Statement) -> dict[str, Any]:
    return {"id": statement.id} | {each.name: getattr(statement, each.name) for each in fields(statement)}


def _print_table(found: Mined) -> None:
    total = len(found.of_line)
    rows = printing.table("lines", "share", "id", "template", right=("lines", "share"), fold="template")
    for each in found.statements:
        rows.add_row(f"{each.lines:,}", printing.share(each.lines / total), each.id, _template(each.template))
    printing.show(
        Text.assemble((f"{total:,}", "bold"), " lines of ", (f"{len(found.statements):,}", "bold"), " statements")
    )
    printing.show(rows)


def _template(template: str) -> Text:
    text = Text(template)
    text.highlight_regex(re.escape(VARIABLE), "cyan")
    return text

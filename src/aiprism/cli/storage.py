"""`aiprism storage`: what is stored, how well it is compressed and how long it stays."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.model.timerange import format_duration

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def storage(wanted: argparse.Namespace) -> int:
    """Every table with its size, compression, times and retention."""
    answer = Remote(wanted.server).get("/aiprism/v1/storage", partitions=wanted.partitions)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    numbers = ("rows", "on disk", "ratio", "B/row")
    rows = printing.table(
        "table",
        *numbers,
        "oldest",
        "newest",
        "kept",
        "parts",
        right=(*numbers, "kept", "parts"),
        least=("parts", "oldest", "newest"),
    )
    for each in answer["tables"]:
        rows.add_row(Text(each["table"], style="bold"), *_sizes(each), *_times(each), _kept(each), _parts(each))
    total = sum(each["bytes"] for each in answer["tables"])
    printing.show(rows, _total(answer, total))
    if archived := Remote(wanted.server).get("/aiprism/v1/archive")["archive"]:
        printing.show(printing.titled("archive"), _archive(archived))
    if wanted.partitions:
        printing.show(printing.titled("partitions"), _partitions(answer["partitions"]))
    return 0


def _partitions(found: list[Mapping[str, Any]]) -> Any:
    numbers = ("rows", "on disk", "ratio", "B/row")
    rows = printing.table("table", "partition", *numbers, "oldest", "newest", "parts", right=(*numbers, "parts"))
    for each in found:
        rows.add_row(Text(each["table"], style="bold"), each["id"], *_sizes(each), *_times(each), str(each["parts"]))
    return rows


def _archive(found: list[Mapping[str, Any]]) -> Any:
    numbers = ("days", "rows", "bytes", "B/row")
    rows = printing.table("table", *numbers, "first", "last", right=numbers)
    for name in sorted({each["table"] for each in found}):
        days = [each for each in found if each["table"] == name]
        count, stored = (sum(each[key] for each in days) for key in ("rows", "bytes"))
        per_row = printing.figures(stored / max(1, count))
        rows.add_row(
            *(Text(name, style="bold"), str(len(days)), f"{count:,}", size(stored), per_row),
            *(days[0]["day"], days[-1]["day"]),
        )
    return rows


def _sizes(each: Mapping[str, Any]) -> tuple[str, str, str, str]:
    ratio = each["uncompressed"] / each["bytes"] if each["bytes"] else 0.0
    per_row = each["bytes"] / each["rows"] if each["rows"] else 0.0
    return f"{each['rows']:,}", size(each["bytes"]), f"{printing.figures(ratio, 2)}×", printing.figures(per_row)


def _times(each: Mapping[str, Any]) -> tuple[str, str]:
    return _day(each["oldest"]), _day(each["newest"])


def _day(at: int | None) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M") if at else "–"


def _kept(each: Mapping[str, Any]) -> str:
    seconds = each["retention_seconds"]
    if seconds is None:
        return "–"
    return format_duration(seconds) if seconds else "for ever"


def _parts(each: Mapping[str, Any]) -> str:
    return f"{each['parts']} in {each['partitions']}"


def _total(answer: Mapping[str, Any], total: int) -> Text:
    return Text.assemble(
        ("\n", ""), (size(total), "bold"), f" in {answer['database']}, ", (size(answer["free_bytes"]), "bold"), " free"
    )


def size(count: float) -> str:
    """Bytes to three figures.

    >>> size(0), size(1536), size(5 * 1024**3)
    ('0 B', '1.5 KiB', '5 GiB')
    """
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{printing.figures(count)} {unit}"
        count /= 1024
    return f"{printing.figures(count)} {_UNITS[-1]}"

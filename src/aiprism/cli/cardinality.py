"""`aiprism cardinality`: which metrics, labels and values make the most series."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.cli.storage import size

# Title, field of the answer, what is counted.
_PARTS = (
    ("metrics", "seriesCountByMetricName", "series"),
    ("labels", "labelValueCountByLabelName", "values"),
    ("values", "seriesCountByLabelValuePair", "series"),
    ("bytes of label values", "memoryInBytesByLabelName", "bytes"),
)


def cardinality(wanted: argparse.Namespace) -> int:
    """The heaviest metrics, labels and label values."""
    answer = Remote(wanted.server).get("/api/v1/status/tsdb", limit=wanted.limit)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    found = answer["data"]
    head = found["headStats"]
    printing.show(
        Text.assemble(
            (f"{head['numSeries']:,}", "bold"), " series, ", (f"{head['numLabelPairs']:,}", "bold"), " label values"
        )
    )
    for title, field, counted in _PARTS:
        rows = printing.table("name", counted, "share" if counted == "series" else "", right=(counted, "share"))
        for each in found[field]:
            rows.add_row(Text(each["name"]), _number(each["value"], counted), _share(each, counted, head))
        printing.show(printing.titled(title), rows)
    return 0


def _number(value: int, counted: str) -> str:
    return size(value) if counted == "bytes" else f"{value:,}"


def _share(each: Mapping[str, Any], counted: str, head: Mapping[str, Any]) -> str:
    return printing.share(each["value"] / head["numSeries"]) if counted == "series" else ""

"""`aiprism patterns`: from a file or standard input to a table, rows and JSON."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Run

LINES = [
    "queue cart is full",
    "order A-17 of ada@example.com failed after 0.25s",
    "queue orders is full",
    "order B-8 of 10.0.0.7 failed after 12 ms",
    "queue 7 is full",
]
QUEUE, ORDER = "queue <*> is full", "order <*> of <*> failed after <*>"


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_example_of_the_page(aiprism: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("\n".join(LINES), encoding="utf-8")
    _, said, _ = aiprism("patterns", str(tmp_path / "app.log"))
    page = (Path(__file__).parents[2] / "docs" / "log-patterns.md").read_text(encoding="utf-8")
    shown = page.partition("$ aiprism patterns app.log\n")[2].partition("```")[0]
    assert [line.split() for line in said.splitlines() if "──" not in line] == [
        line.split() for line in shown.splitlines() if "──" not in line
    ]


def test_a_row_for_each_line_of_standard_input() -> None:
    text = "\n".join(LINES) + "\n\n"
    ran = subprocess.run(
        [sys.executable, "-m", "aiprism", "patterns", "-", "-o", "csv"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    found = rows(ran.stdout)
    assert [row["LineId"] for row in found] == ["1", "2", "3", "4", "5", "6"]
    assert [row["EventTemplate"] for row in found] == [QUEUE, ORDER, QUEUE, ORDER, QUEUE, ""]
    assert len({(row["EventId"], row["EventTemplate"]) for row in found}) == 3


def test_statements_as_json(aiprism: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("\n".join(LINES), encoding="utf-8")
    _, said, _ = aiprism("patterns", str(tmp_path / "app.log"), "-o", "json")
    found = json.loads(said)
    assert [(each["template"], each["lines"], each["first"], each["example"]) for each in found] == [
        (QUEUE, 3, 1, LINES[0]),
        (ORDER, 2, 2, LINES[1]),
    ]


def test_a_file_that_is_not_there_is_said(aiprism: Run) -> None:
    assert aiprism("patterns", "nowhere.log") == (1, "", "aiprism: nowhere.log: No such file or directory\n")

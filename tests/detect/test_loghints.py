"""What lines say about causes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprism.cli.check import checked
from aiprism.detect.loghints import Hints, load, shipped
from aiprism.errors import ConfigError

OWN = """\
hints:
  - name: our-queue
    match: 'queue \\w+ is stuck'
    hint: the worker is away
    action: restart the worker
  - name: timeout
    match: ['gave up waiting']
    hint: our own words
"""


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("dial tcp 10.0.0.7:5432: connect: connection refused", ["connection-refused"]),
        ("upstream request Timeout after 30 s", ["timeout"]),
        ("OSError: [Errno 28] No space left on device", ["disk-full"]),
        ("deadlock detected; process 7 waits for ShareLock", ["database-lock"]),
        ("openai: This model's maximum context length is 8192 tokens", ["model-context"]),
        ("GET /cart HTTP/1.1 status=503", ["server-error"]),
        ("served 500 orders", []),
        ("all is well", []),
    ],
)
def test_a_line_tells_its_cause(line: str, names: list[str]) -> None:
    assert [each.name for each in Hints(shipped()).of(line)] == names


def test_every_shipped_hint_says_what_to_do() -> None:
    assert [each.name for each in shipped() if not (each.hint and each.action)] == []


def test_a_file_adds_hints_and_replaces_some(tmp_path: Path) -> None:
    path = tmp_path / "hints.yml"
    path.write_text(OWN)
    hints = load(path)
    assert [each.action for each in hints.of("queue mail is stuck")] == ["restart the worker"]
    assert [each.hint for each in hints.of("gave up waiting")] == ["our own words"]
    assert hints.of("timed out") == ()
    assert len(hints) == len(shipped()) + 1
    assert checked(path) == "log hints, 2 hints"


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (("hint: the worker", "hnit: the worker"), 4, "unknown key 'hnit' in hints[0]; did you mean 'hint'?"),
        (("'queue \\w+ is stuck'", "'('"), 3, "regular expression '(': missing ): ("),
        (("name: timeout", "name: our-queue"), 6, "hint 'our-queue' stands twice"),
        (("match: ['gave up waiting']", "match: []"), 7, "a hint needs an expression that lines match"),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, change: tuple[str, str], line: int, what: str) -> None:
    path = tmp_path / "hints.yml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(ConfigError) as told:
        load(path)
    assert (told.value.line, told.value.message.partition(" (at")[0]) == (line, what)

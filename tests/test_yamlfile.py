"""YAML as Go reads it, with the line of every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError


@pytest.mark.parametrize("written", ["08:00", "1.10", "on", "yes", "010", "0x1f", "2026-11-23", "1_000"])
def test_a_plain_scalar_stays_what_was_written(written: str) -> None:
    assert yamlfile.parse(f"a: {written}")["a"].text() == written


def test_typed_readers() -> None:
    doc = yamlfile.parse("i: 5\nf: 1.5\nb: true\nd: 1h30m\nl: [a, b]\nm: {x: 1, y: on}\none: a\nempty: ''\nnull_: ~")
    assert (doc["i"].integer(), doc["f"].number(), doc["b"].flag(), doc["d"].seconds()) == (5, 1.5, True, 5400)
    assert (doc["l"].texts(), doc["one"].texts(), doc["m"].mapping()) == (["a", "b"], ["a"], {"x": "1", "y": "on"})
    assert (doc["empty"].text(), doc["null_"].text("d"), doc["absent"].text("d")) == ("", "d", "d")
    assert doc["m"].plain() == {"x": 1, "y": "on"}


@pytest.mark.parametrize(
    ("text", "read", "says"),
    [
        ("a: 1\na: 2", lambda doc: doc["a"], "f.yml:2: key 'a' stands twice"),
        ("ab: 1", lambda doc: doc.fields("abc"), "f.yml:1: unknown key 'ab'; did you mean 'abc'? (at ab)"),
        ("a:\n  b: x", lambda doc: doc["a"]["b"].integer(), "f.yml:2: expected a whole number, not 'x' (at a.b)"),
        ("a: on", lambda doc: doc["a"].flag(), "f.yml:1: expected true or false, not 'on' (at a)"),
        (
            "a: 5",
            lambda doc: doc["a"].seconds(),
            "f.yml:1: not a duration: '5'; write for example 30s, 5m, 1h30m (at a)",
        ),
        ("a: {}", lambda doc: doc["a"].text(), "f.yml:1: expected a single value, not a list or mapping (at a)"),
        ("a: x", lambda doc: doc["a"].items(), "f.yml:1: expected a list (at a)"),
        ("a: x", lambda doc: doc["b"].text(), "f.yml:1: is required (at b)"),
        (
            "- a: [1, {b: }]",
            lambda doc: doc.items()[0]["a"].items()[1]["b"].text(),
            "f.yml:1: is required (at [0].a[1].b)",
        ),
    ],
)
def test_faults_name_file_line_and_place(text: str, read, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(yamlfile.parse(text, file="f.yml"))
    assert str(caught.value) == says


def test_what_is_no_yaml_names_its_line() -> None:
    with pytest.raises(ConfigError, match=r"f\.yml:2: is not valid YAML"):
        yamlfile.parse("a: 1\nb: ]", file="f.yml")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        yamlfile.read(tmp_path / "missing.yml")
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        yamlfile.read(tmp_path / "binary.yml")

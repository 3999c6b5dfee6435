"""What of a log line is masked."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.store.logpatterns import LONGEST, pattern_of
from aiprism.store.schema import PATTERN_MASKS

LINES = [
    ("user 17 logged in", "user <num> logged in"),
    ("took 0.25s, then -3.5 and +7", "took <num>s, then <num> and <num>"),
    ("id 5f0c7f3e-1111-2222-3333-444455556666 gone", "id <uuid> gone"),
    ("mail to ada.lovelace+x@mail.example.com failed", "mail to <email> failed"),
    ("a@b is no address", "a@b is no address"),
    ("at 2026-09-21T13:00:05.123Z and 2026-09-21 13:00:05,5+02:00", "at <time> and <time>"),
    ("from 10.0.0.7:443 to 192.168.1.1", "from <ip> to <ip>"),
    ("version 1.2.3", "version <num>.<num>"),
    ("blk_3587508140051953248 and blk 3587508140051953248", "blk_3587508140051953248 and blk <hex>"),
    ("at 0xdeadBEEF, commit 7bd5d47e446fcec2", "at <hex>, commit <hex>"),
    ("words like deadbeef and facade stay", "words like deadbeef and facade stay"),
    ("x1y2 a1 5d9f7b 5d9f", "x1y2 a1 <hex> <num>d9f"),
    ("10-20", "<num><num>"),
    ("Grüße 5 日本 7", "Grüße <num> 日本 <num>"),
    ("", ""),
]


@pytest.mark.parametrize(("line", "pattern"), LINES)
def test_variable_parts_are_masked(line: str, pattern: str) -> None:
    assert pattern_of(line) == pattern


WORDS = (
    "user = : , ( ) 7 42 0.25 -1 10.0.0.7 7bd5d47e446fcec2 0x1f a@example.com 5f0c7f3e-1111-2222-3333-444455556666 "
    "2026-09-21T13:00:05Z /var/log node-17 ms é"
)
parts = st.sampled_from(WORDS.split())


@given(st.lists(parts, max_size=12))
def test_one_pass_finds_what_the_regular_expressions_of_version_1_found(words: list[str]) -> None:
    line = " ".join(words)
    expected = line
    for mask, placeholder in PATTERN_MASKS:
        expected = re.sub(mask, placeholder, expected, flags=re.ASCII)
    assert pattern_of(line) == expected


def test_a_long_line_is_cut_between_characters() -> None:
    assert pattern_of("é" * LONGEST) == "é" * (LONGEST // 2)
    assert pattern_of("x" + "é" * LONGEST) == "x" + "é" * (LONGEST // 2 - 1)

"""What of a log line is masked."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.store.logpatterns import LONGEST, pattern_of, patterns_of

LINES = [
    ("user 17 logged in", "user <num> logged in"),
    ("took 0.25s, then -3.5 and +7", "took <num>s, then <num> and <num>"),
    ("id 5f0c7f3e-1111-2222-3333-444455556666 gone", "id <uuid> gone"),
    ("mail to ada.lovelace+x@mail.example.com failed", "mail to <email> failed"),
    ("a@b is no address", "a@b is no address"),
    ("mail to [redacted:email], [redacted:email]; [redacted:password]", "mail to <email>; [redacted:password]"),
    ("[redacted:emai [redacted] [red 7", "[redacted:emai [redacted] [red <num>"),
    ("at amqp://[redacted:url_credentials]@broker:5672/x up", "at <url> up"),
    ("at 2026-09-21T13:00:05.123Z and 2026-09-21 13:00:05,5+02:00", "at <time> and <time>"),
    ("from 10.0.0.7:443 to 192.168.1.1.", "from <ip> to <ip>."),
    ("hardware 5c:50:15:4c:18:13, net fe80::c6b3:1ff:fecd:467f/64", "hardware <ip>, net <ip>"),
    ("std::string and a::b are no addresses", "std::string and a::b are no addresses"),
    ("version 1.2.3 of 2016/9/27", "version <num> of <num>"),
    ("blk_3587508140051953248 and blk 3587508140051953248", "<id> and blk <hex>"),
    ("at 0xdeadBEEF, commit 7bd5d47e446fcec2", "at <hex>, commit <hex>"),
    ("words like facade stay, deadbeef does not", "words like facade stay, <hex> does not"),
    ("node-129 a1 is, eth0 stays, rdd_2_0", "<id> is, eth0 stays, <id>"),
    ("5d9f7b 5d9f", "<id>"),
    ("GET https://api.example.com/v2?q=1), then", "GET <url>), then"),
    ("read /var/log/a b, ./x, ~/y and C:\\Windows\\z.dll.", "read <path> b, <path> and <path>."),
    ("either/or / neither", "either/or / neither"),
    ("shard /data/[2026-09-21_10,00]-1.bin: gone", "shard <path>: gone"),
    ("db.example.com refused, cache.internal:6379 too", "<host> refused, <host> too"),
    ("com.example.Main started", "com.example.Main started"),
    ('tag="View Lock", name="", other "quoted" word', 'tag=<text>, name=<text>, other "quoted" word'),
    ("done 10, 20, 30 of 1##2##3", "done <num> of <num>"),
    ("5 KB of 60%, 12:30:01.5", "<num> KB of <num>%, <num>"),
    ("working......... 7 left... 8", "working... <num> left... <num>"),
    ("  two\t words \r\n", "two words"),
    ("Grüße 5 日本 7", "Grüße <num> 日本 <num>"),
    ("", ""),
]


@pytest.mark.parametrize(("line", "pattern"), LINES)
def test_variable_parts_are_masked(line: str, pattern: str) -> None:
    assert pattern_of(line) == pattern


PIECES = (
    "user = : , ( ) [ ] 7 42 0.25 -1 10.0.0.7 7bd5d47e446fcec2 0x1f a@example.com 5f0c7f3e-1111-2222-3333-444455556666 "
    '2026-09-21T13:00:05Z /var/log node-17 ms é . .. ... / // :: a:b:c =" " http://x <num> -'
)
lines = st.lists(st.sampled_from(PIECES.split()) | st.text(max_size=4), max_size=12).flatmap(
    lambda pieces: st.sampled_from([" ".join(pieces), "".join(pieces)])
)


@given(lines)
def test_whatever_a_line_holds_its_pattern_holds_no_free_digit_of_a_number(line: str) -> None:
    pattern = pattern_of(line)
    left = re.sub(
        r"(?<![^\s=:,()\[\]{}\"'|;<>#@])[A-Za-z]{2,}[0-9][.!?]*(?![^\s=:,()\[\]{}\"'|;<>#@])",
        "",
        pattern.replace("...", " "),
    )
    assert not re.search("[0-9]", left), (line, pattern)


@given(st.lists(lines, min_size=1, max_size=6))
def test_lines_are_masked_alike_alone_and_together(together: list[str]) -> None:
    raw = [line.encode() for line in together]
    ends = np.concatenate([[0], np.cumsum([len(line) for line in raw])]).astype(np.int32)
    assert patterns_of(np.frombuffer(b"".join(raw), np.uint8), ends).to_pylist() == [
        pattern_of(line) for line in together
    ]


def test_a_long_line_is_cut_between_characters() -> None:
    assert pattern_of("é" * LONGEST) == "é" * (LONGEST // 2)
    assert pattern_of("x" + "é" * LONGEST) == "x" + "é" * (LONGEST // 2 - 1)

"""Which lines are one statement, and what of it varies."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.detect.logpatterns import VARIABLE, mined, templates

# Lines of one statement each, with its template.
STATEMENTS = [
    (["queue cart is full", "queue orders is full", "queue 7 is full"], "queue <*> is full"),
    (
        [
            f"Failed password for {user} from 10.0.0.{at} port 4{at} ssh2"
            for at, user in enumerate(("root", "ftp", "ada"))
        ],
        "Failed password for <*> from <*> port <*> ssh2",
    ),
    (
        [
            "calling model gpt-4o with 12 tokens",
            "calling model llama with 7 tokens",
            "calling model claude with 1 tokens",
        ],
        "calling model <*> with <*> tokens",
    ),
    (["took 5 ms", "took 1.5 sec", "took <1 sec"], "took <*>"),
    (["stored (5.2 KB of 8 GB)", "stored (17 B of 8 GB)"], "stored (<*> of <*>)"),
    (["at Thu Aug 11 10:49:49 PDT 2005 gone", "at Sat Sep  3 07:00:00 PDT 2005 gone"], "at <*> gone"),
    (["delete blk_1 blk_2 blk_3 now", "delete blk_4 now"], "delete <*> now"),
    (
        ["auth: uid=0 ruser= rhost=10.0.0.7", "auth: uid=7 ruser=ada rhost=db.example.com"],
        "auth: uid=<*> ruser=<*> rhost=<*>",
    ),
    (
        ["wake up(lock=RILJ, by=phone)", "wake up(lock=Audio, by=server)", "wake up(lock=View, by=ui)"],
        "wake up(lock=<*>, by=<*>)",
    ),
]
COLOURS = "red green blue cyan pink teal grey gold lime navy plum"
# Statements that resemble each other and are none the less several.
APART = [
    ["VM Started (Lifecycle Event)", "VM Paused (Lifecycle Event)", "VM Resumed (Lifecycle Event)"],
    ["task 1 went from NEW to READY", "task 1 went from READY to DONE"],
    ['10.0.0.7 "GET /a" 200', '10.0.0.7 "POST /a" 200'],
    ["link up on eth0", "link up on eth1"],
    ["force=true", "force=false"],
    ["started...", "stopped..."],
]


@pytest.mark.parametrize(("lines", "template"), STATEMENTS)
def test_lines_of_one_statement_have_one_template(lines: list[str], template: str) -> None:
    found = mined(["\n".join(lines * 9).encode()])
    assert [(each.template, each.lines, each.first, each.example) for each in found.statements] == [
        (template, 9 * len(lines), 1, lines[0])
    ]


@pytest.mark.parametrize("lines", APART)
def test_what_tells_statements_apart_stays(lines: list[str]) -> None:
    assert len(mined(["\n".join(lines * 9).encode()]).statements) == len(lines)


def test_a_word_in_whose_place_many_others_stand_is_variable() -> None:
    words = COLOURS.split()
    assert set(templates({f"the colour {word} was chosen": 1 for word in words}).values()) == {
        "the colour <*> was chosen"
    }


def test_blocks_are_one_text_and_lines_keep_their_numbers() -> None:
    found = mined([b"a 1\nb x\n", b"\r\n", b"a 2\nb \xff"])
    assert [found.statements[at].template for at in found.of_line] == ["a <*>", "b x", "", "a <*>", "b \ufffd"]
    assert [(each.lines, each.first) for each in found.statements] == [(2, 1), (1, 2), (1, 3), (1, 5)]
    assert mined([]).statements == mined([b""]).statements == ()


def test_an_id_is_that_of_the_template_wherever_it_is_found() -> None:
    one, other = (
        mined([text]).statements[0] for text in (b"user 1 of 10.0.0.7", b"user ada of db.example.com\nuser 2 of 7")
    )
    assert (one.template, one.id) == (other.template, other.id)


words = st.sampled_from(
    ["user", "job", "failed", "for", "on", "7", "10.0.0.7", "cart.db", "a_b", "x=1", "y=z", "'q'", "true", "/p", "eth0"]
)


@given(st.lists(st.lists(words, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=8), st.randoms())
def test_the_order_of_lines_does_not_matter(lines: list[str], order: random.Random) -> None:
    shuffled = order.sample(lines, len(lines))
    one, other = (mined(["\n".join(each).encode()]) for each in (lines, shuffled))
    assert {(each.template, each.lines) for each in one.statements} == {
        (each.template, each.lines) for each in other.statements
    }
    assert all(VARIABLE in each.template or each.example for each in one.statements)

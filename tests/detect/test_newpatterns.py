"""Which patterns are news."""

from __future__ import annotations

import zlib

from aiprism.detect.newpatterns import NewPattern, sifted
from aiprism.model.logs import PatternCount

BEGUN = {"api": 0, "cart": 6000}


def met(pattern: str, *, service: str = "api", lines: int = 1, at: int = 6060, level: str = "ERROR") -> PatternCount:
    return PatternCount(zlib.crc32(pattern.encode()), pattern, service, level, lines, at, at, pattern)


def test_what_an_old_service_never_said_is_news() -> None:
    disk = met("no disk")
    assert sifted([disk], {}, BEGUN, 600).news == (NewPattern("api", "no disk", (disk,)),)


def test_a_new_service_is_being_learned() -> None:
    found = sifted([met("no disk", service="cart"), met("no disk", service="unheard of")], {}, BEGUN, 600)
    assert (found.news, found.quiet) == ((), {"learning": 2})
    assert len(sifted([met("no disk", service="cart")], {}, BEGUN, 60).news) == 1
    assert len(sifted([met("no disk", service="unheard of")], {}, BEGUN, 0).news) == 1


def test_another_value_is_no_news() -> None:
    orders = met("queue orders is full")
    known = {"api": {7: "queue <id> is full"}, "cart": {8: "no disk"}}
    found = sifted([orders, met("no disk")], known, BEGUN, 600)
    assert found.variants == {("api", orders.pattern_id): 7}
    assert [each.template for each in found.news] == ["no disk"]  # what another service says is another matter
    assert found.quiet == {"variant": 1}


def test_patterns_of_one_statement_are_one_piece_of_news() -> None:
    rows = [met("queue cart is full"), met("queue <id> is full", lines=3), met("queue <id> is full", level="FATAL")]
    [news] = sifted(rows, {}, BEGUN, 600).news
    assert (news.template, news.lines, news.pattern_id) == ("queue <*> is full", 5, rows[1].pattern_id)

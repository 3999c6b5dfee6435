"""A condition means the same of records that come in as of those that are stored."""

from __future__ import annotations

import pytest

from aiprism.errors import BadInput
from aiprism.query.lucene import condition
from aiprism.receive.logmatch import askable, fits, pairs_of
from aiprism.store.logcolumns import sent_columns
from tests.query.test_log_search import FOUND, body
from tests.receive.test_redaction import request

ROWS = sent_columns(body())
TIMES = ("timestamp", "@timestamp")


@pytest.mark.parametrize(("text", "expected"), [(text, lines) for text, lines in FOUND if not text.startswith(TIMES)])
def test_a_query_takes_the_lines_that_the_store_finds(text: str, expected: str) -> None:
    assert "".join(str(row) for row, one in enumerate(fits(condition(text), ROWS)) if one) == expected


def test_scopes_and_columns_are_asked_by_name() -> None:
    rows = sent_columns(request(["one"], {"service.name": "api", "n": 7}, a="x"))
    for text in ("service.name:api", "resource.n:7", "n:>6", "attributes.a:x", "severity_number:0", "-scope:x"):
        assert fits(condition(text), rows).tolist() == [True], text
    for text in ("attributes.n:7", "scope.a:x", "_exists_:event_name", "level:>=TRACE", "a:>b"):
        assert fits(condition(text), rows).tolist() == [text == "a:>b"], text


@pytest.mark.parametrize("text", ["pattern_id:17", "a AND (b OR NOT ts:>2026-01-01)"])
def test_what_is_known_only_once_stored_cannot_be_asked(text: str) -> None:
    with pytest.raises(BadInput, match="cannot be asked of records that are not stored yet"):
        askable(condition(text))


def test_a_saved_search_is_refused_and_no_field_called_saved() -> None:
    with pytest.raises(BadInput, match="a saved search \\('slow'\\) cannot be asked"):
        askable(condition("-saved:slow"))
    askable(condition("attributes.saved:slow"))


def test_pairs_are_read_as_logfmt_writes_them() -> None:
    line = r'level=warn msg="two \"words\"" n= at=10:00 url=http://x/?a=b, free'
    assert dict(pairs_of(line)) == {
        "level": "warn", "msg": 'two "words"', "n": "", "at": "10:00", "url": "http://x/?a=b",
    }  # fmt: skip


def test_a_line_made_to_cost_much_costs_its_length() -> None:
    """A megabyte of each: what takes the square of its length would take hours, and be ended by the limit of tests."""
    for piece in ("a", 'a="', 'a=\\"', "é", '"', "=", "\\"):
        line = piece * (1_000_000 // len(piece))
        assert dict(pairs_of(f"{line} k=v"))["k"] == "v"


def test_json_deeper_than_anybody_looks_has_no_such_field() -> None:
    rows = sent_columns(request(['{"a":' + "[" * 400 + "]" * 400 + "}", '{"a":"x"}']))
    assert fits(condition("a:x"), rows).tolist() == [False, True]

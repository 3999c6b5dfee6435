"""What a search in Lucene's syntax asks."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput
from aiprism.model.search import ANYTHING, All, Any, Between, Condition, Exists, Is, Like, Matches, Not, Wild
from aiprism.query.lucene import LONGEST, MOST_TERMS, SPANS, condition

A, B, C = (Is("", word) for word in "abc")
MEANINGS: list[tuple[str, Condition]] = [
    ("", ANYTHING),
    ("*", ANYTHING),
    ("*:*", ANYTHING),
    ("a", A),
    ("a b", All((A, B))),
    ("a AND b OR c", Any((All((A, B)), C))),
    ("a && b || !c", Any((All((A, B)), Not(C)))),
    ("(a OR b) c", All((Any((A, B)), C))),
    ("+a -b", All((A, Not(B)))),
    ("a NOT b", All((A, Not(B)))),
    ('"timed out"', Is("", "timed out")),
    ('f:"a\\"b"', Is("f", 'a"b')),
    ("level:ERROR", Is("level", "ERROR")),
    ("-f:x", Not(Is("f", "x"))),
    ("service:api-gateway", Is("service", "api-gateway")),
    ("f:(a OR b)", Any((Is("f", "a"), Is("f", "b")))),
    ("http.status_code:[500 TO 599}", Between("http.status_code", "500", "599", True, False)),
    ("n:[* TO -5]", Between("n", None, "-5")),
    ("n:>=500", Between("n", "500", None)),
    ("n:<-5", Between("n", None, "-5", False, False)),
    ("n:-5", Is("n", "-5")),
    ("f:*", Exists("f")),
    ("f:\\*", Is("f", "*")),
    ("_exists_:f", Exists("f")),
    ("te?t*", Like("", ("te", Wild.ONE, "t", Wild.MANY))),
    ("f:*.py", Like("f", (Wild.MANY, ".py"))),
    ("/time.*out after/", Matches("", "time.*out after")),
    ("f:/a\\/b/", Matches("f", "a/b")),
    ("path:/api/v1", Is("path", "/api/v1")),
    ("/api/v1 x", All((Is("", "/api/v1"), Is("", "x")))),
    ("url:http://shop/cart", Is("url", "http://shop/cart")),
    ("path:/api/*", Like("path", ("/api/", Wild.MANY))),
    ("/api/v?/cart", Like("", ("/api/v", Wild.ONE, "/cart"))),
    ("user=ad*", Like("", ("user=ad", Wild.MANY))),
    ('path:/a\\"b', Is("path", '/a"b')),
    ("level:warning", Is("level", "WARN")),
    ("level:[ERR TO critical]", Between("level", "ERROR", "ERROR")),
    ("@timestamp:>2026-01-01T01:00:00+01:00", Between("@timestamp", "2026-01-01 00:00:00.000000", None, False, False)),
    ("at:2026-01-01T00:00:00Z", Is("at", "2026-01-01T00:00:00Z")),
    ("a\\:b", Is("", "a:b")),
    ("status=500", Is("", "status=500")),
    ("and or not", All((Is("", "and"), Is("", "or"), Is("", "not")))),
]
MISTAKES = [
    ("(a", "a ( is not closed"),
    ("a AND", "it ends too early: 'AND' wants something behind it"),
    ('"x', 'a " is not closed'),
    (")", "unexpected ')' at character 1"),
    ("roam~2", "fuzzy words have no meaning here"),
    ('"a b"~3', "words near each other have no meaning"),
    ("x^2", "boosts have no meaning"),
    ("[a TO b]", "a range is one of a field, as in duration_ms:[100 TO 500]"),
    ("f:/(/", "regular expression '('"),
    ("x:(y:z)", "field 'y' within field 'x'"),
    ("a" * (LONGEST + 1), "4097 characters are too many"),
    ("(" * 2000 + "a" + ")" * 2000, "nested too deeply"),
    ("NOT " * 900 + "a", "nested too deeply"),
    ("-" * 2000 + "a", "nested too deeply"),
    (" ".join("a" * (MOST_TERMS + 1)), "51 terms are too many: 50"),
    ("level:>=LOUD", "'LOUD' is no level; there are FATAL, ERROR"),
    ("@timestamp:>yesterday", "'yesterday' is no moment; write for example 2026-09-21T13:00:00Z"),
]
OF_SPANS: list[tuple[str, Condition]] = [
    ("duration:>2s", Between("duration", "2000000000", None, False, False)),
    ("duration:[100ms TO 1.5s}", Between("duration", "100000000", "1500000000", True, False)),
    ("duration:<=1m30s", Between("duration", None, "90000000000")),
    ("duration:250µs", Is("duration", "250000")),
    ("status:ERROR", Is("status", "error")),
    ("kind:(Server OR client)", Any((Is("kind", "server"), Is("kind", "client")))),
    ("level:warning", Is("level", "warning")),
    ("ts:2026-01-01", Between("ts", "2026-01-01 00:00:00.000000", "2026-01-01 00:00:00.000000")),
]
MISTAKES_OF_SPANS = [
    ("duration:>100", "'100' is no duration; write for example 250ms, 1.5s or 2m"),
    ("duration:2x", "'2x' is no duration"),
    ("duration:99999999999h", "is no duration"),
    ("duration:1*", "a duration has no form; write a range, as duration:>1s"),
    ("status:bad", "'bad' is no status; there are unset, ok, error"),
    ("kind:[client TO server]", "a kind has no order; write kind:(consumer OR unspecified)"),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS)
def test_a_query_means(text: str, meaning: Condition) -> None:
    assert condition(text) == meaning


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_told_with_what_to_do(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        condition(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "meaning"), OF_SPANS)
def test_a_query_of_spans_means(text: str, meaning: Condition) -> None:
    assert condition(text, SPANS) == meaning


@pytest.mark.parametrize(("text", "message"), MISTAKES_OF_SPANS)
def test_a_mistake_in_a_query_of_spans_is_told(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        condition(text, SPANS)


PIECES = st.sampled_from(
    [*'+-!():[]{}"/\\*?~^<>=& ', "AND", "OR", "NOT", "TO", "a", "f:", "é", "\x00", "'", ";", "{s0:String}"]
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=20))
def test_any_text_is_a_query_or_a_mistake_in_words(text: str) -> None:
    with suppress(BadInput):
        condition(text)

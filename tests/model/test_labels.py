"""Label sets and matchers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput
from aiprism.model.labels import Labels, Matcher, MatchOp, matches_all

pairs = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=6)


@given(pairs)
def test_order_and_empty_values_do_not_matter(given_pairs: dict[str, str]) -> None:
    turned = dict(reversed(given_pairs.items()))
    assert Labels(given_pairs) == Labels({**turned, "never": ""})
    assert Labels(given_pairs).fingerprint == Labels(turned).fingerprint


@given(pairs, pairs)
def test_different_label_sets_have_different_fingerprints(one: dict[str, str], other: dict[str, str]) -> None:
    assert (Labels(one) == Labels(other)) == (Labels(one).fingerprint == Labels(other).fingerprint)


def test_a_fingerprint_never_changes_between_versions() -> None:
    assert Labels({"__name__": "up", "job": "api"}).fingerprint == 0xCC415623BA08EF03


@pytest.mark.parametrize(
    ("matcher", "value", "accepts"),
    [
        (Matcher("a", MatchOp.EQUAL, "x"), "x", True),
        (Matcher("a", MatchOp.EQUAL, ""), "", True),
        (Matcher("a", MatchOp.NOT_EQUAL, "x"), "", True),
        (Matcher("a", MatchOp.REGEX, "5.."), "503", True),
        (Matcher("a", MatchOp.REGEX, "5.."), "1503", False),
        (Matcher("a", MatchOp.REGEX, "a.b"), "a\nb", True),
        (Matcher("a", MatchOp.REGEX, ".*"), "", True),
        (Matcher("a", MatchOp.NOT_REGEX, "a|b"), "a", False),
        (Matcher("a", MatchOp.NOT_REGEX, "a|b"), "ab", True),
    ],
)
def test_matchers_are_anchored_and_absent_is_empty(matcher: Matcher, value: str, accepts: bool) -> None:
    assert matcher.matches(value) is accepts
    assert matches_all([matcher], {"a": value}) is accepts


def test_what_re2_does_not_know_is_bad_input() -> None:
    with pytest.raises(BadInput, match="regular expression"):
        Matcher("a", MatchOp.REGEX, "(?=x)").matches("x")


def test_a_matcher_prints_as_promql_writes_it() -> None:
    assert str(Matcher("a", MatchOp.NOT_EQUAL, 'q"\\\n')) == 'a!="q\\"\\\\\\n"'


def test_many_label_sets_at_once_are_what_each_is_alone():
    columns = {"b": ["1", "", "x"], "__name__": ["m", "m", ""], "a": ["", "", "y"]}
    alone = [Labels(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    many = Labels.rows(columns, columns.values())
    assert (many, [hash(each) for each in many]) == (alone, [hash(each) for each in alone])
    assert [each.pairs for each in many] == [each.pairs for each in alone]

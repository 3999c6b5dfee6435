"""What is PromQL is read, and printed so that it reads back as the same; what is not is refused with its place."""

from __future__ import annotations

import math
import re

import pytest

from aiprism.errors import BadInput
from aiprism.query.promql.functions import FUNCTIONS
from aiprism.query.promql.parse import parse
from aiprism.query.promql.signatures import SIGNATURES
from aiprism.query.promql.syntax import Number, start_of
from tests.query.promql.expressions import ACCEPTED, ACCEPTED_BY_3, REFUSED, REFUSED_BY_3


@pytest.mark.parametrize("text", [*ACCEPTED, *ACCEPTED_BY_3])
def test_what_is_promql_reads_back_as_the_same(text: str) -> None:
    tree = parse(text)
    assert parse(str(tree)) == tree or (isinstance(tree, Number) and math.isnan(tree.value))
    assert text[start_of(tree)] not in " #\n"


@pytest.mark.parametrize("text", [*REFUSED, *REFUSED_BY_3])
def test_what_is_not_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert re.match(r"\d+:\d+: parse error: \S", str(caught.value))
    assert 0 <= int(str(caught.value.details["position"])) <= len(text)


def test_every_function_has_a_signature_and_none_that_is_not_there() -> None:
    assert SIGNATURES.keys() == FUNCTIONS


def test_places_are_those_of_the_text() -> None:
    tree = parse('1 +\n  sum by (a) (rate(x{b="c"}[5m]))')
    assert (start_of(tree), start_of(tree.right)) == (0, 6)  # type: ignore[union-attr]
    assert start_of(tree.right.expr.args[0]) == 23  # type: ignore[union-attr]

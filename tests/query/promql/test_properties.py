"""What holds for every query: a range query is its instant queries, and what is printed reads back as the same."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from aiprism.errors import AiprismError
from aiprism.model.labels import Labels
from aiprism.query.promql import PromQL
from aiprism.query.promql.parse import parse
from aiprism.query.promql.plan import explained, plan
from aiprism.query.promql.syntax import as_json
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from tests.query.promql.dataset import START, dataset
from tests.query.promql.queries import BY_HAND, generated
from tests.query.promql.script import same
from tests.query.promql.stocked import Stocked

MORE = [
    r'x{a="\"\\\n\t",b=~`\d+`}',
    '{"a.b","c d"="e"}',
    "sum without (a, `b c`) (x)",
    "topk by () (3, x offset -5m @ end())",
    "x * on (a, b) group_left (c, `d e`) y",
    "x > bool ignoring (a) group_right () y",
    "rate((x)[5m:] offset 1h @ 12.345)",
    "-(-x ^ 2) - -1",
    "label_replace(x, 'a', '$1', 'b', '(.*)')",
    "1e300 * 1e-300 + Inf - NaN",
]


@pytest.fixture(scope="module")
def stocked(chdb_url: str) -> Iterator[Stocked]:
    engine = Engine.open(chdb_url, database=f"properties_{random.getrandbits(40)}")
    migrate(engine)
    store = Stocked.on(engine)
    store.add(dataset())
    yield store
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


def test_a_range_query_is_its_instant_queries(stocked: Stocked):
    chance = random.Random(11)
    for query in [query for query in generated(chance, 60) if "end()" not in query and "start()" not in query]:
        start, step = START + chance.randrange(0, 2000), chance.choice((13, 60, 150.5))
        times = [start + place * step for place in range(5)]
        whole = _outcome(stocked.promql, query, start, times[-1], step)
        each = [_outcome(stocked.promql, query, at, at, 1) for at in times]
        if whole is None or any(one is None for one in each):
            # Prometheus, and we, refuse a range as a whole when series clash at any of its steps.
            assert whole is None, f"{query}: the range succeeds, a step of it does not"
            continue
        merged = {key: value for one in each for key, value in (one or {}).items()}
        assert whole.keys() == merged.keys(), query
        for key, value in whole.items():
            assert same(value, merged[key], 1e-9), f"{query}: {key}: {value} as a range, {merged[key]} at once"


def _outcome(
    engine: PromQL, query: str, start: float, end: float, step: float
) -> dict[tuple[Labels, int], float] | None:
    try:
        if start == end:
            return {(item.labels, round(start * 1000)): item.value for item in engine.vector(query, start)}
        found = engine.range(query, start, end, step)
    except AiprismError:
        return None
    return {
        (each.labels, ts): v for each in found for ts, v in zip(each.ts_ms.tolist(), each.values.tolist(), strict=True)
    }


@pytest.mark.parametrize("part", [*sorted(BY_HAND), "generated", "more"])
def test_what_is_printed_reads_back_as_the_same(part: str):
    queries = {"generated": generated(random.Random(5), 300), "more": MORE}.get(part) or BY_HAND[part]
    for query in queries:
        tree = parse(query)
        # NaN is not equal to itself; its text is.
        assert parse(str(tree)) == tree or "nan" in query.lower(), f"{query} became {tree}"
        assert str(parse(str(tree))) == str(tree)


def test_every_expression_has_a_plan_and_a_json_form():
    for query in (*MORE, *generated(random.Random(6), 100)):
        tree = parse(query)
        assert list(explained(plan(tree, 0, 60_000)))
        assert as_json(tree)["type"]

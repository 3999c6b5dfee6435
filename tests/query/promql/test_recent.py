"""Queries on samples kept from query to query: the same answers as without, while samples come in."""

from __future__ import annotations

import random
import re

import pytest

from aiprism.model.labels import Labels
from aiprism.store.engine import Engine
from aiprism.store.question import Question, Statement
from aiprism.store.recent import Whose
from aiprism.web import prometheus_json
from tests.query.promql.stocked import Stocked

START = 1_700_000_000
QUERIES = (
    "sum by (kind) (rate(data[2m]))",
    "data",
    "data offset 1m",
    'max_over_time(data{number="3"}[90s])',
    "count(data)",
    "avg(increase(data[3m]))",
)


@pytest.mark.parametrize("handed_over", [False, True])
def test_every_answer_has_what_was_stored_before_it(engine: Engine, handed_over: bool):
    """Targets that lag, series that begin, and old samples of new series, between questions that move on."""
    stocked, chance = Stocked.on(engine), random.Random(3)
    store = stocked.receive if handed_over else stocked.add
    ends = dict.fromkeys(range(8), 0)
    for turn in range(12):
        now = START + turn * 60
        for number in range(6 if turn < 6 else 8):
            lag = chance.choice((0, 15, 45)) if number % 2 else 0
            since = max(now - 60 - lag, ends[number]) if handed_over else now - 60 - lag  # what comes again is no news
            times, ends[number] = range(since * 1000, (now - lag) * 1000, 15_000), now - lag
            labels = Labels({"__name__": "data", "number": str(number), "kind": str(number % 2)})
            store([(labels, [(ts, float(ts // 1000 % 500)) for ts in times])])
        if turn == 8:
            old = Labels({"__name__": "data", "number": "late", "kind": "2"})
            store([(old, [((START + second) * 1000, float(second)) for second in range(0, 300, 15)])])
        for query in QUERIES:
            asked = (query, now - 240, now, 30)
            kept, plain = stocked.kept.range(*asked), stocked.plain.range(*asked)
            assert prometheus_json.result(kept) == prometheus_json.result(plain), f"{query} in turn {turn}"
            assert stocked.kept.instant(query, now) == stocked.plain.instant(query, now), query


def test_a_question_about_samples_that_came_in_since_the_one_before_reads_nothing(engine: Engine):
    stocked = Stocked.on(engine)
    sets = [Labels({"__name__": "data", "number": str(number)}) for number in range(20)]
    for turn in range(20):
        now = START + turn * 15
        stocked.receive([(labels, [(now * 1000, float(turn * number))]) for number, labels in enumerate(sets)])
        statements: list[Statement] = []
        question = Question(60)
        question.noted = statements.append
        found = stocked.kept.instant("sum(rate(data[2m]))", now, question=question)
        assert found == stocked.plain.instant("sum(rate(data[2m]))", now)
        # The first one reads ahead; after that time the rest of the next minutes is read once.
        assert bool(statements) == (turn == 0 or (now - 15) // 300 < now // 300)


@pytest.mark.parametrize("warm", [False, True])
def test_many_expressions_at_once_give_what_each_gives_alone(engine: Engine, warm: bool):
    stocked = Stocked.on(engine)
    for name in ("data_total", "other_total"):
        for number in range(5):
            labels = Labels({"__name__": name, "number": str(number)})
            stocked.receive([(labels, [((START + at) * 1000, at * number % 70) for at in range(number, 150, 15)])])
    texts = [
        f"{function}({name}{{number={which}}}[1m]{offset}) > {limit}"
        for function in ("rate", "max_over_time", "stddev_over_time")
        for name in ("data_total", "other_total")
        for which in ('"2"', '~"[13]"', '"none"')
        for offset, limit in (("", 0), ("", 1), (" offset 30s", 0))
    ]
    texts += [
        "data_total",
        "other_total > 40",
        "timestamp(data_total)",
        "1 +",
        "1 + 2",
        "data_total @ start()",
        "'words'",
    ]
    texts += [
        '{number="2"}',
        "sum(rate(data_total[2m])) / sum(rate(other_total[2m]))",
        "label_replace(data_total, '(', '', '', '')",
    ]
    if warm:
        stocked.kept.instant("data_total + other_total", START + 140)
    for text, answer in zip(texts, stocked.kept.vectors(texts, START + 150), strict=True):
        if isinstance(answer.value, Exception):
            with pytest.raises(type(answer.value), match=re.escape(str(answer.value))):
                stocked.plain.vector(text, START + 150)
        else:
            assert answer.value == stocked.plain.vector(text, START + 150), text
            assert answer.seconds > 0


def test_questions_about_few_series_of_many_do_not_read_all_of_them(engine: Engine):
    stocked = Stocked.on(engine)
    sets = [Labels({"__name__": "data", "number": str(number)}) for number in range(300)]
    stocked.add([(labels, [(START * 1000, 1.0)]) for labels in sets])
    recent = stocked.kept.samples.kept
    assert recent is not None
    stocked.kept.instant('data{number="7"}', START)
    assert recent.get(Whose("data"), START * 1000 - 1, START * 1000) is None
    stocked.kept.instant("data", START)
    assert recent.get(Whose("data"), START * 1000 - 1, START * 1000) is not None


def test_a_metric_asked_for_in_many_parts_is_kept_as_a_whole(engine: Engine):
    stocked = Stocked.on(engine)
    sets = [Labels({"__name__": "data", "number": str(number)}) for number in range(300)]
    recent = stocked.kept.samples.kept
    assert recent is not None
    for turn in range(3):
        now = START + turn * 15
        stocked.add([(labels, [(now * 1000, float(number + turn))]) for number, labels in enumerate(sets)])
        for number in range(20):
            query = f'data{{number="{number}"}}'
            assert stocked.kept.instant(query, now) == stocked.plain.instant(query, now)
    assert recent.asked_in_parts("data")
    assert not recent.asked_in_parts("other")
    assert recent.get(Whose("data"), (START + 29) * 1000, (START + 30) * 1000) is not None

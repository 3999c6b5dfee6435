"""Rules on logs and traces: how a rule file says what is counted, and what the store's counts are as a vector.

In: the fields of a rule (`logs` or `traces`, `value`, `by`, `over`, `when`), and the store. Out: a `SignalQuestion`, and its
answer at a moment or over time in the form of PromQL's, so that evaluation knows no difference. `Answers` answers questions of both
kinds. When rules are evaluated is left to `groups.py`.
"""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aiprism.errors import BadInput
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.model.savedsearches import SavedSearch
from aiprism.model.search import Condition
from aiprism.model.signals import COMPARISONS, Kind, Measure, Selection, Signal, SignalQuestion, Threshold
from aiprism.model.timerange import duration_seconds, format_duration
from aiprism.query import saved
from aiprism.query.promql import Matrix, PromQL, Vector
from aiprism.query.promql.values import Answer, Series, VectorItem
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.store.signals import Measured, SignalStore
from aiprism.yamlfile import Node

# What a rule asks: an expression in PromQL, or a measure of logs or traces.
RuleQuestion = str | SignalQuestion

FIELDS = ("logs", "traces", "search", "value", "by", "over", "when")
MOST_FIELDS = 8
LONGEST_WINDOW = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What files of rules on signals are read with. Groups with such rules are asked `delay` seconds late, unless they say
    themselves how much, because records come in batches. Without `find`, saved searches are taken to be there."""

    delay: float = 10.0
    find: saved.Find | None = None


# -- reading -----------------------------------------------------------------------------------------------------------


_SEARCHES = ("logs", "traces", "search")


def written(asked: SignalQuestion) -> Mapping[str, str | Sequence[str]]:
    """The fields with which a file says what a rule asks; what `question` reads from them asks the same."""
    said: dict[str, str | Sequence[str]] = {
        asked.selection.signal.value: asked.query,
        "value": str(asked.measure),
        "by": list(asked.selection.by),
        "over": format_duration(asked.selection.over),
        "when": f"{asked.when.sign} {repr(asked.when.number).removesuffix('.0')}" if asked.when else "",
    }
    return {name: value for name, value in said.items() if value or name == asked.selection.signal.value}


def asks(rule: Node) -> bool:
    """Whether a rule of a file is one on a signal."""
    return any(name in rule.entries() for name in _SEARCHES)


def question(rule: Node, reading: Reading, *, alert: bool) -> SignalQuestion:
    """What a rule on a signal asks; ConfigError when it says that wrongly."""
    given = [name for name in ("expr", *_SEARCHES) if name in rule.entries()]
    if len(given) > 1:
        raise rule[given[1]].error(
            f"a rule asks one thing: PromQL with 'expr', logs with 'logs', traces with 'traces', or a saved search with "
            f"'search', not {given[0]!r} and {given[1]!r}"
        )
    node = rule[given[0]]
    search = _saved(node, reading) if given == ["search"] else SavedSearch("", Signal(given[0]), node.text(""))
    asked, names = _condition(node, search, reading)
    # Of which signal a saved search is, is not known where there is none.
    signals = [search.signal] if reading.find or not search.name else list(Signal)
    measure = _measure(rule["value"], signals)
    of_time = measure.field == DURATION and Signal.TRACES in signals  # a log record says it in whatever unit
    return SignalQuestion(
        Selection(search.signal, asked, _by(rule["by"]), _over(rule)),
        measure,
        _when(rule, alert=alert, of_time=of_time),
        " ".join(search.query.split()),
        names,
    )


def _saved(node: Node, reading: Reading) -> SavedSearch:
    name = node.text()
    if reading.find is None:
        return SavedSearch(name, Signal.LOGS, f"{saved.FIELD}:{name}")
    found = reading.find(name)
    if found is None:
        raise node.error(
            f"there is no saved search {name!r}; save it first (POST /aiprism/v1/searches), or take it out"
        )
    return found


def _condition(node: Node, search: SavedSearch, reading: Reading) -> tuple[Condition, frozenset[str]]:
    """What a search asks, and the saved searches it is made of."""
    names = {search.name} - {""}

    def find(name: str) -> SavedSearch | None:
        names.add(name)
        return reading.find(name) if reading.find else SavedSearch(name, search.signal, "")

    within = tuple(names) if reading.find else ()
    try:
        asked = saved.resolved(saved.condition(search.query, search.signal), find, search.signal, within)
    except BadInput as error:
        raise node.error(str(error)) from None
    return asked, frozenset(names)


def _by(node: Node) -> tuple[str, ...]:
    names = node.texts()
    if len(names) > MOST_FIELDS:
        raise node.error(f"{len(names)} fields are too many to count by: {MOST_FIELDS} are read")
    for at, name in enumerate(names):
        if not name.strip() or label_of(name) == METRIC_NAME:
            raise node.error(f"{name!r} is no field to count by")
        if label_of(name) in map(label_of, names[:at]):
            raise node.error(
                f"{name!r} becomes the label {label_of(name)!r}, which is there already; leave one of them out"
            )
    return tuple(names)


def _over(rule: Node) -> float:
    if not rule["over"]:
        raise rule.error("needs an 'over', how far back records count, as 5m")
    seconds = rule["over"].seconds()
    if not 0 < seconds <= LONGEST_WINDOW:
        raise rule["over"].error(f"is a duration above 0s, and {format_duration(LONGEST_WINDOW)} at most")
    return seconds


_CALL = re.compile(r"(\w+)\s*(?:\((.*)\))?", re.DOTALL)
DURATION = "duration"  # the field of spans that is meant where none is named
_SHARED = "count, rate, distinct(FIELD), sum(FIELD), avg(FIELD), min(FIELD), max(FIELD), quantile(0.99, FIELD)"
_WORDS = {Signal.LOGS: _SHARED, Signal.TRACES: f"{_SHARED}, quantile(0.99) of the duration, error_share"}


def _measure(node: Node, signals: Sequence[Signal]) -> Measure:
    """What is computed of records of one of these signals."""
    text, spans = node.text(Kind.COUNT.value).strip(), Signal.TRACES in signals
    there_are = f"there are {_WORDS[signals[-1]]}"
    said = _CALL.fullmatch(text)
    kind = next((kind for kind in Kind if said and said[1] == kind.value), None)
    if said is None or kind is None or (kind is Kind.ERROR_SHARE and not spans):
        raise node.error(f"{text!r} is no value; {there_are}")
    given = [each.strip() for each in (said[2] or "").split(",") if each.strip()]
    if kind is Kind.QUANTILE and spans and len(given) == 1:
        given.append(DURATION)
    wanted = {Kind.COUNT: 0, Kind.RATE: 0, Kind.ERROR_SHARE: 0, Kind.QUANTILE: 2}.get(kind, 1)
    if len(given) != wanted:
        takes = ("nothing", "a field", "a number and a field")[wanted]
        raise node.error(f"{text!r}: {kind.value} takes {takes}; {there_are}")
    if kind is not Kind.QUANTILE:
        return Measure(kind, "".join(given))
    quantile = _number(given[0])
    if quantile is None or not 0 <= quantile <= 1:
        raise node.error(f"{text!r}: {given[0]!r} is no quantile; write for example quantile(0.99, {given[1]})")
    return Measure(kind, given[1], quantile)


def _when(rule: Node, *, alert: bool, of_time: bool) -> Threshold | None:
    """The comparison of an alert; with a duration in the place of seconds when the value is `of_time`."""
    node = rule["when"]
    if not alert:
        if "when" in rule.entries():
            raise node.error("'when' is for alerts; a recording rule records every value")
        return None
    if not node:
        raise rule.error("an alert needs a 'when', as '> 10'")
    text = node.text().strip()
    said = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*(\S+)", text)
    number = _number(said[2]) if said else None
    if said and number is None and of_time:
        number = _seconds(said[2])
    if said is None or number is None:
        raise node.error(f"{text!r} is no comparison; write one of {' '.join(COMPARISONS)} and a number, as '> 10'")
    return Threshold(said[1], number)


def _seconds(text: str) -> float | None:
    try:
        return duration_seconds(text)
    except BadInput:
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def label_of(field: str) -> str:
    """The label that holds the value of a field.

    >>> label_of("http.route"), label_of("5xx")
    ('http_route', '_5xx')
    """
    name = re.sub(r"[^a-zA-Z0-9_]", "_", field)
    return f"_{name}" if name[0].isdigit() else name


# -- answering ---------------------------------------------------------------------------------------------------------


class Answers:
    """Answers what rules ask, in PromQL or of logs. Blocking; an answer about logs may take `seconds`."""

    def __init__(self, promql: PromQL, engine: Engine, signals: SignalStore, seconds: float) -> None:
        self._promql, self._engine, self._signals, self._seconds = promql, engine, signals, seconds

    def vector(self, asked: RuleQuestion, at: float) -> Vector:
        """The series at one moment; raises what the answer fails with."""
        if isinstance(asked, str):
            return self._promql.vector(asked, at)
        return self._vectors([asked], at)[0]

    def vectors(self, asked: Sequence[RuleQuestion], at: float) -> list[Answer]:
        """As `vector` for each of several, which share what they read; one that fails takes no other with it."""
        texts = [each for each in asked if isinstance(each, str)]
        in_promql = iter(self._promql.vectors(texts, at) if texts else ())
        of_signals = self._of_signals([each for each in asked if not isinstance(each, str)], at)
        return [next(in_promql) if isinstance(each, str) else of_signals[each] for each in asked]

    def range(self, asked: RuleQuestion, start: float, end: float, step: float, question: Question) -> Matrix:
        """The series at evenly spaced moments, for `question`'s thread."""
        if isinstance(asked, str):
            return self._promql.range(asked, start, end, step, question=question)
        count = int((end - start) / step + 1e-9) + 1
        rows = self._signals.steps(asked.selection, [asked.measure], start, step, count)
        return _matrix(asked, rows, round(start * 1000), round(step * 1000), count)

    def _of_signals(self, asked: Iterable[SignalQuestion], at: float) -> Mapping[SignalQuestion, Answer]:
        alike: dict[Selection, list[SignalQuestion]] = defaultdict(list)
        for each in dict.fromkeys(asked):
            alike[each.selection].append(each)
        answers: dict[SignalQuestion, Answer] = {}
        for questions in alike.values():
            began = time.perf_counter()
            try:
                values: Sequence[Vector | Exception] = self._vectors(questions, at)
            except Exception as error:  # the one whose answer fails must not take its neighbours' with it
                values = [error] * len(questions)
            seconds = (time.perf_counter() - began) / len(questions)
            answers.update(zip(questions, (Answer(value, seconds) for value in values), strict=True))
        return answers

    def _vectors(self, asked: Sequence[SignalQuestion], at: float) -> list[Vector]:
        """The answers of questions that have one selection."""
        measures = list(dict.fromkeys(each.measure for each in asked))
        with self._engine.asked_by(Question(self._seconds)):
            rows = self._signals.at(asked[0].selection, measures, at)
        return [_vector(each, rows, measures.index(each.measure), at) for each in asked]


def _vector(asked: SignalQuestion, rows: Sequence[Measured], place: int, at: float) -> Vector:
    found = {row.group: row.values[place] for row in rows}
    if not rows and not asked.selection.by:
        found = {(): asked.measure.kind.of_nothing}
    return Vector(
        tuple(
            VectorItem(_labels(asked, group), at, value)
            for group, value in found.items()
            if value is not None and _passes(asked, value)
        )
    )


def _matrix(asked: SignalQuestion, rows: Iterable[Measured], start_ms: int, step_ms: int, count: int) -> Matrix:
    found: dict[tuple[str, ...], dict[int, float | None]] = defaultdict(dict)
    if not asked.selection.by and asked.measure.kind.of_nothing is not None:
        found[()] = dict.fromkeys(range(count), asked.measure.kind.of_nothing)
    for row in rows:
        found[row.group][row.step] = row.values[0]
    series = []
    for group, values in found.items():
        passed = {step: value for step, value in values.items() if value is not None and _passes(asked, value)}
        if passed:
            times = start_ms + np.fromiter(passed, np.int64) * step_ms
            series.append(Series(_labels(asked, group), times, np.array(list(passed.values()), np.float64)))
    return Matrix(tuple(sorted(series, key=lambda each: each.labels.pairs)))


def _passes(asked: SignalQuestion, value: float) -> bool:
    return asked.when is None or asked.when.passed_by(value)


def _labels(asked: SignalQuestion, group: Sequence[str]) -> Labels:
    return Labels({label_of(name): value for name, value in zip(asked.selection.by, group, strict=True)})

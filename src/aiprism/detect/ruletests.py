"""Unit tests of rules, in the format of `promtool test rules`.

In: test files, and a store to try things out in. Out: what each test found otherwise than it says. Rules are evaluated as a
server does, group by group and rule by rule, every `evaluation_interval` from the Unix epoch on; what they record is
stored and read by those that follow.
Source: Prometheus documentation, "Unit testing for rules".
"""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from aiprism import yamlfile
from aiprism.detect import rules
from aiprism.detect.annotations import Surroundings
from aiprism.detect.evaluation import RuleFailed, Setting, evaluate
from aiprism.detect.rules import AlertingRule, Group, Rule
from aiprism.errors import AiprismError, BadInput, ConfigError
from aiprism.model.alerts import AlertState
from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.model.samples import STALE_NAN
from aiprism.query.promql import PromQL, Value
from aiprism.query.promql.native import Histogram, stored
from aiprism.query.promql.notation import Sample, histogram, series, values
from aiprism.query.promql.values import Scalar, String, Vector
from aiprism.store.alertstates import KeptAlert
from aiprism.yamlfile import Node

Points = Sequence[tuple[int, Sample]]
_FUZZ = 1e-6  # relative, with `fuzzy_compare`
_MOST_EVALUATIONS = 100_000


class Store(Protocol):
    """Where a test's samples are: empty after `clear`, asked by the PromQL that `engine` gives."""

    def put(self, rows: Iterable[tuple[Labels, Points]]) -> None: ...

    def clear(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AlertTest:
    """At `at` seconds exactly these alerts of the name fire: (labels, annotations) of each."""

    name: str
    at: float
    alerts: tuple[tuple[Labels, Labels], ...]
    line: int


@dataclass(frozen=True, slots=True)
class ExpressionTest:
    """At `at` seconds the expression gives exactly these samples."""

    expr: str
    at: float
    samples: tuple[tuple[Labels, Sample], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of `tests`: its samples and what must come of them. Times are Unix seconds; it begins at `begin`."""

    name: str
    begin: float
    series: tuple[tuple[Labels, Points], ...]
    alerts: tuple[AlertTest, ...]
    expressions: tuple[ExpressionTest, ...]
    around: Surroundings
    line: int


@dataclass(frozen=True, slots=True)
class RuleTests:
    """A test file with the groups it is about, in the order of their evaluation."""

    file: str
    groups: tuple[Group, ...]
    evaluation_interval: float
    cases: tuple[Case, ...]
    fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What a test expected, and what there was."""

    case: str
    line: int
    what: str
    expected: tuple[str, ...] = ()
    got: tuple[str, ...] = ()


def read(path: Path) -> RuleTests:
    """The tests in a file; ConfigError with file:line for what `promtool test rules` would not read."""
    root = yamlfile.read(path)
    root.fields("rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests")
    interval = root["evaluation_interval"].seconds(0.0) or 60.0
    cases = tuple(_case(node, interval) for node in root["tests"].items())
    order = [item.text() for item in root["group_eval_order"].items()]
    groups = rules.load(_rule_files(root["rule_files"]), default_interval=interval)
    return RuleTests(str(path), _in_order(groups, order), interval, cases, root["fuzzy_compare"].flag(False))


def failures(tests: RuleTests, case: Case, store: Store, engine: Callable[[], PromQL]) -> list[Failure]:
    """Run one case on an emptied store; `engine` asks that store as it is now."""
    store.clear()
    store.put(case.series)
    running = _Running(tests, case, store, engine())
    found = list(running.alert_failures())
    return found + list(running.expression_failures())


# -- reading ---------------------------------------------------------------------------------------------------------


def _rule_files(node: Node) -> list[str | Path]:
    base = Path(node.file).parent
    found: list[str | Path] = []
    for item in node.items():
        pattern = str(base / item.text())
        names = sorted(glob.glob(pattern))  # noqa: PTH207 - an absolute pattern is allowed
        if not names and "*" not in pattern:
            raise item.error(f"no such file: {pattern}")
        found += [Path(name) for name in names]
    return found


def _in_order(groups: Sequence[Group], order: Sequence[str]) -> tuple[Group, ...]:
    place = {name: at for at, name in enumerate(order)}
    return tuple(sorted(groups, key=lambda group: place.get(group.name, -1)))


def _case(node: Node, interval: float) -> Case:
    node.fields(
        "interval", "input_series", "name", "alert_rule_test", "promql_expr_test", "external_labels", "external_url",
        "start_timestamp",
    )  # fmt: skip
    step = node["interval"].seconds(0.0) or interval
    begin = _start(node["start_timestamp"])
    return Case(
        node["name"].text(""),
        begin,
        tuple(_series(item, begin, step) for item in node["input_series"].items()),
        tuple(_alert_test(item, begin) for item in node["alert_rule_test"].items()),
        tuple(_expression_test(item, begin) for item in node["promql_expr_test"].items()),
        Surroundings(node["external_labels"].mapping(), node["external_url"].text("")),
        node.line,
    )


def _start(node: Node) -> float:
    text = node.text("0")
    try:
        return datetime.fromisoformat(text).timestamp() if "T" in text else float(text)
    except ValueError:
        raise node.error(f"expected a time (RFC 3339) or Unix seconds, not {text!r}") from None


def _series(node: Node, begin: float, step: float) -> tuple[Labels, Points]:
    node.fields("series", "values")
    try:
        labels, rest = series(node["series"].text())
        if rest or not labels.name:
            raise BadInput(f"not a series: {node['series'].text()!r}")
        samples = values(node["values"].text(""))
    except BadInput as error:
        raise node.error(str(error)) from None
    times = ((round((begin + at * step) * 1000), value) for at, value in enumerate(samples))
    return labels, [(ts_ms, value) for ts_ms, value in times if value is not None]


def _alert_test(node: Node, begin: float) -> AlertTest:
    node.fields("eval_time", "alertname", "exp_alerts")
    name = node["alertname"].text()
    alerts = []
    for item in node["exp_alerts"].items():
        item.fields("exp_labels", "exp_annotations")
        labels = Labels({**item["exp_labels"].mapping(), "alertname": name})
        alerts.append((labels, Labels(item["exp_annotations"].mapping())))
    return AlertTest(name, begin + node["eval_time"].seconds(0.0), tuple(alerts), node.line)


def _expression_test(node: Node, begin: float) -> ExpressionTest:
    node.fields("expr", "eval_time", "exp_samples")
    samples = tuple(_expected(item) for item in node["exp_samples"].items())
    return ExpressionTest(node["expr"].text(), begin + node["eval_time"].seconds(0.0), samples, node.line)


def _expected(node: Node) -> tuple[Labels, Sample]:
    node.fields("labels", "value", "histogram")
    try:
        labels, rest = series(node["labels"].text("{}"))
        if rest:
            raise BadInput(f"not a label set: {node['labels'].text()!r}")
        if node["histogram"]:
            return labels, histogram(node["histogram"].text())
    except BadInput as error:
        raise node.error(str(error)) from None
    return labels, node["value"].number(0.0)


# -- running ---------------------------------------------------------------------------------------------------------


class _Running:
    """One case under way."""

    def __init__(self, tests: RuleTests, case: Case, store: Store, engine: PromQL) -> None:
        self._tests, self._case, self._store, self._engine = tests, case, store, engine
        self._states: dict[str, Mapping[str, KeptAlert]] = {}
        self._series: dict[str, frozenset[Labels]] = {}

    def alert_failures(self) -> Iterator[Failure]:
        """Evaluate all rules to the end of the case, and look at the alerts whenever a test asks."""
        interval = self._tests.evaluation_interval
        asked = [*(test.at for test in self._case.alerts), *(test.at for test in self._case.expressions)]
        count = math.floor((max(asked, default=-1.0) - self._case.begin) / interval) + 1
        if count > _MOST_EVALUATIONS:
            raise ConfigError(f"more than {_MOST_EVALUATIONS} evaluations", file=self._tests.file, line=self._case.line)
        for number in range(count):
            at = self._case.begin + number * interval
            yield from self._evaluated(at)
            for test in self._case.alerts:
                if at <= test.at < at + interval:
                    yield from self._judged(test)

    def _evaluated(self, at: float) -> Iterator[Failure]:
        for group in self._tests.groups:
            for rule in group.rules:
                try:
                    self._evaluate(group, rule, at)
                except (AiprismError, RuleFailed) as error:
                    yield Failure(self._case.name, self._case.line, f"rule {rule.name!r} at {at:g} s: {error}")

    def _evaluate(self, group: Group, rule: Rule, at: float) -> None:
        key = f"{group.key};{rule.key}"
        around = replace(self._case.around, ask=self._ask)
        setting = Setting(now=at, query_offset=group.query_offset, limit=group.limit, around=around)
        if not isinstance(rule.question, str):
            raise BadInput("tests have series only: a rule on logs or traces is tried with `aiprism backtest`")
        value = self._engine.instant(rule.question, at - group.query_offset)
        outcome = evaluate(rule, value, self._states.get(key, {}), setting)
        ts_ms = round((at - group.query_offset) * 1000)
        rows: dict[Labels, Points] = {each.labels: [(each.ts_ms, each.value)] for each in outcome.samples}
        gone = {labels: [(ts_ms, STALE_NAN)] for labels in self._series.get(key, frozenset()) - rows.keys()}
        self._states[key], self._series[key] = outcome.states, frozenset(rows)
        self._store.put([*rows.items(), *gone.items()])

    def _ask(self, text: str, at: float) -> list[tuple[Labels, float]]:
        return [(item.labels, item.value) for item in self._engine.vector(text, at)]

    def _judged(self, test: AlertTest) -> Iterator[Failure]:
        alerts = [
            (kept.alert.labels, kept.alert.annotations)
            for group in self._tests.groups
            for rule in group.rules
            if isinstance(rule, AlertingRule) and rule.name == test.name
            for kept in self._states.get(f"{group.key};{rule.key}", {}).values()
            if kept.alert.state is AlertState.FIRING
        ]
        if sorted(alerts) != sorted(test.alerts):
            what = f"alertname: {test.name}, time: {_shown_time(test.at)}"
            yield Failure(self._case.name, test.line, what, _alerts(test.alerts), _alerts(alerts))

    def expression_failures(self) -> Iterator[Failure]:
        """What expressions give otherwise than expected; after all rules were evaluated."""
        for test in self._case.expressions:
            what = f"expr: {test.expr!r}, time: {_shown_time(test.at)}"
            try:
                got = _samples(self._engine.instant(test.expr, test.at))
            except AiprismError as error:
                yield Failure(self._case.name, test.line, f"{what}: {error}")
                continue
            if not _alike(test.samples, got, fuzzy=self._tests.fuzzy):
                yield Failure(self._case.name, test.line, what, _shown(test.samples), _shown(got))


def _samples(value: Value) -> tuple[tuple[Labels, Sample], ...]:
    if isinstance(value, Scalar):
        return ((Labels(), value.value),)
    if isinstance(value, String) or not isinstance(value, Vector):
        raise BadInput("the expression gives neither an instant vector nor a scalar")
    return tuple(
        (item.labels, item.value if item.histogram is None else stored(item.histogram)) for item in value.items
    )


def _alike(wanted: Sequence[tuple[Labels, Sample]], got: Sequence[tuple[Labels, Sample]], *, fuzzy: bool) -> bool:
    one, other = (sorted(samples, key=lambda sample: sample[0]) for samples in (wanted, got))
    return len(one) == len(other) and all(
        mine[0] == theirs[0] and _same(mine[1], theirs[1], fuzzy=fuzzy) for mine, theirs in zip(one, other, strict=True)
    )


def _same(wanted: Sample, got: Sample, *, fuzzy: bool) -> bool:
    if isinstance(wanted, NativeHistogram) or isinstance(got, NativeHistogram):
        if not (isinstance(wanted, NativeHistogram) and isinstance(got, NativeHistogram)):
            return False
        return stored(Histogram.of(wanted)) == stored(Histogram.of(got))
    if math.isnan(wanted) or math.isnan(got):
        return math.isnan(wanted) and math.isnan(got)
    return wanted == got or (fuzzy and math.isclose(wanted, got, rel_tol=_FUZZ))


# -- words -----------------------------------------------------------------------------------------------------------


def _alerts(alerts: Iterable[tuple[Labels, Labels]]) -> tuple[str, ...]:
    return tuple(f"Labels:{_braces(labels)} Annotations:{_braces(said)}" for labels, said in sorted(alerts))


def _shown(samples: Iterable[tuple[Labels, Sample]]) -> tuple[str, ...]:
    ordered = sorted(samples, key=lambda sample: sample[0])
    return tuple(f"{labels.name}{_braces(labels.without(METRIC_NAME))} {_number(value)}" for labels, value in ordered)


def _number(value: Sample) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _braces(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.pairs) + "}"


def _shown_time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:g}m{rest:g}s" if minutes and rest else f"{minutes:g}m" if minutes else f"{rest:g}s"

"""Data for dashboards that nobody's system here has: an hour of every metric that their queries name.

In: Grafana's JSON. Out: series whose names and labels are those that its expressions, legends and variables ask for, so that what
is chosen in one variable has data in every panel. There are three of everything (`instance-0` to `instance-2`); a value that a
matcher names is there too, one that a regular expression asks for is made to fit it. Counters rise, gauges wander, histograms
have buckets. What cannot be read as PromQL is told, and left out.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as patterns  # type: ignore[attr-defined]
from typing import Any

import httpx
import pyarrow as pa

from aiprism.errors import BadInput
from aiprism.model.labels import METRIC_NAME, MatchOp
from aiprism.query.promql import parse, syntax
from aiprism.receive.prometheus_proto import WriteRequest

Json = Mapping[str, Any]
Pairs = tuple[tuple[str, str], ...]

OF_EACH = 3
STEP, HOUR, BEFORE = 15, 3600, 900  # BEFORE: what a rate at the begin of the hour is taken over
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AT_ONCE = 150  # series in one request
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)[^}]*\}|\[\[(\w+)(?::\w+)?\]\]")
_STANDING = {
    "__rate_interval": "5m",
    "__interval": "1m",
    "__range": "1h",
    "__range_s": "3600",
    "__interval_ms": "60000",
}
_LABEL_VALUES = re.compile(r"^\s*label_values\((?:(.*),)?\s*([\w.]+)\s*\)\s*$", re.DOTALL)
_LEGEND = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_COUNTING = {"rate", "irate", "increase", "resets"}
_COUNTED = re.compile(r"_(total|count|sum|bucket)$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric, as some dashboards want it."""

    series: dict[Pairs, None] = field(default_factory=dict)  # label sets, in the order they were asked for
    labels: set[str] = field(default_factory=set)  # that every one of them has
    bounds: set[float] = field(default_factory=set)
    equals: list[float] = field(default_factory=list)  # numbers that it is compared with
    flags: set[str] = field(default_factory=set)  # "counter", "histogram"


def wanted(boards: Sequence[Json]) -> tuple[dict[str, Wanted], list[str]]:
    """What all of these dashboards ask for, by the name of the metric, and the queries that are no PromQL."""
    metrics: dict[str, Wanted] = defaultdict(Wanted)
    alike: dict[str, str] = {}  # metrics of one expression, which have the same labels
    pools: dict[tuple[str, int], str] = {}
    for each in boards:  # what is found out of labels in the last query is meant in the first one, too
        _Board(each, defaultdict(Wanted), {}, pools).ask()
    read = [_Board(each, metrics, alike, pools) for each in boards]
    for board in read:
        board.ask()
    for board in read:
        board.fill()
    return dict(metrics), [query for board in read for query in board.unread]


class Feed:
    """The courses of the metrics from an hour before `now` until an hour after it, written as far as time has come."""

    def __init__(self, url: str, metrics: Mapping[str, Wanted], now: float) -> None:
        self._url = url
        self._times = range(round(now) // STEP * STEP - HOUR - BEFORE, round(now) + HOUR, STEP)
        self._written = 0  # of the times
        self._series = [
            (labels, array("d", course))
            for name, metric in sorted(metrics.items())
            for labels, course in _courses(name, metric, self._times)
        ]

    def go_on(self, now: float) -> int:
        """Write what there is until `now` and was not written yet; how many samples."""
        begin, end = self._written, sum(at <= now for at in self._times)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        with httpx.Client(base_url=self._url, timeout=120, headers=headers) as client:
            for first in range(0, len(self._series), _AT_ONCE):
                request = _request(self._series[first : first + _AT_ONCE], self._times, range(begin, end))
                body = pa.Codec("snappy").compress(request.SerializeToString(), asbytes=True)
                answer = client.post("/api/v1/write", content=bytes(body))
                assert answer.is_success, answer.text
        self._written = end
        return len(self._series) * (end - begin)


def panels(board: Json) -> Iterator[Json]:
    """Every panel, also those within rows."""
    for panel in [*(board.get("panels") or ()), *(board.get("rows") or ())]:
        if "targets" in panel or panel.get("type") != "row":
            yield panel
        yield from panels({"panels": panel.get("panels")})


class _Board:
    """One dashboard, and what its labels and variables are for each of the three."""

    def __init__(
        self, board: Json, metrics: dict[str, Wanted], alike: dict[str, str], pools: dict[tuple[str, int], str]
    ) -> None:
        self.unread: list[str] = []
        self._board, self._metrics, self._alike = board, metrics, alike
        self._pools = pools  # what a label is for one of the three, where not NAME-NUMBER
        self._variables: list[dict[str, str]] = [dict(_STANDING) for _ in range(OF_EACH)]
        # Each selector that occurs: its metric, and what the labels of each of the three have to be.
        self._selected: list[tuple[str, list[dict[str, list[str]]]]] = []

    def ask(self) -> None:
        """Find what its queries need."""
        for variable in (self._board.get("templating") or {}).get("list") or ():
            self._vary(variable)
        for panel in panels(self._board):
            for target in panel.get("targets") or ():
                self._ask(target.get("expr"), target.get("legendFormat") or "")
        for each in (self._board.get("annotations") or {}).get("list") or ():
            self._ask(each.get("expr"), f"{each.get('titleFormat')} {each.get('textFormat')}")

    def _vary(self, variable: Json) -> None:
        """The values of a variable for each of the three."""
        name, query = str(variable.get("name")), variable.get("query")
        text = query.get("query", "") if isinstance(query, Mapping) else str(query or "")
        kind = variable.get("type") or "query"
        asked = _LABEL_VALUES.match(text) if kind == "query" else None
        of_result = re.search(r"(\w+)=", str(variable.get("regex"))) if text.startswith("query_result") else None
        regexes = [_unslashed(self._filled(str(variable.get("regex") or ""), number)) for number in range(OF_EACH)]
        if asked:
            made = [samples(regex, f"{asked[2]}-{number}", number)[:1] for number, regex in enumerate(regexes)]
            if all(made) and made[0] != made[1]:  # one that only one text fits chooses, and tells nothing of the others
                for number, each in enumerate(made):
                    self._pools.setdefault((asked[2], number), each[0])
        for number, known in enumerate(self._variables):
            if asked:
                known[name] = _picked(regexes[number], self._pool(asked[2], number), f"{asked[2]}-{number}")
            elif of_result:
                known[name] = self._pool(of_result[1], number)
            else:
                known[name] = _chosen(variable, kind, text, number)
        if asked and asked[1]:
            self._ask(asked[1], f"{{{{{asked[2]}}}}}")
        elif of_result and (found := re.match(r"\s*query_result\((.*)\)\s*$", text, re.DOTALL)):
            self._ask(found[1], f"{{{{{of_result[1]}}}}}")

    def _ask(self, query: object, legend: str) -> None:
        """What a query needs."""
        if not isinstance(query, str) or not query.strip():
            return
        read = [self._read(query, number) for number in range(OF_EACH)]
        trees = [each for each in read if each is not None]
        if len(trees) < OF_EACH:
            self.unread.append(query)
            return
        shared = set(_LEGEND.findall(legend)) | set(_labels(trees[0]))
        for source, target, pattern in _replaced(trees[0]):
            for number in range(OF_EACH if source != target else 0):
                token = self._pool(target, number)
                self._pools.setdefault((source, number), next(iter(samples(pattern, token, number)), token))
        counting = set(_names(trees[0], _COUNTING))
        found = [list(syntax.selectors(tree)) for tree in trees]
        for same in zip(*found, strict=True):
            asked = [self._constraints(each, number) for number, each in enumerate(same)]
            varying = {label for label in asked[0] if any(asked[0][label] != each.get(label) for each in asked[1:])}
            shared |= varying - {"le"}
            for name in _metric_names(same[0]):
                self._selected.append((name, asked))
                metric = self._metrics[name]
                self._metrics[self._root(name)].labels.update(shared - {"le", METRIC_NAME})
                if name in counting or _COUNTED.search(name):
                    metric.flags.add("counter")
                if name.endswith("_bucket") or (name in counting and "le" in shared):
                    metric.flags.add("histogram")
                    metric.bounds.update(_bounds(asked))
        for name, value in _compared(trees[0]):
            self._metrics[name].equals.append(value)
        # Several names in one selector are metrics of one kind, which other labels tell apart.
        self._join([name for each in found[0] for name in _metric_names(each)[:1]])

    def fill(self) -> None:
        """Make the series that its selectors find."""
        fixed: dict[tuple[str, str], list[str]] = defaultdict(list)
        own: dict[str, set[str]] = defaultdict(set)
        for name, asked in self._selected:
            own[name] |= set(asked[0]) - {"le"}
            for label, values in asked[0].items():
                if all(each.get(label) == values for each in asked):
                    fixed[name, label] += values
        for name, asked in self._selected:
            for number, constraints in enumerate(asked):
                usual = {}
                for label in {"instance", "job", *self._metrics[self._root(name)].labels, *own[name]}:
                    known = fixed[name, label]
                    usual[label] = known[number % len(known)] if known else self._pool(label, number)
                for some in _combined({label: values for label, values in constraints.items() if label != "le"}):
                    self._metrics[name].series[tuple(sorted({**usual, **some}.items()))] = None

    def _constraints(self, selector: syntax.VectorSelector, number: int) -> dict[str, list[str]]:
        """What the labels of a selector have to be."""
        found: dict[str, list[str]] = {}
        for matcher in selector.matchers:
            if matcher.name == METRIC_NAME or not matcher.value:
                continue
            if matcher.op is MatchOp.EQUAL:
                found[matcher.name] = [matcher.value]
            elif matcher.op is MatchOp.REGEX and (
                made := samples(matcher.value, self._pool(matcher.name, number), number)
            ):
                found[matcher.name] = made
        return found

    def _read(self, query: str, number: int) -> syntax.Expr | None:
        """The query of one of the three; a variable that is not known may be a value, a number or a duration."""
        ranged = re.sub(r"\[[^\[\]]*\]", lambda found: self._filled(found[0], number, "5m"), query)
        for other in ("x", "1", "5m", "sum"):
            try:
                return parse.parse(self._filled(ranged, number, other))
            except BadInput:
                continue
        return None

    def _filled(self, text: str, number: int, other: str = "x") -> str:
        known = self._variables[number]
        return _VARIABLE.sub(lambda found: known.get(found[1] or found[2] or found[3], other), text)

    def _pool(self, label: str, number: int) -> str:
        return self._pools.get((label, number), f"{label}-{number}")

    def _join(self, names: Sequence[str]) -> None:
        for other in names[1:]:
            one, gone = self._root(names[0]), self._root(other)
            if one != gone:
                self._alike[gone] = one
                self._metrics[one].labels.update(self._metrics[gone].labels)

    def _root(self, name: str) -> str:
        while self._alike.get(name, name) != name:
            name = self._alike[name]
        return name


def _chosen(variable: Json, kind: str, text: str, number: int) -> str:
    if kind == "datasource":
        return "aiprism"
    if kind in ("custom", "interval"):
        options = [each.rsplit(" : ", 1)[-1].strip() for each in text.split(",") if each.strip()] or ["1m"]
        current = (variable.get("current") or {}).get("value")
        first = [current] if isinstance(current, str) and current in options else []
        return [*first, *(each for each in options if each not in first)][number % len(options)]
    return text if kind in ("constant", "textbox") else f"{variable.get('name')}-{number}"


def _unslashed(regex: str) -> str:
    found = re.fullmatch(r"/(.*)/[a-z]*", regex, re.DOTALL)
    return found[1] if found else regex


def _picked(pattern: str, value: str, otherwise: str) -> str:
    """What a variable has of a value that its regular expression is about."""
    try:
        found = re.search(pattern, value)
    except re.error:
        return value
    return otherwise if not found else next((each for each in found.groups() if each), found[0]) or value


def samples(pattern: str, token: str, number: int) -> list[str]:
    """Texts that match a regular expression, one for each of its alternatives; its first wildcard is `token` where nothing in it
    names one of the three yet.

    >>> samples("5..|osd[.](.*)", "x", 0)
    ['500', 'osd.x']
    """
    try:
        tree = patterns.parse(pattern)
    except (re.error, RecursionError):
        return []
    named = f"-{number}" in pattern.replace("\\", "")
    found = ["".join(each) for each in itertools.islice(_spelt(tree, [] if named else [token], number), 6)]
    found = [each for each in found if not named or f"-{number}" in each]
    return list(dict.fromkeys(each for each in found if each))


def _spelt(tree: Any, token: list[str], number: int) -> Iterator[list[str]]:
    """The parts of each text; `token` is used up by the first wildcard of each."""
    ways: list[list[list[str]]] = []
    branches = next((argument[1] for kind, argument in tree if kind is kinds.BRANCH), None)
    if branches is not None and len(tree) == 1:
        for branch in branches:
            yield from _spelt(branch, list(token), number)
        return
    for kind, argument in tree:
        if kind is kinds.LITERAL:
            ways.append([[chr(argument)]])
        elif kind is kinds.SUBPATTERN:
            ways.append(list(itertools.islice(_spelt(argument[-1], token, number), 6)))
        elif kind is kinds.BRANCH:
            ways.append([each for branch in argument[1] for each in _spelt(branch, token, number)])
        elif kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT):
            least, most, inner = argument
            wild = inner[0][0] in (kinds.ANY, kinds.IN, kinds.CATEGORY, kinds.NOT_LITERAL) and most > 1
            digits = "CATEGORY_DIGIT" in str(inner) or "(48, 57)" in str(inner)
            if wild and digits and "(97, 122)" not in str(inner) and "CATEGORY_WORD" not in str(inner):
                ways.append([[str(number)]])
            elif wild:
                ways.append([[token.pop()]] if token else [["x"] * least])
            else:
                ways.append([each * max(least, 0) for each in _spelt(inner, token, number)])
        elif kind is kinds.ANY:
            ways.append([["."]])
        elif kind in (kinds.IN, kinds.NOT_LITERAL):
            ways.append([[_one_of(argument, number)]])
        elif kind is not kinds.AT:
            return
    for parts in itertools.product(*ways):
        yield [each for part in parts for each in part]


def _one_of(argument: Any, number: int) -> str:
    if not isinstance(argument, list) or argument[0][0] is kinds.NEGATE:
        return "0"
    kind, value = argument[0]
    if kind is kinds.RANGE:
        return chr(min(value[1], value[0] + number))
    return chr(value) if kind is kinds.LITERAL else str(number)


def _combined(free: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Every value occurs; not each with every other, which would be too many."""
    for at in range(max((len(values) for values in free.values()), default=1)):
        yield {label: values[at % len(values)] for label, values in free.items()}


def _metric_names(selector: syntax.VectorSelector) -> list[str]:
    if selector.name:
        return [selector.name]
    patterns_ = [each.value for each in selector.matchers if each.name == METRIC_NAME and each.op is MatchOp.REGEX]
    return [name for pattern in patterns_ for name in samples(pattern, "metric", 0)]


def _bounds(asked: Sequence[Mapping[str, Sequence[str]]]) -> set[float]:
    texts = [text for each in asked for text in each.get("le", ())]
    return {float(text) for text in texts if re.fullmatch(r"[\d.eE+-]+", text)}


def _nodes(expr: syntax.Expr) -> Iterator[syntax.Expr]:
    yield expr
    match expr:
        case syntax.Paren(expr=inner) | syntax.Negation(expr=inner) | syntax.Subquery(expr=inner):
            yield from _nodes(inner)
        case syntax.Aggregation(expr=inner):
            yield from _nodes(inner)
        case syntax.Binary(left=left, right=right):
            yield from _nodes(left)
            yield from _nodes(right)
        case syntax.Call(args=args):
            for each in args:
                yield from _nodes(each)


def _labels(expr: syntax.Expr) -> Iterator[str]:
    """The labels by which an expression groups and matches, but for those it makes itself."""
    made = {target for _, target, _ in _replaced(expr)}
    for each in _nodes(expr):
        if isinstance(each, syntax.Aggregation):
            yield from (label for label in each.labels if label not in made)
        elif isinstance(each, syntax.Binary) and each.matching:
            yield from (label for label in (*each.matching.labels, *each.matching.include) if label not in made)
    yield from (source for source, _, _ in _replaced(expr))


def _replaced(expr: syntax.Expr) -> list[tuple[str, str, str]]:
    """Of each label_replace that reads a label: which one, what it makes, and its regular expression."""
    found = []
    for each in _nodes(expr):
        if isinstance(each, syntax.Call) and each.function == "label_replace":
            words = [arg.value for arg in each.args if isinstance(arg, syntax.Text)]
            if len(words) == 4 and words[2]:  # without a source it only adds a label
                found.append((words[2], words[0], words[3]))
    return found


def _names(expr: syntax.Expr, functions: set[str]) -> Iterator[str]:
    for each in _nodes(expr):
        if isinstance(each, syntax.Call) and each.function in functions:
            yield from (name for selector in syntax.selectors(each) for name in _metric_names(selector))


def _compared(expr: syntax.Expr) -> Iterator[tuple[str, float]]:
    for each in _nodes(expr):
        if isinstance(each, syntax.Binary) and each.op == "==" and isinstance(each.right, syntax.Number):
            value = each.right.value
            if isinstance(each.left, syntax.VectorSelector):
                yield from ((name, value) for name in _metric_names(each.left))


# -- courses -----------------------------------------------------------------------------------------------------------


def _courses(name: str, metric: Wanted, times: range) -> Iterator[tuple[Pairs, list[float]]]:
    base = re.sub(r"_(sum|count|bucket)$", "", name)
    for place, pairs in enumerate(metric.series):
        labels = ((METRIC_NAME, name), *pairs)
        dice = random.Random(f"{base} {pairs}")
        if "histogram" in metric.flags:
            yield from _buckets(labels, sorted({*BOUNDS, *metric.bounds}), times, dice)
        elif metric.equals:
            yield labels, [metric.equals[place % len(metric.equals)]] * len(times)
        elif "counter" in metric.flags:
            factor = 0.3 if name.endswith("_sum") else 1.0
            yield labels, [factor * each for each in _risen(times, dice, _pace(name))]
        else:
            yield labels, _wandering(name, times, dice)


def _risen(times: range, dice: random.Random, pace: float) -> list[float]:
    rate = pace * dice.uniform(0.4, 1.6)
    return list(itertools.accumulate(dice.gammavariate(4, rate / 4) * times.step for _ in times))


def _buckets(
    labels: Pairs, bounds: Sequence[float], times: range, dice: random.Random
) -> Iterator[tuple[Pairs, list[float]]]:
    """A lognormal whose middle wanders between the bounds."""
    middle = math.log(bounds[len(bounds) // 2]) + dice.uniform(-0.4, 0.4)
    counts = _risen(times, dice, 5.0)
    steps = [after - before for before, after in itertools.pairwise([0.0, *counts])]
    middles = [middle + 0.5 * math.sin(at / 900 + middle) for at in times]
    for bound in bounds:
        shares = [0.5 * (1 + math.erf((math.log(bound) - each) / 1.1)) for each in middles]
        course = itertools.accumulate(step * share for step, share in zip(steps, shares, strict=True))
        yield (*labels, ("le", f"{bound:g}")), list(course)
    yield (*labels, ("le", "+Inf")), counts


def _pace(name: str) -> float:
    return 4e5 if "byte" in name else 0.3 if "seconds" in name else 3.0


_ABOUT = (
    (r"(start|boot|creat|last|expir|timestamp).*_?(time|timestamp|seconds)|_timestamp$", "epoch"),
    (r"(^|_)(up|info|healthy|metadata|present|enabled)$|_info_", "1"),
    (r"ratio|fraction|_util", "0.6"),
    (r"percent|perc", "55"),
    (r"byte|memory", "2e9"),
    (r"uptime", "400000"),
    (r"seconds|latency", "0.25"),
)


def _wandering(name: str, times: range, dice: random.Random) -> list[float]:
    about = next((value for pattern, value in _ABOUT if re.search(pattern, name)), "12")
    if about == "epoch":
        return [times[0] - 3600.0 * dice.randint(2, 60)] * len(times)
    if about == "1":
        return [1.0] * len(times)
    usual, drift, course = float(about) * dice.uniform(0.5, 1.4), 0.0, []
    for _ in times:
        drift = 0.92 * drift + dice.uniform(-0.06, 0.06)
        course.append(usual * (1 + drift))
    return [float(round(value)) for value in course] if about == "12" else course


def _request(series: Sequence[tuple[Pairs, Sequence[float]]], times: range, places: range) -> Any:
    request = WriteRequest()
    for labels, values in series:
        made = request.timeseries.add()
        for name, value in sorted(labels):
            made.labels.add(name=name, value=value)
        for place in places:
            made.samples.add(timestamp=times[place] * 1000, value=values[place])
    return request

"""Prometheus rule files, and those with rules on logs and traces: which rules there are, checked before any of them runs.

In: paths or globs of YAML files. Out: frozen groups of alerting and recording rules, their expressions parsed once and
their templates read. A wrong file is a ConfigError with file:line, the rule's name and what to write instead. What a rule
on a signal asks is read in `signals.py`; when and how rules are evaluated is left to `groups.py`.
Format: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from aiprism import yamlfile
from aiprism.detect import signals
from aiprism.detect.annotations import AlertTemplate
from aiprism.detect.signals import Reading, RuleQuestion
from aiprism.detect.template import TemplateError
from aiprism.errors import BadInput, ConfigError
from aiprism.model.labels import METRIC_NAME, Labels, fingerprint
from aiprism.query.promql import parse as promql
from aiprism.query.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Negation,
    Paren,
    Subquery,
    VectorSelector,
    in_order,
)
from aiprism.yamlfile import Node

log = structlog.get_logger()

DEFAULT_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """An alert for each series its question yields. `hold` is the file's ``for``; durations are seconds."""

    key: str  # names the rule across reloads and restarts, whatever it asks
    name: str
    question: RuleQuestion
    hold: float
    keep_firing_for: float
    labels: tuple[tuple[str, AlertTemplate], ...]
    annotations: tuple[tuple[str, AlertTemplate], ...]
    shown: str = field(compare=False)  # the question as Prometheus would print it
    reads: frozenset[str] | None = field(compare=False)  # metric names the question selects; None: any
    line: int = field(compare=False)

    @property
    def expr(self) -> str:
        """What the rule asks, for people to read."""
        return str(self.question)

    @property
    def asks(self) -> bool:
        """True when a template of it may ask a query of its own, which blocks."""
        return any(template.asks for _, template in (*self.labels, *self.annotations))

    @property
    def plain_labels(self) -> Labels:
        """The labels as they stand in the file, not expanded."""
        return Labels((name, template.text) for name, template in self.labels)

    @property
    def writes(self) -> frozenset[str]:
        """The metric names this rule writes."""
        return frozenset(("ALERTS", "ALERTS_FOR_STATE"))


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A series of the given name for each series its question yields."""

    key: str
    name: str
    question: RuleQuestion
    labels: tuple[tuple[str, str], ...]  # an empty value takes the label away
    shown: str = field(compare=False)
    reads: frozenset[str] | None = field(compare=False)
    line: int = field(compare=False)

    @property
    def expr(self) -> str:
        """What the rule asks, for people to read."""
        return str(self.question)

    @property
    def plain_labels(self) -> Labels:
        """The labels every series gets."""
        return Labels(self.labels)

    @property
    def writes(self) -> frozenset[str]:
        """The metric names this rule writes."""
        return frozenset((self.name,))


Rule = AlertingRule | RecordingRule


@dataclass(frozen=True, slots=True)
class Group:
    """Rules evaluated together, one interval after the other. `interval` and `query_offset` are seconds, `limit` 0: none."""

    name: str
    file: str
    interval: float
    limit: int
    query_offset: float
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """What names the group across reloads and restarts."""
        return f"{self.file};{self.name}"


def load(
    patterns: Iterable[str | Path],
    *,
    base: Path | None = None,
    default_interval: float = DEFAULT_INTERVAL,
    reading: Reading | None = None,
) -> tuple[Group, ...]:
    """The groups of every file that `patterns` (paths or globs, relative to `base`) name, in the order of the files."""
    return tuple(
        group
        for path in _files(patterns, base or Path())
        for group in read(yamlfile.read(path), default_interval=default_interval, reading=reading)
    )


def read(
    document: Node, *, default_interval: float = DEFAULT_INTERVAL, reading: Reading | None = None
) -> tuple[Group, ...]:
    """The groups of one rule file. With `reading`, its rules may also be on logs and traces; without, Prometheus reads it, too."""
    groups: list[Group] = []
    for node in document.fields("groups")["groups"].items():
        group = _group(node, default_interval, reading)
        if any(group.name == other.name for other in groups):
            raise node["name"].error(f"group {group.name!r} stands twice in this file; give one of them another name")
        groups.append(group)
    return tuple(groups)


def users_of(search: str, groups: Iterable[Group]) -> list[str]:
    """The names of the rules that are made of a saved search, each once."""
    asked = ((rule.name, rule.question) for group in groups for rule in group.rules)
    return list(dict.fromkeys(name for name, each in asked if not isinstance(each, str) and search in each.saved))


def metrics_read(expression: Expr) -> frozenset[str] | None:
    """The metric names an expression selects, None when one of them is a pattern.

    >>> sorted(metrics_read(promql.parse("rate(a[5m]) / on () b")))
    ['a', 'b']
    """
    names = frozenset(selector.name for selector in _selectors(expression))
    return None if "" in names else names


# -- files -----------------------------------------------------------------------------------------------------------


def _files(patterns: Iterable[str | Path], base: Path) -> list[Path]:
    """Each file once, in the order of the patterns. A plain path must be there; a glob may find nothing."""
    found: dict[Path, None] = {}
    for pattern in map(str, patterns):
        path = base / pattern
        if not re.search(r"[*?\[]", pattern):
            found[path] = None
            continue
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not matches:
            log.warning("rules.none_found", pattern=str(path))
        found.update(dict.fromkeys(match for match in matches if match.is_file()))
    return list(found)


# -- groups and rules ------------------------------------------------------------------------------------------------

_GROUP_FIELDS = ("name", "interval", "limit", "query_offset", "labels", "rules")
_ALERT_FIELDS = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_RECORD_FIELDS = ("record", "expr", "labels")
_ALERT_ONLY = ("for", "keep_firing_for", "annotations")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def _group(node: Node, default_interval: float, reading: Reading | None) -> Group:
    name = node.fields(*_GROUP_FIELDS)["name"].text("")
    if not name:
        raise node["name"].error("a group needs a name")
    with _naming(f"group {name!r}"):
        shared = _labels(node["labels"])
        read_so_far: Counter[tuple[str, ...]] = Counter()
        rules = []
        for rule in node["rules"].items():
            rules.append(_rule(rule, f"{node.file};{name}", shared, read_so_far, reading))
        late = reading.delay if reading and any(not isinstance(rule.question, str) for rule in rules) else 0.0
        return Group(
            name=name,
            file=node.file,
            interval=node["interval"].seconds(0.0) or default_interval,
            limit=node["limit"].integer(0),
            query_offset=node["query_offset"].seconds(late),
            rules=tuple(rules),
        )


def _rule(
    node: Node, group: str, shared: dict[str, str], read_so_far: Counter[tuple[str, ...]], reading: Reading | None
) -> Rule:
    alert, record = node["alert"].text(""), node["record"].text("")
    if alert and record:
        raise node["record"].error(f"a rule is either an alert or a record, not both: {alert!r} and {record!r}")
    if not alert and not record:
        raise node.error("a rule needs one of 'alert: NAME' and 'record: METRIC'")
    with _naming(f"rule {alert or record!r}"):
        labels = shared | _labels(node["labels"])
        identity = (alert, record, *(part for pair in sorted(labels.items()) for part in pair))
        read_so_far[identity] += 1
        key = _key(group, alert or record, labels, read_so_far[identity])
        return _alerting(node, key, labels, reading) if alert else _recording(node, key, labels, reading)


def _key(group: str, name: str, labels: dict[str, str], ordinal: int) -> str:
    pairs = [("group", group), ("name", name), ("ordinal", str(ordinal)), *sorted(labels.items())]
    return f"{fingerprint(pairs):016x}"


def _alerting(node: Node, key: str, labels: dict[str, str], reading: Reading | None) -> AlertingRule:
    asked, shown, reads = _question(node, _ALERT_FIELDS, reading)
    return AlertingRule(
        key=key,
        name=node["alert"].text(),
        question=asked,
        hold=node["for"].seconds(0.0),
        keep_firing_for=node["keep_firing_for"].seconds(0.0),
        labels=_templates(labels, node["labels"], "label"),
        annotations=_templates(_annotations(node["annotations"]), node["annotations"], "annotation"),
        shown=shown,
        reads=reads,
        line=node.line,
    )


def _recording(node: Node, key: str, labels: dict[str, str], reading: Reading | None) -> RecordingRule:
    for name in _ALERT_ONLY:
        if name in node.entries():
            raise node[name].error(f"{name!r} is for alerts; a recording rule has only record, expr and labels")
    asked, shown, reads = _question(node, _RECORD_FIELDS, reading)
    name = node["record"].text()
    if not _METRIC_NAME.fullmatch(name):
        raise node["record"].error(f"{name!r} is no metric name: letters, digits, _ and :, not beginning with a digit")
    return RecordingRule(
        key=key,
        name=name,
        question=asked,
        labels=tuple(labels.items()),
        shown=shown,
        reads=reads,
        line=node.line,
    )


def _question(
    node: Node, fields: tuple[str, ...], reading: Reading | None
) -> tuple[RuleQuestion, str, frozenset[str] | None]:
    """What a rule with these other fields asks, how that is shown, and the metrics it selects."""
    if not signals.asks(node):
        text, tree = _expression(node.fields(*fields))
        return text, str(in_order(tree)), metrics_read(tree)
    if reading is None:
        raise node.error(
            "a rule on logs or traces stands in a file of rules.signals; this one is of rules that Prometheus reads, too"
        )
    asked = signals.question(node.fields(*fields, *signals.FIELDS), reading, alert="alert" in fields)
    return asked, str(asked), frozenset()


def _expression(node: Node) -> tuple[str, Expr]:
    text = node["expr"].text("").strip()
    if not text:
        raise (node["expr"] if "expr" in node.entries() else node).error("needs an 'expr', the PromQL expression")
    try:
        return text, promql.parse(text)
    except BadInput as error:
        raise node["expr"].error(str(error)) from None


def _labels(node: Node) -> dict[str, str]:
    for name, value in node.entries().items():
        if name == METRIC_NAME or not _LABEL_NAME.fullmatch(name):
            raise value.error(f"{name!r} is no label name: letters, digits and _, not beginning with a digit")
    return node.mapping()


def _annotations(node: Node) -> dict[str, str]:
    for name, value in node.entries().items():
        if not _LABEL_NAME.fullmatch(name):
            raise value.error(f"{name!r} is no annotation name: letters, digits and _, not beginning with a digit")
    return node.mapping()


def _templates(texts: dict[str, str], node: Node, what: str) -> tuple[tuple[str, AlertTemplate], ...]:
    read = []
    for name, text in texts.items():
        try:
            read.append((name, AlertTemplate.read(text)))
        except TemplateError as error:
            raise node[name].error(f"{what} {name!r}: {error}") from None
    return tuple(read)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Puts `what` before the message of a ConfigError that passes."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{what}: {error.message}", file=error.file, line=error.line) from None


# -- expressions -----------------------------------------------------------------------------------------------------


def _selectors(expression: Expr) -> Iterator[VectorSelector]:
    match expression:
        case VectorSelector():
            yield expression
        case MatrixSelector(vector=vector):
            yield vector
        case Subquery(expr=inner) | Paren(expr=inner) | Negation(expr=inner):
            yield from _selectors(inner)
        case Binary(left=left, right=right):
            yield from _selectors(left)
            yield from _selectors(right)
        case Aggregation(expr=inner, param=param):
            yield from _selectors(inner)
            if param is not None:
                yield from _selectors(param)
        case Call(args=args):
            for arg in args:
                yield from _selectors(arg)

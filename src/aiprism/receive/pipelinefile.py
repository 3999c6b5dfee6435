"""`pipelines.yml`: the steps that log records go through before they are stored.

In: the file that `logs.pipelines` names. Out: a `Pipeline`; ConfigError with file:line and the fix. What a `match` asks is
read by the function that is handed in: the language belongs to a room further on (`query/lucene.py`).

    pipelines:
      - name: health checks
        match: 'path:/healthz level:INFO'
        drop: true
      - name: json lines
        match: 'service:checkout'
        parse: {as: json, level: severity, time: ts, body: msg}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.labels import compiled
from aiprism.model.search import ANYTHING, Condition
from aiprism.receive import logmatch, logpipeline, redaction
from aiprism.receive.loglines import severity
from aiprism.receive.logpipeline import Action, Pipeline, Step
from aiprism.yamlfile import Node

Asked: TypeAlias = Callable[[str], Condition]

MOST_STEPS = 200
ACTIONS = ("drop", "redact", "parse", "rename", "set", "remove")
_NAME = re.compile(r"[\w][\w .:/-]{0,63}")


def load(path: Path, asked: Asked, most_attributes: int = 1024) -> Pipeline:
    """The pipeline in `path`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path), asked, most_attributes)


def read(root: Node, asked: Asked, most_attributes: int = 1024) -> Pipeline:
    """The pipeline in a pipelines.yml document."""
    nodes = root.fields("pipelines")["pipelines"].items()
    if len(nodes) > MOST_STEPS:
        raise root["pipelines"].error(f"{len(nodes)} steps are too many: a record goes through {MOST_STEPS} at most")
    steps, names = list[Step](), set[str]()
    for node in nodes:
        step = _step(node, asked)
        if step.name in names:
            raise node["name"].error(f"two steps are called {step.name!r}; what a step did is counted by its name")
        names.add(step.name)
        steps.append(step)
    return Pipeline(tuple(steps), most_attributes or 2**31)


def _step(node: Node, asked: Asked) -> Step:
    node.fields("name", "match", *ACTIONS)
    name = node["name"].text()
    if not _NAME.fullmatch(name):
        raise node["name"].error(
            "a name has up to 64 letters, digits, spaces and any of _.:/- and begins with a letter"
        )
    given = [action for action in ACTIONS if node[action]]
    if len(given) != 1:
        what = f"does {' and '.join(given)}" if given else "does nothing"
        raise node.error(f"step {name!r} {what}; give it one of {', '.join(ACTIONS)}")
    [action] = given
    match = _condition(node["match"], asked)
    if action == "drop" and not node["drop"].flag():
        raise node["drop"].error("write `drop: true`, or leave the step out")
    return Step(name, match, _MAKERS[action](node[action]), node.plain())


def _condition(node: Node, asked: Asked) -> Condition:
    if not node:
        return ANYTHING
    try:
        found = asked(node.text())
        logmatch.askable(found)
    except ConfigError:
        raise
    except BadInput as error:
        raise node.error(str(error)) from None
    return found


def _drop(node: Node) -> None:
    return None


def _rename(node: Node) -> Action:
    return logpipeline.Rename({old: new.text() for old, new in _some(node).entries().items()})


def _set(node: Node) -> Action:
    values = {name: value.text() for name, value in _some(node).entries().items()}
    if (level := values.get(logpipeline.LEVEL)) is not None and not severity(level).number:
        raise node[logpipeline.LEVEL].error(f"{level!r} is no level; write for example WARN")
    return logpipeline.Set(values)


def _remove(node: Node) -> Action:
    return logpipeline.Remove(tuple(node.texts()))


def _some(node: Node) -> Node:
    if not node.entries():
        raise node.error("expected name: value, one or more")
    return node


def _redact(node: Node) -> Action:
    node.fields("pattern", "with", "kinds", "fields")
    if not node["pattern"] and not node["kinds"]:
        raise node.error("expected a pattern (a regular expression), or kinds of secrets")
    kinds = None
    if node["kinds"]:
        try:
            kinds = redaction.Redaction(redaction.kinds(node["kinds"].texts(), "kinds"))
        except ConfigError as error:
            raise node["kinds"].error(str(error)) from None
    expression = _expression(node["pattern"]) if node["pattern"] else None
    if expression is not None and expression.search("") is not None:
        raise node["pattern"].error(
            "this pattern matches nothing at all, too, so it would stand between all characters"
        )
    return logpipeline.Redact(expression, node["with"].text("[redacted]"), kinds, tuple(node["fields"].texts()))


def _parse(node: Node) -> Action:
    node.fields("as", "pattern", "field", "prefix", "level", "time", "body")
    form = node["as"].one_of("json", "logfmt", "regex")
    if (form == "regex") != bool(node["pattern"]):
        raise node.error("`pattern` belongs to `as: regex`, and to nothing else")
    read: Any = {"json": logpipeline.json_fields, "logfmt": logpipeline.logfmt_fields}.get(form)
    if form == "regex":
        expression = _expression(node["pattern"])
        if not expression.groupindex:
            raise node["pattern"].error("without a named group nothing would come of it; write (?P<name>…)")
        read = logpipeline.RegexFields(expression)
    texts = {key: node[key].text("") for key in ("prefix", "level", "time", "body")}
    return logpipeline.Parse(read, node["field"].text(logpipeline.BODY), **texts)


def _expression(node: Node) -> Any:
    try:
        return compiled(node.text())
    except BadInput as error:
        raise node.error(str(error)) from None


_MAKERS: dict[str, Callable[[Node], Action | None]] = {
    "drop": _drop, "redact": _redact, "parse": _parse, "rename": _rename, "set": _set, "remove": _remove,
}  # fmt: skip

"""What a runbook says: YAML in, frozen `Runbook` out, every mistake with file:line.

Match (which alerts) → guard (may it run) → steps (what to do) → verify (did it help) → rollback (if not). Running one is
`remediate`'s work; what each kind of step takes is known in `actions/`, what guards say in `guards`. `SCHEMA` publishes what
is read here, for editors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote as quoted

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.alerts import Alert, Priority
from aiprism.model.labels import Matcher, matches_all
from aiprism.respond import guards, matcher
from aiprism.respond.actions import shape
from aiprism.respond.actions.kinds import KINDS
from aiprism.respond.guards import Guard
from aiprism.respond.placeholders import Subject, compared, filled, read_condition, read_query, refuse_unknown
from aiprism.yamlfile import Node

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PRIORITIES = tuple(tier.value for tier in Priority)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `params` are as written; placeholders are filled in when a run begins. A step of a rollback may take
    back another one: `undoes` is its position."""

    name: str
    kind: str
    params: Mapping[str, object]
    timeout: float
    idempotent: bool
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """The query that must come true within `within` seconds, asked every `every`; `measure` is the number it compares, `measures`
    are others that are shown before and after. While `worse` holds, acting made it worse."""

    query: str
    within: float
    every: float
    measure: str = ""
    worse: str = ""
    measures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook. `digest` changes when anything in it does."""

    name: str
    description: str
    match: tuple[Matcher, ...]
    priorities: frozenset[Priority]
    guard: Guard
    steps: tuple[Step, ...]
    verify: Verify | None
    rollback: tuple[Step, ...]
    digest: str
    where: str = field(default="", compare=False)

    def answers(self, alert: Alert, priority: Priority) -> bool:
        """Whether this alert of an incident of that priority calls for it."""
        return priority in self.priorities and matches_all(self.match, alert.labels)

    @property
    def queries(self) -> tuple[str, ...]:
        """All PromQL in it."""
        verify, radius = self.verify, self.guard.blast_radius
        of_verify = (verify.query, verify.worse, verify.measure, *verify.measures.values()) if verify else ()
        return tuple(each for each in (self.guard.precondition, radius.of if radius else "", *of_verify) if each)


def filled_params(step: Step, subject: Subject) -> dict[str, object]:
    """A step's parameters as they are carried out; in an address a label's value cannot become another path or host."""
    params = {name: filled(value, subject) for name, value in step.params.items()}
    if "url" in params:
        params["url"] = filled(step.params["url"], subject, lambda text: quoted(text, safe=""))
        _refuse_dots(str(params["url"]))
    KINDS[step.kind].refuse(params)
    return params


def _refuse_dots(url: str) -> None:
    """BadInput when a part of the path is . or .., which no quoting takes the meaning from (RFC 3986, 5.2.4)."""
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    if {".", ".."} & set(path.split("/")):
        raise BadInput(f"{url}: a part of the path would be . or ..")


# -- the shape -------------------------------------------------------------------------------------------------------

_STEP_WORDS = {
    "name": shape.text("what it does, in few words"),
    "timeout": shape.duration("how long it may take; 30s when not given"),
    "idempotent": shape.flag("whether a repeat after a crash does no harm"),
}
_KIND_SHAPES = {name: kind.shape for name, kind in KINDS.items()}
_UNDO = {"undo": shape.text("takes back the step of this name, as far as it was carried out", minLength=1)}


def _step_shape(about: str, kinds: Mapping[str, shape.Shape]) -> shape.Shape:
    exactly_one = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in kinds]
    return {**shape.record(about, {}, {**_STEP_WORDS, **kinds}), "oneOf": exactly_one}


_STEP = _step_shape("One thing to do", _KIND_SHAPES)
_ROLLBACK_STEP = _step_shape("One thing to do, or to take back", {**_KIND_SHAPES, **_UNDO})
_VERIFY = shape.record(
    "How to tell that it helped",
    {"query": shape.text("PromQL that must become true", minLength=1)},
    {
        "within": shape.duration("for how long to ask; 2m when not given"),
        "every": shape.duration("how often; 5s when not given"),
        "measure": shape.text("PromQL of the number shown before and after; the left side of the query when not given"),
        "measures": shape.texts("name → PromQL of further numbers shown before and after"),
        "worse_when": shape.text("PromQL; when it becomes true meanwhile, the run is rolled back at once"),
    },
)
_RUNBOOK = shape.record(
    "A runbook",
    {
        "name": shape.text("small letters, digits, - and _; unique", pattern=f"^{_NAME.pattern}$"),
        "match": shape.listed("matchers on the alert's labels, all of which must hold", shape.text(""), least=1),
        "steps": shape.listed("done in order", {"$ref": "#/$defs/step"}, least=1),
    },
    {
        "description": shape.text("for people"),
        "priorities": shape.listed("tiers of incidents; P0 and P1 when not given", shape.choice("", _PRIORITIES)),
        "guard": guards.SHAPE,
        "verify": _VERIFY,
        "rollback": shape.listed("done when a step or verify fails", {"$ref": "#/$defs/rollback_step"}),
    },
)
SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "aiprism runbooks",
    "description": "One runbook, or a list of them under runbooks",
    "if": {"required": ["runbooks"]},
    "then": shape.record("", {"runbooks": shape.listed("", {"$ref": "#/$defs/runbook"})}),
    "else": {"$ref": "#/$defs/runbook"},
    "$defs": {"runbook": _RUNBOOK, "step": _STEP, "rollback_step": _ROLLBACK_STEP},
}


# -- reading ---------------------------------------------------------------------------------------------------------


def load(paths: Iterable[Path]) -> tuple[Runbook, ...]:
    """The runbooks in these files, in order; ConfigError for a name that stands twice."""
    found = [runbook for path in paths for runbook in read(yamlfile.read(path))]
    seen: dict[str, Runbook] = {}
    for runbook in found:
        if runbook.name in seen:
            file, _, line = runbook.where.rpartition(":")
            other = seen[runbook.name].where
            raise ConfigError(f"runbook {runbook.name!r} stands also in {other}", file=file, line=int(line))
        seen[runbook.name] = runbook
    return tuple(found)


def read(root: Node) -> tuple[Runbook, ...]:
    """The runbooks of one document: one runbook, or a list of them under `runbooks:`."""
    if "runbooks" in root.entries():
        return tuple(_runbook(item) for item in root.fields("runbooks")["runbooks"].items())
    return (_runbook(root),)


def _runbook(node: Node) -> Runbook:
    shape.known(node, _RUNBOOK)
    name = node["name"].text()
    if _NAME.fullmatch(name) is None:
        raise node["name"].error(f"{name!r} is no runbook name: small letters, digits, - and _, at most 63")
    match = matcher.read(node["match"])
    if not match:
        raise node.error(f'runbook {name!r} matches every alert; give match, as in: [alertname="ServiceDown"]')
    steps = tuple(_step(item) for item in node["steps"].items())
    if not steps:
        raise node.error(f"runbook {name!r} has no steps")
    return Runbook(
        name=name,
        description=node["description"].text(""),
        match=match,
        priorities=_priorities(node["priorities"]),
        guard=guards.read(node["guard"]),
        steps=steps,
        verify=_verify(node["verify"]) if node["verify"] else None,
        rollback=tuple(_rollback_step(item, steps) for item in node["rollback"].items()),
        digest=hashlib.sha256(json.dumps(node.plain(), sort_keys=True).encode()).hexdigest()[:16],
        where=f"{node.file}:{node.line}",
    )


def _priorities(node: Node) -> frozenset[Priority]:
    if not node:
        return frozenset({Priority.P0, Priority.P1})
    return frozenset(Priority(item.one_of(*_PRIORITIES)) for item in node.items())


def _step(node: Node) -> Step:
    shape.known(node, _STEP)
    kinds = [kind for kind in KINDS if node[kind]]
    if len(kinds) != 1:
        raise node.error(f"a step has exactly one of {', '.join(KINDS)}; this one has {len(kinds)}")
    kind = kinds[0]
    params = KINDS[kind].read(node[kind])
    refuse_unknown(node[kind], params)
    return Step(
        name=node["name"].text(kind),
        kind=kind,
        params=params,
        timeout=max(node["timeout"].seconds(30.0), KINDS[kind].seconds(params)),
        idempotent=node["idempotent"].flag(KINDS[kind].repeatable(params)),
    )


def _rollback_step(node: Node, steps: tuple[Step, ...]) -> Step:
    """A step like any other, or one that takes back a step before it."""
    shape.known(node, _ROLLBACK_STEP)
    if not node["undo"]:
        return _step(node)
    others = [kind for kind in KINDS if node[kind]]
    if others:
        raise node.error(f"a step either undoes another or is a {others[0]} step; this one is both")
    name = node["undo"].text()
    named = [position for position, step in enumerate(steps) if step.name == name]
    if len(named) != 1:
        known = ", ".join(step.name for step in steps)
        raise node["undo"].error(f"{len(named)} steps are called {name!r}; the steps are {known}")
    undone = steps[named[0]]
    if not KINDS[undone.kind].undoable(undone.params):
        raise node["undo"].error(
            f"a {undone.kind} step of this sort cannot be undone: write the step that takes it back"
        )
    return Step(
        name=node["name"].text(f"undo {name}"),
        kind=undone.kind,
        params=undone.params,
        timeout=max(node["timeout"].seconds(30.0), undone.timeout),
        idempotent=node["idempotent"].flag(undone.idempotent),
        undoes=named[0],
    )


def _verify(node: Node) -> Verify:
    shape.known(node, _VERIFY)
    query, every = read_condition(node["query"]), node["every"].seconds(5.0)
    if every <= 0:
        raise node["every"].error("cannot be zero")
    return Verify(
        query=query,
        within=node["within"].seconds(120.0),
        every=every,
        measure=read_query(node["measure"]) if node["measure"] else compared(query),
        worse=read_condition(node["worse_when"]) if node["worse_when"] else "",
        measures={name: read_query(each) for name, each in node["measures"].entries().items()},
    )

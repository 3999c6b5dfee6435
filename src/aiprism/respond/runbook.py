"""What a runbook says: YAML in, frozen `Runbook` out, every mistake with file:line.

Match (which alerts) → guard (may it run) → steps (what to do) → verify (did it help) → rollback (if not). The schema is
in docs/runbooks.md. Running one is `remediate`'s work; what each kind of step takes is known in `actions/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote as quoted

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.alerts import Alert, Priority
from aiprism.model.labels import Matcher, matches_all
from aiprism.query.promql import syntax
from aiprism.query.promql.parse import parse
from aiprism.respond import matcher
from aiprism.respond.actions.kinds import KINDS
from aiprism.yamlfile import Node

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_SPACES = ("labels.", "annotations.")
_FIXED = ("incident.id", "alert.name", "alert.fingerprint")

Quote: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold before a runbook acts. Times are seconds."""

    precondition: str = ""
    cooldown: float = 0.0
    max_runs_per_hour: int = 0  # 0: as often as it is called for
    dry_run: bool = False
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `params` are as written; placeholders are filled in when a run begins."""

    name: str
    kind: str
    params: Mapping[str, object]
    timeout: float
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Verify:
    """The query that must come true within `within` seconds, asked every `every`; `measure` is the number it compares."""

    query: str
    within: float
    every: float
    measure: str = ""


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


@dataclass(frozen=True, slots=True)
class Subject:
    """What placeholders may speak of."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    incident_id: str
    alertname: str
    fingerprint: str

    def look_up(self, name: str) -> str:
        """The value of a placeholder; BadInput when this alert has none of that name."""
        values: dict[str, str] = {
            "incident.id": self.incident_id,
            "alert.name": self.alertname,
            "alert.fingerprint": self.fingerprint,
        }
        for space, texts in (("labels.", self.labels), ("annotations.", self.annotations)):
            values.update({f"{space}{key}": text for key, text in texts.items()})
        if name not in values:
            raise BadInput(f"${{{name}}}: the alert has no such value; it has {', '.join(sorted(values))}")
        return values[name]


# -- placeholders ----------------------------------------------------------------------------------------------------


def filled(value: object, subject: Subject, quote: Quote = str) -> Any:
    """`value` with every `${…}` in its texts, however deep, replaced; `$${` stands for a plain `${`.

    >>> who = Subject({"service": "api"}, {}, "INC_1", "Down", "ab")
    >>> filled({"to": ["${labels.service}!", 3]}, who)
    {'to': ['api!', 3]}
    """
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: quote(subject.look_up(found[1])) if found[1] is not None else "${", value)
    if isinstance(value, Mapping):
        return {key: filled(inner, subject, quote) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, subject, quote) for inner in value]
    return value


def filled_query(query: str, subject: Subject) -> str:
    """A PromQL text with its placeholders filled in, so that a label's value stays inside its quotes."""
    return str(filled(query, subject, lambda text: json.dumps(text, ensure_ascii=False)[1:-1]))


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


def _unknown_placeholders(value: object) -> list[str]:
    if isinstance(value, str):
        names = [found[1] for found in _PLACEHOLDER.finditer(value) if found[1] is not None]
        return [name for name in names if name not in _FIXED and not _is_spaced(name)]
    if isinstance(value, Mapping):
        return [name for inner in value.values() for name in _unknown_placeholders(inner)]
    if isinstance(value, list | tuple):
        return [name for inner in value for name in _unknown_placeholders(inner)]
    return []


def _is_spaced(name: str) -> bool:
    return any(name.startswith(space) and len(name) > len(space) for space in _SPACES)


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
    node.fields("name", "description", "match", "priorities", "guard", "steps", "verify", "rollback")
    name = node["name"].text()
    if _NAME.fullmatch(name) is None:
        raise node["name"].error(f"{name!r} is no runbook name: small letters, digits, - and _, at most 63")
    match = matcher.read(node["match"])
    if not match:
        raise node.error(f'runbook {name!r} matches every alert; give match, as in: [alertname="ServiceDown"]')
    steps = _steps(node["steps"])
    if not steps:
        raise node.error(f"runbook {name!r} has no steps")
    return Runbook(
        name=name,
        description=node["description"].text(""),
        match=match,
        priorities=_priorities(node["priorities"]),
        guard=_guard(node["guard"]),
        steps=steps,
        verify=_verify(node["verify"]) if node["verify"] else None,
        rollback=_steps(node["rollback"]),
        digest=hashlib.sha256(json.dumps(node.plain(), sort_keys=True).encode()).hexdigest()[:16],
        where=f"{node.file}:{node.line}",
    )


def _priorities(node: Node) -> frozenset[Priority]:
    if not node:
        return frozenset({Priority.P0, Priority.P1})
    return frozenset(Priority(item.one_of(*(tier.value for tier in Priority))) for item in node.items())


def _guard(node: Node) -> Guard:
    node.fields("precondition", "cooldown", "max_runs_per_hour", "dry_run", "approval")
    runs = node["max_runs_per_hour"].integer(0)
    if runs < 0:
        raise node["max_runs_per_hour"].error("cannot be negative")
    return Guard(
        precondition=_condition(node["precondition"]) if node["precondition"] else "",
        cooldown=node["cooldown"].seconds(0.0),
        max_runs_per_hour=runs,
        dry_run=node["dry_run"].flag(False),
        approval=node["approval"].one_of("none", "required", default="none") == "required",
    )


def _steps(node: Node) -> tuple[Step, ...]:
    return tuple(_step(item) for item in node.items())


def _step(node: Node) -> Step:
    node.fields("name", "timeout", "idempotent", *KINDS)
    kinds = [kind for kind in KINDS if node[kind]]
    if len(kinds) != 1:
        raise node.error(f"a step has exactly one of {', '.join(KINDS)}; this one has {len(kinds)}")
    kind = kinds[0]
    params = KINDS[kind].read(node[kind])
    unknown = _unknown_placeholders(params)
    if unknown:
        raise node[kind].error(f"unknown placeholder ${{{unknown[0]}}}; {_KNOWN}")
    return Step(
        name=node["name"].text(kind),
        kind=kind,
        params=params,
        timeout=max(node["timeout"].seconds(30.0), KINDS[kind].seconds(params)),
        idempotent=node["idempotent"].flag(KINDS[kind].repeatable(params)),
    )


_KNOWN = "known: ${labels.NAME}, ${annotations.NAME}, " + ", ".join(f"${{{name}}}" for name in _FIXED)


def _verify(node: Node) -> Verify:
    node.fields("query", "within", "every", "measure")
    query, every = _condition(node["query"]), node["every"].seconds(5.0)
    if every <= 0:
        raise node["every"].error("cannot be zero")
    measure = _query(node["measure"]) if node["measure"] else _compared(query)
    return Verify(query=query, within=node["within"].seconds(120.0), every=every, measure=measure)


def _condition(node: Node) -> str:
    """A query that is true when it gives something and false when it gives nothing."""
    text = _query(node)
    tree = _parsed(text)[0]
    if isinstance(tree, syntax.Binary) and tree.return_bool:
        raise node.error("with `bool` the query gives 0 or 1, never nothing, so it would always be true: leave it out")
    return text


def _query(node: Node) -> str:
    text = node.text()
    unknown = _unknown_placeholders(text)
    if unknown:
        raise node.error(f"unknown placeholder ${{{unknown[0]}}}; {_KNOWN}")
    bare = _unquoted_placeholders(text)
    if bare:
        raise node.error(f'{bare[0]}: in PromQL a placeholder stands inside double quotes only, as in job="{bare[0]}"')
    try:
        _parsed(text)
    except BadInput as error:
        raise node.error(f"not PromQL: {error}") from None
    return text


_LEXEMES = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|\#[^\n]*|[^"'`\#]+|.""", re.DOTALL)


def _unquoted_placeholders(query: str) -> list[str]:
    """Placeholders outside of double-quoted strings: there a label's value would be read as PromQL."""
    outside = [text for text in _LEXEMES.findall(query) if not (len(text) > 1 and text.startswith('"'))]
    return [found[0] for text in outside for found in _PLACEHOLDER.finditer(text) if found[1] is not None]


def _compared(query: str) -> str:
    """The left side of a comparison, which is the number people want to see before and after; else nothing."""
    tree, placeholders = _parsed(query)
    if not isinstance(tree, syntax.Binary) or tree.op not in ("<", "<=", ">", ">=", "==", "!="):
        return ""
    left = str(tree.left)
    for mark, placeholder in placeholders.items():
        left = left.replace(mark, placeholder)
    return left


def _parsed(query: str) -> tuple[syntax.Expr, Mapping[str, str]]:
    """The syntax tree less outer parentheses, and what stands in it for each placeholder while the parser looks."""
    placeholders: dict[str, str] = {}

    def mark(found: re.Match[str]) -> str:
        name = f"aiprismplaceholder{len(placeholders)}x"
        placeholders[name] = found[0]
        return name

    tree = parse(_PLACEHOLDER.sub(mark, query))
    while isinstance(tree, syntax.Paren):
        tree = tree.expr
    return tree, placeholders

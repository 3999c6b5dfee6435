"""Texts and queries that speak of an alert: `${labels.service}` and the like, in steps, guards and verification.

In: what a runbook says, and the `Subject` it is carried out for. Out: the same with every placeholder filled in, so that a
value stays inside the quotes it stands in. A query is parsed when it is read, with its placeholders masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiprism.errors import BadInput
from aiprism.query.promql import syntax
from aiprism.query.promql.parse import parse
from aiprism.yamlfile import Node

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_SPACES = ("labels.", "annotations.")
_FIXED = ("incident.id", "alert.name", "alert.fingerprint")
_KNOWN = "known: ${labels.NAME}, ${annotations.NAME}, " + ", ".join(f"${{{name}}}" for name in _FIXED)

Quote: TypeAlias = Callable[[str], str]


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


def refuse_unknown(node: Node, value: object) -> None:
    """ConfigError at `node` when `value`, read from it, holds a placeholder of a name nobody knows."""
    unknown = [name for name in spoken_of(value) if name not in _FIXED and not _is_spaced(name)]
    if unknown:
        raise node.error(f"unknown placeholder ${{{unknown[0]}}}; {_KNOWN}")


def spoken_of(value: object) -> list[str]:
    """The names of the placeholders in the texts of `value`, however deep.

    >>> spoken_of({"to": ["${labels.service}!", "$${x}", 3]})
    ['labels.service']
    """
    if isinstance(value, str):
        return [found[1] for found in _PLACEHOLDER.finditer(value) if found[1] is not None]
    if isinstance(value, Mapping):
        return [name for inner in value.values() for name in spoken_of(inner)]
    if isinstance(value, list | tuple):
        return [name for inner in value for name in spoken_of(inner)]
    return []


def _is_spaced(name: str) -> bool:
    return any(name.startswith(space) and len(name) > len(space) for space in _SPACES)


# -- queries -----------------------------------------------------------------------------------------------------------


def read_condition(node: Node) -> str:
    """A query that is true when it gives something and false when it gives nothing."""
    text = read_query(node)
    tree = _parsed(text)[0]
    if isinstance(tree, syntax.Binary) and tree.return_bool:
        raise node.error("with `bool` the query gives 0 or 1, never nothing, so it would always be true: leave it out")
    return text


def read_query(node: Node) -> str:
    """PromQL whose placeholders stand inside double quotes; ConfigError otherwise."""
    text = node.text()
    refuse_unknown(node, text)
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


def compared(query: str) -> str:
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

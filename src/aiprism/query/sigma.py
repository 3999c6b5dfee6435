"""Sigma rules as searches for log records: what the security world writes rules in, read by its own library, `pySigma`.

In: files of Sigma rules (sigmahq.io, version 2). Out: each rule with the `model.search.Condition` its detection asks, so that it
is matched by the store like any search. Values are compared in any case, unless `cased`; keywords stand anywhere in the line.
`logsource` is not told apart: a rule is asked of every record, and its fields say of which it tells.

What a condition on one record cannot say is refused with file and line: correlations and filters, references from field to
field, placeholders, expressions that are no RE2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any as Anything

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.labels import compiled
from aiprism.model.search import All, Any, Between, Condition, Exists, Is, Like, Matches, Not, Wild
from aiprism.yamlfile import Node

if TYPE_CHECKING:
    from sigma.types import SigmaString

_MANY_WORDS = 3  # fewer are found by the text index
LINE = ("", "body", "message", "msg", "Message")


@dataclass(frozen=True, slots=True)
class SigmaRule:
    """A rule. `level` is informational, low, medium, high or critical; `action` is what to do, a field of ours."""

    id: str
    title: str
    description: str
    level: str
    tags: tuple[str, ...]
    action: str
    asked: Condition


def load(paths: Iterable[Path]) -> tuple[SigmaRule, ...]:
    """The rules of files; ConfigError with file:line and the reason for the first that cannot be asked."""
    found: list[SigmaRule] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
        found += read(text, file=str(path))
    return tuple(found)


def read(text: str, *, file: str = "") -> Sequence[SigmaRule]:
    """The rules of a text, a document each."""
    return [_rule(document) for document in yamlfile.parse_all(text, file=file) if document]


def _rule(document: Node) -> SigmaRule:
    # The library takes a quarter of a second to load, which nobody who starts a server without rules should wait for.
    from sigma.exceptions import SigmaError
    from sigma.rule import SigmaRule as Read

    for key in ("correlation", "filter"):
        if document[key]:
            raise document[key].error(
                f"a Sigma {key} asks more than one record can answer; count with a rule on logs instead"
            )
    title = document["title"].text("a rule without title")
    try:
        rule = Read.from_dict(document.plain())
        asked = [_condition(each.parsed) for each in rule.detection.parsed_condition]
    except SigmaError as error:
        raise document["detection"].error(f"Sigma rule {title!r}: {error}") from None
    except BadInput as error:
        raise document["detection"].error(f"Sigma rule {title!r}: {error}") from None
    return SigmaRule(
        id=str(rule.id or title),
        title=rule.title,
        description=rule.description or "",
        level=str(rule.level).lower() if rule.level else "medium",
        tags=tuple(map(str, rule.tags)),
        action=document["action"].text(""),
        asked=asked[0] if len(asked) == 1 else Any(tuple(asked)),
    )


def _condition(part: Anything) -> Condition:
    from sigma import conditions

    match part:
        case conditions.ConditionAND():
            return All(tuple(map(_condition, part.args)))
        case conditions.ConditionOR():
            return _any([_condition(each) for each in part.args])
        case conditions.ConditionNOT():
            return Not(_condition(part.args[0]))
        case conditions.ConditionFieldEqualsValueExpression(field=field, value=value):
            return _compared("" if field in LINE else field, value, whole=True)
        case conditions.ConditionValueExpression(value=value):
            return _compared("", value, whole=False)
    raise BadInput(f"{type(part).__name__} cannot be asked of a log record")


def _any(parts: Sequence[Condition]) -> Condition:
    """One of the parts. Keywords become one expression: the line is read once, however many there are, and what stored lines
    say to it is remembered by the store."""
    words = [part.form[1] for part in parts if isinstance(part, Like)]
    others = [part for part in parts if not isinstance(part, Like)]
    if len(words) < _MANY_WORDS:
        return Any(tuple(parts))
    together = _matches("", f"(?i){'|'.join(re.escape(str(word)) for word in words)}")
    return Any((together, *others)) if others else together


def _compared(field: str, value: Anything, *, whole: bool) -> Condition:
    """A field, or the line, has a value; a keyword need not be the `whole` of it."""
    from sigma import types

    match value:
        case types.SigmaString():
            return _text(field, value, whole=whole, cased=isinstance(value, types.SigmaCasedString))
        case types.SigmaRegularExpression():
            return _matches(field, value.escape(escape_escape_char=False))
        case types.SigmaBool():
            return Is(field, str(value.boolean).lower())
        case types.SigmaTimestampPart():
            raise BadInput("parts of a time cannot be asked for")
        case types.SigmaNumber():
            return Is(field, str(value.number))
        case types.SigmaNull():
            return Not(Exists(field))
        case types.SigmaExists():
            return Exists(field) if value.exists else Not(Exists(field))
        case types.SigmaCIDRExpression():
            return Any(tuple(_text(field, types.SigmaString(each), whole=True, cased=False) for each in value.expand()))
        case types.SigmaCompareExpression():
            return _between(field, value.op.name, str(value.number.number))
        case types.SigmaExpansion():
            return Any(tuple(_compared(field, each, whole=whole) for each in value.values))
    raise BadInput(f"a {type(value).__name__.removeprefix('Sigma')} cannot be asked of a log record")


def _between(field: str, operator: str, number: str) -> Condition:
    match operator:
        case "LT" | "LTE":
            return Between(field, None, number, with_high=operator == "LTE")
        case "GT" | "GTE":
            return Between(field, number, None, with_low=operator == "GTE")
    return Not(Is(field, number))


def _text(field: str, value: SigmaString, *, whole: bool, cased: bool) -> Condition:
    from sigma.types import SpecialChars

    parts: list[str | Wild] = []
    for part in value.s:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, SpecialChars):
            parts.append(Wild.MANY if part is SpecialChars.WILDCARD_MULTI else Wild.ONE)
        else:
            raise BadInput(f"placeholder %{part.name}% has no values here")
    if not whole:
        parts = [Wild.MANY, *parts, Wild.MANY]
    inner = [part for part in parts if isinstance(part, str)]
    if not field and not cased and len(inner) == 1 and parts == [Wild.MANY, inner[0], Wild.MANY]:
        return Like("", (Wild.MANY, inner[0], Wild.MANY))  # which the text index helps to find
    meant = {Wild.MANY: ".*", Wild.ONE: "."}
    expression = "".join(re.escape(part) if isinstance(part, str) else meant[part] for part in parts)
    return _matches(field, f"(?{'' if cased else 'i'}s)^{expression}$")


def _matches(field: str, expression: str) -> Condition:
    compiled(expression)  # BadInput when it is no RE2
    return Matches(field, expression)

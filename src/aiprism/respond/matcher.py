"""Matchers as Alertmanager's files write them: `severity="critical"`, `{service=~"a|b", team!=x}`.

The grammar is Alertmanager 0.25's: quotes are optional, commas inside quotes do not separate, and in a value only
`\\n`, `\\"` and `\\\\` are escapes. Text comes in, `Matcher`s go out; BadInput says which part is wrong.
"""

from __future__ import annotations

import re

from aiprism.errors import BadInput
from aiprism.model.labels import Matcher, MatchOp, compiled
from aiprism.yamlfile import Node

_MATCHER = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parsed(text: str) -> tuple[Matcher, ...]:
    r"""The matchers in `text`, comma-separated, with or without braces around them.

    >>> [str(matcher) for matcher in parsed('{severity="critical", service=~"a|b,c"}')]
    ['severity="critical"', 'service=~"a|b,c"']
    """
    return tuple(_matcher(part) for part in _parts(text.removeprefix("{").removesuffix("}")))


def matcher(name: str, op: MatchOp, value: str) -> Matcher:
    """A Matcher whose regular expression is known to compile."""
    if op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
        compiled(value)
    return Matcher(name, op, value)


def read(node: Node) -> tuple[Matcher, ...]:
    """The matchers in a list of texts, as in `matchers: [severity="critical"]`; ConfigError with file:line."""
    found: list[Matcher] = []
    for item in node.items():
        try:
            found += parsed(item.text())
        except BadInput as error:
            raise item.error(str(error)) from None
    return tuple(found)


def read_pairs(node: Node, op: MatchOp) -> tuple[Matcher, ...]:
    """The matchers in a `match:` (EQUAL) or `match_re:` (REGEX) mapping."""
    found = []
    for name, value in node.entries().items():
        try:
            found.append(matcher(name, op, value.text("")))
        except BadInput as error:
            raise value.error(str(error)) from None
    return tuple(found)


def _parts(text: str) -> list[str]:
    parts, part, quoted, escaped = [], "", False, False
    for char in text:
        if char == "," and not quoted:
            parts.append(part)
            part, escaped = "", False
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        part += char
    return [*parts, part] if part.strip() else parts


def _matcher(text: str) -> Matcher:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise BadInput(f'bad matcher format: {text.strip()!r}; write for example severity="critical"')
    name, op, raw = found.groups()
    return matcher(name, MatchOp(op), _unquoted(raw))


def _unquoted(raw: str) -> str:
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    value, at = "", 0
    while at < len(body):
        char = body[at]
        if char == "\\" and at + 1 < len(body):
            following = body[at + 1]
            value += _ESCAPES.get(following, char + following)  # an escape of nothing is a backslash
            at += 2
            continue
        if char == '"':
            if not quoted or at != len(body) - 1:
                raise _stray_quote(raw)
            return value
        value += char
        at += 1
    if quoted:
        raise _stray_quote(raw)
    return value


def _stray_quote(raw: str) -> BadInput:
    return BadInput(f"matcher value contains unescaped double quote: {raw}")

"""Matchers as Alertmanager's files write them: `severity="critical"`, `{service=~"a|b", team!=x}`.

Two grammars, as Alertmanager 0.27 reads by default: the classic one first (quotes are optional, commas inside quotes do not
separate, in a value only `\\n`, `\\"` and `\\\\` are escapes), and where a text is none of that, the one that allows quoted
names of any characters (`"service name"="a"`). Text comes in, `Matcher`s go out; BadInput says which part is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    try:
        return tuple(_matcher(part) for part in _parts(text.removeprefix("{").removesuffix("}")))
    except BadInput:
        found = _in_any_language(text)
        if found is None:
            raise
        return found


def label_set(pairs: Iterable[str]) -> dict[str, str]:
    """The labels in texts such as `severity=critical`, as `amtool config routes test` takes them."""
    labels: dict[str, str] = {}
    for pair in pairs:
        for found in parsed(pair):
            if found.op is not MatchOp.EQUAL:
                raise BadInput(f"{pair!r}: a label has a value, no condition; write for example severity=critical")
            labels[found.name] = found.value
    return labels


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
            text = value.text("")
            # Anchored in so many words, as Alertmanager does; it is seen in the keys of groups.
            found.append(matcher(name, op, f"^(?:{text})$" if op is MatchOp.REGEX else text))
        except BadInput as error:
            raise value.error(str(error)) from None
    return tuple(found)


# Bare words end at what has a meaning of its own; quoted ones are Go string literals.
_WORD = r"""(?:"(?:[^"\\\n]|\\.)*"|[^\s{}!=~,\\'"`]+)"""
_ANY = re.compile(rf"\s*({_WORD})\s*(=~|!~|!=|=)\s*({_WORD})\s*")


def _in_any_language(text: str) -> tuple[Matcher, ...] | None:
    """The matchers in the grammar of 0.27, or None when it is no text of that either."""
    left = text.strip()
    if left.startswith("{") != left.endswith("}"):
        return None
    left = left.removeprefix("{").removesuffix("}").rstrip().removesuffix(",")
    found: list[Matcher] = []
    while left.strip():
        match = _ANY.match(left)
        if match is None or (found and not left):
            return None
        name, value = _word(match[1]), _word(match[3])
        if not name or value is None:
            return None
        found.append(matcher(name, MatchOp(match[2]), value))
        left = left[match.end() :]
        if left and not left.startswith(","):
            return None
        left = left[1:]
        if not left.strip():
            break
    return tuple(found)


_GO_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'
}  # fmt: skip
_GO_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|\\")


def _word(text: str) -> str | None:
    """The text of a bare or quoted word (strconv.Unquote); None when an escape in it means nothing."""
    if not text.startswith('"'):
        return text
    wrong = False

    def meant(match: re.Match[str]) -> str:
        nonlocal wrong
        if match[1]:
            return _GO_ESCAPES[match[1]]
        digits = match[2] or match[3] or match[4]
        if not digits or int(digits, 16) > 0x10FFFF:
            wrong = True
            return ""
        return chr(int(digits, 16))

    read = _GO_ESCAPE.sub(meant, text[1:-1])
    return None if wrong else read


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

"""The words of Go's text/template: text in, pieces of text and of tokens out, trim markers and comments already done.

Every token knows its place, so that whoever stumbles over it can say where. What the words mean is left to
`templatesyntax.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiprism.errors import AiprismError


class TemplateError(AiprismError):
    """A template that cannot be read, or one that failed while it was expanded. `line` is where in its text."""

    line = 1


_OPEN = re.compile(r"\{\{(?:-(?=\s))?")
_CLOSE = re.compile(r"(?P<trim>\s-)?\}\}")
_COMMENT = re.compile(r"\s*/\*(?P<comment>.*?)\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n](?!-\}\}))+)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<raw>`[^`]*`)
  | (?P<char>'(?:[^'\\\n]|\\.)+')
  | (?P<declare>:=)
  | (?P<assign>=)
  | (?P<pipe>\|)
  | (?P<open>\()
  | (?P<close>\))
  | (?P<comma>,)
  | (?P<variable>\$\w*)
  | (?P<number>[+-]?(?:0[xXbBoO][\da-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?))
  | (?P<field>\.[^\W\d]\w*)
  | (?P<dot>\.)
  | (?P<word>[^\W\d]\w*)
    """,
    re.VERBOSE,
)
_SPACES = " \t\r\n"
# What an operand must be followed by; anything else is a slip such as `$labels-job` or `.a"b"`.
AFTER_OPERAND = {"space", "pipe", "close", "comma", "declare", "assign", "field", "end"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an action: which group of the token pattern it is, as it was written, and at which character."""

    kind: str
    text: str
    at: int


class Piece:
    """Either text, or the tokens of one action."""

    __slots__ = ("at", "text", "tokens")

    def __init__(self, at: int, text: str = "", tokens: list[Token] | None = None) -> None:
        self.at, self.text, self.tokens = at, text, tokens


def pieces(source: str) -> Iterator[Piece]:
    """Text and actions of a template in order; TemplateError where an action cannot be cut into words."""
    at = 0
    trim_left = False
    while (opened := _OPEN.search(source, at)) is not None:
        text = source[at : opened.start()]
        yield Piece(at, _trimmed(text, left=trim_left, right=opened.group().endswith("-")))
        piece, at, trim_left = _action(source, opened)
        if piece is not None:
            yield piece
    yield Piece(at, _trimmed(source[at:], left=trim_left, right=False))


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip(_SPACES) if left else text
    return text.rstrip(_SPACES) if right else text


def _action(source: str, opened: re.Match[str]) -> tuple[Piece | None, int, bool]:
    """The action at `opened` (None for a comment), where the text goes on, and whether it is trimmed there."""
    comment = _COMMENT.match(source, opened.end())
    if comment is not None:
        closed = _CLOSE.match(source, comment.end())
        if closed is None:
            raise template_error(source, opened.start(), "a comment must end with */}}")
        return None, closed.end(), bool(closed["trim"])
    tokens: list[Token] = []
    at = opened.end()
    while True:
        closed = _CLOSE.match(source, at)
        if closed is not None:
            tokens.append(Token("end", "}}", at))
            return Piece(opened.start(), tokens=tokens), closed.end(), bool(closed["trim"])
        token = _TOKEN.match(source, at)
        if token is None:
            raise template_error(source, at, _why_no_token(source, at))
        assert token.lastgroup is not None
        tokens.append(Token(token.lastgroup, token.group(), at))
        at = token.end()


def _why_no_token(source: str, at: int) -> str:
    rest = source[at : at + 1]
    if not rest:
        return "the action is not closed; }} is missing"
    if rest in "\"`'":
        return f"the quote {rest} is not closed"
    if source.startswith("{{", at):
        return "{{ inside of an action; }} is missing before"
    return f"unexpected character {rest!r} in an action"


def template_error(source: str, at: int, message: str) -> TemplateError:
    """The error of a template that is wrong at character `at`."""
    line = source.count("\n", 0, at) + 1
    column = at - (source.rfind("\n", 0, at) + 1) + 1
    where = f"column {column}" if line == 1 else f"line {line}, column {column}"
    error = TemplateError(f"{message} ({where} of the template)")
    error.line = line
    return error

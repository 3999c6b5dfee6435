"""The words of a PromQL expression, each with its place; what cannot be a word is one, too, with the reason.

The words are Prometheus' own: inside of braces every word is a label name, a colon belongs to a metric name except inside of
brackets, a number may carry underscores or units, and a text may be quoted in three ways. An error ends the words: whether it
matters is for the parser to say, which may find the expression wrong before.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from aiprism.errors import BadInput

_SPACE = re.compile(r"(?:\s|#[^\n]*)+")
_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|' r"'(?:[^'\\\n]|\\.)*'|`[^`]*`", re.DOTALL)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HEXADECIMAL = re.compile(r"0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*")
_DIGITS = r"\d+(?:_\d+)*"
_DECIMAL = re.compile(rf"(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_DURATION = re.compile(r"(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?")
_ALPHANUMERIC = re.compile(r"[a-zA-Z0-9_]")
_SIGN = re.compile(r"!=|==|<=|>=|</|>/|=(?!~)|[-<>+*/%^(){\[\],@]")
_IN_BRACES = re.compile(r"=~|!~|!=|[=,{}]")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_CLOSED_BY = {")": "(", "]": "[", "}": "{"}
_NAMES = {"(": "parenthesis", "[": "bracket"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its kind (text, number, duration, name, label, sign, end, error), what is written, and from which character
    on. What an error has written is the reason."""

    kind: str
    written: str
    start: int


def tokens(text: str) -> list[Token]:
    """The words of `text`, an end or an error last."""
    return _Words(text).found


def parse_error(text: str, at: int, why: str) -> BadInput:
    """The error of an expression that is wrong at character `at`, in Prometheus' form ``line:column: parse error: why``."""
    line, column = line_and_column(text, at)
    return BadInput(f"{line}:{column}: parse error: {why}", details={"line": line, "column": column, "position": at})


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Of a character of `text`, both from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def unquoted(written: str) -> str:
    """What a quoted text says; ValueError with the reason when an escape in it is none.

    >>> unquoted(r'"a\\u0062"'), unquoted(r"`a\\b`")
    ('ab', 'a\\\\b')
    """
    inside, quote = written[1:-1], written[0]
    if quote == "`":
        return inside

    def meant(match: re.Match[str]) -> str:
        plain, byte, octal, short, long, other = match.groups()
        if plain:
            return _PLAIN[plain]
        if other:
            if other == quote:
                return quote
            raise ValueError(_why_no_escape(match, inside + quote))
        code = int(byte, 16) if byte else int(octal, 8) if octal else int(short or long, 16)
        if (octal and code > 0xFF) or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError("escape sequence is an invalid Unicode code point")
        # A byte, not a character: put together with its neighbours below.
        return chr(0xDC00 + code) if (byte or octal) and code >= 0x80 else chr(code)

    return _ESCAPE.sub(meant, inside).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _why_no_escape(match: re.Match[str], inside: str) -> str:
    sign = match.group(6)
    wanted = {"x": 2, "u": 4, "U": 8, **dict.fromkeys("01234567", 3)}.get(sign)
    if wanted is None:
        return f"unknown escape sequence {_code_point(sign)}"
    digits = "01234567" if wanted == 3 else "0123456789abcdefABCDEF"
    start = match.start() + (1 if wanted == 3 else 2)
    wrong = next(each for each in inside[start:] if each not in digits)
    return f"illegal character {_code_point(wrong)} in escape sequence"


def _code_point(sign: str) -> str:
    shown = f" '{sign}'" if unicodedata.category(sign)[0] not in "CZ" or sign == " " else ""
    return f"U+{ord(sign):04X}{shown}"


class _Words:
    """Walks through a text once."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.found: list[Token] = []
        self._open: list[str] = []  # brackets of all kinds
        self._colon = False  # after the one colon that brackets may hold
        while not self.found or self.found[-1].kind not in ("end", "error"):
            self._next()

    def _next(self) -> None:
        if space := _SPACE.match(self._text, self._at):
            self._at = space.end()
        if self._at == len(self._text):
            self._end()
        elif self._inside("{"):
            self._in_braces()
        elif not (self._text_word() or self._number() or self._name() or self._sign()):
            self._error(self._why_no_word())

    def _end(self) -> None:
        if self._inside("{"):
            self._error("unexpected end of input inside braces")
        elif self._open:
            self._error(f"unclosed left {_NAMES['(' if '(' in self._open else '[']}")
        else:
            self._add("end", "")

    def _in_braces(self) -> None:
        if self._text_word():
            return
        if match := _LABEL.match(self._text, self._at):
            self._add("label", match.group())
        elif (match := _IN_BRACES.match(self._text, self._at)) and match.group() != "{":
            self._bracket(match.group())
        elif match:
            self._error("unexpected left brace '{'")
        elif self._text[self._at] == "!":
            after = self._text[self._at + 1 : self._at + 2]
            self._error(f"unexpected character after '!' inside braces: {_shown(after)}")
        else:
            self._error(f"unexpected character inside braces: {_shown(self._text[self._at])}")

    def _text_word(self) -> bool:
        if self._text[self._at] not in "\"'`":
            return False
        match = _TEXT.match(self._text, self._at)
        if match is None:
            kind = "raw" if self._text[self._at] == "`" else "quoted"
            self._error(f"unterminated {kind} string")
            return True
        try:
            unquoted(match.group())
        except ValueError as error:
            self._error(str(error))
        else:
            self._add("text", match.group())
        return True

    def _number(self) -> bool:
        text, at = self._text, self._at
        if not (text[at].isascii() and text[at].isdigit()) and not re.match(r"\.\d", text[at : at + 2]):
            return False
        match = _HEXADECIMAL.match(text, at) or _DECIMAL.match(text, at)
        assert match is not None
        if not _ALPHANUMERIC.match(text, match.end()):
            self._add("number", match.group())
            return True
        duration = _DURATION.match(text, at)
        if duration and duration.end() > at and not _ALPHANUMERIC.match(text, duration.end()):
            self._add("duration", duration.group())
            return True
        end = match.end()
        while end < len(text) and _ALPHANUMERIC.match(text, end):
            end += 1
        self._error(f'bad number or duration syntax: "{text[at:end]}"')
        return True

    def _name(self) -> bool:
        inside = self._inside("[")
        if inside and self._text[self._at] == ":":
            if self._colon:
                self._error("unexpected colon ':'")
            else:
                self._colon = True
                self._add("sign", ":")
            return True
        match = (_LABEL if inside else _NAME).match(self._text, self._at)
        if match:
            self._add("name", match.group())
        return match is not None

    def _sign(self) -> bool:
        match = _SIGN.match(self._text, self._at)
        if match is None:
            return False
        if match.group() == "[" and self._inside("["):
            self._error("unexpected left bracket '['")
        else:
            self._bracket(match.group())
        return True

    def _bracket(self, sign: str) -> None:
        if sign in "([{":
            self._open.append(sign)
            self._colon = False
        elif sign in _CLOSED_BY:
            if not self._open or self._open[-1] != _CLOSED_BY[sign]:
                self._error(f"unexpected right {_NAMES[_CLOSED_BY[sign]]} '{sign}'")
                return
            self._open.pop()
        self._add("sign", sign)

    def _why_no_word(self) -> str:
        if self._text[self._at] in "!=":
            sign, after = self._text[self._at], self._text[self._at + 1 : self._at + 2]
            return f"unexpected character after '{sign}': {_shown(after)}"
        return f"unexpected character: {_shown(self._text[self._at])}"

    def _inside(self, bracket: str) -> bool:
        return bool(self._open) and self._open[-1] == bracket

    def _add(self, kind: str, written: str) -> None:
        self.found.append(Token(kind, written, self._at))
        self._at += len(written)

    def _error(self, why: str) -> None:
        self.found.append(Token("error", why, self._at))


def _shown(sign: str) -> str:
    return f"'{sign}'"

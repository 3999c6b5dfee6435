"""The words of a PromQL expression, each with its place, and the same expression as promql-parser can read it.

promql-parser knows no positions, reads raw strings as escaped ones, checks regular expressions with another dialect than
RE2 and cuts negative @ times. So texts and @ times go to it as numbered placeholders and come back by number. Each pair
of braces gets one more matcher, so that it does not judge by placeholders whether a selector is empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiprism.errors import BadInput

_WORD = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[a-zA-Z0-9_.]*)
      | (?P<colon>(?<=\[):|:(?=[\s\]])|(?<=\s):(?=\d))
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<sign>=~|!~|!=|==|<=|>=|[-=<>+*/%^(){}\[\],@])
    """,
    re.VERBOSE,
)
_DURATION_STEP = re.compile(r"(:)(\d\w*)")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
# No identifier can hold this character, and every text of the user's is replaced: it marks placeholders beyond doubt.
MARK = "\u00b7"
_OPENED = f'{{"{MARK}"="{MARK}",'


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its kind (text, number, name, sign), what is written, and from which character on."""

    kind: str
    written: str
    start: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An expression for promql-parser, with what its placeholders stand for."""

    words: tuple[str, ...]
    texts: tuple[str, ...]
    times_ms: tuple[int, ...]

    def expression(self, count: int | None = None) -> str:
        """The first `count` words (default all)."""
        return " ".join(self.words[:count])

    def text(self, placeholder: str) -> str:
        """What a name or value that came back from promql-parser says."""
        return self.texts[int(placeholder[1:])] if placeholder.startswith(MARK) else placeholder


def tokens(text: str) -> list[Token]:
    """The words of `text`; BadInput where no word can begin."""
    found = []
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise parse_error(text, at, _why_no_word(text, at))
        kind, written = str(match.lastgroup), match.group()
        step = _DURATION_STEP.fullmatch(written) if kind == "name" else None
        if step:  # [5m:1m] – a name may begin with a colon, but not go on with a digit
            found += [Token("sign", ":", at), Token("number", step.group(2), at + 1)]
        elif kind != "space":
            found.append(Token("sign" if kind == "colon" else kind, written, at))
        at = match.end()
    return found


def rewritten(text: str, words: Sequence[Token]) -> Rewritten:
    """`words` with placeholders for texts and @ times; BadInput for a bad escape or an @ time out of bounds."""
    out: list[str] = []
    texts: list[str] = []
    times: list[int] = []
    at_time = ""  # "@" right after it, then "-" or "+" while a sign stands between it and the number
    for word in words:
        if word.kind == "text":
            out.append(f'"{MARK}{len(texts)}"')
            texts.append(_unquoted(text, word))
            at_time = ""
        elif at_time and word.written in "+-":
            at_time = word.written
        elif at_time and word.kind == "number":
            out.append(str(len(times)))
            times.append(_time_ms(text, word, negative=at_time == "-"))
            at_time = ""
        else:
            out.append(_OPENED if word.written == "{" else word.written)
            at_time = "@" if word.written == "@" else ""
    return Rewritten(tuple(out), tuple(texts), tuple(times))


def parse_error(text: str, at: int, why: str) -> BadInput:
    """The error of an expression that is wrong at character `at`, in Prometheus' form ``line:column: parse error: why``."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return BadInput(f"{line}:{column}: parse error: {why}", details={"line": line, "column": column, "position": at})


def _why_no_word(text: str, at: int) -> str:
    if text[at] in "\"'`":
        return "unterminated quoted string" if text[at] != "`" else "unterminated raw string"
    return f"unexpected character: {text[at]!r}"


def _unquoted(text: str, word: Token) -> str:
    inside = word.written[1:-1]
    if word.written[0] == "`":
        return inside

    def meant(match: re.Match[str]) -> str:
        plain, byte, octal, short, long, other = match.groups()
        if plain:
            return _PLAIN[plain]
        if other:
            raise parse_error(text, word.start + 1 + match.start(), f"unknown escape sequence \\{other}")
        if byte or octal:
            code = int(byte, 16) if byte else int(octal, 8)
            # A byte, not a character: put together with its neighbours below.
            return chr(0xDC00 + code) if 0x80 <= code <= 0xFF else chr(code & 0xFF)
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise parse_error(text, word.start + 1 + match.start(), "escape sequence is not a Unicode character")
        return chr(code)

    return _ESCAPE.sub(meant, inside).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _time_ms(text: str, word: Token, *, negative: bool) -> int:
    try:
        seconds = float(int(word.written, 16)) if word.written[:2] in ("0x", "0X") else float(word.written)
    except ValueError:
        raise parse_error(text, word.start, f"not a time for the @ modifier: {word.written}") from None
    if not abs(seconds) < 9e15:
        raise parse_error(text, word.start, f"timestamp out of bounds for @ modifier: {word.written}")
    ms = round(seconds * 1000)
    return -ms if negative else ms

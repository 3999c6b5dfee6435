"""A cursor over the words of an expression, and the errors of who reads them: Prometheus' sentences, with the place.

In: a text and its words. Out: the next word, when it is what must stand there; else BadInput that names what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiprism.errors import BadInput
from aiprism.query.promql.aggregate import OPERATORS as AGGREGATIONS
from aiprism.query.promql.operators import ARITHMETIC, COMPARISON, SET_OPERATORS, TRIM
from aiprism.query.promql.tokens import Token, parse_error

OPERATOR_WORDS = frozenset({"and", "or", "unless", "atan2"})
CLAUSES = frozenset({"bool", "by", "group_left", "group_right", "ignoring", "offset", "on", "without"})
PREPROCESSED = frozenset({"start", "end"})
NUMBER_WORDS = frozenset({"inf", "nan"})
_OPERATORS = frozenset({*ARITHMETIC, *COMPARISON, *TRIM, *SET_OPERATORS, "=~", "!~", "@"})


class Reader:
    """Reads words from left to right."""

    def __init__(self, text: str, words: Sequence[Token]) -> None:
        self.text, self._words, self._at = text, words, 0
        self._within: list[str] = []  # what is being read, for errors

    @property
    def word(self) -> Token:
        """The next word; an error that stands there is raised."""
        word = self._words[self._at]
        if word.kind == "error":
            raise self.error(word.start, word.written)
        return word

    @property
    def after(self) -> Token:
        """The word after the next."""
        return self._words[min(self._at + 1, len(self._words) - 1)]

    def take(self) -> Token:
        """The next word, which is read by this."""
        word = self.word
        self._at += 1
        return word

    def next_is(self, *written: str) -> bool:
        """True when the next word is a sign or a name, in capitals or not, that is one of those."""
        word = self.word
        return (
            word.written in written if word.kind == "sign" else word.kind == "name" and word.written.lower() in written
        )

    def taken(self, written: str) -> bool:
        """True when the next word is that; then it is read."""
        found = self.next_is(written)
        self._at += found
        return found

    def expect(self, written: str, context: str = "", expected: str = "") -> None:
        """Read the next word, which must be that."""
        if not self.next_is(written):
            raise self.unexpected(context, expected or (f'"{written}"' if context else ""))
        self.take()

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """What is unexpected inside, and nothing else is said of, is unexpected in `what`."""
        self._within.append(what)
        yield
        self._within.pop()

    def unexpected(self, context: str = "", expected: str = "") -> BadInput:
        """The error of the next word."""
        context = context or (self._within[-1] if self._within else "")
        why = f"unexpected {_described(self.word)}" + (f" in {context}" if context else "")
        return self.error(self.word.start, why + (f", expected {expected}" if expected else ""))

    def error(self, place: int, why: str) -> BadInput:
        """The error of what stands at `place`."""
        return parse_error(self.text, place, why)


def _described(word: Token) -> str:
    """A word as Prometheus' errors name it."""
    lower = word.written.lower()
    match word.kind:
        case "end":
            return "end of input"
        case "text" | "number" | "duration":
            shown = _quoted(word.written)
            return f"{ {'text': 'string'}.get(word.kind, word.kind) } {shown}"
        case "name" if lower in AGGREGATIONS:
            return f"<aggr:{word.written}>"
        case "name" if lower in OPERATOR_WORDS:
            return f"<op:{word.written}>"
        case "name" if lower in CLAUSES:
            return f"<{word.written}>"
        case "name" if lower in NUMBER_WORDS:
            return f"number {_quoted(word.written)}"
        case "name" if lower in PREPROCESSED:
            return _quoted(word.written)
        case "name" | "label":
            return f"{'metric identifier' if ':' in word.written else 'identifier'} {_quoted(word.written)}"
    return f"<op:{word.written}>" if word.written in _OPERATORS else _quoted(word.written)


def _quoted(written: str) -> str:
    cut = written[:10]
    escaped = cut.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"' + ("..." if len(written) > 10 else "")

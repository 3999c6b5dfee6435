"""Label sets and the matchers that select them, as Prometheus defines both.

A label set is an immutable, sorted mapping of name to value; an empty value means the label is absent. Its fingerprint
names a series in the store, so it may never change between versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import re2
import xxhash

from aiprism.errors import BadInput

METRIC_NAME = "__name__"


class Labels(Mapping[str, str]):
    """A label set: sorted, hashable, without empty values.

    >>> Labels({"b": "2", "a": "1", "gone": ""})
    Labels(a="1", b="2")
    """

    __slots__ = ("_hash", "_pairs", "_values")

    def __init__(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        given = pairs.items() if isinstance(pairs, Mapping) else pairs
        self._pairs = tuple(sorted((name, value) for name, value in given if value != ""))
        self._values = dict(self._pairs)
        self._hash = hash(self._pairs)

    @classmethod
    def rows(cls, names: Iterable[str], columns: Iterable[Iterable[str]]) -> list[Labels]:
        """Many label sets out of the columns of their distinct names, whose order is found once for all."""
        ordered = sorted(zip(names, columns, strict=True), key=lambda column: column[0])
        names = [name for name, _ in ordered]
        return [
            cls._of(tuple([pair for pair in zip(names, row, strict=True) if pair[1]]))
            for row in zip(*(texts for _, texts in ordered), strict=True)
        ]

    @classmethod
    def _of(cls, pairs: tuple[tuple[str, str], ...]) -> Labels:
        made = cls.__new__(cls)
        made._pairs, made._values, made._hash = pairs, dict(pairs), hash(pairs)
        return made

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, Labels) else NotImplemented

    def __lt__(self, other: Labels) -> bool:
        return self._pairs < other._pairs

    def __repr__(self) -> str:
        return "Labels({})".format(", ".join(f'{name}="{value}"' for name, value in self._pairs))

    def __str__(self) -> str:
        """As Prometheus writes them: ``{a="1", b="2"}``."""
        return "{{{}}}".format(", ".join(f'{name}="{_escaped(value)}"' for name, value in self._pairs))

    @property
    def name(self) -> str:
        """The metric name, or an empty string."""
        return self._values.get(METRIC_NAME, "")

    @property
    def fingerprint(self) -> int:
        """64-bit xxh3 of the sorted pairs, the series' key in the store; stable across processes and versions."""
        return fingerprint(self._pairs)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The sorted (name, value) pairs."""
        return self._pairs

    def with_(self, **changes: str) -> Labels:
        """These labels with `changes` laid over them; an empty value removes."""
        return Labels({**self._values, **changes})

    def over(self, other: Mapping[str, str]) -> Labels:
        """These labels laid over `other`."""
        return Labels({**other, **self._values})

    def without(self, *names: str) -> Labels:
        """These labels less `names`."""
        return Labels((name, value) for name, value in self._pairs if name not in names)

    def only(self, *names: str) -> Labels:
        """Of these labels, only `names`."""
        return Labels((name, value) for name, value in self._pairs if name in names)

    def to_dict(self) -> dict[str, str]:
        """A plain dict for the wire."""
        return dict(self._values)


def fingerprint(pairs: Iterable[tuple[str, str]]) -> int:
    """64-bit hash of sorted (name, value) pairs. 0xFF never occurs in UTF-8, so the joins cannot be forged."""
    text = b"\xff".join(part.encode("utf-8", "surrogatepass") for pair in pairs for part in pair)
    return int(xxhash.xxh3_64_intdigest(text))


class MatchOp(Enum):
    """The four comparisons of a matcher."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. Regular expressions are RE2 and anchored at both ends; an absent label is ``""``.

    >>> Matcher("status", MatchOp.REGEX, "5..").matches("503")
    True
    """

    name: str
    op: MatchOp
    value: str

    def matches(self, value: str) -> bool:
        if self.op is MatchOp.EQUAL:
            return value == self.value
        if self.op is MatchOp.NOT_EQUAL:
            return value != self.value
        found = compiled(self.value).fullmatch(value) is not None
        return found if self.op is MatchOp.REGEX else not found

    def __str__(self) -> str:
        return f'{self.name}{self.op.value}"{_escaped(self.value)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """True when every matcher accepts its label of `labels`."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """The RE2 program of `pattern` with `.` matching newlines, as Prometheus compiles it; BadInput when it is no regex."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode() if isinstance(reason, bytes) else reason
        raise BadInput(f"regular expression {pattern!r}: {text}") from error

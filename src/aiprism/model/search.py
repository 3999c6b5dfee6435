"""What a search for log records asks of each, as a tree of frozen conditions.

Written by a parser (`query/lucene.py`), read by a store. `field` is a name as users write it; the empty one is the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; without parts: anything does."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """One of the parts holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold, also where its field is not there."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Is:
    """The field has this value, or the line holds these words, one after the other, in any case."""

    field: str
    value: str


class Wild(Enum):
    """What a wildcard stands for."""

    MANY = "*"  # any characters, or none
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Like:
    """The field, or a word of the line in any case, has this form."""

    field: str
    form: tuple[str | Wild, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """The regular expression (RE2) matches somewhere in the field or the line."""

    field: str
    expression: str


@dataclass(frozen=True, slots=True)
class Between:
    """The field lies between two bounds: as a number when they are numbers, else as text. None: no bound."""

    field: str
    low: str | None
    high: str | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there."""

    field: str


Condition: TypeAlias = All | Any | Not | Is | Like | Matches | Between | Exists

ANYTHING = All()

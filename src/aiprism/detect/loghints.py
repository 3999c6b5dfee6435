"""What a line of a log says about the cause: a catalogue of expressions, each with a hint and what to do.

In: the catalogue that is shipped (`loghints.yml`), and a file of the user's that adds to it (`logs.hints`). Out: for a line, the
hints whose expression it matches. Expressions are RE2, which takes time in proportion to the line whatever they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiprism import yamlfile
from aiprism.errors import BadInput
from aiprism.model.labels import compiled
from aiprism.yamlfile import Node

_LONGEST = 4096  # characters of a line that are looked at


@dataclass(frozen=True, slots=True)
class Hint:
    """One cause. `slow` are those that tell of time rather than of an error."""

    name: str
    match: tuple[str, ...]
    hint: str
    action: str
    slow: bool = False

    @property
    def expression(self) -> str:
        return "|".join(f"(?:{each})" for each in self.match)


class Hints:
    """A catalogue.

    >>> [each.name for each in Hints(shipped()).of("dial tcp 10.0.0.7:5432: connect: connection refused")]
    ['connection-refused']
    """

    def __init__(self, hints: Sequence[Hint]) -> None:
        self._hints = tuple((each, compiled(f"(?i){each.expression}")) for each in hints)
        # Most lines match none, which one expression tells at once.
        self._any: Any = compiled("(?i)" + "|".join(each.expression for each in hints)) if hints else None

    def __len__(self) -> int:
        return len(self._hints)

    def of(self, line: str) -> tuple[Hint, ...]:
        """The hints of a line, in the order of the catalogue."""
        text = line[:_LONGEST]
        if self._any is None or not self._any.search(text):
            return ()
        return tuple(hint for hint, expression in self._hints if expression.search(text))


def shipped() -> tuple[Hint, ...]:
    """The hints that come with aiprism."""
    name = "loghints.yml"
    return read(yamlfile.parse((files("aiprism.detect") / name).read_text(encoding="utf-8"), file=name))


def load(path: Path | None) -> Hints:
    """The shipped hints, and before them those of `path`, which replace shipped ones of the same name."""
    own = read(yamlfile.read(path)) if path else ()
    names = {each.name for each in own}
    return Hints((*own, *(each for each in shipped() if each.name not in names)))


def read(root: Node) -> tuple[Hint, ...]:
    """The hints of a document; ConfigError with file:line and the fix."""
    found: list[Hint] = []
    for node in root.fields("hints")["hints"].items():
        hint = _hint(node)
        if hint.name in {each.name for each in found}:
            raise node["name"].error(f"hint {hint.name!r} stands twice")
        found.append(hint)
    return tuple(found)


def _hint(node: Node) -> Hint:
    node.fields("name", "match", "hint", "action", "slow")
    expressions = node["match"].texts()
    if not expressions:
        raise node["match"].error("a hint needs an expression that lines match")
    hint = Hint(
        node["name"].text(),
        tuple(expressions),
        node["hint"].text(),
        node["action"].text(""),
        node["slow"].flag(default=False),
    )
    for each in expressions:
        try:
            compiled(each)
        except BadInput as error:
            raise node["match"].error(str(error)) from None
    return hint

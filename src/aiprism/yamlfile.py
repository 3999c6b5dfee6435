"""A YAML file whose every value knows its line.

Prometheus-family files are read as Go reads them: a plain scalar stays the text that was written until a reader asks
for a type, so `08:00`, `1.10`, `on` and `010` survive. Duplicate and unknown keys are errors with file:line.

    doc = read(path)                     # Node
    doc.fields("name", "rules")          # refuse anything else
    doc["name"].text()
    for rule in doc["rules"].items(): ...
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml

from aiprism.errors import BadInput, ConfigError
from aiprism.model.timerange import duration_seconds

T = TypeVar("T")

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}


class Node:
    """One value of a YAML document: a mapping, a sequence, a scalar, or nothing (a key that is not there)."""

    __slots__ = ("_entries", "_node", "file", "line", "path")

    def __init__(self, node: yaml.Node | None, file: str, line: int, path: str) -> None:
        self._node, self.file, self.line, self.path = node, file, line, path
        self._entries: dict[str, Node] | None = None

    # -- shape ---------------------------------------------------------------------------------------------------

    @property
    def missing(self) -> bool:
        """True when the key is absent or its value is null."""
        node = self._node
        return node is None or (isinstance(node, yaml.ScalarNode) and not node.style and node.value in _NULLS)

    def __bool__(self) -> bool:
        return not self.missing

    def __getitem__(self, key: str) -> Node:
        """The value under `key`; a missing Node when it is not there."""
        return self.entries().get(key) or Node(None, self.file, self.line, self._below(key))

    def entries(self) -> dict[str, Node]:
        """Key to value of a mapping, in file order; empty when missing."""
        if self._entries is None:
            self._entries = self._read_entries()
        return self._entries

    def items(self) -> list[Node]:
        """The elements of a sequence; empty when missing."""
        if self.missing:
            return []
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("expected a list")
        return [
            Node(child, self.file, child.start_mark.line + 1, f"{self.path}[{at}]")
            for at, child in enumerate(self._node.value)
        ]

    def fields(self, *allowed: str) -> Node:
        """This mapping itself, once it is known to hold no other key than `allowed`."""
        for key, value in self.entries().items():
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(allowed))}"
                raise value.error(f"unknown key {key!r}{self._of()}; {hint}")
        return self

    # -- scalars -------------------------------------------------------------------------------------------------

    def text(self, default: str | None = None) -> str:
        """The scalar as it was written."""
        if self.missing and not self._empty_string():
            return self._or(default)
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.error("expected a single value, not a list or mapping")
        return str(self._node.value)

    def number(self, default: float | None = None) -> float:
        """A number."""
        return self._convert(float, "a number", default)

    def integer(self, default: int | None = None) -> int:
        """A whole number."""
        return self._convert(int, "a whole number", default)

    def flag(self, default: bool | None = None) -> bool:
        """true or false (YAML 1.2: `on` and `yes` are words)."""
        if self.missing:
            return self._or(default)
        value = self.text()
        if value not in _TRUE | _FALSE:
            raise self.error(f"expected true or false, not {value!r}")
        return value in _TRUE

    def seconds(self, default: float | None = None) -> float:
        """A Prometheus duration, in seconds."""
        if self.missing:
            return self._or(default)
        try:
            return duration_seconds(self.text())
        except BadInput as error:
            raise self.error(str(error)) from None

    def one_of(self, *choices: str, default: str | None = None) -> str:
        """One of `choices`."""
        value = self.text(default)
        if value not in choices:
            raise self.error(f"expected one of {', '.join(choices)}, not {value!r}")
        return value

    def texts(self) -> list[str]:
        """A list of scalars; a single scalar counts as a list of one."""
        if isinstance(self._node, yaml.ScalarNode) and not self.missing:
            return [self.text()]
        return [item.text() for item in self.items()]

    def mapping(self) -> dict[str, str]:
        """A mapping of scalars to scalars."""
        return {key: value.text("") for key, value in self.entries().items()}

    def plain(self) -> Any:
        """Lists, dicts and YAML 1.2 core scalars, for data that is passed on and not interpreted by us."""
        if self.missing and not self._empty_string():
            return None
        if isinstance(self._node, yaml.MappingNode):
            return {key: value.plain() for key, value in self.entries().items()}
        if isinstance(self._node, yaml.SequenceNode):
            return [item.plain() for item in self.items()]
        return _core_scalar(self._node)

    # -- errors --------------------------------------------------------------------------------------------------

    def error(self, message: str) -> ConfigError:
        """A ConfigError at this value's place, ready to raise."""
        return ConfigError(f"{message} (at {self.path})" if self.path else message, file=self.file, line=self.line)

    # -- inside --------------------------------------------------------------------------------------------------

    def _read_entries(self) -> dict[str, Node]:
        if self.missing:
            return {}
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("expected a mapping of key: value")
        entries: dict[str, Node] = {}
        for key_node, value_node in self._node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in entries:
                raise ConfigError(f"key {key!r} stands twice{self._of()}", file=self.file, line=line)
            entries[key] = Node(value_node, self.file, line, self._below(key))
        return entries

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _of(self) -> str:
        return f" in {self.path}" if self.path else ""

    def _empty_string(self) -> bool:
        return isinstance(self._node, yaml.ScalarNode) and bool(self._node.style)

    def _or(self, default: T | None) -> T:
        if default is None:
            raise self.error("is required")
        return default

    def _convert(self, kind: Callable[[str], T], what: str, default: T | None) -> T:
        if self.missing:
            return self._or(default)
        try:
            return kind(self.text())
        except ValueError:
            raise self.error(f"expected {what}, not {self.text()!r}") from None


def read(path: Path) -> Node:
    """The document in `path`; ConfigError with file:line when it cannot be read or is no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", file=str(path)) from error
    return parse(text, file=str(path))


def parse(text: str, *, file: str = "") -> Node:
    """The single document in `text`."""
    return next(iter(parse_all(text, file=file)), Node(None, file, 1, ""))


def parse_all(text: str, *, file: str = "") -> Iterator[Node]:
    """Each document in `text`."""
    try:
        for root in yaml.compose_all(text, Loader=yaml.CSafeLoader):
            yield Node(root, file, root.start_mark.line + 1, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"is not valid YAML: {error.problem}", file=file, line=mark.line + 1 if mark else 1) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"is not valid YAML: {error}", file=file, line=1) from None


def _core_scalar(node: yaml.Node | None) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    value = node.value
    if node.style:
        return value
    if value in _TRUE | _FALSE:
        return value in _TRUE
    for kind in (int, float):
        try:
            if not value.startswith("0") or kind is float or value == "0":
                return kind(value)
        except ValueError:
            continue
    return value

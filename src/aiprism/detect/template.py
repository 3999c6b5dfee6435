"""Go's text/template, expanded: a parsed tree and data in, text out.

Knows what actions, pipelines and the built-in functions do (https://pkg.go.dev/text/template). The functions of one
application (Prometheus, Alertmanager) come in as a mapping; a function gets its arguments as Python values and raises
TemplateError when they do not fit.
"""

from __future__ import annotations

import math
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter, signature
from typing import ClassVar

from aiprism.detect import gofmt
from aiprism.detect.gofmt import Struct
from aiprism.detect.templatesyntax import (
    Action,
    Branch,
    Call,
    Command,
    Dot,
    Field,
    Function,
    Jump,
    Literal,
    Node,
    Operand,
    Pipe,
    Text,
    Tree,
    Variable,
    parse,
)
from aiprism.detect.templatetokens import TemplateError
from aiprism.errors import BadInput

__all__ = ["BUILTINS", "Methods", "Struct", "Template", "TemplateError"]

Value = object
Functions = Mapping[str, Callable[..., Value]]

# A template that calls itself without end is stopped where Go stops it in spirit, and long before Python does.
_MOST_CALLS = 100


class Methods:
    """Data that has methods: Go's name of each, and what it is called here. They go before the keys of a map."""

    __slots__ = ()
    METHODS: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read and is ready to be expanded any number of times.

    >>> Template.read("{{ if gt .n 1 }}{{ .n }} disks{{ else }}one disk{{ end }}").expand({"n": 3})
    '3 disks'
    """

    tree: Tree
    functions: Functions
    # What becomes of the text of a value before it is written, given what was written before: HTML is escaped.
    written: Callable[[str, Sequence[str]], str] | None = None

    @classmethod
    def read(
        cls,
        text: str,
        functions: Functions | None = None,
        variables: Sequence[str] = (),
        refused: Sequence[str] = (),
        library: Mapping[str, tuple[Node, ...]] | None = None,
    ) -> Template:
        """The template in `text`, which may call those of `library`; TemplateError, with its column, for whatever it
        does not know."""
        known = {**BUILTINS, **(functions or {})}
        elsewhere = library or {}
        tree = parse(text, {*known, *_LAZY}, variables, refused, elsewhere)
        return cls(Tree(tree.nodes, {**elsewhere, **tree.defined}), known)

    def expand(self, data: Value, variables: Mapping[str, Value] | None = None) -> str:
        """The text for `data` (``.``) and `variables` (names with their ``$``); TemplateError when a step fails."""
        state = _Expansion(self, [("$", data), *(variables or {}).items()])
        try:
            state.nodes(self.tree.nodes, data)
        except (ValueError, ArithmeticError, TypeError) as error:  # such as an index that is a map
            raise TemplateError(str(error)) from error
        return "".join(state.out)


class _Break(Exception):
    """{{break}} on its way to its {{range}}."""


class _Continue(Exception):
    """{{continue}} on its way to its {{range}}."""


class _Expansion:
    """One expansion under way: what was written so far, and the variables in sight."""

    def __init__(self, template: Template, variables: list[tuple[str, Value]], depth: int = 0) -> None:
        self.template, self.variables, self.depth = template, variables, depth
        self.out: list[str] = []

    # nodes

    def nodes(self, nodes: Sequence[Node], dot: Value) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Action):
                value = self.pipe(node.pipe, dot)
                if not node.pipe.variables:
                    self.write(value)
            elif isinstance(node, Branch):
                self.branch(node, dot)
            elif isinstance(node, Jump):
                raise _Break if node.kind == "break" else _Continue
            else:
                self.call(node, dot)

    def write(self, value: Value) -> None:
        text = value if isinstance(value, str) else "<no value>" if value is None else gofmt.sprint(value)
        written = self.template.written
        self.out.append(text if written is None else written(text, self.out))

    def branch(self, node: Branch, dot: Value) -> None:
        with self.scope():
            if node.kind == "range":
                return self.range(node, dot)
            value = self.pipe(node.pipe, dot)
            inside = value if node.kind == "with" else dot
            if truth(value):
                return self.nodes(node.then, inside)
            return self.nodes(node.otherwise, dot)

    def range(self, node: Branch, dot: Value) -> None:
        # The variables of a {{range}} are set for each element, not to the whole.
        names = node.pipe.variables
        over = self.pipe(Pipe(node.pipe.commands), dot)
        pairs = _pairs(over)
        if not pairs:
            return self.nodes(node.otherwise, dot)
        for key, element in pairs:
            with self.scope():
                for name, value in zip(names, (element,) if len(names) == 1 else (key, element), strict=False):
                    self.set(name, value, declares=node.pipe.declares)
                try:
                    self.nodes(node.then, element)
                except _Break:
                    return None
                except _Continue:
                    continue
        return None

    def call(self, node: Call, dot: Value) -> None:
        if self.depth >= _MOST_CALLS:
            raise TemplateError(f"template {node.name!r} calls itself more than {_MOST_CALLS} times")
        data = self.pipe(node.pipe, dot) if node.pipe else None
        inner = _Expansion(self.template, [("$", data)], self.depth + 1)
        inner.out = self.out
        inner.nodes(self.template.tree.defined[node.name], data)

    # values

    def pipe(self, pipe: Pipe, dot: Value) -> Value:
        value = self.command(pipe.commands[0], dot, ())
        for command in pipe.commands[1:]:
            value = self.command(command, dot, (value,))
        for name in pipe.variables:
            self.set(name, value, declares=pipe.declares)
        return value

    def command(self, command: Command, dot: Value, last: tuple[Value, ...]) -> Value:
        first, *others = command.operands
        if isinstance(first, Function) and first.name in _LAZY:
            return self.lazily(first.name, others, dot, last)
        arguments = (*(self.operand(operand, dot) for operand in others), *last)
        if isinstance(first, Function):
            return self.apply(first.name, arguments)
        if not arguments:
            return self.operand(first, dot)
        if isinstance(first, Field):
            of = self.operand(Field(first.of, first.names[:-1]), dot)
            if _has_method(of, first.names[-1]):
                return _method(of, first.names[-1], arguments)
        raise TemplateError(f"{_shown(first)} is no function and takes no arguments")

    def lazily(self, name: str, others: Sequence[Operand], dot: Value, last: tuple[Value, ...]) -> Value:
        """``and`` and ``or``: the first argument that decides, and none after it is looked at."""
        if not others and not last:
            raise TemplateError(f"{name} needs at least one argument")
        value: Value = None
        for operand in others:
            value = self.operand(operand, dot)
            if truth(value) == (name == "or"):
                return value
        return last[0] if last else value

    def apply(self, name: str, arguments: tuple[Value, ...]) -> Value:
        function = self.template.functions[name]
        return _applied(name, function, _arity(function), arguments)

    def operand(self, operand: Operand, dot: Value) -> Value:
        if isinstance(operand, Dot):
            return dot
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Variable):
            return self.get(operand.name)
        if isinstance(operand, Field):
            value = self.operand(operand.of, dot)
            for name in operand.names:
                value = _field(value, name)
            return value
        if isinstance(operand, Pipe):
            return self.pipe(operand, dot)
        return self.command(Command((operand,)), dot, ())

    # variables

    @contextmanager
    def scope(self) -> Iterator[None]:
        known = len(self.variables)
        try:
            yield
        finally:
            del self.variables[known:]

    def get(self, name: str) -> Value:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise TemplateError(f"unknown variable {name}")

    def set(self, name: str, value: Value, *, declares: bool) -> None:
        if declares:
            self.variables.append((name, value))
            return
        at = max(at for at, (known, _) in enumerate(self.variables) if known == name)
        self.variables[at] = (name, value)


@lru_cache(maxsize=512)  # bounded: a function may be made for one expansion
def _arity(function: Callable[..., Value]) -> tuple[int, float]:
    """The fewest and the most arguments `function` takes."""
    kinds = [parameter.kind for parameter in signature(function).parameters.values()]
    plain = sum(kind is not Parameter.VAR_POSITIONAL for kind in kinds)
    return plain, plain if plain == len(kinds) else math.inf


def _applied(
    name: str, function: Callable[..., Value], arity: tuple[int, float], arguments: tuple[Value, ...]
) -> Value:
    least, most = arity
    if not least <= len(arguments) <= most:
        raise TemplateError(f"{name} does not take {len(arguments)} argument{'s' * (len(arguments) != 1)}")
    try:
        return function(*arguments)
    except (TemplateError, BadInput) as error:
        raise TemplateError(f"{name}: {error}") from error


def _has_method(value: Value, name: str) -> bool:
    return isinstance(value, Methods) and name in value.METHODS


def _method(value: Value, name: str, arguments: tuple[Value, ...]) -> Value:
    assert isinstance(value, Methods)
    function = getattr(value, value.METHODS[name])
    # Not remembered like a function's: a bound method would be kept, and with it the data.
    least, most = _arity(getattr(type(value), value.METHODS[name]))
    return _applied(name, function, (least - 1, most - 1), arguments)


def _field(value: Value, name: str) -> Value:
    if _has_method(value, name):
        return _method(value, name, ())
    if isinstance(value, Struct):
        if name not in value:
            raise TemplateError(f"there is no field {name!r} here; known are {', '.join(sorted(value))}")
        return value[name]
    if isinstance(value, Mapping):
        # What Prometheus asks of Go with `missingkey=zero`: no label, no text.
        return value.get(name, "")
    raise TemplateError(f"a {gofmt.go_type(value)} has no field {name!r}")


def _pairs(over: Value) -> list[tuple[Value, Value]]:
    if over is None:
        return []
    if isinstance(over, Mapping):
        return sorted(over.items())
    if isinstance(over, Sequence) and not isinstance(over, str):
        return list(enumerate(over))
    raise TemplateError(f"cannot range over a {gofmt.go_type(over)}")


def _shown(operand: Operand) -> str:
    if isinstance(operand, Variable):
        return operand.name
    if isinstance(operand, Field):
        of = "" if isinstance(operand.of, Dot) else _shown(operand.of)
        return f"{of}.{'.'.join(operand.names)}"
    if isinstance(operand, Literal):
        return gofmt.sprint(operand.value)
    return "(…)" if isinstance(operand, Pipe) else "."


# -- built-in functions ----------------------------------------------------------------------------------------------

_LAZY = ("and", "or")


def truth(value: Value) -> bool:
    """Go templates' truth: not zero, not empty, not nil."""
    return bool(value)


def _not(value: Value) -> bool:
    return not truth(value)


def _len(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping | Sequence):
        return len(value)
    raise TemplateError(f"a {gofmt.go_type(value)} has no length")


def _index(value: Value, *keys: Value) -> Value:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = value[_place(key, len(value) - 1)]
        else:
            raise TemplateError(f"cannot index a {gofmt.go_type(value)}")
    return value


def _slice(value: Value, *bounds: Value) -> Value:
    if not isinstance(value, Sequence) or len(bounds) > 2:
        raise TemplateError(f"cannot slice a {gofmt.go_type(value)} with {len(bounds)} bounds")
    start = _place(bounds[0], len(value)) if bounds else 0
    end = _place(bounds[1], len(value)) if len(bounds) == 2 else len(value)
    if start > end:
        raise TemplateError(f"slice from {start} to {end} runs backwards")
    return value[start:end]


def _place(key: Value, most: int) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        raise TemplateError(f"cannot index with a {gofmt.go_type(key)}")
    if not 0 <= key <= most:
        raise TemplateError(f"index {key} is out of range")
    return key


def _print(*values: Value) -> str:
    """`fmt.Sprint`: a space between two operands when neither is a string."""
    parts: list[str] = []
    for before, value in zip((None, *values), values, strict=False):
        if parts and not isinstance(before, str) and not isinstance(value, str):
            parts.append(" ")
        parts.append(gofmt.sprint(value))
    return "".join(parts)


def _printf(form: Value, *values: Value) -> str:
    return gofmt.sprintf(text_of(form), *values)


def _println(*values: Value) -> str:
    return " ".join(gofmt.sprint(value) for value in values) + "\n"


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _html(*values: Value) -> str:
    return _print(*values).translate(_HTML)


def _js(*values: Value) -> str:
    return "".join(_JS.get(char, char if char >= " " else f"\\u{ord(char):04X}") for char in _print(*values))


def _urlquery(*values: Value) -> str:
    return urllib.parse.quote_plus(_print(*values), safe="~")


def _compared(left: Value, right: Value) -> tuple[Value, Value]:
    """Both sides, once they are known to be of one kind; Go compares no whole number with a fraction."""
    if gofmt.go_type(left) != gofmt.go_type(right):
        raise TemplateError(f"cannot compare a {gofmt.go_type(left)} with a {gofmt.go_type(right)}")
    if isinstance(left, Mapping | list | tuple):
        raise TemplateError(f"cannot compare a {gofmt.go_type(left)}")
    return left, right


def _eq(left: Value, *rights: Value) -> bool:
    if not rights:
        raise TemplateError("needs two arguments")
    return any(a == b for a, b in (_compared(left, right) for right in rights))


def _ne(left: Value, right: Value) -> bool:
    a, b = _compared(left, right)
    return a != b


def _lt(left: Value, right: Value) -> bool:
    a, b = _compared(left, right)
    if isinstance(a, str) and isinstance(b, str):
        return a < b
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
        return a < b
    raise TemplateError(f"a {gofmt.go_type(left)} has no order")


def _le(left: Value, right: Value) -> bool:
    return _lt(left, right) or _eq(left, right)


def text_of(value: Value) -> str:
    """`value`, known to be a string."""
    if not isinstance(value, str):
        raise TemplateError(f"expected a string, not a {gofmt.go_type(value)}")
    return value


BUILTINS: Functions = {
    "not": _not,
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "html": _html,
    "js": _js,
    "urlquery": _urlquery,
    "eq": _eq,
    "ne": _ne,
    "lt": _lt,
    "le": _le,
    "gt": lambda left, right: not _le(left, right),
    "ge": lambda left, right: not _lt(left, right),
}

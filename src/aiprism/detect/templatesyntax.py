"""The grammar of Go's text/template: text in, a tree out, or a TemplateError that says where.

Knows actions, pipelines, variables, if/else if/range/with/break/continue, define/template/block, comments and trim
markers (https://pkg.go.dev/text/template). Which functions exist is told by the caller; what the tree means is left to
`template.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiprism.detect.templatetokens import AFTER_OPERAND, TemplateError, Token, pieces, template_error

# -- the tree --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``"""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number, character (its code), true, false or nil."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Field:
    """``.a.b``, or fields of the operand it follows: ``$x.a``, ``(pipeline).a``."""

    of: Operand
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``; ``$`` alone is the data the template was started with."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands whose value is handed to the next as its last argument, and the variables that receive the result."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False


Operand = Dot | Literal | Field | Variable | Function | Pipe


@dataclass(frozen=True, slots=True)
class Command:
    """An operand and its arguments."""

    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """What stands outside of actions."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """``{{ pipeline }}``: its value is written, unless it sets a variable."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """``{{ if }}``, ``{{ with }}`` or ``{{ range }}`` with their ``{{ else }}``."""

    kind: str
    pipe: Pipe
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """``{{ break }}`` or ``{{ continue }}``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Call:
    """``{{ template "name" pipeline }}``."""

    name: str
    pipe: Pipe | None


Node = Text | Action | Branch | Jump | Call


@dataclass(frozen=True, slots=True)
class Tree:
    """A template's nodes and the templates defined inside it."""

    nodes: tuple[Node, ...]
    defined: Mapping[str, tuple[Node, ...]]


def parse(
    text: str,
    functions: Collection[str],
    variables: Collection[str] = (),
    refused: Collection[str] = (),
    elsewhere: Collection[str] | None = (),
) -> Tree:
    """The tree of `text`, in which only `functions` may be called and `variables` (with their ``$``) are known.

    `refused` are functions that exist elsewhere but not here; their error says so. `elsewhere` are the templates that
    are defined in other texts; None lets any name pass.
    """
    try:
        return _Parser(text, functions, variables, refused).tree(elsewhere)
    except RecursionError:
        raise TemplateError("the template is nested too deeply") from None


# -- the parser ------------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(
    r"\\(?:(?P<octal>[0-7]{3})|x(?P<byte>[\da-fA-F]{2})|(?P<code>u[\da-fA-F]{4}|U[\da-fA-F]{8})|(?P<short>.))"
)
_SHORT_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
}
_KEYWORDS = {"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"}
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "nil": None}


class _Parser:
    """Recursive descent over pieces (text and actions) and, within an action, over its tokens."""

    def __init__(
        self, source: str, functions: Collection[str], variables: Collection[str], refused: Collection[str]
    ) -> None:
        self.source, self.functions, self.refused = source, functions, refused
        self.pieces = list(pieces(source))
        self.next_piece = 0
        self.known = ["$", *variables]
        self.defined: dict[str, tuple[Node, ...]] = {}
        self.called: list[tuple[str, int]] = []
        self.loops = 0
        self.tokens: list[Token] = []

    def tree(self, elsewhere: Collection[str] | None) -> Tree:
        nodes, ended_by = self._nodes()
        if ended_by is not None:
            raise self._error(ended_by, f"unexpected {{{{{ended_by.text}}}}}; nothing is open here")
        for name, at in self.called:
            if elsewhere is not None and name not in self.defined and name not in elsewhere:
                near = _near(name, {*self.defined, *elsewhere})
                raise template_error(self.source, at, f"template {name!r} is not defined{near}")
        return Tree(nodes, self.defined)

    # pieces

    def _nodes(self) -> tuple[tuple[Node, ...], Token | None]:
        """Nodes up to an {{end}} or {{else}} of the caller, whose word is returned, or to the end of the text."""
        nodes: list[Node] = []
        while self.next_piece < len(self.pieces):
            piece = self.pieces[self.next_piece]
            self.next_piece += 1
            if piece.tokens is None:
                if piece.text:
                    nodes.append(Text(piece.text))
                continue
            self.tokens = piece.tokens
            self._skip_space()
            word = self.tokens[0]
            if word.kind == "word" and word.text in ("end", "else"):
                self._take()
                if word.text == "end":
                    self._finish(word)
                return tuple(nodes), word
            node = self._node(word)
            if node is not None:
                nodes.append(node)
        return tuple(nodes), None

    def _node(self, word: Token) -> Node | None:
        if word.kind != "word" or word.text not in _KEYWORDS:
            pipe = self._pipe("end")
            return Action(pipe)
        self._take()
        if word.text in ("if", "with", "range"):
            return self._branch(word)
        if word.text in ("break", "continue"):
            self._finish(word)
            if not self.loops:
                raise self._error(word, f"{{{{{word.text}}}}} outside of {{{{range}}}}")
            return Jump(word.text)
        if word.text == "template":
            return self._call(word)
        return self._definition(word)

    def _branch(self, word: Token) -> Branch:
        known = len(self.known)
        pipe = self._pipe("end", may_declare_two=word.text == "range")
        inside = len(self.known)
        self.loops += word.text == "range"
        then, ended_by = self._nodes()
        self.loops -= word.text == "range"
        del self.known[inside:]
        otherwise: tuple[Node, ...] = ()
        if ended_by is not None and ended_by.text == "else":
            otherwise, ended_by = self._otherwise(word, ended_by)
        if ended_by is None:
            raise self._error(word, f"{{{{{word.text}}}}} has no {{{{end}}}}")
        del self.known[known:]
        return Branch(word.text, pipe, then, otherwise)

    def _otherwise(self, word: Token, otherwise: Token) -> tuple[tuple[Node, ...], Token | None]:
        """What stands after {{else}}; {{else if x}} is an {{if x}} that shares the {{end}}."""
        self._skip_space()
        again = self.tokens[0]
        if again.kind == "word" and again.text == word.text and again.text in ("if", "with"):
            self._take()
            return (self._branch(again),), again
        self._finish(otherwise)
        nodes, ended_by = self._nodes()
        if ended_by is not None and ended_by.text == "else":
            raise self._error(ended_by, f"a second {{{{else}}}} in one {{{{{word.text}}}}}")
        return nodes, ended_by

    def _call(self, word: Token) -> Call:
        name = self._name(word)
        self.called.append((name, word.at))
        self._skip_space()
        if self.tokens[0].kind == "end":
            return Call(name, None)
        return Call(name, self._pipe("end"))

    def _definition(self, word: Token) -> Call | None:
        """{{define "x"}} … {{end}}; a {{block "x" pipeline}} is that and a call of it at once."""
        name = self._name(word)
        call = None
        if word.text == "block":
            call = Call(name, self._pipe("end"))
        else:
            self._finish(word)
        outer, self.known = self.known, ["$"]
        loops, self.loops = self.loops, 0
        nodes, ended_by = self._nodes()
        if ended_by is None or ended_by.text != "end":
            raise self._error(word, f"{{{{{word.text}}}}} has no {{{{end}}}}")
        self.known, self.loops = outer, loops
        if name in self.defined and word.text == "define":
            raise self._error(word, f"template {name!r} is defined twice")
        self.defined[name] = nodes
        return call

    def _name(self, word: Token) -> str:
        self._skip_space()
        token = self._take()
        if token.kind not in ("string", "raw"):
            raise self._error(token, f'{{{{{word.text}}}}} needs a name in quotes, as in {{{{{word.text} "x"}}}}')
        return self._string(token)

    # tokens

    def _pipe(self, end: str, *, may_declare_two: bool = False) -> Pipe:
        variables, declares = self._declaration(may_declare_two)
        commands = [self._command(end)]
        while self.tokens[0].kind == "pipe":
            bar = self._take()
            commands.append(self._command(end))
            if isinstance(commands[-1].operands[0], Literal | Dot | Pipe):
                raise self._error(bar, "what stands after | must be a function")
        self._take()
        if declares:
            self.known.extend(variables)
        return Pipe(tuple(commands), variables, declares)

    def _declaration(self, may_declare_two: bool) -> tuple[tuple[str, ...], bool]:
        """The ``$x :=``, ``$x =`` or ``$i, $x :=`` that a pipeline may begin with."""
        self._skip_space()
        kinds = [token for token in self.tokens if token.kind != "space"][:4]
        shape = [token.kind for token in kinds]
        if shape[:2] in (["variable", "declare"], ["variable", "assign"]):
            count = 1
        elif shape[:4] in (["variable", "comma", "variable", "declare"], ["variable", "comma", "variable", "assign"]):
            if not may_declare_two:
                raise self._error(kinds[1], "two variables are for {{range}} only")
            count = 2
        else:
            return (), False
        names = tuple(token.text for token in kinds[: 2 * count : 2])
        mark = kinds[2 * count - 1]
        if mark.kind == "assign":
            for token in kinds[: 2 * count : 2]:
                self._known_variable(token)
        while self._take() is not mark:
            pass
        return names, mark.kind == "declare"

    def _command(self, end: str) -> Command:
        operands: list[Operand] = []
        while True:
            self._skip_space()
            token = self.tokens[0]
            if token.kind in ("pipe", end):
                break
            if token.kind in ("end", "close", "comma", "declare", "assign"):
                raise self._unexpected(token, end)
            operands.append(self._operand())
        if not operands:
            raise self._error(self.tokens[0], "a value is missing")
        return Command(tuple(operands))

    def _operand(self) -> Operand:
        token = self._take()
        operand = self._term(token)
        names = []
        while self.tokens[0].kind == "field":
            if isinstance(operand, Literal | Dot):
                raise self._error(self.tokens[0], f"{token.text} has no fields")
            names.append(self._take().text[1:])
        after = self.tokens[0]
        if after.kind not in AFTER_OPERAND:
            raise self._error(after, f"unexpected {after.text!r} right after {token.text!r}; a space is missing")
        if not names:
            return operand
        if isinstance(operand, Field):
            return Field(operand.of, (*operand.names, *names))
        return Field(operand, tuple(names))

    def _term(self, token: Token) -> Operand:
        if token.kind == "dot":
            return Dot()
        if token.kind == "field":
            return Field(Dot(), (token.text[1:],))
        if token.kind == "variable":
            self._known_variable(token)
            return Variable(token.text)
        if token.kind == "open":
            return self._pipe("close")
        if token.kind == "word":
            return self._word(token)
        if token.kind == "number":
            return Literal(self._number(token))
        if token.kind == "char":
            return Literal(ord(self._unquoted(token)))
        return Literal(self._string(token))

    def _word(self, token: Token) -> Operand:
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text])
        if token.text in _KEYWORDS:
            raise self._error(token, f"unexpected word {token.text!r}")
        if token.text in self.refused:
            raise self._error(token, f"the function {token.text!r} cannot be used here")
        if token.text not in self.functions:
            raise self._error(token, f"unknown function {token.text!r}{_near(token.text, self.functions)}")
        return Function(token.text)

    def _known_variable(self, token: Token) -> None:
        if token.text not in self.known:
            raise self._error(token, f"unknown variable {token.text}{_near(token.text, self.known[1:])}")

    def _number(self, token: Token) -> int | float:
        try:
            if re.fullmatch(r"[+-]?0[\d_]+", token.text):
                return int(token.text, 8)  # Go reads 010 as octal where Python refuses it
            if re.fullmatch(r"[+-]?(?:[\d_]+|0[xXbBoO]\w+)", token.text):
                return int(token.text, 0)
            return float(token.text)
        except ValueError:
            raise self._error(token, f"{token.text!r} is no number") from None

    def _string(self, token: Token) -> str:
        return token.text[1:-1] if token.kind == "raw" else self._unquoted(token)

    def _unquoted(self, token: Token) -> str:
        """The text between the quotes with Go's escapes read; ``\\xNN`` is a byte of UTF-8."""
        parts = bytearray()
        at = 1
        for match in _ESCAPE.finditer(token.text, 1, len(token.text) - 1):
            parts += token.text[at : match.start()].encode() + self._escape(token, match)
            at = match.end()
        value = (parts + token.text[at:-1].encode()).decode(errors="replace")
        if token.kind == "char" and len(value) != 1:
            raise self._error(token, f"{token.text} is not one character; write text in double quotes")
        return value

    def _escape(self, token: Token, match: re.Match[str]) -> bytes:
        octal, byte, code, short = match["octal"], match["byte"], match["code"], match["short"]
        if short and (short in _SHORT_ESCAPES or short == token.text[0]):
            return _SHORT_ESCAPES.get(short, short).encode()
        if octal and int(octal, 8) < 256:
            return bytes([int(octal, 8)])
        if byte:
            return bytes([int(byte, 16)])
        if code and int(code[1:], 16) < 0x110000:
            return chr(int(code[1:], 16)).encode(errors="replace")
        raise self._error(token, f"{match.group()!r} is no escape of a quoted text; write it in `backquotes`")

    def _skip_space(self) -> None:
        while self.tokens[0].kind == "space":
            self.tokens.pop(0)

    def _take(self) -> Token:
        return self.tokens.pop(0)

    def _finish(self, word: Token) -> None:
        self._skip_space()
        if self.tokens[0].kind != "end":
            raise self._error(self.tokens[0], f"unexpected {self.tokens[0].text!r} after {word.text!r}")

    def _unexpected(self, token: Token, end: str) -> TemplateError:
        if token.kind == "end":
            return self._error(token, ") is missing")
        return self._error(token, f"unexpected {token.text!r}" + ("; no ( is open" if token.kind == "close" else ""))

    def _error(self, token: Token, message: str) -> TemplateError:
        return template_error(self.source, token.at, message)


def _near(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

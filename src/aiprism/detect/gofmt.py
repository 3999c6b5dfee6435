"""How Go prints values: `fmt.Sprint` and `fmt.Sprintf`, as rule templates and the API show them.

In: Python values that stand for Go's (str, bool, int, float, mappings, lists, None). Out: text. Go's answers to a verb
that does not fit (``%!d(float64=0.5)``) are kept: they are what Prometheus would have written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.errors import BadInput
from aiprism.model.gofloat import format_float


class Struct(dict[str, object]):
    """A Go struct: fields in order. Templates may read no other one, where a map gives an empty value."""


def sprint(value: object) -> str:
    """`fmt.Sprint(value)`.

    >>> sprint(0.5), sprint({"b": "2", "a": "1"}), sprint([True, None])
    ('0.5', 'map[a:1 b:2]', '[true <nil>]')
    """
    return _formatted(value, _Spec("v"))


def sprintf(form: str, *args: object) -> str:
    """`fmt.Sprintf(form, args...)`; explicit argument indexes (``%[1]d``) are refused.

    >>> sprintf("%s is at %.1f%%", "disk", 91.25), sprintf("%d", 0.5)
    ('disk is at 91.2%', '%!d(float64=0.5)')
    """
    parts: list[str] = []
    left = list(args)
    at = 0
    for match in _VERB.finditer(form):
        parts.append(form[at : match.start()])
        at = match.end()
        parts.append(_one_verb(match, left))
    parts.append(form[at:])
    if left:
        parts.append(f"%!(EXTRA {', '.join(f'{go_type(arg)}={sprint(arg)}' for arg in left)})")
    return "".join(parts)


def go_type(value: object) -> str:
    """The name of the Go type that `value` stands for."""
    if value is None:
        return "<nil>"
    for kind, name in _GO_TYPES:
        if isinstance(value, kind):
            return name
    return type(value).__name__


def quote(text: str) -> str:
    """`strconv.Quote(text)`.

    >>> print(quote('say "hi"'))
    "say \\"hi\\""
    """
    return '"' + "".join(_escaped(char, '"') for char in text) + '"'


# -- floats ----------------------------------------------------------------------------------------------------------


# -- verbs -----------------------------------------------------------------------------------------------------------

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d+)?(?P<point>\.(?P<precision>\*|\d+)?)?(?P<verb>.|$)", re.DOTALL
)
_GO_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (str, "string"),
    (int, "int"),
    (float, "float64"),
    (Mapping, "map[string]string"),
    (Sequence, "[]interface {}"),
)


@dataclass(frozen=True, slots=True)
class _Spec:
    """One verb with its flags."""

    verb: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None

    def padded(self, text: str, *, zeros: bool = False) -> str:
        if self.width is None:
            return text
        if "-" in self.flags:
            return text.ljust(self.width)
        if not (zeros and "0" in self.flags):
            return text.rjust(self.width)
        sign = text[:1] if text[:1] in ("+", "-", " ") else ""
        return sign + text[len(sign) :].rjust(self.width - len(sign), "0")


def _one_verb(match: re.Match[str], left: list[object]) -> str:
    verb = match["verb"]
    if verb == "[":
        raise BadInput("printf: argument indexes such as %[1]d are not supported; give the argument again")
    if not verb:
        return "%!(NOVERB)"
    width, bad_width = _counted(match["width"], left, "WIDTH")
    precision, bad_precision = _counted(match["precision"], left, "PREC")
    if match["point"] and precision is None and not bad_precision:
        precision = 0
    flags = match["flags"]
    if width is not None and width < 0:
        flags, width = flags + "-", -width
    trouble = bad_width + bad_precision
    if verb == "%":
        return trouble + "%"
    if not left:
        return f"{trouble}%!{verb}(MISSING)"
    return trouble + _formatted(left.pop(0), _Spec(verb, flags, width, precision))


def _counted(text: str | None, left: list[object], what: str) -> tuple[int | None, str]:
    """A width or precision, and what Go writes when a `*` finds no whole number."""
    if text != "*":
        return (int(text) if text else None), ""
    value = left.pop(0) if left else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value, ""
    return None, f"%!(BAD{what})"


def _formatted(value: object, spec: _Spec) -> str:
    if spec.verb == "T":
        return spec.padded(go_type(value))
    if value is None:
        return spec.padded("<nil>") if spec.verb == "v" else f"%!{spec.verb}(<nil>)"
    if isinstance(value, Struct):
        return "{" + " ".join(_formatted(item, spec) for item in value.values()) + "}"
    if isinstance(value, Mapping):
        inner = " ".join(f"{_formatted(key, spec)}:{_formatted(value[key], spec)}" for key in sorted(value))
        return f"map[{inner}]"
    if isinstance(value, str):
        text = _string(value, spec)
    elif isinstance(value, Sequence):
        return f"[{' '.join(_formatted(item, spec) for item in value)}]"
    elif isinstance(value, bool):
        text = spec.padded("true" if value else "false") if spec.verb in "tv" else None
    elif isinstance(value, int):
        text = _integer(value, spec)
    elif isinstance(value, float):
        text = _float(value, spec)
    else:
        text = spec.padded(str(value)) if spec.verb in "sv" else None
    if text is not None:
        return text
    return f"%!{spec.verb}({go_type(value)}={_formatted(value, replace(spec, verb='v'))})"


def _string(value: str, spec: _Spec) -> str | None:
    cut = value if spec.precision is None else value[: spec.precision]
    if spec.verb in "sv":
        return spec.padded(cut, zeros=True)
    if spec.verb == "q":
        return spec.padded(quote(cut), zeros=True)
    if spec.verb in "xX":
        raw = value.encode()[: spec.precision]
        text = raw.hex(" ") if " " in spec.flags else raw.hex()
        return spec.padded(text.upper() if spec.verb == "X" else text, zeros=True)
    return None


_BASES = {"d": "d", "v": "d", "x": "x", "X": "X", "o": "o", "b": "b", "O": "o"}
_PREFIXES = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}


def _integer(value: int, spec: _Spec) -> str | None:
    if spec.verb == "c":
        return spec.padded(chr(value))
    if spec.verb == "q":
        return spec.padded("'" + _escaped(chr(value), "'") + "'")
    if spec.verb == "U":
        return spec.padded(f"U+{value:04X}")
    if spec.verb not in _BASES:
        return None
    digits = format(abs(value), _BASES[spec.verb]).rjust(spec.precision or 0, "0")
    if spec.precision == 0 and value == 0:
        digits = ""
    prefix = "0o" if spec.verb == "O" else _PREFIXES.get(spec.verb, "") if "#" in spec.flags else ""
    return spec.padded(_signed(prefix + digits, value < 0, spec), zeros=spec.precision is None)


def _float(value: float, spec: _Spec) -> str | None:
    if spec.verb not in "vgGeEfF":
        return None
    verb = {"v": "g", "F": "f"}.get(spec.verb, spec.verb)
    default = -1 if verb in "gG" else 6
    text = format_float(value, verb, default if spec.precision is None else spec.precision)
    negative = text.startswith("-")
    text = text.lstrip("+-")
    finite = math.isfinite(value)
    # Infinity shows its plus sign even unasked.
    plus = replace(spec, flags=spec.flags + "+") if math.isinf(value) else spec
    return spec.padded(_signed(text, negative, plus), zeros=finite)


def _signed(text: str, negative: bool, spec: _Spec) -> str:
    if negative:
        return "-" + text
    if "+" in spec.flags:
        return "+" + text
    return " " + text if " " in spec.flags else text


_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


def _escaped(char: str, mark: str) -> str:
    if char == mark:
        return "\\" + char
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char == " " or char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

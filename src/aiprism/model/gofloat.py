"""How Go prints a float: `strconv.FormatFloat`, as label values, rule templates and the API show numbers.

In: a float. Out: text that Go would have written, digit for digit.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal


def format_float(value: float, verb: str = "g", precision: int = -1) -> str:
    """`strconv.FormatFloat(value, verb, precision, 64)`; -1 is the shortest text that reads back the same.

    >>> format_float(0.1), format_float(1234567.0), format_float(2.0, "e"), format_float(2.345, "f", 1)
    ('0.1', '1.234567e+06', '2e+00', '2.3')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    digits, point = _digits(abs(value), verb.lower(), precision)
    text = sign + _LAYOUT[verb.lower()](digits, point, precision)
    return text.upper() if verb.isupper() else text


def _digits(value: float, verb: str, precision: int) -> tuple[str, int]:
    """Significant digits and the place of the decimal point: 0.0012 is ("12", -2)."""
    exact = Decimal(repr(value)) if precision < 0 else Decimal(value)
    if precision >= 0 and value:
        if verb == "f":
            exact = exact.quantize(Decimal(1).scaleb(-precision), ROUND_HALF_EVEN, _WIDE)
        else:
            wanted = precision + 1 if verb == "e" else max(precision, 1)
            exact = Context(prec=wanted, rounding=ROUND_HALF_EVEN).plus(exact)
    _, digits, exponent = exact.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    point = len(text) + exponent
    text = text.rstrip("0")
    return (text, point) if text else ("", 0)


def _fixed(digits: str, point: int, precision: int) -> str:
    whole = digits[: max(point, 0)].ljust(point, "0") or "0"
    fraction = "0" * max(-point, 0) + digits[max(point, 0) :]
    fraction = fraction.ljust(precision, "0") if precision >= 0 else fraction
    return f"{whole}.{fraction}" if fraction else whole


def _scientific(digits: str, point: int, precision: int) -> str:
    exponent = point - 1 if digits else 0
    fraction = digits[1:].ljust(max(precision, 0), "0")
    mantissa = (digits[:1] or "0") + (f".{fraction}" if fraction else "")
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _general(digits: str, point: int, precision: int) -> str:
    # Go writes an exponent below 1e-4 and from `precision` digits on, but not while digits are left to show; the
    # shortest text switches at six digits.
    limit = max(precision, 1)
    if limit > len(digits) >= point:
        limit = len(digits)
    if precision < 0:
        limit = 6
    exponent = point - 1 if digits else 0
    if exponent < -4 or exponent >= max(limit, 1):
        return _scientific(digits, point, -1)
    return _fixed(digits, point, -1)


_LAYOUT = {"e": _scientific, "f": _fixed, "g": _general}
_WIDE = Context(prec=800)

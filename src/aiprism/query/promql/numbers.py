"""Numbers as Prometheus writes them."""

from __future__ import annotations

import math
from decimal import Decimal


def number_text(value: float) -> str:
    """The shortest text that reads back as `value`, never with an exponent: Go's ``FormatFloat(value, 'f', -1, 64)``.

    >>> number_text(0.1), number_text(1e21), number_text(5.0), number_text(float("inf")), number_text(float("nan"))
    ('0.1', '1000000000000000000000', '5', '+Inf', 'NaN')
    """
    if math.isfinite(value):
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def exposition_text(value: float) -> str:
    """The shortest text that reads back as `value`, with an exponent where it is great or small: as the text format of
    metrics has it, which is Go's ``FormatFloat(value, 'g', -1, 64)`` with one kind of zero.

    >>> [exposition_text(value) for value in (0.1, 5.0, 123456.0, 1234567.0, 0.0000125, float("nan"))]
    ['0.1', '5', '123456', '1.234567e+06', '1.25e-05', 'NaN']
    """
    if not math.isfinite(value) or value == 0:
        return number_text(value) if value else "0"
    written = Decimal(repr(value)).normalize()
    exponent = written.adjusted()
    if -4 <= exponent < 6:
        return number_text(value)
    return f"{written.scaleb(-exponent)}e{exponent:+03d}"

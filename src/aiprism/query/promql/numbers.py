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

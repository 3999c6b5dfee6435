"""AnyValue of OTLP as text and as JSON: the same text that the compiled way makes of it (attributes.py)."""

from __future__ import annotations

import base64
import json
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

# One letter for each kind of value, by the name of its field; "n" is for none.
LETTERS = {
    "string_value": "s", "bool_value": "b", "int_value": "i", "double_value": "d",
    "array_value": "a", "kvlist_value": "m", "bytes_value": "y",
}  # fmt: skip


def letter(value: AnyValue) -> str:
    """The letter of the kind `value` is of."""
    return LETTERS.get(value.WhichOneof("value") or "", "n")


def text_value(value: AnyValue) -> str:
    """`value` as one attribute text: numbers in decimal, bytes in base64, arrays and maps as JSON, nothing as empty."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    if kind == "double_value":
        return _decimal(value.double_value)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind in ("array_value", "kvlist_value"):
        return json_text(json_value(value))
    return ""


def json_value(value: AnyValue) -> Any:
    """`value` as JSON would hold it: maps as objects, bytes as base64 text (OTLP/JSON encoding)."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [json_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: json_value(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind in LETTERS else None


def json_text(value: object) -> str:
    """`value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _decimal(number: float) -> str:
    # Whole numbers without the .0, as ClickHouse writes them.
    if number.is_integer() and abs(number) < 1e17:
        return f"{number:.0f}"
    return repr(number)

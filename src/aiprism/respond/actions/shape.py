"""The shapes of what runbooks hold, as JSON Schema (2020-12): what an editor completes is what the readers take.

A reader takes its keys and choices from the same record that is published, so neither can know one the other does not.
Scalars are as YAML files write them: what is a text to us (`version: 1.10`) may look like a number to an editor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from aiprism.yamlfile import Node

Shape: TypeAlias = Mapping[str, Any]
"""A JSON Schema."""

_DURATION = r"^(0|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$"


def text(about: str, **more: object) -> Shape:
    """A single value, kept as it is written."""
    return {"type": ["string", "number", "boolean"], "description": about, **more}


def choice(about: str, options: Iterable[str]) -> Shape:
    """One of these words."""
    return {"enum": list(options), "description": about}


def whole(about: str, *, least: int | None = None) -> Shape:
    """A whole number."""
    return {"type": "integer", "description": about} | ({} if least is None else {"minimum": least})


def number(about: str) -> Shape:
    """A number."""
    return {"type": "number", "description": about}


def flag(about: str) -> Shape:
    """true or false."""
    return {"type": "boolean", "description": about}


def duration(about: str) -> Shape:
    """A Prometheus duration: 90s, 1h30m."""
    return {"anyOf": [{"type": "string", "minLength": 1, "pattern": _DURATION}, {"const": 0}], "description": about}


def listed(about: str, item: Shape, *, least: int = 0) -> Shape:
    """A list."""
    return {"type": "array", "items": item, "description": about} | ({"minItems": least} if least else {})


def texts(about: str) -> Shape:
    """Names and the texts they stand for."""
    return {"type": "object", "additionalProperties": text("", minLength=0), "description": about}


def anything(about: str) -> Shape:
    """What is passed on as it is."""
    return {"description": about}


def record(about: str, needed: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """A mapping with these keys and no other; an optional one may be empty."""
    may = {name: {"anyOf": [shape, {"type": "null"}]} for name, shape in (optional or {}).items()}
    return {
        "type": "object",
        "description": about,
        "properties": {**needed, **may},
        "required": list(needed),
        "additionalProperties": False,
    }


def known(node: Node, shape: Shape) -> Node:
    """The mapping, once it is known to hold no other key than its shape; ConfigError otherwise."""
    return node.fields(*shape["properties"])

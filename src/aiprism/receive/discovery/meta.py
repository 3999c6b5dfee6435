"""What all ways of finding targets write alike: addresses, label names, filters."""

from __future__ import annotations

import re

from aiprism.yamlfile import Node

_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")


def sanitized(name: str) -> str:
    """A name with everything a label name of Prometheus 2 does not allow made an underscore."""
    return _NOT_IN_NAME.sub("_", name)


def joined(host: str, port: int) -> str:
    """An address as it stands in a URL.

    >>> joined("h", 80), joined("::1", 80)
    ('h:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def filters(node: Node) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A list of `{name, values}`."""
    return tuple(_filter(item) for item in node.items())


def _filter(node: Node) -> tuple[str, tuple[str, ...]]:
    node.fields("name", "values")
    values = tuple(node["values"].texts())
    if not node["name"] or not values:
        raise node.error("a filter needs a name and values")
    return node["name"].text(), values

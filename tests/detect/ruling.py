"""Rules from one line of YAML, vectors from dicts, and patience, for the tests of this folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from aiprism import yamlfile
from aiprism.detect import rules
from aiprism.detect.rules import Group, Rule
from aiprism.model.labels import Labels
from aiprism.query.promql.values import Vector, VectorItem

DEADLINE_SECONDS = 60.0


def vector(values: Mapping[str, float]) -> Vector:
    """A vector of series that differ in the label `i`: ``{"a": 1.0}`` is ``{i="a"} 1``."""
    return Vector(tuple(item({"i": name}, value) for name, value in values.items()))


def item(labels: Mapping[str, str], value: float) -> VectorItem:
    """One series of a vector."""
    return VectorItem(Labels(labels), 0.0, value)


def group(*written: str, name: str = "g", file: str = "r.yml", **fields: object) -> Group:
    """A group of rules, each written as one YAML mapping in braces."""
    head = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    body = "".join(f"  - {rule}\n" for rule in written)
    text = f"groups:\n- name: {name}\n{head}  rules:\n{body}"
    [read] = rules.read(yamlfile.parse(text, file=file))
    return read


def rule(written: str) -> Rule:
    """One rule, written as a YAML mapping in braces."""
    return group(written).rules[0]


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; fails after a generous while."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.001)

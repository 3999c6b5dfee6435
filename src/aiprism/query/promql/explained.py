"""A plan as people read it: which nodes there are, how each was answered, and what that took.

In: a plan, and the account of its evaluation when it was run. Out: the tree as nested objects for JSON, or as indented lines.
A node that stands twice in a plan is computed once and shown twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiprism.query.promql.account import Account, Visit
from aiprism.query.promql.plan import Constant, Leaf, Node, Words, children, described
from aiprism.store.question import Statement
from aiprism.store.samples import SampleStore

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Explained:
    """The plan of `text`; `planned` tells how leaves would be answered, `account` how they were (None: it was not run)."""

    text: str
    plan: Node
    planned: Mapping[Node, str]
    account: Account | None
    store: SampleStore

    def as_json(self) -> Json:
        """The plan and its figures as nested objects."""
        shown: Json = {"query": self.text, "analyzed": self.account is not None, "plan": self._tree(self.plan, set())}
        if self.account:
            shown["ms"] = _ms(self.account.timings(0.0).total)
        return shown

    def lines(self) -> Iterator[str]:
        """The plan, one node a line, statements below their node."""
        yield from _lines(self._tree(self.plan, set()), 0)
        if self.account:
            yield f"{_ms(self.account.timings(0.0).total)} ms in all"

    def _tree(self, node: Node, seen: set[Node]) -> Json:
        shown: Json = {"node": described(node)}
        if isinstance(node, Leaf) and node in seen:
            return {**shown, "answered": "as above"}
        seen.add(node)
        visit = self.account.visits.get(node) if self.account else None
        if visit is None:
            if node in self.planned:
                shown["planned"] = self.planned[node]
        elif not isinstance(node, Constant | Words):
            shown |= self._visit(visit)
        below = [self._tree(child, seen) for child in children(node)]
        return {**shown, "children": below} if below else shown

    def _visit(self, visit: Visit) -> Json:
        shown: Json = {"ms": _ms(visit.seconds)}
        if visit.series is not None:
            shown |= {"series": visit.series, "cells": visit.cells}
        if visit.answered:
            shown["answered"] = "; ".join(visit.answered)
        if visit.statements:
            shown["statements"] = [self._statement(each) for each in visit.statements]
        return shown

    def _statement(self, statement: Statement) -> Json:
        shown: Json = {
            "sql": statement.sql,
            "parameters": {name: _short(value) for name, value in statement.parameters.items()},
            "ms": _ms(statement.seconds),
            "rows": statement.rows,
            "bytes": statement.bytes,
        }
        estimated = self.store.estimate(statement)
        return shown if estimated is None else {**shown, "rows_to_read": estimated[0], "parts": estimated[1]}


def _lines(tree: Mapping[str, object], depth: int) -> Iterator[str]:
    indent = "  " * depth
    said = [f"{tree[name]} {name}" for name in ("series", "cells", "ms") if name in tree]
    said += [str(tree[name]) for name in ("answered", "planned") if name in tree]
    yield f"{indent}{tree['node']}" + (f"  ({', '.join(said)})" if said else "")
    for each in _list(tree, "statements"):
        yield f"{indent}  SQL {each['sql']}"
        bound = ", ".join(f"{name}={value}" for name, value in dict(each["parameters"]).items())  # type: ignore[call-overload]
        yield f"{indent}      with {bound}"
        to_read = f"{each['rows_to_read']} rows in {each['parts']} parts to read, " if "parts" in each else ""
        yield f"{indent}      {to_read}{each['rows']} rows ({each['bytes']} bytes) back, {each['ms']} ms"
    for child in _list(tree, "children"):
        yield from _lines(child, depth + 1)


def _list(tree: Mapping[str, object], name: str) -> list[Json]:
    found = tree.get(name, [])
    assert isinstance(found, list)
    return found


def _short(value: object) -> str:
    """A parameter as a person can read it: lists of thousands of series are cut."""
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

"""What a search asks of spans, as SQL: a condition becomes an expression over the columns of `spans`.

In: a `model.search.Condition` whose values are as they are stored: durations in nanoseconds, statuses and kinds in lower case
(`query.lucene.SPANS` makes them so). Out: the expression and its parameters; no text of the search is ever part of the SQL.

Bare words are looked for in the name of the operation and in the status message. A field that is no column is an attribute of
the span or, where the span has none of that name, of its resource; `attributes.x`, `resource.x` and `scope.x` say which.
Events are many: `event:x` and `event.x:y` hold when one of them has that name or attribute. What OpenTelemetry puts into
events (`exception.type` and its kin) is found there by its bare name, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from aiprism.model.search import Condition, Wild
from aiprism.store.conditionsql import (
    ConditionWriter,
    Predicate,
    Where,
    word_expression,
    words_expression,
)

STATUSES = ("unset", "ok", "error")
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_ENUMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kind": ("spans.kind", KINDS), "span.kind": ("spans.kind", KINDS), "status": ("spans.status", STATUSES),
}  # fmt: skip
_DURATION = "duration"
_LONGEST_NS = (1 << 63) - 1  # beyond, ClickHouse would take another number
_EVENT_NAME = ("event", "event.name")


def where(asked: Condition, *, prefix: str = "s") -> Where:
    """The condition over a relation that is called `spans`; what is bound has names of `prefix` and a number."""
    return _SpanWriter(prefix).where(asked)


def field(name: str, *, prefix: str = "f") -> Where:
    """The value of a field of a span, as text; NULL where there is none. Events have none: they are many."""
    writer = _SpanWriter(prefix)
    return Where(writer.field(name), writer.bound)


class _SpanWriter(ConditionWriter):
    columns: ClassVar[Mapping[str, str]] = {
        "service": "spans.service",
        "service.name": "spans.service",
        "name": "spans.name",
        "operation": "spans.name",
        "kind": "spans.kind",
        "span.kind": "spans.kind",
        "status": "spans.status",
        "status_message": "spans.status_message",
        "status.message": "spans.status_message",
        "scope": "spans.scope_name",
        "scope_name": "spans.scope_name",
        _DURATION: "spans.duration_ns",
    }
    ids: ClassVar[Mapping[str, tuple[str, int]]] = {
        "trace_id": ("spans.trace_id", 16),
        "span_id": ("spans.span_id", 8),
        "parent_span_id": ("spans.parent_span_id", 8),
    }
    times: ClassVar[tuple[str, ...]] = ("timestamp", "@timestamp", "ts", "time", "start")
    moment: ClassVar[str] = "spans.start"

    # -- bare words ------------------------------------------------------------------------------------------------

    def words(self, value: str) -> str:
        return self.matches(words_expression(value))

    def like_word(self, form: Sequence[str | Wild]) -> str:
        return self.matches(word_expression(form))

    def matches(self, expression: str) -> str:
        bound = self.bind(expression)
        return f"(match(spans.name, {bound}) OR match(spans.status_message, {bound}))"

    # -- columns ---------------------------------------------------------------------------------------------------

    def equals(self, name: str, value: str) -> str:
        if name == _DURATION:
            return self.compared(name, value, "=", [value])
        if name in _ENUMS:
            column, known = _ENUMS[name]
            return f"{column} = {self.bind(value)}" if value in known else "false"
        return super().equals(name, value)

    def compared(self, name: str, bound: str, sign: str, bounds: Sequence[str]) -> str:
        if name == _DURATION:
            return f"spans.duration_ns {sign} {self.bind(min(int(bound), _LONGEST_NS), 'Int64')}"
        return super().compared(name, bound, sign, bounds)

    # -- attributes ------------------------------------------------------------------------------------------------

    def elsewhere(self, name: str, predicate: Predicate) -> str:
        if name in _EVENT_NAME:
            return f"arrayExists(name -> {predicate('name')}, spans.event_name)"
        prefix, _, rest = name.partition(".")
        if prefix == "event" and rest:
            return self._of_an_event(self.bind(rest), predicate)
        if prefix == "attributes" and rest:
            key = self.bind(rest)
            return f"(mapContains(spans.attributes, {key}) AND {predicate(f'spans.attributes[{key}]')})"
        if prefix in ("resource", "scope") and rest:
            return self._of_json(f"spans.{prefix}_json", self.bind(rest), predicate)
        key = self.bind(name)
        found = (
            f"if(mapContains(spans.attributes, {key}), {predicate(f'spans.attributes[{key}]')}, "
            f"{self._of_json('spans.resource_json', key, predicate)})"
        )
        return f"({found} OR {self._of_an_event(key, predicate)})" if prefix == "exception" else found

    def field(self, name: str) -> str:
        """The value of a field as text; NULL where there is none."""
        column = self.column(name)
        if column:
            return column
        prefix, _, rest = name.partition(".")
        if prefix in ("resource", "scope") and rest:
            return self._in_json(f"spans.{prefix}_json", self.bind(rest))
        key = self.bind(rest if prefix == "attributes" and rest else name)
        otherwise = "NULL" if prefix == "attributes" and rest else self._in_json("spans.resource_json", key)
        return f"if(mapContains(spans.attributes, {key}), spans.attributes[{key}], {otherwise})"

    @staticmethod
    def _in_json(column: str, key: str) -> str:
        return f"if(JSONHas({column}, {key}), JSONExtractString({column}, {key}), NULL)"

    def exists_elsewhere(self, name: str) -> str:
        return self.elsewhere(name, lambda text: "true")

    def _of_an_event(self, key: str, predicate: Predicate) -> str:
        held = f"mapContains(event, {key}) AND {predicate(f'event[{key}]')}"
        return f"arrayExists(event -> {held}, spans.event_attributes)"

    @staticmethod
    def _of_json(column: str, key: str, predicate: Predicate) -> str:
        return f"(JSONHas({column}, {key}) AND {predicate(f'JSONExtractString({column}, {key})')})"

"""Which series a data point is: label sets built once for each resource, scope, metric and attribute set, then remembered.

In: protobuf messages and the naming settings. Out: `Stream`s, which hold the positions (in the series index) of all
series one data point feeds: one for a number, each bucket, count and sum for a histogram. Series repeat in every request,
so a stream is looked up by the bytes that name it. Streams that are new get negative stand-ins for positions, until
`settle` has admitted all of a request's at once; of a stream for which there is no room nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from aiprism.config import OtlpConfig
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.receive.items import ANYTHING, Bounds, OutOfBounds, SeriesFault, new_series_fault, no_fault
from aiprism.receive.otlp_names import Strategy, label_pairs, metric_name, unit_name
from aiprism.store.anyvalue import text_value
from aiprism.store.batches import MetricMetadata
from aiprism.store.writing import Admit, Admitted

# A cache of label sets needs a bound: past this many it starts anew (a stream costs some hundred bytes).
CACHE_LIMIT = 1_000_000

ONE = (("", "", ""),)  # the layout of a stream of one series
_NOTHING = Admitted(np.empty(0, np.int64))

_IDENTITY = ("service.name", "service.namespace", "service.instance.id")
_RESERVED = ("job", "instance")
# What a sender that scraped Prometheus says of a metric whose type OTLP has no word for (OpenTelemetry, Prometheus
# compatibility, "Metric Metadata").
_TYPE_KEY = "prometheus.type"
_TYPES = {
    "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown",
}  # fmt: skip


@dataclass(slots=True)
class Stream:
    """The series of one attribute set of one metric; `identity` names it through changes of scope and buckets."""

    positions: list[int]
    identity: int
    start_ns: int = 0  # start time of the newest point

    @property
    def is_admitted(self) -> bool:
        """False while it has stand-ins for positions, and for ever when there was no room for it."""
        return not self.positions or self.positions[0] >= 0


@dataclass(slots=True)
class Family:
    """One metric of one resource and scope, with its streams by the bytes of their attributes."""

    name: str  # empty when none can be made
    sent_name: str
    kind: str  # the field of the Metric message: gauge, sum, histogram …
    counter: bool
    labels: Mapping[str, str]  # of every series: job, instance, promoted attributes, scope
    strategy: Strategy
    metadata: MetricMetadata
    streams: dict[bytes, Stream] = field(default_factory=dict)


@dataclass(slots=True)
class Target:
    """A resource: what its series carry, its `target_info`, and its metrics by (scope, name, unit, kind)."""

    labels: Mapping[str, str]
    info: Mapping[str, str]
    families: dict[tuple[object, ...], Family] = field(default_factory=dict)
    stream: Stream | None = None


class Streams:
    """Remembers what it has built. Not thread-safe."""

    def __init__(self, config: OtlpConfig, fault: SeriesFault = no_fault) -> None:
        self._config, self._fault = config, fault
        self._strategy = Strategy(config.translation_strategy)
        self._targets: dict[bytes, Target] = {}
        self._size = 0
        self._unsettled: list[tuple[Stream, Callable[[], object]]] = []  # and what forgets it
        self._labels: list[Labels] = []
        self._within = ANYTHING

    def begin(self, within: Bounds) -> None:
        """A request begins, which must keep to those bounds."""
        self._within = within

    def target(self, resource: Any) -> Target:
        """The target a Resource message is."""
        raw = resource.SerializeToString()
        target = self._targets.get(raw)
        if target is None:
            self._size += 1
            attributes = {pair.key: text_value(pair.value) for pair in resource.attributes}
            target = self._targets[raw] = self._built(attributes)
        return target

    def family(self, target: Target, scoped: Any, metric: Any, kind: str, *, counter: bool) -> Family:
        """The family a Metric message of a ScopeMetrics message belongs to."""
        key: tuple[object, ...] = (metric.name, metric.unit, kind, counter, metric.description)
        if self._config.promote_scope_metadata:
            key += (scoped.scope.SerializeToString(), scoped.schema_url)
        if metric.metadata:
            key += tuple(pair.SerializeToString() for pair in metric.metadata)
        family = target.families.get(key)
        if family is None:
            self._size += 1
            family = target.families[key] = self._family(target, scoped, metric, kind, counter)
        return family

    def stream(
        self,
        family: Family,
        raw: bytes,
        attributes: Any,
        layout: Iterable[tuple[str, str, str]] = ONE,
    ) -> Stream:
        """A new stream of `family`: its series are named by `layout`, a list of (suffix of the name, label, its value).

        OutOfBounds when the labels of one are more or longer than they may be, or the series of the request too many.
        """
        layout = list(layout)
        if len(self._labels) + len(layout) > self._within.new_series:
            raise OutOfBounds(new_series_fault(self._within))
        pairs = [(pair.key, text_value(pair.value)) for pair in attributes]
        reserved = {*_RESERVED, *(label for _, label, _ in layout if label)}
        labels = {**family.labels, **label_pairs(pairs, family.strategy, reserved)}
        identity = Labels({**labels, METRIC_NAME: family.name}).fingerprint
        sets = [
            Labels({**labels, METRIC_NAME: f"{family.name}{suffix}", **({label: value} if label else {})})
            for suffix, label, value in layout
        ]
        if fault := next(filter(None, map(self._fault, sets)), None):
            raise OutOfBounds(fault)
        stream = Stream([self._stand_in(each) for each in sets], identity)
        family.streams[raw] = stream
        self._unsettled.append((stream, partial(family.streams.pop, raw)))
        return stream

    def info(self, target: Target) -> Stream:
        """The stream of the target's `target_info`; OutOfBounds when its labels are more or longer than they may be."""
        if target.stream is None:
            labels = Labels({**target.info, METRIC_NAME: "target_info"})
            if fault := self._fault(labels):
                raise OutOfBounds(fault)
            target.stream = Stream([self._stand_in(labels)], labels.fingerprint)
            self._unsettled.append((target.stream, partial(setattr, target, "stream", None)))
        return target.stream

    def settle(self, admit: Admit) -> Admitted:
        """The positions of what was new since the last time, in the order of their stand-ins (-1, -2 …).

        A stream is in with all of its series or not at all: what is left of a histogram would be no histogram.
        """
        positions, refusal = admit(self._labels) if self._labels else _NOTHING
        for stream, forget in self._unsettled:
            at = -np.array(stream.positions, np.int64) - 1
            if refusal and (positions[at] < 0).any():
                positions[at] = -1
                forget()
            else:
                self._size += 1
            stream.positions = positions[at].tolist()
        self._unsettled, self._labels = [], []
        if self._size > CACHE_LIMIT:
            self._targets, self._size = {}, 0
        return Admitted(positions, refusal)

    def abandon(self) -> None:
        """Forget what is not settled."""
        for _, forget in self._unsettled:
            forget()
        self._unsettled, self._labels = [], []

    def _stand_in(self, labels: Labels) -> int:
        self._labels.append(labels)
        return -len(self._labels)

    def _built(self, attributes: Mapping[str, str]) -> Target:
        name, space = attributes.get("service.name", ""), attributes.get("service.namespace", "")
        identity = {
            "job": f"{space}/{name}" if space and name else name,
            "instance": attributes.get("service.instance.id", ""),
        }
        keep = self._config.keep_identifying_resource_attributes
        described = [(key, value) for key, value in attributes.items() if keep or key not in _IDENTITY]
        promoted = [(key, value) for key, value in attributes.items() if self._is_promoted(key)]
        info = label_pairs(described, self._strategy)
        return Target(
            labels={**label_pairs(promoted, self._strategy), **identity},
            info={**info, **identity} if any(key not in _IDENTITY for key in attributes) else {},
        )

    def _is_promoted(self, key: str) -> bool:
        if self._config.promote_all_resource_attributes:
            return key not in self._config.ignore_resource_attributes
        return key in self._config.promote_resource_attributes

    def _family(self, target: Target, scoped: Any, metric: Any, kind: str, counter: bool) -> Family:
        name = metric_name(metric.name, metric.unit, counter=counter, gauge=kind == "gauge", strategy=self._strategy)
        labels = (
            {**target.labels, **self._scope_labels(scoped)} if self._config.promote_scope_metadata else target.labels
        )
        unit = unit_name(metric.unit) if self._strategy.suffixes else metric.unit
        if self._strategy.suffixes and kind == "gauge" and metric.unit == "1":
            unit = "ratio"
        return Family(
            name,
            metric.name,
            kind,
            counter,
            labels,
            self._strategy,
            MetricMetadata(name, _type_of(metric, kind, counter), metric.description, unit),
        )

    def _scope_labels(self, scoped: Any) -> dict[str, str]:
        scope = scoped.scope
        attributes = [(f"otel_scope_{pair.key}", text_value(pair.value)) for pair in scope.attributes]
        return {
            **label_pairs(attributes, self._strategy),
            "otel_scope_name": scope.name,
            "otel_scope_version": scope.version,
            "otel_scope_schema_url": scoped.schema_url,
        }


def _type_of(metric: Any, kind: str, counter: bool) -> str:
    for pair in metric.metadata:
        if pair.key == _TYPE_KEY and pair.value.string_value in _TYPES:
            return str(pair.value.string_value)
    if kind == "sum":
        return "counter" if counter else "gauge"
    return {"exponential_histogram": "histogram"}.get(kind, kind)

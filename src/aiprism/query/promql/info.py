"""The function info(): series with the labels of the info series that describe their target.

An info series (target_info, build_info …) says more about the target it shares `instance` and `job` with; its data
labels are added to the series at the steps where it is the newest of its name. Experimental in Prometheus 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aiprism.model.labels import METRIC_NAME, Labels, Matcher, matches_all
from aiprism.query.promql.blocks import Block
from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.values import QueryFailed
from aiprism.store.columns import Bools, Ints

IDENTIFYING = ("instance", "job")


def with_info_labels(block: Block, infos: Block, matchers: Sequence[Matcher]) -> Block:
    """`block` with data labels of `infos`, whose values are the times of their samples and which `matchers` selected.

    A series without an info series stays as it is, or goes when a matcher demands a label it does not have.
    """
    named = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
    wanted = [matcher for matcher in matchers if matcher.name != METRIC_NAME]
    targets = _Targets.of(infos)
    sets: list[Labels] = []
    rows: list[int] = []
    masks: list[Bools] = []
    for row, labels in enumerate(block.labels.labels()):
        valid = block.valid[row]
        is_info = matches_all(named, labels)
        for combined, mask in [(labels, valid)] if is_info else _enriched(labels, valid, targets, wanted):
            sets.append(combined)
            rows.append(row)
            masks.append(mask)
    if not rows:
        return Block.empty(block.values.shape[1])
    found = block.take(np.array(rows)).relabelled(LabelSets.of(sets))
    return found.where(np.array(masks)).compact().merged()


@dataclass(frozen=True, slots=True)
class _Targets:
    """The info series by target and name."""

    infos: Block
    labels: Sequence[Labels]
    rows: dict[Labels, dict[str, list[int]]]

    @classmethod
    def of(cls, infos: Block) -> _Targets:
        labels = infos.labels.labels()
        rows: dict[Labels, dict[str, list[int]]] = {}
        for row, each in enumerate(labels):
            rows.setdefault(each.only(*IDENTIFYING), {}).setdefault(each.name, []).append(row)
        return cls(infos, labels, rows)

    def newest(self, rows: Sequence[int]) -> Ints:
        """At each step the row with the newest sample, -1 where none has one."""
        taken = np.where(self.infos.valid[rows], self.infos.values[rows], -np.inf)
        latest = taken.max(axis=0)
        twice = ((taken == latest) & np.isfinite(latest)).sum(axis=0) > 1
        if twice.any():
            first, second = (self.labels[row] for row in rows[:2])
            raise QueryFailed(f"found duplicate series for info metric: existing {first}, new {second}")
        return np.where(np.isfinite(latest), np.array(rows)[taken.argmax(axis=0)], -1)


def _enriched(
    labels: Labels, valid: Bools, targets: _Targets, wanted: Sequence[Matcher]
) -> Iterator[tuple[Labels, Bools]]:
    """The label sets a series has over time, each with the steps at which it has them."""
    by_name = targets.rows.get(labels.only(*IDENTIFYING), {}) if labels.only(*IDENTIFYING) else {}
    if not by_name:
        chosen = np.full((1, len(valid)), -1)
    else:
        chosen = np.stack([targets.newest(rows) for _, rows in sorted(by_name.items())])
    for combination in np.unique(chosen[:, valid], axis=1).T:
        mask = valid & (chosen == combination[:, None]).all(axis=0)
        rows = [row for row in combination.tolist() if row >= 0]
        if rows or all(matcher.matches("") for matcher in wanted):
            yield _with_data(labels, [targets.labels[row] for row in rows], {matcher.name for matcher in wanted}), mask


def _with_data(labels: Labels, infos: Sequence[Labels], wanted: set[str]) -> Labels:
    data: dict[str, str] = {}
    for info in infos:
        for name, value in info.items():
            if name == METRIC_NAME or (wanted and name not in wanted):
                continue
            if data.setdefault(name, value) != value:
                raise QueryFailed(f"conflicting label: {name}")
    return labels.over(data)

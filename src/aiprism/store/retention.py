"""How long each table is kept, and which partitions go: decided here as plain functions of facts and a time.

In: the `retention` section, the partitions there are, a time, the free disk space. Out: partitions to drop, by age or
for room, and the TTL of tables that have no partitions. Dropping a whole partition costs nothing and gives its space
back at once; deleting rows would rewrite what stays. When is left to housekeeping.py, reading the facts to usage.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from aiprism.config import RetentionConfig
from aiprism.store.cluster import LOCAL
from aiprism.store.engine import Engine
from aiprism.store.schema import change
from aiprism.store.usage import Partition

log = structlog.get_logger()

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Rule:
    """Keep rows of `table` for `seconds` (0: for ever). A table that is not partitioned by time goes row by row, by the
    time in `column`. Of two as old the one of lower `rank` leaves a full disk first."""

    table: str
    seconds: int
    column: str = ""
    rank: int = 0


# What a full disk is relieved of: sent data before what was made of it, because the latter is small and goes further back.
_SENT, _DERIVED = 0, 1

# Metadata that is still sent is written again so often, about (`description_turns` and metricwriting.py together).
_METADATA_RENEWED = 2 * DAY


def rules(config: RetentionConfig) -> Mapping[str, Rule]:
    """The rule of every table that has one; tables of another version of the schema may be among them."""
    samples = longest(config.metrics, config.metrics_5m, config.metrics_1h)
    listed = (
        Rule("samples", int(config.metrics)),
        Rule("corrections", int(config.metrics)),
        Rule("histograms", int(config.metrics)),
        Rule("samples_5m", int(config.metrics_5m), rank=_DERIVED),
        Rule("samples_1h", int(config.metrics_1h), rank=_DERIVED),
        Rule("series", samples, column="last_ts"),
        Rule("metric_metadata", samples and samples + _METADATA_RENEWED, column="seen"),
        Rule("exemplars", int(config.traces_sampled)),
        Rule("spans", int(config.traces_sampled)),
        Rule("trace_index", int(config.traces_sampled), column="end"),
        Rule("trace_sample", int(config.traces_sampled), rank=_DERIVED),
        Rule("span_red_1m", int(config.rollups), rank=_DERIVED),
        Rule("service_edges_1m", int(config.rollups), rank=_DERIVED),
        Rule("events", int(config.events), column="ts", rank=_DERIVED),
        Rule("logs", int(config.logs)),
        Rule("log_patterns_1m", int(config.rollups), rank=_DERIVED),
    )
    return {rule.table: rule for rule in listed}


def longest(*seconds: float) -> int:
    """The longest of periods of which 0 is for ever."""
    return 0 if 0 in seconds else int(max(seconds))


def expired(partitions: Sequence[Partition], kept: Mapping[str, Rule], now: float) -> Sequence[Partition]:
    """The partitions all of whose rows are older than their table keeps them, oldest first."""
    gone = [
        each
        for each in partitions
        if (rule := kept.get(each.table)) and rule.seconds and each.newest and each.newest < now - rule.seconds
    ]
    return sorted(gone, key=lambda each: each.newest)


def relief(
    partitions: Sequence[Partition], kept: Mapping[str, Rule], now: float, wanted_bytes: int
) -> Sequence[Partition]:
    """The oldest partitions that together give back `wanted_bytes`, or all that may go: never any of today."""
    today = int(now) // DAY * DAY
    candidates = [each for each in partitions if each.table in kept and 0 < each.newest < today and each.bytes]
    candidates.sort(key=lambda each: (kept[each.table].rank, each.newest, -each.bytes))
    chosen: list[Partition] = []
    given = 0
    for each in candidates:
        if given >= wanted_bytes:
            break
        chosen.append(each)
        given += each.bytes
    return chosen


def drop(engine: Engine, partition: Partition) -> None:
    """The partition and its space are gone; done already is as well."""
    change(engine, f"ALTER TABLE {partition.table} DROP PARTITION ID '{partition.id}'")


def apply_ttls(engine: Engine, config: RetentionConfig) -> Sequence[str]:
    """Give the tables without partitions the TTL of their rule; the names of those whose TTL was another until now."""
    tables = engine.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} AND partition_key = '' "
        "AND engine != 'Distributed'",
        {"database": engine.database},
    )
    kept, changed = rules(config), []
    for found_name, statement in tables:
        name = found_name.removesuffix(LOCAL) if engine.cluster else found_name
        rule = kept.get(name)
        if rule is None or not rule.column:
            continue
        wanted = f"toDateTime({rule.column}) + toIntervalSecond({rule.seconds})" if rule.seconds else ""
        found = statement.partition(" TTL ")[2].partition(" SETTINGS ")[0]
        if wanted == found:
            continue
        # Rows already there need not be rewritten for it: they go with the merges to come.
        clause = f"MODIFY TTL {wanted}" if wanted else "REMOVE TTL"
        change(engine, f"ALTER TABLE {name} {clause} SETTINGS materialize_ttl_after_modify = 0")
        changed.append(name)
    if changed:
        log.info("store.retention_changed", tables=changed)
    return changed

"""What is stored: rows, bytes and times of every table and partition, and how far housekeeping has come.

In: an engine. Out: frozen facts. Decisions about them are left to retention.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiprism.store.engine import Engine

# On a cluster the rows of a table lie in its local tables, one replica of each shard counts.
_PARTITIONS = """
SELECT replaceRegexpOne(table, '_local$', '') AS name, partition_id,
    toUnixTimestamp(min(min_time)) AS oldest, toUnixTimestamp(max(max_time)) AS newest,
    sum(rows), sum(bytes_on_disk), sum(data_uncompressed_bytes), count()
FROM {parts}
WHERE database = {{database:String}} AND active
GROUP BY name, partition_id
ORDER BY name, oldest, partition_id
"""

# Parts know their range, so that empty years cost nothing.
_FIRST_AFTER = """
SELECT count(), toUnixTimestamp(min(greatest(min_time, fromUnixTimestamp({{after:Int64}}))))
FROM {parts}
WHERE database = {{database:String}} AND replaceRegexpOne(table, '_local$', '') = {{table:String}} AND active
    AND max_time >= fromUnixTimestamp({{after:Int64}})
"""


# A subquery: an INSERT … SELECT FROM the table itself may be carried out by every shard for itself.
_REMEMBER = """
INSERT INTO housekeeping (name, value, at)
SELECT {name:String}, {value:Int64},
    greatest(now64(6, 'UTC'), (SELECT max(at) FROM housekeeping WHERE name = {name:String}) + toIntervalMicrosecond(1))
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of a table. `oldest` and `newest` are Unix seconds, 0 where the table is not partitioned by time."""

    table: str
    id: str
    oldest: int
    newest: int
    rows: int
    bytes: int
    uncompressed: int
    parts: int


@dataclass(frozen=True, slots=True)
class TableUsage:
    """All partitions of a table together; times are None where they are not known."""

    table: str
    rows: int
    bytes: int
    uncompressed: int
    oldest: int | None
    newest: int | None
    partitions: int
    parts: int


def partitions(engine: Engine) -> Sequence[Partition]:
    """Every partition that holds rows, by table and time."""
    rows = engine.query(_PARTITIONS.format(parts=_parts(engine)), {"database": engine.database})
    return [Partition(*row) for row in rows]


def first_after(engine: Engine, table: str, after: int) -> int | None:
    """A time, Unix seconds, before which `table` has no row later than `after`; None when it has none at all."""
    bound = {"database": engine.database, "table": table, "after": after + 1}
    [[count, first]] = engine.query(_FIRST_AFTER.format(parts=_parts(engine)), bound)
    return int(first) if count else None


def _parts(engine: Engine) -> str:
    return f"cluster('{engine.cluster}', system, parts)" if engine.cluster else "system.parts"


def free_bytes(engine: Engine) -> int:
    """Free space of the fullest disk of the server, or of any node of the cluster."""
    disks = f"clusterAllReplicas('{engine.cluster}', system, disks)" if engine.cluster else "system.disks"
    return int(engine.query(f"SELECT min(unreserved_space) FROM {disks}")[0][0])


def by_table(found: Sequence[Partition]) -> Sequence[TableUsage]:
    """The partitions summed up by table, in order of the tables' names."""
    names = sorted({each.table for each in found})
    return [_table(name, [each for each in found if each.table == name]) for name in names]


def _table(name: str, parts: Sequence[Partition]) -> TableUsage:
    timed = [each for each in parts if each.newest]
    return TableUsage(
        table=name,
        rows=sum(each.rows for each in parts),
        bytes=sum(each.bytes for each in parts),
        uncompressed=sum(each.uncompressed for each in parts),
        oldest=min((each.oldest for each in timed), default=None),
        newest=max((each.newest for each in timed), default=None),
        partitions=len(parts),
        parts=sum(each.parts for each in parts),
    )


class Marks:
    """What housekeeping remembers between runs: one whole number a name, kept beside the data it speaks of."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> Mapping[str, int]:
        """Every mark."""
        return {
            name: int(value)
            for name, value in self._engine.query("SELECT name, argMax(value, at) FROM housekeeping GROUP BY name")
        }

    def get(self, name: str) -> int | None:
        """The mark `name`, None when it was never set."""
        return self.all().get(name)

    def set(self, name: str, value: int) -> None:
        """Remember `value` from now on, also where the clock was set back since."""
        self._engine.command(_REMEMBER, {"name": name, "value": value})

"""One schema for a laptop and for a cluster: the migrations' statements, rewritten for a ClickHouse cluster.

In: the statements of `sql/*.sql` in order. Out: statements ``ON CLUSTER``. A kept table `spans` becomes `spans_local`,
replicated within its shard, and a Distributed `spans` in front of it, which is the name everybody writes to and reads
from. A view on a kept table goes from local to local, so that a row is derived once, where it is stored; a view on a
`Null` table, which takes what the doors receive on whichever node they speak to, writes to the Distributed table, which
sends each row to its shard. A form this module does not know is an error that names file and statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from aiprism.errors import StoreError

LOCAL = "_local"

# What decides the shard of a row, by the first column a table has of these. Never by chance: an INSERT that is repeated
# must send each row to where it was sent before, or deduplication would not find it.
_KEYS: Mapping[str, str] = {"fp": "fp", "trace_id": "cityHash64(trace_id)"}
# Records of a trace lie beside its spans; the many that belong to none would all lie on one shard.
_BY_TRACE_OR_TIME = "if(trace_id = toFixedString('', 16), cityHash64(service, ts), cityHash64(trace_id))"
_KEY_OF: Mapping[str, str] = {"logs": _BY_TRACE_OR_TIME, "logs_3": _BY_TRACE_OR_TIME}

_IF = r"(?:IF (?:NOT )?EXISTS )?"
_CREATE_TABLE = re.compile(rf"CREATE TABLE {_IF}(\w+)\s*(.*)", re.DOTALL)
_CREATE_VIEW = re.compile(rf"CREATE MATERIALIZED VIEW {_IF}(\w+)\s+TO\s+(\w+)\s+AS\s+(.*)", re.DOTALL)
_ALTER = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_DROP = re.compile(rf"DROP (?:TABLE|VIEW) ({_IF})(\w+)(?:\s+SYNC)?")
_RENAME = re.compile(r"RENAME TABLE (\w+) TO (\w+)")
_EXCHANGE = re.compile(r"EXCHANGE TABLES (\w+) AND (\w+)")
_WHOLE = re.compile(r"(TRUNCATE|OPTIMIZE) TABLE (\w+)(.*)", re.DOTALL)
_INSERT = re.compile(r"INSERT INTO (\w+)\b.*", re.DOTALL)
_ENGINE = re.compile(r"\bENGINE\s*=\s*(\w+)")
_READS = re.compile(r"\b(FROM|JOIN)\s+(\w+)\b(?!\s*\()")
_COLUMN_CLAUSE = re.compile(r"\b(ADD|DROP|MODIFY|RENAME|COMMENT)\s+COLUMN\b")
_QUERY_CLAUSE = re.compile(r"MODIFY QUERY\s+(.*)", re.DOTALL)


class Kind(Enum):
    """What a name stands for: rows that are kept, a door that keeps nothing, or a view."""

    KEPT = "kept"
    NULL = "null"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class _Named:
    kind: Kind
    key: str = ""  # of a kept table: the expression that chooses the shard
    source: str = ""  # of a view: what it reads
    target: str = ""  # of a view: what it writes


class Layout:
    """The schema of one database on one cluster. Statements must come in the order they are carried out in."""

    def __init__(self, cluster: str, database: str) -> None:
        self.cluster, self.database = cluster, database
        self._names: dict[str, _Named] = {}

    def rewritten(self, statement: str, where: str) -> Sequence[str]:
        """What `statement` means on the cluster; StoreError naming `where` for a form that is not known."""
        text = statement.strip()
        forms = (
            (_CREATE_TABLE, self._create_table),
            (_CREATE_VIEW, self._create_view),
            (_ALTER, self._alter),
            (_DROP, self._drop),
            (_RENAME, self._rename),
            (_EXCHANGE, self._exchange),
            (_WHOLE, self._whole),
        )
        try:
            for form, meaning in forms:
                if match := form.fullmatch(text):
                    return meaning(match)
            if match := _INSERT.fullmatch(text):
                self._known(match[1])
                return [text]  # runs once, on the names everybody uses
            raise _Unknown("this form of statement has no meaning on a cluster yet")
        except _Unknown as error:
            head = " ".join(text.split())[:80]
            raise StoreError(f"{where}: {head!r}: {error}; teach store/cluster.py or write it another way") from None

    def local(self, name: str) -> str:
        """The table that holds the rows of `name` on each node."""
        return f"{name}{LOCAL}" if self._known(name).kind is Kind.KEPT else name

    # -- one method a form ---------------------------------------------------------------------------------------

    def _create_table(self, match: re.Match[str]) -> list[str]:
        name, body = match[1], match[2]
        engine = _ENGINE.search(body)
        if engine is None:
            raise _Unknown("a table names its ENGINE")
        head = body[: engine.start()]
        model = re.fullmatch(r"AS\s+(\w+)\s*", head)
        if engine[1] == "Null":
            self._names[name] = _Named(Kind.NULL)
            return [f"CREATE TABLE IF NOT EXISTS {self._on(name)} {body}"]
        if not engine[1].endswith("MergeTree") or engine[1].startswith("Replicated"):
            raise _Unknown(f"tables are of the MergeTree family or Null here, not {engine[1]}")
        if model:
            key = self._known(model[1]).key
            head = f"AS {self._full(self.local(model[1]))}\n"
        else:
            key = _key(name, head, body[engine.start() :])
        self._names[name] = _Named(Kind.KEPT, key)
        rest = body[engine.end() :].replace("non_replicated_deduplication_window", "replicated_deduplication_window")
        local = f"CREATE TABLE IF NOT EXISTS {self._on(name + LOCAL)}\n{head}ENGINE = Replicated{engine[1]}{rest}"
        return [local, self._front(name, "CREATE TABLE IF NOT EXISTS")]

    def _create_view(self, match: re.Match[str]) -> list[str]:
        name, target, query = match[1], match[2], match[3]
        source, query = self._query(query)
        if self._known(source).kind is Kind.KEPT:
            to = self.local(target)
        else:
            self._only_writer(source, target)
            to = target
        self._names[name] = _Named(Kind.VIEW, source=source, target=target)
        return [f"CREATE MATERIALIZED VIEW IF NOT EXISTS {self._on(name)} TO {self._full(to)} AS\n{query}"]

    def _alter(self, match: re.Match[str]) -> list[str]:
        name, change = match[1], match[2]
        if query := _QUERY_CLAUSE.fullmatch(change):
            source, text = self._query(query[1])
            if source != self._known(name).source:
                raise _Unknown("a view keeps its source; drop it and create it anew")
            change = f"MODIFY QUERY {text}"
        altered = [f"ALTER TABLE {self._on(self.local(name))} {change}"]
        if self._known(name).kind is Kind.KEPT and _COLUMN_CLAUSE.search(change):
            altered.append(self._front(name, "CREATE OR REPLACE TABLE"))
        return altered

    def _drop(self, match: re.Match[str]) -> list[str]:
        name = match[2]
        known = self._known(name)
        del self._names[name]
        if known.kind is Kind.KEPT:
            # SYNC: the name may be created anew in the next statement, and its replicas must be gone by then.
            return [f"DROP TABLE IF EXISTS {self._on(each)} SYNC" for each in (name, name + LOCAL)]
        return [f"DROP TABLE IF EXISTS {self._on(name)} SYNC"]

    def _rename(self, match: re.Match[str]) -> list[str]:
        old, new = match[1], match[2]
        known = self._known(old)
        if known.kind is not Kind.KEPT:
            raise _Unknown(f"{old} is no kept table")
        del self._names[old]
        self._names[new] = known
        return [
            f"DROP TABLE IF EXISTS {self._on(old)} SYNC",
            f"RENAME TABLE {self._full(old + LOCAL)} TO {self._full(new + LOCAL)} ON CLUSTER {self.cluster}",
            self._front(new, "CREATE TABLE IF NOT EXISTS"),
        ]

    def _exchange(self, match: re.Match[str]) -> list[str]:
        one, other = match[1], match[2]
        if {self._known(one).kind, self._known(other).kind} != {Kind.KEPT}:
            raise _Unknown("only kept tables can be exchanged")
        self._names[one], self._names[other] = self._names[other], self._names[one]
        locals_ = f"{self._full(one + LOCAL)} AND {self._full(other + LOCAL)}"
        fronts = [self._front(name, "CREATE OR REPLACE TABLE") for name in (one, other)]
        return [f"EXCHANGE TABLES {locals_} ON CLUSTER {self.cluster}", *fronts]

    def _whole(self, match: re.Match[str]) -> list[str]:
        return [f"{match[1]} TABLE {self._on(self.local(match[2]))}{match[3]}"]

    # -- inside --------------------------------------------------------------------------------------------------

    def _front(self, name: str, create: str) -> str:
        local = name + LOCAL
        key = self._names[name].key
        return (
            f"{create} {self._on(name)} AS {self._full(local)}\n"
            f"ENGINE = Distributed('{self.cluster}', '{self.database}', '{local}', {key})"
        )

    def _query(self, query: str) -> tuple[str, str]:
        """The one table of ours a view reads, and the query reading it where the rows arrive."""
        read = [match[2] for match in _READS.finditer(query) if match[2] in self._names]
        if len(read) != 1:
            raise _Unknown(f"a view reads one table of ours, not {len(read)} ({', '.join(read) or 'none known'})")
        source = read[0]
        full = self._full(self.local(source))
        kept = re.sub(rf"\b(FROM)\s+{source}\b(?!\s*\()", rf"\1 {full}", query)
        # Columns qualified by the source's name (spans.start) are those of its local table now.
        return source, re.sub(rf"(?<![\w.]){source}\.(?=\w)", f"{self.local(source)}.", kept)

    def _only_writer(self, source: str, target: str) -> None:
        # The shards know an INSERT by the sender's token alone: of two views that send to the same table under one
        # token, the second would be taken for a repetition of the first.
        for name, other in self._names.items():
            if other.kind is Kind.VIEW and (other.source, other.target) == (source, target):
                raise _Unknown(
                    f"{name} already writes from {source} to {target}, and deduplication could not tell them apart"
                )

    def _known(self, name: str) -> _Named:
        if name not in self._names:
            raise _Unknown(f"{name} was not created by a migration before")
        return self._names[name]

    def _full(self, name: str) -> str:
        return f"{self.database}.{name}"

    def _on(self, name: str) -> str:
        return f"{self._full(name)} ON CLUSTER {self.cluster}"


class _Unknown(Exception):
    """A statement that cannot be rewritten; the message says why."""


def version_table(cluster: str, database: str) -> str:
    """The table of applied migrations: one for all shards, so its replicas are told apart by shard and replica."""
    return (
        f"CREATE TABLE IF NOT EXISTS {database}.schema_version ON CLUSTER {cluster} "
        "(version UInt32, name String, applied DateTime DEFAULT now()) "
        f"ENGINE = ReplicatedMergeTree('/clickhouse/tables/aiprism/{database}/schema_version', '{{shard}}-{{replica}}') "
        "ORDER BY version"
    )


def _key(name: str, columns: str, rest: str) -> str:
    if name in _KEY_OF:
        return _KEY_OF[name]
    named = set(re.findall(r"^\s*(\w+)\s+[A-Z]", columns, flags=re.MULTILINE))
    for column, key in _KEYS.items():
        if column in named:
            return key
    order = re.search(r"\bORDER BY\s+(?:\(([^)]*)\)|(\w+))", rest)
    if order is None:
        raise _Unknown("a kept table has an ORDER BY")
    return f"cityHash64({order[1] or order[2]})"

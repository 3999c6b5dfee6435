"""The schema on a cluster: what the migrations become, and what chDB can run of it.

Run for real: Distributed tables, their inserts, deduplication and reads, on shards that are all one process (see
tests/clickhouse_http.py). Only parsed: ON CLUSTER and Replicated, which need a ClickHouse Keeper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprism.config import RetentionConfig
from aiprism.errors import StoreError
from aiprism.model.timerange import TimeRange
from aiprism.query.promql import Limits, PromQL
from aiprism.store import retention, usage
from aiprism.store.cluster import Layout
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.logcolumns import log_columns
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.patterncounts import pattern_counts
from aiprism.store.samples import SampleStore
from aiprism.store.schema import change, migrate, migrations
from aiprism.store.seriesload import load_series
from aiprism.store.spans import SpanStore
from aiprism.store.tracesearch import TraceSearch
from tests.query.promql.stocked import Stocked
from tests.store.making import labelled, logs_body, many_traces
from tests.store.test_edges import Sent, calls, joined, store, told
from tests.store.test_engine import insert_traces, trace_body
from tests.store.test_engine_http import ClickHouse
from tests.store.test_events import event

SNAPSHOTS = Path(__file__).parent.parent / "sql"
A_FRONT = re.compile(r"(\w+) ON CLUSTER \w+ AS \w+\.(\w+_local)\nENGINE = Distributed\('\w+', '\w+', '\w+', (.*)\)$")
MINUTE = 60_000
AT_MS = 1_790_000_000_000


def all_statements(cluster: str = "main", database: str = "aiprism_default") -> list[str]:
    layout = Layout(cluster, database)
    return [statement for migration in migrations() for statement in migration.on(layout)]


def after(*statements: str) -> list[str]:
    """What the last of `statements` becomes on cluster `c`, database `d`."""
    layout = Layout("c", "d")
    for statement in statements:
        written = layout.rewritten(statement, "x.sql, statement 1")
    return [" ".join(each.split()) for each in written]


# -- what is written -------------------------------------------------------------------------------------------------


def test_the_first_migration_on_a_cluster_is_as_in_its_snapshot() -> None:
    written = ";\n\n".join(migrations()[0].on(Layout("main", "aiprism_default"))) + ";\n"
    assert written == (SNAPSHOTS / "cluster_0001_telemetry.sql").read_text(encoding="utf-8")


def test_every_migration_has_a_meaning_on_a_cluster_that_clickhouse_can_parse(engine: Engine) -> None:
    for statement in all_statements():
        assert engine.query("SELECT formatQuery({sql:String})", {"sql": statement}), statement
        assert " ON CLUSTER main" in statement or statement.startswith("INSERT"), statement


def test_rows_are_derived_where_they_are_stored() -> None:
    views = [statement for statement in all_statements() if statement.startswith("CREATE MATERIALIZED VIEW")]
    reads = {re.search(r" TO \w+\.(\w+)", view)[1]: set(re.findall(r"FROM \w+\.(\w+)", view)) for view in views}  # type: ignore[index]
    assert reads["trace_index_local"] == {"spans_local"}
    assert all(
        source.startswith(("otlp_", "logs_received"))
        for target in reads
        for source in reads[target]
        if "_local" not in target
    )
    assert all(source.endswith("_local") for target in reads for source in reads[target] if "_local" in target)


T = "CREATE TABLE t (k UInt64) ENGINE = MergeTree ORDER BY k"
FRONT = "d.t ON CLUSTER c AS d.t_local ENGINE = Distributed('c', 'd', 't_local', cityHash64(k))"


@pytest.mark.parametrize(
    ("statements", "written"),
    [
        (["CREATE TABLE n (k UInt64) ENGINE = Null"], ["CREATE TABLE IF NOT EXISTS d.n ON CLUSTER c (k UInt64) ENGINE = Null"]),
        (
            [T],
            [
                "CREATE TABLE IF NOT EXISTS d.t_local ON CLUSTER c (k UInt64) ENGINE = ReplicatedMergeTree ORDER BY k",
                f"CREATE TABLE IF NOT EXISTS {FRONT}",
            ],
        ),
        (
            [T, "ALTER TABLE t ADD COLUMN x UInt8"],
            ["ALTER TABLE d.t_local ON CLUSTER c ADD COLUMN x UInt8", f"CREATE OR REPLACE TABLE {FRONT}"],
        ),
        ([T, "ALTER TABLE t MODIFY TTL k"], ["ALTER TABLE d.t_local ON CLUSTER c MODIFY TTL k"]),
        ([T, "ALTER TABLE t DROP PARTITION ID '1'"], ["ALTER TABLE d.t_local ON CLUSTER c DROP PARTITION ID '1'"]),
        (
            [T, "DROP TABLE IF EXISTS t"],
            ["DROP TABLE IF EXISTS d.t ON CLUSTER c SYNC", "DROP TABLE IF EXISTS d.t_local ON CLUSTER c SYNC"],
        ),
        (
            [T, T.replace("t (", "u ("), "EXCHANGE TABLES t AND u"],
            [
                "EXCHANGE TABLES d.t_local AND d.u_local ON CLUSTER c",
                f"CREATE OR REPLACE TABLE {FRONT}",
                f"CREATE OR REPLACE TABLE {FRONT}".replace("d.t", "d.u").replace("t_local", "u_local"),
            ],
        ),
        ([T, "TRUNCATE TABLE t"], ["TRUNCATE TABLE d.t_local ON CLUSTER c"]),
        ([T, "INSERT INTO t SELECT 1"], ["INSERT INTO t SELECT 1"]),
        (
            [T, "CREATE TABLE u AS t ENGINE = ReplacingMergeTree ORDER BY k"],
            [
                "CREATE TABLE IF NOT EXISTS d.u_local ON CLUSTER c AS d.t_local ENGINE = ReplicatedReplacingMergeTree ORDER BY k",
                f"CREATE TABLE IF NOT EXISTS {FRONT}".replace("d.t", "d.u").replace("t_local", "u_local"),
            ],
        ),
    ],
)  # fmt: skip
def test_each_form_of_statement_reaches_every_node(statements: list[str], written: list[str], engine: Engine) -> None:
    assert after(*statements) == written
    for each in written:
        assert engine.query("SELECT formatQuery({sql:String})", {"sql": each})


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE DICTIONARY x (k UInt64) PRIMARY KEY k",
        "CREATE TABLE x (k UInt64) ENGINE = Memory",
        "ALTER TABLE never_made ADD COLUMN x UInt8",
        "CREATE MATERIALIZED VIEW v TO t AS SELECT k FROM t JOIN t USING k",
        "GRANT ALL ON x TO y",
    ],
)
def test_a_form_that_is_not_known_names_file_and_statement(statement: str) -> None:
    with pytest.raises(StoreError, match=r"x\.sql, statement 1: '"):
        after(T, statement)


@pytest.mark.parametrize("refused", ["EXCHANGE TABLES t AND n", "RENAME TABLE n TO m"])
def test_a_statement_that_is_refused_changes_nothing(refused: str) -> None:
    layout = Layout("c", "d")
    for statement in (T, "CREATE TABLE n (k UInt64) ENGINE = Null"):
        layout.rewritten(statement, "x.sql")
    with pytest.raises(StoreError, match="kept table"):
        layout.rewritten(refused, "x.sql")
    assert (layout.local("t"), layout.local("n")) == ("t_local", "n")


def test_two_views_that_deduplication_could_not_tell_apart_are_refused() -> None:
    door = "CREATE TABLE n (k UInt64) ENGINE = Null"
    views = [f"CREATE MATERIALIZED VIEW {name} TO t AS SELECT k FROM n" for name in "vw"]
    with pytest.raises(StoreError, match="v already writes from n to t"):
        after(T, door, *views)


# -- what runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[ClickHouse]:
    running = ClickHouse(tmp_path / "clickhouse", "one")
    running.start()
    yield running
    running.stop()


def test_on_one_shard_every_row_is_stored_and_derived_once(clickhouse: ClickHouse) -> None:
    engine = Engine.open(clickhouse.url, cluster="one")
    assert migrate(engine) == migrate(engine)
    for token in ("first", "first", "second"):
        insert_traces(engine, trace_body(3), token)
    assert engine.query("SELECT count() FROM spans") == [(6,)]
    assert engine.query("SELECT count() FROM spans_local") == [(6,)]
    assert engine.query("SELECT sum(spans) FROM span_red_1m") == [(6,)]
    assert engine.query("SELECT sum(spans), uniqExact(trace_id) FROM trace_index") == [(6, 1)]
    [found] = SpanStore(engine).search(TraceSearch(TimeRange(0, 2e9)))
    assert found.spans == 6
    engine.close()


def test_calls_are_joined_over_distributed_tables(clickhouse: ClickHouse) -> None:
    engine = Engine.open(clickhouse.url, cluster="one")
    migrate(engine)
    kafka = {"messaging.system": "kafka"}
    store(engine, *calls(3), Sent(1, "orders", "producer", trace=50, attributes=kafka))
    assert told(joined(engine)) == [
        ("gateway", "orders", "request", False, 3, 1),
        ("orders", "kafka", "messaging", True, 1, 0),
    ]
    store(engine, Sent(2, "mailer", "consumer", trace=51, links=((50, 1),)))
    assert told(joined(engine)) == [
        ("gateway", "orders", "request", False, 3, 1),
        ("orders", "mailer", "messaging", False, 1, 0),
    ]
    engine.close()


def test_retention_reaches_the_local_tables(clickhouse: ClickHouse) -> None:
    engine = Engine.open(clickhouse.url, cluster="one")
    migrate(engine)
    insert_traces(engine, trace_body(3), "t")
    assert usage.free_bytes(engine) > 0
    assert "series" in retention.apply_ttls(engine, RetentionConfig())
    assert retention.apply_ttls(engine, RetentionConfig()) == []
    [spans] = [each for each in usage.partitions(engine) if each.table == "spans"]
    assert spans.rows == 3
    retention.drop(engine, spans)
    assert engine.query("SELECT count() FROM spans") == [(0,)]
    change(engine, "TRUNCATE TABLE span_red_1m")
    assert engine.query("SELECT count() FROM span_red_1m_local") == [(0,)]
    engine.close()


def test_two_shards_answer_as_one_machine_does(clickhouse: ClickHouse) -> None:
    whole = Engine.open(clickhouse.url, database="whole")
    migrate(whole)
    fill(whole)
    sharded = on_two_shards(clickhouse, whole)
    assert sharded.query("SELECT uniqExact(_shard_num) FROM spans") == [(2,)]
    assert sharded.query("SELECT uniqExact(_shard_num) FROM samples") == [(2,)]
    assert answers(sharded) == answers(whole)
    whole.close()
    sharded.close()


def fill(engine: Engine) -> None:
    insert_traces(engine, many_traces(40, at_ms=AT_MS), "t")
    engine.insert_arrow("logs_received", log_columns(logs_body(40, at_ms=AT_MS)), token="l")
    points = [(AT_MS + step * 15_000, float(step)) for step in range(40)]
    stocked = Stocked.on(engine)
    series = [labelled(number) for number in range(20)]
    stocked.add((labels, points) for labels in series)
    engine.command(
        "INSERT INTO series SELECT metric, fp, map('__name__', metric, 'instance', toString(fp)) AS labels, "
        "min(ts) AS first_ts, max(ts) AS last_ts FROM samples GROUP BY metric, fp"
    )
    for ago in (60, 30):
        EventStore(engine).put([event(f"{n % ago}", AT_MS / 1000 + n - ago) for n in range(40)])


def on_two_shards(clickhouse: ClickHouse, whole: Engine) -> Engine:
    """A database whose Distributed tables have two shards, each of which sees the rows of `whole` that are its own."""
    sharded = Engine.open(clickhouse.url, database="sharded", cluster="two")
    kept = {name for (name,) in whole.query("SHOW TABLES")}
    for statement in all_statements("two", "sharded"):
        front = A_FRONT.search(statement)
        if front and front[1] in kept and statement.startswith("CREATE TABLE"):
            name, local, key = front.groups()
            sharded.command(
                f"CREATE VIEW {local} AS SELECT * FROM {whole.database}.{name} WHERE ({key}) % 2 + 1 = shardNum()"
            )
            sharded.command(statement.replace(f"AS sharded.{local}", f"AS {whole.database}.{name}"))
    return sharded


def answers(engine: Engine) -> dict[str, object]:
    """What every reader of the store says."""
    index = load_series(engine)
    promql = PromQL(SampleStore(engine, index), Limits())
    at = (AT_MS + 10 * MINUTE) / 1000
    spans, logs, window = SpanStore(engine), LogStore(engine), TimeRange(AT_MS / 1000 - 60, at)
    found = spans.search(TraceSearch(window, service="api", errors_only=True))
    queries = (
        "requests_total",
        f'requests_total{{instance="{labelled(3).fingerprint}"}}',
        "count(requests_total)",
        "sum(rate(requests_total[5m]))",
        "max by (instance) (rate(requests_total[2m]))",
        "quantile_over_time(0.5, requests_total[3m])",
    )
    vectors = {
        query: sorted((sorted(item.labels.pairs), item.value) for item in promql.vector(query, at).items)
        for query in queries
    }
    return {
        "series": sorted(index.label_values("instance")),
        "traces": sorted(found, key=lambda trace: trace.trace_id),
        "trace": spans.trace(found[0].trace_id),
        "services": spans.services(window),
        "logs": sorted(
            logs.search(LogSearch(window, levels=("ERROR",))), key=lambda record: (record.ts_ns, record.body)
        ),
        "patterns": pattern_counts(engine, window),
        "events": [(each.id, each.ts) for each in EventStore(engine).search(window, limit=25)],
        **vectors,
    }

-- Who calls whom, by minute. A leader duty joins the spans of both sides once a minute is over (store/edges.py) and joins
-- it again when spans came late: a row replaces the one of the same key and a lower version, and an edge that is no more is
-- replaced by one without calls. So the table is read with FINAL. `virtual` callees send no spans and are known from what
-- their callers say; `slice` is the share of traces a row was counted in.
CREATE TABLE service_edges_1m
(
    minute     DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    caller     LowCardinality(String),
    callee     LowCardinality(String),
    connection Enum8('request' = 1, 'database' = 2, 'messaging' = 3),
    virtual    Bool,
    system     LowCardinality(String),
    slice      UInt16 CODEC(ZSTD(1)),
    calls      UInt64 CODEC(ZSTD(1)),
    errors     UInt64 CODEC(ZSTD(1)),
    duration   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64) CODEC(ZSTD(1)),
    version    UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, caller, callee, connection, virtual, system, slice);

-- Minutes that got spans after they may have been joined. The insert itself notes them, so that no crash forgets one; the
-- row goes once the minute has been joined again. What is not noted was stored before that: 90 seconds after the beginning
-- of a minute are less than the delay of the join by more than an INSERT can take.
CREATE TABLE spans_late
(
    minute   DateTime('UTC'),
    seen     SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    produced SimpleAggregateFunction(max, Bool)
)
ENGINE = AggregatingMergeTree
ORDER BY minute
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW spans_late_from_spans TO spans_late AS
SELECT toStartOfMinute(spans.start) AS minute, now64(6, 'UTC') AS seen, max(kind = 'producer') AS produced
FROM spans
WHERE toStartOfMinute(spans.start) <= now64(6, 'UTC') - toIntervalSecond(90)
GROUP BY minute;

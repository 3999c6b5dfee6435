-- Spans and logs arrive as columns that compiled code makes of the OTLP bodies (store/spancolumns.py, logcolumns.py), so the
-- Null tables shaped as protobuf messages and the views over them go. Nothing a sender sent is left out any more: what
-- kind of value each attribute was (one letter each, see store/attributes.py), dropped counts of resource, scope and
-- links, entities, an end before the start. Resource and scope repeat, so their attributes are one dictionary-coded
-- JSON text instead of a map per row. The sort order keeps the spans of one trace and service together, which halves
-- what their ids take and finds a trace without a Bloom filter. Measured alternatives: docs/adr/0004.
--
-- An "unless" line makes a statement safe to repeat after a crash: once the column is there it is passed over.

DROP VIEW IF EXISTS spans_from_otlp;
DROP VIEW IF EXISTS logs_from_otlp;
DROP TABLE IF EXISTS otlp_traces;
DROP TABLE IF EXISTS otlp_logs;
DROP VIEW IF EXISTS log_patterns_1m_from_logs;

-- Traces ------------------------------------------------------------------------------------------------------------

CREATE TABLE spans_3
(
    trace_id            FixedString(16) CODEC(ZSTD(1)),
    span_id             FixedString(8) CODEC(ZSTD(1)),
    parent_span_id      FixedString(8) CODEC(ZSTD(1)),
    trace_state         String CODEC(ZSTD(1)),
    flags               UInt32 CODEC(ZSTD(1)),
    service             LowCardinality(String),
    name                LowCardinality(String),
    kind                Enum8('unspecified' = 0, 'internal' = 1, 'server' = 2, 'client' = 3, 'producer' = 4, 'consumer' = 5),
    start               DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    duration_ns         UInt64 CODEC(T64, ZSTD(1)),
    ended_before_ns     UInt64 CODEC(ZSTD(1)),
    status              Enum8('unset' = 0, 'ok' = 1, 'error' = 2),
    status_message      String CODEC(ZSTD(1)),
    attributes          Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attribute_kinds     LowCardinality(String),
    resource_json       LowCardinality(String),
    resource_kinds      LowCardinality(String),
    resource_entities   LowCardinality(String),
    resource_dropped    UInt32 CODEC(ZSTD(1)),
    resource_schema_url LowCardinality(String),
    scope_name          LowCardinality(String),
    scope_version       LowCardinality(String),
    scope_json          LowCardinality(String),
    scope_kinds         LowCardinality(String),
    scope_dropped       UInt32 CODEC(ZSTD(1)),
    scope_schema_url    LowCardinality(String),
    event_time          Array(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    event_name          Array(LowCardinality(String)) CODEC(ZSTD(1)),
    event_attributes    Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    event_kinds         Array(LowCardinality(String)) CODEC(ZSTD(1)),
    event_dropped       Array(UInt32) CODEC(ZSTD(1)),
    link_trace_id       Array(FixedString(16)) CODEC(ZSTD(1)),
    link_span_id        Array(FixedString(8)) CODEC(ZSTD(1)),
    link_trace_state    Array(String) CODEC(ZSTD(1)),
    link_attributes     Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    link_kinds          Array(LowCardinality(String)) CODEC(ZSTD(1)),
    link_flags          Array(UInt32) CODEC(ZSTD(1)),
    link_dropped        Array(UInt32) CODEC(ZSTD(1)),
    dropped_attributes  UInt32 CODEC(ZSTD(1)),
    dropped_events      UInt32 CODEC(ZSTD(1)),
    dropped_links       UInt32 CODEC(ZSTD(1)),
    -- Read as maps; nothing of these is stored.
    resource            Map(LowCardinality(String), String) ALIAS JSONExtract(resource_json, 'Map(LowCardinality(String), String)'),
    scope_attributes    Map(LowCardinality(String), String) ALIAS JSONExtract(scope_json, 'Map(LowCardinality(String), String)'),
    attributes_number   Map(LowCardinality(String), Float64) ALIAS mapApply((key, value) -> (key, toFloat64OrZero(value)), mapFilter((key, value) -> isNotNull(toFloat64OrNull(value)), attributes))
)
ENGINE = MergeTree
PARTITION BY toDate(start)
ORDER BY (service, toStartOfMinute(start), trace_id, start)
SETTINGS non_replicated_deduplication_window = 10000;

-- unless spans.resource_json
TRUNCATE TABLE spans_3;

-- unless spans.resource_json
INSERT INTO spans_3
    (trace_id, span_id, parent_span_id, trace_state, flags, service, name, kind, start, duration_ns, status, status_message,
     attributes, resource_json, resource_schema_url, scope_name, scope_version, scope_json, scope_schema_url,
     event_time, event_name, event_attributes, event_dropped,
     link_trace_id, link_span_id, link_trace_state, link_attributes, link_flags,
     dropped_attributes, dropped_events, dropped_links)
SELECT
    trace_id, span_id, parent_span_id, trace_state, flags, service, name, kind, start, duration_ns, status, status_message,
    attributes, if(empty(resource), '', toJSONString(resource)), resource_schema_url,
    scope_name, scope_version, if(empty(scope_attributes), '', toJSONString(scope_attributes)), scope_schema_url,
    event_time, event_name, event_attributes, event_dropped,
    link_trace_id, link_span_id, link_trace_state, link_attributes, link_flags,
    dropped_attributes, dropped_events, dropped_links
FROM spans;

DROP VIEW IF EXISTS trace_index_from_spans;
DROP VIEW IF EXISTS span_red_1m_from_spans;

-- unless spans.resource_json
EXCHANGE TABLES spans AND spans_3;

DROP TABLE IF EXISTS spans_3;

CREATE MATERIALIZED VIEW trace_index_from_spans TO trace_index AS
SELECT
    trace_id,
    min(spans.start) AS start,
    max(spans.start + toIntervalNanosecond(duration_ns)) AS end,
    count() AS spans,
    countIf(status = 'error') AS errors,
    groupUniqArray(toString(service)) AS services,
    maxIf(toString(service), parent_span_id = toFixedString('', 8)) AS root_service,
    maxIf(toString(name), parent_span_id = toFixedString('', 8)) AS root_name
FROM spans
GROUP BY trace_id;

CREATE MATERIALIZED VIEW span_red_1m_from_spans TO span_red_1m AS
SELECT
    toStartOfMinute(start) AS minute,
    service,
    name AS operation,
    toString(kind) AS kind,
    count() AS spans,
    countIf(status = 'error') AS errors,
    quantilesTDigestState(0.5, 0.95, 0.99)(duration_ns / 1e9) AS duration
FROM spans
GROUP BY minute, service, operation, kind;

-- Logs --------------------------------------------------------------------------------------------------------------

CREATE TABLE logs_3
(
    ts                  DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    timed               Bool DEFAULT true,
    observed            DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    service             LowCardinality(String),
    level               LowCardinality(String),
    severity_number     UInt8 CODEC(ZSTD(1)),
    severity_text       LowCardinality(String),
    body                String CODEC(ZSTD(1)),
    body_kind           Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'map' = 6, 'bytes' = 7) DEFAULT 'string',
    pattern_id          UInt64 CODEC(ZSTD(1)),
    event_name          LowCardinality(String),
    trace_id            FixedString(16) CODEC(ZSTD(1)),
    span_id             FixedString(8) CODEC(ZSTD(1)),
    flags               UInt32 CODEC(ZSTD(1)),
    attributes          Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attribute_kinds     LowCardinality(String),
    resource_json       LowCardinality(String),
    resource_kinds      LowCardinality(String),
    resource_entities   LowCardinality(String),
    resource_dropped    UInt32 CODEC(ZSTD(1)),
    resource_schema_url LowCardinality(String),
    scope_name          LowCardinality(String),
    scope_version       LowCardinality(String),
    scope_json          LowCardinality(String),
    scope_kinds         LowCardinality(String),
    scope_dropped       UInt32 CODEC(ZSTD(1)),
    scope_schema_url    LowCardinality(String),
    dropped_attributes  UInt32 CODEC(ZSTD(1)),
    resource            Map(LowCardinality(String), String) ALIAS JSONExtract(resource_json, 'Map(LowCardinality(String), String)'),
    scope_attributes    Map(LowCardinality(String), String) ALIAS JSONExtract(scope_json, 'Map(LowCardinality(String), String)'),
    attributes_number   Map(LowCardinality(String), Float64) ALIAS mapApply((key, value) -> (key, toFloat64OrZero(value)), mapFilter((key, value) -> isNotNull(toFloat64OrNull(value)), attributes)),
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_word body TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(body))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- unless logs.resource_json
TRUNCATE TABLE logs_3;

-- unless logs.resource_json
INSERT INTO logs_3
    (ts, observed, service, level, severity_number, severity_text, body, pattern_id, event_name, trace_id, span_id, flags,
     attributes, resource_json, resource_schema_url, scope_name, scope_version, scope_json, scope_schema_url, dropped_attributes)
SELECT
    ts, observed, service, level, severity_number, severity_text, body, pattern_id, event_name, trace_id, span_id, flags,
    attributes, if(empty(resource), '', toJSONString(resource)), resource_schema_url,
    scope_name, scope_version, if(empty(scope_attributes), '', toJSONString(scope_attributes)), scope_schema_url, dropped_attributes
FROM logs;

-- unless logs.resource_json
EXCHANGE TABLES logs AND logs_3;

DROP TABLE IF EXISTS logs_3;

-- Records as they arrive, with their pattern, which is kept once a minute and not with every record.
CREATE TABLE logs_received
(
    ts                  DateTime64(9, 'UTC'),
    timed               Bool,
    observed            DateTime64(9, 'UTC'),
    level               LowCardinality(String),
    severity_number     UInt8,
    severity_text       LowCardinality(String),
    body                String,
    body_kind           Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'map' = 6, 'bytes' = 7),
    pattern             LowCardinality(String),
    event_name          LowCardinality(String),
    trace_id            FixedString(16),
    span_id             FixedString(8),
    flags               UInt32,
    attributes          Map(LowCardinality(String), String),
    attribute_kinds     LowCardinality(String),
    dropped_attributes  UInt32,
    service             LowCardinality(String),
    resource_json       LowCardinality(String),
    resource_kinds      LowCardinality(String),
    resource_entities   LowCardinality(String),
    resource_schema_url LowCardinality(String),
    resource_dropped    UInt32,
    scope_name          LowCardinality(String),
    scope_version       LowCardinality(String),
    scope_json          LowCardinality(String),
    scope_kinds         LowCardinality(String),
    scope_schema_url    LowCardinality(String),
    scope_dropped       UInt32
)
ENGINE = Null;

CREATE MATERIALIZED VIEW logs_from_received TO logs AS
SELECT * EXCEPT (pattern), cityHash64(pattern) AS pattern_id
FROM logs_received;

CREATE MATERIALIZED VIEW log_patterns_1m_from_received TO log_patterns_1m AS
SELECT
    toStartOfMinute(ts) AS minute,
    service,
    level,
    cityHash64(logs_received.pattern) AS pattern_id,
    any(toString(logs_received.pattern)) AS pattern,
    any(body) AS example,
    count() AS lines
FROM logs_received
GROUP BY minute, service, level, pattern_id;

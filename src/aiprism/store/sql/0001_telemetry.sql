-- Telemetry as of version 1: what is received, the tables it is kept in, and the rollups derived at insert.
-- Conventions: times are DateTime64 in UTC, durations UInt64 nanoseconds, attribute maps hold every value as text and
-- numbers once more as Float64 (so that `http.status_code > 499` compares numbers).

-- Traces ------------------------------------------------------------------------------------------------------------

CREATE TABLE spans
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
    status              Enum8('unset' = 0, 'ok' = 1, 'error' = 2),
    status_message      String CODEC(ZSTD(1)),
    attributes          Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attributes_number   Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    resource            Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_name          LowCardinality(String),
    scope_version       LowCardinality(String),
    scope_attributes    Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource_schema_url LowCardinality(String),
    scope_schema_url    LowCardinality(String),
    event_time          Array(DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    event_name          Array(LowCardinality(String)) CODEC(ZSTD(1)),
    event_attributes    Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    event_dropped       Array(UInt32) CODEC(ZSTD(1)),
    link_trace_id       Array(FixedString(16)) CODEC(ZSTD(1)),
    link_span_id        Array(FixedString(8)) CODEC(ZSTD(1)),
    link_trace_state    Array(String) CODEC(ZSTD(1)),
    link_attributes     Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    link_flags          Array(UInt32) CODEC(ZSTD(1)),
    dropped_attributes  UInt32 CODEC(ZSTD(1)),
    dropped_events      UInt32 CODEC(ZSTD(1)),
    dropped_links       UInt32 CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(start)
ORDER BY (service, name, start)
SETTINGS non_replicated_deduplication_window = 10000;

-- Where a trace lies in time and what it is made of, so that a trace by id reads minutes of spans instead of days.
CREATE TABLE trace_index
(
    trace_id     FixedString(16),
    start        SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    end          SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    spans        SimpleAggregateFunction(sum, UInt64),
    errors       SimpleAggregateFunction(sum, UInt64),
    services     SimpleAggregateFunction(groupUniqArrayArray, Array(String)),
    root_service SimpleAggregateFunction(max, String),
    root_name    SimpleAggregateFunction(max, String)
)
ENGINE = AggregatingMergeTree
ORDER BY trace_id
SETTINGS non_replicated_deduplication_window = 10000;

-- Rate, errors and duration per service, operation and kind: what service pages read instead of spans.
CREATE TABLE span_red_1m
(
    minute    DateTime('UTC'),
    service   LowCardinality(String),
    operation LowCardinality(String),
    kind      LowCardinality(String),
    spans     SimpleAggregateFunction(sum, UInt64),
    errors    SimpleAggregateFunction(sum, UInt64),
    duration  AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (service, operation, kind, minute)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE otlp_traces
(
    resource_spans Array(Tuple(
        resource Tuple(attributes {attributes}, dropped_attributes_count UInt32),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes {attributes}, dropped_attributes_count UInt32),
            spans Array(Tuple(
                trace_id String, span_id String, trace_state String, parent_span_id String, flags UInt32,
                name String, kind Int32, start_time_unix_nano UInt64, end_time_unix_nano UInt64,
                attributes {attributes}, dropped_attributes_count UInt32,
                events Array(Tuple(time_unix_nano UInt64, name String, attributes {attributes}, dropped_attributes_count UInt32)),
                dropped_events_count UInt32,
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes {attributes}, dropped_attributes_count UInt32, flags UInt32)),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32)
            )),
            schema_url String
        )),
        schema_url String
    ))
)
ENGINE = Null;

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

CREATE MATERIALIZED VIEW spans_from_otlp TO spans AS
WITH
    {to_text} AS to_text,
    {to_numbers} AS to_numbers
SELECT
    toFixedString(span.trace_id, 16) AS trace_id,
    toFixedString(span.span_id, 8) AS span_id,
    toFixedString(span.parent_span_id, 8) AS parent_span_id,
    span.trace_state AS trace_state,
    span.flags AS flags,
    resource['service.name'] AS service,
    span.name AS name,
    CAST(if(span.kind BETWEEN 0 AND 5, span.kind, 0), 'Enum8(\'unspecified\' = 0, \'internal\' = 1, \'server\' = 2, \'client\' = 3, \'producer\' = 4, \'consumer\' = 5)') AS kind,
    fromUnixTimestamp64Nano(reinterpretAsInt64(span.start_time_unix_nano), 'UTC') AS start,
    if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0) AS duration_ns,
    CAST(if(span.status.code BETWEEN 0 AND 2, span.status.code, 0), 'Enum8(\'unset\' = 0, \'ok\' = 1, \'error\' = 2)') AS status,
    span.status.message AS status_message,
    to_text(span.attributes) AS attributes,
    to_numbers(span.attributes) AS attributes_number,
    resource,
    scoped.scope.name AS scope_name,
    scoped.scope.version AS scope_version,
    to_text(scoped.scope.attributes) AS scope_attributes,
    resource_schema_url,
    scoped.schema_url AS scope_schema_url,
    arrayMap(event -> fromUnixTimestamp64Nano(reinterpretAsInt64(event.time_unix_nano), 'UTC'), span.events) AS event_time,
    span.events.name AS event_name,
    arrayMap(event -> to_text(event.attributes), span.events) AS event_attributes,
    span.events.dropped_attributes_count AS event_dropped,
    arrayMap(link -> toFixedString(link.trace_id, 16), span.links) AS link_trace_id,
    arrayMap(link -> toFixedString(link.span_id, 8), span.links) AS link_span_id,
    span.links.trace_state AS link_trace_state,
    arrayMap(link -> to_text(link.attributes), span.links) AS link_attributes,
    span.links.flags AS link_flags,
    span.dropped_attributes_count AS dropped_attributes,
    span.dropped_events_count AS dropped_events,
    span.dropped_links_count AS dropped_links
FROM
(
    SELECT resource, resource_schema_url, scoped, arrayJoin(scoped.spans) AS span
    FROM
    (
        SELECT
            to_text(received.resource.attributes) AS resource,
            received.schema_url AS resource_schema_url,
            arrayJoin(received.scope_spans) AS scoped
        FROM (SELECT arrayJoin(resource_spans) AS received FROM otlp_traces)
    )
);

-- Logs --------------------------------------------------------------------------------------------------------------

CREATE TABLE logs
(
    ts                  DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    observed            DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    service             LowCardinality(String),
    level               LowCardinality(String),
    severity_number     UInt8 CODEC(ZSTD(1)),
    severity_text       LowCardinality(String),
    body                String CODEC(ZSTD(1)),
    pattern_id          UInt64 CODEC(ZSTD(1)),
    event_name          LowCardinality(String),
    trace_id            FixedString(16) CODEC(ZSTD(1)),
    span_id             FixedString(8) CODEC(ZSTD(1)),
    flags               UInt32 CODEC(ZSTD(1)),
    attributes          Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attributes_number   Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    resource            Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_name          LowCardinality(String),
    scope_version       LowCardinality(String),
    scope_attributes    Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource_schema_url LowCardinality(String),
    scope_schema_url    LowCardinality(String),
    dropped_attributes  UInt32 CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_word body TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(body))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (service, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per service, level, minute and masked template of the line.
CREATE TABLE log_patterns_1m
(
    minute     DateTime('UTC'),
    service    LowCardinality(String),
    level      LowCardinality(String),
    pattern_id UInt64,
    pattern    SimpleAggregateFunction(any, String),
    example    SimpleAggregateFunction(any, String),
    lines      SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (service, level, pattern_id, minute)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE otlp_logs
(
    resource_logs Array(Tuple(
        resource Tuple(attributes {attributes}, dropped_attributes_count UInt32),
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes {attributes}, dropped_attributes_count UInt32),
            log_records Array(Tuple(
                time_unix_nano UInt64, observed_time_unix_nano UInt64, severity_number Int32, severity_text String,
                body {scalar}, attributes {attributes}, dropped_attributes_count UInt32, flags UInt32,
                trace_id String, span_id String, event_name String
            )),
            schema_url String
        )),
        schema_url String
    ))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW log_patterns_1m_from_logs TO log_patterns_1m AS
SELECT
    toStartOfMinute(ts) AS minute,
    service,
    level,
    pattern_id,
    any({pattern_of_body}) AS pattern,
    any(body) AS example,
    count() AS lines
FROM logs
GROUP BY minute, service, level, pattern_id;

CREATE MATERIALIZED VIEW logs_from_otlp TO logs AS
WITH
    {to_text} AS to_text,
    {to_numbers} AS to_numbers
SELECT
    -- A record without its own time is known by when it was observed (OpenTelemetry log data model, field Timestamp).
    fromUnixTimestamp64Nano(reinterpretAsInt64(if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano)), 'UTC') AS ts,
    fromUnixTimestamp64Nano(reinterpretAsInt64(record.observed_time_unix_nano), 'UTC') AS observed,
    resource['service.name'] AS service,
    multiIf(
        record.severity_number >= 21, 'FATAL', record.severity_number >= 17, 'ERROR', record.severity_number >= 13, 'WARN',
        record.severity_number >= 9, 'INFO', record.severity_number >= 5, 'DEBUG', record.severity_number >= 1, 'TRACE',
        upper(record.severity_text)) AS level,
    toUInt8(greatest(0, least(255, record.severity_number))) AS severity_number,
    record.severity_text AS severity_text,
    {body_text} AS body,
    cityHash64({pattern_of_body}) AS pattern_id,
    record.event_name AS event_name,
    toFixedString(record.trace_id, 16) AS trace_id,
    toFixedString(record.span_id, 8) AS span_id,
    record.flags AS flags,
    to_text(record.attributes) AS attributes,
    to_numbers(record.attributes) AS attributes_number,
    resource,
    scoped.scope.name AS scope_name,
    scoped.scope.version AS scope_version,
    to_text(scoped.scope.attributes) AS scope_attributes,
    resource_schema_url,
    scoped.schema_url AS scope_schema_url,
    record.dropped_attributes_count AS dropped_attributes
FROM
(
    SELECT resource, resource_schema_url, scoped, arrayJoin(scoped.log_records) AS record
    FROM
    (
        SELECT
            to_text(received.resource.attributes) AS resource,
            received.schema_url AS resource_schema_url,
            arrayJoin(received.scope_logs) AS scoped
        FROM (SELECT arrayJoin(resource_logs) AS received FROM otlp_logs)
    )
);

-- Metrics -----------------------------------------------------------------------------------------------------------

-- Codecs by measurement (architecture §3): together under one byte a sample.
CREATE TABLE samples
(
    metric LowCardinality(String),
    fp     UInt64 CODEC(ZSTD(1)),
    ts     DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value  Float64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, fp, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- What each fingerprint stands for, and from when to when it was seen (written anew about once an hour while it lives).
CREATE TABLE series
(
    metric   LowCardinality(String),
    fp       UInt64,
    labels   SimpleAggregateFunction(anyLast, Map(String, String)),
    first_ts SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_ts  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (metric, fp)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE exemplars
(
    metric   LowCardinality(String),
    fp       UInt64,
    ts       DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value    Float64 CODEC(ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)),
    span_id  FixedString(8) CODEC(ZSTD(1)),
    labels   Map(LowCardinality(String), String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, fp, ts)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE metric_metadata
(
    metric LowCardinality(String),
    type   LowCardinality(String),
    help   String,
    unit   LowCardinality(String),
    seen   DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(seen)
ORDER BY (metric, type, help, unit)
SETTINGS non_replicated_deduplication_window = 10000;

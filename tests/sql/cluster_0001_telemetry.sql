CREATE TABLE IF NOT EXISTS aiprism_default.spans_local ON CLUSTER main
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
ENGINE = ReplicatedMergeTree
PARTITION BY toDate(start)
ORDER BY (service, name, start)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.spans ON CLUSTER main AS aiprism_default.spans_local
ENGINE = Distributed('main', 'aiprism_default', 'spans_local', cityHash64(trace_id));

CREATE TABLE IF NOT EXISTS aiprism_default.trace_index_local ON CLUSTER main
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
ENGINE = ReplicatedAggregatingMergeTree
ORDER BY trace_id
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.trace_index ON CLUSTER main AS aiprism_default.trace_index_local
ENGINE = Distributed('main', 'aiprism_default', 'trace_index_local', cityHash64(trace_id));

CREATE TABLE IF NOT EXISTS aiprism_default.span_red_1m_local ON CLUSTER main
(
    minute    DateTime('UTC'),
    service   LowCardinality(String),
    operation LowCardinality(String),
    kind      LowCardinality(String),
    spans     SimpleAggregateFunction(sum, UInt64),
    errors    SimpleAggregateFunction(sum, UInt64),
    duration  AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64)
)
ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (service, operation, kind, minute)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.span_red_1m ON CLUSTER main AS aiprism_default.span_red_1m_local
ENGINE = Distributed('main', 'aiprism_default', 'span_red_1m_local', cityHash64(service, operation, kind, minute));

CREATE TABLE IF NOT EXISTS aiprism_default.otlp_traces ON CLUSTER main (
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32),
            spans Array(Tuple(
                trace_id String, span_id String, trace_state String, parent_span_id String, flags UInt32,
                name String, kind Int32, start_time_unix_nano UInt64, end_time_unix_nano UInt64,
                attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32,
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32)),
                dropped_events_count UInt32,
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32, flags UInt32)),
                dropped_links_count UInt32,
                status Tuple(message String, code Int32)
            )),
            schema_url String
        )),
        schema_url String
    ))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS aiprism_default.trace_index_from_spans ON CLUSTER main TO aiprism_default.trace_index_local AS
SELECT
    trace_id,
    min(spans_local.start) AS start,
    max(spans_local.start + toIntervalNanosecond(duration_ns)) AS end,
    count() AS spans,
    countIf(status = 'error') AS errors,
    groupUniqArray(toString(service)) AS services,
    maxIf(toString(service), parent_span_id = toFixedString('', 8)) AS root_service,
    maxIf(toString(name), parent_span_id = toFixedString('', 8)) AS root_name
FROM aiprism_default.spans_local
GROUP BY trace_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS aiprism_default.span_red_1m_from_spans ON CLUSTER main TO aiprism_default.span_red_1m_local AS
SELECT
    toStartOfMinute(start) AS minute,
    service,
    name AS operation,
    toString(kind) AS kind,
    count() AS spans,
    countIf(status = 'error') AS errors,
    quantilesTDigestState(0.5, 0.95, 0.99)(duration_ns / 1e9) AS duration
FROM aiprism_default.spans_local
GROUP BY minute, service, operation, kind;

CREATE MATERIALIZED VIEW IF NOT EXISTS aiprism_default.spans_from_otlp ON CLUSTER main TO aiprism_default.spans AS
WITH
    (pairs) -> mapFromArrays(pairs.key, arrayMap(pair -> coalesce(pair.value.string_value, toString(pair.value.int_value), toString(pair.value.double_value), toString(pair.value.bool_value), base64Encode(pair.value.bytes_value), ''), pairs)) AS to_text,
    (pairs) -> mapFromArrays(arrayMap(pair -> pair.key, arrayFilter(pair -> isNotNull(pair.value.int_value) OR isNotNull(pair.value.double_value), pairs)), arrayMap(pair -> coalesce(pair.value.double_value, toFloat64(pair.value.int_value), 0), arrayFilter(pair -> isNotNull(pair.value.int_value) OR isNotNull(pair.value.double_value), pairs))) AS to_numbers
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
        FROM (SELECT arrayJoin(resource_spans) AS received FROM aiprism_default.otlp_traces)
    )
);

CREATE TABLE IF NOT EXISTS aiprism_default.logs_local ON CLUSTER main
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
ENGINE = ReplicatedMergeTree
PARTITION BY toDate(ts)
ORDER BY (service, ts)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.logs ON CLUSTER main AS aiprism_default.logs_local
ENGINE = Distributed('main', 'aiprism_default', 'logs_local', if(trace_id = toFixedString('', 16), cityHash64(service, ts), cityHash64(trace_id)));

CREATE TABLE IF NOT EXISTS aiprism_default.log_patterns_1m_local ON CLUSTER main
(
    minute     DateTime('UTC'),
    service    LowCardinality(String),
    level      LowCardinality(String),
    pattern_id UInt64,
    pattern    SimpleAggregateFunction(any, String),
    example    SimpleAggregateFunction(any, String),
    lines      SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (service, level, pattern_id, minute)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.log_patterns_1m ON CLUSTER main AS aiprism_default.log_patterns_1m_local
ENGINE = Distributed('main', 'aiprism_default', 'log_patterns_1m_local', cityHash64(service, level, pattern_id, minute));

CREATE TABLE IF NOT EXISTS aiprism_default.otlp_logs ON CLUSTER main (
    resource_logs Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32),
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32),
            log_records Array(Tuple(
                time_unix_nano UInt64, observed_time_unix_nano UInt64, severity_number Int32, severity_text String,
                body Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)), attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), dropped_attributes_count UInt32, flags UInt32,
                trace_id String, span_id String, event_name String
            )),
            schema_url String
        )),
        schema_url String
    ))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS aiprism_default.log_patterns_1m_from_logs ON CLUSTER main TO aiprism_default.log_patterns_1m_local AS
SELECT
    toStartOfMinute(ts) AS minute,
    service,
    level,
    pattern_id,
    any(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(substringUTF8(body, 1, 1024), '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}', '<uuid>'), '[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}', '<email>'), '\\b\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}:\\d{2}(?:[.,]\\d+)?(?:Z|[+-]\\d{2}:?\\d{2})?', '<time>'), '\\b\\d{1,3}(?:\\.\\d{1,3}){3}(?::\\d+)?\\b', '<ip>'), '\\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]*\\d[0-9a-fA-F]*[a-fA-F][0-9a-fA-F]{4,}|[0-9a-fA-F]{16,})\\b', '<hex>'), '[-+]?\\b\\d+(?:\\.\\d+)?', '<num>')) AS pattern,
    any(body) AS example,
    count() AS lines
FROM aiprism_default.logs_local
GROUP BY minute, service, level, pattern_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS aiprism_default.logs_from_otlp ON CLUSTER main TO aiprism_default.logs AS
WITH
    (pairs) -> mapFromArrays(pairs.key, arrayMap(pair -> coalesce(pair.value.string_value, toString(pair.value.int_value), toString(pair.value.double_value), toString(pair.value.bool_value), base64Encode(pair.value.bytes_value), ''), pairs)) AS to_text,
    (pairs) -> mapFromArrays(arrayMap(pair -> pair.key, arrayFilter(pair -> isNotNull(pair.value.int_value) OR isNotNull(pair.value.double_value), pairs)), arrayMap(pair -> coalesce(pair.value.double_value, toFloat64(pair.value.int_value), 0), arrayFilter(pair -> isNotNull(pair.value.int_value) OR isNotNull(pair.value.double_value), pairs))) AS to_numbers
SELECT

    fromUnixTimestamp64Nano(reinterpretAsInt64(if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano)), 'UTC') AS ts,
    fromUnixTimestamp64Nano(reinterpretAsInt64(record.observed_time_unix_nano), 'UTC') AS observed,
    resource['service.name'] AS service,
    multiIf(
        record.severity_number >= 21, 'FATAL', record.severity_number >= 17, 'ERROR', record.severity_number >= 13, 'WARN',
        record.severity_number >= 9, 'INFO', record.severity_number >= 5, 'DEBUG', record.severity_number >= 1, 'TRACE',
        upper(record.severity_text)) AS level,
    toUInt8(greatest(0, least(255, record.severity_number))) AS severity_number,
    record.severity_text AS severity_text,
    coalesce(record.body.string_value, toString(record.body.int_value), toString(record.body.double_value), toString(record.body.bool_value), base64Encode(record.body.bytes_value), '') AS body,
    cityHash64(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(replaceRegexpAll(substringUTF8(body, 1, 1024), '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}', '<uuid>'), '[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}', '<email>'), '\\b\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}:\\d{2}(?:[.,]\\d+)?(?:Z|[+-]\\d{2}:?\\d{2})?', '<time>'), '\\b\\d{1,3}(?:\\.\\d{1,3}){3}(?::\\d+)?\\b', '<ip>'), '\\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]*\\d[0-9a-fA-F]*[a-fA-F][0-9a-fA-F]{4,}|[0-9a-fA-F]{16,})\\b', '<hex>'), '[-+]?\\b\\d+(?:\\.\\d+)?', '<num>')) AS pattern_id,
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
        FROM (SELECT arrayJoin(resource_logs) AS received FROM aiprism_default.otlp_logs)
    )
);

CREATE TABLE IF NOT EXISTS aiprism_default.samples_local ON CLUSTER main
(
    metric LowCardinality(String),
    fp     UInt64 CODEC(ZSTD(1)),
    ts     DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value  Float64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, fp, ts)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.samples ON CLUSTER main AS aiprism_default.samples_local
ENGINE = Distributed('main', 'aiprism_default', 'samples_local', fp);

CREATE TABLE IF NOT EXISTS aiprism_default.series_local ON CLUSTER main
(
    metric   LowCardinality(String),
    fp       UInt64,
    labels   SimpleAggregateFunction(anyLast, Map(String, String)),
    first_ts SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_ts  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = ReplicatedAggregatingMergeTree
ORDER BY (metric, fp)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.series ON CLUSTER main AS aiprism_default.series_local
ENGINE = Distributed('main', 'aiprism_default', 'series_local', fp);

CREATE TABLE IF NOT EXISTS aiprism_default.exemplars_local ON CLUSTER main
(
    metric   LowCardinality(String),
    fp       UInt64,
    ts       DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value    Float64 CODEC(ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)),
    span_id  FixedString(8) CODEC(ZSTD(1)),
    labels   Map(LowCardinality(String), String) CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, fp, ts)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.exemplars ON CLUSTER main AS aiprism_default.exemplars_local
ENGINE = Distributed('main', 'aiprism_default', 'exemplars_local', fp);

CREATE TABLE IF NOT EXISTS aiprism_default.metric_metadata_local ON CLUSTER main
(
    metric LowCardinality(String),
    type   LowCardinality(String),
    help   String,
    unit   LowCardinality(String),
    seen   DateTime('UTC') DEFAULT now()
)
ENGINE = ReplicatedReplacingMergeTree(seen)
ORDER BY (metric, type, help, unit)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS aiprism_default.metric_metadata ON CLUSTER main AS aiprism_default.metric_metadata_local
ENGINE = Distributed('main', 'aiprism_default', 'metric_metadata_local', cityHash64(metric, type, help, unit));

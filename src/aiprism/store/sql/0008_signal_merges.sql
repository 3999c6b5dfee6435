-- Spans and logs: what they cost after they were made columns (measured in docs/adr/0004).

-- A part that is kept in one file per column takes a hundred files, and half of the time of a small merge was the file
-- system making and unmaking them; parts below this size are one file. Rows are rewritten half as often when merges wait for
-- twenty parts and then take many; a query reads some small parts more.
ALTER TABLE spans MODIFY SETTING min_bytes_for_wide_part = 150000000, min_parts_to_merge_at_once = 20, merge_selector_base = 16;

ALTER TABLE logs MODIFY SETTING min_bytes_for_wide_part = 150000000, min_parts_to_merge_at_once = 20, merge_selector_base = 16;

ALTER TABLE trace_index MODIFY SETTING min_parts_to_merge_at_once = 20, merge_selector_base = 16;

ALTER TABLE span_red_1m MODIFY SETTING min_parts_to_merge_at_once = 20, merge_selector_base = 16;

ALTER TABLE log_patterns_1m MODIFY SETTING min_parts_to_merge_at_once = 20, merge_selector_base = 16;

-- Grouping by what is dictionary-coded or a number, and making text of the groups only, takes half the time.
ALTER TABLE trace_index_from_spans MODIFY QUERY
SELECT
    trace_id,
    min(spans.start) AS start,
    max(spans.start + toIntervalNanosecond(duration_ns)) AS end,
    count() AS spans,
    countIf(status = 'error') AS errors,
    CAST(groupUniqArray(service) AS Array(String)) AS services,
    CAST(maxIf(service, parent_span_id = toFixedString('', 8)) AS String) AS root_service,
    CAST(maxIf(name, parent_span_id = toFixedString('', 8)) AS String) AS root_name
FROM spans
GROUP BY trace_id;

ALTER TABLE span_red_1m_from_spans MODIFY QUERY
SELECT
    toStartOfMinute(start) AS minute,
    service,
    name AS operation,
    toString(spans.kind) AS kind,
    count() AS spans,
    countIf(status = 'error') AS errors,
    quantilesTDigestState(0.5, 0.95, 0.99)(duration_ns / 1e9) AS duration
FROM spans
GROUP BY minute, service, operation, spans.kind;

ALTER TABLE log_patterns_1m_from_received MODIFY QUERY
SELECT
    toStartOfMinute(ts) AS minute,
    service,
    level,
    CAST(cityHash64(logs_received.pattern) AS UInt64) AS pattern_id,
    CAST(any(logs_received.pattern) AS String) AS pattern,
    any(body) AS example,
    count() AS lines
FROM logs_received
GROUP BY minute, service, level, pattern_id;

-- Samples of a time their series had passed already when they came: late ones, repeated ones, corrected ones. `samples`
-- so never holds two of one series and time, and is merged and read at the price of a plain table; queries that touch such
-- times lay these rows over it (store/conditions.py). Of several the one that came last, by `version`, counts.
CREATE TABLE corrections
(
    metric  LowCardinality(String),
    fp      UInt64 CODEC(ZSTD(1)),
    ts      DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value   Float64 CODEC(Delta(8), ZSTD(1)),
    version UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, fp, ts)
SETTINGS non_replicated_deduplication_window = 10000;

-- What was downsampled before a correction came is downsampled again.
CREATE MATERIALIZED VIEW samples_late_from_corrections TO samples_late AS
SELECT metric, toStartOfHour(ts - toIntervalMillisecond(1)) + toIntervalHour(1) AS hour, now64(6, 'UTC') AS seen
FROM corrections
WHERE ts <= now64(3, 'UTC') - toIntervalMinute(10)
GROUP BY metric, hour;

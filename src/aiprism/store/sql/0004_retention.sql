-- Downsampled metrics, the sample of traces that outlives the rest, and what housekeeping remembers.

-- What a series did in (bucket - 5 minutes, bucket]: windows of PromQL are open on the left, so whole buckets fill them
-- exactly. `lost` is what counter resets took away: the increase from first to last is last - first + lost. `stale_ts` is
-- that of a staleness marker no sample follows in the bucket, else 0. A bucket that is computed again replaces itself, so
-- the table is read with FINAL.
CREATE TABLE samples_5m
(
    metric   LowCardinality(String),
    fp       UInt64 CODEC(ZSTD(1)),
    bucket   DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    count    UInt32 CODEC(T64, ZSTD(1)),
    sum      Float64 CODEC(Delta(8), ZSTD(1)),
    min      Float64 CODEC(Delta(8), ZSTD(1)),
    max      Float64 CODEC(Delta(8), ZSTD(1)),
    first    Float64 CODEC(Delta(8), ZSTD(1)),
    first_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    last     Float64 CODEC(Delta(8), ZSTD(1)),
    last_ts  DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    lost     Float64 CODEC(Delta(8), ZSTD(1)),
    stale_ts DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (metric, fp, bucket);

CREATE TABLE samples_1h AS samples_5m
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (metric, fp, bucket);

-- Hours (by their end) of a metric that got samples after they may have been downsampled. The insert itself notes them,
-- so that no crash forgets one; the row goes once the hour has been downsampled again.
CREATE TABLE samples_late
(
    metric LowCardinality(String),
    hour   DateTime('UTC'),
    seen   SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, metric)
SETTINGS non_replicated_deduplication_window = 10000;

-- Ten minutes are less than the delay after which a bucket is downsampled (store/downsample.py): what is not noted here
-- was stored before that.
CREATE MATERIALIZED VIEW samples_late_from_samples TO samples_late AS
SELECT metric, toStartOfHour(ts - toIntervalMillisecond(1)) + toIntervalHour(1) AS hour, now64(6, 'UTC') AS seen
FROM samples
WHERE ts <= now64(3, 'UTC') - toIntervalMinute(10)
GROUP BY metric, hour;

-- The traces that stay when their day is thinned, by the day they started on.
CREATE TABLE trace_sample
(
    day      Date,
    trace_id FixedString(16),
    why      Enum8('error' = 1, 'slow' = 2, 'share' = 3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, trace_id);

-- How far each duty has come; the newest word counts.
CREATE TABLE housekeeping
(
    name  String,
    value Int64,
    at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY name;

-- Native histograms. A histogram sent twice, or corrected, is one: of the same series and time the last one counts.
CREATE TABLE histograms
(
    metric           LowCardinality(String),
    fp               UInt64 CODEC(ZSTD(1)),
    ts               DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    schema           Int8 CODEC(ZSTD(1)),
    count            Float64 CODEC(Delta(8), ZSTD(1)),
    sum              Float64 CODEC(Delta(8), ZSTD(1)),
    zero_threshold   Float64 CODEC(ZSTD(1)),
    zero_count       Float64 CODEC(Delta(8), ZSTD(1)),
    positive_offsets Array(Int32) CODEC(ZSTD(1)),
    positive_lengths Array(UInt32) CODEC(ZSTD(1)),
    positive_counts  Array(Float64) CODEC(Delta(8), ZSTD(1)),
    negative_offsets Array(Int32) CODEC(ZSTD(1)),
    negative_lengths Array(UInt32) CODEC(ZSTD(1)),
    negative_counts  Array(Float64) CODEC(Delta(8), ZSTD(1)),
    custom_values    Array(Float64) CODEC(ZSTD(1)),
    reset_hint       Int8 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (metric, fp, ts)
SETTINGS non_replicated_deduplication_window = 10000;

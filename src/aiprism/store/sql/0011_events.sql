-- What somebody did or what happened to a service: deployments, changes of configuration, restarts, annotations. Few rows
-- beside telemetry; one that is sent again with its id replaces itself, also at another time, so the table is not cut by time
-- and is read with FINAL.
CREATE TABLE events
(
    id         String,
    ts         DateTime64(3, 'UTC'),
    kind       LowCardinality(String),
    service    LowCardinality(String),
    title      String,
    text       String,
    attributes Map(String, String),
    source     LowCardinality(String),
    seen       DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(seen)
ORDER BY id;

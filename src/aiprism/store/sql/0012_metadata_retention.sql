-- Metadata is kept as long as the samples of its metric, counted from when it was last written: from now on about once a
-- day while it is sent. Until now it was written once, so what is there counts from today; the newest word stays so.
INSERT INTO metric_metadata (metric, type, help, unit, seen)
SELECT
    metric, type, help, unit,
    now() - toIntervalSecond(row_number() OVER (PARTITION BY metric ORDER BY max(seen) DESC, type, help, unit) - 1) AS seen
FROM metric_metadata
GROUP BY metric, type, help, unit;

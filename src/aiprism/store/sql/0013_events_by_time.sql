-- Events are kept by id and asked for by time. Of a million, a day was found in 0.33 s, as FINAL reads all columns of all rows
-- (468 MB); a second copy in the order of time gives it in 0.08 s (48 MB, most of them ids, to see what was said again). Merges
-- replace rows, so they make the copy anew. Parts of before get theirs in the background, and are read as they were until then.
ALTER TABLE events MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

ALTER TABLE events ADD PROJECTION by_time (SELECT * ORDER BY ts);

ALTER TABLE events MATERIALIZE PROJECTION by_time;

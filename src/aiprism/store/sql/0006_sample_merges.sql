-- Merging costs more than inserting, and the usual choice of parts rewrites a row nine times before it rests. Waiting for
-- ten parts and then taking many rewrites it three times; a query reads some small parts more (docs/adr/0006).
ALTER TABLE samples MODIFY SETTING min_parts_to_merge_at_once = 10, merge_selector_base = 8;

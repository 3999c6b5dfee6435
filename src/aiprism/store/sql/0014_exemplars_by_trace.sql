-- Exemplars are kept by series and, to tell what was measured in a trace, asked for by its id.
ALTER TABLE exemplars ADD INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1;

ALTER TABLE exemplars MATERIALIZE INDEX by_trace;

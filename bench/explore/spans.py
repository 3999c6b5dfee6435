"""Searches over many spans, as the API asks the store for them: medians of warm runs.

`--spans` spans of a day (10 million), ten to a trace, of ten services with twelve operations each, are written in SQL, with an
attribute of every frequency (one that three spans have, one of 10 000 users, a status), resources of twenty hosts, and durations
of which one in a thousand is long. Asked for: service, attribute and least duration, for a common and for a rare attribute; words;
a trace by its id; latency by time, red figures from the rollup.

    python bench/explore/spans.py [--spans 10000000] [--runs 7] [--data DIRECTORY]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from bench.explore.logs import median

from aiprism.model.timerange import TimeRange
from aiprism.query.lucene import SPANS, condition
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from aiprism.store.spans import SpanStore
from aiprism.store.tracesearch import TraceSearch

END = 1_800_000_000
A_DAY = 86_400
IN_TRACE = 10
SLICE = 500_000  # spans of one INSERT

_INSERT = """
INSERT INTO spans (trace_id, span_id, parent_span_id, service, name, kind, start, duration_ns, status, status_message,
    attributes, resource_json, event_time, event_name, event_attributes)
SELECT
    toFixedString(reinterpretAsString(toUInt64(sipHash64(intDiv(number, {each:UInt64})))) ||
        reinterpretAsString(toUInt64(sipHash64(intDiv(number, {each:UInt64}), 1))), 16),
    toFixedString(reinterpretAsString(number + 1), 8),
    if(number % {each:UInt64} = 0, toFixedString('', 8), toFixedString(reinterpretAsString(number), 8)),
    concat('service-', toString((intDiv(number, {each:UInt64}) * 3 + number) % 10)) AS service,
    concat('operation-', toString(cityHash64(number, 1) % 12)),
    ['server', 'client', 'internal', 'internal', 'producer'][number % 5 + 1],
    toDateTime64({end:Float64}, 9, 'UTC') - toIntervalNanosecond(toInt64(intDiv(number, {each:UInt64}) * {gap:Float64} * 1e9))
        + toIntervalMillisecond(number % {each:UInt64}),
    toUInt64(exp(10 + 8 * (cityHash64(number, 2) % 10000) / 10000)) + if(cityHash64(number, 3) % 1000 = 0, 3000000000, 0),
    if(cityHash64(number, 4) % 50 = 0, 'error', 'unset'),
    if(cityHash64(number, 4) % 50 = 0, 'connection to database timed out', ''),
    map('http.status_code', toString([200, 200, 200, 404, 500][cityHash64(number, 5) % 5 + 1]),
        'user.id', toString(cityHash64(number, 6) % 10000),
        'model.name', ['gpt-4', 'claude-3', 'local'][cityHash64(number, 7) % 3 + 1],
        'document.id', if(number IN ({rare:Array(UInt64)}), 'zanzibar', hex(cityHash64(number, 8))),
        'tokens', toString(cityHash64(number, 9) % 8000), 'attempt', '1',
        'url.path', concat('/api/v1/documents/', toString(cityHash64(number, 10) % 100000)), 'queue', 'default'),
    concat('{"service.name":"', service, '","host.name":"host-', toString(intDiv(number, 10) % 20), '"}'),
    [], [], []
FROM numbers({first:UInt64}, {count:UInt64})
"""


def stock(engine: Engine, spans: int) -> None:
    gap = A_DAY / (spans / IN_TRACE)
    rare = [spans // 5, spans // 2, spans - 7]
    for first in range(0, spans, SLICE):
        count = min(SLICE, spans - first)
        bound = {"end": END - 60, "gap": gap, "rare": rare, "first": first, "count": count, "each": IN_TRACE}
        engine.command(_INSERT, bound)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--spans", type=int, default=10_000_000)
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--data", default="", help="keep the spans there, and ask those that are")
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine.open(f"chdb://{wanted.data or directory}/telemetry", database="bench")
        migrate(engine)
        begun = time.perf_counter()
        if not engine.query("SELECT 1 FROM spans LIMIT 1"):
            stock(engine, wanted.spans)
        print(f"{wanted.spans:,} spans written in {time.perf_counter() - begun:.0f} s")
        [[rows, raw, disk]] = engine.query(
            "SELECT sum(rows), sum(data_uncompressed_bytes), sum(bytes_on_disk) FROM system.parts "
            "WHERE active AND table = 'spans' AND database = currentDatabase()"
        )
        print(f"{rows:,} rows, {raw / 1e9:.2f} GB raw, {disk / 1e9:.2f} GB on disk")
        ask(engine, wanted.runs)
        engine.close()


def ask(engine: Engine, runs: int) -> None:
    store = SpanStore(engine)
    day = TraceSearch(TimeRange(END - A_DAY - 120, END))
    [[some]] = engine.query("SELECT lower(hex(trace_id)) FROM trace_index ORDER BY cityHash64(trace_id) LIMIT 1")

    moments = itertools.count()

    def searched(text: str, order: Literal["time", "duration"] = "time") -> Callable[[], object]:
        wanted = replace(day, asked=condition(text, SPANS), order=order)
        # Time goes on, so no two searches are the same to a cache of conditions.
        return lambda: store.search(replace(wanted, span=TimeRange(END - A_DAY - 120, END + next(moments) / 1000)))

    for title, target, asked in (
        ("service, attribute, least duration", 100, searched("service:service-3 http.status_code:500 duration:>30ms")),
        ("the same, one in 5 000", 100, searched("service:service-3 http.status_code:500 duration:>2s")),
        ("the same, none found", 100, searched("service:service-3 http.status_code:501 duration:>2s")),
        ("service and rare attribute", 300, searched("service:service-3 document.id:zanzibar")),
        ("rare attribute, any service", 1000, searched("document.id:zanzibar")),
        ("the longest of a service with an attribute", 300, searched("service:service-3 model.name:gpt-4", "duration")),
        ("user of 10 000, any service", 300, searched("user.id:77")),
        ("errors with a word", 100, searched('status:error "timed out"')),
        ("trace by id", 30, lambda: store.trace(some)),
    ):
        print(f"{title:50} {median(runs, asked):8.1f} ms  (target {target})")


if __name__ == "__main__":
    main()

"""Searches over many log lines, as the API asks the store for them: medians of warm runs.

`--lines` lines of a day and a bit (800 000 an hour) of ten services are written in SQL, with words of every frequency, numbers, a
level and attributes. Asked for: a token of three lines, a common word with a field, part of a word and a regular expression
over an hour, a histogram with facets, patterns of a day. `grep -c` over the same lines as text is the peer for the rare token.

    python bench/explore/logs.py [--lines 20000000] [--runs 7]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aiprism.detect.logstatements import LogStatement, statements, variables
from aiprism.model.search import Condition
from aiprism.model.timerange import TimeRange
from aiprism.query.lucene import condition
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.patterncounts import pattern_counts, pattern_lines
from aiprism.store.schema import migrate

END = 1_800_000_000
AN_HOUR = 800_000  # lines
SLICE = 1_000_000  # lines of one INSERT

_INSERT = """
INSERT INTO logs_received (ts, level, severity_number, body, body_kind, pattern, service, attributes, resource_json)
SELECT
    toDateTime64({end:Float64}, 9, 'UTC') - toIntervalNanosecond(toInt64(number * {gap:Float64} * 1e9)),
    ['INFO', 'INFO', 'INFO', 'INFO', 'INFO', 'DEBUG', 'DEBUG', 'WARN', 'WARN', 'ERROR'][cityHash64(number) % 10 + 1] AS level,
    9,
    multiIf(
        number IN ({rare:Array(UInt64)}), concat('heartbeat of zanzibar lost after ', toString(number), ' ms'),
        cityHash64(number) % 10 = 9, concat('request ', toString(cityHash64(number)), ' failed: connection to database db-',
            toString(number % 40), ' timed out after ', toString(number % 5000), ' ms'),
        cityHash64(number) % 3 = 0, concat('GET /api/v1/documents/', toString(cityHash64(number, 1)), ' 200 in ',
            toString(number % 900), ' ms for user ', toString(number % 10000)),
        concat('document ', hex(cityHash64(number, 2)), ' analysed: ', toString(number % 50), ' sections, ',
            toString(number % 7000), ' tokens, model gpt-', toString(number % 4), ', queue depth ', toString(number % 100))
    ) AS body,
    'string', replaceRegexpAll(substring(body, 1, 1024), '[0-9A-F]{12,}|[0-9]+', '<num>'),
    concat('service-', toString(cityHash64(number, 3) % 10)) AS service,
    map('http.status_code', toString([200, 200, 200, 404, 500][cityHash64(number, 4) % 5 + 1]),
        'user.id', toString(number % 10000)),
    concat('{"service.name":"', service, '","host.name":"host-', toString(number % 20), '"}')
FROM numbers({first:UInt64}, {count:UInt64})
"""


def stock(engine: Engine, lines: int) -> None:
    gap = 3600 / AN_HOUR
    rare = [lines // 5, lines // 2, lines - 7]
    for first in range(0, lines, SLICE):
        bound = {"end": END, "gap": gap, "rare": rare, "first": first, "count": min(SLICE, lines - first)}
        engine.command(_INSERT, bound)


def median(runs: int, ask: Callable[[], object]) -> float:
    """Milliseconds; the first run only warms."""
    taken = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken[1:])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=20_000_000)
    arguments.add_argument("--runs", type=int, default=7)
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine.open(f"chdb://{directory}/telemetry", database="bench")
        migrate(engine)
        begun = time.perf_counter()
        stock(engine, wanted.lines)
        print(f"{wanted.lines:,} lines written in {time.perf_counter() - begun:.0f} s")
        [[rows, raw, disk]] = engine.query(
            "SELECT sum(rows), sum(data_uncompressed_bytes), sum(bytes_on_disk) FROM system.parts "
            "WHERE active AND table = 'logs' AND database = currentDatabase()"
        )
        print(f"{rows:,} rows, {raw / 1e9:.2f} GB raw, {disk / 1e9:.2f} GB on disk")
        ask(engine, wanted.lines, wanted.runs)
        peer(engine, Path(directory) / "lines.log", wanted.runs)
        engine.close()


def ask(engine: Engine, lines: int, runs: int) -> None:
    logs = LogStore(engine)
    all_of_it = LogSearch(TimeRange(END - lines / AN_HOUR * 3600 - 60, END), limit=100)
    hour = replace(all_of_it, span=TimeRange(END - 3600, END))
    day = TimeRange(END - 86_400, END)

    def searched(wanted: LogSearch, text: str) -> Callable[[], object]:
        asked: Condition = condition(text)
        return lambda: logs.search(replace(wanted, asked=asked))

    def overview(text: str) -> Callable[[], object]:
        wanted = replace(hour, asked=condition(text), limit=10)
        return lambda: (
            logs.histogram(wanted, 60),
            *(logs.facet(wanted, name) for name in ("service", "http.status_code")),
        )

    for title, target, asked in (
        ("rare token, newest 100, all lines", 100, searched(all_of_it, "zanzibar")),
        ("word that is not there, all lines", 100, searched(all_of_it, "nowhere")),
        ("common word and field, newest 100", 50, searched(all_of_it, "timed http.status_code:500")),
        ("service, level and phrase, newest 100", 50, searched(all_of_it, 'service:service-3 level:ERROR "timed out"')),
        ("part of a word, one hour", 300, searched(hour, "*anzib*")),
        ("regular expression, one hour", 300, searched(hour, "/db-3[0-9] timed out after 49[0-9]{2} ms/")),
        ("histogram and two facets of a search, one hour", 300, overview("timed")),
        ("patterns of 24 hours, counted by the minute", 200, lambda: counted(engine, day)),
        ("… with lines of each, and their variables", 500, lambda: looked_into(engine, day)),
    ):
        print(f"{title:50} {median(runs, asked):8.1f} ms  (target {target})")


def counted(engine: Engine, window: TimeRange) -> list[LogStatement]:
    """What GET /aiprism/v1/logs/patterns answers without lines."""
    return statements(pattern_counts(engine, window))


def looked_into(engine: Engine, window: TimeRange) -> object:
    """… and with twenty of each pattern."""
    found = counted(engine, window)
    places = {place for each in found for place in each.places}
    wanted = {pattern: each.template for each in found for pattern in each.patterns}
    lines = pattern_lines(engine, window, wanted, places, each=20)
    return [
        variables(each.template, [line.body for line in lines if wanted[line.pattern_id] == each.template])
        for each in found
    ]


def peer(engine: Engine, path: Path, runs: int) -> None:
    engine.command(f"INSERT INTO FUNCTION file('{path}', 'LineAsString', 'body String') SELECT body FROM logs")
    grep = ["grep", "-c", "zanzibar", str(path)]
    taken = median(runs, lambda: subprocess.run(grep, capture_output=True, check=False))
    print(f"{'grep for the rare token, all lines as text':50} {taken:8.1f} ms")


if __name__ == "__main__":
    main()

"""What rules on logs cost over a busy table, beside the plain search that counts the same records.

The lines are those of `bench/explore/logs.py`, 800 000 an hour. Asked for as a group of rules does: one rule, rules that share a
selection, rules that look for different things, and one that tells services apart; each against `LogStore.count` of the same
search, once for each rule.

    python bench/detect/signals.py [--lines 4000000] [--runs 7]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence

from bench.explore.logs import END, median, stock

from aiprism.detect.signals import Answers
from aiprism.model.search import ANYTHING
from aiprism.model.signals import Kind, Measure, Selection, Signal, SignalQuestion
from aiprism.model.timerange import TimeRange
from aiprism.query.lucene import condition
from aiprism.query.promql import PromQL
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.samples import SampleStore
from aiprism.store.schema import migrate
from aiprism.store.series import SeriesIndex
from aiprism.store.signals import SignalStore

OVER = 300.0
FAILED = 'level:ERROR service:service-3 "timed out"'


def question(text: str, kind: Kind = Kind.COUNT, by: tuple[str, ...] = (), field: str = "") -> SignalQuestion:
    return SignalQuestion(Selection(Signal.LOGS, condition(text), by, OVER), Measure(kind, field), None, text)


CASES: Sequence[tuple[str, Sequence[SignalQuestion]]] = (
    ("1 rule", [question(FAILED)]),
    ("1 rule by service and level", [question("timed", by=("service", "level"))]),
    ("1 rule of a field's average", [question(FAILED, Kind.AVG, field="http.status_code")]),
    ("the rule that is always there", [SignalQuestion(Selection(Signal.LOGS, ANYTHING, ("service", "level"), 60.0),
                                                       Measure(Kind.COUNT), None, "")]),
    ("4 rules over one search", [question(FAILED, kind) for kind in (Kind.COUNT, Kind.RATE)]
     + [question(FAILED, Kind.DISTINCT, field="user.id"), question(FAILED, Kind.MAX, field="http.status_code")]),
    ("20 rules over different searches", [question(f'level:ERROR "db-{at} timed"') for at in range(20)]),
    ("20 rules of one service each", [question(f"service:service-{at % 10} level:{level}") for at in range(10)
                                      for level in ("ERROR", "WARN")]),
)  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=4_000_000)
    arguments.add_argument("--runs", type=int, default=7)
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine.open(f"chdb://{directory}/telemetry", database="bench")
        migrate(engine)
        stock(engine, wanted.lines)
        logs = LogStore(engine)
        answers = Answers(PromQL(SampleStore(engine, SeriesIndex())), engine, SignalStore(engine), 60.0)
        for title, asked in CASES:
            ours = median(wanted.runs, lambda asked=asked: answers.vectors(asked, END))  # type: ignore[misc]
            plain = median(wanted.runs, lambda asked=asked: [_count(logs, each) for each in asked])  # type: ignore[misc]
            print(f"{title:36} {ours:8.1f} ms, counted one by one {plain:8.1f} ms: {ours / plain:5.2f}")
        engine.close()


def _count(logs: LogStore, asked: SignalQuestion) -> int:
    return logs.count(LogSearch(TimeRange(END - asked.selection.over, END), asked=asked.selection.asked))


if __name__ == "__main__":
    main()

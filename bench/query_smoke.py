"""How long warm queries take on this machine: one series, a hundred, ten thousand; two hours at 15 s each.

    python bench/query_smoke.py [--series 10000] [--repeat 15]

Prints the median and the fastest of `repeat` runs. Nothing is cached between runs but what the engine itself keeps.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.query.promql import Matrix, PromQL
from aiprism.store.decimals import Decimals
from aiprism.store.engine import Engine
from aiprism.store.samples import SampleStore
from aiprism.store.schema import migrate
from aiprism.store.series import Seen, SeriesIndex
from aiprism.web import prometheus_json

START, STEP, SAMPLES = 1_700_000_000, 15, 480
END = START + STEP * (SAMPLES - 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--series", type=int, default=10_000)
    arguments.add_argument("--repeat", type=int, default=15)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine.open(f"chdb:///{directory}/telemetry")
        migrate(engine)
        index = SeriesIndex()
        for metric, count in (("many_total", asked.series), ("hundred_total", 100), ("one_total", 1)):
            _fill(engine, index, metric, count)
        engine.command("OPTIMIZE TABLE samples FINAL")
        _measure(PromQL(SampleStore(engine, index)), index, asked.repeat)
        engine.close()


def _fill(engine: Engine, index: SeriesIndex, metric: str, count: int) -> None:
    chance = np.random.default_rng(1)
    times = (START + np.arange(SAMPLES) * STEP) * 1000
    for first in range(0, count, 1000):
        sets = [_labels(metric, number) for number in range(first, min(count, first + 1000))]
        positions = index.admit(sets, START)
        fps = index.fps(positions)
        index.see(Seen(positions, np.full(len(sets), times[0]), np.full(len(sets), times[-1])), START)
        values = np.cumsum(chance.integers(0, 20, (len(sets), SAMPLES)), axis=1).astype(np.float64)
        stamps = (times[None, :] + chance.integers(0, 1000, (len(sets), 1))).reshape(-1)
        scaled, unscaled = Decimals().split(np.repeat(positions, SAMPLES), values.reshape(-1))
        rows = pa.table(
            {
                "metric": pa.array([metric] * len(stamps)).dictionary_encode(),
                "fp": np.repeat(fps, SAMPLES),
                "ts": pa.array(stamps, pa.timestamp("ms", tz="UTC")),
                "scaled": scaled,
                "unscaled": unscaled,
            }
        )
        engine.insert_arrow("samples", rows, token=f"{metric}{first}")


def _labels(metric: str, number: int) -> Labels:
    pairs = {"instance": f"host-{number // 50}", "endpoint": f"/{number % 50}", "job": f"job-{number % 7}"}
    return Labels({"__name__": metric, **pairs})


def _measure(promql: PromQL, index: SeriesIndex, repeat: int) -> None:
    def instant(text: str) -> Callable[[], object]:
        return lambda: promql.instant(text, END)

    def ranged(text: str, step: float = 60) -> Callable[[], Matrix]:
        return lambda: promql.range(text, START + 300, END, step)

    many = Matcher("__name__", MatchOp.EQUAL, "many_total")
    cases: dict[str, Callable[[], object]] = {
        "1 series, instant": instant("one_total"),
        "1 series, instant rate": instant("rate(one_total[5m])"),
        "1 series, range of 116 steps": ranged("rate(one_total[5m])"),
        "100 series, instant": instant("hundred_total"),
        "100 series, range rate": ranged("rate(hundred_total[5m])"),
        "100 series, range rate, 465 steps, as JSON": lambda: prometheus_json.result(
            ranged("rate(hundred_total[5m])", 15)()
        ),
        "all series, instant sum(rate)": instant("sum(rate(many_total[5m]))"),
        "all series, range sum(rate)": ranged("sum(rate(many_total[5m]))"),
        "all series, range sum by (job) (rate)": ranged("sum by (job) (rate(many_total[5m]))"),
        "all series, range max_over_time": ranged("max by (job) (max_over_time(many_total[5m]))"),
        "all series, topk": instant("topk(10, many_total)"),
        "select by equality": lambda: index.select([many, Matcher("job", MatchOp.EQUAL, "job-3")], START, END),
        "select by regex": lambda: index.select([many, Matcher("instance", MatchOp.REGEX, "host-1.*")], START, END),
        "label values": lambda: index.label_values("instance", [many]),
    }
    print("| query | median ms | fastest ms |\n|---|---:|---:|")
    for name, ask in cases.items():
        ask()
        taken = [_timed(ask) for _ in range(repeat)]
        print(f"| {name} | {statistics.median(taken):.1f} | {min(taken):.1f} |")


def _timed(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()

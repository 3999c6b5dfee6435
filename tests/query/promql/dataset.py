"""The data both we and Prometheus get: counters with resets and gaps, gauges, histograms, NaN, infinity, staleness.

Samples are taken 337 to 900 ms after a full second and queries asked at full seconds, so that none lies exactly on the
left edge of a window: there 2.42 (closed) and 3.x (open) differ, see docs/promql.md.
"""

from __future__ import annotations

import math
import random

from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN
from tests.query.promql.stocked import Points

START = 1_700_000_000
MINUTES = 50
END = START + MINUTES * 60
BOUNDS = ("0.1", "0.5", "1", "2.5", "10", "+Inf")


def dataset() -> list[tuple[Labels, Points]]:
    """The same series every time."""
    chance = random.Random(20)
    series: list[tuple[Labels, Points]] = []
    for job in ("api", "web"):
        for instance in ("a:1", "b:2", "c:10"):
            for status in ("200", "404", "500"):
                labels = {"job": job, "instance": instance, "status": status, "path": f"/{chance.choice('xyz')}"}
                series.append(_counter(chance, Labels({"__name__": "requests_total", **labels})))
            series.append(_gauge(chance, Labels({"__name__": "temperature", "job": job, "instance": instance})))
            series.append(_gauge(chance, Labels({"__name__": "queue", "job": job, "instance": instance}), whole=True))
            series.append(_up(chance, Labels({"__name__": "up", "job": job, "instance": instance})))
            series.append(_build(chance, Labels({"__name__": "build_info", "job": job, "instance": instance})))
            series += _histogram(chance, {"job": job, "instance": instance})
        series.append(_gauge(chance, Labels({"__name__": "limit", "job": job}), whole=True))
    series.append(_odd(chance, Labels({"__name__": "odd", "kind": "nan"}), (math.nan,)))
    series.append(_odd(chance, Labels({"__name__": "odd", "kind": "inf"}), (math.inf, -math.inf)))
    series.append(_odd(chance, Labels({"__name__": "odd", "kind": "stale"}), (STALE_NAN,)))
    series.append(_sparse(chance, Labels({"__name__": "sparse", "kind": "slow"}), 140))
    series.append(_sparse(chance, Labels({"__name__": "sparse", "kind": "slower"}), 400))
    series.append(_constant(chance, Labels({"__name__": "steady", "kind": "five"}), 5.0))
    series.append(_constant(chance, Labels({"__name__": "steady", "kind": "none"}), 0.0))
    return series


def _times(chance: random.Random, interval: int) -> list[int]:
    phase = chance.randrange(0, interval * 1000, 1000) + chance.randrange(337, 900)
    return list(range(START * 1000 + phase, END * 1000, interval * 1000))


def _counter(chance: random.Random, labels: Labels) -> tuple[Labels, Points]:
    """Never near zero: how far a young counter is extrapolated changed between 2.42 and 3.x."""
    value = chance.uniform(2e4, 3e4)
    slope = chance.choice((0.3, 5, 80))
    points: list[tuple[int, float]] = []
    silent = 0
    for ts in _times(chance, 15):
        value += chance.expovariate(1 / slope) if chance.random() < 0.8 else 0
        if chance.random() < 0.01:
            value = chance.uniform(1e4, 1.2e4)  # a reset
        if chance.random() < 0.01:
            silent = chance.randrange(2, 30)
            if chance.random() < 0.5:
                points.append((ts, STALE_NAN))
                continue
        silent -= 1
        if silent < 0:
            points.append((ts, value))
    return labels, points


def _gauge(chance: random.Random, labels: Labels, *, whole: bool = False) -> tuple[Labels, Points]:
    level = chance.uniform(-20, 60)
    points = []
    for place, ts in enumerate(_times(chance, 15)):
        value = level + 15 * math.sin(place / chance.choice((9, 10, 11))) + chance.gauss(0, 1)
        points.append((ts, float(round(value)) if whole else value))
    return labels, points


def _up(chance: random.Random, labels: Labels) -> tuple[Labels, Points]:
    return labels, [(ts, float(chance.random() < 0.9)) for ts in _times(chance, 15)]


def _build(chance: random.Random, labels: Labels) -> tuple[Labels, Points]:
    return labels.with_(version=chance.choice(("1.9", "1.10", "2.0")), goversion="go"), [
        (ts, 1.0) for ts in _times(chance, 30)
    ]


def _histogram(chance: random.Random, labels: dict[str, str]) -> list[tuple[Labels, Points]]:
    times = _times(chance, 15)
    counts = [chance.randrange(1000, 2000) for _ in BOUNDS]
    buckets: dict[str, list[tuple[int, float]]] = {bound: [] for bound in BOUNDS}
    total: list[tuple[int, float]] = []
    for ts in times:
        counts = [count + chance.randrange(0, 9) for count in counts]
        running = 0
        for bound, count in zip(BOUNDS, counts, strict=True):
            running += count
            buckets[bound].append((ts, float(running)))
        total.append((ts, float(running)))
    named = [
        (Labels({"__name__": "latency_seconds_bucket", "le": bound, **labels}), points)
        for bound, points in buckets.items()
    ]
    return [*named, (Labels({"__name__": "latency_seconds_count", **labels}), total)]


def _odd(chance: random.Random, labels: Labels, extras: tuple[float, ...]) -> tuple[Labels, Points]:
    return labels, [
        (ts, chance.choice(extras) if chance.random() < 0.2 else chance.uniform(-5, 5)) for ts in _times(chance, 20)
    ]


def _sparse(chance: random.Random, labels: Labels, interval: int) -> tuple[Labels, Points]:
    return labels, [(ts, chance.uniform(0, 100)) for ts in _times(chance, interval)]


def _constant(chance: random.Random, labels: Labels, value: float) -> tuple[Labels, Points]:
    return labels, [(ts, value) for ts in _times(chance, 15)]

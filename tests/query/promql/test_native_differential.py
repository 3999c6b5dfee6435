"""Native histograms as Prometheus has them: the same data, the same queries, the same JSON, where 2.42 and 3 agree.

What 2.42 does otherwise (linear interpolation, fewer operators) is left to native_histograms.test and docs/promql.md.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from aiprism.model.histograms import Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from aiprism.web import prometheus_json
from tests.query.promql import peer
from tests.query.promql.script import same
from tests.query.promql.stocked import Points, Sample, Stocked

START = 1_790_000_000
EPSILON = 1e-9
AT = START + 20 * 60 + 7
RANGE = (START + 10 * 60 + 7, START + 25 * 60, 60)
QUERIES = (
    *("size", "other", "size[3m]", "size offset 2m", "size @ 1790000700", "timestamp(size)", "absent(size)"),
    *("rate(size[5m])", "increase(size[5m])", "delta(size[5m])", "rate(size[10m:1m])"),
    *("count_over_time(size[5m])", "present_over_time(size[5m])"),
    *("sum(size)", "sum by (zone) (rate(size[5m]))", "count(size)", "group by (zone) (size)"),
    *("histogram_count(size)", "histogram_sum(rate(size[4m]))", "histogram_count(sum(increase(size[6m])))"),
    *("histogram_fraction(-4, 4, size)", "histogram_fraction(0.25, +Inf, rate(size[5m]))"),
    *("size + size", "size + on (n) other", 'size{n="a"} or size', "size and other", 'size unless size{n="b"}'),
    "histogram_quantile(0, size)",
)


def series(seed: int, schema: int) -> Points:
    """A counter that only grows but for one reset, far from zero, with buckets on both sides of a zero bucket."""
    chance = random.Random(seed)
    positive, negative, zeros = [50.0 + at for at in range(12)], [40.0, 0.0, 30.0], 25.0
    total = 1000.0
    points: list[tuple[int, Sample]] = []
    for minute in range(26):
        if minute == 13 and seed == 2:
            positive, negative, zeros, total = [60.0] * 12, [20.0, 0.0, 10.0], 3.0, 500.0
        positive = [count + chance.randrange(9) for count in positive]
        negative, zeros = [count + chance.randrange(3) for count in negative], zeros + chance.randrange(3)
        total += chance.random() * 100
        if chance.random() < 0.1:
            continue
        one = NativeHistogram(
            schema,
            sum(positive) + sum(negative) + zeros,
            total,
            0.001,
            zeros,
            Buckets((-2, 3), (5, 7), tuple(positive)),
            Buckets((1,), (3,), tuple(negative)),
            reset_hint=ResetHint.UNKNOWN,
        )
        points.append(((START + minute * 60) * 1000 + chance.randrange(5000), one))
    return points


DATA: list[tuple[Labels, Points]] = [
    (Labels({"__name__": "size", "n": "a", "zone": "x"}), series(1, 3)),
    (Labels({"__name__": "size", "n": "b", "zone": "x"}), series(2, 3)),
    (Labels({"__name__": "size", "n": "c", "zone": "y"}), series(3, 0)),
    (Labels({"__name__": "size", "n": "d", "zone": "z"}), series(4, -1)),
    (Labels({"__name__": "other", "n": "a"}), series(5, 1)),
    (Labels({"__name__": "other", "n": "b"}), series(6, 5)),
]


@pytest.fixture(scope="module")
def both(chdb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stocked, peer.Peer]]:
    """Us and Prometheus, with the same data."""
    if not peer.installed():
        pytest.skip(peer.HINT)
    engine = Engine.open(chdb_url, database=f"native_{random.getrandbits(40)}")
    migrate(engine)
    ours = Stocked.on(engine)
    ours.add(DATA)
    flags = ("--enable-feature=native-histograms",)
    with peer.running(tmp_path_factory.mktemp("prometheus"), flags=flags) as theirs:
        theirs.write(DATA)
        yield ours, theirs
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


@pytest.mark.parametrize("query", QUERIES)
def test_histograms_are_prometheus_histograms(query: str, both: tuple[Stocked, peer.Peer]) -> None:
    ours, theirs = both
    mine = json.loads(prometheus_json.result(ours.promql.instant(query, AT)))
    assert _difference(mine, theirs.instant(query, AT)) == ""
    if not query.endswith("]"):
        mine = json.loads(prometheus_json.result(ours.promql.range(query, *RANGE)))
        assert _difference(mine, theirs.range(query, *RANGE)) == ""


def _difference(mine: object, wanted: object, where: str = "") -> str:
    """Where two documents first differ, numbers in texts by more than rounding; lists of series may be in any order."""
    if isinstance(mine, dict) and isinstance(wanted, dict):
        if mine.keys() != wanted.keys():
            return f"{where}: {sorted(mine)} instead of {sorted(wanted)}"
        pairs = [(mine[key], wanted[key], f"{where}.{key}") for key in wanted]
    elif isinstance(mine, list) and isinstance(wanted, list):
        if len(mine) != len(wanted):
            return f"{where}: {len(mine)} instead of {len(wanted)}: {mine} instead of {wanted}"
        by_labels = where == ".result"
        listed = [
            sorted(each, key=lambda one: json.dumps(one["metric"])) if by_labels else each for each in (mine, wanted)
        ]
        pairs = [(one, other, f"{where}[{at}]") for at, (one, other) in enumerate(zip(*listed, strict=True))]
    else:
        return "" if _alike(mine, wanted) else f"{where}: {mine!r} instead of {wanted!r}"
    return next((found for pair in pairs if (found := _difference(*pair))), "")


def _alike(mine: object, wanted: object) -> bool:
    if mine == wanted:
        return True
    try:
        return isinstance(mine, str) and isinstance(wanted, str) and same(float(mine), float(wanted), EPSILON)
    except ValueError:
        return False

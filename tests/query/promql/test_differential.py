"""Our answers are Prometheus' answers: the same data, the same queries, to 1e-9.

The peer is Debian's 2.42. What changed between it and 3.x (the version we claim) is listed in docs/promql.md; the data
and the times are chosen so that none of it matters here, and each change has its own script.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from aiprism.errors import AiprismError
from aiprism.model.labels import Labels
from aiprism.query.promql import Matrix, Scalar, String, Value, Vector
from aiprism.query.promql.account import Account
from aiprism.query.promql.parse import parse
from aiprism.store.engine import Engine
from tests.query.promql import peer
from tests.query.promql.dataset import END, START, dataset
from tests.query.promql.expressions import ACCEPTED, REFUSED
from tests.query.promql.queries import BY_HAND, generated
from tests.query.promql.script import same
from tests.query.promql.stocked import Stocked

EPSILON = 1e-9
STEP_STATS = ("--enable-feature=promql-per-step-stats",)
GENERATED = 400
# Seven seconds past a multiple of ten: the grid of a subquery never meets the edge of its window.
AT = (START + 20 * 60 + 7 - START % 60, START + 41 * 60 + 37 - START % 60)
RANGE = (START + 12 * 60 + 7 - START % 60, END - 120, 70)


@pytest.fixture(scope="module")
def both(chdb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stocked, peer.Peer]]:
    """Us and Prometheus, with the same data."""
    if not peer.installed():
        pytest.skip(peer.HINT)
    from aiprism.store.schema import migrate

    engine = Engine.open(chdb_url, database=f"differential_{random.getrandbits(40)}")
    migrate(engine)
    ours = Stocked.on(engine)
    series = dataset()
    ours.add(series)
    with peer.running(tmp_path_factory.mktemp("prometheus"), flags=STEP_STATS) as theirs:
        theirs.write(series)
        yield ours, theirs
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


@pytest.mark.parametrize("part", range(8))
def test_generated_queries_have_prometheus_answers(part: int, both: tuple[Stocked, peer.Peer]):
    _agree(generated(random.Random(part), GENERATED // 8), *both)


@pytest.mark.parametrize("part", sorted(BY_HAND))
def test_queries_by_hand_have_prometheus_answers(part: str, both: tuple[Stocked, peer.Peer]):
    _agree(BY_HAND[part], *both)


@pytest.mark.parametrize("part", sorted(BY_HAND))
def test_as_many_samples_are_looked_at_as_in_prometheus(part: str, both: tuple[Stocked, peer.Peer]):
    ours, theirs = both
    differences = []
    for query in BY_HAND[part]:
        if _is_range_vector(query):
            continue
        given = theirs.range(query, *RANGE, stats="all")
        for engine in () if "error" in given else (ours.promql, ours.kept):
            account = Account()
            engine.range(query, *RANGE, account=account)
            counted = list(zip((account.times_ms / 1000).tolist(), account.samples_per_step.tolist(), strict=True))
            expected = [(at, samples) for at, samples in given["stats"]["samples"]["totalQueryableSamplesPerStep"]]
            if counted != expected:
                differences.append(f"{query}\n    {counted[:3]} instead of {expected[:3]}")
    assert not differences, f"{len(differences)} counts differ:\n" + "\n".join(differences[:20])


# Where we say more, say it better, or side with 3.x.
OTHER_WORDS = (
    "; did you mean",  # suggestions
    "unexpected right",  # Prometheus' place is one too far
    "regular expression",  # another library's words
    "bad number or duration",  # with the whole of it
    "number or duration",  # 3.x takes numbers for durations
    "must be greater than 0",  # 3.x computes durations
    "unterminated quoted string",
    "unclosed left bracket",
    'unexpected duration "30m"',
    "unexpected <op:@>",
)


def test_prometheus_says_the_same_of_what_is_promql_and_what_is_not(both: tuple[Stocked, peer.Peer]):
    _, theirs = both
    differences = []
    for text in (*ACCEPTED, *REFUSED):
        given = str(theirs.instant(text, START).get("error", "")).removeprefix('invalid parameter "query": ')
        try:
            parse(text)
            said = ""
        except AiprismError as error:
            said = str(error)
        if said != given and (bool(said) != bool(given) or not any(words in said for words in OTHER_WORDS)):
            differences.append(f"{text!r}\n    {said}\n    instead of {given}")
    assert not differences, f"{len(differences)} verdicts differ:\n" + "\n".join(differences[:20])


def _agree(queries: list[str], ours: Stocked, theirs: peer.Peer) -> None:
    differences = []
    for query in queries:
        asked: list[tuple[str, Callable[[], Value], peer.Json]] = [
            (f"at {at}", partial(ours.promql.instant, query, at), theirs.instant(query, at)) for at in AT
        ]
        if not _is_range_vector(query):
            given = theirs.range(query, *RANGE)
            asked.append(("as a range", partial(ours.promql.range, query, *RANGE), given))
            asked.append(("as a range of samples kept", partial(ours.kept.range, query, *RANGE), given))
        for how, ask, expected in asked:
            difference = _difference(ask, expected)
            if difference:
                differences.append(f"{query}\n    {how}: {difference}")
    assert not differences, f"{len(differences)} answers differ:\n" + "\n".join(differences[:20])


def _is_range_vector(query: str) -> bool:
    return query.endswith("]")


def _difference(ask: Callable[[], Value], expected: peer.Json) -> str:
    try:
        got = _flat(ask())
    except AiprismError as error:
        return "" if "error" in expected else f"we fail: {error}"
    if "error" in expected:
        return f"Prometheus fails: {expected['error']}"
    wanted = _flat_json(expected)
    if got.keys() != wanted.keys():
        return f"series {sorted(got.keys() - wanted.keys())} too many, {sorted(wanted.keys() - got.keys())} missing"
    for labels, points in wanted.items():
        if got[labels].keys() != points.keys():
            return f"{labels}: times differ: {sorted(got[labels].keys() ^ points.keys())[:5]}"
        for ts, value in points.items():
            mine = got[labels][ts]
            if isinstance(value, str) or isinstance(mine, str):
                if mine != value:
                    return f"{mine!r} instead of {value!r}"
            elif not same(mine, value, EPSILON):
                return f"{labels} at {ts}: {mine!r} instead of {value!r}"
    return ""


def _flat(got: Value) -> dict[Labels, dict[int, float | str]]:
    match got:
        case Scalar() | String():
            return {Labels(): {round(got.ts * 1000): got.value}}
        case Vector():
            return {item.labels: {round(item.ts * 1000): item.value} for item in got}
        case Matrix():
            return {each.labels: dict(zip(each.ts_ms.tolist(), each.values.tolist(), strict=True)) for each in got}


def _flat_json(data: peer.Json) -> dict[Labels, dict[int, float | str]]:
    kind, result = data["resultType"], data["result"]
    if kind == "string":
        return {Labels(): {round(result[0] * 1000): result[1]}}
    if kind == "scalar":
        return {Labels(): {round(result[0] * 1000): float(result[1])}}
    return {
        Labels(each["metric"]): {round(ts * 1000): float(value) for ts, value in each.get("values") or [each["value"]]}
        for each in result
    }

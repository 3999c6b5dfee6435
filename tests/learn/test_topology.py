"""The topology answers what correlation and the search for causes ask, whatever was declared and seen."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.learn.drift import drift
from aiprism.learn.topology import FEW, OTHERS, Topology, topology
from aiprism.model.servicemap import SeenCall, SeenService
from aiprism.services import Catalogue, Service

NOW = 1_700_000_000
DAY = 86_400


def call(caller: str, callee: str, calls: int = 100, *, last: int = NOW, virtual: bool = False, how: str = "request"):
    return SeenCall(caller, callee, how, virtual, "", calls, calls // 10, last - 3600, last)


def seen(service: str, items: int = 500, *, last: int = NOW, signal: str = "traces") -> SeenService:
    return SeenService(service, signal, items, last - 3600, last)


SHOP = Catalogue(
    [
        Service("shop", owner="ann", aliases=("shop-api",), dependencies=("db", "mail")),
        Service("db", kind="database", aliases=("10.0.0.7:5432",)),
        Service("mail"),
        Service("idle", dependencies=("db",)),
    ]
)


def shop() -> Topology:
    """gateway → shop (called by two names) → db, cache; gateway → search → shop."""
    calls = [
        call("gateway", "shop-api", 300), call("gateway", "search", 100), call("search", "shop", 50),
        call("shop-api", "10.0.0.7:5432", 150, virtual=True, how="database"),
        call("shop-api", "cache", 50, virtual=True, how="database"), call("shop", "shop-api", 5),
        call("gateway", OTHERS, 70, virtual=True), call("gateway", "typo", FEW - 1, virtual=True),
    ]  # fmt: skip
    return topology(SHOP, [seen("gateway"), seen("shop-api"), seen("search"), seen("search", signal="logs")], calls)


def test_what_is_seen_stands_under_the_name_that_is_declared() -> None:
    made = shop()
    assert set(made.nodes) == {"gateway", "shop", "search", "db", "cache", "typo", "mail", "idle"}
    assert {name: node.kind for name, node in made.nodes.items() if node.kind != "service"} == {
        "db": "database", "cache": "database", "typo": "external",
    }  # fmt: skip
    assert (made.nodes["shop"].seen_as, made.nodes["search"].signals) == (("shop-api",), ("logs", "traces"))
    assert (made.nodes["search"].seen_as, made.nodes["db"].seen_as) == (("search",), ())
    assert (made.nodes["mail"].last_seen, made.nodes["shop"].last_seen) == (None, NOW)
    edge = made.edges["shop", "db"]
    assert (edge.declared, edge.seen, edge.calls, edge.share) == (True, True, 150, 0.75)
    assert (made.edges["shop", "mail"].seen, ("shop", "shop") in made.edges) == (False, False)


def test_neighbours_are_asked_for_so_many_calls_away() -> None:
    made = shop()
    assert made.downstream("gateway", 1) == {"shop": 1, "search": 1}
    assert made.downstream("gateway") == {"shop": 1, "search": 1, "db": 2, "cache": 2, "mail": 2}
    assert made.upstream("10.0.0.7:5432") == {"shop": 1, "idle": 1, "gateway": 2, "search": 2}
    assert made.upstream("nobody") == {}


def test_of_ways_of_equal_length_the_busiest_is_the_path() -> None:
    ways = [call("a", "quiet", 10), call("a", "busy", 90), call("quiet", "z", 50), call("busy", "z", 50)]
    made = topology(Catalogue(), (), ways)
    assert made.path("a", "z") == ("a", "busy", "z")
    assert (made.path("z", "a"), made.path("a", "nobody"), made.path("a", "a")) == ((), (), ("a",))


def test_those_who_suffer_are_told_with_how_much_of_their_traffic_ends_there() -> None:
    assert [(each.name, each.hops, each.share) for each in shop().affected("db")] == [
        ("shop", 1, 0.75), ("idle", 1, 0.0), ("search", 2, 0.75), ("gateway", 2, round(300 / 409 * 0.75, 6)),
    ]  # fmt: skip


def test_services_that_depend_on_each_other_are_a_circle() -> None:
    ring = [call("a", "b"), call("b", "c"), call("c", "a"), call("c", "d"), call("x", "y"), call("y", "x")]
    assert topology(Catalogue(), (), ring).circles() == [("a", "b", "c"), ("x", "y")]


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("gateway", "shop-api", True),
        ("prod/shop-api", "db", True),  # as OpenTelemetry's `job` has it
        ("shop", "mail", True),  # declared only
        ("gateway", "db", False),  # two calls away
        ("gateway", "typo", False),  # noise
        ("shop", "shop-api", True),
        ("nobody", "nobody", False),
    ],
)
def test_services_that_call_each_other_are_related(one: str, other: str, related: bool) -> None:
    assert (shop().related(one, other), shop().related(other, one)) == (related, related)


names = st.sampled_from("abcdef")


@given(st.lists(st.builds(call, names, names, st.integers(1, 50)), max_size=20), st.randoms())
def test_the_order_in_which_calls_were_seen_changes_nothing(calls: list[SeenCall], random) -> None:
    mixed = random.sample(calls, len(calls))
    one, other = topology(Catalogue(), (), calls), topology(Catalogue(), (), mixed)
    assert (one.nodes, one.edges) == (other.nodes, other.edges)
    assert list(one.graph.edges(data=True)) == list(other.graph.edges(data=True))


@given(st.lists(st.builds(call, names, names, st.integers(1, 50)), max_size=20), names, names)
def test_questions_agree_with_each_other(calls: list[SeenCall], one: str, other: str) -> None:
    made = topology(Catalogue(), (), calls)
    path = made.path(one, other)
    hops = {**made.downstream(one), **({one: 0} if one in made.nodes else {})}
    assert len(path) - 1 == hops.get(other, -1)
    assert all((first, second) in made.graph.edges for first, second in pairwise(path))
    assert {each.name: each.hops for each in made.affected(one)} == made.upstream(one)
    assert all(0 < each.share <= 1 for each in made.affected(one))


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        shop().graph.add_edge("a", "b")


# -- drift -----------------------------------------------------------------------------------------------------------


def drifted(*, at: float = NOW) -> dict[str, list[object]]:
    found = drift(shop(), at)
    return {
        "undeclared": [each.name for each in found.undeclared_services],
        "unseen": [each.name for each in found.unseen_services],
        "new": [(each.caller, each.callee) for each in found.undeclared_dependencies],
        "gone": [(each.caller, each.callee) for each in found.unseen_dependencies],
        "ignored": [found.ignored],
    }


def test_what_is_declared_and_what_is_seen_are_compared() -> None:
    assert drifted() == {
        "undeclared": ["cache", "gateway", "search"],
        "unseen": ["idle", "mail"],
        "new": [("shop", "cache")],
        "gone": [("shop", "mail")],  # not (idle, db): that idle itself is not seen says more
        "ignored": [1],
    }


def test_what_was_quiet_for_too_long_is_not_seen() -> None:
    assert drifted(at=NOW + DAY)["unseen"] == ["idle", "mail"]
    late = drifted(at=NOW + DAY + 1)
    assert (late["unseen"], late["gone"]) == (["db", "idle", "mail", "shop"], [])


def test_nothing_drifts_where_nothing_is_declared() -> None:
    assert drift(topology(Catalogue(), [seen("a")], [call("a", "b")]), NOW).none


def test_both_may_say_the_same() -> None:
    said = Catalogue([Service("a", dependencies=("b",)), Service("b")])
    calls: Iterable[SeenCall] = [call("a", "b")]
    assert drift(topology(said, [seen("a"), seen("b")], calls), NOW).none

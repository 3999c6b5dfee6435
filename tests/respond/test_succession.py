"""Who may follow a PostgreSQL primary: decided from what was seen, without a server."""

from __future__ import annotations

import pytest

from aiprism.respond.actions.succession import Doubt, Heir, Refusal, Settled, Terms, judged
from aiprism.store.standbys import Role, Server

GONE = Server("a:1", Role.AWAY, problem="refused")


def primary(name="a:1", **seen):
    return Server(name, Role.PRIMARY, **seen)


def standby(name, position=100, **seen):
    return Server(name, Role.STANDBY, position=position, **seen)


def test_the_standby_with_most_of_the_log_follows():
    ahead = standby("c:1", 300)
    assert judged([GONE, standby("b:1", 100), ahead], Terms()) == Heir(ahead, 0)
    assert judged([GONE, standby("b:1", 300), standby("c:1", 300)], Terms()) == Heir(standby("b:1", 300), 0)


def test_a_named_heir_follows_as_long_as_it_is_near_enough_to_the_furthest():
    servers = [GONE, standby("b:1", 100), standby("c:1", 300)]
    assert judged(servers, Terms(heir="b:1", max_lag=200)) == Heir(servers[1], 200)
    assert judged(servers, Terms(heir="b:1", max_lag=199)) == Refusal(
        "b:1 is 200 bytes of log behind, more than the 199 of max_lag: they would be lost"
    )


def test_the_last_known_position_of_the_primary_counts_more_than_what_the_standbys_have():
    servers = [GONE, standby("b:1", 100)]
    assert judged(servers, Terms(known=150, max_lag=50)) == Heir(servers[1], 50)
    assert isinstance(judged(servers, Terms(known=151, max_lag=50)), Refusal)
    assert judged(servers, Terms(known=90)) == Heir(servers[1], 0)  # it was asked some seconds before


def test_nobody_follows_a_primary_that_answers():
    assert judged([primary(), standby("b:1")], Terms()) == Refusal(
        "a:1 is primary and answers: a second one would split the data; fence it first"
    )
    assert isinstance(judged([primary(promoted_ago=90_000.0), standby("b:1")], Terms()), Refusal)
    assert isinstance(judged([primary(), standby("b:1")], Terms(failed="a:1")), Refusal)
    assert isinstance(judged([primary(), standby("b:1")], Terms(heir="b:1")), Refusal)


def test_two_primaries_are_told_and_never_made_three():
    found = judged([primary(), primary("b:1"), standby("c:1")], Terms(heir="b:1"))
    assert isinstance(found, Refusal)
    assert found.reason.startswith("split brain: a:1 and b:1 are primaries at once")


@pytest.mark.parametrize(
    ("terms", "seen"),
    [
        (Terms(), primary("b:1", promoted_ago=12.0)),  # promoted a moment ago: by the order that is now repeated
        (Terms(failed="a:1"), primary("b:1")),
        (Terms(heir="b:1"), primary("b:1")),
        (Terms(failed="a:1", heir="b:1"), primary("b:1")),
    ],
)
def test_an_order_that_is_repeated_finds_its_own_work(terms, seen):
    assert judged([GONE, seen], terms) == Settled(seen)


@pytest.mark.parametrize(
    ("servers", "says"),
    [
        ([Server("a:1", Role.CLOSED, problem="starting up"), standby("b:1")], "a:1 accepts connections and may be"),
        ([GONE, standby("b:1", upstream="a:1")], "b:1 still receives the log of its primary"),
        ([GONE, standby("b:1", upstream="10.0.0.9:5432")], "b:1 still receives the log of its primary"),
        ([GONE, Server("b:1", Role.AWAY), standby("c:1")], "a:1, b:1 do not answer"),
        ([GONE], "no standby answers"),
    ],
)
def test_nobody_is_promoted_in_doubt(servers, says):
    found = judged(servers, Terms())
    assert isinstance(found, Doubt)
    assert found.reason.startswith(says)


def test_a_cascading_standby_hears_from_another_standby_which_proves_nothing():
    servers = [GONE, standby("b:1", 200), standby("c:1", 100, upstream="b:1")]
    assert judged(servers, Terms()) == Heir(servers[1], 0)


def test_more_servers_may_be_missing_where_the_runbook_says_so():
    servers = [GONE, Server("b:1", Role.AWAY), standby("c:1")]
    assert judged(servers, Terms(max_missing=2)) == Heir(servers[2], 0)
    assert judged(servers, Terms(max_missing=2, heir="b:1")) == Doubt("b:1 does not answer")


def test_a_name_that_no_server_has_is_refused():
    assert judged([GONE, standby("b:1")], Terms(heir="d:1")) == Refusal("d:1 is none of the servers a:1, b:1")

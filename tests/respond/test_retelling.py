"""Which notifications alerts of the past would have been, by the routing tree."""

from __future__ import annotations

import pytest

from aiprism import yamlfile
from aiprism.respond import retelling, route
from aiprism.respond.group import Why
from aiprism.respond.hindsight import Fired
from aiprism.respond.retelling import Receiver, Telling
from aiprism.respond.route import Routing

HOUR = 3600.0
TREE = """
route:
  receiver: team
  group_by: [service]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 2h
  routes:
  - {receiver: pager, matchers: ['severity="critical"'], group_wait: 0s, continue: true}
  - {receiver: nobody, matchers: ['team="gone"']}
  - {receiver: team, mute_time_intervals: [first-hour], matchers: ['team="day"']}
receivers:
- name: team
  webhook_configs: [{url: 'http://127.0.0.1/a'}]
- name: pager
  webhook_configs: [{url: 'http://127.0.0.1/b', send_resolved: false}]
- name: nobody
time_intervals:
- name: first-hour
  time_intervals: [{times: [{start_time: '00:00', end_time: '01:00'}]}]
"""


@pytest.fixture(scope="module")
def routing() -> Routing:
    return route.read(yamlfile.parse(TREE, file="am.yml"))


def fired(start: float, end: float, **labels: str) -> Fired:
    return Fired({"alertname": "A", **labels}, start, end)


def moments(routing: Routing, *alerts: Fired, until: float = 24 * HOUR) -> list[tuple[float, str, int, int]]:
    return [(each.at, each.why.value, each.firing, each.resolved) for each in retelling.told(routing, alerts, until)]


def test_what_fires_together_is_told_together(routing: Routing) -> None:
    alerts = [fired(at, 400.0, service="api", pod=str(at)) for at in range(20)]
    assert moments(routing, *alerts) == [(30.0, "first", 20, 0), (630.0, "resolved", 0, 20)]


def test_groups_are_told_apart(routing: Routing) -> None:
    found = moments(routing, fired(0, 100, service="api"), fired(10, 100, service="web"))
    assert [at for at, why, _, _ in found if why == "first"] == [30.0, 40.0]


def test_what_joins_later_waits_for_the_interval_of_its_group(routing: Routing) -> None:
    found = moments(routing, fired(0, HOUR, service="api"), fired(40, HOUR, service="api", pod="b"), until=HOUR - 1)
    assert found == [(30.0, "first", 1, 0), (330.0, "firing", 2, 0)]


def test_what_is_over_before_anybody_was_told_is_not_told(routing: Routing) -> None:
    assert moments(routing, fired(0, 20, service="api")) == []


def test_what_flaps_within_an_interval_is_told_once(routing: Routing) -> None:
    alerts = [fired(at, at + 30, service="api") for at in range(0, 3600, 60)]
    # At each look it fires, or has just ended: the group that is told as over begins anew.
    firing = fired(0, 3600, service="api")
    assert len(moments(routing, *alerts)) <= 2 * len(alerts) // 5
    assert moments(routing, firing, *alerts[1:])[0] == (30.0, "first", 1, 0)


def test_what_goes_on_is_told_again_and_again(routing: Routing) -> None:
    found = moments(routing, fired(0, 24 * HOUR, service="api"), until=7 * HOUR)
    # Two hours have passed at the first look after them.
    assert found == [(30.0, "first", 1, 0), *((30.0 + turn * 7500, "repeat", 1, 0) for turn in (1, 2, 3))]


def test_good_news_is_no_notification_where_it_is_not_sent(routing: Routing) -> None:
    one = fired(0, 100, service="api", severity="critical")
    again = fired(1000, 1100, service="api", severity="critical")
    pages = [each for each in retelling.told(routing, [one, again], HOUR) if each.receiver == "pager"]
    route_id = '{}/{severity="critical"}#1'
    assert pages == [
        Telling("pager", route_id, 0.0, Why.FIRST, 1, 0),
        Telling("pager", route_id, 1000.0, Why.FIRING, 1, 0),
    ]


def test_a_route_that_is_quiet_tells_once_it_is_not(routing: Routing) -> None:
    found = moments(routing, fired(600, 2 * HOUR, service="api", team="day"), until=2 * HOUR - 1)
    assert found == [(3630.0, "first", 1, 0)]


def test_receivers_are_told_of_by_their_reasons_and_those_without_a_channel_too(routing: Routing) -> None:
    alerts = [fired(0, 100, service="api"), fired(0, 100, service="web", team="gone"), fired(0, 9, service="db")]
    assert retelling.receivers(routing, alerts, HOUR) == [
        Receiver("team", ("webhook",), {Why.FIRST: 1, Why.RESOLVED: 1}),
        Receiver("nobody", (), {Why.FIRST: 1, Why.RESOLVED: 1}),
    ]


def test_nothing_is_looked_at_more_often_than_something_can_be_new(routing: Routing) -> None:
    """Ten years at a look every five minutes are a million looks."""
    found = moments(routing, fired(0, 10 * 365 * 24 * HOUR, service="api"), until=10 * 365 * 24 * HOUR)
    assert len(found) == pytest.approx(10 * 365 * 24 / 2.08, rel=0.01)

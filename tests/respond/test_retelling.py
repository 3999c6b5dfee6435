"""Which notifications alerts of the past would have been, by the routing tree."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence, Set
from typing import Any

import pytest

from aiprism import yamlfile
from aiprism.errors import Cancelled
from aiprism.model.labels import Labels
from aiprism.respond import group as groups
from aiprism.respond import retelling, route
from aiprism.respond.group import Told, Why
from aiprism.respond.hindsight import Fired
from aiprism.respond.retelling import Receiver, Telling
from aiprism.respond.route import Routing

HOUR = 3600.0
DAY = 24 * HOUR
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


Moment = tuple[float, str, int, int]


def moments(routing: Routing, *alerts: Fired, until: float = DAY) -> list[Moment]:
    return sorted(
        (each.at + turn * each.every, each.why.value, each.firing, each.resolved)
        for each in retelling.told(routing, alerts, until)
        for turn in range(each.times)
    )


def one_route(**changes: str) -> Routing:
    """A receiver with a channel that hears of what is over and one that does not, and one route."""
    waits = "".join(f", {name}: {value}" for name, value in changes.items())
    webhook = "{url: 'http://127.0.0.1/a'}, {url: 'http://127.0.0.1/b', send_resolved: false}"
    text = f"""
route: {{receiver: team, group_by: [service], routes: [{{matchers: ['alertname="A"']{waits}}}]}}
receivers: [{{name: team, webhook_configs: [{webhook}]}}]
time_intervals: [{{name: early, time_intervals: [{{times: [{{start_time: '00:00', end_time: '01:00'}}]}}]}}]
"""
    return route.read(yamlfile.parse(text, file="am.yml"))


def stepped(routing: Routing, alerts: Sequence[Fired], until: float) -> Iterator[Moment]:
    """What is told of one group when it is looked at in each interval: the rules of `group`, and nothing left out."""
    way, known = routing.root.routes[0], dict[int, Told]()
    inside: dict[Labels, Fired] = {}
    coming = sorted(alerts, key=lambda each: each.start)
    while coming:
        group = groups.begun(way, Labels(), coming[0].start)
        while group.next_at <= until:
            now = group.next_at
            while coming and coming[0].start <= now:
                each = coming.pop(0)
                inside[Labels(each.labels)] = each
            firing = frozenset(str(labels) for labels, each in inside.items() if each.end > now)
            resolved = frozenset(map(str, inside)) - firing
            whys = list[Why]()
            for number, channel in enumerate([] if routing.muting(way, now) else routing.integrations("team")):
                told = known.get(number)
                told = None if told is None or groups.log_expiry(way, told.at) <= now else told
                sends, repeat = channel.send_resolved, way.repeat_interval
                why = groups.reason(told, firing, resolved, send_resolved=sends, repeat=repeat, now=now)
                if why is not None:
                    known[number] = Told(firing, resolved, now)
                    whys += [why] if firing or sends else []
            if whys:
                yield now, whys[0].value, len(firing), len(resolved)
            inside = {labels: each for labels, each in inside.items() if each.end > now}
            if not inside:
                break
            group = groups.after_flush(group, way, now)
        else:
            return


ROUTES = [
    one_route(group_wait="30s", group_interval="5m", repeat_interval="1h"),
    one_route(group_wait="0s", group_interval="7m", repeat_interval="10m"),
    one_route(group_wait="30s", group_interval="10m", repeat_interval="2m"),
    one_route(group_wait="30s", group_interval="5m", repeat_interval="7d"),
    one_route(group_wait="30s", group_interval="5m", repeat_interval="20m", mute_time_intervals="[early]"),
]


@pytest.mark.parametrize("number", range(len(ROUTES)))
@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_the_rules_of_groups_tell_look_by_look(number: int, seed: int) -> None:
    chance, until = random.Random(seed), 3 * DAY
    starts = [chance.randrange(2 * 86_400) for _ in range(30)]  # whole seconds: as exact as Unix times are
    lengths = [chance.randrange(chance.choice([60, 500, 5000, 50_000, 200_000])) for _ in starts]
    alerts = [
        fired(start, start + length, pod=chance.choice("abcdef")) for start, length in zip(starts, lengths, strict=True)
    ]
    assert moments(ROUTES[number], *alerts, until=until) == list(stepped(ROUTES[number], alerts, until))


def test_what_is_forgotten_is_told_as_new_before_its_time_to_be_repeated() -> None:
    found = moments(ROUTES[3], fired(0, 30 * DAY), until=20 * DAY)
    assert found == [(30.0 + turn * 5 * DAY, "first", 1, 0) for turn in range(4)]


def test_a_group_that_waits_at_the_end_of_the_period_is_not_told(routing: Routing) -> None:
    assert moments(routing, fired(HOUR - 10, 2 * HOUR, service="api"), until=HOUR) == []


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


def test_what_flaps_between_two_looks_is_told_once_and_not_at_all_where_no_look_finds_it(routing: Routing) -> None:
    found = [fired(at, at + 40, service="api") for at in range(0, 1200, 60)]
    assert moments(routing, *found) == [(30.0, "first", 1, 0), (1230.0, "resolved", 0, 1)]
    missed = [fired(at, at + 20, service="api") for at in range(0, 1200, 60)]
    assert moments(routing, *missed) == []


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
    _, together = retelling.receivers(routing, [alerts], HOUR)
    assert together == [
        Receiver("team", ("webhook",), {Why.FIRST: 1, Why.RESOLVED: 1}),
        Receiver("nobody", (), {Why.FIRST: 1, Why.RESOLVED: 1}),
    ]


def test_rules_are_counted_alone_and_together_where_they_share_a_group(routing: Routing) -> None:
    one = [fired(0, 100, service="api"), fired(0, 100, service="web")]
    other = [fired(10, 100, service="api", pod="b")]
    alone, together = retelling.receivers(routing, [one, other, []], HOUR)
    assert alone == [
        [Receiver("team", ("webhook",), {Why.FIRST: 2, Why.RESOLVED: 2})],
        [Receiver("team", ("webhook",), {Why.FIRST: 1, Why.RESOLVED: 1})],
        [],
    ]
    assert together == [Receiver("team", ("webhook",), {Why.FIRST: 2, Why.RESOLVED: 2})]


def test_what_does_not_change_is_not_looked_at(routing: Routing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten years at a look every five minutes are a million looks."""
    asked = []

    def reason(told: Told | None, firing: Set[str], resolved: Set[str], **more: Any) -> Why | None:
        asked.append(more["now"])
        return rules_of_groups(told, firing, resolved, **more)

    rules_of_groups = groups.reason
    monkeypatch.setattr(groups, "reason", reason)
    years = 3650 * DAY
    [alone], _ = retelling.receivers(routing, [[fired(0, years, service="api")]], years)
    # Told again every 2 h 5 min, and over with the last look.
    assert alone == [Receiver("team", ("webhook",), {Why.FIRST: 1, Why.REPEAT: int((years - 31) // 7500)})]
    assert len(asked) < 10


def test_a_count_that_would_take_too_many_looks_ends_and_says_so(routing: Routing) -> None:
    alerts = [fired(turn * HOUR, turn * HOUR + 600, service="api") for turn in range(10)]
    whole, _ = retelling.receivers(routing, [alerts, alerts[:2]], DAY)
    assert [(each.count, each.is_whole) for [each] in whole] == [(20, True), (4, True)]
    cut, together = retelling.receivers(routing, [alerts, alerts[:2]], DAY, most_looks=6)
    assert [(each.count, each.is_whole) for [each] in cut] == [(6, False), (4, True)]
    assert [(each.count, each.is_whole) for each in together] == [(6, False)]


def test_a_count_ends_when_nobody_waits_for_it(routing: Routing) -> None:
    left = iter(range(50))

    def going() -> None:
        if next(left, None) is None:
            raise Cancelled("hung up")

    alerts = [fired(turn * HOUR, turn * HOUR + 600, service="api") for turn in range(40)]
    with pytest.raises(Cancelled):
        retelling.receivers(routing, [alerts], 40 * HOUR, going)

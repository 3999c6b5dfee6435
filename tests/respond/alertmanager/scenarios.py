"""What Alertmanager and ours are both put through: routes, and what happens at which second.

All scenarios of one list run at once in one process of each side. Each has a subtree of its own below `scenario="name"`;
every alert and silence of it carries that label, every receiver its name. Waits: 1 s, then every 2 s, unless it says more.
Events stand at least half a second away from flushes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WAITS = {"group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h", "group_by": ["alertname"]}
RESOLVE_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`route` is its subtree, `receivers` name → entries of webhook_configs without their url."""

    name: str
    events: Sequence[Event]
    route: Mapping[str, Any] = field(default_factory=dict)
    receivers: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=lambda: {"a": [{}]})
    inhibit: Sequence[Mapping[str, Any]] = ()
    hears: int | None = None  # how many notifications Alertmanager sends: a scenario that shows nothing is a mistake
    within: float = 1.0  # seconds between the two sides


@dataclass(frozen=True, slots=True)
class Alerts:
    """Post these at second `at`; a label set, or one with `starts`, `ends` and `annotations`, in seconds of the run."""

    at: float
    alerts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Silence:
    """Make a silence at second `at` for the alerts with these labels."""

    at: float
    labels: Mapping[str, str]
    ends: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Unsilence:
    """End the silence of that name."""

    at: float
    name: str


Event = Alerts | Silence | Unsilence


def fire(at: float, *sets: Mapping[str, str], starts: float | None = None, ends: float = 300.0, **more: Any) -> Alerts:
    return Alerts(
        at, [{"labels": each, "starts": at if starts is None else starts, "ends": ends, **more} for each in sets]
    )


def end(at: float, *sets: Mapping[str, str], starts: float = 0.0) -> Alerts:
    # A little before it is posted: of an end that is still to come Alertmanager keeps the later one it knew.
    return fire(at, *sets, starts=starts, ends=at - 0.2)


def down(n: str = "1", **more: str) -> dict[str, str]:
    return {"alertname": "Down", "n": n, **more}


SCENARIOS: Sequence[Scenario] = (
    Scenario("single", [fire(0, down())], hears=1),
    Scenario("together", [fire(0, down("1")), fire(0.4, down("2"))], hears=1),
    Scenario("one-more", [fire(0, down("1")), fire(2, down("2"))], hears=2),
    Scenario("two-groups", [fire(0, down(), {"alertname": "Slow", "n": "1"})], hears=2),
    Scenario("all-labels", [fire(0, down("1"), down("2"))], {"group_by": ["..."]}, hears=2),
    Scenario("no-labels", [fire(0, down("1"), {"alertname": "Slow"})], {"group_by": []}, hears=1),
    Scenario("over", [fire(0, down()), end(2, down())], hears=2),
    Scenario("over-by-itself", [fire(0, down(), ends=4)], hears=2),
    Scenario("nobody-says-it-again", [Alerts(0, [{"labels": down(), "starts": 0.0}])], hears=2),
    Scenario("over-at-once", [fire(0, down()), end(0.4, down())], hears=0),
    Scenario("never-fired", [end(0.4, down())], hears=0),
    Scenario("one-of-two-over", [fire(0, down("1"), down("2")), end(2, down("1"))], hears=2),
    Scenario(
        "no-good-news",
        [fire(0, down("1"), down("2")), end(2, down("1")), end(4, down("2")), fire(6, down("2"))],
        receivers={"a": [{"send_resolved": False}]},
        hears=2,
    ),
    Scenario("repeat", [fire(0, down())], {"repeat_interval": "3s"}, hears=3),
    Scenario(
        "continue",
        [fire(0, down(team="x"))],
        {"routes": [
            {"matchers": ["team=x"], "receiver": "a", "continue": True}, {"matchers": ['team=~"x|y"'], "receiver": "b"}
        ]},
        {"a": [{}], "b": [{}]},
        hears=2,
    ),
    Scenario(
        "deepest",
        [fire(0, down("1", team="x", tier="1"), down("2", team="x"), down("3"))],
        {"routes": [{"matchers": ["team=x"], "routes": [{"matchers": ["tier=1"], "receiver": "b"}]}]},
        {"a": [{}], "b": [{}]},
        hears=3,
    ),
    Scenario(
        "old-syntax",
        [fire(0, down(team="x", tier="12"))],
        {"routes": [{"match": {"team": "x"}, "match_re": {"tier": "1."}, "matchers": ['a!="q"']}]},
        hears=1,
    ),
    Scenario(
        "own-waits",
        [fire(0, down(team="x")), fire(2, down("2", team="x"))],
        {"routes": [{"matchers": ["team=x"], "group_wait": "0s", "group_interval": "4s", "group_by": ["team"]}]},
        hears=2,
    ),
    Scenario(
        "inhibited",
        [fire(0, down("1", kind="cause", at="x"), down("2", kind="effect", at="x"), down("3", kind="effect", at="y"))],
        inhibit=[{"source_matchers": ["kind=cause"], "target_matchers": ["kind=effect"], "equal": ["at"]}],
        hears=1,
    ),
    Scenario(
        "inhibited-without-the-label",
        [fire(0, down("1", kind="cause"), down("2", kind="effect"))],
        inhibit=[{"source_match": {"kind": "cause"}, "target_match_re": {"kind": "eff.*"}, "equal": ["at"]}],
        hears=1,
    ),
    Scenario(
        "both-sides",
        [fire(0, down("1", kind="both"), down("2", kind="both-too"))],
        inhibit=[{"source_matchers": ['kind=~"both.*"'], "target_matchers": ['kind=~"both.*"'], "equal": ["alertname"]}],
        hears=1,
    ),
    Scenario(
        "inhibited-until-over",
        [fire(0, down("1", kind="cause"), down("2", kind="effect")), end(2, down("1", kind="cause"))],
        inhibit=[{"source_matchers": ["kind=cause"], "target_matchers": ["kind=effect"]}],
        hears=2,
    ),
    Scenario("silenced", [Silence(0, {"n": "1"}, ends=60), fire(0.3, down("1"), down("2"))], hears=1),
    Scenario("silenced-for-a-while", [Silence(0, {"n": "1"}, ends=4.2), fire(0.2, down("1"))], hears=1),
    Scenario(
        "silenced-by-hand", [Silence(0, {"n": "1"}, 60, name="s"), fire(0.2, down("1")), Unsilence(4, "s")], hears=1
    ),
    Scenario(
        "silenced-later",
        [fire(0, down()), Silence(2, {"n": "1"}, ends=60)],
        {"repeat_interval": "1s"},
        hears=1,
    ),
    Scenario(
        "over-while-silenced",
        [fire(0, down()), Silence(1.6, {"n": "1"}, ends=4.2), end(2, down()), fire(6, down())],
        hears=1,
    ),
    Scenario("muted", [fire(0, down())], {"routes": [{"mute_time_intervals": ["always"]}]}, hears=0),
    Scenario("not-muted", [fire(0, down())], {"routes": [{"mute_time_intervals": ["never"]}]}, hears=1),
    Scenario("active", [fire(0, down())], {"routes": [{"active_time_intervals": ["always"]}]}, hears=1),
    Scenario("inactive", [fire(0, down())], {"routes": [{"active_time_intervals": ["never"]}]}, hears=0),
    Scenario("old-news", [fire(0, down(), starts=-60)], {"group_wait": "5s"}, hears=1),
    Scenario("old-news-joins", [fire(0, down("1")), fire(2, down("2"), starts=-60)], {"group_interval": "4s"}, hears=2),
    Scenario("too-many", [fire(0, down("1"), down("2"), down("3"))], receivers={"a": [{"max_alerts": 2}]}, hears=1),
    Scenario(
        "said-anew",
        [fire(0, down(), annotations={"text": "old"}), fire(2, down(), starts=0, annotations={"text": "new ü"})],
        {"repeat_interval": "3s"},
        hears=3,
    ),
    Scenario("flapping", [fire(0, down()), end(1.6, down()), fire(2.2, down())], hears=1),
    Scenario("refused-once", [fire(0, down())], receivers={"refuse": [{}]}, hears=2),
    # Both sides draw the pause before the second try by lot.
    Scenario("failed-once", [fire(0, down())], {"group_interval": "8s"}, {"fail": [{}]}, hears=2, within=3.0),
    Scenario(
        "order",
        [fire(0, *(down(n, **more) for n, more in (
            ("1", {"job": "b"}), ("2", {"job": "a", "instance": "2"}), ("3", {"job": "a", "instance": "1"}),
            ("4", {"x": "1", "y": "1"}), ("5", {}), ("6", {"job": "a"}),
        )))],
        hears=1,
    ),
    Scenario(
        "two-integrations",
        [fire(0, down()), end(2, down())],
        receivers={"a": [{}, {"send_resolved": False}]},
        hears=3,
    ),
    Scenario(
        "same-route-twice",
        [fire(0, down(team="x"))],
        {"routes": [
            {"matchers": ["team=x"], "receiver": "a", "continue": True}, {"matchers": ["team=x"], "receiver": "b"}
        ]},
        {"a": [{}], "b": [{}]},
        hears=2,
    ),
    Scenario("odd-words", [fire(0, down('a "quoted" \\ ü\n'))], {"group_by": ["alertname", "n"]}, hears=1),
    Scenario("odd.name", [fire(0, down())], receivers={"a.b*": [{}]}, hears=1),
    Scenario("said-again", [fire(0, down(), ends=4), fire(2.4, down(), starts=0, ends=300)], hears=1),
    Scenario("ends-sooner", [fire(0, down()), fire(2.4, down(), starts=0, ends=4.4)], hears=1),
    Scenario("with-an-address", [fire(0, down(), generatorURL="http://prometheus/graph?g0.expr=up")], hears=1),
)  # fmt: skip

# Both sides are ended at second RESTART_AT, and alerts are posted again after it, as Prometheus does.
RESTART_AT, AGAIN_AT = 4.0, 7.0
RESTARTS: Sequence[Scenario] = (
    Scenario("told-once", [fire(0, down()), fire(AGAIN_AT, down(), starts=0)], hears=1),
    Scenario("over-after", [fire(0, down()), fire(AGAIN_AT, down(), starts=0), end(8, down())], hears=2, within=2.5),
    Scenario(
        "more-after",
        [fire(0, down("1")), fire(AGAIN_AT, down("1"), starts=0), fire(AGAIN_AT + 0.3, down("2"))],
        hears=2,
        within=2.5,
    ),
    Scenario(
        "silenced-across",
        [Silence(0, {"n": "1"}, ends=60), fire(0.2, down()), fire(AGAIN_AT, down(), starts=0)],
        hears=0,
    ),
    Scenario(
        "no-good-news-across",
        [fire(0, down("1"), down("2")), end(2, down("2")), fire(AGAIN_AT, down("1"), starts=0)],
        receivers={"a": [{"send_resolved": False}]},
        hears=1,
    ),
    Scenario(
        "reminded-after",
        [fire(0, down()), fire(AGAIN_AT, down(), starts=0)],
        {"repeat_interval": "5s"},
        hears=2,
        within=2.5,
    ),
)

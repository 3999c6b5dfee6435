"""Which incident an alert joins, why, and what a human would call it (R19)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.respond.correlate import Neighbourhood, never
from aiprism.respond.incident import AlertFired, Incident, Periods, ResolvedByHand, advance, opened
from aiprism.respond.likeness import Similarity, Weights, similarity
from aiprism.respond.subject import Kind, kind_of
from aiprism.respond.ways import Direction, Way, Ways
from tests.respond.making import T0, alert

NAMES = ("HighErrorRate", "HighLatency", "DocumentsLost")
SERVICES = ("api-gateway", "ai-analysis-service", "user-service", "")


DEPENDS = Ways({("api-gateway", "ai-analysis-service"): "declared"})
THRESHOLD = Weights().threshold


ERRORS = alert("HighErrorRate", "api-gateway")
TABLE = [
    # what it is compared with, its parts (time, service, kind), whether it joins
    ("itself", alert("HighErrorRate", "api-gateway"), (1.0, 1.0, 1.0), True),
    ("another symptom of the same service", alert("HighLatency", "api-gateway"), (1.0, 1.0, 0.5), True),
    ("that symptom two minutes later", alert("HighLatency", "api-gateway", at=T0 + 120), (0.8, 1.0, 0.5), True),
    ("the same service, nothing else in common", alert("DocumentsLost", "api-gateway"), (1.0, 1.0, 0.0), True),
    ("and that a minute later", alert("DocumentsLost", "api-gateway", at=T0 + 60), (0.9, 1.0, 0.0), False),
    ("the same alert an hour later", alert("HighErrorRate", "api-gateway", at=T0 + 3600), (0.0, 1.0, 1.0), True),
    ("another symptom an hour later", alert("HighLatency", "api-gateway", at=T0 + 3600), (0.0, 1.0, 0.5), False),
    ("the same alert of an unrelated service", alert("HighErrorRate", "user-service"), (1.0, 0.0, 1.0), False),
    ("the same alert of a service it depends on", alert("HighErrorRate", "ai-analysis-service"), (1.0, 0.7, 1.0), True),
    ("a symptom of a service it depends on", alert("HighLatency", "ai-analysis-service"), (1.0, 0.7, 0.5), True),
    ("that symptom six minutes later", alert("HighLatency", "ai-analysis-service", at=T0 + 360), (0.4, 0.7, 0.5), False),
    ("an alert that names no service", alert("HighErrorRate", ""), (1.0, 0.0, 1.0), False),
]  # fmt: skip


@pytest.mark.parametrize(("other", "parts", "joins"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_an_alert_is_as_alike_as_the_table_says(other, parts, joins):
    found = similarity(ERRORS, other, DEPENDS)
    assert (found.time, found.service, found.kind) == pytest.approx(parts)
    assert found.score == pytest.approx(0.3 * parts[0] + 0.4 * parts[1] + 0.3 * parts[2])
    assert (found.score >= THRESHOLD) is joins


def test_two_alerts_without_a_service_are_not_of_the_same_service():
    assert similarity(alert("HighErrorRate", ""), alert("HighErrorRate", "")).service == 0.0


@given(st.sampled_from([row[1] for row in TABLE]), st.sampled_from([row[1] for row in TABLE]))
def test_likeness_does_not_depend_on_which_alert_came_first(one, other):
    assert similarity(one, other, DEPENDS).score == similarity(other, one, DEPENDS).score


def test_an_alert_joins_the_incident_it_is_most_like_and_says_why():
    periods = Periods()
    mine, _ = opened(alert("HighErrorRate", "api-gateway"), T0, periods)
    other, _ = opened(alert("HighErrorRate", "user-service"), T0, periods)
    answer = Neighbourhood([other, mine]).joined(alert("HighLatency", "api-gateway", at=T0 + 60))
    assert answer is not None
    assert (answer.home.incident_id, answer.others) == (mine.id, ())
    assert answer.home.why.evidence()["similarity"] == {
        "score": 0.82, "threshold": 0.7, "time": 0.9, "service": 1.0, "kind": 0.5,
        "weights": {"time": 0.3, "service": 0.4, "kind": 0.3},
        "way": {"path": ["api-gateway"], "direction": "same", "known": "", "text": "api-gateway"},
        "to": {"fingerprint": mine.alerts[0].fingerprint, "alertname": "HighErrorRate"},
    }  # fmt: skip


def test_nothing_joins_a_resolved_incident():
    incident, _ = opened(ERRORS, T0, Periods())
    closed, _ = advance(incident, ResolvedByHand("ann"), T0, Periods())
    assert Neighbourhood([closed]).joined(alert("HighLatency", "api-gateway")) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(SERVICES), st.integers(0, 900)), max_size=12))
def test_the_nearest_neighbours_are_as_good_as_all_of_them(storm):
    alerts = [alert(name, service, at=T0 + later) for name, service, later in storm]
    incidents = [opened(item, T0 + at, Periods(), id=f"INC_{at:02}")[0] for at, item in enumerate(alerts)]
    newcomer = alert("HighErrorRate", "api-gateway", at=T0 + 400, instance="new")

    def order(why: Similarity) -> tuple[float, int, float]:
        assert why.way is not None
        return abs(why.to.active_at - newcomer.active_at) // 60, why.way.hops, -why.score

    all_of_them = [similarity(newcomer, item, DEPENDS) for item in alerts]
    best = min((order(each) for each in all_of_them if each.score >= THRESHOLD), default=None)
    found = Neighbourhood(incidents, DEPENDS).joined(newcomer)
    links = [link.why for link in (found.home, *found.others)] if found else []
    assert min(map(order, links), default=None) == best


CALLS = """
gateway orders, gateway users, gateway mail, orders orders-store, orders-store db, users users-db,
mail queue, orders queue, users auth, mail auth, mail legacy, egg hen, hen egg"""
CLIENTS = {(f"client-{n}", "auth") for n in range(20)}
SHOP = Ways(
    {**{(call.split()[0], call.split()[1]): "seen" for call in CALLS.split(",")}, **dict.fromkeys(CLIENTS, "seen")},
    blind=frozenset({"legacy"}),
)
CASCADES = [
    # what alerts, some seconds after another; what becomes of it
    ("a cascade from below", "db orders-store orders gateway", ["db gateway orders orders-store"]),
    ("a cascade whose victims tell first", "gateway orders orders-store db", ["db gateway orders orders-store"]),
    ("a cascade through a service without rules", "db orders", ["db orders"]),
    ("and through two of them", "db gateway", ["db gateway"]),
    ("two faults beside each other", "db users-db", ["db", "users-db"]),
    ("two faults, and who suffers from both", "db orders users-db users gateway",
     ["db orders", "gateway users users-db"]),
    ("a second fault beneath who suffers from the first", "db orders gateway users", ["db gateway orders", "users"]),
    ("a silent third that two of its two callers suffer from", "mail orders", ["mail orders"]),
    ("two of many callers of a silent third", "mail users", ["mail", "users"]),
    ("what ails two tells last", "orders users gateway db users-db", ["db orders", "gateway users users-db"]),
    ("whom a service calls that sends no spans, nobody knows", "users-db users gateway mail legacy",
     ["gateway legacy mail users users-db"]),
    ("a circle that calls itself", "egg hen", ["egg hen"]),
    ("what nobody calls", "nobody somebody", ["nobody", "somebody"]),
]  # fmt: skip


def incidents_of(alerts, ways, parted=never):
    """The services of each incident that these alerts make of themselves, as `homes` and people would see them."""
    neighbours = Neighbourhood((), ways, parted=parted)
    found: dict[str, Incident] = {}
    for each in alerts:
        joined = neighbours.joined(each)
        home = found[joined.home.incident_id] if joined else opened(each, each.active_at, Periods())[0]
        found[home.id] = home if not joined else advance(home, AlertFired(each), each.active_at, Periods())[0]
        neighbours.add(home, each)
        for link in joined.others if joined else ():
            younger = found.pop(link.incident_id)
            neighbours.merge(home.id, younger.id)
            for moved in younger.alerts:
                found[home.id] = advance(found[home.id], AlertFired(moved), each.active_at, Periods())[0]
    return sorted(" ".join(sorted(each.services)) for each in found.values())


@pytest.mark.parametrize(("story", "expected"), [row[1:] for row in CASCADES], ids=[row[0] for row in CASCADES])
def test_what_has_one_origin_is_one_incident(story, expected):
    alerts = [alert("HighErrorRate", service, at=T0 + 5 * n) for n, service in enumerate(story.split())]
    assert incidents_of(alerts, SHOP) == expected


WAVES = [
    # what alerts how many seconds after the first; what becomes of it
    ("who suffers from both of two faults is each time of the one that began then",
     "db@0 orders@5 gateway@10 users-db@240 users@245 gateway@250", ["db gateway orders", "gateway users users-db"]),
    ("within a minute the fewest calls tell", "db@0 orders@5 gateway@10 users-db@30 users@35 gateway@40",
     ["db gateway orders", "users users-db"]),
    ("a fault that spread is over as a cause when nothing began for ten minutes",
     "db@0 orders@5 db@1200 orders@1205 gateway@1210", ["db gateway orders", "db orders"]),
    ("and goes on while something of it begins", "db@0 orders@300 db@590 orders@890", ["db orders"]),
    ("a service that fails alone goes on for as long as it likes", "db@0 db@1200 db@7200", ["db"]),
    ("two are not one because of what began long before", "orders@0 db@400 orders@405", ["db orders", "orders"]),
    ("but because of what began a little before", "orders@0 mail@100 queue@110 orders@120", ["mail orders queue"]),
]  # fmt: skip


@pytest.mark.parametrize(("story", "expected"), [row[1:] for row in WAVES], ids=[row[0] for row in WAVES])
def test_what_is_one_incident_has_one_time(story, expected):
    told = [each.split("@") for each in story.split()]
    alerts = [
        alert("HighErrorRate", service, at=T0 + float(at), instance=f"{service}-{n}")
        for n, (service, at) in enumerate(told)
    ]
    assert incidents_of(alerts, SHOP) == expected


CAUSE_LAST = [alert("HighErrorRate", name, at=T0 + 5 * n) for n, name in enumerate(["a", "b", "store"])]
STORE = Ways({(caller, "store"): "declared" for caller in ("a", "b", "c", "d", "e", "f", "g")})


def test_an_alert_beneath_two_incidents_makes_them_one():
    assert incidents_of(CAUSE_LAST[:2], STORE) == ["a", "b"]
    assert incidents_of(CAUSE_LAST, STORE) == ["a b store"]


def test_what_a_person_parted_stays_parted():
    assert incidents_of(CAUSE_LAST, STORE, parted=lambda one, other: True) == ["a", "b store"]


def test_what_a_person_parted_is_not_joined_over_a_third():
    a, b, store = CAUSE_LAST
    ways = Ways({(caller, "store"): "declared" for caller in "abcdefghijklmnopqrst"})
    third = alert("HighErrorRate", "c", at=T0 + 8)
    ids = {opened(each, each.active_at, Periods())[0].id for each in (a, b)}
    found = incidents_of([a, b, third, store], ways, parted=lambda one, other: {one, other} == ids)
    assert found == ["a", "b c store"]


def test_the_older_of_two_is_the_one_that_stays():
    older, _ = opened(CAUSE_LAST[1], T0, Periods())
    younger, _ = opened(CAUSE_LAST[0], T0 + 9, Periods())
    found = Neighbourhood([younger, older], STORE).joined(CAUSE_LAST[2])
    assert found is not None
    assert (found.home.incident_id, [link.incident_id for link in found.others]) == (older.id, [younger.id])
    assert found.others[0].why.way == Way(Direction.CALLED, 1, ("a", "store"), "declared")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ServiceDown", Kind.AVAILABILITY), ("HighErrorRate", Kind.ERRORS), ("DatabaseConnectionFailure", Kind.ERRORS),
        ("HighLatency", Kind.LATENCY), ("AIModelPerformanceDegraded", Kind.LATENCY),
        ("DocumentProcessingBacklog", Kind.SATURATION), ("HighCPUUsage", Kind.SATURATION),
        ("UserSatisfactionDrop", Kind.BUSINESS), ("SecurityBreach", Kind.SECURITY), ("Watchdog", Kind.OTHER),
    ],
)  # fmt: skip
def test_the_plans_alert_names_tell_their_kind(name, kind):
    assert kind_of(alert(name).labels) is kind


def test_a_kind_label_is_taken_at_its_word():
    assert kind_of(alert("Watchdog", kind="latency").labels) is Kind.LATENCY

"""Similar past incidents are found among others, by a small set whose pairs people would name."""

from __future__ import annotations

import pytest

from aiprism.learn.similar import ALIKE, Traits, alike, traits_of
from aiprism.respond.incident import Periods, opened
from tests.respond.making import T0, alert

CALLS = {
    ("api-gateway", "ai-analysis"),
    ("ai-analysis", "model-server"),
    ("api-gateway", "user-service"),
    ("orders", "postgres"),
}

# (group, alert, service, what its rule says): incidents of one group have one cause. "alone" resembles none.
LABELLED = [
    ("model", "ModelLatencyHigh", "model-server", "p95 of model calls is above ten seconds"),
    ("model", "ModelLatencyHigh", "model-server", "p95 of model calls is above twelve seconds"),
    ("model", "AnalysisSlow", "ai-analysis", "p95 of model calls is above ten seconds, analysis waits"),
    ("database", "DatabaseConnectionsExhausted", "postgres", "no connection is left in the pool"),
    ("database", "DatabaseConnectionsExhausted", "postgres", "no connection is left in the pool of orders"),
    ("database", "ConnectionPoolExhausted", "orders", "no connection is left in the pool"),
    ("disk", "DiskFull", "postgres", "the volume of the database has no room"),
    ("disk", "DiskFull", "postgres", "the volume of the database has no room within an hour"),
    ("login", "LoginFailures", "user-service", "many passwords are wrong, from one address"),
    ("login", "LoginFailures", "user-service", "many passwords are wrong, from many addresses"),
    ("alone", "CertificateExpires", "mailer", "the certificate ends within a day"),
    ("alone", "QueueGrows", "thumbnails", "documents wait for pictures"),
    ("alone", "UploadErrors", "storage", "objects cannot be written"),
]  # fmt: skip


def related(one, other):
    return (one, other) in CALLS or (other, one) in CALLS


def labelled():
    found = []
    for number, (group, name, service, text) in enumerate(LABELLED):
        fired = alert(name, service, at=T0 + number, annotations={"summary": text})
        found.append((group, traits_of(opened(fired, T0 + number, Periods(), id=f"INC_{number}")[0])))
    return found


def test_what_people_would_call_similar_is_found_and_little_else():
    everything = labelled()
    groups = {traits.id: group for group, traits in everything}
    hits = misses = wrong = 0
    for group, traits in everything:
        told = {each.id for each in alike(traits, [other for _, other in everything], related, most=20)}
        wanted = {name for name, of in groups.items() if of == group != "alone" and name != traits.id}
        hits, misses, wrong = hits + len(told & wanted), misses + len(wanted - told), wrong + len(told - wanted)
    found, right = hits / (hits + misses), hits / (hits + wrong)
    assert found >= 0.85, f"{misses} of {hits + misses} were not found"
    assert right >= 0.95, f"{wrong} of {hits + wrong} are not similar"


def traits(name="INC_1", alerts=("A",), services=("shop",), words=("slow", "shop"), errors=(), kinds=("latency",)):
    return Traits(name, name, T0, frozenset(alerts), frozenset(kinds), frozenset(services), words, frozenset(errors))


@pytest.mark.parametrize(
    ("other", "parts", "reason"),
    [
        (traits("INC_2"), {"alerts": 1.0, "services": 1.0, "words": 1.0}, "the same alerts: A"),
        (traits("INC_2", alerts=("B",)), {"alerts": 0.4, "services": 1.0, "words": 1.0}, "alerts of the same kind: latency"),
        (traits("INC_2", services=("orders",)), {"alerts": 1.0, "services": 0.0, "words": 1.0}, "the same alerts: A"),
    ],
)  # fmt: skip
def test_each_likeness_tells_its_parts_and_what_is_shared(other, parts, reason):
    [found] = alike(traits(), [other], related)
    assert (found.parts, found.reasons[0]) == (parts, reason)


def test_services_that_call_each_other_are_half_alike():
    [found] = alike(traits(services=("orders",)), [traits("INC_2", services=("postgres",))], related)
    assert found.parts["services"] == 0.5
    assert "services that call each other: orders and postgres" in found.reasons


def test_errors_in_logs_count_where_both_have_some():
    of = traits(errors=("pool is full",))
    [silent, same, other] = alike(
        of, [traits("S", errors=("pool is full",)), traits("N"), traits("O", errors=("no route",))], related
    )  # fmt: skip
    assert [silent.id, same.id, other.id] == ["N", "S", "O"]  # those of one score by name
    assert (same.parts["errors"], "errors" in silent.parts, other.parts["errors"]) == (1.0, False, 0.0)
    assert "the same errors in logs: pool is full" in same.reasons


def test_it_is_a_share_between_nothing_and_all_and_the_same_from_both_sides():
    everything = [each for _, each in labelled()]
    for one in everything:
        for other in everything:
            there, back = alike(one, [other], related), alike(other, [one], related)
            assert [each.score for each in there] == [each.score for each in back]
            assert all(ALIKE <= each.score <= 1.0 for each in there)

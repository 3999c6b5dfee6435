"""A fault that spreads along calls nobody declared is one incident: the responder knows who calls whom from the spans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiprism.clock import FakeClock
from aiprism.learn.survey import Survey
from aiprism.respond import journal
from aiprism.respond.desk import Policy
from aiprism.respond.responder import Responder
from aiprism.services import Catalogue
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.store.records import Records
from tests.respond.making import alert
from tests.store.test_edges import AT, Sent, drain, store

NOW = AT + 600.0


@pytest.fixture
def survey(engine: Engine) -> Survey:
    """Twenty requests of checkout to payments, and of reports to nobody."""
    for trace in range(1, 21):
        store(engine, Sent(1, "checkout", "client", trace=trace), Sent(2, "payments", "server", parent=1, trace=trace))
        store(engine, Sent(3, "reports", "server", trace=trace + 100))
    drain(EdgeJoin(engine).advance(NOW))
    return Survey(engine, Catalogue, FakeClock(NOW))


@pytest.fixture
def responder(survey: Survey, tmp_path) -> Iterator[Responder]:
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    policy = Policy(ways=survey.ways)
    yield Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=FakeClock(NOW))
    records.close()


def incidents(responder: Responder) -> list[set[str]]:
    with responder.records.reading() as connection:
        return sorted((set(each.services) for each in journal.listed(connection, "open", 10)), key=sorted)


CASCADE = [
    alert("HighLatency", "payments", at=NOW - 60),
    alert("HighErrorRate", "checkout", at=NOW - 30),
    alert("HighErrorRate", "reports", at=NOW - 30),
]


def test_alerts_of_services_that_call_each_other_are_one_incident(responder: Responder, survey: Survey) -> None:
    survey.refresh()
    for each in CASCADE:
        responder.accept([each])
    assert incidents(responder) == [{"checkout", "payments"}, {"reports"}]


def test_before_calls_are_seen_each_stands_alone(responder: Responder) -> None:
    for each in CASCADE:
        responder.accept([each])
    assert incidents(responder) == [{"checkout"}, {"payments"}, {"reports"}]

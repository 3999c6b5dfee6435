"""A version of a service is an event when its spans are first seen, once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.model.events import ChangeEvent
from aiprism.model.timerange import TimeRange
from aiprism.store import deployments
from aiprism.store.deployments import Deployments
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.spancolumns import span_columns

AT = 1_700_000_000.0
TOKENS = itertools.count()


def sends(engine: Engine, service: str, *, at: float = AT, **resource: str) -> None:
    """Two spans of `service`, the first at `at`; dots in names of resource attributes are written as underscores."""
    request = ExportTraceServiceRequest()
    sent = request.resource_spans.add()
    for key, value in {
        "service.name": service,
        **{key.replace("_", "."): text for key, text in resource.items()},
    }.items():
        sent.resource.attributes.add(key=key).value.string_value = value
    for second in (0, 1):
        sent.scope_spans.add().spans.add(
            trace_id=b"t" * 16,
            span_id=bytes([second + 1]) * 8,
            start_time_unix_nano=int((at + second) * 1000) * 1_000_000,
        )
    engine.insert_arrow("spans", span_columns(request.SerializeToString()), token=f"deployments {next(TOKENS)}")


def noted(engine: Engine) -> Sequence[ChangeEvent]:
    return EventStore(engine).search(TimeRange(0, 2 * AT))


def known(engine: Engine, *services: str) -> None:
    """These were seen long ago, with a version or without."""
    for service in services:
        sends(engine, service, at=AT - 86_400)


def test_a_new_version_is_noted_when_its_first_span_began(engine: Engine) -> None:
    known(engine, "orders")
    sends(engine, "orders", service_version="1.4.2", deployment_environment_name="prod")
    Deployments(engine).note(AT + 60)
    attributes = {"version": "1.4.2", "environment": "prod"}
    assert noted(engine) == [
        ChangeEvent(
            "deployment:orders:prod:1.4.2",
            AT,
            "deployment",
            "orders",
            "orders 1.4.2",
            "its first spans",
            attributes,
            "spans",
        )
    ]


def test_it_is_noted_once_whoever_looks_and_how_often(engine: Engine) -> None:
    known(engine, "orders")
    one, other = Deployments(engine), Deployments(engine)
    for minute in range(4):
        sends(engine, "orders", at=AT + 60 * minute, service_version="1")
        for each in (one, other, one):
            each.note(AT + 60 * minute + 30)
    assert [(each.title, each.ts) for each in noted(engine)] == [("orders 1", AT)]


def test_each_environment_and_version_is_its_own_and_one_that_comes_back_is_not(engine: Engine) -> None:
    known(engine, "orders")
    running, made = Deployments(engine), []
    for minute, (version, environment) in enumerate([("1", "prod"), ("2", "prod"), ("1", "prod"), ("2", "test")]):
        at = AT + 600 * minute
        sends(engine, "orders", at=at, service_version=version, deployment_environment=environment)
        made.append([each.id for each in running.note(at + 30)])
    assert made == [["deployment:orders:prod:1"], ["deployment:orders:prod:2"], [], ["deployment:orders:test:2"]]


def test_the_first_version_of_a_service_is_its_start_and_those_after_it_are_deployments(engine: Engine) -> None:
    known(engine, "mailer")
    for service in ("orders", "mailer"):
        sends(engine, service, service_version="1")
    sends(engine, "orders", at=AT + 30, service_version="2")
    Deployments(engine).note(AT + 60)
    sends(engine, "orders", at=AT + 600, service_version="3")
    sends(engine, "orders", at=AT + 610, service_version="1")
    Deployments(engine).note(AT + 630)  # of a process that was started meanwhile
    kinds = {each.title: each.kind for each in noted(engine)}
    assert kinds == {
        "orders 1": "start", "mailer 1": "deployment", "orders 2": "deployment", "orders 3": "deployment",
    }  # fmt: skip


def test_who_says_no_version_or_did_so_long_ago_is_not_noted(engine: Engine) -> None:
    sends(engine, "orders")
    sends(engine, "mailer", at=AT - 400, service_version="1")
    assert Deployments(engine).note(AT + 60) == []


@pytest.mark.parametrize(("version", "notes"), [("1.4.2", 0), ("1.4.3", 1)])
def test_a_version_that_was_announced_is_not_noted_beside_that(engine: Engine, version: str, notes: int) -> None:
    said = ChangeEvent("ci-7", AT - 3600, "deployment", "orders", "rolled out", "", {"version": "1.4.2"}, "ci")
    EventStore(engine).put([said])
    sends(engine, "orders", service_version=version)
    assert len(Deployments(engine).note(AT + 60)) == notes


def test_of_very_many_versions_some_are_noted_a_minute_later(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "_AT_ONCE", 2)
    for number in range(5):
        sends(engine, "orders", at=AT + number, service_version=f"{number}{'x' * 300}")
    running = Deployments(engine)
    assert [len(running.note(AT + 60)) for _ in range(4)] == [2, 2, 1, 0]
    assert {len(each.id) for each in noted(engine)} == {64}

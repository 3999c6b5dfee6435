"""Every door, sent what is broken in many ways: no 5xx, nothing stored of what was refused, and it goes on working.

The long form is bench/fuzz/doors.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from bench.fuzz.doors import CONFIG, GRPC_DOORS, HTTP_DOORS, TALKS, Door, Target, broken, talk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journeys.conftest import Server, eventually

SEEDS = st.integers(0, 2**32)
bounded = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Running:
    server: Server
    target: Target


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("fuzz")
    (directory / "aiprism.yml").write_text(CONFIG, encoding="utf-8")
    server = Server(directory / "data", directory / "aiprism.yml").start()
    target = Target(server.url, server.grpc, server.is_running)
    yield Running(server, target)
    target.close()
    assert server.is_running()
    assert server.stop() == 0
    assert [line for line in server.log if "Traceback" in line or "web.failed" in line] == []


@pytest.mark.parametrize("door", HTTP_DOORS, ids=lambda door: door.name)
def test_an_http_door_withstands_what_is_broken(running: Running, door: Door) -> None:
    @bounded
    @given(seed=SEEDS)
    def send(seed: int) -> None:
        running.target.try_broken(door, random.Random(seed))

    send()
    running.target.try_good(door)


@pytest.mark.parametrize(("name", "method", "good"), GRPC_DOORS, ids=lambda value: value if "." in str(value) else "")
def test_a_grpc_door_withstands_what_is_broken(
    running: Running, name: str, method: str, good: Callable[[], bytes]
) -> None:
    @bounded
    @given(seed=SEEDS)
    def send(seed: int) -> None:
        running.target.try_broken_call(name, method, broken(good(), random.Random(seed)))

    send()
    running.target.try_good_call(name, method, good())


@pytest.mark.parametrize(("name", "good"), TALKS, ids=[name for name, _ in TALKS])
def test_a_door_of_a_stream_withstands_what_is_broken(running: Running, name: str, good: Callable[[], bytes]) -> None:
    address, datagram = running.server.doors[name], "udp" in name

    @bounded
    @given(seed=SEEDS)
    def send(seed: int) -> None:
        talk(address, broken(good(), random.Random(seed)), datagram=datagram)

    send()
    before = running.target.stored()
    talk(address, good(), datagram=datagram)
    eventually(lambda: running.target.stored() - before, what="the good messages to be stored")


FOUND = [
    (name, body % (b"[" * depth + b"]" * depth))
    for name, body in (
        ("loki.json", b'{"streams": [{"stream": {"a": %b}, "values": [["1790000000000000000", "x"]]}]}'),
        ("zipkin", b'[{"traceId": "463ac35c9f6413ad", "id": "463ac35c9f6413ad", "tags": {"a": %b}}]'),
    )
    for depth in (300, 1000)
]


@pytest.mark.parametrize(("name", "body"), FOUND, ids=[f"{name}-{len(body)}" for name, body in FOUND])
def test_what_fuzzing_once_found_is_no_failure_of_ours(running: Running, name: str, body: bytes) -> None:
    [door] = [each for each in HTTP_DOORS if each.name == name]
    assert running.target.post(replace(door.good(), body=body)).status_code < 500

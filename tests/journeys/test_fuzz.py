"""Every door, sent what is broken in many ways: no 5xx, nothing stored of what was refused, and it goes on working.

The long form is bench/fuzz/doors.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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

"""Commands arrive over a real long poll, are acknowledged, and end on time without the platform."""

from __future__ import annotations

import json
import socket
import threading

import pytest

import aiprism
from aiprism.sdk.channel import ControlChannel, Instance, UntrustedEndpoint
from aiprism.sdk.control import Controls
from tests.sdk.receiver import TOKEN, Platform, eventually

HERE = Instance("document-processor", "i-1", "2.1.0", "demo", 4711)
BREAKER = {"control": "ai-model", "kind": "circuit_breaker"}


@pytest.fixture
def controls():
    return Controls()


@pytest.fixture
def channel(platform, controls):
    running = ControlChannel(controls, platform.url, TOKEN, HERE)
    running.start()
    yield running
    running.stop(5)


def test_the_platform_hears_who_is_there_and_what_can_be_steered(platform, controls, channel):
    controls.circuit_breaker("ai-model")
    controls.traffic_weight("model", {"sonnet": 1.0, "haiku": 0.0})
    poll = eventually(lambda: next((poll for poll in platform.polls if len(poll["controls"]) == 2), None), "the poll")
    assert poll == {
        "service": "document-processor",
        "instance": "i-1",
        "version": "2.1.0",
        "environment": "demo",
        "pid": 4711,
        "controls": [
            {
                "name": "ai-model",
                "kind": "circuit_breaker",
                "state": {"open": False, "forced": None, "failures": 0},
            },
            {"name": "model", "kind": "traffic_weight", "state": {"weights": {"sonnet": 1.0, "haiku": 0.0}}},
        ],
        "acks": [],
        "wait_seconds": 25.0,
    }


def test_a_command_is_followed_and_acknowledged(platform, controls, channel):
    breaker = controls.circuit_breaker("ai-model")
    platform.command(id="c1", action="open", **BREAKER)
    eventually(lambda: platform.acks("c1") == ["applied"], "the acknowledgement")
    assert breaker.is_open


def test_a_repeated_command_is_acknowledged_again_and_applied_once(platform, controls, channel):
    resets = []
    controls.pool("database", reset=lambda: resets.append(1))
    for times in (1, 2):
        platform.command(id="c1", control="database", kind="pool", action="reset")
        eventually(lambda: platform.acks("c1") == ["applied"] * times, "the acknowledgement")  # noqa: B023
    assert resets == [1]


def test_a_revoked_command_is_undone_and_acknowledged(platform, controls, channel):
    breaker = controls.circuit_breaker("ai-model")
    platform.command(id="c1", action="open", **BREAKER)
    eventually(lambda: breaker.is_open, "the command")
    platform.revoke("c1")
    eventually(lambda: platform.acks("c1") == ["applied", "undone"], "the acknowledgement")
    assert not breaker.is_open


def test_an_expired_command_is_undone_and_acknowledged(platform, controls, channel):
    breaker = controls.circuit_breaker("ai-model")
    platform.command(id="c1", action="open", ttl_seconds=0.2, **BREAKER)
    eventually(lambda: platform.acks("c1") == ["applied", "expired"], "the acknowledgements")
    assert not breaker.is_open


def test_a_command_expires_although_the_platform_has_died(controls):
    platform = Platform()
    channel = ControlChannel(controls, platform.url, TOKEN, HERE)
    channel.start()
    try:
        breaker = controls.circuit_breaker("ai-model")
        platform.command(id="c1", action="open", ttl_seconds=1.0, **BREAKER)
        eventually(lambda: breaker.is_open, "the command")
        platform.close()
        eventually(lambda: not breaker.is_open, "the end of the command")
    finally:
        channel.stop(5)


def test_a_bad_command_fails_with_its_reason(platform, controls, channel):
    platform.command(id="c1", action="open", **BREAKER)
    eventually(lambda: platform.acks("c1") == ["failed"], "the acknowledgement")
    (ack,) = [ack for poll in platform.polls for ack in poll["acks"]]
    assert ack["message"] == "no circuit_breaker 'ai-model' here; registered: none"


def test_nonsense_from_the_platform_is_survived(platform, controls, channel):
    controls.circuit_breaker("ai-model")
    for answer in (
        {"commands": [{"id": 1}, None, "x", {"id": "c0", "params": 3, "action": "open", **BREAKER}]},
        {"commands": 7, "revoked": {"a": 1}, "server_time": "now"},
    ):
        platform.say(answer)
    platform.command(id="c1", action="open", **BREAKER)
    eventually(lambda: platform.acks("c1") == ["applied"], "the acknowledgement")


def test_stopping_undoes_every_command_and_ends_the_threads(platform, controls):
    channel = ControlChannel(controls, platform.url, TOKEN, HERE)
    channel.start()
    breaker = controls.circuit_breaker("ai-model")
    platform.command(id="c1", action="open", **BREAKER)
    eventually(lambda: breaker.is_open, "the command")
    channel.stop(20)
    assert not breaker.is_open
    assert not any(thread.name.startswith("aiprism-control") for thread in threading.enumerate())


def test_a_wrong_token_is_not_followed_by_a_storm(platform, controls):
    channel = ControlChannel(controls, platform.url, "wrong", HERE)
    channel.start()
    eventually(lambda: platform.headers, "the first poll")
    channel.stop(5)
    assert len(platform.headers) == 1
    assert platform.polls == []


@pytest.mark.parametrize("endpoint", ["http://10.0.0.7:9090", "http://example.com", "http://localhost.example.com"])
def test_the_token_does_not_travel_in_clear_text(controls, endpoint):
    with pytest.raises(UntrustedEndpoint, match="would carry the token in clear text"):
        ControlChannel(controls, endpoint, TOKEN, HERE)


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:9", "http://127.8.8.8", "http://[::1]:9", "http://localhost:9", "https://example.com"],
)
def test_loopback_and_tls_are_trusted(controls, endpoint):
    ControlChannel(controls, endpoint, TOKEN, HERE)._close_pair()


def test_clear_text_can_be_allowed(controls):
    ControlChannel(controls, "http://10.0.0.7:9090", TOKEN, HERE, allow_plaintext=True)._close_pair()


def test_instrument_connects_the_processs_controls(platform, instrumented, monkeypatch):
    monkeypatch.setenv("AIPRISM_CONTROL_TOKEN", TOKEN)
    instrumentation = instrumented(control_endpoint=platform.url, instance="one")
    breaker = aiprism.controls.circuit_breaker("ai-model")
    platform.command(id="c1", action="open", **BREAKER)
    eventually(lambda: platform.acks("c1") == ["applied"], "the acknowledgement")
    assert breaker.is_open
    assert {poll["instance"] for poll in platform.polls} == {"one"}
    instrumentation.shutdown()
    assert not breaker.is_open


def test_without_a_token_there_is_no_channel(platform, instrumented):
    assert instrumented(control_endpoint=platform.url)._channel is None


def test_an_untrusted_endpoint_is_said_and_not_raised(instrumented, caplog):
    assert instrumented(control_endpoint="http://10.0.0.7:9090", control_token=TOKEN)._channel is None
    assert "would carry the token in clear text" in caplog.text


def test_an_answer_that_begins_early_is_waited_for_to_its_end(controls, monkeypatch):
    """Over TLS the socket is readable long before the answer: session tickets come first."""
    monkeypatch.setattr("aiprism.sdk.channel._GRACE_SECONDS", 0.2)
    breaker = controls.circuit_breaker("ai-model")
    answer = json.dumps({"commands": [{"id": "c1", "action": "open", "ttl_seconds": None, **BREAKER}], "revoked": []})
    finish = threading.Event()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                finish.wait(0.6)  # longer than the grace
                connection.sendall(f"Content-Length: {len(answer)}\r\n\r\n{answer}".encode())
                connection.recv(65_536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        channel = ControlChannel(controls, f"http://127.0.0.1:{server.getsockname()[1]}", TOKEN, HERE)
        channel.start()
        try:
            eventually(lambda: breaker.is_open, "the command of the slow answer")
        finally:
            channel.stop(5)
            finish.set()
            thread.join(5)

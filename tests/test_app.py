"""What the platform does before anything of it runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from aiprism.app import running
from aiprism.config import Config, ServerConfig, StreamsConfig
from aiprism.errors import ConfigError

LISTENING = ServerConfig(listen="127.0.0.1:0", otlp_http="", otlp_grpc="", syslog_tls="127.0.0.1:0")


@pytest.mark.parametrize(
    ("server", "streams", "says"),
    [
        ({}, {"tls_certificate": "missing.pem", "tls_key": "key.pem"}, r"missing\.pem.*streams\.tls_certificate"),
        ({}, {}, "server.syslog_tls needs streams.tls_certificate"),
        ({"syslog_tls": ""}, {"syslog_zone": "Mars/Olympus"}, "streams.syslog_zone"),
        ({"syslog_tls": "", "fluent": "nowhere"}, {}, "server.fluent"),
        ({"syslog_tls": "", "otlp_grpc": "nowhere"}, {}, "server.otlp_grpc"),
        ({"syslog_tls": "", "fluent_tls": "127.0.0.1:0"}, {}, "server.fluent_tls needs streams.tls_certificate"),
        (
            {"syslog_tls": ""},
            {"fluent_users": {"shop": "secret"}},
            "streams.fluent_users needs streams.fluent_shared_key",
        ),
        ({"syslog_tls": "", "cors_origin": "https://(a"}, {}, "server.cors_origin.*no regular expression"),
    ],
)
def test_doors_that_cannot_be_opened_are_refused_before_there_is_a_store(
    data: Path, server: dict[str, str], streams: dict[str, object], says: str
) -> None:
    config = Config(data=data, base=data, server=replace(LISTENING, **server), streams=StreamsConfig(**streams))  # type: ignore[arg-type]

    async def run() -> None:
        async with running(lambda: config):
            pytest.fail("it runs")

    with pytest.raises(ConfigError, match=says):
        asyncio.run(run())
    assert not (data / "telemetry").exists()

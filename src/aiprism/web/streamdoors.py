"""The doors of stream protocols (syslog, Fluent forward): their sockets opened, their addresses told.

In: the settings `server.syslog_*`, `server.fluent*` and `streams.*`. Out: doors that can be started. What they understand is
left to `receive`. Opened and built in two steps, as what may be refused is to be refused before there is a store.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from aiprism.clock import Clock
from aiprism.config import Config
from aiprism.errors import ConfigError
from aiprism.receive.doors import OtlpDoors
from aiprism.receive.fluent_server import FluentDoor
from aiprism.receive.inflight import InFlight
from aiprism.receive.streams import tls_context
from aiprism.receive.syslog_server import SyslogDoors, zone_of
from aiprism.telemetry import Telemetry
from aiprism.web.listening import datagrams, listen, url_of

Secure = tuple[socket.socket, ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class StreamSockets:
    """What the doors are opened on; None, or nothing, where one is closed."""

    syslog_udp: socket.socket | None
    syslog_tcp: socket.socket | None
    syslog_tls: Secure | None
    fluent: Sequence[tuple[socket.socket, ssl.SSLContext | None]]


def opened(config: Config, stack: contextlib.AsyncExitStack) -> StreamSockets:
    """The sockets that are configured, closed by `stack`; ConfigError when an address, a file of TLS or a setting is wrong."""
    asked, streams = config.server, config.streams
    zone_of(streams.syslog_zone)
    if streams.fluent_users and not streams.fluent_shared_key:
        raise ConfigError(
            "streams.fluent_users needs streams.fluent_shared_key: the protocol asks for both or the key alone"
        )
    fluent: list[tuple[socket.socket, ssl.SSLContext | None]] = []
    if asked.fluent:
        fluent.append((stack.enter_context(listen(asked.fluent, "server.fluent")), None))
    if secure := _tls_socket(config, asked.fluent_tls, "server.fluent_tls", stack):
        fluent.append(secure)
    return StreamSockets(
        stack.enter_context(datagrams(asked.syslog_udp, "server.syslog_udp")) if asked.syslog_udp else None,
        stack.enter_context(listen(asked.syslog_tcp, "server.syslog_tcp")) if asked.syslog_tcp else None,
        _tls_socket(config, asked.syslog_tls, "server.syslog_tls", stack),
        fluent,
    )


def stream_doors(
    config: Config, on: StreamSockets, doors: OtlpDoors, telemetry: Telemetry, clock: Clock, in_flight: InFlight
) -> Iterator[SyslogDoors | FluentDoor]:
    """The doors on the sockets that are opened, their addresses printed."""
    tls = on.syslog_tls[0] if on.syslog_tls else None
    for kind, each in (("udp", on.syslog_udp), ("tcp", on.syslog_tcp), ("tls", tls)):
        if each:
            _tell(f"syslog {kind}", each)
    if on.syslog_udp or on.syslog_tcp or on.syslog_tls:
        yield SyslogDoors(
            doors,
            config.streams,
            telemetry,
            clock,
            udp=on.syslog_udp,
            tcp=on.syslog_tcp,
            tls=on.syslog_tls,
            in_flight=in_flight,
        )
    for each, context in on.fluent:
        _tell("fluent tls" if context else "fluent", each)
    if on.fluent:
        nonce = partial(secrets.token_bytes, 16)
        yield FluentDoor(doors, config.streams, telemetry, clock, on.fluent, nonce, in_flight)


def _tls_socket(config: Config, address: str, door: str, stack: contextlib.AsyncExitStack) -> Secure | None:
    """The socket of a door over TLS and the files it needs; None when there is no address."""
    streams = config.streams
    if not address:
        return None
    if not (streams.tls_certificate and streams.tls_key):
        raise ConfigError(f"{door} needs streams.tls_certificate and streams.tls_key")
    client_ca = config.base / streams.tls_client_ca if streams.tls_client_ca else None
    context = tls_context(door, config.base / streams.tls_certificate, config.base / streams.tls_key, client_ca)
    return stack.enter_context(listen(address, door)), context


def _tell(what: str, listening: socket.socket) -> None:
    print(f"{what} {url_of(listening).removeprefix('http://')}", flush=True)  # noqa: T201

"""Sockets and HTTP servers: open an address, serve an application on it, stop within a bounded time.

Connections are bounded in number and in patience: who sends no whole request head in time is hung up on, however it
dribbles, and over the limit a connection is told so and closed, so that those that work keep working.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from asyncio.events import TimerHandle
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aiprism.errors import ConfigError

# How long open connections may hold up a stop; a long poll or an event stream would hold it up for ever.
GRACE_SECONDS = 3


def address_of(text: str, setting: str) -> tuple[str, int]:
    """(host, port) of ``host:port`` or ``[v6]:port``; ConfigError naming `setting` when it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"{setting}: {text!r} is not host:port, like 127.0.0.1:9090")
    return host.strip("[]") or "127.0.0.1", int(port)


def listen(text: str, setting: str) -> socket.socket:
    """A listening TCP socket on `text`; port 0 picks a free one. ConfigError when the address cannot be had."""
    opened = _bound(text, setting, socket.SOCK_STREAM)
    opened.listen(2048)
    return opened


def url_of(listening: socket.socket) -> str:
    """Where a socket listens, as the beginning of a URL."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def datagrams(text: str, setting: str) -> socket.socket:
    """A UDP socket on `text`; port 0 picks a free one. ConfigError when the address cannot be had."""
    return _bound(text, setting, socket.SOCK_DGRAM)


def _bound(text: str, setting: str, kind: socket.SocketKind) -> socket.socket:
    host, port = address_of(text, setting)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, kind)
    if kind is socket.SOCK_STREAM:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"{setting}: cannot listen on {text}: {error.strerror}; is aiprism running already?"
        ) from error
    opened.setblocking(False)
    return opened


# File descriptors that are kept for the store, the control database and the other doors.
_OTHER_FILES = 1024


def most_connections(wanted: int) -> int:
    """How many connections `wanted` can be, after the soft limit of open files was raised to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a platform may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, soft - _OTHER_FILES))


class HttpServer:
    """One ASGI application on several sockets, with at most `connections` open at a time.

    A connection on which no whole request head has come for `idle` seconds is closed.
    """

    def __init__(
        self, app: ASGIApp, sockets: list[socket.socket], *, connections: int = 1000, idle: float = 75.0
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_bounded(connections, idle),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=max(1, round(idle)),
        )
        self._server = _QuietServer(config)
        self._sockets = sockets
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once requests are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise ConfigError("the HTTP server ended before it started")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer what is being answered, then close."""
        self._server.should_exit = True
        if self._task:
            await self._task


class _QuietServer(uvicorn.Server):
    """Signals belong to app.py, which stops every part and not only this one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bounded(most: int, idle: float) -> type[HttpToolsProtocol]:
    """The protocol of one connection, bounded. uvicorn counts its keep-alive anew with every byte, and has no limit on the
    head of a request: a client that sends one byte a minute would keep its connection for ever."""

    class Connection(HttpToolsProtocol):
        _patience: TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.write(_FULL)
                transport.close()
                return
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def on_headers_complete(self) -> None:
            self._stop_waiting()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
                self._wait_for_head()

        def _wait_for_head(self) -> None:
            self._stop_waiting()
            self._patience = self.loop.call_later(idle, self.timeout_keep_alive_handler)

        def _stop_waiting(self) -> None:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

        def data_received(self, data: bytes) -> None:
            if not self.transport.is_closing():  # what still comes after we hung up
                super().data_received(data)

    return Connection


_SAID = b"too many connections (server.connections); come again in a moment\n"
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b" % (len(_SAID), _SAID)
)

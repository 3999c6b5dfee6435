"""Sockets and HTTP servers: open an address, serve an application on it, stop within a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

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


class HttpServer:
    """One ASGI application on several sockets."""

    def __init__(self, app: ASGIApp, sockets: list[socket.socket]) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=75,
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

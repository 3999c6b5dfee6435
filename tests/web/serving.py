"""An application on a real socket, for clients that know only HTTP: the server of `aiprism serve`, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from aiprism.web.listening import HttpServer, listen, url_of


@contextmanager
def serving(application: ASGIApp) -> Iterator[str]:
    """The URL under which `application` answers as long as the context lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[HttpServer, str]:
        socket = listen("127.0.0.1:0", "server.listen")
        server = HttpServer(application, [socket])
        await server.start()
        return server, url_of(socket)

    server, url = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()

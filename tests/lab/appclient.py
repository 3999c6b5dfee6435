"""Asks an application without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class AppClient:
    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, **fields: Any) -> httpx.Response:
        return self._ask("GET", path, fields)

    def post(self, path: str, **fields: Any) -> httpx.Response:
        return self._ask("POST", path, fields)

    def delete(self, path: str, **fields: Any) -> httpx.Response:
        return self._ask("DELETE", path, fields)

    def _ask(self, method: str, path: str, fields: dict[str, Any]) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
                return await client.request(method, path, **fields)

        return asyncio.run(once())

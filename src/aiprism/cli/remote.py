"""A running server as the commands see it: questions go out over HTTP, JSON comes back, refusals become one sentence.

In: the server's address. Out: `Remote`, whose `get` and `post` give decoded JSON or raise `Away` or `Refusal`. The
standard library's client is used because importing a richer one would take longer than most questions.
"""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiprism.errors import AiprismError

# Never through a proxy: the server is on this machine or in the same network.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _asking(path: str, params: Mapping[str, object]) -> str:
    given = {name: value for name, value in params.items() if value not in (None, "", False, [])}
    text = {name: "true" if value is True else value for name, value in given.items()}
    query = urllib.parse.urlencode(text, doseq=True)
    return f"{path}?{query}" if query else path


class Away(AiprismError):
    """Nobody answers at the server's address."""


class Refusal(AiprismError):
    """The server answered with an error; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Remote:
    """The HTTP API of one server."""

    def __init__(self, url: str, *, token: str = "", timeout: float = 130.0) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout = timeout

    def get(self, path: str, **params: object) -> Any:
        """The JSON at `path`; parameters that are None, empty, 0 or False are left out, lists are repeated."""
        return self._answer("GET", _asking(path, params))

    def text(self, path: str, **params: object) -> str:
        """What is written at `path`, such as Markdown or a page."""
        with self._opened("GET", _asking(path, params)) as response:
            written: bytes = response.read()
        return written.decode()

    def events(self, path: str, **params: object) -> Iterator[tuple[str, Any]]:
        """What the server says at `path` from now on: (event, its JSON), until it ends."""
        event = ""
        with self._opened("GET", _asking(path, params)) as response:
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """What the server answers to `body`."""
        return self._answer("POST", path, {} if body is None else body)

    def delete(self, path: str) -> Any:
        """What the server answers once the thing at `path` is gone."""
        return self._answer("DELETE", path)

    def _answer(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        with self._opened(method, path, body) as response:
            return self._decoded(path, response.read(), response.headers.get_content_type())

    @contextmanager
    def _opened(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Iterator[Any]:
        try:
            request = urllib.request.Request(f"{self.url}{path}", method=method, headers=dict(self._headers))  # noqa: S310
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            with _OPENER.open(request, timeout=self._timeout) as response:
                yield response
        except urllib.error.HTTPError as error:
            with error:
                raise Refusal(_sentence(error.read(), error.code), error.code) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Away(self._away(error)) from None

    def _decoded(self, path: str, body: bytes, kind: str) -> Any:
        if kind != "application/json":
            where = path.partition("?")[0]
            raise Away(f"what answers at {self.url} is no aiprism server: {where} gave {kind} instead of JSON")
        return json.loads(body)

    def _away(self, error: Exception) -> str:
        reason = getattr(error, "reason", error)
        if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError | socket.timeout):
            return f"the server at {self.url} did not answer within {self._timeout:g} s; is it overloaded?"
        if isinstance(reason, ConnectionRefusedError):
            why = "connection refused"
        else:
            why = getattr(reason, "strerror", None) or str(reason)
        return (
            f"no aiprism server answers at {self.url} ({why.lower() if why.istitle() else why}); "
            "start one with `aiprism serve`, or name another with --server or AIPRISM_SERVER"
        )


def _sentence(body: bytes, status: int) -> str:
    """What an error answer says, in either form: ours, or that of the Prometheus API."""
    try:
        answer = json.loads(body)
        error = answer["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace").strip().splitlines()
        return f"the server answered HTTP {status}{': ' + text[0][:300] if text else ''}"

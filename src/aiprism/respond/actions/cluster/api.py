"""The API server, as steps speak to it: read, patch, evict, each request within the step's time.

In: paths and JSON. Out: objects, or `Trouble` that says what is wrong and what to do about it. Reads are repeated while
the server is away or asks for patience; writes are repeated by who can tell whether the first one took effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from aiprism.respond.actions.cluster.objects import Object, Operation
from aiprism.respond.actions.deadline import PAUSE, Deadline

_LONGEST = 15.0
_PAGE = 500
_FORBIDDEN = re.compile(r'cannot (?P<verb>\w+) resource "(?P<what>[^"]+)" in API group "(?P<group>[^"]*)"')


class Trouble(Exception):
    """The server did not do what was asked. `again` when the same request may go well later."""

    def __init__(self, words: str, status: int = 0, *, again: bool = False, wait: float = PAUSE) -> None:
        super().__init__(words)
        self.status, self.again, self.wait = status, again, wait


@dataclass(frozen=True, slots=True)
class Api:
    """One cluster for the time of one step. With `dry_run` the server checks each change and makes none of them."""

    client: httpx.AsyncClient
    deadline: Deadline
    dry_run: bool = False

    async def get(self, path: str) -> Object:
        """The object at a path."""
        return await self._read(path, {})

    async def listed(self, path: str, selector: str = "") -> list[Object]:
        """All objects at a path that a label selector fits."""
        found: list[Object] = []
        params = {"limit": str(_PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._read(path, params)
            found += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return found
            params["continue"] = more

    async def patch(self, path: str, operations: Sequence[Operation]) -> Object:
        """The object after a JSON Patch; tried once."""
        content = json.dumps(list(operations))
        return await self._sent("PATCH", path, content=content, kind="application/json-patch+json")

    async def post(self, path: str, body: Mapping[str, Any]) -> Object:
        """What is answered to a new object; tried once."""
        return await self._sent("POST", path, content=json.dumps(body), kind="application/json")

    async def _read(self, path: str, params: Mapping[str, str]) -> Object:
        while True:
            try:
                return await self._sent("GET", path, params=params)
            except Trouble as trouble:
                if not trouble.again:
                    raise
                await self.deadline.pause(str(trouble), trouble.wait)

    async def _sent(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: str = "", kind: str = ""
    ) -> Object:
        said = {**(params or {}), **({"dryRun": "All"} if self.dry_run and method != "GET" else {})}
        headers = {"Accept": "application/json"} | ({"Content-Type": kind} if kind else {})
        try:
            response = await self.client.request(method, path, params=said, content=content or None, headers=headers)
            answer = response.json() if response.content else {}
        except httpx.HTTPError as error:
            # The kind of failure alone: texts of httpx may hold addresses.
            raise Trouble(f"the API server cannot be reached: {type(error).__name__}", again=True) from None
        except ValueError:
            raise Trouble(f"the API server answered HTTP {response.status_code} without JSON") from None
        if not isinstance(answer, dict):
            raise Trouble(f"the API server answered HTTP {response.status_code} with no object")
        if response.is_success:
            return answer
        raise _trouble(method, path, response, answer)


def _trouble(method: str, path: str, response: httpx.Response, answer: Mapping[str, Any]) -> Trouble:
    status, words = response.status_code, str(answer.get("message") or f"HTTP {response.status_code}")[:500]
    if status == 401:
        return Trouble("the API server does not know who we are (401): the token is wrong or over", status)
    if status == 403:
        return Trouble(_forbidden(words), status)
    if status == 404:
        return Trouble(f"{_named(path)}: there is none", status)
    if status == 429:
        return Trouble(_budget(answer) or words, status, again=True, wait=_wait(response))
    # 504 and 500 with a Retry-After are the server's own trouble; 409 means that somebody else was quicker.
    return Trouble(f"{_named(path)}: {words}", status, again=status == 409 or status >= 500, wait=_wait(response))


def _forbidden(words: str) -> str:
    found = _FORBIDDEN.search(words)
    if found is None:  # an admission webhook, which says why by itself
        return f"forbidden: {words}"
    group = found["group"] or "core"
    return f'forbidden: the role lacks verb "{found["verb"]}" on "{found["what"]}" of API group "{group}": {words}'


def _budget(answer: Mapping[str, Any]) -> str:
    """Which PodDisruptionBudget is in the way of an eviction."""
    causes = (answer.get("details") or {}).get("causes") or ()
    return next((str(each.get("message")) for each in causes if each.get("reason") == "DisruptionBudget"), "")


def _named(path: str) -> str:
    """`/apis/apps/v1/namespaces/shop/deployments/api` → `deployments shop/api`.

    >>> _named("/apis/apps/v1/namespaces/shop/deployments/api"), _named("/api/v1/nodes/n1")
    ('deployments shop/api', 'nodes n1')
    """
    parts = path.strip("/").split("/")
    rest = parts[3:] if parts[0] == "apis" else parts[2:]
    if rest[0] == "namespaces" and len(rest) > 2:
        return f"{rest[2]} {'/'.join([rest[1], *rest[3:4]])}"
    return " ".join(rest)


def _wait(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(_LONGEST, max(PAUSE, float(text))) if re.fullmatch(r"\d{1,6}", text) else PAUSE

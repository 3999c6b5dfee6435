"""What every issue tracker gives: issues found by a mark, opened, commented, closed; and how one speaks to its HTTP API.

In: paths and JSON. Out: answers, or `Trouble` that says what the tracker said. Reads are repeated while the tracker is
away or asks for patience; what writes is repeated by who can look whether the first one took effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from aiprism.respond.actions.deadline import PAUSE, Deadline

_WORDS = 300
_SECONDARY = 60.0  # what GitHub asks for when it limits without saying for how long


class Trouble(Exception):
    """The tracker did not do what was asked. `again` when the same request may go well later, in `wait` seconds."""

    def __init__(self, words: str, status: int = 0, *, again: bool = False, wait: float = PAUSE) -> None:
        super().__init__(words)
        self.status, self.again, self.wait = status, again, wait


@dataclass(frozen=True, slots=True)
class Draft:
    """An issue to be opened. `mark` is how it is found again; it stands in no other issue."""

    mark: str
    title: str
    body: str
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue as the tracker has it; `number` is what its API calls it, `name` what people do."""

    number: str
    name: str
    url: str
    is_open: bool


class Tracker(Protocol):
    """A project in an issue tracker."""

    async def find(self, mark: str) -> Issue | None:
        """The issue with this mark, newest first; None when there is none."""
        ...

    async def create(self, draft: Draft) -> Issue:
        """Open an issue; tried once."""
        ...

    async def has_comment(self, issue: Issue, mark: str) -> bool:
        """Whether a comment with this mark is there."""
        ...

    async def comment(self, issue: Issue, body: str, mark: str) -> None:
        """Write a comment; tried once."""
        ...

    async def turn(self, issue: Issue, *, is_open: bool) -> None:
        """Close an issue, or open it again."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its JSON, and the query of the page after it (empty when there is none)."""

    found: Any
    following: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Talk:
    """Requests to one tracker within a step's time."""

    client: httpx.AsyncClient
    base: str
    deadline: Deadline
    headers: Mapping[str, str]

    async def read(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        """What a GET is answered with, however often it must be asked."""
        return await self._patiently("GET", path, params, None)

    async def look_up(self, path: str, body: Mapping[str, Any]) -> Reply:
        """The same for a search that is a POST."""
        return await self._patiently("POST", path, None, body)

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """What a change is answered with; tried once."""
        return (await self._once(method, path, None, body)).found

    async def _patiently(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> Reply:
        while True:
            try:
                return await self._once(method, path, params, body)
            except Trouble as trouble:
                if not trouble.again:
                    raise
                await self.deadline.pause(str(trouble), trouble.wait)

    async def _once(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> Reply:
        url = f"{self.base}/{path}"
        try:
            response = await self.client.request(method, url, params=params, json=body, headers=dict(self.headers))
        except httpx.HTTPError as error:
            raise Trouble(f"it cannot be reached: {type(error).__name__}", again=True) from None
        if not response.is_success:
            raise _trouble(response, self.deadline.clock.now())
        try:
            return Reply(response.json() if response.content else None, _following(response))
        except ValueError:
            raise Trouble(f"it answered HTTP {response.status_code} without JSON") from None


def _following(response: httpx.Response) -> Mapping[str, str]:
    """The query of the next page: by a Link header (RFC 8288), whose address is not followed, only its query."""
    link = response.links.get("next", {}).get("url")
    if link:
        return dict(httpx.URL(link).params)
    page = response.headers.get("X-Next-Page", "")
    return {"page": page} if page else {}


def _trouble(response: httpx.Response, now: float) -> Trouble:
    status, words = response.status_code, _words(response)
    wait = _limited(response, now)
    if wait is not None:
        return Trouble(
            f"its rate limit is used up for {wait:.0f} s: {words}", status, again=True, wait=max(PAUSE, wait)
        )
    if status == 401:
        return Trouble(f"it does not know the token (401): {words}", status)
    if status == 404:
        return Trouble(f"404: no such project or issue, or the token may not see it: {words}", status)
    if response.is_redirect:
        return Trouble(f"the project has moved (HTTP {status}): name it anew in the file of trackers", status)
    return Trouble(f"HTTP {status}: {words}", status, again=status >= 500)


def _limited(response: httpx.Response, now: float) -> float | None:
    """For how long the tracker wants to be left alone; None when it does not."""
    headers, status = response.headers, response.status_code
    if status not in (403, 429):
        return None
    after = headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,6}", after):
        return float(after)
    reset = headers.get("X-RateLimit-Reset", headers.get("RateLimit-Reset", ""))
    if headers.get("X-RateLimit-Remaining", headers.get("RateLimit-Remaining")) == "0" and re.fullmatch(r"\d+", reset):
        return max(0.0, float(reset) - now)
    return _SECONDARY if status == 429 or "secondary rate limit" in response.text[:2000] else None


def _words(response: httpx.Response) -> str:
    """What the tracker says is wrong, by the ways GitHub, GitLab and Jira have of saying it."""
    try:
        answer = response.json()
    except ValueError:
        return response.text.strip()[:_WORDS]
    if not isinstance(answer, Mapping):
        return str(answer)[:_WORDS]
    said = [answer.get("message"), answer.get("error"), *(answer.get("errorMessages") or ())]
    errors = answer.get("errors")
    if isinstance(errors, Mapping):
        said += [f"{field}: {text}" for field, text in errors.items()]
    for each in errors if isinstance(errors, list) else ():
        known = isinstance(each, Mapping)
        said.append(
            " ".join(str(each[key]) for key in ("field", "code", "message") if each.get(key)) if known else each
        )
    return "; ".join(str(each) for each in said if each)[:_WORDS]


def hidden(mark: str) -> str:
    """A mark as Markdown keeps it out of sight."""
    return f"<!-- {mark} -->"


def harmless(text: str) -> str:
    """A text in Markdown that cannot pretend to a mark: what an alert says may stand in it."""
    return text.replace("<!--", "&lt;!--")


def within(text: str, size: int, end: str) -> str:
    """`text` and `end` in at most `size` characters; of too long a text the end is left out."""
    room = size - len(end)
    return (text if len(text) <= room else text[: room - 1] + "…") + end


def one_line(text: str, size: int) -> str:
    """A title: one line of at most `size` characters."""
    line = " ".join(text.split())
    return line if len(line) <= size else line[: size - 1] + "…"

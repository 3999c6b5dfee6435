"""Issues of GitLab, by its REST API v4: the mark stands unseen in the description of an issue, or in a note."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiprism.respond.actions.trackers.tracker import Draft, Issue, Talk, harmless, hidden, one_line, within

HEADERS: Mapping[str, str] = {}
_TITLE, _BODY = 255, 1_000_000
_PAGES = 20


@dataclass(frozen=True, slots=True)
class GitLab:
    """A project: its path with all groups, or its number."""

    talk: Talk
    project: str

    @property
    def _path(self) -> str:
        return f"api/v4/projects/{quote(self.project, safe='')}/issues"

    async def find(self, mark: str) -> Issue | None:
        params: Mapping[str, str] = {"search": mark, "in": "description", "scope": "all", "per_page": "100"}
        for item in await self._all(self._path, params):
            if hidden(mark) in (item.get("description") or ""):
                return self._issue(item)
        return None

    async def _all(self, path: str, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        following: Mapping[str, str] = {}
        for _ in range(_PAGES):
            reply = await self.talk.read(path, {**params, **following})
            found += reply.found
            following = reply.following
            if not following:
                break
        return found

    def _issue(self, item: Mapping[str, Any]) -> Issue:
        number = str(item["iid"])
        return Issue(number, f"{self.project}#{number}", str(item["web_url"]), item.get("state") == "opened")

    async def create(self, draft: Draft) -> Issue:
        text = within(_plain(draft.body), _BODY, f"\n\n{hidden(draft.mark)}")
        asked = {"title": one_line(draft.title, _TITLE), "description": text, "labels": ",".join(draft.labels)}
        return self._issue(await self.talk.write("POST", self._path, asked))

    async def has_comment(self, issue: Issue, mark: str) -> bool:
        notes = await self._all(f"{self._path}/{issue.number}/notes", {"per_page": "100"})
        return any(hidden(mark) in (note.get("body") or "") for note in notes)

    async def comment(self, issue: Issue, body: str, mark: str) -> None:
        text = within(_plain(body), _BODY, f"\n\n{hidden(mark)}")
        await self.talk.write("POST", f"{self._path}/{issue.number}/notes", {"body": text})

    async def turn(self, issue: Issue, *, is_open: bool) -> None:
        event = {"state_event": "reopen" if is_open else "close"}
        await self.talk.write("PUT", f"{self._path}/{issue.number}", event)


def _plain(text: str) -> str:
    """Without quick actions: a line that begins with / is a command to GitLab, and an alert's text is none.

    >>> _plain("see\\n/close")
    'see\\n&#47;close'
    """
    return re.sub(r"(?m)^(\s*)/", r"\1&#47;", harmless(text))

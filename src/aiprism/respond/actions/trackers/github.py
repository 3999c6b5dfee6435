"""Issues of GitHub, by its REST API of 2022-11-28: the mark stands unseen in the body of an issue or comment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiprism.respond.actions.trackers.tracker import Draft, Issue, Talk, harmless, hidden, one_line, within

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_TITLE, _BODY = 256, 65_536
# The search knows an issue only some time after it was opened, the list at once. So the newest are looked through first.
_NEWEST_PAGES = 3
_COMMENT_PAGES = 20


@dataclass(frozen=True, slots=True)
class GitHub:
    """A repository: `owner/name`."""

    talk: Talk
    project: str

    @property
    def _path(self) -> str:
        return f"repos/{self.project}/issues"

    async def find(self, mark: str) -> Issue | None:
        params: Mapping[str, str] = {"state": "all", "sort": "created", "direction": "desc", "per_page": "100"}
        for _ in range(_NEWEST_PAGES):
            reply = await self.talk.read(self._path, params)
            if found := self._with_mark(reply.found, mark):
                return found
            if not reply.following:
                return None
            params = reply.following
        query = f"{json.dumps(mark)} in:body is:issue repo:{self.project}"
        return self._with_mark((await self.talk.read("search/issues", {"q": query})).found.get("items") or (), mark)

    def _with_mark(self, items: Any, mark: str) -> Issue | None:
        for item in items:
            if "pull_request" not in item and hidden(mark) in (item.get("body") or ""):
                return self._issue(item)
        return None

    def _issue(self, item: Mapping[str, Any]) -> Issue:
        number = str(item["number"])
        return Issue(number, f"{self.project}#{number}", str(item["html_url"]), item.get("state") == "open")

    async def create(self, draft: Draft) -> Issue:
        body = within(harmless(draft.body), _BODY, f"\n\n{hidden(draft.mark)}")
        asked = {"title": one_line(draft.title, _TITLE), "body": body, "labels": list(draft.labels)}
        return self._issue(await self.talk.write("POST", self._path, asked))

    async def has_comment(self, issue: Issue, mark: str) -> bool:
        params: Mapping[str, str] = {"per_page": "100"}
        for _ in range(_COMMENT_PAGES):
            reply = await self.talk.read(f"{self._path}/{issue.number}/comments", params)
            if any(hidden(mark) in (item.get("body") or "") for item in reply.found):
                return True
            if not reply.following:
                break
            params = reply.following
        return False

    async def comment(self, issue: Issue, body: str, mark: str) -> None:
        text = within(harmless(body), _BODY, f"\n\n{hidden(mark)}")
        await self.talk.write("POST", f"{self._path}/{issue.number}/comments", {"body": text})

    async def turn(self, issue: Issue, *, is_open: bool) -> None:
        state = {"state": "open"} if is_open else {"state": "closed", "state_reason": "completed"}
        await self.talk.write("PATCH", f"{self._path}/{issue.number}", state)

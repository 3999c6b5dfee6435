"""Issues of Jira, Cloud and Data Center, by REST API 2: found by a label, closed and opened again by transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiprism.respond.actions.trackers.tracker import Draft, Issue, Talk, Trouble, one_line, within
from aiprism.respond.channels.jira import Moves, jql, on_cloud

HEADERS = {"X-Atlassian-Token": "no-check"}
_SUMMARY, _TEXT = 255, 32_767
_PAGES = 20


@dataclass(frozen=True, slots=True)
class Jira:
    """A project by its key; `kind` is the type of new issues."""

    talk: Talk
    project: str
    kind: str = "Bug"

    async def find(self, mark: str) -> Issue | None:
        path = "search/jql" if on_cloud(self.talk.base) else "search"
        asked = {"jql": jql(self.project, _label(mark), Moves()), "fields": ["status"], "maxResults": 1}
        for item in (await self.talk.look_up(f"rest/api/2/{path}", asked)).found.get("issues") or ():
            return self._issue(item, is_open=not _is_done(item.get("fields", {}).get("status", {})))
        return None

    def _issue(self, item: Mapping[str, Any], *, is_open: bool) -> Issue:
        key = str(item["key"])
        return Issue(key, key, f"{self.talk.base}/browse/{key}", is_open)

    async def create(self, draft: Draft) -> Issue:
        fields = {
            "project": {"key": self.project},
            "issuetype": {"name": self.kind},
            "summary": one_line(draft.title, _SUMMARY),
            "description": within(draft.body, _TEXT, ""),
            "labels": [*draft.labels, _label(draft.mark)],
        }
        return self._issue(await self.talk.write("POST", "rest/api/2/issue", {"fields": fields}), is_open=True)

    async def has_comment(self, issue: Issue, mark: str) -> bool:
        start = 0
        for _ in range(_PAGES):
            reply = await self.talk.read(f"{_path(issue)}/comment", {"startAt": str(start), "maxResults": "100"})
            comments = reply.found.get("comments") or ()
            if any(_anchor(mark) in str(comment.get("body")) for comment in comments):
                return True
            start += len(comments)
            if not comments or start >= int(reply.found.get("total") or 0):
                break
        return False

    async def comment(self, issue: Issue, body: str, mark: str) -> None:
        text = within(body, _TEXT, f"\n{_anchor(mark)}")
        await self.talk.write("POST", f"{_path(issue)}/comment", {"body": text})

    async def turn(self, issue: Issue, *, is_open: bool) -> None:
        found = (await self.talk.read(f"{_path(issue)}/transitions")).found.get("transitions") or ()
        wanted = next((each for each in found if _is_done(each.get("to", {})) is not is_open), None)
        if wanted is None:
            names = ", ".join(str(each.get("name")) for each in found) or "none"
            way = "out of its end" if is_open else "to an end"
            raise Trouble(f"no transition leads {issue.name} {way} from where it is; there are: {names}")
        await self.talk.write("POST", f"{_path(issue)}/transitions", {"transition": {"id": wanted["id"]}})


def _path(issue: Issue) -> str:
    return f"rest/api/2/issue/{quote(issue.number, safe='')}"


def _is_done(status: Mapping[str, Any]) -> bool:
    return bool(status.get("statusCategory", {}).get("key") == "done")


def _label(mark: str) -> str:
    """A label has no spaces, and `:` does not stand well in a search."""
    return mark.replace(":", "-")


def _anchor(mark: str) -> str:
    """What Jira's wiki shows nothing of."""
    return f"{{anchor:{_label(mark)}}}"

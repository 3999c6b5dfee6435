"""Jira: one issue per incident or group, found again by a label; new, changed, resolved and reopened by transitions.

A `Message` comes in; what goes out is a search and what follows from its answer. Notifications of one group come one after
the other, so no second issue is made between the search and the new issue.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlsplit

from aiprism.httpconfig import Secret
from aiprism.respond.channels.post import Answer, Entry, Globals, Letter, Verdict, cut, exchanged, said
from aiprism.respond.message import Message
from aiprism.respond.template import Words, seen
from aiprism.yamlfile import Node

_SUMMARY, _DESCRIPTION = 255, 32_767  # characters Jira keeps
_TEXTS = {
    "summary": '{{ template "jira.default.summary" . }}',
    "description": '{{ template "jira.default.description" . }}',
    "priority": '{{ template "jira.default.priority" . }}',
}
_NEEDED = ("project", "issue_type")
_FIELDS = (
    "send_resolved", "http_config", "api_url", "api_type", "labels", "fields", "reopen_transition", "resolve_transition",
    "wont_fix_resolution", "reopen_duration", *_NEEDED, *_TEXTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moves:
    """How issues are found and moved: the names of transitions, and which issues are not taken up again."""

    resolve: str = ""
    reopen: str = ""
    wont_fix: str = ""
    reopen_minutes: int = 0  # an issue resolved longer ago is left alone; 0: however long
    cloud: bool = False


@dataclass(frozen=True, slots=True)
class Jira(Entry):
    """One entry of `jira_configs`."""

    project: Words
    kind: Words
    texts: Mapping[str, Words]
    labels: tuple[Words, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    moves: Moves = field(default_factory=Moves)
    channel: str = "jira"

    def letter(self, message: Message, key: str) -> Letter:
        what = seen(message)
        texts, project, mark = said(self.texts, what), self.project.of(what), f"ALERT{{{message.subject_id}}}"
        issue: dict[str, Any] = {
            **self.fields,
            "project": {"key": project},
            "issuetype": {"name": self.kind.of(what)},
            "summary": cut(" ".join(texts.get("summary", message.title).split()), _SUMMARY),
            "description": cut(texts.get("description", ""), _DESCRIPTION),
            "labels": [*(words.of(what) for words in self.labels), mark],
        }
        if "priority" in texts:
            issue["priority"] = {"name": texts["priority"]}
        search = {"jql": jql(project, mark, self.moves), "fields": ["status"], "maxResults": 2}
        over = message.event in ("resolved", "cleared")
        carry = functools.partial(_carry, issue=issue, moves=self.moves, over=over)
        return Letter(self.url, search, key, self.http, carry=carry)


def jql(project: str, mark: str, moves: Moves) -> str:
    """The search for the newest issue of a project that bears a label."""
    said = [f"project = {json.dumps(project)}", f"labels = {json.dumps(mark)}"]
    if moves.wont_fix:
        said.append(f"(resolution is EMPTY or resolution != {json.dumps(moves.wont_fix)})")
    if moves.reopen_minutes:
        said.append(f"(resolutiondate is EMPTY or resolutiondate >= -{moves.reopen_minutes}m)")
    return " and ".join(said) + " order by created desc"


async def _carry(letter: Letter, now: float, *, issue: Mapping[str, Any], moves: Moves, over: bool) -> Answer:
    at = functools.partial(_at, replace(letter, carry=None))
    answer, found = await _exchanged(at("search/jql" if moves.cloud else "search", letter.body), now)
    issues = found.get("issues") if answer.verdict is Verdict.DELIVERED else None
    if issues is None:
        return (
            answer if answer.verdict is not Verdict.DELIVERED else Answer(Verdict.AGAIN, "Jira's answer has no issues")
        )
    if not issues:
        return answer if over else (await _exchanged(at("issue", {"fields": issue}), now))[0]
    path = f"issue/{quote(str(issues[0]['key']), safe='')}"
    # What it is and where stays: an issue may have been moved.
    changes = {name: value for name, value in issue.items() if name not in ("project", "issuetype", "labels")}
    answer, _ = await _exchanged(at(path, {"fields": changes}, "PUT"), now)
    done = issues[0].get("fields", {}).get("status", {}).get("statusCategory", {}).get("key") == "done"
    wanted = moves.resolve if over else moves.reopen
    if answer.verdict is not Verdict.DELIVERED or done == over or not wanted:
        return answer
    return await _moved(at, f"{path}/transitions", wanted, now)


async def _moved(at: functools.partial[Letter], path: str, wanted: str, now: float) -> Answer:
    answer, found = await _exchanged(at(path, {}, "GET"), now)
    if answer.verdict is not Verdict.DELIVERED:
        return answer
    for transition in found.get("transitions", ()):
        if transition.get("name") == wanted:
            return (await _exchanged(at(path, {"transition": {"id": transition["id"]}}), now))[0]
    return Answer(Verdict.REFUSED, f"Jira has no transition {wanted!r} from where the issue is")


def _at(letter: Letter, path: str, body: Mapping[str, Any], method: str = "POST") -> Letter:
    return replace(letter, url=Secret(f"{letter.url.reveal()}/{path}"), body=body, method=method)


async def _exchanged(letter: Letter, now: float) -> tuple[Answer, Mapping[str, Any]]:
    answer, text = await exchanged(letter, now)
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError:
        found = {}
    return answer, found if isinstance(found, dict) else {}


def read(node: Node, receiver: str, defaults: Globals) -> Jira:
    """The integration an entry of `jira_configs` describes."""
    node.fields(*_FIELDS)
    for key in _NEEDED:
        if not node[key]:
            raise node.error(f"jira_configs needs {key}")
    url = defaults.address(node["api_url"], "jira_api_url", "")
    if not url:
        raise node.error("jira_configs needs an api_url, here or as global.jira_api_url")
    return Jira(
        Secret(url),
        *defaults.usual(node),
        project=defaults.words(node["project"]),
        kind=defaults.words(node["issue_type"]),
        texts=defaults.texts(node, _TEXTS),
        labels=tuple(defaults.words(item) for item in node["labels"].items()),
        fields=node["fields"].plain() or {},
        moves=Moves(
            resolve=node["resolve_transition"].text(""),
            reopen=node["reopen_transition"].text(""),
            wont_fix=node["wont_fix_resolution"].text(""),
            reopen_minutes=int(node["reopen_duration"].seconds(0.0) // 60),
            cloud=_is_cloud(node["api_type"], url),
        ),
    )


def _is_cloud(node: Node, url: str) -> bool:
    kind = node.one_of("auto", "cloud", "datacenter", default="auto")
    return kind == "cloud" or (kind == "auto" and on_cloud(url))


def on_cloud(url: str) -> bool:
    """Whether an address is of Jira Cloud, which has its search at another place than Jira Data Center."""
    return (urlsplit(url).hostname or "").endswith(".atlassian.net")

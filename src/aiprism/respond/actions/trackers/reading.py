"""trackers.yml: the issue trackers that steps may write to, each by a name. In: the file. Out: frozen `Place`s."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from aiprism import yamlfile
from aiprism.httpconfig import (
    NO_SECRET,
    Authorization,
    Basic,
    HttpOptions,
    Secret,
    http_options,
    is_web_address,
    secret,
)
from aiprism.respond.actions.deadline import Deadline
from aiprism.respond.actions.trackers import github, gitlab, jira
from aiprism.respond.actions.trackers.tracker import Talk, Tracker
from aiprism.yamlfile import Node

_KEYS = ("name", "kind", "url", "project", "token", "token_file", "user", "labels", "issue_type", "http_config")
_USUAL = {"github": "https://api.github.com", "gitlab": "https://gitlab.com", "jira": ""}
_FORMS = {
    "github": re.compile(r"[\w.-]+/[\w.-]+"),
    "gitlab": re.compile(r"\d+|[\w.-]+(/[\w.-]+)+"),
    "jira": re.compile(r"[A-Z][A-Z0-9_]+"),
}
_EXAMPLES = {"github": "owner/repository", "gitlab": "group/project", "jira": "a key such as OPS"}


@dataclass(frozen=True, slots=True)
class Place:
    """One project of one tracker, and who we are there."""

    name: str
    kind: str
    url: str
    project: str
    http: HttpOptions
    labels: tuple[str, ...] = ()
    issue_type: str = "Bug"

    def tracker(self, client: httpx.AsyncClient, deadline: Deadline) -> Tracker:
        """The project, for the time of one step."""
        if self.kind == "github":
            return github.GitHub(Talk(client, self.url, deadline, github.HEADERS), self.project)
        if self.kind == "gitlab":
            return gitlab.GitLab(Talk(client, self.url, deadline, gitlab.HEADERS), self.project)
        return jira.Jira(Talk(client, self.url, deadline, jira.HEADERS), self.project, self.issue_type)


def load(path: Path) -> Mapping[str, Place]:
    """The trackers in `path`, by name; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path))


def read(root: Node) -> Mapping[str, Place]:
    """The trackers of a document."""
    found: dict[str, Place] = {}
    for node in root.fields("trackers")["trackers"].items():
        place = _place(node)
        if place.name in found:
            raise node["name"].error(f"tracker {place.name!r} stands twice")
        found[place.name] = place
    return found


def _place(node: Node) -> Place:
    node.fields(*_KEYS)
    kind = node["kind"].one_of(*_USUAL)
    url, project = node["url"].text(_USUAL[kind]).rstrip("/"), node["project"].text()
    if not is_web_address(url):
        raise (node["url"] or node).error("expected url: the http(s) address of the tracker")
    if _FORMS[kind].fullmatch(project) is None or {".", ".."} & set(project.split("/")):
        raise node["project"].error(f"{project!r} is no project of {kind}: {_EXAMPLES[kind]}")
    if kind != "jira":
        for key in ("user", "issue_type"):
            if node[key]:
                raise node[key].error(f"{key} belongs to jira")
    token = secret(node, "token")
    if not token:
        raise node.error("token_file is required: a file with the token that may write issues")
    labels = tuple(node["labels"].texts())
    if kind == "jira" and any(" " in label for label in labels):
        raise node["labels"].error("a label of Jira has no spaces")
    return Place(
        name=node["name"].text(),
        kind=kind,
        url=url,
        project=project,
        http=_options(node["http_config"], token, node["user"].text("")),
        labels=labels,
        issue_type=node["issue_type"].text("Bug"),
    )


def _options(node: Node, token: Secret, user: str) -> HttpOptions:
    """With the token as all three take it; a redirect is not followed, it would become a GET."""
    options = http_options(node) if node else HttpOptions()
    if options.auth is not None:
        raise node.error("the token says who we are: leave the authorization out")
    auth = Basic(Secret(user), token) if user else Authorization("Bearer", token or NO_SECRET)
    return replace(options, auth=auth, follow_redirects=False)

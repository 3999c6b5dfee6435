"""`issue:` steps: one issue for an incident in GitHub, GitLab or Jira: opened, commented on, closed.

An issue bears a mark with the incident's id, a comment one with the step's key. Each is looked for before anything is
written, so a step that is given again, or a second runbook of the same incident, finds what is there already.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.httpconfig import client
from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Means, Order, Params
from aiprism.respond.actions.deadline import Deadline, OutOfTime, deadline
from aiprism.respond.actions.trackers.reading import Place, load
from aiprism.respond.actions.trackers.tracker import Draft, Issue, Tracker, Trouble
from aiprism.yamlfile import Node

_ACTIONS = ("open", "comment", "close")
_LEAST = 60.0  # seconds; a few requests, and one rest that a tracker asks for
_TITLE = "${alert.name}: ${incident.id}"
_BODY = "Alert ${alert.name} fires in incident ${incident.id}."


_RECORD = shape.record(
    "The issue of the incident in a tracker of respond.trackers",
    {"tracker": shape.text("its name in the file of trackers", minLength=1)},
    {
        "action": shape.choice("open when not given", _ACTIONS),
        "title": shape.text("open: title of the issue"),
        "body": shape.text("what the issue, or the comment, says"),
        "labels": shape.listed("open: labels besides those of the tracker", shape.text("a label", minLength=1)),
    },
)
SHAPE: shape.Shape = {
    **_RECORD,
    "if": {"properties": {"action": {"enum": ["comment", "close"]}}, "required": ["action"]},
    "then": {"properties": {"title": {"type": "null"}, "labels": {"type": "null"}}},
}


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `issue: {tracker, action, title, body, labels}`."""
    shape.known(node, SHAPE)
    action = node["action"].one_of(*_ACTIONS, default="open")
    if "${" in node["tracker"].text():
        raise node["tracker"].error("what an alert says may not choose a tracker: no placeholder may stand here")
    for key in ("title", "labels"):
        if action != "open" and node[key]:
            raise node[key].error(f"{key} belongs to action open")
    if action == "comment" and not node["body"]:
        raise node.error("action comment needs body")
    return {
        "tracker": node["tracker"].text(),
        "action": action,
        "incident": "${incident.id}",  # filled in like any other: what the mark is made of
        "title": node["title"].text(_TITLE if action == "open" else ""),
        "body": node["body"].text(_BODY if action == "open" else ""),
        "labels": [item.text() for item in node["labels"].items()],
    }


def refuse(params: Params) -> None:
    """BadInput for an issue that would have no title."""
    if params["action"] == "open" and not str(params["title"]).strip():
        raise BadInput("the title of the issue would be empty")


class Issues:
    """Writes to the trackers of `places`; `external_url` is how people get from an issue to its incident."""

    def __init__(self, places: Mapping[str, Place], clock: Clock, external_url: str) -> None:
        self._places, self._clock, self._external_url = places, clock, external_url.rstrip("/")

    async def act(self, order: Order) -> Done:
        place = self._places.get(order.text("tracker"))
        if place is None:
            known = ", ".join(sorted(self._places)) or "none"
            return Done(False, f"there is no tracker {order.text('tracker')!r} (respond.trackers); known: {known}")
        until = deadline(self._clock, order.timeout)
        try:
            async with client(place.http, clock=self._clock) as connection:
                return await self._carried_out(order, place, place.tracker(connection, until), until)
        except OutOfTime as over:
            return Done(False, f"{place.name}: not done within {order.timeout:g} s: {over}")
        except Trouble as trouble:
            return Done(False, f"{place.name}: {trouble}")

    async def _carried_out(self, order: Order, place: Place, tracker: Tracker, until: Deadline) -> Done:
        mark, action = f"aiprism:{order.text('incident')}", order.text("action")
        if action == "open":
            labels = (*place.labels, *map(str, _listed(order.params.get("labels"))))
            draft = Draft(mark, order.text("title"), self._body(order), labels)
            return await _opened(tracker, draft, until)
        issue = await tracker.find(mark)
        if issue is None:
            # Without an issue there is nothing to close, which is what was wanted.
            return Done(action == "close", f"{place.name} has no issue of {order.text('incident')}")
        if order.text("body"):
            await _commented(tracker, issue, order, until)
        if action == "close" and issue.is_open:
            await _turned(tracker, issue, until, is_open=False)
        words = "commented on" if action == "comment" else "closed" if issue.is_open else "closed already:"
        return _done(words, issue)

    def _body(self, order: Order) -> str:
        incident = order.text("incident")
        if not self._external_url:
            return f"{order.text('body')}\n\nIncident {incident}"
        return f"{order.text('body')}\n\nIncident {incident}: {self._external_url}/incidents/{incident}"


async def _opened(tracker: Tracker, draft: Draft, until: Deadline) -> Done:
    while True:
        issue = await tracker.find(draft.mark)
        if issue is not None and issue.is_open:
            return _done("is open already:", issue)
        if issue is not None:
            await _turned(tracker, issue, until, is_open=True)
            return _done("opened again", issue)
        try:
            return _done("opened", await tracker.create(draft))
        except Trouble as trouble:
            if not trouble.again:
                raise
            # It may have been opened all the same: it is looked for before it is tried again.
            await until.pause(str(trouble), trouble.wait)


async def _commented(tracker: Tracker, issue: Issue, order: Order, until: Deadline) -> None:
    mark = f"aiprism:{order.key}"
    while not await tracker.has_comment(issue, mark):
        try:
            await tracker.comment(issue, order.text("body"), mark)
            return
        except Trouble as trouble:
            if not trouble.again:
                raise
            await until.pause(str(trouble), trouble.wait)


async def _turned(tracker: Tracker, issue: Issue, until: Deadline, *, is_open: bool) -> None:
    while True:
        try:
            await tracker.turn(issue, is_open=is_open)
            return
        except Trouble as trouble:
            if not trouble.again:
                raise
            await until.pause(str(trouble), trouble.wait)


def _done(words: str, issue: Issue) -> Done:
    return Done(True, f"{words} {issue.name}: {issue.url}", {"issue": issue.name, "url": issue.url})


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _issues(means: Means) -> Issues:
    named = means.settings.trackers
    return Issues(load(means.base / named) if named else {}, means.clock, means.external_url)


# Whatever it writes bears a mark that is looked for first.
KIND = Kind(
    shape=SHAPE,
    read=read,
    actuator=_issues,
    repeatable=lambda params: True,
    refuse=refuse,
    seconds=lambda params: _LEAST,
)

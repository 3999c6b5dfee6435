"""A double of Slack's Web API: what its documentation says of the methods that a room's channel needs, in memory."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from tests.webserver import Answer, Asked


@dataclass
class Place:
    """A channel."""

    id: str
    name: str
    private: bool
    members: list[str]
    archived: bool = False
    topic: str = ""
    pins: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def texts(self):
        return [each["text"] for each in self.messages]


class Workspace:
    """`people` are user ids by address. `before` sees each call first, as (method, form), and may answer it with a dictionary or
    with a whole `Answer`. Names of channels are taken for ever, also by those that are archived; a page holds one channel."""

    bot, token = "UBOT", "xoxb-right"

    def __init__(self, **people):
        self.people, self.places, self.calls, self.before = people, [], [], []
        self._ids, self._times = itertools.count(1), itertools.count(1)

    def place(self, name, *, private=False, members=(), **more):
        self.places.append(Place(f"C{next(self._ids):04}", name, private, list(members), **more))
        return self.places[-1]

    @property
    def methods(self):
        return [method for method, _ in self.calls]

    def answer(self, asked: Asked):
        """The same over HTTP."""
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return Answer({"ok": False, "error": "invalid_auth"})
        found = self.call(asked.path.rpartition("/")[2], asked.form)
        return found if isinstance(found, Answer) else Answer(found)

    def call(self, method, form):
        self.calls.append((method, form))
        for each in self.before:
            found = each(method, form)
            if found is not None:
                return found
        done = getattr(self, method.replace(".", "_"))(form)
        return {"ok": False, "error": done} if isinstance(done, str) else {"ok": True, **done}

    def auth_test(self, form):
        return {"url": "https://acme.slack.example/", "user_id": self.bot}

    def conversations_create(self, form):
        if any(each.name == form["name"] for each in self.places):
            return "name_taken"
        made = self.place(form["name"], private=form["is_private"] == "true", members=[self.bot])
        return {"channel": {"id": made.id, "name": made.name}}

    def users_conversations(self, form):
        private = "private_channel" in form["types"]
        mine = [
            each for each in self.places if self.bot in each.members and each.private == private and not each.archived
        ]
        at = int(form.get("cursor") or 0)
        more = str(at + 1) if at + 1 < len(mine) else ""
        found = [{"id": each.id, "name": each.name} for each in mine[at : at + 1]]
        return {"channels": found, "response_metadata": {"next_cursor": more}}

    def users_lookupByEmail(self, form):
        user = self.people.get(form["email"])
        return {"user": {"id": user}} if user else "users_not_found"

    def users_info(self, form):
        return {"user": {"id": form["user"], "name": "cid", "profile": {"display_name": "Cid"}}}

    def conversations_setTopic(self, form):
        place = self._there(form)
        if isinstance(place, Place):
            assert len(form["topic"]) <= 250
            place.topic = form["topic"]
            return {}
        return place

    def conversations_invite(self, form):
        place = self._there(form)
        if not isinstance(place, Place):
            return place
        if form["users"] in place.members:
            return "already_in_channel"
        place.members.append(form["users"])
        return {}

    def conversations_members(self, form):
        place = self._there(form)
        return {"members": place.members[: int(form["limit"])]} if isinstance(place, Place) else place

    def chat_postMessage(self, form):
        place = self._there(form)
        if not isinstance(place, Place):
            return place
        metadata, stamp = json.loads(form["metadata"]), f"1795443300.{next(self._times):06}"
        place.messages.append({"text": form["text"], "ts": stamp, "user": self.bot, "metadata": metadata})
        return {"ts": stamp, "channel": place.id}

    def conversations_history(self, form):
        place = self._there(form)
        if not isinstance(place, Place):
            return place
        assert form["include_all_metadata"] == "true"
        return {"messages": place.messages[::-1][: int(form["limit"])]}

    def pins_add(self, form):
        place = self._there(form)
        if not isinstance(place, Place):
            return place
        if form["timestamp"] in place.pins:
            return "already_pinned"
        place.pins.append(form["timestamp"])
        return {}

    def conversations_archive(self, form):
        place = self._there(form)
        if not isinstance(place, Place):
            return "already_archived" if place == "is_archived" else place
        place.archived = True
        return {}

    def _there(self, form):
        place = next((each for each in self.places if each.id == form["channel"]), None)
        if place is None or self.bot not in place.members:
            return "channel_not_found" if place is None or place.private else "not_in_channel"
        return "is_archived" if place.archived else place

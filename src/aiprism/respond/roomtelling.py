"""What of a war room and its incident's timeline is told elsewhere, in words.

Pure. In: lines of a room and of a timeline. Out: a text of several of them in their order, and the place up to which it goes.
What machines do among themselves (letters, alerts that join) stays where it is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.respond.channels.post import cut
from aiprism.respond.incident import MACHINE
from aiprism.respond.warroom import Kind, Line, Place

FROM = "from"  # where a line was written, in its data, unless it was written here
REPLY = "reply_to"  # what a line answers, in its data
# What is pinned is told as the timeline has it, and what was taken away is told nowhere again.
SPOKEN = (Kind.SAID, Kind.ANSWERED, Kind.EDITED, Kind.FULL)
EVENTS: Mapping[str, str] = {
    "incident_created": "opened", "incident_split": "opened", "escalated": "escalated", "priority_changed": "priority",
    "acknowledged": "acknowledged", "unacknowledged": "no longer acknowledged", "responded": "at work",
    "identified": "identified", "monitoring": "quiet", "resolved": "resolved", "reopened": "reopened",
    "merged": "merged", "merged_into": "merged", "alerts_parted": "parted", "assigned": "assigned",
    "role_taken": "role", "task_added": "task", "task_done": "task done", "comment": "comment",
    "status_update": "status update", "update_due": "update due", "investigated": "investigated", "change": "change",
    "acknowledgement_overdue": "overdue", "response_overdue": "overdue", "target_missed": "overdue", "paged": "paged",
    "runbook_started": "runbook", "runbook_succeeded": "runbook", "runbook_failed": "runbook",
    "runbook_rolled_back": "runbook", "runbook_waiting": "runbook", "runbook_approved": "runbook",
    "runbook_aborted": "runbook", "pinned": "pinned",
}  # fmt: skip
_MARKS: Mapping[Kind, str] = {Kind.ANSWERED: "↳ ", Kind.EDITED: "✎ "}


@dataclass(frozen=True, slots=True)
class Happened:
    """A line of the timeline."""

    id: int
    at: float
    event: str
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Form:
    """How a text is written where it goes: what is said by people is `quoted`, names and words of ours are `strong`."""

    quoted: Callable[[str], str] = str
    strong: str = "{}"
    between: str = "\n"
    most: int = 3500  # characters of one text
    cut: Callable[[str, int], str] = cut  # a line that is longer
    here: str = ""  # what was written there is not told there again

    def of(self, line: Line | Happened) -> str:
        """One line, or nothing when it came from there."""
        if isinstance(line, Happened):
            said = f"▸ {self.strong.format(self.quoted(EVENTS[line.event]))}: {self.quoted(line.text)}"
            return (
                said
                if line.actor in ("", MACHINE) or line.actor in line.text
                else f"{said} ({self.quoted(line.actor)})"
            )
        if self.here and line.data.get(FROM) == self.here:
            return ""
        reply = line.data.get(REPLY)
        answered = f" (on “{self.quoted(str(reply.get('text')))}”)" if isinstance(reply, Mapping) else ""
        who = "" if line.author == MACHINE else f"{self.strong.format(self.quoted(line.author))}{answered}: "
        return f"{_MARKS.get(line.kind, '')}{who}{self.quoted(line.text)}"


def portion(lines: Sequence[Line], events: Sequence[Happened], place: Place, form: Form) -> tuple[str, Place]:
    """As many of these lines as go into one text, each whole if it can be, and how far they go. Empty when nothing is told."""
    told: list[str] = []
    left = form.most
    every: tuple[Sequence[Line | Happened], ...] = (lines, events)
    for line in heapq.merge(*every, key=lambda each: each.at):
        text = form.of(line)
        if told and text and len(text) + len(form.between) > left:
            break
        if text:
            told.append(form.cut(text, form.most))
            left -= len(told[-1]) + len(form.between)
        place = replace(place, event=line.id) if isinstance(line, Happened) else replace(place, line=line.id)
    return form.between.join(told), place

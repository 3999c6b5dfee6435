"""Who has an incident, in which role, what is to be done, and what is worth keeping at hand.

All of it may be said in any status: much is done after the repair. Saying what is so already changes nothing, so a client may
say anything twice.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace

from aiprism.errors import BadInput, Conflict, NotFound
from aiprism.respond.incident.effects import Entry, Step
from aiprism.respond.incident.events import (
    Assigned,
    Pinned,
    RoleReleased,
    RoleTaken,
    TaskAdded,
    TaskAssigned,
    TaskDone,
    TaskReopened,
    Unpinned,
)
from aiprism.respond.incident.values import Incident, Periods
from aiprism.respond.incident.work import MOST_PINS, ROLES, Evidence, Pin, Task, Work
from aiprism.respond.known import rfc3339


def assigned(incident: Incident, event: Assigned, now: float, _periods: Periods) -> Step:
    """Somebody, or nobody, is to take care of it."""
    before = incident.work.assignee
    if event.to == before:
        return incident, ()
    text = event.text or (f"assigned to {event.to}" if event.to else f"no longer assigned to {before}")
    data = {"to": event.to, "from": before}
    return _with(incident, replace(incident.work, assignee=event.to)), (
        Entry(now, "assigned", event.actor, text, data),
    )


def role_taken(incident: Incident, event: RoleTaken, now: float, _periods: Periods) -> Step:
    """`person` has the role; whoever had it hands it over."""
    _check_role(event.role)
    before = incident.work.roles.get(event.role, "")
    if event.person == before:
        return incident, ()
    roles = {**incident.work.roles, event.role: event.person}
    text = f"{event.person} is {event.role}" + (f", after {before}" if before else "")
    data = {"role": event.role, "person": event.person, "from": before}
    return _with(incident, replace(incident.work, roles=roles)), (Entry(now, "role_taken", event.actor, text, data),)


def role_released(incident: Incident, event: RoleReleased, now: float, _periods: Periods) -> Step:
    """Nobody has the role."""
    _check_role(event.role)
    before = incident.work.roles.get(event.role, "")
    if not before:
        return incident, ()
    roles = {role: person for role, person in incident.work.roles.items() if role != event.role}
    entry = Entry(
        now, "role_released", event.actor, f"{before} is {event.role} no longer", {"role": event.role, "from": before}
    )
    return _with(incident, replace(incident.work, roles=roles)), (entry,)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadInput(f"there is no role {role!r}; the roles are {', '.join(ROLES)}")


def added(incident: Incident, event: TaskAdded, now: float, _periods: Periods) -> Step:
    """There is one more task, unless one of that key was added before."""
    if event.key and any(task.key == event.key for task in incident.work.tasks):
        return incident, ()
    name = next_id("T", [task.id for task in incident.work.tasks])
    task = Task(name, event.text, event.actor, now, event.assignee, event.due, key=event.key)
    entry = Entry(now, "task_added", event.actor, f"{name} {event.text}{_terms(task)}", _data(task))
    return _with(incident, incident.work.with_task(task)), (entry,)


def handed(incident: Incident, event: TaskAssigned, now: float, _periods: Periods) -> Step:
    """Another one does it, or by another time."""
    task = _task(incident, event.task)
    assignee = task.assignee if event.assignee is None else event.assignee
    after = replace(task, assignee=assignee, due=task.due if event.due is None else event.due)
    if after == task:
        return incident, ()
    terms = _terms(after) or ": nobody does it"
    entry = Entry(now, "task_assigned", event.actor, f"{task.id} {task.text}{terms}", _data(after))
    return _with(incident, incident.work.with_task(after)), (entry,)


def done(incident: Incident, event: TaskDone, now: float, _periods: Periods) -> Step:
    """It is done; who says so again changes nothing."""
    task = _task(incident, event.task)
    if task.done_at is not None:
        return incident, ()
    after = replace(task, done_at=now, done_by=event.actor)
    said = f": {event.text}" if event.text else ""
    entry = Entry(now, "task_done", event.actor, f"{task.id} {task.text}: done{said}", _data(after))
    return _with(incident, incident.work.with_task(after)), (entry,)


def undone(incident: Incident, event: TaskReopened, now: float, _periods: Periods) -> Step:
    """It is to be done again."""
    task = _task(incident, event.task)
    if task.done_at is None:
        return incident, ()
    after = replace(task, done_at=None, done_by="")
    said = f": {event.text}" if event.text else ""
    entry = Entry(now, "task_reopened", event.actor, f"{task.id} {task.text}: not done after all{said}", _data(after))
    return _with(incident, incident.work.with_task(after)), (entry,)


def pinned(incident: Incident, event: Pinned, now: float, _periods: Periods) -> Step:
    """It is at hand; the same evidence stands there once."""
    work, kind = incident.work, event.evidence or Evidence.of(event.what)
    if any(pin.is_of(event.what, kind, event.ref) for pin in work.pins):
        return incident, ()
    _check_pin(incident, event, kind)
    number = max(work.last_pin, *(int(each.id[1:]) for each in work.pins), 0) + 1
    url = event.url or (event.what if re.fullmatch(r"https?://\S+", event.what) else "")
    pin = Pin(f"E{number}", event.what, event.text, event.actor, now, kind.value, event.ref, url)
    said = f": {event.text}" if event.text else ""
    data = {name: value for name, value in asdict(pin).items() if name not in ("by", "at")}
    entry = Entry(now, "pinned", event.actor, f"{pin.id} {pin.what}{said}", data)
    return _with(incident, replace(work, pins=(*work.pins, pin), last_pin=number)), (entry,)


def unpinned(incident: Incident, event: Unpinned, now: float, _periods: Periods) -> Step:
    """It is no longer at hand; that it was stays on the timeline."""
    pin = next((each for each in incident.work.pins if each.id == event.pin), None)
    if pin is None:
        there = ", ".join(each.id for each in incident.work.pins) or "none"
        raise NotFound(f"nothing is pinned as {event.pin} on incident {incident.id}; there are: {there}")
    work = replace(incident.work, pins=tuple(each for each in incident.work.pins if each is not pin))
    entry = Entry(now, "unpinned", event.actor, f"{pin.id} {pin.what}", {"id": pin.id, "what": pin.what})
    return _with(incident, work), (entry,)


def _check_pin(incident: Incident, event: Pinned, kind: Evidence) -> None:
    """BadInput for evidence that says nothing, or leads where no page should; Conflict when there is too much of it."""
    if not event.what.strip():
        raise BadInput(f"a pinned {kind.value} says something: give its text")
    url = event.url
    of_ours = url.startswith("/") and url[1:2] not in ("/", "\\")
    if url and not url.startswith(("http://", "https://")) and not of_ours:
        raise BadInput(f"the url of a pin is http(s)://… or a path of this server, not {url[:80]!r}")
    if len(incident.work.pins) >= MOST_PINS:
        raise Conflict(f"{MOST_PINS} pieces of evidence are pinned, which is as many as there may be")


def next_id(letter: str, taken: list[str]) -> str:
    """The next free name of a task, or of a piece of evidence that comes from another incident.

    >>> next_id("T", ["T1", "T2"])
    'T3'
    """
    return f"{letter}{max((int(each[1:]) for each in taken), default=0) + 1}"


def _task(incident: Incident, name: str) -> Task:
    task = incident.work.task(name)
    if task is None:
        there = ", ".join(each.id for each in incident.work.tasks) or "none"
        raise NotFound(f"incident {incident.id} has no task {name!r}; there are: {there}")
    return task


def _terms(task: Task) -> str:
    who = f" by {task.assignee}" if task.assignee else ""
    when = f" until {rfc3339(task.due)}" if task.due is not None else ""
    return f":{who}{when}" if who or when else ""


def _data(task: Task) -> dict[str, object]:
    return {
        "id": task.id, "text": task.text, "by": task.by, "at": task.at, "assignee": task.assignee,
        "due": task.due, "done_at": task.done_at, "done_by": task.done_by, "key": task.key,
    }  # fmt: skip


def _with(incident: Incident, work: Work) -> Incident:
    return replace(incident, work=work)

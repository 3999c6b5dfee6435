"""Who is on call over HTTP, as JSON and as calendars, and overrides. Decode, call, encode; `respond.oncall` decides."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, tzinfo
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.errors import BadInput, NotFound
from aiprism.model.timerange import duration_seconds
from aiprism.respond.oncall import ical, overrides
from aiprism.respond.oncall.reading import moment
from aiprism.respond.oncall.rota import Escalation, Level, Person, Rota
from aiprism.respond.oncall.schedule import DAY, OVERRIDE, Override, Schedule, Shift
from aiprism.respond.responder import Responder

_SHOWN = 14 * DAY  # of a schedule, unless a period is asked for
_LONGEST = 366 * DAY
_BACK, _AHEAD = 28 * DAY, 91 * DAY  # what a calendar holds
_WHOLE = 100 * DAY  # how far back a shift is looked for that has begun before
_LAST = 4_102_444_800.0  # 2100: calendars beyond are nobody's

Time = Annotated[float | None, Query(ge=0, le=_LAST, description="Unix seconds")]


class Wanted(BaseModel):
    """Who is to be on call instead. Times are ISO 8601 by the clock of the schedule's zone, or Unix seconds."""

    schedule: str
    people: list[str] = Field(min_length=1, max_length=20)
    start: str | float = Field(default="", description="from now on, if it is not said")
    end: str | float = ""
    duration: str = Field(default="", description="instead of end")
    author: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=10_000)


def router(responder: Responder, clock: Clock, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> APIRouter:
    """The routes under /aiprism/v1/oncall."""
    routes = APIRouter(prefix="/aiprism/v1/oncall", tags=["on-call"])

    def rota(since: float) -> Rota:
        with responder.records.reading() as connection:
            return overrides.in_force(connection, responder.policy.periods.rota, since)

    @routes.get("", summary="Who is on call at a time (now), until when, and who comes then")
    async def on_call(at: Time = None) -> dict[str, Any]:
        moment_ = clock.now() if at is None else at
        return await asyncio.to_thread(lambda: _on_call(rota(moment_), moment_))

    # Before the schedules themselves: whoever asks for .ics wants a calendar.
    @routes.get(
        "/{kind}/{name}.ics", summary="The shifts of a schedule, or of a person, as a calendar", response_class=Response
    )
    async def calendar(kind: str, name: str) -> Response:
        now = clock.now()
        body = await asyncio.to_thread(lambda: _calendar(rota(now - _BACK - _WHOLE), kind, name, now))
        return Response(body, media_type=ical.MIME)

    @routes.get("/schedules/{name}", summary="The shifts of a schedule within a period, with its gaps and overrides")
    async def schedule(name: str, start: Time = None, end: Time = None) -> dict[str, Any]:
        begin = clock.now() if start is None else start
        finish = begin + _SHOWN if end is None else end
        if not begin < finish <= begin + _LONGEST:
            raise BadInput("`end` must be after `start`, and a year later at most")
        return await asyncio.to_thread(lambda: _schedule(rota(begin), name, begin, finish))

    _overrides(routes, responder, clock, rota, new_id)
    return routes


def _overrides(
    routes: APIRouter, responder: Responder, clock: Clock, rota: Callable[[float], Rota], new_id: Callable[[], str]
) -> None:
    @routes.get("/overrides", summary="Overrides that were asked for and are not over")
    async def listed() -> dict[str, Any]:
        found = await asyncio.to_thread(rota, clock.now())
        return {"overrides": [_override(each, found) for each in found.overrides]}

    @routes.post("/overrides", status_code=201, summary="Have somebody else be on call for a time")
    async def put(wanted: Wanted) -> dict[str, Any]:
        asked = _asked(wanted, responder.policy.periods.rota, clock.now(), new_id())
        kept = await asyncio.to_thread(responder.pipeline.put_override, asked)
        return _override(kept, responder.policy.periods.rota)

    @routes.delete("/overrides/{override_id}", summary="End an override now; one to come is forgotten")
    async def end(override_id: str) -> dict[str, Any]:
        ended = await asyncio.to_thread(responder.pipeline.end_override, override_id)
        return _override(ended, responder.policy.periods.rota)


def _asked(wanted: Wanted, rota: Rota, now: float, id_: str) -> Override:
    if bool(wanted.end) == bool(wanted.duration):
        raise BadInput("give either `end` or `duration`")
    zone = rota.schedules[wanted.schedule].zone if wanted.schedule in rota.schedules else UTC
    start = _seconds(wanted.start, zone) if wanted.start else now
    end = _seconds(wanted.end, zone) if wanted.end else start + duration_seconds(wanted.duration)
    people = tuple(dict.fromkeys(wanted.people))
    return Override(wanted.schedule, people, start, end, id_, wanted.reason, wanted.author, now)


def _seconds(said: str | float, zone: tzinfo) -> float:
    found = moment(said, zone) if isinstance(said, str) else said
    if not 0 <= found <= _LAST:
        raise BadInput(f"{said} is not of our time; write ISO 8601, or Unix seconds")
    return found


# -- answers ---------------------------------------------------------------------------------------------------------


def _on_call(rota: Rota, at: float) -> dict[str, Any]:
    return {
        "at": at,
        "schedules": [_duty(each, rota, at) for each in rota.schedules.values()],
        "policies": [_policy(each) for each in rota.escalations.values()],
        "people": [_person(each) for each in rota.people.values()],
    }


def _duty(schedule: Schedule, rota: Rota, at: float) -> dict[str, Any]:
    duty = schedule.duty(rota.overrides, at)
    return {
        "name": schedule.name,
        "zone": str(schedule.zone),
        "people": _people(duty.people, rota),
        "why": duty.why,
        "until": duty.until,
        "next": None if duty.until is None else _people(duty.following, rota),
    }


def _schedule(rota: Rota, name: str, start: float, end: float) -> dict[str, Any]:
    schedule = _found(rota, name)
    shifts = schedule.shifts(rota.overrides, start, end)
    return {
        "name": name,
        "zone": str(schedule.zone),
        "start": start,
        "end": end,
        "layers": [each.name for each in schedule.layers],
        "shifts": [_shift(each, rota) for each in shifts],
        "gaps": [{"start": each.start, "end": each.end} for each in shifts if not each.people],
        "overrides": [
            _override(each, rota)
            for each in (*schedule.overrides, *rota.overrides)
            if each.schedule == name and each.start < end and each.end > start
        ],
    }


def _shift(shift: Shift, rota: Rota) -> dict[str, Any]:
    return {
        "start": shift.start,
        "end": shift.end,
        "people": _people(shift.people, rota),
        "why": shift.why,
        "override": (shift.override or None) if shift.why == OVERRIDE else None,
    }


def _people(people: Iterable[str], rota: Rota) -> list[dict[str, str]]:
    return [{"id": each, "name": rota.name_of(each)} for each in people]


def _person(person: Person) -> dict[str, Any]:
    contacts = [{"receiver": each.receiver, "after": each.after} for each in person.contacts]
    return {"id": person.id, "name": person.name, "zone": person.zone, "receivers": contacts}


def _policy(policy: Escalation) -> dict[str, Any]:
    return {
        "name": policy.name,
        "tiers": sorted(each.value for each in policy.tiers),
        "match": [[str(each) for each in matchers] for matchers in policy.match],
        "levels": [_level(each) for each in policy.levels],
        "repeat": policy.repeat,
        "then": policy.then or None,
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "oncall": list(level.schedules),
        "people": list(level.people),
        "receivers": list(level.receivers),
        "acknowledge_within": level.within,
    }


def _override(override: Override, rota: Rota) -> dict[str, Any]:
    """As it is shown; one of oncall.yml has no id."""
    return {**asdict(override), "id": override.id or None, "people": _people(override.people, rota)}


# -- calendars -------------------------------------------------------------------------------------------------------


def _calendar(rota: Rota, kind: str, name: str, now: float) -> bytes:
    if kind == "schedules":
        schedule = _found(rota, name)
        lines = [
            ical.Line(shift, ", ".join(rota.name_of(each) for each in shift.people), _why(shift), _attend(shift, rota))
            for shift in _whole_shifts(schedule, rota, now)
        ]
        return ical.written(f"on call: {name}", lines, now)
    if kind != "people" or name not in rota.people:
        raise NotFound(f"nobody is called {name!r}; known: {', '.join(rota.people) or 'none'}")
    lines = [
        ical.Line(shift, f"on call: {schedule.name}", _why(shift))
        for schedule in rota.schedules.values()
        for shift in _whole_shifts(schedule, rota, now)
        if name in shift.people
    ]
    return ical.written(f"on call: {rota.name_of(name)}", lines, now)


def _found(rota: Rota, name: str) -> Schedule:
    if name not in rota.schedules:
        raise NotFound(f"there is no schedule {name!r}; known: {', '.join(rota.schedules) or 'none'}")
    return rota.schedules[name]


def _whole_shifts(schedule: Schedule, rota: Rota, now: float) -> list[Shift]:
    """The shifts that are not over by the beginning of a calendar, from where they began: cut off they would be others."""
    found = schedule.shifts(rota.overrides, now - _BACK - _WHOLE, now + _AHEAD)
    return [each for each in found if each.people and each.end > now - _BACK]


def _why(shift: Shift) -> str:
    return shift.why if shift.why == OVERRIDE else f"by {shift.why}"


def _attend(shift: Shift, rota: Rota) -> list[tuple[str, str]]:
    people = [rota.people[each] for each in shift.people if each in rota.people]
    return [(each.email, each.name) for each in people if each.email]

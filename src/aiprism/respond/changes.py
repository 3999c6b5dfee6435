"""Puts what was changed on the timelines of the incidents it may explain.

In: change events, as a function that finds them by time and service. Out: a line `change` on every open incident for each
change of its services and of what they depend on, from two hours before it was opened until it is resolved: once each, with
the event as evidence. Only looking for them reads telemetry, so that happens beside the pipeline and keeps no alert waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import structlog
from sqlalchemy import Connection

from aiprism.clock import Clock
from aiprism.model.events import ChangeEvent
from aiprism.model.timerange import TimeRange, format_duration
from aiprism.respond import journal
from aiprism.respond.bell import Bell
from aiprism.respond.incident import MACHINE, Incident, Noted
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.services import Catalogue
from aiprism.store import incidents as store

log = structlog.get_logger()

LINE = "change"  # the event of the timeline
BEFORE = 7200.0  # seconds before an incident in which a change may explain it
SHORTLY = 900.0  # and before its first onset, in which it probably does
MOST = 50  # lines on one incident: a rollout that restarts everything is told by its first ones

_EVERY = 15.0  # seconds between looks while an incident is open, whatever rings
_SHORTEST = 1.0  # seconds between looks, whatever rings: a storm rings with every batch
_SHARE = 20  # and at least so many times as long as a look takes

# How many calls beneath an incident a change is looked for: a gateway depends on everything.
_DEEP = 2

# Names of services, with the way that leads to each from one of an incident; empty for its own.
Names: TypeAlias = Mapping[str, str]
# What was changed in a range of time at services of these names.
Search: TypeAlias = Callable[[TimeRange, Sequence[str]], Awaitable[Sequence[ChangeEvent]]]


class ChangeWatch:
    """Looks for changes as long as `run` runs, when something happens to an incident and while one is open."""

    def __init__(self, respond: Respond, search: Search, clock: Clock) -> None:
        self._respond, self._search, self._clock = respond, search, clock
        self._bell = Bell()
        self._task: asyncio.Task[None] | None = None
        respond.on_work(self._bell.ring)

    async def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.create_task(self._loop(), name="changes")

    async def stop(self) -> None:
        """Look no more; what was found stays."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def look(self) -> int:
        """Note what is new about the open incidents; how many lines that were."""
        incidents = await asyncio.to_thread(self._open)
        if not incidents:
            return 0
        policy = self._respond.policy
        now, names = self._clock.now(), names_of(policy.services, incidents, policy.ways())
        window = TimeRange(min(each.created_at for each in incidents) - BEFORE, now)
        found = await self._search(window, sorted({name for each in names.values() for name in each}))
        told = await asyncio.to_thread(self._concerned, incidents, names, found) if found else []
        return await asyncio.to_thread(self._note, told, names, found) if told else 0

    def _concerned(
        self, incidents: Sequence[Incident], names: Mapping[str, Names], found: Sequence[ChangeEvent]
    ) -> list[Incident]:
        """Those about which something is new: mostly none, and whoever writes is not kept waiting for that."""
        with self._respond.reading() as connection:
            known = _noted(connection, [each.id for each in incidents])
        return [each for each in incidents if unnoted(each, names[each.id], found, known.get(each.id, frozenset()))]

    def _open(self) -> list[Incident]:
        with self._respond.reading() as connection:
            return [each for each in journal.open_incidents(connection) if each.services]

    def _note(self, incidents: Sequence[Incident], names: Mapping[str, Names], found: Sequence[ChangeEvent]) -> int:
        lines = 0
        with self._respond.desk() as desk:
            known = _noted(desk.connection, [each.id for each in incidents])
            for incident in incidents:
                fresh = unnoted(incident, names[incident.id], found, known.get(incident.id, frozenset()))
                if fresh and desk.incident(incident.id, itself=True).open:  # it may have ended since we looked
                    desk.happen(
                        incident.id, *(line(incident, each, names[incident.id][each.service]) for each in fresh)
                    )
                    lines += len(fresh)
        return lines

    async def _loop(self) -> None:
        while True:
            began = self._clock.monotonic()
            # The one broad catch of this loop: a store that is away comes back.
            try:
                await self.look()
            except Exception:
                log.exception("incident.changes_not_seen")
            await self._clock.sleep(max(_SHORTEST, _SHARE * (self._clock.monotonic() - began)))
            await self._bell.wait(self._clock, _EVERY)


def names_of(services: Catalogue, incidents: Sequence[Incident], ways: Ways | None = None) -> dict[str, Names]:
    """By incident: all names of its services and, where the ways are given, of what they depend on, in alerts, in the catalogue
    and in telemetry."""
    return {
        each.id: {
            name: way
            for service, way in reversed(
                _concerning(each, ways or Ways())
            )  # of two ways the shorter, which comes first
            for name in _all_names(services, service)
        }
        for each in incidents
    }


def _concerning(incident: Incident, ways: Ways) -> list[tuple[str, str]]:
    """The services of which a change may explain an incident, each with the way to it: its own, and what the one it began at
    calls. What others of it call cannot be why that one fails."""
    own = {ways.named(each) for each in incident.services}
    origin = ways.named(incident.origin)
    began_at = [origin] if origin in own else sorted(ways.deepest(own))
    beneath = [path for each in began_at for path in ways.beneath(each).values() if 1 < len(path) <= _DEEP + 1]
    found = [(path[-1], " → ".join(path)) for path in sorted(beneath, key=len) if path[-1] not in own]
    return [*((each, "") for each in incident.services), *found]


def _all_names(services: Catalogue, name: str) -> tuple[str, ...]:
    known = services.named(name)
    return (name, known.name, *known.aliases) if known else (name,)


def unnoted(incident: Incident, names: Names, found: Sequence[ChangeEvent], known: frozenset[str]) -> list[ChangeEvent]:
    """Those of `found` that concern the incident and do not stand on its timeline, oldest first, as many as have room."""
    ours = (each for each in found if each.service in names and each.ts >= incident.created_at - BEFORE)
    # Where there is no room for all, its own come first.
    fresh = sorted(
        (each for each in ours if each.id not in known), key=lambda each: (bool(names[each.service]), each.ts)
    )
    return sorted(fresh[: max(0, MOST - len(known))], key=lambda each: (each.ts, each.id))


def line(incident: Incident, change: ChangeEvent, way: str = "") -> Noted:
    """How a change stands on the timeline; `way` leads to what was changed from who depends on it."""
    apart = round(incident.created_at - change.ts)
    when = (
        f"{format_duration(abs(apart))} {'before' if apart > 0 else 'after'} it was opened"
        if apart
        else "as it was opened"
    )
    return Noted(
        LINE,
        change.source or MACHINE,
        f"{change.kind} of {change.service}{f' ({way})' if way else ''}, {when}: {change.title}",
        asdict(change) | ({"way": way} if way else {}),
    )


def shortly(incident: Incident, lines: Iterable[store.EventRow]) -> list[dict[str, Any]]:
    """What these timelines tell of changes in the minutes before the first onset: those of its services and then those of what
    they depend on, by the `way` that is told, the last one first; `before` in seconds."""
    onset = min((alert.active_at for alert in incident.alerts), default=incident.created_at)
    found: dict[str, dict[str, Any]] = {}
    for each in lines:
        data: Mapping[str, Any] = each["data"] or {}
        if each["event"] == LINE and 0 <= onset - data["ts"] <= SHORTLY:
            told = {name: data[name] for name in ("id", "ts", "kind", "service", "title", "source")}
            found[data["id"]] = {**told, "before": round(onset - data["ts"], 3), "way": data.get("way")}
    return sorted(found.values(), key=lambda change: (bool(change["way"]), change["before"], change["id"]))


def _noted(connection: Connection, incidents: Sequence[str]) -> dict[str, frozenset[str]]:
    known: dict[str, set[str]] = {}
    for row in store.event_rows(connection, incidents, event=LINE):
        known.setdefault(row["incident_id"], set()).add(str(row["data"].get("id")))
    return {incident: frozenset(ids) for incident, ids in known.items()}

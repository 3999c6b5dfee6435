"""Deployments that nobody announces: a version of a service is noted as a change event when its spans are first seen.

In: the spans of the last minutes. Out: one event for each service, environment and version, whose id is made of these
three, so that it is one however often, and by whichever process, it is found; who announces deployments may use that id.
A version that was announced is not noted again, nor one that comes back. The first version of a service that nobody has seen
before is its start: kept, so that it is known, and no deployment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import structlog

from aiprism.model.events import START, ChangeEvent
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore

log = structlog.get_logger()

KIND, SOURCE = "deployment", "spans"
# Spans that come later than this do not show that their version is new; those that follow them do.
WINDOW = 300.0
# Who announces a version does so at most this long before its first span.
ANNOUNCED = 30 * 86_400.0
_AT_ONCE = 100  # versions of one run; those beyond have their turn a minute later
_MOST_KNOWN = 10_000
_LONGEST_ID = 200  # as of an event that is sent

# Resources are dictionary-coded, so that of each row a small number is read and few texts are taken apart. Times are as fine
# as the column: see edges.py for what ClickHouse makes of whole seconds.
_VERSIONS = """
SELECT service, environment, version, toUnixTimestamp64Milli(min(first)) / 1000 AS at
FROM
(
    SELECT service, min(start) AS first,
        JSONExtractString(toString(resource_json), 'service.version') AS version,
        JSONExtractString(toString(resource_json), 'deployment.environment.name') AS named,
        if(named = '', JSONExtractString(toString(resource_json), 'deployment.environment'), named) AS environment
    FROM spans
    WHERE start >= fromUnixTimestamp64Nano({begin:Int64}, 'UTC') AND start < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    GROUP BY service, resource_json
)
WHERE version != ''
GROUP BY service, environment, version
ORDER BY at, service, environment, version
LIMIT 1000
"""


# Of the services that nothing was ever noted of: those whose spans are older than what is looked at.
_OLDER = """
SELECT DISTINCT service FROM spans
WHERE service IN {services:Array(String)} AND start < fromUnixTimestamp64Nano({begin:Int64}, 'UTC')
"""


class Deployments:
    """Notes the versions that one tenant's services run."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._events = engine, EventStore(engine)
        self._known: set[str] = set()  # ids

    def note(self, now: float) -> Sequence[ChangeEvent]:
        """The versions that sent spans in the last minutes are noted or announced; gives the events that were new."""
        bound = {"begin": round((now - WINDOW) * 1e9), "end": round(now * 1e9)}
        seen = [_event(*row) for row in self._engine.query(_VERSIONS, bound)]
        unknown = [each for each in seen if each.id not in self._known][:_AT_ONCE]
        stored = self._events.times([each.id for each in unknown])
        new = [each for each in unknown if each.id not in stored]
        announced = self._announced(new)
        starts = self._starts(new, now)
        made = [
            replace(each, kind=START) if _version(each) in starts else each
            for each in new
            if _version(each) not in announced
        ]
        if made:
            self._events.put(made)
            log.info("deployments.noted", versions=[each.title for each in made])
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known.update(each.id for each in unknown)
        return made

    def _announced(self, events: Sequence[ChangeEvent]) -> set[tuple[str, str]]:
        """The services and versions among `events` that somebody said were deployed."""
        if not events:
            return set()
        times = [each.ts for each in events]
        around = TimeRange(min(times) - ANNOUNCED, max(times) + WINDOW)
        services = sorted({each.service for each in events})
        said = self._events.search(around, kinds=[KIND], services=services, limit=10_000)
        return {_version(each) for each in said if each.source != SOURCE}

    def _starts(self, events: Sequence[ChangeEvent], now: float) -> set[tuple[str, str]]:
        """Of each service among `events` that was never seen before: the service and its earliest version."""
        services = sorted({each.service for each in events})
        if not services:
            return set()
        noted = self._events.search(TimeRange(0, now), kinds=[KIND, START], services=services, limit=10_000)
        unnoted = sorted({*services} - {each.service for each in noted})
        older = {
            str(service)
            for [service] in (
                self._engine.query(_OLDER, {"services": unnoted, "begin": round((now - WINDOW) * 1e9)})
                if unnoted
                else ()
            )
        }
        first: dict[str, ChangeEvent] = {}
        for each in events:  # the earliest first
            first.setdefault(each.service, each)
        return {_version(first[service]) for service in unnoted if service not in older}


def _event(service: str, environment: str, version: str, at: float) -> ChangeEvent:
    key = f"{KIND}:{service}:{environment}:{version}"
    if len(key) > _LONGEST_ID:
        key = hashlib.sha256(key.encode()).hexdigest()
    attributes = {"version": version, "environment": environment}
    return ChangeEvent(
        id=key,
        ts=at,
        kind=KIND,
        service=service,
        title=f"{service} {version}"[:1000],
        text="its first spans",
        attributes={name: value for name, value in attributes.items() if value},
        source=SOURCE,
    )


def _version(event: ChangeEvent) -> tuple[str, str]:
    return event.service, event.attributes.get("version", "")

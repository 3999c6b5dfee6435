"""Change events over our own API: whoever deploys, configures or restarts says so here; charts and investigations ask."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from aiprism.clock import Clock
from aiprism.config import LimitsConfig
from aiprism.errors import BadInput
from aiprism.model.events import ChangeEvent
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.writing import Admission
from aiprism.telemetry import Telemetry

STAGE = "receive.events"
DAY = 86_400.0

Word = Annotated[str, Field(max_length=200)]


class Said(BaseModel):
    """One event as it is sent. Without `ts` it is of now, or, when its id is known, of when it was."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=1000)
    kind: str = Field(default="annotation", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    ts: float | None = Field(default=None, description="Unix seconds")
    service: Word = ""
    text: str = Field(default="", max_length=65_536)
    attributes: dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict, max_length=64
    )
    source: Word = ""
    id: Word = Field(default="", description="the same id again is the same event")


class Many(BaseModel):
    """A request: one event or more, all of them stored or none."""

    model_config = ConfigDict(extra="forbid")

    events: list[Said] = Field(min_length=1, max_length=1000)


def router(engine: Engine, clock: Clock, limits: LimitsConfig, admission: Admission, telemetry: Telemetry) -> APIRouter:
    """POST and GET events below /aiprism/v1."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["events"])
    store = EventStore(engine)

    def put(said: list[Said]) -> list[ChangeEvent]:
        now = clock.now()
        known = store.times([each.id for each in said if each.id and each.ts is None])
        made = [_event(each, known.get(each.id, now) if each.ts is None else each.ts) for each in said]
        for number, each in enumerate(made):
            check_time(each, f"events[{number}]", now, limits)
        store.put(made)
        return made

    @routes.post("/events", summary="Something was changed: a deployment, a configuration, a restart, an annotation")
    async def post(many: Many) -> dict[str, Any]:
        try:
            admission.logs(len(many.events), len(many.model_dump_json()))
            made = await engine.write(put, many.events)
        except Exception:
            telemetry.dropped(STAGE, "refused", len(many.events))
            raise
        telemetry.passed(STAGE, len(made))
        return {"ids": [each.id for each in made]}

    @routes.get("/events", summary="Change events, newest first")
    async def search(
        start: Annotated[float | None, Query(description="Unix seconds; default one day before the end")] = None,
        end: Annotated[float | None, Query(description="Unix seconds; default now")] = None,
        kind: Annotated[list[str] | None, Query(description="may be repeated")] = None,
        service: Annotated[list[str] | None, Query(description="may be repeated")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> dict[str, Any]:
        until = clock.now() if end is None else end
        since = until - DAY if start is None else start
        if not -9e9 < since <= until < 9e9:
            raise BadInput(f"start {since} and end {until} are no range: Unix seconds, start before end")
        window = TimeRange(since, until)
        found = await engine.run(store.search, window, kinds=kind or (), services=service or (), limit=limit)
        return {"events": [asdict(each) for each in found]}

    return routes


def _event(said: Said, ts: float) -> ChangeEvent:
    content = said.model_dump(exclude={"ts", "id"})
    # Who gives no id still sends one event: what it says, when.
    made = hashlib.sha256(f"{ts:.3f} {sorted(content.items())}".encode()).hexdigest()[:32]
    return ChangeEvent(id=said.id or made, ts=ts, **content)


def check_time(event: ChangeEvent, where: str, now: float, limits: LimitsConfig) -> None:
    """BadInput when the event, which stands at `where` in its request, is too far from `now`."""
    if not now - limits.logs_past <= event.ts <= now + limits.logs_future:
        raise BadInput(
            f"{where}.ts {event.ts} is too far from now ({now:.0f}): Unix seconds within limits.logs_past and "
            "limits.logs_future are taken"
        )

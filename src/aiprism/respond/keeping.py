"""Alerts, groups, silences, flaps and windows ↔ their rows in the control database. The statements stand in
`store/alerting.py` and `store/held.py`."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.respond.group import Group
from aiprism.respond.known import Known
from aiprism.respond.mute.flapping import Flap
from aiprism.respond.mute.maintenance import Window
from aiprism.respond.mute.silences import Silence
from aiprism.store import alerting as store
from aiprism.store import held


def known_row(alert: Known, now: float) -> store.AlertRow:
    """An alert as it is kept; while it fires its incidents are to hear when it ends."""
    return {
        "fingerprint": alert.fingerprint,
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "starts_at": alert.starts_at,
        "ends_at": None if math.isinf(alert.ends_at) else alert.ends_at,
        "updated_at": alert.updated_at,
        "presumed": alert.presumed,
        "source": alert.source,
        "value": alert.value,
        "open": not alert.over(now),
    }


def known_of(row: store.AlertRow) -> Known:
    """An alert as it was kept."""
    return Known(
        labels=Labels(row["labels"]),
        annotations=Labels(row["annotations"]),
        starts_at=row["starts_at"],
        ends_at=math.inf if row["ends_at"] is None else row["ends_at"],
        updated_at=row["updated_at"],
        presumed=row["presumed"],
        source=row["source"],
        value=row["value"],
        fingerprint=row["fingerprint"],
    )


def silence_row(silence: Silence) -> store.SilenceRow:
    """A silence as it is kept."""
    return {
        "id": silence.id,
        "matchers": _matcher_rows(silence.matchers),
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "updated_at": silence.updated_at,
        "created_by": silence.created_by,
        "comment": silence.comment,
    }


def silence_of(row: store.SilenceRow) -> Silence:
    """A silence as it was kept."""
    return Silence(
        id=row["id"],
        matchers=_matchers_of(row["matchers"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        updated_at=row["updated_at"],
        created_by=row["created_by"],
        comment=row["comment"],
    )


def window_row(window: Window, created_at: float) -> held.WindowRow:
    """A maintenance window as it is kept."""
    return {
        "id": window.id,
        "name": window.name,
        "matchers": _matcher_rows(window.matchers),
        "start": _wall_text(window.start, window.zone),
        "end": _wall_text(window.end, window.zone) if window.end else None,
        "duration": window.duration,
        "zone": window.zone,
        "recurrence": window.recurrence,
        "comment": window.comment,
        "author": window.author,
        "created_at": created_at,
        "ended_at": window.ended_at,
    }


def window_of(row: held.WindowRow) -> Window:
    """A maintenance window as it was kept."""
    return Window(
        id=row["id"],
        name=row["name"],
        matchers=_matchers_of(row["matchers"]),
        start=_wall_of(row["start"], row["zone"]),
        end=_wall_of(row["end"], row["zone"]) if row["end"] else None,
        duration=row["duration"],
        zone=row["zone"],
        recurrence=row["recurrence"],
        comment=row["comment"],
        author=row["author"],
        ended_at=row["ended_at"],
    )


def _wall_text(wall: datetime, zone: str) -> str:
    """What a clock shows, with its offset the second time it shows that: ISO 8601 has no other word for which is meant."""
    return (wall.replace(tzinfo=ZoneInfo(zone)) if wall.fold else wall).isoformat()


def _wall_of(text: str, zone: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if found.tzinfo else found


def flap_row(flap: Flap, now: float) -> held.FlapRow:
    """How an alert comes and goes, as it is kept."""
    return {
        "fingerprint": flap.fingerprint,
        "firing": flap.firing,
        "changes": list(flap.changes),
        "changed_at": now,
        "since": flap.since,
        "until": flap.until,
        "count": flap.count,
    }


def flap_of(row: held.FlapRow) -> Flap:
    """How an alert comes and goes, as it was kept."""
    return Flap(row["fingerprint"], row["firing"], tuple(row["changes"]), row["since"], row["until"], row["count"])


def _matcher_rows(matchers: tuple[Matcher, ...]) -> list[dict[str, Any]]:
    return [{"name": each.name, "op": each.op.value, "value": each.value} for each in matchers]


def _matchers_of(rows: list[dict[str, Any]]) -> tuple[Matcher, ...]:
    return tuple(Matcher(each["name"], MatchOp(each["op"]), each["value"]) for each in rows)


def group_row(group: Group) -> store.GroupRow:
    """A group as it is kept."""
    return {
        "id": group.id,
        "route": group.route,
        "key": group.key,
        "labels": group.labels.to_dict(),
        "next_at": group.next_at,
        "flushed": group.flushed,
        "late": group.late,
    }


def group_of(row: store.GroupRow) -> Group:
    """A group as it was kept."""
    return Group(
        id=row["id"],
        route=row["route"],
        key=row["key"],
        labels=Labels(row["labels"]),
        next_at=row["next_at"],
        flushed=row["flushed"],
        late=row["late"],
    )

"""Statements on the control database for the response room: incidents, notifications, runbook runs, control commands.

In and out go rows as the TypedDicts below, inside a transaction the caller began (`records.begin()`), so that an
incident, its timeline and the notifications that follow from it are written together or not at all. What a row means
is known in `aiprism.respond`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import (
    WANTED,
    control_acks,
    control_commands,
    having,
    incident_alerts,
    incident_events,
    incidents,
    notifications,
    runbook_runs,
    runbook_steps,
    upsert,
)

# SQLite takes at most 999 (old builds) bound values in one statement; ids are looked up in portions of this size.
_PORTION = 500
# Letters about an incident that say that something fires.
# What each batch of alerts asks is made once: making a statement takes longer than the answer.
_LAST_EVENT = sa.select(sa.func.coalesce(sa.func.max(incident_events.c.id), 0))
_CALLING = frozenset({"opened", "escalated", "reopened", "overdue", "reminded", "flapping", "paged"})


class IncidentRow(TypedDict):
    id: str
    title: str
    description: str
    priority: str
    status: str
    created_at: float
    updated_at: float
    identified_at: float | None
    monitoring_since: float | None
    resolved_at: float | None
    acknowledged_at: float | None
    acknowledged_by: str | None
    target_at: float | None
    responded_at: float | None
    due_at: float | None
    progress: dict[str, Any] | None
    work: dict[str, Any] | None
    merged_into: str | None
    origin: str | None
    services: list[str]
    labels: dict[str, str]


class AlertRow(TypedDict):
    incident_id: str
    fingerprint: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    state: str
    value: float
    active_at: float
    fired_at: float | None
    resolved_at: float | None


class EventRow(TypedDict):
    """A line of a timeline; `id` is given by the database and grows."""

    id: int
    incident_id: str
    at: float
    event: str
    actor: str
    text: str
    data: dict[str, Any]


class NotificationRow(TypedDict):
    id: str
    incident_id: str | None
    receiver: str
    channel: str
    integration: int
    event: str
    state: str
    attempts: int
    next_at: float | None
    created_at: float
    sent_at: float | None
    error: str
    payload: dict[str, Any]
    dedup_key: str
    group_id: str | None
    deadline: float | None
    tells: dict[str, Any] | None


class RunRow(TypedDict):
    id: str
    incident_id: str | None
    runbook: str
    state: str
    started_at: float | None
    finished_at: float | None
    outcome: str
    data: dict[str, Any]


class StepRow(TypedDict):
    run_id: str
    position: int
    name: str
    kind: str
    state: str
    started_at: float | None
    finished_at: float | None
    idempotency_key: str
    result: dict[str, Any]


class CommandRow(TypedDict):
    id: str
    service: str
    instance: str | None
    control: str
    kind: str
    action: str
    params: dict[str, Any]
    issued_at: float
    expires_at: float | None
    revoked_at: float | None
    reason: str
    actor: str


class AckRow(TypedDict):
    command_id: str
    instance: str
    status: str
    message: str
    at: float


# -- incidents -------------------------------------------------------------------------------------------------------


def put_incidents(connection: Connection, rows: Sequence[IncidentRow], alerts: Iterable[AlertRow]) -> None:
    """Insert incidents and their alerts, or lay them over what is there."""
    upsert(connection, incidents, rows)
    upsert(connection, incident_alerts, list(alerts))


def incident_rows(
    connection: Connection,
    *,
    ids: Sequence[str] | None = None,
    without_status: str = "",
    status: str = "",
    limit: int = 0,
    during: tuple[float, float] | None = None,
) -> list[IncidentRow]:
    """Incidents, newest first: of these ids, with or without a status, open at any time of a period, at most `limit` (0: all)."""
    query = sa.select(incidents).order_by(incidents.c.created_at.desc(), incidents.c.id.desc())
    if ids is not None:
        return [row for portion in _portions(ids) for row in _incident_rows(connection, query, portion)]
    if status:
        query = query.where(incidents.c.status == status)
    if without_status:
        query = query.where(incidents.c.status != without_status)
    if during is not None:
        ended = incidents.c.resolved_at
        query = query.where(incidents.c.created_at <= during[1], ended.is_(None) | (ended >= during[0]))
    return cast("list[IncidentRow]", _rows(connection, query.limit(limit) if limit else query))


def _incident_rows(connection: Connection, query: sa.Select[Any], ids: Sequence[str]) -> list[IncidentRow]:
    return cast("list[IncidentRow]", _rows(connection, query.where(incidents.c.id.in_(ids))))


def due_incidents(connection: Connection, now: float) -> list[str]:
    """The incidents that time alone changes by `now`, the most overdue first."""
    query = sa.select(incidents.c.id).where(incidents.c.due_at <= now).order_by(incidents.c.due_at, incidents.c.id)
    return list(connection.scalars(query))


def next_due_incident(connection: Connection) -> float | None:
    """When time alone changes an incident next; None when it changes none."""
    return cast("float | None", connection.scalar(sa.select(sa.func.min(incidents.c.due_at))))


def put_due(connection: Connection, due: Mapping[str, float | None]) -> None:
    """Note when time alone changes these incidents."""
    for incident_id, at in due.items():
        changed = sa.and_(incidents.c.id == incident_id, incidents.c.due_at.is_distinct_from(at))
        connection.execute(sa.update(incidents).where(changed).values(due_at=at))


def alert_rows(connection: Connection, incident_ids: Sequence[str]) -> list[AlertRow]:
    """The alerts of these incidents, in the order they began."""
    table = incident_alerts
    order = (table.c.active_at, table.c.fingerprint)
    return cast("list[AlertRow]", _rows_of(connection, table, table.c.incident_id, incident_ids, order))


def newest_incidents_of(connection: Connection, fingerprints: Sequence[str]) -> dict[str, str]:
    """For each of these alerts that ever was in an incident: the id of the one that holds its latest episode, of equals the
    youngest, and is not part of another. One that is open may be older than one that is over."""
    found: dict[str, str] = {}
    for portion in _portions(fingerprints):
        found.update((row.fingerprint, row.id) for row in connection.execute(_NEWEST, {"wanted": portion}))
    return found


_NEWEST = (
    sa.select(incident_alerts.c.fingerprint, incidents.c.id)
    .join(incidents, incident_alerts.c.incident_id == incidents.c.id)
    .where(incident_alerts.c.fingerprint.in_(WANTED), incidents.c.merged_into.is_(None))
    .order_by(incident_alerts.c.active_at, incidents.c.created_at, incidents.c.id)
)


def drop_alerts(connection: Connection, incident_id: str, fingerprints: Sequence[str]) -> None:
    """Take these alerts out of an incident."""
    table = incident_alerts
    for portion in _portions(fingerprints):
        wanted = sa.and_(table.c.incident_id == incident_id, table.c.fingerprint.in_(portion))
        connection.execute(sa.delete(table).where(wanted))


def append_events(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Append to timelines, in this order. There is no statement that changes or removes a line."""
    if rows:
        connection.execute(_APPEND, [*rows])


_APPEND = sa.insert(incident_events)


def last_event(connection: Connection) -> int:
    """The number of the line that was written last to any timeline; 0 when there is none."""
    return cast("int", connection.scalar(_LAST_EVENT))


def incidents_since(connection: Connection, event: int) -> list[str]:
    """The incidents whose timelines got lines after the one of that number."""
    table = incident_events
    return list(connection.scalars(sa.select(table.c.incident_id).where(table.c.id > event).distinct()))


def incidents_at(connection: Connection, prefix: str) -> set[str]:
    """The ids that begin like this, of which there are incidents."""
    ids = incidents.c.id
    return set(connection.scalars(sa.select(ids).where(ids >= prefix, ids < prefix + chr(0x10FFFF))))


def event_rows(connection: Connection, incident_ids: Sequence[str], *, event: str = "") -> list[EventRow]:
    """The timelines of these incidents in the order they were written; of one kind of event when named."""
    table = incident_events
    only = (table.c.event == event) if event else None
    return cast("list[EventRow]", _rows_of(connection, table, table.c.incident_id, incident_ids, (table.c.id,), only))


# -- notifications ---------------------------------------------------------------------------------------------------


def enqueue(connection: Connection, rows: Iterable[NotificationRow]) -> list[NotificationRow]:
    """Put notifications into the outbox; those whose id is there already are left as they are. Returns the new ones.

    What is enqueued later for the same incident has a later `created_at`, if only by a microsecond: letters are sent
    in that order.
    """
    wanted = {row["id"]: row for row in rows}
    known = known_notifications(connection, list(wanted))
    fresh = [row for key, row in wanted.items() if key not in known]
    latest = _latest_letters(connection, [row["incident_id"] for row in fresh if row["incident_id"] is not None])
    ordered: list[NotificationRow] = []
    for row in fresh:
        subject = row["incident_id"] or row["dedup_key"]
        latest[subject] = max(row["created_at"], latest.get(subject, 0.0) + 1e-6)
        ordered.append({**row, "created_at": latest[subject]})
    if ordered:
        connection.execute(sa.insert(notifications), ordered)
    return ordered


def _latest_letters(connection: Connection, incident_ids: Sequence[str]) -> dict[str, float]:
    table = notifications
    found: dict[str, float] = {}
    for portion in _portions(sorted(set(incident_ids))):
        query = sa.select(table.c.incident_id, sa.func.max(table.c.created_at).label("latest"))
        query = query.where(table.c.incident_id.in_(portion)).group_by(table.c.incident_id)
        found.update({row.incident_id: row.latest for row in connection.execute(query)})
    return found


class Address(NamedTuple):
    """One configured integration of one receiver."""

    receiver: str
    channel: str
    integration: int


def due_addresses(connection: Connection, now: float) -> list[Address]:
    """The integrations that have something to be sent by `now`."""
    heads = _heads()
    query = sa.select(heads.c.receiver, heads.c.channel, heads.c.integration).where(heads.c.next_at <= now).distinct()
    return [Address(row.receiver, row.channel, row.integration) for row in connection.execute(query)]


def due_notifications(connection: Connection, address: Address, now: float, limit: int) -> list[NotificationRow]:
    """What this integration is to be sent by `now`, oldest first: of each subject only the oldest letter, because a
    later one ("resolved") must not overtake it."""
    heads = _heads(address)
    query = (
        sa.select(notifications)
        .join(heads, heads.c.id == notifications.c.id)
        .where(heads.c.next_at <= now)
        .order_by(notifications.c.created_at, notifications.c.id)
        .limit(limit)
    )
    return cast("list[NotificationRow]", _rows(connection, query))


class Receipt(NamedTuple):
    """What an integration gave back for the last letter about a subject that it took, and what that letter said."""

    given: Mapping[str, str]
    payload: Mapping[str, Any]


def last_receipt(connection: Connection, address: Address, subject: str, since: float) -> Receipt | None:
    """The receipt for the last letter about `subject` that this integration took after `since`."""
    table = notifications
    taken = sa.and_(_to(address), table.c.dedup_key == subject, table.c.state == "sent", table.c.sent_at >= since)
    query = (
        sa.select(table.c.receipt, table.c.payload)
        .where(taken, table.c.receipt.is_not(sa.null()))
        .order_by(table.c.created_at.desc(), table.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return Receipt(row.receipt, row.payload) if row and row.receipt else None


def next_due(connection: Connection) -> float | None:
    """When the next letter is due; None when nothing waits."""
    return cast("float | None", connection.execute(sa.select(sa.func.min(_heads().c.next_at))).scalar())


def defer_notifications(connection: Connection, address: Address, until: float) -> None:
    """Send nothing to this integration before `until`."""
    table = notifications
    waiting = sa.and_(_to(address), table.c.state == "pending", table.c.next_at < until)
    connection.execute(sa.update(table).where(waiting).values(next_at=until))


def _heads(address: Address | None = None) -> sa.Subquery:
    table = notifications
    place = sa.func.row_number().over(
        partition_by=(table.c.dedup_key, table.c.receiver, table.c.channel, table.c.integration),
        order_by=(table.c.created_at, table.c.id),
    )
    # Without the payloads, of which a storm has thousands.
    narrow = (table.c.id, table.c.receiver, table.c.channel, table.c.integration, table.c.next_at)
    waiting = sa.select(*narrow, place.label("place")).where(table.c.state == "pending")
    ranked = (waiting.where(_to(address)) if address is not None else waiting).subquery()
    return sa.select(ranked).where(ranked.c.place == 1).subquery()


def _to(address: Address) -> sa.ColumnElement[bool]:
    table = notifications
    return sa.and_(
        table.c.receiver == address.receiver,
        table.c.channel == address.channel,
        table.c.integration == address.integration,
    )


def notification_rows(connection: Connection, incident_ids: Sequence[str]) -> list[NotificationRow]:
    """Every notification of these incidents, oldest first."""
    table = notifications
    order = (table.c.created_at, table.c.id)
    return cast("list[NotificationRow]", _rows_of(connection, table, table.c.incident_id, incident_ids, order))


def receivers_told(connection: Connection, incident_ids: Sequence[str]) -> dict[str, list[str]]:
    """For each of these incidents: the receivers of letters about it, first told first. Letters about groups do not count, nor
    status updates: a customer who was told one is not to hear all the rest; nor what was said in a room."""
    found: dict[str, list[str]] = {}
    for portion in _portions(incident_ids):
        for row in connection.execute(_TOLD, {"wanted": portion}):
            found.setdefault(row.incident_id, []).append(row.receiver)
    return found


_TOLD = (
    sa.select(notifications.c.incident_id, notifications.c.receiver)
    .where(
        notifications.c.incident_id.in_(WANTED),
        notifications.c.group_id.is_(None),
        notifications.c.event.not_like("update#%"),
        notifications.c.event.not_like("room#%"),
    )
    .group_by(notifications.c.incident_id, notifications.c.receiver)
    .order_by(sa.func.min(notifications.c.created_at), notifications.c.receiver)
)


def told_since(connection: Connection, rounds: Mapping[str, float]) -> set[tuple[str, Address]]:
    """Which integrations were told, or are still to be, of these incidents: by letters that call for attention, written
    since the moment given for each and not given up."""
    table = notifications
    found: set[tuple[str, Address]] = set()
    for portion in _portions([*rounds]):
        query = sa.select(
            table.c.incident_id,
            table.c.receiver,
            table.c.channel,
            table.c.integration,
            table.c.event,
            table.c.created_at,
        ).where(table.c.incident_id.in_(portion), table.c.group_id.is_(None), table.c.state != "failed")
        for row in connection.execute(query):
            if row.created_at >= rounds[row.incident_id] and row.event.partition("#")[0] in _CALLING:
                found.add((row.incident_id, Address(row.receiver, row.channel, row.integration)))
    return found


def known_notifications(connection: Connection, notification_ids: Sequence[str]) -> set[str]:
    """Those of these ids that are in the outbox, sent or not."""
    return set(_known(connection, notifications.c.id, notification_ids))


def mark_notification(connection: Connection, notification_id: str, **changes: object) -> None:
    """Lay `changes` over one notification."""
    connection.execute(sa.update(notifications).where(notifications.c.id == notification_id).values(**changes))


def mark_sent(connection: Connection, rows: Sequence[NotificationRow], now: float) -> None:
    """Note that these were taken at `now`, at one more try each."""
    table = notifications
    if rows:
        sent = sa.update(table).where(table.c.id == sa.bindparam("its_id"))
        sent = sent.values(state="sent", sent_at=now, next_at=None, error="", attempts=sa.bindparam("tries"))
        connection.execute(sent, [{"its_id": row["id"], "tries": row["attempts"] + 1} for row in rows])


# -- runbook runs ----------------------------------------------------------------------------------------------------


def plan_run(connection: Connection, row: RunRow) -> bool:
    """Insert a run unless its id is there; True when it is new."""
    if _known(connection, runbook_runs.c.id, [row["id"]]):
        return False
    connection.execute(sa.insert(runbook_runs), [dict(row)])
    return True


def mark_run(connection: Connection, run_id: str, **changes: object) -> None:
    """Lay `changes` over one run."""
    connection.execute(sa.update(runbook_runs).where(runbook_runs.c.id == run_id).values(**changes))


def run_row(connection: Connection, run_id: str) -> RunRow | None:
    """One run."""
    found = _rows(connection, sa.select(runbook_runs).where(runbook_runs.c.id == run_id))
    return cast("RunRow", found[0]) if found else None


def runs_in(connection: Connection, states: Iterable[str]) -> list[RunRow]:
    """Runs in one of `states`, in the order of their ids (which begin with the incident's time)."""
    query = sa.select(runbook_runs).where(runbook_runs.c.state.in_(list(states))).order_by(runbook_runs.c.id)
    return cast("list[RunRow]", _rows(connection, query))


def run_rows(connection: Connection, incident_ids: Sequence[str]) -> list[RunRow]:
    """The runs of these incidents."""
    table = runbook_runs
    return cast("list[RunRow]", _rows_of(connection, table, table.c.incident_id, incident_ids, (table.c.id,)))


def runs_started_since(connection: Connection, since: float) -> list[RunRow]:
    """Runs that began to act at `since` or later, newest first. Skipped ones never have a start."""
    query = sa.select(runbook_runs).where(runbook_runs.c.started_at >= since).order_by(runbook_runs.c.started_at.desc())
    return cast("list[RunRow]", _rows(connection, query))


def runs_since(connection: Connection, since: float) -> list[RunRow]:
    """Runs that ended at `since` or later, or have not ended, newest first; those that have not begun stand first."""
    end, table = runbook_runs.c.finished_at, runbook_runs
    latest = sa.func.coalesce(table.c.finished_at, table.c.started_at)
    query = (
        sa.select(table).where(end.is_(None) | (end >= since)).order_by(latest.is_not(None), latest.desc(), table.c.id)
    )
    return cast("list[RunRow]", _rows(connection, query))


def put_step(connection: Connection, row: StepRow) -> None:
    """Insert a step of a run, or lay it over the one at its position."""
    upsert(connection, runbook_steps, [row])


def step_rows(connection: Connection, run_ids: Sequence[str]) -> list[StepRow]:
    """The steps of these runs, by run and position."""
    table = runbook_steps
    order = (table.c.run_id, table.c.position)
    return cast("list[StepRow]", _rows_of(connection, table, table.c.run_id, run_ids, order))


# -- control commands ------------------------------------------------------------------------------------------------


def put_command(connection: Connection, row: CommandRow) -> bool:
    """Insert a command unless its id is there; True when it is new."""
    if _known(connection, control_commands.c.id, [row["id"]]):
        return False
    connection.execute(sa.insert(control_commands), [dict(row)])
    return True


def command_row(connection: Connection, command_id: str) -> CommandRow | None:
    """One command."""
    found = _rows(connection, sa.select(control_commands).where(control_commands.c.id == command_id))
    return cast("CommandRow", found[0]) if found else None


def commands_for(connection: Connection, service: str, now: float) -> list[CommandRow]:
    """Commands to `service` that have not expired, oldest first; revoked ones too, since their undo must be told."""
    table = control_commands
    alive = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now)
    query = sa.select(table).where(table.c.service == service, alive).order_by(table.c.issued_at, table.c.id)
    return cast("list[CommandRow]", _rows(connection, query))


def revoke_command(connection: Connection, command_id: str, now: float) -> None:
    """Mark a command as revoked, once."""
    table = control_commands
    fresh = sa.and_(table.c.id == command_id, table.c.revoked_at.is_(None))
    connection.execute(sa.update(table).where(fresh).values(revoked_at=now))


def put_acks(connection: Connection, rows: Sequence[AckRow]) -> None:
    """Insert acknowledgements, or lay them over earlier ones of the same instance."""
    upsert(connection, control_acks, list(rows))


def ack_rows(connection: Connection, command_ids: Sequence[str]) -> list[AckRow]:
    """The acknowledgements of these commands."""
    table = control_acks
    order = (table.c.command_id, table.c.instance)
    return cast("list[AckRow]", _rows_of(connection, table, table.c.command_id, command_ids, order))


# -- inside ----------------------------------------------------------------------------------------------------------


def _rows(connection: Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _rows_of(
    connection: Connection,
    table: sa.Table,
    key: sa.Column[Any],
    wanted: Sequence[str],
    order: Sequence[sa.Column[Any]],
    only: sa.ColumnElement[bool] | None = None,
) -> list[dict[str, Any]]:
    query = having(table, key).order_by(*order)
    query = query if only is None else query.where(only)
    return [
        dict(row) for portion in _portions(wanted) for row in connection.execute(query, {"wanted": portion}).mappings()
    ]


def _known(connection: Connection, key: sa.Column[Any], wanted: Sequence[str]) -> list[str]:
    query = having(key, key)
    return [
        value for portion in _portions(wanted) for value in connection.execute(query, {"wanted": portion}).scalars()
    ]


def _portions(wanted: Sequence[str]) -> list[Sequence[str]]:
    return [wanted[at : at + _PORTION] for at in range(0, len(wanted), _PORTION)]

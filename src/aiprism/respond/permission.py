"""May this run begin, and may this person let it: what the control database knows is laid before the guards.

In: a run, inside a transaction. Out: a `Refusal` or None; for a person, Forbidden with the names of those who may.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from aiprism.errors import Forbidden
from aiprism.model.alerts import AlertState
from aiprism.respond import guards, journal
from aiprism.respond.desk import Policy
from aiprism.respond.guards import Approval, Refusal
from aiprism.respond.incident import Incident, Status
from aiprism.respond.incident.work import ROLES
from aiprism.respond.oncall import overrides
from aiprism.respond.runs import Run, episode_of, touch_of
from aiprism.store import incidents as store

ON_CALL = "oncall"
_HOUR = 3600.0


def refused(
    connection: Connection, policy: Policy, run: Run, incident: Incident, now: float, instances: int | None
) -> Refusal | None:
    """Why the run must not begin, as far as the control database knows; None when it may. `incident` is its own as it is now,
    `instances` how many its service has, where a guard asks for that."""
    return (
        pointless(run, incident)
        or guards.outside(run.runbook.guard, now)
        or _held(connection, policy, run, now, instances)
    )


def pointless(run: Run, incident: Incident) -> Refusal | None:
    """Why there is nothing left for the run to do, as its incident is now; None while there is."""
    alert = incident.alert(run.subject.fingerprint)
    if incident.status in (Status.MONITORING, Status.RESOLVED):
        return Refusal(f"the incident is {incident.status.value} already")
    if alert is None or alert.state is not AlertState.FIRING:
        return Refusal(f"{run.subject.alertname} fires no more")
    if run.row["data"].get("episode", episode_of(incident, alert)) != episode_of(incident, alert):
        return Refusal(f"{run.subject.alertname} fires anew, and called for another run")
    return None


def _held(connection: Connection, policy: Policy, run: Run, now: float, instances: int | None) -> Refusal | None:
    guard = run.runbook.guard
    within = guard.blast_radius.within if guard.blast_radius else 0.0
    rows = store.runs_started_since(connection, now - max(guard.cooldown, within, _HOUR))
    past = [touch_of(row, row["started_at"] or 0.0) for row in rows]
    most = policy.max_runs_per_hour
    return guards.refusal(guard, touch_of(run.row, now), past, instances=instances, most_per_hour=most)


def refuse_without_role(
    connection: Connection, policy: Policy, run: Run, approval: Approval, actor: str, now: float
) -> None:
    """Forbidden unless the actor has the role whose approval the run waits for."""
    if not approval.role:
        return
    able = people_of(connection, policy, run.incident_id, approval.role, now)
    if actor.casefold() not in {name.casefold() for name in able}:
        names = ", ".join(dict.fromkeys(able.values())) or "nobody"
        raise Forbidden(
            f"{actor} may not let runbook {run.runbook.name} go ahead: it asks for the approval of role {approval.role!r}, "
            f"which {names} has now (respond.roles, oncall.yml, or a role taken in the incident)"
        )


def people_of(connection: Connection, policy: Policy, incident_id: str, role: str, now: float) -> Mapping[str, str]:
    """Who has a role now: every name somebody may sign with, and what that person is called."""
    rota = overrides.in_force(connection, policy.periods.rota, now)
    kind, _, schedule = role.partition(":")
    ids = [*policy.roles.get(role, ()), *_taken(connection, incident_id, role)]
    if kind == ON_CALL:
        schedules = [schedule] if schedule else list(rota.schedules)
        ids += [person for name in schedules for person in rota.on_call(name, now)]
    called = {person: rota.name_of(person) for person in ids}
    return {**called, **{name: name for name in called.values()}}


def _taken(connection: Connection, incident_id: str, role: str) -> list[str]:
    """Who has taken that role in the incident, or in the one it goes on as."""
    person = journal.work_of(connection, incident_id).roles.get(role, "")
    return [person] if person else []


def never_held(role: str, roles: Mapping[str, Collection[str]], schedules: Collection[str]) -> str:
    """Why nobody can ever have a role, where `roles` of the settings name people and `schedules` are those of oncall.yml;
    empty when somebody may."""
    kind, _, schedule = role.partition(":")
    if role in ROLES or roles.get(role) or (kind == ON_CALL and (schedule in schedules if schedule else schedules)):
        return ""
    if kind == ON_CALL:
        return f"there is no schedule {schedule!r}" if schedule else "there are no schedules (respond.oncall)"
    known = ", ".join([*roles, ON_CALL, f"{ON_CALL}:SCHEDULE", *ROLES])
    return f"respond.roles names nobody for it, and it is none that is taken in an incident; known: {known}"

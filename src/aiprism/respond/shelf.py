"""The runbooks as people look at them: what each answers and asks for, how its last runs ended, which would run for an alert.

In: the policy in force, rows of runs, labels. Out: plain values for the API and the commands. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from aiprism.errors import AiprismError, NotFound
from aiprism.model.alerts import Alert, AlertState, Priority
from aiprism.model.labels import Labels
from aiprism.respond import guards
from aiprism.respond.desk import Policy
from aiprism.respond.guards import Guard
from aiprism.respond.placeholders import Subject, filled_query, spoken_of
from aiprism.respond.runbook import Runbook, Step, filled_params
from aiprism.respond.runs import FAILED, ROLLED_BACK, SUCCEEDED
from aiprism.store import incidents as store

COUNTED = 30 * 86_400.0  # seconds of the past that the success rate counts
_SHOWN = 5


def listed(connection: Connection, policy: Policy, now: float) -> list[dict[str, Any]]:
    """Every runbook with what it answers, its last runs and how many of them succeeded, in the order of the files."""
    rows = store.runs_since(connection, now - COUNTED)
    return [_told(each, policy, [row for row in rows if row["runbook"] == each.name]) for each in policy.runbooks]


def one(connection: Connection, policy: Policy, name: str, now: float) -> dict[str, Any]:
    """One runbook with its steps, guards and queries; NotFound when there is none of that name."""
    found = next((each for each in policy.runbooks if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in policy.runbooks) or "none"
        raise NotFound(f"no runbook {name!r}; there are {known}")
    rows = [row for row in store.runs_since(connection, now - COUNTED) if row["runbook"] == name]
    verify = found.verify
    return {
        **_told(found, policy, rows),
        "where": found.where,
        "steps": [_step(each) for each in found.steps],
        "rollback": [_step(each) for each in found.rollback],
        "verify": {
            "query": verify.query,
            "within": verify.within,
            "every": verify.every,
            "measure": verify.measure,
            "measures": dict(verify.measures),
            "worse_when": verify.worse,
        }
        if verify
        else None,
    }


def rehearsed(policy: Policy, labels: Mapping[str, str], priority: Priority | None, now: float) -> dict[str, Any]:
    """Which runbooks an alert with these labels calls for, what each would do with its values, and why the others stay where
    they are. Nothing runs, and no precondition is asked."""
    alert = policy.periods.tiers.placed(Alert(Labels(labels), Labels({}), AlertState.FIRING, 0.0, now, now))
    tier = priority or alert.priority
    return {
        "priority": tier.value,
        "runbooks": [_rehearsed(each, alert, tier, now, policy) for each in policy.runbooks],
    }


def _rehearsed(runbook: Runbook, alert: Alert, tier: Priority, now: float, policy: Policy) -> dict[str, Any]:
    not_matched = [str(each) for each in runbook.match if not each.matches(alert.labels.get(each.name, ""))]
    why = f"{not_matched[0]} does not hold" if not_matched else ""
    if not why and tier not in runbook.priorities:
        why = f"it is for {', '.join(sorted(each.value for each in runbook.priorities))}, not {tier.value}"
    outside = guards.outside(runbook.guard, now)
    if not why and outside is not None and outside.until is None:
        why = outside.reason
    steps, problem = ([], "") if why else _filled(runbook, _subject(runbook, alert))
    asks = [
        *([] if why or outside is None else [outside.reason]),
        *([] if why else _asks(runbook.guard, policy, now)),
    ]
    return {
        "name": runbook.name,
        "runs": not why and not problem,
        "why_not": why or problem,
        "steps": steps,
        "guards": asks,
    }


def _subject(runbook: Runbook, alert: Alert) -> Subject:
    """The alert as the runbook speaks of it. Which annotations it will have its labels do not tell: those stay as written."""
    written = [runbook.queries, *(step.params for step in (*runbook.steps, *runbook.rollback))]
    names = [name.partition(".")[2] for name in spoken_of(written) if name.startswith("annotations.")]
    annotations = {name: f"${{annotations.{name}}}" for name in names}
    return Subject(alert.labels.to_dict(), annotations, "INC_test", alert.name, alert.fingerprint)


def _filled(runbook: Runbook, subject: Subject) -> tuple[list[dict[str, Any]], str]:
    """The steps with the alert's values, and what keeps the run from its first one, as `Run.rehearse` would find."""
    found = []
    for step in (*runbook.steps, *runbook.rollback):
        try:
            found.append({**_step(step), "params": filled_params(step, subject)})
        except AiprismError as error:
            return found[: len(runbook.steps)], f"step {step.name!r}: {error}"
    try:
        for query in runbook.queries:
            filled_query(query, subject)
    except AiprismError as error:
        return found[: len(runbook.steps)], f"a query: {error}"
    return found[: len(runbook.steps)], ""


def _asks(guard: Guard, policy: Policy, now: float) -> list[str]:
    """What its guards ask for before it acts, in words."""
    approval, radius = guards.approval_at(guard, now), guard.blast_radius
    words = {
        f"precondition: {guard.precondition}": guard.precondition,
        f"cooldown of {guard.cooldown:g} s": guard.cooldown,
        f"at most {guard.max_runs_per_hour} runs an hour": guard.max_runs_per_hour,
        f"blast radius: {radius}": radius,
        f"approval of {approval.role or 'a person'}" if approval else "": approval,
        "dry run": guard.dry_run or policy.dry_run,
    }
    return [text for text, given in words.items() if given]


def _told(runbook: Runbook, policy: Policy, rows: Sequence[store.RunRow]) -> dict[str, Any]:
    acted = [row["state"] for row in rows if row["started_at"] is not None]
    counted = [state for state in acted if state in (SUCCEEDED, FAILED, ROLLED_BACK)]
    guard = runbook.guard
    return {
        "name": runbook.name,
        "description": runbook.description,
        "match": [str(each) for each in runbook.match],
        "priorities": sorted(each.value for each in runbook.priorities),
        "approval": guard.approval.role or "required" if guard.approval else None,
        "dry_run": guard.dry_run or policy.dry_run,
        "runs": len(acted),
        "success_rate": counted.count(SUCCEEDED) / len(counted) if counted else None,
        "last_runs": [_run(row) for row in rows[:_SHOWN]],
    }


def _run(row: store.RunRow) -> dict[str, Any]:
    names = ("id", "incident_id", "state", "started_at", "finished_at", "outcome")
    return {name: row[name] for name in names}  # type: ignore[literal-required]


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "params": dict(step.params),
        "timeout": step.timeout,
        "idempotent": step.idempotent,
        "undoes": step.undoes,
    }

"""Alert states in the control database: what a restart needs so that `for` goes on and no one is told twice.

In: the alerts of a group that changed in an evaluation. Out: all of them, once, at start. What a state means is left to
`detect`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.store.records import Records, alert_groups, alert_states, upsert

# Detectors that are no rule file keep their alerts here, too, each under a group key of its own: those of rules hold a `;`.
LOG_PATTERNS = "log-patterns"
_DETECTORS = (LOG_PATTERNS,)


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert of a rule between two evaluations. Times are Unix seconds."""

    alert: Alert
    keep_firing_since: float | None = None  # when the expression stopped to yield it, while `keep_firing_for` holds it
    last_sent_at: float | None = None  # the evaluation whose notification was accepted


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that was kept: alerts by rule key, the group each rule was in, and when groups were last evaluated."""

    alerts: Mapping[str, tuple[KeptAlert, ...]]
    groups: Mapping[str, str]
    evaluated_at: Mapping[str, float]


class AlertStates:
    """The kept alerts of every rule, or of one `detector` that is no rule."""

    def __init__(self, records: Records, detector: str = "") -> None:
        self._records, self._detector = records, detector

    def load(self) -> Kept:
        """What the last run left."""
        with self._records.reading() as connection:
            rows = connection.execute(sa.select(alert_states).where(self._ours(alert_states.c.group_key))).all()
            evaluated = connection.execute(
                sa.select(alert_groups.c.group_key, alert_groups.c.evaluated_at).where(
                    self._ours(alert_groups.c.group_key)
                )
            ).all()
        alerts: dict[str, tuple[KeptAlert, ...]] = {}
        for row in rows:
            alerts[row.rule_key] = (*alerts.get(row.rule_key, ()), _kept(row))
        return Kept(
            alerts=alerts,
            groups={row.rule_key: row.group_key for row in rows},
            evaluated_at={row.group_key: row.evaluated_at for row in evaluated},
        )

    def save(
        self,
        group_key: str,
        evaluated_at: float | None,
        changed: Sequence[tuple[str, KeptAlert]],
        gone: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Keep `changed` (rule key, alert), forget `gone` (rule key, fingerprint), and note when that was, all at once."""
        with self._records.begin() as connection:
            upsert(connection, alert_states, [_row(group_key, rule_key, kept) for rule_key, kept in changed])
            if gone:
                connection.execute(
                    sa.delete(alert_states).where(
                        alert_states.c.rule_key == sa.bindparam("key"),
                        alert_states.c.fingerprint == sa.bindparam("name"),
                    ),
                    [{"key": rule_key, "name": fingerprint} for rule_key, fingerprint in gone],
                )
            if evaluated_at is not None:
                upsert(connection, alert_groups, [{"group_key": group_key, "evaluated_at": evaluated_at}])

    def forget_groups(self, known: Sequence[str]) -> None:
        """Drop the evaluation times of groups that are not `known` and keep no alert any more."""
        still = sa.select(alert_states.c.group_key)
        with self._records.begin() as connection:
            connection.execute(
                sa.delete(alert_groups).where(
                    self._ours(alert_groups.c.group_key),
                    alert_groups.c.group_key.not_in(known),
                    alert_groups.c.group_key.not_in(still),
                )
            )

    def _ours(self, group_key: sa.Column[str]) -> sa.ColumnElement[bool]:
        return group_key == self._detector if self._detector else group_key.not_in(_DETECTORS)


def source_of(group_key: str, alert: str) -> str:
    """Where an alert comes from, as people read it: ``file/group/alert``."""
    return f"{group_key.replace(';', '/')}/{alert}"


def _row(group_key: str, rule_key: str, kept: KeptAlert) -> dict[str, object]:
    alert = kept.alert
    return {
        "rule_key": rule_key,
        "fingerprint": alert.fingerprint,
        "group_key": group_key,
        "labels": alert.labels.to_dict(),
        "annotations": alert.annotations.to_dict(),
        "state": alert.state.value,
        "value": alert.value,
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
        "keep_firing_since": kept.keep_firing_since,
        "last_sent_at": kept.last_sent_at,
    }


def _kept(row: sa.Row[tuple[object, ...]]) -> KeptAlert:
    labels = Labels(row.labels)
    alert = Alert(
        labels=labels,
        annotations=Labels(row.annotations),
        state=AlertState(row.state),
        value=row.value,
        active_at=row.active_at,
        fired_at=row.fired_at,
        resolved_at=row.resolved_at,
        source=source_of(row.group_key, labels.get("alertname", "")),
    )
    return KeptAlert(alert, row.keep_firing_since, row.last_sent_at)

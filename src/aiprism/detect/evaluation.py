"""What one evaluation of one rule decides: which alerts there are now, and which samples say so. No I/O, no clock.

In: a rule, the vector its expression gave, the alerts it had before, the time. Out: the alerts it has now, the samples to
record, and (`due`) the alerts to hand on. The moves are Prometheus' (rules/alerting.go): pending → firing after `for`,
firing → resolved when the expression stops to yield the series and `keep_firing_for` has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from aiprism.detect.annotations import AlertData, AlertTemplate, Surroundings
from aiprism.detect.rules import AlertingRule, RecordingRule, Rule
from aiprism.detect.template import TemplateError
from aiprism.errors import AiprismError
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.model.samples import Sample
from aiprism.query.promql.native import stored
from aiprism.query.promql.values import Scalar, Value, Vector, VectorItem
from aiprism.store.alertstates import KeptAlert

# A resolved alert is remembered for this long, so that what was just over can still be seen. Prometheus' number.
RESOLVED_RETENTION = 15 * 60.0


class RuleFailed(AiprismError):
    """A rule whose result cannot be used: no vector, two series that became one, or more than the group's limit."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an evaluation needs to know besides its rule. Times are Unix seconds."""

    now: float
    query_offset: float = 0.0
    limit: int = 0  # most alerts or series of one rule; 0: any number
    source: str = ""
    around: Surroundings = field(default_factory=Surroundings)
    settling: bool = False  # soon after a restart: an alert that is not seen yet is not over yet


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What is true after an evaluation. `states` is by fingerprint; `troubles` are templates that failed."""

    states: Mapping[str, KeptAlert]
    samples: tuple[Sample, ...]
    troubles: tuple[str, ...] = ()


def evaluate(rule: Rule, value: Value, previous: Mapping[str, KeptAlert], setting: Setting) -> Evaluated:
    """The alerts and samples of `rule` at `setting.now`; RuleFailed when what its expression gave cannot be used.

    A failed evaluation leaves `previous` as it is: what cannot be judged is neither firing anew nor over.
    """
    vector = _as_vector(value)
    if isinstance(rule, RecordingRule):
        return Evaluated({}, _recorded(rule, vector, setting))
    found, troubles = _found(rule, vector, setting)
    states: dict[str, KeptAlert] = {}
    for fingerprint, alert in found.items():
        states[fingerprint] = _seen(rule, alert, previous.get(fingerprint), setting.now)
    for fingerprint, kept in previous.items():
        left = None if fingerprint in found else _unseen(rule, kept, setting)
        if left is not None:
            states[fingerprint] = left
    _check_limit(sum(_active(kept) for kept in states.values()), setting, "alerts")
    return Evaluated(states, tuple(alert_samples(states.values(), setting)), tuple(troubles))


def due(kept: KeptAlert, now: float, resend_delay: float) -> bool:
    """Whether an alert is to be handed on: resolved and not told yet, or firing and told longer ago than the delay."""
    alert, sent = kept.alert, kept.last_sent_at
    if alert.state is AlertState.PENDING:
        return False
    if alert.resolved_at is not None:
        return sent is None or sent < alert.resolved_at
    return sent is None or _passed(sent, now) >= resend_delay


def resumed(
    kept: KeptAlert, rule: AlertingRule, seen_at: float, now: float, *, tolerance: float, grace: float
) -> KeptAlert | None:
    """A kept alert after a restart: the time away (since `seen_at`) does not count towards `for`, nor against it.

    None when a pending alert was away longer than `tolerance` seconds: it begins anew. With `grace` seconds, no alert
    fires sooner than that after the restart. A firing alert stays firing until an evaluation says otherwise.
    Source: Prometheus' RestoreForState (rules/group.go).
    """
    alert = kept.alert
    if alert.state is not AlertState.PENDING:
        return kept
    if now - seen_at > tolerance:
        return None
    remaining = rule.hold - (seen_at - alert.active_at)
    if remaining <= 0:  # `for` was shortened meanwhile
        return kept
    active_at = now + grace - rule.hold if remaining < grace else alert.active_at + (now - seen_at)
    return replace(kept, alert=replace(alert, active_at=active_at))


def resolved(kept: KeptAlert, now: float) -> KeptAlert:
    """The same alert, over at `now`."""
    return KeptAlert(replace(kept.alert, state=AlertState.RESOLVED, resolved_at=now), last_sent_at=kept.last_sent_at)


def alert_samples(states: Iterable[KeptAlert], setting: Setting) -> Iterable[Sample]:
    """ALERTS and ALERTS_FOR_STATE of every pending or firing alert."""
    ts_ms = _ts_ms(setting)
    for kept in states:
        alert = kept.alert
        if not _active(kept):
            continue
        named = alert.labels.with_(**{METRIC_NAME: "ALERTS", "alertstate": alert.state.value})
        yield Sample(named, ts_ms, 1.0)
        since = alert.labels.with_(**{METRIC_NAME: "ALERTS_FOR_STATE"})
        yield Sample(since, ts_ms, float(int(alert.active_at)))


def _as_vector(value: Value) -> Vector:
    if isinstance(value, Vector):
        return value
    if isinstance(value, Scalar):
        return Vector((VectorItem(Labels(), value.ts, value.value),))
    raise RuleFailed("rule result is not a vector or scalar")  # Prometheus' words


# -- alerts ----------------------------------------------------------------------------------------------------------


def _found(rule: AlertingRule, vector: Vector, setting: Setting) -> tuple[dict[str, Alert], list[str]]:
    """The alert of each series of the vector, as if it had just begun."""
    found: dict[str, Alert] = {}
    troubles: list[str] = []
    for item in vector.items:
        alert = _alert(rule, item, setting, troubles)
        fingerprint = alert.fingerprint
        if fingerprint in found:
            raise RuleFailed(f"two series give the same alert {alert.labels}; keep a label that tells them apart")
        found[fingerprint] = alert
    return found, troubles


def _alert(rule: AlertingRule, item: VectorItem, setting: Setting, troubles: list[str]) -> Alert:
    data = AlertData.of(item.labels, item.value, setting.around, setting.now - setting.query_offset)

    def expanded(templates: tuple[tuple[str, AlertTemplate], ...]) -> dict[str, str]:
        return {name: _expanded(name, template, data, troubles) for name, template in templates}

    labels = Labels({**dict(item.labels.pairs), **expanded(rule.labels), METRIC_NAME: "", "alertname": rule.name})
    return Alert(
        labels=labels,
        annotations=Labels(expanded(rule.annotations)),
        state=AlertState.PENDING,
        value=item.value,
        active_at=setting.now,
        source=setting.source,
    )


def _expanded(name: str, template: AlertTemplate, data: AlertData, troubles: list[str]) -> str:
    try:
        return template.fill(data)
    except TemplateError as error:
        # An alert is worth more than its text, so the text says what is wrong with it. Prometheus' words.
        troubles.append(f"{name}: {error}")
        return f"<error expanding template: {error}>"


def _seen(rule: AlertingRule, found: Alert, kept: KeptAlert | None, now: float) -> KeptAlert:
    if kept is None or kept.alert.state is AlertState.RESOLVED:
        kept = KeptAlert(found)
    alert = replace(kept.alert, value=found.value, annotations=found.annotations)
    if alert.state is AlertState.PENDING and _passed(alert.active_at, now) >= rule.hold:
        alert = replace(alert, state=AlertState.FIRING, fired_at=now)
    return KeptAlert(alert, last_sent_at=kept.last_sent_at)


def _unseen(rule: AlertingRule, kept: KeptAlert, setting: Setting) -> KeptAlert | None:
    """What becomes of an alert whose series is not in the vector; None: forgotten."""
    now, alert = setting.now, kept.alert
    if alert.resolved_at is not None:
        told = kept.last_sent_at is not None and kept.last_sent_at >= alert.resolved_at
        return None if told and _passed(alert.resolved_at, now) > RESOLVED_RETENTION else kept
    if setting.settling:
        return kept
    if alert.state is AlertState.PENDING:
        return None
    since = now if kept.keep_firing_since is None else kept.keep_firing_since
    if _passed(since, now) < rule.keep_firing_for:
        return replace(kept, keep_firing_since=since)
    return resolved(kept, now)


def _passed(since: float, now: float) -> float:
    # To the millisecond: today's Unix seconds carry only seven decimals, and a `for` of 10 s is over after 10 s.
    return round(now - since, 3)


def _active(kept: KeptAlert) -> bool:
    return kept.alert.state is not AlertState.RESOLVED


# -- recording -------------------------------------------------------------------------------------------------------


def _recorded(rule: RecordingRule, vector: Vector, setting: Setting) -> tuple[Sample, ...]:
    ts_ms = _ts_ms(setting)
    samples = {}
    for item in vector.items:
        labels = Labels({**dict(item.labels.pairs), **dict(rule.labels), METRIC_NAME: rule.name})
        if labels in samples:
            raise RuleFailed(f"two series give the same {labels}; keep a label that tells them apart")
        histogram = None if item.histogram is None else stored(item.histogram)
        samples[labels] = Sample(labels, ts_ms, item.value, histogram)
    _check_limit(len(samples), setting, "series")
    return tuple(samples.values())


def _check_limit(count: int, setting: Setting, what: str) -> None:
    if setting.limit and count > setting.limit:
        raise RuleFailed(f"{count} {what} are over the group's limit of {setting.limit}")


def _ts_ms(setting: Setting) -> int:
    return round((setting.now - setting.query_offset) * 1000)

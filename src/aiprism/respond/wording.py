"""What a human would write over some alerts: one line, and a few sentences.

Alerts come in, text goes out, the same for the same alerts in any order; pure. The line says what is wrong with what, in plain
words for the alerts that everybody has, since when, and where it began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from aiprism.model.alerts import Alert
from aiprism.respond.subject import Kind, kind_of, service_of, spelled, words_of

# Words in the name of an alert, and what it means, the most particular first. `{it}` stands for one service or several.
_SYMPTOMS: Sequence[tuple[str, str]] = (
    ("error budget", "{it} burning the error budget"),
    ("budget burn", "{it} burning the error budget"),
    ("oom", "{it} out of memory"),
    ("out memory", "{it} out of memory"),
    ("crash looping", "{it} crash-looping"),
    ("crash loop", "{it} crash-looping"),
    ("not ready", "{it} not ready"),
    ("replicas mismatch", "{it} short of replicas"),
    ("rollout stuck", "{it} rollout stuck"),
    ("certificate", "certificate of {it} expiring"),
    ("cert", "certificate of {it} expiring"),
    ("backup", "no backup of {it}"),
    ("replication", "{it} replication behind"),
    ("lag", "{it} lagging"),
    ("too connections", "too many connections to {it}"),
    ("many connections", "too many connections to {it}"),
    ("connections high", "too many connections to {it}"),
    ("slow queries", "slow queries in {it}"),
    ("deadlocks", "deadlocks in {it}"),
    ("dead locks", "deadlocks in {it}"),
    ("disk full", "disk filling up on {it}"),
    ("space filling", "disk filling up on {it}"),
    ("out space", "disk filling up on {it}"),
    ("out disk", "disk filling up on {it}"),
    ("files filling", "inodes running out on {it}"),
    ("volume filling", "volume of {it} filling up"),
    ("throttling", "{it} throttled"),
    ("throttled", "{it} throttled"),
    ("memory", "{it} short of memory"),
    ("cpu", "{it} short of CPU"),
    ("probe failed", "{it} unreachable"),
    ("unreachable", "{it} unreachable"),
)
_OF_KIND: Mapping[Kind, str] = {
    Kind.AVAILABILITY: "{it} down",
    Kind.LATENCY: "slow {it}",
    Kind.SECURITY: "security alarm in {it}",
}
_PHRASES_SHOWN = 3
_SERVICES_SHOWN = 3
_LINES_SHOWN = 20
# A head start below this says nothing about cause: rules are evaluated every few seconds.
_HEAD_START = 10.0


def title_of(alerts: Sequence[Alert]) -> str:
    """One line over `alerts`: what is wrong with what, since when, and where it started if one service led.

    For example "api-gateway errors and slow ai-analysis since 14:02 UTC, starting at ai-analysis".
    """
    ordered = _ordered(alerts)
    troubles: dict[str, dict[str, None]] = {}  # what is wrong → with which services, in the order they began
    for alert in ordered:
        troubles.setdefault(_symptom(alert), {})[service_of(alert.labels)] = None
    phrases = [_phrase(symptom, [*services]) for symptom, services in troubles.items()]
    shown = phrases[:_PHRASES_SHOWN]
    if len(phrases) > len(shown):
        shown.append(f"{len(phrases) - len(shown)} more")
    return f"{_listed(shown)} since {_clock(ordered[0].active_at)}{_origin(ordered)}"


def description_of(alerts: Sequence[Alert]) -> str:
    """How much fires and since when, and what the rules say about each alert, in the order they began."""
    ordered = _ordered(alerts)
    lines = list(dict.fromkeys(_told(alert) for alert in ordered))
    hidden = len(lines) - _LINES_SHOWN
    told = [*lines[:_LINES_SHOWN], f"… and {hidden} more"] if hidden > 0 else lines
    return "\n".join([*_lead(ordered), *told])


def changed(title: str, kind: str, before: float) -> str:
    """A sentence on what was changed so many seconds before the first alert began.

    >>> changed("model-server 2.2.0", "deployment", 181.0)
    'Changed 3 minutes before: model-server 2.2.0 (deployment).'
    """
    minutes = round(before / 60)
    when = "just" if minutes < 1 else "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"Changed {when} before: {title} ({kind})."


def _ordered(alerts: Sequence[Alert]) -> list[Alert]:
    return sorted(alerts, key=lambda alert: (alert.active_at, alert.fingerprint))


def _lead(ordered: Sequence[Alert]) -> list[str]:
    if len(ordered) < 2:
        return []
    services = [*dict.fromkeys(filter(None, (service_of(alert.labels) for alert in ordered)))]
    first, last = ordered[0].active_at, ordered[-1].active_at
    until = f", the last one at {_clock(last)}" if last - first >= 60 else ""
    of = f" of {_named(services)}" if services else ""
    return [f"{len(ordered)} alerts{of} since {_clock(first)}{until}."]


def _symptom(alert: Alert) -> str:
    return _meaning(alert.name, kind_of(alert.labels), bool(service_of(alert.labels)))


@lru_cache(maxsize=10_000)
def _meaning(name: str, kind: Kind, placed: bool) -> str:
    words = {*words_of(name)}
    plain = spelled(name) or "unnamed alert"
    if not placed:
        return plain
    for telling, phrase in _SYMPTOMS:
        if words.issuperset(telling.split()):
            return phrase
    if kind is Kind.ERRORS:
        return "{it} errors"
    return _OF_KIND.get(kind, plain.replace("{", "").replace("}", "") + " in {it}")


def _phrase(symptom: str, services: Sequence[str]) -> str:
    # "a errors" reads well, "a, b and c errors" does not.
    several = symptom.replace("{it} errors", "errors in {it}") if len(services) > 1 else symptom
    return several.replace("{it}", _named(services))


def _named(services: Sequence[str]) -> str:
    """At most three by name, and how many others there are."""
    if len(services) <= _SERVICES_SHOWN + 1:  # "and 1 other" is no shorter than its name
        return _listed(services)
    return _listed([*services[:_SERVICES_SHOWN], f"{len(services) - _SERVICES_SHOWN} others"])


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")


def _origin(ordered: Sequence[Alert]) -> str:
    first, service = ordered[0], service_of(ordered[0].labels)
    others = [alert for alert in ordered if service_of(alert.labels) != service]
    if not service or not others or others[0].active_at - first.active_at < _HEAD_START:
        return ""
    return f", starting at {service}"


def _told(alert: Alert) -> str:
    summary, detail = alert.annotations.get("summary", ""), alert.annotations.get("description", "")
    told = ". ".join(dict.fromkeys(text.strip().rstrip(".") for text in (summary, detail) if text.strip()))
    return f"{alert.name}: {told}" if told else f"{alert.name} on {service_of(alert.labels) or 'an unnamed service'}"

"""What alerts speak of: the service, the kind of trouble, and the sentence a human would write over them.

Labels and names come in, words go out; pure. `correlate` compares subjects, `incident` titles itself with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache

from aiprism.model.alerts import Alert

# Where rule authors put the name of the thing that is in trouble, most telling first (the plan's rules use three of them).
SERVICE_LABELS = ("service", "service_name", "job", "component")


class Kind(Enum):
    """The family of trouble an alert's name speaks of."""

    AVAILABILITY = "availability"
    ERRORS = "errors"
    LATENCY = "latency"
    SATURATION = "saturation"
    SECURITY = "security"
    BUSINESS = "business"
    OTHER = "other"


# One fault in a service shows as any of these, so they are half alike; security and business troubles stand alone.
SYMPTOMS = frozenset({Kind.AVAILABILITY, Kind.ERRORS, Kind.LATENCY, Kind.SATURATION})

_TELLING: Mapping[Kind, str] = {
    Kind.SECURITY: "security breach intrusion unauthorized login vulnerability",
    Kind.AVAILABILITY: "down unavailable availability absent unhealthy crash crashed crashing dead missing unreachable"
    " outage restarted",
    Kind.LATENCY: "latency slow slowness duration degraded degradation timeout timeouts response",
    Kind.ERRORS: "error errors failure failures failed failing exception exceptions 5xx rejected",
    Kind.SATURATION: "cpu memory disk queue backlog saturation saturated resource resources capacity pool connections"
    " usage full leak throttled throttling lag backlogged exhausted exhaustion pressure filling inodes space oom"
    " evicted overcommit",
    Kind.BUSINESS: "satisfaction revenue kpi conversion engagement users adoption cost",
}
_WORDS = {kind: frozenset(words.split()) for kind, words in _TELLING.items()}

_PHRASES: Mapping[Kind, str] = {
    Kind.AVAILABILITY: "{service} down",
    Kind.ERRORS: "{service} errors",
    Kind.LATENCY: "slow {service}",
    Kind.SECURITY: "security alarm in {service}",
}

_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+(?:xx)?")
_PHRASES_SHOWN = 3
_LINES_SHOWN = 20
# A head start below this says nothing about cause: rules are evaluated every few seconds.
_HEAD_START = 10.0


def service_of(labels: Mapping[str, str]) -> str:
    """The service these labels name, or an empty string."""
    return next((labels[name] for name in SERVICE_LABELS if labels.get(name)), "")


def words_of(name: str) -> tuple[str, ...]:
    """The words of an alert's name, in lower case; abbreviations stay whole.

    >>> words_of("AIModelPerformanceDegraded"), words_of("db_5xx")
    (('ai', 'model', 'performance', 'degraded'), ('db', '5xx'))
    """
    return tuple(word.lower() for word in _CAMEL.findall(name))


def kind_of(labels: Mapping[str, str]) -> Kind:
    """The kind an alert's name speaks of; a `kind` label that names one wins.

    >>> kind_of({"alertname": "HighErrorRate"}), kind_of({"alertname": "HighErrorRate", "kind": "latency"})
    (<Kind.ERRORS: 'errors'>, <Kind.LATENCY: 'latency'>)
    """
    return _kind(labels.get("alertname", ""), labels.get("kind", ""))


@lru_cache(maxsize=10_000)  # there are as many as rules, and each alert of a storm asks
def _kind(name: str, stated: str) -> Kind:
    if stated in {kind.value for kind in Kind}:
        return Kind(stated)
    words = set(words_of(name))
    return next((kind for kind, telling in _WORDS.items() if words & telling), Kind.OTHER)


def title_of(alerts: Sequence[Alert]) -> str:
    """One line over `alerts`: what is wrong with what, since when, and where it started if one service led.

    For example "api-gateway errors and slow ai-analysis since 14:02 UTC, starting at ai-analysis".
    """
    ordered = sorted(alerts, key=lambda alert: (alert.active_at, alert.fingerprint))
    phrases = list(dict.fromkeys(_phrase(alert) for alert in ordered))
    shown = phrases[:_PHRASES_SHOWN]
    if len(phrases) > len(shown):
        shown.append(f"{len(phrases) - len(shown)} more")
    since = datetime.fromtimestamp(ordered[0].active_at, UTC).strftime("%H:%M UTC")
    return f"{_listed(shown)} since {since}{_origin(ordered)}"


def description_of(alerts: Sequence[Alert]) -> str:
    """What the rules say about each alert, one line each, in the order they began."""
    ordered = sorted(alerts, key=lambda alert: (alert.active_at, alert.fingerprint))
    lines = list(dict.fromkeys(_told(alert) for alert in ordered))
    hidden = len(lines) - _LINES_SHOWN
    return "\n".join([*lines[:_LINES_SHOWN], f"… and {hidden} more"] if hidden > 0 else lines)


def _phrase(alert: Alert) -> str:
    service, pattern = service_of(alert.labels), _PHRASES.get(kind_of(alert.labels))
    if service and pattern:
        return pattern.format(service=service)
    subject = (
        " ".join(word if word.isupper() else word.lower() for word in _CAMEL.findall(alert.name)) or "unnamed alert"
    )
    return f"{subject} in {service}" if service else subject


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


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

"""What a human would write over some alerts: one line, and a few sentences.

Alerts come in, text goes out, the same for the same alerts in any order; pure. The line says what is wrong with what, in plain
words for the alerts that everybody has, since when, and where it began.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias, TypeVar

from aiprism.model.alerts import Alert
from aiprism.model.labels import Labels
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
_NAME = 80  # characters of a name in a title
# A head start below this says nothing about cause: rules are evaluated every few seconds.
_HEAD_START = 10.0

Onset: TypeAlias = tuple[float, str]  # when an alert began, and its fingerprint: the order in which alerts are told
_Trouble: TypeAlias = tuple[tuple[str, str], Onset]
_Said = TypeVar("_Said")


@dataclass(frozen=True, slots=True)
class Gist:
    """What some alerts say, taken together: all that a title and a description are made of, and the labels they share. Kept
    beside the alerts and grown alert by alert: a storm would otherwise look at all of them with each that joins."""

    troubles: Mapping[tuple[str, str], Onset] = field(default_factory=dict)  # what is wrong, with which service
    lines: Mapping[str, Onset] = field(default_factory=dict)  # what the rules say
    last: float = -math.inf  # the onset of the one that began last
    count: int = 0
    labels: Labels = field(default_factory=Labels)

    def grown(self, alert: Alert) -> Gist:
        """It with one more alert, whenever that began."""
        onset = _onset(alert)
        return Gist(
            _begun(self.troubles, (_symptom(alert), service_of(alert.labels)), onset),
            _begun(self.lines, _told(alert), onset),
            max(self.last, alert.active_at),
            self.count + 1,
            _shared(self.labels, alert.labels) if self.count else alert.labels,
        )

    def title(self, origin: str = "") -> str:
        """One line: what is wrong with what, since when, and where it started: at the `origin`, if who calls whom shows one,
        else at the service that led, if one did.

        For example "api-gateway errors and slow ai-analysis since 14:02 UTC, starting at ai-analysis".
        """
        ordered = self._ordered()
        with_what: dict[str, dict[str, None]] = {}  # what is wrong → with which services, in the order they began
        for (symptom, service), _ in ordered:
            with_what.setdefault(symptom, {})[service] = None
        # Lists within a list cannot be read: of several things that are wrong, each names one service, or two.
        most = _SERVICES_SHOWN if len(with_what) == 1 else 1
        phrases = [_phrase(symptom, [*services], most) for symptom, services in with_what.items()]
        shown = phrases[:_PHRASES_SHOWN]
        if len(phrases) > len(shown):
            left = len(phrases) - len(shown)
            shown.append(f"{left} more {'problem' if left == 1 else 'problems'}")
        return f"{_listed(shown)} since {_clock(ordered[0][1][0])}{_started(ordered, origin)}"

    def description(self) -> str:
        """How much fires and since when, and what the rules say about each alert, in the order they began."""
        lines = sorted(self.lines, key=self.lines.__getitem__)
        hidden = len(lines) - _LINES_SHOWN
        told = [*lines[:_LINES_SHOWN], f"… and {hidden} more"] if hidden > 0 else lines
        return "\n".join([*self._lead(), *told])

    def _lead(self) -> list[str]:
        if self.count < 2:
            return []
        ordered = self._ordered()
        services, first = _services(ordered), ordered[0][1][0]
        until = f", the last one at {_clock(self.last)}" if self.last - first >= 60 else ""
        of = f" of {_named(services)}" if services else ""
        return [f"{self.count} alerts{of} since {_clock(first)}{until}."]

    def _ordered(self) -> list[_Trouble]:
        return sorted(self.troubles.items(), key=lambda trouble: trouble[1])


def gist_of(alerts: Iterable[Alert]) -> Gist:
    """What these alerts say, in any order."""
    gist = Gist()
    for alert in sorted(alerts, key=_onset):  # the earliest first, so that of each trouble and line one is kept
        gist = gist.grown(alert)
    return gist


def title_of(alerts: Iterable[Alert], origin: str = "") -> str:
    """One line over `alerts`, at least one."""
    return gist_of(alerts).title(origin)


def description_of(alerts: Iterable[Alert]) -> str:
    """A few sentences over `alerts`, at least one."""
    return gist_of(alerts).description()


def changed(title: str, kind: str, before: float, way: str = "") -> str:
    """A sentence on what was changed so many seconds before the first alert began; `way` leads to it from who depends on it.

    >>> changed("model-server 2.2.0", "deployment", 181.0)
    'Changed 3 minutes before: model-server 2.2.0 (deployment).'
    >>> changed("max_connections 20", "config", 60.0, "orders → postgres")
    'Changed a minute before, beneath it (orders → postgres): max_connections 20 (config).'
    """
    minutes = round(before / 60)
    when = "just" if minutes < 1 else "a minute" if minutes == 1 else f"{minutes} minutes"
    beneath = f", beneath it ({way})" if way else ""
    return f"Changed {when} before{beneath}: {title} ({kind})."


def _onset(alert: Alert) -> Onset:
    return alert.active_at, alert.fingerprint


def _begun(known: Mapping[_Said, Onset], said: _Said, onset: Onset) -> Mapping[_Said, Onset]:
    """What is said with when it was first: mostly it was before."""
    first = known.get(said)
    return known if first is not None and first <= onset else {**known, said: onset}


def _shared(labels: Labels, others: Labels) -> Labels:
    kept = [pair for pair in labels.pairs if others.get(pair[0]) == pair[1]]
    return labels if len(kept) == len(labels) else Labels(kept)


def _services(ordered: Sequence[_Trouble]) -> list[str]:
    return [*dict.fromkeys(service for (_, service), _ in ordered if service)]


def _symptom(alert: Alert) -> str:
    return _meaning(alert.name, kind_of(alert.labels), bool(service_of(alert.labels)))


@lru_cache(maxsize=10_000)
def _meaning(name: str, kind: Kind, placed: bool) -> str:
    words = {*words_of(name)}
    plain = _short(spelled(name)) or "unnamed alert"
    if not placed:
        return plain
    for telling, phrase in _SYMPTOMS:
        if words.issuperset(telling.split()):
            return phrase
    if kind is Kind.ERRORS:
        return "{it} errors"
    return _OF_KIND.get(kind, plain.replace("{", "").replace("}", "") + " in {it}")


def _phrase(symptom: str, services: Sequence[str], most: int) -> str:
    # "a errors" reads well, "a, b and c errors" does not.
    several = symptom.replace("{it} errors", "errors in {it}") if len(services) > 1 else symptom
    return several.replace("{it}", _named([_short(each) for each in services], most))


def _named(services: Sequence[str], most: int = _SERVICES_SHOWN) -> str:
    """So many by name, and how many others there are."""
    if len(services) <= most + 1:  # "and 1 other" is no shorter than its name
        return _listed(services)
    return _listed([*services[:most], f"{len(services) - most} others"])


def _short(name: str) -> str:
    """A name that fits into a line, whatever somebody put into a label."""
    line = " ".join(name.split())
    return line if len(line) <= _NAME else f"{line[: _NAME - 1]}…"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")


def _started(ordered: Sequence[_Trouble], origin: str) -> str:
    if origin:
        silent = all(service != origin for (_, service), _ in ordered)
        return f", {'perhaps ' if silent else ''}starting at {_short(origin)}"
    (_, service), (began, _) = ordered[0]
    others = [onset for (_, other), onset in ordered if other != service]
    if not service or not others or others[0][0] - began < _HEAD_START:
        return ""
    return f", starting at {_short(service)}"


def _told(alert: Alert) -> str:
    summary, detail = alert.annotations.get("summary", ""), alert.annotations.get("description", "")
    told = ". ".join(dict.fromkeys(text.strip().rstrip(".") for text in (summary, detail) if text.strip()))
    return f"{alert.name}: {told}" if told else f"{alert.name} on {service_of(alert.labels) or 'an unnamed service'}"

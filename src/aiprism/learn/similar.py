"""Which past incidents an incident resembles, and why: by the words of its alerts, its services, their kinds, its errors.

In: `Traits` of incidents, and which services call each other. Out: `Likeness`es, the most alike first, each with its four
parts from 0 to 1 and what was shared in words. Pure. Words count by how rare they are among all incidents looked at
(TF-IDF with cosine): "high" stands in many titles and says little, "checkout" in few.

Weights: words 0.35, alert names and kinds 0.3, services 0.2, error patterns 0.15. An incident without error patterns is
compared by the other three alone, which then weigh more: that nothing is known is no difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiprism.respond.incident import Incident
from aiprism.respond.subject import Kind, kind_of, words_of

Related: TypeAlias = Callable[[str, str], bool]

ALIKE = 0.45  # from which on a past incident is worth reading
_WEIGHTS: Mapping[str, float] = {"alerts": 0.3, "services": 0.2, "words": 0.35, "errors": 0.15}
_WORDY = 0.4  # from which on shared words are a reason
_SAME_KIND, _NEIGHBOUR = 0.4, 0.5  # what a shared kind, and a service that calls the other, are worth
# Rare among ten incidents, and yet they say nothing.
_SAY_NOTHING = frozenset(
    (
        "a", "an", "and", "are", "as", "at", "be", "been", "by", "can", "cannot", "for", "from", "has", "have", "in", "into",
        "is", "it", "its", "no", "not", "of", "on", "or", "than", "that", "the", "to", "was", "were", "which", "with",
        "within", "above", "below", "more", "less",
    )
)  # fmt: skip
_SAID = ("summary", "description", "message")  # annotations in words; others hold addresses and names of people


@dataclass(frozen=True, slots=True)
class Traits:
    """What an incident is compared by."""

    id: str
    title: str
    at: float
    alerts: frozenset[str]
    kinds: frozenset[str]
    services: frozenset[str]
    words: tuple[str, ...]
    errors: frozenset[str] = frozenset()  # patterns of log lines


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike a past incident is: the whole, its parts, and what they share."""

    id: str
    title: str
    at: float
    score: float
    parts: Mapping[str, float]
    reasons: tuple[str, ...]


def traits_of(incident: Incident, errors: Iterable[str] = ()) -> Traits:
    """What `incident` is compared by; `errors` are the patterns its services wrote meanwhile, where they are known."""
    said = (
        text for alert in incident.alerts for text in (alert.name, *(alert.annotations.get(each, "") for each in _SAID))
    )
    kinds = {kind_of(alert.labels) for alert in incident.alerts} - {Kind.OTHER}
    return Traits(
        id=incident.id,
        title=incident.title,
        at=incident.created_at,
        alerts=frozenset(alert.name for alert in incident.alerts if alert.name),
        kinds=frozenset(kind.value for kind in kinds),
        services=frozenset(incident.services),
        words=tuple(word for text in dict.fromkeys(said) for word in words_of(text) if word not in _SAY_NOTHING),
        errors=frozenset(errors),
    )


def alike(of: Traits, others: Sequence[Traits], related: Related, *, most: int = 5) -> list[Likeness]:
    """The incidents of `others` that `of` resembles by at least ALIKE, at most so many."""
    rarity = _rarity([of, *others])
    found = [_likeness(of, each, related, rarity) for each in others if each.id != of.id]
    worth = [each for each in found if each.score >= ALIKE]
    return sorted(worth, key=lambda each: (-each.score, -each.at, each.id))[:most]


def _likeness(of: Traits, other: Traits, related: Related, rarity: Mapping[str, float]) -> Likeness:
    parts = {
        "alerts": max(_shared(of.alerts, other.alerts), _SAME_KIND * _shared(of.kinds, other.kinds)),
        "services": _of_services(of.services, other.services, related),
        "words": _cosine(of.words, other.words, rarity),
    }
    if of.errors and other.errors:
        parts["errors"] = _shared(of.errors, other.errors)
    weight = sum(_WEIGHTS[name] for name in parts)
    score = round(sum(_WEIGHTS[name] * value for name, value in parts.items()) / weight, 4)
    rounded = {name: round(value, 4) for name, value in parts.items()}
    return Likeness(other.id, other.title, other.at, score, rounded, tuple(_reasons(of, other, parts, rarity)))


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of what both have in what either has; none of nothing."""
    return len(one & other) / len(one | other) if one and other else 0.0


def _of_services(one: frozenset[str], other: frozenset[str], related: Related) -> float:
    """As `_shared`, with half the worth for a service that calls one of the other side's, or is called by it."""
    if not one or not other:
        return 0.0
    near = sum(1 for each in one ^ other if any(related(each, there) for there in (other if each in one else one)))
    return (len(one & other) + _NEIGHBOUR * near) / len(one | other)


def _rarity(all_of_them: Sequence[Traits]) -> Mapping[str, float]:
    """What a word is worth: the less, the more incidents have it."""
    having = Counter(word for each in all_of_them for word in set(each.words))
    return {word: math.log((1 + len(all_of_them)) / (1 + count)) + 1 for word, count in having.items()}


def _cosine(one: Sequence[str], other: Sequence[str], rarity: Mapping[str, float]) -> float:
    first = {word: count * rarity[word] for word, count in Counter(one).items()}
    second = {word: count * rarity[word] for word, count in Counter(other).items()}
    length = math.sqrt(sum(each**2 for each in first.values())) * math.sqrt(sum(each**2 for each in second.values()))
    return sum(first[word] * second.get(word, 0.0) for word in first) / length if length else 0.0


def _reasons(of: Traits, other: Traits, parts: Mapping[str, float], rarity: Mapping[str, float]) -> Iterable[str]:
    if same := sorted(of.alerts & other.alerts):
        yield f"the same alerts: {', '.join(same[:5])}"
    elif kinds := sorted(of.kinds & other.kinds):
        yield f"alerts of the same kind: {', '.join(kinds)}"
    if services := sorted(of.services & other.services):
        yield f"the same services: {', '.join(services[:5])}"
    elif parts["services"]:
        yield f"services that call each other: {', '.join(sorted(of.services)[:3])} and {', '.join(sorted(other.services)[:3])}"
    if errors := sorted(of.errors & other.errors):
        yield f"the same errors in logs: {errors[0][:120]}" + (
            f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        )
    words = sorted(set(of.words) & set(other.words), key=lambda word: (-rarity[word], word))
    if words and parts["words"] >= _WORDY:
        yield f"words they share: {', '.join(words[:5])}"

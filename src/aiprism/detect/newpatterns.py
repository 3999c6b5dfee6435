"""Which error patterns are new, decided without reading or telling anybody.

In: patterns that were met and not known, what is known of their services, the settings. Out: those that are worth an alert,
and for the others the reason why not. A pattern is no news when

    learning  its service had written nothing for `baseline` seconds before it: whatever a new service says is new
    variant   compared with what the service is known to write it turns out to be one of those statements

What is left is one piece of news for each statement, however many patterns it has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiprism.detect.logpatterns import templates
from aiprism.model.logs import PatternCount

# What a level is called that somebody should look at; the last one is a text of senders that give no number.
ERRORS = ("ERROR", "FATAL", "CRITICAL")


@dataclass(frozen=True, slots=True)
class NewPattern:
    """A statement that a service makes for the first time."""

    service: str
    template: str
    met: tuple[PatternCount, ...]  # by level and pattern, most frequent first

    @property
    def pattern_id(self) -> int:
        return self.met[0].pattern_id

    @property
    def lines(self) -> int:
        return sum(each.lines for each in self.met)


@dataclass(frozen=True, slots=True)
class Sifted:
    """What became of patterns that were not known: `variants` maps the ids of some to the id of one that is known."""

    news: tuple[NewPattern, ...] = ()
    quiet: Mapping[str, int] = field(default_factory=dict)  # reason → patterns
    variants: Mapping[tuple[str, int], int] = field(default_factory=dict)  # (service, pattern id) → known pattern id


def sifted(
    unknown: Sequence[PatternCount],
    known: Mapping[str, Mapping[int, str]],
    begun: Mapping[str, int],
    baseline: float,
) -> Sifted:
    """News among `unknown`. `known` are the patterns of each service, `begun` the minutes of their first lines."""
    by_service: dict[str, list[PatternCount]] = defaultdict(list)
    quiet: Counter[str] = Counter()
    for each in unknown:
        if each.first_seen < begun.get(each.service, each.first_seen) + baseline:
            quiet["learning"] += 1
        else:
            by_service[each.service].append(each)
    news: list[NewPattern] = []
    variants: dict[tuple[str, int], int] = {}
    for service, met in by_service.items():
        known_here = known.get(service, {})
        found = _templates(met, known_here)
        usual = {found[text]: pattern_id for pattern_id, text in known_here.items()}
        alike: dict[str, list[PatternCount]] = defaultdict(list)
        for each in met:
            template = found[each.pattern]
            if template in usual:
                variants[service, each.pattern_id] = usual[template]
                quiet["variant"] += 1
            else:
                alike[template].append(each)
        news += [
            NewPattern(service, template, tuple(sorted(rows, key=lambda row: -row.lines)))
            for template, rows in alike.items()
        ]
    return Sifted(tuple(news), dict(quiet), variants)


def _templates(met: Sequence[PatternCount], known: Mapping[int, str]) -> Mapping[str, str]:
    lines: Counter[str] = Counter(known.values())
    for each in met:
        lines[each.pattern] += each.lines
    return templates(lines)

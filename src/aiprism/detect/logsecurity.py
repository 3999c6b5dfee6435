"""Which security rules find something in the logs of a window.

In: Sigma rules, those that are shipped (`securityrules.yml`) and the user's (`logs.sigma`). Out: a `SecurityEvent` for each that
finds records. All rules are asked in one pass over the lines (`store/rulehits.py`), of so many lines at most, the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from aiprism.detect.logreport import SecurityEvent, SecurityFindings, example_of, iso
from aiprism.model.timerange import TimeRange
from aiprism.query import sigma
from aiprism.query.sigma import SigmaRule
from aiprism.store.engine import Engine
from aiprism.store.patterncounts import lines_by_minute
from aiprism.store.rulehits import Hits, hits

_RANK = ("critical", "high", "medium", "low", "informational")
_SECRET = "aiprism.secret"  # noqa: S105 - the tag of rules whose lines are not to be shown once more
_EXAMPLES = 3
MOST_LINES = 10_000_000  # that rules are asked of: some seconds of work


def shipped() -> tuple[SigmaRule, ...]:
    """The rules that come with aiprism."""
    name = "securityrules.yml"
    return tuple(sigma.read((files("aiprism.detect") / name).read_text(encoding="utf-8"), file=name))


class LogSecurity:
    """The rules of a tenant. The user's are read when this is made, those that are shipped at the first question."""

    def __init__(self, engine: Engine, paths: Sequence[Path] = (), *, most_lines: int = MOST_LINES) -> None:
        self._engine, self._most_lines = engine, most_lines
        self._own = sigma.load(paths)

    @cached_property
    def _rules(self) -> Sequence[SigmaRule]:
        return (*self._own, *shipped())

    def events(self, window: TimeRange, service: str = "") -> SecurityFindings:
        """What the rules find, the gravest first; of all services or of one."""
        since = self._since(window, service)
        asked = TimeRange(max(window.start, since or 0), window.end)
        found = hits(self._engine, asked, [rule.asked for rule in self._rules], service=service, examples=_EXAMPLES)
        events = [_event(self._rules[each.number], each) for each in found]
        events.sort(key=lambda each: (_RANK.index(each.severity), -each.occurrence_count, each.title))
        return SecurityFindings(tuple(events), since)

    def _since(self, window: TimeRange, service: str) -> int | None:
        """The first of the newest minutes that have no more lines than are read, or the last one; None when all of them are."""
        first: int | None = None
        read = 0
        for minute, lines in sorted(lines_by_minute(self._engine, window, service=service).items(), reverse=True):
            read += lines
            if first is not None and read > self._most_lines:
                return first
            first = minute
        return None


def _event(rule: SigmaRule, found: Hits) -> SecurityEvent:
    return SecurityEvent(
        rule_id=rule.id,
        title=rule.title,
        description=rule.description,
        severity=rule.level if rule.level in _RANK else "medium",
        tags=list(rule.tags),
        occurrence_count=found.records,
        affected_services=list(found.services),
        first_seen=iso(found.first_ns / 1e9),
        last_seen=iso(found.last_ns / 1e9),
        example_logs=[] if _SECRET in rule.tags else [example_of(line) for line in found.newest],
        action=rule.action,
        pattern_ids=[str(pattern) for pattern in found.patterns],
    )

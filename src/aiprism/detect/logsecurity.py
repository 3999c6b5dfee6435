"""Which security rules find something in the logs of a window.

In: Sigma rules, those that are shipped (`securityrules.yml`) and the user's (`logs.sigma`). Out: a `SecurityEvent` for each that
finds records. Each rule is a search like any other (`store/logs.py`): counted, and where there is something looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from aiprism.detect.logreport import Example, SecurityEvent, iso
from aiprism.model.logs import LogRecord
from aiprism.model.timerange import TimeRange
from aiprism.query import sigma
from aiprism.query.sigma import SigmaRule
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore

_RANK = ("critical", "high", "medium", "low", "informational")
_SECRET = "aiprism.secret"  # noqa: S105 - the tag of rules whose lines are not to be shown once more
_EXAMPLES = 3
_SERVICES = 20


def shipped() -> tuple[SigmaRule, ...]:
    """The rules that come with aiprism."""
    name = "securityrules.yml"
    return tuple(sigma.read((files("aiprism.detect") / name).read_text(encoding="utf-8"), file=name))


class LogSecurity:
    """The rules of a tenant. The user's are read when this is made, those that are shipped at the first question."""

    def __init__(self, engine: Engine, paths: Sequence[Path] = ()) -> None:
        self._logs = LogStore(engine)
        self._own = sigma.load(paths)

    @cached_property
    def _rules(self) -> Sequence[SigmaRule]:
        return (*self._own, *shipped())

    def events(self, window: TimeRange, service: str = "") -> list[SecurityEvent]:
        """What the rules find, the gravest first; of all services or of one."""
        found = [
            event for rule in self._rules if (event := self._event(rule, LogSearch(window, service, asked=rule.asked)))
        ]
        return sorted(found, key=lambda each: (_RANK.index(each.severity), -each.occurrence_count, each.title))

    def _event(self, rule: SigmaRule, wanted: LogSearch) -> SecurityEvent | None:
        count = self._logs.count(wanted)
        if not count:
            return None
        newest = self._logs.search(_limited(wanted, _EXAMPLES))
        [oldest] = self._logs.search(_limited(wanted, 1, oldest_first=True)) or newest[-1:]
        services = self._logs.facet(_limited(wanted, _SERVICES), "service")
        patterns = self._logs.facet(_limited(wanted, _SERVICES), "pattern_id")
        return SecurityEvent(
            rule_id=rule.id,
            title=rule.title,
            description=rule.description,
            severity=rule.level if rule.level in _RANK else "medium",
            tags=list(rule.tags),
            occurrence_count=count,
            affected_services=[name for name, _ in services] or [newest[0].service],
            first_seen=iso(oldest.ts_ns / 1e9),
            last_seen=iso(newest[0].ts_ns / 1e9),
            example_logs=[] if _SECRET in rule.tags else [_example(record) for record in newest],
            action=rule.action,
            pattern_ids=[pattern for pattern, _ in patterns],
        )


def _limited(wanted: LogSearch, limit: int, *, oldest_first: bool = False) -> LogSearch:
    return replace(wanted, limit=limit, oldest_first=oldest_first)


def _example(record: LogRecord) -> Example:
    return Example(iso(record.ts_ns / 1e9), record.service, record.level, record.body, record.trace_id)

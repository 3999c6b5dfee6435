"""Reads what a report on logs needs, and has it written: blocking, some queries of the rollup and a few of lines.

In: a window. Out: a `logreport.Report` of it, compared with as much time before. What is read is bounded whatever the window
holds: the most frequent patterns, some lines of those that are told, durations of a share of the lines.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from aiprism.detect.logchanges import Steps
from aiprism.detect.loghints import Hints
from aiprism.detect.logreport import Evidence, LinksOf, Report, SecurityFindings, report
from aiprism.detect.logstatements import between, compared, statements
from aiprism.model.logs import PatternLine
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.store.patterncounts import (
    SECONDS,
    Durations,
    lines_by_minute,
    pattern_counts,
    pattern_durations,
    pattern_lines,
)

_MOST_PATTERNS = 5000
_STEPS = 60  # of a window, about
_LOOKED_AT = 300  # statements whose lines are read
_TIMED = 30  # most statements whose durations are read
_READ = 200_000  # lines whose durations are read, about
_MASKED = re.compile(rf"<num> ?(?:{'|'.join(SECONDS)})(?![0-9A-Za-z])")

Security = Callable[[TimeRange, str], SecurityFindings]


class LogAnalysis:
    """Reports on the logs of a tenant."""

    def __init__(
        self,
        engine: Engine,
        hints: Hints,
        *,
        slow: float,
        security: Security | None = None,
        most_patterns: int = _MOST_PATTERNS,
    ) -> None:
        self._engine, self.hints, self._slow, self._security = engine, hints, slow, security
        self._most_patterns = most_patterns

    def reload(self, hints: Hints, *, slow: float, security: Security | None) -> None:
        """Go on with these hints and rules."""
        self.hints, self._slow, self._security = hints, slow, security

    def report(self, window: TimeRange, *, now: float, service: str = "", links_of: LinksOf) -> Report:
        """What the logs of `window` tell, of all services or of one."""
        evidence = self._counted(window, service, now)
        evidence = replace(evidence, lines=self._lines(evidence))
        evidence = self._timed(evidence)
        if self._security:
            evidence = replace(evidence, security=self._security(window, service))
        return report(evidence, self.hints, slow=self._slow, now=now, links_of=links_of)

    def _counted(self, window: TimeRange, service: str, now: float) -> Evidence:
        step = max(60, round((window.end - window.start) / _STEPS / 60) * 60)
        number = max(1, round((window.end - window.start) / step))
        # Whole minutes, of which the one under way is the last.
        end = int(window.end) // 60 * 60 + 60
        begin = end - 2 * number * step
        under_way = max(0.0, end - max(window.end, now))
        both = TimeRange(begin, window.end)
        counted = pattern_counts(self._engine, both, step=step, service=service, limit=self._most_patterns)
        # Told apart together, so that a statement has one template in both times.
        found = compared(counted)
        missed = 0
        if len(counted) == self._most_patterns:
            whole = lines_by_minute(self._engine, TimeRange(begin + number * step, window.end), service=service)
            missed = sum(whole.values()) - sum(n for each in counted for at, n in each.counts if at >= number)

        def minute_of(at: int) -> int:
            return begin + at * step

        return Evidence(
            window=window,
            begin=begin,
            step=step,
            steps=Steps(number, number, last=1 - under_way / step),
            now=statements(between(counted, range(number, 2 * number), minute_of), found),
            before=statements(between(counted, range(number), minute_of), found),
            uncounted=max(0, missed),  # lines may come in between the two questions
        )

    def _lines(self, evidence: Evidence) -> Mapping[str, Sequence[PatternLine]]:
        """Three lines of each pattern: of errors, of what is rare and of what is frequent; and of what is no more."""
        later = {each.template for each in evidence.now}
        gone = [each for each in evidence.before if each.template not in later]
        half = _LOOKED_AT // 2
        some = [*evidence.now[:half], *evidence.now[half:][-half:], *gone[:half]]
        wanted = {pattern: each.id for each in some for pattern in each.patterns[:3]}
        places = {place for each in some for place in each.places}
        both = TimeRange(evidence.begin, evidence.window.end)
        found: dict[str, list[PatternLine]] = defaultdict(list)
        for line in pattern_lines(self._engine, both, wanted, places, each=3):
            found[wanted[line.pattern_id]].append(line)
        return found

    def _timed(self, evidence: Evidence) -> Evidence:
        telling = [each for each in evidence.now if each.tells(_MASKED)][:_TIMED]
        patterns = {pattern: each.id for each in telling for pattern in each.patterns}
        one_of = max(1, 2 * sum(each.lines for each in telling) // _READ)
        both = TimeRange(evidence.begin, evidence.window.end)
        whole = evidence.step * evidence.steps.before

        def read(step: int) -> Mapping[str, Sequence[Durations]]:
            found: dict[str, list[Durations]] = defaultdict(list)
            for each in pattern_durations(self._engine, both, patterns, step=step, one_of=one_of):
                found[patterns[each.pattern_id]].append(each)
            return found

        totals, series = read(whole), read(evidence.step)
        return replace(
            evidence,
            timed={id_: most for id_, some in totals.items() if (most := _most(some, 1))},
            timed_before={id_: most for id_, some in totals.items() if (most := _most(some, 0))},
            timed_series={id_: _merged(some, evidence.steps.before) for id_, some in series.items()},
        )


def _most(some: Sequence[Durations], step: int) -> Durations | None:
    """Of a statement's patterns the one with the most lines: quantiles of several cannot be added up."""
    return max((each for each in some if each.step == step), key=lambda each: each.lines, default=None)


def _merged(some: Sequence[Durations], first: int) -> list[Durations]:
    """Likewise of each step of the window."""
    steps = sorted({each.step for each in some if each.step >= first})
    return [most for step in steps if (most := _most(some, step))]

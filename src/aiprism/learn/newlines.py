"""Phase 2: which errors the services of an incident, and those near them, write anew since its onset, or more of.

In: patterns counted by the minute, before the onset and since, and some lines of those that are told. Out: `LogChange`s, the
most telling first. What is one statement, what is new and what has risen is told as for any report on logs (`detect`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from aiprism.detect.logchanges import Change, Kind, Steps, changes
from aiprism.detect.logstatements import LogStatement, between, compared, statements
from aiprism.detect.newpatterns import ERRORS
from aiprism.learn.findings import Case, Example, Findings, LogChange
from aiprism.learn.look import Look
from aiprism.model.logs import PatternCount, PatternLine
from aiprism.model.timerange import TimeRange

BEFORE = 1800.0
# Seconds before the onset in which what is new may be why: a part of the time there is to compare with, within bounds.
LEAD, LEAST_LEAD = 60.0, 15.0
MOST = 10
_MINUTE = 60
_EXAMPLES = 3
_LONGEST = 500
_GRAVE = (*ERRORS, "WARN", "WARNING")


def log_changes(case: Case, look: Look, found: Findings) -> Findings:
    """The phase: `found` with the statements that are new or more frequent."""
    begin = int(case.onset - BEFORE) // _MINUTE * _MINUTE
    counted = [
        each for each in look.patterns(tuple(case.names), TimeRange(begin, case.now)) if each.service in case.names
    ]
    if not counted:
        return found
    known = case.onset - min(each.first_seen for each in counted)
    first = int(case.onset - min(LEAD, max(LEAST_LEAD, known / 3))) // _MINUTE * _MINUTE
    told = sorted(_told(counted, case, begin, first), key=lambda each: _rank(each, case))[:MOST]
    return replace(found, logs=_with_lines(told, case, look, TimeRange(first, case.now)))


_Told = tuple[LogChange, LogStatement]


def _told(counted: Sequence[PatternCount], case: Case, begin: int, first: int) -> list[_Told]:
    later = (first - begin) // _MINUTE
    end = int(case.now) // _MINUTE * _MINUTE + _MINUTE
    number = (end - begin) // _MINUTE

    def minute_of(at: int) -> int:
        return begin + at * _MINUTE

    template = compared(counted)
    before = statements(between(counted, range(later), minute_of), template)
    now = statements(between(counted, range(later, number), minute_of), template)
    if not before:  # whatever is written is new then, so that this says nothing
        return [_change(each, "seen", 0, case) for each in now if _errors(each)]
    # What is written seldom varies by chance; all that was written before is compared, a rate by the minute.
    steps = Steps(later, number - later, last=max(0.05, (case.now - (end - _MINUTE)) / _MINUTE))
    said = {each.template: each for each in before}
    return [
        _change(
            each.statement, "new" if each.kind is Kind.NEW else "risen", _lines(said.get(each.statement.template)), case
        )
        for each in changes(now, before, steps)
        if _is_worse(each)
    ]


def _is_worse(change: Change) -> bool:
    """Whether it is about something grave, and more of it than before."""
    grave = any(level in _GRAVE for level in change.statement.levels)
    return grave and change.kind is not Kind.VANISHED and change.now > change.before


def _lines(statement: LogStatement | None) -> int:
    return statement.lines if statement else 0


def _errors(statement: LogStatement) -> int:
    return sum(lines for level, lines in statement.levels.items() if level in ERRORS)


def _change(statement: LogStatement, change: str, before: int, case: Case) -> _Told:
    level = next((each for each in _GRAVE if each in statement.levels), next(iter(statement.levels)))
    service = case.names[next(iter(statement.services))]
    first = float(min(at for _, at in statement.places))
    return LogChange(service, level, statement.template[:_LONGEST], change, statement.lines, before, first), statement


def _rank(told: _Told, case: Case) -> tuple[bool, bool, float, float, str]:
    change = told[0]
    return (
        not change.is_error, change.change == "risen", -case.nearness(change.service), -float(change.lines), change.pattern,
    )  # fmt: skip


def _with_lines(told: Sequence[_Told], case: Case, look: Look, window: TimeRange) -> tuple[LogChange, ...]:
    wanted = {pattern: number for number, (_, each) in enumerate(told) for pattern in each.patterns[:3]}
    places = {place for _, each in told for place in each.places}
    lines: dict[int, list[PatternLine]] = defaultdict(list)
    if wanted:
        for line in look.lines(window, tuple(wanted), places):
            lines[wanted[line.pattern_id]].append(line)
    return tuple(_exemplified(change, lines.get(number, ()), look) for number, (change, _) in enumerate(told))


def _exemplified(change: LogChange, lines: Sequence[PatternLine], look: Look) -> LogChange:
    """With some of its lines, the first of them as the moment from which it is known."""
    some = sorted(lines, key=lambda each: each.ts_ns)[:_EXAMPLES]
    examples = tuple(Example(each.ts_ns / 1e9, each.body[:_LONGEST], each.trace_id) for each in some)
    first = examples[0].at if examples and examples[0].at < change.first_seen + _MINUTE else change.first_seen
    hints = tuple(look.hints(examples[0].body)) if examples else ()
    return replace(change, examples=examples, hints=hints, first_seen=first)

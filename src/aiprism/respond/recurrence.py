"""What comes again and again, as an RRULE of RFC 5545, computed by dateutil.

In: the first time, by the clock on the wall, and the text of a rule. Out: a rule that can be asked from any later moment at
once: dateutil walks from the start, which may be years ago. Rules that nobody could mean are refused. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice

from dateutil.rrule import DAILY, HOURLY, MINUTELY, WEEKLY, rrule, rrulestr

from aiprism.errors import BadInput

# Nobody plans for longer, and a rule that never comes true must be found out in time.
YEARS = 30
_CYCLE = 400  # years after which the calendar repeats itself, to the day of the week
_STEPS = {HOURLY: timedelta(hours=1), DAILY: timedelta(days=1), WEEKLY: timedelta(weeks=1)}
_STRIDE = 200  # steps of a rule that are walked rather than leapt over
_MOST = 10_000  # times that a rule may count, and the steps that an interval may have
_MOST_IN_AN_HOUR = 60


def near(start: datetime, text: str, moment: datetime, years: int = YEARS) -> rrule:
    """The rule as it goes from a little before `moment`: dateutil walks from the start, which may be years ago."""
    found = rule(start, text, years)
    step = _STEPS.get(found._freq)
    if step is None:
        return found  # by the month or year: a few hundred steps
    # A whole number of intervals later, and for weeks on the same day, what recurs is the same.
    stride = step * found._interval * _STRIDE
    strides = (moment - start) // stride
    return found if strides < 1 else _later(start, text, start + strides * stride, years)


@lru_cache(maxsize=1000)
def _later(start: datetime, text: str, later: datetime, years: int) -> rrule:
    return rule(start, text, years).replace(dtstart=later)


@lru_cache(maxsize=1000)  # a rule keeps the dates it has found
def rule(start: datetime, text: str, years: int = YEARS) -> rrule:
    """The rule, which ends by itself, `years` after its start at the latest; BadInput when it is none."""
    return _read(start, text, years)


def _read(start: datetime, text: str, years: int) -> rrule:
    try:
        found = rrulestr(text, dtstart=start, cache=True)
    except (ValueError, TypeError, OverflowError) as error:
        said = "UNTIL is the wall clock of the zone: write it without Z" if "UNTIL" in str(error) else str(error)
        raise BadInput(
            f"{text!r} is no recurrence ({said}); write an RRULE, for example FREQ=WEEKLY;BYDAY=SA"
        ) from None
    if not isinstance(found, rrule):
        raise BadInput(f"{text!r} is more than one rule; write one RRULE, for example FREQ=WEEKLY;BYDAY=SA")
    if found._freq >= MINUTELY:  # dateutil has no public name for it
        raise BadInput("a recurrence is by the hour, day, week, month or year, not by minutes")
    if found._bysetpos and found._freq >= DAILY:
        raise BadInput("BYSETPOS chooses among the days of a week, month or year, not within a day")
    _check_numbers(found)
    last = start + timedelta(days=366 * years)
    bounded = found.replace(count=None, until=min(last, found._until or last))
    if not _comes_true(bounded, start, years):
        raise BadInput(f"{text!r} never comes true within {years} years of its start")
    # Its last time instead of how many: only that can be asked about from a later start.
    return bounded if found._count is None else bounded.replace(until=[*islice(bounded, found._count)][-1])


def _check_numbers(found: rrule) -> None:
    """BadInput for numbers that dateutil takes and then never comes to an end with, or fails on."""
    if not 1 <= found._interval <= _MOST:
        raise BadInput(f"INTERVAL={found._interval} is no step: write 1 to {_MOST}")
    if found._count is not None and found._count < 1:
        raise BadInput(f"COUNT={found._count} is never: write at least 1")
    if (found._count or 0) > _MOST:
        raise BadInput(f"nobody counts to {found._count}: write UNTIL, or a COUNT of at most {_MOST}")
    if len(found._byminute or ()) * len(found._bysecond or ()) > _MOST_IN_AN_HOUR:
        raise BadInput(f"BYMINUTE and BYSECOND choose more than {_MOST_IN_AN_HOUR} times in an hour")


def _comes_true(bounded: rrule, start: datetime, years: int) -> bool:
    # dateutil looks for the first time until the year 9999, whatever UNTIL says. In the last cycle of the calendar that
    # fits before, the rule is the same, and looking takes a twentieth of the time: a quarter of a second at most.
    ahead = _CYCLE * ((9999 - years - 1 - start.year) // _CYCLE)
    until = bounded._until
    late = bounded.replace(
        dtstart=start.replace(year=start.year + ahead), until=until.replace(year=until.year + ahead), cache=False
    )
    return next(iter(late), None) is not None

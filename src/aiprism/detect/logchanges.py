"""What differs between the statements of a window and those of the time before it.

In: both as statements that were told apart together, and how many steps each time has. Out: what is new, what vanished, what
became more or less frequent, and of which statements the share of errors changed, each with how likely chance would do that.

Two counts are compared by the conditional test of two Poisson rates (Przyborowski & Wilenski 1940): given their sum, the
later one is binomial. Shares of errors are compared by Fisher's exact test, in large tables by Pearson's chi-square. Both take
lines for independent, and logs come in bursts, which may last for minutes. So each is also compared as quasi-likelihood does
(McCullagh & Nelder 1989, §4.5, §6.2): what is between the times over what is within each, in an F test; and this with steps
taken one by one, two by two and so on, up to a quarter of the time. The least clear of these tests counts. Of many statements
some change by chance: p-values become the rates of false discoveries by Benjamini & Hochberg (1995), over all tests of one
comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import erfc, exp, lgamma, log, log1p, sqrt

import numpy as np
import numpy.typing as npt

from aiprism.detect.logstatements import LogStatement
from aiprism.detect.newpatterns import ERRORS

# A change is told when chance would bring so few of those that are told, …
FALSE_SHARE = 0.01
# … and when it is large enough for somebody to care: rates by this factor, shares of errors by this much.
FACTOR = 2.0
SHARE = 0.1
_FEWEST = 10  # lines in one of the two times, for a rate or a share to be compared
_FEWEST_BLOCKS = 4  # of each time, to tell how lines of several steps vary
_EXACT = 2000  # lines up to which Fisher's test is computed


class Kind(Enum):
    """How a statement changed."""

    NEW = "new_pattern"
    VANISHED = "vanished_pattern"
    RATE = "rate_change"
    LEVEL = "level_change"


@dataclass(frozen=True, slots=True)
class Change:
    """One statement, before and now. `before` and `now` are lines, or for LEVEL shares of errors; `chance` is the share of
    false ones among changes as clear as this one."""

    kind: Kind
    statement: LogStatement
    before: float
    now: float
    chance: float

    @property
    def factor(self) -> float | None:
        """How many times as much it is now, by count; None when there was nothing before."""
        return self.now / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Steps:
    """How many steps of equal length the two times have, and how much of the last one is over."""

    before: int
    now: int
    last: float = 1.0

    @property
    def passed(self) -> float:
        """Of the later time, in steps."""
        return self.now - 1 + self.last


def changes(now: Sequence[LogStatement], before: Sequence[LogStatement], steps: Steps) -> list[Change]:
    """What changed, the clearest first. Where nothing was written before, nothing is new."""
    if not before:
        return []
    later, earlier = {each.template: each for each in now}, {each.template: each for each in before}
    tested = [
        *(_rate(later.get(name), earlier.get(name), steps) for name in later.keys() | earlier.keys()),
        *(found for name in later.keys() & earlier.keys() if (found := _level(later[name], earlier[name], steps))),
    ]
    chances = false_shares([each.chance for each in tested])
    judged = [replace(each, chance=chance) for each, chance in zip(tested, chances, strict=True)]
    told = [each for each in judged if _is_told(each, steps)]
    return sorted(told, key=lambda each: (each.chance, -max(each.before, each.now), each.statement.template))


def _is_told(change: Change, steps: Steps) -> bool:
    if change.kind is Kind.NEW:  # also where it is one line: that there was none before is no guess
        return True
    if change.chance > FALSE_SHARE:
        return False
    if change.kind is Kind.LEVEL:
        return abs(change.now - change.before) >= SHARE
    if max(change.now, change.before) < _FEWEST:
        return False
    rate = (change.now / steps.passed + 1e-12) / (change.before / steps.before + 1e-12)
    return not 1 / FACTOR < rate < FACTOR


def _rate(later: LogStatement | None, earlier: LogStatement | None, steps: Steps) -> Change:
    now, before = later.lines if later else 0, earlier.lines if earlier else 0
    share = steps.passed / (steps.passed + steps.before)
    series = [_series(each.counts, number) for each, number in ((later, steps.now), (earlier, steps.before)) if each]
    chance = _clearest(two_rates(now, before, share), _unevenness(now, before, share), series, _spread_of_lines)
    kind = Kind.NEW if not earlier else Kind.VANISHED if not later else Kind.RATE
    statement = later or earlier
    assert statement is not None
    return Change(kind, statement, float(before), float(now), chance)


def _level(later: LogStatement, earlier: LogStatement, steps: Steps) -> Change | None:
    if min(later.lines, earlier.lines) < _FEWEST:
        return None
    now, before = errors_of(later), errors_of(earlier)
    if now / later.lines == before / earlier.lines:
        return None
    chance = _clearest(
        two_shares(now, later.lines, before, earlier.lines),
        _difference(now, later.lines, before, earlier.lines) ** 2,
        [_error_series(each, number) for each, number in ((later, steps.now), (earlier, steps.before))],
        _spread_of_errors,
    )
    return Change(Kind.LEVEL, later, before / earlier.lines, now / later.lines, chance)


def errors_of(statement: LogStatement) -> int:
    """Its lines at an error's level."""
    return sum(statement.levels.get(level, 0) for level in ERRORS)


# -- bursts ----------------------------------------------------------------------------------------------------------

# Of a time, by step: lines, or (lines, errors).
_Series = npt.NDArray[np.float64]
_Spread = Callable[[_Series], tuple[float, int]]


def _clearest(plain: float, between: float, series: Sequence[_Series], spread_of: _Spread) -> float:
    """The chance of a difference that is `plain` if lines are independent, and `between` as a chi-square of one degree.

    Without two steps nobody knows how the lines of a time vary: then any difference may be chance.
    """
    shortest = min(len(each) for each in series)
    if shortest < 2:
        return 1.0
    chance, size = plain, 1
    while size == 1 or shortest // size >= _FEWEST_BLOCKS:
        found = [spread_of(_in_blocks(each, size)) for each in series]
        freedom = sum(free for _, free in found)
        spread = sum(squares for squares, _ in found) / freedom if freedom else 0.0
        if freedom and (size == 1 or spread > 1):
            chance = max(chance, f_tail(between / max(1.0, spread), freedom))
        size *= 2
    return chance


def _in_blocks(series: _Series, size: int) -> _Series:
    """The sums of so many steps at a time, counted from the last; those that are left over are left out."""
    blocks = len(series) // size
    sums: _Series = series[len(series) - blocks * size :].reshape(blocks, size, *series.shape[1:]).sum(axis=1)
    return sums


def _spread_of_lines(lines: _Series) -> tuple[float, int]:
    """Pearson's statistic of counts with one mean, and its degrees of freedom."""
    mean = lines.mean()
    return (float(((lines - mean) ** 2).sum() / mean), len(lines) - 1) if mean else (0.0, 0)


def _spread_of_errors(steps: _Series) -> tuple[float, int]:
    """Likewise of shares: how far errors are from what one share of the lines of each step would be."""
    lines, errors = steps[steps[:, 0] > 0].T
    share = errors.sum() / lines.sum()
    if share in (0, 1) or len(lines) < 2:
        return 0.0, 0
    return float(((errors - lines * share) ** 2 / (lines * share * (1 - share))).sum()), len(lines) - 1


def _series(counts: Mapping[int, int], number: int) -> _Series:
    """The lines of each of the `number` steps of a time; steps are counted on from one time to the next."""
    found = np.zeros(number)
    for step, lines in counts.items():
        found[step % number] += lines
    return found


def _error_series(statement: LogStatement, number: int) -> _Series:
    errors = sum((_series(statement.level_counts.get(level, {}), number) for level in ERRORS), start=np.zeros(number))
    return np.stack((_series(statement.counts, number), errors), axis=1)


# -- tests -----------------------------------------------------------------------------------------------------------


def two_rates(now: int, before: int, share: float) -> float:
    """How likely counts as uneven as these, or more, are when the rate is the same and `share` of the time is now's.

    >>> [round(two_rates(now, before, 0.5), 4) for now, before in ((5, 5), (10, 0), (8, 2), (0, 0))]
    [1.0, 0.002, 0.1094, 1.0]
    """
    total = now + before
    if not total:
        return 1.0
    at_least = beta_part(share, now, total - now + 1) if now else 1.0
    at_most = 1.0 - beta_part(share, now + 1, total - now) if now < total else 1.0
    return min(1.0, 2 * min(at_least, at_most))


def _unevenness(now: int, before: int, share: float) -> float:
    """The deviance of two counts whose rate is the same: about a chi-square of one degree."""
    total = now + before
    parts = ((now, share), (before, 1 - share))
    return 2 * sum(count * log(count / (total * part)) for count, part in parts if count)


def f_tail(value: float, freedom: int) -> float:
    """How likely an F of one and `freedom` degrees is this large or larger (DLMF 8.17, Johnson & Kotz 1995, §27).

    >>> round(f_tail(4.0, 10), 4), round(f_tail(0.0, 3), 4)
    (0.0734, 1.0)
    """
    return beta_part(freedom / (freedom + value), freedom / 2, 0.5)


def beta_part(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, which binomial tails are (DLMF 8.17.5), by its continued fraction
    (DLMF 8.17.22) as Lentz computes it.

    >>> round(beta_part(0.5, 8, 3), 4)
    0.0547
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly its mirror image does not
        return 1.0 - beta_part(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    value, numerator, denominator = 1.0, 1.0, 0.0
    for step in range(20_000):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / _not_zero(1 + term * denominator)
        numerator = _not_zero(1 + term / numerator)
        value *= numerator * denominator
        if step and abs(numerator * denominator - 1) < 1e-12:
            break
    return front * (value - 1.0)


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def two_shares(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """How likely shares as different as these are by chance.

    >>> round(two_shares(3, 4, 1, 4), 4)  # Fisher's tea
    0.4857
    """
    total, total_hits = of + other_of, hits + other_hits
    if total_hits in (0, total):
        return 1.0
    if total > _EXACT:
        return erfc(_difference(hits, of, other_hits, other_of) / sqrt(2))
    first, last = max(0, of - (total - total_hits)), min(of, total_hits)
    whole = _choices(total, of)
    tables = [
        exp(_choices(total_hits, each) + _choices(total - total_hits, of - each) - whole)
        for each in range(first, last + 1)
    ]
    seen = tables[hits - first] * (1 + 1e-7)
    return min(1.0, sum(each for each in tables if each <= seen))


def _difference(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Of two shares, in standard deviations: the square is the chi-square of a table of two by two."""
    total, total_hits = of + other_of, hits + other_hits
    expected = of * total_hits / total
    return abs(hits - expected) / sqrt(expected * (total - total_hits) * other_of / (total * total))


def _choices(among: int, taken: int) -> float:
    """The logarithm of the number of ways to take so many."""
    return lgamma(among + 1) - lgamma(taken + 1) - lgamma(among - taken + 1)


def false_shares(chances: Sequence[float]) -> list[float]:
    """The share of false ones among all that are as clear as each or clearer: Benjamini and Hochberg's adjusted p-values.

    >>> [round(each, 3) for each in false_shares([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]
    """
    adjusted: dict[int, float] = {}
    least = 1.0
    order = sorted(range(len(chances)), key=lambda at: -chances[at])
    for place, at in enumerate(order):
        least = min(least, chances[at] * (len(chances) / (len(chances) - place)))
        adjusted[at] = least
    return [adjusted[at] for at in range(len(chances))]

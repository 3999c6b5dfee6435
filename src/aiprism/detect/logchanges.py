"""What differs between the statements of a window and those of the time before it.

In: both as statements that were told apart together, and how many steps each time has. Out: what is new, what vanished, what
became more or less frequent, and of which statements the share of errors changed, each with how likely chance would do that.

Two counts are compared by the conditional test of two Poisson rates (Przyborowski & Wilenski 1940): given their sum, the
later one is binomial. Logs come in bursts, which a Poisson process has not; so the counts are first divided by the dispersion
of their steps, as quasi-likelihood does (McCullagh & Nelder 1989, §6.2). Shares of errors are compared by Fisher's exact
test, in large tables by Pearson's chi-square. Of many statements some change by chance: p-values become the rates of
false discoveries by Benjamini & Hochberg (1995), over all tests of one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import erfc, exp, lgamma, log, log1p, sqrt

from aiprism.detect.logstatements import LogStatement
from aiprism.detect.newpatterns import ERRORS

# A change is told when chance would bring so few of those that are told, …
FALSE_SHARE = 0.01
# … and when it is large enough for somebody to care: rates by this factor, shares of errors by this much.
FACTOR = 2.0
SHARE = 0.1
_FEWEST = 10  # lines in one of the two times, for a rate or a share to be compared
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
    """How many steps of equal length the two times have."""

    before: int
    now: int


def changes(now: Sequence[LogStatement], before: Sequence[LogStatement], steps: Steps) -> list[Change]:
    """What changed, the clearest first. Where nothing was written before, nothing is new."""
    if not before:
        return []
    later, earlier = {each.template: each for each in now}, {each.template: each for each in before}
    tested = [
        *(_rate(later.get(name), earlier.get(name), steps) for name in later.keys() | earlier.keys()),
        *(found for name in later.keys() & earlier.keys() if (found := _level(later[name], earlier[name]))),
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
    rate = (change.now / steps.now + 1e-12) / (change.before / steps.before + 1e-12)
    return not 1 / FACTOR < rate < FACTOR


def _rate(later: LogStatement | None, earlier: LogStatement | None, steps: Steps) -> Change:
    now, before = later.lines if later else 0, earlier.lines if earlier else 0
    spread = max(1.0, _dispersion(later, earlier, steps))
    share = steps.now / (steps.now + steps.before)
    chance = two_rates(round(now / spread), round(before / spread), share)
    kind = Kind.NEW if not earlier else Kind.VANISHED if not later else Kind.RATE
    statement = later or earlier
    assert statement is not None
    return Change(kind, statement, float(before), float(now), chance)


def _dispersion(later: LogStatement | None, earlier: LogStatement | None, steps: Steps) -> float:
    """Pearson's statistic of the counts within each time over its degrees of freedom: 1 for a Poisson process."""
    total, freedom = 0.0, 0
    for statement, number in ((later, steps.now), (earlier, steps.before)):
        if statement is None or number < 2:
            continue
        mean = statement.lines / number
        squares = sum((lines - mean) ** 2 for lines in statement.counts.values())
        total += (squares + (number - len(statement.counts)) * mean**2) / mean
        freedom += number - 1
    return total / freedom if freedom else 1.0


def _level(later: LogStatement, earlier: LogStatement) -> Change | None:
    if min(later.lines, earlier.lines) < _FEWEST:
        return None
    now, before = errors_of(later), errors_of(earlier)
    if now / later.lines == before / earlier.lines:
        return None
    chance = two_shares(now, later.lines, before, earlier.lines)
    return Change(Kind.LEVEL, later, before / earlier.lines, now / later.lines, chance)


def errors_of(statement: LogStatement) -> int:
    """Its lines at an error's level."""
    return sum(statement.levels.get(level, 0) for level in ERRORS)


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
        expected = of * total_hits / total
        spread = expected * (total - total_hits) * other_of / (total * total)
        # The chi-square of a table of two by two is the square of this.
        return erfc(abs(hits - expected) / sqrt(spread) / sqrt(2))
    first, last = max(0, of - (total - total_hits)), min(of, total_hits)
    whole = _choices(total, of)
    tables = [
        exp(_choices(total_hits, each) + _choices(total - total_hits, of - each) - whole)
        for each in range(first, last + 1)
    ]
    seen = tables[hits - first] * (1 + 1e-7)
    return min(1.0, sum(each for each in tables if each <= seen))


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

"""The statements that stored logs consist of, and what stands in their variable places.

In: patterns as they were counted when their lines were stored, and some lines of each. Out: one `LogStatement` for each
template, which `detect/logpatterns.py` finds by comparing the patterns of the window; of its lines, the values of each
variable. Pure: what is read, and how much of it, is up to whoever asks.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, quantiles

from aiprism.detect.logpatterns import VARIABLE, id_of, templates
from aiprism.model.logs import PatternCount

# Of a longer line the beginning made the pattern (`store/logpatterns.py`).
_LONGEST = 1024
_DOTS = re.compile(r"\.{3,}")


@dataclass(frozen=True, slots=True)
class LogStatement:
    """The lines of one template in a window. Times are the minutes of the first and the last of them, in Unix seconds."""

    template: str
    lines: int
    services: Mapping[str, int]  # → lines, most first
    levels: Mapping[str, int]
    first_seen: int
    last_seen: int
    counts: Mapping[int, int]  # number of the step → lines
    patterns: tuple[int, ...]  # ids of the patterns it is of, most frequent first
    example: str
    # (service, minute) where lines of it stand: the first and the last minute of each service.
    places: frozenset[tuple[str, int]]
    level_counts: Mapping[str, Mapping[int, int]]  # level → number of the step → lines
    masked: tuple[str, ...]  # the patterns, with the kind of each value: <num>ms

    @property
    def id(self) -> str:
        """Equal wherever the template is."""
        return id_of(self.template)

    def tells(self, expression: re.Pattern[str]) -> bool:
        """Whether one of its patterns has what the expression finds."""
        return any(map(expression.search, self.masked))


def statements(counted: Sequence[PatternCount], found: Mapping[str, str] | None = None) -> list[LogStatement]:
    """What the patterns of a window say, by number of lines, most first. `found` are their templates when these were found
    before, from more than this window."""
    found = compared(counted) if found is None else found
    alike: dict[str, list[PatternCount]] = defaultdict(list)
    for each in counted:
        alike[found[each.pattern]].append(each)
    said = [_statement(template, rows) for template, rows in alike.items()]
    return sorted(said, key=lambda each: (-each.lines, each.template))


def compared(counted: Sequence[PatternCount]) -> Mapping[str, str]:
    """The template of each pattern."""
    lines: Counter[str] = Counter()
    for each in counted:
        lines[each.pattern] += each.lines
    return templates(lines)


def between(counted: Sequence[PatternCount], steps: range, minute_of: Callable[[int], int]) -> list[PatternCount]:
    """What was counted in these steps alone; `minute_of` tells when a step begins."""
    some = []
    for each in counted:
        counts = tuple((step, lines) for step, lines in each.counts if step in steps)
        if counts:
            first, last = minute_of(min(counts)[0]), minute_of(max(counts)[0])
            some.append(
                replace(
                    each,
                    counts=counts,
                    lines=sum(lines for _, lines in counts),
                    first_seen=max(each.first_seen, first),
                    last_seen=each.last_seen if each.last_seen < minute_of(steps.stop) else last,
                )
            )
    return some


def _statement(template: str, rows: Sequence[PatternCount]) -> LogStatement:
    patterns: Counter[int] = Counter()
    services: Counter[str] = Counter()
    levels: dict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        patterns[row.pattern_id] += row.lines
        services[row.service] += row.lines
        levels[row.level].update(dict(row.counts))
    sizes: Counter[str] = Counter()
    for row in rows:
        sizes[row.level] += row.lines
    return LogStatement(
        template=template,
        lines=sum(patterns.values()),
        services=dict(services.most_common()),
        levels=dict(sizes.most_common()),
        first_seen=min(row.first_seen for row in rows),
        last_seen=max(row.last_seen for row in rows),
        counts=dict(sorted(sum(levels.values(), Counter()).items())),
        patterns=tuple(pattern for pattern, _ in patterns.most_common()),
        example=max(rows, key=lambda row: row.last_seen).example,
        places=frozenset((row.service, at) for row in rows for at in (row.first_seen, row.last_seen)),
        level_counts=levels,
        masked=tuple(dict.fromkeys(row.pattern for row in rows)),
    )


# -- variables -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numbers:
    """A summary of values that are numbers, in `unit`: durations are seconds, sizes bytes."""

    unit: str
    least: float
    most: float
    mean: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Variable:
    """What stood in one variable place of a template, in the lines that were looked at."""

    position: int  # from 1
    distinct: int
    top: tuple[tuple[str, int], ...]  # the most frequent values with their lines
    numbers: Numbers | None  # None where not every value is a number with the same kind of unit


def variables(template: str, lines: Iterable[str], *, top: int = 5) -> tuple[Variable, ...]:
    """The values in each variable place of a template.

    >>> found = variables("order <*> took <*>", ["order 7 took 20 ms", "order 8 took 0.1 s"])
    >>> [(each.distinct, each.numbers.p50, each.numbers.unit) for each in found]
    [(2, 7.5, ''), (2, 0.06, 's')]
    """
    rows = [values for line in lines if (values := values_of(template, line)) is not None]
    return tuple(_variable(at, column, top) for at, column in enumerate(zip(*rows, strict=True), 1))


def values_of(template: str, line: str) -> tuple[str, ...] | None:
    """What stands in each variable place; None when the line is none of this template.

    >>> values_of("order <*> of <*> failed", "order A-17  of ada@example.com failed")
    ('A-17', 'ada@example.com')
    """
    # Each constant part is looked for once, from left to right: the time of a regular expression with as many gaps may grow
    # with a power of the length of the line.
    first, *rest = template.split(VARIABLE)
    line = " ".join(_DOTS.sub(" ", line.encode()[:_LONGEST].decode(errors="ignore")).split())
    if not rest:
        return () if line == first else None
    if not line.startswith(first):
        return None
    at, values = len(first), []
    for constant in rest[:-1]:
        found = line.find(constant, at)
        if found < 0:
            return None
        values.append(line[at:found])
        at = found + len(constant)
    last = len(line) - len(rest[-1])
    if last < at or not line.endswith(rest[-1]):
        return None
    return (*values, line[at:last])


def _variable(position: int, values: Sequence[str], top: int) -> Variable:
    counted = Counter(values)
    most = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return Variable(position, len(counted), tuple(most[:top]), _numbers(values))


_QUANTITY = re.compile(r"[<~]?([-+]?\d+(?:\.\d+)?) ?([A-Za-zµ%]*)")
_SECONDS: Mapping[str, float] = {
    name: factor
    for names, factor in (
        ("ns nsec nsecs nanoseconds", 1e-9),
        ("us µs usec usecs microsecond microseconds", 1e-6),
        ("ms msec msecs millisecond milliseconds", 1e-3),
        ("s sec secs second seconds", 1.0),
        ("m min mins minute minutes", 60.0),
        ("h hr hrs hour hours", 3600.0),
        ("d day days", 86_400.0),
    )
    for name in names.split()
}
_BYTES: Mapping[str, float] = {
    name: factor
    for names, factor in (
        ("B b byte bytes", 1.0),
        ("KB kB K k", 1e3),
        ("MB M", 1e6),
        ("GB G", 1e9),
        ("TB T", 1e12),
        ("KiB", 2.0**10),
        ("MiB", 2.0**20),
        ("GiB", 2.0**30),
        ("TiB", 2.0**40),
    )
    for name in names.split()
}


def quantity(text: str) -> tuple[float, str] | None:
    """A number and its unit, durations as seconds and sizes as bytes; None when the text is none.

    >>> quantity("250 ms"), quantity("4KiB"), quantity("12%"), quantity("7"), quantity("a7")
    ((0.25, 's'), (4096.0, 'B'), (12.0, '%'), (7.0, ''), None)
    """
    found = _QUANTITY.fullmatch(text.strip())
    if not found:
        return None
    number, unit = float(found[1]), found[2]
    if unit in _SECONDS:
        return number * _SECONDS[unit], "s"
    if unit in _BYTES:
        return number * _BYTES[unit], "B"
    return number, unit


def _numbers(values: Sequence[str]) -> Numbers | None:
    read = [quantity(value) for value in values]
    units = {each[1] for each in read if each is not None}
    if None in read or len(units) != 1:
        return None
    numbers = sorted(each[0] for each in read if each is not None)
    cuts = quantiles(numbers, n=20, method="inclusive") if len(numbers) > 1 else numbers * 19
    return Numbers(units.pop(), numbers[0], numbers[-1], fmean(numbers), cuts[9], cuts[18])

"""What many conditions find among log records, in one pass over them.

In: a window and conditions. Out: what each found. A search of its own for each would read every line once for each: reading takes
longer than comparing, and most lines fit none. So one expression, of what lines must have to fit any of the conditions, picks the
lines that the conditions are then asked of one by one; the store remembers which parts of the table have no such line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiprism.model.logs import PatternLine
from aiprism.model.search import All, Any, Condition, Is, Like, Matches
from aiprism.model.timerange import TimeRange
from aiprism.store.conditionsql import word_expression, words_expression
from aiprism.store.engine import Engine
from aiprism.store.logsearch import LINE, where_any

_EXPRESSION = 8192  # characters that are one RE2 program; of much longer ones it may have no room for its states
_TOP = 20

# An array of what each condition says of the line, and a row for each that says yes.
_HITS = """
SELECT
    rule, count(), toUnixTimestamp64Nano(min(ts)), toUnixTimestamp64Nano(max(ts)),
    topK({top:UInt8})(toString(service)), topK({top:UInt8})(pattern_id),
    groupArraySorted({examples:UInt8})((
        -toUnixTimestamp64Nano(ts), toString(service), toString(level), body,
        if(logs.trace_id = toFixedString('', 16), '', lower(hex(logs.trace_id))), pattern_id
    ))
FROM logs
ARRAY JOIN arrayFilter((number, fits) -> fits, range({rules:UInt32}), [%s]) AS rule
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}) AND ts < fromUnixTimestamp64Milli({end:Int64} + 1)
  AND ({service:String} = '' OR service = {service:String})
  AND (%s)
GROUP BY rule
SETTINGS short_circuit_function_evaluation = 'force_enable'
"""


@dataclass(frozen=True, slots=True)
class Hits:
    """The records that fit the condition of this number: how many, when, where most of them are from, and the newest."""

    number: int
    records: int
    first_ns: int
    last_ns: int
    services: Sequence[str]
    patterns: Sequence[int]
    newest: Sequence[PatternLine]


def hits(
    engine: Engine, window: TimeRange, conditions: Sequence[Condition], *, service: str = "", examples: int = 3
) -> Sequence[Hits]:
    """What each condition finds, without those that find nothing. Which services and patterns are the most frequent is told
    nearly exactly."""
    if not conditions:
        return []
    together = Any(_picking(conditions))
    asked = where_any((*conditions, together))
    *each, picked = asked.sql
    rows = engine.query(
        _HITS % (", ".join(f"({sql})" for sql in each), picked),
        {
            "start": window.start_ms,
            "end": window.end_ms,
            "service": service,
            "rules": len(conditions),
            "top": _TOP,
            "examples": examples,
            **asked.bound,
        },
    )
    return [
        Hits(number, records, first, last, services, patterns, [_line(*one) for one in newest])
        for number, records, first, last, services, patterns, newest in rows
    ]


def _line(minus_ns: int, service: str, level: str, body: str, trace_id: str, pattern_id: int) -> PatternLine:
    return PatternLine(pattern_id, -minus_ns, service, level, body, trace_id)


def _picking(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Conditions one of which every line fits that fits one of `conditions`, and that are soon said."""
    picking: list[Condition] = []
    texts: list[str] = []
    for each in conditions:
        needed = needed_of(each)
        if needed is None:
            picking.append(each)
        elif needed not in texts:
            texts.append(needed)
    while texts:
        some = [texts.pop()]
        while texts and sum(map(len, some)) + len(texts[-1]) < _EXPRESSION:
            some.append(texts.pop())
        picking.append(Matches("", "|".join(f"(?:{text})" for text in some)))
    return tuple(picking)


def needed_of(condition: Condition) -> str | None:
    """An expression that every line matches that fits the condition; None when the line alone does not tell.

    >>> needed_of(All((Is("level", "ERROR"), Matches("", "a+"), Matches("", "b"))))
    'a+'
    >>> needed_of(Any((Matches("", "a"), Is("level", "ERROR"))))
    """
    match condition:
        case Matches(name, expression) if name in LINE:
            return expression
        case Like(name, form) if name in LINE:
            return word_expression(form)
        case Is(name, value) if name in LINE and value.isascii() and any(map(str.isalnum, value)):
            return words_expression(value)
        case All(parts):
            return next((needed for each in parts if (needed := needed_of(each)) is not None), None)
        case Any(parts):
            every = [needed for each in parts if (needed := needed_of(each)) is not None]
            return "|".join(f"(?:{needed})" for needed in every) if every and len(every) == len(parts) else None
    return None

"""The search language of logs and spans: Lucene's query syntax, as Kibana's users write it.

In: a text such as `level:ERROR service:api-gateway "timed out" -health`. Out: a `model.search.Condition`. Parsed with
`luqum`. Words beside each other must all hold (Elasticsearch's own default is one of them, which nobody wants of logs).
What has no meaning here, because nothing has a score, is refused with words: fuzziness, proximity, boosts.

Fields whose values have a form of their own are told by a table: `LOGS` knows levels, `SPANS` durations (`duration:>1.5s`),
statuses and kinds, and both moments. Their values leave here as they are stored.

Friendlier than Lucene: a value that begins with a slash and is no /regular expression/ is a path, and a colon within a
value needs no backslash (`url:http://shop/cart`, `path:/api/v1`); `&&`, `||` and `!` stand for AND, OR and NOT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any as Anything

from luqum import tree
from luqum.exceptions import IllegalCharacterError, ParseError
from luqum.thread import parse as parsed_by_luqum

from aiprism.errors import BadInput
from aiprism.model.labels import compiled
from aiprism.model.search import ANYTHING, All, Any, Between, Condition, Exists, Is, Like, Matches, Not, Wild
from aiprism.receive.loglines import severity

LONGEST = 4096  # characters
MOST_TERMS = 50


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a field are written: `value` and `bound` (one of a range) make them as they are stored, or raise BadInput.
    Of what is `ranged`, one value is a range; what is not `textual` is stored as no text, so it fits no wildcard."""

    value: Callable[[str], str]
    bound: Callable[[str], str]
    ranged: bool = False
    textual: bool = True


def condition(text: str, fields: Mapping[str, Form] | None = None) -> Condition:
    """What a query asks of logs, or of what has the `fields` (`SPANS`); BadInput says what is wrong and how to write it.

    >>> condition('level:ERROR "timed out"')
    All(parts=(Is(field='level', value='ERROR'), Is(field='', value='timed out')))
    """
    if not text.strip():
        return ANYTHING
    if len(text) > LONGEST:
        raise BadInput(f"query: {len(text)} characters are too many: {LONGEST} are read")
    plain = _lucene(text)
    try:
        asked = _formed(_meaning(parsed_by_luqum(plain), ""), LOGS if fields is None else fields)
    except RecursionError:
        raise BadInput("query: it is nested too deeply; write it with fewer parentheses and NOTs") from None
    except IllegalCharacterError as error:
        raise BadInput(f"query: {_illegal(plain, error)}") from error
    except ParseError as error:
        raise BadInput(f"query: {_unparsed(plain, error)}") from error
    check_terms(asked)
    return asked


def check_terms(asked: Condition) -> None:
    """BadInput when a condition looks for more than a search may."""
    terms = sum(1 for _ in _terms(asked))
    if terms > MOST_TERMS:
        raise BadInput(f"query: {terms} terms are too many: {MOST_TERMS} are looked for at a time")


def _terms(asked: Condition) -> Iterator[Condition]:
    match asked:
        case All(parts) | Any(parts):
            for part in parts:
                yield from _terms(part)
        case Not(part):
            yield from _terms(part)
        case _:
            yield asked


def _illegal(text: str, error: Exception) -> str:
    if text.count('"') % 2:
        return 'a " is not closed; write \\" for one that is part of a value'
    return f"{str(error).lower()}; put what it belongs to in quotes"


def _unparsed(text: str, error: Exception) -> str:
    said = str(error)
    if "end of expression" in said:
        missing = text.count("(") - text.count(")")
        return (
            "a ( is not closed" if missing > 0 else f"it ends too early: {text.split()[-1]!r} wants something behind it"
        )
    place = re.search(r"unexpected\s+(.*) at position (\d+)", said, re.DOTALL)
    if place:
        return f"unexpected {place[1]} at character {int(place[2]) + 1}; put it in quotes when it is part of a value"
    return said


# -- what is friendlier than Lucene ------------------------------------------------------------------------------------

_PIECE = re.compile(
    r"""
    (?P<phrase>"(?:[^"\\]|\\.)*")
  | (?P<range>(?<=:)[\[{][^\]}]*[\]}])
  | (?P<regex>(?:(?<=[\s(:])|^)/(?:[^/\\]|\\.)+/(?=$|[\s)]))
  | (?P<sign>(?:(?<=[\s(])|^)[+!-](?=[^\s]))
  | (?P<field>(?:(?<=[\s(+!-])|^)[\w@](?:[\w.@/-]|\\.)*:(?!\s|$))
  | (?P<word>(?:[^\s"()\[\]{}\\]|\\.)+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SIGNS = {"&&": "AND", "||": "OR", "!": "NOT"}


def _lucene(text: str) -> str:
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    in_field = False
    for piece in _PIECE.finditer(text):
        said = piece[0]
        if piece.lastgroup == "word":
            said = _word(said, in_field=in_field)
        elif piece.lastgroup == "sign":
            said = "NOT " if said == "!" else said
        in_field = piece.lastgroup == "field"
        yield said


def _word(word: str, *, in_field: bool) -> str:
    if word in _SIGNS:
        return _SIGNS[word]
    sign = re.match(r"[<>]=?", word)
    before = sign[0] if sign else ""
    value = word[len(before) :]
    if value == "*:*" or not (re.search("[:/]", value) or (value.startswith("-") if in_field else "=" in value)):
        return word
    if re.search(r"(?<!\\)[*?]", value):  # quotes would take their meaning from wildcards
        return before + re.sub(r"(?<!\\)([:/=])", r"\\\1", value)
    return f'{before}"{value}"'


# -- what it means -----------------------------------------------------------------------------------------------------


def _meaning(node: tree.Item, field: str) -> Condition:
    for kind, meaning in _MEANINGS.items():
        if isinstance(node, kind):
            return meaning(node, field)
    name = _NO_SCORE.get(type(node), type(node).__name__)
    raise BadInput(f"query: {str(node).strip()!r}: {name} have no meaning here; leave it out")


_NO_SCORE = {tree.Fuzzy: "fuzzy words", tree.Proximity: "words near each other", tree.Boost: "boosts"}


def _all_of(node: Anything, field: str) -> Condition:
    return All(tuple(_meaning(part, field) for part in node.children))


def _any_of(node: Anything, field: str) -> Condition:
    return Any(tuple(_meaning(part, field) for part in node.children))


def _same(node: Anything, field: str) -> Condition:
    return _meaning(node.children[0], field)


def _none_of(node: Anything, field: str) -> Condition:
    if isinstance(node, tree.Prohibit) and field and isinstance(node.a, tree.Word):
        return _word_of(tree.Word(f"-{node.a.value}"), field)  # code:-5
    return Not(_meaning(node.children[0], field))


def _of_field(node: Anything, field: str) -> Condition:
    if field:
        raise BadInput(f"query: field {node.name!r} within field {field!r}: put a value with a colon in quotes")
    name = _unescaped(node.name)
    if name == "_exists_":
        return Exists(_unescaped(str(node.expr).strip()))
    if name == "*" and isinstance(node.expr, tree.Word) and node.expr.value == "*":
        return ANYTHING
    return _meaning(node.expr, name)


def _phrase_of(node: Anything, field: str) -> Condition:
    return Is(field, _unescaped(node.value[1:-1]))


def _word_of(node: Anything, field: str) -> Condition:
    form = tuple(_form(node.value))
    if form == (Wild.MANY,):
        return Exists(field) if field else ANYTHING
    if len(form) == 1 and isinstance(form[0], str):
        return Is(field, form[0])
    return Like(field, form)


def _form(word: str) -> Iterator[str | Wild]:
    """Wildcards, and what stands between them without backslashes."""
    for piece in re.findall(r"\*+|\?|(?:[^*?\\]|\\.)+|\\", word, re.DOTALL):
        yield Wild(piece[0]) if piece[0] in "*?" else _unescaped(piece)


def _regex_of(node: Anything, field: str) -> Condition:
    expression = node.value[1:-1].replace("\\/", "/")
    compiled(expression)  # BadInput when it is none
    return Matches(field, expression)


def _range_of(node: Anything, field: str) -> Condition:
    if not field:
        raise BadInput(f"query: {str(node).strip()}: a range is one of a field, as in duration_ms:[100 TO 500]")
    return Between(field, _bound(node.low), _bound(node.high), node.include_low, node.include_high)


def _from_of(node: Anything, field: str) -> Condition:
    return _half(field, node, low=_bound(node.a))


def _to_of(node: Anything, field: str) -> Condition:
    return _half(field, node, high=_bound(node.a))


def _half(field: str, node: Anything, low: str | None = None, high: str | None = None) -> Condition:
    if not field:
        raise BadInput(f"query: {str(node).strip()}: a bound is one of a field, as in duration_ms:>=100")
    return Between(field, low, high, node.include, node.include)


def _bound(node: Anything) -> str | None:
    if isinstance(node, tree.Prohibit):
        return f"-{node.a.value}"
    if isinstance(node, tree.Phrase):
        return _unescaped(node.value[1:-1])
    return None if node.value == "*" else _unescaped(node.value)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


_MEANINGS: dict[type[tree.Item], Callable[[Anything, str], Condition]] = {
    tree.SearchField: _of_field,
    tree.Group: _same,
    tree.FieldGroup: _same,
    tree.Plus: _same,
    tree.Not: _none_of,
    tree.Prohibit: _none_of,
    tree.OrOperation: _any_of,
    tree.AndOperation: _all_of,
    tree.UnknownOperation: _all_of,
    tree.Phrase: _phrase_of,
    tree.Regex: _regex_of,
    tree.Word: _word_of,
    tree.Range: _range_of,
    tree.From: _from_of,
    tree.To: _to_of,
}


# -- fields with values of their own -----------------------------------------------------------------------------------


def _formed(asked: Condition, fields: Mapping[str, Form]) -> Condition:
    """The same with values as they are stored: WARNING is WARN, 2s are so many nanoseconds."""
    match asked:
        case All(parts):
            return All(tuple(_formed(part, fields) for part in parts))
        case Any(parts):
            return Any(tuple(_formed(part, fields) for part in parts))
        case Not(part):
            return Not(_formed(part, fields))
        case Is(name, value) if name in fields:
            made = fields[name].value(value)
            return Between(name, made, made) if fields[name].ranged else Is(name, made)
        case Between(name, low, high) if name in fields:
            bound = fields[name].bound
            return replace(asked, low=low and bound(low), high=high and bound(high))
        case Like(name) | Matches(name) if name in fields and not fields[name].textual:
            raise BadInput(f"query: a {name} has no form; write a range, as {name}:>1s")
    return asked


_RANKS = ((21, "FATAL"), (17, "ERROR"), (13, "WARN"), (9, "INFO"), (5, "DEBUG"), (1, "TRACE"))


def _level(text: str) -> str:
    number = severity(text).number
    return next((name for least, name in _RANKS if number >= least), "")


def _any_level(text: str) -> str:
    return _level(text) or text.upper()


def _known_level(text: str) -> str:
    found = _level(text)
    if not found:
        raise BadInput(f"query: {text!r} is no level; there are {', '.join(name for _, name in _RANKS)}")
    return found


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"query: {text!r} is no moment; write for example 2026-09-21T13:00:00Z") from None
    if moment.tzinfo is None or not _FIRST_YEAR < moment.year < _LAST_YEAR:  # near the ends no zone matters
        moment = moment.replace(tzinfo=UTC)
    within = min(max(moment.astimezone(UTC), _FIRST), _LAST)
    return within.strftime("%Y-%m-%d %H:%M:%S.%f")


# What is stored lies between; `[2026-01-01 TO 9999-12-31]` means all that comes.
_FIRST_YEAR, _LAST_YEAR = 1900, 2262
_FIRST, _LAST = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)


_UNITS_NS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PART = rf"(\d{{1,12}}(?:\.\d{{1,12}})?)({'|'.join(_UNITS_NS)})"
_LONGEST_NS = 1 << 62


def nanoseconds(text: str) -> str:
    """A duration with its unit as decimal nanoseconds.

    >>> nanoseconds("1.5s"), nanoseconds("1m30s"), nanoseconds("250µs")
    ('1500000000', '90000000000', '250000')
    """
    if text == "0":
        return text
    made = sum(int(Decimal(count) * _UNITS_NS[unit]) for count, unit in re.findall(_PART, text, re.ASCII))
    if not re.fullmatch(f"(?:{_PART})+", text, re.ASCII) or made > _LONGEST_NS:
        raise BadInput(f"query: {text!r} is no duration; write for example 250ms, 1.5s or 2m")
    return str(made)


def _one_of(what: str, *known: str) -> Form:
    def value(text: str) -> str:
        made = text.lower()
        if made not in known:
            raise BadInput(f"query: {text!r} is no {what}; there are {', '.join(known)}")
        return made

    def bound(text: str) -> str:
        raise BadInput(f"query: a {what} has no order; write {what}:({' OR '.join(known[-2:])})")

    return Form(value, bound)


_MOMENT = Form(_moment, _moment, ranged=True)
_MOMENTS: Mapping[str, Form] = dict.fromkeys(("timestamp", "@timestamp", "ts", "time"), _MOMENT)
_KIND = _one_of("kind", "internal", "server", "client", "producer", "consumer", "unspecified")
_STATUS = _one_of("status", "unset", "ok", "error")

LOGS: Mapping[str, Form] = {"level": Form(_any_level, _known_level), **_MOMENTS}
SPANS: Mapping[str, Form] = {
    "duration": Form(nanoseconds, nanoseconds, textual=False),
    "status": _STATUS,
    "kind": _KIND,
    "span.kind": _KIND,
    "start": _MOMENT,
    **_MOMENTS,
}

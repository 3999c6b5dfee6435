"""Templates of log lines: what is constant in the lines of one statement, and where it varies.

In: the patterns that `store/logpatterns.py` made of lines one by one, with how many lines each stands for, or the lines
of a file. Out: the template of each, with `<*>` for a variable part. One line alone does not tell that `cart` in "queue
cart is full" is a name; a second one, "queue orders is full", does. So patterns are compared with those of the same form:
the same separators and the same *words*. The other tokens are *names* by how they look or where they stand (dotted, joined by
underscores, quoted, behind an equals sign, behind a noun such as "user"), and become variable where they vary.

The steps, each on distinct patterns only, so that the cost is that of statements and not of lines:

    plain     what the masks left in many forms: dates, amounts with their units, lists
    cut       tokens and the separators between them; of each token, whether it is a word, a name or a mask
    settle    among patterns of one form, names that take several values are variable; else they tell patterns apart
    widen     a word in whose place many others stand is variable too
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

VARIABLE = "<*>"

# A name with so many values in patterns of one form is variable; one with two where they are met in few lines.
_VALUES = 3
_FEW_LINES = 8
# Interfaces and the like (eth0, en1) are few, and which one it is matters.
_NUMBERED_VALUES = 4
# A word is variable when so many stand in its place and nothing else differs.
_WORDS = 10
_WORDS_AROUND = 2  # that stay beside it


def templates(lines: Mapping[str, int]) -> dict[str, str]:
    """The template of each pattern, of patterns with the number of their lines.

    >>> templates({"queue <id> is full": 3, "queue cart is full": 1, "user <num> of <ip>": 2})
    {'queue <id> is full': 'queue <*> is full', 'queue cart is full': 'queue <*> is full', 'user <num> of <ip>': 'user <*> of <*>'}
    """
    plainly = {pattern: _plain(pattern) for pattern in lines}
    counts: Counter[str] = Counter()
    for pattern, text in plainly.items():
        counts[text] += lines[pattern]
    found = _widened(_settled(counts), counts)
    return {pattern: found[text] for pattern, text in plainly.items()}


def id_of(template: str) -> str:
    """The id of a template, the same in files and in what is stored."""
    return "E" + hashlib.blake2b(template.encode(), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Statement:
    """The lines of one template."""

    template: str
    lines: int
    first: int  # the number of its first line, from 1
    example: str  # that line

    @property
    def id(self) -> str:
        """Equal wherever the template is."""
        return id_of(self.template)


@dataclass(frozen=True, slots=True)
class Mined:
    """What a text consists of: its statements by number of lines, most first, and which one each line belongs to."""

    statements: tuple[Statement, ...]
    of_line: npt.NDArray[np.int32]


def mined(blocks: Iterable[bytes]) -> Mined:
    """The statements of a text that comes in blocks, each of whole lines and below 2 GiB. Bytes that are no UTF-8 are shown
    as U+FFFD."""
    numbers: dict[bytes, int] = {}
    examples: list[tuple[int, str]] = []
    coded: list[npt.NDArray[np.int32]] = []
    before = 0
    for block in blocks:
        ends = _line_ends(block)
        patterns, codes = _patterns(block, ends)
        firsts = np.unique(codes, return_index=True)[1]
        for pattern, first in zip(patterns, firsts, strict=True):
            if pattern not in numbers:
                numbers[pattern] = len(numbers)
                line = block[ends[first] : ends[first + 1]].strip().decode(errors="replace")
                examples.append((before + int(first) + 1, line))
        coded.append(np.array([numbers[pattern] for pattern in patterns], np.int32)[codes])
        before += len(codes)
    of_line = np.concatenate(coded) if coded else np.empty(0, np.int32)
    lines = np.bincount(of_line, minlength=len(numbers)).tolist()
    return _stated([pattern.decode(errors="replace") for pattern in numbers], lines, examples, of_line)


def _stated(
    patterns: Sequence[str], lines: Sequence[int], examples: Sequence[tuple[int, str]], of_line: npt.NDArray[np.int32]
) -> Mined:
    counts: Counter[str] = Counter()
    for pattern, number in zip(patterns, lines, strict=True):  # what differs in bytes that are no UTF-8 reads the same
        counts[pattern] += number
    found = templates(counts)
    sizes: Counter[str] = Counter()
    for pattern, number in counts.items():
        sizes[found[pattern]] += number
    begun: dict[str, tuple[int, str]] = {}
    for pattern, example in zip(patterns, examples, strict=True):
        begun.setdefault(found[pattern], example)
    ranked = sorted(sizes, key=lambda template: (-sizes[template], begun[template][0]))
    rank = {template: at for at, template in enumerate(ranked)}
    statements = tuple(Statement(template, sizes[template], *begun[template]) for template in ranked)
    return Mined(statements, np.array([rank[found[pattern]] for pattern in patterns], np.int32)[of_line])


def _line_ends(block: bytes) -> npt.NDArray[np.int32]:
    """Where each line of a block begins, and where the last one ends."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")).astype(np.int32) + 1
    last = [] if not block or block.endswith(b"\n") else [len(block)]
    return np.concatenate([[0], ends, last]).astype(np.int32)


def _patterns(block: bytes, ends: npt.NDArray[np.int32]) -> tuple[list[bytes], npt.NDArray[np.int32]]:
    from aiprism.store.logpatterns import patterns_of  # it loads numba, which whoever only has patterns does not need

    coded = patterns_of(np.frombuffer(block, np.uint8), ends)
    return coded.dictionary.cast("binary").to_pylist(), coded.indices.to_numpy()


# -- plain -----------------------------------------------------------------------------------------------------------

_V = "\0"  # a variable part, while it is worked on: no line holds it
_MASK = re.compile(r"<(?:uuid|email|time|ip|hex|num|url|path|text|host|id)>")
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_UNIT = (
    "(?:[KMGTP]i?[Bb]|[kKMGT]?[bB]|[kKMG]bps|bytes?|[nuµm]s(?:ecs?)?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?"
    "|milliseconds?|microseconds?|%)"
)
_PLAINER: tuple[tuple[re.Pattern[str], str], ...] = (
    (_MASK, _V),
    (re.compile(rf"\b(?:{_WEEKDAY},? )?{_MONTH} {_V},?(?: {_V})*(?: [A-Z]{{3,4}}\b)?(?: {_V})?"), _V),
    (re.compile(rf"\b(?:{_WEEKDAY},? )?{_V}[ -]{_MONTH}[ -]{_V}(?: {_V})?"), _V),
    (re.compile(rf"[<~]?{_V} ?{_UNIT}(?!\w)"), _V),  # 17 ms, 5.2 KB, <1 sec
    (re.compile(rf"=\w+\{{{_V}\}}"), f"={_V}"),  # ws=WorkSource{10113}
    (re.compile(r"(?<=\w)=(?= |$)"), f"={_V}"),  # ruser= rhost=
    (re.compile(r" \( ?\)"), f" ({_V})"),  # from 10.0.0.7 ()
    (re.compile(r"\.{3,}"), " "),  # retrying... leaders.....7
    (re.compile(rf"{_V}(?:(?:, ?|##?|[ :./@_-]){_V})+"), _V),
    (re.compile(r" {2,}"), " "),
)


def _plain(pattern: str) -> str:
    for expression, replacement in _PLAINER:
        pattern = expression.sub(replacement, pattern)
    return pattern.strip()


# -- cut -------------------------------------------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SEPARATORS = re.compile(r"""([\s=:,()\[\]{}"'|;<>#@]+)""")
_NUMBERED = re.compile(r"[A-Za-z]{2,}\d$")
_JOINED = re.compile(r"\w[./_-]+[\w$.]|\w/|/\w")
_DOTTED = re.compile(r"\w[./]+[\w$.]")  # what a line begins with is rather the name of a function than a value
# One of a few that say what happened, wherever they stand.
_KEYWORDS = _words("true false True False TRUE FALSE GET POST PUT DELETE HEAD PATCH OPTIONS CONNECT TRACE")
# Nouns that a name of one follows.
_NOUNS = _words(
    "user users username account owner host hostname domain server service process package job task topic table database "
    "queue container pod node namespace tenant customer organization model provider deployment region bucket index key file class"
)
# What a name of somebody or something stands behind, and what then follows it: "for root from". States stand between
# "from" and "to", and tell statements apart.
_LINKS = _words("for by of on")
_FOLLOW = _words("for from to by of on in at as with into")


class Kind(Enum):
    """What a token of a pattern is."""

    MASK = "variable already"
    WORD = "part of the statement"
    NAME = "likely a value"
    NUMBERED = "a value of a small set, such as eth0"


@dataclass(frozen=True, slots=True)
class Cut:
    """A pattern in pieces: `separators[i]` stands between `tokens[i]` and `tokens[i + 1]`."""

    text: str
    tokens: tuple[str, ...]
    separators: tuple[str, ...]
    kinds: tuple[Kind, ...]

    @property
    def form(self) -> tuple[object, ...]:
        """Equal for patterns that may be one statement: separators and words, with a hole for each value."""
        return self.separators, tuple(
            token if kind is Kind.WORD else _V for token, kind in zip(self.tokens, self.kinds, strict=True)
        )

    def written(self, tokens: Sequence[str]) -> str:
        """These tokens with the separators of this pattern, as a template."""
        parts = [part for pair in zip(tokens, (*self.separators, ""), strict=True) for part in pair]
        return "".join(parts).replace(_V, VARIABLE)


def _cut(text: str) -> Cut:
    pieces = _SEPARATORS.split(text)
    tokens, separators = tuple(pieces[0::2]), tuple(pieces[1::2])
    kinds = tuple(_kind(tokens, separators, at) for at in range(len(tokens)))
    if not any(kind is Kind.WORD and len(token) > 1 for token, kind in zip(tokens, kinds, strict=True)):
        # With nothing constant in it every pattern would be one.
        kinds = tuple(Kind.MASK if kind is Kind.MASK else Kind.WORD for kind in kinds)
    return Cut(text, tokens, separators, kinds)


def _kind(tokens: Sequence[str], separators: Sequence[str], at: int) -> Kind:
    token = tokens[at]
    if _V in token:
        return Kind.MASK
    if not token or token in _KEYWORDS:
        return Kind.WORD
    if _NUMBERED.fullmatch(token):
        return Kind.NUMBERED
    before = separators[at - 1] if at else ""
    if before.endswith(("=", '"', "'")) or (_JOINED if at else _DOTTED).search(token):
        return Kind.NAME
    if at and tokens[at - 1].lower() in _NOUNS and before in (" ", ": ", ":"):
        return Kind.NAME
    behind = separators[at] if at < len(separators) else ""
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if at and tokens[at - 1] in _LINKS and before == " " and (behind.strip() or not after or after in _FOLLOW):
        return Kind.NAME  # "for root from", "by alice: …"
    return Kind.WORD


# -- settle ----------------------------------------------------------------------------------------------------------


def _settled(counts: Mapping[str, int]) -> dict[str, str]:
    """The template of each plain pattern, with the names that vary made variable."""
    forms: dict[object, list[Cut]] = defaultdict(list)
    for text in counts:
        cut = _cut(text)
        forms[cut.form].append(cut)
    return {text: template for alike in forms.values() for text, template in _told_apart(alike, counts)}


def _told_apart(alike: Sequence[Cut], counts: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    """Each pattern of one form with its template: parted by the name with the fewest values that is not variable, until
    none is left."""
    first = alike[0]
    varying = [at for at, tokens in enumerate(zip(*(cut.tokens for cut in alike), strict=True)) if len(set(tokens)) > 1]
    lines = sum(counts[cut.text] for cut in alike)
    telling = {at: number for at in varying if (number := _values_that_tell(at, alike, lines))}
    if not telling:
        template = first.written([_V if at in varying else token for at, token in enumerate(first.tokens)])
        return [(cut.text, template) for cut in alike]
    at = min(telling, key=lambda each: telling[each])
    parted: dict[str, list[Cut]] = defaultdict(list)
    for cut in alike:
        parted[cut.tokens[at]].append(cut)
    return [each for part in parted.values() for each in _told_apart(part, counts)]


def _values_that_tell(at: int, alike: Sequence[Cut], lines: int) -> int:
    """How many values the token at `at` has when they are few enough to tell statements apart, else 0."""
    values = {cut.tokens[at] for cut in alike}
    if any(cut.kinds[at] is Kind.NUMBERED for cut in alike):
        return len(values) if len(values) < _NUMBERED_VALUES else 0
    few = len(values) < _VALUES and lines > _FEW_LINES
    return len(values) if few and not any(_V in value for value in values) else 0


# -- widen -----------------------------------------------------------------------------------------------------------


def _widened(settled: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, str]:
    """The same with templates joined that differ in one place: by many words, or by words where mostly a variable stands."""
    lines: Counter[str] = Counter()
    for text, template in settled.items():
        lines[template] += counts[text]
    places: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for template in lines:
        pieces = _SEPARATORS.split(template.replace(VARIABLE, _V))
        words = [at for at in range(0, len(pieces), 2) if _is_word(pieces[at])]
        for at in range(2, len(pieces), 2):
            if pieces[at] and len(words) - (at in words) >= _WORDS_AROUND:
                places[(*pieces[:at], _HOLE, *pieces[at + 1 :])][pieces[at]] = template
    joined: dict[str, str] = {}
    for pieces_with_hole, members in places.items():
        mostly_variable = _V in members and 2 * lines[members[_V]] >= sum(
            lines[template] for template in members.values()
        )
        if len(members) >= _WORDS or (len(members) > 1 and mostly_variable):
            template = "".join(pieces_with_hole).replace(_HOLE, _V).replace(_V, VARIABLE)
            joined.update(dict.fromkeys(members.values(), template))
    return {text: joined.get(template, template) for text, template in settled.items()}


_HOLE = "\1"


def _is_word(token: str) -> bool:
    return _V not in token and any(character.isalpha() for character in token)

"""Secrets in log records are replaced before they are stored: `[redacted:email]` says what stood there.

In: the columns of log records (`store/logcolumns.py`). Out: the same columns without secrets, and how many of each kind there
were. Which texts to look at is told by compiled code (`secretscan.py`); what exactly is replaced is said by the expressions
here, all of them RE2, so that no text costs more than its length. What was replaced is counted, and goes nowhere else.

A replacement keeps JSON valid: lines are often JSON, and read as such by searches. In a text that is JSON no value reaches
over the quote that ends its string; of resources and scopes each value is looked at by itself. What has been redacted is not
redacted again, so that logs which pass two servers are the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import re2
from numpy.typing import NDArray

from aiprism.errors import ConfigError

Ints: TypeAlias = NDArray[np.int64]
Expression: TypeAlias = Any  # of re2, which has no types
Match: TypeAlias = Any
Finder: TypeAlias = Callable[[bytes, str], list[tuple[int, int, bytes]]]  # of (text, kind): what goes

# In the order of looking: what is long and sure first, so that no part of it is taken for something else. The order of the
# bits in secretscan.py.
KINDS = ("private_key", "url_credentials", "token", "aws_key", "api_key", "password", "email", "card")
_BITS = {kind: 1 << at for at, kind in enumerate(KINDS)}
EVERY, NONE = "all", "none"
# A text in which more may be secrets of a kind is replaced as a whole: no line is to cost seconds.
MOST = 1000
KIND_LETTERS = "nsbidamy"  # store/attributes.py, which loads compiled code

# Columns of texts that repeat, coded once a batch: each different text is looked at once.
_CODED = (
    "service", "level", "severity_text", "event_name", "resource_entities", "resource_schema_url", "scope_name",
    "scope_version", "scope_schema_url",
)  # fmt: skip
# Columns of JSON objects of texts, and those of the letters of their kinds.
_TOLD = {"resource_json": "resource_kinds", "scope_json": "scope_kinds"}


def kinds(wanted: Iterable[str], setting: str = "logs.redact") -> frozenset[str]:
    """The kinds a setting asks for: `all`, `none`, names, and -name for all but those. ConfigError names what is none.

    >>> sorted(kinds(["all", "-email", "-card", "-token", "-password"]))
    ['api_key', 'aws_key', 'private_key', 'url_credentials']
    """
    found: set[str] = set()
    for at, word in enumerate(wanted):
        name = word.removeprefix("-")
        if name not in (*KINDS, EVERY, NONE) or (word != name and name not in KINDS):
            raise ConfigError(
                f"{setting}: {word!r} is no kind of secret; write all, none, -kind for all but that one, or some of "
                f"{', '.join(KINDS)}"
            )
        if name == EVERY or (word != name and at == 0):
            found |= set(KINDS)
        if word != name:
            found.discard(name)
        elif name in KINDS:
            found.add(name)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Replaces secrets of some kinds."""

    kinds: frozenset[str] = frozenset(KINDS)

    def text(self, text: str) -> tuple[str, Mapping[str, int]]:
        """`text` without secrets, and how many of each kind there were.

        >>> Redaction().text("mail to ada@example.com failed, password=hunter2")
        ('mail to [redacted:email] failed, password=[redacted:password]', {'password': 1, 'email': 1})
        """
        counts = Counter[str]()
        redacted, _ = self._texts(pa.array([text], pa.string()), counts)
        return redacted[0].as_py(), dict(counts)

    def columns(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        """The records without secrets, and how many of each kind there were; the same table when there were none."""
        counts = Counter[str]()
        if not self.kinds:
            return rows, counts
        rows = self._bodies(rows, counts)
        rows = self._attributes(rows, counts)
        for name in _CODED:
            rows = self._coded(rows, name, counts)
        for name, letters in _TOLD.items():
            rows = self._told(rows, name, letters, counts)
        return rows, dict(counts)

    # -- columns -------------------------------------------------------------------------------------------------------

    def _bodies(self, rows: pa.Table, counts: Counter[str]) -> pa.Table:
        redacted, changed = self._texts(column_of(rows, "body"), counts)
        if not len(changed):
            return rows
        # Arrays and maps stay JSON; a number that was a card is a text now.
        letters = np.array(column_of(rows, "body_kind"))
        numbers = changed[~np.isin(letters[changed], (_ARRAY, _MAP))]
        letters[numbers] = _STRING
        return with_column(with_column(rows, "body", redacted), "body_kind", pa.array(letters))

    def _attributes(self, rows: pa.Table, counts: Counter[str]) -> pa.Table:
        maps = column_of(rows, "attributes")
        offsets = np.array(maps.offsets)
        first, last = int(offsets[0]), int(offsets[-1])
        keys, values = maps.keys[first:last], maps.items[first:last]
        offsets = offsets - first
        values, named = self._named(keys, values, column_of(rows, "attribute_kinds"), offsets, counts)
        values, changed = self._texts(values, counts)
        changed = np.union1d(changed, named)
        if not len(changed):
            return rows
        letters = _letters_with(column_of(rows, "attribute_kinds"), offsets, changed, named)
        rows = with_column(rows, "attributes", pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, values))
        return with_column(rows, "attribute_kinds", letters)

    def _named(
        self, keys: pa.Array, values: pa.Array, letters: pa.Array, offsets: Ints, counts: Counter[str]
    ) -> tuple[pa.Array, Ints]:
        """Values of attributes whose name says that they are secrets, whatever they look like; and which they are."""
        names = keys.dictionary.to_pylist()
        kind_of = {at: kind for at, name in enumerate(names) if (kind := named_kind(name)) in self.kinds}
        if not kind_of:
            return values, np.empty(0, np.int64)
        codes = keys.indices.to_numpy(zero_copy_only=False)
        suspects = np.flatnonzero(np.isin(codes, list(kind_of)))
        replaced: dict[int, bytes] = {}
        owners = np.searchsorted(offsets, suspects, side="right") - 1
        for at, row in zip(suspects.tolist(), owners.tolist(), strict=True):
            kind, letter = kind_of[codes[at]], letters[row].as_py()[at - offsets[row]]
            if letter != "b" and _is_hidden(values[at].as_py().encode()):
                replaced[at] = _covered(kind)
                counts[kind] += 1
        return _replaced(values, replaced), np.array(sorted(replaced), np.int64)

    def _coded(self, rows: pa.Table, name: str, counts: Counter[str]) -> pa.Table:
        column = column_of(rows, name)
        distinct, changed = self._texts(column.dictionary, counts)
        return with_column(rows, name, _recoded(column, distinct)) if len(changed) else rows

    def _told(self, rows: pa.Table, name: str, kinds: str, counts: Counter[str]) -> pa.Table:
        column = column_of(rows, name)
        found = [(at, self._object(column.dictionary[at].as_py(), counts)) for at in self._suspects(column.dictionary)]
        told = {at: changed for at, changed in found if changed}
        if not told:
            return rows
        codes, letters = column.indices.to_numpy(), column_of(rows, kinds).to_pylist()
        for row in np.flatnonzero(np.isin(codes, list(told))).tolist():
            letters[row] = "".join(told[codes[row]].letters.get(at, said) for at, said in enumerate(letters[row]))
        distinct = _replaced(column.dictionary, {at: each.text for at, each in told.items()})
        rows = with_column(rows, name, _recoded(column, distinct))
        return with_column(rows, kinds, pa.array(letters, pa.string()).dictionary_encode())

    def _object(self, text: str, counts: Counter[str]) -> _Told | None:
        """A JSON object of texts without secrets, None when there are none."""
        pairs: list[tuple[str, str]] = json.loads(text, object_pairs_hook=list) if text else []
        named = {at: kind for at, (key, value) in enumerate(pairs) if (kind := self._named_one(key, value))}
        counts.update(named.values())
        values = pa.array([named.get(at) or value for at, (_, value) in enumerate(pairs)], pa.string())
        redacted, changed = self._texts(values, counts)
        if not named and not len(changed):
            return None
        said = [_covered(named[at]).decode() if at in named else each for at, each in enumerate(redacted.to_pylist())]
        parts = (f"{_json(key)}:{_json(value)}" for (key, _), value in zip(pairs, said, strict=True))
        whole = {at: "s" for at in (*changed.tolist(), *named) if at in named or not _is_json(said[at].encode())}
        return _Told(f"{{{','.join(parts)}}}".encode(), whole)

    def _named_one(self, name: str, value: str) -> str:
        kind = named_kind(name)
        return kind if kind in self.kinds and _is_hidden(value.encode()) else ""

    def _texts(self, texts: pa.Array, counts: Counter[str]) -> tuple[pa.Array, Ints]:
        """The texts without secrets, and which of them are changed."""
        replaced: dict[int, bytes] = {}
        for at, found in self._suspects(texts).items():
            text = texts[at].as_buffer().to_pybytes()
            redacted = _redacted(text, found, counts)
            if redacted != text:
                replaced[at] = redacted
        return _replaced(texts, replaced), np.array(list(replaced), np.int64)

    def _suspects(self, texts: pa.Array) -> Mapping[int, int]:
        """Which texts may hold a secret, and of which kinds: a set of bits."""
        # Imported with the first record: compiled code costs memory that a server without senders need not have.
        from aiprism.receive.secretscan import kinds_in

        if not len(texts):
            return {}
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        wanted = sum(_BITS[kind] for kind in self.kinds)
        found = kinds_in(np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), ends) & wanted
        places = np.flatnonzero(found)
        return dict(zip(places.tolist(), found[places].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Told:
    """A JSON object of texts without its secrets, and the letters of the values that are of another kind now."""

    text: bytes
    letters: Mapping[int, str]


def named_kind(name: str) -> str:
    """The kind of secret that a field of this name holds, empty when it may be anything.

    >>> named_kind("db.password"), named_kind("clientSecret"), named_kind("password_reset_sent"), named_kind("key")
    ('password', 'api_key', '', '')
    """
    found = _SECRET_NAME.search(name.encode())
    return _NAME_KINDS[next(number for number in (1, 2, 3) if found[number])] if found else ""


# -- expressions -----------------------------------------------------------------------------------------------------


def _compiled(expression: str) -> Expression:
    # Of bytes: what positions in a text are takes as long as finding them.
    options = re2.Options()
    options.log_errors = False
    return re2.compile(expression.encode(), options)


_PASSWORD_NAME = "pass_?word|passwd|pass_?phrase|pwd"  # noqa: S105
_KEY_NAME = "secret|(?:api|access|private|account|encryption|signing|secret)[_. -]?key"
_TOKEN_NAME = "(?:access|refresh|auth|id|session|api|bearer|csrf|xsrf|bot|user)[_. -]?token"  # noqa: S105
_SECRET_NAME = _compiled(rf"(?i)(?:({_PASSWORD_NAME})|({_KEY_NAME})|({_TOKEN_NAME}|authorization))$")
_NAME_KINDS = ("", "password", "api_key", "token")
# From the name to the value: quotes of JSON, also of JSON within JSON, and = or : between.
_TO = r"""(?P<quote>\\*["']?)\s*[:=]\s*"""
# A value: quoted, quoted within JSON, or up to what ends one in logs, URLs and connection strings.
_VALUE = (
    r"""(?:"(?P<double>(?:[^"\\\n]|\\.)*)|'(?P<single>(?:[^'\\\n]|\\.)*)|\\+["'](?P<escaped>[^"'\\]*)"""
    r"""|(?P<bare>[^\s"'&,;<>{}()\[\]\\][^\s"'&,;<>}\])\\]*))"""
)
# The same where the whole text is JSON: the name is a key, or stands within a string whose end no value goes beyond.
_JSON_VALUE = (
    r"""(?:"\s*:\s*(?:"(?P<double>(?:[^"\\]|\\.)*)|(?P<number>[^\s",\[\]{}]+))"""
    r"""|(?:(?:\\\\)*(?:\\"|'))?\s*[:=]\s*(?:(?:\\\\)*(?:\\"(?P<escaped>[^"'\\]*)|'(?P<single>(?:[^'"\\\n]|\\.)*))"""
    r"""|(?P<bare>[^\s"'&,;<>{}()\[\]\\][^\s"'&,;<>}\])\\]*)))"""
)
_OPTION_FORMS = (
    r"|(?:\b|_)pass=(?P<value>[^\s\"'&,;<>{}()\[\]\\]+)"
    r"|--pass(?:word|wd|phrase)?\s+(?P<option>[^\s\"'\\-][^\s\"'\\]*)"
)
_HEADER_FORMS = (
    r"|authorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:[a-z][a-z0-9-]{2,20}\s+)?(?P<credentials>[a-z0-9._~+/=-]{8,})"
    r"|\btoken\\*[\"']?\s*[:=]\s*\\*[\"']?(?P<word>[a-z0-9_~+=-]{16}[a-z0-9._~+/=-]*)"
    r"|bearer\s+(?P<bearer>[a-z0-9._~+/=-]{8,})"
)
# A word begins also behind an escape of JSON: the n of \nAKIA… is no part of it.
_WORD = r"(?:\b|\\[nrtbf])"
_JWT = _compiled(r"(eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)*)")
_CREDENTIALS = _compiled(r"""://([^\s/?#"'<>\\@:]*:[^\s/?#"'<>\\]+)@""")
_AWS = _compiled(rf"{_WORD}((?:AKIA|ASIA)[A-Z0-9]{{16}})\b")
_API_KEY = _compiled(
    rf"{_WORD}(sk-[A-Za-z0-9_-]{{16,}}|gh[opusr]_[A-Za-z0-9]{{20,}}|github_pat_[A-Za-z0-9_]{{20,}}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|glpat-[A-Za-z0-9_-]{16,}|pypi-[A-Za-z0-9_-]{40,}"
    r"|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|shpat_[A-Za-z0-9]{30,}"
    r"|dop_v1_[a-f0-9]{60,}|AIza[A-Za-z0-9_-]{30,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"
)
_EMAIL = _compiled(
    r"([\pL\pN._%+-]*[\pL\pN_%+-](?:@|%40)[\pL\pN](?:[\pL\pN-]*[\pL\pN])?(?:\.[\pL\pN](?:[\pL\pN-]*[\pL\pN])?)*\.\pL{2,})"
)
_BEGIN_KEY = _compiled(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
_END_KEY = _compiled(r"-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----")
_REDACTED = _compiled(r"^\[redacted:[a-z_]+\](?:\\[nrt]|\s)*$")
_DIGIT, _NO_WORD = _compiled(r"[0-9]"), _compiled(r"[0-9=]|[a-z][A-Z]")
# What stands where a secret would: also where a file lies (PWD=/home/ada, --password /run/secrets/db).
_PLACEHOLDER = _compiled(
    r"^(?:(?i:null|none|nil|true|false|undefined|\*+|x{3,}|\.{3})"
    r"|/(?:app|data|etc|home|mnt|opt|root|run|srv|tmp|usr|Users|var|workspace)(?:/[A-Za-z0-9._-]+)*/?)$"
)

# (start, end, replacement) of what goes, in order
_Cuts: TypeAlias = list[tuple[int, int, bytes]]


def _covered(kind: str) -> bytes:
    return f"[redacted:{kind}]".encode()


def _redacted(text: bytes, found: int, counts: Counter[str]) -> bytes:
    """`text` without the secrets of the kinds in `found`, a set of bits."""
    is_json = _is_json(text)
    for kind, cuts_of in _JSON_FINDERS if is_json else _FINDERS:
        if not found & _BITS[kind]:
            continue
        try:
            cuts = cuts_of(text, kind)
        except _TooMany:
            text, cuts = _as_a_whole(text, kind) if is_json else _covered(kind), [(0, 0, b"")]
        if cuts:
            text = _cut(text, cuts)
            counts[kind] += len(cuts)
    return text


def _is_json(text: bytes) -> bool:
    if text[:1] not in (b"{", b"["):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _as_a_whole(text: bytes, kind: str) -> bytes:
    """What stands for a whole object or array."""
    return b'["%b"]' % _covered(kind) if text[:1] == b"[" else b'{"redacted":"%b"}' % _covered(kind)


class _TooMany(Exception):
    """More is found in one text than is looked at."""


def _cut(text: bytes, cuts: _Cuts) -> bytes:
    parts, at = list[bytes](), 0
    for start, end, instead in cuts:
        parts += [text[at:start], instead]
        at = end
    return b"".join((*parts, text[at:]))


def _private_keys(text: bytes, kind: str) -> _Cuts:
    """From BEGIN to END, else to the quote that ends a text within JSON: what is left of a line that was cut is key, too."""
    cuts, behind, quote = _Cuts(), 0, -1
    ends = [found.end() for found in _some(_END_KEY, text)]
    at = 0
    for begin in _some(_BEGIN_KEY, text):
        if begin.start() < behind:
            continue
        if quote < begin.end():
            quote = text.find(b'"', begin.end())
            quote = len(text) if quote < 0 else _before_escape(text, quote)
        while at < len(ends) and ends[at] < begin.end():
            at += 1
        behind = min(quote, ends[at] if at < len(ends) else len(text))
        cuts.append((begin.start(), behind, _covered(kind)))
    return cuts


def _before_escape(text: bytes, quote: int) -> int:
    """Where the backslashes before a quote begin: they belong to it."""
    while quote and text[quote - 1] == 92:
        quote -= 1
    return quote


def _all(expression: Expression, is_one: Callable[[bytes], bool] = lambda _: True) -> Finder:
    """A finder of what the only group of `expression` matches."""

    def cuts(text: bytes, kind: str) -> _Cuts:
        return [
            (_behind_escape(text, found.start(1)), found.end(1), _covered(kind))
            for found in _some(expression, text)
            if is_one(found[1])
        ]

    return cuts


def _some(expression: Expression, text: bytes) -> Iterator[Match]:
    for number, found in enumerate(expression.finditer(text)):
        if number == MOST:
            raise _TooMany
        yield found


def _behind_escape(text: bytes, start: int) -> int:
    r"""`start`, or what follows an escape of JSON that ends there: of \nada@… the n is no part of the address."""
    if start == 0 or text[start - 1 : start] != b"\\" or text[start : start + 1] not in b"nrtbfu":
        return start
    return start + 1 if text[start : start + 1] != b"u" else start + 5


def _values(expression: Expression) -> Finder:
    """A finder of what is said to be a secret by the name before it."""
    names = {number: name.decode() for name, number in expression.groupindex.items()}
    quote = next((number for number, name in names.items() if name == "quote"), 0)
    values = [(number, name) for number, name in names.items() if name != "quote"]

    def cuts(text: bytes, kind: str) -> _Cuts:
        made = _Cuts()
        for found in _some(expression, text):
            number, name = next((each for each in values if found[each[0]]), (0, ""))
            value = found[number]
            if not name or not _is_secret(value, name):
                continue
            instead, before = _covered(kind), found[quote] or b""
            if name == "number":  # "pin": 1234 is to stay JSON
                instead = b'"%b"' % instead
            elif name == "bare" and before.endswith(b'"'):
                instead = b"%b%b%b" % (before, instead, before)
            made.append((found.start(number), found.end(number), instead))
        return made

    return cuts


def _is_hidden(value: bytes) -> bool:
    """Whether a value that a name says is a secret is to go: there is one, and it has not gone yet."""
    return bool(value) and not _REDACTED.match(value) and not _PLACEHOLDER.match(value)


def _is_secret(value: bytes, group: str) -> bool:
    if not _is_hidden(value):
        return False
    return group not in ("bearer", "credentials", "word") or _is_credential(value)


def _is_credential(text: bytes) -> bool:
    """Whether it looks like one, and is no word of a sentence (`Bearer authentication`)."""
    return len(text) >= 24 or _NO_WORD.search(text) is not None


def _cards(text: bytes, kind: str) -> _Cuts:
    from aiprism.receive.secretscan import card_ends

    places, cuts = card_ends(text), _Cuts()
    if len(places) > MOST:
        raise _TooMany
    for start, end in places:
        instead = _covered(kind)
        if text[:1] in (b"{", b"[") and _beside(text, start - 1, -1) in b":,[" and _beside(text, end, 1) in b",}]":
            instead = b'"%b"' % instead  # a number of JSON
        cuts.append((start, end, instead))
    return cuts


def _beside(text: bytes, at: int, step: int) -> bytes:
    """The nearest of a few bytes that is no space."""
    for near in range(at, at + 4 * step, step):
        if not 0 <= near < len(text):
            break
        if text[near] != 32:
            return text[near : near + 1]
    return b"none"


def _finders(value: str) -> Sequence[tuple[str, Finder]]:
    """In the order of KINDS. `value` is the expression of what stands behind a name."""
    return (
        ("private_key", _private_keys),
        ("url_credentials", _all(_CREDENTIALS)),
        ("token", _all(_JWT)),
        ("token", _values(_compiled(rf"(?i)(?:{_TOKEN_NAME}){value}{_HEADER_FORMS}"))),
        ("aws_key", _all(_AWS)),
        ("api_key", _all(_API_KEY, lambda key: _DIGIT.search(key) is not None)),
        ("api_key", _values(_compiled(rf"(?i)(?:{_KEY_NAME}){value}"))),
        ("password", _values(_compiled(rf"(?i)(?:{_PASSWORD_NAME}){value}{_OPTION_FORMS}"))),
        ("email", _all(_EMAIL, lambda address: not address.startswith(b"git@"))),  # where a repository lies
        ("card", _cards),
    )


_FINDERS, _JSON_FINDERS = _finders(f"{_TO}{_VALUE}"), _finders(_JSON_VALUE)


# -- columns -----------------------------------------------------------------------------------------------------------

_STRING, _ARRAY, _MAP = (KIND_LETTERS.index(letter) for letter in "sam")  # as `body_kind` counts them


def column_of(rows: pa.Table, name: str) -> pa.Array:
    """A column in one piece."""
    column = rows[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def with_column(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """The rows with another column of that name in its place."""
    return rows.set_column(rows.schema.get_field_index(name), name, column)


def _replaced(texts: pa.Array, replaced: Mapping[int, bytes]) -> pa.Array:
    """`texts` with others at some places."""
    if not replaced:
        return texts
    places = np.array(sorted(replaced), np.int64)
    mask = np.zeros(len(texts), np.bool_)
    mask[places] = True
    others = pa.array([replaced[at] for at in places.tolist()], pa.string())
    return pc.replace_with_mask(texts, pa.array(mask), others)


def _letters_with(letters: pa.Array, offsets: Ints, changed: Ints, named: Ints) -> pa.Array:
    """The letters of the values' kinds, once those of `changed` are texts; arrays and maps still are JSON, unless `named`."""
    said, whole = letters.to_pylist(), set(named.tolist())
    owners = np.searchsorted(offsets, changed, side="right") - 1
    for at, row in zip(changed.tolist(), owners.tolist(), strict=True):
        place = at - int(offsets[row])
        if at in whole or said[row][place] not in "am":
            said[row] = f"{said[row][:place]}s{said[row][place + 1 :]}"
    return pa.array(said, pa.string()).dictionary_encode()


def _recoded(column: pa.DictionaryArray, distinct: pa.Array) -> pa.DictionaryArray:
    """The column with other texts in its dictionary, of which two that differed may be the same now."""
    recoded = distinct.dictionary_encode()
    return pa.DictionaryArray.from_arrays(pc.take(recoded.indices, column.indices), recoded.dictionary)


def _json(text: str) -> str:
    return orjson.dumps(text).decode()

"""Pages of the text formats: what a new line says, and the comments. Lines that came before are left to scan.py.

Sources: Prometheus documentation, "Exposition formats" and "UTF-8 in Prometheus"; the OpenMetrics 1.0 specification.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiprism.errors import BadInput
from aiprism.model.gofloat import format_float
from aiprism.model.labels import METRIC_NAME
from aiprism.receive.exposition.rows import RawExemplar, Rows
from aiprism.receive.exposition.scan import Page, scan
from aiprism.store.batches import MetricMetadata
from aiprism.store.columns import FingerprintTable

_QUOTED = r'"((?:[^"\\\n]|\\.)*)"'
_PAIR = r'[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"'
# As nearly all series are written: two calls read one, where the general way takes three a label.
_PLAIN_SERIES = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{((?:{_PAIR}(?:,{_PAIR})*,?)?)\}})?")
_PLAIN_PAIRS = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"]*)"')
_METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?[ \t]*(\{)?")
_LABEL = re.compile(rf"[ \t]*(?:{_QUOTED}|([a-zA-Z_][a-zA-Z0-9_]*))[ \t]*(?:(=)[ \t]*{_QUOTED})?[ \t]*(,|(?=\}}))")
_CLOSE = re.compile(r"[ \t]*\}[ \t]*")
_ESCAPED = re.compile(r'\\([\\n"])')
_COMMENT = re.compile(rf"#[ \t]*(HELP|TYPE|UNIT)[ \t]+(?:{_QUOTED}|([^ \t\"]+))(?:[ \t]+(.*))?")
_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "gaugehistogram", "stateset", "info", "unknown"})
_OLD_TYPES = {"untyped": "unknown"}
_SHOWN = 80


def rows(body: bytes, known: FingerprintTable, salt: int, whose: int, *, openmetrics: bool) -> Rows:
    """What a page says; BadInput when it is not well formed. Series are known by their bytes, apart for each `whose`."""
    page = scan(body, known, salt, whose, openmetrics=openmetrics)
    comments = _Comments(body, page)
    if openmetrics and not comments.ended:
        raise BadInput("the page does not end with # EOF, as OpenMetrics must")

    def labels(at: int) -> dict[str, str]:
        start, end = page.spans[at].tolist()
        return _series(_decoded(body[start:end]), comments.type_at(start))

    return Rows(
        page.hashes,
        page.places,
        page.values,
        page.ts_ms,
        labels,
        page.comments_hash,
        comments.metadata,
        [_exemplar(row, _decoded(body[start:end])) for row, start, end in page.exemplars.tolist()],
    )


@dataclass(slots=True)
class _Comments:
    """The comments of a page, read when somebody asks."""

    body: bytes
    page: Page
    _types: list[tuple[int, str]] | None = field(default=None)

    @property
    def ended(self) -> bool:
        """True when the last comment is # EOF; the kernel saw that nothing follows it."""
        comments = self.page.comments
        return len(comments) > 0 and self.body[comments[-1, 0] : comments[-1, 1]] == b"# EOF"

    def type_at(self, at: int) -> str:
        """The type that the comments before byte `at` give."""
        if self._types is None:
            self._types = [(where, said) for where, kind, _, said in self._read() if kind == "TYPE"]
        place = bisect_right(self._types, at, key=lambda each: each[0])
        return self._types[place - 1][1] if place else ""

    def metadata(self) -> Iterator[MetricMetadata]:
        """What the comments say of each metric family."""
        families: dict[str, dict[str, str]] = {}
        for _, kind, name, said in self._read():
            families.setdefault(name, {})[kind] = said
        for name, about in families.items():
            yield MetricMetadata(name, about.get("TYPE", "unknown"), about.get("HELP", ""), about.get("UNIT", ""))

    def _read(self) -> Iterator[tuple[int, str, str, str]]:
        """(where, HELP, TYPE or UNIT, metric, what is said) of each comment that is none for people."""
        for start, end in self.page.comments.tolist():
            found = _COMMENT.fullmatch(_decoded(self.body[start:end]))
            if not found:
                continue
            kind, quoted, plain, said = found.groups(default="")
            if kind == "TYPE":
                said = _OLD_TYPES.get(said.strip(), said.strip())
                if said not in _TYPES:
                    raise BadInput(f"{said!r} is no type of metrics: {found[0][:_SHOWN]!r}")
            yield start, kind, plain or _unescaped(quoted), _unescaped(said) if kind == "HELP" else said


def _series(text: str, kind: str) -> dict[str, str]:
    """The labels of a series as it stands on a page, its name among them; BadInput when it is none.

    >>> _series('{"http.requests", path="/a\\\\"b"}', "counter")
    {'__name__': 'http.requests', 'path': '/a"b'}
    """
    labels = _plain_series(text) or _any_series(text)
    bound = {"histogram": "le", "summary": "quantile"}.get(kind, "")
    if bound in labels:
        labels[bound] = _bound(labels[bound])
    return labels


def _plain_series(text: str) -> dict[str, str] | None:
    found = _PLAIN_SERIES.fullmatch(text)
    if not found:
        return None
    pairs = _PLAIN_PAIRS.findall(found[2] or "")
    labels = {METRIC_NAME: found[1], **dict(pairs)}
    return labels if len(labels) == len(pairs) + 1 else None  # a name twice, which the general way words


def _any_series(text: str) -> dict[str, str]:
    found = _METRIC.match(text)
    assert found is not None  # it may match nothing
    labels = {METRIC_NAME: found[1]} if found[1] else {}
    end = found.end()
    if found[2]:
        end = _labels(text, end, labels)
    if end != len(text) or not labels.get(METRIC_NAME):
        raise BadInput(f"no series: {text[:_SHOWN]!r}")
    return labels


def _labels(text: str, at: int, labels: dict[str, str]) -> int:
    """Read what stands between braces into `labels`; the position behind them."""
    while not (closed := _CLOSE.match(text, at)):
        found = _LABEL.match(text, at)
        if not found:
            raise BadInput(f"not a label at {text[at:][:20]!r}: {text[:_SHOWN]!r}")
        quoted, plain, equals, value, _ = found.groups()
        name = plain if plain is not None else _unescaped(quoted)
        if equals is None:  # a quoted name without a value is that of the metric
            name, value = METRIC_NAME, name if quoted is not None else ""
        if name in labels or not name or (name == METRIC_NAME and not value):
            raise BadInput(f"the label {name!r} twice, or without a name or value: {text[:_SHOWN]!r}")
        labels[name] = _unescaped(value)
        at = found.end()
    return closed.end()


def _exemplar(row: int, text: str) -> RawExemplar:
    """An exemplar as it stands behind the number sign: labels, a value, perhaps seconds."""
    labels: dict[str, str] = {}
    start = text.find("{")
    if start < 0 or text[:start].strip():
        raise BadInput(f"no exemplar: {text[:_SHOWN]!r}")
    rest = text[_labels(text, start + 1, labels) :].split()
    try:
        value, *at = (float(each) for each in rest)
        ts_ms = int(at.pop() * 1000) if at else None
        if at:
            raise ValueError
    except (ValueError, OverflowError):
        raise BadInput(f"no exemplar: {text[:_SHOWN]!r}") from None
    return RawExemplar(row, labels, value, ts_ms)


def _bound(text: str) -> str:
    """A bucket's bound or a quantile as Prometheus 3 writes it, whichever way it was sent.

    >>> _bound("1"), _bound("0.50"), _bound("+Inf"), _bound("1e6")
    ('1.0', '0.5', '+Inf', '1e+06')
    """
    try:
        return openmetrics_float(float(text))
    except ValueError:
        return text


def openmetrics_float(value: float) -> str:
    """A number as Go's shortest `%g` writes it, never without a point or an exponent.

    >>> openmetrics_float(100000.0), openmetrics_float(1234567.0), openmetrics_float(0.00001)
    ('100000.0', '1.234567e+06', '1e-05')
    """
    text = format_float(value)
    return text if "." in text or "e" in text or not math.isfinite(value) else f"{text}.0"


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"not UTF-8: {text[:_SHOWN]!r}") from None

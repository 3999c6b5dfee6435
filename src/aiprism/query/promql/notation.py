"""Series written out for tests, in the notation of Prometheus' own: `up{job="api"} 0+10x5 _ stale`.

A word is a number, `_` (no sample), `stale` (the series ends), a run (`1x3`: four times 1; `0+10x2`: 0 10 20; `_x3`: three
gaps) or a native histogram: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`, with `offset` (the index of the first bucket,
default 0), `n_buckets` and `n_offset` below zero, `z_bucket` and `z_bucket_w` (its threshold), `custom_values` (with schema
-53) and `counter_reset_hint`; `{{…}}+{{…}}x3` grows three times.
Source: Prometheus documentation, "Unit testing for rules".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiprism.errors import BadInput
from aiprism.model.histograms import Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.model.samples import STALE_NAN
from aiprism.query.promql.native import Histogram, added, stored, subtracted

Sample = float | NativeHistogram

_SERIES = re.compile(
    r"""(?P<name>[a-zA-Z_:][\w:]*)?\s*(?:\{(?!\{)(?P<labels>(?:[^"'{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*)\})?\s*(?P<values>.*)""",
    re.DOTALL,
)
_QUOTED = r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')"""
_LABEL = re.compile(rf"\s*(?:(\w[\w.]*)|{_QUOTED})\s*(=\s*{_QUOTED})?\s*(?:,\s*|$)")
_WORD = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x\d+)?|\S+")
_RUN = re.compile(
    r"(?P<start>[-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan)|_|stale)(?:(?P<step>[-+][\d.]+(?:e[-+]?\d+)?))?x(?P<times>\d+)",
    re.IGNORECASE,
)
_HISTOGRAM_RUN = re.compile(r"(?P<start>\{\{.*?\}\})(?:(?P<sign>[+-])(?P<step>\{\{.*?\}\}))?(?:x(?P<times>\d+))?")
_HINTS = {"unknown": ResetHint.UNKNOWN, "reset": ResetHint.YES, "not_reset": ResetHint.NO, "gauge": ResetHint.GAUGE}
_ESCAPES = {"n": "\n", "t": "\t"}
_MOST_VALUES = 1_000_000


def series(entry: str) -> tuple[Labels, str]:
    """The labels at the beginning of `entry` and the text behind them; BadInput when it does not begin with a series.

    >>> series('up{job="api"} 1 2')
    (Labels(__name__="up", job="api"), '1 2')
    """
    match = _SERIES.fullmatch(entry.strip())
    if match is None:
        raise BadInput(f"not a series: {entry!r}")
    pairs = {METRIC_NAME: match["name"] or ""}
    inside, at = match["labels"] or "", 0
    while at < len(inside.rstrip()):
        found = _LABEL.match(inside, at)
        if found is None:
            raise BadInput(f"not a label at {inside[at:]!r}: {entry!r}")
        plain, *quoted = found.group(1, 2, 3)
        name = plain or _text(quoted)
        if found[4]:
            pairs[name] = _text(found.group(5, 6))
        else:  # a name in quotes and nothing else is that of the metric
            pairs[METRIC_NAME] = name
        at = found.end()
    return Labels(pairs), match["values"]


def values(text: str) -> list[Sample | None]:
    """The samples of a series, None where there is none; BadInput for a word that is none.

    >>> values("1 _ 2+3x2")
    [1.0, None, 2.0, 5.0, 8.0]
    """
    found: list[Sample | None] = []
    for word in _WORD.findall(text):
        found += _histograms(word) if word.startswith("{{") else _numbers(word)
        if len(found) > _MOST_VALUES:
            raise BadInput(f"a series of more than {_MOST_VALUES} samples")
    return found


def _text(quoted: tuple[str | None, ...] | list[str | None]) -> str:
    text = next((each for each in quoted if each is not None), "")
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)


def _numbers(word: str) -> list[Sample | None]:
    run = _RUN.fullmatch(word)
    if run is None:
        return [_one(word)]
    times = int(run["times"])
    if times > _MOST_VALUES:
        raise BadInput(f"a run of more than {_MOST_VALUES} samples: {word!r}")
    if run["start"] == "_":
        return [None] * times
    start, step = _one(run["start"]), float(run["step"] or 0)
    assert start is not None
    return [start + step * place for place in range(times + 1)]


def _one(word: str) -> float | None:
    if word == "_":
        return None
    if word == "stale":
        return STALE_NAN
    try:
        return float(word)
    except ValueError:
        raise BadInput(f"not a sample: {word!r}") from None


def _histograms(word: str) -> Iterator[NativeHistogram]:
    match = _HISTOGRAM_RUN.fullmatch(word)
    if match is None:
        raise BadInput(f"not a histogram: {word!r}")
    start, grow = histogram(match["start"]), match["step"] and histogram(match["step"])
    value: Histogram | None = Histogram.of(start)
    yield start
    for _ in range(int(match["times"] or 0)):
        if grow and value:
            value = (added if match["sign"] == "+" else subtracted)(value, Histogram.of(grow))
        if value is None:
            raise BadInput(f"these histograms cannot be added: {word!r}")
        yield stored(value)


def histogram(text: str) -> NativeHistogram:
    """One histogram, `{{schema:0 …}}`; BadInput when it is none."""
    said = {"schema": "0", "sum": "0", "count": "0", "offset": "0", "n_offset": "0", "z_bucket": "0", "z_bucket_w": "0"}
    said |= dict(re.findall(r"(\w+):(\[[^\]]*\]|\S+)", text.strip("{}")))

    def numbers(name: str) -> tuple[float, ...]:
        return tuple(map(float, said.get(name, "[]").strip("[]").split()))

    def side(prefix: str) -> Buckets:
        counts = numbers(f"{prefix}buckets")
        return Buckets((int(said[f"{prefix}offset"]),), (len(counts),), counts) if counts else Buckets()

    try:
        return NativeHistogram(
            int(said["schema"]),
            float(said["count"]),
            float(said["sum"]),
            float(said["z_bucket_w"]),
            float(said["z_bucket"]),
            side(""),
            side("n_"),
            numbers("custom_values"),
            _HINTS[said.get("counter_reset_hint", "unknown")],
        )
    except (ValueError, KeyError):
        raise BadInput(f"not a histogram: {text!r}") from None

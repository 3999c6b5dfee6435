"""How OpenTelemetry's names become Prometheus': metric names with their units, and attribute keys as label names.

In: names, units and attributes as sent, and the translation strategy. Out: Prometheus names and label pairs. The
strategies are those of Prometheus 3's `otlp.translation_strategy`; underscores with suffixes is the default of both.
Specification: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", sections "Metric Metadata" and "Metric Attributes".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

import numpy as np

from aiprism.model.labels import METRIC_NAME


class Strategy(Enum):
    """What becomes of a name; the values are Prometheus' own."""

    UNDERSCORES_WITH_SUFFIXES = "UnderscoreEscapingWithSuffixes"
    UNDERSCORES = "UnderscoreEscapingWithoutSuffixes"
    UTF8_WITH_SUFFIXES = "NoUTF8EscapingWithSuffixes"
    AS_SENT = "NoTranslation"

    @property
    def escapes(self) -> bool:
        """Whether everything outside ``[a-zA-Z0-9_:]`` becomes an underscore."""
        return self in (Strategy.UNDERSCORES_WITH_SUFFIXES, Strategy.UNDERSCORES)

    @property
    def suffixes(self) -> bool:
        """Whether unit and type are appended."""
        return self in (Strategy.UNDERSCORES_WITH_SUFFIXES, Strategy.UTF8_WITH_SUFFIXES)


# UCUM units as the specification translates them; what is not listed keeps its own spelling.
_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "kBy": "kilobytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "%": "percent", "1": "",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}

_WORDS = re.compile(r"[a-zA-Z0-9:]+")
_ANNOTATION = re.compile(r"\{[^}]*\}")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_TARGET = ("job", "instance")


def metric_name(name: str, unit: str, *, counter: bool, gauge: bool, strategy: Strategy) -> str:
    """The Prometheus name of a metric; empty when no character of `name` can stand in one.

    >>> metric_name("http.server.duration", "ms", counter=False, gauge=False, strategy=Strategy.UNDERSCORES_WITH_SUFFIXES)
    'http_server_duration_milliseconds'
    >>> metric_name("http.server.requests", "1", counter=True, gauge=False, strategy=Strategy.UTF8_WITH_SUFFIXES)
    'http.server.requests_total'
    """
    if strategy is Strategy.AS_SENT:
        return name
    units = _unit_words(unit) if strategy.suffixes else []
    last = ""
    if strategy.suffixes:
        last = "total" if counter else "ratio" if gauge and unit == "1" else ""
    return _escaped(name, units, last) if strategy.escapes else _suffixed(name, units, last)


def unit_name(unit: str) -> str:
    """The unit as it stands at the end of a metric name: `By/s` is `bytes_per_second`."""
    return "_".join(_unit_words(unit))


def label_pairs(
    attributes: Iterable[tuple[str, str]], strategy: Strategy, reserved: Iterable[str] = _TARGET
) -> dict[str, str]:
    """Attributes as label pairs.

    When two keys become one name their values are joined with ';' in key order. A key that becomes a `reserved` name, one
    that aiprism sets itself, gets the prefix `exported_`, as in a Prometheus scrape.
    """
    labels: dict[str, str] = {}
    kept_back = {METRIC_NAME, *reserved}
    for key, value in sorted(attributes):
        if value == "":
            continue
        name = _label_name(key) if strategy.escapes else key or "_"
        while name in kept_back:
            name = f"exported_{name}"
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def bucket_edge(bound: float) -> str:
    """A bucket bound as Prometheus writes label values: shortest digits, never an exponent.

    >>> bucket_edge(0.5), bucket_edge(10.0), bucket_edge(1e-7)
    ('0.5', '10', '0.0000001')
    """
    if np.isinf(bound):
        return "+Inf" if bound > 0 else "-Inf"
    return np.format_float_positional(bound, trim="-")


def _escaped(name: str, units: list[str], last: str) -> str:
    words = _WORDS.findall(name)
    if not words:
        return ""
    words += _without(units, words)
    if last:
        words = [word for word in words if word != last] + [last]
    joined = "_".join(words)
    return f"_{joined}" if joined[0].isdigit() else joined


def _without(units: list[str], words: list[str]) -> list[str]:
    """`units` less those the name says already: main unit and "per" unit are looked for apart."""
    text = f"_{'_'.join(words)}_"
    return [unit for unit in units if f"_{unit}_" not in text]


def _suffixed(name: str, units: list[str], last: str) -> str:
    for suffix in (last, *reversed(units)):
        if suffix and len(name) > len(suffix) and name.endswith(suffix) and not name[-len(suffix) - 1].isalnum():
            name = name[: -len(suffix) - 1]
    return "_".join(part for part in (name, *units, last) if part)


def _unit_words(unit: str) -> list[str]:
    """The main unit and `per_…`, without what stands in braces; fewer when there is less to say."""
    main, _, per = _ANNOTATION.sub("", unit).strip().partition("/")
    words = [_cleaned(_UNITS.get(main.strip(), main))]
    if per.strip():
        words.append(_cleaned(f"per_{_PER.get(per.strip(), per)}"))
    return [word for word in words if word]


def _cleaned(text: str) -> str:
    return "_".join(_WORDS.findall(text.replace(":", "_")))


def _label_name(key: str) -> str:
    name = _NOT_IN_LABEL.sub("_", key)
    if name[:1].isdigit():
        return f"key_{name}"
    if not name or (name.startswith("_") and not name.startswith("__")):
        return f"key{name}"
    return name

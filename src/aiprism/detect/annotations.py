"""Templates in the labels and annotations of alerting rules, with Prometheus' variables and functions.

In: the text a rule's author wrote, and per alert its labels and value; for `query` somebody who answers. Out: text.
Source: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
"""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiprism.detect.gofmt import go_type, sprintf
from aiprism.detect.template import Functions, Struct, Template, TemplateError, text_of
from aiprism.errors import AiprismError, BadInput
from aiprism.model.labels import compiled
from aiprism.model.timerange import duration_seconds
from aiprism.receive.relabel import expanded, template_parts

Value = object


# (PromQL, Unix seconds) → labels and value of each series; blocks.
Ask = Callable[[str, float], Sequence[tuple[Mapping[str, str], float]]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every template of this server sees besides its alert; `ask` answers its queries."""

    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    ask: Ask | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AlertData:
    """What the templates of one alert see."""

    fields: Struct
    variables: Mapping[str, Value]
    functions: Functions = field(default_factory=dict)

    @classmethod
    def of(cls, labels: Mapping[str, str], value: float, around: Surroundings, at: float = 0.0) -> AlertData:
        """The data of an alert with these labels (those of its series) and this value, evaluated at `at`."""
        given = (dict(labels), around.external_labels, around.external_url, value)
        fields, variables = Struct(zip(_FIELDS, given, strict=True)), dict(zip(_VARIABLES, given, strict=True))
        return cls(fields, variables, _functions_at(around, at))


@dataclass(frozen=True, slots=True)
class AlertTemplate:
    """One templated label or annotation. Two with the same text are equal.

    >>> AlertTemplate.read("{{ $labels.job }} fails {{ $value | humanizePercentage }}").expand({"job": "api"}, 0.125)
    'api fails 12.5%'
    """

    text: str
    template: Template = field(compare=False, repr=False)

    @classmethod
    def read(cls, text: str) -> AlertTemplate:
        """The template in `text`; TemplateError, with its column, for whatever it cannot do."""
        return cls(text, Template.read(text, FUNCTIONS, _VARIABLES, refused=_REFUSED))

    def expand(
        self, labels: Mapping[str, str], value: float, around: Surroundings | None = None, at: float = 0.0
    ) -> str:
        """The text for one alert; TemplateError when a step fails on these labels or this value."""
        return self.fill(AlertData.of(labels, value, around or Surroundings(), at))

    def fill(self, data: AlertData) -> str:
        """The same, with the data of an alert that has several texts."""
        if "{{" not in self.text:
            return self.text
        template = replace(self.template, functions={**self.template.functions, **data.functions})
        return template.expand(data.fields, data.variables)

    @property
    def asks(self) -> bool:
        """True when it may ask a query, which blocks."""
        return _QUERY.search(self.text) is not None


_FIELDS = ("Labels", "ExternalLabels", "ExternalURL", "Value")
_VARIABLES = ("$labels", "$externalLabels", "$externalURL", "$value")
_REFUSED = ("tmpl", "toTime", "call")
_QUERY = re.compile(r"\bquery\b")


# -- numbers for people ----------------------------------------------------------------------------------------------


def humanize(given: Value) -> str:
    """Four significant digits with a metric prefix.

    >>> humanize(1234567.0), humanize(0.00123)
    ('1.235M', '1.23m')
    """
    value = _number(given)
    if value == 0 or not math.isfinite(value):
        return sprintf("%.4g", value)
    value, prefix = _scaled_up(value, 1000, "kMGTPEZY") if abs(value) >= 1 else _scaled_down(value)
    return sprintf("%.4g%s", value, prefix)


def humanize_1024(given: Value) -> str:
    """Four significant digits with a binary prefix.

    >>> humanize_1024(5242880.0)
    '5Mi'
    """
    value = _number(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return sprintf("%.4g", value)
    value, prefix = _scaled_up(value, 1024, "kMGTPEZY")
    return sprintf("%.4g%s", value, prefix + "i" if prefix else "")


def humanize_duration(given: Value) -> str:
    """Seconds as days, hours, minutes and seconds.

    >>> humanize_duration(3723.5), humanize_duration(0.25)
    ('1h 2m 3s', '250ms')
    """
    value = _number(given)
    if not math.isfinite(value):
        return sprintf("%.4g", value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        return sprintf("%.4g%ss", *_scaled_down(value))
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return sign + sprintf("%.4gs", value)


def humanize_percentage(given: Value) -> str:
    """A ratio as a percentage.

    >>> humanize_percentage(0.12345)
    '12.35%'
    """
    return sprintf("%.4g%%", _number(given) * 100)


def humanize_timestamp(given: Value) -> str:
    """Unix seconds as a time in UTC, the way Go prints one.

    >>> humanize_timestamp(1435065584.128)
    '2015-06-23 13:19:44.128 +0000 UTC'
    """
    value = _number(given)
    if not math.isfinite(value):
        return sprintf("%.4g", value)
    try:
        # Prometheus rounds to milliseconds first.
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(value * 1000))
    except OverflowError:
        raise TemplateError(f"{value} cannot be shown as a time") from None
    fraction = f"{at.microsecond:06d}".rstrip("0")
    return f"{at:%Y-%m-%d %H:%M:%S}{'.' + fraction if fraction else ''} +0000 UTC"


def _scaled_up(value: float, step: int, prefixes: str) -> tuple[float, str]:
    prefix = ""
    for larger in prefixes:
        if abs(value) < step:
            break
        value, prefix = value / step, larger
    return value, prefix


def _scaled_down(value: float) -> tuple[float, str]:
    prefix = ""
    for smaller in "munpfazy":
        if abs(value) >= 1:
            break
        value, prefix = value * 1000, smaller
    return value, prefix


def _number(given: Value) -> float:
    if isinstance(given, bool):
        raise TemplateError("expected a number, not a bool")
    if isinstance(given, int | float):
        return float(given)
    if not isinstance(given, str):
        raise TemplateError(f"expected a number, not a {go_type(given)}")
    try:
        return float(given)
    except ValueError:
        raise TemplateError(f"{given!r} is no number") from None


# -- text ------------------------------------------------------------------------------------------------------------

_WORD_START = re.compile(r"(?<![\w'])[^\W\d_]|(?<=')[^\W\d_]")


def title(given: Value) -> str:
    """Every word with a capital.

    >>> title("disk of node-1 is full")
    'Disk Of Node-1 Is Full'
    """
    return _WORD_START.sub(lambda letter: letter.group().upper(), text_of(given))


def match(pattern: Value, text: Value) -> bool:
    """Whether the regular expression is found anywhere in `text`."""
    return _regex(pattern).search(text_of(text)) is not None


def re_replace_all(pattern: Value, replacement: Value, text: Value) -> str:
    """`text` with each match replaced; ``$1`` and ``${name}`` stand for groups.

    >>> re_replace_all("(.*):(.*)", "port $2 of $1", "db:5432")
    'port 5432 of db'
    """
    found = _regex(pattern)
    parts = template_parts(text_of(replacement), _go_regex(pattern))
    return str(found.sub(lambda hit: expanded(parts, hit), text_of(text)))


def _regex(pattern: Value) -> Any:
    try:
        return compiled(_go_regex(pattern))
    except BadInput as error:
        raise TemplateError(str(error)) from error


def _go_regex(pattern: Value) -> str:
    # A label matcher lets . match a line break; Go does not unless told.
    return f"(?-s:{text_of(pattern)})"


def strip_port(given: Value) -> str:
    """The host of ``host:port``.

    >>> strip_port("[::1]:9090"), strip_port("api")
    ('::1', 'api')
    """
    text = text_of(given)
    if text.startswith("["):
        host, closed, port = text[1:].partition("]:")
        return host if closed and port.isdigit() else text
    host, colon, _ = text.partition(":")
    return host if colon and text.count(":") == 1 else text


def strip_domain(given: Value) -> str:
    """The first label of a host name; an address and the port stay.

    >>> strip_domain("db.example.com:5432"), strip_domain("10.0.0.1")
    ('db:5432', '10.0.0.1')
    """
    text = text_of(given)
    host = strip_port(text)
    if re.fullmatch(r"[\d.]+|.*:.*", host):
        return text
    return host.partition(".")[0] + text[len(host) :]


def parse_duration(given: Value) -> float:
    """Seconds of a Prometheus duration."""
    return duration_seconds(text_of(given))


def graph_link(given: Value) -> str:
    """The path of the graph page that shows an expression."""
    return _link(given, tab=0)


def table_link(given: Value) -> str:
    """The path of the page that shows an expression's present values."""
    return _link(given, tab=1)


def _link(given: Value, tab: int) -> str:
    return f"/graph?g0.expr={urllib.parse.quote_plus(text_of(given))}&g0.tab={tab}"


# -- queries ---------------------------------------------------------------------------------------------------------


def _functions_at(around: Surroundings, at: float) -> Functions:
    """The functions that know where and when they are called."""

    def query(text: Value) -> Value:
        """The series of an instant query, each with its labels and value."""
        if around.ask is None:
            raise TemplateError("nobody answers queries here")
        try:
            found = around.ask(text_of(text), at)
        except AiprismError as error:
            raise TemplateError(str(error)) from error
        return [Struct(Labels=dict(labels), Value=value) for labels, value in found]

    path = urllib.parse.urlsplit(around.external_url).path.rstrip("/")
    return {
        "query": query,
        "externalURL": lambda: around.external_url,
        "pathPrefix": lambda: path,
        "now": lambda: at,
    }


def first(series: Value) -> Value:
    """The first series of a query's answer."""
    found = _list(series)
    if not found:
        raise TemplateError("first() called on vector with no elements")  # Prometheus' words
    return found[0]


def label(name: Value, sample: Value) -> Value:
    """A label of one series, empty where it has none."""
    labels = _sample(sample)["Labels"]
    assert isinstance(labels, Mapping)
    return labels.get(text_of(name), "")


def value_of(sample: Value) -> Value:
    """The value of one series."""
    return _sample(sample)["Value"]


def sort_by_label(name: Value, series: Value) -> Value:
    """The series of a query's answer in the order of a label."""
    return sorted(_list(series), key=lambda sample: text_of(label(name, sample)))


def args(*given: Value) -> Value:
    """What a template that is called gets as `.arg0`, `.arg1` …"""
    return {f"arg{at}": each for at, each in enumerate(given)}


def _list(series: Value) -> list[Value]:
    if not isinstance(series, list):
        raise TemplateError(f"expected the answer of a query, not a {go_type(series)}")
    return series


def _sample(given: Value) -> Struct:
    if not isinstance(given, Struct) or given.keys() != {"Labels", "Value"}:
        raise TemplateError(f"expected a series of a query's answer, not a {go_type(given)}")
    return given


FUNCTIONS: Functions = {
    **_functions_at(Surroundings(), 0.0),
    "first": first,
    "label": label,
    "value": value_of,
    "strvalue": lambda sample: label("__value__", sample),
    "sortByLabel": sort_by_label,
    "args": args,
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "title": title,
    "toUpper": lambda text: text_of(text).upper(),
    "toLower": lambda text: text_of(text).lower(),
    "match": match,
    "reReplaceAll": re_replace_all,
    "safeHtml": text_of,
    "stripPort": strip_port,
    "stripDomain": strip_domain,
    "parseDuration": parse_duration,
    "graphLink": graph_link,
    "tableLink": table_link,
}

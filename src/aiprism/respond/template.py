"""The texts of notifications: Go templates over Alertmanager's data, filled in for one message.

In: texts and `templates:` files of alertmanager.yml, and per notification a `Message`. Out: `Words`, whose templates
were read when the file was, so that a mistake is told with file:line before anybody is to be told anything. Templates
of the usual names (`slack.default.title` …) are in `defaults.tmpl`; a file that defines one of them again replaces it.
Source: https://prometheus.io/docs/alerting/latest/notifications/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote_plus

from aiprism.detect import gofmt, templatesyntax
from aiprism.detect.annotations import humanize_duration, match, re_replace_all
from aiprism.detect.gotime import Duration, Time, zone
from aiprism.detect.template import BUILTINS, Functions, Methods, Struct, Template, TemplateError, text_of
from aiprism.errors import ConfigError
from aiprism.model.alerts import Alert, AlertState
from aiprism.respond.known import alert_fingerprint
from aiprism.respond.message import Message
from aiprism.yamlfile import Node

__all__ = ["Library", "Seen", "TemplateError", "Words", "library", "quoted_name", "seen"]

Value = object
Defined = Mapping[str, tuple[templatesyntax.Node, ...]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the templates of one message see, and the moment they are filled in for."""

    data: Struct
    at: float


@dataclass(frozen=True, slots=True)
class Words:
    """One text of alertmanager.yml. Empty words are false.

    >>> bool(Words()), Words("as it is").of(Seen(Struct(), 0.0))
    (False, 'as it is')
    """

    text: str = ""
    template: Template | None = field(default=None, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.text)

    def of(self, what: Seen) -> str:
        """The text for one message; TemplateError when a step fails on its data."""
        if self.template is None:
            return self.text
        functions = {**self.template.functions, "since": lambda begin: _since(begin, what.at)}
        return replace(self.template, functions=functions).expand(what.data)


@dataclass(frozen=True, slots=True)
class Library:
    """The templates that texts may call by name."""

    defined: Defined

    def words(self, node: Node, default: str = "", *, html: bool = False) -> Words:
        """The text in `node`, or `default`; ConfigError at its line when it is no template that can be filled in."""
        text = node.text(default)
        if "{{" not in text:
            return Words(text)
        try:
            template = Template.read(text, FUNCTIONS, library=self.defined)
        except TemplateError as error:
            raise node.error(f"bad template: {error}") from None
        return Words(text, replace(template, written=_escaped) if html else template)

    def mapping(self, node: Node) -> dict[str, Words]:
        """Key to text of a mapping whose values are templates."""
        return {key: self.words(value) for key, value in node.entries().items()}


def library(paths: Iterable[Path] = ()) -> Library:
    """The usual templates and those of `paths`, the later ones going first; ConfigError with file:line."""
    texts = {str(path): _text_of(path) for path in paths}
    defined: dict[str, tuple[templatesyntax.Node, ...]] = dict(_usual())
    for name, text in texts.items():  # once for the names: files may call each other
        defined |= _defined(text, name, None)
    for name, text in texts.items():
        _defined(text, name, defined)
    return Library(defined)


def files(node: Node) -> tuple[list[Path], list[str]]:
    """The files that `templates:` names, in order, and the patterns that name none."""
    found: list[Path] = []
    lost: list[str] = []
    for item in node.items():
        pattern = Path(item.text())
        root, parts = (Path(pattern.anchor), pattern.relative_to(pattern.anchor)) if pattern.is_absolute() else (
            Path(node.file).parent, pattern)  # fmt: skip
        hits = sorted(path for path in root.glob(str(parts)) if path.is_file())
        found += hits
        lost += [] if hits else [item.text()]
    return found, lost


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", file=str(path)) from error


def _defined(text: str, name: str, elsewhere: Defined | None) -> Defined:
    try:
        return templatesyntax.parse(text, {*BUILTINS, *FUNCTIONS, "and", "or"}, elsewhere=elsewhere).defined
    except TemplateError as error:
        raise ConfigError(f"bad template: {error}", file=name, line=error.line) from None


@cache
def _usual() -> Defined:
    text = resources.files(__package__).joinpath("defaults.tmpl").read_text(encoding="utf-8")
    return _defined(text, "defaults.tmpl", {})


# -- what templates see ----------------------------------------------------------------------------------------------


class Pairs(Methods, list[Struct]):
    """Labels or annotations in order, each with `.Name` and `.Value`."""

    METHODS: ClassVar[Mapping[str, str]] = {"Names": "names", "Values": "all_values"}

    def names(self) -> list[Value]:
        return [pair["Name"] for pair in self]

    def all_values(self) -> list[Value]:
        return [pair["Value"] for pair in self]


class KV(Methods, dict[str, str]):
    """Labels or annotations by name: `.GroupLabels.alertname`, `.Labels.SortedPairs`."""

    METHODS: ClassVar[Mapping[str, str]] = {
        "SortedPairs": "pairs", "Names": "names", "Values": "all_values", "Remove": "without",
    }  # fmt: skip

    def pairs(self) -> Pairs:
        names = sorted(self, key=lambda name: (name != "alertname", name))  # whatever else there is, this comes first
        return Pairs(Struct(Name=name, Value=self[name]) for name in names)

    def names(self) -> list[Value]:
        return self.pairs().names()

    def all_values(self) -> list[Value]:
        return self.pairs().all_values()

    def without(self, names: Value) -> KV:
        gone = set(names) if isinstance(names, Sequence) and not isinstance(names, str) else None
        if gone is None:
            raise TemplateError('expected a list of names, as (stringSlice "a" "b") makes one')
        return KV({name: value for name, value in self.items() if name not in gone})


class Alerts(Methods, list[Struct]):
    """The alerts of a message; `.Alerts.Firing` and `.Alerts.Resolved` are parts of them."""

    METHODS: ClassVar[Mapping[str, str]] = {"Firing": "firing", "Resolved": "resolved"}

    def firing(self) -> Alerts:
        return Alerts(alert for alert in self if alert["Status"] == "firing")

    def resolved(self) -> Alerts:
        return Alerts(alert for alert in self if alert["Status"] == "resolved")


def seen(message: Message) -> Seen:
    """What templates see of `message`: Alertmanager's data, and `.Incident` with what it has no words for."""
    return Seen(
        Struct(
            Receiver=quoted_name(message.receiver),
            Status="firing" if message.firing else "resolved",
            Alerts=Alerts(_alert(alert) for alert in message.alerts),
            GroupLabels=KV(message.group_labels.pairs),
            CommonLabels=KV(message.shared().pairs),
            CommonAnnotations=KV(message.shared(annotations=True).pairs),
            ExternalURL=message.external_url,
            Incident=_incident(message),
            Digest=_facts(message.digest or {}),
        ),
        message.at,
    )


def _facts(value: object) -> Value:
    """JSON as templates read it."""
    if isinstance(value, Mapping):
        return KV({key: _facts(inner) for key, inner in value.items()}) if value else KV()
    return [_facts(inner) for inner in value] if isinstance(value, list) else value


def quoted_name(name: str) -> str:
    """A receiver's name as Alertmanager gives it: as a regular expression that matches it.

    >>> print(quoted_name("team.a"))
    team\\.a
    """
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", name)


def _alert(alert: Alert) -> Struct:
    over = alert.state is AlertState.RESOLVED and alert.resolved_at is not None
    return Struct(
        Status="resolved" if over else "firing",
        Labels=KV(alert.labels.pairs),
        Annotations=KV(alert.annotations.pairs),
        StartsAt=Time.of(alert.fired_at if alert.fired_at is not None else alert.active_at),
        EndsAt=Time.of(alert.resolved_at if over else None),
        GeneratorURL=alert.source,
        Fingerprint=alert_fingerprint(alert.labels),
    )


def _incident(message: Message) -> KV:
    said = {"event": message.event, "text": message.text, "url": message.url, "priority": message.priority.value}
    if message.is_incident:
        return KV(said, id=message.subject_id, title=message.title, status=message.status)
    if (about := message.incident) is None:
        return KV(said, id="", title=message.title, status=message.status)
    return KV(said, id=about.id, title=about.title, status=about.status, url=about.url)


# -- Alertmanager's functions ----------------------------------------------------------------------------------------


class _Html(str):
    """A text that is HTML already."""

    __slots__ = ()


class _Url(str):
    """A text that is a trusted address."""

    __slots__ = ()


_ADDRESS = re.compile(r"(?:href|src|action|cite|background)\s*=\s*[\"']?$", re.IGNORECASE)
_HARMLESS = re.compile(r"(?:https?:|mailto:|[^:]*$|[^:]*[/?#])", re.IGNORECASE)
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "+": "&#43;"})


def _escaped(text: str, before: Sequence[str]) -> str:
    """A value in HTML; an address that is none of the web's or of mail becomes a dead one, as in Go's html/template."""
    if isinstance(text, _Html):
        return str(text)
    address = _ADDRESS.search("".join(before[-2:])[-40:])
    if address and not isinstance(text, _Url) and not _HARMLESS.match(text):
        return "#ZgotmplZ"
    return text.translate(_MARKUP)


def _join(separator: Value, values: Value) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TemplateError(f"expected a list, not a {gofmt.go_type(values)}")
    return text_of(separator).join(text_of(value) for value in values)


def _string_slice(*values: Value) -> list[Value]:
    return [text_of(value) for value in values]


def _date(layout: Value, at: Value) -> str:
    return _time(at).format(layout)


def _tz(name: Value, at: Value) -> Time:
    return _time(at).within(zone(name))


def _since(begin: Value, now: float) -> Duration:
    return Time.of(now).minus(begin)


def _time(value: Value) -> Time:
    if not isinstance(value, Time):
        raise TemplateError(f"expected a time, not a {gofmt.go_type(value)}")
    return value


def _humanize_duration(value: Value) -> str:
    return humanize_duration(value.seconds if isinstance(value, Duration) else value)


_WORD = re.compile(r"\w+(?:[.:'’·]\w+)*")  # as Unicode cuts words: an apostrophe between letters does not


def _title(text: Value) -> str:
    """Every word with a capital and the rest small; unlike Prometheus' `title`, which has it's become It'S."""
    return _WORD.sub(lambda word: _capital(word.group().lower()), text_of(text))


def _capital(word: str) -> str:
    at = next((at for at, char in enumerate(word) if char.isalpha()), 0)
    return word[:at] + word[at : at + 1].upper() + word[at + 1 :]


def _to_json(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False, default=str, sort_keys=isinstance(value, KV), separators=(",", ":"))


FUNCTIONS: Functions = {
    "toUpper": lambda text: text_of(text).upper(),
    "toLower": lambda text: text_of(text).lower(),
    "title": _title,
    "trimSpace": lambda text: text_of(text).strip(),
    "join": _join,
    "match": match,
    "safeHtml": lambda text: _Html(text_of(text)),
    "safeUrl": lambda text: _Url(text_of(text)),
    "urlUnescape": lambda text: unquote_plus(text_of(text)),
    "reReplaceAll": re_replace_all,
    "stringSlice": _string_slice,
    "date": _date,
    "tz": _tz,
    "since": lambda begin: _since(begin, 0.0),  # replaced, for each message, by one that knows its moment
    "humanizeDuration": _humanize_duration,
    "toJson": _to_json,
}

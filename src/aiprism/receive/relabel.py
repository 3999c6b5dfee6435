"""Relabeling: rules that keep, drop and rewrite label sets, as Prometheus 3 defines them.

In: `relabel_configs` of a prometheus.yml, read once into `Rule`s, and label sets. Out: the label set as the rules leave
it, or None when one of them drops it. Regular expressions are RE2 and match a value as a whole; templates are expanded
as Go's regexp.Expand does it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiprism.errors import BadInput
from aiprism.model.labels import compiled
from aiprism.yamlfile import Node

_ANY = "(.*)"
_WHOLE = "$1"
_SEPARATOR = ";"
_LEGACY_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_LEGACY_TARGET = r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+"
_UTF8_TARGET = r"(?:(?:[^${}]|\$(?:\{[^${}]+\}|[^${}]+))+[^${}]*)+"
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
_MODULI = 1 << 64

Labels: TypeAlias = dict[str, str]
# A template such as `$1:${port}`: texts, and the groups whose values stand between them.
Template: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One relabel_config with its defaults filled in."""

    action: str = "replace"
    source: tuple[str, ...] = ()
    separator: str = _SEPARATOR
    regex: str = _ANY
    target: str = ""
    replacement: str = _WHOLE
    modulus: int = 0
    legacy: bool = False  # only letters, digits and underscores in label names
    # Read once: what `target` and `replacement` are made of.
    target_parts: Template = ()
    replacement_parts: Template = ()

    def value(self, labels: Mapping[str, str]) -> str:
        """What the rule looks at: the values of its source labels, joined."""
        if len(self.source) == 1:
            return labels.get(self.source[0], "")
        return self.separator.join([labels.get(name, "") for name in self.source])

    def match(self, value: str) -> Any:
        """The match of the rule's expression with the whole of `value`, or None."""
        return _Whole(value) if self.regex == _ANY else compiled(self.regex).fullmatch(value)


@dataclass(frozen=True, slots=True)
class _Whole:
    """What the expression most rules have matches: everything. Asking RE2 would cost ten times the rest of such a rule."""

    value: str

    def group(self, _number: int) -> str:
        return self.value


def applied(labels: Mapping[str, str], rules: Iterable[Rule]) -> Labels | None:
    """`labels` as `rules` leave them, in order, without empty values; None when a rule drops them."""
    found = dict(labels)
    for rule in rules:
        if not _ACTIONS[rule.action](rule, found):
            return None
    return found


# -- actions: each changes the labels and says whether they are kept ---------------------------------------------------


def _replace(rule: Rule, labels: Labels) -> bool:
    match = rule.match(rule.value(labels))
    if match is None:
        return True
    target = expanded(rule.target_parts, match)
    if is_label_name(target, legacy=rule.legacy):
        _set(labels, target, expanded(rule.replacement_parts, match))
    return True


def _keep(rule: Rule, labels: Labels) -> bool:
    return rule.match(rule.value(labels)) is not None


def _drop(rule: Rule, labels: Labels) -> bool:
    return rule.match(rule.value(labels)) is None


def _keep_equal(rule: Rule, labels: Labels) -> bool:
    return labels.get(rule.target, "") == rule.value(labels)


def _drop_equal(rule: Rule, labels: Labels) -> bool:
    return labels.get(rule.target, "") != rule.value(labels)


def _hash_modulus(rule: Rule, labels: Labels) -> bool:
    # The lower half of the MD5, as Prometheus takes it: shards must be the same whoever computes them.
    digest = hashlib.md5(rule.value(labels).encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    _set(labels, rule.target, str(int.from_bytes(digest[8:], "big") % rule.modulus))
    return True


def _lowercase(rule: Rule, labels: Labels) -> bool:
    _set(labels, rule.target, _cased(rule.value(labels), str.lower))
    return True


def _uppercase(rule: Rule, labels: Labels) -> bool:
    _set(labels, rule.target, _cased(rule.value(labels), str.upper))
    return True


def _label_map(rule: Rule, labels: Labels) -> bool:
    for name in sorted(labels):
        match = rule.match(name)
        if match is not None:
            _set(labels, expanded(rule.replacement_parts, match), labels[name])
    return True


def _label_drop(rule: Rule, labels: Labels) -> bool:
    for name in [name for name in labels if rule.match(name) is not None]:
        del labels[name]
    return True


def _label_keep(rule: Rule, labels: Labels) -> bool:
    for name in [name for name in labels if rule.match(name) is None]:
        del labels[name]
    return True


_ACTIONS: Mapping[str, Callable[[Rule, Labels], bool]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "keepequal": _keep_equal,
    "dropequal": _drop_equal,
    "hashmod": _hash_modulus,
    "lowercase": _lowercase,
    "uppercase": _uppercase,
    "labelmap": _label_map,
    "labeldrop": _label_drop,
    "labelkeep": _label_keep,
}


def _set(labels: Labels, name: str, value: str) -> None:
    """An empty value means the label is absent."""
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _cased(text: str, case: Callable[[str], str]) -> str:
    """Go maps each character to one character; Python writes out what has no single capital (ß), or looks at its place (Σ).

    >>> _cased("Straße", str.upper), _cased("ΟΔΟΣ", str.lower), _cased("İ", str.lower)
    ('STRAßE', 'οδοσ', 'i')
    """
    if text.isascii():
        return case(text)
    return "".join(_one(each, case(each)) for each in text)


def _one(character: str, cased: str) -> str:
    if len(cased) == 1:
        return cased
    return cased[0] if character == "İ" else character


# -- templates -------------------------------------------------------------------------------------------------------


def template_parts(template: str, regex: str) -> Template:
    """The texts and group numbers of a template, as Go's regexp.Expand reads it.

    >>> template_parts("a${1}b$$c$2d", "(.)(.)")
    ('a', 1, 'b', '$', 'c')
    """
    parts: list[str | int] = []
    at = 0
    for found in _REFERENCE.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        parts.append("$" if found[1] else _group(found[2] or found[3], regex))
    parts.append(template[at:])
    return tuple(part for part in parts if part != "")


def _group(name: str, regex: str) -> str | int:
    """The number of a group; an empty text when there is none of that name: `$1x` is the group called "1x"."""
    program = compiled(regex)
    if name.isascii() and name.isdigit() and (name == "0" or name[0] != "0"):
        return int(name) if int(name) <= program.groups else ""
    return int(program.groupindex[name]) if name in program.groupindex else ""


def expanded(parts: Template, match: Any) -> str:
    """The template for one match; a group that took no part is empty."""
    if len(parts) == 1:
        return _part(parts[0], match)
    return "".join([_part(part, match) for part in parts])


def _part(part: str | int, match: Any) -> str:
    return part if isinstance(part, str) else match.group(part) or ""


# -- reading ---------------------------------------------------------------------------------------------------------


def read(node: Node, *, legacy: bool = False) -> tuple[Rule, ...]:
    """The rules of a `relabel_configs` list; `legacy` label names are those of Prometheus 2. ConfigError with file:line."""
    return tuple(_rule(item, legacy) for item in node.items())


def _rule(node: Node, legacy: bool) -> Rule:
    if node.missing:
        raise node.error("empty relabeling rule: give at least an action")
    node.fields("source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action")
    action = _action(node)
    regex = _text(node, "regex", _ANY)
    try:
        compiled(regex)
    except BadInput as error:
        raise node["regex"].error(str(error)) from None
    target, replacement = node["target_label"].text(""), _text(node, "replacement", _WHOLE)
    rule = Rule(
        action=action,
        source=tuple(_source(item, legacy) for item in node["source_labels"].items()),
        separator=_text(node, "separator", _SEPARATOR),
        regex=regex,
        target=target,
        replacement=replacement,
        modulus=_modulus(node["modulus"]),
        legacy=legacy,
        target_parts=template_parts(target, regex),
        replacement_parts=template_parts(replacement, regex),
    )
    _check(node, rule)
    return rule


def _action(node: Node) -> str:
    if node["action"].missing and "action" in node.entries():
        raise node["action"].error("relabel action cannot be empty")
    name = node["action"].text("replace")
    if name.lower() not in _ACTIONS:
        raise node["action"].error(f"unknown relabel action {name!r}; known: {', '.join(_ACTIONS)}")
    return name.lower()


def _text(node: Node, key: str, default: str) -> str:
    """A key without a value means an empty text, not the default."""
    return node[key].text("") if key in node.entries() else default


def _source(node: Node, legacy: bool) -> str:
    name = node.text("")
    if not is_label_name(name, legacy=legacy):
        raise node.error(f"{name!r} is not a valid label name")
    return name


def _modulus(node: Node) -> int:
    value = node.integer(0)
    if not 0 <= value < _MODULI:
        raise node.error("modulus is a whole number of at most 64 bits, from 1 up")
    return value


_NEEDS_TARGET = {"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}
_NO_REPLACEMENT = {"lowercase", "uppercase", "keepequal", "dropequal"}


def _check(node: Node, rule: Rule) -> None:
    action = rule.action
    if action == "hashmod" and not rule.modulus:
        raise node.error("relabel configuration for hashmod requires non-zero modulus")
    if action in _NEEDS_TARGET and not rule.target:
        raise node.error(f"relabel configuration for {action} action requires 'target_label' value")
    if action in _NEEDS_TARGET and not _is_target(rule.target, rule):
        raise node["target_label"].error(f"{rule.target!r} is invalid 'target_label' for {action} action")
    if action in _NO_REPLACEMENT and rule.replacement != _WHOLE:
        raise node["replacement"].error(f"'replacement' can not be set for {action} action")
    if action == "labelmap" and not _is_template(rule.replacement, legacy=rule.legacy):
        raise node["replacement"].error(f"{rule.replacement!r} is invalid 'replacement' for labelmap action")
    plain = Rule()
    others = (rule.separator, rule.modulus, rule.replacement) != (plain.separator, plain.modulus, plain.replacement)
    if action in ("keepequal", "dropequal") and (others or rule.regex != _ANY):
        raise node.error(f"{action} action requires only 'source_labels' and 'target_label', and no other fields")
    if action in ("labeldrop", "labelkeep") and (others or rule.source or rule.target):
        raise node.error(f"{action} action requires only 'regex', and no other fields")


def _is_target(target: str, rule: Rule) -> bool:
    if rule.action == "replace" and "$" in target:
        return _is_template(target, legacy=rule.legacy)
    return is_label_name(target, legacy=rule.legacy)


def _is_template(text: str, *, legacy: bool) -> bool:
    return compiled(_LEGACY_TARGET if legacy else _UTF8_TARGET).fullmatch(text) is not None


def is_label_name(text: str, *, legacy: bool) -> bool:
    """Whether a label may be called so: anything in UTF-8, or what Prometheus 2 knew."""
    return compiled(_LEGACY_NAME).fullmatch(text) is not None if legacy else text != ""

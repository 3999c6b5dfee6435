"""Relabeling: every action as a case, and the same targets in Debian's Prometheus."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.receive import relabel

GIVEN = {"__address__": "127.0.0.1:9", "a": "one", "b": "Two", "__meta_x": "m", "__meta_y_z": "n"}


def applied(rules: str, labels: dict[str, str] | None = None) -> dict[str, str] | None:
    return relabel.applied(GIVEN if labels is None else labels, relabel.read(yamlfile.parse(rules, file="f")))


def but(**changes: str) -> dict[str, str]:
    return {name: value for name, value in {**GIVEN, **changes}.items() if value}


CASES: list[tuple[str, dict[str, str] | None]] = [
    ("- {source_labels: [a], target_label: c}", but(c="one")),
    ("- {source_labels: [a, b], target_label: c}", but(c="one;Two")),
    ("- {source_labels: [a, b], separator: '', target_label: c}", but(c="oneTwo")),
    ("- {source_labels: [a, b], separator: , target_label: c}", but(c="oneTwo")),
    ("- {source_labels: [a], regex: 'o(.)(.)', target_label: c, replacement: '$2$1'}", but(c="en")),
    ("- {source_labels: [a], regex: 'o(?P<x>.).', target_label: c, replacement: '${x}-$x'}", but(c="n-n")),
    ("- {source_labels: [a], regex: '(.*)', target_label: c, replacement: '${1}1 $1x $$1 $'}", but(c="one1  $1 $")),
    ("- {source_labels: [a], regex: '(.*)', target_label: c, replacement: '$0 $01 $9 ${1'}", but(c="one   ${1")),
    ("- {source_labels: [a], regex: n, target_label: c, replacement: x}", but()),
    ("- {source_labels: [a], target_label: a, replacement: ''}", but(a="")),
    ("- {source_labels: [nowhere], target_label: a}", but(a="")),
    ("- {target_label: c, replacement: x}", but(c="x")),
    ("- {source_labels: [a], target_label: 'p_$1', replacement: x}", but(p_one="x")),
    ("- {source_labels: [a], regex: 'on(e)?', target_label: c, replacement: '<$1>'}", but(c="<e>")),
    ("- {source_labels: [a], regex: 'one|two'}\n".replace("}", ", target_label: c, replacement: y}"), but(c="y")),
    ("- {source_labels: [a], regex: on., action: keep}", but()),
    ("- {source_labels: [a], regex: on, action: keep}", None),
    ("- {source_labels: [a], regex: on., action: drop}", None),
    ("- {source_labels: [nowhere], regex: '', action: drop}", None),
    ("- {source_labels: [a], regex: on, action: Drop}", but()),
    ("- {source_labels: [a], target_label: a, action: keepequal}", but()),
    ("- {source_labels: [a], target_label: b, action: keepequal}", None),
    ("- {source_labels: [a], target_label: b, action: dropequal}", but()),
    ("- {source_labels: [a], target_label: a, action: dropequal}", None),
    ("- {source_labels: [a], modulus: 1000, target_label: c, action: hashmod}", but(c="426")),
    (
        "- {source_labels: [a, b], modulus: 18446744073709551615, target_label: c, action: hashmod}",
        but(c="6100379079240934196"),
    ),
    ("- {source_labels: [b], target_label: c, action: lowercase}", but(c="two")),
    ("- {source_labels: [b, a], target_label: b, action: uppercase}", but(b="TWO;ONE")),
    ("- {regex: '__meta_(.+)', action: labelmap}", but(x="m", y_z="n")),
    ("- {regex: '__meta_(.+)', action: labelmap, replacement: 'k_${1}'}", but(k_x="m", k_y_z="n")),
    ("- {regex: '(a|b)', action: labelmap, replacement: c}", but(c="Two")),
    ("- {regex: '__meta_.+|a', action: labeldrop}", {"__address__": "127.0.0.1:9", "b": "Two"}),
    ("- {regex: '__address__|a', action: labelkeep}", {"__address__": "127.0.0.1:9", "a": "one"}),
    ("- {source_labels: [a], target_label: t}\n- {source_labels: [t], regex: one, action: keep}", but(t="one")),
    ("[]", GIVEN),
]


@pytest.mark.parametrize(("rules", "left"), CASES)
def test_what_rules_leave(rules: str, left: dict[str, str] | None):
    assert applied(rules) == left


def test_a_dot_takes_line_breaks_and_letters_map_one_to_one():
    rules = (
        "[{source_labels: [a], target_label: c, action: uppercase},"
        " {source_labels: [a], regex: 'x.*', target_label: d, replacement: y}]"
    )
    assert applied(rules, {"a": "x\nß"}) == {"a": "x\nß", "c": "X\nß", "d": "y"}


def test_the_labels_given_stay_as_they_are():
    labels = {"a": "1"}
    assert (applied("[{target_label: a, replacement: '2'}]", labels), labels) == ({"a": "2"}, {"a": "1"})


names = st.text("ab_", min_size=1, max_size=3)
label_sets = st.dictionaries(names, st.text("xyz;.", min_size=1, max_size=4), max_size=5)
expressions = st.sampled_from([".*", "x.*", "(a|b)+", ".", "[xy]+", ""])


def rule(**fields: object) -> relabel.Rule:
    return relabel.read(yamlfile.parse(yaml.safe_dump([fields])))[0]


@given(label_sets, st.lists(names, max_size=3), expressions)
def test_keep_and_drop_are_of_opposite_minds(labels: dict[str, str], source: list[str], regex: str):
    left = [
        relabel.applied(labels, [rule(action=action, source_labels=source, regex=regex)]) for action in ("keep", "drop")
    ]
    assert sorted(left, key=lambda each: each is None) == [labels, None]


@given(label_sets, expressions)
def test_labeldrop_and_labelkeep_part_the_labels(labels: dict[str, str], regex: str):
    dropped, kept = (
        relabel.applied(labels, [rule(action=action, regex=regex)]) for action in ("labeldrop", "labelkeep")
    )
    assert dropped is not None
    assert kept is not None
    assert dropped | kept == labels
    assert dropped.keys() & kept.keys() == set()


@given(label_sets, st.lists(names, min_size=1, max_size=3), st.integers(1, 2**64 - 1))
def test_a_shard_is_below_the_modulus_and_of_the_values_alone(labels: dict[str, str], source: list[str], modulus: int):
    hashed = rule(action="hashmod", source_labels=source, modulus=modulus, target_label="shard")
    first = relabel.applied(labels, [hashed])
    again = relabel.applied({**labels, "other": "1"}, [hashed])
    assert first is not None
    assert again is not None
    assert first["shard"] == again["shard"]
    assert 0 <= int(first["shard"]) < modulus


@given(label_sets, st.text("$ {}12ax_", max_size=8))
def test_the_usual_expression_replaces_as_one_that_re2_is_asked_for(labels: dict[str, str], template: str):
    usual, same = (
        relabel.applied(labels, [rule(source_labels=["a", "b"], target_label="t", replacement=template, **more)])
        for more in ({}, {"regex": "((?:.*))"})
    )
    assert usual == same

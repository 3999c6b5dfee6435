"""Rule files: what is read from them, what is refused and with which words, and that promtool judges alike."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aiprism import yamlfile
from aiprism.detect import rules
from aiprism.detect.rules import AlertingRule, Group, RecordingRule
from aiprism.errors import ConfigError
from aiprism.query.promql.parse import parse

EVERYTHING = """\
groups:
- name: api
  interval: 30s
  limit: 10
  rules:
  - record: job:errors:ratio
    expr: sum by (job) (rate(errors_total[5m])) / sum by (job) (rate(requests_total[5m]))
    labels: {source: recorded}
  - alert: HighErrorRate
    expr: |
      job:errors:ratio > 0.1
    for: 2m
    keep_firing_for: 5m
    labels:
      severity: critical
      code: 010
    annotations:
      summary: "{{ $labels.job }} fails {{ $value | humanizePercentage }}"
- name: other
  rules: []
"""


def read(text: str, file: str = "rules.yml") -> tuple[Group, ...]:
    return rules.read(yamlfile.parse(text, file=file))


def one(rule: str) -> str:
    """A file with one rule in it, written in one line."""
    return f"groups:\n- name: g\n  rules:\n  - {rule}\n"


def test_every_field_of_a_rule_file_is_read() -> None:
    api, other = read(EVERYTHING)
    ratio, alert = api.rules
    assert isinstance(ratio, RecordingRule)
    assert isinstance(alert, AlertingRule)
    assert (api.name, api.file, api.interval, api.limit, api.query_offset) == ("api", "rules.yml", 30.0, 10, 0.0)
    assert (ratio.name, ratio.plain_labels.to_dict(), ratio.line) == ("job:errors:ratio", {"source": "recorded"}, 6)
    assert (alert.expr, alert.hold, alert.keep_firing_for) == ("job:errors:ratio > 0.1", 120.0, 300.0)
    assert alert.plain_labels.to_dict() == {"severity": "critical", "code": "010"}
    assert alert.annotations[0][1].expand({"job": "x"}, 0.5) == "x fails 50%"
    assert (other.interval, other.rules) == (60.0, ())


def test_labels_of_a_group_go_to_each_of_its_rules_unless_they_have_their_own() -> None:
    text = (
        "groups:\n- name: g\n  labels: {team: a, tier: '1'}\n  rules:\n  - {alert: A, expr: up, labels: {tier: '2'}}\n"
    )
    [group] = read(text)
    assert isinstance(group.rules[0], AlertingRule)
    assert group.rules[0].plain_labels.to_dict() == {"team": "a", "tier": "2"}


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("sum(rate(a[5m])) / on () b offset 1h", {"a", "b"}),
        ('{__name__="c", x="y"} and absent(d)', {"c", "d"}),
        ("max_over_time(rate(e[1m])[5m:1m])", {"e"}),
        ("vector(1)", set()),
        ('{__name__=~"f.*"} + g', None),
        ('{job="h"}', None),
    ],
)
def test_it_is_known_which_metrics_an_expression_reads(expression: str, names: set[str] | None) -> None:
    assert rules.metrics_read(parse(expression)) == names


def test_the_api_shows_an_expression_as_prometheus_prints_it() -> None:
    [group] = read(one("{alert: A, expr: 'sum  by(a)(rate( x[5m]))>0.1'}"))
    assert group.rules[0].shown == "sum by (a) (rate(x[5m])) > 0.1"


def test_a_rule_keeps_its_key_whatever_its_expression_becomes() -> None:
    def key(text: str, file: str = "rules.yml") -> str:
        return read(one(text), file)[0].rules[0].key

    before = key("{alert: A, expr: up, labels: {a: b}}")
    assert key("{alert: A, expr: up == 0, for: 5m, labels: {a: b}, annotations: {x: y}}") == before
    assert key("{alert: B, expr: up, labels: {a: b}}") != before
    assert key("{alert: A, expr: up, labels: {a: c}}") != before
    assert key("{alert: A, expr: up, labels: {a: b}}", "other.yml") != before


def test_two_rules_of_the_same_name_and_labels_have_keys_of_their_own() -> None:
    [group] = read("groups:\n- name: g\n  rules:\n  - {alert: A, expr: up}\n  - {alert: A, expr: down}\n")
    assert group.rules[0].key != group.rules[1].key


def test_a_group_is_the_same_when_only_its_lines_moved() -> None:
    assert read(one("{alert: A, expr: up}")) == read("# a comment\n" + one("{alert: A, expr: up}"))
    assert read(one("{alert: A, expr: up}")) != read(one("{alert: A, expr: up, annotations: {a: b}}"))


def test_files_are_found_by_path_and_by_glob_each_once(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml", "c.yaml"):
        (tmp_path / name).write_text(f"groups: [{{name: {name[0]}, rules: []}}]")
    found = rules.load(["b.yml", "*.yml", str(tmp_path / "c*"), "none/*.yml"], base=tmp_path, default_interval=15)
    assert [(group.name, group.file, group.interval) for group in found] == [
        (name[0], str(tmp_path / name), 15.0) for name in ("b.yml", "a.yml", "c.yaml")
    ]


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        rules.load(["gone.yml"], base=tmp_path)
    assert str(refused.value) == f"{tmp_path}/gone.yml: cannot be read: No such file or directory"


def in_rule(path: str, message: str, rule: str = "A") -> str:
    """The message for the one rule of `one(...)`, at `path` below it."""
    return f"rules.yml:4: group 'g': rule {rule!r}: {message} (at groups[0].rules[0]{'.' * bool(path)}{path})"


# file, message. Each is refused by promtool too.
BAD = [
    ("groups: [{name: g, rules: [", "rules.yml:2: is not valid YAML: did not find expected node content"),
    ("- a\n", "rules.yml:1: expected a mapping of key: value"),
    ("groups: x\n", "rules.yml:1: expected a list (at groups)"),
    ("group: []\n", "rules.yml:1: unknown key 'group'; did you mean 'groups'? (at group)"),
    ("groups:\n- rules: []\n", "rules.yml:2: a group needs a name (at groups[0].name)"),
    ("groups:\n- name: g\n  rule: []\n",
     "rules.yml:3: unknown key 'rule' in groups[0]; did you mean 'rules'? (at groups[0].rule)"),
    ("groups:\n- name: g\n- name: g\n",
     "rules.yml:3: group 'g' stands twice in this file; give one of them another name (at groups[1].name)"),
    ("groups:\n- name: g\n  name: h\n", "rules.yml:3: key 'name' stands twice in groups[0]"),
    ("groups:\n- name: g\n  interval: 5 minutes\n",
     "rules.yml:3: group 'g': not a duration: '5 minutes'; write for example 30s, 5m, 1h30m (at groups[0].interval)"),
    ("groups:\n- name: g\n  limit: many\n", "rules.yml:3: group 'g': expected a whole number, not 'many' (at groups[0].limit)"),
    (one("{expr: up}"), "rules.yml:4: group 'g': a rule needs one of 'alert: NAME' and 'record: METRIC' (at groups[0].rules[0])"),
    (one("{alert: A, record: a, expr: up}"),
     "rules.yml:4: group 'g': a rule is either an alert or a record, not both: 'A' and 'a' (at groups[0].rules[0].record)"),
    (one("{alert: A}"), in_rule("", "needs an 'expr', the PromQL expression")),
    (one("{alert: A, expr: ''}"), in_rule("expr", "needs an 'expr', the PromQL expression")),
    (one("{alert: A, expr: up, fur: 5m}"), in_rule("fur", "unknown key 'fur' in groups[0].rules[0]; did you mean 'for'?")),
    (one("{alert: A, expr: up, for: 5x}"), in_rule("for", "not a duration: '5x'; write for example 30s, 5m, 1h30m")),
    (one("{alert: A, expr: up, for: '-5m'}"), in_rule("for", "not a duration: '-5m'; write for example 30s, 5m, 1h30m")),
    (one("alert: A\n    for: 1m\n    expr: rat(x[5m])"),
     'rules.yml:6: group \'g\': rule \'A\': 1:1: parse error: unknown function with name "rat"; did you mean "rate"?'
     " (at groups[0].rules[0].expr)"),
    (one("{alert: A, expr: 'sum(x'}"), in_rule("expr", "1:6: parse error: unclosed left parenthesis")),
    (one("{alert: A, expr: rate(x)}"),
     in_rule("expr", '1:6: parse error: expected type range vector in call to function "rate", got instant vector')),
    (one("{alert: A, expr: '1 > 2'}"),
     in_rule("expr", "1:3: parse error: comparisons between scalars must use BOOL modifier")),
    (one("{alert: A, expr: up, labels: {a-b: c}}"),
     in_rule("labels.a-b", "'a-b' is no label name: letters, digits and _, not beginning with a digit")),
    (one("{alert: A, expr: up, labels: {__name__: c}}"),
     in_rule("labels.__name__", "'__name__' is no label name: letters, digits and _, not beginning with a digit")),
    (one("{alert: A, expr: up, annotations: {1a: c}}"),
     in_rule("annotations.1a", "'1a' is no annotation name: letters, digits and _, not beginning with a digit")),
    (one("{alert: A, expr: up, labels: [a]}"), in_rule("labels", "expected a mapping of key: value")),
    (one("{alert: A, expr: up, labels: {a: [b]}}"), in_rule("labels.a", "expected a single value, not a list or mapping")),
    (one("{alert: A, expr: up, annotations: {s: '{{ $valu }}'}}"),
     in_rule("annotations.s", "annotation 's': unknown variable $valu; did you mean '$value'? (column 4 of the template)")),
    (one("{alert: A, expr: up, labels: {s: '{{ humanise 1 }}'}}"),
     in_rule("labels.s", "label 's': unknown function 'humanise'; did you mean 'humanize'? (column 4 of the template)")),
    (one("{record: a-b, expr: up}"),
     in_rule("record", "'a-b' is no metric name: letters, digits, _ and :, not beginning with a digit", rule="a-b")),
    (one("{record: a, expr: up, for: 5m}"),
     in_rule("for", "'for' is for alerts; a recording rule has only record, expr and labels", rule="a")),
    (one("{record: a, expr: up, annotations: {b: c}}"),
     in_rule("annotations", "'annotations' is for alerts; a recording rule has only record, expr and labels", rule="a")),
    (one("{record: a, expr: up, keep_firing_for: 5m}"),
     in_rule("keep_firing_for", "'keep_firing_for' is for alerts; a recording rule has only record, expr and labels", rule="a")),
]  # fmt: skip

GOOD = [
    "",
    "groups: []\n",
    "groups:\n- name: g\n",
    EVERYTHING,
    one("{alert: A, expr: up, for: 0, labels: {a: ''}, annotations: {}}"),
    one("{alert: A b - c, expr: 1, for: 1h30m}"),
    one("{alert: A, expr: '\"a string\"'}"),
    one("{record: 'a:b', expr: 'x[5m]', labels: {a: '{{ no template here'}}"),
    one("{alert: 12, expr: up == bool 1, labels: {on: on, at: 08:00, version: 1.10}}"),
    one("&a {alert: A, expr: up}\n  - *a"),
    one("{alert: A, expr: 'histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) > 1 and on () y unless z'}"),
    one("{alert: A, expr: up, annotations: {s: '{{ with $x := $labels.job }}{{ $x | toUpper }}{{ end }}'}}"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_a_bad_file_is_refused_with_its_line_and_the_way_to_mend_it(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert str(refused.value) == message


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_a_good_file_is_read(text: str) -> None:
    read(text)


def test_promtool_accepts_and_refuses_the_same_files(promtool: str, tmp_path: Path) -> None:
    judged = {}
    for at, text in enumerate([text for text, _ in BAD] + GOOD):
        file = tmp_path / f"{at}.yml"
        file.write_text(text)
        done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True)
        judged[text] = done.returncode == 0
    assert [text for text, _ in BAD if judged[text]] == []
    assert [text for text in GOOD if not judged[text]] == []

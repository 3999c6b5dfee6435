"""Unit tests of rules: what `promtool test rules` says of a file, `aiprism test rules` says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aiprism.detect import ruletests
from aiprism.errors import ConfigError
from aiprism.query.promql import PromQL
from aiprism.store.engine import Engine
from aiprism.store.scratch import Scratch

RULES = """
groups:
- name: first
  rules:
  - {record: job:up:sum, expr: sum by (job) (up)}
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: '{{ if eq $labels.job "api" }}critical{{ else }}warning{{ end }}', cluster: '{{ $externalLabels.cluster }}'}
    annotations: {summary: '{{ $labels.job }} is {{ $value }}'}
- name: second
  limit: 5
  rules:
  - {record: job:up:twice, expr: job:up:sum * 2}
  - {alert: Sticky, expr: up == 0, keep_firing_for: 3m}
"""
HEAD = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n"

# What stands in `tests`, and whether it holds.
CASES: Sequence[tuple[str, bool, str]] = (
    (
        "an alert fires once it has held",
        True,
        """
- interval: 1m
  external_labels: {cluster: c1}
  input_series: [{series: 'up{job="api"}', values: '1 0x10'}]
  alert_rule_test:
  - {eval_time: 2m, alertname: Down}
  - eval_time: 3m30s
    alertname: Down
    exp_alerts: [{exp_labels: {job: api, severity: critical, cluster: c1}, exp_annotations: {summary: api is 0}}]
""",
    ),
    (
        "an alert that does not fire yet is none",
        False,
        """
- interval: 1m
  input_series: [{series: 'up{job="api"}', values: '1 0x10'}]
  alert_rule_test:
  - eval_time: 2m
    alertname: Down
    exp_alerts: [{exp_labels: {job: api, severity: critical}, exp_annotations: {summary: api is 0}}]
""",
    ),
    (
        "annotations count",
        False,
        """
- interval: 1m
  input_series: [{series: 'up{job="web"}', values: '0x10'}]
  alert_rule_test:
  - {eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {job: web, severity: warning}}]}
""",
    ),
    (
        "an alert nobody expects is one too many",
        False,
        """
- interval: 1m
  input_series: [{series: 'up{job="web"}', values: '0x10'}]
  alert_rule_test: [{eval_time: 5m, alertname: Down}]
""",
    ),
    (
        "an alert is kept firing",
        True,
        """
- interval: 1m
  input_series: [{series: 'up{job="web"}', values: '0 0 1x10'}]
  alert_rule_test:
  - {eval_time: 4m, alertname: Sticky, exp_alerts: [{exp_labels: {job: web}}]}
  - {eval_time: 5m, alertname: Sticky}
""",
    ),
    (
        "rules read what others recorded, in the order of groups",
        True,
        """
- interval: 30s
  input_series:
  - {series: 'up{job="a", i="1"}', values: '1x20'}
  - {series: 'up{job="a", i="2"}', values: '1 _x3 stale 0x20'}
  promql_expr_test:
  - expr: job:up:twice
    eval_time: 1m
    exp_samples: [{labels: 'job:up:twice{job="a"}', value: 4}]
  - expr: job:up:sum
    eval_time: 5m
    exp_samples: [{labels: '{__name__="job:up:sum", job="a"}', value: 1}]
  - {expr: count(ALERTS), eval_time: 4m, exp_samples: [{labels: '{}', value: 2}]}
  - {expr: time(), eval_time: 1m, exp_samples: [{value: 60}]}
""",
    ),
    (
        "another number",
        False,
        """
- interval: 1m
  input_series: [{series: up, values: '0.1+0.1x10'}]
  promql_expr_test: [{expr: up * 3, eval_time: 2m, exp_samples: [{labels: '{}', value: 0.9}]}]
""",
    ),
    (
        "another label",
        False,
        """
- interval: 1m
  input_series: [{series: up, values: '1x10'}]
  promql_expr_test: [{expr: up, eval_time: 2m, exp_samples: [{labels: 'up{a="b"}', value: 1}]}]
""",
    ),
    (
        "nothing asked",
        True,
        "\n- interval: 1m\n  input_series: [{series: up, values: '1x10'}]\n",
    ),
    (
        "no expression",
        False,
        "\n- interval: 1m\n  promql_expr_test: [{expr: 'up +', eval_time: 2m}]\n",
    ),
    (
        "more series than the group may have",
        False,
        """
- interval: 1m
  input_series: [{series: 'up{i="1"}', values: '0x9'}, {series: 'up{i="2"}', values: '0x9'}, {series: 'up{i="3"}', values: '0x9'},
    {series: 'up{i="4"}', values: '0x9'}, {series: 'up{i="5"}', values: '0x9'}, {series: 'up{i="6"}', values: '0x9'}]
  promql_expr_test: [{expr: vector(1), eval_time: 2m, exp_samples: [{labels: '{}', value: 1}]}]
""",
    ),
)  # fmt: skip


def written(tmp_path: Path, tests: str, head: str = HEAD) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    path = tmp_path / "tests.yml"
    path.write_text(head + tests.lstrip("\n"))
    return path


def outcome(path: Path, engine: Engine) -> list[ruletests.Failure]:
    store = Scratch(engine)
    tests = ruletests.read(path)
    return [
        failure
        for case in tests.cases
        for failure in ruletests.failures(tests, case, store, lambda: PromQL(store.samples))
    ]


@pytest.mark.parametrize(("holds", "tests"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_file_holds_or_not_as_promtool_finds(
    holds: bool, tests: str, tmp_path: Path, engine: Engine, promtool: str
) -> None:
    path = written(tmp_path, tests)
    theirs = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True)
    assert (theirs.returncode == 0) is holds, theirs.stdout + theirs.stderr
    found = outcome(path, engine)
    assert (not found) is holds, found


def test_a_failure_tells_what_was_expected_and_what_there_was(tmp_path: Path, engine: Engine) -> None:
    path = written(tmp_path, {name: tests for name, _, tests in CASES}["another number"])
    [failure] = outcome(path, engine)
    assert failure == ruletests.Failure("", 6, "expr: 'up * 3', time: 2m", ("{} 0.9",), ("{} 0.9000000000000001",))


def test_numbers_may_be_compared_with_some_room(tmp_path: Path, engine: Engine) -> None:
    tests = {name: tests for name, _, tests in CASES}["another number"]
    assert outcome(written(tmp_path, tests, "fuzzy_compare: true\n" + HEAD), engine) == []


def test_histograms_are_compared(tmp_path: Path, engine: Engine) -> None:
    tests = """
- interval: 1m
  input_series: [{series: h, values: '{{schema:0 sum:5 count:4 buckets:[1 2 1]}}x5'}]
  promql_expr_test:
  - expr: h * 2
    eval_time: 2m
    exp_samples: [{labels: '{}', histogram: '{{schema:0 sum:10 count:8 buckets:[2 4 2]}}'}]
  - {expr: h, eval_time: 2m, exp_samples: [{labels: h, histogram: '{{schema:0 sum:5 count:4 buckets:[1 1 2]}}'}]}
"""
    [failure] = outcome(written(tmp_path, tests), engine)
    assert failure.line == 10


def test_a_test_may_begin_at_another_time(tmp_path: Path, engine: Engine) -> None:
    tests = """
- start_timestamp: 2024-01-01T00:00:00Z
  input_series: [{series: up, values: '1x5'}]
  promql_expr_test: [{expr: timestamp(up), eval_time: 1m, exp_samples: [{labels: '{}', value: 1704067260}]}]
"""
    assert outcome(written(tmp_path, tests), engine) == []


def test_the_example_of_the_documentation_holds(tmp_path: Path, engine: Engine) -> None:
    page = Path("docs/rules.md").read_text(encoding="utf-8")
    [rules, tests] = re.findall(r"runs this block -->\n```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "tests.yml").write_text(tests)
    assert outcome(tmp_path / "tests.yml", engine) == []


NO_FILES = [
    ("- {interval: 1m, input_serie: []}", r"tests.yml:4: unknown key 'input_serie'"),
    ("- {input_series: [{series: 'up{', values: '1'}]}", r"tests.yml:4: not a series"),
    ("- {input_series: [{series: up, values: '1 two'}]}", r"tests.yml:4: not a sample: 'two'"),
    ("- {input_series: [{series: up, values: '{{x'}]}", r"tests.yml:4: not a histogram"),
    ("- {alert_rule_test: [{eval_time: soon, alertname: Down}]}", r"tests.yml:4: .*duration"),
]


@pytest.mark.parametrize(("tests", "why"), NO_FILES)
def test_what_is_no_test_file_is_said_with_its_line(tests: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=why):
        ruletests.read(written(tmp_path, tests))


def test_rule_files_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tests.yml:1: no such file"):
        ruletests.read(written(tmp_path, "", "rule_files: [none.yml]\n"))


def test_the_command_reports_every_file(tmp_path: Path) -> None:
    good = written(tmp_path, CASES[0][2]).rename(tmp_path / "good.yml")
    bad = written(tmp_path, CASES[2][2]).rename(tmp_path / "bad.yml")
    done = subprocess.run(
        [sys.executable, "-m", "aiprism", "test", "rules", str(bad), str(good)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (
        1,
        f"""Unit Testing:  {bad}
  FAILED:
    {bad}:7: alertname: Down, time: 5m
        exp:
            Labels:{{alertname="Down", job="web", severity="warning"}} Annotations:{{}}
        got:
            Labels:{{alertname="Down", job="web", severity="warning"}} Annotations:{{summary="web is 0"}}

Unit Testing:  {good}
  SUCCESS (1 test)

""",
    ), done.stderr

"""`aiprism check`: the exact words for each mistake."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from aiprism.config import SECTIONS
from tests.cli.conftest import Run

RULES = """\
groups:
  - name: api
    rules:
      - alert: HighLatency
        expr: rate(latency[5m]) > 2
        for: 5m
"""
ROUTING = """\
route:
  receiver: team
receivers:
  - name: team
    webhook_configs:
      - url: http://127.0.0.1:9/
"""
RUNBOOK = """\
name: restart
match: [alertname="ServiceDown"]
steps:
  - process: {service: "${labels.service}", action: restart}
"""
SETTINGS = """\
rules:
  files: [rules.yml]
respond:
  alertmanager: alertmanager.yml
  runbooks: [runbook.yml]
"""

BOARD = """{"title": "Shop", "schemaVersion": 39, "templating": {"list": [{"name": "job"}, {"name": "top"}]},
"panels": [
{"id": 1, "type": "timeseries", "title": "Requests", "targets": [
{"expr": "sum(rate(requests_total{job=~\\"$job\\"}[$__rate_interval]))"}, {"expr": "topk(${top}, up offset $__range)"}]},
{"id": 2, "type": "logs", "datasource": {"type": "loki"}, "targets": [{"expr": "{a=\\"b\\"} |= 1"}]}]}
"""

V2 = """{"apiVersion": "dashboard.grafana.app/v2", "kind": "Dashboard", "metadata": {"name": "n"}, "spec": {"title": "New",
"variables": [{"kind": "CustomVariable", "spec": {"name": "job", "query": "a,b"}}],
"layout": {"kind": "GridLayout", "spec": {"items": []}},
"elements": {"a": {"kind": "Panel", "spec": {"id": 1, "title": "Up", "data": {"kind": "QueryGroup", "spec": {"queries": [
{"kind": "PanelQuery", "spec": {"refId": "A", "query": {"group": "prometheus", "spec": {"expr": "up{job=\\"$jobs\\"}"}}}}]}}}}}}}
"""

GOOD = [
    ("rules.yml", RULES, "rules, 1 group, 1 rule"),
    ("prometheus.yml", "scrape_configs: [{job_name: a}]\n", "prometheus, 1 job, 0 rule files below it"),
    ("alertmanager.yml", ROUTING, "alertmanager, 1 route, 1 receiver"),
    ("runbook.yml", RUNBOOK, "runbooks, 1 runbook: restart"),
    (
        "maintenance.yml",
        "suppress: [{name: a, matchers: [a=b], reason: because}]\n",
        "maintenance, 0 maintenance windows, 1 suppression rule",
    ),
    ("services.yml", "services: {shop: {dependencies: [db]}, db: {}}\n", "services, 2 services"),
    ("tiers.yml", "tiers: {P0: {receivers: [x], escalate: [{receivers: [y]}]}}\n", "tiers, 1 tier, 1 step"),
    (
        "oncall.yml",
        "people: {ann: {receivers: x}}\nschedules: {s: {layers: [{start: 2026-01-01, people: ann}]}}\n",
        "oncall, 1 person, 1 schedule, 0 policies",
    ),
    (
        "trackers.yml",
        "trackers: [{name: a, kind: jira, url: 'https://j.example', project: OPS, token_file: t}]\n",
        "trackers, 1 tracker",
    ),
    ("pipelines.yml", "pipelines: [{name: a, match: 'level:DEBUG', drop: true}]\n", "pipelines, 1 step"),
    ("war-room.yml", "war_room: {tiers: [P0, P1]}\n", "war room, for P0, P1, 0 audiences"),
    ("aiprism.yml", "server:\n  listen: 127.0.0.1:0\n", "aiprism.yml, 0 files below it"),
    ("shop.json", BOARD, "dashboard, 'Shop', 2 panels"),
    (
        "old.json",
        '{"title": "Old", "rows": [{"panels": [{"type": "graph", "targets": [{"expr": "up"}]}]}]}',
        "dashboard, 'Old', 1 panel",
    ),
    ("new.json", V2.replace("$jobs", "$job"), "dashboard, 'New', 1 panel"),
]

WRONG = [
    ("groups: [", "2: is not valid YAML: did not find expected node content"),
    ("", "1: is empty; expected one of these files: known are rules (groups); prometheus.yml (scrape_configs); "
     "alertmanager.yml (route and receivers); "
         "a runbook (match and steps); services.yml (services); maintenance.yml (maintenance and suppress); tiers.yml (tiers); "
         "log hints (hints); oncall.yml (people, schedules and policies); "
         "trackers.yml (trackers); pipelines.yml (pipelines); war-room.yml (war_room and audiences); "
         "a Sigma rule (logsource and detection); a dashboard (panels and schemaVersion, dashboard, or kind and spec); "
         "aiprism.yml (" + ", ".join(SECTIONS) + ")"),
    ("apiVersion: v1\nkind: Pod\n",
     "1: cannot tell what kind of file this is from its keys (apiVersion, kind); known are rules (groups); "
     "prometheus.yml (scrape_configs); alertmanager.yml (route and receivers); a runbook (match and steps); "
     f"services.yml (services); maintenance.yml (maintenance and suppress); tiers.yml (tiers); log hints (hints); "
     f"oncall.yml (people, schedules and policies); trackers.yml (trackers); pipelines.yml (pipelines); "
     f"war-room.yml (war_room and audiences); a Sigma rule (logsource and detection); "
     f"a dashboard (panels and schemaVersion, dashboard, or kind and spec); aiprism.yml ({', '.join(SECTIONS)})"),
    (RULES.replace("rate(", "rat("),
     '5: group \'api\': rule \'HighLatency\': 1:1: parse error: unknown function with name "rat"; did you mean "rate"? '
     "(at groups[0].rules[0].expr)"),
    (RULES.replace("for: 5m", "for: five minutes"),
     "6: group 'api': rule 'HighLatency': not a duration: 'five minutes'; write for example 30s, 5m, 1h30m "
     "(at groups[0].rules[0].for)"),
    (RULES.replace("expr:", "exp:"),
     "5: group 'api': rule 'HighLatency': unknown key 'exp' in groups[0].rules[0]; did you mean 'expr'? "
     "(at groups[0].rules[0].exp)"),
    (ROUTING.replace("receivers:", "recievers:"),
     "3: unknown key 'recievers'; did you mean 'receivers'? (at recievers)"),
    (ROUTING.replace("receiver: team", "receiver: teem"), "2: undefined receiver 'teem'; known: team (at route.receiver)"),
    (RUNBOOK.replace("labels.service", "lables.service"),
     "4: unknown placeholder ${lables.service}; known: ${labels.NAME}, ${annotations.NAME}, ${incident.id}, "
     "${alert.name}, ${alert.fingerprint} (at steps[0].process)"),
    (RUNBOOK.replace("restart}", "reboot}"),
     "4: expected one of start, stop, restart, kill, scale, deploy, rollback, not 'reboot' (at steps[0].process.action)"),
    ("server:\n  lisen: 127.0.0.1:0\n", "2: unknown key 'lisen' in server; did you mean 'listen'? (at server.lisen)"),
    ("query:\n  timeout: soon\n",
     "2: not a duration: 'soon'; write for example 30s, 5m, 1h30m (at query.timeout)"),
    ("dashboards:\n  writable: [boards]\n",
     "2: 'boards' is none of dashboards.folders; known: none (at dashboards.writable[0])"),
    (BOARD.replace("sum(rate", "sum(rat"),
     "4: panel 'Requests': 1:5: parse error: unknown function with name \"rat\"; did you mean \"rate\"? "
     "(at panels[0].targets[0].expr)"),
    (BOARD.replace('"name": "job"', '"name": "jobs"'),
     "4: panel 'Requests': there is no variable $job; did you mean $jobs? (at panels[0].targets[0].expr)"),
    (BOARD.replace('"id": 2', '"id": 1'),
     "5: two panels have the id 1, the other stands in line 3; give it another (at panels[1].id)"),
    (V2, "5: panel 'Up': there is no variable $jobs; did you mean $job? "
     "(at spec.elements.a.spec.data.spec.queries[0].spec.query.spec.expr)"),
    ('{"kind": "PrometheusRule", "spec": {}}', "1: this is a PrometheusRule, not Grafana's Dashboard of schema v2 (at kind)"),
    ('{"title": "x", "panels": {}, "schemaVersion": 39}', "1: expected a list (at panels)"),
    ('{"title": "x", "schemaVersion": 39}',
     "1: a dashboard has a list of `panels` (old ones: of `rows`); this has neither"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "told"), GOOD)
def test_a_good_file_is_named_by_its_kind(aiprism: Run, tmp_path: Path, name: str, text: str, told: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert aiprism("check", str(file)) == (0, f"{file}: {told}\n", "")


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_mistake_is_told_with_its_line_and_how_to_mend_it(aiprism: Run, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "file.yml"
    file.write_text(text)
    assert aiprism("check", str(file)) == (1, "", f"{file}:{told}\n")


def test_a_file_that_is_not_there_is_told_as_such(aiprism: Run, tmp_path: Path) -> None:
    file = tmp_path / "missing.yml"
    assert aiprism("check", str(file)) == (1, "", f"{file}: cannot be read: No such file or directory\n")


def test_every_file_is_checked_even_after_a_bad_one(aiprism: Run, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.yml", tmp_path / "good.yml"
    bad.write_text("groups: 7\n")
    good.write_text(RULES)
    assert aiprism("check", str(bad), str(good)) == (
        1,
        f"{good}: rules, 1 group, 1 rule\n",
        f"{bad}:1: expected a list (at groups)\n1 of 2 files have a mistake\n",
    )


def test_the_settings_file_is_checked_with_everything_it_points_to(
    aiprism: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text, _ in (GOOD[0], GOOD[2], GOOD[3]):
        (tmp_path / name).write_text(text)
    (tmp_path / "aiprism.yml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    assert aiprism("check", "aiprism.yml") == (
        0,
        "aiprism.yml: aiprism.yml, 3 files below it\n"
        "  rules.yml: rules, 1 group, 1 rule\n"
        "  alertmanager.yml: alertmanager, 1 route, 1 receiver\n"
        "  runbook.yml: runbooks, 1 runbook: restart\n",
        "",
    )
    (tmp_path / "rules.yml").unlink()
    assert aiprism("check", "aiprism.yml") == (1, "", f"{tmp_path / 'rules.yml'}: no such file\n")


def test_who_is_on_call_is_checked_with_whom_they_are_reached_by_and_gaps_are_warned_of(
    aiprism: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alertmanager.yml").write_text(ROUTING)
    (tmp_path / "aiprism.yml").write_text(
        "respond: {alertmanager: alertmanager.yml, oncall: oncall.yml, tiers: tiers.yml}\n"
    )
    (tmp_path / "tiers.yml").write_text("tiers: {P0: {escalate: [{oncall: nights}]}}\n")
    schedules = "schedules:\n  s: {layers: [{start: 2026-01-01, end: 2026-01-02, people: ann}]}\n"
    (tmp_path / "oncall.yml").write_text(f"people: {{ann: {{receivers: phone}}}}\n{schedules}")
    status, _, err = aiprism("check", "aiprism.yml")
    assert status == 1
    assert "oncall.yml:1: 'phone' is no receiver of alertmanager.yml; known: " in err
    assert "warning: oncall.yml:3: nobody is on call in schedule 's' from " in err.replace(f"{tmp_path}/", "")
    (tmp_path / "oncall.yml").write_text(f"people: {{ann: {{receivers: team}}}}\n{schedules}")
    status, _, err = aiprism("check", "aiprism.yml")
    assert (status, "tiers.yml:1: 'nights' is no schedule of oncall.yml; known: s" in err) == (1, True)


@pytest.mark.parametrize(
    ("role", "warned"),
    [
        ("sre", ""),
        ("commander", ""),
        ("oncall", ""),
        ("oncall:s", ""),
        ("oncall:t", "there is no schedule 't'"),
        ("empty", "respond.roles names nobody for it"),
        ("comander", "known: sre, empty, oncall, oncall:SCHEDULE, commander, scribe, "),
    ],
)
def test_an_approval_that_nobody_can_ever_give_is_warned_of(
    aiprism: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, warned: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alertmanager.yml").write_text(ROUTING)
    (tmp_path / "oncall.yml").write_text(
        "people: {ann: {receivers: team}}\nschedules: {s: {layers: [{start: 2026-01-01, people: ann}]}}\n"
    )
    (tmp_path / "runbook.yml").write_text(RUNBOOK + f"guard: {{approval: {{role: '{role}'}}}}\n")
    (tmp_path / "aiprism.yml").write_text(
        "respond: {alertmanager: alertmanager.yml, oncall: oncall.yml, runbooks: [runbook.yml],\n"
        "  roles: {sre: 'ann, bob', empty: ' '}}\n"
    )
    status, _, err = aiprism("check", "aiprism.yml")
    assert (status, bool(err)) == (0, bool(warned))
    assert warned in err
    assert not warned or f"runbook.yml:1: runbook 'restart' asks for role '{role}': " in err


def test_rules_on_logs_are_checked_and_stand_in_files_of_their_own(
    aiprism: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rule = "groups: [{name: g, rules: [{alert: A, search: saved-elsewhere, over: 5m, when: '> 1'}]}]\n"
    (tmp_path / "s.yml").write_text(rule)
    (tmp_path / "aiprism.yml").write_text("rules: {signals: [s.yml]}\n")
    told = "aiprism.yml: aiprism.yml, 1 file below it\n  s.yml: rules, 1 group, 1 rule\n"
    assert aiprism("check", "aiprism.yml") == (0, told, "")
    (tmp_path / "s.yml").write_text(rule.replace("over: 5m", "over: soon"))
    status, _, err = aiprism("check", "s.yml")
    assert (status, err) == (
        1,
        "s.yml:1: group 'g': rule 'A': not a duration: 'soon'; write for example 30s, 5m, 1h30m "
        "(at groups[0].rules[0].over)\n",
    )
    (tmp_path / "s.yml").write_text(rule)
    (tmp_path / "aiprism.yml").write_text("rules: {files: [s.yml]}\n")
    status, _, err = aiprism("check", "aiprism.yml")
    assert (status, "stands in a file of rules.signals" in err) == (1, True)


def test_what_is_accepted_but_not_done_is_a_warning(aiprism: Run, tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(ROUTING.replace("url: http://127.0.0.1:9/", "url: YOUR_WEBHOOK_URL"))
    status, out, err = aiprism("check", str(file))
    assert (status, out) == (0, f"{file}: alertmanager, 1 route, 1 receiver\n")
    assert err.startswith(f"warning: {file}:6: receiver 'team': its webhook address is no http(s) URL")


def test_the_demonstrations_own_files_are_right(aiprism: Run) -> None:
    with as_file(files("aiprism_lab") / "demo") as folder:
        status, out, err = aiprism("check", str(folder / "aiprism.yml"))
    assert (status, err) == (0, "")
    assert "aiprism.yml, 16 files below it" in out


def test_prometheus_yml_is_checked_with_its_rules_and_the_files_it_needs(
    aiprism: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    file = tmp_path / "prometheus.yml"
    text = "rule_files: [rules.yml, 'no/*.yml']\nremote_read: [{url: 'http://h'}]\nscrape_configs: [{job_name: a}]\n"
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    assert aiprism("check", "prometheus.yml") == (
        0,
        "prometheus.yml: prometheus, 1 job, 1 rule file below it\n  rules.yml: rules, 1 group, 1 rule\n",
        "warning: prometheus.yml:2: remote_read is not acted on: queries read what is stored here\n",
    )
    (tmp_path / "aiprism.yml").write_text("scrape: {file: prometheus.yml}\n")
    status, out, _ = aiprism("check", "aiprism.yml")
    assert (status, out.splitlines()[1:]) == (
        0,
        ["  prometheus.yml: prometheus, 1 job, 1 rule file below it", "  rules.yml: rules, 1 group, 1 rule"],
    )
    file.write_text("rule_files: [none.yml]\n")
    assert aiprism("check", "prometheus.yml") == (1, "", "prometheus.yml:1: none.yml does not exist (at rule_files)\n")
    file.write_text("scrape_configs: [{job_name: a, bearer_token_file: none}]\n")
    assert aiprism("check", "prometheus.yml") == (1, "", "prometheus.yml: job 'a' needs none, which does not exist\n")


# What else stands there, and what prometheus.yml says: promtool agrees which is good.
FOLDERS = [
    ({}, "scrape_configs: [{job_name: a}]", True),
    ({"x/rules.yml": RULES}, "rule_files: [x/rules.yml]", True),
    ({"x/rules.yml": RULES.replace("rate(", "rat(")}, "rule_files: [x/rules.yml]", False),
    ({}, "rule_files: [x/rules.yml]", False),
    ({}, "rule_files: ['x/*.yml']", True),
    ({"x/token": "t"}, "scrape_configs: [{job_name: a, bearer_token_file: x/token}]", True),
    ({}, "scrape_configs: [{job_name: a, authorization: {credentials_file: x/token}}]", False),
    ({}, "scrape_configs: [{job_name: a, tls_config: {cert_file: x/a.pem, key_file: x/b.pem}}]", False),
    ({}, "scrape_configs: [{job_name: a, tls_config: {ca_file: x/ca.pem}}]", True),
    ({"x/t.yml": "- targets: ['h:1']"}, "scrape_configs: [{job_name: a, file_sd_configs: [{files: [x/t.yml]}]}]", True),
    ({"x/t.json": "[{"}, "scrape_configs: [{job_name: a, file_sd_configs: [{files: [x/t.json]}]}]", False),
    (
        {"x/t.yml": "- target: ['h:1']"},
        "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['x/*.yml']}]}]",
        False,
    ),
    ({}, "scrape_configs: [{job_name: a, file_sd_configs: [{files: [x/t.yml]}]}]", True),
    (
        {"x/b.yml": "scrape_configs: [{job_name: b}]"},
        "scrape_config_files: [x/b.yml]\nscrape_configs: [{job_name: a}]",
        True,
    ),
]


@pytest.mark.parametrize(("others", "text", "good"), FOLDERS, ids=[str(at) for at in range(len(FOLDERS))])
def test_promtool_agrees_whether_prometheus_yml_and_what_it_needs_are_right(
    aiprism: Run, tmp_path: Path, others: dict[str, str], text: str, good: bool
) -> None:
    (tmp_path / "x").mkdir()
    for name, content in {**others, "prometheus.yml": f"{text}\n"}.items():
        (tmp_path / name).write_text(content)
    file = tmp_path / "prometheus.yml"
    assert (aiprism("check", str(file))[0] == 0) is good
    if shutil.which("promtool") and "scrape_config_files" not in text:  # which 2.42 does not know
        told = subprocess.run(["promtool", "check", "config", file], capture_output=True, check=False, timeout=60)
        assert (told.returncode == 0) is good, told

"""alertmanager.yml as Alertmanager 0.25 reads it: its matchers, its tree, its mistakes; compared with Debian's amtool."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism import cli, yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.labels import Matcher, MatchOp
from aiprism.respond import matcher, route
from tests.respond.making import routing

PLAN = """
global:
  smtp_smarthost: 'smtp.company.com:587'
  smtp_from: 'alerts@ai-prism.com'
route:
  group_by: ['alertname', 'cluster', 'service']
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 12h
  receiver: 'default-receiver'
  routes:
  - match:
      severity: critical
    receiver: 'critical-alerts'
    group_wait: 10s
    repeat_interval: 5m
  - match:
      severity: warning
    receiver: 'warning-alerts'
    group_wait: 2m
    repeat_interval: 1h
receivers:
- name: 'default-receiver'
  email_configs:
  - to: 'devops@company.com'
    subject: 'AI-Prism Alert: {{ .GroupLabels.alertname }}'
    body: |
      {{ range .Alerts }}
      Alert: {{ .Annotations.summary }}
      Description: {{ .Annotations.description }}
      Details: {{ .Labels }}
      {{ end }}
- name: 'critical-alerts'
  email_configs:
  - to: 'oncall@company.com'
    subject: '🚨 CRITICAL: AI-Prism {{ .GroupLabels.alertname }}'
  pagerduty_configs:
  - service_key: 'YOUR_PAGERDUTY_SERVICE_KEY'
    description: 'Critical AI-Prism alert: {{ .GroupLabels.alertname }}'
  slack_configs:
  - api_url: 'YOUR_SLACK_WEBHOOK_URL'
    channel: '#critical-alerts'
    title: '🚨 Critical Alert: {{ .GroupLabels.alertname }}'
    text: '{{ range .Alerts }}{{ .Annotations.description }}{{ end }}'
- name: 'warning-alerts'
  slack_configs:
  - api_url: 'YOUR_SLACK_WEBHOOK_URL'
    channel: '#alerts'
    title: '⚠️ Warning: {{ .GroupLabels.alertname }}'
"""

DEEP = """
route:
  receiver: root
  group_by: [alertname]
  routes:
  - matchers: [team="ai", severity=~"critical|high"]
    receiver: ai-page
    routes:
    - matchers: ['service!~"ai-.*"']
      receiver: ai-other
    - match_re: {service: "ai-(analysis|model).*"}
      receiver: ai-model
      continue: true
    - match: {region: eu}
      receiver: ai-eu
  - matchers: [severity="critical"]
    receiver: page
    continue: true
  - matchers: ['{severity=~"critical|high", team!=""}']
    receiver: chat
    routes:
    - matchers: ['quoted="a\\"b,c"', 'tail=x,y=z']
      receiver: odd
  - match: {severity: ""}
    receiver: untiered
receivers: [{name: root}, {name: ai-page}, {name: ai-other}, {name: ai-model}, {name: ai-eu}, {name: page}, {name: chat},
  {name: odd}, {name: untiered}]
"""

VALUES = {
    "team": ("", "ai", "web"),
    "severity": ("", "critical", "high", "warning"),
    "service": ("", "ai-analysis-service", "api-gateway"),
    "region": ("", "eu"),
}


def label_sets():
    sets = [dict(zip(VALUES, values, strict=True)) for values in itertools.product(*VALUES.values())]
    sets += [{"severity": "high", "team": "web", "quoted": 'a"b,c', "tail": "x", "y": "z"}]
    return [{name: value for name, value in labels.items() if value} for labels in sets]


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ("untiered",)),
        ({"severity": "info"}, ("root",)),
        ({"severity": "critical"}, ("page",)),
        ({"severity": "critical", "team": "web"}, ("page", "chat")),
        ({"severity": "high", "team": "ai", "service": "ai-analysis-service"}, ("ai-model",)),
        ({"severity": "high", "team": "ai", "service": "ai-analysis-service", "region": "eu"}, ("ai-model", "ai-eu")),
        ({"severity": "high", "team": "ai", "service": "ai-billing"}, ("ai-page",)),
        ({"severity": "high", "team": "ai", "service": "web"}, ("ai-other",)),
        ({"severity": "high", "team": "web", "quoted": 'a"b,c', "tail": "x", "y": "z"}, ("odd",)),
    ],
)
def test_the_tree_sends_each_alert_where_the_table_says(labels, receivers):  # R5
    assert routing(DEEP).receivers_for(labels) == receivers


def amtool() -> str:
    found = shutil.which("amtool")
    if found is None:
        missing = "amtool is not installed: apt-get install -y prometheus-alertmanager"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def test_routing_agrees_with_amtool_on_every_label_set(tmp_path):  # R5
    file = tmp_path / "alertmanager.yml"
    file.write_text(DEEP, encoding="utf-8")
    ours = routing(DEEP)
    for labels in label_sets():
        pairs = [f"{name}={value}" for name, value in labels.items()]
        if any('"' in pair or "," in pair for pair in pairs):
            pairs = [f'{name}="{value.replace(chr(34), chr(92) + chr(34))}"' for name, value in labels.items()]
        asked = [amtool(), "config", "routes", "test", f"--config.file={file}", *pairs]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        assert ",".join(ours.receivers_for(labels)) == answer, labels


def test_the_command_prints_what_amtool_prints(tmp_path, capsys):  # issue 5, §10
    file = tmp_path / "alertmanager.yml"
    file.write_text(DEEP, encoding="utf-8")
    for pairs in ([], ["severity=critical"], ["severity=critical", 'service="a,b"']):
        asked = [amtool(), "config", "routes", "test", f"--config.file={file}", *pairs]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert cli.run(["routes", "test", "--config", str(file), *pairs]) == 0
        assert capsys.readouterr().out == answer
    assert cli.run(["routes", "test", "--config", str(file), "severity=~x"]) == 1


REFUSED_BY_BOTH = {
    "no route": "receivers: [{name: a}]",
    "root without a receiver": "route: {group_by: [x]}\nreceivers: [{name: a}]",
    "root with matchers": "route: {receiver: a, matchers: [x=y]}\nreceivers: [{name: a}]",
    "root with continue": "route: {receiver: a, continue: true}\nreceivers: [{name: a}]",
    "unknown receiver": "route: {receiver: zz}\nreceivers: [{name: a}]",
    "receiver twice": "route: {receiver: a}\nreceivers: [{name: a}, {name: a}]",
    "unknown key": "route: {receiver: a, reciever: b}\nreceivers: [{name: a}]",
    "unknown global": "global: {foo: 1}\nroute: {receiver: a}\nreceivers: [{name: a}]",
    "matchers as one text": "route: {receiver: a, routes: [{matchers: x=y}]}\nreceivers: [{name: a}]",
    "bad matcher": "route: {receiver: a, routes: [{matchers: [x]}]}\nreceivers: [{name: a}]",
    "stray quote": "route: {receiver: a, routes: [{matchers: ['x=a\"b']}]}\nreceivers: [{name: a}]",
    "bad regex": "route: {receiver: a, routes: [{match_re: {x: '('}}]}\nreceivers: [{name: a}]",
    "group_by twice": "route: {receiver: a, group_by: [x, x]}\nreceivers: [{name: a}]",
    "group_by all and one": "route: {receiver: a, group_by: ['...', x]}\nreceivers: [{name: a}]",
    "zero group_interval": "route: {receiver: a, group_interval: 0s}\nreceivers: [{name: a}]",
    "zero repeat_interval": "route: {receiver: a, repeat_interval: 0s}\nreceivers: [{name: a}]",
    "unknown interval": "route: {receiver: a, routes: [{mute_time_intervals: [zz]}]}\nreceivers: [{name: a}]",
    "slack without a url": "route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{channel: x}]}]",
    "pagerduty without a key": "route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{severity: x}]}]",
    "webhook without a url": "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{max_alerts: 3}]}]",
}


@pytest.mark.parametrize("text", REFUSED_BY_BOTH.values(), ids=REFUSED_BY_BOTH.keys())
def test_what_amtool_refuses_is_refused_with_its_line(text, tmp_path):
    with pytest.raises(ConfigError, match=r"^alertmanager\.yml:\d+: "):
        routing(text)
    file = tmp_path / "alertmanager.yml"
    file.write_text(text, encoding="utf-8")
    assert subprocess.run([amtool(), "check-config", str(file)], capture_output=True).returncode != 0


def test_the_plans_file_loads_unmodified_and_says_what_it_cannot_do_yet():  # R5
    found = routing(PLAN)
    assert found.receivers_for({"severity": "critical"}) == ("critical-alerts",)
    assert found.receivers_for({"severity": "info"}) == ("default-receiver",)
    assert [route.group_wait for route in found.root.walk()] == [30.0, 10.0, 120.0]
    assert [route.repeat_interval for route in found.root.walk()] == [12 * 3600, 300, 3600]
    assert [one.channel for one in found.integrations("critical-alerts")] == ["slack", "pagerduty", "email"]
    told = "\n".join(found.warnings)
    assert "receiver 'default-receiver': email_configs has no body in Alertmanager" in told
    assert "receiver 'critical-alerts': its slack address is no http(s) URL" in told
    assert "template" not in told
    assert "YOUR_" not in told


# Of a receiver in Alertmanager 0.30.
CHANNELS = (
    "discord", "email", "incidentio", "jira", "mattermost", "msteams", "msteamsv2", "opsgenie", "pagerduty", "pushover",
    "rocketchat", "slack", "sns", "telegram", "victorops", "webex", "webhook", "wechat",
)  # fmt: skip


def test_every_channel_of_alertmanager_is_spoken():
    assert [name for name in CHANNELS if f"{name}_configs" not in route._CHANNELS] == []


def test_secrets_are_not_shown_by_anything_that_prints_a_routing():
    found = routing(
        "global: {slack_api_url: 'http://hooks/T0/B0/SECRET1', http_config: {bearer_token: SECRET2}}\n"
        "route: {receiver: a}\n"
        "receivers: [{name: a, slack_configs: [{channel: x}], pagerduty_configs: [{service_key: SECRET3}],\n"
        "  webhook_configs: [{url: 'http://u:SECRET4@h/', http_config: {basic_auth: {username: u, password: SECRET5}}}]}]"
    )
    assert "SECRET" not in repr(found) + str(found) + "".join(found.warnings)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=b", [("a", "=", "b")]),
        (' a = "b" ', [("a", "=", "b")]),
        ("{a=b,c!=d}", [("a", "=", "b"), ("c", "!=", "d")]),
        ('a=~"x,y|z"', [("a", "=~", "x,y|z")]),
        ('a!~"x.*"', [("a", "!~", "x.*")]),
        ("a=", [("a", "=", "")]),
        ("1a=b", [("1a", "=", "b")]),  # since 0.27
        (r'a="q\"q\\n\n\d"', [("a", "=", 'q"q\\n\n\\d')]),
        ('{a="{x}"}', [("a", "=", "{x}")]),
        ("", []),
    ],
)
def test_matchers_are_read_as_alertmanager_reads_them(text, found):
    assert matcher.parsed(text) == tuple(Matcher(name, MatchOp(op), value) for name, op, value in found)


@pytest.mark.parametrize("text", ["a", "=b", 'a="b', 'a=b"', 'a="b"c"', "a=~(", "a=b,,c=d"])
def test_bad_matchers_are_refused(text):
    with pytest.raises(BadInput):
        matcher.parsed(text)


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from([MatchOp.EQUAL, MatchOp.NOT_EQUAL]))
def test_what_a_matcher_prints_it_reads(value, op):
    assert matcher.parsed(str(Matcher("a", op, value))) == (Matcher("a", op, value),)


def test_a_missing_file_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        route.load(tmp_path / "none.yml")


def test_nobody_is_a_routing_that_says_so():
    assert route.nobody().receivers_for({"severity": "critical"}) == ("nobody",)
    assert "nobody is told" in route.nobody().warnings[0]


def test_a_secret_file_stands_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "slack.url").write_text("http://hooks/abc\n", encoding="utf-8")
    (tmp_path / "am.yml").write_text(
        "global: {slack_api_url_file: slack.url}\nroute: {receiver: a}\n"
        "receivers: [{name: a, slack_configs: [{channel: x}]}]",
        encoding="utf-8",
    )
    assert route.load(tmp_path / "am.yml").integrations("a")[0].url.reveal() == "http://hooks/abc"


def test_http_options_that_nobody_knows_are_refused_by_name():
    text = "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x', http_config: {oauth2: {x: y}}}]}]"
    with pytest.raises(ConfigError, match="unknown key 'x' in receivers"):
        route.read(yamlfile.parse(text, file="am.yml"))

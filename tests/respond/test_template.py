"""Texts of notifications: Alertmanager's data and functions, compared with Debian's amtool; mistakes told by file:line."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from aiprism import yamlfile
from aiprism.detect.template import TemplateError
from aiprism.errors import ConfigError
from aiprism.model.labels import Labels
from aiprism.respond import message, route, template
from aiprism.respond.channels.post import Globals
from aiprism.respond.known import alert_fingerprint
from tests.respond.making import T0, alert, cleared, routing
from tests.respond.test_route import PLAN

FIRES = alert("Down", endpoint="/a", annotations={"summary": '5 % <b> & "more"', "runbook_url": "https://r/1?a=b&c=d"})
OVER = cleared(alert("Down", endpoint="/b", at=T0 + 0.25), T0 + 5430.75)
TOLD = replace(
    message.of_group(
        '{}:{alertname="Down"}',
        Labels({"alertname": "Down", "abc": "1"}),
        [FIRES, OVER],
        at=T0 + 90,
        external_url="http://x",
    ),
    receiver="team.a",
)


def rendered(text, *, told=TOLD, html=False, library=None):
    node = yamlfile.parse(json.dumps({"text": text}), file="alertmanager.yml")["text"]
    return (library or template.library()).words(node, html=html).of(template.seen(told))


def amtool_data():
    return {
        "receiver": r"team\.a",
        "status": "firing",
        "alerts": [
            {
                "status": "resolved" if each.resolved_at else "firing",
                "labels": each.labels.to_dict(),
                "annotations": each.annotations.to_dict(),
                "startsAt": start,
                "endsAt": end,
                "generatorURL": each.source,
                "fingerprint": alert_fingerprint(each.labels),
            }
            for each, start, end in (
                (FIRES, "2026-11-23T14:15:00Z", "0001-01-01T00:00:00Z"),
                (OVER, "2026-11-23T14:15:00.25Z", "2026-11-23T15:45:30.75Z"),
            )
        ],
        "groupLabels": {"alertname": "Down", "abc": "1"},
        "commonLabels": TOLD.shared().to_dict(),
        "commonAnnotations": TOLD.shared(annotations=True).to_dict(),
        "externalURL": "http://x",
    }


# amtool takes a tenth of a second each time: many cases in one text.
SAME = [
    "{{ .Receiver }} {{ .Status | toUpper }} {{ .ExternalURL }}",
    "{{ .GroupLabels }} {{ .GroupLabels.alertname }} {{ .GroupLabels.nope }}",
    "{{ .GroupLabels.SortedPairs }} {{ .GroupLabels.Names }} {{ .CommonLabels.Values | join \"; \" }}",
    "{{ range .GroupLabels.SortedPairs }}<{{ .Name }}={{ .Value }}>{{ end }}{{ .GroupLabels.SortedPairs.Names }}",
    '{{ .CommonLabels.Remove (stringSlice "service" "nope") }} {{ (.CommonLabels.Remove .GroupLabels.Names).Names }}',
    "{{ len .Alerts }} {{ .Alerts.Firing | len }} {{ len .Alerts.Resolved }}",
    "{{ range .Alerts }}{{ .Status }} {{ .Labels }} {{ .Annotations.summary }} {{ .Fingerprint }} {{ .GeneratorURL }}\n{{ end }}",
    "{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ $a.StartsAt }} {{ $a.EndsAt }}{{ end }}",
    '{{ range .Alerts.Resolved }}{{ .EndsAt.Sub .StartsAt }} {{ (.EndsAt.Sub .StartsAt).Minutes }}{{ end }}',
    '{{ range .Alerts }}{{ .StartsAt.Format "Mon Jan _2 15:04:05.000 2006, 3:04PM MST Z07:00 -0700 02/01/06" }} {{ end }}',
    "{{ range .Alerts }}{{ .StartsAt.Unix }} {{ .StartsAt.Year }} {{ .StartsAt.Month }} {{ .EndsAt.IsZero }} {{ end }}",
    '{{ "foo bAR baz-x it\'s" | title }} {{ reReplaceAll "(.*)b" "${1}x" "aab" }} {{ match "^a.c" "abcd" }} {{ "A" | toLower }}',
    '{{ define "local" }}[{{ .Status }}]{{ end }}{{ template "local" . }}{{ template "mine" .Alerts }}',
]  # fmt: skip
HTML = [
    '<a href="{{ .Status }}" title="{{ (index .Alerts 0).Annotations.summary }}">{{ (index .Alerts 0).Annotations.summary }}</a>',
    '{{ "<b>" | safeHtml }}{{ "a+b\'c" }}<a href="{{ "javascript:alert(1)" }}"><a href="{{ "mailto:a@b" }}">',
    '<a href="{{ (index .Alerts 0).Annotations.runbook_url }}">',
]  # fmt: skip
MINE = (
    '{{ define "mine" }}{{ range . }}{{ template "inner" .Labels }}{{ end }}{{ end }}'
    '{{ define "inner" }}/{{ .alertname }}{{ end }}'
)


@pytest.mark.parametrize(("kind", "texts"), [("text", SAME), ("html", HTML)])
def test_templates_give_what_amtool_gives(kind, texts, tmp_path):
    tool = shutil.which("amtool")
    assert tool, "apt-get install prometheus-alertmanager"
    (tmp_path / "mine.tmpl").write_text(MINE, encoding="utf-8")
    (tmp_path / "data.json").write_text(json.dumps(amtool_data()), encoding="utf-8")
    whole = "\n".join(texts)
    command = [
        tool,
        "template",
        "render",
        f"--template.glob={tmp_path}/*.tmpl",
        f"--template.data={tmp_path}/data.json",
    ]
    theirs = subprocess.run(
        [*command, f"--template.type={kind}", f"--template.text={whole}"], capture_output=True, text=True
    )
    assert theirs.stderr == ""
    ours = rendered(whole, html=kind == "html", library=template.library([tmp_path / "mine.tmpl"]))
    assert ours.splitlines() == theirs.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{ date "2006-01-02" (index .Alerts 0).StartsAt }}', "2026-11-23"),
        ('{{ (index .Alerts 0).StartsAt | tz "America/New_York" | date "15:04 MST" }}', "09:15 EST"),
        ("{{ since (index .Alerts 0).StartsAt }} {{ since (index .Alerts 0).StartsAt | humanizeDuration }}", "1m30s 1m 30s"),
        ('{{ " a " | trimSpace }}{{ urlUnescape "b%20c" }}{{ humanizeDuration 3600 }}', "ab c1h 0m 0s"),
        ("{{ .GroupLabels | toJson }}", '{"abc":"1","alertname":"Down"}'),
        ("{{ .Incident.priority }} {{ .Incident.text }}", "P0 1 alert fires, 1 is over"),
    ],
)  # fmt: skip
def test_functions_that_came_after_alertmanager_0_25(text, expected):
    assert rendered(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ .Nope }}", "there is no field 'Nope'"),
        ("{{ range .Alerts }}{{ .Label.a }}{{ end }}", "there is no field 'Label'"),
        ('{{ (index .Alerts 7).Status }}', "index 7 is out of range"),
        ('{{ tz "Mars/Olympus" (index .Alerts 0).StartsAt }}', "unknown time zone Mars/Olympus"),
        ('{{ .GroupLabels.Remove "a" }}', "expected a list of names"),
        ("{{ index .GroupLabels .Alerts }}", "unhashable"),
    ],
)  # fmt: skip
def test_a_template_that_fails_on_its_message_says_why(text, why):
    with pytest.raises(TemplateError, match=why.replace("(", r"\(")):
        rendered(text)


RECEIVER = """\
route: {receiver: a}
templates: ['*.tmpl', 'none/*.tmpl']
receivers:
- name: a
  slack_configs:
  - api_url: 'http://x'
    title: TITLE
"""


def written(folder: Path, title: str, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.tmpl").write_text(text, encoding="utf-8")
    path = folder / "alertmanager.yml"
    path.write_text(RECEIVER.replace("TITLE", json.dumps(title)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("title", "files", "where"),
    [
        ("{{ .Status", {}, r"alertmanager\.yml:7: bad template: the action is not closed"),
        ("{{ nope }}", {}, r"alertmanager\.yml:7: bad template: unknown function 'nope'"),
        ('{{ template "slack.default.titel" . }}', {}, r"yml:7: .*is not defined; did you mean 'slack\.default\.title'"),
        ("x", {"a": '{{ define "x" }}\n{{ nope }}{{ end }}'}, r"a\.tmpl:2: bad template: unknown function"),
        ("x", {"a": '\n\n{{ template "y" }}', "b": '{{ define "x" }}{{ end }}'}, r"a\.tmpl:3: .*'y' is not defined"),
    ],
)  # fmt: skip
def test_a_bad_template_is_refused_when_the_file_is_read(title, files, where, tmp_path):
    with pytest.raises(ConfigError, match=where):
        route.load(written(tmp_path, title, **files))


def test_templates_of_files_are_found_beside_alertmanager_yml_call_each_other_and_replace_the_usual_ones(tmp_path):
    files = {
        "a": '{{ define "mine" }}{{ template "other" . }}!{{ end }}',
        "b": '{{ define "other" }}{{ .Status }}{{ end }}{{ define "__subject" }}S:{{ .Status }}{{ end }}',
    }
    found = route.load(written(tmp_path, '{{ template "mine" . }} {{ template "slack.default.title" . }}', **files))
    [slack] = found.integrations("a")
    assert slack.letter(TOLD, "k").body["attachments"][0]["title"] == "firing! S:firing"
    assert [text for text in found.warnings if "names no file" in text and "none/*.tmpl" in text]


def test_every_usual_template_says_something_of_every_kind_of_message():
    usual = template.library().defined
    silent = {"pretext", "callbackid", "iconemoji", "iconurl", "footer", "to_user", "to_party", "to_tag", "agent_id",
              "content", "emoji"}  # fmt: skip
    for told in (
        TOLD,
        replace(TOLD, alerts=(OVER,), event="resolved"),
        replace(TOLD, alerts=(FIRES,), external_url=""),
    ):
        for name in usual:
            if ".default." not in name or name.rpartition(".")[2] in silent:
                continue
            argument = ".Alerts" if name == "pagerduty.default.instances" else "."
            text = rendered(f'{{{{ template "{name}" {argument} }}}}', told=told)
            links = name.endswith(("titlelink", "clientURL", "source", "url"))
            assert text.strip() or links, name
            assert "<no value>" not in text, name
    assert rendered('{{ template "__subject" . }}') == "[FIRING:1] api-gateway down since 14:15 UTC (Down, 1)"


def test_a_mail_of_html_holds_no_markup_of_an_alert():
    html = rendered('{{ template "email.default.html" . }}', html=True)
    assert "5 % &lt;b&gt; &amp; &#34;more&#34;" in html
    assert '<a href="https://r/1?a=b&amp;c=d">Runbook</a>' in html
    assert "<b>" not in html


def test_our_own_texts_stay_short_when_a_thousand_alerts_fire_at_once():
    many = replace(TOLD, alerts=tuple(alert("Down", endpoint=f"/{at}") for at in range(1000)))
    for name in ("__text", "__markdown", "slack.default.text", "email.default.html"):
        text = rendered(f'{{{{ template "{name}" . }}}}', told=many)
        assert len(text) < 100_000, name
        assert "… and others: 1000 in all" in text, name


def test_a_text_without_actions_is_kept_as_it_is():
    assert Globals().words(yamlfile.parse("a: '# }} %s'")["a"]).of(template.seen(TOLD)) == "# }} %s"


def test_the_plans_texts_are_filled_in():  # observability-plan.md, L395–L478
    found = routing(PLAN)
    [email] = found.integrations("default-receiver")
    mail = message_from_bytes(email.letter(TOLD, "k").carry.keywords["mail"], policy=policy.default)
    assert (mail["To"], mail["Subject"]) == ("devops@company.com", "AI-Prism Alert: Down")
    text, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    assert 'Alert: 5 % <b> & "more"\nDescription: \nDetails: map[alertname:Down endpoint:/a' in text
    assert html.startswith("<!DOCTYPE html>")
    slack, pagerduty, urgent = found.integrations("critical-alerts")
    body = slack.letter(TOLD, "k").body
    [shown] = body["attachments"]
    assert (body["channel"], shown["title"]) == ("#critical-alerts", "🚨 Critical Alert: Down")
    assert (shown["color"], shown["mrkdwn_in"]) == ("danger", ["fallback", "pretext", "text"])
    assert "text" not in shown  # these alerts have no description
    assert pagerduty.letter(TOLD, "k").body["payload"]["summary"] == "Critical AI-Prism alert: Down"
    mail = message_from_bytes(urgent.letter(TOLD, "k").carry.keywords["mail"], policy=policy.default)
    assert mail["Subject"] == "🚨 CRITICAL: AI-Prism Down"
    [warning] = found.integrations("warning-alerts")
    assert warning.letter(TOLD, "k").body["attachments"][0]["title"] == "⚠️ Warning: Down"

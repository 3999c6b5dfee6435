"""What each channel is sent: Alertmanager's webhook JSON, Slack's blocks, PagerDuty's events. Built without I/O."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aiprism.errors import ConfigError
from aiprism.httpconfig import HttpOptions, Secret
from aiprism.model.labels import Labels
from aiprism.respond import message
from aiprism.respond.channels import pagerduty, slack, webhook
from aiprism.respond.channels.post import Answer, Verdict
from aiprism.respond.incident import Notice, Periods, opened
from aiprism.respond.template import Words
from tests.respond.making import T0, alert, cleared, routing

WEB = "https://aiprism.example"
INCIDENT = opened(
    alert("HighErrorRate", annotations={"summary": "5 % <errors> & more", "runbook_url": "https://r/1"}), T0, Periods()
)[0]


def said(event="opened", incident=INCIDENT, text="HighErrorRate fires"):
    return message.of_incident(incident, event, text, T0 + 1, WEB)


def slack_config(**more):
    return replace(slack.Slack(url=Secret("http://s"), send_resolved=True, http=HttpOptions()), **more)


def pagerduty_config(**more):
    return replace(pagerduty.PagerDuty(Secret("http://p"), Secret("key"), True, HttpOptions()), **more)


KEY = '{}/{severity="critical"}:{alertname="HighErrorRate"}'


def grouped(*alerts, incident=INCIDENT):
    labels = Labels({"alertname": "HighErrorRate"})
    told = message.of_group(KEY, labels, alerts, at=T0 + 1, external_url=WEB, incident=incident)
    return replace(told, receiver="team.a")


@pytest.mark.parametrize("what", [said(), grouped(alert()), grouped(cleared(alert(), T0 + 5), incident=None)])
def test_a_message_survives_its_row(what):
    assert message.from_payload(json.loads(json.dumps(message.to_payload(what)))) == what


def test_a_webhook_is_alertmanagers_json_with_an_incident():
    firing = INCIDENT.alerts[0]
    assert webhook.build(said(), "everyone") == {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{INCIDENT.id}"}}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "everyone",
        "groupLabels": {"incident": INCIDENT.id},
        "commonLabels": {"alertname": "HighErrorRate", "service": "api-gateway", "severity": "critical"},
        "commonAnnotations": {"runbook_url": "https://r/1", "summary": "5 % <errors> & more"},
        "externalURL": WEB,
        "alerts": [
            {
                "status": "firing",
                "labels": firing.labels.to_dict(),
                "annotations": firing.annotations.to_dict(),
                "startsAt": "2026-11-23T14:15:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "rules.yml/g/HighErrorRate",
                "fingerprint": "b3d2066b83f40cd8",
            }
        ],
        "incident": {
            "id": INCIDENT.id,
            "event": "opened",
            "text": "HighErrorRate fires",
            "title": "api-gateway errors since 14:15 UTC",
            "description": "HighErrorRate: 5 % <errors> & more",
            "priority": "P0",
            "status": "investigating",
            "services": ["api-gateway"],
            "created_at": T0,
            "resolved_at": None,
            "acknowledged_by": "",
            "url": f"{WEB}/incidents/{INCIDENT.id}",
        },
    }


def test_a_webhook_says_when_its_alerts_are_over_and_how_many_it_leaves_out():
    over = [cleared(alert(endpoint=str(number)), T0 + 60) for number in range(3)]
    body = webhook.build(
        said("resolved", replace(INCIDENT, alerts=tuple(over), resolved_at=T0 + 90)), "a", max_alerts=2
    )
    assert (body["status"], body["truncatedAlerts"], len(body["alerts"])) == ("resolved", 1, 2)
    assert {item["endsAt"] for item in body["alerts"]} == {"2026-11-23T14:16:00Z"}


def test_a_group_is_told_in_alertmanagers_json_with_the_incident_of_its_alerts_beside_it():
    body = webhook.build(grouped(alert(), cleared(alert(endpoint="/b"), T0 + 60.25)), "team.a", max_alerts=1)
    assert {key: body[key] for key in ("receiver", "status", "groupKey", "groupLabels", "externalURL")} == {
        "receiver": r"team\.a",  # Alertmanager gives it as a regular expression
        "status": "firing",
        "groupKey": KEY,
        "groupLabels": {"alertname": "HighErrorRate"},
        "externalURL": WEB,
    }
    assert (body["truncatedAlerts"], len(body["alerts"])) == (1, 1)
    assert body["incident"] == {
        "id": INCIDENT.id, "title": INCIDENT.title, "priority": "P0", "status": "investigating", "created_at": T0,
        "url": f"{WEB}/incidents/{INCIDENT.id}", "acknowledged_by": "", "event": "firing",
        "text": "1 alert fires, 1 is over",
    }  # fmt: skip
    over = webhook.build(grouped(cleared(alert(), T0 + 60.25), incident=None), "team.a")
    assert (over["status"], over["alerts"][0]["endsAt"]) == ("resolved", "2026-11-23T14:16:00.25Z")
    assert over["incident"] == {"id": None, "event": "resolved", "text": "no alert fires any more, 1 is over"}


def test_what_is_told_of_one_group_has_one_dedup_key():
    events = [
        pagerduty.build(each, pagerduty_config()) for each in (grouped(alert()), grouped(cleared(alert(), T0 + 9)))
    ]
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert len({event["dedup_key"] for event in events}) == 1


def test_a_slack_message_can_be_understood_from_its_text_alone():
    body = slack.build(said(), slack_config(names={"channel": Words("#alerts"), "username": Words("aiprism")}))
    assert body["text"] == "🚨 Incident: [P0] api-gateway errors since 14:15 UTC"
    assert (body["channel"], body["username"]) == ("#alerts", "aiprism")
    [attachment] = body["attachments"]
    assert (attachment["color"], attachment["fallback"]) == ("#a30200", body["text"])
    shown = json.dumps(attachment["blocks"], ensure_ascii=False)
    assert "🔴 *HighErrorRate* (api-gateway): 5 % &lt;errors&gt; &amp; more <https://r/1|runbook>" in shown
    assert f"<{WEB}/incidents/{INCIDENT.id}|{INCIDENT.id}>" in shown


def test_a_slack_message_keeps_to_block_kits_limits():
    many = tuple(
        alert("ABC"[number % 3] * 300, f"s{number}", annotations={"summary": "x" * 900}) for number in range(40)
    )
    body = slack.build(said(incident=replace(INCIDENT, alerts=many, gist=None)), slack_config())
    blocks = body["attachments"][0]["blocks"]
    assert len(blocks[0]["text"]["text"]) == 150
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks if block["type"] == "section" and "text" in block)


def test_a_resolved_slack_message_is_green_and_says_how_long_it_lasted():
    over = replace(INCIDENT, resolved_at=T0 + 95, alerts=(cleared(INCIDENT.alerts[0], T0 + 60),))
    body = slack.build(said("resolved", over), slack_config())
    assert body["attachments"][0]["color"] == "#2eb886"
    assert "*Lasted*\\n1m35s" in json.dumps(body)


def test_pagerduty_triggers_acknowledges_and_resolves_one_alert_per_incident():
    actions = {}
    for notice in Notice:
        if pagerduty_config().wants(said(notice.value)):
            event = pagerduty.build(said(notice.value), pagerduty_config())
            assert event["dedup_key"] == INCIDENT.id
            actions[notice.value] = event["event_action"]
    assert actions == {
        "opened": "trigger", "escalated": "trigger", "acknowledged": "acknowledge", "reopened": "trigger",
        "resolved": "resolve", "overdue": "trigger", "reminded": "trigger", "unacknowledged": "trigger",
        "flapping": "trigger", "paged": "trigger",
    }  # fmt: skip


def test_a_pagerduty_trigger_has_what_the_events_api_requires():
    event = pagerduty.build(said(), pagerduty_config())
    payload = event["payload"]
    assert payload["summary"] == "[P0] api-gateway errors since 14:15 UTC"
    assert (payload["source"], payload["severity"]) == ("api-gateway", "critical")
    assert payload["timestamp"] == "2026-11-23T14:15:00.000+00:00"
    assert event["links"] == [
        {"href": f"{WEB}/incidents/{INCIDENT.id}", "text": INCIDENT.id}, {"href": "https://r/1", "text": "runbook"}
    ]  # fmt: skip
    long = pagerduty.build(replace(said(), title="t" * 2000), pagerduty_config())
    assert len(long["payload"]["summary"]) == 1024


def test_a_letter_shows_no_secret_when_it_is_printed():
    letter = pagerduty_config(routing_key=Secret("TOPSECRET"), url=Secret("http://u:TOPSECRET@x")).letter(said(), "k")
    assert letter.body["routing_key"] == "TOPSECRET"
    assert "TOPSECRET" not in repr(letter)


def test_slack_reads_no_markup_in_titles_and_services_and_its_fields_are_short_enough():
    message = replace(said(), title="<!channel> & co", services=("<!here>", "s" * 3000))
    body = slack.build(message, slack_config())
    assert body["text"] == "🚨 Incident: [P0] &lt;!channel&gt; &amp; co"
    fields = [item["text"] for block in body["attachments"][0]["blocks"] for item in block.get("fields", [])]
    assert any(text.startswith("*Services*\n&lt;!here&gt;, sss") for text in fields)
    assert max(map(len, fields)) == 2000


SLACK = """
route: {receiver: a}
receivers:
- name: a
  slack_configs:
  - api_url: http://x
    send_resolved: true
    color: '{{ if eq .Status "firing" }}#f00{{ else }}#0f0{{ end }}'
    fallback: 'F {{ .Status }}'
    pretext: P
    title_link: https://t
    footer: foot
    callback_id: call
    image_url: https://i
    thumb_url: https://th
    icon_emoji: ':fire:'
    link_names: true
    short_fields: true
    mrkdwn_in: [text]
    fields:
    - {title: 'Service', value: '{{ .CommonLabels.service }}'}
    - {title: Long, value: x, short: false}
    actions:
    - type: button
      text: 'Look {{ .GroupLabels.alertname }}'
      url: https://go
      style: danger
      confirm: {text: Sure?, ok_text: 'Yes'}
"""


def test_all_that_slack_configs_can_word_is_sent():
    [one] = routing(SLACK).integrations("a")
    body = one.letter(grouped(alert()), "k").body
    assert (body["icon_emoji"], body["link_names"], "text" in body) == (":fire:", True, False)
    [shown] = body["attachments"]
    assert shown.pop("title").startswith("[FIRING:1] ")
    assert shown.pop("text").startswith("🔴 *HighErrorRate*")
    assert shown == {
        "color": "#f00",
        "fallback": "F firing",
        "pretext": "P",
        "title_link": "https://t",
        "footer": "foot",
        "callback_id": "call",
        "image_url": "https://i",
        "thumb_url": "https://th",
        "mrkdwn_in": ["text"],
        "fields": [
            {"title": "Service", "value": "api-gateway", "short": True},
            {"title": "Long", "value": "x", "short": False},
        ],
        "actions": [
            {
                "type": "button",
                "text": "Look HighErrorRate",
                "url": "https://go",
                "style": "danger",
                "confirm": {"text": "Sure?", "ok_text": "Yes"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("fields: [{title: a}]", "value is required"),
        ("actions: [{type: button, text: a}]", "an action needs a url, or a name"),
        ("actions: [{type: button, text: a, url: b, confirm: {title: c}}]", "text is required"),
        ("bot_token: x", "a bot_token needs a channel"),
        ("titel: a", "did you mean 'title'"),
    ],
)
def test_what_slack_would_refuse_is_refused_with_its_line(entry, why):
    text = f"route: {{receiver: a}}\nreceivers:\n- name: a\n  slack_configs:\n  - api_url: http://x\n    {entry}\n"
    with pytest.raises(ConfigError, match=rf"^alertmanager\.yml:[56]: .*{why}"):
        routing(text)


def test_slacks_web_api_refuses_with_a_200():
    assert slack.judge("ok") is None
    assert slack.judge('{"ok": true}') is None
    assert slack.judge('{"ok": true, "channel": "C1", "ts": "1.2"}') == Answer(
        Verdict.DELIVERED, receipt={"channel": "C1", "ts": "1.2"}
    )
    assert slack.judge('{"ok": false, "error": "channel_not_found"}') == Answer(
        Verdict.REFUSED, "Slack says channel_not_found"
    )
    again = slack.judge('{"ok": false, "error": "ratelimited"}')
    assert again is not None
    assert again.verdict is Verdict.AGAIN


PAGERDUTY = """
route: {receiver: a}
receivers:
- name: a
  pagerduty_configs:
  - service_key: k
    client: 'C {{ .Status }}'
    client_url: https://c
    severity: '{{ if eq .CommonLabels.severity "critical" }}critical{{ else }}nonsense{{ end }}'
    class: K
    component: P
    group: '{{ .GroupLabels.alertname }}'
    source: S
    details: {firing: '{{ len .Alerts.Firing }}', extra: x}
    images: [{src: 'https://img', alt: a}, {src: '{{ .GroupLabels.none }}'}]
    links: [{href: 'https://l/{{ .GroupLabels.alertname }}', text: t}]
"""


def test_all_that_pagerduty_configs_can_word_is_sent():
    [one] = routing(PAGERDUTY).integrations("a")
    event = one.letter(grouped(alert()), "k").body
    payload = event["payload"]
    assert (payload["severity"], payload["class"], payload["component"]) == ("critical", "K", "P")
    assert (payload["group"], payload["source"]) == ("HighErrorRate", "S")
    assert (payload["custom_details"]["firing"], payload["custom_details"]["extra"]) == ("1", "x")
    assert (event["client"], event["client_url"]) == ("C firing", "https://c")
    assert event["images"] == [{"src": "https://img", "alt": "a"}]
    assert event["links"][1:] == [{"href": "https://l/HighErrorRate", "text": "t"}]
    other = one.letter(grouped(alert(severity="warning")), "k").body
    assert other["payload"]["severity"] == "warning"  # "nonsense" is none of PagerDuty's


def test_worded_details_never_make_an_event_too_large_for_pagerduty():
    text = PAGERDUTY.replace("extra: x", "extra: '{{ range .Alerts }}{{ .Labels.endpoint }}{{ end }}'")
    [one] = routing(text).integrations("a")
    event = one.letter(grouped(*(alert(endpoint=f"{at}é" * 90) for at in range(1000))), "k").body
    assert len(json.dumps(event).encode()) < 512_000


def test_a_bots_token_may_stand_under_alertmanagers_names_and_for_all():
    [one, hook] = routing(
        "global: {slack_app_token: xoxb}\nroute: {receiver: a}\nreceivers:\n- name: a\n  slack_configs:\n"
        "  - {channel: '#a', timeout: 5s}\n  - {channel: '#a', api_url: 'http://hook'}\n"
    ).integrations("a")
    letter = one.letter(grouped(alert()), "k")
    assert (letter.url.reveal(), letter.timeout) == ("https://slack.com/api/chat.postMessage", 5.0)
    assert [secret.reveal() for secret in letter.http.secrets()] == ["xoxb"]
    assert hook.letter(grouped(alert()), "k").url.reveal() == "http://hook"
    assert [one.send_resolved, hook.send_resolved] == [True, False]

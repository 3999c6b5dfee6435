"""The channels of docs/channels.md, each against a real HTTP receiver: method, path, headers, payload; and no secret shown."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aiprism.errors import ConfigError
from aiprism.httpconfig import Secret
from aiprism.respond.channels.post import Verdict, post
from aiprism.respond.shown import shown
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert, cleared, routing
from tests.respond.test_channels import INCIDENT, grouped, said

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
EXAMPLE = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "smtp_smarthost" in block)
ALL = routing(EXAMPLE).integrations("everyone")
FIRES = grouped(alert(annotations={"summary": "5 % <errors>", "runbook_url": "https://r/1"}))
OVER = grouped(cleared(alert(), T0 + 60))


@dataclass
class Desk:
    """What came, as (method, path with query, headers, body), and what is answered: status, headers, body by path."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def server():
    desk = Desk()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            form = "form-urlencoded" in self.headers.get("Content-Type", "")
            body = {key: value for key, [value] in parse_qs(raw.decode()).items()} if form else json.loads(raw or "{}")
            desk.got.append((self.command, self.path, dict(self.headers), body))
            said = desk.bodies.get(urlsplit(self.path).path, "{}").encode()
            self.send_response(desk.status)
            for name, value in {**desk.headers, "Content-Length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    desk.url = f"http://127.0.0.1:{running.server_address[1]}"
    yield desk
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def desk(server):
    server.got.clear()
    server.status, server.headers, server.bodies = 200, {}, {}
    return server


def of(channel, number=0):
    return [one for one in ALL if one.channel == channel][number]


def moved(integration, desk):
    """The same integration, at the receiver of the test: the host of its address is exchanged, the path stays."""
    parts = urlsplit(integration.url.reveal())
    return replace(integration, url=Secret(f"{desk.url}{parts.path}"))


def sent(integration, desk, message=FIRES):
    letter = moved(integration, desk).letter(message, "NOTE1")
    return asyncio.run(post(letter, T0))


def arrived(channel, desk, message=FIRES, number=0):
    """Method, path, headers and body of the one request this channel makes of a message."""
    assert sent(of(channel, number), desk, message).verdict is Verdict.DELIVERED
    [request] = desk.got
    desk.got.clear()
    return request


SUBJECT = f"[FIRING:1] {INCIDENT.title} (HighErrorRate)"
GROUP = FIRES.subject_id


def test_slack_by_a_bot(desk):
    method, path, headers, body = arrived("slack", desk)
    assert (method, path, headers["Authorization"]) == ("POST", "/api/chat.postMessage", "Bearer EXAMPLE-xoxb-token")
    assert body["channel"] == "#alerts"
    [shown] = body["attachments"]
    assert shown["fields"] == [{"title": "Service", "value": "api-gateway", "short": True}]
    assert shown["actions"] == [{"type": "button", "text": "Runbook", "url": "https://r/1"}]
    desk.bodies["/api/chat.postMessage"] = '{"ok": false, "error": "not_in_channel"}'
    answer = sent(of("slack"), desk)
    assert (answer.verdict, answer.reason) == (Verdict.REFUSED, "Slack says not_in_channel")


def test_opsgenie_opens_changes_acknowledges_and_closes_one_alert(desk):
    assert sent(of("opsgenie"), desk).verdict is Verdict.DELIVERED
    create, message, description = desk.got
    assert create[:2] == ("POST", "/v2/alerts")
    assert create[2]["Authorization"] == "GenieKey EXAMPLE-genie-key"
    body = create[3]
    assert {key: body[key] for key in ("alias", "message", "priority", "tags", "responders")} == {
        "alias": GROUP,
        "message": SUBJECT,
        "priority": "P1",
        "tags": ["aiprism", "critical"],
        "responders": [{"name": "ai-platform", "type": "team"}],
    }
    assert body["details"]["service"] == "api-gateway"
    assert message[:2] == ("PUT", f"/v2/alerts/{GROUP}/message?identifierType=alias")
    assert message[3] == {"message": SUBJECT}
    assert description[:2] == ("PUT", f"/v2/alerts/{GROUP}/description?identifierType=alias")
    desk.got.clear()
    method, path, _, body = arrived("opsgenie", desk, OVER)
    assert (method, path) == ("POST", f"/v2/alerts/{GROUP}/close?identifierType=alias")
    assert set(body) == {"source"}
    _, path, _, _ = arrived("opsgenie", desk, said("acknowledged"))
    assert path == f"/v2/alerts/{INCIDENT.id}/acknowledge?identifierType=alias"


def test_victorops_names_one_entity(desk):
    method, path, _, body = arrived("victorops", desk)
    assert (method, path) == (
        "POST",
        "/integrations/generic/20131114/alert/EXAMPLE-victor-key/ai-platform",
    )
    assert {key: body[key] for key in ("message_type", "entity_id", "entity_display_name", "service")} == {
        "message_type": "CRITICAL",
        "entity_id": GROUP,
        "entity_display_name": SUBJECT,
        "service": "api-gateway",
    }
    assert "5 % <errors>" in body["state_message"]
    assert arrived("victorops", desk, OVER)[3]["message_type"] == "RECOVERY"
    assert arrived("victorops", desk, said("acknowledged"))[3]["message_type"] == "ACKNOWLEDGEMENT"


def test_teams_gets_a_card(desk):
    _, path, _, body = arrived("msteams", desk)
    assert path == "/EXAMPLE-connector"
    assert (body["@type"], body["title"], body["themeColor"]) == ("MessageCard", SUBJECT, "b42318")
    _, path, _, body = arrived("msteamsv2", desk)
    [attached] = body["attachments"]
    assert (path, body["type"], attached["contentType"]) == (
        "/EXAMPLE-flow",
        "message",
        "application/vnd.microsoft.card.adaptive",
    )
    card = attached["content"]
    assert (card["type"], card["body"][0]["text"], card["body"][0]["color"]) == ("AdaptiveCard", SUBJECT, "Attention")
    assert card["actions"][0]["url"].endswith(f"/incidents/{INCIDENT.id}")
    assert arrived("msteamsv2", desk, OVER)[3]["attachments"][0]["content"]["body"][0]["color"] == "Good"


def test_discord_gets_an_embed_and_calls_nobody(desk):
    _, path, _, body = arrived("discord", desk)
    [embed] = body["embeds"]
    assert (path, body["username"], embed["title"]) == ("/api/webhooks/1/EXAMPLE-discord", "aiprism", SUBJECT)
    assert body["allowed_mentions"] == {"parse": []}
    many = grouped(*(alert(endpoint=str(number), annotations={"summary": "x" * 900}) for number in range(20)))
    assert len(arrived("discord", desk, many)[3]["embeds"][0]["description"]) == 4096


def test_telegram_gets_whole_html(desk):
    method, path, _, body = arrived("telegram", desk)
    assert (method, path) == ("POST", "/bot1:EXAMPLE-bot-token/sendMessage")
    assert (body["chat_id"], body["parse_mode"], body["disable_notification"]) == (-1001234567, "HTML", False)
    assert "5 % &lt;errors&gt;" in body["text"]
    many = grouped(*(alert(endpoint=str(number), annotations={"summary": "&" * 300}) for number in range(20)))
    text = arrived("telegram", desk, many)[3]["text"]
    assert len(text) <= 4096
    assert not re.search(r"&[^;]*$", text)


def test_telegrams_wish_when_to_try_again_is_honoured(desk):
    desk.status, desk.bodies = 429, {"/bot1:EXAMPLE-bot-token/sendMessage": '{"parameters": {"retry_after": 35}}'}
    answer = sent(of("telegram"), desk)
    assert (answer.verdict, answer.retry_after) == (Verdict.AGAIN, 35.0)


def test_pushover_rings_until_someone_acknowledges(desk):
    method, path, headers, body = arrived("pushover", desk)
    assert (method, path) == ("POST", "/1/messages.json")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert {key: body[key] for key in ("token", "user", "title", "priority", "retry", "expire")} == {
        "token": "EXAMPLE-app-token",
        "user": "EXAMPLE-user-key",
        "title": SUBJECT,
        "priority": "2",
        "retry": "60",
        "expire": "3600",
    }
    over = arrived("pushover", desk, OVER)[3]
    assert (over["priority"], "retry" in over) == ("0", False)


def test_wechat_asks_for_a_token_and_speaks_with_it(desk):
    desk.bodies = {
        "/cgi-bin/gettoken": '{"errcode": 0, "access_token": "T0"}',
        "/cgi-bin/message/send": '{"errcode": 0}',
    }
    assert sent(of("wechat"), desk).verdict is Verdict.DELIVERED
    asked, told = desk.got
    assert asked[:2] == ("GET", "/cgi-bin/gettoken?corpid=corp&corpsecret=EXAMPLE-wechat-secret")
    assert told[:2] == ("POST", "/cgi-bin/message/send?access_token=T0")
    assert (told[3]["msgtype"], told[3]["touser"], told[3]["agentid"]) == ("text", "@all", "1000002")
    assert told[3]["text"]["content"].startswith(SUBJECT)
    desk.bodies["/cgi-bin/message/send"] = '{"errcode": 81013, "errmsg": "nobody"}'
    assert sent(of("wechat"), desk).reason == "WeChat says 81013: nobody"
    desk.bodies["/cgi-bin/gettoken"] = '{"errcode": -1}'
    assert sent(of("wechat"), desk).verdict is Verdict.AGAIN


def test_webex_rocketchat_and_matrix(desk):
    method, path, headers, body = arrived("webex", desk)
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/messages", "Bearer EXAMPLE-webex-token")
    assert body["roomId"] == "ROOM"
    assert body["markdown"].startswith(SUBJECT)
    method, path, headers, body = arrived("rocketchat", desk)
    assert (method, path) == ("POST", "/api/v1/chat.postMessage")
    assert (headers["X-Auth-Token"], headers["X-User-Id"]) == ("EXAMPLE-rocket-token", "EXAMPLE-rocket-id")
    assert (body["channel"], body["attachments"][0]["title"]) == ("#alerts", SUBJECT)
    desk.bodies["/api/v1/chat.postMessage"] = '{"success": false, "error": "unauthorized"}'
    answer = sent(replace(of("rocketchat"), send_resolved=True), desk)
    assert (answer.verdict, answer.reason) == (Verdict.REFUSED, "Rocket.Chat says unauthorized")
    desk.got.clear()
    method, path, headers, body = arrived("matrix", desk)
    assert (method, path) == (
        "PUT",
        "/_matrix/client/v3/rooms/%21room%3Aexample.com/send/m.room.message/NOTE1",
    )
    assert headers["Authorization"] == "Bearer EXAMPLE-matrix-token"
    assert body["msgtype"] == "m.text"
    assert body["body"].startswith(SUBJECT)


def test_incidentio(desk):
    method, path, headers, body = arrived("incidentio", desk)
    assert (method, path) == ("POST", "/v2/alert_events/alertmanager/SOURCE")
    assert headers["Authorization"] == "Bearer EXAMPLE-incidentio-token"
    assert (body["version"], body["status"], body["groupKey"], body["truncatedAlerts"]) == (
        "1",
        "firing",
        FIRES.group_key,
        0,
    )
    assert body["alerts"][0]["labels"]["alertname"] == "HighErrorRate"
    assert "incident" not in body
    many = grouped(*(alert(service=f"s{at}", annotations={"summary": "x" * 6000}) for at in range(100)))
    *_, body = arrived("incidentio", desk, many)
    assert (len(body["alerts"]), body["truncatedAlerts"]) == (1, 99)
    desk.status = 429
    assert sent(of("incidentio"), desk).verdict is Verdict.AGAIN


def test_mattermost(desk):
    method, path, _, body = arrived("mattermost", desk)
    assert (method, path) == ("POST", "/hooks/EXAMPLE-mattermost")
    assert (body["channel"], body["username"]) == ("alerts", "aiprism")
    assert SUBJECT in body["text"] or "HighErrorRate" in body["text"]
    fields = [{"title": "Firing", "value": "1", "short": True}]
    assert body["attachments"] == [{"title": "api-gateway", "fields": fields}]
    assert body["priority"] == {"priority": "urgent", "requested_ack": True, "persistent_notifications": False}
    *_, body = arrived("mattermost", desk, OVER)
    assert body["priority"] == {"priority": "standard", "requested_ack": False, "persistent_notifications": False}


def test_what_stands_in_a_mattermost_entry_itself_is_an_attachment(desk):
    [entry] = routing(
        "global: {mattermost_webhook_url: 'http://m.example/hooks/x'}\nroute: {receiver: a}\nreceivers:\n- name: a\n"
        "  mattermost_configs: [{title: '{{ .Status }}', color: red, props: {card: more}, text: '{{ .Status }}'}]\n"
    ).integrations("a")
    assert sent(entry, desk).verdict is Verdict.DELIVERED
    [(_, path, _, body)] = desk.got
    assert path == "/hooks/x"
    assert body == {
        "text": "firing",
        "username": "aiprism",
        "attachments": [{"title": "firing", "color": "red"}],
        "props": {"card": "more"},
    }


SEARCH, ISSUE = "/rest/api/2/search/jql", "/rest/api/2/issue/OPS-7"


def steps(desk):
    found = [(method, path, body) for method, path, _, body in desk.got]
    desk.got.clear()
    return found


def test_jira_gets_one_issue_which_is_changed_and_moved(desk):
    desk.bodies[SEARCH] = '{"issues": []}'
    assert sent(of("jira"), desk).verdict is Verdict.DELIVERED
    assert desk.got[0][2]["Authorization"].startswith("Basic ")
    (_, where, asked), (method, path, made) = steps(desk)
    mark = f"ALERT{{{GROUP}}}"
    assert (where, asked["jql"]) == (SEARCH, f'project = "OPS" and labels = "{mark}" order by created desc')
    assert (method, path) == ("POST", "/rest/api/2/issue")
    fields = made["fields"]
    assert (fields["project"], fields["issuetype"], fields["priority"]) == (
        {"key": "OPS"},
        {"name": "Bug"},
        {"name": "Highest"},
    )
    assert (fields["summary"], fields["labels"]) == (SUBJECT, ["aiprism", "api-gateway", mark])
    assert fields["customfield_10001"] == "x"

    assert sent(of("jira"), desk, OVER).verdict is Verdict.DELIVERED  # nobody knows of it: nothing to close
    assert len(steps(desk)) == 1

    def stands(category):
        issue = {"key": "OPS-7", "fields": {"status": {"statusCategory": {"key": category}}}}
        desk.bodies[SEARCH] = json.dumps({"issues": [issue]})

    moves = [{"id": "31", "name": "Done"}, {"id": "41", "name": "Reopen"}]
    desk.bodies[f"{ISSUE}/transitions"] = json.dumps({"transitions": moves})
    for category, message, moved in (
        ("new", FIRES, None), ("new", OVER, "31"), ("done", FIRES, "41"), ("done", OVER, None)
    ):  # fmt: skip
        stands(category)
        assert sent(of("jira"), desk, message).verdict is Verdict.DELIVERED
        _, (method, path, changed), *rest = steps(desk)
        assert (method, path) == ("PUT", ISSUE)
        assert {"project", "labels"}.isdisjoint(changed["fields"])
        assert [(method, body) for method, _, body in rest] == (
            [("GET", {}), ("POST", {"transition": {"id": moved}})] if moved else []
        )
    stands("new")
    desk.bodies[f"{ISSUE}/transitions"] = '{"transitions": []}'
    answer = sent(of("jira"), desk, OVER)
    assert (answer.verdict, answer.reason) == (Verdict.REFUSED, "Jira has no transition 'Done' from where the issue is")


def test_twilio_writes_and_calls(desk):
    method, path, headers, body = arrived("twilio", desk)
    assert (method, path) == ("POST", "/2010-04-01/Accounts/AC123/Messages.json")
    assert headers["Authorization"] == "Basic QUMxMjM6RVhBTVBMRS10d2lsaW8tdG9rZW4="
    assert (body["From"], body["To"]) == ("+15550100", "+15550199")
    assert body["Body"].startswith(SUBJECT)
    evil = grouped(alert(service="<Dial>1</Dial>"), incident=None)
    _, path, _, body = arrived("twilio", desk, evil, number=1)
    assert path == "/2010-04-01/Accounts/AC123/Calls.json"
    assert re.fullmatch(r'<Response>(<Say language="en-US">[^<]*</Say>)<Pause length="1"/>\1</Response>', body["Twiml"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a library that one of its plugins imports
def test_apprise_speaks_to_the_rest(desk):
    host = urlsplit(desk.url).netloc
    one = replace(of("apprise"), url=Secret(f"json://{host}/EXAMPLE-apprise"))
    assert asyncio.run(post(one.letter(FIRES, "k"), T0)).verdict is Verdict.DELIVERED
    [(method, path, _, body)] = desk.got
    assert (method, path, body["title"], body["type"]) == ("POST", "/EXAMPLE-apprise", SUBJECT, "failure")
    desk.status = 500
    answer = asyncio.run(post(one.letter(FIRES, "k"), T0))
    assert (answer.verdict, answer.reason) == (Verdict.AGAIN, "Apprise could not deliver it")
    wrong = replace(one, url=Secret("nothing://x/EXAMPLE-apprise"))
    assert asyncio.run(post(wrong.letter(FIRES, "k"), T0)).reason == "its address is none that Apprise knows"


def test_sns_gets_a_message_with_attributes(monkeypatch):
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    with moto.mock_aws():
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = sns.create_topic(Name="alerts")["TopicArn"]
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-central-1:123456789012:q")
        assert asyncio.run(post(of("sns").letter(FIRES, "k"), T0)).verdict is Verdict.DELIVERED
        [got] = sqs.receive_message(QueueUrl=queue)["Messages"]
        told = json.loads(got["Body"])
        assert (told["TopicArn"], told["Subject"]) == (topic, SUBJECT)
        assert told["MessageAttributes"] == {"severity": {"Type": "String", "Value": "critical"}}
        sns.delete_topic(TopicArn=topic)
        answer = asyncio.run(post(of("sns").letter(FIRES, "k"), T0))
        assert (answer.verdict, answer.reason) == (Verdict.REFUSED, "SNS says NotFound")


BY_HTTP = [one for one in ALL if one.channel not in ("email", "sns", "apprise", "wechat")]


@pytest.mark.parametrize("integration", BY_HTTP, ids=lambda one: one.channel)
def test_who_is_busy_is_tried_again_when_it_wishes_and_who_refuses_is_not(integration, desk):
    desk.status, desk.headers = 503, {"Retry-After": "70"}
    busy = sent(integration, desk)
    assert (busy.verdict, busy.retry_after) == (Verdict.AGAIN, 70.0)
    desk.status, desk.headers = 403, {}
    assert sent(integration, desk).verdict is Verdict.REFUSED


@pytest.mark.parametrize("integration", ALL, ids=lambda one: one.channel)
def test_no_secret_is_in_anything_that_is_printed_or_told(integration, desk, caplog):
    letter = integration.letter(FIRES, "NOTE1")
    assert "EXAMPLE" not in repr(integration) + repr(letter)
    if integration in BY_HTTP:
        desk.status, path = 400, urlsplit(moved(integration, desk).letter(FIRES, "k").url.reveal()).path
        desk.bodies[path] = str(re.findall(r"[\w:-]*EXAMPLE[\w-]+", EXAMPLE))
        answer = sent(integration, desk)
        own = [
            item.reveal()
            for item in (*letter.secrets, *letter.http.secrets(), integration.url)
            if "EXAMPLE" in item.reveal()
        ]
        assert [text for text in own if text in answer.reason + caplog.text] == []


def test_every_channel_is_in_the_example_and_its_file_is_shown_without_secrets():
    assert len(ALL) == 22
    assert len({one.channel for one in ALL}) == 21
    assert routing(EXAMPLE).warnings == ()
    hidden = shown(parse(EXAMPLE))
    assert re.findall(r"[\w:-]*EXAMPLE[\w-]*", hidden) == []


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("opsgenie_configs: [{message: x}]", "api_key or api_key_file is required"),
        ("opsgenie_configs: [{api_key: x, responders: [{type: team}]}]", "a responder needs"),
        ("opsgenie_configs: [{api_key: x, http_config: {bearer_token: y}}]", "has a key of its own"),
        ("victorops_configs: [{api_key: x}]", "needs a routing_key"),
        ("victorops_configs: [{api_key: x, routing_key: y, custom_fields: {entity_id: z}}]", "cannot set entity_id"),
        ("msteams_configs: [{title: x}]", "needs webhook_url"),
        ("discord_configs: [{title: x}]", "needs webhook_url"),
        ("telegram_configs: [{bot_token: x}]", "needs a chat_id"),
        ("telegram_configs: [{bot_token: x, chat_id: 1, parse_mode: XML}]", "expected one of"),
        ("pushover_configs: [{user_key: x}]", "needs user_key and token"),
        ("sns_configs: [{topic_arn: x, phone_number: y}]", "needs one of"),
        ("sns_configs: [{topic_arn: x, sigv4: {access_key: y}}]", "go together"),
        ("wechat_configs: [{api_secret: x}]", "needs a corp_id"),
        ("webex_configs: [{room_id: x}]", "needs the bot's token"),
        ("rocketchat_configs: [{token: x, token_id: y}]", "needs a channel"),
        ("jira_configs: [{project: x, issue_type: y}]", "needs an api_url"),
        ("jira_configs: [{api_url: 'http://x', project: x}]", "needs issue_type"),
        ("incidentio_configs: [{alert_source_token: x}]", "needs url"),
        ("incidentio_configs: [{url: 'http://x'}]", "needs alert_source_token"),
        ("mattermost_configs: [{channel: x}]", "needs webhook_url"),
        ("mattermost_configs: [{webhook_url: 'http://x', attachments: [{fields: [{title: x}]}]}]", "a title and a value"),
        ("twilio_configs: [{account_sid: x}]", "twilio_configs needs"),
        ("matrix_configs: [{room_id: x}]", "matrix_configs needs"),
        ("apprise_configs: [{title: x}]", "needs url"),
    ],
)  # fmt: skip
def test_what_a_channel_needs_is_asked_for_with_its_line(entry, why):
    with pytest.raises(ConfigError, match=rf"^alertmanager\.yml:4: .*{why}"):
        routing(f"route: {{receiver: a}}\nreceivers:\n- name: a\n  {entry}\n")

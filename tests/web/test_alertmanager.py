"""Alertmanager's API v2: the same requests to Debian's Alertmanager and to ours, and Debian's clients against ours."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from aiprism.clock import SystemClock
from aiprism.errors import BadInput
from aiprism.model.labels import Matcher, MatchOp
from aiprism.respond import matcher
from aiprism.respond.desk import Policy
from aiprism.respond.responder import Responder
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import alertmanager, routes
from aiprism.web import routing as routing_door
from tests.respond.alertmanager.real import alertmanager as real_alertmanager
from tests.respond.alertmanager.real import free_port, tool
from tests.respond.making import routing, serving

CONFIG = """
route:
  receiver: everyone
  group_by: [alertname]
  routes:
  - {receiver: team-a, matchers: [team="a"], continue: true}
  - {receiver: nights, matchers: [team=~"a|b"], mute_time_intervals: [always]}
receivers:
- name: everyone
- name: team-a
  webhook_configs: [{url: "http://user:SECRET1@127.0.0.1:9/SECRET2", http_config: {basic_auth: {username: u, password: SECRET3}}}]
- name: nights
inhibit_rules:
- {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [service]}
time_intervals:
- {name: always, time_intervals: [{years: ["2000:2100"]}]}
"""


async def nothing():
    return None


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('ours')}/control.db")
    clock = SystemClock()
    responder = Responder(
        records, policy=Policy(routing=routing(CONFIG)), actuators={}, ask=lambda query, at: [], clock=clock
    )
    parts = [alertmanager.router(responder, clock), routing_door.router(responder, clock)]
    with serving(routes.build(parts, Telemetry(), {}, nothing)) as client:
        yield client
    records.close()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    with (
        real_alertmanager(tmp_path_factory.mktemp("theirs"), CONFIG) as running,
        httpx.Client(base_url=running.url, trust_env=False) as client,
    ):
        yield client


def moment(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def firing(**labels):
    return {"labels": labels}


def silence(**more):
    matchers = [{"name": "a", "value": "x|y", "isRegex": True}]
    return {
        "matchers": matchers,
        "startsAt": moment(-60),
        "endsAt": moment(3600),
        "createdBy": "ann",
        "comment": "c",
        **more,
    }


POSTS = {
    "no labels": [firing()],
    "empty labels only": [firing(a="")],
    "labels missing": [{"annotations": {"a": "b"}}],
    "ends before it begins": [{"labels": {"a": "x"}, "startsAt": moment(60), "endsAt": moment(0)}],
    "some are wrong": [firing(alertname="Good", n="1"), firing(), firing()],
    "an address that is none": [{"labels": {"a": "x"}, "generatorURL": "::foo"}],
    "an empty list": [],
}


@pytest.mark.parametrize("posted", POSTS.values(), ids=POSTS.keys())
def test_posted_alerts_are_answered_as_alertmanager_answers(posted, ours, theirs):
    answers = [client.post("/api/v2/alerts", json=posted) for client in (ours, theirs)]
    assert said(answers[0]) == said(answers[1])


SILENCES = {
    "nothing": {},
    "no matchers": silence(matchers=[]),
    "a matcher of what is not there": silence(matchers=[{"name": "a", "value": "", "isRegex": False}]),
    "one that is over": silence(startsAt=moment(-60), endsAt=moment(-30)),
    "one that ends before it begins": silence(startsAt=moment(60), endsAt=moment(30)),
    "one of an unknown id": silence(id="b2a6ebcb-5b2c-4b3d-8a4e-111111111111"),
    "one without words": silence(createdBy="", comment=""),
}


@pytest.mark.parametrize("posted", SILENCES.values(), ids=SILENCES.keys())
def test_posted_silences_are_answered_as_alertmanager_answers(posted, ours, theirs):
    answers = [client.post("/api/v2/silences", json=posted) for client in (ours, theirs)]
    assert said(answers[0]) == said(answers[1])


def test_a_body_that_is_no_json_or_says_so_is_refused_with_the_same_codes(ours, theirs):
    for path in ("/api/v2/alerts", "/api/v2/silences"):
        for body, kind in (
            ("xx", "application/json"),
            ("", "application/json"),
            ("[]", "text/plain"),
            ('"a"', "application/json"),
        ):
            answers = [client.post(path, content=body, headers={"Content-Type": kind}) for client in (ours, theirs)]
            assert len({answer.status_code for answer in answers}) == 1
            assert len({answer.json()["code"] for answer in answers}) == 1


QUERIES = (
    "/alerts", "/alerts?filter=alertname%3DDown", "/alerts?filter=service!~%22db%22&filter=severity%3Dwarning",
    "/alerts?active=false", "/alerts?silenced=false", "/alerts?inhibited=false", "/alerts?receiver=team-.*",
    "/alerts?receiver=team", "/alerts?receiver=(", "/alerts?filter=foo", "/alerts/groups", "/alerts/groups?receiver=everyone",
    "/alerts/groups?filter=severity%3Dcritical", "/alerts/groups?silenced=false&inhibited=false", "/receivers",
    "/silences", "/silences?filter=service%3Dshop", "/silences?filter=service%3Dother", "/silences?filter=foo",
    "/silence/foo", "/silence/b2a6ebcb-5b2c-4b3d-8a4e-111111111111",
)  # fmt: skip


@pytest.fixture(scope="module")
def told(ours, theirs):
    """Alerts and silences both were told of."""
    alerts = [
        {"labels": {"alertname": "Down", "service": "db", "severity": "critical"}, "generatorURL": "http://x/graph?g0=1",
         "annotations": {"summary": "ü"}, "startsAt": moment(-5), "endsAt": moment(600)},
        firing(alertname="Slow", service="db", severity="warning"),
        firing(alertname="Slow", service="shop", severity="warning", team="a"),
        {"labels": {"alertname": "Over"}, "startsAt": moment(-60), "endsAt": moment(-30)},
    ]  # fmt: skip
    shop = [{"name": "service", "value": "shop", "isRegex": False}]
    for client in (ours, theirs):
        assert client.post("/api/v2/alerts", json=alerts).status_code == 200
        for more in ({"matchers": shop}, {"matchers": shop, "startsAt": moment(1800), "endsAt": moment(3000)}):
            client.post("/api/v2/silences", json=silence(**more))


@pytest.mark.parametrize("query", QUERIES)
def test_questions_are_answered_as_alertmanager_answers(query, ours, theirs, told):
    answers = [client.get(f"/api/v2{query}") for client in (ours, theirs)]
    if "(" in query:  # RE2 says it in other words here
        assert [answer.status_code for answer in answers] == [400, 400]
        assert all(answer.json().startswith("failed to parse receiver param: ") for answer in answers)
        return
    assert said(answers[0]) == said(answers[1])


def said(answer):
    """Status and body, without what must differ: times, ids, and what 0.25 does not say yet."""
    if not answer.content:
        return answer.status_code, None
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", answer.text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text)
    return answer.status_code, _comparable(json.loads(text))


def _comparable(value):
    if isinstance(value, dict):
        return {key: _comparable(each) for key, each in value.items() if key != "mutedBy"}
    return [_comparable(each) for each in value] if isinstance(value, list) else value


def test_what_mutes_an_alert_is_said_of_it(ours, told):
    alerts = ours.get("/api/v2/alerts", params={"filter": "alertname=Slow"}).json()
    states = {each["labels"]["service"]: each["status"] for each in alerts}
    [critical] = ours.get("/api/v2/alerts", params={"filter": "alertname=Down"}).json()
    assert states["db"]["inhibitedBy"] == [critical["fingerprint"]]
    assert [states["db"]["state"], states["shop"]["state"]] == ["suppressed", "suppressed"]
    assert len(states["shop"]["silencedBy"]) == 1
    muted = {
        (group["receiver"]["name"], *group["alerts"][0]["status"]["mutedBy"])
        for group in ours.get("/api/v2/alerts/groups").json()
    }
    assert muted >= {("nights", "always"), ("team-a",)}
    receivers = {group["receiver"]["name"] for group in ours.get("/api/v2/alerts/groups?muted=false").json()}
    assert "nights" not in receivers


def test_the_configuration_is_shown_without_its_secrets(ours):
    shown = ours.get("/api/v2/status").json()["config"]["original"]
    assert "SECRET" not in shown
    assert routing(shown.replace("<secret>", "hidden")).root == routing(CONFIG).root


def test_a_silence_that_is_changed_keeps_its_id_as_far_as_alertmanager_keeps_it(ours, theirs):
    stories = []
    for client in (ours, theirs):
        first = client.post("/api/v2/silences", json=silence()).json()["silenceID"]
        kept = client.get(f"/api/v2/silence/{first}").json()
        longer = client.post("/api/v2/silences", json={**kept, "endsAt": moment(7200)}).json()["silenceID"]
        other = [{"name": "b", "value": "z", "isRegex": False, "isEqual": True}]
        replaced = client.post("/api/v2/silences", json={**kept, "matchers": other}).json()["silenceID"]
        states = [client.get(f"/api/v2/silence/{each}").json()["status"]["state"] for each in (first, replaced)]
        ended = [client.delete(f"/api/v2/silence/{replaced}").status_code for _ in range(2)]
        again = client.get(f"/api/v2/silence/{replaced}").json()["status"]["state"]
        stories.append((first == longer, first == replaced, states, ended, again))
    assert stories[0] == stories[1] == (True, False, ["expired", "active"], [200, 200], "expired")
    assert ours.delete("/api/v2/silence/b2a6ebcb-5b2c-4b3d-8a4e-111111111111").status_code == 404


def amtool(ours, *arguments):
    done = subprocess.run(
        [tool("amtool"), f"--alertmanager.url={ours.base_url}", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_amtool_works_against_ours(ours, tmp_path):  # issue 5, §5
    amtool(ours, "alert", "add", "alertname=ByTool", "service=tool", "--annotation=summary=made by hand")
    assert "made by hand" in amtool(ours, "alert", "query", "-o", "extended", "alertname=ByTool")
    made = amtool(ours, "silence", "add", "service=tool", "-c", "maintenance", "-a", "ann", "-d", "2h").strip()
    assert made in amtool(ours, "silence", "query", "service=tool")
    assert amtool(ours, "alert", "query", "alertname=ByTool").count("ByTool") == 0
    assert "ByTool" in amtool(ours, "alert", "query", "-s", "alertname=ByTool")
    assert made in amtool(ours, "silence", "update", made, "-d", "3h", "-c", "longer")
    kept = tmp_path / "silences.json"
    kept.write_text(amtool(ours, "silence", "query", "service=tool", "-o", "json"), encoding="utf-8")
    amtool(ours, "silence", "expire", made)
    assert made not in amtool(ours, "silence", "query", "service=tool")
    assert made in amtool(ours, "silence", "query", "--expired", "service=tool")
    amtool(ours, "silence", "import", str(kept))
    assert "longer" in amtool(ours, "silence", "query", "service=tool")
    assert "team-a" in amtool(ours, "config", "show")
    assert 'team=~"a|b"' in amtool(ours, "config", "routes", "show")
    assert amtool(ours, "config", "routes", "test", "team=a").strip() == "team-a,nights"
    assert "disabled" in amtool(ours, "cluster", "show")


def test_the_routing_oracle_answers_over_http_with_the_group_and_what_keeps_a_route_quiet(ours):
    answer = ours.get("/aiprism/v1/routes/test", params={"label": ["team=a", "alertname=Down", "zone=b"]}).json()
    assert answer["receivers"] == ["team-a", "nights"]
    assert answer["routes"][1] == {
        "id": '{}/{team=~"a|b"}#1', "receiver": "nights", "key": '{}/{team=~"a|b"}', "group_by": ["alertname"],
        "group": {"alertname": "Down"}, "muted_by": ["always"],
    }  # fmt: skip
    assert ours.get("/aiprism/v1/routes/test", params={"label": "team!=a"}).status_code == 400


def test_the_routing_tree_is_told_with_what_routes_inherit(ours):
    told = ours.get("/aiprism/v1/routes").json()
    assert told["receivers"] == {"everyone": [], "team-a": ["webhook"], "nights": []}
    first, second = told["root"]["routes"]
    assert (first["matchers"], first["continue"], first["group_by"]) == (['team="a"'], True, ["alertname"])
    assert (first["group_wait"], first["group_interval"], first["repeat_interval"]) == (30, 300, 14400)
    assert (second["mute_time_intervals"], second["muted_by"], second["routes"]) == (["always"], ["always"], [])
    assert "SECRET" not in ours.get("/aiprism/v1/routes").text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"service name"="a b"', [("service name", "=", "a b")]),
        ('{"größe"=~"x.*", team!=b}', [("größe", "=~", "x.*"), ("team", "!=", "b")]),
        (r'"a\u00e4"="\t"', [("aä", "=", "\t")]),
        ("größe=groß", [("größe", "=", "groß")]),
    ],
)
def test_names_of_any_language_are_read_where_they_are_quoted_or_plain(text, found):
    assert matcher.parsed(text) == tuple(Matcher(name, MatchOp(op), value) for name, op, value in found)


@pytest.mark.parametrize("text", ['"a"', '"a"=', '""="b"', '{"a"="b"', r'"\q"="b"', '"a"="b" "c"="d"'])
def test_what_is_no_matcher_in_any_language_is_refused(text):
    with pytest.raises(BadInput):
        matcher.parsed(text)


def test_debians_prometheus_sends_its_alerts_here(ours, tmp_path):  # issue 5, "It must show"
    (tmp_path / "rules.yml").write_text(
        "groups: [{name: g, interval: 1s, rules: [{alert: FromPrometheus, expr: vector(1), labels: {team: a}}]}]",
        encoding="utf-8",
    )
    (tmp_path / "prometheus.yml").write_text(
        f"rule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{ours.base_url.host}:"
        f"{ours.base_url.port}']}}]}}]}}",
        encoding="utf-8",
    )
    command = [
        tool("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{free_port()}", "--rules.alert.resend-delay=1s",
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (found := ours.get("/api/v2/alerts", params={"filter": "alertname=FromPrometheus"}).json()):
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "nothing came from Prometheus"
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(30)
    assert [each["name"] for each in found[0]["receivers"]] == ["team-a", "nights"]
    assert found[0]["generatorURL"].startswith("http://")

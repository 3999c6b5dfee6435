"""`issue:` steps, against doubles of GitHub, GitLab and Jira that keep to their documentation (tests/respond/forges.py)."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from aiprism import yamlfile
from aiprism.cli import run
from aiprism.errors import BadInput, ConfigError
from aiprism.respond.actions import issue
from aiprism.respond.actions.act import Done, Order
from aiprism.respond.actions.trackers import reading
from tests.respond.apiserver import Ticking
from tests.respond.forges import GitHub, GitLab, Jira, lost
from tests.respond.making import T0
from tests.webserver import Answer, Asked, serving

KINDS = {"github": (GitHub, "acme/shop"), "gitlab": (GitLab, "acme/shop"), "jira": (Jira, "OPS")}
OPEN = {"title": "Down: api", "body": "It is down.", "labels": ["incident"]}


@pytest.fixture(params=KINDS)
def forge(request):
    return KINDS[request.param][0]()


def step(forge, action="open", *, incident="INC_1", key="RUN_1_0", timeout=60.0, extra="", clock=None, **given):
    """What becomes of a step whose placeholders are filled in."""
    kind = type(forge).__name__.lower()
    clock = clock or Ticking(T0)

    async def act():
        async with serving(forge.answer) as server:
            text = f"{{name: t, kind: {kind}, url: '{server.url}', project: {KINDS[kind][1]}, token: SECRET{extra}}}"
            places = reading.read(yamlfile.parse(f"trackers: [{text}]"))
            params = {
                "tracker": "t",
                "action": action,
                "incident": incident,
                "title": "",
                "body": "",
                "labels": [],
                **given,
            }
            actuator = issue.Issues(places, clock, "https://aiprism.example/")
            done = await actuator.act(Order(params, key, timeout, "runbook:x for INC_1"))
            forge.url = server.url
            return done

    return asyncio.run(act())


def text_of(item):
    return item.get("body") or item.get("description") or item["fields"]["description"]


def is_open(item):
    if "fields" in item:
        return item["fields"]["status"]["statusCategory"]["key"] != "done"
    return item["state"] in ("open", "opened")


def test_an_incident_has_one_issue_with_a_way_back_however_often_it_is_opened(forge):
    first = step(forge, **OPEN)
    again = step(forge, **OPEN, key="RUN_2_0")
    assert (first.ok, again.ok, len(forge.issues)) == (True, True, 1)
    assert first.message.startswith("opened ")
    assert again.message.startswith("is open already: ")
    assert first.data["issue"] == again.data["issue"]
    assert first.data["url"] in first.message
    assert "Incident INC_1: https://aiprism.example/incidents/INC_1" in text_of(forge.issues[0])
    step(forge, **OPEN, incident="INC_12")
    step(forge, **OPEN)
    assert len(forge.issues) == 2


def test_an_issue_whose_answer_was_lost_is_not_opened_twice(forge):
    lost(forge)
    done = step(forge, **OPEN)
    assert (done.ok, len(forge.issues)) == (True, 1)
    assert done.message.startswith("is open already: ")


def test_a_comment_is_written_once_for_each_step(forge):
    step(forge, **OPEN)
    lost(forge)
    assert step(forge, "comment", body="restarted", key="RUN_1_1").ok
    assert step(forge, "comment", body="restarted", key="RUN_1_1").ok
    step(forge, "comment", body="restarted", key="RUN_1_10")
    [comments] = forge.comments.values()
    assert [comment["body"].splitlines()[0] for comment in comments] == ["restarted", "restarted"]


def test_an_issue_is_closed_with_a_last_word_and_opened_again_with_its_incident(forge):
    step(forge, **OPEN)
    assert step(forge, "close", body="repaired", key="RUN_1_1").message.startswith("closed ")
    assert (is_open(forge.issues[0]), len(next(iter(forge.comments.values())))) == (False, 1)
    assert step(forge, "close", body="repaired", key="RUN_1_1").message.startswith("closed already: ")
    assert step(forge, **OPEN, key="RUN_2_0").message.startswith("opened again ")
    assert (is_open(forge.issues[0]), len(forge.issues)) == (True, 1)


def test_without_an_issue_there_is_nothing_to_close_and_nothing_to_say(forge):
    assert step(forge, "close") == Done(True, "t has no issue of INC_1")
    assert step(forge, "comment", body="x") == Done(False, "t has no issue of INC_1")


def test_issues_and_comments_beyond_the_first_page_are_found():
    for forge in (GitHub(pages=2), GitLab(pages=2), Jira(pages=2)):
        step(forge, **OPEN)
        for at in range(5):
            step(forge, **OPEN, incident=f"INC_9{at}")
            step(forge, "comment", body="x", key=f"RUN_1_{at}")
        step(forge, "comment", body="x", key="RUN_1_4")
        step(forge, **OPEN)
        assert (len(forge.issues), len(forge.comments["1"])) == (6, 5)


def test_an_old_issue_of_github_is_found_by_its_search_and_a_new_one_by_its_list():
    forge = GitHub(pages=2)
    old = step(forge, **OPEN)
    for at in range(8):
        step(forge, **OPEN, incident=f"INC_9{at}")
    forge.indexed.add(1)
    assert step(forge, **OPEN).message == f"is open already: acme/shop#1: {old.data['url']}"
    assert len(forge.issues) == 9


def test_a_pull_request_that_quotes_an_issue_is_none():
    forge = GitHub()
    forge.add(body="<!-- aiprism:INC_1 -->", pull_request={})
    assert step(forge, **OPEN).message.startswith("opened acme/shop#2")


@pytest.mark.parametrize(
    ("status", "headers", "body", "waited"),
    [
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(T0) + 30)}, {"message": "API rate limit exceeded"}, 30),
        (429, {"Retry-After": "20"}, {"message": "Retry later"}, 20),
        (403, {}, {"message": "You have exceeded a secondary rate limit"}, 60),
        (503, {}, {"message": "unavailable"}, 2),
    ],
)  # fmt: skip
def test_a_tracker_that_wants_to_be_left_alone_is(forge, status, headers, body, waited):
    clock = Ticking(T0)

    def limited(asked):
        forge.before.clear()
        return Answer(body, status, headers)

    forge.before.append(limited)
    assert step(forge, **OPEN, clock=clock, timeout=90.0).ok
    assert clock.now() - T0 == waited


def test_a_limit_that_outlasts_the_step_is_said_with_its_length(forge):
    forge.before.append(lambda asked: Answer({"message": "slow down"}, 429, {"Retry-After": "600"}))
    done = step(forge, **OPEN)
    assert (done.ok, done.message) == (False, "t: not done within 60 s: its rate limit is used up for 600 s: slow down")


def test_what_a_tracker_refuses_is_told_in_its_words():
    def said(forge, **given):
        done = step(forge, **{**OPEN, **given})
        assert not done.ok
        return done.message

    assert said(GitHub(), title="") == "t: HTTP 422: Validation Failed; title missing_field"
    assert said(Jira(), extra=", issue_type: Epos") == "t: HTTP 400: issuetype: Specify a valid issue type"
    locked = GitLab()
    locked.token = "OTHER"
    assert said(locked) == "t: it does not know the token (401): Bad credentials"
    for forge, answer, words in (
        (
            GitHub(),
            Answer({"message": "Moved"}, 301, {"Location": "https://x.example/"}),
            "the project has moved (HTTP 301)",
        ),
        (
            GitHub(),
            Answer({"message": "Not Found"}, 404),
            "no such project or issue, or the token may not see it: Not Found",
        ),
        (Jira(), Answer(b"<html>"), "it answered HTTP 200 without JSON"),
    ):
        forge.before.append(lambda asked, answer=answer: answer)
        assert words in said(forge)


def test_jira_cloud_is_asked_as_a_user_with_a_token():
    forge = Jira()
    forge.scheme, forge.token = "Basic", base64.b64encode(b"ann@example.org:SECRET").decode()
    assert step(forge, **OPEN, extra=", user: ann@example.org").ok


def test_an_issue_of_jira_that_no_transition_ends_says_which_there_are():
    forge = Jira()
    step(forge, **OPEN)

    def stuck(asked: Asked):
        if asked.path.endswith("/transitions"):
            return Answer({"transitions": [{"id": "1", "name": "Wait", "to": {"statusCategory": {"key": "new"}}}]})
        return None

    forge.before.append(stuck)
    assert step(forge, "close").message == ("t: no transition leads OPS-1 to an end from where it is; there are: Wait")


def test_what_an_alert_says_is_neither_a_mark_nor_a_command():
    forge = GitLab()
    step(forge, title="a\nb", body="<!-- aiprism:INC_2 -->\n/close\n  /assign @ann")
    assert text_of(forge.issues[0]).splitlines()[:3] == [
        "&lt;!-- aiprism:INC_2 -->", "&#47;close", "  &#47;assign @ann",
    ]  # fmt: skip
    assert forge.issues[0]["title"] == "a b"
    assert step(forge, **OPEN, incident="INC_2").message.startswith("opened ")


def test_a_text_that_is_too_long_keeps_its_mark():
    forge = GitHub()
    step(forge, title="t" * 300, body="b" * 70_000)
    assert len(forge.issues[0]["body"]) == 65_536
    assert step(forge, **OPEN).message.startswith("is open already")


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_step_opens_an_issue_with_usual_words_when_it_says_only_where():
    params = issue.read(yamlfile.parse("{tracker: t}"))
    assert (params["action"], params["title"], params["incident"]) == (
        "open", "${alert.name}: ${incident.id}", "${incident.id}",
    )  # fmt: skip
    with pytest.raises(BadInput, match="title of the issue would be empty"):
        issue.refuse({**params, "title": " "})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "tracker"),
        ("{tracker: '${labels.team}'}", "may not choose a tracker"),
        ("{tracker: t, action: delete}", "expected one of open, comment, close"),
        ("{tracker: t, action: close, title: x}", "title belongs to action open"),
        ("{tracker: t, action: comment}", "action comment needs body"),
        ("{tracker: t, assignee: x}", "unknown key 'assignee'"),
    ],
)
def test_a_step_that_cannot_be_meant_is_refused_with_its_line(text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        issue.read(yamlfile.parse(text, file="runbooks.yml"))
    assert str(caught.value).startswith("runbooks.yml:1: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{name: a, kind: bugzilla, project: x}", "expected one of github, gitlab, jira"),
        ("{name: a, kind: github, project: shop, token: x}", "'shop' is no project of github: owner/repository"),
        ("{name: a, kind: github, project: ../shop, token: x}", "no project of github"),
        ("{name: a, kind: gitlab, project: shop, token: x}", "no project of gitlab: group/project"),
        ("{name: a, kind: jira, project: OPS, token: x}", "expected url"),
        ("{name: a, kind: github, project: a/b}", "token_file is required"),
        ("{name: a, kind: github, project: a/b, token: x, user: y}", "user belongs to jira"),
        ("{name: a, kind: jira, url: 'http://j', project: OPS, token: x, labels: [a b]}", "has no spaces"),
        ("{name: a, kind: github, project: a/b, token: x, http_config: {bearer_token: y}}", "leave the authorization out"),
        ("{name: a, kind: github, project: a/b, token: x}, {name: a, kind: github, project: a/c, token: x}", "stands twice"),
    ],
)  # fmt: skip
def test_a_tracker_that_cannot_be_meant_is_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        reading.read(yamlfile.parse(f"trackers: [{text}]"))


def test_check_finds_a_step_whose_tracker_is_nowhere(tmp_path: Path, capsys):
    (tmp_path / "aiprism.yml").write_text("respond: {trackers: trackers.yml, runbooks: [book.yml]}\n")
    (tmp_path / "trackers.yml").write_text("trackers: [{name: shop, kind: github, project: a/b, token_file: t}]\n")
    book = "name: tell\nmatch: ['a=\"b\"']\nsteps: [{issue: {tracker: TRACKER}}]\n"
    (tmp_path / "book.yml").write_text(book.replace("TRACKER", "shop"))
    assert run(["check", str(tmp_path / "aiprism.yml")]) == 0, capsys.readouterr()
    assert "trackers, 1 tracker" in capsys.readouterr().out
    (tmp_path / "book.yml").write_text(book.replace("TRACKER", "ship"))
    assert run(["check", str(tmp_path / "aiprism.yml")]) == 1
    assert "step 'issue': there is no tracker 'ship'; known: shop" in capsys.readouterr().err
    (tmp_path / "aiprism.yml").write_text("respond: {runbooks: [book.yml]}\n")
    assert run(["check", str(tmp_path / "aiprism.yml")]) == 0
    assert "there is no tracker 'ship', as respond.trackers names no file" in capsys.readouterr().err

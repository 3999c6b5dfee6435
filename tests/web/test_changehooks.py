"""Webhooks of GitHub, GitLab, Argo CD and Kubernetes: believed by their secrets, kept once, as changes of the right service."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from aiprism import services
from aiprism.clock import FakeClock
from aiprism.config import LimitsConfig
from aiprism.httpconfig import Secret
from aiprism.model.timerange import TimeRange
from aiprism.receive.limits import Admission
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.telemetry import Telemetry
from aiprism.web import changehooks, routes
from aiprism.yamlfile import parse

NOW = 1_795_443_300.0  # 2026-11-23 14:15:00 UTC
KEYS = {"github": "old,hub", "gitlab": "lab", "argocd": "argo", "kubernetes": "kube"}
CATALOGUE = """
services:
  orders: {repository: "https://github.com/Acme/orders"}
  mailer: {repository: git@git.example.com:acme/mono.git, aliases: [mailer-worker]}
  billing: {repository: acme/mono/tree/main/billing}
"""
AT = "2026-11-23T14:10:00Z"
REPOSITORY = {
    "name": "orders", "full_name": "acme/orders", "html_url": "https://github.com/acme/orders",
    "default_branch": "main", "pushed_at": 1_795_443_000,
}  # fmt: skip
DEPLOYMENT = {
    "id": 4711, "sha": "8a02a8f0c1d2e3f4", "ref": "v1.4.2", "environment": "production", "created_at": AT,
    "description": "from the pipeline", "payload": {},
}  # fmt: skip
DEPLOYED = {
    "action": "created", "deployment": DEPLOYMENT, "repository": REPOSITORY, "sender": {"login": "ann"},
    "deployment_status": {"id": 99, "state": "success", "created_at": "2026-11-23T14:12:00Z", "log_url": "https://ci.example.com/1"},
}  # fmt: skip
PUSHED = {
    "ref": "refs/heads/main", "after": "8a02a8f", "deleted": False, "repository": REPOSITORY, "sender": {"login": "ann"},
    "commits": [{}, {}], "head_commit": {"message": "timeouts are shorter", "timestamp": "2020-01-01T00:00:00Z"},
    "compare": "https://github.com/acme/orders/compare/1...2",
}  # fmt: skip
PROJECT = {
    "name": "mono", "path_with_namespace": "acme/mono", "web_url": "https://git.example.com/acme/mono", "default_branch": "main",
}  # fmt: skip
ROLLED_OUT = {
    "object_kind": "deployment", "status": "success", "status_changed_at": "2026-11-23 15:10:00 +0100", "deployment_id": 15,
    "deployable_url": "https://git.example.com/acme/mono/-/jobs/796", "environment": "staging", "project": PROJECT,
    "short_sha": "279484c0", "user": {"name": "Ann"}, "ref": "main", "commit_title": "Add new file",
}  # fmt: skip
PIPELINE: dict[str, Any] = {
    "object_kind": "pipeline", "project": PROJECT, "user": {"name": "Ann"}, "commit": {"title": "Add new file"},
    "object_attributes": {
        "id": 31, "ref": "main", "tag": False, "sha": "279484c0", "status": "failed", "finished_at": "2026-11-23 14:10:00 UTC",
    },
}  # fmt: skip
APPLICATION = {
    "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "orders", "namespace": "argocd"},
    "spec": {"source": {"repoURL": "https://github.com/acme/manifests"}, "destination": {"namespace": "prod"}},
    "status": {
        "health": {"status": "Progressing"}, "summary": {"images": ["orders:1.4.2"]},
        "operationState": {
            "phase": "Succeeded", "startedAt": "2026-11-23T14:09:00Z", "finishedAt": AT, "message": "successfully synced",
            "syncResult": {"revision": "8a02a8f0c1d2"},
        },
    },
}  # fmt: skip


def kubernetes(reason="BackOff", kind="Pod", name="mailer-worker-6d4cf56db6-x2k8f", kind_of="Warning", **more):
    about = {"kind": kind, "namespace": "prod", "name": name}
    return {
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": f"{name}.17", "namespace": "prod", "uid": f"u-{reason}"},
        "involvedObject": about, "reason": reason, "message": "Back-off restarting failed container",
        "type": kind_of, "count": 3, "firstTimestamp": "2026-11-23T13:00:00Z", "lastTimestamp": AT,
        "source": {"component": "kubelet"}, **more,
    }  # fmt: skip


class Doors:
    """The doors on `engine`; `knock` signs or shows what each of the tools does."""

    def __init__(self, engine: Engine, catalogue: str = CATALOGUE) -> None:
        self.secrets, telemetry, limits = {name: Secret(key) for name, key in KEYS.items()}, Telemetry(), LimitsConfig()
        clock, self._store = FakeClock(NOW), EventStore(engine)
        router = changehooks.router(
            engine,
            clock,
            limits,
            Admission("default", limits, clock, telemetry),
            telemetry,
            secrets=lambda: self.secrets,
            services=lambda: services.read(parse(catalogue)),
        )
        self._app = routes.build([router], telemetry, checks={}, reload=_nothing)

    def knock(self, name: str, body: object, event: str = "", *, key: str = "", form: bool = False) -> httpx.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        text = urlencode({"payload": text}) if form else text
        key = key or KEYS[name].rpartition(",")[2]
        headers = {
            "github": {
                "X-GitHub-Event": event,
                "X-Hub-Signature-256": "sha256=" + hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest(),
            },
            "gitlab": {"X-Gitlab-Token": key},
        }.get(name, {"Authorization": f"Bearer {key}"})
        headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"

        async def run() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app), base_url="http://localhost"
            ) as client:
                return await client.post(f"/aiprism/v1/hooks/{name}", content=text, headers=headers)

        return asyncio.run(run())

    def kept(self) -> list[Any]:
        return list(self._store.search(TimeRange(NOW - 86_400, NOW)))


async def _nothing() -> None:
    return None


@pytest.fixture
def doors(engine: Engine) -> Doors:
    return Doors(engine)


@pytest.mark.parametrize(
    ("name", "event", "body", "kind", "service", "title", "at"),
    [
        ("github", "deployment", DEPLOYED, "deployment", "orders", "orders v1.4.2 is to go to production", 300),
        ("github", "deployment_status", DEPLOYED, "deployment", "orders", "orders v1.4.2 is out in production", 180),
        ("github", "push", PUSHED, "push", "orders", "orders: 2 commits to main", 300),
        (
            "github", "release",
            {"action": "published", "repository": REPOSITORY, "release": {"id": 1, "tag_name": "v2", "published_at": AT}},
            "release", "orders", "orders v2 was released", 300,
        ),
        ("argocd", "", {"app": APPLICATION}, "deployment", "orders", "orders 8a02a8f is out", 300),
        ("argocd", "", APPLICATION, "deployment", "orders", "orders 8a02a8f is out", 300),
        (
            "kubernetes", "", kubernetes(), "kubernetes", "mailer",
            "BackOff: Pod mailer-worker-6d4cf56db6-x2k8f", 300,
        ),
    ],
)  # fmt: skip
def test_a_change_is_kept_with_its_service_and_time(doors: Doors, name, event, body, kind, service, title, at) -> None:
    answer = doors.knock(name, body, event)
    assert answer.status_code == 200, answer.text
    [kept] = doors.kept()
    assert (kept.kind, kept.service, kept.title, kept.ts, kept.source) == (kind, service, title, NOW - at, name)
    assert answer.json() == {"ids": [kept.id], "why": ""}


@pytest.mark.parametrize(
    ("body", "title"),
    [(ROLLED_OUT, "mono main is out in staging"), (PIPELINE, "mono: the pipeline of main failed")],
)
def test_what_several_services_share_a_repository_of_is_a_change_of_each(doors: Doors, body, title) -> None:
    assert doors.knock("gitlab", body).status_code == 200
    kept = doors.kept()
    assert sorted((each.service, each.title, each.ts) for each in kept) == [
        ("billing", title, NOW - 300), ("mailer", title, NOW - 300)
    ]  # fmt: skip
    assert len({each.id for each in kept}) == 2


def test_what_is_delivered_twice_is_one_change(doors: Doors) -> None:
    for form in (False, True):
        assert doors.knock("github", DEPLOYED, "deployment", form=form).status_code == 200
    doors.knock("kubernetes", [kubernetes(count=3), kubernetes(count=9)])
    assert [(each.source, each.attributes.get("count")) for each in doors.kept()] == [
        ("github", None), ("kubernetes", "9")
    ]  # fmt: skip


def test_a_deployment_says_what_there_is_to_know_of_it(doors: Doors) -> None:
    doors.knock("github", DEPLOYED, "deployment_status")
    [kept] = doors.kept()
    assert kept.attributes == {
        "repository": "acme/orders", "actor": "ann", "state": "success", "environment": "production",
        "commit": "8a02a8f0c1d2e3f4", "ref": "v1.4.2", "url": "https://ci.example.com/1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "event", "body"),
    [
        ("github", "ping", {"zen": "Keep it logically awesome."}),
        ("github", "push", {**PUSHED, "ref": "refs/heads/feature"}),
        ("github", "push", {**PUSHED, "deleted": True}),
        ("github", "release", {"action": "created", "repository": REPOSITORY, "release": {"id": 1}}),
        ("github", "deployment_status", {**DEPLOYED, "deployment_status": {"id": 9, "state": "queued"}}),
        ("gitlab", "", {**ROLLED_OUT, "status": "created"}),
        ("gitlab", "", {"object_kind": "note"}),
        ("gitlab", "", {**PIPELINE, "object_attributes": {**PIPELINE["object_attributes"], "ref": "feature"}}),
        ("argocd", "", {"app": {"metadata": {"name": "orders"}, "status": {}}}),
        ("kubernetes", "", kubernetes("Pulled", kind_of="Normal")),
    ],
)
def test_what_is_no_change_is_answered_and_not_kept(doors: Doors, name, event, body) -> None:
    answer = doors.knock(name, body, event)
    assert (answer.status_code, answer.json()) == (200, {"ids": [], "why": "nothing in it is a change"})
    assert doors.kept() == []


@pytest.mark.parametrize("name", sorted(KEYS))
def test_whoever_does_not_know_the_secret_is_refused(doors: Doors, name) -> None:
    answer = doors.knock(name, kubernetes(), "push", key="guessed")
    assert (answer.status_code, f"hooks.{name}_secret" in answer.text) == (403, True)
    doors.secrets[name] = Secret()
    answer = doors.knock(name, kubernetes())
    assert (answer.status_code, f"hooks.{name}_secret is not set" in answer.text) == (404, True)


@pytest.mark.parametrize(
    ("name", "event", "body", "where"),
    [
        ("github", "push", "{", "the body is no JSON"),
        ("github", "push", {"ref": "refs/heads/main"}, "'repository' is missing"),
        ("github", "deployment", {**DEPLOYED, "deployment": {**DEPLOYMENT, "created_at": "soon"}}, "deployment.created_at"),
        ("github", "deployment", {**DEPLOYED, "deployment": {**DEPLOYMENT, "created_at": "1999-01-01T00:00:00Z"}}, "events[0].ts"),
        ("gitlab", "", {**ROLLED_OUT, "status_changed_at": "soon"}, "'soon' is no time"),
        ("kubernetes", "", {"kind": "Event"}, "'involvedObject' is missing"),
        ("kubernetes", "", [kubernetes(), kubernetes(lastTimestamp="soon")], "events[1].lastTimestamp"),
        ("kubernetes", "", [7], "an event is a JSON object"),
    ],
)  # fmt: skip
def test_a_webhook_that_cannot_be_read_is_refused_in_words_and_nothing_of_it_kept(
    doors: Doors, name, event, body, where
) -> None:
    answer = doors.knock(name, body, event)
    assert (answer.status_code, where in answer.text) == (400, True), answer.text
    assert doors.kept() == []


@pytest.mark.parametrize(
    ("kind", "name", "service"),
    [
        ("Deployment", "mailer-worker", "mailer"),
        ("ReplicaSet", "orders-6d4cf56db6", "orders"),
        ("Pod", "ledger-0", "ledger"),  # in no catalogue: as its workload is called
        ("Node", "worker-1", ""),
    ],
)
def test_an_event_of_kubernetes_is_of_the_service_its_workload_is_named_as(doors: Doors, kind, name, service) -> None:
    event = kubernetes("FailedCreate", kind, name)
    newer = {**event, "regarding": event["involvedObject"], "note": "quota", "eventTime": AT, "series": {"count": 5}}
    del newer["involvedObject"]
    watched = {"type": "ADDED", "object": newer}
    assert doors.knock("kubernetes", {"kind": "EventList", "items": [watched]}).status_code == 200
    [kept] = doors.kept()
    assert (kept.service, kept.text, kept.attributes["count"]) == (service, "quota", "5")

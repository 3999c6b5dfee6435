"""What was changed, as GitHub, GitLab, Argo CD and Kubernetes tell it by webhook: who sent it, and which change it was.

In: headers, body, and the secret that the other side signs or shows; then the catalogue, which knows whose repository it
is. Out: change events whose ids are made of the sender's own, so that what is delivered twice is one event. Pure but for
secrets that live in files. What is no change (a label, a pipeline that only began) is no error: it gives nothing.
Sources: GitHub "Webhook events and payloads", "Validating webhook deliveries"; GitLab "Webhook events"; the Application
resource of Argo CD; Event of Kubernetes' core/v1 and events.k8s.io/v1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from aiprism.errors import BadInput
from aiprism.httpconfig import Secret
from aiprism.model.events import ChangeEvent
from aiprism.respond.signed import Forbidden, any_equal, bearer, hmac_of, json_object, keys_of, moment, part
from aiprism.services import Catalogue

_LONGEST_ID, _LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_WORD = 200, 1000, 65_536, 4096
_MOST = 1000  # events of one request, as of one that is posted


@dataclass(frozen=True, slots=True)
class Told:
    """A change whose service is not known yet: it is that of `repository`, or the first of `names` the catalogue knows,
    else the first of them."""

    event: ChangeEvent
    repository: str = ""
    names: tuple[str, ...] = ()


Reader: TypeAlias = Callable[[Mapping[str, str], bytes, Secret, float], list[Told]]


def placed(told: Sequence[Told], services: Catalogue) -> list[ChangeEvent]:
    """The events, each with its service; one for each of them where several share a repository."""
    found: list[ChangeEvent] = []
    for each in told:
        owners = _owners(each, services)
        for service in owners or (each.names[0] if each.names else "",):
            name = each.event.id if len(owners) < 2 else f"{each.event.id}:{service}"
            found.append(_fitting(replace(each.event, id=name, service=service)))
    return found


def _owners(told: Told, services: Catalogue) -> list[str]:
    known = [service.name for name in told.names if (service := services.named(name))]
    if known or not told.repository:
        return known[:1]
    at = _address(told.repository)
    return [each.name for each in services if each.repository and _is_in(at, _address(each.repository))]


def _address(repository: str) -> str:
    """Where a repository is, without what differs between the ways to write it.

    >>> _address("git@github.com:Acme/shop.git"), _address("https://github.com/acme/shop/")
    ('github.com/acme/shop', 'github.com/acme/shop')
    """
    plain = re.sub(r"^[a-z+]+://", "", repository.strip().lower())
    plain = re.sub(r"^[^@/]+@", "", plain)
    plain = re.sub(r"^([^/:]+):(?!\d)", r"\1/", plain)
    return plain.rstrip("/").removesuffix(".git")


def _is_in(at: str, declared: str) -> bool:
    """Whether `declared` is the repository `at`, or a folder of it; it may leave the host out."""
    bare = at.partition("/")[2]
    return any(declared == one or declared.startswith(f"{one}/") for one in (at, bare) if one)


def _fitting(event: ChangeEvent) -> ChangeEvent:
    """The event cut to what one may hold."""
    name = event.id if len(event.id) <= _LONGEST_ID else hashlib.sha256(event.id.encode()).hexdigest()
    attributes = {key: str(value)[:_LONGEST_WORD] for key, value in event.attributes.items() if value not in ("", None)}
    return replace(
        event,
        id=name,
        service=event.service[:200],
        title=event.title[:_LONGEST_TITLE] or event.kind,
        text=event.text[:_LONGEST_TEXT],
        attributes=attributes,
    )


# -- GitHub ----------------------------------------------------------------------------------------------------------

_ENDED = {"success": "is out", "failure": "failed", "error": "failed"}


def github(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> list[Told]:
    """Deployments asked for and ended, releases, pushes to the default branch. Forbidden unless GitHub signed it."""
    shown = headers.get("x-hub-signature-256", "")
    if not any_equal([f"sha256={hmac_of(key, body)}" for key in keys_of(secret)], [shown]):
        raise Forbidden("X-Hub-Signature-256 is not what hooks.github_secret signs; is it the secret of this webhook?")
    said = json_object(_form(headers, body), "the body")
    read = _GITHUB.get(headers.get("x-github-event", ""))
    if read is None:
        return []
    repository = part(said, "repository")
    event = read(said, repository, now)
    if event is None:
        return []
    full = str(repository.get("full_name") or "")
    attributes = {"repository": full, "actor": _within(said, "sender", "login"), **event.attributes}
    address = str(repository.get("html_url") or full)
    payload = (said.get("deployment") or {}).get("payload")
    service = payload.get("service") if isinstance(payload, dict) else None
    names = (service,) if isinstance(service, str) and service else ()
    return [Told(replace(event, attributes=attributes), address, names)]


def _form(headers: Mapping[str, str], body: bytes) -> str | bytes:
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body
    return parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0]


def _deployment(said: Mapping[str, Any], repository: Mapping[str, Any], now: float) -> ChangeEvent | None:
    deployment = part(said, "deployment")
    name, environment = repository.get("name"), str(deployment.get("environment") or "")
    return ChangeEvent(
        id=f"github:deployment:{deployment.get('id')}",
        ts=moment(deployment.get("created_at"), "deployment.created_at"),
        kind="deployment",
        service="",
        title=f"{name} {_short(deployment)} is to go to {environment}",
        text=str(deployment.get("description") or ""),
        attributes=_of_deployment(deployment, "asked"),
        source="github",
    )


def _deployment_status(said: Mapping[str, Any], repository: Mapping[str, Any], now: float) -> ChangeEvent | None:
    status, deployment = part(said, "deployment_status"), part(said, "deployment")
    state = str(status.get("state"))
    if state not in _ENDED:
        return None
    environment = str(status.get("environment") or deployment.get("environment") or "")
    return ChangeEvent(
        id=f"github:deployment_status:{status.get('id')}",
        ts=moment(status.get("created_at"), "deployment_status.created_at"),
        kind="deployment",
        service="",
        title=f"{repository.get('name')} {_short(deployment)} {_ENDED[state]} in {environment}",
        text=str(status.get("description") or ""),
        attributes={
            **_of_deployment(deployment, state),
            "url": status.get("log_url") or status.get("target_url") or "",
        },
        source="github",
    )


def _of_deployment(deployment: Mapping[str, Any], state: str) -> dict[str, str]:
    return {
        "state": state,
        "environment": str(deployment.get("environment") or ""),
        "commit": str(deployment.get("sha") or ""),
        "ref": str(deployment.get("ref") or ""),
    }


def _short(deployment: Mapping[str, Any]) -> str:
    ref = str(deployment.get("ref") or "")
    sha = str(deployment.get("sha") or "")
    return ref if ref and not sha.startswith(ref) else sha[:7]


def _release(said: Mapping[str, Any], repository: Mapping[str, Any], now: float) -> ChangeEvent | None:
    release = part(said, "release")
    if said.get("action") != "published":
        return None
    tag = str(release.get("tag_name") or "")
    return ChangeEvent(
        id=f"github:release:{release.get('id')}",
        ts=moment(release.get("published_at"), "release.published_at"),
        kind="release",
        service="",
        title=f"{repository.get('name')} {tag} was released",
        text=str(release.get("body") or ""),
        attributes={"version": tag, "url": str(release.get("html_url") or "")},
        source="github",
    )


def _push(said: Mapping[str, Any], repository: Mapping[str, Any], now: float) -> ChangeEvent | None:
    branch = str(repository.get("default_branch") or "")
    if said.get("ref") != f"refs/heads/{branch}" or said.get("deleted"):
        return None
    head, count = said.get("head_commit") or {}, len(said.get("commits") or ())
    pushed = repository.get("pushed_at")  # when it came there; a commit may be months old
    return ChangeEvent(
        id=f"github:push:{repository.get('full_name')}:{said.get('after')}",
        ts=float(pushed) if isinstance(pushed, int) else now,
        kind="push",
        service="",
        title=f"{repository.get('name')}: {count} commit{'' if count == 1 else 's'} to {branch}",
        text=str(head.get("message") or ""),
        attributes={"commit": str(said.get("after") or ""), "branch": branch, "url": str(said.get("compare") or "")},
        source="github",
    )


_GITHUB: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], float], ChangeEvent | None]] = {
    "deployment": _deployment,
    "deployment_status": _deployment_status,
    "release": _release,
    "push": _push,
}


# -- GitLab ----------------------------------------------------------------------------------------------------------

_GITLAB_STATES = {"running": "begins", "success": "is out", "failed": "failed", "canceled": "was canceled"}
_GITLAB_PIPELINES = {"success": "succeeded", "failed": "failed"}


def gitlab(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> list[Told]:
    """Deployments that began and ended, pipelines of the default branch that ended. Forbidden unless the token is shown."""
    if not any_equal(keys_of(secret), [headers.get("x-gitlab-token", "")]):
        raise Forbidden("X-Gitlab-Token is not hooks.gitlab_secret; is it the secret token of this webhook?")
    said = json_object(body, "the body")
    read = {"deployment": _gitlab_deployment, "pipeline": _gitlab_pipeline}.get(str(said.get("object_kind")))
    if read is None:
        return []
    project = part(said, "project")
    event = read(said, project, now)
    if event is None:
        return []
    path = str(project.get("path_with_namespace") or "")
    attributes = {"repository": path, "actor": _within(said, "user", "name"), **event.attributes}
    return [Told(replace(event, attributes=attributes), str(project.get("web_url") or path))]


def _gitlab_deployment(said: Mapping[str, Any], project: Mapping[str, Any], now: float) -> ChangeEvent | None:
    status, environment = str(said.get("status")), str(said.get("environment") or "")
    if status not in _GITLAB_STATES:
        return None
    return ChangeEvent(
        id=f"gitlab:deployment:{_address(str(project.get('web_url')))}:{said.get('deployment_id')}:{status}",
        ts=_gitlab_time(said.get("status_changed_at"), now),
        kind="deployment",
        service="",
        title=f"{project.get('name')} {said.get('ref') or said.get('short_sha')} {_GITLAB_STATES[status]} in {environment}",
        text=str(said.get("commit_title") or ""),
        attributes={
            "state": status,
            "environment": environment,
            "commit": str(said.get("short_sha") or ""),
            "url": str(said.get("deployable_url") or ""),
        },
        source="gitlab",
    )


def _gitlab_pipeline(said: Mapping[str, Any], project: Mapping[str, Any], now: float) -> ChangeEvent | None:
    about = part(said, "object_attributes")
    status, ref = str(about.get("status")), str(about.get("ref") or "")
    if status not in _GITLAB_PIPELINES or about.get("tag") or ref != str(project.get("default_branch") or ""):
        return None
    return ChangeEvent(
        id=f"gitlab:pipeline:{_address(str(project.get('web_url')))}:{about.get('id')}:{status}",
        ts=_gitlab_time(about.get("finished_at"), now),
        kind="pipeline",
        service="",
        title=f"{project.get('name')}: the pipeline of {ref} {_GITLAB_PIPELINES[status]}",
        text=_within(said, "commit", "title"),
        attributes={"state": status, "commit": str(about.get("sha") or ""), "url": str(about.get("url") or "")},
        source="gitlab",
    )


def _gitlab_time(text: object, now: float) -> float:
    """GitLab writes `2021-04-28 21:50:00 +0200` and `2016-08-12 15:26:29 UTC`, and ISO 8601 in newer versions."""
    plain = re.sub(r" ?UTC$", "+00:00", str(text or "")).replace(" +", "+").replace(" -", "-")
    try:
        return datetime.fromisoformat(plain).timestamp() if plain else now
    except (ValueError, OverflowError):
        raise BadInput(f"{text!r} is no time; write for example 2021-04-28 21:50:00 +0200") from None


# -- Argo CD ---------------------------------------------------------------------------------------------------------

_ARGO_PHASES = {"Running": "begins", "Succeeded": "is out", "Failed": "failed", "Error": "failed"}


def argocd(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> list[Told]:
    """Syncs that began and ended, of an Application as a notification template writes it (`{"app": {{toJson .app}}}`).
    Forbidden unless the bearer token is shown."""
    bearer(headers, secret, "hooks.argocd_secret")
    said = json_object(body, "the body")
    app = part(said, "app") if "app" in said else said
    about, status = part(app, "metadata"), app.get("status") or {}
    operation = status.get("operationState") or {}
    phase = str(operation.get("phase") or "")
    if phase not in _ARGO_PHASES:
        return []
    name, began = str(about.get("name") or ""), operation.get("startedAt")
    revision = str((operation.get("syncResult") or {}).get("revision") or _within(status, "sync", "revision"))
    spec = app.get("spec") or {}
    source: Mapping[str, Any] = spec.get("source") or next(iter(spec.get("sources") or ()), {})
    ended = operation.get("finishedAt") if phase != "Running" else None
    event = ChangeEvent(
        id=f"argocd:{about.get('namespace')}/{name}:{revision}:{began}:{phase}",
        ts=moment(ended or began, "app.status.operationState.startedAt"),
        kind="deployment",
        service="",
        title=f"{name} {revision[:7]} {_ARGO_PHASES[phase]}",
        text=str(operation.get("message") or ""),
        attributes={
            "state": phase.lower(),
            "application": name,
            "commit": revision,
            "repository": str(source.get("repoURL") or ""),
            "environment": _within(spec, "destination", "namespace"),
            "health": _within(status, "health", "status"),
            "images": " ".join((status.get("summary") or {}).get("images") or ()),
        },
        source="argocd",
    )
    # What is deployed is named by the application; its repository often holds the manifests of all.
    return [Told(event, names=(name,))] if name else []


# -- Kubernetes ------------------------------------------------------------------------------------------------------

# Of what is normal, what changes something. Pulled images, mounted volumes and the like are many and change nothing.
_NORMAL = frozenset(
    [
        "ScalingReplicaSet",
        "SuccessfulRescale",
        "SuccessfulDelete",
        "Killing",
        "Preempted",
        "Evicted",
        "Drain",
        "NodeNotReady",
        "NodeReady",
        "NodeNotSchedulable",
        "NodeSchedulable",
        "Rebooted",
        "Starting",
        "TaintManagerEviction",
        "DeploymentRollback",
    ]
)
_WORKLOADS = frozenset(
    [
        "Pod",
        "ReplicaSet",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "HorizontalPodAutoscaler",
        "Rollout",
    ]
)
# The letters and digits that Kubernetes makes random names of.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_SUFFIX = {
    "Pod": rf"(-{_RANDOM}{{8,10}})?-{_RANDOM}{{5}}$|-\d+$",
    "ReplicaSet": rf"-{_RANDOM}{{8,10}}$",
    "Job": r"-\d{8,}$",
}


def kubernetes(headers: Mapping[str, str], body: bytes, secret: Secret, now: float) -> list[Told]:
    """Events that warn or that change something: one Event, a list of them, or an EventList. Forbidden unless the bearer
    token is shown."""
    bearer(headers, secret, "hooks.kubernetes_secret")
    found = list(_events(body))
    if len(found) > _MOST:
        raise BadInput(f"{len(found)} events in one request; send at most {_MOST}")
    return [told for number, each in enumerate(found) if (told := _kubernetes(each, number, now))]


def _events(body: bytes) -> Iterator[Mapping[str, Any]]:
    whole = b'{"items": %s}' % body if body.lstrip()[:1] == b"[" else body
    said = json_object(whole, "the body")
    items = said["items"] if isinstance(said.get("items"), list) else [said]
    for each in items:
        if not isinstance(each, dict):
            raise BadInput("an event is a JSON object")
        yield part(each, "object") if {"type", "object"} == each.keys() else each  # as a watch writes it


def _kubernetes(said: Mapping[str, Any], number: int, now: float) -> Told | None:
    key = "regarding" if "regarding" in said else "involvedObject"
    about, what = part(said, key), part(said, "metadata")
    reason, warns = str(said.get("reason") or ""), said.get("type") == "Warning"
    if not warns and reason not in _NORMAL:
        return None
    kind, name = str(about.get("kind") or ""), str(about.get("name") or "")
    series = said.get("series") or {}
    last = (
        series.get("lastObservedTime")
        or said.get("lastTimestamp")
        or said.get("deprecatedLastTimestamp")
        or said.get("eventTime")
        or what.get("creationTimestamp")
    )
    uid = what.get("uid") or f"{what.get('namespace')}/{what.get('name')}"
    event = ChangeEvent(
        id=f"kubernetes:{uid}",
        ts=moment(last, f"events[{number}].lastTimestamp") if last else now,
        kind="kubernetes",
        service="",
        title=f"{reason}: {kind} {name}",
        text=str(said.get("note") or said.get("message") or ""),
        attributes={
            "reason": reason,
            "type": str(said.get("type") or ""),
            "object": f"{kind}/{name}",
            "namespace": str(about.get("namespace") or what.get("namespace") or ""),
            "count": str(series.get("count") or said.get("count") or said.get("deprecatedCount") or 1),
            "component": str(said.get("reportingComponent") or _within(said, "source", "component")),
        },
        source="kubernetes",
    )
    return Told(event, names=_workload(about, kind, name))


def _workload(about: Mapping[str, Any], kind: str, name: str) -> tuple[str, ...]:
    """What the service may be called: by its labels, where the sender gives them, and by the name of its workload."""
    if kind not in _WORKLOADS:
        return ()
    labels = about.get("labels") or {}
    named = [labels.get("app.kubernetes.io/name"), labels.get("app"), re.sub(_SUFFIX.get(kind, "$"), "", name)]
    return tuple(dict.fromkeys(each for each in named if isinstance(each, str) and each))


def _within(whole: Mapping[str, Any], *path: str) -> str:
    """The text at the end of `path`, or nothing."""
    found: Any = whole
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


READERS: Mapping[str, Reader] = {"github": github, "gitlab": gitlab, "argocd": argocd, "kubernetes": kubernetes}

"""What the objects of a cluster say, and what is written into them: pure reading, no requests.

In: objects as JSON has them, so that fields newer than we are survive. Out: how far a rollout is, which pods are
unhealthy, which revision came before, and the record of our own changes. That record is an annotation of the changed
object, written with the change in one request: either both are there or neither, whatever dies in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

Object: TypeAlias = Mapping[str, Any]
Operation: TypeAlias = Mapping[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""

RECORD = "aiprism/changes"
RESTARTED = "kubectl.kubernetes.io/restartedAt"  # kubectl's own, so that its users find what they know
_CAUSE = "kubernetes.io/change-cause"
_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_REMEMBERED = 8  # changes kept with an object; annotations may have 256 KiB in all
# Why a container waits that will not get better by waiting.
_FAILING = frozenset({"CrashLoopBackOff", "CreateContainerError", "RunContainerError"})


def name_of(item: Object) -> str:
    """Its name."""
    return str(item["metadata"]["name"])


def uid_of(item: Object) -> str:
    """What tells it from others of its name that were or will be."""
    return str(item["metadata"].get("uid") or "")


def part(item: Object, *path: str) -> Any:
    """What lies at a path; an empty mapping where nothing does."""
    for key in path:
        item = (item or {}).get(key) or {}
    return item


def count(item: Object, *path: str) -> int:
    """The number at a path; 0 where there is none."""
    return int(part(item, *path) or 0)


def wanted_replicas(workload: Object) -> int:
    """How many pods it is to have; 1 when it does not say (Kubernetes' default)."""
    found = part(workload, "spec").get("replicas")
    return 1 if found is None else int(found)


# -- rollouts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollout is, in words; `failed` when the cluster gave up."""

    done: bool
    words: str
    failed: bool = False


def rollout(workload: Object) -> Progress:
    """How far the rollout of a workload is, by the rules of `kubectl rollout status`."""
    meta, status = workload["metadata"], part(workload, "status")
    if int(meta.get("generation") or 0) > count(status, "observedGeneration"):
        return Progress(False, "the cluster has not looked at the change yet")
    return _ROLLOUTS[str(workload.get("kind") or "Deployment")](workload, status)


def _deployment(workload: Object, status: Object) -> Progress:
    wanted, updated = wanted_replicas(workload), count(status, "updatedReplicas")
    for condition in part(status, "conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Progress(False, f"it exceeded its progress deadline: {condition.get('message', '')}", failed=True)
    if updated < wanted:
        return Progress(False, f"{updated} of {wanted} replicas are updated")
    if count(status, "replicas") > updated:
        return Progress(False, f"{count(status, 'replicas') - updated} old replicas have still to end")
    available = count(status, "availableReplicas")
    return _available(available, updated)


def _stateful_set(workload: Object, status: Object) -> Progress:
    wanted, updated = wanted_replicas(workload), count(status, "updatedReplicas")
    strategy = part(workload, "spec", "updateStrategy")
    if count(status, "readyReplicas") < wanted:
        return Progress(False, f"{count(status, 'readyReplicas')} of {wanted} replicas are ready")
    partition = count(strategy, "rollingUpdate", "partition")
    if partition:
        return Progress(updated >= wanted - partition, f"{updated} of {wanted - partition} replicas are updated")
    if status.get("updateRevision") != status.get("currentRevision"):
        return Progress(False, f"{updated} of {wanted} replicas are updated")
    return Progress(True, f"{wanted} of {wanted} replicas are ready")


def _daemon_set(workload: Object, status: Object) -> Progress:
    wanted, updated = count(status, "desiredNumberScheduled"), count(status, "updatedNumberScheduled")
    if updated < wanted:
        return Progress(False, f"{updated} of {wanted} pods are updated")
    return _available(count(status, "numberAvailable"), wanted)


def _available(available: int, wanted: int) -> Progress:
    return Progress(available >= wanted, f"{available} of {wanted} updated replicas are available")


_ROLLOUTS = {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}


def scaled(workload: Object, least: int) -> Progress:
    """Whether a workload has so many pods at least, and none above what it is to have."""
    wanted, status = wanted_replicas(workload), part(workload, "status")
    if wanted < least:
        return Progress(False, f"it is to have {wanted} replicas, and {least} soon")
    progress = rollout(workload)
    if progress.done and count(status, "replicas") > wanted:
        return Progress(False, f"{count(status, 'replicas') - wanted} replicas have still to end")
    return progress


# -- pods --------------------------------------------------------------------------------------------------------------


def selector_text(selector: Object) -> str:
    """A LabelSelector as the API takes it in a query.

    >>> selector_text({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]})
    'a=b,c in (d)'
    """
    said = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        match each["operator"]:
            case "In":
                said.append(f"{key} in ({values})")
            case "NotIn":
                said.append(f"{key} notin ({values})")
            case "Exists":
                said.append(key)
            case "DoesNotExist":
                said.append(f"!{key}")
    return ",".join(said)


def owned(items: Iterable[Object], owners: Iterable[Object]) -> list[Object]:
    """Those that one of `owners` controls: labels alone may also fit what belongs to others."""
    uids = {uid_of(owner) for owner in owners}
    return [
        item
        for item in items
        if any(
            each.get("controller") and each.get("uid") in uids for each in item["metadata"].get("ownerReferences") or ()
        )
    ]


def ailment(pod: Object, patience: float, now: float) -> str:
    """Why a pod counts as unhealthy; empty when it does not. One that ends already, or that no node takes, does not:
    another one in its place would fare no better."""
    if pod["metadata"].get("deletionTimestamp"):
        return ""
    status = part(pod, "status")
    if status.get("phase") == "Failed":
        return str(status.get("reason") or "Failed")
    for container in (*(part(status, "initContainerStatuses") or ()), *(part(status, "containerStatuses") or ())):
        reason = part(container, "state", "waiting").get("reason")
        if reason in _FAILING:
            return f"{reason} after {count(container, 'restartCount')} restarts"
    ready = _condition(pod, "Ready")
    if _condition(pod, "PodScheduled").get("status") == "False" or ready.get("status") != "False":
        return ""
    since = now - seconds_of(str(ready.get("lastTransitionTime") or ""), now)
    return f"not ready for {since:.0f} s" if since >= patience else ""


def is_ready(pod: Object) -> bool:
    """Whether it takes part in the service."""
    return _condition(pod, "Ready").get("status") == "True" and not pod["metadata"].get("deletionTimestamp")


def _condition(item: Object, kind: str) -> Object:
    return next((each for each in part(item, "status", "conditions") or () if each.get("type") == kind), {})


def seconds_of(text: str, otherwise: float) -> float:
    """Unix seconds of a timestamp of the API; `otherwise` when it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return otherwise


# -- revisions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a workload's template that the cluster still knows."""

    number: int
    name: str
    template: Object
    cause: str = ""


def revisions(items: Iterable[Object]) -> list[Revision]:
    """The revisions that ReplicaSets or ControllerRevisions hold, newest first."""
    return sorted((_revision(item) for item in items), key=lambda each: each.number, reverse=True)


def _revision(item: Object) -> Revision:
    notes = item["metadata"].get("annotations") or {}
    if "revision" in item:  # a ControllerRevision: its data is a patch that replaces the template
        template = {key: value for key, value in part(item, "data", "spec", "template").items() if key != "$patch"}
        return Revision(int(item["revision"]), name_of(item), template, notes.get(_CAUSE, ""))
    template = part(item, "spec", "template")
    labels = {key: value for key, value in part(template, "metadata", "labels").items() if key != _HASH}
    template = {**template, "metadata": {**template.get("metadata", {}), "labels": labels}}
    return Revision(int(notes.get(_REVISION) or 0), name_of(item), template, notes.get(_CAUSE, ""))


def present_revision(workload: Object, known: Sequence[Revision]) -> Revision | None:
    """The revision whose template the workload has now."""
    return next((each for each in known if each.template == part(workload, "spec", "template")), None)


def to_template(revision: Revision) -> list[Operation]:
    """What gives a workload the template of a revision, and the cause that was noted with it."""
    replaced: list[Operation] = [{"op": "replace", "path": "/spec/template", "value": revision.template}]
    return replaced + ([annotation(_CAUSE, revision.cause)] if revision.cause else [])


# -- what we write -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One change of ours: by which step's key, what was there before, and what is since."""

    key: str
    action: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    restored: bool = False


def changes(item: Object) -> tuple[Change, ...]:
    """Our changes that an object remembers, oldest first; none when somebody wrote something else there."""
    try:
        found = json.loads((item["metadata"].get("annotations") or {}).get(RECORD) or "[]")
        return tuple(Change(**each) for each in found)
    except (ValueError, TypeError):
        return ()


def change_by(item: Object, key: str) -> Change | None:
    """The change that the step of this key has made already."""
    return next((each for each in changes(item) if each.key == key), None)


def recorded(item: Object, change: Change) -> list[Operation]:
    """What adds a change to an object's record."""
    return _record((*changes(item), change))


def marked_restored(item: Object, keys: frozenset[str]) -> list[Operation]:
    """What notes that the changes of these keys were taken back."""
    return _record([replace(each, restored=each.restored or each.key in keys) for each in changes(item)])


def _record(kept: Sequence[Change]) -> list[Operation]:
    return [annotation(RECORD, json.dumps([asdict(each) for each in kept[-_REMEMBERED:]], sort_keys=True))]


def annotation(key: str, value: str, *, of: str = "/metadata") -> Operation:
    """What sets an annotation; the mapping must be there (`patch` sees to it)."""
    return {"op": "add", "path": f"{of}/annotations/{key.replace('~', '~0').replace('/', '~1')}", "value": value}


def patch(item: Object, operations: Sequence[Operation]) -> list[Operation]:
    """A JSON Patch for an object as it was read: if it was changed since, the server answers with a conflict."""
    version = {"op": "replace", "path": "/metadata/resourceVersion", "value": item["metadata"]["resourceVersion"]}
    # `add` to a mapping that is not there is an error of RFC 6902.
    absent = [
        {"op": "add", "path": f"{of}/annotations", "value": {}}
        for of, path in (("/metadata", ("metadata",)), ("/spec/template/metadata", ("spec", "template", "metadata")))
        if any(each["path"].startswith(f"{of}/annotations/") for each in operations)
        and not part(item, *path).get("annotations")
    ]
    return [version, *absent, *operations]

"""What a `kubernetes:` step does to a cluster: one function per action, each of which sees its effect through.

In: the step's parameters, the API, the key that stays the same when a step is given again. Out: `Done`. A change and the
note of it are one request that fails when somebody else was quicker; then it is decided anew on what is there now. A
step that is given again after a crash finds its own note, changes nothing, and goes on waiting.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aiprism.respond.actions.act import Done, Params
from aiprism.respond.actions.cluster.api import Api, Trouble
from aiprism.respond.actions.cluster.objects import (
    RESTARTED,
    Change,
    Object,
    Operation,
    Progress,
    Revision,
    ailment,
    annotation,
    change_by,
    changes,
    is_ready,
    marked_restored,
    name_of,
    owned,
    part,
    patch,
    present_revision,
    recorded,
    revisions,
    rollout,
    scaled,
    selector_text,
    to_template,
    uid_of,
    wanted_replicas,
)
from aiprism.respond.actions.deadline import OutOfTime

PLURALS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


class Settled(Exception):
    """There is nothing to change: all is well already, or it cannot be."""

    def __init__(self, ok: bool, words: str) -> None:
        super().__init__(words)
        self.ok = ok


@dataclass(frozen=True, slots=True)
class Job:
    """One step: its parameters, where it is carried out, and its limits."""

    params: Params
    api: Api
    key: str
    taken_back: str  # what the keys of the steps begin with whose changes `restore` takes back
    now: float
    most: int  # replicas that no step may go beyond

    @property
    def namespace(self) -> str:
        return str(self.params["namespace"])

    @property
    def workload(self) -> tuple[str, str]:
        kind, _, name = str(self.params["workload"]).partition("/")
        return kind, name

    @property
    def called(self) -> str:
        return f"{self.params['workload']} in {self.namespace}"

    @property
    def path(self) -> str:
        kind, name = self.workload
        return f"{self.apps(PLURALS[kind])}/{name}"

    def apps(self, plural: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{plural}"

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def node(self) -> str:
        return f"/api/v1/nodes/{self.params['node']}"

    def number(self, name: str) -> int | None:
        found = self.params.get(name)
        return None if found is None else int(str(found))


Move: TypeAlias = Callable[[Job], Awaitable[Done]]


# -- changing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, what it replaces, and what is there then."""

    operations: Sequence[Operation]
    words: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


Decide: TypeAlias = Callable[[Object], Plan]
"""The plan for an object as it is now; raises Settled when there is nothing to do."""


async def _change(job: Job, path: str, decide: Decide) -> tuple[Change, str]:
    """The change, made now or by this very step before it was cut off, and what it is in words."""
    while True:
        found = await job.api.get(path)
        if earlier := change_by(found, job.key):
            return earlier, "it was changed before the step was cut off"
        plan = decide(found)
        change = Change(job.key, str(job.params["action"]), plan.before, plan.after)
        try:
            await job.api.patch(path, patch(found, [*plan.operations, *recorded(found, change)]))
            return change, plan.words
        except Trouble as trouble:
            if not trouble.again:
                raise
            # Also when no answer came: whether it took effect is in the object, which is read anew.
            await job.api.deadline.pause(str(trouble), trouble.wait)


async def _until(job: Job, path: str, judge: Callable[[Object], Progress]) -> str:
    """Wait until an object is as it should be; Settled when that will never be."""
    while True:
        found = await job.api.get(path)
        progress = judge(found)
        if progress.done:
            return progress.words
        if progress.failed:
            raise Settled(False, f"{job.called}: {progress.words}")
        await job.api.deadline.pause(progress.words)


async def _rolled_out(job: Job, change: Change, words: str) -> Done:
    data = {"before": change.before, "after": change.after}
    if job.api.dry_run:
        return Done(True, f"dry run: {job.called}: {words}", data)
    return await _waited(job, words, data, rollout)


async def _waited(job: Job, words: str, data: Mapping[str, object], judge: Callable[[Object], Progress]) -> Done:
    """The outcome once the workload is as `judge` wants it; what was changed is told however the wait ends."""
    try:
        progress = await _until(job, job.path, judge)
        return Done(True, f"{job.called}: {words}; {progress}", data)
    except OutOfTime as over:
        return Done(False, f"{job.called}: {words}, but in the step's time: {over}", data)
    except Settled as settled:
        return Done(False, f"{words}, but {settled}", data)


# -- rollouts ----------------------------------------------------------------------------------------------------------


async def restart(job: Job) -> Done:
    """Every pod is replaced, as the workload's own strategy has it."""
    at = datetime.fromtimestamp(job.now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def decide(workload: Object) -> Plan:
        _not_paused(workload)
        operation = annotation(RESTARTED, at, of="/spec/template/metadata")
        return Plan([operation], "restarted", {}, {"restartedAt": at})

    return await _rolled_out(job, *await _change(job, job.path, decide))


async def set_image(job: Job) -> Done:
    """A container of the workload runs another image."""
    container, image = str(job.params["container"]), str(job.params["image"])

    def decide(workload: Object) -> Plan:
        before = _image_of(workload, container)
        if before == image:
            raise Settled(True, f"{job.called}: {container} has image {image} already")
        said = f"image of {container} changed from {before} to {image}"
        return Plan(_with_image(workload, container, image), said, {"images": {container: before}}, {
            "images": {container: image}
        })  # fmt: skip

    return await _rolled_out(job, *await _change(job, job.path, decide))


async def undo(job: Job) -> Done:
    """The workload has the template of its previous revision again, or of the one named."""
    known = await _revisions(job)

    def decide(workload: Object) -> Plan:
        _not_paused(workload)
        present = present_revision(workload, known)
        wanted = _revision_wanted(job, workload, known, present)
        if wanted is present:
            raise Settled(True, f"{job.called} is at revision {wanted.number} already")
        came = "" if present is None else present.name
        number = "an unknown revision" if present is None else f"revision {present.number}"
        said = f"back from {number} to revision {wanted.number}"
        return Plan(to_template(wanted), said, {"revision": came}, {"revision": wanted.name})

    return await _rolled_out(job, *await _change(job, job.path, decide))


async def _revisions(job: Job) -> list[Revision]:
    workload = await job.api.get(job.path)
    plural = "replicasets" if job.workload[0] == "deployment" else "controllerrevisions"
    items = await job.api.listed(job.apps(plural), selector_text(part(workload, "spec", "selector")))
    return revisions(owned(items, [workload]))


def _revision_wanted(job: Job, workload: Object, known: Sequence[Revision], present: Revision | None) -> Revision:
    number = job.number("revision")
    if number is not None:
        named = next((each for each in known if each.number == number), None)
        if named is None:
            there = ", ".join(str(each.number) for each in known) or "none"
            raise Settled(False, f"{job.called} has no revision {number}; known are {there}")
        return named
    # As kubectl does it: the newest but one.
    earlier = [each for each in known if each is not present]
    if not earlier:
        raise Settled(False, f"{job.called} has no earlier revision to go back to")
    # After an undo the newest but one is what was undone: a second one would bring the bad release back.
    undone = {each.before.get("revision") for each in changes(workload) if each.action == "undo" and not each.restored}
    if earlier[0].name in undone:
        raise Settled(
            False,
            f"{job.called}: revision {earlier[0].number} came before, and was undone by aiprism already; "
            "name a revision to go back to",
        )
    return earlier[0]


def _not_paused(workload: Object) -> None:
    if part(workload, "spec").get("paused"):
        raise Settled(False, f"deployment {name_of(workload)} is paused: kubectl rollout resume lets it go on")


def _image_of(workload: Object, container: str) -> str:
    return str(_containers(workload)[_place(workload, container)].get("image"))


def _with_image(workload: Object, container: str, image: str) -> list[Operation]:
    path = f"/spec/template/spec/containers/{_place(workload, container)}/image"
    return [{"op": "replace", "path": path, "value": image}]


def _containers(workload: Object) -> list[Object]:
    return list(part(workload, "spec", "template", "spec", "containers") or ())


def _place(workload: Object, container: str) -> int:
    names = [str(each.get("name")) for each in _containers(workload)]
    if container not in names:
        raise Settled(False, f"{name_of(workload)} has no container {container!r}; it has {', '.join(names)}")
    return names.index(container)


# -- scale -------------------------------------------------------------------------------------------------------------


async def scale(job: Job) -> Done:
    """The workload has so many replicas; where an autoscaler owns that number, its lower bound is set instead."""
    autoscaler = await _autoscaler(job)
    if autoscaler is not None:
        return await _scale_by_autoscaler(job, autoscaler)

    def decide(workload: Object) -> Plan:
        before = wanted_replicas(workload)
        target = _target(job, before)
        if target == before:
            raise Settled(True, f"{job.called} has {before} replicas already")
        operation = {"op": "add", "path": "/spec/replicas", "value": target}
        said = f"scaled from {before} to {target}"
        return Plan([operation], said, {"replicas": before}, {"replicas": target})

    change, words = await _change(job, job.path, decide)
    data = {"before": change.before, "after": change.after}
    if job.api.dry_run:
        return Done(True, f"dry run: {job.called}: {words}", data)
    return await _waited(job, words, data, lambda workload: scaled(workload, 0))


def _target(job: Job, before: int) -> int:
    """How many replicas the step asks for; Settled when that is more than there may be."""
    wanted, factor = job.number("replicas"), job.params.get("factor")
    most = min(job.most, job.number("max") or job.most)
    if wanted is None:
        wanted = min(math.ceil(before * float(str(factor))), most)
        if wanted <= before < math.ceil(before * float(str(factor))):
            raise Settled(False, f"{job.called} has {before} replicas, and this step may give it {most} at most")
    if wanted > most:
        raise Settled(False, f"{job.called}: {wanted} replicas are more than the {most} it may have")
    return wanted


async def _scale_by_autoscaler(job: Job, autoscaler: Object) -> Done:
    workload, name = await job.api.get(job.path), name_of(autoscaler)
    target = 0

    def decide(found: Object) -> Plan:
        nonlocal target
        least, most = _bounds(found)
        target = min(_target(job, wanted_replicas(workload)), most)
        if target < 1:
            raise Settled(False, f"{job.called}: autoscaler {name} keeps one replica at least, so it cannot go to 0")
        if target == least:
            raise Settled(True, f"{job.called}: autoscaler {name} keeps {least} replicas at least already")
        said = f"autoscaler {name} owns its replicas: at least {target} of them now (before: {least})"
        return Plan(_with_bounds(target, most), said, {"min": least, "max": most}, {"min": target, "max": most})

    change, words = await _change(job, _autoscaler_path(job, name), decide)
    data = {"autoscaler": name, "before": change.before, "after": change.after}
    if job.api.dry_run:
        return Done(True, f"dry run: {job.called}: {words}", data)
    # How far down it goes is the autoscaler's to say: only what it must add is waited for.
    least = int(change.after["min"])
    return await _waited(job, words, data, lambda found: scaled(found, least))


async def autoscale(job: Job) -> Done:
    """The workload's autoscaler has other bounds."""
    autoscaler = await _autoscaler(job)
    if autoscaler is None:
        return Done(False, f"{job.called} has no HorizontalPodAutoscaler")
    name = name_of(autoscaler)

    def decide(found: Object) -> Plan:
        before = _bounds(found)
        least, most = job.number("min_replicas") or before[0], job.number("max_replicas") or before[1]
        if most > job.most:
            raise Settled(False, f"{job.called}: {most} replicas are more than the {job.most} it may have")
        if least > most:
            raise Settled(False, f"autoscaler {name}: at least {least} replicas is more than its at most {most}")
        if (least, most) == before:
            raise Settled(True, f"autoscaler {name} has {least} to {most} replicas already")
        said = f"autoscaler {name} has {least} to {most} replicas (before: {before[0]} to {before[1]})"
        return Plan(_with_bounds(least, most), said, _as_bounds(before), _as_bounds((least, most)))

    change, words = await _change(job, _autoscaler_path(job, name), decide)
    data = {"autoscaler": name, "before": change.before, "after": change.after}
    if job.api.dry_run:
        return Done(True, f"dry run: {job.called}: {words}", data)
    least = int(change.after["min"])
    return await _waited(job, words, data, lambda found: scaled(found, least))


async def _autoscaler(job: Job) -> Object | None:
    """The HorizontalPodAutoscaler whose target the workload is; None when there is none."""
    kind, name = job.workload
    for each in await job.api.listed(_autoscaler_path(job, "")):
        target = part(each, "spec", "scaleTargetRef")
        if (target.get("kind"), target.get("name")) == (_KINDS[kind], name):
            return each
    return None


def _autoscaler_path(job: Job, name: str) -> str:
    return f"/apis/autoscaling/v2/namespaces/{job.namespace}/horizontalpodautoscalers" + (f"/{name}" if name else "")


def _bounds(autoscaler: Object) -> tuple[int, int]:
    spec = part(autoscaler, "spec")
    return int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])


def _as_bounds(bounds: tuple[int, int]) -> Mapping[str, int]:
    return {"min": bounds[0], "max": bounds[1]}


def _with_bounds(least: int, most: int) -> list[Operation]:
    return [
        {"op": "add", "path": "/spec/minReplicas", "value": least},
        {"op": "replace", "path": "/spec/maxReplicas", "value": most},
    ]


# -- pods --------------------------------------------------------------------------------------------------------------


async def delete_pods(job: Job) -> Done:
    """Unhealthy pods of the workload are evicted, so that their controller makes new ones, and are gone."""
    pods = await _pods(job)
    sick = {
        name_of(pod): why for pod in pods if (why := ailment(pod, float(str(job.params["unhealthy_for"])), job.now))
    }
    chosen = {name_of(pod): uid_of(pod) for pod in pods if name_of(pod) in sick}
    most = _most_pods(job, len(pods))

    def decide(workload: Object) -> Plan:
        if not chosen:
            raise Settled(True, f"{job.called}: none of its {len(pods)} pods is unhealthy")
        taken = dict(sorted(chosen.items())[:most])
        said = ", ".join(f"{name} ({sick[name]})" for name in taken)
        left = f"; {len(chosen) - len(taken)} more are left for now" if len(chosen) > len(taken) else ""
        return Plan([], f"evicted {said}{left}", {}, {"pods": taken})

    # Which pods they are is noted first: a step that is given again evicts these, and none that came since.
    change, words = await _change(job, job.path, decide)
    taken: Mapping[str, str] = change.after["pods"]
    for name, uid in taken.items():
        await _evict(job, name, uid)
    if job.api.dry_run:
        return Done(True, f"dry run: {job.called}: {words}", {"pods": dict(taken)})
    there = await _gone(job, frozenset(taken.values()))
    ready = f"{sum(map(is_ready, there))} of its {len(there)} pods are ready"
    return Done(True, f"{job.called}: {words}; {ready}", {"pods": dict(taken)})


async def _pods(job: Job) -> list[Object]:
    workload = await job.api.get(job.path)
    selector = selector_text(part(workload, "spec", "selector"))
    pods = await job.api.listed(job.pods, selector)
    if job.workload[0] != "deployment":
        return owned(pods, [workload])
    return owned(pods, owned(await job.api.listed(job.apps("replicasets"), selector), [workload]))


def _most_pods(job: Job, pods: int) -> int:
    share = job.params.get("max_share")
    of_share = pods if share is None else max(1, math.floor(pods * float(str(share))))
    return min(job.number("max") or (1 if share is None else pods), of_share)


async def _evict(job: Job, name: str, uid: str) -> None:
    """Evict one pod, as soon as its PodDisruptionBudget allows; OutOfTime says which one does not."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": job.namespace},
        # Of a StatefulSet the next pod has the same name.
        "deleteOptions": {"preconditions": {"uid": uid}},
    }
    while True:
        try:
            await job.api.post(f"{job.pods}/{name}/eviction", body)
            return
        except Trouble as trouble:
            if trouble.status == 404 or (trouble.status == 409 and not await _is_there(job, name, uid)):
                return
            if not trouble.again:
                raise
            await job.api.deadline.pause(f"pod {name} may not be evicted: {trouble}", trouble.wait)


async def _is_there(job: Job, name: str, uid: str) -> bool:
    try:
        return uid_of(await job.api.get(f"{job.pods}/{name}")) == uid
    except Trouble as trouble:
        if trouble.status == 404:
            return False
        raise


async def _gone(job: Job, uids: frozenset[str]) -> list[Object]:
    """The pods that are there once those of `uids` are not."""
    while True:
        there = await _pods(job)
        left = [name_of(pod) for pod in there if uid_of(pod) in uids]
        if not left:
            return there
        await job.api.deadline.pause(f"{', '.join(left)} evicted, but not gone yet")


# -- nodes -------------------------------------------------------------------------------------------------------------


async def cordon(job: Job) -> Done:
    """No new pod is put on the node."""
    nodes = await job.api.listed("/api/v1/nodes")
    shut = sorted(name_of(each) for each in nodes if part(each, "spec").get("unschedulable"))
    most = job.number("max") or 1

    def decide(node: Object) -> Plan:
        if not part(node, "spec").get("unschedulable") and len(shut) >= most:
            raise Settled(False, f"{', '.join(shut)} cordoned already, and {most} nodes may be at most (max)")
        return _schedulable(node, False)

    return await _noded(job, decide)


async def uncordon(job: Job) -> Done:
    """New pods may be put on the node again."""
    return await _noded(job, lambda node: _schedulable(node, True))


def _schedulable(node: Object, wanted: bool) -> Plan:
    word = "uncordoned" if wanted else "cordoned"
    if bool(part(node, "spec").get("unschedulable")) is not wanted:
        raise Settled(True, f"node {name_of(node)} is {word} already")
    operation = {"op": "add", "path": "/spec/unschedulable", "value": not wanted}
    return Plan([operation], word, {"unschedulable": wanted}, {"unschedulable": not wanted})


async def _noded(job: Job, decide: Decide) -> Done:
    change, words = await _change(job, job.node, decide)
    dry = "dry run: " if job.api.dry_run else ""
    return Done(True, f"{dry}node {job.params['node']}: {words}", {"before": change.before, "after": change.after})


# -- taking back -------------------------------------------------------------------------------------------------------


async def restore(job: Job) -> Done:
    """What earlier steps, of the same run unless one is named, changed of a workload, its autoscaler or a node is as before."""
    if job.params.get("node"):
        words = await _restored(job, job.node, [])
        return Done(True, f"node {job.params['node']}: {words}")
    known = await _revisions(job)
    autoscaler = await _autoscaler(job)
    said = [await _restored(job, job.path, known)]
    if autoscaler is not None:
        said.append(f"its autoscaler: {await _restored(job, _autoscaler_path(job, name_of(autoscaler)), known)}")
    words = "; ".join(said)
    if job.api.dry_run:
        return Done(True, f"dry run: {job.called}: {words}")
    return await _waited(job, words, {}, lambda workload: scaled(workload, 0))


async def _restored(job: Job, path: str, known: Sequence[Revision]) -> str:
    while True:
        found = await job.api.get(path)
        ours = [each for each in changes(found) if each.key.startswith(job.taken_back) and not each.restored]
        if not ours:
            return "nothing is left to take back"
        operations: list[Operation] = []
        said = []
        for change in _combined(ours):
            undoing, words = _undoing(found, change, known)
            operations += undoing
            said.append(words)
        operations += marked_restored(found, frozenset(each.key for each in ours))
        try:
            await job.api.patch(path, patch(found, operations))
            return ", ".join(said)
        except Trouble as trouble:
            if not trouble.again:
                raise
            await job.api.deadline.pause(str(trouble), trouble.wait)


def _combined(ours: Sequence[Change]) -> list[Change]:
    """One change for each thing that was changed, from what it was at first to what it is since the last of them."""
    found: dict[tuple[str, ...], Change] = {}
    for change in ours:
        images = change.before.get("images") or {}
        thing = (*sorted(change.before), *images)
        found[thing] = replace(found.get(thing, change), after=change.after)
    return list(found.values())


def _undoing(found: Object, change: Change, known: Sequence[Revision]) -> tuple[list[Operation], str]:
    """What takes a change back, and in words; nothing when somebody else has changed the same since."""
    if not change.before:
        return [], f"{change.action} has nothing to take back"
    present, back = _present(found, change, known)
    if present != change.after:
        return [], f"{change.action} is left as it is: somebody has changed it since"
    return back, f"{change.action} taken back"


def _present(found: Object, change: Change, known: Sequence[Revision]) -> tuple[Mapping[str, Any], list[Operation]]:
    """What is there now of what a change speaks of, and what would bring its `before` back."""
    before = change.before
    if "replicas" in before:
        return {"replicas": wanted_replicas(found)}, [
            {"op": "add", "path": "/spec/replicas", "value": before["replicas"]}
        ]
    if "min" in before:
        return _as_bounds(_bounds(found)), _with_bounds(before["min"], before["max"])
    if "unschedulable" in before:
        return {"unschedulable": bool(part(found, "spec").get("unschedulable"))}, [
            {"op": "add", "path": "/spec/unschedulable", "value": before["unschedulable"]}
        ]
    if "images" in before:
        [(container, image)] = before["images"].items()
        return {"images": {container: _image_of(found, container)}}, _with_image(found, container, image)
    if "revision" in before:
        present = present_revision(found, known)
        wanted = next((each for each in known if each.name == before["revision"]), None)
        now = {"revision": present.name if present else ""}
        return (now, to_template(wanted)) if wanted else ({}, [])
    return {}, []


MOVES: Mapping[str, Move] = {
    "delete_pods": delete_pods,
    "scale": scale,
    "autoscale": autoscale,
    "restart": restart,
    "undo": undo,
    "set_image": set_image,
    "cordon": cordon,
    "uncordon": uncordon,
    "restore": restore,
}

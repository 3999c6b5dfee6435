"""A double of the Kubernetes API server and the controllers behind it, as far as `kubernetes:` steps go.

It speaks the documented protocol over real HTTP: JSON Patch (RFC 6902), conflicts by resourceVersion, generation and
observedGeneration, dryRun=All, label selectors, pages, evictions with PodDisruptionBudgets, Status objects for errors.
`step` lets the controllers act once: Deployments roll by one pod at a time over ReplicaSets with revisions, StatefulSets
replace their pods from the last, autoscalers keep their lower bound. No kube-apiserver can be installed here.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from datetime import UTC, datetime
from urllib.parse import unquote

from aiprism.clock import FakeClock
from tests.webserver import Answer, Asked

REVISION = "deployment.kubernetes.io/revision"
_DEADLINE = 20  # steps without a new ready pod after which a Deployment gives up


class Refused(Exception):
    def __init__(self, code, reason, message, details=None, headers=None):
        super().__init__(message)
        self.answer = Answer(
            {
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                "message": message, "details": details or {},
            },
            code,
            headers or {},
        )  # fmt: skip


class ApiServer:
    """The cluster's state, by path; `broken` images crash, `denied` are (verb, resource) the role lacks."""

    def __init__(self, clock):
        self.clock, self.objects = clock, {}
        self.broken, self.denied = set(), set()
        self.used = set()  # (group, resource, verb) of what was asked
        self.before = []  # called with each request before it is served; may raise Refused, or change the state
        self.writes = []  # (method, path) of the changes that took effect
        self._versions, self._uids, self._names = itertools.count(100), itertools.count(1), itertools.count(1)
        self._stuck = {}

    # -- what tests say and see ----------------------------------------------------------------------------------------

    def put(self, path, kind, spec=None, *, labels=None, annotations=None, owner=None, **more):
        name = path.rpartition("/")[2]
        meta = {"name": name, "uid": f"uid-{next(self._uids)}", "generation": 1, "labels": labels or {}}
        meta["resourceVersion"] = str(next(self._versions))
        if "/namespaces/" in path:
            meta["namespace"] = path.split("/namespaces/")[1].split("/")[0]
        if annotations:
            meta["annotations"] = annotations
        if owner:
            meta["ownerReferences"] = [
                {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
            ]  # fmt: skip
        self.objects[path] = {"kind": kind, "metadata": meta, **({"spec": spec} if spec is not None else {}), **more}
        return self.objects[path]

    def workload(self, path, kind="Deployment", replicas=3, image="shop/api:1"):
        name = path.rpartition("/")[2]
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": name, "image": image}], "aFieldNewerThanUs": {"kept": True}},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        self.put(path, kind, spec, status={})
        self.settle()
        return self.objects[path]

    def settle(self):
        """Let the controllers act until there is nothing left to do."""
        for _ in range(200):
            before = json.dumps(self.objects, sort_keys=True)
            self.step()
            if json.dumps(self.objects, sort_keys=True) == before:
                return
        raise AssertionError("the controllers do not come to rest")

    def pods(self, ready=None):
        found = [item for item in self.objects.values() if item["kind"] == "Pod"]
        return [pod for pod in found if ready is None or _ready(pod) is ready]

    def touch(self, path):
        """Somebody else writes the object."""
        self.objects[path]["metadata"]["resourceVersion"] = str(next(self._versions))

    # -- the protocol --------------------------------------------------------------------------------------------------

    def answer(self, asked: Asked):
        try:
            for each in self.before:
                each(asked)
            return self._answer(asked, unquote(asked.path))
        except Refused as refused:
            return refused.answer

    def _answer(self, asked, path):
        group, resource, name, sub = _parts(path)
        verb = {"GET": "get" if name else "list", "PATCH": "patch", "POST": "create"}[asked.method]
        said = f"{resource}/{sub}" if sub else resource
        self.used.add((group, said, verb))
        if (verb, said) in self.denied:
            raise Refused(
                403, "Forbidden",
                f'{said} "{name}" is forbidden: User "aiprism" cannot {verb} resource "{said}" in API group "{group}"',
            )  # fmt: skip
        if asked.method == "POST" and sub == "eviction":
            return self._evict(path.removesuffix("/eviction"), json.loads(asked.body), dry=_dry(asked))
        if not name:
            return self._list(path, asked.query)
        if path not in self.objects:
            raise Refused(404, "NotFound", f'{resource} "{name}" not found')
        if asked.method == "GET":
            return Answer(self.objects[path])
        return self._patch(path, asked)

    def _list(self, path, query):
        fits = _selector(query.get("labelSelector", ""))
        found = [
            item
            for each, item in sorted(self.objects.items())
            if each.rpartition("/")[0] == path and fits(item["metadata"].get("labels", {}))
        ]
        # Two a page, whatever is asked: the API may always answer with fewer.
        start = int(query.get("continue", 0))
        more = {"continue": str(start + 2)} if start + 2 < len(found) else {}
        page = [{key: value for key, value in item.items() if key != "kind"} for item in found[start : start + 2]]
        return Answer({"kind": "List", "metadata": more, "items": page})

    def _patch(self, path, asked):
        if asked.headers["content-type"] != "application/json-patch+json":
            raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        held = self.objects[path]
        new = _patched(held, json.loads(asked.body))
        if new["metadata"]["resourceVersion"] != held["metadata"]["resourceVersion"]:
            raise Refused(
                409, "Conflict", "Operation cannot be fulfilled: the object has been modified; please apply your changes to"
                " the latest version and try again",
            )  # fmt: skip
        if new.get("spec") != held.get("spec"):
            new["metadata"]["generation"] += 1
        if not _dry(asked):
            new["metadata"]["resourceVersion"] = str(next(self._versions))
            self.objects[path] = new
            self.writes.append(("PATCH", path))
        return Answer(new)

    def _evict(self, path, body, *, dry):
        pod = self.objects.get(path)
        if pod is None:
            raise Refused(404, "NotFound", "pod not found")
        wanted = body["deleteOptions"]["preconditions"]["uid"]
        if wanted != pod["metadata"]["uid"]:
            raise Refused(409, "Conflict", f"Precondition failed: UID in precondition: {wanted}")
        for budget in (item for item in self.objects.values() if item["kind"] == "PodDisruptionBudget"):
            fits = budget["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
            same = [each for each in self.pods(ready=True) if each["metadata"]["labels"] == pod["metadata"]["labels"]]
            needs = budget["spec"]["minAvailable"]
            # As IfHealthyBudget: a pod that is not ready may go while enough others are.
            if fits and (len(same) - 1 if _ready(pod) else len(same)) < needs:
                name = budget["metadata"]["name"]
                said = f"The disruption budget {name} needs {needs} healthy pods and has {len(same)} currently"
                raise Refused(
                    429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
                    {"causes": [{"reason": "DisruptionBudget", "message": said}]}, {"Retry-After": "10"},
                )  # fmt: skip
        if not dry:
            pod["metadata"]["deletionTimestamp"] = self.stamp()
            self.writes.append(("EVICT", path))
        return Answer({"kind": "Status", "status": "Success"}, 201)

    # -- the controllers -----------------------------------------------------------------------------------------------

    def stamp(self, ago=0.0):
        return datetime.fromtimestamp(self.clock.now() - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def step(self):
        for path, item in list(self.objects.items()):
            if item["kind"] == "HorizontalPodAutoscaler":
                self._autoscale(path, item)
        for path in [path for path, item in self.objects.items() if item["kind"] == "Pod"]:
            self._kubelet(path)
        for path, item in list(self.objects.items()):
            if item["kind"] == "Deployment":
                self._deployment(path, item)
            if item["kind"] == "StatefulSet":
                self._stateful_set(path, item)

    def _autoscale(self, path, item):
        target = item["spec"]["scaleTargetRef"]
        apps = path.replace("/apis/autoscaling/v2/", "/apis/apps/v1/").rpartition("/")[0].rpartition("/")[0]
        spec = self.objects[f"{apps}/{target['kind'].lower()}s/{target['name']}"]
        wanted = max(spec["spec"]["replicas"], item["spec"]["minReplicas"])
        if wanted != spec["spec"]["replicas"]:
            spec["spec"]["replicas"] = wanted
            spec["metadata"]["generation"] += 1
            spec["metadata"]["resourceVersion"] = str(next(self._versions))

    def _kubelet(self, path):
        pod = self.objects[path]
        if "deletionTimestamp" in pod["metadata"]:
            del self.objects[path]
        elif "status" not in pod or not pod["status"]["conditions"]:
            broken = pod["spec"]["containers"][0]["image"] in self.broken
            ready = {"type": "Ready", "status": "False" if broken else "True", "lastTransitionTime": self.stamp()}
            state = {"waiting": {"reason": "CrashLoopBackOff"}} if broken else {"running": {}}
            pod["status"] = {"conditions": [ready], "containerStatuses": [{"state": state, "restartCount": 4 * broken}]}

    def _deployment(self, path, item):
        apps, spec = path.rpartition("/")[0].rpartition("/")[0], item["spec"]
        sets = [each for each in self.objects.values() if each["kind"] == "ReplicaSet" and _owner(each) == _uid(item)]
        newest = max([int(each["metadata"]["annotations"][REVISION]) for each in sets], default=0)
        new = next((each for each in sets if _without_hash(each["spec"]["template"]) == spec["template"]), None)
        if new is None:
            named = f"{item['metadata']['name']}-{next(self._names)}"
            template = copy.deepcopy(spec["template"])
            template["metadata"]["labels"]["pod-template-hash"] = named
            notes = {REVISION: str(newest + 1)}
            new = self.put(
                f"{apps}/replicasets/{named}", "ReplicaSet", {"template": template},
                labels=template["metadata"]["labels"], annotations=notes, owner=item,
            )  # fmt: skip
        elif int(new["metadata"]["annotations"][REVISION]) < newest:
            new["metadata"]["annotations"][REVISION] = str(newest + 1)
        pods = {each["metadata"]["uid"]: self._pods_of(each) for each in [*sets, new]}
        mine = pods[_uid(new)]
        old = [pod for uid, found in pods.items() if uid != _uid(new) for pod in found]
        if len(mine) > spec["replicas"]:
            self._end(mine[-1])
        elif len(mine) < spec["replicas"] and len(mine) + len(old) <= spec["replicas"]:  # one more than wanted, at most
            self._start(new, new["spec"]["template"])
        elif old and sum(map(_ready, mine)) + sum(map(_ready, old)) > spec["replicas"]:
            self._end(next((pod for pod in old if not _ready(pod)), old[0]))
        elif old and (sick := [pod for pod in old if not _ready(pod)]):
            self._end(sick[0])
        self._deployment_status(path, item, new)

    def _deployment_status(self, path, item, new):
        sets = [each for each in self.objects.values() if each["kind"] == "ReplicaSet" and _owner(each) == _uid(item)]
        mine, all_ = self._pods_of(new), [pod for each in sets for pod in self._pods_of(each)]
        available = sum(map(_ready, all_))
        complete = len(mine) == len(all_) == available == item["spec"]["replicas"]
        generation, waited = item["metadata"]["generation"], self._stuck.get(path, (0, 0))
        self._stuck[path] = (generation, 0 if complete or waited[0] != generation else waited[1] + 1)
        late = self._stuck[path][1] > _DEADLINE
        reason = "ProgressDeadlineExceeded" if late else "NewReplicaSetAvailable"
        item["status"] = {
            "observedGeneration": generation, "replicas": len(all_), "updatedReplicas": len(mine),
            "readyReplicas": available, "availableReplicas": available,
            "conditions": [{"type": "Progressing", "status": str(not late), "reason": reason,
                            "message": "ReplicaSet has timed out progressing." if late else ""}],
        }  # fmt: skip

    def _stateful_set(self, path, item):
        apps, spec, name = path.rpartition("/")[0].rpartition("/")[0], item["spec"], item["metadata"]["name"]
        held = [
            each
            for each in self.objects.values()
            if each["kind"] == "ControllerRevision" and _owner(each) == _uid(item)
        ]
        data = {"spec": {"template": {**spec["template"], "$patch": "replace"}}}
        now = next((each for each in held if each["data"] == data), None)
        newest = max([each["revision"] for each in held], default=0)
        if now is None:
            made = f"{apps}/controllerrevisions/{name}-{next(self._names)}"
            now = self.put(
                made, "ControllerRevision", labels=spec["template"]["metadata"]["labels"], owner=item,
                data=copy.deepcopy(data), revision=newest + 1,
            )  # fmt: skip
        elif now["revision"] < newest:
            now["revision"] = newest + 1
        pods = {pod["metadata"]["name"]: pod for pod in self._pods_of(item)}
        called = [f"{name}-{at}" for at in range(spec["replicas"])]
        stale = [each for each in called if each in pods and pods[each]["spec"] != spec["template"]["spec"]]
        if all(map(_ready, pods.values())):
            missing = [each for each in called if each not in pods]
            if missing:
                self._start(item, spec["template"], missing[0])
            elif len(pods) > len(called):
                self._end(pods[f"{name}-{len(pods) - 1}"])
            elif stale:
                self._end(pods[stale[-1]])
        ready = sum(map(_ready, pods.values()))
        done = len(pods) == ready == len(called) and not stale
        item["status"] = {
            "observedGeneration": item["metadata"]["generation"], "replicas": len(pods), "readyReplicas": ready,
            "updatedReplicas": len(pods) - len(stale), "updateRevision": now["metadata"]["name"],
            "currentRevision": now["metadata"]["name"] if done else "",
        }  # fmt: skip

    def _pods_of(self, owner):
        return [pod for pod in self.pods() if _owner(pod) == _uid(owner) and "deletionTimestamp" not in pod["metadata"]]

    def _start(self, owner, template, name=""):
        space = owner["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{space}/pods/{name or owner['metadata']['name'] + f'-{next(self._names)}'}"
        if path not in self.objects:
            self.put(path, "Pod", copy.deepcopy(template["spec"]), labels=template["metadata"]["labels"], owner=owner,
                     status={"conditions": []})  # fmt: skip

    def _end(self, pod):
        pod["metadata"]["deletionTimestamp"] = self.stamp()


class Ticking(FakeClock):
    """A clock on which nobody waits: whoever sleeps moves it on, and the controllers act meanwhile."""

    cluster: ApiServer | None = None

    async def sleep(self, seconds):
        self._now += seconds
        if self.cluster is not None:
            self.cluster.step()


def _parts(path):
    """(group, resource, name, subresource) of an address."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    rest = rest[2:] if rest[0] == "namespaces" and len(rest) > 2 else rest
    return (group, *rest, "", "", "")[:4]


def _dry(asked):
    return asked.query.get("dryRun") == "All"


def _uid(item):
    return item["metadata"]["uid"]


def _owner(item):
    return next((each["uid"] for each in item["metadata"].get("ownerReferences", ())), "")


def _ready(pod):
    conditions = pod.get("status", {}).get("conditions", ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _without_hash(template):
    found = copy.deepcopy(template)
    found["metadata"]["labels"].pop("pod-template-hash", None)
    return found


def _selector(text):
    """A label selector, as the documentation of labels has it."""
    wanted = re.findall(r"([\w./-]+)(=| in | notin )\(?([^),=]*(?:,[^),=]*(?=\)))*)\)?(?:,|$)", text)
    tests = {
        "=": lambda value, given: value == given,
        " in ": lambda value, given: value in given.split(","),
        " notin ": lambda value, given: value not in given.split(","),
    }
    return lambda labels: all(tests[how](labels.get(key), given) for key, how, given in wanted)


def _patched(item, operations):
    """RFC 6902: `add` needs its parent, `replace` its target."""
    new = copy.deepcopy(item)
    for each in operations:
        *above, last = [part.replace("~1", "/").replace("~0", "~") for part in each["path"].split("/")[1:]]
        parent = new
        for part in above:
            parent = parent[int(part)] if isinstance(parent, list) else parent.get(part)
            if parent is None:
                raise Refused(422, "Invalid", f"the server rejected our request: {each['path']}: no such parent")
        if each["op"] == "replace" and last not in parent:
            raise Refused(422, "Invalid", f"the server rejected our request: {each['path']} does not exist")
        parent[last] = copy.deepcopy(each["value"])
    return new

"""`kubernetes:` steps, against a double of the API server with its controllers (tests/respond/apiserver.py)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from aiprism import yamlfile
from aiprism.config import KubernetesConfig
from aiprism.errors import BadInput, ConfigError
from aiprism.respond.actions import kubernetes
from aiprism.respond.actions.act import Order, Past
from aiprism.respond.actions.cluster.objects import RECORD, RESTARTED, changes, rollout
from tests.respond.apiserver import REVISION, ApiServer, Refused, Ticking
from tests.respond.making import T0
from tests.webserver import Asked, serving

APPS = "/apis/apps/v1/namespaces/shop"
API = f"{APPS}/deployments/api"
DB = f"{APPS}/statefulsets/db"
HPA = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/api"
BUDGET = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/api"


@pytest.fixture
def cluster():
    clock = Ticking(T0)
    found = ApiServer(clock)
    clock.cluster = found
    found.workload(API)
    return found


def step(cluster, text, *, key="RUN_1_0", timeout=120.0, undoes=None, **settings):
    """What becomes of the step `text` (its parameters, as in a runbook)."""
    params = kubernetes.read(yamlfile.parse(text))

    async def act():
        async with serving(cluster.answer) as server:
            given = {"api_server": server.url, "namespaces": ("shop",), "nodes": True, **settings}
            actuator = kubernetes.Kubernetes(KubernetesConfig(**given), Path(), cluster.clock)
            return await actuator.act(Order(params, key, timeout, "runbook:x for INC_1", undoes))

    return asyncio.run(act())


def on_api(text):
    return f"{{namespace: shop, workload: deployment/api, {text}}}"


def release(cluster, image):
    """Somebody deploys another image."""
    item = cluster.objects[API]
    item["spec"]["template"]["spec"]["containers"][0]["image"] = image
    item["metadata"]["generation"] += 1
    cluster.touch(API)


def image(cluster, path=API):
    return cluster.objects[path]["spec"]["template"]["spec"]["containers"][0]["image"]


# -- rollouts ----------------------------------------------------------------------------------------------------------


def test_a_restart_replaces_every_pod_and_waits_until_the_new_ones_are_available(cluster):
    before = {pod["metadata"]["uid"] for pod in cluster.pods()}
    done = step(cluster, on_api("action: restart"))
    assert (done.ok, done.message) == (
        True,
        "deployment/api in shop: restarted; 3 of 3 updated replicas are available",
    )
    after = {pod["metadata"]["uid"] for pod in cluster.pods(ready=True)}
    assert len(after) == 3
    assert not before & after
    assert RESTARTED in cluster.objects[API]["spec"]["template"]["metadata"]["annotations"]


@pytest.mark.parametrize("action", ["restart", "scale, factor: 2, max: 10", "delete_pods", "undo"])
def test_a_step_given_again_after_a_crash_has_no_second_effect(cluster, action):
    release(cluster, "shop/api:2")
    cluster.settle()
    if action == "delete_pods":
        cluster.broken.add("shop/api:2")
        cluster.pods()[0]["status"] = {"phase": "Failed"}
    assert step(cluster, on_api(f"action: {action}")).ok
    cluster.settle()
    state, writes = json.dumps(cluster.objects[API]), len(cluster.writes)
    again = step(cluster, on_api(f"action: {action}"))
    assert (again.ok, json.dumps(cluster.objects[API]), len(cluster.writes)) == (True, state, writes)
    assert "before the step was cut off" in again.message


KILLED = {
    "scale, factor: 2, max: 20": lambda cluster: cluster.objects[API]["spec"]["replicas"] == 6,
    "undo": lambda cluster: image(cluster) == "shop/api:1",
    # One that ends already may be evicted again: that changes nothing.
    "delete_pods, max: 2": lambda cluster: len({path for method, path in cluster.writes if method == "EVICT"}) == 2,
}


@pytest.mark.parametrize("action", KILLED)
@pytest.mark.parametrize("at", range(1, 10))
def test_killed_after_any_request_a_step_that_is_given_again_has_its_effect_exactly_once(cluster, action, at):
    release(cluster, "shop/api:2")
    cluster.settle()
    sick = names(cluster) if action.startswith("delete_pods") else []
    crash(cluster, *sick)
    kill_after(cluster, at, on_api(f"action: {action}"))
    if sick:
        crash(cluster, *names(cluster))  # what came meanwhile is as sick, and not this step's
    assert step(cluster, on_api(f"action: {action}")).ok
    assert KILLED[action](cluster)


def kill_after(cluster, at, text):
    """Carry a step out until the server was asked so often, then end it as a kill does."""
    params = kubernetes.read(yamlfile.parse(text))

    async def act():
        async with serving(cluster.answer) as server:
            settings = KubernetesConfig(api_server=server.url, namespaces=("shop",))
            order = Order(params, "RUN_1_0", 120.0, "")
            acting = asyncio.ensure_future(kubernetes.Kubernetes(settings, Path(), cluster.clock).act(order))

            def die(asked):
                if len(server.asked) == at:  # it takes effect, and nobody hears of it
                    acting.cancel()

            cluster.before.append(die)
            await asyncio.wait([acting])
            cluster.before.remove(die)

    asyncio.run(act())


def test_a_change_whose_answer_was_lost_is_made_once(cluster):
    lost: list[Asked] = []

    def hang_up(asked):
        if asked.method == "PATCH" and not lost:
            lost.append(asked)
            cluster.before.clear()
            cluster.answer(asked)
            raise Refused(504, "Timeout", "the request did not complete in time")

    cluster.before.append(hang_up)
    done = step(cluster, on_api("action: scale, factor: 2, max: 20"))
    assert (done.ok, cluster.objects[API]["spec"]["replicas"]) == (True, 6)
    assert [path for method, path in cluster.writes if method == "PATCH"] == [API]


def test_undo_goes_back_to_the_previous_revision_with_fields_we_do_not_know(cluster):
    release(cluster, "shop/api:2")
    cluster.broken.add("shop/api:2")
    for _ in range(5):
        cluster.step()
    done = step(cluster, on_api("action: undo"))
    assert done.ok, done.message
    assert done.message.startswith("deployment/api in shop: back from revision 2 to revision 1; 3 of 3 updated")
    spec = cluster.objects[API]["spec"]["template"]
    assert spec["metadata"]["labels"] == {"app": "api"}
    assert spec["spec"] == {"containers": [{"name": "api", "image": "shop/api:1"}], "aFieldNewerThanUs": {"kept": True}}


def test_a_second_undo_does_not_bring_the_bad_release_back(cluster):
    release(cluster, "shop/api:2")
    cluster.settle()
    assert step(cluster, on_api("action: undo")).ok
    cluster.settle()
    again = step(cluster, on_api("action: undo"), key="RUN_2_0")
    assert (again.ok, image(cluster)) == (False, "shop/api:1")
    assert "revision 2 came before, and was undone by aiprism already; name a revision" in again.message
    named = step(cluster, on_api("action: undo, revision: 2"), key="RUN_3_0")
    assert (named.ok, image(cluster)) == (True, "shop/api:2")


def test_undo_says_when_there_is_nothing_to_go_back_to(cluster):
    assert step(cluster, on_api("action: undo")).message == (
        "deployment/api in shop has no earlier revision to go back to"
    )
    assert step(cluster, on_api("action: undo, revision: 7")).message == (
        "deployment/api in shop has no revision 7; known are 1"
    )


def test_a_rollout_that_the_cluster_gives_up_fails_with_its_reason(cluster):
    cluster.broken.add("shop/api:3")
    done = step(cluster, on_api("action: set_image, container: api, image: 'shop/api:3'"), timeout=600.0)
    assert (done.ok, done.message) == (
        False,
        "image of api changed from shop/api:1 to shop/api:3, but deployment/api in shop: it exceeded its progress "
        "deadline: ReplicaSet has timed out progressing.",
    )
    assert done.data["before"] == {"images": {"api": "shop/api:1"}}


def test_a_rollout_that_is_too_slow_fails_with_how_far_it_is(cluster):
    cluster.broken.add("shop/api:3")
    done = step(cluster, on_api("action: set_image, container: api, image: 'shop/api:3'"), timeout=20.0)
    assert (done.ok, done.message.partition(", but ")[2]) == (False, "in the step's time: 1 of 3 replicas are updated")


def test_a_stateful_set_is_restarted_and_undone_by_its_controller_revisions(cluster):
    cluster.workload(DB, "StatefulSet", replicas=2, image="db:1")
    restarted = step(cluster, "{namespace: shop, workload: statefulset/db, action: restart}", timeout=300.0)
    assert (restarted.ok, restarted.message) == (True, "statefulset/db in shop: restarted; 2 of 2 replicas are ready")
    undone = step(cluster, "{namespace: shop, workload: statefulset/db, action: undo}", key="RUN_2_0", timeout=300.0)
    assert undone.message.startswith("statefulset/db in shop: back from revision 2 to revision 1")
    assert "annotations" not in cluster.objects[DB]["spec"]["template"]["metadata"]


def test_a_paused_deployment_is_left_alone(cluster):
    cluster.objects[API]["spec"]["paused"] = True
    assert step(cluster, on_api("action: restart")).message == (
        "deployment api is paused: kubectl rollout resume lets it go on"
    )


# -- scale -------------------------------------------------------------------------------------------------------------


def test_scaling_by_a_factor_stops_at_what_it_may_and_says_when_that_is_reached(cluster):
    done = step(cluster, on_api("action: scale, factor: 3, max: 5"))
    assert done.message == "deployment/api in shop: scaled from 3 to 5; 5 of 5 updated replicas are available"
    full = step(cluster, on_api("action: scale, factor: 3, max: 5"), key="RUN_2_0")
    assert (full.ok, full.message) == (
        False,
        "deployment/api in shop has 5 replicas, and this step may give it 5 at most",
    )
    same = step(cluster, on_api("action: scale, replicas: 5"), key="RUN_3_0")
    assert (same.ok, same.message) == (True, "deployment/api in shop has 5 replicas already")


def test_scaling_down_waits_until_the_others_are_gone(cluster):
    assert step(cluster, on_api("action: scale, replicas: 1")).ok
    assert len(cluster.pods(ready=True)) == 1


def test_no_step_goes_beyond_what_the_settings_allow(cluster):
    done = step(cluster, on_api("action: scale, replicas: 9"), max_replicas=8)
    assert (done.ok, done.message) == (False, "deployment/api in shop: 9 replicas are more than the 8 it may have")


def autoscaled(cluster, least=2, most=6):
    target = {"kind": "Deployment", "name": "api"}
    spec = {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most}
    return cluster.put(HPA, "HorizontalPodAutoscaler", spec)


def test_where_an_autoscaler_owns_the_replicas_its_lower_bound_is_set(cluster):
    autoscaled(cluster)
    done = step(cluster, on_api("action: scale, factor: 4, max: 20"))
    assert done.ok, done.message
    assert done.message == (
        "deployment/api in shop: autoscaler api owns its replicas: at least 6 of them now (before: 2); "
        "6 of 6 updated replicas are available"
    )
    assert [path for _, path in cluster.writes] == [HPA]


def test_the_bounds_of_an_autoscaler_are_set_and_taken_back(cluster):
    autoscaled(cluster)
    done = step(cluster, on_api("action: autoscale, min_replicas: 4, max_replicas: 9"))
    assert done.message.startswith("deployment/api in shop: autoscaler api has 4 to 9 replicas (before: 2 to 6)")
    back = step(cluster, on_api("action: restore"), key="RUN_1_1000")
    assert back.ok, back.message
    assert "its autoscaler: autoscale taken back" in back.message
    assert cluster.objects[HPA]["spec"]["minReplicas"] == 2
    assert cluster.objects[HPA]["spec"]["maxReplicas"] == 6


def test_bounds_that_cross_or_have_no_autoscaler_are_refused(cluster):
    assert "has no HorizontalPodAutoscaler" in step(cluster, on_api("action: autoscale, min_replicas: 2")).message
    autoscaled(cluster)
    crossed = step(cluster, on_api("action: autoscale, min_replicas: 7"))
    assert crossed.message == "autoscaler api: at least 7 replicas is more than its at most 6"


# -- pods --------------------------------------------------------------------------------------------------------------


def crash(cluster, *names, ago=600.0):
    for pod in cluster.pods():
        if pod["metadata"]["name"] in names:
            waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 7}
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": cluster.stamp(ago)}
            pod["status"] = {"conditions": [ready], "containerStatuses": [waiting]}


def slow(cluster, name, ago):
    for pod in cluster.pods():
        if pod["metadata"]["name"] == name:
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": cluster.stamp(ago)}
            pod["status"] = {"conditions": [ready], "containerStatuses": [{"state": {"running": {}}}]}


def names(cluster):
    return sorted(pod["metadata"]["name"] for pod in cluster.pods())


def test_unhealthy_pods_are_evicted_as_many_as_the_step_may_and_replaced(cluster):
    one, two, three = names(cluster)
    crash(cluster, one)
    slow(cluster, two, ago=90.0)
    slow(cluster, three, ago=30.0)  # not for long enough
    done = step(cluster, on_api("action: delete_pods, max: 1"))
    assert done.ok, done.message
    assert f"evicted {one} (CrashLoopBackOff after 7 restarts); 1 more are left for now" in done.message
    assert one not in names(cluster)
    assert {two, three} <= set(names(cluster))
    more = step(cluster, on_api("action: delete_pods, max: 5"), key="RUN_2_0")
    assert f"evicted {two} (not ready for 9" in more.message


def test_a_share_of_the_pods_is_one_at_least(cluster):
    crash(cluster, *names(cluster))
    assert "; 2 more are left" in step(cluster, on_api("action: delete_pods, max_share: 0.5")).message


def test_healthy_pods_and_pods_of_others_are_left_alone(cluster):
    other = cluster.put("/api/v1/namespaces/shop/pods/stray", "Pod", {"containers": [{"image": "x"}]},
                        labels={"app": "api"}, status={"phase": "Failed", "conditions": []})  # fmt: skip
    done = step(cluster, on_api("action: delete_pods"))
    assert (done.ok, done.message) == (True, "deployment/api in shop: none of its 3 pods is unhealthy")
    assert other in cluster.pods()


def test_a_disruption_budget_in_the_way_is_waited_for_and_named(cluster):
    cluster.put(BUDGET, "PodDisruptionBudget", {"minAvailable": 3, "selector": {"matchLabels": {"app": "api"}}})
    crash(cluster, names(cluster)[0])
    done = step(cluster, on_api("action: delete_pods"))
    assert (done.ok, cluster.writes[1:]) == (False, [])  # the first is the note of what it is about to do
    assert "The disruption budget api needs 3 healthy pods and has 2 currently" in done.message
    cluster.objects[BUDGET]["spec"]["minAvailable"] = 2
    assert step(cluster, on_api("action: delete_pods")).ok


def test_the_next_pod_of_the_same_name_is_not_evicted_by_a_repeat(cluster):
    cluster.workload(DB, "StatefulSet", replicas=2, image="db:1")
    crash(cluster, "db-0")
    text = "{namespace: shop, workload: statefulset/db, action: delete_pods}"
    assert step(cluster, text).ok
    crash(cluster, "db-0")
    assert step(cluster, text).ok
    assert [method for method, _ in cluster.writes] == ["PATCH", "EVICT"]


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_a_node_is_cordoned_and_uncordoned_and_not_more_than_may_be(cluster):
    for name in ("n1", "n2"):
        cluster.put(f"/api/v1/nodes/{name}", "Node", {})
    assert step(cluster, "{node: n1, action: cordon}").message == "node n1: cordoned"
    second = step(cluster, "{node: n2, action: cordon}", key="RUN_2_0")
    assert (second.ok, second.message) == (False, "n1 cordoned already, and 1 nodes may be at most (max)")
    assert step(cluster, "{node: n1, action: restore}", key="RUN_1_1000").message == "node n1: cordon taken back"
    assert cluster.objects["/api/v1/nodes/n1"]["spec"] == {"unschedulable": False}
    already = step(cluster, "{node: n1, action: uncordon}", key="RUN_4_0")
    assert (already.ok, already.message) == (True, "node n1 is uncordoned already")


# -- taking back -------------------------------------------------------------------------------------------------------


def test_restore_takes_back_what_this_run_changed_and_only_that(cluster):
    step(cluster, on_api("action: scale, replicas: 4"))
    step(cluster, on_api("action: set_image, container: api, image: 'shop/api:9'"), key="RUN_1_1")
    step(cluster, on_api("action: scale, replicas: 6"), key="RUN_1_2")
    stranger = step(cluster, on_api("action: restore"), key="RUN_2_1000")
    assert (stranger.ok, "nothing is left to take back" in stranger.message) == (True, True)
    back = step(cluster, on_api("action: restore"), key="RUN_1_1000")
    assert back.ok, back.message
    assert back.message.startswith("deployment/api in shop: scale taken back, set_image taken back")
    assert (cluster.objects[API]["spec"]["replicas"], image(cluster)) == (3, "shop/api:1")
    again = step(cluster, on_api("action: restore"), key="RUN_1_1000")
    assert (again.ok, "nothing is left to take back" in again.message) == (True, True)


def test_an_undone_step_alone_is_taken_back(cluster):
    scaling, imaging = on_api("action: scale, replicas: 4"), on_api("action: set_image, container: api, image: 'x:9'")
    step(cluster, scaling)
    step(cluster, imaging, key="RUN_1_1")
    back = step(cluster, scaling, key="RUN_1_1000", undoes=Past("RUN_1_0", {}))
    assert back.message == "deployment/api in shop: scale taken back; 3 of 3 updated replicas are available"
    assert (cluster.objects[API]["spec"]["replicas"], image(cluster)) == (3, "x:9")


def test_restore_takes_an_undo_back(cluster):
    release(cluster, "shop/api:2")
    cluster.settle()
    assert step(cluster, on_api("action: undo")).ok
    assert step(cluster, on_api("action: restore"), key="RUN_1_1000").ok
    assert image(cluster) == "shop/api:2"


def test_what_somebody_else_changed_since_is_theirs(cluster):
    step(cluster, on_api("action: scale, replicas: 4"))
    cluster.objects[API]["spec"]["replicas"] = 7
    back = step(cluster, on_api("action: restore"), key="RUN_1_1000")
    assert "scale is left as it is: somebody has changed it since" in back.message
    assert cluster.objects[API]["spec"]["replicas"] == 7


def test_an_annotation_that_is_not_ours_is_no_record(cluster):
    cluster.objects[API]["metadata"]["annotations"] = {RECORD: "{oops"}
    assert step(cluster, on_api("action: scale, replicas: 4")).ok
    assert [change.key for change in changes(cluster.objects[API])] == ["RUN_1_0"]


# -- limits and errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (on_api("action: restart, dry_run: true"), "dry run: deployment/api in shop: restarted"),
        (on_api("action: scale, replicas: 5, dry_run: true"), "dry run: deployment/api in shop: scaled from 3 to 5"),
        (on_api("action: delete_pods, dry_run: true"), "dry run: deployment/api in shop: evicted "),
    ],
)
def test_a_dry_run_has_the_cluster_check_the_change_and_make_none(cluster, text, says):
    crash(cluster, names(cluster)[0])
    asked: list[Asked] = []
    cluster.before.append(asked.append)
    done = step(cluster, text)
    assert done.ok, done.message
    assert done.message.startswith(says)
    assert cluster.writes == []
    assert {each.query["dryRun"] for each in asked if each.method != "GET"} == {"All"}


def test_the_setting_makes_every_step_a_dry_run(cluster):
    assert step(cluster, on_api("action: restart"), dry_run=True).message.startswith("dry run: ")
    assert cluster.writes == []


def test_a_conflict_is_decided_anew_on_what_is_there_now(cluster):
    def meddle(asked):
        if asked.method == "PATCH":
            cluster.before.clear()
            cluster.objects[API]["spec"]["replicas"] = 5
            cluster.touch(API)

    cluster.before.append(meddle)
    done = step(cluster, on_api("action: scale, factor: 2, max: 20"))
    assert done.message.startswith("deployment/api in shop: scaled from 5 to 10")


@pytest.mark.parametrize(
    ("denied", "text", "says"),
    [
        (("patch", "deployments"), on_api("action: restart"), 'lacks verb "patch" on "deployments" of API group "apps"'),
        (("create", "pods/eviction"), on_api("action: delete_pods"), 'lacks verb "create" on "pods/eviction" of API group "core"'),
        (("list", "horizontalpodautoscalers"), on_api("action: scale, replicas: 5"), 'lacks verb "list"'),
    ],
)  # fmt: skip
def test_a_missing_right_is_named_as_the_role_must_say_it(cluster, denied, text, says):
    crash(cluster, names(cluster)[0])
    cluster.denied.add(denied)
    done = step(cluster, text)
    assert not done.ok
    assert says in done.message


def test_the_words_of_an_admission_webhook_are_passed_on(cluster):
    def deny(asked):
        if asked.method == "PATCH":
            raise Refused(403, "Forbidden", 'admission webhook "policy.example" denied the request: freeze')

    cluster.before.append(deny)
    assert step(cluster, on_api("action: restart")).message == (
        'forbidden: admission webhook "policy.example" denied the request: freeze'
    )


def test_a_server_that_is_away_for_a_moment_is_asked_again(cluster):
    tries = []

    def away(asked):
        tries.append(asked)
        if len(tries) < 4:
            raise Refused(503, "ServiceUnavailable", "apiserver is shutting down", headers={"Retry-After": "1"})

    cluster.before.append(away)
    assert step(cluster, on_api("action: scale, replicas: 4")).ok


def test_what_is_not_there_not_allowed_or_not_configured_is_said_so(cluster):
    def said(text, **settings):
        done = step(cluster, text, **settings)
        assert not done.ok
        return done.message

    assert (
        said("{namespace: shop, workload: deployment/none, action: restart}") == "deployments shop/none: there is none"
    )
    assert said("{namespace: kube-system, workload: deployment/dns, action: restart}") == (
        "namespace 'kube-system' is not allowed (respond.kubernetes.namespaces); allowed: shop"
    )
    assert (
        said("{node: n1, action: cordon}", nodes=False)
        == "nodes may not be touched (respond.kubernetes.nodes is false)"
    )
    assert said(on_api("action: restart"), api_server="").startswith("no cluster is configured (respond.kubernetes.")
    assert said(on_api("action: restart"), api_server="http://127.0.0.1:9") == (
        "not done within 120 s: the API server cannot be reached: ConnectError"
    )
    assert said(on_api("action: set_image, container: web, image: x")) == "api has no container 'web'; it has api"


def test_a_kubeconfig_and_its_context_say_which_cluster(cluster, tmp_path):
    async def act():
        async with serving(cluster.answer) as server:
            (tmp_path / "kubeconfig").write_text(json.dumps({
                "apiVersion": "v1", "kind": "Config", "current-context": "other",
                "clusters": [{"name": "k", "cluster": {"server": server.url}}],
                "users": [{"name": "u", "user": {"token": "SECRET"}}, {"name": "v", "user": {"token": "WRONG"}}],
                "contexts": [
                    {"name": "shop", "context": {"cluster": "k", "user": "u"}},
                    {"name": "other", "context": {"cluster": "k", "user": "v"}},
                ],
            }))  # fmt: skip
            settings = KubernetesConfig(kubeconfig="kubeconfig", context="shop", namespaces=("shop",))
            params = kubernetes.read(yamlfile.parse(on_api("action: scale, replicas: 4")))
            order = Order(params, "RUN_1_0", 60.0, "")
            done = await kubernetes.Kubernetes(settings, tmp_path, cluster.clock).act(order)
            bad = await kubernetes.Kubernetes(replace(settings, context="x"), tmp_path, cluster.clock).act(order)
            return done, bad, server.asked[0].headers["authorization"]

    done, bad, authorization = asyncio.run(act())
    assert (done.ok, authorization) == (True, "Bearer SECRET")
    assert not bad.ok
    assert "Expected object with name x" in bad.message


def test_the_role_that_is_shipped_holds_the_rights_that_steps_use_and_no_other(cluster):
    file = Path(__file__).parents[2] / "deploy" / "kubernetes" / "remediation-rbac.yml"
    granted = {
        (group, resource, verb)
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    autoscaled(cluster)
    cluster.workload(DB, "StatefulSet", replicas=1)
    cluster.put(f"{APPS}/daemonsets/log", "DaemonSet", cluster.objects[DB]["spec"], status={"observedGeneration": 9})
    cluster.put("/api/v1/nodes/n1", "Node", {})
    crash(cluster, *names(cluster))

    def replaced_meanwhile(asked):
        if asked.path.endswith("/eviction"):
            raise Refused(409, "Conflict", "Precondition failed")

    cluster.before.append(replaced_meanwhile)
    step(cluster, on_api("action: delete_pods"), key="RUN_0_0")
    cluster.before.clear()
    for at, action in enumerate(
        ("delete_pods", "scale, factor: 2, max: 9", "autoscale, min_replicas: 3", "restart", "undo")
    ):
        step(cluster, on_api(f"action: {action}"), key=f"RUN_1_{at}")
    step(cluster, "{namespace: shop, workload: statefulset/db, action: restart}")
    step(cluster, "{namespace: shop, workload: statefulset/db, action: restore}")
    step(cluster, "{namespace: shop, workload: daemonset/log, action: restart}")
    step(cluster, "{node: n1, action: cordon}")
    assert cluster.used == granted


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{action: delete, namespace: a, workload: deployment/b}", "expected one of delete_pods, scale"),
        ("{action: restart, workload: deployment/b}", "action restart needs namespace"),
        ("{action: restart, namespace: a, workload: job/b}", "takes daemonset/NAME or deployment/NAME"),
        ("{action: restart, namespace: a, workload: '${labels.kind}/b'}", "takes daemonset/NAME"),
        ("{action: restart, namespace: A_b, workload: deployment/b}", "'A_b' cannot be the name of a namespace"),
        ("{action: restart, namespace: a, workload: deployment/b, replicas: 3}", "replicas does not belong to action restart"),
        ("{action: scale, namespace: a, workload: daemonset/b, replicas: 3}", "takes deployment/NAME or statefulset/NAME"),
        ("{action: scale, namespace: a, workload: deployment/b}", "needs replicas or factor"),
        ("{action: scale, namespace: a, workload: deployment/b, factor: 2}", "factor needs max"),
        ("{action: scale, namespace: a, workload: deployment/b, factor: 20, max: 3}", "at most 10"),
        ("{action: scale, namespace: a, workload: deployment/b, replicas: -1}", "expected 0 or more, not -1"),
        ("{action: autoscale, namespace: a, workload: deployment/b}", "needs min_replicas or max_replicas"),
        ("{action: autoscale, namespace: a, workload: deployment/b, min_replicas: 3, max_replicas: 2}", "is more than"),
        ("{action: delete_pods, namespace: a, workload: deployment/b, max_share: 1.5}", "at most 1"),
        ("{action: set_image, namespace: a, workload: deployment/b, container: c}", "needs image"),
        ("{action: set_image, namespace: a, workload: deployment/b, container: c, image: 'x:${labels.v}'}", "no placeholder"),
        ("{action: cordon, namespace: a, workload: deployment/b}", "action cordon needs node"),
        ("{action: cordon, node: n1, namespace: a}", "namespace does not belong to a node"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_meant_is_refused_with_its_line(text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        kubernetes.read(yamlfile.parse(text, file="runbooks.yml"))
    assert str(caught.value).startswith("runbooks.yml:1: ")


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (on_api("action: delete_pods, unhealthy_for: 2m, max_share: 0.5"), True),
        (on_api("action: scale, factor: 1.5, max: 4"), True),
        (on_api("action: restore"), True),
        ("{action: restore, node: n1}", True),
        ("{action: cordon, node: n1, max: 2}", True),
        ("{action: cordon, namespace: shop, workload: deployment/api}", False),
        (on_api("action: restart, replicas: 3"), False),
        (on_api("action: set_image, container: api"), False),
        ("{action: restart, namespace: shop}", False),
        (on_api("action: restart, node: n1"), False),
        ("{action: undo, namespace: shop, workload: job/api}", False),
    ],
)
def test_an_editor_takes_what_the_reader_takes(text, taken):
    assert Draft202012Validator(kubernetes.SHAPE).is_valid(yaml.safe_load(text)) is taken
    if taken:
        kubernetes.read(yamlfile.parse(text))
    else:
        with pytest.raises(ConfigError):
            kubernetes.read(yamlfile.parse(text))


@pytest.mark.parametrize(
    "params",
    [
        {"namespace": "../kube-system", "workload": "deployment/a"},
        {"namespace": "shop", "workload": "deployment/a/scale"},
        {"namespace": "shop", "workload": "deployment/.."},
        {"node": "n1/status"},
    ],
)
def test_what_an_alert_says_cannot_become_another_address(params):
    with pytest.raises(BadInput, match="cannot be"):
        kubernetes.refuse(params)


def test_a_daemon_set_is_rolled_out_when_every_node_has_its_new_pod():
    status = {"observedGeneration": 2, "desiredNumberScheduled": 4, "updatedNumberScheduled": 4, "numberAvailable": 3}
    item = {"kind": "DaemonSet", "metadata": {"name": "log", "generation": 2}, "status": status}
    assert rollout(item).words == "3 of 4 updated replicas are available"
    assert rollout({**item, "status": {**status, "numberAvailable": 4}}).done
    assert not rollout({**item, "metadata": {"name": "log", "generation": 3}}).done


def test_revisions_are_those_that_kubectl_counts(cluster):
    release(cluster, "shop/api:2")
    cluster.settle()
    sets = [item for item in cluster.objects.values() if item["kind"] == "ReplicaSet"]
    assert sorted(item["metadata"]["annotations"][REVISION] for item in sets) == ["1", "2"]

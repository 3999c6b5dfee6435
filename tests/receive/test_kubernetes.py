"""Kubernetes: what each role makes of objects, and a watch that is followed, ended, forgotten and lost.

There is no API server here: a small one speaks the documented part of its protocol (list with pages, watch, bookmarks, 410).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.httpconfig import Authorization, Secret, Tls
from aiprism.kubeaccess import as_service_account
from aiprism.receive.discovery import kinds, kubernetes
from aiprism.receive.discovery.kubernetes_labels import ATTACHABLE, group, kept, key_of
from tests.receive.following import Following, providers
from tests.webserver import Answer, Asked, serving

META = "__meta_kubernetes_"


def named(name: str, namespace: str = "ns", **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, **more}


NODE = {
    "metadata": {"name": "n1", "labels": {"kubernetes.io/arch": "amd64"}, "annotations": {"a/b": "c"}},
    "spec": {"providerID": "aws:///i-1"},
    "status": {
        "addresses": [{"type": "Hostname", "address": "host"}, {"type": "InternalIP", "address": "10.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    },
}
SERVICE = {
    "metadata": named("web", labels={"app": "web"}, annotations={"prometheus.io/scrape": "true"}),
    "spec": {"type": "ClusterIP", "clusterIP": "10.9.0.1", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}
POD = {
    "metadata": named(
        "web-1", labels={"app": "web"}, uid="u1", ownerReferences=[{"kind": "ReplicaSet", "name": "rs", "controller": True}]
    ),
    "spec": {
        "nodeName": "n1",
        "containers": [
            {"name": "main", "image": "i:1", "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
            ]},
        ],
        "initContainers": [{"name": "init", "image": "i:0"}],
    },
    "status": {
        "podIP": "10.1.0.5",
        "hostIP": "10.0.0.1",
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "main", "containerID": "containerd://x"}],
    },
}  # fmt: skip
ENDPOINTS = {
    "metadata": named("web", labels={"app": "web"}),
    "subsets": [
        {
            "addresses": [
                {"ip": "10.1.0.5", "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "ns"}}
            ],
            "notReadyAddresses": [{"ip": "10.1.0.6"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
    ],
}
SLICE = {
    "metadata": named("web-x", labels={"kubernetes.io/service-name": "web"}),
    "addressType": "IPv4",
    "endpoints": [
        {
            "addresses": ["10.1.0.5"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": "n1",
            "zone": "z1",
            "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "ns"},
        }
    ],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
}
INGRESS = {
    "metadata": named("front"),
    "spec": {
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["*.example.org"]}],
        "rules": [
            {"host": "a.example.org", "http": {"paths": [{"path": "/x"}, {}]}},
            {"host": "a.b.example.org"},
        ],
    },
}
OBJECTS: dict[str, list[dict[str, Any]]] = {
    "nodes": [NODE],
    "services": [SERVICE],
    "pods": [POD],
    "namespaces": [{"metadata": {"name": "ns", "labels": {"team": "t"}}}],
}


def look(resource: str, namespace: str, name: str) -> dict[str, Any] | None:
    return next((item for item in OBJECTS[resource] if key_of(item) == (namespace, name)), None)


def laid_out(role: str, item: dict[str, Any], *attach: str) -> list[dict[str, str]]:
    """The targets of an object, their labels without the long prefix."""
    return [
        {name.removeprefix(META): value for name, value in target.items()}
        for target in group(role, item, look, attach).targets
    ]


POD_LABELS = {
    "pod_name": "web-1",
    "pod_label_app": "web",
    "pod_labelpresent_app": "true",
    "pod_ip": "10.1.0.5",
    "pod_ready": "true",
    "pod_phase": "Running",
    "pod_node_name": "n1",
    "pod_host_ip": "10.0.0.1",
    "pod_uid": "u1",
    "pod_controller_kind": "ReplicaSet",
    "pod_controller_name": "rs",
}
SERVICE_LABELS = {
    "service_name": "web",
    "service_label_app": "web",
    "service_labelpresent_app": "true",
    "service_annotation_prometheus_io_scrape": "true",
    "service_annotationpresent_prometheus_io_scrape": "true",
}
NODE_LABELS = {
    "node_name": "n1",
    "node_label_kubernetes_io_arch": "amd64",
    "node_labelpresent_kubernetes_io_arch": "true",
    "node_annotation_a_b": "c",
    "node_annotationpresent_a_b": "true",
}


def container(port: int, name: str) -> dict[str, str]:
    return {
        "pod_container_name": "main",
        "pod_container_image": "i:1",
        "pod_container_port_name": name,
        "pod_container_port_number": str(port),
        "pod_container_port_protocol": "TCP",
    }


def test_a_node_is_its_kubelet():
    assert laid_out("node", NODE) == [
        {
            **NODE_LABELS,
            "node_provider_id": "aws:///i-1",
            "__address__": "10.0.0.1:10250",
            "instance": "n1",
            "node_address_Hostname": "host",
            "node_address_InternalIP": "10.0.0.1",
        }
    ]


def test_a_service_is_its_ports():
    assert laid_out("service", SERVICE) == [
        {
            **SERVICE_LABELS,
            "namespace": "ns",
            "__address__": "web.ns.svc:80",
            "service_type": "ClusterIP",
            "service_cluster_ip": "10.9.0.1",
            "service_port_name": "http",
            "service_port_number": "80",
            "service_port_protocol": "TCP",
        }
    ]


def test_a_pod_is_the_ports_of_its_containers_and_containers_without_any():
    own = {"namespace": "ns", **POD_LABELS}
    main = {"pod_container_id": "containerd://x", "pod_container_init": "false"}
    assert laid_out("pod", POD) == [
        {**own, "__address__": "10.1.0.5:8080", **container(8080, "http"), **main},
        {**own, "__address__": "10.1.0.5:9090", **container(9090, "metrics"), **main},
        {
            **own,
            "__address__": "10.1.0.5",
            "pod_container_name": "init",
            "pod_container_image": "i:0",
            "pod_container_init": "true",
        },
    ]
    assert laid_out("pod", {**POD, "status": {}}) == []
    first = laid_out("pod", POD, "node", "namespace")[0]
    assert (first["node_name"], first["namespace_label_team"]) == ("n1", "t")


def test_endpoints_have_the_labels_of_their_service_and_pods_and_bring_the_pods_other_ports():
    own = {
        "endpoints_name": "web",
        "endpoints_label_app": "web",
        "endpoints_labelpresent_app": "true",
        "namespace": "ns",
        **SERVICE_LABELS,
    }
    assert laid_out("endpoints", ENDPOINTS) == [
        {
            **own,
            "__address__": "10.1.0.5:8080",
            "endpoint_port_name": "http",
            "endpoint_port_protocol": "TCP",
            "endpoint_ready": "true",
            "endpoint_node_name": "n1",
            "endpoint_address_target_kind": "Pod",
            "endpoint_address_target_name": "web-1",
            **POD_LABELS,
            **container(8080, "http"),
        },
        {
            **own,
            "__address__": "10.1.0.6:8080",
            "endpoint_port_name": "http",
            "endpoint_port_protocol": "TCP",
            "endpoint_ready": "false",
        },
        {**own, "__address__": "10.1.0.5:9090", **container(9090, "metrics"), **POD_LABELS},
    ]
    assert laid_out("endpoints", ENDPOINTS, "node")[0]["node_label_kubernetes_io_arch"] == "amd64"


def test_an_endpoint_slice_is_its_endpoints():
    own = {
        "endpointslice_name": "web-x",
        "endpointslice_label_kubernetes_io_service_name": "web",
        "endpointslice_labelpresent_kubernetes_io_service_name": "true",
        "endpointslice_address_type": "IPv4",
        "namespace": "ns",
        **SERVICE_LABELS,
    }
    assert laid_out("endpointslice", SLICE) == [
        {
            **own,
            "__address__": "10.1.0.5:8080",
            "endpointslice_port": "8080",
            "endpointslice_port_name": "http",
            "endpointslice_port_protocol": "TCP",
            "endpointslice_port_app_protocol": "http",
            "endpointslice_endpoint_conditions_ready": "true",
            "endpointslice_endpoint_conditions_serving": "true",
            "endpointslice_endpoint_conditions_terminating": "false",
            "endpointslice_endpoint_node_name": "n1",
            "endpointslice_endpoint_zone": "z1",
            "endpointslice_address_target_kind": "Pod",
            "endpointslice_address_target_name": "web-1",
            **POD_LABELS,
            **container(8080, "http"),
        },
        {**own, "__address__": "10.1.0.5:9090", **container(9090, "metrics"), **POD_LABELS},
    ]


def test_an_ingress_is_its_paths_and_secure_where_a_certificate_covers_the_host():
    found = [
        (each["__address__"], each["ingress_scheme"], each["ingress_path"]) for each in laid_out("ingress", INGRESS)
    ]
    assert found == [
        ("a.example.org", "https", "/x"),
        ("a.example.org", "https", "/"),
        ("a.b.example.org", "http", "/"),
    ]
    assert laid_out("ingress", INGRESS)[0]["ingress_class_name"] == "nginx"


RAW = {"managedFields": [{"manager": "kubectl"}], "resourceVersion": "1"}


@pytest.mark.parametrize(
    ("role", "resource", "item"),
    [
        ("node", "nodes", NODE),
        ("service", "services", SERVICE),
        ("pod", "pods", POD),
        ("endpoints", "endpoints", ENDPOINTS),
        ("endpointslice", "endpointslices", SLICE),
        ("ingress", "ingresses", INGRESS),
    ],
)
def test_what_is_kept_of_an_object_says_all_that_the_object_says(role: str, resource: str, item: dict[str, Any]):
    raw = {**item, "metadata": {**item["metadata"], **RAW}}
    assert kept(resource, raw)["metadata"].keys() & RAW.keys() == set()
    assert group(role, kept(resource, raw), look, ATTACHABLE) == group(role, item, look, ATTACHABLE)
    assert kept(resource, {"metadata": {"name": "bare"}}) == {"metadata": {"name": "bare"}}


# -- following --------------------------------------------------------------------------------------------------------


class Cluster:
    """An API server as far as list and watch go: what it holds, and events that tests put into its watches."""

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self.objects = objects
        self.events: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self.page = 1000
        self.watched: list[tuple[str, str]] = []  # resource, version from which

    def answer(self, asked: Asked) -> Answer:
        resource = asked.path.rsplit("/", 1)[1]
        if resource not in self.objects:
            return Answer({"message": "forbidden"}, 403)
        if "watch" not in asked.query:
            return self._listed(self.objects[resource], asked)
        self.watched.append((resource, asked.query["resourceVersion"]))
        return Answer(self._watch(resource))

    def _listed(self, items: list[dict[str, Any]], asked: Asked) -> Answer:
        at = int(asked.query.get("continue", 0))
        following = str(at + self.page) if at + self.page < len(items) else ""
        return Answer(
            {"metadata": {"resourceVersion": "7", "continue": following}, "items": items[at : at + self.page]}
        )

    async def _watch(self, resource: str) -> AsyncIterator[bytes]:
        queue = self.events.setdefault(resource, asyncio.Queue())
        while (event := await queue.get()) is not None:
            line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
            yield line[:20]
            yield line[20:]

    def tell(self, resource: str, kind: str, item: dict[str, Any], version: str = "8") -> None:
        event = {"type": kind, "object": {**item, "metadata": {**item.get("metadata", {}), "resourceVersion": version}}}
        self.events.setdefault(resource, asyncio.Queue()).put_nowait(event)

    def end(self, resource: str) -> None:
        self.events.setdefault(resource, asyncio.Queue()).put_nowait(None)


def addresses(job: Following) -> list[str]:
    return sorted(target["__address__"] for target in job.targets())


def pod(name: str, ip: str, **labels: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}
    return {"metadata": named(name, labels=labels), "spec": spec, "status": {"podIP": ip}}


def test_pods_are_listed_page_by_page_and_then_watched():
    cluster = Cluster(pods=[pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), pod("c", "10.0.0.3")])
    cluster.page = 2

    async def run() -> None:
        async with serving(cluster.answer) as server:
            text = (
                f"kubernetes_sd_configs: [{{role: pod, api_server: '{server.url}', bearer_token: t, namespaces: {{names: [ns]}},"
                " selectors: [{role: pod, label: 'app=web', field: 'status.phase=Running'}]}]"
            )
            async with Following(*providers(text)) as job:
                await job.until(lambda: addresses(job) == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])
                cluster.tell("pods", "ADDED", pod("d", "10.0.0.4", text="line\u2028separator"))
                cluster.tell("pods", "MODIFIED", pod("a", "10.0.0.9"))
                cluster.tell("pods", "DELETED", pod("b", "10.0.0.2"))
                await job.until(lambda: addresses(job) == ["10.0.0.3:80", "10.0.0.4:80", "10.0.0.9:80"])
                cluster.tell("pods", "BOOKMARK", {}, version="20")
                cluster.end("pods")
                await job.until(lambda: len(cluster.watched) == 2, passing=0.1)
            first = server.asked[0]
            assert first.path == "/api/v1/namespaces/ns/pods"
            assert first.headers["authorization"] == "Bearer t"
            assert first.query == {"limit": "500", "labelSelector": "app=web", "fieldSelector": "status.phase=Running"}

    asyncio.run(run())
    assert cluster.watched == [("pods", "7"), ("pods", "20")]


def test_a_watch_that_is_too_old_begins_with_a_new_list():
    cluster = Cluster(pods=[pod("a", "10.0.0.1")])

    async def run() -> None:
        async with (
            serving(cluster.answer) as server,
            Following(*providers(f"kubernetes_sd_configs: [{{role: pod, api_server: '{server.url}'}}]")) as job,
        ):
            await job.until(lambda: addresses(job) == ["10.0.0.1:80"])
            cluster.objects["pods"] = [pod("z", "10.0.0.7")]
            gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
            cluster.events.setdefault("pods", asyncio.Queue()).put_nowait(gone)
            await job.until(lambda: addresses(job) == ["10.0.0.7:80"])
            assert job.failures("kubernetes") == 0

    asyncio.run(run())


def test_endpoints_change_with_their_pods_and_services():
    bare = dict(ENDPOINTS)
    cluster = Cluster(endpoints=[bare], services=[], pods=[])

    def labels(job: Following) -> set[str]:
        return {name for target in job.targets() for name in target}

    async def run() -> None:
        async with (
            serving(cluster.answer) as server,
            Following(*providers(f"kubernetes_sd_configs: [{{role: endpoints, api_server: '{server.url}'}}]")) as job,
        ):
            await job.until(lambda: len(job.targets()) == 2)
            assert META + "pod_name" not in labels(job)
            cluster.tell("pods", "ADDED", POD)
            await job.until(lambda: META + "pod_name" in labels(job))
            assert len(job.targets()) == 3
            cluster.tell("services", "ADDED", SERVICE)
            await job.until(lambda: META + "service_label_app" in labels(job))
            cluster.tell("endpoints", "DELETED", bare)
            await job.until(lambda: job.targets() == [])

    asyncio.run(run())


def test_what_cannot_be_asked_keeps_the_targets_and_is_asked_again():
    cluster = Cluster(pods=[pod("a", "10.0.0.1")])

    async def run() -> None:
        async with (
            serving(cluster.answer) as server,
            Following(*providers(f"kubernetes_sd_configs: [{{role: pod, api_server: '{server.url}'}}]")) as job,
        ):
            await job.until(lambda: addresses(job) == ["10.0.0.1:80"])
            held = cluster.objects.pop("pods")
            cluster.end("pods")
            await job.until(lambda: job.failures("kubernetes") >= 2, passing=0.5)
            assert addresses(job) == ["10.0.0.1:80"]
            cluster.objects["pods"] = [*held, pod("b", "10.0.0.2")]
            await job.until(lambda: addresses(job) == ["10.0.0.1:80", "10.0.0.2:80"], passing=0.5)

    asyncio.run(run())


def test_a_kubeconfig_says_where_and_as_whom(tmp_path):
    cluster = Cluster(nodes=[NODE])

    async def run() -> Asked:
        async with serving(cluster.answer) as server:
            (tmp_path / "kubeconfig").write_text(json.dumps({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": server.url}}],
                "users": [{"name": "u", "user": {"token": "SECRET"}}],
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            }))  # fmt: skip
            text = "kubernetes_sd_configs: [{role: node, kubeconfig_file: kubeconfig}]"
            async with Following(*providers(text, str(tmp_path / "p.yml"))) as job:
                await job.until(lambda: addresses(job) == ["10.0.0.1:10250"])
            return server.asked[0]

    asked = asyncio.run(run())
    assert (asked.path, asked.headers["authorization"]) == ("/api/v1/nodes", "Bearer SECRET")


def test_in_a_cluster_the_pods_own_account_is_used():
    (found,) = kinds.read(yamlfile.parse("kubernetes_sd_configs: [{role: node}]"))
    assert isinstance(found, kubernetes.Kubernetes)
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    options = as_service_account(found.http)
    assert options.auth == Authorization("Bearer", Secret(file=f"{folder}/token"))
    assert options.tls == Tls(ca=Secret(file=f"{folder}/ca.crt"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "role missing"),
        ("{role: pods}", "expected one of node, service, pod"),
        ("{role: pod, bearer_token: x}", "provide the 'api_server' URL explicitly"),
        ("{role: pod, api_server: 'http://a', kubeconfig_file: b}", "simultaneously"),
        ("{role: pod, kubeconfig_file: b, bearer_token: x}", "together with 'kubeconfig_file'"),
        ("{role: node, selectors: [{role: pod}]}", "role node supports only selectors of node"),
        ("{role: pod, selectors: [{role: pod}, {role: pod}]}", "stands twice"),
        ("{role: pod, namespaces: {name: x}}", "did you mean 'names'"),
    ],
)
def test_what_is_wrong_is_told(text: str, words: str):
    with pytest.raises(ConfigError, match=words):
        kinds.read(yamlfile.parse(f"kubernetes_sd_configs: [{text}]", file="p.yml"))

"""What objects of Kubernetes are as targets: addresses and `__meta_kubernetes_*` labels, by role. Pure.

In: one object as the API server gives it in JSON, and a way to look up the objects it names. Out: its group. Names and
meanings are those of Prometheus' documentation, `<kubernetes_sd_config>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from aiprism.receive.discovery.following import Group
from aiprism.receive.discovery.meta import joined, sanitized

Object: TypeAlias = Mapping[str, Any]
# (kind, namespace, name) → the object, if it is known.
Look: TypeAlias = Callable[[str, str, str], Object | None]

_META = "__meta_kubernetes_"
_ADDRESS = "__address__"
_NODE_ADDRESSES = ("InternalIP", "ExternalIP", "LegacyHostIP", "Hostname")
SERVICE_OF_SLICE = "kubernetes.io/service-name"
# What is attached on request: role → kinds.
ATTACHABLE = ("node", "namespace")


def group(role: str, item: Object, look: Look, attach: Iterable[str] = ()) -> Group:
    """The targets of one object; `attach` names what else is attached: node, namespace."""
    namespace, name = key_of(item)
    labels, targets = _ROLES[role](item, look, "node" in attach)
    if "namespace" in attach:
        labels |= _marks("namespace", look("namespaces", "", namespace) or {})
    return Group(f"{role}/{namespace}/{name}", tuple({**labels, **target} for target in targets))


# Of what most of a cluster consists of, the fields that are read; of the rest everything is kept.
_CONTAINER = {"name": None, "image": None, "ports": None}
_STATUS = {"name": None, "containerID": None}
_METADATA = {"name": None, "namespace": None, "labels": None, "annotations": None, "uid": None, "ownerReferences": None}
_READ: Mapping[str, Mapping[str, Any]] = {
    "pods": {
        "metadata": _METADATA,
        "spec": {"nodeName": None, "containers": _CONTAINER, "initContainers": _CONTAINER},
        "status": {
            "podIP": None,
            "hostIP": None,
            "phase": None,
            "conditions": {"type": None, "status": None},
            "containerStatuses": _STATUS,
            "initContainerStatuses": _STATUS,
        },
    },
    "nodes": {
        "metadata": _METADATA,
        "spec": {"providerID": None},
        "status": {"addresses": None, "daemonEndpoints": None},
    },
    "namespaces": {"metadata": _METADATA},
}


def kept(resource: str, item: Object) -> Object:
    """What of an object is worth keeping: most of a pod is never read, and a node says every few minutes that it is there.

    >>> kept("pods", {"metadata": {"name": "p", "managedFields": []}, "spec": {"containers": [{"name": "c", "env": []}]}})
    {'metadata': {'name': 'p'}, 'spec': {'containers': [{'name': 'c'}]}}
    """
    found: Object = _chosen(item, _READ[resource]) if resource in _READ else dict(item)
    if resource not in _READ and "metadata" in found:
        found = {**found, "metadata": _chosen(found["metadata"], _METADATA)}
    return found


def _chosen(item: Any, fields: Mapping[str, Any] | None) -> Any:
    if fields is None:
        return item
    if isinstance(item, list):
        return [_chosen(each, fields) for each in item]
    return {name: _chosen(item[name], below) for name, below in fields.items() if item and name in item}


def key_of(item: Object) -> tuple[str, str]:
    """Namespace and name; nodes and namespaces stand in none."""
    meta = item.get("metadata") or {}
    return meta.get("namespace") or "", meta.get("name") or ""


Rendered: TypeAlias = tuple[dict[str, str], list[dict[str, str]]]


def _node(node: Object, look: Look, _attach: bool) -> Rendered:
    addresses: dict[str, str] = {}
    for each in _list(node, "status", "addresses"):
        addresses.setdefault(each.get("type", ""), each.get("address", ""))
    first = next((addresses[kind] for kind in _NODE_ADDRESSES if kind in addresses), "")
    if not first:
        return {}, []
    port = _at(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port") or 0
    target = {_ADDRESS: _joined(first, port), "instance": key_of(node)[1]}
    target |= {f"{_META}node_address_{sanitized(kind)}": address for kind, address in addresses.items()}
    labels = _named("node", node) | _some("node", provider_id=_at(node, "spec", "providerID"))
    return labels, [target]


def _service(service: Object, look: Look, _attach: bool) -> Rendered:
    namespace, name = key_of(service)
    kind = _at(service, "spec", "type")
    labels = _named("service", service)
    labels[_META + "namespace"] = namespace
    common = _some("service", type=kind)
    if kind == "ExternalName":
        common |= _some("service", external_name=_at(service, "spec", "externalName"))
    else:
        common |= _some("service", cluster_ip=_at(service, "spec", "clusterIP"))
    if kind == "LoadBalancer":
        common |= _some("service", loadbalancer_ip=_at(service, "spec", "loadBalancerIP"))
    targets = [
        {
            _ADDRESS: _joined(f"{name}.{namespace}.svc", port.get("port")),
            **common,
            **_some("service_port", name=port.get("name"), number=port.get("port"), protocol=port.get("protocol")),
        }
        for port in _list(service, "spec", "ports")
    ]
    return labels, targets


def _pod(pod: Object, look: Look, attach: bool) -> Rendered:
    address = _at(pod, "status", "podIP")
    if not address:  # it is starting, or was evicted
        return {}, []
    labels = {**_pod_labels(pod), _META + "namespace": key_of(pod)[0]}
    if attach:
        labels |= _node_labels(look, _at(pod, "spec", "nodeName"))
    return labels, list(_pod_targets(pod, address))


def _pod_targets(pod: Object, address: str) -> Iterator[dict[str, str]]:
    for key, statuses in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
        ids = {status.get("name"): status.get("containerID") for status in _list(pod, "status", statuses)}
        for container in _list(pod, "spec", key):
            own = _some(
                "pod_container",
                name=container.get("name"),
                id=ids.get(container.get("name")),
                image=container.get("image"),
                init=str(key == "initContainers").lower(),
            )
            ports = container.get("ports") or []
            if not ports:
                yield {_ADDRESS: address, **own}
            for port in ports:
                yield {_ADDRESS: _joined(address, port.get("containerPort")), **own, **_port_labels(port)}


def _endpoints(endpoints: Object, look: Look, attach: bool) -> Rendered:
    namespace, name = key_of(endpoints)
    backed = _Backed(look, attach)
    for subset in _list(endpoints, "subsets"):
        for port in subset.get("ports") or []:
            for key, ready in (("addresses", "true"), ("notReadyAddresses", "false")):
                for address in subset.get(key) or []:
                    reference = address.get("targetRef") or {}
                    target = {
                        _ADDRESS: _joined(address.get("ip"), port.get("port")),
                        **_some("endpoint_port", name=port.get("name"), protocol=port.get("protocol")),
                        **_some(
                            "endpoint", ready=ready, hostname=address.get("hostname"), node_name=address.get("nodeName")
                        ),
                        **_some("endpoint_address_target", kind=reference.get("kind"), name=reference.get("name")),
                    }
                    backed.add(target, port.get("port"), reference, address.get("nodeName"), namespace)
    labels = _named("endpoints", endpoints) | {_META + "namespace": namespace}
    return labels | _service_labels(look, namespace, name), backed.targets()


def _endpoint_slice(piece: Object, look: Look, attach: bool) -> Rendered:
    namespace, _ = key_of(piece)
    backed = _Backed(look, attach)
    for endpoint in piece.get("endpoints") or []:
        reference = endpoint.get("targetRef") or {}
        about = _slice_endpoint_labels(endpoint, reference)
        for port in piece.get("ports") or []:
            number = port.get("port")
            its = _some("endpointslice", port=number) | _some(
                "endpointslice_port",
                name=port.get("name"),
                protocol=port.get("protocol"),
                app_protocol=port.get("appProtocol"),
            )
            for address in endpoint.get("addresses") or []:
                target = {_ADDRESS: _joined(address, number), **its, **about}
                backed.add(target, number, reference, endpoint.get("nodeName"), namespace)
    labels = _named("endpointslice", piece) | {_META + "namespace": namespace}
    labels |= _some("endpointslice", address_type=piece.get("addressType"))
    service = (_at(piece, "metadata", "labels") or {}).get(SERVICE_OF_SLICE)
    return labels | (_service_labels(look, namespace, service) if service else {}), backed.targets()


def _slice_endpoint_labels(endpoint: Object, reference: Object) -> dict[str, str]:
    conditions = {
        name: str(value).lower() for name, value in (endpoint.get("conditions") or {}).items() if value is not None
    }
    labels = _some("endpointslice_endpoint_conditions", **conditions)
    labels |= _some("endpointslice_address_target", kind=reference.get("kind"), name=reference.get("name"))
    labels |= _some(
        "endpointslice_endpoint",
        hostname=endpoint.get("hostname"),
        node_name=endpoint.get("nodeName"),
        zone=endpoint.get("zone"),
    )
    for key, value in (endpoint.get("deprecatedTopology") or {}).items():
        labels[f"{_META}endpointslice_endpoint_topology_{sanitized(key)}"] = value
        labels[f"{_META}endpointslice_endpoint_topology_present_{sanitized(key)}"] = "true"
    return labels


def _ingress(ingress: Object, look: Look, _attach: bool) -> Rendered:
    labels = _named("ingress", ingress) | {_META + "namespace": key_of(ingress)[0]}
    labels |= _some("ingress", class_name=_at(ingress, "spec", "ingressClassName"))
    secured = [host for each in _list(ingress, "spec", "tls") for host in each.get("hosts") or []]
    targets = []
    for rule in _list(ingress, "spec", "rules"):
        host = rule.get("host") or ""
        scheme = "https" if any(_covers(pattern, host) for pattern in secured) else "http"
        paths = [path.get("path") or "/" for path in _list(rule, "http", "paths")] or ["/"]
        targets += [{_ADDRESS: host, **_some("ingress", scheme=scheme, host=host, path=path)} for path in paths]
    return labels, targets


def _covers(pattern: str, host: str) -> bool:
    """Whether a certificate's name stands for a host: `*` is one label."""
    if pattern == host:
        return True
    star, _, parent = pattern.partition(".")
    return star == "*" and host.partition(".")[2] == parent


_ROLES: Mapping[str, Callable[[Object, Look, bool], Rendered]] = {
    "node": _node,
    "service": _service,
    "pod": _pod,
    "endpoints": _endpoints,
    "endpointslice": _endpoint_slice,
    "ingress": _ingress,
}


class _Backed:
    """Targets of endpoints; those that a pod stands behind get its labels, and its other ports become targets, too."""

    def __init__(self, look: Look, attach: bool) -> None:
        self._look, self._attach = look, attach
        self._targets: list[dict[str, str]] = []
        self._pods: dict[tuple[str, str], tuple[Object, set[int]]] = {}

    def add(
        self, target: dict[str, str], port: int | None, reference: Object, node: str | None, namespace: str
    ) -> None:
        if self._attach:
            target |= _node_labels(self._look, reference.get("name") if reference.get("kind") == "Node" else node)
        self._targets.append(target)
        if reference.get("kind") != "Pod":
            return
        key = (reference.get("namespace") or namespace, reference.get("name") or "")
        pod = self._look("pods", *key)
        if pod is None:
            return
        self._pods.setdefault(key, (pod, set()))[1].add(port or 0)
        target |= _pod_labels(pod)
        for container, its in _ports_of(pod):
            if its.get("containerPort") == port:
                target |= _some(
                    "pod_container", name=container.get("name"), image=container.get("image")
                ) | _port_labels(its)
                break

    def targets(self) -> list[dict[str, str]]:
        return [*self._targets, *(target for pod, seen in self._pods.values() for target in _uncovered(pod, seen))]


def _uncovered(pod: Object, seen: set[int]) -> Iterator[dict[str, str]]:
    address = _at(pod, "status", "podIP")
    for container, port in _ports_of(pod):
        if address and port.get("containerPort") not in seen:
            yield {
                _ADDRESS: _joined(address, port.get("containerPort")),
                **_some("pod_container", name=container.get("name"), image=container.get("image")),
                **_port_labels(port),
                **_pod_labels(pod),
            }


def _ports_of(pod: Object) -> Iterator[tuple[Object, Object]]:
    for container in _list(pod, "spec", "containers"):
        for port in container.get("ports") or []:
            yield container, port


# -- labels of one object ---------------------------------------------------------------------------------------------


def _pod_labels(pod: Object) -> dict[str, str]:
    conditions = {each.get("type"): each.get("status", "") for each in _list(pod, "status", "conditions")}
    owner: Object = next((each for each in _list(pod, "metadata", "ownerReferences") if each.get("controller")), {})
    return _named("pod", pod) | _some(
        "pod",
        ip=_at(pod, "status", "podIP"),
        ready=conditions.get("Ready", "unknown").lower(),
        phase=_at(pod, "status", "phase"),
        node_name=_at(pod, "spec", "nodeName"),
        host_ip=_at(pod, "status", "hostIP"),
        uid=_at(pod, "metadata", "uid"),
        controller_kind=owner.get("kind"),
        controller_name=owner.get("name"),
    )


def _port_labels(port: Object) -> dict[str, str]:
    return _some(
        "pod_container_port", name=port.get("name"), number=port.get("containerPort"), protocol=port.get("protocol")
    )


def _service_labels(look: Look, namespace: str, name: str) -> dict[str, str]:
    service = look("services", namespace, name)
    return _named("service", service) if service else {}


def _node_labels(look: Look, name: str | None) -> dict[str, str]:
    node = look("nodes", "", name) if name else None
    return _named("node", node) if node else {}


def _named(kind: str, item: Object) -> dict[str, str]:
    return {f"{_META}{kind}_name": key_of(item)[1], **_marks(kind, item)}


def _marks(kind: str, item: Object) -> dict[str, str]:
    """An object's labels and annotations, each with a label that says it is there."""
    labels: dict[str, str] = {}
    for key, what in (("labels", "label"), ("annotations", "annotation")):
        for name, value in (_at(item, "metadata", key) or {}).items():
            labels[f"{_META}{kind}_{what}_{sanitized(name)}"] = value
            labels[f"{_META}{kind}_{what}present_{sanitized(name)}"] = "true"
    return labels


def _some(prefix: str, **values: str | int | None) -> dict[str, str]:
    """Those of `values` that are there, as labels."""
    return {f"{_META}{prefix}_{name}": str(value) for name, value in values.items() if value not in (None, "")}


def _joined(host: str | None, port: int | None) -> str:
    if port is None:
        return host or ""
    return joined(host or "", port)


def _at(item: Object, *path: str) -> Any:
    found: Any = item
    for key in path:
        found = (found or {}).get(key)
    return found


def _list(item: Object, *path: str) -> list[Object]:
    return _at(item, *path) or []

"""`kubernetes:` steps: restart, undo, scale and clean up workloads of a cluster, cordon its nodes, and take that back.

What a step may say stands here; what it does stands in `cluster/moves`. `respond.kubernetes` says which cluster, and
which namespaces and how many replicas are the limit: a file of runbooks alone can reach nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import httpx

from aiprism.clock import Clock
from aiprism.config import KubernetesConfig
from aiprism.errors import BadInput, ConfigError
from aiprism.kubeaccess import Access, opened
from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Order, Params
from aiprism.respond.actions.cluster.api import Api, Trouble
from aiprism.respond.actions.cluster.moves import MOVES, PLURALS, Job, Settled
from aiprism.respond.actions.deadline import OutOfTime, deadline
from aiprism.yamlfile import Node

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes names namespaces
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_ROLLOUT = 120.0  # seconds; thirty, which other steps have, are too few for any rollout

_ON_NODES = ("cordon", "uncordon")
_UNDOABLE = ("scale", "autoscale", "undo", "set_image", "cordon", "uncordon")

_ANY = frozenset(PLURALS)
_WITH_REPLICAS = frozenset({"deployment", "statefulset"})
# action → what it takes besides a namespace and a workload; which of these it needs.
_TAKES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "delete_pods": (frozenset({"unhealthy_for", "max", "max_share"}), frozenset()),
    "scale": (frozenset({"replicas", "factor", "max"}), frozenset()),
    "autoscale": (frozenset({"min_replicas", "max_replicas"}), frozenset()),
    "restart": (frozenset(), frozenset()),
    "undo": (frozenset({"revision"}), frozenset()),
    "set_image": (frozenset({"container", "image"}), frozenset({"container", "image"})),
    "cordon": (frozenset({"max"}), frozenset()),
    "uncordon": (frozenset(), frozenset()),
    "restore": (frozenset(), frozenset()),
}
_ROLLS = ("scale", "autoscale", "restart", "undo", "set_image", "delete_pods", "restore")
_WORKLOAD = r"^(deployment|statefulset|daemonset)/"


_PLACE = ("namespace", "workload", "node")


def _only(action: str) -> shape.Shape:
    """What goes with an action, as JSON Schema: a key that is needed is not empty, one that does not belong is."""
    takes, needs = _TAKES[action]
    where = set(_PLACE) if action == "restore" else {"node"} if action in _ON_NODES else {"namespace", "workload"}
    needed = sorted(needs | (set() if action == "restore" else where))
    others = {key for keys, _ in _TAKES.values() for key in keys} - takes | set(_PLACE) - where
    return {
        "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
        "then": {
            "required": needed,
            "properties": {key: {"not": {"type": "null"}} for key in needed}
            | {key: {"type": "null"} for key in sorted(others)},
        },
    }


_RECORD = shape.record(
    "A workload or node of the cluster that respond.kubernetes names",
    {"action": shape.choice("what to do with it", MOVES)},
    {
        "namespace": shape.text("where the workload is; one that respond.kubernetes.namespaces allows", minLength=1),
        "workload": shape.text("deployment/NAME, statefulset/NAME or daemonset/NAME", pattern=_WORKLOAD),
        "node": shape.text("which node, for cordon, uncordon and restore", minLength=1),
        "unhealthy_for": shape.duration("delete_pods: how long a pod has not been ready, at least (1m)"),
        "max": shape.whole("most pods deleted (1), replicas after scaling, or nodes cordoned at a time (1)", least=1),
        "max_share": shape.number("delete_pods: most of the workload's pods, between 0 and 1; one pod always may"),
        "replicas": shape.whole("scale: how many", least=0),
        "factor": shape.number("scale: so many times as many as there are, with max"),
        "min_replicas": shape.whole("autoscale: lower bound", least=1),
        "max_replicas": shape.whole("autoscale: upper bound", least=1),
        "revision": shape.whole("undo: which revision; the previous one when not given", least=1),
        "container": shape.text("set_image: which container", minLength=1),
        "image": shape.text("set_image: which image", minLength=1),
        "dry_run": shape.flag("the cluster checks the change and does not make it"),
    },
)
SHAPE: shape.Shape = {**_RECORD, "allOf": [_only(action) for action in MOVES]}


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `kubernetes: {action, namespace, workload | node, …}`."""
    shape.known(node, SHAPE)
    action = node["action"].one_of(*MOVES)
    _refuse_others(node, action)
    found: dict[str, object] = {"action": action, "dry_run": node["dry_run"].flag(False)}
    for key in ("namespace", "workload", "node", "container", "image"):
        if node[key]:
            found[key] = node[key].text()
    for key in ("max", "replicas", "min_replicas", "max_replicas", "revision"):
        if node[key]:
            found[key] = _at_least(node[key], 0 if key == "replicas" else 1)
    for key in ("max_share", "factor"):
        if node[key]:
            found[key] = node[key].number()
    _check_place(node, action)
    _check_numbers(node, action)
    if action == "delete_pods":
        found["unhealthy_for"] = node["unhealthy_for"].seconds(60.0)
    return found


def _refuse_others(node: Node, action: str) -> None:
    takes, needs = _TAKES[action]
    for key in SHAPE["properties"]:
        if node[key] and key not in takes | {"action", "dry_run", *_PLACE}:
            raise node[key].error(f"{key} does not belong to action {action}")
        if key in needs and not node[key]:
            raise node.error(f"action {action} needs {key}")


def _check_place(node: Node, action: str) -> None:
    """Whether it says where, in a way that no placeholder can change what kind of thing is meant."""
    on_node = action in _ON_NODES or (action == "restore" and bool(node["node"]))
    wanted, other = (("node",), ("namespace", "workload")) if on_node else (("namespace", "workload"), ("node",))
    for key in wanted:
        if not node[key]:
            raise node.error(f"action {action} needs {key}")
    for key in other:
        if node[key]:
            raise node[key].error(f"{key} does not belong to {'a node' if on_node else 'a workload'}")
    if not on_node:
        kinds = _WITH_REPLICAS if action in ("scale", "autoscale") else _ANY
        kind, _, name = node["workload"].text().partition("/")
        if kind not in kinds or not name:
            raise node["workload"].error(
                f"action {action} takes {' or '.join(f'{each}/NAME' for each in sorted(kinds))}"
            )
    try:
        refuse({key: node[key].text() for key in wanted if "${" not in node[key].text()})
    except BadInput as error:
        raise node.error(str(error)) from None
    if "${" in node["image"].text("") + node["container"].text(""):
        raise node["image"].error("what an alert says may not choose an image: no placeholder may stand here")


def _check_numbers(node: Node, action: str) -> None:
    if action == "scale" and bool(node["replicas"]) == bool(node["factor"]):
        raise node.error("action scale needs replicas or factor, one of them")
    if node["factor"] and not node["max"]:
        raise node["factor"].error("factor needs max: the most replicas it may come to")
    if node["factor"] and not 0 < node["factor"].number() <= 10:
        raise node["factor"].error("factor is above 0 and at most 10")
    if node["max_share"] and not 0 < node["max_share"].number() <= 1:
        raise node["max_share"].error("max_share is above 0 and at most 1")
    if action == "autoscale":
        if not (node["min_replicas"] or node["max_replicas"]):
            raise node.error("action autoscale needs min_replicas or max_replicas")
        if node["min_replicas"] and node["max_replicas"]:
            least, most = node["min_replicas"].integer(), node["max_replicas"].integer()
            if least > most:
                raise node["min_replicas"].error(f"min_replicas {least} is more than max_replicas {most}")


def _at_least(node: Node, least: int) -> int:
    found = node.integer()
    if found < least:
        raise node.error(f"expected {least} or more, not {found}")
    return found


def refuse(params: Params) -> None:
    """BadInput for names that Kubernetes does not know, which in an address could be another one."""
    for key, form in (("namespace", _LABEL), ("node", _NAME)):
        if key in params and form.fullmatch(str(params[key])) is None:
            raise BadInput(f"{params[key]!r} cannot be the name of a {key}")
    if "workload" in params:
        kind, _, name = str(params["workload"]).partition("/")
        if kind not in PLURALS or _NAME.fullmatch(name) is None:
            raise BadInput(f"{params['workload']!r} cannot be a workload: KIND/NAME, as in deployment/api")


class Kubernetes:
    """Carries steps out on the cluster that the settings name."""

    def __init__(self, settings: KubernetesConfig, base: Path, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        kubeconfig = str(base / settings.kubeconfig) if settings.kubeconfig else ""
        self._access = Access(settings.api_server, kubeconfig, settings.context)

    async def act(self, order: Order) -> Done:
        reason = self._not_allowed(order.params)
        if reason:
            return Done(False, reason)
        until = deadline(self._clock, order.timeout)
        try:
            async with opened(self._access, self._clock, httpx.Timeout(10.0)) as client:
                api = Api(client, until, dry_run=self._settings.dry_run or order.params.get("dry_run") is True)
                undone = order.undoes.key if order.undoes is not None else ""
                job = Job(
                    order.params, api, order.key, undone or order.run, self._clock.now(), self._settings.max_replicas
                )
                return await MOVES["restore" if undone else order.text("action")](job)
        except Settled as settled:
            return Done(settled.ok, str(settled))
        except OutOfTime as over:
            return Done(False, f"not done within {order.timeout:g} s: {over}")
        except (Trouble, ConfigError) as error:
            return Done(False, str(error))
        except OSError as error:
            return Done(False, f"a file of the sign-in cannot be read: {error.strerror}")

    def _not_allowed(self, params: Params) -> str:
        settings = self._settings
        if not (settings.kubeconfig or settings.api_server or settings.in_cluster):
            return "no cluster is configured (respond.kubernetes.kubeconfig, .in_cluster or .api_server)"
        if "node" in params:
            return "" if settings.nodes else "nodes may not be touched (respond.kubernetes.nodes is false)"
        if params["namespace"] not in settings.namespaces:
            allowed = ", ".join(settings.namespaces) or "none"
            return (
                f"namespace {params['namespace']!r} is not allowed (respond.kubernetes.namespaces); allowed: {allowed}"
            )
        return ""


# Every change is written with the step's key in one request, so that a step given again finds it made.
KIND = Kind(
    shape=SHAPE,
    read=read,
    actuator=lambda means: Kubernetes(means.settings.kubernetes, means.base, means.clock),
    repeatable=lambda params: True,
    refuse=refuse,
    seconds=lambda params: _ROLLOUT if params["action"] in _ROLLS else 0.0,
    undoable=lambda params: params["action"] in _UNDOABLE,
)

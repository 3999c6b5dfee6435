"""`kubernetes_sd_configs`: the objects of a cluster are listed once and then watched.

In: list and watch of the API server, in JSON. Out: groups, as `kubernetes_labels` lays them out. A watch that ends is
taken up where it ended; one that the server no longer remembers (410) begins with a new list.

The streams are read with the same client as everything else, so that proxies, OAuth 2 and rotating certificates work.
Which cluster, and who we are there, knows `kubeaccess`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import httpx

from aiprism.clock import Clock
from aiprism.credentials import beside
from aiprism.errors import BadInput
from aiprism.httpconfig import HTTP_KEYS, HttpOptions, inline_http_options, is_web_address
from aiprism.kubeaccess import ACCOUNT, Access, opened
from aiprism.receive.discovery import kubernetes_labels
from aiprism.receive.discovery.following import Group, Tell
from aiprism.receive.discovery.kubernetes_labels import Object, kept, key_of
from aiprism.yamlfile import Node

# role → what its objects are called in the API.
_ROLES = {
    "node": "nodes",
    "service": "services",
    "pod": "pods",
    "endpoints": "endpoints",
    "endpointslice": "endpointslices",
    "ingress": "ingresses",
}
_APIS = {"endpointslices": "/apis/discovery.k8s.io/v1", "ingresses": "/apis/networking.k8s.io/v1"}
_WITHOUT_NAMESPACE = ("nodes", "namespaces")
# Whose objects a role names besides its own.
_NAMED = {"endpoints": ("services", "pods"), "endpointslice": ("services", "pods")}
_SELECTABLE = {
    "endpoints": ("endpoints", "service", "pod"),
    "endpointslice": ("endpointslice", "service", "pod"),
    "pod": ("pod", "node"),
}
_PAGE = 500
_WATCH = 300  # seconds until the server ends a watch
_LINE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Selector:
    """Which objects of a role are wanted."""

    role: str
    label: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """One entry of `kubernetes_sd_configs`."""

    kind: ClassVar[str] = "kubernetes"
    role: str
    api_server: str = ""
    kubeconfig: str = ""
    http: HttpOptions = field(default_factory=HttpOptions)
    namespaces: tuple[str, ...] = ()
    own_namespace: bool = False
    selectors: tuple[Selector, ...] = ()
    attach: tuple[str, ...] = ()
    patience: float = 5.0

    async def follow(self, tell: Tell, clock: Clock) -> None:
        view = _View(self, tell)
        async with _api(self, clock) as api, asyncio.TaskGroup() as tasks:
            for resource in self.resources():
                for namespace in self._namespaces(resource):
                    view.expect(resource, namespace)
                    tasks.create_task(_Reflected(self, api, resource, namespace, view, clock).keep())

    def resources(self) -> tuple[str, ...]:
        """What is listed and watched: the role's own objects first."""
        attached = tuple(f"{kind}s" for kind in self.attach)
        return (_ROLES[self.role], *_NAMED.get(self.role, ()), *attached)

    def _namespaces(self, resource: str) -> tuple[str, ...]:
        """Where to look; an empty name is everywhere."""
        if resource in _WITHOUT_NAMESPACE:
            return ("",)
        own = (Path(ACCOUNT, "namespace").read_text(encoding="utf-8").strip(),) if self.own_namespace else ()
        return tuple(dict.fromkeys((*own, *self.namespaces))) or ("",)

    def selector(self, resource: str) -> Selector | None:
        """What is asked of a resource."""
        return next((each for each in self.selectors if _ROLES[each.role] == resource), None)


class _View:
    """The objects that a role needs, as far as they are known, and the groups that follow from them."""

    def __init__(self, wanted: Kubernetes, tell: Tell) -> None:
        self._wanted, self._tell = wanted, tell
        self._objects: dict[str, dict[tuple[str, str], Object]] = {resource: {} for resource in wanted.resources()}
        self._expected: set[tuple[str, str]] = set()
        # (kind, namespace, name) → which of the role's own objects were laid out with it.
        self._used_by: dict[tuple[str, str, str], set[tuple[str, str]]] = {}

    def expect(self, resource: str, namespace: str) -> None:
        """Nothing is told before this list has come."""
        self._expected.add((resource, namespace))

    def listed(self, resource: str, namespace: str, items: Iterable[Object]) -> None:
        """These are all the objects of a resource in a namespace, as they are kept."""
        others = {key: item for key, item in self._objects[resource].items() if namespace and key[0] != namespace}
        self._objects[resource] = others | {key_of(item): item for item in items}
        self._expected.discard((resource, namespace))
        if not self._expected:
            self._used_by.clear()
            self._tell.all(self._laid_out(key) for key in self._objects[_ROLES[self._wanted.role]])

    def changed(self, resource: str, item: Object, *, gone: bool) -> None:
        """One object is new, other or gone."""
        key, now = key_of(item), None if gone else item
        if now == self._objects[resource].get(key):
            return
        if now is None:
            del self._objects[resource][key]
        else:
            self._objects[resource][key] = now
        if self._expected:
            return
        own = {key} if resource == _ROLES[self._wanted.role] else set()
        touched = own | self._used_by.get((resource, *key), set())
        self._tell.some(*(self._laid_out(each) for each in sorted(touched)))

    def _laid_out(self, key: tuple[str, str]) -> Group:
        item = self._objects[_ROLES[self._wanted.role]].get(key)
        if item is None:
            return Group(f"{self._wanted.role}/{key[0]}/{key[1]}", ())

        def look(resource: str, namespace: str, name: str) -> Object | None:
            self._used_by.setdefault((resource, namespace, name), set()).add(key)
            return self._objects[resource].get((namespace, name))

        return kubernetes_labels.group(self._wanted.role, item, look, self._wanted.attach)


@dataclass(frozen=True, slots=True)
class _Reflected:
    """One resource in one namespace, kept in the view."""

    wanted: Kubernetes
    api: httpx.AsyncClient
    resource: str
    namespace: str
    view: _View
    clock: Clock

    async def keep(self) -> None:
        while True:
            version = await self._list()
            while version:
                began = self.clock.monotonic()
                version = await self._watch(version)
                if version and self.clock.monotonic() - began < 1.0:
                    await self.clock.sleep(1.0)

    async def _list(self) -> str:
        """Put all objects into the view; the version from which a watch goes on."""
        items: list[Object] = []
        params = {**self._selection(), "limit": str(_PAGE)}
        while True:
            response = await self.api.get(self._path(), params=params, timeout=60.0)
            if (
                response.status_code == 410 and "continue" in params
            ):  # the pages that follow are forgotten: from the start
                items, params = [], {**self._selection()}
                continue
            page = _checked(response)
            items += [kept(self.resource, item) for item in page.get("items") or []]  # page by page: most is dropped
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                self.view.listed(self.resource, self.namespace, items)
                return str(meta.get("resourceVersion") or "0")
            params["continue"] = meta["continue"]

    async def _watch(self, version: str) -> str:
        """Follow what happens until the server ends it; the version that was reached, empty when it is too old."""
        params = {
            **self._selection(),
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH),
        }
        async with self.api.stream("GET", self._path(), params=params) as response:
            if response.status_code == 410:
                return ""
            if response.status_code != 200:
                await response.aread()
                _checked(response)
            async for line in _lines(response):
                event = json.loads(line)
                item = event.get("object") or {}
                if event.get("type") == "ERROR":
                    if item.get("code") == 410:
                        return ""
                    raise BadInput(f"watch of {self.resource}: {item.get('reason')}: {item.get('message')}")
                version = str((item.get("metadata") or {}).get("resourceVersion") or version)
                if event.get("type") != "BOOKMARK":
                    self.view.changed(self.resource, kept(self.resource, item), gone=event.get("type") == "DELETED")
        return version

    def _path(self) -> str:
        base = _APIS.get(self.resource, "/api/v1")
        return f"{base}/namespaces/{self.namespace}/{self.resource}" if self.namespace else f"{base}/{self.resource}"

    def _selection(self) -> dict[str, str]:
        selector = self.wanted.selector(self.resource)
        if selector is None:
            return {}
        found = {"labelSelector": selector.label, "fieldSelector": selector.field}
        return {name: value for name, value in found.items() if value}


def _checked(response: httpx.Response) -> Mapping[str, Any]:
    if response.status_code != 200:
        raise BadInput(f"{response.request.url.path}: HTTP {response.status_code} {response.text[:200]}")
    found = response.json()
    if not isinstance(found, dict):
        raise BadInput(f"{response.request.url.path}: the answer is no object")
    return found


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """The lines of a stream. httpx's own also end at characters that JSON may hold as they are (U+2028)."""
    held = b""
    async for piece in response.aiter_bytes():
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(held) > _LINE:
            raise BadInput(f"a line of a watch is longer than {_LINE} bytes")


# -- which cluster, and who we are there --------------------------------------------------------------------------------


def _api(wanted: Kubernetes, clock: Clock) -> contextlib.AbstractAsyncContextManager[httpx.AsyncClient]:
    access = Access(wanted.api_server, wanted.kubeconfig, http=wanted.http)
    return opened(access, clock, httpx.Timeout(10.0, read=_WATCH + 30.0))


# -- reading -----------------------------------------------------------------------------------------------------------


def read(node: Node, index: int) -> Kubernetes:
    """One entry of `kubernetes_sd_configs`."""
    node.fields("role", "api_server", "kubeconfig_file", "namespaces", "selectors", "attach_metadata", *HTTP_KEYS)
    if not node["role"]:
        raise node.error("role missing (one of: pod, service, endpoints, endpointslice, node, ingress)")
    role = node["role"].one_of(*_ROLES)
    api_server = node["api_server"].text("")
    kubeconfig = beside(node["kubeconfig_file"])
    http = inline_http_options(node)
    if api_server and not is_web_address(api_server):
        raise node["api_server"].error("expected an http(s) URL")
    if api_server and kubeconfig:
        raise node["kubeconfig_file"].error("cannot use 'kubeconfig_file' and 'api_server' simultaneously")
    if kubeconfig and http != HttpOptions():
        raise node["kubeconfig_file"].error(
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'"
        )
    if kubeconfig and find_spec("kubernetes_asyncio") is None:
        raise node["kubeconfig_file"].error(
            "a kubeconfig needs the extra aiprism[kubernetes]: pip install 'aiprism[kubernetes]'"
        )
    if not (api_server or kubeconfig) and http != HttpOptions():
        raise node.error("to use custom HTTP client configuration please provide the 'api_server' URL explicitly")
    namespaces = node["namespaces"].fields("own_namespace", "names")
    return Kubernetes(
        role=role,
        api_server=api_server,
        kubeconfig=kubeconfig,
        http=http,
        namespaces=tuple(namespaces["names"].texts()),
        own_namespace=namespaces["own_namespace"].flag(False),
        selectors=_selectors(node["selectors"], role),
        attach=_attached(node["attach_metadata"]),
    )


def _selectors(node: Node, role: str) -> tuple[Selector, ...]:
    found: dict[str, Selector] = {}
    allowed = _SELECTABLE.get(role, (role,))
    for item in node.items():
        item.fields("role", "label", "field")
        of = item["role"].text()
        if of not in allowed:
            raise item["role"].error(f"role {role} supports only selectors of {', '.join(allowed)}, not {of!r}")
        if of in found:
            raise item.error(f"a selector of role {of} stands twice")
        found[of] = Selector(of, item["label"].text(""), item["field"].text(""))
    return tuple(found.values())


def _attached(node: Node) -> tuple[str, ...]:
    node.fields(*kubernetes_labels.ATTACHABLE)
    return tuple(kind for kind in kubernetes_labels.ATTACHABLE if node[kind].flag(False))

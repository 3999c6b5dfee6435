"""`consul_sd_configs`: the services of Consul's catalog, each followed with blocking queries.

A blocking query is answered when something changed since the index it names, or after two minutes
(developer.hashicorp.com/consul/api-docs/features/blocking).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.httpconfig import HTTP_KEYS, NO_SECRET, Basic, HttpOptions, Secret, client, inline_http_options
from aiprism.receive.discovery.following import Group, Tell
from aiprism.receive.discovery.meta import joined, sanitized
from aiprism.yamlfile import Node

_META = "__meta_consul_"
_WAIT = 120
# Of the states of a service's checks the worst counts.
_WORST = ("maintenance", "critical", "warning", "passing")
_MAINTENANCE = ("_node_maintenance", "_service_maintenance:")


@dataclass(frozen=True, slots=True)
class Consul:
    """One entry of `consul_sd_configs`."""

    kind: ClassVar[str] = "consul"
    url: str = "http://localhost:8500"
    token: Secret = NO_SECRET
    datacenter: str = ""
    namespace: str = ""
    partition: str = ""
    services: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    node_meta: tuple[tuple[str, str], ...] = ()
    filter: str = ""
    health_filter: str = ""
    tag_separator: str = ","
    allow_stale: bool = True
    refresh: float = 30.0
    http: HttpOptions = field(default_factory=HttpOptions)
    patience: float = 15.0

    async def follow(self, tell: Tell, clock: Clock) -> None:
        timeout = httpx.Timeout(10.0, read=_WAIT * 17 / 16 + 30.0)  # Consul waits up to a sixteenth longer
        async with client(self.http, timeout=timeout, clock=clock) as asker, asyncio.TaskGroup() as tasks:
            asker.base_url = httpx.URL(self.url)
            asked = _Asked(self, asker, clock, self.datacenter or await self._own_datacenter(asker))
            if self.services and not (self.tags or self.filter):
                for name in self.services:
                    tasks.create_task(asked.service(name, tell))
            else:
                await asked.catalog(tell, tasks)

    async def _own_datacenter(self, asker: httpx.AsyncClient) -> str:
        found, _ = _checked(await asker.get("/v1/agent/self", headers=self.headers()))
        return str(((found or {}).get("Config") or {}).get("Datacenter") or "")

    def headers(self) -> dict[str, str]:
        return {"X-Consul-Token": self.token.reveal()} if self.token else {}

    def wants(self, name: str, tags: list[str]) -> bool:
        """Whether a service of the catalog is followed."""
        return (not self.services or name in self.services) and set(self.tags) <= set(tags)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A Consul server that is asked again and again."""

    wanted: Consul
    asker: httpx.AsyncClient
    clock: Clock
    datacenter: str

    async def catalog(self, tell: Tell, tasks: asyncio.TaskGroup) -> None:
        """Follow every service that is wanted, as long as the catalog has it."""
        running: dict[str, asyncio.Task[None]] = {}
        index = 0
        while True:
            params = {"filter": self.wanted.filter} if self.wanted.filter else {}
            found, index = await self._changed("/v1/catalog/services", index, params)
            names = {name for name, tags in (found or {}).items() if self.wanted.wants(name, tags or [])}
            for name in [*running.keys() - names]:
                running.pop(name).cancel()
            tell.some(*(Group(source, ()) for source in tell.known if source not in names))
            for name in sorted(names - running.keys()):
                running[name] = tasks.create_task(self.service(name, tell))
            tell.well()
            await self.clock.sleep(self.wanted.refresh)

    async def service(self, name: str, tell: Tell) -> None:
        """Tell the nodes of a service, and again when they change."""
        index = 0
        while True:
            params: dict[str, Any] = {"tag": self.wanted.tags} if self.wanted.tags else {}
            if self.wanted.health_filter:
                params["filter"] = self.wanted.health_filter
            found, index = await self._changed(f"/v1/health/service/{quote(name, safe='')}", index, params)
            tell.some(Group(name, tuple(self._target(name, each) for each in found or [])))
            await self.clock.sleep(self.wanted.refresh)

    async def _changed(self, path: str, index: int, more: Mapping[str, Any]) -> tuple[Any, int]:
        """What stands at `path` once it is newer than `index`, and its own index."""
        params: dict[str, Any] = {
            "dc": self.datacenter,
            "ns": self.wanted.namespace,
            "partition": self.wanted.partition,
        }
        params = {name: value for name, value in params.items() if value}
        params |= {"wait": f"{_WAIT}s", "index": str(index), **more}
        if self.wanted.node_meta:
            params["node-meta"] = [f"{name}:{value}" for name, value in self.wanted.node_meta]
        if self.wanted.allow_stale:
            params["stale"] = ""
        found, reached = _checked(await self.asker.get(path, params=params, headers=self.wanted.headers()))
        # An index that went back is of a server that began anew: so do we (Consul, "Implementation Details").
        return found, reached if reached >= index else 0

    def _target(self, name: str, entry: Mapping[str, Any]) -> dict[str, str]:
        node, service = entry.get("Node") or {}, entry.get("Service") or {}
        address, port = service.get("Address") or node.get("Address") or "", service.get("Port") or 0
        separator = self.wanted.tag_separator
        labels = {
            "__address__": joined(address, port),
            _META + "address": node.get("Address"),
            _META + "node": node.get("Node"),
            _META + "dc": self.datacenter,
            _META + "namespace": service.get("Namespace"),
            _META + "partition": service.get("Partition"),
            _META + "tags": f"{separator}{separator.join(service.get('Tags') or [])}{separator}",
            _META + "health": _health(entry.get("Checks") or []),
            _META + "service": name,
            _META + "service_address": service.get("Address"),
            _META + "service_id": service.get("ID"),
            _META + "service_port": str(port),
        }
        for prefix, values in (
            ("metadata_", node.get("Meta")),
            ("tagged_address_", node.get("TaggedAddresses")),
            ("service_metadata_", service.get("Meta")),
        ):
            labels |= {f"{_META}{prefix}{sanitized(key)}": value for key, value in (values or {}).items()}
        return {key: value for key, value in labels.items() if value}


def _health(checks: list[Mapping[str, Any]]) -> str:
    states = {
        "maintenance" if str(each.get("CheckID")).startswith(_MAINTENANCE) else each.get("Status") for each in checks
    }
    return next((state for state in _WORST if state in states), "passing")


def _checked(response: httpx.Response) -> tuple[Any, int]:
    if response.status_code != 200:
        raise BadInput(f"Consul {response.request.url.path}: HTTP {response.status_code} {response.text[:200]}")
    return response.json(), int(response.headers.get("X-Consul-Index") or 0)


def read(node: Node, index: int) -> Consul:
    """One entry of `consul_sd_configs`."""
    node.fields(
        "server", "path_prefix", "token", "datacenter", "namespace", "partition", "scheme", "username", "password", "services",
        "tags", "node_meta", "filter", "health_filter", "tag_separator", "allow_stale", "refresh_interval", *HTTP_KEYS,
    )  # fmt: skip
    server = node["server"].text("localhost:8500").strip()
    if not server:
        raise node.error("consul SD configuration requires a server address")
    http = inline_http_options(node)
    if node["username"] or node["password"]:
        if http.auth:
            raise node["username"].error("give username and password or the HTTP client options, not both")
        basic = Basic(Secret(node["username"].text("")), Secret(node["password"].text("")))
        http = HttpOptions(basic, http.tls, http.proxy, http.headers, http.follow_redirects)
    prefix = node["path_prefix"].text("").strip("/")
    return Consul(
        url=f"{node['scheme'].text('http')}://{server}{'/' if prefix else ''}{prefix}",
        token=Secret(node["token"].text("")),
        datacenter=node["datacenter"].text(""),
        namespace=node["namespace"].text(""),
        partition=node["partition"].text(""),
        services=tuple(node["services"].texts()),
        tags=tuple(node["tags"].texts()),
        node_meta=tuple(sorted(node["node_meta"].mapping().items())),
        filter=node["filter"].text(""),
        health_filter=node["health_filter"].text(""),
        tag_separator=node["tag_separator"].text(","),
        allow_stale=node["allow_stale"].flag(True),
        refresh=node["refresh_interval"].seconds(30.0),
        http=http,
    )

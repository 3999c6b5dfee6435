"""`docker_sd_configs`: the running containers of a Docker Engine, on its socket or over the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.httpconfig import HTTP_KEYS, HttpOptions, client, inline_http_options
from aiprism.receive.discovery.following import Group, Tell, polled
from aiprism.receive.discovery.meta import filters, joined, sanitized
from aiprism.yamlfile import Node

_META = "__meta_docker_"
# Networks that Docker itself makes; any other mode is the name of a network.
_BUILT_IN = ("default", "bridge", "host", "none")

Container = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Docker:
    """One entry of `docker_sd_configs`."""

    kind: ClassVar[str] = "docker"
    host: str
    port: int = 80
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    host_networking_host: str = "localhost"
    match_first_network: bool = True
    refresh: float = 60.0
    http: HttpOptions = field(default_factory=HttpOptions)

    @property
    def patience(self) -> float:
        return self.refresh

    async def follow(self, tell: Tell, clock: Clock) -> None:
        scheme, _, rest = self.host.partition("://")
        if scheme == "unix":
            asker = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=rest), base_url="http://docker", timeout=30.0
            )
        else:
            asker = client(self.http, timeout=30.0, clock=clock)
            asker.base_url = httpx.URL(self.host.replace("tcp://", "https://" if self.http.tls.cert else "http://"))
        async with asker:
            await polled(lambda: self._groups(asker), self.refresh, tell, clock)

    async def _groups(self, asker: httpx.AsyncClient) -> Sequence[Group]:
        params = {"filters": json.dumps({name: list(values) for name, values in self.filters})} if self.filters else {}
        containers = _checked(await asker.get("/containers/json", params=params))
        networks = {each["Id"]: _network_labels(each) for each in _checked(await asker.get("/networks"))}
        by_id = {each["Id"]: each for each in containers}
        return [
            Group(each["Id"], tuple(self._targets(each, by_id, networks))) for each in containers if each.get("Names")
        ]

    def _targets(
        self, container: Container, by_id: Mapping[str, Container], networks: Mapping[str, dict[str, str]]
    ) -> Iterator[dict[str, str]]:
        mode = _mode(container)
        own = {
            _META + "container_id": container["Id"],
            _META + "container_name": container["Names"][0],
            _META + "container_network_mode": mode,
            **_labelled("container_label_", container.get("Labels")),
        }
        ports = [port for port in container.get("Ports") or [] if port.get("Type") == "tcp"]
        for network in self._networks(container, by_id):
            address = network.get("IPAddress") or ""
            about = {**own, _META + "network_ip": address, **networks.get(network.get("NetworkID") or "", {})}
            for port in ports:
                yield {**about, **_port_labels(port), "__address__": joined(address, port["PrivatePort"])}
            if not ports:
                # A container in the host's network has no ports of its own: whoever wants one adds it by a rule.
                yield {
                    **about,
                    "__address__": self.host_networking_host if mode == "host" else joined(address, self.port),
                }

    def _networks(self, container: Container, by_id: Mapping[str, Container]) -> list[Mapping[str, Any]]:
        found = _attached(container)
        while not found and _mode(container).startswith("container:"):
            container = by_id.get(_mode(container).removeprefix("container:"), {})
            found = _attached(container)
        if not self.match_first_network or len(found) < 2:
            return list(found.values())
        mode = _mode(container)
        chosen = mode if mode in found and mode not in _BUILT_IN else min(found)
        return [found[chosen]]


def _mode(container: Container) -> str:
    return str((container.get("HostConfig") or {}).get("NetworkMode") or "")


def _attached(container: Container) -> dict[str, Mapping[str, Any]]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: network for name, network in networks.items() if network}


def _port_labels(port: Mapping[str, Any]) -> dict[str, str]:
    labels = {_META + "port_private": str(port["PrivatePort"])}
    if port.get("PublicPort"):
        labels |= {_META + "port_public": str(port["PublicPort"]), _META + "port_public_ip": port.get("IP") or ""}
    return labels


def _network_labels(network: Mapping[str, Any]) -> dict[str, str]:
    return {
        _META + "network_id": network["Id"],
        _META + "network_name": network.get("Name") or "",
        _META + "network_scope": network.get("Scope") or "",
        _META + "network_internal": str(bool(network.get("Internal"))).lower(),
        _META + "network_ingress": str(bool(network.get("Ingress"))).lower(),
        **_labelled("network_label_", network.get("Labels")),
    }


def _labelled(prefix: str, labels: Mapping[str, str] | None) -> dict[str, str]:
    return {f"{_META}{prefix}{sanitized(name)}": value for name, value in (labels or {}).items()}


def _checked(response: httpx.Response) -> list[Mapping[str, Any]]:
    if response.status_code != 200:
        raise BadInput(f"Docker {response.request.url.path}: HTTP {response.status_code} {response.text[:200]}")
    found = response.json()
    if not isinstance(found, list):
        raise BadInput(f"Docker {response.request.url.path}: the answer is no list")
    return found


def read(node: Node, index: int) -> Docker:
    """One entry of `docker_sd_configs`."""
    node.fields(
        "host", "port", "filters", "host_networking_host", "match_first_network", "refresh_interval", *HTTP_KEYS
    )
    host = node["host"].text("")
    if not host:
        raise node.error("host missing: the address of the Docker daemon, like unix:///var/run/docker.sock")
    if host.partition("://")[0] not in ("unix", "tcp", "http", "https"):
        raise node["host"].error("expected unix:///path, tcp://host:port, or an http(s) URL")
    return Docker(
        host=host,
        port=node["port"].integer(80),
        filters=filters(node["filters"]),
        host_networking_host=node["host_networking_host"].text("localhost"),
        match_first_network=node["match_first_network"].flag(True),
        refresh=node["refresh_interval"].seconds(60.0),
        http=inline_http_options(node),
    )

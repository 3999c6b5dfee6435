"""`gce_sd_configs`: the instances of Google Compute Engine in one zone.

Who we are is found by google-auth (extra `aiprism[gcp]`): in GOOGLE_APPLICATION_CREDENTIALS, gcloud's own file, or the metadata
server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.httpconfig import HttpOptions, client
from aiprism.receive.discovery.following import Group, Tell, polled
from aiprism.receive.discovery.meta import joined, sanitized
from aiprism.yamlfile import Node

_META = "__meta_gce_"
_API = "https://compute.googleapis.com/compute/v1"
_SCOPE = "https://www.googleapis.com/auth/compute.readonly"

Instance = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gce:
    """One entry of `gce_sd_configs`."""

    kind: ClassVar[str] = "gce"
    project: str
    zone: str
    filter: str = ""
    port: int = 80
    tag_separator: str = ","
    refresh: float = 60.0

    @property
    def patience(self) -> float:
        return self.refresh

    async def follow(self, tell: Tell, clock: Clock) -> None:
        async with client(HttpOptions(), timeout=30.0, clock=clock) as asker:
            asker.auth = await asyncio.to_thread(_Default)
            await polled(lambda: self._groups(asker), self.refresh, tell, clock)

    async def _groups(self, asker: httpx.AsyncClient) -> Sequence[Group]:
        url = f"{_API}/projects/{quote(self.project)}/zones/{quote(self.zone)}/instances"
        params = {"filter": self.filter} if self.filter else {}
        targets: list[dict[str, str]] = []
        while True:
            response = await asker.get(url, params=params)
            if response.status_code != 200:
                raise BadInput(f"GCE: HTTP {response.status_code} {response.text[:200]}")
            page = response.json()
            targets += [self._target(each) for each in page.get("items") or [] if each.get("networkInterfaces")]
            if not page.get("nextPageToken"):
                return [Group(f"{self.project}/{self.zone}", tuple(targets))]
            params["pageToken"] = page["nextPageToken"]

    def _target(self, instance: Instance) -> dict[str, str]:
        interfaces = instance["networkInterfaces"]
        first, tags = interfaces[0], (instance.get("tags") or {}).get("items") or []
        labels = {
            "project": self.project,
            "zone": instance.get("zone"),
            "instance_id": str(instance.get("id") or ""),
            "instance_name": instance.get("name"),
            "instance_status": instance.get("status"),
            "machine_type": instance.get("machineType"),
            "network": first.get("network"),
            "subnetwork": first.get("subnetwork"),
            "private_ip": first.get("networkIP"),
            "public_ip": _public_address(first),
            "tags": f"{self.tag_separator}{self.tag_separator.join(tags)}{self.tag_separator}" if tags else "",
            **{f"interface_ipv4_{sanitized(each.get('name') or '')}": each.get("networkIP") for each in interfaces},
            **{f"metadata_{sanitized(item['key'])}": item.get("value") for item in _metadata(instance)},
            **{f"label_{sanitized(name)}": value for name, value in (instance.get("labels") or {}).items()},
        }
        found = {_META + name: value for name, value in labels.items() if value}
        return {"__address__": joined(first.get("networkIP") or "", self.port), **found}


def _metadata(instance: Instance) -> list[Mapping[str, str]]:
    return (instance.get("metadata") or {}).get("items") or []


def _public_address(interface: Mapping[str, Any]) -> str:
    access: Mapping[str, str] = next(iter(interface.get("accessConfigs") or []), {})
    return access.get("natIP", "") if access.get("type") == "ONE_TO_ONE_NAT" else ""


class _Default(httpx.Auth):
    """The application default credentials, renewed before they are over."""

    def __init__(self) -> None:
        # Optional, and slow to import.
        import google.auth
        from google.auth.transport.requests import Request

        self._credentials, _ = google.auth.default(scopes=[_SCOPE])
        self._request = Request()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if not self._credentials.valid:
            await asyncio.to_thread(self._credentials.refresh, self._request)
        request.headers["Authorization"] = f"Bearer {self._credentials.token}"
        yield request


def read(node: Node, index: int) -> Gce:
    """One entry of `gce_sd_configs`."""
    node.fields("project", "zone", "filter", "refresh_interval", "port", "tag_separator")
    for key in ("project", "zone"):
        if not node[key].text(""):
            raise node.error(f"GCE SD configuration requires a {key}")
    if find_spec("google") is None or find_spec("google.auth") is None:
        raise node.error("gce_sd_configs need the extra aiprism[gcp]: pip install 'aiprism[gcp]'")
    return Gce(
        project=node["project"].text(),
        zone=node["zone"].text(),
        filter=node["filter"].text(""),
        port=node["port"].integer(80),
        tag_separator=node["tag_separator"].text(","),
        refresh=node["refresh_interval"].seconds(60.0),
    )

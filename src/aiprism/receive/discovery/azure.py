"""`azure_sd_configs`: the virtual machines of an Azure subscription, those of scale sets among them.

Who we are: a client secret (OAuth), the machine's managed identity, or whatever azure-identity finds (SDK, extra `aiprism[azure]`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, ClassVar

import httpx

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.httpconfig import HTTP_KEYS, NO_SECRET, HttpOptions, OAuth2, Secret, client, inline_http_options
from aiprism.receive.discovery.following import Group, Tell, polled
from aiprism.receive.discovery.meta import joined, sanitized
from aiprism.yamlfile import Node

_META = "__meta_azure_"
_METHODS = ("OAuth", "ManagedIdentity", "SDK")
# environment → where tokens are given, and where resources are managed.
_CLOUDS = {
    "azurepubliccloud": ("https://login.microsoftonline.com", "https://management.azure.com"),
    "azurechinacloud": ("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
    "azureusgovernmentcloud": ("https://login.microsoftonline.us", "https://management.usgovcloudapi.net"),
}
_IDENTITY = "http://169.254.169.254/metadata/identity/oauth2/token"
_COMPUTE, _NETWORK, _SCALE_SET_NETWORK = "2023-03-01", "2023-05-01", "2018-10-01"
_AT_A_TIME = 16  # network interfaces that are asked for together

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Azure:
    """One entry of `azure_sd_configs`."""

    kind: ClassVar[str] = "azure"
    subscription: str
    method: str = "OAuth"
    tenant: str = ""
    client_id: str = ""
    client_secret: Secret = NO_SECRET
    resource_group: str = ""
    environment: str = "azurepubliccloud"
    port: int = 80
    refresh: float = 300.0
    http: HttpOptions = field(default_factory=HttpOptions)

    @property
    def patience(self) -> float:
        return self.refresh

    async def follow(self, tell: Tell, clock: Clock) -> None:
        sign_in, manage = _CLOUDS[self.environment]
        options = self.http
        if self.method == "OAuth":
            token_url = f"{sign_in}/{self.tenant}/oauth2/v2.0/token"
            scopes = (f"{manage}/.default",)
            auth = OAuth2(self.client_id, self.client_secret, token_url, scopes, tls=options.tls, proxy=options.proxy)
            options = replace(options, auth=auth)
        async with client(options, timeout=60.0, clock=clock) as asker:
            asker.base_url = httpx.URL(manage)
            if self.method == "ManagedIdentity":
                asker.auth = _ManagedIdentity(manage, self.client_id, clock)
            elif self.method == "SDK":
                asker.auth = await asyncio.to_thread(_Default, f"{manage}/.default")
            await polled(lambda: self._groups(_Asked(asker)), self.refresh, tell, clock)

    async def _groups(self, asked: _Asked) -> Sequence[Group]:
        machines = [(machine, "") async for machine in asked.all(self._path("virtualMachines"))]
        async for scale_set in asked.all(self._path("virtualMachineScaleSets")):
            # Machines of a flexible set stand among the others.
            if (scale_set.get("properties") or {}).get("orchestrationMode") != "Flexible":
                machines += [
                    (each, scale_set["name"]) async for each in asked.all(f"{scale_set['id']}/virtualMachines")
                ]
        found = await asyncio.gather(*(self._target(asked, machine, of) for machine, of in machines))
        return [Group("azure", tuple(target for target in found if target))]

    def _path(self, what: str) -> str:
        group = f"/resourceGroups/{self.resource_group}" if self.resource_group else ""
        return f"/subscriptions/{self.subscription}{group}/providers/Microsoft.Compute/{what}"

    async def _target(self, asked: _Asked, machine: Resource, scale_set: str) -> dict[str, str]:
        """The target of a machine; empty when it has no address."""
        properties = machine.get("properties") or {}
        labels = {
            "subscription_id": self.subscription,
            "tenant_id": self.tenant,
            "machine_id": machine.get("id"),
            "machine_name": machine.get("name"),
            "machine_computer_name": (properties.get("osProfile") or {}).get("computerName"),
            "machine_location": machine.get("location"),
            "machine_os_type": ((properties.get("storageProfile") or {}).get("osDisk") or {}).get("osType"),
            "machine_resource_group": _resource_group(machine),
            "machine_size": (properties.get("hardwareProfile") or {}).get("vmSize"),
            "machine_scale_set": scale_set,
            **{f"machine_tag_{sanitized(name)}": value for name, value in (machine.get("tags") or {}).items()},
        }
        private, public = await self._addresses(asked, properties, scale_set)
        if not private:
            return {}
        labels |= {"machine_private_ip": private, "machine_public_ip": public}
        found = {_META + name: value for name, value in labels.items() if value}
        return {"__address__": joined(private, self.port), **found}

    async def _addresses(self, asked: _Asked, properties: Resource, scale_set: str) -> tuple[str, str]:
        """The private and public address of the primary interface."""
        for named in (properties.get("networkProfile") or {}).get("networkInterfaces") or []:
            interface = await asked.interface(named["id"], _SCALE_SET_NETWORK if scale_set else _NETWORK)
            its = (interface or {}).get("properties") or {}
            if not its.get("primary"):
                continue
            for configuration in its.get("ipConfigurations") or []:
                address = configuration.get("properties") or {}
                public = (address.get("publicIPAddress") or {}).get("properties") or {}
                if address.get("privateIPAddress"):
                    return address["privateIPAddress"], public.get("ipAddress") or ""
        return "", ""


def _resource_group(machine: Resource) -> str:
    parts = str(machine.get("id") or "").split("/")
    return parts[4] if len(parts) > 4 else ""


class _Asked:
    """Azure's resource manager."""

    def __init__(self, asker: httpx.AsyncClient) -> None:
        self._asker, self._room = asker, asyncio.Semaphore(_AT_A_TIME)

    async def all(self, path: str) -> AsyncIterator[Resource]:
        """Every resource of a list, page by page."""
        url: str = path
        params: dict[str, str] | None = {"api-version": _COMPUTE}
        while url:
            page = _checked(await self._asker.get(url, params=params))
            for each in page.get("value") or []:
                yield each
            url, params = page.get("nextLink") or "", None

    async def interface(self, path: str, version: str) -> Resource | None:
        """A network interface; None when it is gone by now."""
        async with self._room:
            params = {"api-version": version, "$expand": "ipConfigurations/publicIPAddress"}
            response = await self._asker.get(path, params=params)
        return None if response.status_code == 404 else _checked(response)


def _checked(response: httpx.Response) -> Mapping[str, Any]:
    if response.status_code != 200:
        raise BadInput(f"Azure {response.request.url.path}: HTTP {response.status_code} {response.text[:200]}")
    found = response.json()
    if not isinstance(found, dict):
        raise BadInput(f"Azure {response.request.url.path}: the answer is no object")
    return found


class _ManagedIdentity(httpx.Auth):
    """The token of the machine we run on, from its metadata service."""

    def __init__(self, resource: str, client_id: str, clock: Clock) -> None:
        self._params = {"api-version": "2018-02-01", "resource": resource} | (
            {"client_id": client_id} if client_id else {}
        )
        self._clock, self._value, self._until = clock, "", 0.0
        self._asking = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        async with self._asking:
            if self._clock.monotonic() >= self._until:
                await self._renew()
        request.headers["Authorization"] = self._value
        yield request

    async def _renew(self) -> None:
        async with client(HttpOptions(follow_redirects=False), clock=self._clock) as asker:
            answer = _checked(await asker.get(_IDENTITY, params=self._params, headers={"Metadata": "true"}))
        self._value = f"Bearer {answer['access_token']}"
        self._until = self._clock.monotonic() + float(answer.get("expires_in") or 0) - 60.0


class _Default(httpx.Auth):
    """Whatever azure-identity finds in its environment; it keeps tokens itself."""

    def __init__(self, scope: str) -> None:
        # Optional, and slow to import.
        from azure.identity import DefaultAzureCredential

        self._credential, self._scope = DefaultAzureCredential(), scope

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await asyncio.to_thread(self._credential.get_token, self._scope)
        request.headers["Authorization"] = f"Bearer {token.token}"
        yield request


def read(node: Node, index: int) -> Azure:
    """One entry of `azure_sd_configs`."""
    node.fields(
        "environment", "authentication_method", "subscription_id", "tenant_id", "client_id", "client_secret", "resource_group",
        "refresh_interval", "port", *HTTP_KEYS,
    )  # fmt: skip
    method = node["authentication_method"].one_of(*_METHODS, default="OAuth")
    needed = ("subscription_id", *(("tenant_id", "client_id", "client_secret") if method == "OAuth" else ()))
    for key in needed:
        if not node[key].text(""):
            raise node.error(f"azure SD configuration requires a {key}")
    environment = node["environment"].text("AzurePublicCloud").lower()
    if environment not in _CLOUDS:
        raise node["environment"].error(f"unknown Azure environment; known: {', '.join(_CLOUDS)}")
    if method == "SDK" and (find_spec("azure") is None or find_spec("azure.identity") is None):
        raise node.error("authentication_method SDK needs the extra aiprism[azure]: pip install 'aiprism[azure]'")
    return Azure(
        subscription=node["subscription_id"].text(),
        method=method,
        tenant=node["tenant_id"].text(""),
        client_id=node["client_id"].text(""),
        client_secret=Secret(node["client_secret"].text("")),
        resource_group=node["resource_group"].text(""),
        environment=environment,
        port=node["port"].integer(80),
        refresh=node["refresh_interval"].seconds(300.0),
        http=inline_http_options(node),
    )

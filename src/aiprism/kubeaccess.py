"""Which Kubernetes cluster, and who we are there: for whoever lists and watches its objects, and for whoever changes them.

In: the address of an API server, a kubeconfig, or neither, which means the cluster we run in. Out: an HTTP client with
that server as its base. A kubeconfig is read by the loader of the official client's asyncio sibling (extra
`aiprism[kubernetes]`), which knows its many ways to sign in.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from aiprism.clock import Clock
from aiprism.errors import ConfigError
from aiprism.httpconfig import Authorization, HttpOptions, Secret, Tls, client

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_IN_CLUSTER = "https://kubernetes.default.svc"


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster: by a kubeconfig and one of its contexts, by an address, or the one we run in."""

    api_server: str = ""
    kubeconfig: str = ""
    context: str = ""
    http: HttpOptions = field(default_factory=HttpOptions)


@contextlib.asynccontextmanager
async def opened(access: Access, clock: Clock, timeout: httpx.Timeout) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks to the cluster as we may; ConfigError for a kubeconfig that says nothing useful."""
    url, options, auth = access.api_server, access.http, None
    if access.kubeconfig:
        url, options, auth = await _kubeconfig(access.kubeconfig, access.context)
    elif not url:
        url, options = _IN_CLUSTER, as_service_account(options)
    async with client(options, timeout=timeout, clock=clock) as api:
        api.base_url = httpx.URL(url)
        if auth:
            api.auth = auth
        yield api


def as_service_account(options: HttpOptions) -> HttpOptions:
    """What a pod finds in its own file system, which Kubernetes renews."""
    return replace(
        options,
        auth=options.auth or Authorization("Bearer", Secret(file=f"{ACCOUNT}/token")),
        tls=options.tls if options.tls != Tls() else Tls(ca=Secret(file=f"{ACCOUNT}/ca.crt")),
    )


async def _kubeconfig(name: str, context: str) -> tuple[str, HttpOptions, httpx.Auth]:
    # Optional, and two seconds of importing, during which the loop has other things to do.
    try:
        configuration = (await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio.client")).Configuration()
        loader = await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio.config")
    except ModuleNotFoundError:
        raise ConfigError(
            "a kubeconfig needs the extra aiprism[kubernetes]: pip install 'aiprism[kubernetes]'", file=name
        ) from None
    try:
        await loader.load_kube_config(
            config_file=name, context=context or None, client_configuration=configuration, persist_config=False
        )
    except loader.ConfigException as error:
        raise ConfigError(str(error), file=name) from None
    certificates = Tls(
        ca=Secret(file=configuration.ssl_ca_cert or ""),
        cert=Secret(file=configuration.cert_file or ""),
        key=Secret(file=configuration.key_file or ""),
        server_name=configuration.tls_server_name or "",
        insecure_skip_verify=not configuration.verify_ssl,
    )
    return configuration.host or "", HttpOptions(tls=certificates), _SignedIn(configuration)


class _SignedIn(httpx.Auth):
    """The token of a kubeconfig, which its loader renews."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            request.headers["Authorization"] = token
        yield request

"""How we speak HTTP to others, as Prometheus' and Alertmanager's files say it: who we are, whom we trust, by which way.

In: the HTTP client options of a mapping (`http_config`, or among the keys of a scrape job). Out: frozen `HttpOptions`,
and `client(options)`, an httpx client that does all of it. Of errors of its clients: everything is an
`httpx.HTTPError`, and no text of one holds a secret.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import re
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote_plus

import httpx

from aiprism import __version__
from aiprism.clock import Clock, SystemClock
from aiprism.credentials import NO_SECRET, Secret, Tls, beside, secret, tls
from aiprism.yamlfile import Node

__all__ = [
    "HTTP_KEYS", "NO_SECRET", "Authorization", "Basic", "HttpOptions", "OAuth2", "Proxy", "Secret", "Tls", "Unreadable",
    "client", "http_options", "inline_http_options", "is_web_address", "secret",
]  # fmt: skip

_PROXY_KEYS = ("proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header")
HTTP_KEYS = (
    "basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file", "tls_config", *_PROXY_KEYS,
    "follow_redirects", "enable_http2", "http_headers",
)  # fmt: skip
# Headers that Prometheus sets itself and lets nobody else set.
_RESERVED = {
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding",
    "x-prometheus-remote-write-version", "x-prometheus-remote-read-version", "x-prometheus-scrape-timeout-seconds",
    "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
}  # fmt: skip
_WALL = SystemClock()
_EARLY = 10.0  # a token is not used in its last seconds: it must still be good when it arrives
_TOKEN_BYTES = 1024 * 1024

HeaderLines: TypeAlias = tuple[tuple[str, Secret], ...]


@dataclass(frozen=True, slots=True)
class Basic:
    """`basic_auth`."""

    username: Secret = NO_SECRET
    password: Secret = NO_SECRET


@dataclass(frozen=True, slots=True)
class Authorization:
    """`authorization` or `bearer_token`: a scheme such as Bearer, and what follows it."""

    scheme: str = "Bearer"
    credentials: Secret = NO_SECRET


@dataclass(frozen=True, slots=True)
class Proxy:
    """Through whom requests go: a URL (a Secret, it may hold a password), or what the environment says."""

    url: Secret = NO_SECRET
    no_proxy: str = ""
    from_environment: bool = False
    connect_headers: HeaderLines = ()


@dataclass(frozen=True, slots=True)
class OAuth2:
    """`oauth2`: the client credentials grant (RFC 6749, 4.4)."""

    client_id: str
    client_secret: Secret
    token_url: str
    scopes: tuple[str, ...] = ()
    endpoint_params: tuple[tuple[str, str], ...] = ()
    tls: Tls = field(default_factory=Tls)
    proxy: Proxy = field(default_factory=Proxy)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The HTTP client options of Prometheus 3 and Alertmanager. HTTP/1.1 is what we speak, whatever `enable_http2` says."""

    auth: Basic | Authorization | OAuth2 | None = None
    tls: Tls = field(default_factory=Tls)
    proxy: Proxy = field(default_factory=Proxy)
    headers: HeaderLines = ()
    follow_redirects: bool = True

    def secrets(self) -> tuple[Secret, ...]:
        """What must not be seen in anything that is quoted."""
        own = [value for _, value in (*self.headers, *self.proxy.connect_headers)]
        match self.auth:
            case Basic(password=password):
                own.append(password)
            case Authorization(credentials=credentials):
                own.append(credentials)
            case OAuth2(client_secret=client_secret):
                own.append(client_secret)
        return tuple(own)

    def files(self) -> tuple[str, ...]:
        """Every file these options name."""
        named = [value.file for _, value in self.headers]
        match self.auth:
            case Basic(username, password):
                named += [username.file, password.file]
            case Authorization(credentials=credentials):
                named.append(credentials.file)
            case OAuth2(client_secret=client_secret, tls=its):
                named += [client_secret.file, *its.files()]
        return tuple(name for name in (*named, *self.tls.files()) if name)


class Unreadable(httpx.TransportError):
    """A file that a request needs (a password, a certificate) cannot be read."""


class TokenRefused(httpx.TransportError):
    """The OAuth 2 server gave no token."""


# -- reading ---------------------------------------------------------------------------------------------------------


def http_options(node: Node) -> HttpOptions:
    """A mapping that holds HTTP client options and nothing else, such as `http_config`."""
    return inline_http_options(node.fields(*HTTP_KEYS))


def inline_http_options(node: Node) -> HttpOptions:
    """The HTTP client options among the keys of `node`; refusing other keys is left to the caller."""
    node["enable_http2"].flag(True)
    return HttpOptions(
        auth=_auth_of(node),
        tls=tls(node["tls_config"]),
        proxy=_proxy_of(node),
        headers=_headers_of(node["http_headers"]),
        follow_redirects=node["follow_redirects"].flag(True),
    )


def _auth_of(node: Node) -> Basic | Authorization | OAuth2 | None:
    ways = ("basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file")
    given = [way for way in ways if node[way]]
    if len(given) > 1:
        raise node[given[1]].error(f"give one of {' and '.join(given)}: a request is authorized in one way")
    if not given:
        return None
    if given == ["basic_auth"]:
        return _basic_of(node["basic_auth"])
    if given == ["authorization"]:
        return _authorization_of(node["authorization"])
    if given == ["oauth2"]:
        return _oauth2_of(node["oauth2"])
    return Authorization("Bearer", secret(node, "bearer_token"))


def _basic_of(node: Node) -> Basic:
    node.fields("username", "username_file", "password", "password_file")
    return Basic(secret(node, "username"), secret(node, "password"))


def _authorization_of(node: Node) -> Authorization:
    node.fields("type", "credentials", "credentials_file")
    scheme = node["type"].text("").strip() or "Bearer"
    if scheme.lower() == "basic":
        raise node["type"].error("the authorization type basic is written as basic_auth with username and password")
    return Authorization(scheme, secret(node, "credentials"))


def _oauth2_of(node: Node) -> OAuth2:
    node.fields(
        "client_id",
        "client_secret",
        "client_secret_file",
        "scopes",
        "token_url",
        "endpoint_params",
        "tls_config",
        *_PROXY_KEYS,
    )
    if not node["client_id"].text("") or not node["token_url"].text(""):
        raise node.error("oauth2 needs client_id and token_url")
    return OAuth2(
        client_id=node["client_id"].text(),
        client_secret=secret(node, "client_secret"),
        token_url=node["token_url"].text(),
        scopes=tuple(node["scopes"].texts()),
        endpoint_params=tuple(sorted(node["endpoint_params"].mapping().items())),
        tls=tls(node["tls_config"]),
        proxy=_proxy_of(node),
    )


def _proxy_of(node: Node) -> Proxy:
    url, around, environment = node["proxy_url"], node["no_proxy"], node["proxy_from_environment"].flag(False)
    if url and not is_web_address(url.text()):
        raise url.error("expected an http(s) URL")
    if url and environment:
        raise node["proxy_from_environment"].error("give proxy_url or proxy_from_environment, not both")
    if around and environment:
        raise around.error("proxy_from_environment takes no_proxy from the environment, too; leave one out")
    if around and not url:
        raise around.error("no_proxy says nothing without proxy_url")
    if node["proxy_connect_header"] and not (url or environment):
        raise node["proxy_connect_header"].error("proxy_connect_header says nothing without a proxy")
    lines = tuple(
        (name, Secret(value))
        for name, values in node["proxy_connect_header"].entries().items()
        for value in values.texts()
    )
    return Proxy(Secret(url.text("")), around.text(""), environment, lines)


def _headers_of(node: Node) -> HeaderLines:
    lines: list[tuple[str, Secret]] = []
    for name, header in node.entries().items():
        if name.lower() in _RESERVED:
            raise header.error(f"the header {name} cannot be set here")
        header.fields("values", "secrets", "files")
        lines += [(name, Secret(value)) for key in ("values", "secrets") for value in header[key].texts()]
        lines += [(name, Secret(file=beside(each))) for each in header["files"].items()]
    return tuple(lines)


def is_web_address(text: str) -> bool:
    """True for an http or https URL with a host."""
    return re.match(r"https?://[^/\s]+", text) is not None


# -- speaking --------------------------------------------------------------------------------------------------------


def client(options: HttpOptions, *, timeout: float | httpx.Timeout = 10.0, clock: Clock = _WALL) -> httpx.AsyncClient:
    """A client that speaks as `options` say; changed secrets and certificates are found while it lives.

    `timeout` holds for each wait, not for the whole. `clock` tells when a token is over.
    """
    return httpx.AsyncClient(
        transport=_Way(options),
        auth=_authorizer(options.auth, clock),
        follow_redirects=options.follow_redirects,
        max_redirects=10,
        timeout=timeout,
        trust_env=False,
        headers={"User-Agent": f"aiprism/{__version__}"},
    )


class _Way(httpx.AsyncBaseTransport):
    """Takes each request by the right way: directly or through the proxy, with the certificates as they are now."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._proxies, self._around = _ways(options.proxy)
        self._state: tuple[int, ...] | None = None
        self._pools: dict[str, httpx.AsyncHTTPTransport] = {}
        self._retired: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            await self._follow_certificates()
            pool = self._pool(self._proxy_for(request.url))
            dressed = self._dressed(request)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise Unreadable(_told(error), request=request) from None
        return await pool.handle_async_request(dressed)

    async def aclose(self) -> None:
        for pool in (*self._retired, *self._pools.values()):
            await pool.aclose()

    def _dressed(self, request: httpx.Request) -> httpx.Request:
        """The request with our own headers, in a copy: a redirect is made from the original and dressed in turn."""
        tls_name = self._options.tls.server_name
        if not (self._options.headers or tls_name):
            return request
        lines = [*request.headers.multi_items(), *((name, value.reveal()) for name, value in self._options.headers)]
        extensions = {**request.extensions, **({"sni_hostname": tls_name} if tls_name else {})}
        return httpx.Request(request.method, request.url, headers=lines, stream=request.stream, extensions=extensions)

    def _proxy_for(self, url: httpx.URL) -> str:
        if not self._proxies or _goes_around(
            url.host, url.port or (443 if url.scheme == "https" else 80), self._around
        ):
            return ""
        return self._proxies.get(url.scheme, "")

    def _pool(self, proxy: str) -> httpx.AsyncHTTPTransport:
        if proxy not in self._pools:
            lines = [(name, value.reveal()) for name, value in self._options.proxy.connect_headers]
            by = httpx.Proxy(proxy, headers=lines) if proxy else None
            # Who uses a client bounds what it asks at a time: a limit here would let scrapes wait for each other.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=300.0)
            self._pools[proxy] = httpx.AsyncHTTPTransport(
                verify=self._options.tls.context(), proxy=by, limits=limits, trust_env=False
            )
        return self._pools[proxy]

    async def _follow_certificates(self) -> None:
        state = self._options.tls.state()
        if state == self._state:
            return
        # Answers may still be on their way over the connections of before: those are closed at the next change.
        over, self._retired = self._retired, list(self._pools.values())
        self._state, self._pools = state, {}
        for pool in over:
            await pool.aclose()


def _told(error: Exception) -> str:
    """What cannot be used, without what stands in it."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be read: {error.strerror}"
    return f"its secrets or certificates cannot be used: {getattr(error, 'strerror', None) or type(error).__name__}"


def _ways(proxy: Proxy) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The proxy of each scheme, and where none is used."""
    if proxy.from_environment:
        found = urllib.request.getproxies()
        return {scheme: url for scheme, url in found.items() if scheme in ("http", "https")}, _names(
            found.get("no", "")
        )
    url = proxy.url.reveal()
    return {"http": url, "https": url} if url else {}, _names(proxy.no_proxy)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _goes_around(host: str, port: int, names: tuple[str, ...]) -> bool:
    """Whether a host is reached without the proxy, as golang.org/x/net/http/httpproxy reads NO_PROXY.

    >>> _goes_around("a.example.org", 80, ("example.org",)), _goes_around("10.1.2.3", 80, ("10.0.0.0/8",))
    (True, True)
    >>> _goes_around("example.org", 80, (".example.org",)), _goes_around("a.b", 80, ("a.b:81",))
    (False, False)
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    for name in names:
        if name == "*":
            return True
        if "/" in name:
            if address is not None and address in ipaddress.ip_network(name, strict=False):
                return True
            continue
        named, colon, its_port = name.rpartition(":") if name.count(":") == 1 else (name, "", "")
        if colon and its_port != str(port):
            continue
        named = named.removeprefix("*")
        if host == named or (address is None and host.endswith(named if named.startswith(".") else f".{named}")):
            return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


# -- who we are ------------------------------------------------------------------------------------------------------


def _authorizer(auth: Basic | Authorization | OAuth2 | None, clock: Clock) -> httpx.Auth | None:
    match auth:
        case OAuth2():
            return _Token(auth, clock)
        case Basic() | Authorization():
            return _Header(auth)
    return None


class _Header(httpx.Auth):
    """An Authorization header, made anew for each request: its secret may be in a file that changes."""

    def __init__(self, auth: Basic | Authorization) -> None:
        self._auth = auth

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            request.headers["Authorization"] = self._value()
        except (OSError, ValueError) as error:
            raise Unreadable(_told(error), request=request) from None
        yield request

    def _value(self) -> str:
        match self._auth:
            case Basic(username, password):
                return _basic(username.reveal(), password.reveal())
            case Authorization(scheme, credentials):
                return f"{scheme} {credentials.reveal()}".strip()


class _Token(httpx.Auth):
    """A bearer token, asked for when there is none, when it is nearly over and after it was refused."""

    def __init__(self, options: OAuth2, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._value, self._until, self._of = "", 0.0, ""
        self._in_body = False  # whether the server wants the client's secret in the body (RFC 6749, 2.3.1)
        self._asking = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        try:
            its_secret = self._options.client_secret.reveal()
        except (OSError, ValueError) as error:
            raise Unreadable(_told(error), request=request) from None
        async with self._asking:
            if self._of != its_secret or not self._value or self._clock.monotonic() >= self._until:
                await self._renew(its_secret)
        request.headers["Authorization"] = self._value
        response = yield request
        if response.status_code == 401:
            self._value = ""

    async def _renew(self, its_secret: str) -> None:
        answer = await self._asked(its_secret)
        kind = str(answer.get("token_type") or "Bearer")
        self._value = f"{'Bearer' if kind.lower() == 'bearer' else kind} {answer['access_token']}"
        self._of = its_secret
        lasts = _seconds(answer.get("expires_in"))
        self._until = self._clock.monotonic() + lasts - _EARLY if lasts else float("inf")

    async def _asked(self, its_secret: str) -> Mapping[str, object]:
        async with client(HttpOptions(tls=self._options.tls, proxy=self._options.proxy), clock=self._clock) as asker:
            found = await self._tried(asker, its_secret, in_body=self._in_body)
            if isinstance(found, str):
                found = await self._tried(asker, its_secret, in_body=not self._in_body)
                if isinstance(found, str):
                    raise TokenRefused(f"oauth2: no token from token_url: {found}")
                self._in_body = not self._in_body
        return found

    async def _tried(self, asker: httpx.AsyncClient, its_secret: str, *, in_body: bool) -> Mapping[str, object] | str:
        """The answer that holds a token, or why there is none."""
        form = {"grant_type": "client_credentials", **dict(self._options.endpoint_params)}
        if self._options.scopes:
            form["scope"] = " ".join(self._options.scopes)
        headers = {"Accept": "application/json"}
        if in_body:
            form |= {"client_id": self._options.client_id, "client_secret": its_secret}
        else:
            headers["Authorization"] = _basic(quote_plus(self._options.client_id), quote_plus(its_secret))
        try:
            async with asker.stream("POST", self._options.token_url, data=form, headers=headers) as response:
                body = b""
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > _TOKEN_BYTES:
                        return "the answer is too long"
        except httpx.InvalidURL:
            return "it is no http(s) URL"
        return _token_in(response.status_code, body)


def _token_in(status: int, body: bytes) -> Mapping[str, object] | str:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status >= 400:
        return f"HTTP {status}"
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        return "the answer holds no access_token"
    return answer


def _seconds(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

"""One HTTP POST to a receiver, and what its answer means. What all channels share, so that each file holds only its form.

In: a `Letter` (address, headers, JSON) and the connection options of alertmanager.yml's `http_config`. Out: an
`Answer`: delivered, worth another try (with the receiver's own wish when), or refused for good. Addresses and tokens
are `Secret`s; nothing that leaves this module as text contains one.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import httpx

from aiprism.respond.beginning import PLAIN, beginning
from aiprism.respond.message import Message
from aiprism.yamlfile import Node

_TIMEOUT = 10.0  # for each wait: to connect, to send, for the next piece of the answer
_TOTAL = 30.0
_HOPS = 5
_SHOWN = 200
# 408 and 425 ask for a repeat in so many words; 5xx and 429 by convention. Every other 4xx will be refused again.
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


class Secret:
    """A text that shows itself only when asked to; `file` is read at each use, so a rotated secret is found."""

    __slots__ = ("_file", "_text")

    def __init__(self, text: str = "", *, file: str = "") -> None:
        self._text, self._file = text, file

    def reveal(self) -> str:
        """The text itself; OSError when its file cannot be read."""
        return Path(self._file).read_text(encoding="utf-8").strip() if self._file else self._text

    def __bool__(self) -> bool:
        return bool(self._text or self._file)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._text, self._file) == (other._text, other._file)

    def __hash__(self) -> int:
        return hash((self._text, self._file))

    def __repr__(self) -> str:
        return "<secret>" if self else "<no secret>"

    __str__ = __repr__


NO_SECRET = Secret()


def secret(node: Node, key: str) -> Secret:
    """The secret under `key`, or in the file named under `key_file`; ConfigError when both are given."""
    named = node[f"{key}_file"]
    if node[key] and named:
        raise named.error(f"give {key} or {key}_file, not both")
    return Secret(node[key].text(""), file=_beside(named.text(""), node.file))


def plain(node: Node) -> str:
    """The words in `node`, or nothing when they are a Go template: those are not rendered (`route` warns of each)."""
    text = node.text("")
    return "" if "{{" in text else text


def _beside(name: str, file: str) -> str:
    """Relative names are relative to the file that names them, as Alertmanager reads them."""
    return str(Path(file).parent / name) if name else ""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """alertmanager.yml's `http_config`."""

    authorization: str = ""  # the scheme, such as Bearer
    credentials: Secret = NO_SECRET
    username: str = ""
    password: Secret = NO_SECRET
    proxy: str = ""
    follow_redirects: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"{self.authorization} {self.credentials.reveal()}"} if self.authorization else {}

    def auth(self) -> httpx.BasicAuth | None:
        return httpx.BasicAuth(self.username, self.password.reveal()) if self.username else None

    def verify(self) -> ssl.SSLContext:
        """What connections are checked with, made once; OSError when a file of it cannot be read."""
        if not (self.ca_file or self.cert_file or self.insecure_skip_verify):
            return _usual_context()
        files = (self.ca_file, self.cert_file, self.key_file)
        changed = tuple(Path(name).stat().st_mtime_ns if name else 0 for name in files)
        return _own_context(*files, self.insecure_skip_verify, changed)


@functools.cache
def _usual_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


@functools.lru_cache(maxsize=64)
def _own_context(ca: str, cert: str, key: str, insecure: bool, _changed: tuple[int, ...]) -> ssl.SSLContext:
    """`_changed` are the times of the files, so that a rotated certificate is found."""
    context = ssl.create_default_context(cafile=ca or None)
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if cert:
        context.load_cert_chain(cert, key or None)
    return context


def http_options(node: Node) -> HttpOptions:
    """`http_config` as Alertmanager 0.25 knows it, less OAuth 2, which is refused by name."""
    node.fields(
        "authorization", "basic_auth", "bearer_token", "bearer_token_file", "oauth2", "tls_config", "proxy_url",
        "follow_redirects", "enable_http2",
    )  # fmt: skip
    if node["oauth2"]:
        raise node["oauth2"].error("oauth2 is not supported yet; use authorization or basic_auth")
    authorization = node["authorization"].fields("type", "credentials", "credentials_file")
    basic = node["basic_auth"].fields("username", "password", "password_file")
    tls = node["tls_config"].fields(
        "ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify", "min_version", "max_version"
    )
    if node["proxy_url"] and not is_web_address(node["proxy_url"].text()):
        raise node["proxy_url"].error("expected an http(s) URL")
    bearer = secret(node, "bearer_token")
    credentials = secret(authorization, "credentials") if authorization else bearer
    return HttpOptions(
        authorization=authorization["type"].text("Bearer") if credentials else "",
        credentials=credentials,
        username=basic["username"].text(""),
        password=secret(basic, "password"),
        proxy=node["proxy_url"].text(""),
        follow_redirects=node["follow_redirects"].flag(True),
        ca_file=_beside(tls["ca_file"].text(""), node.file),
        cert_file=_beside(tls["cert_file"].text(""), node.file),
        key_file=_beside(tls["key_file"].text(""), node.file),
        insecure_skip_verify=tls["insecure_skip_verify"].flag(False),
    )


@dataclass(frozen=True, slots=True)
class Globals:
    """What alertmanager.yml's `global` says to the channels we speak."""

    slack_api_url: Secret = NO_SECRET
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    http: HttpOptions = field(default_factory=HttpOptions)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message in a channel's form. `key` names the notification for receivers that drop what they had before."""

    url: Secret
    body: Mapping[str, Any]
    key: str
    http: HttpOptions
    secrets: tuple[Secret, ...] = ()  # what must not be seen in an answer we quote, besides the address


class Integration(Protocol):
    """One configured receiver of one channel."""

    @property
    def channel(self) -> str:
        """The channel's name: webhook, slack, pagerduty."""
        ...

    @property
    def url(self) -> Secret:
        """Where its letters go."""
        ...

    def wants(self, message: Message) -> bool:
        """Whether this event is sent there at all."""
        ...

    def letter(self, message: Message, key: str) -> Letter:
        """The message in this channel's form; pure but for secrets that live in files."""
        ...


class Verdict(Enum):
    """What became of one try."""

    DELIVERED = "delivered"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, its reason in words without secrets, and how many seconds the receiver asked us to wait."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None


async def post(letter: Letter, now: float) -> Answer:
    """Send `letter` once; the whole of it takes 30 seconds at most."""
    try:
        async with asyncio.timeout(_TOTAL):
            return await _posted(letter, now)
    except TimeoutError:  # before OSError, which it is one of
        return Answer(Verdict.AGAIN, f"no whole answer within {_TOTAL:g} s")
    except OSError as error:  # a secret's or certificate's file
        return Answer(Verdict.AGAIN, f"a file it needs cannot be read: {error.strerror}")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
        return Answer(Verdict.REFUSED, "its address is no http(s) URL")
    except httpx.HTTPError as error:
        # Only the kind of failure: httpx puts addresses into some of its messages.
        return Answer(Verdict.AGAIN, f"cannot be reached: {_words(type(error).__name__)}")


async def _posted(letter: Letter, now: float) -> Answer:
    headers = {**letter.http.headers(), **PLAIN, "Idempotency-Key": letter.key}
    async with httpx.AsyncClient(
        timeout=_TIMEOUT, verify=letter.http.verify(), proxy=letter.http.proxy or None, trust_env=False
    ) as client:
        request = client.build_request("POST", letter.url.reveal(), json=letter.body, headers=headers)
        response = await client.send(request, auth=letter.http.auth(), stream=True)
        # httpx would follow a 301, 302 or 303 with a GET, which tells nobody anything and is answered 200.
        for _ in range(_HOPS if letter.http.follow_redirects else 0):
            if response.status_code not in (307, 308) or response.next_request is None:
                break
            following = response.next_request  # without our Authorization where it leads to another host
            await response.aclose()
            response = await client.send(following, auth=None, stream=True)
        try:
            return _answer(letter, response, await beginning(response), now)
        finally:
            await response.aclose()


def _answer(letter: Letter, response: httpx.Response, text: str, now: float) -> Answer:
    if response.is_success:
        return Answer(Verdict.DELIVERED)
    said = _redacted(letter, text.strip())[:_SHOWN]
    reason = f"HTTP {response.status_code}{': ' + said if said else ''}"
    if response.status_code >= 500 or response.status_code in _WORTH_ANOTHER_TRY:
        return Answer(Verdict.AGAIN, reason, _retry_after(response, now))
    return Answer(Verdict.REFUSED, reason)


def _retry_after(response: httpx.Response, now: float) -> float | None:
    """Seconds of a Retry-After header, which is a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        return None


def _redacted(letter: Letter, text: str) -> str:
    address = letter.url.reveal()
    hidden = [address, httpx.URL(address).path, *(item.reveal() for item in letter.secrets if item)]
    hidden += [item.reveal() for item in (letter.http.credentials, letter.http.password) if item]
    for value in sorted((value for value in hidden if len(value) > 3), key=len, reverse=True):
        text = text.replace(value, "<secret>")
    return text


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def quiet_http_log() -> None:
    """Keep addresses out of logs: httpx writes the URL of each request at INFO, and a Slack URL is a secret."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def is_web_address(text: str) -> bool:
    """True for an http or https URL with a host."""
    return re.match(r"https?://[^/\s]+", text) is not None

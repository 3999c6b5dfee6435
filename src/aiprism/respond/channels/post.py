"""One HTTP POST to a receiver, and what its answer means. What all channels share, so that each file holds only its form.

In: a `Letter` (address, headers, JSON) and the connection options of alertmanager.yml's `http_config`. Out: an
`Answer`: delivered, worth another try (with the receiver's own wish when), or refused for good. Addresses and tokens
are `Secret`s; nothing that leaves this module as text contains one.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol, TypeAlias, runtime_checkable

import httpx

from aiprism.httpconfig import (
    NO_SECRET,
    Authorization,
    Basic,
    HttpOptions,
    Secret,
    Unreadable,
    client,
    http_options,
    secret,
)  # fmt: skip
from aiprism.respond.beginning import PLAIN, beginning
from aiprism.respond.message import Message
from aiprism.respond.template import Library, Seen, Words, library
from aiprism.yamlfile import Node

_TIMEOUT = 10.0  # for each wait: to connect, to send, for the next piece of the answer
_TOTAL = 30.0
_HOPS = 5
_SHOWN = 200
# 408 and 425 ask for a repeat in so many words; 5xx and 429 by convention. Every other 4xx will be refused again.
_RETRY = re.compile(r'"retry_after"\s*:\s*(\d{1,9}(?:\.\d+)?)')
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Globals:
    """What alertmanager.yml's `global` says to the channels we speak."""

    slack_api_url: Secret = NO_SECRET
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    http: HttpOptions = field(default_factory=HttpOptions)
    library: Library = field(default_factory=library)
    given: Node = field(default=Node(None, "", 1, ""), repr=False, compare=False)  # `global` itself

    def options(self, node: Node) -> HttpOptions:
        """The `http_config` of an integration, or that of `global`."""
        return http_options(node["http_config"]) if node["http_config"] else self.http

    def usual(
        self, node: Node, *, good_news: bool = True, auth: Basic | Authorization | None = None
    ) -> tuple[bool, HttpOptions]:
        """What entries of every channel say: `send_resolved`, with the channel's default, and `http_config`, with the
        channel's own way to say who we are."""
        http = self.options(node)
        if auth is not None and node["http_config"] and http.auth is not None:
            raise node["http_config"].error("this channel has a key of its own: leave the authorization out")
        return node["send_resolved"].flag(good_news), http if auth is None else replace(http, auth=auth)

    def address(self, node: Node, key: str, default: str) -> str:
        """The base address in `node`, or under `key` of `global`, without a slash at its end."""
        return (node or self.given[key]).text(default).rstrip("/")

    def key(self, node: Node, own: str, key: str) -> Secret:
        """The secret under `own` of `node`, or under `key` of `global`; ConfigError when there is none."""
        found = secret(node, own) or secret(self.given, key)
        if not found:
            raise node.error(f"{own} or {own}_file is required, here or as global.{key}")
        return found

    def words(self, node: Node, default: str = "") -> Words:
        """The text in `node`, or `default`."""
        return self.library.words(node, default)

    def texts(self, node: Node, defaults: Mapping[str, str]) -> Mapping[str, Words]:
        """The texts of these keys of `node`, in this order, each with what it says when left out."""
        return {key: self.words(node[key], default) for key, default in defaults.items()}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message in a channel's form. `key` names the notification for receivers that drop what they had before."""

    url: Secret
    body: Mapping[str, Any] = field(repr=False)  # it may hold a key
    key: str
    http: HttpOptions
    secrets: tuple[Secret, ...] = ()  # what must not be seen in an answer we quote, besides the address
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 0.0  # seconds for the whole of it; 0: thirty
    form: bool = False  # sent as a form instead of JSON
    judge: Judge | None = None  # of receivers that say 200 to what they refuse
    then: tuple[Letter, ...] = ()  # what is sent after it, once it was taken
    carry: Carry | None = field(default=None, repr=False)  # of channels that are more than one HTTP request
    over: Connections | None = field(default=None, repr=False, compare=False)  # kept for the letters that follow


class Connections:
    """HTTP connections that letters to one receiver share, as long as this is open: a storm has thousands of letters, and for
    each a client, its certificates and a connection of its own would cost more than all the rest."""

    def __init__(self) -> None:
        self._clients: dict[HttpOptions, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Connections:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what is open; what is asked for later is opened anew."""
        clients, self._clients = list(self._clients.values()), {}
        for each in clients:
            await each.aclose()

    def client(self, options: HttpOptions) -> httpx.AsyncClient:
        """The client for these options; closed with the others."""
        if options not in self._clients:
            self._clients[options] = client(options, timeout=_TIMEOUT)
        return self._clients[options]


Judge: TypeAlias = Callable[[str], "Answer | None"]  # of the text of a 2xx answer; None is delivered
Carry: TypeAlias = Callable[[Letter, float], Awaitable["Answer"]]


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

    @property
    def send_resolved(self) -> bool:
        """Whether it is told of good news."""
        ...

    def wants(self, message: Message) -> bool:
        """Whether this event is sent there at all."""
        ...

    def letter(self, message: Message, key: str) -> Letter:
        """The message in this channel's form; pure but for secrets that live in files."""
        ...


@runtime_checkable
class Following(Protocol):
    """An integration that goes on from what it said before of the same incident or group."""

    @property
    def threads(self) -> bool:
        """Whether it does so as it is configured."""
        ...

    def follow(self, message: Message, key: str, earlier: Mapping[str, str]) -> Letter:
        """The message in this channel's form, after one for which `earlier` is the receipt."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """What an entry of every HTTP channel has: where to, whether of good news, too, and by which connection."""

    url: Secret
    send_resolved: bool
    http: HttpOptions

    def wants(self, message: Message) -> bool:
        """Whether this event is sent there at all."""
        return self.send_resolved or not message.over


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
    receipt: Mapping[str, str] | None = None  # what the next letter about the same goes on from


def cut(text: str, size: int) -> str:
    """`text` in at most `size` characters."""
    return text if len(text) <= size else text[: size - 1] + "…"


def cut_bytes(text: str, size: int) -> str:
    """`text` in at most `size` bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def said(texts: Mapping[str, Words], what: Seen) -> dict[str, str]:
    """The texts for one message; those that say nothing are left out."""
    filled = {key: words.of(what) for key, words in texts.items()}
    return {key: text for key, text in filled.items() if text}


async def post(letter: Letter, now: float) -> Answer:
    """Send `letter` once; the whole of it takes 30 seconds at most, or less if it says so."""
    limit = min(letter.timeout or _TOTAL, _TOTAL)
    try:
        async with asyncio.timeout(limit):
            first = await (letter.carry or _posted)(letter, now)
            for each in letter.then if first.verdict is Verdict.DELIVERED else ():
                answer = await _posted(replace(each, over=letter.over), now)
                if answer.verdict is not Verdict.DELIVERED:
                    return answer
            return first
    except TimeoutError:  # before OSError, which it is one of
        return Answer(Verdict.AGAIN, f"no whole answer within {limit:g} s")
    except OSError as error:  # a secret's or certificate's file
        return Answer(Verdict.AGAIN, f"a file it needs cannot be read: {error.strerror}")
    except Unreadable as error:
        return Answer(Verdict.AGAIN, str(error))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
        return Answer(Verdict.REFUSED, "its address is no http(s) URL")
    except httpx.HTTPError as error:
        # Only the kind of failure: httpx puts addresses into some of its messages.
        return Answer(Verdict.AGAIN, f"cannot be reached: {_words(type(error).__name__)}")


async def _posted(letter: Letter, now: float) -> Answer:
    return (await exchanged(letter, now))[0]


async def exchanged(letter: Letter, now: float) -> tuple[Answer, str]:
    """Send `letter` once, in a carrier that needs more than one exchange: what became of it, and the beginning of the text
    it was answered with. Errors of the network are the caller's, and so `post`'s."""
    if letter.over is not None:
        return await _exchanged(letter, now, letter.over.client(letter.http))
    async with Connections() as alone:
        return await _exchanged(letter, now, alone.client(letter.http))


async def _exchanged(letter: Letter, now: float, sender: httpx.AsyncClient) -> tuple[Answer, str]:
    headers = {**PLAIN, "Idempotency-Key": letter.key, **letter.headers}
    body = None if letter.method == "GET" else letter.body
    form, content = (body, None) if letter.form else (None, body)
    request = sender.build_request(letter.method, letter.url.reveal(), headers=headers, data=form, json=content)
    response = await sender.send(request, stream=True, follow_redirects=False)
    # httpx would follow a 301, 302 or 303 with a GET, which tells nobody anything and is answered 200.
    for _ in range(_HOPS if letter.http.follow_redirects else 0):
        if response.status_code not in (307, 308) or response.next_request is None:
            break
        following = response.next_request  # without our Authorization where it leads to another host
        await response.aclose()
        response = await sender.send(following, auth=None, stream=True, follow_redirects=False)
    try:
        text = await beginning(response)
        return _answer(letter, response, text, now), text
    finally:
        await response.aclose()


def _answer(letter: Letter, response: httpx.Response, text: str, now: float) -> Answer:
    if response.is_success:
        answer = letter.judge(text) if letter.judge else None
        return answer or Answer(Verdict.DELIVERED)
    said = _redacted(letter, text.strip())[:_SHOWN]
    reason = f"HTTP {response.status_code}{': ' + said if said else ''}"
    if response.status_code >= 500 or response.status_code in _WORTH_ANOTHER_TRY:
        return Answer(Verdict.AGAIN, reason, _retry_after(response, text, now))
    return Answer(Verdict.REFUSED, reason)


def _retry_after(response: httpx.Response, text: str, now: float) -> float | None:
    """Seconds of a Retry-After header, which is a number or an HTTP date (RFC 9110, 10.2.3); Telegram says it in JSON."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        said = _RETRY.search(text)
        return float(said[1]) if said else None


def _redacted(letter: Letter, text: str) -> str:
    address = letter.url.reveal()
    hidden = [address, httpx.URL(address).path, *(item.reveal() for item in letter.secrets if item)]
    hidden += [item.reveal() for item in letter.http.secrets() if item]
    for value in sorted((value for value in hidden if len(value) > 3), key=len, reverse=True):
        text = text.replace(value, "<secret>")
    return text


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def quiet_http_log() -> None:
    """Keep addresses out of logs: httpx writes the URL of each request at INFO, and a Slack URL is a secret."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)

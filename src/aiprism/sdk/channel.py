"""The control channel: a long poll that brings an operator's commands and takes back what became of them.

In come the platform's answers, out go acknowledgements and the list of this process's controls; what a command means is
`control.py`'s to know. Two daemon threads: one polls (standard library HTTP only), one expires commands by the
monotonic clock, so a command with a ttl ends on time even when the platform has died in between.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from aiprism.sdk.control import Ack, Command, Controls

log = logging.getLogger("aiprism.sdk")

POLL_PATH = "/aiprism/v1/control/poll"
WAIT_SECONDS = 25.0
# How much longer than the wait it asked for a poll may take before the platform counts as away.
_GRACE_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_LARGEST_ANSWER = 4 * 1024 * 1024
_LONGEST_PAUSE = 30.0
_PAUSE_AFTER_401 = 60.0
_SOONEST_EMPTY_ANSWER = 0.2


@dataclass(frozen=True, slots=True)
class Instance:
    """This process, as the platform knows it."""

    service: str
    instance: str
    version: str
    environment: str
    pid: int


class UntrustedEndpoint(ValueError):
    """The token would travel in clear text over a network."""


class _Woken(Exception):
    """There is news to tell (an acknowledgement, a control), so the present poll was given up."""


class _Unauthorized(Exception):
    """The platform does not know our token."""


class ControlChannel:
    """Keeps asking `endpoint` for commands on `controls` until `stop`; never raises into the host.

    UntrustedEndpoint when `endpoint` is neither https nor loopback, unless `allow_plaintext`.
    """

    def __init__(
        self,
        controls: Controls,
        endpoint: str,
        token: str,
        instance: Instance,
        *,
        allow_plaintext: bool = False,
        wait_seconds: float = WAIT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = _address(endpoint, allow_plaintext)
        self._controls, self._token, self._instance = controls, token, instance
        self._wait_seconds, self._monotonic = wait_seconds, monotonic
        self._reset()

    def _reset(self) -> None:
        self._acks: dict[str, Ack] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._deadline_moved = threading.Event()
        # The pair by which other threads interrupt a poll that waits for its answer.
        self._wake_here, self._wake_there = socket.socketpair()
        self._wake_here.setblocking(False)
        self._wake_there.setblocking(False)
        self._threads = [
            threading.Thread(target=self._poll_on, name="aiprism-control", daemon=True),
            threading.Thread(target=self._expire_on, name="aiprism-control-expiry", daemon=True),
        ]

    def start(self) -> None:
        """Begin to poll."""
        self._controls.on_change(self.wake)
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Stop polling and take back every command; returns within about `timeout` seconds."""
        self._stopping.set()
        self._deadline_moved.set()
        self.wake()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._controls.on_change(lambda: None)
        self._controls.undo_all()
        if not any(thread.is_alive() for thread in self._threads):
            self._close_pair()

    def restart_after_fork(self, instance: Instance) -> None:
        """Begin afresh in a forked child, as `instance`."""
        stopped = self._stopping.is_set()
        self._controls.restart_after_fork()
        self._instance = instance
        self._close_pair()
        self._reset()
        if not stopped:
            self.start()

    def _close_pair(self) -> None:
        self._wake_here.close()
        self._wake_there.close()

    def wake(self) -> None:
        """Have the platform hear at once of what has changed."""
        with contextlib.suppress(OSError):  # a full pipe has woken it already
            self._wake_there.send(b"!")

    def _poll_on(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            asked_at = time.monotonic()
            try:
                idle = self._follow(self._poll())
            except _Woken:
                # Several controls are often registered in a row: one poll should tell of all of them.
                self._stopping.wait(0.05)
                continue
            except Exception as error:
                failures += 1
                if failures == 1:
                    log.warning("control channel to %s: %s; retrying", self._address.netloc, error or repr(error))
                self._stopping.wait(_pause(failures, error))
                continue
            if failures:
                log.warning("control channel to %s works again", self._address.netloc)
            failures = 0
            if idle and time.monotonic() - asked_at < _SOONEST_EMPTY_ANSWER:
                # A platform that does not hold the poll must not be asked in a tight loop.
                self._stopping.wait(_SOONEST_EMPTY_ANSWER)

    def _poll(self) -> Mapping[str, object]:
        with self._lock:
            acks = dict(self._acks)
        request = {
            **asdict(self._instance),
            "controls": [{"name": c.name, "kind": c.kind, "state": dict(c.state)} for c in self._controls],
            "acks": [asdict(ack) for ack in acks.values()],
            "wait_seconds": self._wait_seconds,
        }
        answer = self._exchange(json.dumps(request, default=str).encode())
        with self._lock:
            for command_id, ack in acks.items():
                if self._acks.get(command_id) is ack:
                    del self._acks[command_id]
        return answer

    def _exchange(self, body: bytes) -> Mapping[str, object]:
        connection = self._address.connection()
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request("POST", self._address.path, body=body, headers=headers)
            until = time.monotonic() + self._wait_seconds + _GRACE_SECONDS
            self._await_answer(connection.sock)
            # Over TLS a socket is readable as soon as the server sends session tickets, long before the answer: what is
            # left of the whole wait is for reading. News of ours then waits for the next poll.
            connection.sock.settimeout(max(_GRACE_SECONDS, until - time.monotonic()))
            response = connection.getresponse()
            content = response.read(_LARGEST_ANSWER + 1)
        finally:
            connection.close()
        if response.status == 401:
            raise _Unauthorized("the platform does not accept our token (401)")
        if response.status != 200:
            raise ConnectionError(f"HTTP {response.status} {response.reason}")
        if len(content) > _LARGEST_ANSWER:
            raise ValueError(f"an answer of more than {_LARGEST_ANSWER} bytes")
        answer = json.loads(content)
        if not isinstance(answer, dict):
            raise ValueError("the answer is not a JSON object")
        return answer

    def _await_answer(self, answering: socket.socket) -> None:
        # Waiting for both, not in `recv` alone, so that news of our own can interrupt the wait.
        with selectors.DefaultSelector() as selector:
            selector.register(answering, selectors.EVENT_READ)
            selector.register(self._wake_here, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(self._wait_seconds + _GRACE_SECONDS)]
        if self._wake_here in ready:
            with contextlib.suppress(BlockingIOError):
                while self._wake_here.recv(4096):
                    pass
            if answering not in ready:
                raise _Woken
        if not ready:
            raise TimeoutError("no answer")

    def _follow(self, answer: Mapping[str, object]) -> bool:
        """Apply and revoke; True when there was nothing to do."""
        now = self._monotonic()
        server_time = answer.get("server_time")
        acks = [self._controls.apply(command, now) for command in _commands(answer.get("commands"), server_time)]
        acks += [self._controls.revoke(command_id) for command_id in _ids(answer.get("revoked"))]
        self._acknowledge(acks)
        self._deadline_moved.set()
        return not acks

    def _expire_on(self) -> None:
        while not self._stopping.is_set():
            self._deadline_moved.wait(self._until_deadline())
            self._deadline_moved.clear()
            try:
                if acks := self._controls.expire(self._monotonic()):
                    self._acknowledge(acks)
                    self.wake()
            except Exception:
                log.exception("expired commands could not be undone; trying again")
                self._stopping.wait(1.0)

    def _until_deadline(self) -> float | None:
        deadline = self._controls.next_deadline()
        return None if deadline is None else max(0.0, deadline - self._monotonic())

    def _acknowledge(self, acks: list[Ack]) -> None:
        with self._lock:
            self._acks.update((ack.command_id, ack) for ack in acks)


@dataclass(frozen=True, slots=True)
class _Address:
    secure: bool
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}"

    def connection(self) -> http.client.HTTPConnection:
        if self.secure:
            tls = ssl.create_default_context()
            return http.client.HTTPSConnection(self.host, self.port, timeout=_CONNECT_SECONDS, context=tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=_CONNECT_SECONDS)


def _address(endpoint: str, allow_plaintext: bool) -> _Address:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"control endpoint {endpoint!r} is not an http(s) URL")
    secure = parts.scheme == "https"
    if not (secure or allow_plaintext or _is_loopback(parts.hostname)):
        raise UntrustedEndpoint(
            f"control endpoint {endpoint!r} would carry the token in clear text; use https, or allow it with "
            "control_allow_plaintext=True (AIPRISM_CONTROL_ALLOW_PLAINTEXT=true)"
        )
    port = parts.port or (443 if secure else 80)
    return _Address(secure, parts.hostname, port, parts.path.rstrip("/") + POLL_PATH)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _commands(items: object, server_time: object) -> list[Command]:
    """The commands of an answer. One that cannot be read has no id to acknowledge: it is logged and left out."""
    commands = []
    for item in items if isinstance(items, list) else []:
        try:
            ttl, issued = item.get("ttl_seconds"), item.get("issued_at")
            # Both times are the platform's, so its clock need not agree with ours.
            age = float(server_time) - float(issued) if isinstance(server_time, int | float) and issued else 0.0
            params = item.get("params") or {}
            if not isinstance(params, dict):
                raise TypeError("params is not an object")
            commands.append(
                Command(
                    id=str(item["id"]),
                    control=str(item["control"]),
                    kind=str(item["kind"]),
                    action=str(item["action"]),
                    params=params,
                    ttl_seconds=None if ttl is None else float(ttl),
                    age=age,
                )
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("a command could not be read (%r): %.200r", error, item)
    return commands


def _ids(items: object) -> list[str]:
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []


def _pause(failures: int, error: Exception) -> float:
    if isinstance(error, _Unauthorized):
        return random.uniform(0.5, 1.0) * _PAUSE_AFTER_401
    return random.uniform(0.5, 1.0) * min(_LONGEST_PAUSE, 0.5 * 2.0 ** min(failures, 10))

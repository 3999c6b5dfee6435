"""What every process of the lab shares: its settings, how it finds and calls its peers, and who a request belongs to.

In: the environment, the topology file that the supervisor writes, the headers of a request. Out: `Settings`, `Peers`,
`Identity`. What a service does with a request is its own module's business.
"""

from __future__ import annotations

import itertools
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
from opentelemetry import trace

SERVICES = (
    "model-server",
    "user-service",
    "notification-service",
    "feedback-service",
    "ai-analysis-service",
    "document-processor",
    "api-gateway",
)
FIRST_VERSION = "2.1.0"
MEMORY_LIMIT = 512 * 1024**2  # of one process; the largest of them takes a third of it


class LabSettingsError(ValueError):
    """The environment asks for something the lab cannot do; the message names the variable."""


@dataclass(frozen=True, slots=True)
class ReleaseBug:
    """A defect that came with a release: `error_rate` (0…1) of the requests take the code path that has it."""

    error_rate: float

    def check(self, request_id: str, headers: Mapping[str, str]) -> None:
        """Fail with the defect's own exception when this request takes the defective path.

        The release turned a new answer format on for a share of the requests. It depends on a header that no client
        sends yet, so the look-up raises KeyError: an unhandled error with a real stack trace.
        """
        if zlib.crc32(request_id.encode()) % 10_000 < self.error_rate * 10_000:
            _answer_format(headers)


def _answer_format(headers: Mapping[str, str]) -> int:
    return 2 if headers["x-client-build"] >= "2026" else 1


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    prompt: float
    completion: float


# The lab's own two models; the first is thorough, the second quick and cheap.
LAB_MODELS = {"claude-sonnet": Price(3.0, 15.0), "claude-haiku": Price(0.8, 4.0)}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything one process of the lab is told, read from its environment once at start."""

    service: str
    instance: str
    data: Path
    version: str = FIRST_VERSION
    environment: str = "demo"
    otlp: str = "http://127.0.0.1:4318"
    platform: str = "http://127.0.0.1:9090"
    control_token: str = ""
    database_url: str = ""
    redis_url: str = ""
    memory_limit: int = MEMORY_LIMIT
    bug: ReleaseBug | None = None
    model_url: str = ""
    model_key: str = ""
    models: Mapping[str, Price] = field(default_factory=lambda: LAB_MODELS)
    users: int = 12
    rate: float = 1.5
    seed: int = 7

    @property
    def topology(self) -> Path:
        """Where the supervisor tells who listens on which port."""
        return self.data / "topology.json"

    @classmethod
    def from_environment(cls, service: str, environ: Mapping[str, str]) -> Self:
        """The settings of process `service`; LAB_DATA is required, the rest has a default."""
        if not environ.get("LAB_DATA"):
            raise LabSettingsError("LAB_DATA is not set; it names the lab's data directory")
        data = Path(environ["LAB_DATA"])
        return cls(
            service=service,
            instance=environ.get("LAB_INSTANCE", f"{service}-1"),
            data=data,
            version=environ.get("LAB_VERSION", FIRST_VERSION),
            environment=environ.get("LAB_ENVIRONMENT", "demo"),
            otlp=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            platform=environ.get("AIPRISM_CONTROL_ENDPOINT", "http://127.0.0.1:9090"),
            control_token=environ.get("AIPRISM_CONTROL_TOKEN", ""),
            database_url=environ.get("LAB_DATABASE_URL") or f"sqlite:///{data / 'lab.db'}",
            redis_url=environ.get("LAB_REDIS_URL", ""),
            memory_limit=int(environ.get("LAB_MEMORY_LIMIT", MEMORY_LIMIT)),
            bug=_bug(environ.get("LAB_BUG", "")),
            model_url=environ.get("LAB_OPENAI_BASE_URL", ""),
            model_key=environ.get("LAB_OPENAI_API_KEY", ""),
            models=_models(environ.get("LAB_OPENAI_MODELS", "")),
            users=int(environ.get("LAB_USERS", "12")),
            rate=float(environ.get("LAB_RATE", "1.5")),
            seed=int(environ.get("LAB_SEED", "7")),
        )


def _bug(text: str) -> ReleaseBug | None:
    if not text:
        return None
    try:
        return ReleaseBug(error_rate=float(json.loads(text)["error_rate"]))
    except (ValueError, KeyError, TypeError) as error:
        raise LabSettingsError(f'LAB_BUG is {text!r}; it must look like {{"error_rate": 0.3}}') from error


def _models(text: str) -> Mapping[str, Price]:
    """`large=2.5/10,small=0.15/0.6` gives two models with their prices; empty gives the lab's own."""
    if not text:
        return LAB_MODELS
    try:
        pairs = (entry.split("=") for entry in text.split(","))
        return {name.strip(): Price(*map(float, prices.split("/"))) for name, prices in pairs}
    except (ValueError, TypeError) as error:
        raise LabSettingsError(
            f"LAB_OPENAI_MODELS is {text!r}; it must look like large=2.5/10,small=0.15/0.6"
        ) from error


# ---- who a request belongs to ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """The user behind a request, as the gateway found them; services on loopback trust these headers."""

    request_id: str = ""
    user_id: str = ""
    organization: str = ""
    tier: str = ""

    def headers(self) -> dict[str, str]:
        named = {
            "x-request-id": self.request_id,
            "x-user-id": self.user_id,
            "x-organization-id": self.organization,
            "x-user-tier": self.tier,
        }
        return {name: value for name, value in named.items() if value}

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        return cls(
            request_id=headers.get("x-request-id", ""),
            user_id=headers.get("x-user-id", ""),
            organization=headers.get("x-organization-id", ""),
            tier=headers.get("x-user-tier", ""),
        )


identity: ContextVar[Identity] = ContextVar("identity", default=Identity())  # noqa: B039 - Identity is frozen


@contextmanager
def untraced() -> Iterator[None]:
    """Whatever is called in the block, here or in another process, leaves no spans: for polling that never ends."""
    # A parent that is not sampled makes every sampler downstream say no.
    unsampled = trace.SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=trace.TraceFlags.get_default())
    with trace.use_span(trace.NonRecordingSpan(unsampled)):
        yield


# ---- where the peers are ---------------------------------------------------------------------------------------------


class PeerUnavailableError(ConnectionError):
    """No replica of a service could be reached; nothing was done there."""


class Topology:
    """The supervisor's list of ports, read again whenever the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._ports: dict[str, list[int]] = {}
        self._ready = False

    def ports(self, service: str) -> list[int]:
        self._follow()
        return self._ports.get(service, [])

    @property
    def ready(self) -> bool:
        """True once the supervisor has seen every service healthy."""
        self._follow()
        return self._ready

    def _follow(self) -> None:
        try:
            stamp = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if stamp == self._stamp:
            return
        content = json.loads(self._path.read_text())
        self._ports = {name: [each["port"] for each in each_of] for name, each_of in content["services"].items()}
        self._ready, self._stamp = content["ready"], stamp


def write_topology(path: Path, services: Mapping[str, list[dict[str, object]]], *, ready: bool) -> None:
    """Replace the file in one step, so that no reader sees half of it."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"ready": ready, "services": services}, indent=1))
    os.replace(draft, path)  # noqa: PTH105 - Path.replace is the same call; this one names what matters


class Peers:
    """Calls other services: round robin over their replicas, the next one when a connection is refused.

    Only a refused connection is tried elsewhere: then nothing was sent, so nothing can happen twice.
    """

    def __init__(self, topology: Topology, timeout: float = 30.0) -> None:
        self._topology = topology
        self._turn = itertools.count()
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(timeout, connect=2.0), limits=limits, trust_env=False)

    async def request(
        self,
        service: str,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer of one replica, whatever its status; PeerUnavailableError when none accepts a connection."""
        sent = identity.get().headers() | dict(headers or {})
        ports = self._topology.ports(service)
        first = next(self._turn)
        for step in range(len(ports)):
            url = f"http://127.0.0.1:{ports[(first + step) % len(ports)]}{path}"
            try:
                return await self._client.request(method, url, json=json, content=content, headers=sent, params=params)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        raise PeerUnavailableError(f"no replica of {service} accepts connections ({len(ports)} listed)")

    async def aclose(self) -> None:
        await self._client.aclose()

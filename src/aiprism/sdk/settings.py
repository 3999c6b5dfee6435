"""What the SDK was asked to do: the arguments of `instrument` and the environment, read once.

OTEL_* variables keep OpenTelemetry's meaning; an argument outranks a variable, as it does there. What the OTLP
exporters, samplers and propagators read by themselves (headers, certificates, compression, OTEL_TRACES_SAMPLER …) is
left to them. A variable that makes no sense is said and not raised: telemetry must not keep a service from starting.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger("aiprism.sdk")

TRACES, METRICS, LOGS = SIGNALS = ("traces", "metrics", "logs")
DEFAULT_OTLP = "http://127.0.0.1:4318"
# OpenTelemetry waits 10 s for an answer; a platform that takes longer than 5 is as good as away.
EXPORT_SECONDS = 5.0
METRIC_INTERVAL_SECONDS = 10.0
# At 100 requests/s of 10 spans this bridges a platform restart of 8 s; a span takes about 2 KiB.
QUEUE_SIZE = 8192
BATCH_SIZE = 512
FLUSH_EVERY_SECONDS = 1.0
# Snapshots of all metrics kept while the platform is away: five minutes at the default interval.
SNAPSHOTS = 30
# Probes and scrapes are not requests of users; counted, they would dilute every ratio.
EXCLUDED_PATHS = (r"/healthz$", r"/livez$", r"/readyz$", r"/metrics$")


@dataclass(frozen=True, slots=True)
class Queue:
    """How much of a signal waits, how much is sent at once, and how often (seconds)."""

    capacity: int
    batch: int
    interval: float


@dataclass(frozen=True, slots=True)
class Export:
    """Where a signal goes: `kind` is otlp, console or none. What is None is the exporter's own to find out."""

    kind: str
    endpoint: str | None
    timeout: float | None
    own_session: bool


@dataclass(frozen=True, slots=True)
class Control:
    """Where commands come from."""

    endpoint: str
    token: str
    allow_plaintext: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `instrument` needs to know. `resource` holds only what was given; the variables may add to it."""

    resource: Mapping[str, str]
    exports: Mapping[str, Export]
    queues: Mapping[str, Queue]
    control: Control | None
    logs_to_stdout: bool
    log_level: str | int | None
    libraries: bool
    disabled_libraries: frozenset[str]
    excluded_paths: tuple[str, ...]


def read_settings(
    environ: Mapping[str, str],
    *,
    service: str | None,
    version: str | None,
    environment: str | None,
    instance: str | None,
    endpoint: str | None,
    control_endpoint: str | None,
    control_token: str | None,
    control_allow_plaintext: bool,
    logs_to_stdout: bool,
    log_level: str | int | None,
    libraries: bool,
) -> Settings:
    """The settings for these arguments in this environment."""
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    excluded = environ.get("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS") or environ.get("OTEL_PYTHON_EXCLUDED_URLS") or ""
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    control_endpoint = control_endpoint or environ.get("AIPRISM_CONTROL_ENDPOINT")
    control_token = control_token or environ.get("AIPRISM_CONTROL_TOKEN")
    plaintext = control_allow_plaintext or _true(environ.get("AIPRISM_CONTROL_ALLOW_PLAINTEXT", ""))
    return Settings(
        resource=_resource(service, version, environment, instance),
        exports={signal: _export(environ, signal, endpoint, off=off) for signal in SIGNALS},
        queues={
            TRACES: _queue(environ, "OTEL_BSP"),
            LOGS: _queue(environ, "OTEL_BLRP"),
            METRICS: Queue(
                SNAPSHOTS,
                1,
                _number(environ, "OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL_SECONDS * 1000) / 1000,
            ),
        },
        control=Control(control_endpoint, control_token, plaintext) if control_endpoint and control_token else None,
        logs_to_stdout=logs_to_stdout,
        log_level=log_level,
        libraries=libraries and not off,
        disabled_libraries=frozenset(name.strip() for name in disabled.split(",") if name.strip()),
        excluded_paths=tuple(part.strip() for part in excluded.split(",") if part.strip()) or EXCLUDED_PATHS,
    )


def _resource(
    service: str | None, version: str | None, environment: str | None, instance: str | None
) -> dict[str, str]:
    given = {
        "service.name": service,
        "service.version": version,
        "deployment.environment.name": environment,
        # The older name of the same thing, which dashboards and collectors still ask for.
        "deployment.environment": environment,
        "service.instance.id": instance,
    }
    return {key: value for key, value in given.items() if value is not None}


def _export(environ: Mapping[str, str], signal: str, endpoint: str | None, *, off: bool) -> Export:
    upper = signal.upper()
    kind = "none" if off else environ.get(f"OTEL_{upper}_EXPORTER", "").strip().lower() or "otlp"
    if kind not in ("otlp", "console", "none"):
        log.warning("OTEL_%s_EXPORTER=%r is not one of otlp, console, none; using otlp", upper, kind)
        kind = "otlp"
    protocol = environ.get(f"OTEL_EXPORTER_OTLP_{upper}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if kind == "otlp" and protocol not in (None, "", "http/protobuf"):
        log.warning("OTLP for %s goes over http/protobuf; the protocol %r is not spoken", signal, protocol)
    if endpoint is None and not _either(environ, "OTEL_EXPORTER_OTLP_{}ENDPOINT", upper):
        endpoint = DEFAULT_OTLP
    return Export(
        kind=kind,
        endpoint=None if endpoint is None else f"{endpoint.rstrip('/')}/v1/{signal}",
        timeout=None if _either(environ, "OTEL_EXPORTER_OTLP_{}TIMEOUT", upper) else EXPORT_SECONDS,
        own_session=_either(environ, "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER", upper),
    )


def _either(environ: Mapping[str, str], name: str, signal: str) -> bool:
    return bool(environ.get(name.format("")) or environ.get(name.format(f"{signal}_")))


def _queue(environ: Mapping[str, str], prefix: str) -> Queue:
    capacity = int(_number(environ, f"{prefix}_MAX_QUEUE_SIZE", QUEUE_SIZE))
    batch = int(_number(environ, f"{prefix}_MAX_EXPORT_BATCH_SIZE", min(BATCH_SIZE, capacity)))
    delay = _number(environ, f"{prefix}_SCHEDULE_DELAY", FLUSH_EVERY_SECONDS * 1000) / 1000
    return Queue(capacity, min(batch, capacity), delay)


def _number(environ: Mapping[str, str], variable: str, default: float) -> float:
    text = environ.get(variable, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:
        log.warning("%s=%r is not a number of at least 1; using %g", variable, text, default)
        return default
    return value


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes")

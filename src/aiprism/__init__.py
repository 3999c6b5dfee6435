"""aiprism: observability for services that run AI.

`import aiprism` is the SDK of an instrumented service; each name loads its module when first used, so that neither the
platform nor OpenTelemetry is imported before it is needed. The platform is started by `aiprism serve`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from aiprism.sdk import metrics as metrics
    from aiprism.sdk import tracing as tracing
    from aiprism.sdk.asgi import ServerTelemetry as ServerTelemetry
    from aiprism.sdk.context import context as context
    from aiprism.sdk.context import current as current
    from aiprism.sdk.context import normalize_endpoint as normalize_endpoint
    from aiprism.sdk.control import CircuitOpen as CircuitOpen
    from aiprism.sdk.control import controls as controls
    from aiprism.sdk.faults import InjectedFault as InjectedFault
    from aiprism.sdk.instrument import Instrumentation as Instrumentation
    from aiprism.sdk.instrument import instrument as instrument
    from aiprism.sdk.logs import LogEvent as LogEvent
    from aiprism.sdk.logs import StructuredLogger as StructuredLogger
    from aiprism.sdk.logs import logger as logger
    from aiprism.sdk.logs import structlog_processor as structlog_processor
    from aiprism.sdk.tracing import api_request as api_request
    from aiprism.sdk.tracing import document_analysis_pipeline as document_analysis_pipeline
    from aiprism.sdk.tracing import document_processing as document_processing
    from aiprism.sdk.tracing import phase as phase

# name → (module, attribute); an empty attribute is the module itself.
_WHERE = {
    "CircuitOpen": ("control", "CircuitOpen"),
    "InjectedFault": ("faults", "InjectedFault"),
    "Instrumentation": ("instrument", "Instrumentation"),
    "LogEvent": ("logs", "LogEvent"),
    "ServerTelemetry": ("asgi", "ServerTelemetry"),
    "StructuredLogger": ("logs", "StructuredLogger"),
    "api_request": ("tracing", "api_request"),
    "context": ("context", "context"),
    "controls": ("control", "controls"),
    "current": ("context", "current"),
    "document_analysis_pipeline": ("tracing", "document_analysis_pipeline"),
    "document_processing": ("tracing", "document_processing"),
    "instrument": ("instrument", "instrument"),
    "logger": ("logs", "logger"),
    "metrics": ("metrics", ""),
    "normalize_endpoint": ("context", "normalize_endpoint"),
    "phase": ("tracing", "phase"),
    "structlog_processor": ("logs", "structlog_processor"),
    "tracing": ("tracing", ""),
}

__all__ = [
    "CircuitOpen",
    "InjectedFault",
    "Instrumentation",
    "LogEvent",
    "ServerTelemetry",
    "StructuredLogger",
    "__version__",
    "api_request",
    "context",
    "controls",
    "current",
    "document_analysis_pipeline",
    "document_processing",
    "instrument",
    "logger",
    "metrics",
    "normalize_endpoint",
    "phase",
    "structlog_processor",
    "tracing",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'aiprism' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    loaded = import_module(f"aiprism.sdk.{module}")
    value: object = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Log records as senders send them, the same at every call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns


@dataclass(frozen=True)
class Line:
    """A log record: when, by whom, how bad, what."""

    at: float
    body: str
    level: str = "INFO"
    service: str = "api"
    trace: bytes = b""


def logs_request(lines: Iterable[Line]) -> ExportLogsServiceRequest:
    """The OTLP request that holds these lines."""
    request = ExportLogsServiceRequest()
    for line in lines:
        resource = request.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = line.service
        record = resource.scope_logs.add().log_records.add(time_unix_nano=round(line.at * 1e9), trace_id=line.trace)
        record.severity_number = SeverityNumber.Value(f"SEVERITY_NUMBER_{line.level}")
        record.body.string_value = line.body
    return request


def store_logs(engine: Engine, lines: Iterable[Line], token: str = "logs") -> None:
    """Keep these lines as the doors keep them."""
    engine.insert_arrow("logs_received", log_columns(logs_request(lines).SerializeToString()), token=token)

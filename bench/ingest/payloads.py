"""OTLP request bodies as a document-analysis system sends them: encoded once, before anything is measured.

Traces of eight spans over four services, eight to ten attributes each, 512 spans a request and one service a request,
as the SDKs' batch processors send them. Log records of about 200 bytes with five attributes, a third of them with a trace.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PER_REQUEST = 512
Attribute = str | int | float | bool

# (service, operation, kind, position of the parent in the trace, share of the root's time)
SHAPE = (
    ("gateway", "POST /v1/documents", Span.SPAN_KIND_SERVER, None, 1.0),
    ("gateway", "HTTP POST", Span.SPAN_KIND_CLIENT, 0, 0.9),
    ("processor", "POST /process", Span.SPAN_KIND_SERVER, 1, 0.88),
    ("processor", "document.validate", Span.SPAN_KIND_INTERNAL, 2, 0.05),
    ("processor", "document.extract", Span.SPAN_KIND_INTERNAL, 2, 0.2),
    ("processor", "chat gpt-4o", Span.SPAN_KIND_CLIENT, 2, 0.5),
    ("model", "POST /v1/chat", Span.SPAN_KIND_SERVER, 5, 0.48),
    ("storage", "INSERT documents", Span.SPAN_KIND_SERVER, 2, 0.1),
)
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet", "llama-3-70b")
PROSE = (
    "document analysis finished for tenant while waiting on the upstream model provider and its answer was checked "
    "against schema before the section writer continued with the next page of invoice contract report letter form"
)
WORDS = PROSE.split()


@dataclass(frozen=True, slots=True)
class Payload:
    """One encoded request and how many items it holds; `raw_json` is what its records are as plain JSON lines (logs)."""

    body: bytes
    items: int
    raw_json: int = 0


def traces(count: int, *, start_ns: int, seed: int = 1, per_second: int = 20_000) -> list[Payload]:
    """Requests of about `count` spans in all, whose traces begin evenly from `start_ns` on."""
    dice = random.Random(seed)
    open_requests: dict[str, ExportTraceServiceRequest] = {}
    done: list[Payload] = []
    for number in range(count // len(SHAPE)):
        begin = start_ns + number * len(SHAPE) * 1_000_000_000 // per_second + dice.randrange(50_000_000)
        for service, fields in _trace(dice, begin):
            request = open_requests.get(service) or open_requests.setdefault(service, _trace_request(service))
            spans = request.resource_spans[0].scope_spans[0].spans
            spans.add(**fields)
            if len(spans) == PER_REQUEST:
                done.append(Payload(open_requests.pop(service).SerializeToString(), PER_REQUEST))
    done += [
        Payload(request.SerializeToString(), len(request.resource_spans[0].scope_spans[0].spans))
        for request in open_requests.values()
    ]
    return done


def logs(count: int, *, start_ns: int, seed: int = 1, per_second: int = 20_000) -> list[Payload]:
    """Requests of `count` records in all."""
    dice = random.Random(seed)
    return [
        _log_request(dice, start_ns + at * 1_000_000_000 // per_second, min(PER_REQUEST, count - at), per_second)
        for at in range(0, count, PER_REQUEST)
    ]


def _trace(dice: random.Random, begin: int) -> Iterator[tuple[str, dict[str, object]]]:
    trace_id, ids = dice.randbytes(16), [dice.randbytes(8) for _ in SHAPE]
    total = int(dice.lognormvariate(20.0, 0.6))  # about half a second
    failed = dice.random() < 0.02
    document, user = f"doc-{dice.randrange(10**9):09d}", f"user-{dice.randrange(5000)}"
    for at, (service, name, kind, parent, share) in enumerate(SHAPE):
        took = int(total * share * dice.uniform(0.9, 1.0))
        since = begin + int(total * (1 - share) * dice.uniform(0.3, 0.5))
        yield (
            service,
            {
                "trace_id": trace_id,
                "span_id": ids[at],
                "parent_span_id": b"" if parent is None else ids[parent],
                "name": name,
                "kind": kind,
                "start_time_unix_nano": since,
                "end_time_unix_nano": since + took,
                "attributes": _pairs(_span_attributes(dice, name, document, user, failed)),
                "flags": 0x101,
                "status": {"code": 2, "message": "provider timed out"}
                if failed and at in (0, 1, 2, 5)
                else {"code": 0},
                "events": [
                    {
                        "time_unix_nano": since + took,
                        "name": "exception",
                        "attributes": _pairs(
                            {"exception.type": "TimeoutError", "exception.message": f"no answer in 30 s for {document}"}
                        ),
                    }
                ]
                if failed and at == 5
                else [],
            },
        )


def _span_attributes(dice: random.Random, name: str, document: str, user: str, failed: bool) -> dict[str, Attribute]:
    if name.startswith("chat"):
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": dice.choice(MODELS),
            "gen_ai.request.temperature": 0.2,
            "gen_ai.usage.input_tokens": dice.randrange(200, 4000),
            "gen_ai.usage.output_tokens": dice.randrange(20, 900),
            "server.address": "model.internal",
            "document.id": document,
            "error.type": "timeout" if failed else "",
        }
    if name.startswith("INSERT"):
        return {
            "db.system.name": "postgresql",
            "db.operation.name": "INSERT",
            "db.collection.name": "documents",
            "db.query.text": "INSERT INTO documents (id, owner, body) VALUES ($1, $2, $3)",
            "server.address": "db.internal",
            "server.port": 5432,
            "db.response.returned_rows": 1,
            "document.id": document,
        }
    if name.startswith("document."):
        return {
            "document.id": document,
            "document.type": dice.choice(("invoice", "contract", "letter", "form")),
            "document.pages": dice.randrange(1, 40),
            "document.bytes": dice.randrange(10_000, 4_000_000),
            "user.id": user,
            "code.function.name": name.replace(".", "_"),
            "code.file.path": "/app/processor/pipeline.py",
            "retry": False,
        }
    return {
        "http.request.method": "POST",
        "http.route": name.partition(" ")[2] or "/process",
        "url.scheme": "http",
        "url.path": f"/v1/documents/{document}",
        "http.response.status_code": 504 if failed else 200,
        "network.protocol.version": "1.1",
        "server.address": "gateway.internal",
        "server.port": 8080,
        "user_agent.original": "python-httpx/0.28",
        "user.id": user,
    }


def _trace_request(service: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _describe(resource.resource, service)
    resource.schema_url = "https://opentelemetry.io/schemas/1.37.0"
    resource.scope_spans.add().scope.name = "opentelemetry.instrumentation.fastapi"
    resource.scope_spans[0].scope.version = "0.60b0"
    return request


def _describe(resource: Resource, service: str) -> None:
    resource.attributes.extend(
        _pairs(
            {
                "service.name": service,
                "service.version": "1.4.2",
                "service.instance.id": f"{service}-5d9f7b-x2x4q",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.40.0",
                "host.name": "node-17",
                "process.pid": 4711,
            }
        )
    )


def _log_request(dice: random.Random, start_ns: int, count: int, per_second: int) -> Payload:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    service = dice.choice(("gateway", "processor", "model", "storage"))
    _describe(resource.resource, service)
    scoped = resource.scope_logs.add()
    scoped.scope.name = "processor.pipeline"
    size = 0
    for at in range(count):
        since = start_ns + at * 1_000_000_000 // per_second
        body = _line(dice)
        attributes: dict[str, Attribute] = {
            "document.id": f"doc-{dice.randrange(10**9):09d}",
            "user.id": f"user-{dice.randrange(5000)}",
            "code.function.name": "write_section",
            "code.line.number": dice.choice((41, 97, 212)),
            "thread.name": "worker-3",
        }
        severity = dice.choice((9, 9, 9, 9, 9, 9, 9, 5, 13, 17))
        record = scoped.log_records.add(
            time_unix_nano=since,
            observed_time_unix_nano=since + 1000,
            severity_number=severity,
            severity_text={5: "DEBUG", 9: "INFO", 13: "WARN", 17: "ERROR"}[severity],
            attributes=_pairs(attributes),
        )
        record.body.string_value = body
        if dice.random() < 1 / 3:
            record.trace_id, record.span_id, record.flags = dice.randbytes(16), dice.randbytes(8), 1
        size += len(
            json.dumps(
                {
                    "timestamp": f"2026-09-21T13:{at % 60:02d}:{at % 60:02d}.{since % 10**9:09d}Z",
                    "severity": record.severity_text,
                    "service": service,
                    "body": body,
                    "trace_id": record.trace_id.hex(),
                    "span_id": record.span_id.hex(),
                    "attributes": attributes,
                    "resource": {each.key: each.value.string_value for each in resource.resource.attributes},
                }
            )
        )
    return Payload(request.SerializeToString(), count, size)


def _line(dice: random.Random) -> str:
    """About 200 bytes: one of a few dozen templates with numbers and ids in it."""
    template = dice.randrange(40)
    words = " ".join(WORDS[(template * 7 + at * 3) % len(WORDS)] for at in range(19))
    return (
        f"{words}: section {dice.randrange(40)} took {dice.uniform(1, 900):.1f} ms "
        f"request={dice.randbytes(8).hex()} retries={dice.randrange(4)}"
    )


def _pairs(attributes: dict[str, Attribute]) -> list[KeyValue]:
    pairs = []
    for key, value in attributes.items():
        pair = KeyValue(key=key)
        if isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        else:
            pair.value.string_value = value
        pairs.append(pair)
    return pairs

"""OTLP over gRPC on its usual port: raw message bytes in, the same doors as HTTP behind.

Messages are not deserialised by gRPC: their bytes are the insert format. Refusals become the status codes the OTLP
specification names; the ones a sender should retry carry RetryInfo. A message is read only once there is memory for the
largest one allowed, since gRPC tells its size when all of it is there: until then it waits at the sender, beyond the
window of flow control. That is why the handler takes a stream, of which a unary client sends one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from aiprism.config import IngestConfig
from aiprism.errors import BadInput, ConfigError, Refused, TooLarge, TooMany, TooSlow, Unavailable
from aiprism.receive.doors import OtlpDoors, Receipt, Signal
from aiprism.receive.inflight import InFlight, Lease

log = structlog.get_logger()

_SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
}


_MOST_CALLS = 4096  # calls under way, each of which holds a window of 64 KiB at most before its message is read


def bound(address: str, doors: OtlpDoors, config: IngestConfig, in_flight: InFlight) -> tuple[grpc.aio.Server, int]:
    """A gRPC server on `address`, not started yet, and the port it got; ConfigError when the address is taken."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", config.body_bytes),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.bdp_probe", 0),  # it would let windows grow, and with them what unread calls hold
        ],
        maximum_concurrent_rpcs=_MOST_CALLS,
    )
    reading = asyncio.Semaphore(max(1, in_flight.limit // config.body_bytes // 2))
    for service, signal in _SERVICES.items():
        method = grpc.stream_unary_rpc_method_handler(_exporter(doors, signal, config, in_flight, reading))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(f"server.otlp_grpc: cannot listen on {address}; is it in use?") from error
    return server, port


def response_bytes(signal: Signal, receipt: Receipt) -> bytes:
    """The Export…ServiceResponse that tells how much was taken."""
    return response(signal, receipt).SerializeToString()


def response(
    signal: Signal, receipt: Receipt
) -> ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse:
    """The Export…ServiceResponse message; `partial_success` is set only when there is something to say."""
    if signal is Signal.TRACES:
        spans = ExportTraceServiceResponse()
        if receipt.reason:
            spans.partial_success.rejected_spans = receipt.rejected
            spans.partial_success.error_message = receipt.reason
        return spans
    if signal is Signal.METRICS:
        points = ExportMetricsServiceResponse()
        if receipt.reason:
            points.partial_success.rejected_data_points = receipt.rejected
            points.partial_success.error_message = receipt.reason
        return points
    records = ExportLogsServiceResponse()
    if receipt.reason:
        records.partial_success.rejected_log_records = receipt.rejected
        records.partial_success.error_message = receipt.reason
    return records


def _exporter(
    doors: OtlpDoors, signal: Signal, config: IngestConfig, in_flight: InFlight, reading: asyncio.Semaphore
) -> Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]:
    async def export(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            with in_flight.lease() as lease:
                body = await _message(messages, lease, config, reading)
                return response_bytes(signal, await doors.receive(signal, body, door="otlp_grpc"))
        except Refused as refused:
            await _abort(context, refused)
            raise  # not reached: abort raises

    return export


async def _message(
    messages: AsyncIterator[bytes], lease: Lease, config: IngestConfig, reading: asyncio.Semaphore
) -> bytes:
    """The one message of a call, read while there is room for the largest one."""
    try:
        async with asyncio.timeout(config.body_timeout), reading:
            lease.grow(config.body_bytes)
            body = await anext(aiter(messages))
    except StopAsyncIteration:
        raise BadInput("the call ended without a message") from None
    except TimeoutError:
        raise TooSlow(f"the message did not arrive within {config.body_timeout:g} s (ingest.body_timeout)") from None
    lease.shrink(config.body_bytes - len(body))
    return body


async def _abort(context: grpc.aio.ServicerContext[bytes, bytes], refused: Refused) -> None:
    code = _status_code(refused)
    status = Status(code=code.value[0], message=str(refused))
    if refused.retry_after is not None:
        pause = Duration()
        pause.FromMilliseconds(round(refused.retry_after * 1000))
        detail = AnyMessage()
        detail.Pack(RetryInfo(retry_delay=pause))
        status.details.append(detail)
    await context.abort(code, str(refused), (("grpc-status-details-bin", status.SerializeToString()),))


def _status_code(refused: Refused) -> grpc.StatusCode:
    if isinstance(refused, Unavailable):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(refused, TooSlow):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(refused, TooMany | TooLarge):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    return grpc.StatusCode.INVALID_ARGUMENT

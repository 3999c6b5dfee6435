"""`instrument`: everything the SDK does for an application, switched on by one call.

In come arguments and the environment (`settings.py`); out goes an `Instrumentation`. What it wires: OpenTelemetry
providers → outboxes (`outbox.py`) → OTLP/HTTP exporters, the log handler (`logs.py`), the library hooks (`libraries.py`,
`asgi.py`), the control channel (`channel.py`).
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

import prometheus_client
from opentelemetry import _logs as otel_logs
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace as otel_trace
from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk._logs import (
    LoggerProvider,
    LogRecordLimits,
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
)
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from aiprism.sdk import asgi, metrics, tracing
from aiprism.sdk.channel import ControlChannel, Instance
from aiprism.sdk.control import controls
from aiprism.sdk.libraries import trace_libraries
from aiprism.sdk.logs import LogEvents, hush_exporters
from aiprism.sdk.outbox import Exporter, ExporterSender, Outbox, Wire
from aiprism.sdk.settings import LOGS, METRICS, TRACES, Export, Settings, read_settings

log = logging.getLogger("aiprism.sdk")

T = TypeVar("T")
E = TypeVar("E")


def instrument(
    service: str | None = None,
    *,
    version: str | None = None,
    environment: str | None = None,
    endpoint: str | None = None,
    control_endpoint: str | None = None,
    control_token: str | None = None,
    control_allow_plaintext: bool = False,
    app: object | None = None,
    instance: str | None = None,
    logs_to_stdout: bool = True,
    log_level: str | int | None = "INFO",
    libraries: bool = True,
) -> Instrumentation:
    """Traces, metrics and logs of this process go to `endpoint` (OTLP/HTTP), and operators can steer its controls.

    What is not given comes from OpenTelemetry's variables (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_EXPORTER_OTLP_ENDPOINT …) and AIPRISM_CONTROL_ENDPOINT / AIPRISM_CONTROL_TOKEN; without a token there is no
    control channel. `app` is a FastAPI or Starlette application to trace and measure. `log_level` is given to the root
    logger unless the application has changed its level already; None leaves it alone.

    A second call returns the same `Instrumentation` and only hooks `app`.
    """
    if app is not None:
        asgi.must_be_hookable(app)
    with _process.lock:
        if _process.current is None:
            settings = read_settings(
                os.environ,
                service=service,
                version=version,
                environment=environment,
                instance=instance,
                endpoint=endpoint,
                control_endpoint=control_endpoint,
                control_token=control_token,
                control_allow_plaintext=control_allow_plaintext,
                logs_to_stdout=logs_to_stdout,
                log_level=log_level,
                libraries=libraries,
            )
            _process.current = Instrumentation(settings, trace_new_fastapi=app is None)
        instrumentation = _process.current
    if app is not None:
        instrumentation.hook(app)
    return instrumentation


class Instrumentation:
    """What `instrument` switched on. As a context manager it shuts down at the end of the block."""

    def __init__(self, settings: Settings, *, trace_new_fastapi: bool) -> None:
        # A straight list: each part needs only what stands above it, and `shutdown` goes the other way.
        self._settings = settings
        self._ended = threading.Event()
        self._scopes: dict[str, InstrumentationScope] = {}
        self._put_record: Callable[[ReadableLogRecord], None] = lambda _: None
        self._outboxes: dict[str, Outbox[Any]] = {}  # by signal, each of its own kind of item
        self.resource = _described(Resource.create(dict(settings.resource)))
        self._tracers = TracerProvider(resource=self.resource, shutdown_on_exit=False)
        self._loggers = LoggerProvider(resource=self.resource, shutdown_on_exit=False)
        self._meters = MeterProvider(resource=self.resource, shutdown_on_exit=False)
        self._push_spans()
        self._push_records()
        exposition = _exposition(self._meters, self._push_metrics())
        _make_global(self._tracers, self._meters, self._loggers)

        meter = self._meters.get_meter("aiprism")
        metrics.bind(meter, exposition)
        meter.create_observable_counter("aiprism_sdk_dropped_total", [self._observe_dropped], "", "Telemetry lost")
        tracing.bind(self._tracers.get_tracer("aiprism"))
        self._undo: list[Callable[[], object]] = [self._log_through()]
        if settings.libraries:
            undo = trace_libraries(
                self._tracers, self._meters, disabled=settings.disabled_libraries, whole_fastapi=trace_new_fastapi
            )
            self._undo.append(undo)
        for outbox in self._outboxes.values():
            outbox.start()
        self._channel = self._control_channel()
        if self._channel is not None:
            self._channel.start()
        atexit.register(self.shutdown)
        if hasattr(os, "register_at_fork"):
            # After the providers have registered theirs, which rename the instance; ours has the last word.
            restart = weakref.WeakMethod(self._restart_after_fork)
            os.register_at_fork(after_in_child=lambda: (again := restart()) and again())

    def dropped(self) -> dict[str, int]:
        """How many spans, data points and log records were lost, by signal."""
        return {signal: sum(outbox.dropped.values()) for signal, outbox in self._outboxes.items()}

    def flush(self, timeout: float = 5.0) -> bool:
        """Deliver what is queued; False when `timeout` seconds were not enough or the platform is away."""
        deadline = time.monotonic() + timeout
        delivered = [outbox.flush(max(0.0, deadline - time.monotonic())) for outbox in self._outboxes.values()]
        return all(delivered)

    def shutdown(self, timeout: float = 5.0) -> None:
        """Deliver what is left, undo every command, stop every thread; takes at most about `timeout` seconds.

        Called at exit; a second call does nothing. What is recorded afterwards goes nowhere.
        """
        if self._ended.is_set():
            return
        self._ended.set()
        deadline = time.monotonic() + timeout
        atexit.unregister(self.shutdown)
        for outbox in self._outboxes.values():
            outbox.close()
        if self._channel is not None:
            self._channel.stop(min(1.0, timeout))
        for outbox in self._outboxes.values():
            outbox.join(max(0.0, deadline - time.monotonic()))
        for undo in reversed(self._undo):
            # A library that cannot be taken back must not keep the rest from being.
            with contextlib.suppress(Exception):
                undo()
        _process.ended(self)

    def hook(self, app: object) -> None:
        """Trace and measure the requests of a FastAPI or Starlette application."""
        asgi.hook(app, self._settings.excluded_paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _put_into_outbox(
        self,
        signal: str,
        exporter: Exporter[T],
        wire: Wire | None,
        gather: Callable[[], None] | None = None,
        size: Callable[[T], int] = lambda _: 1,
    ) -> Callable[[T], None]:
        queue = self._settings.queues[signal]
        outbox = Outbox(
            signal,
            ExporterSender(exporter, wire),
            capacity=queue.capacity,
            batch=queue.batch,
            interval=queue.interval,
            gather=gather,
            size=size,
        )
        self._outboxes[signal] = outbox
        return outbox.put

    def _push_spans(self) -> None:
        export = self._settings.exports[TRACES]
        if export.kind != "none":
            exporter, wire = _exporter(export, OTLPSpanExporter, ConsoleSpanExporter)
            processor = _Spans(self._put_into_outbox(TRACES, exporter, wire, metrics.settle))
            self._tracers.add_span_processor(processor)
            present = otel_trace.get_tracer_provider()
            if isinstance(present, TracerProvider):
                # The application has set up tracing of its own: its spans belong to the picture too.
                present.add_span_processor(processor)

    def _push_records(self) -> None:
        export = self._settings.exports[LOGS]
        if export.kind != "none":
            exporter, wire = _exporter(export, OTLPLogExporter, ConsoleLogRecordExporter)
            put = self._put_into_outbox(LOGS, _Bounding(exporter), wire)
            self._loggers.add_log_record_processor(_Records(put))
            self._put_record = put

    def _push_metrics(self) -> _Snapshots | None:
        export = self._settings.exports[METRICS]
        if export.kind == "none":
            return None
        exporter, wire = _exporter(export, OTLPMetricExporter, ConsoleMetricExporter)
        reader = _Snapshots(exporter)
        reader.put = self._put_into_outbox(METRICS, _OneByOne(exporter), wire, reader.collect, _data_points)
        self._meters.add_metric_reader(reader)
        return reader

    def _log_through(self) -> Callable[[], None]:
        """Put our handler on the root logger; returns what takes it back."""
        named = self.resource.attributes
        handler = LogEvents(
            service=str(named["service.name"]),
            version=str(named["service.version"]),
            environment=str(named["deployment.environment.name"]),
            stream="stdout" if self._settings.logs_to_stdout else None,
            send=self._send_record if LOGS in self._outboxes else None,
        )
        hush_exporters()
        root = logging.getLogger()
        before, level = root.level, self._settings.log_level
        root.addHandler(handler)
        if level is not None and before in (logging.NOTSET, logging.WARNING):
            try:
                root.setLevel(level)
            except (ValueError, TypeError) as error:
                log.error("log_level: %s; the level stays as it is", error)

        def undo() -> None:
            root.removeHandler(handler)
            root.setLevel(before)

        return undo

    def _send_record(self, logger: str, record: LogRecord) -> None:
        # Past `Logger.emit`: what it does to the attributes costs 30 µs a line, and `_Bounding` does it in the outbox's thread.
        scope = self._scopes.get(logger)
        if scope is None:
            scope = self._scopes[logger] = InstrumentationScope(logger)
        self._put_record(ReadableLogRecord(record, self.resource, scope))

    def _control_channel(self) -> ControlChannel | None:
        control = self._settings.control
        if control is None:
            return None
        try:
            return ControlChannel(
                controls, control.endpoint, control.token, self._instance(), allow_plaintext=control.allow_plaintext
            )
        except ValueError as error:
            log.error("no control channel: %s", error)
            return None

    def _instance(self) -> Instance:
        named = self.resource.attributes
        return Instance(
            service=str(named["service.name"]),
            instance=str(named["service.instance.id"]),
            version=str(named["service.version"]),
            environment=str(named["deployment.environment.name"]),
            pid=os.getpid(),
        )

    def _observe_dropped(self, _: otel_metrics.CallbackOptions) -> Iterable[otel_metrics.Observation]:
        for signal, outbox in self._outboxes.items():
            for reason, count in outbox.dropped.items():
                yield otel_metrics.Observation(count, {"signal": signal, "reason": reason})

    def _restart_after_fork(self) -> None:
        """Go on in a forked child as an instance of its own: two processes must not write one time series."""
        if self._ended.is_set():
            return
        _process.lock = threading.Lock()
        metrics.forget_observed()
        given = self._settings.resource.get("service.instance.id")
        renamed = Resource({"service.instance.id": str(uuid.uuid4()) if given is None else f"{given}-{os.getpid()}"})
        self.resource = self.resource.merge(renamed)
        for provider in (self._tracers, self._meters, self._loggers):
            # What the providers themselves do after a fork with attributes of the process; not public yet.
            update = getattr(provider, "_update_resource", None)
            if update is not None:
                update(renamed)
        for outbox in self._outboxes.values():
            outbox.restart_after_fork()
        if self._channel is not None:
            self._channel.restart_after_fork(self._instance())


class _Process:
    """The one `Instrumentation` of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.current: Instrumentation | None = None

    def ended(self, instrumentation: Instrumentation) -> None:
        """The next `instrument` starts afresh."""
        with self.lock:
            if self.current is instrumentation:
                self.current = None


_process = _Process()


class _Spans(SpanProcessor):
    """Ended spans into the outbox."""

    def __init__(self, put: Callable[[ReadableSpan], None]) -> None:
        self._put = put

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._put(span)


class _Records(LogRecordProcessor):
    """Log records into the outbox."""

    def __init__(self, put: Callable[[ReadableLogRecord], None]) -> None:
        self._put = put

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record = copy.copy(log_record.log_record)
        record.context = Context()  # its ids are in the record already, and it may hold on to much
        self._put(
            ReadableLogRecord(
                log_record=record,
                resource=log_record.resource or Resource.get_empty(),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """The outbox has an end of its own."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class _Bounding:
    """A log exporter that first applies the limits of OTEL_LOGRECORD_ATTRIBUTE_* to records that have not seen them."""

    def __init__(self, exporter: LogRecordExporter) -> None:
        self._exporter, self._limits = exporter, LogRecordLimits()
        self.shutdown = exporter.shutdown

    def export(self, batch: Sequence[ReadableLogRecord], /) -> LogRecordExportResult:
        for item in batch:
            record = item.log_record
            if not isinstance(record.attributes, BoundedAttributes):
                record.attributes = BoundedAttributes(
                    self._limits.max_log_record_attributes,
                    record.attributes,
                    immutable=False,
                    max_value_len=self._limits.max_log_record_attribute_length,
                )
        return self._exporter.export(batch)


class _Snapshots(MetricReader):
    """What the meters hold, into the outbox, whenever `collect` is called."""

    def __init__(self, exporter: MetricExporter) -> None:
        # As OpenTelemetry's own periodic reader: the exporter knows what OTEL_EXPORTER_OTLP_METRICS_* ask for.
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self.cumulative = AggregationTemporality.DELTA not in (exporter._preferred_temporality or {}).values()
        self.put: Callable[[MetricsData], None] = lambda _: None
        self._reading = threading.local()

    def read(self) -> MetricsData | None:
        """What the meters hold now; only for readers that want it cumulative as well."""
        taken: list[MetricsData] = []
        self._reading.into = taken.append
        try:
            self.collect()
        finally:
            del self._reading.into
        return taken[0] if taken else None

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> None:
        getattr(self._reading, "into", self.put)(metrics_data)

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """The outbox has an end of its own."""


def _exposition(meters: MeterProvider, snapshots: _Snapshots | None) -> Callable[[], str]:
    """What renders the metrics as Prometheus text.

    It reads what the exporting reader holds where it can: each reader of its own costs every measurement 15 µs.
    """
    registry = prometheus_client.CollectorRegistry()
    reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
    if snapshots is not None and snapshots.cumulative:
        # How a meter provider feeds a reader, though its annotation says otherwise.
        reader._set_collect_callback(lambda *_, **__: snapshots.read())  # type: ignore[arg-type]
    else:
        meters.add_metric_reader(reader)
    return lambda: prometheus_client.generate_latest(registry).decode()


class _OneByOne:
    """A metric exporter behind the interface of the other two: it takes a snapshot, not a batch."""

    def __init__(self, exporter: MetricExporter) -> None:
        self._exporter = exporter
        self.shutdown = exporter.shutdown

    def export(self, batch: Sequence[MetricsData], /) -> MetricExportResult:
        (snapshot,) = batch
        return self._exporter.export(snapshot)


def _exporter(export: Export, otlp: Callable[..., E], console: Callable[[], E]) -> tuple[E, Wire | None]:
    if export.kind == "console":
        return console(), None
    wire = None if export.own_session else Wire()
    session = None if wire is None else wire.session()
    return otlp(endpoint=export.endpoint, timeout=export.timeout, session=session), wire


def _make_global(tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider) -> None:
    """Give the OpenTelemetry API our providers, unless the application has set its own: those stay."""
    if not isinstance(otel_trace.get_tracer_provider(), TracerProvider):
        otel_trace.set_tracer_provider(tracers)
    if not isinstance(otel_metrics.get_meter_provider(), MeterProvider):
        otel_metrics.set_meter_provider(meters)
    if not isinstance(otel_logs.get_logger_provider(), LoggerProvider):
        otel_logs.set_logger_provider(loggers)


def _described(resource: Resource) -> Resource:
    """The resource with everything the platform files telemetry under."""
    named = resource.attributes
    environment = named.get("deployment.environment.name") or named.get("deployment.environment") or "development"
    defaults = {
        "service.version": "unknown",
        # OpenTelemetry's own default too, in its newer versions: commands are followed once per instance, so it must
        # not come back as a process id would.
        "service.instance.id": str(uuid.uuid4()),
        "deployment.environment.name": environment,
        "deployment.environment": environment,
    }
    return resource.merge(Resource({key: value for key, value in defaults.items() if key not in named}))


def _data_points(snapshot: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in snapshot.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )

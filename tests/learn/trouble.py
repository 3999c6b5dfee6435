"""Troubles as telemetry tells of them: gateway calls orders, orders calls model and stock; half an hour of it is healthy."""

from __future__ import annotations

import itertools
import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from aiprism import services, yamlfile
from aiprism.clock import FakeClock
from aiprism.detect import loghints
from aiprism.learn.investigations import Bounds, Investigations
from aiprism.learn.survey import Survey
from aiprism.learn.telemetrylook import sources
from aiprism.model.events import ChangeEvent
from aiprism.model.labels import Labels
from aiprism.respond.desk import Policy
from aiprism.respond.pipeline import Respond
from aiprism.store import incidents as incident_store
from aiprism.store.events import EventStore
from aiprism.store.spancolumns import span_columns
from aiprism.telemetry import Telemetry
from tests.logmaking import Line, store_logs
from tests.query.promql.stocked import Stocked
from tests.respond.making import T0

ONSET, NOW, BACK = T0 - 60, T0 + 30, 1200
CATALOGUE = services.read(
    yamlfile.parse(
        "services: {gateway: {dependencies: [orders]}, orders: {dependencies: [model, stock], owner: ann},"
        " model: {owner: mona}, stock: {}}"
    )
)
_STEP = 15
_TOKENS = itertools.count()


class Trouble:
    """A response room with its investigations, and a store that a trouble is put into."""

    def __init__(self, records, engine, **bounds):
        self.clock, self.records, self.engine, self.telemetry = FakeClock(T0), records, engine, Telemetry()
        self.stocked = Stocked.on(engine)
        self.respond = Respond(records, self.clock, Policy(services=CATALOGUE))
        self.survey = Survey(engine, lambda: CATALOGUE, self.clock)
        self.asked = []
        self.sources = sources(
            engine, self.stocked.samples, self.respond, lambda: loghints.load(None), lambda incident, errors: self.alike
        )
        self.alike = ()
        self.investigations = Investigations(
            self.respond, engine, self.sources, lambda: self.survey.known, self.clock, self.telemetry, Bounds(**bounds)
        )

    def open(self, *alerts):
        """Open an incident of these alerts half a minute before NOW; its id."""
        self.respond.accept(list(alerts))
        self.clock._now = max(self.clock._now, NOW)
        with self.records.reading() as connection:
            return incident_store.incident_rows(connection)[0]["id"]

    def timeline(self, incident, event):
        with self.records.reading() as connection:
            return incident_store.event_rows(connection, [incident], event=event)

    def metrics(self, *, slow=(), failing=(), level=None):
        """Requests, errors and latency of every service, of which some are slow or fail since the onset, and memory."""
        noise, series = random.Random(7), []
        times = [round((NOW - BACK + at) * 1000) for at in range(0, BACK, _STEP)]
        for service in ("gateway", "orders", "model", "stock"):
            ok = failed = seconds = 0.0
            rows: dict[str, list[tuple[int, float]]] = {"ok": [], "failed": [], "sum": [], "count": [], "memory": []}
            for ms in times:
                since = ms / 1000 >= ONSET
                bad = 10 if since and service in failing else 0
                ok, failed = ok + 100 + noise.randrange(-8, 8) - bad, failed + bad
                seconds += (100 + noise.randrange(-8, 8)) * (2.0 if since and service in slow else 0.1)
                rows["ok"].append((ms, ok))
                rows["failed"].append((ms, failed))
                rows["sum"].append((ms, seconds))
                rows["count"].append((ms, ok + failed))
                rows["memory"].append(
                    (ms, level if since and service == "orders" and level else 0.4 + noise.random() / 50)
                )
            made: tuple[tuple[str, dict[str, str], str], ...] = (
                ("http_requests_total", {"status_code": "200"}, "ok"), ("http_requests_total", {"status_code": "500"}, "failed"),
                ("http_request_duration_seconds_sum", {}, "sum"), ("http_request_duration_seconds_count", {}, "count"),
                ("memory_utilization_ratio", {}, "memory"),
            )  # fmt: skip
            series += [
                (Labels({"__name__": name, "job": f"shop/{service}", "instance": "a", **more}), rows[key])
                for name, more, key in made
            ]
        self.stocked.add(series)

    def traces(self, *, slow=0.0, failed=""):
        """A request every ten seconds; since the onset the model takes `slow` seconds more, or `failed` is what orders says."""
        request = ExportTraceServiceRequest()
        groups = {}
        for service in ("gateway", "orders", "model"):
            resource = request.resource_spans.add()
            resource.resource.attributes.add(key="service.name").value.string_value = service
            groups[service] = resource.scope_spans.add()
        for number, at in enumerate(range(round(NOW) - BACK, round(NOW) - 10, 10), 1):
            since = at >= ONSET
            took = {"gateway": 0.3, "orders": 0.25, "model": 0.2}
            for place, service in enumerate(took, 1):
                span = groups[service].spans.add(
                    trace_id=(number + 7_000_000).to_bytes(16, "big"), span_id=place.to_bytes(8, "big")
                )
                span.parent_span_id = (place - 1).to_bytes(8, "big") if place > 1 else b""
                span.name, span.kind = (
                    {"gateway": "POST /orders", "orders": "place", "model": "complete"}[service],
                    Span.SPAN_KIND_SERVER,
                )
                span.start_time_unix_nano = at * 10**9 + place * 10**6
                more = slow if since else 0.0
                span.end_time_unix_nano = span.start_time_unix_nano + round((took[service] + more) * 1e9)
                if since and failed and service in ("gateway", "orders"):
                    span.status.code, span.status.message = (
                        Status.STATUS_CODE_ERROR,
                        failed if service == "orders" else "",
                    )
        self.engine.insert_arrow("spans", span_columns(request.SerializeToString()), token=f"trouble {next(_TOKENS)}")

    def logs(self, *, error=""):
        """Lines of every service each ten seconds; since the onset orders writes `error` besides."""
        lines = [
            Line(float(at), f"request {at} was answered", "INFO", service)
            for at in range(round(NOW) - BACK, round(NOW), 10)
            for service in ("gateway", "orders", "model")
        ]
        if error:
            lines += [Line(ONSET + at, f"{error} {at}", "ERROR", "orders") for at in range(0, 60, 3)]
        store_logs(self.engine, lines, token=f"trouble {next(_TOKENS)}")

    def change(self, service, before, kind="deployment"):
        event = ChangeEvent(f"{service} {before}", ONSET - before, kind, service, f"{service} 2.0", "", {}, "github")
        EventStore(self.engine).put([event])

"""An incident that is over, with what telemetry kept of it: samples, spans, log lines and a deployment."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from aiprism import services, yamlfile
from aiprism.clock import FakeClock
from aiprism.detect import rules
from aiprism.detect.signals import Answers
from aiprism.learn.evidence import Gatherer
from aiprism.learn.postmortems import Postmortems
from aiprism.model.events import ChangeEvent
from aiprism.model.labels import Labels
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged
from aiprism.respond.pipeline import Respond
from aiprism.store import incidents as incident_store
from aiprism.store.events import EventStore
from aiprism.store.question import Question
from aiprism.store.signals import SignalStore
from aiprism.store.spancolumns import span_columns
from tests.logmaking import Line, store_logs
from tests.query.promql.stocked import Stocked
from tests.respond.making import T0, alert, cleared

RULES = """
groups:
- name: g
  rules:
  - {alert: HighErrorRate, expr: 'errors{job="shop"} > 5', labels: {severity: critical}}
"""
CATALOGUE = services.read(yamlfile.parse("services: {shop: {owner: ann, aliases: [shop-api]}, stock: {}}"))
FIRST = alert("HighErrorRate", "shop", at=T0 - 60)
SECOND = alert("SlowRequests", "stock", at=T0)


def spans(engine, begin, count, failed, service="shop-api"):
    """`count` requests to a service, one a second from `begin` on, of which the first `failed` fail."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_spans.add()
    for number in range(count):
        start = round((begin + number) * 1e9)
        span = scope.spans.add(
            trace_id=round(begin + number).to_bytes(16, "big"), span_id=(number + 1).to_bytes(8, "big")
        )
        span.name, span.kind = "POST /orders", Span.SpanKind.SPAN_KIND_SERVER
        span.start_time_unix_nano, span.end_time_unix_nano = start, start + (number + 1) * 10_000_000
        span.status.code = Status.STATUS_CODE_ERROR if number < failed else Status.STATUS_CODE_UNSET
    engine.insert_arrow("spans", span_columns(request.SerializeToString()), token=f"{service} {begin}")


class Past:
    """A response room, the desk of postmortems, and ten minutes of trouble in the store."""

    def __init__(self, records, engine, tmp_path):
        self.clock, self.records, self.engine = FakeClock(T0), records, engine
        file = tmp_path / "rules.yml"
        file.write_text(RULES)
        loaded = [rule for group in rules.load([file]) for rule in group.rules if isinstance(rule, rules.AlertingRule)]
        stocked = Stocked.on(engine)
        self.stocked = stocked
        answers = Answers(stocked.promql, engine, SignalStore(engine), 30.0)
        self.respond = Respond(records, self.clock, Policy(services=CATALOGUE))
        gatherer = Gatherer(
            engine,
            ask=lambda text, at: [(item.labels, item.value) for item in stocked.promql.vector(text, at).items],
            ask_range=lambda asked, start, end, step: answers.range(asked, start, end, step, Question(30.0)),
            rules=lambda: loaded,
            services=lambda: CATALOGUE,
        )
        self.postmortems = Postmortems(self.respond, gatherer, lambda one, other: False, self.clock)

    def telemetry(self):
        """Errors from a minute before the incident until it cleared, a deployment before them."""
        times = range(round(T0 - 3600) * 1000, round(T0 + 900) * 1000, 15_000)
        values = [(ms, 9.0 if T0 - 60 <= ms / 1000 < T0 + 540 else 1.0) for ms in times]
        users = [(ms, 40.0) for ms in times]
        self.stocked.add([
            (Labels({"__name__": "errors", "job": "shop", "service": "shop"}), values),
            (Labels({"__name__": "ai_prism_active_users", "user_type": "free"}), users),
            # One in seven seconds: what `increase` makes of it is no whole number.
            (Labels({"__name__": "ai_prism_documents_processed_total"}), [(ms, float(ms // 7000)) for ms in times]),
        ])  # fmt: skip
        spans(self.engine, T0 - 600, 60, 0)
        spans(self.engine, T0 + 60, 60, 12)
        lines = [
            Line(T0 + 10 * number, f"order {number} failed: pool is full", "ERROR", "shop-api") for number in range(30)
        ]
        store_logs(self.engine, [*lines, Line(T0 - 700, "mail was not sent", "ERROR", "shop-api")])
        EventStore(self.engine).put([
            ChangeEvent("v2", T0 - 300, "deployment", "shop-api", "shop 2.0 is out", "", {"commit": "8a02a8f"}, "github"),
        ])  # fmt: skip

    def trouble(self, first=FIRST, second=SECOND):
        """Two alerts become one incident that is acknowledged late, clears and is resolved; its id."""
        self.respond.accept([first])
        [incident] = self._ids("investigating")
        self.clock._now += 400
        self.respond.happen(incident, Acknowledged("ann"))
        self.clock._now += 140
        self.respond.accept([cleared(first, self.clock.now())])
        if second:
            self.respond.accept([cleared(second, self.clock.now())])
        self.clock._now += 1800
        self.respond.check()
        assert incident in self._ids("resolved")
        return incident

    def _ids(self, status):
        with self.records.reading() as connection:
            return [row["id"] for row in incident_store.incident_rows(connection, status=status)]

    def timeline(self, incident):
        with self.records.reading() as connection:
            return incident_store.event_rows(connection, [incident])

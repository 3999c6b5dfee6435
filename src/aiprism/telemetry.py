"""What aiprism counts about itself: one passed/dropped pair for each hand-off of the pipeline.

Each stage is named as its package and door ("receive.otlp_http.traces", "store.spans", "detect.rules"). Nothing leaves
the pipeline without a count: what goes on is `passed`, what does not is `dropped` with its reason. Served at /metrics.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as _generate_latest


class Telemetry:
    """aiprism's own metrics, in a registry of their own so that several servers in one process stay apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._passed = Counter("aiprism_items_passed", "Items a stage handed on.", ["stage"], registry=self.registry)
        self._dropped = Counter(
            "aiprism_items_dropped", "Items a stage did not hand on.", ["stage", "reason"], registry=self.registry
        )
        self._redacted = Counter(
            "aiprism_redacted", "Secrets in log records that were replaced.", ["kind"], registry=self.registry
        )
        self._stepped = Counter(
            "aiprism_log_pipeline_records",
            "What the steps of the log pipeline did to records that fit them.",
            ["step", "outcome"],
            registry=self.registry,
        )
        self._waiting = Gauge("aiprism_queue_bytes", "Bytes waiting before a stage.", ["stage"], registry=self.registry)
        self._asked = Gauge("aiprism_queries", "Queries waiting or at work.", ["state"], registry=self.registry)
        self._cached = Counter(
            "aiprism_query_cache_requests",
            "Questions to what is kept from query to query.",
            ["cache", "outcome"],
            registry=self.registry,
        )
        self._cache_bytes = Gauge(
            "aiprism_query_cache_bytes", "Bytes kept from query to query.", ["cache"], registry=self.registry
        )
        self._leads = Gauge("aiprism_leader", "1 while this process does a duty.", ["duty"], registry=self.registry)
        self._seconds = Histogram(
            "aiprism_stage_duration_seconds",
            "How long a stage took.",
            ["stage"],
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )

    def passed(self, stage: str, items: int = 1) -> None:
        """`items` went through `stage`."""
        self._passed.labels(stage).inc(items)

    def dropped(self, stage: str, reason: str, items: int = 1) -> None:
        """`items` ended at `stage`, because of `reason` (a short, bounded vocabulary: it is a label)."""
        self._dropped.labels(stage, reason).inc(items)

    def redacted(self, kind: str, secrets: int) -> None:
        """`secrets` of `kind` were replaced in log records."""
        self._redacted.labels(kind).inc(secrets)

    def stepped(self, step: str, outcome: str, records: int) -> None:
        """A step of the log pipeline did that to `records`."""
        self._stepped.labels(step, outcome).inc(records)

    def waiting(self, stage: str, size: int) -> None:
        """`size` bytes wait before `stage`."""
        self._waiting.labels(stage).set(size)

    def waiting_now(self, stage: str, size: Callable[[], int]) -> None:
        """`size()` bytes wait before `stage`, asked when somebody looks."""
        self._waiting.labels(stage).set_function(size)

    def asked_now(self, state: str, count: Callable[[], int]) -> None:
        """`count()` queries are in `state`, asked when somebody looks."""
        self._asked.labels(state).set_function(count)

    def cached(self, cache: str, outcome: str) -> None:
        """`cache` was asked and gave all of it ("hit"), some ("partial") or nothing (another word of a few)."""
        self._cached.labels(cache, outcome).inc()

    def cache_bytes(self, cache: str, size: Callable[[], int]) -> None:
        """`cache` holds `size()` bytes, asked when somebody looks."""
        self._cache_bytes.labels(cache).set_function(size)

    def leads(self, duty: str, *, leading: bool) -> None:
        """This process does `duty`, or does not."""
        self._leads.labels(duty).set(leading)

    def took(self, stage: str, seconds: float) -> None:
        """One run of `stage` took `seconds`."""
        self._seconds.labels(stage).observe(seconds)

    def flow(self) -> list[dict[str, object]]:
        """Counts per stage, for the page that draws the pipeline."""
        stages: dict[str, dict[str, object]] = {}
        for metric in self._passed.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    stages.setdefault(sample.labels["stage"], {"dropped": {}})["passed"] = sample.value
        for metric in self._dropped.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    row = stages.setdefault(sample.labels["stage"], {"passed": 0.0, "dropped": {}})
                    reasons = row["dropped"]
                    assert isinstance(reasons, dict)
                    reasons[sample.labels["reason"]] = sample.value
        return [{"stage": stage, **row} for stage, row in sorted(stages.items())]

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return _generate_latest(self.registry)

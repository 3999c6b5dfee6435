"""The example of docs/rules.md on the real store: samples in, recorded series, alert and its series out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.config import IngestConfig
from aiprism.detect import rules
from aiprism.detect.groups import RuleGroups
from aiprism.detect.signals import RuleQuestion
from aiprism.model.alerts import Alert
from aiprism.model.labels import Labels
from aiprism.model.samples import Sample
from aiprism.query.promql import PromQL
from aiprism.query.promql.values import Vector
from aiprism.store.alertstates import AlertStates
from aiprism.store.engine import Engine
from aiprism.store.records import Records
from aiprism.store.samples import SampleStore
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from tests.detect.ruling import until
from tests.detect.test_shipped_rules import example

START = 1_790_000_000.0


def requests(failing: float, until_second: int) -> list[Sample]:
    """Ten requests a second of `checkout`, a share of which fails, counted every five seconds."""
    return [
        Sample(
            Labels({"__name__": "ai_prism_http_requests_total", "job": "checkout", "status_code": code}),
            round((START + second) * 1000),
            second * 10 * share,
        )
        for second in range(-120, until_second, 5)
        for code, share in (("500", failing), ("200", 1 - failing))
    ]


def test_a_rise_of_errors_is_recorded_becomes_an_alert_and_is_handed_on(engine: Engine, tmp_path: Path) -> None:
    index = load_series(engine)
    writing = Writing(engine, index, IngestConfig(), Telemetry())
    promql = PromQL(SampleStore(engine, index))
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    clock, told = FakeClock(START), list[Alert]()

    async def query(text: RuleQuestion, at: float) -> Vector:
        assert isinstance(text, str)
        return await engine.run(promql.vector, text, at)

    async def notify(alerts: Sequence[Alert]) -> None:
        told.extend(alerts)

    groups = RuleGroups(
        rules.read(yamlfile.parse(example(), file="rules.yml")),
        query=query,
        record=writing.append,
        notify=notify,
        states=AlertStates(records),
        clock=clock,
    )

    async def run() -> None:
        writing.start()
        await writing.append(requests(failing=0.25, until_second=120))
        await groups.start()
        await asyncio.sleep(0)
        for _ in range(6):
            before = groups.status()[0].evaluated_at
            await clock.advance(15)
            await until(lambda before=before: groups.status()[0].evaluated_at != before)  # type: ignore[misc]
        await groups.stop()
        await writing.stop()

    asyncio.run(run())
    records.close()
    assert [rule.last_error for rule in groups.status()[0].rules] == ["", ""]
    assert [alert.labels.to_dict() for alert in told] == [
        {"alertname": "HighErrorRate", "job": "checkout", "service": "checkout", "severity": "warning"}
    ]
    assert told[0].annotations["summary"] == "Checkout fails 25% of its requests"
    at = groups.status()[0].evaluated_at or 0.0
    assert [round(item.value, 6) for item in promql.vector("job:request_errors:ratio", at).items] == [0.25]
    assert [item.labels["alertstate"] for item in promql.vector("ALERTS", at).items] == ["firing"]
    [since] = promql.vector("ALERTS_FOR_STATE", at).items
    assert since.value == int(told[0].active_at)

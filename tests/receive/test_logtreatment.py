"""What is done to log records on their way to the store: seen in what is stored and in what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pyarrow as pa
import pytest

from aiprism import yamlfile
from aiprism.config import IngestConfig
from aiprism.errors import BadInput, Unavailable
from aiprism.query.lucene import condition
from aiprism.receive import pipelinefile
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.receive.logtreatment import LogTreatment, Treatment
from aiprism.receive.redaction import Redaction, kinds
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import sent_columns
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from tests.receive.test_redaction import request


def counted(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def stored(engine: Engine, telemetry: Telemetry, treatment: LogTreatment, body: bytes) -> int:
    """How many records the door said it took."""

    async def run() -> int:
        writing = Writing(engine, load_series(engine), IngestConfig(linger=0.01), telemetry, treat_logs=treatment.treat)
        writing.start()
        receipt = await OtlpDoors(writing, telemetry).receive(Signal.LOGS, body)
        await writing.stop()
        return receipt.items

    return asyncio.run(run())


def test_secrets_are_not_stored_and_are_counted_by_kind(engine: Engine) -> None:
    telemetry = Telemetry()
    body = request(["mail to ada@example.com", "plain"], user="bob@example.com")
    assert stored(engine, telemetry, LogTreatment(telemetry, Treatment()), body) == 2
    assert engine.query("SELECT body, attributes['user'] FROM logs ORDER BY body") == [
        ("mail to [redacted:email]", "[redacted:email]"),
        ("plain", "[redacted:email]"),
    ]
    assert engine.query("SELECT DISTINCT pattern FROM log_patterns_1m ORDER BY pattern") == [
        ("mail to <email>",),
        ("plain",),
    ]
    assert counted(telemetry, "aiprism_redacted_total", kind="email") == 3


def test_a_batch_that_is_tried_again_is_counted_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry, insert, tries = Telemetry(), engine.insert_arrow, [0]

    def away_at_first(*args: object, **kwargs: object) -> None:
        tries[0] += 1
        if tries[0] == 1:
            raise Unavailable("away")
        insert(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "insert_arrow", away_at_first)
    stored(engine, telemetry, LogTreatment(telemetry, Treatment()), request(["ada@example.com"]))
    assert tries == [2]
    assert counted(telemetry, "aiprism_redacted_total", kind="email") == 1


def test_what_a_pipeline_drops_and_fails_at_is_counted_by_step(engine: Engine) -> None:
    steps = """pipelines:
    - {name: quiet, match: 'debug', drop: true}
    - {name: json, match: 'service:api', parse: {as: json, level: severity, body: msg}}"""
    telemetry = Telemetry()
    how = Treatment(pipelinefile.read(yamlfile.parse(steps), condition))
    body = request(
        ["debug line", '{"msg": "to ada@example.com", "severity": "error", "n": 7}', "plain"], {"service.name": "api"}
    )
    assert stored(engine, telemetry, LogTreatment(telemetry, how), body) == 3  # the door took them all
    assert engine.query("SELECT body, level, attributes['n'] FROM logs ORDER BY body") == [
        ("plain", "", ""),
        ("to [redacted:email]", "ERROR", "7"),
    ]
    counts = [
        counted(telemetry, "aiprism_log_pipeline_records_total", step=step, outcome=outcome)
        for step, outcome in (("quiet", "dropped"), ("json", "changed"), ("json", "failed"))
    ]
    assert counts == [1, 1, 1]
    assert counted(telemetry, "aiprism_items_dropped_total", stage="receive.pipeline", reason="pipeline:quiet") == 1
    assert counted(telemetry, "aiprism_items_passed_total", stage="receive.pipeline") == 2


def test_records_that_cannot_be_treated_are_refused_without_their_words_and_alone(engine: Engine) -> None:
    class Breaks(Redaction):
        def columns(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
            if any("breaks" in line for line in rows["body"].to_pylist()):
                raise ValueError("a secret")
            return rows, {}

    async def run() -> list[object]:
        telemetry = Telemetry()
        treatment = LogTreatment(telemetry, Treatment(redact=Breaks()))
        writing = Writing(engine, load_series(engine), IngestConfig(linger=0.01), telemetry, treat_logs=treatment.treat)
        writing.start()
        sent = [writing.logs(request([line]), 1) for line in ("good", "this breaks", "fine")]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        await writing.stop()
        return list(answers)

    good, refused, fine = asyncio.run(run())
    assert (good, fine) == (None, None)
    assert isinstance(refused, BadInput)
    assert "secret" not in str(refused)
    assert engine.query("SELECT body FROM logs ORDER BY body") == [("fine",), ("good",)]


def test_a_batch_of_which_nothing_is_left_is_stored_all_the_same(engine: Engine) -> None:
    how = Treatment(pipelinefile.read(yamlfile.parse("pipelines: [{name: all, drop: true}]"), condition))
    telemetry = Telemetry()
    assert stored(engine, telemetry, LogTreatment(telemetry, how), request(["a", "b"])) == 2
    assert engine.query("SELECT count() FROM logs") == [(0,)]


def test_what_is_redacted_changes_with_the_configuration() -> None:
    treatment, rows = LogTreatment(Telemetry(), Treatment()), sent_columns(request(["ada@example.com"]))
    assert treatment.treat(rows).rows["body"].to_pylist() == ["[redacted:email]"]
    treatment.reload(Treatment(redact=Redaction(kinds(["none"]))))
    assert treatment.treat(rows).rows["body"].to_pylist() == ["ada@example.com"]

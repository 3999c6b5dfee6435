"""What becomes of log records between their door and the store: they go through the pipeline, then secrets are replaced.

In: the columns of a batch of records (`store/logcolumns.py`), whichever door they came by. Out: the columns that are stored,
and a function that counts what was done, called once they are: a batch that is tried again is not counted twice. Redaction is
last, so that no step of a pipeline brings back what it hides.

`tried` shows all of that for a few records and stores nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import structlog

from aiprism.errors import BadInput, StoreError
from aiprism.receive import fields
from aiprism.receive.items import ANYTHING, Bounds
from aiprism.receive.loglines import Line, LogLines
from aiprism.receive.logpipeline import Done, Outcome, Pipeline, Run, tally
from aiprism.receive.redaction import Redaction, column_of
from aiprism.store.writing import Treated
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "receive.pipeline"


@dataclass(frozen=True, slots=True)
class Treatment:
    """The pipeline of a tenant and what is redacted after it."""

    pipeline: Pipeline = field(default_factory=Pipeline)
    redact: Redaction = field(default_factory=Redaction)

    def apply(self, rows: pa.Table, within: Bounds = ANYTHING) -> tuple[Run, Mapping[str, int]]:
        """The records as they are to be stored, what the steps did, and how many secrets of each kind were replaced."""
        run = self.pipeline.run(rows, within)
        kept, secrets = self.redact.columns(run.rows)
        return Run(kept, run.numbers, run.done), secrets


class LogTreatment:
    """`treat(rows)`, as it was last configured. May be called from any thread. `within` says what records may be like now."""

    def __init__(self, telemetry: Telemetry, how: Treatment, within: Callable[[], Bounds] = lambda: ANYTHING) -> None:
        self._telemetry, self.how, self._within = telemetry, how, within

    def reload(self, how: Treatment) -> None:
        """What comes from now on is treated so."""
        self.how = how

    def treat(self, rows: pa.Table) -> Treated:
        """The records as they are to be stored; StoreError when they cannot be, so that only who sent such is refused."""
        how, given = self.how, rows.num_rows
        try:
            run, secrets = how.apply(rows, self._within())
        except (
            Exception
        ) as error:  # the rim: whoever is told to come again would bring the same, and hold up its neighbours
            # Not its words: they may repeat what a record holds.
            log.warning("logs.treatment_failed", error=type(error).__name__)
            raise StoreError(f"records cannot be redacted or piped: {type(error).__name__}") from None

        def count() -> None:
            self._count(how, run.done, given)
            for kind, number in secrets.items():
                self._telemetry.redacted(kind, number)

        return Treated(run.rows, count)

    def _count(self, how: Treatment, done: Sequence[Done], given: int) -> None:
        dropped = 0
        for (name, outcome), number in tally(done).items():
            self._telemetry.stepped(name, outcome.value, number)
            if outcome is Outcome.DROPPED:
                self._telemetry.dropped(STAGE, f"pipeline:{name}", number)
                dropped += number
        if how.pipeline.steps:
            self._telemetry.passed(STAGE, given - dropped)


# -- test mode ---------------------------------------------------------------------------------------------------------


def tried(how: Treatment, records: Sequence[object], now_ns: int, within: Bounds = ANYTHING) -> dict[str, Any]:
    """What would become of `records` (objects as the NDJSON door takes them, or lines): each before and after, and what
    did what to it. BadInput when one is no record."""
    # It loads compiled code, which a server that takes no logs need not have.
    from aiprism.store.logcolumns import sent_columns

    lines = LogLines(now_ns)
    for number, record in enumerate(records, start=1):
        try:
            lines.add(*fields.record_of(record) if isinstance(record, dict) else ((), Line(str(record))))
        except UnicodeEncodeError:
            raise BadInput(f"record {number} holds half of a surrogate pair, which is no character") from None
    rows = sent_columns(lines.accepted().body)
    order = _order(records)
    run, secrets = how.apply(rows, within)
    before, after = _shown(rows), dict(zip(run.numbers.tolist(), _shown(run.rows), strict=True))
    piped = dict(zip(run.numbers.tolist(), _shown(how.pipeline.run(rows, within).rows), strict=True))
    did: list[list[dict[str, Any]]] = [[] for _ in before]
    for each in run.done:
        for number in each.rows.tolist():
            did[number].append(
                {"step": each.step.name, "outcome": each.outcome.value, **({"why": each.why} if each.why else {})}
            )
    for number, said in after.items():
        if said != piped[number]:
            did[number].append({"step": "redaction", "outcome": Outcome.CHANGED.value})
    counts = [
        {"step": name, "outcome": outcome.value, "records": number}
        for (name, outcome), number in tally(run.done).items()
    ]
    return {
        "records": [{"before": before[at], "after": after.get(at), "steps": did[at]} for at in order],
        "counts": {"given": len(before), "stored": len(after), "steps": counts, "redacted": dict(secrets)},
    }


def _order(records: Sequence[object]) -> list[int]:
    """Where each record stands among the rows: those of one sender are together there."""
    senders: dict[object, list[int]] = {}
    for at, record in enumerate(records):
        sender = fields.record_of(record)[0] if isinstance(record, dict) else ()
        senders.setdefault(sender, []).append(at)
    placed = {at: place for place, at in enumerate(at for some in senders.values() for at in some)}
    return [placed[at] for at in range(len(records))]


def _shown(rows: pa.Table) -> list[dict[str, Any]]:
    wanted = rows.select(["level", "service", "body", "attributes", "resource_json"]).to_pylist()
    times = column_of(rows, "ts").cast(pa.int64()).to_pylist()  # Arrow makes moments of nanoseconds with pandas only
    return [
        {
            "time": _time(nanoseconds),
            "level": row["level"],
            "service": row["service"],
            "body": row["body"],
            "attributes": dict(row["attributes"]),
            "resource": json.loads(row["resource_json"] or "{}"),
        }
        for row, nanoseconds in zip(wanted, times, strict=True)
    ]


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"

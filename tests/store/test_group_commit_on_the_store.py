"""Group commit on the real store: whatever comes in whatever order, exactly what is acknowledged is stored, and once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.clock import FakeClock
from aiprism.config import IngestConfig
from aiprism.errors import BadInput, Unavailable
from aiprism.store.engine import Engine
from aiprism.store.ingest import GroupCommit
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from tests.otlpmaking import NOW


@dataclass(frozen=True)
class Sender:
    """One request: good or damaged, sent `after` so many others were answered, hung up on or waited for."""

    good: bool
    after: int
    hangs_up: bool


senders = st.lists(
    st.builds(Sender, st.booleans(), st.integers(0, 3), st.sampled_from((False, False, True))), max_size=8
)
# What happens to each INSERT in turn: it works, the store is away before it, or the answer is lost after it.
fates = st.lists(st.sampled_from(("works", "away", "answer lost")), max_size=6)


def body(trace_id: bytes, good: bool) -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for span in (b"\1" * 8, b"\2" * 8):
        spans.add(trace_id=trace_id, span_id=span, start_time_unix_nano=NOW, name="op")
    whole = request.SerializeToString()
    return whole if good else whole[:-5]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(senders, fates, st.sampled_from((40, 200, 10_000)))
def test_exactly_what_is_acknowledged_is_stored_once(
    engine: Engine, sending: list[Sender], fate: list[str], batch_bytes: int
) -> None:
    engine.command("TRUNCATE TABLE spans")
    ids = [uuid.uuid4().bytes for _ in sending]
    answers = asyncio.run(story(engine, list(zip(sending, ids, strict=True)), list(fate), batch_bytes))
    stored = {
        bytes(trace_id): count for trace_id, count in engine.query("SELECT trace_id, count() FROM spans GROUP BY 1")
    }
    for sender, trace_id, answer in zip(sending, ids, answers, strict=True):
        count = stored.pop(trace_id, 0)
        if answer is None:
            assert (sender.good, count) == (True, 2)
        elif isinstance(answer, BadInput):
            assert (sender.good, count) == (False, 0)
        else:  # hung up, or told to come again: stored whole or not at all
            assert isinstance(answer, Unavailable | asyncio.CancelledError)
            assert count in ((0, 2) if sender.good else (0,))
    assert stored == {}


async def story(
    engine: Engine, sending: list[tuple[Sender, bytes]], fate: list[str], batch_bytes: int
) -> list[BaseException | None]:
    writing = Writing(engine, load_series(engine), IngestConfig(), Telemetry())
    clock = FakeClock()

    async def write(bodies: Sequence[bytes], token: str) -> None:
        what = fate.pop(0) if fate else "works"
        if what == "away":
            raise Unavailable("the store is away")
        await writing._write_spans(bodies, token)
        if what == "answer lost":
            raise Unavailable("the connection broke")

    commit = GroupCommit("store.test", write, IngestConfig(batch_bytes=batch_bytes), Telemetry(), clock)
    commit.start()
    answered = 0

    async def send(sender: Sender, trace_id: bytes) -> None:
        nonlocal answered
        while answered < min(sender.after, waiting):  # noqa: ASYNC110 - a count, and the clock is not the real one
            await asyncio.sleep(0)
        try:
            await commit.put(body(trace_id, sender.good), 100, 2)
        finally:
            answered += 1

    waiting = sum(not sender.after for sender, _ in sending)
    tasks = [asyncio.ensure_future(send(sender, trace_id)) for sender, trace_id in sending]
    for _ in range(5):
        await asyncio.sleep(0)
    for task, (sender, _) in zip(tasks, sending, strict=True):
        if sender.hangs_up:
            task.cancel()
            answered += 1
    while not all(task.done() for task in tasks):
        await clock.advance(0.5)
        await asyncio.sleep(0.001)
    stopping = asyncio.ensure_future(commit.stop())
    while not stopping.done():  # an INSERT nobody waits for any more may be between two tries
        await clock.advance(0.5)
        await asyncio.sleep(0.001)
    return [asyncio.CancelledError() if task.cancelled() else task.exception() for task in tasks]

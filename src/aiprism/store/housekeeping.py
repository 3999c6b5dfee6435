"""What is done to stored data while time goes by: one loop over a literal list of duties.

In: the `retention` section, a clock, the free disk space. Out: tables that keep what they should and no more. Every duty
does its work in small slices, remembers in the store how far it has come, and may be ended anywhere, by kill -9 too: the
next run goes on from there. What is due is decided by the modules of the duties; only one process of several that share
a store may run this (`run_once`, or `start` and `stop` with leadership).

    relieve_disk ▸ join_edges ▸ note_deployments ▸ downsample ▸ rejoin_edges ▸ thin_traces ▸ archive_days ▸ apply_ttls
    ▸ expire ▸ forget_records
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

import structlog

from aiprism.clock import Clock
from aiprism.config import RetentionConfig
from aiprism.errors import AiprismError
from aiprism.store import retention, tracesample, usage
from aiprism.store.archive import TABLES, Archive
from aiprism.store.deployments import Deployments
from aiprism.store.downsample import SETTLE, Downsampling
from aiprism.store.edges import SPANS_FROM, EdgeJoin
from aiprism.store.engine import Engine
from aiprism.store.recordretention import forget
from aiprism.store.records import Records
from aiprism.store.rollups import DOWNSAMPLED, FINE, FINE_FROM, RAW, RAW_FROM, Rollups
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

# A disk can fill within the interval of the other duties; asking for its free space costs nothing.
DISK_EVERY = 10.0
# Minutes of spans are joined, and new versions noted, as they come: nobody wants a service map of five minutes ago.
SPANS_EVERY = 60.0
# After a partition was dropped for room and no room came of it.
RELIEF_PAUSE = 600.0

# What queries are answered from, and what may be kept of it in memory.
_ASKED = frozenset({RAW, "corrections", "histograms"})

Slices = Iterator[None]  # a duty: it may be ended wherever it yields


class Housekeeping:
    """The duties of one tenant's database."""

    def __init__(
        self,
        engine: Engine,
        config: RetentionConfig,
        clock: Clock,
        telemetry: Telemetry,
        *,
        rollups: Rollups,
        free_bytes: Callable[[], int],
        archive: Archive | None = None,
        records: Records | None = None,
        samples_gone: Callable[[], None] = lambda: None,
        settle: float = SETTLE,
    ) -> None:
        self._engine, self._clock, self._telemetry = engine, clock, telemetry
        self.config, self.free_bytes = config, free_bytes
        self._marks, self._rollups = usage.Marks(engine), rollups
        self._archive, self._records, self._samples_gone = archive, records, samples_gone
        self._downsampling = Downsampling(engine, rollups, settle=settle)
        self._edges, self._deployments = EdgeJoin(engine, quiet=settle), Deployments(engine)
        self._stopping = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._relief_paused_until = 0.0
        self._helpless = False  # said once that nothing is left to drop
        self._relieved: dict[str, int] = {}  # table → partitions dropped for room since the start

    async def start(self) -> None:
        """Begin; what is due is done at once."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._loop(), name="housekeeping")

    async def stop(self) -> None:
        """Return once the slice under way is done."""
        self._stopping.set()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def reload(self, config: RetentionConfig) -> None:
        """Other periods from the next run on."""
        self.config = config

    def note(self) -> str | None:
        """What an operator should know: that data left before its time, and why."""
        if not self._relieved:
            return None
        what = ", ".join(f"{count} partition(s) of {table}" for table, count in sorted(self._relieved.items()))
        return f"the disk was full: the oldest data left before its time ({what}; retention.min_free_bytes)"

    def run_once(self) -> None:
        """Do all that is due. A duty that fails is logged and counted, and does not keep the others from theirs."""
        for duty in (
            self._relieve_disk,
            self._join_edges,
            self._note_deployments,
            self._downsample,
            self._rejoin_edges,
            self._thin_traces,
            self._archive_days,
            self._apply_ttls,
            self._expire,
            self._forget_records,
        ):
            self._run(duty)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _loop(self) -> None:
        due = spans_due = 0.0
        while True:
            # One thread does a whole run: if it was handed back between slices, queries could hold it up for long.
            now = self._clock.now()
            if now >= due:
                due, spans_due = now + self.config.interval, now + SPANS_EVERY
                await self._in_thread(self.run_once)
            else:
                await self._in_thread(lambda: self._run(self._relieve_disk))
                if now >= spans_due:
                    spans_due = now + SPANS_EVERY
                    await self._in_thread(lambda: self._run(self._join_edges))
                    await self._in_thread(lambda: self._run(self._note_deployments))
            await self._clock.sleep(min(DISK_EVERY, self.config.interval))

    async def _in_thread(self, work: Callable[[], None]) -> None:
        running = asyncio.ensure_future(self._engine.run(work))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await running  # the slice under way ends by itself: `_stopping` is set
            raise

    def _run(self, duty: Callable[[], Slices]) -> None:
        name = duty.__name__.strip("_")
        started = self._clock.monotonic()
        try:
            for _ in duty():
                if self._stopping.is_set():
                    return
        except AiprismError as error:
            self._telemetry.dropped("store.housekeeping", name)
            log.warning("housekeeping.failed", duty=name, error=str(error))
        except Exception:  # the rim: one duty's fault must not end the others
            self._telemetry.dropped("store.housekeeping", name)
            log.exception("housekeeping.failed", duty=name)
        else:
            self._telemetry.passed("store.housekeeping")
        self._telemetry.took(f"store.housekeeping.{name}", self._clock.monotonic() - started)

    def _relieve_disk(self) -> Slices:
        missing = self.config.min_free_bytes - self.free_bytes()
        if missing <= 0:
            self._helpless = False
            return
        if self._clock.now() < self._relief_paused_until:
            return
        kept = retention.rules(self.config)
        chosen = retention.relief(usage.partitions(self._engine), kept, self._clock.now(), missing)
        if not chosen and not self._helpless:
            self._helpless = True
            log.error("housekeeping.disk_full", missing_bytes=missing, why="nothing older than today is left to drop")
        for each in chosen:
            before = self.free_bytes()
            self._drop(each, "disk_full")
            self._relieved[each.table] = self._relieved.get(each.table, 0) + 1
            if self.free_bytes() - before < each.bytes / 2:
                # Whatever fills the disk is not what we drop, or the space comes back late: all history gone would not help.
                self._relief_paused_until = self._clock.now() + RELIEF_PAUSE
                log.error(
                    "housekeeping.relief_in_vain", table=each.table, bytes=each.bytes, next_in_seconds=RELIEF_PAUSE
                )
                return
            yield

    def _join_edges(self) -> Slices:
        yield from self._edges.advance(self._clock.now())

    def _note_deployments(self) -> Slices:
        self._deployments.note(self._clock.now())
        yield

    def _rejoin_edges(self) -> Slices:
        yield from self._edges.redo()

    def _downsample(self) -> Slices:
        if self.config.downsample:
            yield from self._downsampling.advance(self._clock.now())
            yield from self._downsampling.redo()

    def _thin_traces(self) -> Slices:
        thinned = self._marks.get(tracesample.THINNED) or 0
        for day in tracesample.due(usage.partitions(self._engine), self.config, thinned, self._clock.now()):
            yield from tracesample.thin(self._engine, day, self.config)

    def _archive_days(self) -> Slices:
        """Days of logs and spans leave for the archive, and those there go when they are too old."""
        if self._archive is None:
            return
        for each in self._expired():
            if each.table in TABLES:
                yield from self._archive.export(each, self._clock.now())
                self._drop(each, "archived")
                yield
        for table, seconds in (("logs", self.config.logs_archived), ("spans", self.config.traces_archived)):
            for gone in self._archive.expire(table, self._clock.now() - seconds) if seconds else ():
                self._telemetry.dropped(f"store.archive.{table}", "expired", gone.rows)
                yield

    def _apply_ttls(self) -> Slices:
        retention.apply_ttls(self._engine, self.config)
        yield

    def _expire(self) -> Slices:
        for each in self._expired():
            if self._archive and each.table in TABLES:
                continue  # leaves for the archive
            if each.table == RAW and self.config.downsample and each.newest > (self._marks.get(DOWNSAMPLED) or 0):
                continue  # not before it has been downsampled
            self._drop(each, "expired")
            yield

    def _forget_records(self) -> Slices:
        """What the control database holds of long ago, and is over."""
        if self._records is None or not self.config.records:
            return
        for gone in forget(self._records, self._clock.now() - self.config.records):
            self._telemetry.dropped(f"control.{gone.table}", "expired", gone.rows)
            log.info("housekeeping.forgotten", table=gone.table, rows=gone.rows)
            yield

    def _expired(self) -> Sequence[usage.Partition]:
        found = usage.partitions(self._engine)
        return retention.expired(found, retention.rules(self.config), self._clock.now())

    def _drop(self, partition: usage.Partition, reason: str) -> None:
        begins = {RAW: RAW_FROM, FINE[0]: FINE_FROM, "spans": SPANS_FROM}.get(partition.table)
        if begins:  # marked first: nobody must take what is left for the whole
            self._marks.set(begins, max(partition.newest + 1, self._marks.get(begins) or 0))
            self._rollups.reread()
        retention.drop(self._engine, partition)
        if partition.table in _ASKED:
            self._samples_gone()
        self._telemetry.dropped(f"store.{partition.table}", reason, partition.rows)
        say = log.warning if reason == "disk_full" else log.info
        say(
            "housekeeping.dropped",
            table=partition.table,
            partition=partition.id,
            rows=partition.rows,
            bytes=partition.bytes,
            reason=reason,
        )

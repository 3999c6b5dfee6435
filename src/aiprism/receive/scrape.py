"""Targets scraped, each at its own moment of every interval, and their samples handed to the store.

    discovery ──groups──▶ targets ──▶ Loop: due → fetched → read → stored, with `up` and its companions ──▶ due …

In: the jobs of a prometheus.yml. Out: samples, markers where series end, and `status()` for whoever asks.

If a step fails: a target that cannot be fetched, or whose page is not well formed, is down for this scrape and its series end;
what the store does not take is lost and counted, and the next scrape waits until it has been asked; discovery that fails
leaves the targets there are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import structlog
import xxhash

from aiprism import __version__, httpconfig
from aiprism.clock import Clock
from aiprism.errors import AiprismError, BadInput, Refused, TooLarge
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.receive import relabel
from aiprism.receive.admission import inflated
from aiprism.receive.discovery.following import Discovery, Group
from aiprism.receive.exposition.negotiate import accept, format_of
from aiprism.receive.exposition.pages import (
    Memory,
    Pages,
    Scraped,
    Treatment,
    as_they_are,
    ended,
    finest_schema,
)
from aiprism.receive.exposition.rows import Ints
from aiprism.receive.inflight import InFlight, Lease
from aiprism.receive.items import Bounds
from aiprism.receive.scrapeconfig import Job
from aiprism.receive.targets import Found, Layout, Target
from aiprism.store.batches import SampleBatch
from aiprism.store.writing import Admit
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "receive.scrape"

# What is said of each scrape, in this order; the second row where the job asks for extra_scrape_metrics.
_REPORT = ("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
           "scrape_series_added")  # fmt: skip
_EXTRA = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")
# A scrape that begins so little after its moment (a share of its interval, and seconds) is stored at its moment: regular
# times take a fraction of the room.
_TOLERANCE_SHARE, _TOLERANCE = 0.01, 0.1
_FAILED_BODY, _OVER_LIMIT = 0, -1  # scrape_body_size_bytes of a page that did not come, or was too large


@dataclass(frozen=True, slots=True)
class Handoffs:
    """What scraping needs of others: places for series, the store, room in memory, what samples may be like, time."""

    admit: Admit
    store: Callable[[SampleBatch], Awaitable[None]]
    pages: Pages
    in_flight: InFlight
    bounds: Callable[[], Bounds]
    clock: Clock
    telemetry: Telemetry
    most_bytes: int  # of a page whose job names no limit
    reading: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "scrape"))


@dataclass(frozen=True, slots=True)
class Health:
    """How the last scrape of a target went. `at` is None before the first one; `error` is empty when it went well, `note`
    says what of the page was left out."""

    at: float | None = None
    seconds: float = 0.0
    error: str = ""
    note: str = ""

    @property
    def state(self) -> str:
        """up, down or unknown."""
        return "unknown" if self.at is None else "down" if self.error else "up"


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The targets of one job, each with its health, and what was found beside them."""

    job: Job
    active: Sequence[tuple[Target, Health]]
    found: Found


class Scraping:
    """All jobs at work from `start()` to `stop()`."""

    def __init__(self, jobs: Sequence[Job], handoffs: Handoffs) -> None:
        self._jobs, self._handoffs = jobs, handoffs
        self._discovery = Discovery(handoffs.clock, handoffs.telemetry)
        self._pools: dict[str, _Pool] = {}
        self._running = False

    async def start(self) -> None:
        """Begin to look for targets and to scrape them."""
        self._running = True
        for job in self._jobs:
            self._begin(job)

    async def stop(self) -> None:
        """End between two scrapes. No series ends: the next start, or another process, goes on with them."""
        self._running = False
        pools, self._pools = self._pools, {}
        await asyncio.gather(*(pool.stop() for pool in pools.values()))

    async def reload(self, jobs: Sequence[Job]) -> None:
        """Go on with `jobs`: one that is as before is not disturbed, a target of one that changed keeps its series."""
        self._jobs = jobs
        wanted = {job.name: job for job in jobs}
        for name, pool in list(self._pools.items()):
            if wanted.get(name) == pool.job:
                continue
            del self._pools[name]
            left = await pool.stop()
            if name in wanted:
                self._begin(wanted[name], left)
            else:
                await asyncio.gather(*(kept.end(self._handoffs) for kept in left.values()))
        if self._running:
            for job in jobs:
                if job.name not in self._pools:
                    self._begin(job)

    def status(self) -> list[PoolStatus]:
        """Every job and target as the last scrape left it, in the order of the file."""
        return [self._pools[job.name].status() for job in self._jobs if job.name in self._pools]

    def _begin(self, job: Job, left: Mapping[Labels, _Kept] | None = None) -> None:
        pool = self._pools[job.name] = _Pool(job, self._handoffs, self._discovery, left or {})
        pool.start()


@dataclass(slots=True)
class _Kept:
    """What a target has, however it is scraped: its series, and those that report on it."""

    memory: Memory
    report: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    async def end(self, handoffs: Handoffs) -> None:
        """The target is gone: its series end."""
        handoffs.pages.forget(self.memory)
        at_ms = round(handoffs.clock.now() * 1000)
        self.memory.seen = np.union1d(self.memory.seen, self.report[self.report >= 0])
        await _stored(ended(self.memory, at_ms), handoffs)


class _Pool:
    """The targets of one job."""

    def __init__(self, job: Job, handoffs: Handoffs, discovery: Discovery, left: Mapping[Labels, _Kept]) -> None:
        self.job, self._handoffs, self._discovery = job, handoffs, discovery
        # Of targets that discovery has not named again since the job changed.
        self._left = dict(left)
        self._found = Found()
        self._layout = Layout(job)
        self._loops: dict[Target, _Loop] = {}
        self._client = httpconfig.client(job.http, timeout=job.timeout, clock=handoffs.clock)
        self._groups: tuple[Group, ...] = ()
        self._told = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        following = self._discovery.follow(self.job.name, self.job.discovery, self._changed)
        self._tasks = [
            asyncio.create_task(following, name=f"discovery {self.job.name}"),
            asyncio.create_task(self._keep_up(), name=f"targets {self.job.name}"),
        ]

    async def stop(self) -> dict[Labels, _Kept]:
        """End all loops; what their targets have is left for whoever goes on with them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(loop.stop() for loop in self._loops.values()))
        await self._client.aclose()
        return self._left | {target.labels: loop.kept for target, loop in self._loops.items()}

    def status(self) -> PoolStatus:
        return PoolStatus(self.job, [(target, loop.health) for target, loop in self._loops.items()], self._found)

    def _changed(self, groups: tuple[Group, ...]) -> None:
        self._groups = groups
        self._told.set()

    async def _keep_up(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            found = await asyncio.to_thread(self._layout.found, self._groups)
            for each in set(found.failed) - set(self._found.failed):
                log.warning("scrape.no_target", job=self.job.name, error=each)
            self._found = found
            await self._go_on_with(found)

    async def _go_on_with(self, found: Found) -> None:
        wanted = dict.fromkeys(found.active)
        over = [target for target in self._loops if target not in wanted]
        await asyncio.gather(*(self._loops[target].stop() for target in over))
        left = self._left | {target.labels: self._loops.pop(target).kept for target in over}
        for target in wanted:
            kept = left.pop(target.labels, None)
            if target not in self._loops:
                loop = self._loops[target] = _Loop(target, self._client, self._handoffs, kept)
                loop.start()
            self._loops[target].forced = found.error
        self._left = {}
        await asyncio.gather(*(kept.end(self._handoffs) for kept in left.values()))


class _Loop:
    """One target: scraped at its moment of every interval."""

    def __init__(
        self, target: Target, client: httpx.AsyncClient, handoffs: Handoffs, kept: _Kept | None = None
    ) -> None:
        self._target, self._client, self._handoffs = target, client, handoffs
        memory = handoffs.pages.memory()
        if kept:  # what a line becomes may have changed, whose series it is has not
            memory.seen, memory.histograms = kept.memory.seen, kept.memory.histograms
            handoffs.pages.forget(kept.memory)
        self.kept = _Kept(memory, kept.report if kept else np.empty(0, np.int64))
        self.forced = ""  # why it may not be scraped
        self.health = Health()
        self._treatment = treatment_of(target)
        self._headers = _headers(target)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"scrape {self._target.url}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        clock, interval = self._handoffs.clock, self._target.interval
        offset = offset_of(self._target)
        due = next_moment(clock.now(), interval, offset)
        while True:
            await clock.sleep(due - clock.now())
            try:
                await self._scrape(due)
            except Exception:  # at the rim: one scrape that fails in an unforeseen way must not end the loop
                log.exception("scrape.failed", target=self._target.url)
                self._handoffs.telemetry.dropped(STAGE, "failed")
            due = next_moment(max(clock.now(), due), interval, offset)

    async def _scrape(self, due: float) -> None:
        clock, memory = self._handoffs.clock, self.kept.memory
        begun, started = clock.now(), clock.monotonic()
        at_ms = time_of(due, begun, self._target.interval)
        size, scraped, error = _FAILED_BODY, None, self.forced
        if not error:
            with self._handoffs.in_flight.lease() as lease:
                try:
                    async with asyncio.timeout(self._target.timeout):
                        body, content_type = await self._page(lease)
                    size = len(body)
                    scraped = await self._read(body, content_type, at_ms)
                except TimeoutError:
                    error = f"no whole answer within {self._target.timeout:g} s"
                except TooLarge as refused:
                    size, error = _OVER_LIMIT, str(refused)
                except (AiprismError, httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
                    error = str(failed) or type(failed).__name__
        took = clock.monotonic() - started
        batch = scraped.batch if scraped else ended(memory, at_ms)
        report = self._report(scraped, took, size)
        self.health = Health(begun, took, error, scraped.refusal if scraped else "")
        self._count(scraped, error)
        if error and (file := self._target.job.scrape_failure_log_file):
            await asyncio.to_thread(_note_failure, Path(file), self._target, begun, error)
        if not await _stored(_with_report(batch, *report, at_ms), self._handoffs):
            return
        if scraped:
            scraped.after()
        else:
            memory.seen = memory.histograms = np.empty(0, np.int64)

    async def _page(self, lease: Lease) -> tuple[bytes, str]:
        """The page, decompressed, and what it says it is."""
        limit = self._target.job.body_size_limit or self._handoffs.most_bytes
        parts: list[bytes] = []
        async with self._client.stream("GET", self._target.url, headers=self._headers) as response:
            if response.status_code != httpx.codes.OK:
                raise BadInput(f"server returned HTTP status {response.status_code} {response.reason_phrase}".rstrip())
            size = 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > limit:
                    raise TooLarge(_too_large(limit))
                lease.grow(len(part))
                parts.append(part)
            encoding = response.headers.get("Content-Encoding", "")
            content_type = response.headers.get("Content-Type", "")
        try:
            return inflated(b"".join(parts), encoding, limit, lease.grow), content_type
        except TooLarge:
            raise TooLarge(_too_large(limit)) from None

    async def _read(self, body: bytes, content_type: str, at_ms: int) -> Scraped:
        form = format_of(content_type, self._target.job.fallback_scrape_protocol)
        read = partial(
            self._handoffs.pages.read,
            body, form, self._treatment, self.kept.memory, at_ms, self._handoffs.bounds(),
        )  # fmt: skip
        return await asyncio.get_running_loop().run_in_executor(self._handoffs.reading, read)

    def _report(self, scraped: Scraped | None, took: float, size: int) -> tuple[Ints, list[float]]:
        """The positions and values of the series that report on this scrape."""
        job = self._target.job
        names = _REPORT + (_EXTRA if job.extra_scrape_metrics else ())
        if len(self.kept.report) != len(names) or (self.kept.report < 0).any():
            sets = [Labels({**self._target.labels, METRIC_NAME: name}) for name in names]
            self.kept.report, _ = self._handoffs.admit(sets)
        counts = (scraped.scraped, scraped.kept, scraped.added) if scraped else (0, 0, 0)
        values = [float(scraped is not None), took, *map(float, counts)]
        if job.extra_scrape_metrics:
            values += [self._target.timeout, float(job.sample_limit), float(size)]
        return self.kept.report, values

    def _count(self, scraped: Scraped | None, error: str) -> None:
        telemetry = self._handoffs.telemetry
        if error:
            telemetry.dropped(STAGE, "target_down")
        if scraped:
            telemetry.passed(STAGE, len(scraped.batch))
            for cause, items in scraped.causes.items():
                telemetry.dropped(STAGE, cause, items)


async def _stored(batch: SampleBatch, handoffs: Handoffs) -> bool:
    """False when the store did not take `batch`: it is lost, as a scrape cannot be asked for again."""
    try:
        await handoffs.store(batch)
    except Refused as refused:
        log.warning("scrape.not_stored", error=str(refused))
        handoffs.telemetry.dropped(STAGE, "not_stored", len(batch))
        return False
    return True


def _note_failure(file: Path, target: Target, at: float, error: str) -> None:
    """Append a scrape that failed, a JSON object as Prometheus writes it. Opened each time: whoever turns logs may move it."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"time": when, "level": "ERROR", "msg": error, "job_name": target.job.name, "target": target.url}
    try:
        with file.open("a", encoding="utf-8") as log_file:
            log_file.write(json.dumps(said, ensure_ascii=False) + "\n")
    except OSError as failed:  # the scrape itself goes on
        log.warning("scrape.failure_not_logged", job=target.job.name, error=str(failed))


def _with_report(batch: SampleBatch, positions: Ints, values: Iterable[float], at_ms: int) -> SampleBatch:
    room = positions >= 0
    return replace(
        batch,
        positions=np.concatenate([batch.positions, positions[room]]),
        ts_ms=np.concatenate([batch.ts_ms, np.full(int(room.sum()), at_ms)]),
        values=np.concatenate([batch.values, np.array(list(values))[room]]),
    )


# -- decisions -------------------------------------------------------------------------------------------------------


def offset_of(target: Target) -> float:
    """Where in its interval a target is scraped, in seconds: the same after a restart, and spread over all targets."""
    text = "\xff".join([target.url, *(part for pair in target.labels.pairs for part in pair)])
    return float(xxhash.xxh3_64_intdigest(text.encode()) % round(target.interval * 1000) / 1000)


def next_moment(after: float, interval: float, offset: float) -> float:
    """The first moment later than `after` that lies `offset` seconds after a multiple of `interval`.

    >>> next_moment(100.0, 15.0, 4.0), next_moment(109.0, 15.0, 4.0)
    (109.0, 124.0)
    """
    return ((after - offset) // interval + 1) * interval + offset


def time_of(due: float, begun: float, interval: float) -> int:
    """Unix milliseconds that the samples of a scrape get which was due then and begun then.

    >>> time_of(100.0, 100.004, 15.0), time_of(100.0, 101.0, 15.0)
    (100000, 101000)
    """
    late = begun - due
    return round((due if 0 <= late <= min(_TOLERANCE, _TOLERANCE_SHARE * interval) else begun) * 1000)


def treatment_of(target: Target) -> Treatment:
    """What the series of `target` become."""
    job = target.job

    def relabelled(labels: Mapping[str, str]) -> Mapping[str, str] | None:
        return relabel.applied(labels, job.metric_relabel)

    return Treatment(
        target.labels,
        relabelled if job.metric_relabel else as_they_are,
        honor_labels=job.honor_labels,
        honor_timestamps=job.honor_timestamps,
        track_timestamps=job.track_timestamps_staleness,
        legacy_names=job.metric_name_validation_scheme == "legacy",
        native=job.scrape_native_histograms,
        custom_buckets=job.convert_classic_histograms_to_nhcb,
        classic=job.always_scrape_classic_histograms,
        finest_schema=finest_schema(job.native_histogram_min_bucket_factor),
        bucket_limit=job.native_histogram_bucket_limit,
        sample_limit=job.sample_limit,
        label_limit=job.label_limit,
        label_name_length_limit=job.label_name_length_limit,
        label_value_length_limit=job.label_value_length_limit,
    )


def _headers(target: Target) -> dict[str, str]:
    job = target.job
    return {
        "Accept": accept(job.scrape_protocols, job.metric_name_escaping_scheme),
        "Accept-Encoding": "gzip" if job.enable_compression else "identity",
        "User-Agent": f"aiprism/{__version__}",
        "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout:g}",
    }


def _too_large(limit: int) -> str:
    return (
        f"the page is larger than {limit} bytes (body_size_limit of the job, ingest.inflated_bytes where it has none)"
    )

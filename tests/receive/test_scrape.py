"""Targets scraped: real HTTP servers, a clock set by hand, and what of it reaches the store."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.errors import Unavailable
from aiprism.model.labels import Labels
from aiprism.model.samples import is_stale
from aiprism.query.promql import PromQL
from aiprism.receive import relabel, scrapeconfig
from aiprism.receive.discovery.following import Group, Tell
from aiprism.receive.exposition.negotiate import PROTOCOLS
from aiprism.receive.exposition.pages import Pages
from aiprism.receive.exposition.proto import MetricFamily
from aiprism.receive.inflight import InFlight
from aiprism.receive.items import Bounds
from aiprism.receive.scrape import Handoffs, Scraping, next_moment, offset_of, time_of
from aiprism.receive.scrapeconfig import Job
from aiprism.receive.targets import targets
from aiprism.store.batches import SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.samples import SampleStore
from aiprism.telemetry import Telemetry
from tests.receive.room import Room

START = 1_700_000_000.0
REPORT = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}


@dataclass(eq=False)
class Page:
    """What the target answers with."""

    body: bytes = b"a 1\n"
    status: int = 200
    content_type: str = "text/plain; version=0.0.4"
    encoding: str = ""
    location: str = ""
    silent: bool = False
    address: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def page() -> Iterator[Page]:
    """A target on a port of its own, whose address is `page.address`."""
    page = Page()
    released = threading.Event()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            if page.silent:
                released.wait(60)
                return
            moved = page.location and self.path != page.location
            self.send_response(302 if moved else page.status)
            headers = {
                "Content-Type": page.content_type,
                "Content-Encoding": page.encoding,
                "Content-Length": str(len(page.body)),
            }
            for name, value in (headers | ({"Location": page.location} if moved else {})).items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page.address = f"127.0.0.1:{server.server_address[1]}"
    yield page
    released.set()
    server.shutdown()
    server.server_close()


class Told:
    """A discovery that says what the test says."""

    kind, patience = "told", 60.0

    def __init__(self, *found: dict[str, str]) -> None:
        self.found, self.said = found, asyncio.Event()

    async def follow(self, tell: Tell, clock: object) -> None:
        while True:
            tell.all([Group("told", self.found)])
            await self.said.wait()
            self.said.clear()

    def say(self, *found: dict[str, str]) -> None:
        self.found = found
        self.said.set()


class Platform:
    """Scraping, and what the store got of it."""

    def __init__(self, *jobs: Job, room: Room | None = None) -> None:
        self.clock, self.telemetry, self.room = FakeClock(START), Telemetry(), room or Room()
        self.batches: list[SampleBatch] = []
        self.away = False
        handoffs = Handoffs(
            self.room.admit, self._store, Pages(self.room.admit), InFlight(10**8, self.telemetry), Bounds, self.clock,
            self.telemetry, most_bytes=10**7,
        )  # fmt: skip
        self.scraping = Scraping(jobs, handoffs)

    async def _store(self, batch: SampleBatch) -> None:
        if self.away:
            raise Unavailable("the store is away", retry_after=1)
        self.batches.append(batch)

    async def scrape(self, count: int = 1, seconds: float = 15.0) -> None:
        """Let so much time pass, and `count` batches arrive."""
        before = len(self.batches)
        await self.asleep()
        await self.clock.advance(seconds)
        await until(lambda: len(self.batches) >= before + count)

    async def asleep(self) -> None:
        """Return once every target waits for its moment."""
        await until(lambda: self.clock.sleeping >= sum(len(pool.active) for pool in self.scraping.status()))

    def last(self, *, report: bool = False) -> dict[str, float | str]:
        """The last batch by series, without the times; markers are `end`."""
        return self.said(self.batches[-1], report=report)

    def said(self, batch: SampleBatch, *, report: bool = False) -> dict[str, float | str]:
        labels = [Labels(pairs) for pairs in self.room.index.labels(batch.positions)]
        rows = zip(labels, batch.values.tolist(), strict=True)
        return {
            shown(each): "end" if is_stale(value) else value for each, value in rows if (each.name in REPORT) is report
        }

    @property
    def up(self) -> float | str:
        return {name.split(" ")[0]: value for name, value in self.last(report=True).items()}["up"]

    @property
    def health(self) -> list[tuple[str, str]]:
        return [(health.state, health.error) for pool in self.scraping.status() for _, health in pool.active]


def shown(labels: Labels) -> str:
    return " ".join(
        [labels.name, *(f"{name}={value}" for name, value in labels.pairs if name not in ("__name__", "instance"))]
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of things that know no event
            await asyncio.sleep(0.005)


def story(platform: Callable[[], Platform], told: Callable[[Platform], Awaitable[None]]) -> Platform:
    async def run() -> Platform:
        made = platform()
        await made.scraping.start()
        try:
            await until(lambda: all(pool.active for pool in made.scraping.status()))
            await told(made)
        finally:
            await made.scraping.stop()
        return made

    return asyncio.run(run())


def job(page: Page, **settings: object) -> Job:
    found = Told({"__address__": page.address})
    return Job(**{"name": "j", "interval": 15.0, "timeout": 10.0, "discovery": (found,), **settings})  # type: ignore[arg-type]


# -- one scrape ------------------------------------------------------------------------------------------------------


def test_a_target_is_scraped_and_reported_on(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert platform.last() == {"a job=j": 1.0}
        report = platform.last(report=True)
        took = report.pop("scrape_duration_seconds job=j")
        assert isinstance(took, float)
        assert report == {
            "up job=j": 1.0, "scrape_samples_scraped job=j": 1.0, "scrape_samples_post_metric_relabeling job=j": 1.0,
            "scrape_series_added job=j": 1.0,
        }  # fmt: skip
        assert platform.health == [("up", "")]

    story(lambda: Platform(job(page)), told)
    [asked] = page.asked
    assert (asked["path"], asked["x-prometheus-scrape-timeout-seconds"], asked["accept-encoding"]) == (
        "/metrics",
        "10",
        "gzip",
    )
    assert asked["accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,")


def test_extra_series_tell_of_timeout_limit_and_size(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape()
        extra = {name: value for name, value in platform.last().items() if name.startswith("scrape_")}
        assert extra == {
            "scrape_timeout_seconds job=j": 10.0, "scrape_sample_limit job=j": 5.0, "scrape_body_size_bytes job=j": 4.0,
        }  # fmt: skip

    story(lambda: Platform(job(page, extra_scrape_metrics=True, sample_limit=5)), told)


def test_a_compressed_page_is_read(page: Page) -> None:
    page.body, page.encoding = gzip.compress(b"a 7\n"), "gzip"

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert platform.last() == {"a job=j": 7.0}

    story(lambda: Platform(job(page)), told)


FAULTS = [
    ({"status": 503}, {}, "server returned HTTP status 503 Service Unavailable"),
    ({"body": b"a b\n"}, {}, "line 1: 'b' is no number: 'a b'"),
    ({"content_type": "text/html"}, {}, "fallback_scrape_protocol is not set"),
    ({"body": b"a 1\nb 2\n"}, {"sample_limit": 1}, "sample limit exceeded"),
    ({"body": b"a 1" + b" " * 100}, {"body_size_limit": 100}, "larger than 100 bytes"),
    (
        {"body": gzip.compress(b"a 1" + b" " * 1000), "encoding": "gzip"},
        {"body_size_limit": 100},
        "larger than 100 bytes",
    ),
    ({"body": b"no gzip", "encoding": "gzip"}, {}, "not valid gzip"),
    ({"location": "/elsewhere"}, {"http": "stays"}, "HTTP status 302"),
]


@pytest.mark.parametrize(("answer", "settings", "why"), FAULTS, ids=[each[2] for each in FAULTS])
def test_a_target_that_does_not_answer_well_is_down_and_its_series_end(page: Page, answer, settings, why) -> None:
    from aiprism.httpconfig import HttpOptions

    if settings.get("http") == "stays":
        settings = {"http": HttpOptions(follow_redirects=False)}

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert platform.up == 1.0
        for name, value in answer.items():
            setattr(page, name, value)
        await platform.scrape()
        assert (platform.up, platform.last()) == (0.0, {"a job=j": "end"})
        [(state, error)] = platform.health
        assert state == "down"
        assert why in error
        await platform.scrape()
        assert (platform.up, platform.last()) == (0.0, {})

    story(lambda: Platform(job(page, **settings)), told)


def test_what_failed_is_noted_in_the_file_of_the_job(page: Page, tmp_path: Path) -> None:
    page.status, file = 503, tmp_path / "failures.log"

    async def told(platform: Platform) -> None:
        await platform.scrape()
        page.status = 200
        await platform.scrape()
        page.body = b"a b\n"
        await platform.scrape()

    story(lambda: Platform(job(page, scrape_failure_log_file=str(file))), told)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["msg"] for line in lines] == [
        "server returned HTTP status 503 Service Unavailable", "line 1: 'b' is no number: 'a b'",
    ]  # fmt: skip
    assert {(line["level"], line["job_name"], line["target"]) for line in lines} == {
        ("ERROR", "j", f"http://{page.address}/metrics")
    }
    first, second = (datetime.fromisoformat(line["time"]).timestamp() for line in lines)
    assert START < first < first + 15 < second < START + 60


def test_a_file_of_failures_that_cannot_be_written_fails_no_scrape(page: Page, tmp_path: Path) -> None:
    page.status = 503

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert (platform.up, platform.health[0][0]) == (0.0, "down")

    story(lambda: Platform(job(page, scrape_failure_log_file=str(tmp_path))), told)


def test_redirects_are_followed(page: Page) -> None:
    page.location = "/elsewhere"

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert platform.last() == {"a job=j": 1.0}

    story(lambda: Platform(job(page)), told)
    assert [asked["path"] for asked in page.asked] == ["/metrics", "/elsewhere"]


def test_a_target_that_is_silent_is_given_up(page: Page) -> None:
    page.silent = True

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert (platform.up, platform.health) == (0.0, [("down", "no whole answer within 0.2 s")])

    story(lambda: Platform(job(page, timeout=0.2)), told)


def test_nobody_at_the_address_is_a_target_that_is_down(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape()
        [(state, error)] = platform.health
        assert (platform.up, state) == (0.0, "down")
        assert error

    story(lambda: Platform(job(page, discovery=(Told({"__address__": "127.0.0.1:1"}),))), told)


def test_what_the_tenant_has_no_room_for_is_left_out_and_said(page: Page) -> None:
    page.body = b"a 1\nb 2\nc 3\n"

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert platform.last() == {"a job=j": 1.0}
        [pool] = platform.scraping.status()
        [(_, health)] = pool.active
        assert (health.state, health.note) == ("up", "no room for 2 (ingest.max_series)")

    story(lambda: Platform(job(page), room=Room(1)), told)


def test_what_the_store_does_not_take_is_lost_and_the_next_scrape_goes_on(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape()
        page.body, platform.away = b"b 1\n", True
        await platform.asleep()
        await platform.clock.advance(15)
        await until(lambda: len(page.asked) == 2)
        lost = 'aiprism_items_dropped_total{reason="not_stored",stage="receive.scrape"}'
        await until(lambda: lost in platform.telemetry.exposition().decode())
        platform.away = False
        await platform.scrape()
        assert platform.last() == {"b job=j": 1.0, "a job=j": "end"}

    story(lambda: Platform(job(page)), told)


# -- targets come and go ---------------------------------------------------------------------------------------------


def test_a_target_that_is_gone_ends_its_series_and_what_was_said_of_it(page: Page) -> None:
    found = Told({"__address__": page.address})

    async def told(platform: Platform) -> None:
        await platform.scrape()
        found.say()
        await until(lambda: len(platform.batches) == 2)
        assert platform.last() == {"a job=j": "end"}
        assert set(platform.last(report=True).values()) == {"end"}
        assert platform.health == []

    story(lambda: Platform(job(page, discovery=(found,))), told)


def test_a_job_that_changes_keeps_the_series_of_its_targets(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape()
        [before] = [pool.job for pool in platform.scraping.status()]
        page.body = b"b 1\n"
        await platform.scraping.reload([replace(before, interval=5.0, timeout=5.0)])
        await until(lambda: bool(platform.health))
        await platform.scrape(seconds=5)
        assert platform.last() == {"b job=j": 1.0, "a job=j": "end"}

    story(lambda: Platform(job(page)), told)


def test_an_unchanged_job_is_not_disturbed_and_one_that_is_gone_ends(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape(2)
        kept, gone = (pool.job for pool in platform.scraping.status())
        await platform.scraping.reload([kept])
        assert platform.last() == {"a job=k": "end"}
        assert platform.health == [("up", "")]
        await platform.scrape()
        assert platform.last() == {"a job=j": 1.0}
        assert gone.name == "k"

    story(lambda: Platform(job(page), job(page, name="k")), told)


def test_a_stop_ends_no_series(page: Page) -> None:
    async def told(platform: Platform) -> None:
        await platform.scrape()

    assert story(lambda: Platform(job(page)), told).last() == {"a job=j": 1.0}


def test_more_targets_than_allowed_are_all_down(page: Page) -> None:
    address = page.address
    found = Told({"__address__": address}, {"__address__": address, "x": "y"})

    async def told(platform: Platform) -> None:
        await platform.scrape(2)
        assert platform.up == 0.0
        assert {state for state, _ in platform.health} == {"down"}
        assert "target_limit exceeded" in platform.health[0][1]

    story(lambda: Platform(job(page, discovery=(found,), target_limit=1)), told)
    assert page.asked == []


def test_metric_relabelling_is_done(page: Page) -> None:
    page.body = b'a{x="1"} 1\nb 2\n'
    rules = (relabel.Rule("drop", ("__name__",), regex="b"), relabel.Rule("labeldrop", regex="x"))

    async def told(platform: Platform) -> None:
        await platform.scrape()
        assert platform.last() == {"a job=j": 1.0}

    story(lambda: Platform(job(page, metric_relabel=rules)), told)


# -- moments ---------------------------------------------------------------------------------------------------------


def test_targets_are_spread_over_the_interval_and_keep_their_moment() -> None:
    found = Group("g", tuple({"__address__": f"host{at}:80"} for at in range(300)))
    offsets = [offset_of(target) for target in targets(Job(name="j", interval=15.0), [found]).active]
    assert offsets == [offset_of(target) for target in targets(Job(name="j", interval=15.0), [found]).active]
    assert all(0 <= each < 15 for each in offsets)
    assert min(sum(second <= each < second + 1 for each in offsets) for second in range(15)) >= 5


@pytest.mark.parametrize(
    ("after", "moment"), [(100.0, 109.0), (109.0, 124.0), (108.999, 109.0), (0.0, 4.0), (3.9, 4.0), (1e9, 1e9 + 9)]
)
def test_the_next_moment_is_later(after: float, moment: float) -> None:
    assert next_moment(after, 15.0, 4.0) == moment


@pytest.mark.parametrize(
    ("begun", "at_ms"), [(100.0, 100_000), (100.09, 100_000), (100.11, 100_110), (101.0, 101_000), (99.99, 99_990)]
)
def test_a_scrape_that_begins_at_its_moment_gets_the_time_of_that(begun: float, at_ms: int) -> None:
    assert time_of(100.0, begun, 15.0) == at_ms


# -- into the store ----------------------------------------------------------------------------------------------------


def test_quantiles_of_histograms_made_native_are_those_of_their_classic_series(page: Page, engine: Engine) -> None:
    def took(scale: int) -> bytes:
        counts = {"0.1": 10, "0.5": 10, "1": 60, "2.5": 95, "+Inf": 100}
        buckets = [f'took_bucket{{le="{bound}"}} {count * scale}' for bound, count in counts.items()]
        lines = ["# TYPE took histogram", *buckets, f"took_sum {99.5 * scale}", f"took_count {100 * scale}", ""]
        return "\n".join(lines).encode()

    async def told(platform: Platform) -> None:
        for scale in (1, 2, 4):
            page.body = took(scale)
            await platform.scrape()

    room = Room()
    both = job(page, convert_classic_histograms_to_nhcb=True, always_scrape_classic_histograms=True)
    batches = story(lambda: Platform(both, room=room), told).batches
    MetricWriter(engine, room.index).insert(batches, "scraped", START)
    promql = PromQL(SampleStore(engine, room.index))
    at = START + 50
    for quantile in (0.05, 0.3, 0.6, 0.9, 0.99):
        [native] = promql.vector(f"histogram_quantile({quantile}, rate(took[1m]))", at)
        [classic] = promql.vector(f"histogram_quantile({quantile}, rate(took_bucket[1m]))", at)
        assert native.value == pytest.approx(classic.value)
    [median] = promql.vector("histogram_quantile(0.5, took)", at)
    assert median.value == pytest.approx(0.9)  # 40 of the 50 between 0.5 and 1
    [total] = promql.vector("histogram_sum(took)", at)
    assert total.value == 398.0


@pytest.mark.parametrize(
    ("native", "asked"), [(True, "application/vnd.google.protobuf"), (False, "application/openmetrics")]
)
def test_native_histograms_are_taken_when_the_job_wants_them(page: Page, native: bool, asked: str) -> None:
    family = MetricFamily(name="took", type=4)
    histogram = family.metric.add().histogram
    histogram.sample_count, histogram.sample_sum, histogram.schema = 2, 3.0, 0
    histogram.positive_span.add(offset=1, length=1)
    histogram.positive_delta.append(2)
    histogram.bucket.add(upper_bound=4, cumulative_count=2)
    message = family.SerializeToString()
    page.body = bytes([len(message)]) + message
    page.content_type = PROTOCOLS["PrometheusProto"]
    text = f"scrape_configs: [{{job_name: j, scrape_interval: 15s, scrape_native_histograms: {str(native).lower()}}}]"
    [read] = scrapeconfig.of(yamlfile.parse(text)).jobs

    async def told(platform: Platform) -> None:
        await platform.scrape()
        classic = {
            "took_bucket job=j le=4.0": 2.0,
            "took_bucket job=j le=+Inf": 2.0,
            "took_sum job=j": 3.0,
            "took_count job=j": 2.0,
        }
        assert platform.last() == ({} if native else classic)
        assert len(platform.batches[-1].histograms) == native

    story(lambda: Platform(replace(read, discovery=(Told({"__address__": page.address}),))), told)
    assert page.asked[0]["accept"].startswith(asked)

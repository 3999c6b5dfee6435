"""New error patterns become alerts, on the real store and control database, on a clock of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from aiprism.clock import FakeClock
from aiprism.config import LogsConfig
from aiprism.detect.loghints import Hint, Hints
from aiprism.detect.patternwatch import STAGE, PatternWatch
from aiprism.errors import Unavailable
from aiprism.model.alerts import Alert, AlertState
from aiprism.store.alertstates import LOG_PATTERNS, AlertStates
from aiprism.store.engine import Engine
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from tests.logmaking import Line, store_logs

NOW = 1_800_000_030.0
TRACE = b"\xab" * 16
FIRING, RESOLVED = AlertState.FIRING, AlertState.RESOLVED


@dataclass
class Watched:
    """A watch and what it told, and how to begin it anew as a restart does."""

    engine: Engine
    records: Records
    settings: LogsConfig
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    told: list[Alert] = field(default_factory=list)
    telemetry: Telemetry = field(default_factory=Telemetry)
    refused: bool = False
    tokens: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.watch = PatternWatch(
            self.engine,
            self.settings,
            notify=self._accept,
            states=AlertStates(self.records, LOG_PATTERNS),
            clock=self.clock,
            telemetry=self.telemetry,
            external_labels={"site": "a"},
            external_url="http://here",
            hints=Hints([Hint("disk", ("disk",), "look at the disk", "")]),
        )

    async def _accept(self, alerts: Sequence[Alert]) -> None:
        if self.refused:
            raise Unavailable("not now")
        self.told += alerts

    def write(self, *lines: Line) -> None:
        self.tokens += 1
        store_logs(self.engine, lines, token=f"t{self.tokens}")

    def error(self, body: str, *, service: str = "api", at: float | None = None, trace: bytes = b"") -> None:
        self.write(Line(self.clock.now() if at is None else at, body, "ERROR", service, trace))

    async def look(self, after: float = 3.0) -> list[tuple[str, AlertState]]:
        """What is told by one more look."""
        self.told.clear()
        await self.clock.advance(after)
        await self.watch.look()
        return [(alert.annotations["template"], alert.state) for alert in self.told]

    def dropped(self) -> dict[str, float]:
        [flow] = [each for each in self.telemetry.flow() if each["stage"] == STAGE] or [{"dropped": {}}]
        reasons = flow["dropped"]
        assert isinstance(reasons, dict)
        return reasons


@pytest.fixture
def watched(engine: Engine, tmp_path: Path) -> Iterator[Watched]:
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    made = Watched(engine, records, LogsConfig(watch_baseline=600.0, watch_silence=120.0))
    made.write(Line(NOW - 3600, "started"), Line(NOW - 3600, "order 3 failed", "ERROR"))
    yield made
    records.close()


def told_by(story: Callable[[], object]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_a_new_error_pattern_is_an_alert_with_its_line_trace_and_hint(watched: Watched) -> None:
    async def story() -> None:
        assert await watched.look() == []
        watched.error("no disk 7", trace=TRACE)
        assert await watched.look() == [("no disk <*>", FIRING)]
        [alert] = watched.told
        pattern_id = alert.labels["pattern_id"]
        assert alert.labels.to_dict() == {
            "alertname": "NewErrorPattern", "level": "ERROR", "pattern_id": pattern_id, "service": "api",
            "severity": "warning", "site": "a",
        }  # fmt: skip
        assert alert.annotations.to_dict() == {
            "summary": "api writes an error it never wrote before: no disk <*>",
            "description": "no disk 7",
            "template": "no disk <*>",
            "hint": "look at the disk",
            "logs": f"http://here/aiprism/v1/logs?query=pattern_id:{pattern_id}",
            "trace": f"http://here/aiprism/v1/traces/{TRACE.hex()}",
        }
        assert await watched.look() == []  # told once

    told_by(story)


def test_what_is_known_or_no_error_is_not_told(watched: Watched) -> None:
    async def story() -> None:
        await watched.look()
        watched.error("order 4 failed")
        watched.write(Line(watched.clock.now(), "something else", "WARN"))
        assert await watched.look() == []

    told_by(story)


def test_it_begins_quietly(watched: Watched) -> None:
    async def story() -> None:
        watched.error("no disk")  # stored before anybody looked
        assert await watched.look() == []
        watched.error("no disk", service="new")  # and a service that begins
        assert await watched.look() == []
        assert watched.dropped() == {"learning": 1}

    told_by(story)


def test_an_alert_is_over_when_its_pattern_is_silent(watched: Watched) -> None:
    async def story() -> None:
        await watched.look()
        watched.error("queue <cart> of node-1 is full")
        assert len(await watched.look()) == 1
        await watched.clock.advance(100)
        watched.error("queue <cart> of node-2 is full")  # another value keeps it firing
        assert await watched.look() == []
        assert await watched.look(100) == []
        assert [state for _, state in await watched.look(120)] == [RESOLVED]
        watched.error("queue <cart> of node-3 is full")  # which is no news any more
        assert await watched.look() == []

    told_by(story)


def test_a_restart_tells_nothing_twice_and_misses_nothing(watched: Watched) -> None:
    async def story() -> None:
        await watched.look()
        watched.error("no disk")
        assert len(await watched.look()) == 1
        watched.error("no memory", at=watched.clock.now() + 1)  # stored, but nobody looked before the restart
        watched.restart()
        assert await watched.look() == [("no memory", FIRING)]
        watched.restart()
        assert await watched.look() == []
        watched.restart()
        assert sorted(await watched.look(200), key=str) == [("no disk", RESOLVED), ("no memory", RESOLVED)]
        watched.restart()
        assert await watched.look() == []

    told_by(story)


def test_what_is_not_accepted_is_told_again(watched: Watched) -> None:
    async def story() -> None:
        await watched.look()
        watched.error("no disk")
        watched.refused = True
        with pytest.raises(Unavailable):
            await watched.look()
        watched.refused = False
        watched.restart()  # also by the next process
        assert await watched.look() == [("no disk", FIRING)]

    told_by(story)


def test_an_hour_takes_only_so_many(watched: Watched) -> None:
    async def story() -> None:
        watched.settings = replace(watched.settings, watch_most=2)
        watched.restart()
        await watched.look()
        watched.error("no disk")
        assert len(await watched.look()) == 1
        watched.error("division by zero")
        watched.error("stack overflow")
        assert len(await watched.look()) == 1
        assert watched.dropped() == {"limit": 1}

    told_by(story)


def test_switching_it_off_ends_its_alerts_and_on_again_floods_nobody(watched: Watched) -> None:
    async def story() -> None:
        await watched.look()
        watched.error("no disk")
        assert len(await watched.look()) == 1
        watched.watch.reload(replace(watched.settings, watch=False))
        assert await watched.look() == [("no disk", RESOLVED)]
        watched.error("no memory")
        assert await watched.look(7200) == []
        watched.watch.reload(watched.settings)
        assert await watched.look() == []
        watched.error("no sockets")
        assert await watched.look() == [("no sockets", FIRING)]

    told_by(story)


def test_the_loop_looks_again_and_survives_what_fails(watched: Watched) -> None:
    async def story() -> None:
        await watched.watch.start()
        watched.refused = True
        await _until(lambda: watched.clock.sleeping == 1)
        watched.error("no disk")
        await watched.clock.advance(watched.settings.watch_interval)
        await _until(lambda: watched.dropped().get("failed", 0) >= 1 and watched.clock.sleeping == 1)
        watched.refused = False
        await watched.clock.advance(watched.settings.watch_interval)
        await _until(lambda: len(watched.told) == 1)
        await watched.watch.stop()

    told_by(story)


async def _until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not there():  # noqa: ASYNC110 - what is waited for is on another thread
            await asyncio.sleep(0.01)

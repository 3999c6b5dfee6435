"""A job whose providers are followed, for tests: what was told, and a clock that moves when told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.receive.discovery import kinds
from aiprism.receive.discovery.following import Discovery, Group, Provider
from aiprism.telemetry import Telemetry


def providers(text: str, file: str = "dir/p.yml") -> tuple[Provider, ...]:
    return kinds.read(yamlfile.parse(text, file=file))


class Following:
    """A job being followed, with a clock that moves when told."""

    def __init__(self, *found: Provider) -> None:
        self.clock, self.telemetry = FakeClock(), Telemetry()
        self.began = self.clock.monotonic()
        self.told: list[dict[str, list[str]]] = []
        self.groups: tuple[Group, ...] = ()
        self._found = found

    async def __aenter__(self) -> Following:
        self._task = asyncio.create_task(
            Discovery(self.clock, self.telemetry).follow("job", self._found, self._changed)
        )
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _changed(self, groups: tuple[Group, ...]) -> None:
        self.groups = groups
        self.told.append({group.source: [target["__address__"] for target in group.targets] for group in groups})

    def targets(self) -> list[dict[str, str]]:
        """Every target there is now."""
        return [dict(target) for group in self.groups for target in group.targets]

    async def until(self, true: Callable[[], bool], *, passing: float = 0.0) -> None:
        """Wait, in real time, for what comes over a connection; `passing` seconds go by on the clock at each look."""
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.01)
                await self.clock.advance(passing)

    def failures(self, kind: str) -> float:
        return (
            self.telemetry.registry.get_sample_value(
                "aiprism_items_dropped_total", {"stage": f"receive.discovery.{kind}", "reason": "failed"}
            )
            or 0.0
        )

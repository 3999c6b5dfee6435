"""Groups of targets, who tells about them, and how what was told is kept while a teller fails.

In: the providers of one scrape job. Out: all groups of the job, whenever one of them changed. A provider that fails
keeps what it told last, is counted and named in the log once, and is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from aiprism.clock import Clock
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "receive.discovery"


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that are found together and change together: the label sets of each, `__address__` among them.

    `source` names the group among those of its provider. A group without targets is one that is gone.
    """

    source: str
    targets: tuple[Mapping[str, str], ...]


class Provider(Protocol):
    """One entry of a `*_sd_configs` list; frozen."""

    @property
    def kind(self) -> str:
        """Its name: static, file, kubernetes …"""
        ...

    @property
    def patience(self) -> float:
        """Seconds after a failure until it is asked again."""
        ...

    async def follow(self, tell: Tell, clock: Clock) -> None:
        """Tell what there is, then what changes, until cancelled; return when nothing can change any more.

        Raising means "I failed, ask me again".
        """
        ...


class Tell:
    """What a provider talks to. It remembers, so that a provider which starts again says only what it sees."""

    def __init__(self, report: Callable[[], None]) -> None:
        self._report = report
        self.known: dict[str, Group] = {}
        self.failing = False

    def some(self, *groups: Group) -> None:
        """These groups are now so; others are as they were."""
        before = {group.source: self.known.get(group.source) for group in groups}
        for group in groups:
            if not group.targets:
                self.known.pop(group.source, None)
            elif group != self.known.get(group.source):  # one that says nothing new stays the same object
                self.known[group.source] = group
        if any(self.known.get(source) is not group for source, group in before.items()):
            self._report()

    def all(self, groups: Iterable[Group]) -> None:
        """These are all the groups there are."""
        now = {group.source: group for group in groups}
        gone = [Group(source, ()) for source in self.known if source not in now]
        self.some(*gone, *now.values())
        self.well()

    def well(self) -> None:
        """What failed, if anything did, works again: the next failure is worth a line in the log."""
        self.failing = False


async def polled(once: Callable[[], Awaitable[Sequence[Group]]], every: float, tell: Tell, clock: Clock) -> None:
    """Tell all groups that `once()` finds, every so many seconds."""
    while True:
        tell.all(await once())
        await clock.sleep(every)


async def follow(
    job: str,
    providers: Sequence[Provider],
    changed: Callable[[tuple[Group, ...]], None],
    clock: Clock,
    telemetry: Telemetry,
) -> None:
    """Call `changed` with all groups of `job` whenever one changed, until cancelled."""
    tells: list[Tell] = []

    def report() -> None:
        changed(tuple(group for tell in tells for group in tell.known.values()))

    tells += [Tell(report) for _ in providers]
    async with asyncio.TaskGroup() as tasks:
        for provider, tell in zip(providers, tells, strict=True):
            tasks.create_task(_kept(job, provider, tell, clock, telemetry))


async def _kept(job: str, provider: Provider, tell: Tell, clock: Clock, telemetry: Telemetry) -> None:
    while True:
        try:
            return await provider.follow(tell, clock)
        except Exception as error:  # at the rim: whatever a provider stumbles over, the others go on
            telemetry.dropped(f"{STAGE}.{provider.kind}", "failed")
            if not tell.failing:
                cause = _first(error)
                reason = f"{type(cause).__name__}: {cause}"
                log.warning("discovery.failed", job=job, kind=provider.kind, error=reason, kept=len(tell.known))
            tell.failing = True
        await clock.sleep(provider.patience)


def _first(error: BaseException) -> BaseException:
    """What went wrong first where several things were done at a time."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error

"""Groups of targets, who tells about them, and how what was told is kept while a teller fails.

In: the providers of scrape jobs. Out: all groups of a job, whenever one of them changed. A provider that fails
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


class _Followed:
    """A provider that is followed, and for whom."""

    def __init__(self) -> None:
        self.tell = Tell(self._report)
        self.jobs: dict[Callable[[], None], str] = {}  # whom to tell, and for which job
        self.task: asyncio.Task[None] | None = None

    def _report(self) -> None:
        for report in list(self.jobs):
            report()


class Discovery:
    """The providers that are followed. Jobs whose providers are the same share them: a cluster is watched once for all."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._clock, self._telemetry = clock, telemetry
        self._followed: dict[Provider | int, _Followed] = {}

    async def follow(
        self, job: str, providers: Sequence[Provider], changed: Callable[[tuple[Group, ...]], None]
    ) -> None:
        """Call `changed` with all groups of `job` whenever one changed, until cancelled."""
        followed: list[_Followed] = []

        def report() -> None:
            changed(tuple(group for each in followed for group in each.tell.known.values()))

        try:
            followed += [self._joined(job, provider, report) for provider in providers]
            if any(each.tell.known for each in followed):
                report()
            if followed:
                await asyncio.wait([each.task for each in followed if each.task])
        finally:
            for provider in providers:
                await self._left(provider, report)

    def _joined(self, job: str, provider: Provider, report: Callable[[], None]) -> _Followed:
        followed = self._followed.setdefault(_key(provider), _Followed())
        followed.jobs[report] = job
        if followed.task is None:
            followed.task = asyncio.create_task(self._kept(provider, followed), name=f"{provider.kind} of {job}")
        return followed

    async def _left(self, provider: Provider, report: Callable[[], None]) -> None:
        followed = self._followed.get(_key(provider))
        if followed is None or followed.jobs.pop(report, None) is None or followed.jobs:
            return
        del self._followed[_key(provider)]
        if followed.task:
            followed.task.cancel()
            await asyncio.gather(followed.task, return_exceptions=True)

    async def _kept(self, provider: Provider, followed: _Followed) -> None:
        tell = followed.tell
        while True:
            try:
                return await provider.follow(tell, self._clock)
            except Exception as error:  # at the rim: whatever a provider stumbles over, the others go on
                self._telemetry.dropped(f"{STAGE}.{provider.kind}", "failed")
                if not tell.failing:
                    cause = _first(error)
                    reason = f"{type(cause).__name__}: {cause}"
                    jobs = ", ".join(followed.jobs.values())
                    log.warning("discovery.failed", jobs=jobs, kind=provider.kind, error=reason, kept=len(tell.known))
                tell.failing = True
            await self._clock.sleep(provider.patience)


def _key(provider: Provider) -> Provider | int:
    """Equal providers have equal keys; those that hold what cannot be hashed are lists in the file, and share nothing."""
    try:
        hash(provider)
    except TypeError:
        return id(provider)
    return provider


def _first(error: BaseException) -> BaseException:
    """What went wrong first where several things were done at a time."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error

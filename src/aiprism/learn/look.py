"""How the phases of an investigation look at things: through functions they are handed, within a box of time.

In: `Sources`, which read (blocking). Out: a `Look`, whose questions have an answer whatever happens: when the box is over, or a
source fails, the answer is the empty one, and what was not looked at is noted in words.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from aiprism.errors import AiprismError
from aiprism.learn.similar import Likeness
from aiprism.model.events import ChangeEvent
from aiprism.model.labels import Labels
from aiprism.model.logs import PatternCount, PatternLine
from aiprism.model.spans import Span, TraceSummary
from aiprism.model.timerange import TimeRange
from aiprism.respond.incident import Incident
from aiprism.store.tracesearch import TraceSearch

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SeriesRead:
    """Samples of some series as they were sent: those of `labels[i]` stand from `offsets[i]` to `offsets[i + 1]`, by time (Unix
    seconds). `left_out` series were not read: there are more than are read."""

    labels: Sequence[Labels] = ()
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    times: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the phases ask. Names are those that telemetry has."""

    series: Callable[[Collection[str], TimeRange, float], SeriesRead]  # within so many seconds
    patterns: Callable[[Collection[str], TimeRange], Sequence[PatternCount]]  # by the minute
    lines: Callable[[TimeRange, Collection[int], Collection[tuple[str, int]]], Sequence[PatternLine]]
    hints: Callable[[str], Sequence[str]]  # what a log pattern may mean
    traces: Callable[[TraceSearch], Sequence[TraceSummary]]
    spans: Callable[[Sequence[str]], Mapping[str, Sequence[Span]]]
    changes: Callable[[TimeRange], Sequence[ChangeEvent]]  # at any service
    alike: Callable[[Incident, Sequence[str]], Sequence[Likeness]]  # past incidents; with log patterns of this one
    repairs: Callable[[Sequence[str]], Mapping[str, Sequence[str]]]  # runbooks that repaired past incidents
    bounded: Callable[[float], AbstractContextManager[None]]  # what is read within it ends after so many seconds


class Look:
    """One phase's way to `Sources`, until `until` on the `monotonic` clock."""

    def __init__(self, sources: Sources, until: float, monotonic: Callable[[], float]) -> None:
        self._sources, self._until, self._monotonic = sources, until, monotonic
        self.queries = 0
        self.missed: list[str] = []

    def series(self, names: Collection[str], window: TimeRange) -> SeriesRead:
        """Samples of the series of these services."""
        found = self._ask("metrics", SeriesRead(), self._sources.series, names, window, max(0.1, self._left))
        if found.left_out:
            self.missed.append(f"{found.left_out} series of metrics: {len(found.labels)} are looked at")
        return found

    def patterns(self, names: Collection[str], window: TimeRange) -> Sequence[PatternCount]:
        """What these services wrote, counted by pattern and minute."""
        return self._ask("log patterns", (), self._sources.patterns, names, window)

    def lines(
        self, window: TimeRange, patterns: Collection[int], places: Collection[tuple[str, int]]
    ) -> Sequence[PatternLine]:
        """Some lines of these patterns."""
        return self._ask("log lines", (), self._sources.lines, window, patterns, places)

    def hints(self, pattern: str) -> Sequence[str]:
        """What such a line may mean; asked of memory."""
        return self._sources.hints(pattern)

    def traces(self, wanted: TraceSearch) -> Sequence[TraceSummary]:
        """The traces of a search."""
        return self._ask(f"traces of {wanted.service}", (), self._sources.traces, wanted)

    def spans(self, trace_ids: Sequence[str]) -> Mapping[str, Sequence[Span]]:
        """The spans of these traces."""
        return self._ask("the spans of traces", {}, self._sources.spans, trace_ids) if trace_ids else {}

    def changes(self, window: TimeRange) -> Sequence[ChangeEvent]:
        """What was changed at any service, newest first."""
        return self._ask("changes", (), self._sources.changes, window)

    def alike(self, incident: Incident, errors: Sequence[str]) -> Sequence[Likeness]:
        """Past incidents that this one resembles."""
        return self._ask("similar incidents", (), self._sources.alike, incident, errors)

    def repairs(self, incidents: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """By past incident the runbooks that repaired it."""
        return self._ask("earlier repairs", {}, self._sources.repairs, incidents) if incidents else {}

    @property
    def _left(self) -> float:
        return self._until - self._monotonic()

    def _ask(self, what: str, otherwise: T, source: Callable[..., T], *asked: object) -> T:
        left = self._left
        if left <= 0:
            self.missed.append(f"{what}: the time for it was over")
            return otherwise
        self.queries += 1
        try:
            with self._sources.bounded(left):
                return source(*asked)
        except AiprismError as error:
            self.missed.append(f"{what}: {error}")
        except Exception as error:  # the rim of a source: an investigation goes on without it
            log.exception("investigation.source_failed", source=what)
            self.missed.append(f"{what}: could not be read ({type(error).__name__})")
        return otherwise

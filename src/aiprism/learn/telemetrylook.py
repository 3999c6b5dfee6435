"""What an investigation asks, of the stores there are.

In: the engine, samples, incidents. Out: `Sources`. How much each of them reads is bounded by the constants below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np

from aiprism.detect.loghints import Hints
from aiprism.learn.look import SeriesRead, Sources
from aiprism.learn.similar import Likeness
from aiprism.model.labels import Matcher, MatchOp
from aiprism.model.logs import PatternCount
from aiprism.model.timerange import TimeRange
from aiprism.respond.incident import Incident
from aiprism.respond.pipeline import Respond
from aiprism.respond.runs import SUCCEEDED
from aiprism.respond.subject import SERVICE_LABELS
from aiprism.store import investigations as store
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.patterncounts import pattern_counts, pattern_lines
from aiprism.store.question import Question
from aiprism.store.samples import SampleStore
from aiprism.store.spans import SpanStore

MOST_SERIES, MOST_SAMPLES = 3000, 3_000_000
MOST_PATTERNS, MOST_SPANS, MOST_CHANGES = 3000, 20_000, 500
# Of every bucket of a histogram there is a series, and its mean says enough.
_NO_BUCKETS = Matcher("__name__", MatchOp.NOT_REGEX, ".*_bucket|.*_created|ALERTS.*")

Alike = Callable[[Incident, Sequence[str]], Sequence[Likeness]]


def sources(
    engine: Engine, samples: SampleStore, respond: Respond, hints: Callable[[], Hints], alike: Alike
) -> Sources:
    """Whom the phases of an investigation ask. All of it blocks; run in the engine's pool."""
    spans, events = SpanStore(engine), EventStore(engine)

    def repairs(incidents: Sequence[str]) -> dict[str, list[str]]:
        with respond.reading() as connection:
            return store.repairs(connection, incidents, SUCCEEDED)

    return Sources(
        series=partial(_series, samples),
        patterns=partial(_patterns, engine),
        lines=lambda window, patterns, places: pattern_lines(engine, window, patterns, places, each=3),
        hints=lambda line: [each.hint for each in hints().of(line)],
        traces=spans.search,
        spans=lambda ids: spans.traces(ids, limit=MOST_SPANS),
        changes=lambda window: events.search(window, limit=MOST_CHANGES),
        alike=alike,
        repairs=repairs,
        bounded=lambda seconds: engine.asked_by(Question(seconds)),
    )


def _series(samples: SampleStore, names: Collection[str], window: TimeRange, seconds: float) -> SeriesRead:
    """The series of which a label names one of these services, with all their samples, read at once for each label."""
    if not names:
        return SeriesRead()
    wanted = "|".join(f"(.*/)?{re.escape(name)}" for name in names)
    question = Question(seconds)
    taken, parts, left_out = np.empty(0, dtype=np.uint64), [], 0
    for label in SERVICE_LABELS:
        matchers = (_NO_BUCKETS, Matcher(label, MatchOp.REGEX, wanted))
        found = samples.select(matchers, window.start_ms, window.end_ms).without(taken)
        room = MOST_SERIES - len(taken)
        left_out += max(0, len(found) - room)
        found = found.only(np.arange(min(len(found), room)))
        taken = np.concatenate([taken, found.fps])
        if len(found):
            read = samples.raw(
                found, window.start_ms, window.end_ms, stale=False, limit=MOST_SAMPLES, question=question, exact=True
            )
            parts.append((found, read))
    if not parts:
        return SeriesRead(left_out=left_out)
    labels = [label for found, read in parts for label in found.only(read.rows).labels()]
    sizes = np.concatenate([np.diff(read.offsets) for _, read in parts])
    return SeriesRead(
        labels,
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([read.ts_ms for _, read in parts]) / 1000.0,
        np.concatenate([read.values for _, read in parts]),
        left_out,
    )


def _patterns(engine: Engine, names: Collection[str], window: TimeRange) -> Sequence[PatternCount]:
    return pattern_counts(engine, window, services=names, limit=MOST_PATTERNS) if names else ()

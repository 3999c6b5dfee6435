"""`aiprism correlation learn`: how well the weights of likeness divided past alerts, and whether others would do better.

In: the control database that the configuration names. Out: figures, and what to write into aiprism.yml to adopt what was
learned. Nothing is written, and no server is asked.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict

from aiprism import config, services
from aiprism.cli import printing
from aiprism.learn import weights as learning
from aiprism.learn.weights import Figures, History, Lesson
from aiprism.respond.likeness import Weights, weighed
from aiprism.respond.ways import declared
from aiprism.store.records import Records

_PARTS = ("time", "service", "kind", "threshold")


def learn(wanted: argparse.Namespace) -> int:
    """Say what past incidents teach."""
    found = config.load(wanted.config, os.environ, data=wanted.data)
    present = weighed(found.correlation)
    records = Records.kept(found.control_database)
    try:
        with records.reading() as connection:
            history = learning.read(connection, declared(_catalogue(found)))
    finally:
        records.close()
    lesson = learning.lesson(history, present)
    if wanted.output == "json":
        printing.show_json(_answer(history, lesson, present))
    else:
        print("\n".join(_told(history, lesson, present)))
    return 0


def _catalogue(found: config.Config) -> services.Catalogue:
    return services.load(found.base / found.respond.services) if found.respond.services else services.Catalogue()


def _told(history: History, lesson: Lesson, present: Weights) -> Iterator[str]:
    times = "once" if history.corrections == 1 else f"{history.corrections} times"
    yield f"{history.alerts} alerts of {history.incidents} incidents; people merged or split {times}"
    if history.alerts:
        yield f"{'pairs of alerts':<46}{'precision':>10}{'recall':>8}{'F1':>7}"
        yield _line(f"present ({_numbers(present)})", lesson.present)
    if lesson.tried is not None:
        yield _line("  on the last third", lesson.later)
        yield _line(f"learned ({_numbers(lesson.tried)}), on the last third", lesson.tried_later)
    if lesson.why:
        yield f"nothing to adopt: {lesson.why}"
        return
    yield "to adopt what was learned, in aiprism.yml:"
    yield ""
    yield "correlation:"
    yield from (f"  {name}: {getattr(lesson.tried, name):g}" for name in _PARTS)


def _numbers(weights: Weights) -> str:
    return " ".join(f"{getattr(weights, name):g}" for name in _PARTS)


def _line(what: str, figures: Figures) -> str:
    return f"{what:<46}{figures.precision:>10.3f}{figures.recall:>8.3f}{figures.f1:>7.3f}"


def _answer(history: History, lesson: Lesson, present: Weights) -> dict[str, object]:
    return {
        "alerts": history.alerts,
        "incidents": history.incidents,
        "corrections": history.corrections,
        "present": {**_as_json(lesson.present), "weights": asdict(present)},
        "later": None if lesson.tried is None else _as_json(lesson.later),
        "learned": None if lesson.tried is None else {**_as_json(lesson.tried_later), "weights": asdict(lesson.tried)},
        "adopt": not lesson.why,
        "why": lesson.why,
    }


def _as_json(figures: Figures) -> dict[str, object]:
    return {**asdict(figures), "precision": figures.precision, "recall": figures.recall, "f1": figures.f1}

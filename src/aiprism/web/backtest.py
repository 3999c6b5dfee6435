"""Rules against the past, over HTTP: what would have fired, who would have been told, and what of the incidents of that time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from aiprism import yamlfile
from aiprism.clock import Clock
from aiprism.detect import rules as rule_files
from aiprism.detect.annotations import Surroundings
from aiprism.detect.backtest import MOST_STEPS, Firing, RulePast, Stretch, all_firings, pasts, steps_of
from aiprism.detect.rules import Group
from aiprism.detect.signals import Answers, Reading, RuleQuestion
from aiprism.errors import BadInput, ConfigError, LimitExceeded
from aiprism.query.promql import Matrix
from aiprism.respond import retelling
from aiprism.respond.group import Why
from aiprism.respond.hindsight import Fired, Verdict, verdict
from aiprism.respond.incident import Incident
from aiprism.respond.retelling import Receiver
from aiprism.respond.route import Routing
from aiprism.store.question import Question
from aiprism.web.turns import Turns

STAGE = "query.backtest"
_DAY = 86_400.0
_MOST_BYTES = 1024 * 1024
_MOST_FIRINGS = 10_000  # in an answer
_MOST_LOOKS = 100_000  # at groups, to count who would have been told: seconds of work

# The incidents that were open at any time of a period.
Incidents = Callable[[float, float], Sequence[Incident]]


class Asked(BaseModel):
    """Rule files by name, and the period in Unix seconds: the last day unless it says otherwise."""

    files: dict[str, str] = Field(min_length=1, max_length=100, description="name → a file of rules")
    start: float | None = None
    end: float | None = None
    interval: float = Field(default=60.0, gt=0, le=86_400, description="seconds, of groups that name none")


def router(
    answers: Answers,
    turns: Turns,
    incidents: Incidents,
    routing: Callable[[], Routing],
    clock: Clock,
    around: Surroundings,
    seconds: float,
    reading: Callable[[], Reading] = Reading,
) -> APIRouter:
    """POST /aiprism/v1/backtest; one answer may take `seconds`. `routing` is what an alert would go by now."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["rules"])

    @routes.post("/backtest", summary="When alerting rules would have fired on what is stored, and on which incidents")
    async def backtest(asked: Asked, request: Request) -> dict[str, Any]:
        end = clock.now() if asked.end is None else asked.end
        period = Stretch(end - _DAY if asked.start is None else asked.start, end)
        groups = _groups(asked, period, reading())
        known = await asyncio.to_thread(incidents, period.start, period.end)
        way = routing()

        def compute(question: Question) -> dict[str, Any]:
            found = _pasts(groups, period, answers, around, question)
            # What comes after the store's answers is long, too, where much fired: the same time holds for it.
            return _answer(found, known, period, way, around.external_labels, question)

        return await turns.answer(request, compute, seconds, stage=STAGE)

    return routes


def _groups(asked: Asked, period: Stretch, reading: Reading) -> Sequence[Group]:
    if not period.start < period.end:
        raise BadInput(f"the period ends ({period.end:g}) before it begins ({period.start:g})")
    if sum(map(len, asked.files.values())) > _MOST_BYTES:
        raise BadInput(f"the rule files are larger than {_MOST_BYTES} bytes together")
    try:
        groups = [
            group
            for name, text in asked.files.items()
            for group in rule_files.read(
                yamlfile.parse(text, file=name), default_interval=asked.interval, reading=reading
            )
        ]
    except ConfigError as error:
        raise BadInput(str(error)) from None
    for group in groups:
        if (steps := steps_of(group, period)) > MOST_STEPS:
            raise LimitExceeded(
                f"group {group.name!r} was evaluated {steps} times in that period, more than {MOST_STEPS}; "
                "take a shorter period or a longer interval"
            )
    return groups


def _pasts(
    groups: Sequence[Group], period: Stretch, answers: Answers, around: Surroundings, question: Question
) -> list[RulePast]:
    def ask(asked: RuleQuestion, start: float, end: float, step: float) -> Matrix:
        return answers.range(asked, start, end, step, question)

    return pasts(groups, period, ask, around)


# -- words -----------------------------------------------------------------------------------------------------------


def _answer(
    found: Sequence[RulePast],
    known: Sequence[Incident],
    period: Stretch,
    routing: Routing,
    external: Mapping[str, str],
    question: Question,
) -> dict[str, Any]:
    fired = [Fired(firing.labels, firing.fired_at, firing.ended_at or period.end) for _, firing in all_firings(found)]
    judged = verdict(known, fired, period.end)
    alone, together = retelling.receivers(
        routing, [_as_routed(past.firings, external) for past in found], period.end, question.left, _MOST_LOOKS
    )
    return {
        "start": period.start,
        "end": period.end,
        "rules": [
            {**_rule(past, period), "told": _told(receivers)} for past, receivers in zip(found, alone, strict=True)
        ],
        "told": _told(together),
        "incidents": _incidents(judged),
    }


def _as_routed(firings: Sequence[Firing], external: Mapping[str, str]) -> list[Fired]:
    """With the labels that routes see. What fired to the end is not over then."""
    return [
        Fired({**external, **each.labels}, each.fired_at, math.inf if each.ended_at is None else each.ended_at)
        for each in firings
    ]


def _told(receivers: Sequence[Receiver]) -> list[Mapping[str, object]]:
    """Who would have been told, in how many notifications, and why; so many at least where that is not whole."""
    return [
        {
            "receiver": each.name,
            "channels": list(each.channels),
            "notifications": each.count,
            **{why.value: each.times.get(why, 0) for why in Why},
            "is_whole": each.is_whole,
        }
        for each in receivers
    ]


def _rule(past: RulePast, period: Stretch) -> Mapping[str, object]:
    seconds = [firing.seconds(period.end) for firing in past.firings]
    return {
        "group": past.group.name,
        "file": past.group.file,
        "alert": past.rule.name,
        "expr": past.rule.expr,
        "signal": None if isinstance(past.rule.question, str) else past.rule.question.selection.signal.value,
        "for": past.rule.hold,
        "evaluations": past.evaluations,
        "failed": past.failed,
        "fired": len(past.firings),
        "seconds": sum(seconds),
        "longest": max(seconds, default=0.0),
        "flapping": past.flapping,
        "pending_only": past.pending,
        "notes": list(past.notes),
        "firings": [_firing(firing) for firing in past.firings[:_MOST_FIRINGS]],
        "is_whole": len(past.firings) <= _MOST_FIRINGS,
    }


def _firing(firing: Firing) -> Mapping[str, object]:
    return {
        "labels": firing.labels.to_dict(),
        "annotations": firing.annotations.to_dict(),
        "active_at": firing.active_at,
        "fired_at": firing.fired_at,
        "ended_at": firing.ended_at,
    }


def _incidents(judged: Verdict) -> Mapping[str, object]:
    return {
        "caught": [
            {**_incident(each.incident), "alert": each.by.labels.get("alertname", ""), "earlier": each.earlier}
            for each in judged.caught
        ],
        "missed": [_incident(each) for each in judged.missed],
        "noise": [{"alert": each.labels.get("alertname", ""), "fired_at": each.start} for each in judged.noise],
    }


def _incident(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "title": incident.title,
        "priority": incident.priority.value,
        "created_at": incident.created_at,
        "resolved_at": incident.resolved_at,
    }

"""/aiprism/v1/explain: how a PromQL query is answered, node by node, with the SQL it takes.

In: what /api/v1/query (`query`, `time`) or /api/v1/query_range (`query`, `start`, `end`, `step`) take, and `analyze=false` for
the plan without running it. Out: the plan as JSON, and as text for people.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from aiprism.clock import Clock
from aiprism.errors import BadInput
from aiprism.query.promql import PromQL
from aiprism.store.question import Question
from aiprism.web.parameters import Parameters
from aiprism.web.turns import Turns


def router(promql: PromQL, turns: Turns, clock: Clock) -> APIRouter:
    """The one route."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["queries"])

    def answer(asked: Parameters, question: Question) -> dict[str, Any]:
        start, end, step = _times(asked, clock.now())
        analyze = _flag(asked, "analyze", default=True)
        found = promql.explained(asked.text("query"), start, end, step, question=question, analyze=analyze)
        return {**found.as_json(), "start": start, "end": end, "step": step, "text": "\n".join(found.lines())}

    @routes.post("/explain", include_in_schema=False)
    @routes.get("/explain", summary="How a PromQL query is answered: its plan, the SQL, and what each part takes")
    async def explain(request: Request) -> dict[str, Any]:
        asked = await Parameters.of(request)
        seconds = asked.seconds(promql.limits.seconds)
        return await turns.answer(request, lambda question: answer(asked, question), seconds, stage="query.explain")

    return routes


def _times(asked: Parameters, now: float) -> tuple[float, float, float]:
    """From, to and step in seconds; a step of 0 is one time."""
    if not asked.text("start"):
        at = asked.time("time", now)
        return at, at, 0.0
    step = asked.duration("step")
    if step <= 0:
        raise BadInput('invalid parameter "step": a step is longer than nothing, for example 15s')
    return asked.time("start"), asked.time("end", now), step


def _flag(asked: Parameters, name: str, *, default: bool) -> bool:
    text = asked.text(name) or str(default).lower()
    if text not in ("true", "false"):
        raise BadInput(f'invalid parameter "{name}": {text!r} is neither true nor false')
    return text == "true"

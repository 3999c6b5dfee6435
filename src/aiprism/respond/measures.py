"""What metrics say of a run: whether a query of its runbook is true, and the numbers that it shows before and after.

In: a run, and a way to ask PromQL. Out: vectors, numbers, and both in words. A number that cannot be asked is none: it is told
beside a run and decides nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from aiprism.clock import Clock
from aiprism.errors import AiprismError
from aiprism.respond import guards
from aiprism.respond.runs import Run

Vector: TypeAlias = Sequence[tuple[Mapping[str, str], float]]
Ask: TypeAlias = Callable[[str, float], Vector]
"""Evaluate a PromQL text at a time (Unix seconds): the (labels, value) pairs of the vector. Blocks."""

BEFORE, AFTER = ("before", "measures_before"), ("after", "measures_after")  # in a run's data
_SHOWN = 5


class Measures:
    """Asks for runs."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask, self._clock = ask, clock

    async def asked(self, run: Run, query: str) -> Vector:
        """What a query of its runbook gives now; AiprismError when it cannot be asked."""
        return await asyncio.to_thread(self._ask, run.query(query), self._clock.now())

    async def instances(self, run: Run) -> int | None:
        """How many instances the run's service has, where a guard asks for that and metrics tell."""
        radius = run.runbook.guard.blast_radius
        if radius is None or (radius.instances is None and radius.share is None):
            return None
        found = await self._numbers(run, guards.instances_query(radius, run.service))
        return int(found[0]) if found and math.isfinite(found[0]) else None

    async def before(self, run: Run) -> Mapping[str, object]:
        """What is kept of how things were before it acts."""
        verify = run.runbook.verify
        worse = bool(verify and verify.worse and await self._numbers(run, verify.worse))
        return {**await self._shown(run, BEFORE), **({"worse_before": True} if worse else {})}

    async def after(self, run: Run) -> Mapping[str, object]:
        """What is kept of how they are once it has acted."""
        return await self._shown(run, AFTER)

    async def _shown(self, run: Run, names: tuple[str, str]) -> dict[str, object]:
        """The numbers that the verify query compares, and the further ones of its runbook."""
        verify = run.runbook.verify
        named = verify.measures if verify is not None else {}
        more = {name: await self._numbers(run, query) for name, query in named.items()}
        compared = await self._numbers(run, verify.measure) if verify is not None and verify.measure else []
        return {names[0]: compared, names[1]: more}

    async def _numbers(self, run: Run, query: str) -> list[float]:
        try:
            return [value for _, value in await self.asked(run, query)][:_SHOWN]
        except AiprismError:
            return []


def measured(values: object) -> str:
    """Numbers behind what is told of a beginning; empty when there are none.

    >>> measured([0.25, 3.0])
    ', measured 0.25, 3'
    """
    return f", measured {_told(values)}" if isinstance(values, list) and values else ""


def change(data: Mapping[str, object]) -> str:
    """Each number before and after, in one line; empty when none is known.

    >>> change({"before": [0.0], "after": [1.0], "measures_before": {"errors": [4.0]}})
    '0 before, 1 after; errors 4 before, nothing after'
    """
    before, after = data.get(BEFORE[1]), data.get(AFTER[1])
    named = sorted({*_keys(before), *_keys(after)})
    parts = [_change(data.get(BEFORE[0]), data.get(AFTER[0]))]
    parts += [f"{name} {text}" for name in named if (text := _change(_of(before, name), _of(after, name)))]
    return "; ".join(part for part in parts if part)


def _keys(measures: object) -> Sequence[str]:
    return list(measures) if isinstance(measures, Mapping) else []


def _of(measures: object, name: str) -> object:
    return measures.get(name) if isinstance(measures, Mapping) else None


def _change(before: object, after: object) -> str:
    if not before and not after:
        return ""
    return f"{_told(before) or 'nothing'} before, {_told(after) or 'nothing'} after"


def _told(values: object) -> str:
    return ", ".join(f"{float(value):.4g}" for value in values) if isinstance(values, list) else ""

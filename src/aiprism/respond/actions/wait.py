"""`wait:` steps: let a repair take hold before the next step."""

from __future__ import annotations

from collections.abc import Mapping

from aiprism.clock import Clock
from aiprism.respond.actions import shape
from aiprism.respond.actions.act import Done, Kind, Order
from aiprism.yamlfile import Node


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `wait: 10s`."""
    return {"seconds": node.seconds()}


class Wait:
    """Waits on a clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def act(self, order: Order) -> Done:
        seconds = float(order.text("seconds") or 0)
        await self._clock.sleep(seconds)
        return Done(True, f"waited {seconds:g} s")


def _seconds(params: Mapping[str, object]) -> float:
    return float(str(params["seconds"])) + 5.0


KIND = Kind(
    shape=shape.duration("how long to wait before the next step"),
    read=read,
    actuator=lambda means: Wait(means.clock),
    repeatable=lambda params: True,
    seconds=_seconds,
)

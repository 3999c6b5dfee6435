"""What every actuator takes and gives, so that the engine needs to know none of them.

An `Order` comes in, `Done` goes out. An actuator that cannot act says so in `Done`; it raises only on its own bugs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """One step to carry out. `key` stays the same when the order is given again after a crash; `timeout` is seconds."""

    params: Mapping[str, object]
    key: str
    timeout: float
    reason: str

    def text(self, name: str) -> str:
        """The parameter as text, empty when it is not there."""
        return str(self.params.get(name) or "")


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an order; `data` is kept with the step, so it never holds a secret."""

    ok: bool
    message: str
    data: Mapping[str, object] = field(default_factory=dict)


class Actuator(Protocol):
    """Something that carries out orders."""

    async def act(self, order: Order) -> Done:
        """Carry out the order once; the same key again has no second effect where the other side can tell."""
        ...

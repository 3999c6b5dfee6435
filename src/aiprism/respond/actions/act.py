"""What every actuator takes and gives, so that the engine needs to know none of them.

An `Order` comes in, `Done` goes out. An actuator that cannot act says so in `Done`; it raises only on its own bugs. A `Kind`
is all that the reader of runbooks and the engine know of one kind of step; which kinds there are stands in `kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from aiprism.clock import Clock
from aiprism.config import RespondConfig
from aiprism.detect.annotations import Ask
from aiprism.respond.actions.shape import Shape
from aiprism.yamlfile import Node

Params: TypeAlias = Mapping[str, object]
"""What a step says about what to do: as it was written, or with its placeholders filled in."""


@dataclass(frozen=True, slots=True)
class Past:
    """A step that was begun, as the actuator knows it: under which key, and what it said of it (nothing, when the platform
    died before it was written down)."""

    key: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Order:
    """One step to carry out. `key` stays the same when the order is given again after a crash; `timeout` is seconds. With
    `undoes` the order is to take that back; `params` are those of the step that is undone."""

    params: Params
    key: str
    timeout: float
    reason: str
    undoes: Past | None = None

    @property
    def run(self) -> str:
        """What the keys of all steps of its run begin with."""
        return self.key.rpartition("_")[0] + "_"

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


@dataclass(frozen=True, slots=True)
class Means:
    """What actuators are made from. `control` is made already: services talk to its hub, too. `ask` evaluates PromQL.
    Names of files in the settings start at `base`; `external_url` is how people reach this server."""

    settings: RespondConfig
    clock: Clock
    control: Actuator
    ask: Ask
    base: Path = Path()
    external_url: str = ""


def _anything(params: Params) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step: how it is read, what carries it out, and what the engine must know of it."""

    shape: Shape
    """What stands under its key, as JSON Schema; `read` takes its keys from it."""
    read: Callable[[Node], Params]
    """The parameters, as written; ConfigError with file:line for a mistake."""
    actuator: Callable[[Means], Actuator]
    repeatable: Callable[[Params], bool]
    """Whether such a step has no second effect when the same key comes again; a runbook may say otherwise."""
    refuse: Callable[[Params], None] = _anything
    """BadInput for parameters that must not be carried out once their placeholders are filled in."""
    seconds: Callable[[Params], float] = lambda params: 0.0
    """How long the step takes at least: its timeout is never less."""
    undoable: Callable[[Params], bool] = lambda params: False
    """Whether the actuator takes such a step back when an order `undoes` it."""

"""The kinds of steps: whatever is listed can be read, carried out, and completed by an editor."""

from __future__ import annotations

import pytest

from aiprism.clock import FakeClock
from aiprism.config import RespondConfig
from aiprism.errors import BadInput
from aiprism.respond.actions.act import Done, Means
from aiprism.respond.actions.kinds import KINDS, actuators
from tests.respond.making import T0


class Nobody:
    async def act(self, order):
        return Done(False, "nobody is there")


def test_every_kind_has_something_on_a_server_that_carries_it_out():
    found = actuators(Means(RespondConfig(), FakeClock(T0), Nobody(), lambda query, at: []))
    assert list(found) == list(KINDS)
    assert all(callable(actuator.act) for actuator in found.values())


def test_a_kind_says_what_the_engine_must_know_of_its_steps():
    assert [KINDS["webhook"].repeatable({"method": method}) for method in ("PUT", "POST")] == [True, False]
    assert KINDS["wait"].seconds({"seconds": 60.0}) > 60.0
    with pytest.raises(BadInput, match="cannot be the name"):
        KINDS["process"].refuse({"service": "..", "action": "stop"})

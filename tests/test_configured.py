"""What a configuration asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiprism.config import Config
from aiprism.configured import kept_until_restart, policy


@pytest.mark.parametrize(
    "changed",
    [{"dry_run": True}, {"max_runs_per_hour": 3}, {"roles": {"commander": "ann, bob"}}, {"validation": 60.0}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_the_response_room_goes_by_needs_no_restart(changed: dict[str, object]) -> None:
    before = Config(data=Path("data"), base=Path())
    after = replace(before, respond=replace(before.respond, **changed))  # type: ignore[arg-type]
    assert policy(before, "") != policy(after, "")
    assert kept_until_restart(before, after) == []


def test_what_steps_act_on_needs_no_restart() -> None:
    before = Config(data=Path("data"), base=Path())
    kubernetes = replace(before.respond.kubernetes, dry_run=True)
    changed = replace(
        before.respond, kubernetes=kubernetes, trackers="trackers.yml", supervisor_url="http://127.0.0.1:1"
    )
    assert kept_until_restart(before, replace(before, respond=changed)) == []


def test_what_is_built_at_the_start_is_named() -> None:
    before = Config(data=Path("data"), base=Path())
    after = replace(
        before,
        respond=replace(before.respond, progress=1.0, supervisor_url="http://127.0.0.1:1"),
        query=replace(before.query, max_series=1),
    )
    assert kept_until_restart(before, after) == ["query", "respond"]

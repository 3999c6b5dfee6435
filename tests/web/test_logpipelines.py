"""Trying a pipeline over HTTP: what would become of records, with the steps in force or others."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.query.lucene import condition
from aiprism.receive import pipelinefile
from aiprism.receive.logtreatment import Treatment
from aiprism.telemetry import Telemetry
from aiprism.web import logpipelines, routes

STEPS = "pipelines: [{name: team, match: 'service:cart', set: {team: shop}}]"
CALL = "/aiprism/v1/logs/pipeline"


async def _nothing() -> None:
    return None


def asked(ask: Callable[[httpx.AsyncClient], Any]) -> httpx.Response:
    how = Treatment(pipelinefile.read(yamlfile.parse(STEPS), condition))
    app: FastAPI = routes.build(
        [logpipelines.router(lambda: how, FakeClock(1_790_000_000))], Telemetry(), checks={}, reload=_nothing
    )

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            answer: httpx.Response = await ask(client)
            return answer

    return asyncio.run(run())


def test_records_go_through_the_steps_in_force() -> None:
    records = [{"message": "to ada@example.com", "service": "cart"}, "a line"]
    answer = asked(lambda client: client.post(f"{CALL}/test", json={"records": records})).json()
    [cart, line] = answer["records"]
    assert cart["before"]["body"] == "to ada@example.com"
    assert (cart["after"]["body"], cart["after"]["attributes"]) == ("to [redacted:email]", {"team": "shop"})
    assert cart["steps"] == [{"step": "team", "outcome": "changed"}, {"step": "redaction", "outcome": "changed"}]
    assert (line["before"], line["steps"]) == (line["after"], [])
    assert answer["counts"] == {
        "given": 2,
        "stored": 2,
        "steps": [{"step": "team", "outcome": "changed", "records": 1}],
        "redacted": {"email": 1},
    }


def test_times_are_told_to_the_nanosecond_in_a_server_which_has_no_pandas() -> None:
    code = """
import sys
from aiprism.cli.serve import _NoPandas
sys.meta_path.insert(0, _NoPandas())
from aiprism.receive.logtreatment import Treatment, tried
print([each["after"]["time"] for each in tried(Treatment(), ["a", "b"], 1_790_000_000_123_456_789)["records"]])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "['2026-09-21T14:13:20.123456789Z', '2026-09-21T14:13:20.123456790Z']"


@pytest.mark.parametrize("steps", ["pipelines: [{name: all, drop: true}]", [{"name": "all", "drop": True}]])
def test_other_steps_and_other_redaction_can_be_tried(steps: object) -> None:
    body = {"records": ["x"], "pipelines": steps, "redact": ["none"]}
    answer = asked(lambda client: client.post(f"{CALL}/test", json=body)).json()
    assert answer["records"][0]["after"] is None
    assert answer["counts"]["stored"] == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"pipelines": "pipelines:\n- {name: a}"}, "pipelines.yml:2: step 'a' does nothing"),
        ({"pipelines": [{"name": "a", "match": "(", "drop": True}]}, "a ( is not closed"),
        ({"redact": ["mail"]}, "redact: 'mail' is no kind of secret"),
        ({"records": ["x", {"message": "\ud800"}]}, "half of a surrogate pair stands alone"),
        ({"records": ["x"] * 1001}, "1001 records are too many"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_words(more: dict[str, object], said: str) -> None:
    body, headers = json.dumps({"records": ["x"], **more}), {"Content-Type": "application/json"}
    answer = asked(lambda client: client.post(f"{CALL}/test", content=body, headers=headers))
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_the_steps_in_force_are_shown() -> None:
    shown = asked(lambda client: client.get(CALL)).json()
    assert shown["pipelines"] == [{"name": "team", "match": "service:cart", "set": {"team": "shop"}}]
    assert "email" in shown["redact"]

"""The page for users tells the truth: its examples run, its tables are complete."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
import structlog

import aiprism
from aiprism.sdk.metrics import FAMILIES
from tests.sdk.receiver import ROOT

PAGE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def names_after(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {"aiprism": aiprism, "structlog": structlog}
    exec(compile(example, "docs/sdk.md", "exec"), names)
    return names


def test_the_first_example_serves_and_is_observed(platform, instrumented):
    instrumentation = instrumented()  # the example's own call then returns this one, and hooks its application
    app = names_after(EXAMPLES[0])["app"]

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post("/documents/42/analysis")

    assert asyncio.run(ask()).json() == {"words": 2}
    assert instrumentation.flush(20)
    assert {span.name for span in platform.spans} == {
        "POST /documents/{document_id}/analysis",
        "document_processing",
        "content_extraction",
    }
    assert "document read" in [record.body.string_value for record in platform.records]
    assert platform.metric("ai_prism_documents_processed_total")
    assert platform.metric("ai_prism_http_requests_total")


def test_the_controls_of_the_example_work(instrumented):
    instrumented()
    ask_model = names_after(next(example for example in EXAMPLES if "ask_model" in example))["ask_model"]
    assert asyncio.run(ask_model("hello")) == "sonnet: hello"


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=range(1, len(EXAMPLES)))
def test_every_other_example_runs(instrumented, example):
    instrumented()
    try:
        names_after(example)
    finally:
        structlog.reset_defaults()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_metric_family_is_on_the_page(family: str):
    assert f"`{family}`" in PAGE


@pytest.mark.parametrize("argument", [name for name in aiprism.instrument.__annotations__ if name != "return"])
def test_every_argument_of_instrument_is_on_the_page(argument: str):
    assert f"`{argument}`" in PAGE

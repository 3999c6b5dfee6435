"""The steps that log records go through, over HTTP: which there are, and what they would do to some records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body

from aiprism import yamlfile
from aiprism.clock import Clock
from aiprism.errors import BadInput, ConfigError
from aiprism.query.lucene import condition
from aiprism.receive import pipelinefile, redaction
from aiprism.receive.items import ANYTHING, Bounds
from aiprism.receive.logtreatment import Treatment, tried
from aiprism.receive.redaction import Redaction

MOST_TRIED = 1000


def router(how: Callable[[], Treatment], clock: Clock, within: Callable[[], Bounds] = lambda: ANYTHING) -> APIRouter:
    """The routes under /aiprism/v1/logs/pipeline; `how` gives what is in force, `within` what records may be like now."""
    routes = APIRouter(prefix="/aiprism/v1/logs/pipeline", tags=["logs"])

    @routes.get("", summary="What is done to log records before they are stored")
    async def shown() -> dict[str, Any]:
        now = how()
        return {"pipelines": [dict(step.said) for step in now.pipeline.steps], "redact": sorted(now.redact.kinds)}

    @routes.post("/test", summary="What would become of these records; nothing is stored")
    async def test(
        records: Annotated[
            list[dict[str, Any] | str], Body(description="as the NDJSON door takes them, or plain lines")
        ],
        pipelines: Annotated[
            list[dict[str, Any]] | str | None,
            Body(description="steps, or a pipelines.yml as text; without it those in force"),
        ] = None,
        redact: Annotated[list[str] | None, Body(description="as logs.redact; without it what is in force")] = None,
    ) -> dict[str, Any]:
        if len(records) > MOST_TRIED:
            raise BadInput(f"{len(records)} records are too many: {MOST_TRIED} are tried at a time")
        wanted = _wanted(how(), pipelines, redact)
        return await asyncio.to_thread(tried, wanted, records, round(clock.now() * 1e9), within())

    return routes


def _wanted(
    how: Treatment, pipelines: Sequence[dict[str, Any]] | str | None, redact: Sequence[str] | None
) -> Treatment:
    try:
        if pipelines is not None:
            text = pipelines if isinstance(pipelines, str) else json.dumps({"pipelines": pipelines})
            root = yamlfile.parse(text, file="pipelines.yml" if isinstance(pipelines, str) else "pipelines")
            how = replace(how, pipeline=pipelinefile.read(root, condition, how.pipeline.most_attributes))
        if redact is not None:
            how = replace(how, redact=Redaction(redaction.kinds(redact, "redact")))
    except ConfigError as error:
        raise BadInput(str(error)) from None
    return how

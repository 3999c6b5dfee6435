"""The model server: an OpenAI-compatible API whose models are the checks of `review`; stands for a hosted provider.

In: POST /v1/chat/completions with a prompt as `analysis` writes it. Out: a completion whose content is JSON feedback,
with token usage, after a latency that grows with the tokens. The fault point "model.invoke" makes it slow or failing,
"model.invoke.NAME" only the model of that name.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

import aiprism
from aiprism_lab.review import ALL_CHECKS, QUICK_CHECKS, Check, FeedbackItem, review_outline, review_section
from aiprism_lab.serving import new_app
from aiprism_lab.wiring import Settings

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English
CONCURRENT_REQUESTS = 32


@dataclass(frozen=True, slots=True)
class Model:
    """What tells the models apart: how much they look at and how fast they are (seconds, seconds a token)."""

    checks: tuple[Check, ...]
    first_token: float
    prompt_token: float
    completion_token: float

    def latency(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Seconds for a request, cut off where a batch of the real thing would be: half a second."""
        work = self.prompt_token * prompt_tokens + self.completion_token * completion_tokens
        return min(0.5, self.first_token + work)


MODELS = {
    "claude-sonnet": Model(ALL_CHECKS, 0.060, 0.00008, 0.00022),
    "claude-haiku": Model(QUICK_CHECKS, 0.035, 0.00004, 0.00012),
}


class Message(BaseModel):
    role: Literal["system", "user", "assistant", "developer", "tool"]
    content: str


class ChatRequest(BaseModel):
    """The part of OpenAI's request that the lab's models heed; other fields are accepted and have no effect."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    user: str = ""


def build(settings: Settings) -> FastAPI:
    """The application of process "model-server"."""
    app = new_app(settings)
    of_all = aiprism.controls.fault_point("model.invoke")
    faults = {name: (of_all, aiprism.controls.fault_point(f"model.invoke.{name}")) for name in MODELS}
    places = asyncio.Semaphore(CONCURRENT_REQUESTS)
    jitter = random.Random(settings.seed)
    started = int(time.time())

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        listed = [{"id": name, "object": "model", "created": started, "owned_by": "lab"} for name in MODELS]
        return {"object": "list", "data": listed}

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> Response:
        model = MODELS.get(request.model)
        if model is None:
            return _error(404, f"The model '{request.model}' does not exist", "model_not_found")
        if not any(message.role == "user" for message in request.messages):
            return _error(400, "messages must hold at least one message of the role 'user'", "invalid_value")
        content = completion(model, request.messages)
        limit = request.max_completion_tokens or request.max_tokens or 4096
        cut = content[: limit * CHARACTERS_PER_TOKEN]
        prompt_tokens, completion_tokens = _prompt_tokens(request.messages), tokens(cut)
        latency = model.latency(prompt_tokens, completion_tokens) * jitter.uniform(0.85, 1.2)
        async with places:
            try:
                for fault in faults[request.model]:
                    await fault.strike(latency)
                await asyncio.sleep(latency)
            except aiprism.InjectedFault as error:
                return _error(500, str(error) or "The model failed to answer", "server_error")
        answer = _answer(request.model, cut, "stop" if cut == content else "length", prompt_tokens, completion_tokens)
        if request.stream:
            return StreamingResponse(_streamed(answer, cut), media_type="text/event-stream")
        return JSONResponse(answer)

    return app


def tokens(text: str) -> int:
    """How many tokens the lab bills for a text: one for every four characters, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def completion(model: Model, messages: Sequence[Message]) -> str:
    """The model's answer to the last user message: the same prompt gives the same answer.

    A prompt that starts with "Outline" asks for missing sections, any other for remarks on one section.
    """
    prompt = next(message.content for message in reversed(messages) if message.role == "user")
    return json.dumps({"feedback": [item.to_json() for item in _feedback(model, prompt)]})


def _feedback(model: Model, prompt: str) -> Sequence[FeedbackItem]:
    head, _, text = prompt.partition("\n\n")
    fields = dict(re.findall(r"^(\w+): (.*)$", head, re.MULTILINE))
    if head.startswith("Outline"):
        return review_outline(fields.get("Kind", ""), text.splitlines())
    return review_section(fields.get("Section", "Text"), fields.get("Type", "general"), text or head, model.checks)


def _prompt_tokens(messages: Sequence[Message]) -> int:
    return sum(tokens(message.content) + 4 for message in messages)  # 4: role and separators of each message


def _answer(model: str, content: str, finish: str, prompt_tokens: int, completion_tokens: int) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": None},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


async def _streamed(answer: dict[str, object], content: str) -> AsyncIterator[str]:
    """The answer as server-sent events in OpenAI's form."""
    frame = {key: answer[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    step = 20 * CHARACTERS_PER_TOKEN
    for start in range(0, len(content), step):
        choice = {"index": 0, "delta": {"content": content[start : start + step]}, "finish_reason": None}
        yield f"data: {json.dumps(frame | {'choices': [choice]})}\n\n"
    yield f"data: {json.dumps(frame | {'choices': [{'index': 0, 'delta': {}, 'finish_reason': 'stop'}]})}\n\n"
    yield "data: [DONE]\n\n"


def _error(status: int, message: str, code: str) -> JSONResponse:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)

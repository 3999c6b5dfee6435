"""Asks a model through OpenAI's chat API and says what the answer cost.

In: a prompt. Out: a `ModelReply`: the usable remarks, tokens, US dollars, seconds. The model is the lab's model server,
or a provider's when the settings name one. Which model is asked, and what happens when none answers, is up to `analysis`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ValidationError

from aiprism_lab.review import SEVERITIES, FeedbackItem
from aiprism_lab.wiring import Peers, PeerUnavailableError, Price, Settings

CALLS_AT_ONCE = 16  # model calls of one replica; what comes above waits here instead of at the provider
ATTEMPTS = 2
TIMEOUT_SECONDS = 30.0

SYSTEM_PROMPT = (
    "You review business documents. Answer with JSON only: "
    '{"feedback": [{"section", "category", "severity": "high|medium|low", "message", "suggestion", "quote"}]}. '
    "Mark risks, missing content, passive voice, long sentences, unexplained abbreviations and empty words."
)


class ModelFailedError(Exception):
    """The model did not answer, answered with an error, or answered something else than feedback."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What one question gave and cost; `refused` counts the remarks that were not usable."""

    model: str
    feedback: tuple[FeedbackItem, ...]
    refused: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    degraded: bool = False


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: _Usage = _Usage()


def cost_usd(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """US dollars for one call, prices being for a million tokens.

    >>> cost_usd(Price(prompt=3.0, completion=15.0), 1000, 200)
    0.006
    """
    return (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1_000_000


def section_prompt(name: str, section_type: str, text: str) -> str:
    """The question for remarks on one section."""
    return f"Section: {name}\nType: {section_type}\n\n{text}"


def outline_prompt(kind: str, headings: Sequence[str]) -> str:
    """The question for the sections that a document of that kind lacks."""
    return "\n".join(["Outline of a document. Which sections are missing?", f"Kind: {kind}", "", *headings])


def feedback_in(content: str, section: str) -> tuple[tuple[FeedbackItem, ...], int]:
    """The usable remarks in a completion and how many were not; ModelFailedError when it is no feedback at all."""
    bare = re.sub(r"^\s*```(?:json)?|```\s*$", "", content)  # hosted models like to wrap their JSON
    try:
        raw = json.loads(bare)["feedback"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFailedError(f"the model's answer holds no feedback: {content[:80]!r}") from error
    if not isinstance(raw, list):
        raise ModelFailedError(f"the model's feedback is a {type(raw).__name__}, not a list")
    items = [_item(each, section) for each in raw]
    usable = tuple(item for item in items if item is not None)
    return usable, len(items) - len(usable)


def _item(raw: object, section: str) -> FeedbackItem | None:
    if not isinstance(raw, Mapping) or not raw.get("message") or raw.get("severity") not in SEVERITIES:
        return None
    return FeedbackItem(
        section=str(raw.get("section") or section),
        category=str(raw.get("category") or "general"),
        severity=str(raw["severity"]),
        message=str(raw["message"]),
        suggestion=str(raw.get("suggestion") or ""),
        quote=str(raw.get("quote") or ""),
    )


class ModelClient:
    """A client of one chat API; the prices of its models come with the settings."""

    def __init__(self, settings: Settings, peers: Peers) -> None:
        self._models, self._url, self._key = settings.models, settings.model_url.rstrip("/"), settings.model_key
        self._peers = peers
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)
        self._provider = httpx.AsyncClient(timeout=TIMEOUT_SECONDS) if self._url else None

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._models)

    async def ask(self, model: str, prompt: str, section: str) -> ModelReply:
        """One completion; ModelFailedError when it fails `ATTEMPTS` times."""
        started = time.perf_counter()
        async with self._places:
            answer = await self._completion(model, prompt)
        feedback, refused = feedback_in(answer.choices[0].message.content, section)
        usage = answer.usage
        return ModelReply(
            model=model,
            feedback=feedback,
            refused=refused,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            cost_usd=cost_usd(self._models[model], usage.prompt_tokens, usage.completion_tokens),
            seconds=time.perf_counter() - started,
        )

    async def aclose(self) -> None:
        if self._provider is not None:
            await self._provider.aclose()

    async def _completion(self, model: str, prompt: str) -> _Completion:
        messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": prompt}]
        body = {"model": model, "messages": messages, "response_format": {"type": "json_object"}}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._post(body)
                response.raise_for_status()
                return _Completion.model_validate_json(response.content)
            except (httpx.HTTPError, PeerUnavailableError, ValidationError) as error:
                if attempt == ATTEMPTS or not _worth_another_try(error):
                    raise ModelFailedError(f"{model}: {error}") from error
            await asyncio.sleep(0.1 * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _post(self, body: Mapping[str, object]) -> httpx.Response:
        if self._provider is None:
            return await self._peers.request("model-server", "POST", "/v1/chat/completions", json=body)
        headers = {"authorization": f"Bearer {self._key}"}
        return await self._provider.post(f"{self._url}/chat/completions", json=body, headers=headers)


def _worth_another_try(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return not isinstance(error, httpx.TimeoutException)  # a slow model does not get faster by asking twice

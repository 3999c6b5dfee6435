"""Doors for what people do in other tools: Slack's buttons and channels, webhooks of PagerDuty and Opsgenie. Decode, call, encode.

A door whose secret is not configured is not there. Everyone else gets an answer at once: Slack waits for three seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog
from fastapi import APIRouter, Query, Request, Response

from aiprism.clock import Clock
from aiprism.errors import NotFound, Unavailable
from aiprism.httpconfig import HttpOptions, Secret
from aiprism.respond import hooks, message, roomhearing, slackevents
from aiprism.respond.channels import slack
from aiprism.respond.channels.post import Letter, Verdict, post
from aiprism.respond.hearing import Heard, hear
from aiprism.respond.hooks import Pressed, Spoken
from aiprism.respond.responder import Responder

log = structlog.get_logger()

_PATIENCE = 2.0  # seconds Slack is kept waiting
_ATTEMPTS = 20  # to hear what a button said, while the control database is away


@dataclass(frozen=True, slots=True)
class Secrets:
    """What each of the tools signs with, or shows. An empty one closes its door."""

    slack: Secret
    pagerduty: Secret
    opsgenie: Secret


def router(responder: Responder, secrets: Callable[[], Secrets], clock: Clock) -> APIRouter:
    """The routes under /aiprism/v1/hooks; `secrets` are asked for at each request, as a reload may change them."""
    routes = APIRouter(prefix="/aiprism/v1/hooks", tags=["hooks"])
    under_way: set[asyncio.Task[None]] = set()

    @routes.post("/slack", summary="Buttons in Slack", response_class=Response)
    async def from_slack(request: Request) -> Response:
        secret = opened(secrets().slack, "slack")
        pressed = hooks.slack(request.headers, await request.body(), secret, clock.now())
        tasks = [asyncio.create_task(_pressed(responder, each, clock)) for each in pressed]
        for task in tasks:
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if tasks:  # whatever takes longer goes on, and is told by the message itself
            await asyncio.wait(tasks, timeout=_PATIENCE)
        return Response()

    @routes.post("/slack/events", summary="What is done in the Slack channels of war rooms (Events API)")
    async def written_in_slack(request: Request) -> dict[str, Any]:
        secret = opened(secrets().slack, "slack")
        told = slackevents.slack_event(request.headers, await request.body(), secret, clock.now())
        if isinstance(told, slackevents.Challenge):
            return {"challenge": told.text}
        if told is None:
            return {"outcome": "unchanged"}
        return {"outcome": await _written(responder, told)}

    @routes.post("/pagerduty", summary="Webhooks (V3) of PagerDuty")
    async def from_pagerduty(request: Request, receiver: str = Query("", max_length=200)) -> dict[str, Any]:
        secret = opened(secrets().pagerduty, "pagerduty")
        spoken = hooks.pagerduty(request.headers, await request.body(), secret, receiver)
        return await _answered(responder, spoken)

    @routes.post("/opsgenie", summary="Webhooks of Opsgenie")
    async def from_opsgenie(request: Request, receiver: str = Query("", max_length=200)) -> dict[str, Any]:
        secret = opened(secrets().opsgenie, "opsgenie")
        return await _answered(responder, hooks.opsgenie(request.headers, await request.body(), secret, receiver))

    return routes


def opened(secret: Secret, name: str) -> Secret:
    """The secret of a door; NotFound when it has none, Unavailable when its file says nothing."""
    if not secret:
        raise NotFound(f"this door is closed: hooks.{name}_secret is not set")
    try:
        if secret.reveal():
            return secret
    except OSError as error:
        raise Unavailable(f"hooks.{name}_secret_file cannot be read: {error.strerror}") from None
    raise Unavailable(f"hooks.{name}_secret_file is empty")  # and an empty secret is known to everybody


async def _answered(responder: Responder, spoken: Spoken | None) -> dict[str, Any]:
    if spoken is None:
        return {"outcome": "unchanged", "incident": None, "why": "nothing that matters here"}
    heard = await asyncio.to_thread(hear, responder.pipeline, spoken)
    _log(spoken, heard)
    return {"outcome": heard.outcome, "incident": heard.incident.id if heard.incident else None, "why": heard.why}


async def _written(responder: Responder, told: slackevents.Event) -> str:
    def ours() -> bool:
        with responder.pipeline.reading() as connection:
            return roomhearing.hears(connection, told.channel)

    if not await asyncio.to_thread(ours):  # nobody's name is asked for: the app may be in channels where thousands talk
        return "unknown"
    name = await responder.mirror.name_of(told.user) if told.user else ""

    def heard() -> str:
        with responder.pipeline.desk() as desk:
            return roomhearing.hear(desk, told, name)

    outcome = await asyncio.to_thread(heard)
    log.info("hook.heard", channel="slack", deed=type(told).__name__.lower(), outcome=outcome, actor=name)
    return outcome


def _log(spoken: Spoken, heard: Heard) -> None:
    incident = heard.incident.id if heard.incident else ""
    deed, channel = spoken.deed.value, spoken.origin.channel
    log.info("hook.heard", channel=channel, deed=deed, outcome=heard.outcome, incident=incident, actor=spoken.actor)


async def _pressed(responder: Responder, pressed: Pressed, clock: Clock) -> None:
    """Let it happen, and have the message say so. The one broad catch of a task nobody waits for."""
    try:
        heard = await _heard(responder, pressed.spoken, clock)
        _log(pressed.spoken, heard)
        body = _reply(responder, pressed.spoken, heard)
        if body is not None and pressed.response_url:
            letter = Letter(Secret(pressed.response_url), body, pressed.spoken.id, HttpOptions())
            answer = await post(letter, clock.now())
            if answer.verdict is not Verdict.DELIVERED:
                log.warning("hook.reply_failed", channel="slack", reason=answer.reason)
    except Exception:
        log.exception("hook.failed", channel="slack")


async def _heard(responder: Responder, spoken: Spoken, clock: Clock) -> Heard:
    """Slack asks once; we try again while the control database is away."""
    for _ in range(_ATTEMPTS):
        try:
            return await asyncio.to_thread(hear, responder.pipeline, spoken)
        except Unavailable:
            await clock.sleep(1.0)
    return await asyncio.to_thread(hear, responder.pipeline, spoken)


def _reply(responder: Responder, spoken: Spoken, heard: Heard) -> dict[str, Any] | None:
    """What Slack is given: the message anew, without its button, or a word to who pressed it in vain."""
    if heard.outcome == "repeated":
        return None
    if heard.outcome != "done" or heard.incident is None:
        by = heard.incident.acknowledged_by if heard.incident else ""
        why = heard.why or (f"{by} has acknowledged it already" if by else "nothing changed")
        return {"response_type": "ephemeral", "replace_original": False, "text": why}
    # Not a bot's message about an incident: that is changed by what everyone is told. Of a group's nobody is told.
    of_group = spoken.subject != heard.incident.id
    entry = _pressed_in(responder, spoken)
    if entry is None or (entry.threads and not of_group):
        return None
    told = message.of_incident(
        heard.incident, "acknowledged", spoken.text, heard.incident.updated_at, responder.policy.external_url
    )
    body = slack.build(replace(told, receiver=spoken.origin.receiver), entry)
    return {**body, "replace_original": True}


def _pressed_in(responder: Responder, spoken: Spoken) -> slack.Slack | None:
    """The integration whose message was pressed; the first of its receiver, where the button does not say which."""
    origin = spoken.origin
    numbered = enumerate(responder.policy.routing.integrations(origin.receiver))
    of_slack = ((number, each) for number, each in numbered if isinstance(each, slack.Slack))
    return next((each for number, each in of_slack if origin.integration in (None, number)), None)

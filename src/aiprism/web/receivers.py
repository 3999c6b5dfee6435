"""Receivers over HTTP: which integrations each has, where they lead (without secrets), how they were reached, and trying one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.config import Config
from aiprism.respond.channels.post import Integration
from aiprism.respond.responder import Responder
from aiprism.respond.trial import Trials
from aiprism.store.incidents import Address
from aiprism.store.receivers import Reached, reached

_LOOKED_BACK = 7 * 86_400.0


class By(BaseModel):
    """Who tries it, which the letter says."""

    by: str = Field(default="", max_length=200)


def router(responder: Responder, trials: Trials, clock: Clock, config: Callable[[], Config]) -> APIRouter:
    """The routes under /aiprism/v1/receivers."""
    routes = APIRouter(prefix="/aiprism/v1/receivers", tags=["notifications"])

    @routes.get("", summary="Receivers, their integrations, and how those were reached in the last week")
    async def listed() -> dict[str, Any]:
        def look() -> Mapping[Address, Reached]:
            with responder.records.reading() as connection:
                return reached(connection, clock.now() - _LOOKED_BACK)

        found, routing = await asyncio.to_thread(look), responder.policy.routing
        return {
            "receivers": [
                {
                    "name": name,
                    "used": name in {each.receiver for each in routing.root.walk()},
                    "integrations": [
                        _integration(each, found.get(Address(name, each.channel, at), Reached()))
                        for at, each in enumerate(integrations)
                    ],
                }
                for name, integrations in routing.receivers.items()
            ],
            "warnings": list(routing.warnings),
            "others": _others(config()),
        }

    # Names may hold a slash: team/pager.
    @routes.post("/{name:path}/test", summary="Tell a receiver that this is a test; what its integrations answered")
    async def test(name: str, by: By | None = None) -> dict[str, Any]:
        tried = await trials.try_out(name, by.by if by else "")
        delivered = all(each.delivered for each in tried)
        return {"receiver": name, "delivered": delivered, "tried": [asdict(each) for each in tried]}

    return routes


def _integration(integration: Integration, known: Reached) -> dict[str, Any]:
    return {
        "channel": integration.channel,
        "where": _where(integration),
        "send_resolved": integration.send_resolved,
        "sent": known.sent,
        "failed": known.failed,
        "waiting": known.waiting,
        "last": asdict(known.last) if known.last else None,
    }


def _where(integration: Integration) -> str:
    """The host it leads to: what follows in an address is often a key."""
    try:
        parts = urlsplit(integration.url.reveal())
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}" if parts.hostname else ""
    except (OSError, ValueError):
        return ""


def _others(config: Config) -> list[dict[str, Any]]:
    """What else aiprism speaks to or is told by, and whether it is configured; each has its setting."""
    respond, hooks, cluster = config.respond, config.hooks, config.respond.kubernetes
    bot = respond.slack_bot_token or respond.slack_bot_token_file
    reached_at = cluster.kubeconfig or cluster.in_cluster or cluster.api_server
    told = [
        ("Kubernetes, for runbooks", "respond.kubernetes", reached_at),
        ("issue trackers, for runbooks", "respond.trackers", respond.trackers),
        ("process supervisor, for runbooks", "respond.supervisor_url", respond.supervisor_url),
        ("Slack channels of war rooms", "respond.slack_bot_token", bot),
        *(
            (f"hook of {label}", f"hooks.{name}_secret", getattr(hooks, f"{name}_secret") or getattr(hooks, f"{name}_secret_file"))
            for name, label in _HOOKS.items()
        ),
    ]  # fmt: skip
    return [{"name": name, "setting": setting, "configured": bool(value)} for name, setting, value in told]


_HOOKS = {
    "slack": "Slack",
    "pagerduty": "PagerDuty",
    "opsgenie": "Opsgenie",
    "github": "GitHub",
    "gitlab": "GitLab",
    "argocd": "Argo CD",
    "kubernetes": "Kubernetes",
}

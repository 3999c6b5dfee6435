"""Tiers over HTTP: what holds for each. Decode, call, encode; `tiers.yml` decides."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from aiprism.respond.desk import Policy
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.responder import Responder
from aiprism.respond.tiers import Step, Tier


def router(responder: Responder) -> APIRouter:
    """The route /aiprism/v1/tiers."""
    routes = APIRouter(prefix="/aiprism/v1/tiers", tags=["incidents"])

    @routes.get("", summary="What holds for each tier: alerts, receivers, deadlines, steps; periods are seconds")
    async def listed() -> dict[str, Any]:
        policy = responder.policy
        tiers = policy.periods.tiers
        return {
            "otherwise": tiers.otherwise.value,
            "tiers": [_tier(tier, policy) for tier in tiers.of.values()],
        }

    return routes


def _pages(step: Step) -> dict[str, str | None]:
    schedule = Rota.alone(step.policy)
    return {"oncall": schedule or None, "policy": None if schedule else step.policy or None}


def _tier(tier: Tier, policy: Policy) -> dict[str, Any]:
    severities = policy.periods.tiers.severities
    return {
        "tier": tier.priority.value,
        "severities": sorted(name for name, priority in severities.items() if priority is tier.priority),
        "match": [[str(each) for each in matchers] for matchers in tier.match],
        "opens_incident": tier.opens_incident,
        "receivers": list(policy.receivers_of(tier.priority)),
        "acknowledge_within": tier.acknowledge_within,
        "respond_within": tier.respond_within,
        "resolve_within": tier.resolve_within,
        "repeat": tier.repeat,
        "escalate": [
            {"missed": step.missed.value, "after": step.after, "receivers": list(step.receivers), **_pages(step)}
            for step in tier.escalate
        ],
        "digest": {
            "receivers": list(tier.digest.receivers),
            "at": tier.digest.at.strftime("%H:%M"),
            "zone": str(tier.digest.zone),
            "when_quiet": tier.digest.when_quiet,
        }
        if tier.digest
        else None,
    }

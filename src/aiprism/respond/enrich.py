"""What the catalogue of services knows of an alert, written beside it when it arrives.

In: the labels and annotations of an alert, a `Catalogue`. Out: annotations with what the sender left unsaid: who owns the
service, its tier, its runbook. Labels stay as they came, because grouping, routing and silences go by them, and what
the sender said is never overwritten. Pure.
"""

from __future__ import annotations

from aiprism.model.labels import Labels
from aiprism.respond.subject import service_of
from aiprism.services import Catalogue, Service

RUNBOOK = "runbook_url"  # as the authors of Prometheus rules write it
OWNER, TEAM, TIER = "service_owner", "service_team", "service_tier"


def enriched(labels: Labels, annotations: Labels, catalogue: Catalogue) -> Labels:
    """The annotations, with those added that the service of these labels gives and the sender did not.

    >>> shop = Service("shop", owner="ann", runbook="https://wiki/shop")
    >>> enriched(Labels({"service": "shop"}), Labels({"runbook_url": "https://mine"}), Catalogue([shop])).to_dict()
    {'runbook_url': 'https://mine', 'service_owner': 'ann'}
    """
    service = catalogue.named(service_of(labels))
    added = _said(service) if service else {}
    lacking = {name: value for name, value in added.items() if value and not annotations.get(name)}
    return Labels({**annotations.to_dict(), **lacking}) if lacking else annotations


def _said(service: Service) -> dict[str, str]:
    return {
        RUNBOOK: service.runbook,
        OWNER: service.owner,
        TEAM: service.team,
        TIER: "" if service.tier is None else str(service.tier),
    }

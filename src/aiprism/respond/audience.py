"""Who hears of an incident: the receivers of its tier, whoever heard of it before, and those a step adds.

In: the tier, what is to be told, and who was told already. Out: receivers and integrations. Who is on call, and so is paged
beside them, is decided in `oncall`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiprism.respond.channels.post import Following, Integration
from aiprism.respond.incident import Origin, Tell
from aiprism.respond.route import Routing
from aiprism.respond.tiers import Tier


def receivers(tier: Tier, usual: Iterable[str]) -> tuple[str, ...]:
    """Who is told how incidents of a tier go. What a digest tells is not told one by one as well."""
    if tier.receivers is not None:
        return tier.receivers
    return () if tier.digest else tuple(dict.fromkeys(usual))


def listeners(tell: Tell, of_tier: Iterable[str], heard: Iterable[str]) -> tuple[str, ...]:
    """Who is told this: also whoever heard of the incident before, so that nobody is left with half a story."""
    if tell.only:
        return tell.receivers
    return tuple(dict.fromkeys((*of_tier, *heard, *tell.receivers)))


def addressed(receiver: str, routing: Routing, origin: Origin | None) -> Iterator[tuple[int, Integration]]:
    """The integrations of a receiver that are to be told, by number."""
    for number, integration in enumerate(routing.integrations(receiver)):
        if not _knows(integration, number, receiver, origin):
            yield number, integration


def _knows(integration: Integration, number: int, receiver: str, origin: Origin | None) -> bool:
    """Whether it told us itself. A message that is changed in place is told nevertheless: that is how it changes."""
    if origin is None or integration.channel != origin.channel or origin.receiver not in ("", receiver):
        return False
    if origin.integration not in (None, number):
        return False  # another channel of the same tool
    return not (isinstance(integration, Following) and integration.threads)

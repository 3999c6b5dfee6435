"""The other half of `postgresql:` steps: a cluster that Patroni manages, asked through its REST API.

Patroni elects a new leader by itself when one is gone, so a failover waits for that first and insists only when nothing
comes of it; a switchover is ordered at once. `from` and `to` are member names. A repeated order finds that the leader is
another already (https://patroni.readthedocs.io/en/latest/rest_api.html: /cluster, /history, /primary, /failover, /switchover).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from aiprism.clock import Clock
from aiprism.errors import AiprismError, BadInput, Unavailable
from aiprism.respond.actions.act import Done, Order
from aiprism.respond.actions.succession import RECENT_SECONDS
from aiprism.yamlfile import Node

ACTIONS = ("failover", "switchover")
_PAUSE = 1.0
_REQUEST_SECONDS = 5.0
_KEPT = 300
_LEADING = frozenset({"leader", "master"})


@dataclass(frozen=True, slots=True)
class Member:
    """A member as /cluster tells it; `lag` is in bytes, None when Patroni does not know it."""

    name: str
    leads: bool
    runs: bool
    timeline: int
    lag: int | None
    url: str


def read(node: Node, action: str) -> Mapping[str, object]:
    """What a step says of Patroni; a placeholder may choose neither whom we talk to nor which file we read."""
    urls = node["patroni"].texts()
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https") or "${" in url:
            raise node["patroni"].error("expected the http(s) addresses of Patroni's REST API, as in [http://db1:8008]")
    if action == "switchover" and not (node["from"] or node["to"]):
        raise node.error("a switchover needs from or to: without one a repeated order would switch back")
    file = node["credentials_file"].text("")
    if "${" in file:
        raise node["credentials_file"].error("a file's name may not hold a placeholder")
    return {"patroni": urls, "credentials_file": str(Path(node.file).parent / file) if file else ""}


class Patroni:
    """Orders failovers and switchovers, and follows them until the new leader serves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def act(self, order: Order) -> Done:
        """Another member leads, or Done says why none does."""
        began = self._clock.now()
        try:
            async with httpx.AsyncClient(timeout=_REQUEST_SECONDS, trust_env=False, auth=_credentials(order)) as client:
                api = _Api(client, _texts(order.params["patroni"]))
                if order.text("action") == "switchover":
                    return await self._switchover(api, order, began)
                return await self._failover(api, order, began)
        except AiprismError as error:
            return Done(False, str(error))

    async def _switchover(self, api: _Api, order: Order, began: float) -> Done:
        members = await api.members()
        leader = _leader(members)
        if leader is None:
            return Done(False, "there is no leader to switch from: this needs action: failover")
        if _is_wanted(leader, order):
            return _already(leader)
        heir = _heir(members, order)
        await api.order("switchover", {"leader": leader.name, "candidate": heir.name})
        return await self._followed(api, order, began, heir, leader.timeline)

    async def _failover(self, api: _Api, order: Order, began: float) -> Done:
        """Patroni's own election has half of the time; then the best member is put forward."""
        dead_for = float(str(order.params["dead_for"]))
        patience = began + min(order.timeout / 2, dead_for + order.timeout / 4)
        timeline, vacant = 0, False
        while True:
            members = await api.members()
            timeline = timeline or max((each.timeline for each in members), default=0)
            leader = _leader(members)
            serving = None if leader is None else await api.serves(leader)
            now = self._clock.now()
            if leader is not None and serving is not None:
                if vacant:
                    return _now_leads(leader, timeline, serving, now - began, "Patroni elected it")
                if _is_wanted(leader, order) or (not _named(order) and await api.is_new(leader, now)):
                    return _already(leader)
                if now >= began + dead_for:  # sooner, a new leader need not stand in /history yet
                    return Done(False, f"{leader.name} leads and answers: a planned change is action: switchover")
            vacant = vacant or serving is None
            if leader is None and now >= patience:
                break
            if now >= began + order.timeout * 0.6:
                return Done(
                    False, f"Patroni takes {leader.name if leader else 'nobody'} for the leader, which does not answer"
                )
            await self._clock.sleep(_PAUSE)
        heir = _heir(members, order)
        await api.order("failover", {"candidate": heir.name})
        return await self._followed(api, order, began, heir, timeline)

    async def _followed(self, api: _Api, order: Order, began: float, heir: Member, timeline: int) -> Done:
        while self._clock.now() < began + order.timeout:
            for member in await api.members():
                serving = await api.serves(member) if member.name == heir.name else None
                # A promotion begins a timeline; until it is told, what is told is from before.
                if serving is not None and serving > timeline:
                    return _now_leads(member, timeline, serving, self._clock.now() - began, "ordered", lag=heir.lag)
            await self._clock.sleep(_PAUSE)
        return Done(False, f"{heir.name} was ordered to lead, and does not after {order.timeout:g} s")


class _Api:
    """The REST API of a cluster: whichever member answers first speaks for all."""

    def __init__(self, client: httpx.AsyncClient, urls: Sequence[str]) -> None:
        self._client, self._urls = client, urls

    async def members(self) -> list[Member]:
        said = await self._asked("/cluster")
        found = said.get("members") if isinstance(said, Mapping) else None
        return [_member(each) for each in found or []]

    async def serves(self, member: Member) -> int | None:
        """The timeline of a member that says itself that it is the primary and holds the lock; None when it does not.

        /cluster repeats what was true up to a ttl ago, and a new leader is there before it is promoted.
        """
        try:
            answer = await self._client.get(f"{member.url}/primary")
            said = answer.json() if answer.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            return None
        return int(str(said.get("timeline") or member.timeline)) if answer.status_code == 200 else None

    async def is_new(self, leader: Member, now: float) -> bool:
        """Whether it became the leader within the last hour."""
        history = await self._asked("/history")
        last = history[-1] if isinstance(history, list) and history else []
        if len(last) < 5 or last[4] != leader.name:
            return False
        return now - datetime.fromisoformat(str(last[3])).timestamp() < RECENT_SECONDS

    async def order(self, what: str, body: Mapping[str, str]) -> None:
        """Give an order; Unavailable with Patroni's own words when it refuses. Without an answer it may be under way."""
        refusal = "no member answers"
        for url in self._urls:
            try:
                answer = await self._client.post(f"{url}/{what}", json=body, timeout=None)
            except httpx.ConnectError:
                continue
            except httpx.HTTPError:
                return
            if answer.is_success:
                return
            refusal = f"HTTP {answer.status_code}: {answer.text.strip()[:_KEPT]}"
            break
        raise Unavailable(f"Patroni refuses the {what} to {body['candidate']}: {refusal}")

    async def _asked(self, path: str) -> object:
        problem = ""
        for url in self._urls:
            try:
                return (await self._client.get(f"{url}{path}")).json()
            except (httpx.HTTPError, ValueError) as error:
                problem = type(error).__name__
        raise Unavailable(f"none of {', '.join(self._urls)} answers as Patroni ({problem})")


def _credentials(order: Order) -> tuple[str, str] | None:
    path = order.text("credentials_file")
    if not path:
        return None
    try:
        user, colon, password = Path(path).read_text(encoding="utf-8").strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"credentials_file {path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from None
    if not colon:
        raise BadInput(f"credentials_file {path} holds no USER:PASSWORD")
    return user, password


def _texts(value: object) -> list[str]:
    return [str(each).rstrip("/") for each in value] if isinstance(value, list | tuple) else []


def _member(said: Mapping[str, object]) -> Member:
    lag, url = said.get("lag"), str(said.get("api_url") or "")
    return Member(
        name=str(said.get("name")),
        leads=said.get("role") in _LEADING,
        runs=said.get("state") in ("running", "streaming", "in archive recovery"),
        timeline=int(str(said.get("timeline") or 0)),
        lag=lag if isinstance(lag, int) else None,
        url=url.removesuffix("/patroni"),
    )


def _leader(members: Sequence[Member]) -> Member | None:
    return next((each for each in members if each.leads), None)


def _named(order: Order) -> bool:
    return bool(order.text("from") or order.text("to"))


def _is_wanted(leader: Member, order: Order) -> bool:
    """Whether what the order asks for is so already."""
    if order.text("to"):
        return leader.name == order.text("to")
    return bool(order.text("from")) and leader.name != order.text("from")


def _heir(members: Sequence[Member], order: Order) -> Member:
    """The member to put forward: the one named, else the one with the least lag; Unavailable when none may lead."""
    wanted, max_lag = order.text("to"), int(str(order.params["max_lag"]))
    known = [each for each in members if not each.leads and each.runs and each.name == (wanted or each.name)]
    able = [(each.lag, each) for each in known if each.lag is not None]
    if not able:
        told = ", ".join(f"{each.name} (lag {'unknown' if each.lag is None else each.lag})" for each in members)
        raise Unavailable(f"{wanted or 'nobody'} can take over; Patroni's members: {told or 'none'}")
    lag, best = min(able, key=lambda pair: (pair[0], pair[1].name))
    if lag > max_lag:
        raise Unavailable(f"{best.name} is {lag} bytes of log behind, more than the {max_lag} of max_lag")
    return best


def _already(leader: Member) -> Done:
    data = {"primary": leader.name, "promoted": False, "timeline_after": leader.timeline}
    return Done(True, f"{leader.name} leads already", data)


def _now_leads(leader: Member, before: int, after: int, seconds: float, how: str, lag: int | None = None) -> Done:
    data = {
        "primary": leader.name,
        "promoted": True,
        "lag_bytes": lag,
        "timeline_before": before,
        "timeline_after": after,
        "seconds": round(seconds, 3),
    }
    text = f"{leader.name} leads {seconds:.1f} s after the order ({how}), timeline {before} → {after}"
    return Done(True, text, data)

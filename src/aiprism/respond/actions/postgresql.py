"""`postgresql:` steps: another server of a PostgreSQL cluster becomes the primary.

With `connection_file` the servers are asked and promoted by SQL: the old primary must have been out of reach for a while,
`succession` decides who follows it, and a step is done when the new primary has committed a write. With `patroni` the
cluster's own manager is asked (`patroni`). Fencing is a step before this one (`process: stop`, `command: …`): here it is only
made sure that the old primary is gone. Connection strings and passwords stand in files, never in runbooks or timelines.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiprism.clock import Clock
from aiprism.detect.annotations import Ask
from aiprism.errors import AiprismError, BadInput, Unavailable
from aiprism.query.promql.parse import parse
from aiprism.respond.actions import patroni, shape
from aiprism.respond.actions.act import Done, Kind, Order
from aiprism.respond.actions.succession import Doubt, Heir, Refusal, Settled, Terms, judged
from aiprism.store import standbys
from aiprism.store.standbys import Address, Server
from aiprism.yamlfile import Node

LOOKS = 3  # at least so many times the primary must have been seen to be away
_PAUSE = 1.0
# Of a step's time, what is left for the promotion when looking takes long.
_FOR_LOOKING = 0.6
_STEP_SECONDS = 60.0
_SIZE = re.compile(r"(\d+)\s*([kMG]?B?)", re.ASCII)
_UNITS = {"": 1, "B": 1, "k": 2**10, "M": 2**20, "G": 2**30}

SHAPE: shape.Shape = {
    **shape.record(
        "makes another server of a PostgreSQL cluster the primary",
        {},
        {
            "action": shape.choice(
                "a failover when the primary is gone, a switchover while it is well", patroni.ACTIONS
            ),
            "connection_file": shape.text("a file with the libpq connection string that names all servers"),
            "patroni": shape.listed("addresses of Patroni's REST API", shape.text("as in http://db1:8008")),
            "credentials_file": shape.text("a file with USER:PASSWORD for Patroni's REST API"),
            "from": shape.text("the server that failed; a primary of another name is taken for its successor"),
            "to": shape.text("the server to promote; default: the one with most of the log"),
            "max_lag": shape.text("how much log may be lost: 16MB"),
            "max_missing": shape.whole("how many servers may be away, the failed primary among them", least=1),
            "dead_for": shape.duration("how long the primary must have been away"),
            "last_position": shape.text("PromQL: the last known log position of the primary, in bytes"),
        },
    ),
    "oneOf": [{"required": ["connection_file"]}, {"required": ["patroni"]}],
}


def read(node: Node) -> Mapping[str, object]:
    """The parameters of `postgresql: {action, connection_file or patroni, …}`."""
    shape.known(node, SHAPE)
    if bool(node["connection_file"]) == bool(node["patroni"]):
        raise node.error("a postgresql step has connection_file (the servers themselves) or patroni, and not both")
    action = node["action"].one_of(*patroni.ACTIONS, default="failover")
    by_patroni = {} if node["connection_file"] else patroni.read(node, action)
    if node["connection_file"] and action != "failover":
        raise node["action"].error("a switchover needs Patroni, which stops the old primary in order")
    for name in () if node["connection_file"] else ("max_missing", "last_position"):
        if node[name]:
            raise node[name].error("belongs to connection_file; Patroni watches its members itself")
    return {
        "action": action,
        "connection_file": _beside(node["connection_file"]),
        "from": node["from"].text(""),
        "to": node["to"].text(""),
        "max_lag": _size(node["max_lag"]),
        "max_missing": node["max_missing"].integer(1),
        "dead_for": node["dead_for"].seconds(10.0),
        "last_position": _query(node["last_position"]),
        **by_patroni,
    }


def _beside(node: Node) -> str:
    """The path of a file that is named as seen from the runbook's own file; an alert never chooses one."""
    if not node:
        return ""
    if "${" in node.text():
        raise node.error("a file's name may not hold a placeholder")
    return str(Path(node.file).parent / node.text())


def _size(node: Node) -> int:
    found = _SIZE.fullmatch(node.text("16MB"))
    if found is None:
        raise node.error(f"expected a size as in 16MB or 512kB, not {node.text()!r}")
    return int(found[1]) * _UNITS[found[2].removesuffix("B")]


def _query(node: Node) -> str:
    text = node.text("")
    if "${" in text:
        raise node.error("the position of a cluster depends on no alert, so no placeholder stands here")
    try:
        return str(parse(text) and text) if text else ""
    except BadInput as error:
        raise node.error(f"not PromQL: {error}") from None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom to promote, and what was seen before."""

    heir: Heir
    servers: Sequence[Server]


class PostgreSQL:
    """Promotes standbys. `ask` tells the log position that a vanished primary had last."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._patroni = patroni.Patroni(clock)

    async def act(self, order: Order) -> Done:
        if order.params.get("patroni"):
            return await self._patroni.act(order)
        began = self._clock.now()
        try:
            servers = await asyncio.to_thread(_servers_of, order.text("connection_file"))
            terms = await self._terms(order)
            found = await self._chosen(order, servers, terms)
            if isinstance(found, Done):
                return found
            if isinstance(found, Settled):
                return await _confirmed(servers, found.primary)
            heir = found.heir.server
            await standbys.promote(servers[heir.name], began + order.timeout - self._clock.now())
            proof = await standbys.take_write(servers[heir.name])
        except AiprismError as error:
            return Done(False, str(error))
        return _promoted(found, terms, proof, self._clock.now() - began)

    async def _terms(self, order: Order) -> Terms:
        params = order.params
        query, known = order.text("last_position"), None
        if query:
            values = [value for _, value in await asyncio.to_thread(self._ask, query, self._clock.now())]
            if not values:
                raise Unavailable(
                    f"how far the primary was is not known, so nobody is promoted: nothing comes of {query}"
                )
            known = int(max(values))
        return Terms(
            failed=order.text("from"),
            heir=order.text("to"),
            max_lag=int(str(params["max_lag"])),
            max_missing=int(str(params["max_missing"])),
            known=known,
        )

    async def _chosen(self, order: Order, servers: Mapping[str, Address], terms: Terms) -> Chosen | Settled | Done:
        """Whom to promote once the primary has been away long enough, however often one has to look; Done when nobody may be."""
        until = self._clock.now() + order.timeout * _FOR_LOOKING
        dead_for = float(str(order.params["dead_for"]))
        away_since, looks = self._clock.now(), 0
        while True:
            seen = await asyncio.gather(*(standbys.look(name, address) for name, address in servers.items()))
            now, verdict = self._clock.now(), judged(seen, terms)
            if isinstance(verdict, Settled):
                return verdict
            if isinstance(verdict, Refusal):
                return Done(False, verdict.reason, {"servers": _told(seen)})
            if isinstance(verdict, Doubt):
                away_since, looks = now, 0
                reason = verdict.reason
            else:
                looks += 1
                if looks >= LOOKS and now - away_since >= dead_for:
                    return Chosen(verdict, seen)
                reason = f"the primary has been away for {now - away_since:.0f} s, and dead_for asks for {dead_for:g}"
            if now >= until:
                return Done(False, f"nobody is promoted: {reason}", {"servers": _told(seen)})
            await self._clock.sleep(min(_PAUSE, max(0.1, dead_for / LOOKS)))


def _servers_of(path: str) -> Mapping[str, Address]:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"connection_file {path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from None
    try:
        return standbys.addresses(text)
    except BadInput as error:
        raise BadInput(f"connection_file {path} {error}") from None


async def _confirmed(servers: Mapping[str, Address], primary: Server) -> Done:
    """What a repeated order, or one that somebody else has carried out, comes to."""
    proof = await standbys.take_write(servers[primary.name])
    ago = "" if primary.promoted_ago is None else f", since {primary.promoted_ago:.0f} s ago"
    data = {"primary": primary.name, "promoted": False, "timeline_after": proof.timeline}
    return Done(not proof.awaited, f"{primary.name} is primary already{ago}, and takes writes{_waits(proof)}", data)


def _promoted(chosen: Chosen, terms: Terms, proof: standbys.Proof, seconds: float) -> Done:
    heir = chosen.heir.server
    against = "the furthest standby" if terms.known is None else "the last known position of the primary"
    others = [each.name for each in chosen.servers if each.role is standbys.Role.STANDBY and each.name != heir.name]
    last = None if heir.last_commit_ago is None else heir.last_commit_ago + seconds
    text = (
        f"{heir.name} is primary and takes writes {seconds:.1f} s after the order: {chosen.heir.lag} bytes behind {against},"
        f" timeline {heir.timeline} → {proof.timeline}"
    )
    text += f"; {', '.join(others)} must be told to follow it" if others else ""
    data = {
        "primary": heir.name,
        "promoted": True,
        "lag_bytes": chosen.heir.lag,
        "timeline_before": heir.timeline,
        "timeline_after": proof.timeline,
        "seconds": round(seconds, 3),
        "seconds_since_last_commit": None if last is None else round(last, 3),
        "servers": _told(chosen.servers),
    }
    return Done(not proof.awaited, text + _waits(proof), data)


def _waits(proof: standbys.Proof) -> str:
    if not proof.awaited:
        return ""
    return f"; but commits wait for synchronous_standby_names = {proof.awaited!r}, none of which is connected: reset it there"


def _told(servers: Sequence[Server]) -> list[dict[str, object]]:
    return [
        {"name": each.name, "role": each.role.value, "position": each.position, "timeline": each.timeline}
        for each in servers
    ]


KIND = Kind(
    shape=SHAPE,
    read=read,
    actuator=lambda means: PostgreSQL(means.ask, means.clock),
    repeatable=lambda params: True,
    seconds=lambda params: _STEP_SECONDS,
)

"""Who may follow a PostgreSQL primary, decided from what its servers were seen as. Nothing here talks to anybody.

In: the `Server`s as they were seen at one moment, and the `Terms` of a runbook's step. Out: a verdict. Two primaries at
once cost data, so whatever leaves a doubt about the old one keeps everybody a standby: a server that accepts connections
but does not answer, a standby that still receives its log, more servers missing than the one that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiprism.store.standbys import Role, Server

# A primary that became one within this time is what an order given again after a crash finds of its own work.
RECENT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a step asks for: `failed` and `heir` are HOST:PORT or empty, `known` is the last log position of the primary
    that somebody remembers (bytes), None when nobody was asked."""

    failed: str = ""
    heir: str = ""
    max_lag: int = 16 * 2**20
    max_missing: int = 1
    known: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """There is a primary already, and it is the one that was wanted."""

    primary: Server


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nobody may be promoted, and waiting would not change that."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nobody may be promoted now; another look may find it otherwise."""

    reason: str


@dataclass(frozen=True, slots=True)
class Heir:
    """The standby to promote, and by how many bytes of log it is behind the furthest position known."""

    server: Server
    lag: int


Verdict: TypeAlias = Settled | Refusal | Doubt | Heir


def judged(servers: Sequence[Server], terms: Terms) -> Verdict:
    """What these servers allow."""
    strangers = {terms.failed, terms.heir} - {"", *(server.name for server in servers)}
    if strangers:
        return Refusal(f"{sorted(strangers)[0]} is none of the servers {', '.join(server.name for server in servers)}")
    primaries = [server for server in servers if server.role is Role.PRIMARY]
    if len(primaries) > 1:
        names = " and ".join(server.name for server in primaries)
        return Refusal(
            f"split brain: {names} are primaries at once; stop all but one by hand before anything is written"
        )
    if primaries:
        return _with_primary(primaries[0], terms)
    return _doubt(servers, terms) or _heir([each for each in servers if each.role is Role.STANDBY], terms)


def _with_primary(primary: Server, terms: Terms) -> Verdict:
    """An order that is repeated finds its own work: the heir it named, another than it called failed, or a new primary."""
    if terms.heir or terms.failed:
        wanted = primary.name == terms.heir or (not terms.heir and primary.name != terms.failed)
    else:
        wanted = primary.promoted_ago is not None and primary.promoted_ago < RECENT_SECONDS
    if wanted:
        return Settled(primary)
    return Refusal(f"{primary.name} is primary and answers: a second one would split the data; fence it first")


def _doubt(servers: Sequence[Server], terms: Terms) -> Doubt | None:
    """Why the old primary may be alive, or the best standby not among those seen."""
    standbys = {server.name for server in servers if server.role is Role.STANDBY}
    for server in servers:
        if server.role is Role.CLOSED:
            return Doubt(f"{server.name} accepts connections and may be the primary, alive: {server.problem}")
        if server.upstream and server.upstream not in standbys:
            return Doubt(
                f"{server.name} still receives the log of its primary, which is alive and only out of our reach"
            )
    missing = [server.name for server in servers if server.role is Role.AWAY]
    if len(missing) > terms.max_missing:
        return Doubt(f"{', '.join(missing)} do not answer, and one of them may have more of the log than those that do")
    if not standbys:
        return Doubt("no standby answers")
    return Doubt(f"{terms.heir} does not answer") if terms.heir and terms.heir not in standbys else None


def _heir(standbys: Sequence[Server], terms: Terms) -> Refusal | Heir:
    best = max(standbys, key=lambda server: (server.name == terms.heir, server.position))
    furthest = max(terms.known or 0, *(server.position for server in standbys))
    lag = furthest - best.position
    if lag > terms.max_lag:
        return Refusal(
            f"{best.name} is {lag} bytes of log behind, more than the {terms.max_lag} of max_lag: they would be lost"
        )
    return Heir(best, lag)

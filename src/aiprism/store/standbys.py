"""A PostgreSQL server of the user's and its standbys: looked at, promoted, proven to take writes.

In: libpq parameters of one server. Out: frozen `Server` values, and the outcome of a promotion. Which standby may follow
the primary is decided in `respond/actions/succession`. psycopg (the extra `postgres`) is imported when it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from aiprism.errors import BadInput, Unavailable

if TYPE_CHECKING:
    import psycopg

Address: TypeAlias = Mapping[str, str]
"""libpq connection parameters of one server, with host and port."""

# As patient as a server on a busy machine needs; one that is off delays each look by the shorter of the two.
LOOK_SECONDS = 6.0
_CONNECT_SECONDS = "3"

_STATE = """
SELECT pg_is_in_recovery() AS standby,
       CASE WHEN pg_is_in_recovery()
            THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
            ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn AS position,
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
       (SELECT coalesce(sender_host || ':' || sender_port, '?') FROM pg_stat_wal_receiver
         WHERE coalesce(status, 'streaming') = 'streaming') AS upstream,
       extract(epoch FROM now() - pg_last_xact_replay_timestamp()) AS last_commit_ago
"""
# The history of a timeline is written when it begins, that is, when this server was promoted.
_PROMOTED = """
SELECT extract(epoch FROM now() - modification)
  FROM pg_ls_waldir()
 WHERE name = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.history'
"""
_PROMOTE = "SELECT pg_promote(wait => true, wait_seconds => %s)"
# A real record in the log, and no table is needed for it.
_WRITE = "SELECT pg_logical_emit_message(true, 'aiprism', 'takes writes')"
_TIMELINE = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
_AWAITED = """
SELECT current_setting('synchronous_standby_names')
 WHERE current_setting('synchronous_standby_names') <> ''
   AND current_setting('synchronous_commit') NOT IN ('local', 'off')
   AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
"""


class Role(StrEnum):
    """What a server was seen as. `CLOSED` accepts connections but lets nobody in, so it is alive."""

    PRIMARY = "primary"
    STANDBY = "standby"
    CLOSED = "closed"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Server:
    """One server as it was seen; positions are bytes of write-ahead log, times seconds.

    `upstream` is the server whose log it is receiving just now; `problem` says why it is closed or away.
    """

    name: str
    role: Role
    position: int = 0
    timeline: int = 0
    upstream: str = ""
    promoted_ago: float | None = None
    last_commit_ago: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a test write found: the timeline it is on, and whose missing confirmation commits would wait for."""

    timeline: int
    awaited: str = ""


def addresses(text: str) -> dict[str, Address]:
    """Each server of a libpq connection string (URI or key=value), by HOST:PORT; BadInput never repeats the text."""
    psycopg = _psycopg()
    try:
        given = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError:
        raise BadInput("is no libpq connection string, as in postgresql://user@db1:5432,db2:5432/postgres") from None
    hosts = given.pop("host", "").split(",")
    ports = given.pop("port", "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if "hostaddr" in given or not all(hosts) or any(host.startswith(("/", "@")) for host in hosts):
        raise BadInput("names no hosts: each server needs a host name or address that others reach it by")
    if len(hosts) != len(ports) or len(hosts) < 2:
        raise BadInput(f"names {len(hosts)} hosts and {len(ports)} ports; give at least two hosts, and a port for each")
    for name in ("target_session_attrs", "load_balance_hosts"):
        given.pop(name, None)
    given = {"dbname": "postgres", "application_name": "aiprism"} | given | {"connect_timeout": _CONNECT_SECONDS}
    pairs = zip(hosts, (port or "5432" for port in ports), strict=True)
    return {f"{host}:{port}": {**given, "host": host, "port": port} for host, port in pairs}


async def look(name: str, address: Address) -> Server:
    """The server as it is now; whatever keeps us from seeing it makes it closed or away."""
    psycopg = _psycopg()
    try:
        async with asyncio.timeout(LOOK_SECONDS), await _connected(address) as connection:
            row = await (await connection.execute(_STATE)).fetchone()
            assert row is not None
            promoted_ago = None if row["standby"] else await _promoted_ago(connection)
    except (psycopg.Error, OSError, TimeoutError) as error:
        accepts = await _accepts(address["host"], int(address["port"]))
        return Server(name, Role.CLOSED if accepts else Role.AWAY, problem=_first_line(error))
    return Server(
        name,
        Role.STANDBY if row["standby"] else Role.PRIMARY,
        position=int(row["position"] or 0),
        timeline=int(row["timeline"]),
        upstream=row["upstream"] or "",
        promoted_ago=promoted_ago,
        last_commit_ago=None if row["last_commit_ago"] is None else float(row["last_commit_ago"]),
    )


async def promote(address: Address, seconds: float) -> None:
    """The standby is a primary now; Unavailable when it is not one within `seconds`."""
    psycopg = _psycopg()
    try:
        async with asyncio.timeout(seconds + LOOK_SECONDS), await _connected(address) as connection:
            row = await (await connection.execute(_PROMOTE, (max(1, int(seconds)),))).fetchone()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return  # it is no standby any more: somebody was quicker, and the test write will tell
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"could not be promoted: {_first_line(error)}") from None
    if row is None or not row["pg_promote"]:
        raise Unavailable(f"was told to become primary, and is not one after {seconds:g} s")


async def take_write(address: Address) -> Proof:
    """Write a record into the server's log and commit it; Unavailable when that fails.

    The commit waits for this server only. Whether an ordinary one would wait for standbys that are not there is told
    beside it, because such a commit never returns.
    """
    psycopg = _psycopg()
    try:
        async with asyncio.timeout(LOOK_SECONDS), await _connected(address) as connection:
            awaited = await (await connection.execute(_AWAITED)).fetchone()
            await connection.execute("SET synchronous_commit = local")
            await connection.execute(_WRITE)
            row = await (await connection.execute(_TIMELINE)).fetchone()
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"does not take writes: {_first_line(error)}") from None
    assert row is not None
    return Proof(int(next(iter(row.values()))), "" if awaited is None else str(awaited["current_setting"]))


# -- inside ----------------------------------------------------------------------------------------------------------


def _psycopg() -> Any:
    try:
        import psycopg
        import psycopg.conninfo
    except ImportError:
        raise Unavailable("needs psycopg: pip install 'aiprism[postgres]'") from None
    return psycopg


async def _connected(address: Address) -> psycopg.AsyncConnection[dict[str, Any]]:
    import psycopg
    from psycopg.rows import dict_row

    return await psycopg.AsyncConnection.connect(**address, autocommit=True, row_factory=dict_row)  # type: ignore[arg-type]


async def _promoted_ago(connection: psycopg.AsyncConnection[dict[str, Any]]) -> float | None:
    """Seconds since this primary was promoted; None when it never was, or we may not know (pg_monitor may)."""
    import psycopg

    try:
        row = await (await connection.execute(_PROMOTED)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return None if row is None else float(next(iter(row.values())))


async def _accepts(host: str, port: int) -> bool:
    """Whether somebody listens there: a server that hangs does, one that is gone does not."""
    try:
        async with asyncio.timeout(float(_CONNECT_SECONDS)):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _first_line(error: BaseException) -> str:
    """libpq tells host and user, never a password."""
    return str(error).strip().partition("\n")[0] or type(error).__name__

"""The control database: alert states, incidents, notifications, runbook runs, control commands (decision D6).

In: a URL, `sqlite:///path` (the default) or `postgresql+psycopg://user@host/name`. Out: `Records`, whose `begin()`
gives a SQLAlchemy connection inside one transaction, and the tables below. Statements on them stand in the small
modules beside this one (`alertstates.py` …); telemetry never comes here. Times are Unix seconds.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite

from aiprism.errors import ConfigError, Conflict, StoreError, Unavailable

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)


class Measured(sa.TypeDecorator[float]):
    """A double that may be NaN. SQLite turns NaN into NULL, so NULL is how it is kept, everywhere."""

    impl = sa.Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: sa.Dialect) -> float:
        return math.nan if value is None else value


def _time(name: str, *, required: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=not required)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False, default="")


def _mapping(name: str) -> sa.Column[dict[str, Any]]:
    return sa.Column(name, sa.JSON, nullable=False, default=dict)


def _part_of(name: str, whole: str, *, primary_key: bool = False, nullable: bool = False) -> sa.Column[str]:
    """A reference to the row this one belongs to, and with which it is deleted."""
    return sa.Column(
        name,
        sa.String,
        sa.ForeignKey(f"{whole}.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=nullable and not primary_key,
    )


# -- detect ----------------------------------------------------------------------------------------------------------

# One row per active (or lately resolved) alert of a rule; `rule_key` names the rule across restarts and reloads.
alert_states = sa.Table(
    "alert_states",
    metadata,
    sa.Column("rule_key", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String, primary_key=True),
    _text("group_key"),
    _mapping("labels"),
    _mapping("annotations"),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("value", Measured),
    _time("active_at", required=True),
    _time("fired_at"),
    _time("resolved_at"),
    _time("keep_firing_since"),
    _time("last_sent_at"),
)

# When a group with active alerts was last evaluated: what a restart needs to know how long it was away.
alert_groups = sa.Table(
    "alert_groups",
    metadata,
    sa.Column("group_key", sa.String, primary_key=True),
    _time("evaluated_at", required=True),
)

# -- respond ---------------------------------------------------------------------------------------------------------

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # INC_20261123_141500_ab12
    _text("title"),
    _text("description"),
    sa.Column("priority", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False, index=True),
    _time("created_at", required=True),
    _time("updated_at", required=True),
    _time("identified_at"),
    _time("monitoring_since"),
    _time("resolved_at"),
    _time("acknowledged_at"),
    sa.Column("acknowledged_by", sa.String),
    _time("target_at"),
    _time("responded_at"),
    sa.Column("due_at", sa.Float, index=True),  # when time alone changes it, or has people told
    sa.Column("progress", sa.JSON),  # of the steps after missed deadlines (`respond.deadlines`)
    sa.Column("work", sa.JSON),  # roles, tasks, evidence and the like (`respond.incident.work`)
    sa.Column("merged_into", sa.String),  # the incident it goes on as a part of
    sa.Column("origin", sa.String),  # the service from which all its others suffer
    sa.Column("services", sa.JSON, nullable=False, default=list),
    _mapping("labels"),
)

incident_alerts = sa.Table(
    "incident_alerts",
    metadata,
    _part_of("incident_id", "incidents", primary_key=True),
    sa.Column("fingerprint", sa.String, primary_key=True, index=True),
    _text("name"),
    _mapping("labels"),
    _mapping("annotations"),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("value", Measured),
    _time("active_at"),
    _time("fired_at"),
    _time("resolved_at"),
)

incident_events = sa.Table(
    "incident_events",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _part_of("incident_id", "incidents"),
    _time("at", required=True),
    sa.Column("event", sa.String, nullable=False),
    _text("actor"),
    _text("text"),
    _mapping("data"),
    sa.Index(None, "incident_id", "at"),
    sqlite_autoincrement=True,
)

# A war room is a log of lines that is only appended to: messages, who came and went, what was pinned, what commands did.
war_rooms = sa.Table(
    "war_rooms",
    metadata,
    _part_of("incident_id", "incidents", primary_key=True),
    _time("opened_at", required=True),
    _text("opened_by"),
)

war_room_lines = sa.Table(
    "war_room_lines",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _part_of("incident_id", "incidents"),
    _time("at", required=True),
    sa.Column("kind", sa.String, nullable=False),
    _text("author"),
    _text("text"),
    _mapping("data"),
    sa.Index(None, "incident_id", "id"),
    sqlite_autoincrement=True,
)

# The channels that rooms have elsewhere, and up to which line of room and timeline each has heard.
war_room_channels = sa.Table(
    "war_room_channels",
    metadata,
    _part_of("incident_id", "incidents", primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),  # slack, or receivers: those of alertmanager.yml
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False, default="", index=True),
    _text("name"),
    _text("url"),
    sa.Column("line", sa.BigInteger, nullable=False, default=0),
    sa.Column("event", sa.BigInteger, nullable=False, default=0),
    _text("error"),
    _time("next_at", required=True),
    _mapping("progress"),  # what else is known of it (`respond.roomchannel`)
)

status_updates = sa.Table(
    "status_updates",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("incident_id", sa.String, sa.ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    _time("at", required=True),
    _text("author"),
    _text("audience"),
    _text("status"),
    _text("title"),
    _text("text"),
    sa.Column("public", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,
)

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _part_of("incident_id", "incidents", nullable=True),
    sa.Column("receiver", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("integration", sa.Integer, nullable=False, default=0),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    _time("next_at"),
    _time("created_at", required=True),
    _time("sent_at"),
    _text("error"),
    _mapping("payload"),
    _text("dedup_key"),
    # Of a notification of an aggregation group: the group, until when it is tried, and what it tells (`respond.notify`).
    sa.Column("group_id", sa.String, index=True),
    _time("deadline"),
    sa.Column("tells", sa.JSON),
    # What its receiver gave back, such as the place of a message: what is told later of the same goes on from it.
    sa.Column("receipt", sa.JSON),
    sa.UniqueConstraint("incident_id", "receiver", "channel", "integration", "event"),
    sa.Index(None, "state", "next_at"),
    sa.Index(None, "dedup_key"),
)

# Every alert that fires or did lately, as Alertmanager knows alerts. `ends_at` is NULL for one that ends when it is said to.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("fingerprint", sa.String, primary_key=True),
    _mapping("labels"),
    _mapping("annotations"),
    _time("starts_at", required=True),
    sa.Column("ends_at", sa.Float, index=True),
    _time("updated_at", required=True),
    sa.Column("presumed", sa.Boolean, nullable=False, default=False),
    _text("source"),
    sa.Column("value", Measured),
    sa.Column("open", sa.Boolean, nullable=False, default=True),  # until its incident was told that it is over
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("matchers", sa.JSON, nullable=False),
    _time("starts_at", required=True),
    _time("ends_at", required=True),
    _time("updated_at", required=True),
    _text("created_by"),
    _text("comment"),
)

aggregation_groups = sa.Table(
    "aggregation_groups",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _text("route"),
    _text("key"),
    _mapping("labels"),
    sa.Column("next_at", sa.Float, nullable=False, index=True),
    sa.Column("flushed", sa.Boolean, nullable=False, default=False),
    sa.Column("late", sa.Boolean, nullable=False, default=False),
)

group_members = sa.Table(
    "group_members",
    metadata,
    _part_of("group_id", "aggregation_groups", primary_key=True),
    sa.Column("fingerprint", sa.String, primary_key=True, index=True),
)

# What each integration was last told of a group.
notification_log = sa.Table(
    "notification_log",
    metadata,
    sa.Column("group_key", sa.String, primary_key=True),
    sa.Column("receiver", sa.String, primary_key=True),
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("integration", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("firing", sa.JSON, nullable=False, default=list),
    sa.Column("resolved", sa.JSON, nullable=False, default=list),
    _time("at", required=True),
    _time("expires_at", required=True),
)

# How alerts come and go, of those that did lately. `until` is NULL unless one flaps.
alert_flaps = sa.Table(
    "alert_flaps",
    metadata,
    sa.Column("fingerprint", sa.String, primary_key=True),
    sa.Column("firing", sa.Boolean, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    _time("changed_at", required=True),
    _time("since"),
    sa.Column("until", sa.Float, index=True),
    sa.Column("count", sa.Integer, nullable=False),
)

# Planned work that was asked for over the API. `start` is a wall clock's ISO text in `zone`.
maintenance_windows = sa.Table(
    "maintenance_windows",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _text("name"),
    sa.Column("matchers", sa.JSON, nullable=False),
    sa.Column("start", sa.String, nullable=False),
    sa.Column("end", sa.String),
    sa.Column("duration", sa.Float, nullable=False),
    _text("zone"),
    _text("recurrence"),
    _text("comment"),
    _text("author"),
    _time("created_at", required=True),
    _time("ended_at"),
)

# Who is on call instead of whom oncall.yml says, as people asked for it.
oncall_overrides = sa.Table(
    "oncall_overrides",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _text("schedule"),
    sa.Column("people", sa.JSON, nullable=False),
    _time("start", required=True),
    _time("end", required=True),
    _text("reason"),
    _text("author"),
    _time("created_at", required=True),
)

# A firing alert that a receiver is not told of, and the stage that holds it; `until` is NULL while that lasts.
held_notifications = sa.Table(
    "held_notifications",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("group_id", sa.String, nullable=False, index=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    _mapping("labels"),
    _text("receiver"),
    _text("route"),
    sa.Column("stage", sa.String, nullable=False),
    _text("reason"),
    _time("since", required=True),
    sa.Column("until", sa.Float, index=True),
)

runbook_runs = sa.Table(
    "runbook_runs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _part_of("incident_id", "incidents", nullable=True),
    sa.Column("runbook", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    _time("started_at"),
    _time("finished_at"),
    _text("outcome"),
    _mapping("data"),
    sa.Index(None, "incident_id"),
    sa.Index(None, "state"),
)

runbook_steps = sa.Table(
    "runbook_steps",
    metadata,
    _part_of("run_id", "runbook_runs", primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    _text("name"),
    _text("kind"),
    sa.Column("state", sa.String, nullable=False),
    _time("started_at"),
    _time("finished_at"),
    _text("idempotency_key"),
    _mapping("result"),
)

# What alerts of tiers with a daily digest did, and when we heard of it; `ends_at` and `closed_at` are NULL while one fires.
alert_episodes = sa.Table(
    "alert_episodes",
    metadata,
    sa.Column("fingerprint", sa.String, primary_key=True),
    sa.Column("starts_at", sa.Float, primary_key=True),
    _time("ends_at"),
    sa.Column("heard_at", sa.Float, nullable=False, index=True),
    sa.Column("closed_at", sa.Float, index=True),
    sa.Column("tier", sa.String, nullable=False),
    _text("name"),
    _text("service"),
    _text("summary"),
)

digests = sa.Table(
    "digests",
    metadata,
    sa.Column("tier", sa.String, primary_key=True),
    _time("since", required=True),
    _time("told_until", required=True),
    _text("day"),
)

# What other tools told us, for a week.
hook_events = sa.Table(
    "hook_events",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("theirs", sa.String, nullable=False, default="", index=True),
    _part_of("incident_id", "incidents", nullable=True),
)

control_commands = sa.Table(
    "control_commands",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("service", sa.String, nullable=False),
    sa.Column("instance", sa.String),  # NULL: every instance of the service
    sa.Column("control", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    _mapping("params"),
    _time("issued_at", required=True),
    _time("expires_at"),
    _time("revoked_at"),
    _text("reason"),
    _text("actor"),
    sa.Index(None, "service", "issued_at"),
)

control_acks = sa.Table(
    "control_acks",
    metadata,
    _part_of("command_id", "control_commands", primary_key=True),
    sa.Column("instance", sa.String, primary_key=True),
    sa.Column("status", sa.String, nullable=False),
    _text("message"),
    _time("at", required=True),
)


# -- learn -----------------------------------------------------------------------------------------------------------

# Every version of every postmortem. They belong to no row of `incidents`: they outlive what `retention` forgets.
postmortems = sa.Table(
    "postmortems",
    metadata,
    sa.Column("incident_id", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    _time("at", required=True),
    _text("author"),
    _text("title"),
    _text("text"),  # Markdown
    sa.Column("evidence", sa.Integer, nullable=False),  # the version whose evidence it shows
    sa.Column("errors", sa.JSON, nullable=False, default=list),  # patterns of log lines, to find similar incidents by
)

postmortem_evidence = sa.Table(
    "postmortem_evidence",
    metadata,
    sa.Column("incident_id", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)

# What was asked to be looked into, and what was found. They leave with their incident.
investigations = sa.Table(
    "investigations",
    metadata,
    _part_of("incident_id", "incidents", primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String, nullable=False, index=True),  # waiting, running, done, failed, skipped
    _text("reason"),
    _text("actor"),
    _time("asked_at", required=True),
    _time("started_at"),
    _time("finished_at"),
    _text("conclusion"),
    sa.Column("findings", sa.JSON),
)

# -- explore ---------------------------------------------------------------------------------------------------------

saved_searches = sa.Table(
    "saved_searches",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("signal", sa.String, nullable=False),
    _text("query"),
    sa.Column("columns", sa.JSON, nullable=False, default=list),
    sa.Column("seconds", sa.Float),  # how far back from now; NULL: nothing is said
    _text("description"),
    sa.Column("version", sa.Integer, nullable=False),
    _time("created_at", required=True),
    _time("updated_at", required=True),
)


dashboards = sa.Table(
    "dashboards",
    metadata,
    sa.Column("uid", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    _time("at", required=True),
    _text("author"),
    _text("message"),
    _text("folder"),
    _text("title"),
    sa.Column("tags", sa.JSON, nullable=False, default=list),
    sa.Column("document", sa.JSON, nullable=False),  # Grafana's JSON as it was written
)


# -- the database ----------------------------------------------------------------------------------------------------


class Records:
    """An open control database at this version. Thread-safe; every call blocks for milliseconds."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Records:
        """Connect to `url`, bring its tables to this version, and give it back.

        Raises ConfigError for a URL we cannot use, StoreError when the database is from a newer aiprism, Unavailable
        when it cannot be reached.
        """
        engine = _engine(url)
        try:
            with _opening(engine), engine.begin() as connection:
                _migrate(connection)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @classmethod
    def kept(cls, url: str) -> Records:
        """One that is there and of this version, to be read: nothing of it is made or changed. Errors as of `open`, and StoreError
        when it is missing or older."""
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
            raise StoreError(f"there is no control database at {parsed.database}: name its directory with --data")
        engine = _engine(url)
        try:
            with _opening(engine), engine.connect().execution_options(aiprism_read=True) as connection:
                _refuse_other(connection)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def ping(self) -> None:
        """Return when the database answers; Unavailable when it does not."""
        with self.reading() as connection:
            connection.execute(sa.select(sa.literal(1)))

    @property
    def shared(self) -> bool:
        """Whether other processes may work on it, too."""
        return self.dialect == "postgresql"

    @contextmanager
    def begin(self, *, alone: str = "") -> Iterator[sa.Connection]:
        """A connection in one transaction: committed at the end, rolled back on any exception.

        On SQLite the write lock is taken at once, so what was read is still true when it is written. On PostgreSQL that
        holds for transactions that are `alone` under one name: they wait for each other, in whichever process.
        """
        with self._translated(), self._engine.begin() as connection:
            if alone and self.shared:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALONE, zlib.crc32(alone.encode()) >> 1)))
            yield connection

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Nobody else who takes a turn of that name is inside, in any process that shares the database."""
        if not self.shared:
            yield
            return
        with self.begin(alone=name):
            yield

    def hold(self, lock: int, label: str) -> Hold | None:
        """The advisory lock on a connection of its own that PostgreSQL shows as `label`; None while another has it."""
        engine = sa.create_engine(self._engine.url, poolclass=sa.NullPool, connect_args=_watched(label))
        with self._translated():
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            got = connection.execute(sa.select(sa.func.pg_try_advisory_lock(_LEADER, lock))).scalar()
        if got:
            return Hold(connection)
        connection.close()
        return None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection on one consistent snapshot that writes nothing and waits for no writer."""
        with self._translated(), self._engine.connect() as plain:
            yield plain.execution_options(aiprism_read=True, **_READ_OPTIONS.get(self.dialect, {}))

    def revision(self) -> str:
        """The revision its tables are at."""
        with self.reading() as connection:
            return _revision(connection)

    def dump(self) -> Iterator[dict[str, Any]]:
        """Every row of one consistent snapshot as ``{"table": …, "row": …}``, tables that are referred to first."""
        with self.reading() as connection:
            for table in metadata.sorted_tables:
                for row in _rows(connection, table):
                    yield {"table": table.name, "row": row}

    @classmethod
    def restore(cls, url: str, revision: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """The empty database at `url` is at `revision` and holds the rows of `dump`, or is as it was; Conflict when it is not
        empty. Tables without rows, as an aiprism leaves them that did not get to work, are empty."""
        with _connected(url) as connection:
            for table in reversed(_empty(connection).sorted_tables):
                table.drop(connection)
            _migrate(connection, to=revision)
            _insert(connection, lines)

    @classmethod
    def check_empty(cls, url: str) -> None:
        """Return when `restore` finds the database at `url` empty; Conflict when it would not."""
        with _connected(url) as connection:
            _empty(connection)

    @classmethod
    def holds(cls, url: str, revision: str, lines: Iterable[Mapping[str, Any]]) -> bool:
        """Whether the database at `url` is at `revision` and holds the rows of `dump`, and no others."""
        with _connected(url) as connection:
            return _revision(connection) == revision and _holds(connection, lines)

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.OperationalError as error:
            raise Unavailable(f"the control database cannot serve this now: {_reason(error)}") from error


class Hold:
    """An advisory lock that lasts as long as its connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def confirm(self) -> None:
        """Return while the connection, and so the lock, is there; Unavailable when it is not."""
        try:
            self._connection.execute(sa.select(sa.literal(1)))
        except (sa.exc.DBAPIError, sa.exc.PendingRollbackError) as error:
            raise Unavailable("the connection that holds the lock is lost") from error

    def release(self) -> None:
        """Give the lock to whoever wants it."""
        with suppress(sa.exc.SQLAlchemyError):
            self._connection.close()


@contextmanager
def _opening(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        raise Unavailable(f"cannot open the control database {_shown(engine)}: {_reason(error)}") from error
    except sa.exc.DatabaseError as error:
        raise StoreError(f"cannot open the control database {_shown(engine)}: {_reason(error)}") from error


@contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    """A connection to a database at whichever version, in one transaction."""
    engine = _engine(url)
    try:
        with _opening(engine), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _revision(connection: sa.Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _reflected(connection: sa.Connection) -> sa.MetaData:
    """The tables as they are there, which this version may know otherwise."""
    then = sa.MetaData()
    then.reflect(connection)
    return then


def _empty(connection: sa.Connection) -> sa.MetaData:
    """The tables there are, none of which holds a row; Conflict when one does, or is nobody's we know."""
    then = _reflected(connection)
    for table in then.sorted_tables:
        known = table.name in metadata.tables
        if table.name != "alembic_version" and (
            not known or connection.execute(sa.select(sa.exists().select_from(table))).scalar()
        ):
            raise Conflict(f"the control database {_shown(connection.engine)} is not empty")
    return then


def _holds(connection: sa.Connection, lines: Iterable[Mapping[str, Any]]) -> bool:
    then = {table.name: table for table in _reflected(connection).sorted_tables if table.name in metadata.tables}
    for name, group in itertools.groupby(lines, key=lambda line: line["table"]):
        rows = _rows(connection, then.pop(name))
        if any(line is None or row != line["row"] for row, line in itertools.zip_longest(rows, group)):
            return False
    return not any(True for table in then.values() for _ in _rows(connection, table))


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    for row in connection.execute(sa.select(*_plain(table))).mappings():
        yield dict(row)


def _plain(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """The columns as they are kept: a number that is not one is NULL."""
    return [
        sa.type_coerce(column, sa.Float).label(column.name) if isinstance(column.type, Measured) else column
        for column in table.c
    ]


def _insert(connection: sa.Connection, lines: Iterable[Mapping[str, Any]]) -> None:
    then = _reflected(connection)
    for name, group in itertools.groupby(lines, key=lambda line: line["table"]):
        while rows := [line["row"] for line in itertools.islice(group, 1000)]:
            connection.execute(sa.insert(then.tables[name]), rows)
    if connection.dialect.name == "postgresql":  # ids were given, so their counters have not moved
        for name in ("incident_events", "war_room_lines", "status_updates"):
            if name in then.tables:
                last = f"(SELECT coalesce(max(id), 0) + 1 FROM {name})"
                connection.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last}, false)"))


def _watched(label: str) -> Mapping[str, Any]:
    """Connection arguments under which a lost network is noticed within seconds, not within TCP's quarter of an hour."""
    return {
        "application_name": label[:63],
        "connect_timeout": 5,
        "tcp_user_timeout": 3000,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, or lay their columns over the rows that have the same primary key. All rows have the same keys."""
    if not rows:
        return
    connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), [*rows])


# The values that a column of a statement may have, bound as a list of this name.
WANTED: sa.BindParameter[Any] = sa.bindparam("wanted", expanding=True)


@functools.cache
def having(what: sa.Table | sa.Column[Any], key: sa.Column[Any]) -> sa.Select[Any]:
    """The statement that reads `what` where `key` is one of those wanted, made once: making it takes longer than the answer."""
    return sa.select(what).where(key.in_(WANTED))


@functools.cache
def _upsert(dialect_name: str, table: sa.Table, columns: tuple[str, ...]) -> sa.Executable:
    """The statement, which takes a millisecond to build."""
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    statement = dialect.insert(table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    made: sa.Executable
    if changed:
        made = statement.on_conflict_do_update(index_elements=key, set_=changed)
    else:
        made = statement.on_conflict_do_nothing(index_elements=key)
    return made


_READ_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"},
}

# FULL rather than NORMAL: a commit lost to a power cut could page someone twice. Costs one fsync per transaction.
_SQLITE_PRAGMAS = ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            f"{url!r} is no database URL; write sqlite:///path/control.db or postgresql+psycopg://user@host/name"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    if parsed.get_backend_name() in ("postgresql", "postgres"):
        return _postgresql_engine(parsed)
    raise ConfigError(f"the control database is SQLite or PostgreSQL, not {parsed.get_backend_name()!r}")


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError(
            "the control database needs a file, as in sqlite:///path/control.db: it must survive a restart"
        )
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url.set(drivername="sqlite"))

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        # Python's driver would begin transactions by itself, late and not around DDL; BEGIN is ours (see below).
        connection.isolation_level = None
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later would fail with SQLITE_BUSY at once instead of waiting.
        reading = connection.get_execution_options().get("aiprism_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigError("PostgreSQL needs its driver: pip install 'psycopg[binary]'") from error


# Any number that no one else uses on the same PostgreSQL: "aipr" as bytes.
_MIGRATION_LOCK = 0x61697072
# Spaces of the two-number locks: of transactions that wait for each other, and of duties.
_ALONE, _LEADER = 0x61697073, 0x61697074
# Alembic keeps what it is doing in module globals.
_ONE_AT_A_TIME = threading.Lock()


def _migrate(connection: sa.Connection, to: str = "head") -> None:
    with _ONE_AT_A_TIME, as_file(files("aiprism.store") / "migrations") as scripts:
        if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE already lets only one in
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        _refuse_newer(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, to)


def _refuse_other(connection: sa.Connection) -> None:
    """StoreError unless the tables are of this version."""
    with as_file(files("aiprism.store") / "migrations") as place:
        scripts = ScriptDirectory(str(place))
        _refuse_newer(connection, scripts)
        at, head = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    if at != head:
        raise StoreError(
            f"the control database is at revision {at!r}, not at {head!r}: start this aiprism once, which updates it"
        )


def _refuse_newer(connection: sa.Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    at = MigrationContext.configure(connection).get_current_revision()
    if at is not None and at not in known:
        raise StoreError(
            f"the control database is at revision {at!r}, this aiprism knows {max(known)!r}: "
            "start the newer aiprism, or restore a backup made before the upgrade"
        )


def _shown(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _reason(error: sa.exc.DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0][:500]

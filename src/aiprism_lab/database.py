"""The lab's tables and how they are opened: a SQLite file (WAL) by default, PostgreSQL when LAB_DATABASE_URL is given.

Out: an `Engine` for the services, whose statements live next to their use. Each table is written by one service:
organisations and users by user-service, documents by document-processor, feedback by feedback-service, notifications
by notification-service.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.schema import CreateIndex, CreateTable

import aiprism

# How long a request waits for a connection: users have gone before SQLAlchemy's half a minute is over.
POOL_SECONDS = 2.0

SCHEMA = sa.MetaData()

organizations = sa.Table(
    "organizations",
    SCHEMA,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("tier", sa.String(20), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

users = sa.Table(
    "users",
    SCHEMA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("email", sa.String(200), nullable=False, unique=True),
    sa.Column("organization", sa.String(80), sa.ForeignKey("organizations.name"), nullable=False),
    sa.Column("password_salt", sa.LargeBinary, nullable=False),
    sa.Column("password_hash", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

documents = sa.Table(
    "documents",
    SCHEMA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), nullable=False),
    sa.Column("organization", sa.String(80), nullable=False),
    sa.Column("tier", sa.String(20), nullable=False),
    sa.Column("filename", sa.String(255), nullable=False),
    sa.Column("format", sa.String(10), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),  # queued | processing | completed | failed | forgotten
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("request_id", sa.String(64), nullable=False, default=""),
    sa.Column("trace_context", sa.JSON, nullable=False, default=dict),  # W3C headers of the upload's trace
    sa.Column("claimed_by", sa.String(80), nullable=False, default=""),
    sa.Column("claimed_at", sa.Double, nullable=False, default=0.0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("quality_score", sa.Double),
    sa.Column("cost_usd", sa.Double, nullable=False, default=0.0),
    sa.Column("tokens", sa.BigInteger, nullable=False, default=0),
    sa.Column("result", sa.JSON),
    sa.Index("documents_by_status", "status", "created_at"),
    sa.Index("documents_by_organization", "organization", "created_at"),
)

feedback = sa.Table(
    "feedback",
    SCHEMA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("document_id", sa.String(36), nullable=False),
    sa.Column("user_id", sa.String(36), nullable=False),
    sa.Column("organization", sa.String(80), nullable=False),
    sa.Column("feedback_type", sa.String(20), nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("comment", sa.Text, nullable=False, default=""),
    sa.Column("models", sa.JSON, nullable=False, default=list),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.UniqueConstraint("document_id", "user_id", "feedback_type"),
    sa.Index("feedback_by_time", "created_at"),
)

notifications = sa.Table(
    "notifications",
    SCHEMA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), nullable=False),
    sa.Column("document_id", sa.String(36), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("read_at", sa.Double),
    sa.UniqueConstraint("user_id", "document_id", "text"),
    sa.Index("notifications_by_user", "user_id", "created_at"),
)


def open_database(url: str) -> Engine:
    """The engine of `url` with its pool; its failed connections are counted in the platform's metrics."""
    # Through the module, not an imported name: instrumentation replaces sqlalchemy.create_engine.
    pooled = {"pool_timeout": POOL_SECONDS, "poolclass": sa.pool.QueuePool}
    engine = sa.create_engine(_with_driver(url), pool_pre_ping=not url.startswith("sqlite"), **pooled)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "handle_error", _count_lost_connection)
    _Hoard(engine)
    return engine


class _Hoard:
    """The fault point "database.pool": while a fault is injected, connections are taken from the pool and not given back.

    What was taken stays taken when the fault is over, as with code that forgets to; only a new pool helps.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._fault = engine, aiprism.controls.fault_point("database.pool")
        self._taken: list[sa.PoolProxiedConnection] = []
        self._taking = threading.Lock()
        sa.event.listen(engine, "checkout", self._strike)
        sa.event.listen(engine, "engine_disposed", lambda _: self._taken.clear())

    def _strike(self, *_: object) -> None:
        if self._fault.state["active"] and self._taking.acquire(blocking=False):
            threading.Thread(target=self._take, name="connection-hoard", daemon=True).start()

    def _take(self) -> None:
        try:
            while self._fault.state["active"]:
                with suppress(sa.exc.SQLAlchemyError):
                    self._taken.append(self._engine.raw_connection())
        finally:
            self._taking.release()


def create_tables(url: str) -> None:
    """Create what is missing; several processes may do so at once."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = open_database(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7236014)"))
        for table in SCHEMA.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda each: str(each.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))
    engine.dispose()


def insert_once(engine: Engine, table: sa.Table, values: dict[str, object]) -> bool:
    """Insert the row unless a unique constraint says it is there already; True when it was inserted."""
    try:
        with engine.begin() as connection:
            connection.execute(table.insert().values(**values))
    except sa.exc.IntegrityError:
        return False
    return True


def _with_driver(url: str) -> str:
    """psycopg 3 for plain PostgreSQL URLs, whose default driver would be psycopg2."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in ("postgres", "postgresql") else url


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Readers do not wait for the writer, writers wait for each other; a lost last second after a power cut is fine here.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _count_lost_connection(context: ExceptionContext) -> None:
    failed = isinstance(context.sqlalchemy_exception, sa.exc.OperationalError | sa.exc.InterfaceError)
    if failed or context.is_disconnect:
        aiprism.metrics.database_connections_failed(database=context.dialect.name)

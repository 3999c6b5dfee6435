"""The documents table as a queue: what waits, who has it, what came of it, what is let go.

In: uploads, claims of workers, reports. Out: rows, and the files beside them. A claim is a lease: what a replica had when
it died is taken up again, by its successor at once, by others when the lease is over. Who works is `processor`'s business.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa
from opentelemetry import propagate
from sqlalchemy.engine import Engine, RowMapping

from aiprism_lab.database import documents
from aiprism_lab.documents import DocumentFormat
from aiprism_lab.pipeline import Job, Report
from aiprism_lab.wiring import Identity

MAX_ATTEMPTS = 3
LEASE_SECONDS = 180.0  # after this long a claimed document is taken from a replica that has gone
KEEP_SECONDS = 6 * 3600.0  # texts and results; a lab that runs for days must not fill the disk


@dataclass(frozen=True, slots=True)
class Claimed:
    """A document a worker has taken, with what its upload's request knew."""

    job: Job
    requested_by: Identity
    trace_context: Mapping[str, str]
    queued_seconds: float


class DocumentQueue:
    """The documents table as a queue: what is waiting, who has it, what came of it. Blocking; called in threads."""

    def __init__(self, engine: Engine, folder: Path, instance: str) -> None:
        self._engine, self._folder, self._instance = engine, folder, instance

    def add(self, owner: Identity, filename: str, document_format: DocumentFormat, content: bytes, now: float) -> str:
        """Write the file, then the row: a row never names a file that is not there."""
        document_id = str(uuid.uuid4())
        upload = self._upload(document_id)
        upload.parent.mkdir(parents=True, exist_ok=True)
        upload.write_bytes(content)
        trace_context: dict[str, str] = {}
        propagate.inject(trace_context)
        row = {
            "id": document_id,
            "user_id": owner.user_id,
            "organization": owner.organization,
            "tier": owner.tier,
            "filename": filename[:255],
            "format": document_format.value,
            "size_bytes": len(content),
            "status": "queued",
            "request_id": owner.request_id,
            "trace_context": trace_context,
            "created_at": now,
        }
        with self._engine.begin() as connection:
            connection.execute(documents.insert().values(row))
        return document_id

    def claim(self, now: float) -> Claimed | None:
        """Take the oldest waiting document, if there is one; no two workers get the same."""
        waiting = documents.c.status == "queued"
        abandoned = _abandoned(now) & (documents.c.attempts < MAX_ATTEMPTS)
        oldest = sa.select(documents.c.id).where(waiting | abandoned).order_by(documents.c.created_at).limit(1)
        with self._engine.connect() as connection:
            document_id = connection.scalar(oldest)
        if document_id is None:
            return None
        taken = (
            documents.update()
            .where(documents.c.id == document_id, waiting | abandoned)
            .values(status="processing", claimed_by=self._instance, claimed_at=now, attempts=documents.c.attempts + 1)
        )
        with self._engine.begin() as connection:
            if connection.execute(taken).rowcount == 0:
                return None
            row = connection.execute(documents.select().where(documents.c.id == document_id)).mappings().one()
        return self._claimed(row, now)

    def resume(self, now: float) -> int:
        """Put back what a predecessor of this instance had begun; give up on what has failed too often."""
        mine = (documents.c.status == "processing") & (documents.c.claimed_by == self._instance)
        with self._engine.begin() as connection:
            connection.execute(_give_up(mine, now))
            return connection.execute(documents.update().where(mine).values(status="queued")).rowcount

    def give_back(self, document_id: str) -> None:
        """Let another worker have it; it was not this document's fault."""
        mine = (documents.c.id == document_id) & (documents.c.status == "processing")
        with self._engine.begin() as connection:
            connection.execute(
                documents.update().where(mine).values(status="queued", attempts=documents.c.attempts - 1)
            )

    def finish(self, document_id: str, report: Report, now: float) -> None:
        values = {
            "status": "completed",
            "finished_at": now,
            "quality_score": report.quality_score,
            "cost_usd": report.cost_usd,
            "tokens": report.tokens,
            "result": asdict(report),
        }
        with self._engine.begin() as connection:
            connection.execute(documents.update().where(documents.c.id == document_id).values(values))

    def fail(self, document_id: str, reason: str, now: float) -> None:
        values = {"status": "failed", "reason": reason, "finished_at": now}
        with self._engine.begin() as connection:
            connection.execute(documents.update().where(documents.c.id == document_id).values(values))

    def tidy(self, now: float) -> None:
        """Give up on documents that were abandoned too often; let go of texts and results that are old.

        What is counted in `statistics` stays.
        """
        with self._engine.begin() as connection:
            connection.execute(_give_up(_abandoned(now), now))
        before = now - KEEP_SECONDS
        old = (
            documents.c.finished_at.is_not(None)
            & (documents.c.finished_at < before)
            & (documents.c.status != "forgotten")
        )
        with self._engine.connect() as connection:
            rows = connection.execute(documents.select().where(old).limit(500)).mappings().all()
        for row in rows:
            job = self._claimed(row, before).job
            job.upload.unlink(missing_ok=True)
            job.home.unlink(missing_ok=True)
        if rows:
            names = [row["id"] for row in rows]
            with self._engine.begin() as connection:
                gone = documents.update().where(documents.c.id.in_(names))
                connection.execute(gone.values(status="forgotten", result=sa.null()))

    def length(self) -> int:
        """How many documents wait for their turn."""
        count = sa.select(sa.func.count()).select_from(documents).where(documents.c.status == "queued")
        with self._engine.connect() as connection:
            return connection.scalar(count) or 0

    def found(self, document_id: str, organization: str) -> RowMapping | None:
        """The row, for members of the organisation it belongs to."""
        wanted = (documents.c.id == document_id) & (documents.c.organization == organization)
        with self._engine.connect() as connection:
            return connection.execute(documents.select().where(wanted)).mappings().first()

    def latest(self, user_id: str, limit: int) -> list[RowMapping]:
        mine = documents.select().where(documents.c.user_id == user_id)
        with self._engine.connect() as connection:
            return list(connection.execute(mine.order_by(documents.c.created_at.desc()).limit(limit)).mappings())

    def statistics(self, since: float) -> list[RowMapping]:
        """Completed documents and their cost for each organisation since that time."""
        # A quality score tells completed documents from failed ones, also when their result has been forgotten.
        recent = documents.c.quality_score.is_not(None) & (documents.c.finished_at >= since)
        columns = (
            documents.c.organization,
            sa.func.count().label("completed"),
            sa.func.coalesce(sa.func.sum(documents.c.cost_usd), 0.0).label("cost_usd"),
        )
        grouped = sa.select(*columns).where(recent).group_by(documents.c.organization)
        with self._engine.connect() as connection:
            return list(connection.execute(grouped).mappings())

    def _claimed(self, row: RowMapping, now: float) -> Claimed:
        job = Job(
            document_id=row["id"],
            document_format=DocumentFormat(row["format"]),
            size_bytes=row["size_bytes"],
            user_id=row["user_id"],
            organization=row["organization"],
            tier=row["tier"],
            upload=self._upload(row["id"]),
            home=self._folder / row["id"][:2] / f"{row['id']}.{row['format']}",
        )
        who = Identity(row["request_id"], row["user_id"], row["organization"], row["tier"])
        return Claimed(job, who, row["trace_context"], now - row["created_at"])

    def _upload(self, document_id: str) -> Path:
        return self._folder / "incoming" / document_id


def _abandoned(now: float) -> sa.ColumnElement[bool]:
    return (documents.c.status == "processing") & (documents.c.claimed_at < now - LEASE_SECONDS)


def _give_up(those: sa.ColumnElement[bool], now: float) -> sa.Update:
    reason = f"processing broke off {MAX_ATTEMPTS} times"
    hopeless = documents.update().where(those, documents.c.attempts >= MAX_ATTEMPTS)
    return hopeless.values(status="failed", reason=reason, finished_at=now)

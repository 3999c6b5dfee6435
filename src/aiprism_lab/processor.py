"""document-processor: takes uploads, queues them in the database, and works them off through the pipeline.

In: POST /documents. Out: status and results under /documents/{id}. The queue is the documents table, so a crash loses
nothing: a restarted replica takes up what its predecessor had begun, with the trace of the upload.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import httpx
import sqlalchemy as sa
from fastapi import FastAPI, File, UploadFile
from opentelemetry import context, propagate
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.engine import RowMapping

import aiprism
from aiprism_lab import pipeline
from aiprism_lab.database import open_database
from aiprism_lab.documentqueue import LEASE_SECONDS, Claimed, DocumentQueue
from aiprism_lab.documents import UnreadableDocumentError, format_of
from aiprism_lab.pipeline import Analysis, Job
from aiprism_lab.serving import RefusedError, new_app
from aiprism_lab.wiring import Peers, PeerUnavailableError, Settings, Topology, identity, untraced

MAX_UPLOAD_BYTES = 5 * 1024 * 1024
WORKERS = 8  # documents of one replica under way at once; they mostly wait for models
ANALYSIS_TIMEOUT_SECONDS = 90.0
LOOK_SECONDS = 1.0  # how often an idle worker looks for documents that other replicas received
REPORT_SECONDS = 5.0

# What a database says that is away, is going, or has only just become the primary.
_AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.TimeoutError)

log = aiprism.logger("document-processor")


class AnalysisFailedError(Exception):
    """ai-analysis-service could not be reached or failed, on every attempt."""


_ANALYSIS = TypeAdapter(Analysis)


class Workers:
    """Takes documents from the queue, `WORKERS` at once, and sees each one through to a result or a reason."""

    def __init__(self, settings: Settings, queue: DocumentQueue, peers: Peers) -> None:
        self._settings, self._queue, self._peers = settings, queue, peers
        self._arrived = asyncio.Event()
        self._places = asyncio.Semaphore(WORKERS)

    def wake(self) -> None:
        """Something was queued."""
        self._arrived.set()

    async def work(self) -> None:
        """Until cancelled; then what is under way goes back to the queue."""
        async with asyncio.TaskGroup() as under_way:
            while True:
                await self._places.acquire()
                claimed = await self._next()
                under_way.create_task(self._see_through(claimed))

    async def _next(self) -> Claimed:
        while True:
            self._arrived.clear()
            try:
                # Looking into an empty queue every second is not worth a trace.
                with untraced():
                    claimed = await asyncio.to_thread(self._queue.claim, time.time())
            except sa.exc.SQLAlchemyError as error:
                log.error("the queue cannot be read", error=error)
                claimed = None
            if claimed is not None:
                return claimed
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._arrived.wait()

    async def look_after(self) -> None:
        """Keep the queue's gauge and the day's figures up to date and forget old results, until cancelled."""
        while True:
            try:
                with untraced():
                    await self._report()
                    await asyncio.to_thread(self._queue.tidy, time.time())
            except Exception as error:
                log.error("the queue cannot be looked after", error=error)
            await asyncio.sleep(REPORT_SECONDS)

    async def _report(self) -> None:
        aiprism.metrics.document_queue_size(await asyncio.to_thread(self._queue.length))
        rows = await asyncio.to_thread(self._queue.statistics, time.time() - 86_400)
        completed, cost = sum(row["completed"] for row in rows), sum(row["cost_usd"] for row in rows)
        labels = {"organization": "all", "time_period": "daily"}
        aiprism.metrics.business_kpi(completed, kpi_name="documents_processed_24h", **labels)
        aiprism.metrics.business_kpi(cost / max(1, completed), kpi_name="cost_per_document", **labels)

    async def _see_through(self, claimed: Claimed) -> None:
        job, started = claimed.job, time.perf_counter()
        token = context.attach(propagate.extract(claimed.trace_context))
        known = identity.set(claimed.requested_by)
        try:
            with aiprism.context(
                request_id=claimed.requested_by.request_id,
                user_id=job.user_id,
                organization_id=job.organization,
                user_tier=job.tier,
            ):
                await self._process(job, started)
        except asyncio.CancelledError:
            self._queue.give_back(job.document_id)
            raise
        except Exception as error:
            # Whatever it was, the next document must not suffer. This one is taken up again when its lease is over.
            log.error("processing broke off", error=error, document_id=job.document_id)
        finally:
            self._places.release()
            identity.reset(known)
            context.detach(token)

    async def _process(self, job: Job, started: float) -> None:
        try:
            report = await pipeline.process(job, self._analyse, self._settings.version)
        except (UnreadableDocumentError, AnalysisFailedError) as error:
            self._count(job, "failed")
            log.error("document processing failed", error=error, document_id=job.document_id)
            reason = str(error)
            await self._note(lambda: self._queue.fail(job.document_id, reason, time.time()), job, started)
            await self._tell(job, f"Your document could not be analysed: {error}")
            return
        duration_ms = (time.perf_counter() - started) * 1000
        await self._note(lambda: self._queue.finish(job.document_id, report, time.time()), job, started)
        self._count(job, "completed")
        log.info(
            "document processing completed",
            document_id=job.document_id,
            duration_ms=duration_ms,
            sections_processed=len(report.sections),
            feedback_items=len(report.feedback),
            degraded=report.degraded,
        )
        await self._tell(job, f"The analysis of “{report.title}” is ready: {len(report.feedback)} remarks.")

    async def _note(self, note: Callable[[], None], job: Job, started: float) -> None:
        """Note what came of a document, also after the database was away for a while: as long as nobody else may take it."""
        while True:
            try:
                return await asyncio.to_thread(note)
            except _AWAY as error:
                if time.perf_counter() - started > LEASE_SECONDS:
                    raise
                log.error("what came of a document cannot be noted yet", error=error, document_id=job.document_id)
            await asyncio.sleep(LOOK_SECONDS)

    def _count(self, job: Job, status: str) -> None:
        aiprism.metrics.documents_processed(
            document_type=job.document_format.value, processing_status=status, user_type=job.tier
        )

    async def _analyse(self, wanted: Mapping[str, object]) -> Analysis:
        try:
            response = await self._peers.request("ai-analysis-service", "POST", "/analyses", json=wanted)
            response.raise_for_status()
            return _ANALYSIS.validate_json(response.content)
        except (httpx.HTTPError, PeerUnavailableError, ValidationError) as error:
            raise AnalysisFailedError(f"the analysis failed: {error}") from error

    async def _tell(self, job: Job, text: str) -> None:
        message = {"document_id": job.document_id, "text": text}
        try:
            response = await self._peers.request("notification-service", "POST", "/notifications", json=message)
            response.raise_for_status()
        except (httpx.HTTPError, PeerUnavailableError) as error:
            log.error("the user could not be notified", error=error, document_id=job.document_id)


class DocumentOut(BaseModel):
    """What a user sees of a document; `sections` says who analysed what, once it is completed."""

    id: str
    filename: str
    format: str
    size_bytes: int
    status: str
    reason: str
    created_at: float
    finished_at: float | None
    quality_score: float | None


def build(settings: Settings) -> FastAPI:
    """The application of process "document-processor"."""
    engine = open_database(settings.database_url)
    queue = DocumentQueue(engine, settings.data / "documents", settings.instance)
    peers = Peers(Topology(settings.topology), timeout=ANALYSIS_TIMEOUT_SECONDS)
    workers = Workers(settings, queue, peers)
    aiprism.controls.pool("database", reset=engine.dispose)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with untraced():
            resumed = await asyncio.to_thread(queue.resume, time.time())
        if resumed:
            log.info("unfinished documents taken up again", documents=resumed)
        tasks = [asyncio.create_task(workers.work()), asyncio.create_task(workers.look_after())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await peers.aclose()
        engine.dispose()

    app = new_app(settings, lifespan)

    @app.post("/documents", status_code=202)
    async def upload(file: Annotated[UploadFile, File()]) -> dict[str, str]:
        content = await file.read(MAX_UPLOAD_BYTES + 1)
        if len(content) > MAX_UPLOAD_BYTES:
            raise RefusedError(413, "too_large", f"the document is larger than {MAX_UPLOAD_BYTES} bytes")
        try:
            document_format = format_of(file.filename or "", content)
        except UnreadableDocumentError as error:
            raise RefusedError(415, "unsupported", str(error)) from error
        owner, name = identity.get(), file.filename or "unnamed"
        document_id = await asyncio.to_thread(queue.add, owner, name, document_format, content, time.time())
        workers.wake()
        return {"id": document_id, "status": "queued"}

    @app.get("/documents")
    async def latest(limit: int = 20) -> dict[str, list[DocumentOut]]:
        rows = await asyncio.to_thread(queue.latest, identity.get().user_id, min(limit, 100))
        return {"documents": [_document_out(row) for row in rows]}

    @app.get("/documents/{document_id}")
    async def status(document_id: str) -> DocumentOut:
        return _document_out(await _found(queue, document_id))

    @app.get("/documents/{document_id}/result")
    async def result(document_id: str) -> dict[str, object]:
        row = await _found(queue, document_id)
        if row["status"] != "completed":
            raise RefusedError(409, "no_result", f"the document is {row['status']}; there is no result")
        return {"id": document_id, **row["result"]}

    @app.get("/statistics")
    async def statistics(seconds: float = 86_400) -> dict[str, list[dict[str, object]]]:
        rows = await asyncio.to_thread(queue.statistics, time.time() - seconds)
        return {"organizations": [dict(row) for row in rows]}

    return app


async def _found(queue: DocumentQueue, document_id: str) -> RowMapping:
    row = await asyncio.to_thread(queue.found, document_id, identity.get().organization)
    if row is None:
        raise RefusedError(404, "not_found", f"there is no document {document_id} in your organisation")
    return row


def _document_out(row: RowMapping) -> DocumentOut:
    return DocumentOut(**{name: row[name] for name in DocumentOut.model_fields})

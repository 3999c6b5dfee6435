"""The lab's users: they sign in, upload documents, wait for the result, read it and say what they think of it.

In: the gateway's port from the topology, a rate in documents a second, a seed. Out: real traffic, steady enough that a
healthy system shows flat lines. What the users have seen so far can be read from GET /statistics.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI

from aiprism_lab import generate
from aiprism_lab.documents import DocumentFormat
from aiprism_lab.serving import new_app
from aiprism_lab.wiring import Settings, Topology

log = logging.getLogger("aiprism_lab.load")

ORGANIZATIONS = (
    ("alder-insurance", "enterprise"),
    ("brightwater-energy", "enterprise"),
    ("castell-logistics", "premium"),
    ("dunmore-health", "premium"),
    ("elm-street-law", "standard"),
    ("fairfield-school", "standard"),
)
FORMATS = (DocumentFormat.WORD, DocumentFormat.PDF, DocumentFormat.MARKDOWN, DocumentFormat.TEXT)
CORPUS_SIZE = 40  # drafts made once and uploaded again and again: making a PDF costs more than analysing it
POLL_SECONDS = 0.7
PATIENCE_SECONDS = 45.0
EXPECTED_SECONDS = 2.0  # a result within this time is as fast as users want it
FEEDBACK_SHARE = 0.6


@dataclass(slots=True)
class Tally:
    """What the users have met with since the start."""

    counts: Counter[str] = field(default_factory=Counter)
    waiting_seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        completed = self.counts["completed"]
        return {**self.counts, "mean_wait_seconds": self.waiting_seconds / completed if completed else None}


class Corpus:
    """Documents to upload, made from the seed when first needed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[int, tuple[str, bytes]] = {}

    def pick(self, chance: random.Random) -> tuple[str, bytes]:
        """A file name and its content."""
        number = chance.randrange(CORPUS_SIZE)
        if number not in self._made:
            document_format = FORMATS[number % len(FORMATS)]
            draft = generate.draft(self._seed * 1000 + number)
            name = f"{draft.kind.replace('_', '-')}-{number}.{document_format}"
            self._made[number] = (name, generate.render(draft, document_format))
        return self._made[number]


def satisfaction(quality: float, waited: float, mood: float) -> float:
    """The score a user gives, 0…1: mostly the result's quality, less for waiting, shifted by the user's own mood.

    >>> satisfaction(quality=1.0, waited=1.0, mood=0.0)
    1.0
    >>> satisfaction(quality=0.5, waited=20.0, mood=0.0)
    0.35
    """
    speed = min(1.0, EXPECTED_SECONDS / max(waited, 0.001))
    return round(max(0.0, min(1.0, 0.65 * quality + 0.25 * speed + 0.1 * (quality > 0.7) + mood)), 3)


class GatewayLostError(Exception):
    """The gateway could not be reached or refused the user for good; this round is over."""


class User:
    """One person with a session, an organisation and a habit of uploading every `period` seconds."""

    def __init__(self, number: int, settings: Settings, topology: Topology, corpus: Corpus, tally: Tally) -> None:
        self._chance = random.Random(settings.seed * 7919 + number)
        self._organization, self._tier = ORGANIZATIONS[number % len(ORGANIZATIONS)]
        self._email = f"user-{number:03d}@{self._organization}.example"
        self._period = settings.users / settings.rate
        self._first = self._period * number / settings.users
        self._topology, self._corpus, self._tally = topology, corpus, tally
        self._mood = self._chance.gauss(0.0, 0.04)
        self._rounds = itertools.count(1)
        self._token = ""
        self._client = httpx.AsyncClient(timeout=20.0, trust_env=False)

    async def live(self) -> None:
        """Round after round at an even pace, until cancelled."""
        await asyncio.sleep(self._first)
        while True:
            started = time.monotonic()
            try:
                await self._round()
            except (httpx.HTTPError, GatewayLostError, ValueError, KeyError) as error:
                self._tally.counts["broken_rounds"] += 1
                log.debug("%s gives up this round: %s", self._email, error)
            pace = self._period * self._chance.uniform(0.8, 1.2)
            await asyncio.sleep(max(0.5, pace - (time.monotonic() - started)))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _round(self) -> None:
        if not self._token:
            await self._sign_in()
        if next(self._rounds) % 4 == 0:
            await self._ask("GET", "/notifications")
            await self._ask("GET", "/documents")
        document_id = await self._upload()
        if document_id is None:
            return
        started = time.monotonic()
        status = await self._wait(document_id)
        waited = time.monotonic() - started
        self._tally.counts[status] += 1
        if status != "completed":
            return
        self._tally.waiting_seconds += waited
        await self._read_and_rate(document_id, waited)

    async def _sign_in(self) -> None:
        account = {"email": self._email, "password": f"{self._email}-password"}
        group = {"organization": self._organization, "tier": self._tier}
        await self._send("POST", "/signup", json=account | group)  # 409 when a former run has signed up already
        answer = await self._send("POST", "/login", json=account)
        if answer.status_code != 201:
            raise GatewayLostError(f"login answered {answer.status_code}")
        self._token = answer.json()["token"]

    async def _upload(self) -> str | None:
        name, content = self._corpus.pick(self._chance)
        answer = await self._ask("POST", "/documents", files={"file": (name, content)})
        if answer.status_code != 202:
            self._tally.counts["refused_uploads"] += 1
            return None
        self._tally.counts["uploaded"] += 1
        document_id: str = answer.json()["id"]
        return document_id

    async def _wait(self, document_id: str) -> str:
        """How it ended: completed, failed, or given up after `PATIENCE_SECONDS`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            answer = await self._ask("GET", f"/documents/{document_id}")
            if answer.status_code == 200 and answer.json()["status"] in ("completed", "failed"):
                return str(answer.json()["status"])
        return "given_up"

    async def _read_and_rate(self, document_id: str, waited: float) -> None:
        answer = await self._ask("GET", f"/documents/{document_id}/result")
        if answer.status_code != 200 or self._chance.random() > FEEDBACK_SHARE:
            return
        score = satisfaction(answer.json()["quality_score"], waited, self._mood)
        given = {"document_id": document_id, "feedback_type": "rating", "score": score}
        if (await self._ask("POST", "/feedback", json=given)).status_code == 201:
            self._tally.counts["rated"] += 1

    async def _ask(
        self, method: str, path: str, *, json: object = None, files: dict[str, tuple[str, bytes]] | None = None
    ) -> httpx.Response:
        """A request in the user's session; a session that is over is opened anew once."""
        answer = await self._send(method, path, json=json, files=files)
        if answer.status_code == 401:
            await self._sign_in()
            answer = await self._send(method, path, json=json, files=files)
        return answer

    async def _send(
        self, method: str, path: str, *, json: object = None, files: dict[str, tuple[str, bytes]] | None = None
    ) -> httpx.Response:
        ports = self._topology.ports("api-gateway")
        if not ports:
            raise GatewayLostError("there is no gateway")
        url = f"http://127.0.0.1:{self._chance.choice(ports)}{path}"
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        answer = await self._client.request(method, url, json=json, files=files, headers=headers)
        self._tally.counts["requests"] += 1
        self._tally.counts[f"answers_{answer.status_code // 100}xx"] += 1
        return answer


def build(settings: Settings) -> FastAPI:
    """The application of process "load"."""
    topology, corpus, tally = Topology(settings.topology), Corpus(settings.seed), Tally()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        living = asyncio.create_task(_live(settings, topology, corpus, tally))
        yield
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)

    app = new_app(settings, lifespan)

    @app.get("/statistics")
    async def statistics() -> dict[str, object]:
        return tally.to_json()

    return app


async def _live(settings: Settings, topology: Topology, corpus: Corpus, tally: Tally) -> None:
    """All users, from the moment the system is ready."""
    while not topology.ready:  # noqa: ASYNC110 - readiness is a file that another process writes
        await asyncio.sleep(0.2)
    users = [User(number, settings, topology, corpus, tally) for number in range(settings.users)]
    try:
        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(user.live())
    finally:
        for user in users:
            await user.aclose()

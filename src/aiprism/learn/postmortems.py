"""Writes a postmortem of every incident that is resolved, and keeps every version of it.

In: resolved incidents, evidence of telemetry, what people write. Out: versions in the control database, which neither
telemetry's retention nor that of incidents removes, each with the evidence that was frozen when it was generated: JSON,
compressed, at most `MOST_BYTES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
import structlog

from aiprism.clock import Clock
from aiprism.errors import Conflict, NotFound
from aiprism.learn import postmortem
from aiprism.learn.chart import Chart, Curve
from aiprism.learn.evidence import Evidence, Gatherer
from aiprism.learn.postmortem import Facts
from aiprism.learn.similar import Likeness, Related, Traits, alike, traits_of
from aiprism.respond import dossier, journal
from aiprism.respond.bell import Bell
from aiprism.respond.incident import MACHINE, Incident, Noted
from aiprism.respond.pipeline import Respond
from aiprism.store import investigations
from aiprism.store import postmortems as store
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "learn.postmortem"
MOST_BYTES = 4 << 20  # of evidence, compressed
REMEMBERED = 500  # past incidents that are looked at for similar ones
BACK = 7 * 86_400.0  # seconds: what was resolved longer ago is written of only when somebody asks

_EVERY = 60.0  # seconds between looks, whatever rings
_SHORTEST = 1.0


@dataclass(frozen=True, slots=True)
class Postmortem:
    """One version of one postmortem; `evidence` is the version whose evidence it shows, `latest` the last there is."""

    incident_id: str
    version: int
    latest: int
    at: float
    author: str
    title: str
    text: str
    evidence: int


class Postmortems:
    """The postmortems of one tenant."""

    def __init__(
        self, respond: Respond, gatherer: Gatherer, related: Related, clock: Clock, telemetry: Telemetry | None = None
    ) -> None:
        self._respond, self._gatherer, self._related = respond, gatherer, related
        self._clock, self._telemetry = clock, telemetry or Telemetry()
        self._bell = Bell()
        self._task: asyncio.Task[None] | None = None
        respond.on_work(self._bell.ring)

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, incident_id: str, version: int | None = None) -> Postmortem:
        """A version, or the last one; NotFound when there is none."""
        with self._respond.reading() as connection:
            row = store.version(connection, incident_id, version)
            known = store.versions(connection, incident_id)
        if row is None:
            what = f"version {version} of a postmortem" if version and known else "postmortem"
            raise NotFound(f"there is no {what} of incident {incident_id!r}; one is written when it is resolved")
        return Postmortem(**{name: row[name] for name in row if name != "errors"}, latest=known[0][0])  # type: ignore[literal-required]

    def versions(self, incident_id: str) -> list[tuple[int, float, str]]:
        """(version, time, author) of every version, the last one first."""
        with self._respond.reading() as connection:
            return store.versions(connection, incident_id)

    def frozen(self, of: Postmortem) -> Mapping[str, Any]:
        """The facts and the evidence it was generated of, as JSON."""
        with self._respond.reading() as connection:
            packed = store.evidence(connection, of.incident_id, of.evidence)
        found: Mapping[str, Any] = orjson.loads(zlib.decompress(packed)) if packed else {}
        return found

    def charts(self, of: Postmortem) -> tuple[Chart, ...]:
        """The charts it shows, in their order."""
        kept = self.frozen(of).get("evidence", {}).get("charts", ())
        return tuple(Chart(**{**each, "curves": tuple(Curve(**curve) for curve in each["curves"])}) for each in kept)

    def similar(self, incident_id: str) -> list[Likeness]:
        """The past incidents it resembles; NotFound when there is no such incident."""
        with self._respond.reading() as connection:
            incident = journal.read(connection, incident_id)
            known = store.errors(connection, [incident_id])
        return self.resembling(incident, tuple(known.get(incident_id, ())))

    def resembling(self, incident: Incident, errors: Sequence[str] = ()) -> list[Likeness]:
        """As `similar`, with the error patterns of `incident` as far as they are known."""
        with self._respond.reading() as connection:
            others = [
                each
                for each in journal.listed(connection, "all", REMEMBERED)
                if each.created_at < incident.created_at and not each.work.merged_into
            ]
            known = store.errors(connection, [each.id for each in others])
        past: list[Traits] = [traits_of(each, known.get(each.id, ())) for each in others]
        return alike(traits_of(incident, errors), past, self._related)

    # -- writing ---------------------------------------------------------------------------------------------------

    async def write(self, incident_id: str, author: str = MACHINE, *, again: bool = False) -> Postmortem:
        """Generate one of an incident that is resolved. Conflict while it is open, or when there is one and it is not to be
        generated `again`; the versions before stay."""
        incident, before = await asyncio.to_thread(self._resolved, incident_id)
        if before and not again:
            raise Conflict(f"incident {incident_id} has a postmortem; ask for it to be generated again, or change it")
        now = self._clock.now()
        evidence = await self._gatherer.gather(incident, now)
        facts = await asyncio.to_thread(self._facts, incident, evidence)
        kept = await asyncio.to_thread(self._keep, facts, author, before)
        self._telemetry.passed(STAGE)
        return kept

    def edit(self, incident_id: str, version: int, author: str, text: str) -> Postmortem:
        """Put `text` in the place of `version`, which stays readable; Conflict when it is not the last one any more."""
        with self._respond.desk() as desk:
            row = store.version(desk.connection, incident_id)
            if row is None:
                raise NotFound(f"there is no postmortem of incident {incident_id!r}")
            if row["version"] != version:
                raise Conflict(
                    f"the postmortem of {incident_id} is at version {row['version']}, not {version}: somebody has changed "
                    "it; read it again",
                    details={"version": row["version"]},
                )
            store.add(desk.connection, {**row, "version": version + 1, "author": author, "text": text, "at": desk.now})
            with contextlib.suppress(NotFound):  # an incident that has left the control database has no timeline
                desk.happen(incident_id, Noted("postmortem_changed", author, f"postmortem, version {version + 1}"))
        return self.read(incident_id)

    def _resolved(self, incident_id: str) -> tuple[Incident, int]:
        with self._respond.reading() as connection:
            incident = journal.read(connection, incident_id)
            known = store.version(connection, incident_id)
        if incident.work.merged_into:
            raise Conflict(
                f"incident {incident_id} goes on as part of {incident.work.merged_into}: the postmortem is that one's"
            )
        if incident.open:
            raise Conflict(
                f"incident {incident_id} is {incident.status.value}: its postmortem is written when it is resolved"
            )
        return incident, known["version"] if known else 0

    def _facts(self, incident: Incident, evidence: Evidence) -> Facts:
        policy = self._respond.policy
        with self._respond.reading() as connection:
            told = dossier.dossier(connection, incident.id, policy.periods.limits)
            investigation = investigations.read(connection, incident.id)
        services = {name: policy.services.named(name) for name in incident.services}
        return Facts(
            incident=incident,
            told=told,
            tier=policy.periods.tiers.of[incident.priority],
            evidence=evidence,
            alike=tuple(self.resembling(incident, _errors(evidence))),
            investigation=investigation if investigation and investigation["state"] == investigations.DONE else None,
            unowned=tuple(name for name, known in services.items() if not (known and (known.owner or known.team))),
        )

    def _keep(self, facts: Facts, author: str, before: int) -> Postmortem:
        evidence, packed = _packed(facts)
        facts = replace(facts, evidence=evidence)
        text, title, version = postmortem.markdown(facts), facts.incident.title, before + 1
        incident_id = facts.incident.id
        with self._respond.desk() as desk:
            last = store.version(desk.connection, incident_id)
            if (last["version"] if last else 0) != before:
                raise Conflict(f"somebody else has written of {incident_id} meanwhile; read it again")
            row: store.PostmortemRow = {
                "incident_id": incident_id, "version": version, "at": desk.now, "author": author, "title": title,
                "text": text, "evidence": version, "errors": list(_errors(evidence)),
            }  # fmt: skip
            store.add(desk.connection, row, packed)
            desk.happen(incident_id, Noted("postmortem_written", author, f"postmortem, version {version}"))
        return self.read(incident_id)

    # -- by itself -------------------------------------------------------------------------------------------------

    async def write_wanting(self) -> int:
        """Write of every incident that was resolved lately and has no postmortem; how many that were."""
        wanting = await asyncio.to_thread(self._wanting)
        written = 0
        for incident_id in wanting:
            # One that cannot be written does not keep the others waiting; it is tried again at the next look.
            try:
                await self.write(incident_id, again=True)
                written += 1
            except Exception as error:
                self._telemetry.dropped(STAGE, "failed")
                log.error("postmortem.not_written", incident=incident_id, error=repr(error))
        return written

    def _wanting(self) -> list[str]:
        with self._respond.reading() as connection:
            return store.wanting(connection, self._clock.now() - BACK, MACHINE)

    async def start(self) -> None:
        """Write from now on."""
        self._task = asyncio.create_task(self._loop(), name="postmortems")

    async def stop(self) -> None:
        """Write no more; one that is half gathered is begun anew after the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _loop(self) -> None:
        while True:
            # The one broad catch of this loop: a database that is away comes back.
            try:
                await self.write_wanting()
            except Exception:
                log.exception("postmortem.look_failed")
            await self._clock.sleep(_SHORTEST)
            await self._bell.wait(self._clock, _EVERY)


def _errors(evidence: Evidence) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.pattern for each in evidence.patterns))


def _packed(facts: Facts) -> tuple[Evidence, bytes]:
    """The evidence as it fits, and packed: of what is too much, spans go first, then lines."""
    evidence = facts.evidence
    for part, without in (("", {}), ("traces", {"traces": (), "otlp": {}}), ("lines", {"lines": ()})):
        if part:
            said = f"they did not fit: evidence is kept up to {MOST_BYTES >> 20} MiB, compressed"
            evidence = replace(evidence, **without, unknown={**evidence.unknown, part: said})
        kept = {
            "incident": facts.told,
            "figures": [{**asdict(each), "met": each.met} for each in postmortem.figures(facts)],
            "actions": [asdict(each) for each in postmortem.actions(replace(facts, evidence=evidence))],
            "investigation": facts.investigation,
            "similar": [asdict(each) for each in facts.alike],
            "evidence": asdict(evidence),
        }
        packed = zlib.compress(orjson.dumps(kept, option=orjson.OPT_NON_STR_KEYS), 6)
        if len(packed) <= MOST_BYTES:
            break
    return evidence, packed

"""New error patterns as alerts: a loop that looks every few seconds at what was counted of the last minutes.

In: the rollup of log patterns, the settings, a way to hand alerts on, the kept states. Out: an alert `NewErrorPattern` for
each statement a service makes for the first time at an error's level (`newpatterns.py` decides), resolved once it was silent
for a while; the same hand-off as that of rules.

What is known is read from the rollup at the start: patterns of the last `watch_memory` seconds. What a process before this
one had looked at is known, what came since is not, so that a restart neither misses a pattern nor tells one twice. After an
hour without anybody looking everything that is there is known: a detector that was off for long does not flood.

If a step fails (the store is away, alerts are not accepted, states cannot be kept) it is logged, counted and tried again at
the next look.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from aiprism.clock import Clock
from aiprism.config import LogsConfig
from aiprism.detect.evaluation import due, resolved
from aiprism.detect.loghints import Hints
from aiprism.detect.logpatterns import templates
from aiprism.detect.newpatterns import ERRORS, NewPattern, sifted
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.model.logs import PatternCount, PatternLine
from aiprism.model.timerange import TimeRange
from aiprism.store.alertstates import LOG_PATTERNS, AlertStates, KeptAlert
from aiprism.store.engine import Engine
from aiprism.store.patterncounts import begun, first_lines, pattern_counts, pattern_lines
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

ALERT = "NewErrorPattern"
STAGE = "detect.logs"
_RULE = f"{LOG_PATTERNS}/{ALERT}"

_LOOKBACK = 600.0  # seconds: lines that come in later than this are known without being told
_AHEAD = 3600.0  # and so far ahead of our clock may a line be
_FORGOTTEN = 3600.0  # after a pause of this length nothing of it is news
_NOTED = 60.0  # how often it is kept that somebody looked
_HOUR = 3600.0
_MOST_KNOWN = 50_000  # patterns, services and levels read at the start
_EXAMPLE = 500  # characters

Notify = Callable[[Sequence[Alert]], Awaitable[object]]


class PatternWatch:
    """Looks for new error patterns from `start()` to `stop()`."""

    def __init__(
        self,
        engine: Engine,
        settings: LogsConfig,
        *,
        notify: Notify,
        states: AlertStates,
        clock: Clock,
        telemetry: Telemetry,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        hints: Hints | None = None,
    ) -> None:
        self._engine, self._settings, self._notify, self._states = engine, settings, notify, states
        self._clock, self._telemetry, self._hints = clock, telemetry, hints or Hints(())
        self._external_labels, self._external_url = external_labels or {}, external_url
        self._task: asyncio.Task[None] | None = None
        self._forget_everything()

    def _forget_everything(self) -> None:
        self._ended = False  # it is switched off, and its alerts are over
        self._since: float | None = None  # from when on lines are looked at; None: what is known has not been read
        self._known: dict[str, dict[int, str]] = defaultdict(dict)  # service → pattern id → pattern
        self._seen: dict[tuple[str, int], int] = {}  # (service, pattern id) → the last minute of it
        self._alerts: dict[str, KeptAlert] = {}  # by fingerprint
        self._members: dict[str, set[int]] = {}  # the patterns of each alert
        self._saved: dict[str, KeptAlert] = {}
        self._noted = 0.0
        self._begun_at: deque[float] = deque()  # alerts of the last hour

    # -- the duty --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Look from now on."""
        self._forget_everything()
        self._task = asyncio.create_task(self._loop(), name="log patterns")

    async def stop(self) -> None:
        """Look no more; alerts stay kept for whoever is next."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def reload(self, settings: LogsConfig, hints: Hints | None = None) -> None:
        """Go on with these settings, and with these hints."""
        self._settings, self._hints = settings, hints or self._hints

    async def _loop(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # the one broad catch of this loop: it outlives whatever other rooms raise
                log.warning("logs.watch_failed", error=str(error) or type(error).__name__)
                self._telemetry.dropped(STAGE, "failed")
            await self._clock.sleep(self._settings.watch_interval)

    async def look(self) -> None:
        """Find what is new, tell it, and end what is over."""
        now, wanted = self._clock.now(), self._settings.watch
        if self._since is None:
            if self._ended and not wanted:
                return
            await self._take_up(now)
        if wanted:
            await self._find(now)
        for name, kept in self._alerts.items():
            if kept.alert.state is AlertState.FIRING and self._is_over(kept, now):
                self._alerts[name] = resolved(kept, now)
                log.info("logs.pattern_silent", **kept.alert.labels.to_dict())
        await self._tell(now)
        self._ended = not wanted
        if not wanted:
            self._since = None  # whoever switches it on again begins with what is known then

    # -- what is known ---------------------------------------------------------------------------------------------

    async def _take_up(self, now: float) -> None:
        self._forget_everything()
        kept = await asyncio.to_thread(self._states.load)
        looked = kept.evaluated_at.get(LOG_PATTERNS, 0.0)
        since = looked if now - looked <= _FORGOTTEN else now
        memory = TimeRange(now - self._settings.watch_memory, now + _AHEAD)
        rows = await self._counts(memory, step=86_400, limit=_MOST_KNOWN)
        minute = int(since) // 60 * 60  # in which it is not the rollup that tells what came before
        within = {row.pattern_id for row in rows if row.first_seen == minute}
        exactly = await self._engine.run(first_lines, self._engine, within, minute)
        for row in rows:
            if exactly.get((row.service, row.pattern_id), row.first_seen) <= since:
                self._know(row)
        for each in kept.alerts.get(_RULE, ()):
            self._alerts[each.alert.fingerprint] = each
            self._members[each.alert.fingerprint] = self._alike(each.alert)
        self._saved, self._since = dict(self._alerts), since
        log.info("logs.watch_begun", patterns=len(self._seen), alerts=len(self._alerts))

    def _alike(self, alert: Alert) -> set[int]:
        """The patterns of the statement that an alert is about."""
        pattern_id, known = _pattern_id(alert), self._known.get(alert.labels.get("service", ""), {})
        found = templates(Counter(known.values()))
        own = found.get(known.get(pattern_id, ""))
        return {pattern_id, *(each for each, text in known.items() if found[text] == own)}

    def _know(self, row: PatternCount) -> None:
        self._known[row.service][row.pattern_id] = row.pattern
        key = row.service, row.pattern_id
        self._seen[key] = max(row.last_seen, self._seen.get(key, 0))

    async def _counts(self, window: TimeRange, *, step: int = 3600, limit: int = 5000) -> Sequence[PatternCount]:
        return await self._engine.run(pattern_counts, self._engine, window, step=step, levels=ERRORS, limit=limit)

    def _forget(self, now: float) -> None:
        too_old = now - self._settings.watch_memory
        for service, pattern_id in [key for key, at in self._seen.items() if at < too_old]:
            del self._seen[service, pattern_id], self._known[service][pattern_id]

    # -- what is new -----------------------------------------------------------------------------------------------

    async def _find(self, now: float) -> None:
        assert self._since is not None
        rows = await self._counts(TimeRange(min(self._since, now - _LOOKBACK), now + _AHEAD))
        unknown = [row for row in rows if (row.service, row.pattern_id) not in self._seen]
        if unknown:
            self._forget(now)
            services = {row.service for row in unknown}
            first = await self._engine.run(begun, self._engine, services, now - self._settings.watch_memory)
            known = {service: dict(self._known[service]) for service in services}
            found = await asyncio.to_thread(sifted, unknown, known, first, self._settings.watch_baseline)
            for reason, patterns in found.quiet.items():
                self._telemetry.dropped(STAGE, reason, patterns)
            for (service, pattern_id), like in found.variants.items():
                self._join(service, pattern_id, like)
            for news in found.news:
                await self._begin(news, now)
        for row in rows:
            self._know(row)
        self._since = now

    def _join(self, service: str, pattern_id: int, like: int) -> None:
        """A variant of a pattern that an alert is about keeps it firing."""
        for name, members in self._members.items():
            if like in members and self._alerts[name].alert.labels.get("service", "") == service:
                members.add(pattern_id)

    async def _begin(self, news: NewPattern, now: float) -> None:
        if any(_is_about(kept.alert, news) for kept in self._alerts.values()):
            return  # begun by a look that was cut short
        if not self._has_room(now):
            self._telemetry.dropped(STAGE, "limit")
            log.warning(
                "logs.new_pattern_not_told", service=news.service, template=news.template, why="logs.watch_most"
            )
            return
        places = {(each.service, at) for each in news.met for at in (each.first_seen, each.last_seen)}
        window = TimeRange(min(at for _, at in places), max(at for _, at in places) + 60)
        lines = await self._engine.run(pattern_lines, self._engine, window, [news.pattern_id], places, each=1)
        alert = _alert(news, lines[0] if lines else None, self._settings, self._external_url, self._hints, now)
        self._begun_at.append(now)
        self._alerts[alert.fingerprint] = KeptAlert(alert)
        self._members[alert.fingerprint] = {each.pattern_id for each in news.met}
        self._telemetry.passed(STAGE)
        log.info("logs.new_error_pattern", template=news.template, **alert.labels.to_dict())

    def _has_room(self, now: float) -> bool:
        while self._begun_at and self._begun_at[0] <= now - _HOUR:
            self._begun_at.popleft()
        return len(self._begun_at) < self._settings.watch_most

    # -- what is over, and telling it --------------------------------------------------------------------------------

    def _is_over(self, kept: KeptAlert, now: float) -> bool:
        if not self._settings.watch:
            return True
        service = kept.alert.labels.get("service", "")
        seen = [self._seen.get((service, each), 0) for each in self._members[kept.alert.fingerprint]]
        # Lines are counted by the minute: the last one may stand at its end.
        return max(*seen, int(kept.alert.active_at)) + 60 + self._settings.watch_silence <= now

    async def _tell(self, now: float) -> None:
        """Keep what changed, hand on what is due, and only then note it as told."""
        await self._keep(now)
        told = [name for name, kept in self._alerts.items() if due(kept, now, float("inf"))]
        if not told:
            return
        await self._notify(
            [replace(alert, labels=alert.labels.over(self._external_labels)) for alert in map(self._alert, told)]
        )
        for name in told:
            self._alerts[name] = replace(self._alerts[name], last_sent_at=now)
            if self._alerts[name].alert.state is AlertState.RESOLVED:
                del self._alerts[name], self._members[name]
        await self._keep(now)

    def _alert(self, name: str) -> Alert:
        return self._alerts[name].alert

    async def _keep(self, now: float) -> None:
        changed = [(_RULE, kept) for name, kept in self._alerts.items() if self._saved.get(name) != kept]
        gone = [(_RULE, name) for name in self._saved if name not in self._alerts]
        if changed or gone or now - self._noted >= _NOTED:
            await asyncio.to_thread(self._states.save, LOG_PATTERNS, now, changed, gone)
            self._saved, self._noted = dict(self._alerts), now


def _alert(
    news: NewPattern, line: PatternLine | None, settings: LogsConfig, external_url: str, hints: Hints, now: float
) -> Alert:
    example = (line.body if line else news.met[0].example)[:_EXAMPLE]
    links = {"logs": f"{external_url}/aiprism/v1/logs?query=pattern_id:{news.pattern_id}"}
    if line and line.trace_id:
        links["trace"] = f"{external_url}/aiprism/v1/traces/{line.trace_id}"
    return Alert(
        labels=Labels(
            {
                "alertname": ALERT,
                "service": news.service,
                "severity": settings.watch_severity,
                "level": news.met[0].level,
                "pattern_id": str(news.pattern_id),
            }
        ),
        annotations=Labels(
            {
                "summary": f"{news.service or 'a service'} writes an error it never wrote before: {news.template}",
                "description": example,
                "template": news.template,
                "hint": "; ".join(each.hint for each in hints.of(example)),
                **links,
            }
        ),
        state=AlertState.FIRING,
        value=float(news.lines),
        active_at=now,
        fired_at=now,
        source=_RULE,
    )


def _is_about(alert: Alert, news: NewPattern) -> bool:
    return _pattern_id(alert) == news.pattern_id and alert.labels.get("service", "") == news.service


def _pattern_id(alert: Alert) -> int:
    text = alert.labels.get("pattern_id", "")
    return int(text) if text.isdigit() else 0

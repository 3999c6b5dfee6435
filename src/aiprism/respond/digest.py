"""The daily digest of a tier: what its alerts did since the last one, once a day at a time on the wall.

In: episodes of alerts and the tier's plan. Out: `told`, the facts as JSON for messages, and letters in the outbox, written in
one transaction with how far they tell, so that a day has one digest however often aiprism is restarted. After days without
a process, one digest tells of all of them.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import structlog

from aiprism.model.alerts import Priority
from aiprism.model.labels import Labels
from aiprism.model.timerange import format_duration
from aiprism.respond.consequences import letter_row
from aiprism.respond.desk import Desk
from aiprism.respond.message import Message
from aiprism.respond.pipeline import Respond
from aiprism.respond.tiers import DigestPlan
from aiprism.store import episodes as store
from aiprism.store import incidents as outbox

log = structlog.get_logger()

_DAY, _WEEK = 86_400.0, 7 * 86_400.0
_KEPT = 35 * _DAY  # of episodes: trends look back a week, a digest over days of absence a little longer
_SHOWN, _FEW = 50, 5  # rows of the table, and of the short lists
# They call people, or open tickets that somebody closes: no place for a report.
# What pages people, and so is sent no reports.
PAGERS = frozenset({"pagerduty", "opsgenie", "victorops", "pushover", "twilio", "jira", "incidentio"})


# -- when ------------------------------------------------------------------------------------------------------------


def next_at(plan: DigestPlan, after: float, day: str = "") -> float:
    """The first moment after `after` at which a digest is due, on a later date than `day` (the last one's).

    A time that a day does not have, because clocks were put forward, is an hour later; of one that it has twice it is the
    first.
    """
    when = datetime.fromtimestamp(after, plan.zone).date() - timedelta(days=1)
    while True:
        at = _at(plan, when)
        if at > after and when.isoformat() > day:
            return at
        when += timedelta(days=1)


def last_at(plan: DigestPlan, now: float) -> float:
    """The last moment up to `now` at which a digest was due."""
    when = datetime.fromtimestamp(now, plan.zone).date()
    return next(at for days in range(3) if (at := _at(plan, when - timedelta(days=days))) <= now)


def _at(plan: DigestPlan, when: date) -> float:
    return datetime.combine(when, plan.at, plan.zone).timestamp()


# -- what ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """What a digest tells of: after `start`, until `end`. Firings before are None where nobody counted yet."""

    start: float
    end: float
    day_before: int | None = None
    week_before: int | None = None


def told(tier: str, plan: DigestPlan, period: Day, episodes: Sequence[store.EpisodeRow]) -> dict[str, Any]:
    """The facts: counts, each alert with its numbers, what fires on, lasted longest, recurs, and the trend. Texts are ready
    to be shown; `from` and `to` are Unix seconds."""
    fired = [each for each in episodes if _fired(each, period)]
    firing = [each for each in episodes if _firing(each, period)]
    alerts = _by_alert(episodes, period)
    facts: dict[str, Any] = {
        "tier": tier,
        "from": period.start,
        "to": period.end,
        "since": _clock(period.start, plan),
        "until": _clock(period.end, plan),
        "day": datetime.fromtimestamp(period.end, plan.zone).strftime("%Y-%m-%d"),
        "fired": len(fired),
        "resolved": len(episodes) - len(firing),
        "firing": len(firing),
        "trend": [
            {"against": words, "fired": before, "change": _change(len(fired), before)}
            for words, before in (("the day before", period.day_before), ("a week before", period.week_before))
            if before is not None
        ],
        "alerts": alerts[:_SHOWN],
        "hidden": max(0, len(alerts) - _SHOWN),
        "still": [_one(each, period) for each in firing[:_SHOWN]],
        "longest": [_one(each, period) for each in sorted(episodes, key=lambda each: -_lasted(each, period))[:_FEW]],
        "recurring": _recurring(fired),
    }
    return {**facts, "short": _short(facts)}


def _by_alert(episodes: Sequence[store.EpisodeRow], period: Day) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[store.EpisodeRow]] = {}
    for each in episodes:
        groups.setdefault((each["name"], each["service"]), []).append(each)
    rows = [
        {
            "name": name,
            "service": service,
            "fired": sum(_fired(each, period) for each in group),
            "resolved": sum(not _firing(each, period) for each in group),
            "firing": sum(_firing(each, period) for each in group),
            "longest": _words(max(_lasted(each, period) for each in group)),
            "usual": _words(statistics.median(_lasted(each, period) for each in group)),
        }
        for (name, service), group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["fired"], -row["firing"], row["name"], row["service"]))


def _recurring(fired: Sequence[store.EpisodeRow]) -> list[dict[str, Any]]:
    """What fired again and again: alerts of one label set."""
    times = Counter(each["fingerprint"] for each in fired)
    last = {each["fingerprint"]: each for each in fired}
    often = sorted((key for key in times if times[key] > 1), key=lambda key: (-times[key], last[key]["name"], key))
    return [{"name": last[key]["name"], "service": last[key]["service"], "times": times[key]} for key in often[:_FEW]]


def _one(episode: store.EpisodeRow, period: Day) -> dict[str, Any]:
    return {
        "name": episode["name"],
        "service": episode["service"],
        "summary": episode["summary"],
        "lasted": _words(_lasted(episode, period)),
        "firing": _firing(episode, period),
    }


def _fired(episode: store.EpisodeRow, period: Day) -> bool:
    """Whether it is news that it fired."""
    return episode["heard_at"] > period.start


def _firing(episode: store.EpisodeRow, period: Day) -> bool:
    """Whether it fires at the end of what is told."""
    closed_at = episode["closed_at"]
    return closed_at is None or closed_at > period.end


def _lasted(episode: store.EpisodeRow, period: Day) -> float:
    """Seconds from its firing to its end, or to the end of what is told."""
    ends_at = episode["ends_at"]
    until = period.end if ends_at is None or _firing(episode, period) else ends_at
    return max(0.0, until - episode["starts_at"])


def _change(now: int, before: int) -> str:
    if not before:
        return "as before" if not now else "none then"
    share = round(100 * (now - before) / before)
    return f"{share:+d} %" if share else "as before"


def _short(facts: Mapping[str, Any]) -> str:
    if not facts["fired"] and not facts["firing"] and not facts["resolved"]:
        return f"no {facts['tier']} alert since {facts['since']}"
    trend = ", ".join(f"{each['fired']} {each['against']}" for each in facts["trend"])
    fired = f"{facts['fired']} {facts['tier']} alert{'' if facts['fired'] == 1 else 's'} fired since {facts['since']}"
    told_first = f"{fired}{f' ({trend})' if trend else ''}, {facts['resolved']} ended, {facts['firing']} fire still"
    often = ", ".join(
        f"{row['name']}{' on ' + row['service'] if row['service'] else ''}: {row['fired']}"
        for row in facts["alerts"][:_FEW]
        if row["fired"]
    )
    return f"{told_first}. Most often {often}" if often else told_first


def _words(seconds: float) -> str:
    return format_duration(max(0, round(seconds) if seconds < 3600 else 60 * round(seconds / 60)))


def _clock(at: float, plan: DigestPlan) -> str:
    return datetime.fromtimestamp(at, plan.zone).strftime("%Y-%m-%d %H:%M %Z")


# -- telling ---------------------------------------------------------------------------------------------------------


def tell_due(respond: Respond, now: float) -> float | None:
    """Tell the digests that are due; when the next one is, None when no tier has one."""
    plans = _plans(respond)
    with respond.reading() as connection:
        rows = store.digest_rows(connection)
    if set(rows) == set(plans) and all(_next(plans[tier], row) > now for tier, row in rows.items()):
        return min((_next(plans[tier], row) for tier, row in rows.items()), default=None)
    with respond.desk() as desk:
        plans, rows = _plans(respond), store.digest_rows(desk.connection)
        store.drop_digests(desk.connection, set(rows) - set(plans))
        after = [_told(desk, tier, plan, rows.get(tier)) for tier, plan in plans.items()]
        store.drop_episodes(desk.connection, desk.now - _KEPT)
    return min((_next(plans[row["tier"]], row) for row in after), default=None)


def _plans(respond: Respond) -> dict[str, DigestPlan]:
    tiers = respond.policy.periods.tiers.of.values()
    return {tier.priority.value: tier.digest for tier in tiers if tier.digest}


def _next(plan: DigestPlan, row: store.DigestRow) -> float:
    return next_at(plan, row["told_until"], row["day"])


def _told(desk: Desk, tier: str, plan: DigestPlan, row: store.DigestRow | None) -> store.DigestRow:
    """How far the tier is told of now: what is told begins with the moment from which episodes are kept."""
    if row is None:
        after: store.DigestRow = {"tier": tier, "since": desk.now, "told_until": desk.now, "day": ""}
    elif _next(plan, row) > desk.now:
        return row
    else:
        at = last_at(plan, desk.now)
        _tell(desk, Priority(tier), plan, _period(desk, row, at))
        day = datetime.fromtimestamp(at, plan.zone).date().isoformat()
        after = {**row, "told_until": at, "day": day}
    store.put_digest(desk.connection, after)
    return after


def _period(desk: Desk, row: store.DigestRow, end: float) -> Day:
    def before(seconds: float) -> int | None:
        start = row["told_until"] - seconds
        known = start >= row["since"]
        return store.firings(desk.connection, row["tier"], start, end - seconds) if known else None

    return Day(row["told_until"], end, before(_DAY), before(_WEEK))


def _tell(desk: Desk, priority: Priority, plan: DigestPlan, period: Day) -> None:
    episodes = store.episodes_during(desk.connection, priority.value, period.start, period.end)
    if not episodes and not plan.when_quiet:
        return
    said = _message(priority, told(priority.value, plan, period, episodes), desk)
    letters = [
        letter_row(replace(said, receiver=receiver), integration, number, said.event)
        for receiver in plan.receivers
        for number, integration in enumerate(desk.policy.routing.integrations(receiver))
        if integration.channel not in PAGERS
    ]
    if not letters:
        why = "none of its receivers has a channel that reads reports: those that page are not sent any"
        log.warning("digest.unheard", tier=priority.value, receivers=list(plan.receivers), why=why)
    outbox.enqueue(desk.connection, letters)
    desk.made_work = True


def _message(priority: Priority, facts: Mapping[str, Any], desk: Desk) -> Message:
    name = f"digest-{priority.value}-{facts['day']}"
    services = dict.fromkeys(row["service"] for row in facts["alerts"] if row["service"])
    return Message(
        event="digest",
        text=facts["short"],
        at=desk.now,
        subject_id=name,
        is_incident=False,
        title=f"{priority.value} digest of {facts['day']}",
        description="",
        priority=priority,
        status="digest",
        created_at=facts["from"],
        services=tuple(services),
        alerts=(),
        url=f"{desk.policy.external_url.rstrip('/')}/alerts" if desk.policy.external_url else "",
        group_key=f'{{}}:{{digest="{name}"}}',
        group_labels=Labels({"digest": name}),
        external_url=desk.policy.external_url,
        digest=facts,
    )

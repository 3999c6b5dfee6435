"""The weekly review: how soon trouble was noticed, answered and over, what was only noise, how much repaired itself.

In: incidents with their timelines and runs, firings of alerts, a week. Out: the figures of the week and of the week before,
of all, by tier and by service, as JSON and Markdown. Pure. What each figure means stands in `DEFINITIONS`, which every
answer carries; without anything to count a figure is None, never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from aiprism.learn.postmortem import plain
from aiprism.model.timerange import format_duration
from aiprism.respond.incident import MACHINE, Incident
from aiprism.respond.runs import FAILED, ROLLED_BACK, SUCCEEDED
from aiprism.store.episodes import EpisodeRow
from aiprism.store.incidents import EventRow, RunRow

WEEK = 7 * 86_400.0

DEFINITIONS: Mapping[str, str] = {
    "incidents": "incidents opened in the week, those that were merged as one; all figures are of these, as far as they are "
    "known now",
    "detect": "MTTD: from the onset of the first alert to the opening of the incident",
    "acknowledge": "MTTA: from the opening until the first time somebody acknowledged it or began to work on it",
    "restore": "MTTR: from the opening until its alerts were clear for good, or a person closed it",
    "mtbf": "MTBF: the week without the time in which an incident was not restored, divided by the incidents opened",
    "missed_deadlines": "deadlines that passed: to acknowledge, to begin to work, to resolve",
    "automation_rate": "the share of incidents for which a runbook acted",
    "runbook_success": "the share of runbook runs that acted and are over that succeeded; not those a person ended",
    "self_healed": "the share of restored incidents that a runbook repaired before any person did anything",
    "noisy_rules": "alerts by name with firings that were in no incident or in one nobody did anything about, or that flapped",
}
_MISSED = {"acknowledgement_overdue": "acknowledge", "response_overdue": "respond", "target_missed": "resolve"}
_FIRED = frozenset(("incident_created", "alert_joined", "alert_refired"))
# What people do about an incident; lines of these events by anybody but a machine.
_DEEDS = frozenset(
    (
        "acknowledged",
        "responded",
        "identified",
        "comment",
        "resolved",
        "reopened",
        "assigned",
        "role_taken",
        "task_added",
        "priority_changed",
        "pinned",
        "evidence_pinned",
        "merged",
        "alerts_parted",
        "runbook_approved",
        "runbook_asked",
        "runbook_abort_asked",
    )
)
_NOISY = 10  # rules told


@dataclass(frozen=True, slots=True)
class Past:
    """An incident with what happened to it."""

    incident: Incident
    events: Sequence[EventRow]
    runs: Sequence[RunRow]

    @property
    def detect(self) -> float:
        """Seconds from the first onset to the opening."""
        onset = min((alert.active_at for alert in self.incident.alerts), default=self.incident.created_at)
        return max(0.0, self.incident.created_at - onset)

    @property
    def acknowledge(self) -> float | None:
        """Seconds until somebody was there, in its first round."""
        times = [each["at"] for each in self.events if each["event"] in ("acknowledged", "responded")]
        return max(0.0, min(times) - self.incident.created_at) if times else None

    @property
    def restored_at(self) -> float | None:
        """When its alerts were clear for good, or a person closed it."""
        return self.incident.monitoring_since or self.incident.resolved_at

    @property
    def restore(self) -> float | None:
        """Seconds from the opening until it was restored."""
        return None if self.restored_at is None else max(0.0, self.restored_at - self.incident.created_at)

    @property
    def automated(self) -> bool:
        """Whether a runbook acted."""
        return any(run["started_at"] is not None for run in self.runs)

    @property
    def touched_at(self) -> float | None:
        """When a person did something about it first."""
        by_people = (each["at"] for each in self.events if each["event"] in _DEEDS and not _machine(each["actor"]))
        return min(by_people, default=None)

    @property
    def self_healed(self) -> bool:
        """Whether a runbook repaired it before any person did anything."""
        done = [run["finished_at"] for run in self.runs if run["state"] == SUCCEEDED and run["finished_at"] is not None]
        return bool(done) and (self.touched_at is None or min(done) <= self.touched_at)


def _machine(actor: str) -> bool:
    return actor == MACHINE or actor.startswith("runbook:")


def review(pasts: Iterable[Past], episodes: Sequence[EpisodeRow] | None, end: float) -> dict[str, Any]:
    """The week that ends at `end`, beside the one before. `episodes` are firings of alerts of tiers that keep them; None when
    no tier does."""
    every = _merged(pasts)
    weeks = {"week": end - WEEK, "week_before": end - 2 * WEEK}
    told = {name: _week(every, episodes, start) for name, start in weeks.items()}
    return {
        "start": end - WEEK,
        "end": end,
        **told,
        "change": _change(told["week"]["all"], told["week_before"]["all"]),
        "definitions": DEFINITIONS,
        "unknown": {}
        if episodes is not None
        else {"noisy_rules": "firings in no incident: no tier of tiers.yml has a digest, so none are kept"},
    }


def _merged(pasts: Iterable[Past]) -> list[Past]:
    """Those that are incidents of their own. What happened to one that goes on as part of another happened to that one; it is
    none where that one was over before these weeks."""
    known = {past.incident.id: past for past in pasts}
    own = {name: past for name, past in known.items() if not past.incident.work.merged_into}
    for past in known.values():
        into = past
        while into.incident.work.merged_into in known:
            into = known[into.incident.work.merged_into]
        if into is not past and into.incident.id in own:
            held = own[into.incident.id]
            own[into.incident.id] = replace(held, events=[*held.events, *past.events], runs=[*held.runs, *past.runs])
    return list(own.values())


def _week(every: Sequence[Past], episodes: Sequence[EpisodeRow] | None, start: float) -> dict[str, Any]:
    ours = [past for past in every if start < past.incident.created_at <= start + WEEK]
    during = [each for each in episodes or () if start < each["heard_at"] <= start + WEEK]
    return {
        "all": _figures(ours, start),
        "by_tier": _by(ours, start, lambda past: [past.incident.priority.value]),
        "by_service": _by(ours, start, lambda past: past.incident.services),
        "noisy_rules": _noisy(ours, during, every),
    }


def _by(pasts: Sequence[Past], start: float, of: Callable[[Past], Sequence[str]]) -> dict[str, Any]:
    names = sorted({name for past in pasts for name in of(past)})
    return {name: _figures([past for past in pasts if name in of(past)], start) for name in names}


def _figures(pasts: Sequence[Past], start: float) -> dict[str, Any]:
    finished = [run for past in pasts for run in past.runs if _counts(run)]
    restored = [past for past in pasts if past.restored_at is not None]
    missed = Counter(_MISSED[each["event"]] for past in pasts for each in past.events if each["event"] in _MISSED)
    return {
        "incidents": len(pasts),
        "detect": _spread([past.detect for past in pasts]),
        "acknowledge": _spread([past.acknowledge for past in pasts]),
        "restore": _spread([past.restore for past in pasts]),
        "mtbf": (WEEK - _in_trouble(pasts, start)) / len(pasts) if pasts else None,
        "missed_deadlines": {name: missed[name] for name in _MISSED.values()},
        "automation_rate": _share(sum(past.automated for past in pasts), len(pasts)),
        "runbook_success": _share(sum(run["state"] == SUCCEEDED for run in finished), len(finished)),
        "self_healed": _share(sum(past.self_healed for past in restored), len(restored)),
    }


def _counts(run: RunRow) -> bool:
    """Whether a run tells how well its runbook repairs: it acted, and no person ended it."""
    return run["started_at"] is not None and run["state"] in (SUCCEEDED, FAILED, ROLLED_BACK)


def _spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """How many there are, their mean and percentiles in seconds."""
    known = [value for value in values if value is not None]
    if not known:
        return {"count": 0, "mean": None, "p50": None, "p90": None, "p99": None, "longest": None}
    p50, p90, p99 = (float(each) for each in np.percentile(known, [50, 90, 99]))
    return {
        "count": len(known),
        "mean": sum(known) / len(known),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "longest": max(known),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _in_trouble(pasts: Sequence[Past], start: float) -> float:
    """Seconds of the week in which at least one of these incidents was not restored."""
    end, total, reached = start + WEEK, 0.0, start
    for past in sorted(pasts, key=lambda each: each.incident.created_at):
        begun = max(past.incident.created_at, reached)
        over = min(past.restored_at if past.restored_at is not None else end, end)
        if over > begun:
            total, reached = total + over - begun, over
    return total


def _noisy(pasts: Sequence[Past], episodes: Sequence[EpisodeRow], every: Sequence[Past]) -> list[dict[str, Any]]:
    """Names of alerts, those with most firings for nothing first; `every` incident holds firings, whenever it was opened."""
    fired, idle, flapped = Counter[str](), Counter[str](), Counter[str]()
    lines = (each for past in every for each in past.events if each["event"] in _FIRED)
    held = {
        (str(each["data"].get("fingerprint", "")), round(float(each["data"].get("active_at") or 0))) for each in lines
    }
    for past in pasts:
        names = {alert.fingerprint: alert.name for alert in past.incident.alerts}
        nothing = past.touched_at is None and not past.automated and past.restored_at is not None
        for each in past.events:
            # An alert that people took out of it is known by its line only.
            name = str(each["data"].get("alertname") or names.get(str(each["data"].get("fingerprint", "")), ""))
            if each["event"] in _FIRED:
                fired[name] += 1
                idle[name] += nothing
            elif each["event"] == "alert_flapping":
                flapped[name] += 1
    alone = Counter(each["name"] for each in episodes if (each["fingerprint"], round(each["starts_at"])) not in held)
    noise = {name: alone[name] + idle[name] + flapped[name] for name in {*fired, *alone, *flapped}}
    worst = sorted((name for name, count in noise.items() if count), key=lambda name: (-noise[name], name))[:_NOISY]
    return [
        {
            "alert": name,
            "firings": fired[name] + alone[name],
            "in_no_incident": alone[name],
            "nobody_did_anything": idle[name],
            "flapped": flapped[name],
        }
        for name in worst
    ]


def _change(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, float | None]:
    """What is different from the week before; None where one of them is not known."""

    def less(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one - other

    means = {name: less(now[name]["mean"], before[name]["mean"]) for name in ("detect", "acknowledge", "restore")}
    plain_ones = ("incidents", "mtbf", "automation_rate", "runbook_success", "self_healed")
    return {**means, **{name: less(now[name], before[name]) for name in plain_ones}}


# -- Markdown --------------------------------------------------------------------------------------------------------


def markdown(told: Mapping[str, Any]) -> str:
    """The review as a document."""
    now, before = told["week"], told["week_before"]
    lines = [
        f"# Week from {_day(told['start'])} to {_day(told['end'])}",
        "",
        "| | this week | p90 | the week before |",
        "|---|---|---|---|",
        f"| incidents | {now['all']['incidents']} | | {before['all']['incidents']} |",
    ]
    for name, short in (("detect", "MTTD"), ("acknowledge", "MTTA"), ("restore", "MTTR")):
        this, that = now["all"][name], before["all"][name]
        lines.append(f"| {short} | {_lasting(this['mean'])} | {_lasting(this['p90'])} | {_lasting(that['mean'])} |")
    lines.append(f"| MTBF | {_lasting(now['all']['mtbf'])} | | {_lasting(before['all']['mtbf'])} |")
    for name in ("automation_rate", "runbook_success", "self_healed"):
        lines.append(f"| {name.replace('_', ' ')} | {_percent(now['all'][name])} | | {_percent(before['all'][name])} |")
    missed, earlier = now["all"]["missed_deadlines"], before["all"]["missed_deadlines"]
    lines += [f"| missed: to {name} | {missed[name]} | | {earlier[name]} |" for name in missed]
    for title, key in (("By tier", "by_tier"), ("By service", "by_service")):
        lines += ["", f"## {title}", "", *_groups(now[key])]
    lines += ["", "## Noisy rules", "", *_noisy_lines(told)]
    lines += ["", "## What the figures mean", "", *(f"- {name}: {text}" for name, text in told["definitions"].items())]
    return "\n".join(lines) + "\n"


def _groups(groups: Mapping[str, Any]) -> list[str]:
    if not groups:
        return ["No incident."]
    head = [
        "| | incidents | MTTD | MTTA | MTTR | MTBF | missed deadlines | self healed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return head + [
        f"| {plain(name)} | {each['incidents']} | {_lasting(each['detect']['mean'])} | {_lasting(each['acknowledge']['mean'])} | "
        f"{_lasting(each['restore']['mean'])} | {_lasting(each['mtbf'])} | {sum(each['missed_deadlines'].values())} | "
        f"{_percent(each['self_healed'])} |"
        for name, each in groups.items()
    ]


def _noisy_lines(told: Mapping[str, Any]) -> list[str]:
    counts = ("firings", "in_no_incident", "nobody_did_anything", "flapped")
    rows = [
        f"| {plain(each['alert'])} | {' | '.join(str(each[name]) for name in counts)} |"
        for each in told["week"]["noisy_rules"]
    ]
    head = ["| alert | firings | in no incident | nobody did anything | flapped |", "|---|---|---|---|---|"]
    unknown = [f"\nUnknown: {text}." for text in told["unknown"].values()]
    return [*(head + rows if rows else ["None."]), *unknown]


def _lasting(seconds: float | None) -> str:
    return "–" if seconds is None else format_duration(round(seconds))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")

"""A postmortem: what is known of an incident that is over, as a document people go on writing.

In: frozen `Facts`. Out: Markdown, and HTML of any Markdown of it. Pure: the same facts give the same document. Nothing is
guessed: what is not known is said to be unknown, with the reason, and every proposed action names the finding it is made
of. Texts of telemetry are escaped, or stand in blocks of code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from markdown_it import MarkdownIt

from aiprism.learn.chart import Chart, svg
from aiprism.learn.evidence import ErrorPattern, Evidence, ServiceImpact
from aiprism.learn.similar import Likeness
from aiprism.model.events import START
from aiprism.model.timerange import format_duration
from aiprism.respond.incident import Incident
from aiprism.respond.runs import SUCCEEDED
from aiprism.respond.tiers import Deadline, Tier

_SUSPECT = 1800.0  # seconds before the first alert in which a change is suspicious
_LINES_SHOWN, _PATTERNS_SHOWN, _NAMES_SHOWN = 20, 10, 5
_EVENTS_SHOWN = 100  # lines of the timeline from its beginning, and as many from its end
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Facts:
    """All a postmortem is written of; `told` is the incident as `respond.dossier` tells it."""

    incident: Incident
    told: Mapping[str, Any]
    tier: Tier
    evidence: Evidence
    alike: tuple[Likeness, ...] = ()
    unowned: tuple[str, ...] = ()  # affected services nobody is named for
    investigation: Mapping[str, Any] | None = None  # the last one that is done, as `store.investigations` keeps it

    @property
    def timeline(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.told["timeline"]
        return found

    @property
    def runs(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.told["runs"]
        return found

    @property
    def onset(self) -> float:
        """When the first alert's condition began to hold."""
        return min((alert.active_at for alert in self.incident.alerts), default=self.incident.created_at)


@dataclass(frozen=True, slots=True)
class Figure:
    """How long something took, and what it may take; seconds, None where there is none."""

    name: str
    seconds: float | None
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None without one, or when the thing never happened."""
        return None if self.target is None or self.seconds is None else self.seconds <= self.target


@dataclass(frozen=True, slots=True)
class Action:
    """What could be done, and the finding that says so."""

    what: str
    why: str


def figures(facts: Facts) -> tuple[Figure, ...]:
    """Detection, notification, acknowledgement, response, repair, resolution, against the targets of its tier."""
    took, tier = facts.told["durations"], facts.tier
    return (
        Figure("detected, from the first alert's onset", took.get("detect")),
        Figure("first told to anybody", took.get("notify")),
        Figure("acknowledged", took.get("acknowledge"), tier.within(Deadline.ACKNOWLEDGEMENT)),
        Figure("work begun", took.get("respond"), tier.within(Deadline.RESPONSE)),
        Figure("repaired by a runbook", took.get("remediate")),
        Figure("resolved", took.get("resolve"), tier.within(Deadline.RESOLUTION)),
    )


# -- actions ---------------------------------------------------------------------------------------------------------


def actions(facts: Facts) -> tuple[Action, ...]:
    """What the findings propose, most pressing first."""
    return tuple(action for find in _FINDINGS for action in find(facts))


def _of_changes(facts: Facts) -> Iterator[Action]:
    for change in facts.evidence.changes:
        before = facts.onset - change.ts
        if 0 <= before <= _SUSPECT and change.kind != START:
            yield Action(
                f"Review {change.kind} “{change.title}”, and how a change like it is noticed or taken back sooner",
                f"it came {_lasting(before)} before the first alert",
            )


def _of_runs(facts: Facts) -> Iterator[Action]:
    for run in facts.runs:
        if run["state"] in ("failed", "rolled_back"):
            yield Action(
                f"Repair the runbook {run['runbook']}",
                f"it ended as {run['state']}: {run['outcome'] or 'no reason is known'}",
            )
    if not any(run["started_at"] for run in facts.runs):
        names = _few(alert.name for alert in facts.incident.alerts)
        yield Action(
            f"Write a runbook for {names}", "no runbook acted: whatever was repaired was repaired by hand or by itself"
        )


def _of_deadlines(facts: Facts) -> Iterator[Action]:
    for each in figures(facts):
        if each.met is False and each.seconds is not None and each.target is not None:
            yield Action(
                f"Find out why it took {_lasting(each.seconds)} until it was {each.name}",
                f"the target of {facts.tier.priority.value} is {_lasting(each.target)}",
            )
    events = {entry["event"] for entry in facts.timeline}
    if "acknowledgement_overdue" in events and facts.incident.acknowledged_at is None:
        yield Action("Find out why nobody acknowledged it", "the deadline passed, and nobody has until it was over")


def _of_telling(facts: Facts) -> Iterator[Action]:
    failed = dict.fromkeys(
        f"{each['receiver']} ({each['channel']})" for each in facts.told["notifications"] if each["state"] == "failed"
    )
    for receiver in failed:
        yield Action(f"Repair the way to {receiver}", "a notification to it was given up")
    if any(entry["event"] == "nobody_told" for entry in facts.timeline):
        yield Action("Name receivers for alerts like these", "at least once there was nobody to tell")
    if any(entry["event"] == "alert_flapping" for entry in facts.timeline):
        yield Action(
            "Steady the rule that flapped (a longer `for`, or keep_firing_for)",
            "an alert came and went again and again",
        )


def _of_errors(facts: Facts) -> Iterator[Action]:
    for each in [each for each in facts.evidence.patterns if not each.before][:3]:
        yield Action(
            f"Handle the error of {each.service} “{each.pattern[:120]}”",
            f"{_count(each.lines, 'line')} of it, and none in as much time before",
        )


def _of_history(facts: Facts) -> Iterator[Action]:
    if facts.alike:
        first = facts.alike[0]
        yield Action(
            f"Look for a repair that lasts: see {first.id}", f"it resembles this incident ({'; '.join(first.reasons)})"
        )
    if facts.incident.reopened:
        yield Action(
            "Look for the cause behind the repair",
            f"it came back {_count(facts.incident.reopened, 'time')} after it had cleared",
        )


def _of_gaps(facts: Facts) -> Iterator[Action]:
    seen = {each.service for each in facts.evidence.impacts}
    blind = [name for name in facts.incident.services if name not in seen]
    if blind and "impacts" not in facts.evidence.unknown and not seen:
        yield Action(
            f"Have {_few(blind)} send traces", "how many requests failed is unknown: none of them has sent spans"
        )
    if facts.unowned:
        yield Action(f"Name an owner of {_few(facts.unowned)} in services.yml", "nobody is named for it")


_FINDINGS: Sequence[Callable[[Facts], Iterator[Action]]] = (
    _of_changes, _of_runs, _of_deadlines, _of_telling, _of_errors, _of_history, _of_gaps,
)  # fmt: skip


# -- Markdown --------------------------------------------------------------------------------------------------------


def markdown(facts: Facts) -> str:
    """The document. Charts are named `charts/1.svg` and so on, relative to the postmortem's address."""
    incident = facts.incident
    parts = [
        f"# Postmortem: {plain(incident.title)}",
        f"{incident.id} · {incident.priority.value} · {_moment(incident.created_at)} to "
        f"{_moment(incident.resolved_at) if incident.resolved_at else 'now, it is still open'}",
        *(f"## {title}\n\n{text}" for title, write in _SECTIONS if (text := "\n".join(write(facts)))),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(facts: Facts) -> Iterator[str]:
    incident = facts.incident
    names = _few(alert.name for alert in incident.alerts)
    services = _few(incident.services) or "services nobody named"
    yield plain(
        f"{_count(len(incident.alerts), 'alert')} ({names}) about {services}, the first since {_moment(facts.onset)}."
    )
    done = [run for run in facts.runs if run["state"] == SUCCEEDED]
    if done:
        yield plain(f"{', '.join(dict.fromkeys(run['runbook'] for run in done))} repaired it.")
    lasted = (incident.monitoring_since or incident.resolved_at or incident.updated_at) - facts.onset
    yield f"The trouble lasted {_lasting(lasted)}" + (
        f" and came back {_count(incident.reopened, 'time')}." if incident.reopened else "."
    )
    for line in incident.description.splitlines()[:10]:
        yield f"\n> {plain(line)}"


def _impact(facts: Facts) -> Iterator[str]:
    evidence = facts.evidence
    if evidence.impacts:
        yield from _table(
            ("service", "requests", "failed", "p95", "before: requests", "failed", "p95"),
            (_impact_row(each) for each in evidence.impacts),
        )
        yield "\n“Before” is as much time right before the first alert. Whole minutes are counted."
    else:
        yield f"- Requests that failed: {_unknown(evidence, 'impacts', 'none of the services has sent spans')}"
    yield ""
    if "measures" in evidence.unknown:
        yield f"- Users, documents, money: {_unknown(evidence, 'measures')}"
    for each in evidence.measures:
        told = f"{each.value:.6g}" if each.value is not None else f"{_UNKNOWN} ({plain(each.unknown)})"
        yield f"- {each.name[0].upper()}{each.name[1:]} meanwhile: {told}"
    yield f"- Money lost: {_UNKNOWN} (no metric says what a failure costs)"


def _impact_row(each: ServiceImpact) -> tuple[str, ...]:
    def of(load: Any) -> tuple[str, ...]:
        failed = f"{load.errors} ({100 * load.error_share:.3g} %)" if load.calls else "–"
        return str(load.calls), failed, "–" if load.p95_ms is None else f"{load.p95_ms:.4g} ms"

    return plain(each.service), *of(each.during), *of(each.before)


def _measured(facts: Facts) -> Iterator[str]:
    yield from _table(
        ("", "took", f"target of {facts.tier.priority.value}", ""),
        (
            (
                each.name,
                "did not happen" if each.seconds is None else _lasting(each.seconds),
                "–" if each.target is None else _lasting(each.target),
                {True: "met", False: "**missed**", None: ""}[each.met],
            )
            for each in figures(facts)
        ),
    )
    yield "\nAll but detection are counted from when the incident was opened."


def _worked(facts: Facts) -> Iterator[str]:
    for run in facts.runs:
        if run["started_at"] is None:
            continue
        took = "" if run["finished_at"] is None else f", took {_lasting(run['finished_at'] - run['started_at'])}"
        yield f"- Runbook **{plain(run['runbook'])}**: {plain(run['state'])}{took}. {plain(run['outcome'])}".rstrip()
        if (run.get("before") or run.get("after")) and " before" not in run["outcome"]:
            yield f"    - {_numbers(run.get('before'))} before, {_numbers(run.get('after'))} after"
    if not any(run["started_at"] for run in facts.runs):
        yield "No runbook acted."


def _numbers(values: object) -> str:
    return (
        ", ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in values)
        if isinstance(values, list) and values
        else "nothing"
    )


def _factors(facts: Facts) -> Iterator[str]:
    evidence = facts.evidence
    if facts.investigation:
        yield from _suspected(facts.investigation)
    for number, chart in enumerate(evidence.charts, 1):
        yield f"### {plain(chart.title)}\n"
        yield f"![{plain(chart.title)}](charts/{number}.svg)\n"
        yield f"{_code(chart.expression)}\n\n{plain(_extremes(chart))}\n"
    if not evidence.charts:
        yield f"Charts: {_unknown(evidence, 'charts', 'no loaded rule has the name of one of its alerts')}\n"
    yield "### Errors in logs\n"
    if evidence.patterns:
        shown = evidence.patterns[:_PATTERNS_SHOWN]
        yield from _table(("service", "lines", "before", "pattern"), (_pattern_row(each) for each in shown))
    else:
        yield _unknown(evidence, "patterns", "its services have written no error")
    if evidence.lines:
        yield "\nThe first lines:\n"
        yield _code(
            "\n".join(
                f"{_clock(each.at)} {each.level} {each.service} {each.body}" for each in evidence.lines[:_LINES_SHOWN]
            )
        )
    yield "\n### Traces\n"
    if evidence.traces:
        yield from _table(
            ("", "trace", "began", "took", "spans", "errors", "operation"),
            (
                (
                    each.why, f"`{each.trace_id}`", _clock(each.at), f"{each.seconds:.3g} s", str(each.spans), str(each.errors),
                    plain(f"{each.service} {each.name}"),
                )
                for each in evidence.traces
            ),
        )  # fmt: skip
        yield "\nTheir spans are kept in the JSON of this postmortem, as OTLP."
    else:
        yield _unknown(evidence, "traces", "its services have sent no trace meanwhile")


def _suspected(investigation: Mapping[str, Any]) -> Iterator[str]:
    """What the investigation took for the cause, which nobody has confirmed."""
    findings = investigation["findings"] or {}
    yield f"### What the investigation found\n\n{plain(investigation['conclusion'])}\n"
    for each in findings.get("hypotheses", ()):
        yield f"- {plain(each['statement'])} (confidence {100 * each['confidence']:.0f} %)"
        yield from (f"    - {plain(line)}" for line in each["evidence"])
    for line in findings.get("missed", ()):
        yield f"- Not looked at: {plain(line)}"
    yield ""


def _pattern_row(each: ErrorPattern) -> tuple[str, ...]:
    before = str(each.before) if each.before else "0, new"
    return plain(each.service), str(each.lines), before, plain(each.pattern[:200])


def _extremes(chart: Chart) -> str:
    points = [point for curve in chart.curves for point in curve.points]
    if not points:
        return "There was no value."
    most_at, most = max(points, key=lambda point: point[1])
    least = min(value for _, value in points)
    limit = "" if chart.limit is None else f" The alert's limit is {chart.limit:.6g}."
    more = f" {_count(chart.left_out, 'more series')} had no room." if chart.left_out else ""
    return f"From {least:.4g} to {most:.4g}, the most at {_clock(most_at)}.{limit}{more}"


def _changes(facts: Facts) -> Iterator[str]:
    if facts.evidence.changes:
        yield from _table(
            ("time", "before the first alert", "kind", "service", "what", "source"),
            (
                (
                    _clock(each.ts),
                    _lasting(facts.onset - each.ts) if each.ts <= facts.onset else f"{_lasting(each.ts - facts.onset)} after",
                    plain(each.kind), plain(each.service), plain(each.title), plain(each.source),
                )
                for each in facts.evidence.changes
            ),
        )  # fmt: skip
    else:
        yield _unknown(facts.evidence, "changes", "nobody told of a change of its services in the two hours before")


def _history(facts: Facts) -> Iterator[str]:
    for each in facts.alike:
        yield f"- {each.id} ({_moment(each.at)}), alike {each.score:.2f}: {plain(each.title)}. {plain('; '.join(each.reasons))}"
    if not facts.alike:
        yield "No incident that is remembered resembles it."


def _actions(facts: Facts) -> Iterator[str]:
    found = actions(facts)
    for each in found:
        yield f"- [ ] {plain(each.what)}. *Because {plain(each.why)}.*"
    if not found:
        yield "The findings propose none."


def _timeline(facts: Facts) -> Iterator[str]:
    lines, between = facts.timeline, len(facts.timeline) - 2 * _EVENTS_SHOWN
    shown = lines if between <= 0 else [*lines[:_EVENTS_SHOWN], *lines[-_EVENTS_SHOWN:]]
    yield from _table(
        ("time (UTC)", "event", "by", "what"),
        ((_clock(each["at"]), f"`{each['event']}`", plain(each["actor"]), plain(each["text"][:300])) for each in shown),
    )
    if between > 0:
        yield f"\n{_count(between, 'line')} between the first {_EVENTS_SHOWN} and the last {_EVENTS_SHOWN} stand in the JSON."


def _pinned(facts: Facts) -> Iterator[str]:
    for pin in facts.told["pins"]:
        said = f": {plain(pin['text'])}" if pin["text"] else ""
        link = f" ({plain(pin['url'])})" if pin["url"] and pin["url"] != pin["what"] else ""
        yield f"- {pin['id']} {plain(pin['what'])}{said}{link}, pinned by {plain(pin['by'])} at {_clock(pin['at'])}"


_SECTIONS: Sequence[tuple[str, Callable[[Facts], Iterator[str]]]] = (
    ("Summary", _summary),
    ("Impact", _impact),
    ("Detection and response", _measured),
    ("What worked", _worked),
    ("Contributing factors, with evidence", _factors),
    ("Changes in the two hours before, and since", _changes),
    ("Similar incidents", _history),
    ("Action items", _actions),
    ("Pinned evidence", _pinned),
    ("Timeline", _timeline),
)


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _unknown(evidence: Evidence, part: str, none: str = "") -> str:
    why = evidence.unknown.get(part)
    return (
        f"{_UNKNOWN}: {plain(why)}"
        if why
        else f"{none[:1].upper()}{none[1:]}."
        if part != "impacts"
        else f"{_UNKNOWN} ({none})"
    )


def plain(text: str) -> str:
    """`text` on one line, meaning nothing in Markdown but itself.

    >>> plain("a|b <i>*x*\\n[y](z)")
    'a\\\\|b \\\\<i\\\\>\\\\*x\\\\* \\\\[y\\\\](z)'
    """
    return re.sub(r"([\\`*_\[\]<>|!#&~])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """A block of code, whatever backticks stand in it."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _few(names: Iterable[str]) -> str:
    """The first names, and how many there are besides.

    >>> _few("a a b c d e f g".split())
    'a, b, c, d, e and 2 more'
    """
    each = list(dict.fromkeys(names))
    more = len(each) - _NAMES_SHOWN
    return ", ".join(each[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 or what.endswith('s') else 's'}"


def _lasting(seconds: float) -> str:
    return format_duration(max(0, round(seconds)))


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


# -- HTML ------------------------------------------------------------------------------------------------------------

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #ddd;padding:.2rem .5rem;text-align:left;vertical-align:top}
pre{background:#f6f6f6;padding:.6rem;overflow-x:auto;font-size:12px}svg{max-width:100%;height:auto}h2{margin-top:2rem}
blockquote{color:#555;border-left:3px solid #ddd;margin:0;padding-left:1rem}
"""


def html(text: str, charts: Sequence[Chart], title: str) -> str:
    """A page of the Markdown `text`, whoever wrote it, with its charts in it. HTML in the text is shown, not obeyed, and
    nothing is loaded from anywhere: images that are no chart are their descriptions."""
    drawn = {f"charts/{number}.svg": svg(chart) for number, chart in enumerate(charts, 1)}
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")

    def image(_renderer: Any, tokens: Sequence[Any], at: int, _options: Any, _env: Any) -> str:
        source = str(tokens[at].attrs.get("src", ""))
        return drawn.get(source) or escape(tokens[at].content or source)

    reader.add_render_rule("image", image)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{reader.render(text)}</body></html>\n"
    )

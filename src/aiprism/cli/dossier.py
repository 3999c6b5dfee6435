"""One incident on paper: head, alerts, timeline, notifications, runbook runs.

In: an incident as `/aiprism/v1/incidents/{id}` gives it. Out: parts that a terminal prints; `incidents show`, the demo's
live view and its report are made of them. Times are told relative to the moment the incident was opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aiprism.cli import printing

_STEP_MARKS = {"done": "✓", "failed": "✗", "started": "…", "unknown": "?"}


def pages(incident: Mapping[str, Any], now: float) -> Iterator[RenderableType]:
    """Everything, in reading order; parts that have nothing to say are left out."""
    yield from head(incident, now)
    if incident["alerts"]:
        yield printing.titled("alerts")
        yield alerts(incident)
    if (incident.get("correlation") or {}).get("edges"):
        yield printing.titled("why it is one incident")
        yield from correlation(incident["correlation"])
    if incident.get("investigation"):
        yield printing.titled("investigation")
        yield from investigation(incident["investigation"])
    if incident.get("tasks"):
        yield printing.titled("tasks")
        yield tasks(incident, now)
    if incident.get("timeline"):
        yield printing.titled("timeline")
        yield timeline(incident)
    if incident.get("notifications"):
        yield printing.titled("notifications")
        yield notifications(incident)
    if incident.get("runs"):
        yield printing.titled("runbooks")
        yield from runs(incident)


def head(incident: Mapping[str, Any], now: float) -> Iterator[Text]:
    """What it is, how it stands, and how long things took."""
    yield Text.assemble(
        printing.styled(incident["priority"]),
        "  ",
        printing.styled(incident["status"]),
        "  ",
        (incident["title"], "bold"),
    )
    ended = incident["resolved_at"]
    lasted = printing.duration(float(round((ended or now) - incident["created_at"])))
    yield Text.assemble(
        (incident["id"], "cyan"),
        f"  opened {printing.moment(incident['created_at'])}, {'lasted' if ended else 'open for'} {lasted}",
        (f"  services: {', '.join(incident['services'])}" if incident["services"] else ""),
    )
    for line in incident.get("description", "").splitlines():
        yield Text(line, style="dim")
    if incident.get("channel"):
        yield channel(incident["channel"])
    if told := _owned(incident):
        yield told
    if people := _people(incident):
        yield people
    if due := _due(incident, now):
        yield due
    took = {name: value for name, value in (incident.get("durations") or {}).items() if value is not None}
    if took:
        yield Text("  ".join(f"{name} {printing.duration(value)}" for name, value in took.items()), style="dim")


def holder(incident: Mapping[str, Any]) -> Text:
    """Who takes care of it: who it was given to, else who acknowledged it."""
    who = incident.get("assignee") or incident.get("acknowledged_by")
    if who:
        return Text(str(who))
    return Text("") if incident["status"] == "resolved" else Text("nobody", style="yellow")


def _people(incident: Mapping[str, Any]) -> Text | None:
    """Who has it, in which roles, what it is one with, and what is kept at hand."""
    parts = [f"acknowledged by {incident['acknowledged_by']}"] if incident.get("acknowledged_by") else []
    parts += [f"assigned to {incident['assignee']}"] if incident.get("assignee") else []
    parts += [f"{role}: {person}" for role, person in (incident.get("roles") or {}).items()]
    parts += [f"part of {incident['merged_into']}"] if incident.get("merged_into") else []
    parts += [f"holds {', '.join(incident['absorbed'])}"] if incident.get("absorbed") else []
    parts += [f"split off from {incident['split_from']}"] if incident.get("split_from") else []
    parts += [f"{pin['id']}: {pin['what']}" for pin in incident.get("pins") or ()]
    return Text("  ".join(parts)) if parts else None


def _due(incident: Mapping[str, Any], now: float) -> Text | None:
    """By when it is to be acknowledged, responded to and resolved, and who is paged next when nobody answers; what was met
    or is not asked for is left out."""
    waited = [(name, at) for name, at in (incident.get("deadlines") or {}).items() if at is not None]
    waited += [(f"page of {each['policy']}", each["next_at"]) for each in incident.get("paging") or ()]
    if not waited:
        return None
    parts = [(f"  {name} {_until(at - now)}", "red" if at <= now else "") for name, at in waited]
    return Text.assemble("due:", *parts)


def _until(seconds: float) -> str:
    lasting = printing.duration(float(round(abs(seconds))))
    return f"in {lasting}" if seconds > 0 else f"{lasting} ago"


def _owned(incident: Mapping[str, Any]) -> Text | None:
    """Who owns what is in trouble, and how it is repaired, as the alerts say."""
    said = [alert.get("annotations") or {} for alert in incident["alerts"]]
    parts = [
        f"{word}: {', '.join(found)}"
        for word, name in (("owner", "service_owner"), ("team", "service_team"), ("runbook", "runbook_url"))
        if (found := dict.fromkeys(each[name] for each in said if each.get(name)))
    ]
    return Text("  ".join(parts)) if parts else None


def alerts(incident: Mapping[str, Any]) -> Table:
    """The alerts that belong to it."""
    rows = printing.table(
        "state", "alert", "service", "severity", "active", "fired", "cleared", least=("severity", "active", "cleared")
    )
    opened = incident["created_at"]
    for alert in incident["alerts"]:
        labels = alert["labels"]
        times = (alert["active_at"], alert["fired_at"], alert["resolved_at"])
        rows.add_row(
            printing.styled(alert["state"]),
            Text(alert["name"], style="bold"),
            labels.get("service", ""),
            printing.styled(labels.get("severity", "")),
            *("" if at is None else printing.since(opened, at) for at in times),
        )
    return rows


def correlation(graph: Mapping[str, Any]) -> Iterator[RenderableType]:
    """By which edges the alerts came together, a line each, and what was changed shortly before the first of them."""
    names = {each["fingerprint"]: f"{each['name']} {each['service']}".strip() for each in graph["alerts"]}
    rows = _bare()
    for edge in graph["edges"][:_EDGES]:
        parts = " · ".join(f"{name} {value:g}" for name, value in edge["parts"].items())
        way = edge["way"]
        known = f"  {way['text']} ({way['known']})" if way and way["known"] else ""
        took_in = f"  took in {edge['took_in']}" if edge["took_in"] else ""
        rows.add_row(
            Text(f"  {edge['score']:.3f}", style="cyan"),
            Text(printing.clock(edge["at"]), style="dim"),
            "",
            Text(f"{names[edge['from']]} – {names[edge['to']]}  {parts}{known}{took_in}"),
        )
    yield rows
    if (hidden := len(graph["edges"]) - _EDGES) > 0:
        yield Text(f"  … and {hidden} more", style="dim")
    for change in graph["changes"]:
        before = printing.duration(float(round(change["before"])))
        yield Text(f"  {change['kind']} of {change['service']} {before} before the first onset: {change['title']}")


def investigation(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What was found: the conclusion, what may be the cause and why, and the first findings of each kind."""
    said = found["conclusion"] or f"it is {found['state']}"
    yield Text(said, style="bold" if found["state"] == "done" else "dim")
    told = found.get("findings") or {}
    for each in told.get("hypotheses", ())[:_HYPOTHESES]:
        yield Text.assemble((f"  {100 * each['confidence']:3.0f} %  ", "cyan"), each["statement"])
        yield from (Text(f"         · {line}", style="dim") for line in each["evidence"][:3])
        yield from (Text(f"         → {line}") for line in each["next_steps"][:2])
    for each in told.get("metrics", ())[:_FOUND]:
        labels = ", ".join(f"{name}={value}" for name, value in each["labels"].items())
        what = f"{each['metric']}{{{labels}}}" if labels else each["metric"]
        values = f"{printing.figures(each['before'])} → {printing.figures(each['after'])}"
        yield Text.assemble(("  metric ", "dim"), f"{each['service']} {what}  {values} ({each['measure']})")
    for each in told.get("logs", ())[:_FOUND]:
        yield Text.assemble(
            ("  log    ", "dim"), f"{each['service']} {each['change']}, {each['lines']} lines: {each['pattern']}"
        )
    for each in told.get("traces", {}).get("examples", ())[:_FOUND]:
        took = printing.duration(each["seconds"])
        yield Text.assemble(
            ("  trace  ", "dim"), f"{each['trace_id']} {each['why']}, {took}: {each['service']} {each['operation']}"
        )
    yield from (Text(f"  not looked at: {line}", style="yellow") for line in told.get("missed", ()))


_HYPOTHESES, _FOUND, _EDGES = 3, 5, 12


def channel(found: Mapping[str, Any]) -> Text:
    """The channel that a room has elsewhere, in a line."""
    if found["error"]:
        return Text.assemble((f"in {found['kind']}: ", "dim"), (found["error"], "red"))
    name = f"#{found['name']} {found['url']}" if found["url"] else "a channel is being made"
    return Text(f"in {found['kind']}: {name}", style="dim")


def tasks(incident: Mapping[str, Any], now: float) -> Table:
    """What is to be done, and what was."""
    rows = _bare()
    for task in incident["tasks"]:
        done, due = task["done_at"] is not None, task["due"]
        when = f"done by {task['done_by']}" if done else "" if due is None else f"due {_until(due - now)}"
        rows.add_row(
            Text("  ✓" if done else "  ·", style="green" if done else ""),
            Text(when, style="red" if not done and due is not None and due <= now else "dim"),
            task["id"],
            Text(task["text"] + (f" ({task['assignee']})" if task["assignee"] else "")),
        )
    return rows


def timeline(incident: Mapping[str, Any], last: int = 0, *, fold: bool = True) -> Table:
    """What happened, oldest first; only the `last` entries when that many are asked for, one line each unless `fold`."""
    rows = _bare(fold)
    for entry in incident["timeline"][-last:] if last else incident["timeline"]:
        rows.add_row(
            Text(printing.clock(entry["at"]), style="dim"),
            Text(printing.since(incident["created_at"], entry["at"]), style="dim", justify="right"),
            Text(entry["event"], style=_event_style(entry["event"])),
            Text(entry["text"]),
        )
    return rows


def _bare(fold: bool = True) -> Table:
    # Expanded, the last column gives way when the room is short, and not those before it.
    rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1), expand=not fold)
    for justify in ("left", "right", "left"):
        rows.add_column(justify=justify, no_wrap=True)
    rows.add_column(overflow="fold" if fold else "ellipsis", no_wrap=not fold, ratio=None if fold else 1)
    return rows


def _event_style(event: str) -> str:
    if any(word in event for word in ("failed", "fired", "created", "escalated", "reopened", "joined")):
        return "red"
    if any(word in event for word in ("resolved", "verified", "succeeded", "cleared")):
        return "green"
    return "cyan" if event.startswith(("runbook", "monitoring")) else ""


def notifications(incident: Mapping[str, Any]) -> Table:
    """Whom we told what, and how that went."""
    rows = printing.table(
        "state", "channel", "receiver", "told", "sent", "tries", "error",
        right=("tries",), fold="error", least=("tries", "channel"),
    )  # fmt: skip
    for row in incident["notifications"]:
        rows.add_row(
            printing.styled(row["state"]),
            row["channel"],
            row["receiver"],
            row["event"],
            "" if row["sent_at"] is None else printing.since(incident["created_at"], row["sent_at"]),
            str(row["attempts"]),
            Text(row["error"] or "", style="red"),
        )
    return rows


def runs(incident: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What runbooks did, step by step."""
    opened = incident["created_at"]
    for run in incident["runs"]:
        line = Text.assemble((run["runbook"], "bold"), "  ", printing.styled(run["state"]))
        if run["started_at"] is not None:
            line.append(f"  began {printing.since(opened, run['started_at'])}", style="dim")
        if run["finished_at"] is not None and run["started_at"] is not None:
            line.append(f", took {printing.duration(run['finished_at'] - run['started_at'])}", style="dim")
        if waits := run.get("waits"):
            until = f" until {printing.moment(waits['until'])}" if waits["until"] else ""
            line.append(f"  waits{until}: {waits['why']}", style="yellow")
        if run["outcome"]:
            line.append(f"  {run['outcome']}")
        yield line
        if run["steps"]:
            yield _steps(run["steps"])


def _steps(steps: Sequence[Mapping[str, Any]]) -> Table:
    rows = _bare()
    for step in steps:
        mark = _STEP_MARKS.get(step["state"], "·")
        ended = step["finished_at"]
        took = printing.duration(ended - step["started_at"]) if ended and step["started_at"] else ""
        rows.add_row(
            Text(f"  {mark}", style=printing.STYLES.get(step["state"], "")),
            Text(took, style="dim"),
            f"{step['kind']}",
            _told(step),
        )
    return rows


def _told(step: Mapping[str, Any]) -> Text:
    text = Text(step["name"])
    result = step.get("result") or {}
    if result.get("message"):
        text.append(f"  {result['message']}", style="red" if step["state"] == "failed" else "dim")
    return text

"""What the demonstration shows while it runs: start-up progress, then services, alerts and the incident as it grows.

In: `Picture`s, one after the other. Out: a live terminal view, or plain lines when the output goes elsewhere. Nothing is
decided here.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiprism.cli import dossier, printing
from aiprism.cli.remote import Remote

COURSE = 40
_BAR_WIDTH = 32
_LEAST_TIMELINE = 4
_TABLE_WIDTH = 66  # of the services' table without the courses
_SERVICES_WINDOW = 15


@dataclass(frozen=True, slots=True)
class Picture:
    """The system at one moment. `courses` are the last p95 latencies of each service, in milliseconds."""

    at: float
    services: Sequence[Mapping[str, Any]] = ()
    courses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    alerts: Sequence[Mapping[str, Any]] = ()
    incidents: Sequence[Mapping[str, Any]] = ()

    @property
    def incident(self) -> Mapping[str, Any] | None:
        """The one to look at: the oldest that is open, else the youngest."""
        still = [each for each in self.incidents if each["status"] != "resolved"]
        return still[-1] if still else self.incidents[0] if self.incidents else None


class Watch:
    """Takes pictures of a platform, and remembers how latencies went."""

    def __init__(self, platform: Remote) -> None:
        self._platform = platform
        self._courses: dict[str, deque[float]] = {}

    def look(self, since: float) -> Picture:
        """The system now, with every incident opened after `since`."""
        services = self._platform.get("/aiprism/v1/services", window=_SERVICES_WINDOW)["services"]
        alerts = self._platform.get("/api/v1/alerts")["data"]["alerts"]
        listed = self._platform.get("/aiprism/v1/incidents", status="all", limit=50)["incidents"]
        ids = [each["id"] for each in listed if each["created_at"] >= since]
        incidents = [self._platform.get(f"/aiprism/v1/incidents/{each}") for each in ids]
        self._remember({row["service"]: row["p95_ms"] for row in services})
        courses = {name: tuple(course) for name, course in self._courses.items()}
        return Picture(time.time(), services, courses, alerts, incidents)

    def _remember(self, latencies: Mapping[str, float]) -> None:
        for name in self._courses.keys() | latencies.keys():
            course = self._courses.setdefault(name, deque(maxlen=COURSE))
            course.append(latencies.get(name, math.nan))


class View(Protocol):
    """Where pictures and words go."""

    def step(self, part: str, done: int, of: int, note: str) -> None:
        """`done` of the `of` things that `part` of the start-up consists of are there."""
        ...

    def say(self, text: str) -> None:
        """What is going on now."""
        ...

    def show(self, picture: Picture) -> None:
        """The newest picture."""
        ...


class PlainView:
    """Lines, one for each thing that happens; for pipes, files and logs."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._start = out, time.time()
        self._told: set[object] = set()

    def step(self, part: str, done: int, of: int, note: str) -> None:
        if done == of:
            self._once(("step", part), f"{part}: {note}")

    def say(self, text: str) -> None:
        self._line(text)

    def show(self, picture: Picture) -> None:
        for incident in picture.incidents:
            for entry in incident["timeline"]:
                self._once((incident["id"], entry["id"]), f"{incident['id']}  {entry['event']}: {entry['text']}")

    def _once(self, key: object, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._line(text)

    def _line(self, text: str) -> None:
        print(f"{printing.since(self._start, time.time()):>8}  {text}", file=self._out, flush=True)


class LiveView:
    """The whole terminal, drawn anew with every picture; a context manager."""

    def __init__(self, title: str) -> None:
        self._title, self._address, self._start = title, "", time.time()
        self._steps: dict[str, tuple[int, int, str]] = {}
        self._said, self._said_at, self._picture = "", self._start, Picture(self._start)
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._live.__exit__(None, None, None)

    def step(self, part: str, done: int, of: int, note: str) -> None:
        self._steps[part] = (done, of, note)
        if part == "platform" and done == of:
            self._address = note
        self._draw()

    def say(self, text: str) -> None:
        self._said, self._said_at = text, time.time()
        self._draw()

    def show(self, picture: Picture) -> None:
        self._picture = picture
        self._draw()

    def _draw(self) -> None:
        now = time.time()
        gone = printing.duration(float(round(now - self._start)))
        head = Text.assemble(
            ("aiprism demo", "bold"), f"  {self._title}  ", (gone, "dim"), "  ", (self._address, "cyan underline")
        )
        body = Group(*self._starting(), *self._shown())
        said = Text(self._said or " ", style="bold")
        if self._said:
            said.append(f"  {printing.ago(self._said_at, now)}", style="not bold dim")
        foot = Text("Ctrl-C stops everything", style="dim")
        self._live.update(Group(head, Text(""), body, Text(""), said, foot), refresh=True)

    def _starting(self) -> Iterator[RenderableType]:
        if any(done < of for done, of, _ in self._steps.values()):
            yield progress(self._steps)
            yield Text("")

    def _shown(self) -> Iterator[RenderableType]:
        if self._picture.services:
            above = len(self._steps) + 1 if any(done < of for done, of, _ in self._steps.values()) else 0
            yield drawn(self._picture, self._console.width, self._console.height - 6 - above)


def progress(steps: Mapping[str, tuple[int, int, str]]) -> Table:
    """A bar for each part of the start-up."""
    rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for part, (done, of, note) in steps.items():
        bar = ProgressBar(total=of, completed=done, width=_BAR_WIDTH, complete_style="cyan", finished_style="green")
        rows.add_row(Text(part), bar, Text(f"{done}/{of}", style="dim"), Text(note, style="dim"))
    return rows


def drawn(picture: Picture, width: int, height: int) -> RenderableType:
    """The picture in at most `height` lines; the timeline gives way first, and no line is folded."""
    course = max(0, min(COURSE, width - _TABLE_WIDTH))
    parts: list[RenderableType] = [services(picture, course), Text(""), *map(_cut, alerts(picture)), Text("")]
    used = len(picture.services) + 2 + 1 + max(1, len(picture.alerts)) + 1
    incident = picture.incident
    if incident is None:
        return Group(*parts, Text("no incident", style="dim"))
    head = [_cut(line) for line in dossier.head(incident, picture.at)][:2]
    others = len(picture.incidents) - 1
    more = [Text(f"and {others} more", style="dim")] if others else []
    room = max(_LEAST_TIMELINE, height - used - len(head) - len(more))
    return Group(*parts, *head, *more, dossier.timeline(incident, last=room, fold=False))


def services(picture: Picture, course: int) -> Table:
    """Every service with rate, errors, latency, and how its latency went lately."""
    numbers = ("requests/s", "errors", "p50", "p95")
    rows = printing.table("service", *numbers, "p95 lately"[:course], right=numbers)
    for row in picture.services:
        share, name = row["error_share"], row["service"]
        lately = printing.sparkline(picture.courses.get(name, ())[-course:], course) if course else ""
        rows.add_row(
            Text(name, style="bold"),
            printing.figures(row["rate"]),
            Text(printing.share(share), style="bold red" if share >= 0.05 else ""),
            printing.duration(row["p50_ms"] / 1000),
            printing.duration(row["p95_ms"] / 1000),
            Text(lately, style="cyan"),
        )
    return rows


def alerts(picture: Picture) -> Iterator[Text]:
    """A line for each alert."""
    if not picture.alerts:
        yield Text("nothing is pending or firing", style="green")
    for alert in sorted(picture.alerts, key=lambda alert: (alert["state"] != "firing", alert["activeAt"])):
        yield Text.assemble(
            printing.styled(f"{alert['state']}"),
            "  ",
            (alert["labels"].get("alertname", ""), "bold"),
            f"  {alert['annotations'].get('summary', '')}",
        )


def _cut(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def plain_out(as_json: bool) -> TextIO:
    """Where progress goes: not among the JSON."""
    return sys.stderr if as_json else sys.stdout

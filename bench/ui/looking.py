"""What a page does while somebody uses it: how long until it shows what it is for, and how evenly its pictures follow.

In: a page of Playwright's, with real events of Chromium's own input. Out: milliseconds by the page's own clock, so that the way
to the browser and back is in none of them.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import CDPSession, Page

DEADLINE_MS = 120_000
FRAMES = """() => {
    window.__frames = []; window.__tasks = [];
    window.__watch = new PerformanceObserver(list => list.getEntries().forEach(each => window.__tasks.push(each.duration)));
    window.__watch.observe({entryTypes: ['longtask']});
    const next = at => { window.__frames.push(at); window.__next = requestAnimationFrame(next); };
    window.__next = requestAnimationFrame(next);
}"""
FRAMES_END = "() => { cancelAnimationFrame(__next); __watch.disconnect(); return [__frames, __tasks]; }"
# The moment at which the condition held and was painted: the second frame after it begins once the first is on the screen.
PAINTED = """condition => new Promise(done => {
    const look = () => condition() ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())))
        : requestAnimationFrame(look);
    look();
})"""
# Streams are kept where they can be listened to. To be there before the page's own scripts are.
STREAMS = """window.__streams = [];
window.EventSource = class extends EventSource { constructor(...all) { super(...all); __streams.push(this); } };"""
# From an event to the picture with what became of it: the task after the next frame begins once that is handed to the screen.
MOMENTS = """kind => {
    window.__waits = []; window.__tasks = [];
    const pictured = since => requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => __waits.push(performance.now() - since);
        port2.postMessage(0);
    });
    const watch = new PerformanceObserver(list => list.getEntries().forEach(each => __tasks.push(each.duration)));
    watch.observe({entryTypes: ['longtask']});
    const typed = event => pictured(event.timeStamp);
    const heard = [];
    const told = () => heard.push(performance.now());
    const drawn = new MutationObserver(() => heard.splice(0).forEach(pictured));
    if (kind === 'keydown') document.addEventListener('keydown', typed, true);
    else {
        drawn.observe(document.querySelector('[role=log]'), {childList: true, subtree: true});
        __streams.forEach(each => each.addEventListener(kind, told));
    }
    window.__stop = () => {
        watch.disconnect(); drawn.disconnect();
        document.removeEventListener('keydown', typed, true);
        __streams.forEach(each => each.removeEventListener(kind, told));
    };
}"""


@dataclass(frozen=True, slots=True)
class Frames:
    """What was painted while something moved."""

    deltas: list[float] = field(default_factory=list)  # milliseconds from a frame to the next
    long_tasks: list[float] = field(default_factory=list)  # of more than 50 ms

    @property
    def fps(self) -> float:
        """Frames a second over all of it."""
        return 1000 * len(self.deltas) / sum(self.deltas)

    def share(self, percent: int) -> float:
        """The frame time that so many percent do not exceed."""
        return statistics.quantiles(self.deltas, n=100)[percent - 1]

    def told(self) -> str:
        """One line of figures."""
        tasks = f"{len(self.long_tasks)} tasks > 50 ms, {max(self.long_tasks, default=0):.0f} at most"
        return f"p50 {self.share(50):.1f} ms, p95 {self.share(95):.1f} ms, {tasks}"


def painted(page: Page, condition: str) -> float:
    """Milliseconds from the begin of the navigation until `condition` (JavaScript) holds and is on the screen."""
    page.wait_for_function("() => document.body", timeout=DEADLINE_MS)
    return float(page.evaluate(f"({PAINTED})(() => {condition})"))


@contextmanager
def frames(page: Page) -> Iterator[Frames]:
    """The frames of what is done in the block; they stand in what is given once it is left."""
    seen = Frames()
    page.evaluate(FRAMES)
    yield seen
    times, tasks = page.evaluate(FRAMES_END)
    seen.deltas.extend(after - before for before, after in itertools.pairwise(times))
    seen.long_tasks.extend(tasks)


def scrolled(devtools: CDPSession, at: tuple[float, float], pixels: int, speed: int) -> None:
    """Turn the wheel over a place, `speed` pixels a second, events as even as the screen's frames."""
    x, y = at
    gesture = {"x": x, "y": y, "yDistance": -pixels, "speed": speed, "gestureSourceType": "mouse"}
    devtools.send("Input.synthesizeScrollGesture", gesture)


@dataclass(slots=True)
class Cost:
    """What the page's thread did in a while."""

    script_ms: float = 0.0
    task_ms: float = 0.0  # script, style, layout, paint and all else


@contextmanager
def busy(page: Page) -> Iterator[Cost]:
    """What the block costs the page's thread, by the browser's own counters; it stands in what is given once the block is left."""
    devtools, cost = page.context.new_cdp_session(page), Cost()
    devtools.send("Performance.enable")
    before = _counters(devtools)
    yield cost
    after = _counters(devtools)
    cost.script_ms, cost.task_ms = (1000 * (after[name] - before[name]) for name in ("ScriptDuration", "TaskDuration"))
    devtools.detach()


def _counters(devtools: CDPSession) -> dict[str, float]:
    return {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}


@dataclass(frozen=True, slots=True)
class Moments:
    """How long it took from events to pictures that show what became of them."""

    waits: list[float] = field(default_factory=list)  # milliseconds
    long_tasks: list[float] = field(default_factory=list)  # of more than 50 ms

    @property
    def median(self) -> float:
        """Of all of them."""
        return statistics.median(self.waits)

    def told(self) -> str:
        """One line of figures."""
        tasks = f"{len(self.long_tasks)} tasks > 50 ms, {max(self.long_tasks, default=0):.0f} at most"
        return f"{len(self.waits)} of them, p95 {statistics.quantiles(self.waits, n=20)[-1]:.1f} ms, {tasks}"


@contextmanager
def moments(page: Page, kind: str) -> Iterator[Moments]:
    """From each event of this kind to the picture after it: `keydown`, or one of a stream (with `STREAMS` run before the page was),
    which is pictured once the page's log has changed."""
    seen = Moments()
    page.evaluate(MOMENTS, kind)
    yield seen
    waits, tasks = page.evaluate("() => { __stop(); return [__waits, __tasks]; }")
    seen.waits.extend(waits)
    seen.long_tasks.extend(tasks)

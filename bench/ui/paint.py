"""The pages, measured in a browser: how soon they show what they are for, and how evenly they move.

A server of its own is given an hour of a small system and one large thing of each kind (`bench/ui/stock.py`); Debian's chromium,
without a window and so without a graphics card, looks at it with real events of the wheel and the mouse. Nothing is slowed down and
nothing sped up. Each figure is the median of `--runs`, with the load of the machine beside it:

* the page *Now*, cold: a browser that has never been here, until incidents, alerts and services stand on it; and what JavaScript
  that took, packed with gzip;
* the technical operations dashboard, an hour at 15 s, until all ten panels are painted: cold, and again in the same browser;
* a chart of 100 series × 1 000 points that is zoomed with the wheel and dragged along; a trace of 5 000 spans and 50 000 log
  lines that are scrolled through, wheel and all: frames a second;
* a war room of 2 000 lines: what one more costs and how soon it is seen, and how soon a letter is that is typed meanwhile;
* axe on every page; of fifty open tabs the requests a second, and what of a processor they keep busy in the server.

    python bench/ui/paint.py [--runs 5] [--only now,chart] [--file FILE]

The exit status is 1 when a target is missed. Debian's Prometheus comes without its pages, so there is no peer to stand beside.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from bench.ui.looking import STREAMS, Frames, busy, frames, moments, painted, scrolled
from bench.ui.stock import LINES, PEOPLE, SAID, SPANS, Stock, stocked
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from tests.journeys.conftest import Server
from tests.ui.conftest import CHROMIUM, CONFIG, addressed, violations
from tests.ui.seeding import seed
from tests.ui.test_pages import PAGES

KB = 1000  # as the build and the target count
FPS = 50
TABS, WATCHED_SECONDS = 50, 60  # twice what *Now* waits before it asks again
SAID_MORE, APART_MS = 60, 60
NO_SKELETON = "!document.querySelector('[role=status][aria-label=loading]')"
HIDDEN = """Object.defineProperty(document, 'hidden', {get: () => true});
Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});"""
WINDOW = (1600, 1400)  # all ten panels are in sight
PANELS = (
    "(all => all.length === 10 && all.every(each => each.innerText || each.querySelector('canvas, svg')))"
    f"([...document.querySelectorAll('.dashpanel .body')]) && {NO_SKELETON}"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure, and what it was to be; `most` is False where more is better."""

    name: str
    value: float
    unit: str
    target: float | None = None
    most: bool = True
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as it was to be; what has no target is."""
        if self.target is None:
            return True
        return self.value <= self.target if self.most else self.value >= self.target


@dataclass(frozen=True, slots=True)
class Bench:
    """A browser beside a server that has all of `stock`."""

    browser: Browser
    server: Server
    stock: Stock
    runs: int

    @contextmanager
    def visitor(self, size: tuple[int, int] = (1400, 900)) -> Iterator[BrowserContext]:
        """Somebody who was never here: no cache, no storage."""
        width, height = size
        context = self.browser.new_context(viewport={"width": width, "height": height}, base_url=self.server.url)
        context.set_default_timeout(120_000)
        yield context
        context.close()

    def median(self, once: Callable[[], float]) -> float:
        """Of `runs`."""
        return statistics.median(once() for _ in range(self.runs))


def main() -> None:
    asked = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    asked.add_argument("--runs", type=int, default=5)
    asked.add_argument("--only", default="", help=f"of {', '.join(MEASURES)}")
    asked.add_argument("--file", type=Path, help="where the figures are written as JSON, too")
    wanted = asked.parse_args()
    if not CHROMIUM:
        sys.exit("needs a browser: apt-get install chromium")
    chosen = [name for name in MEASURES if not wanted.only or name in wanted.only.split(",")]
    with beside(wanted.runs) as bench:
        found = list(told(bench, chosen))
    if wanted.file:
        wanted.file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(0 if all(each["met"] for each in found) else 1)


@contextmanager
def beside(runs: int) -> Iterator[Bench]:
    """A server with everything in it, and a browser."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        server = Server(Path(directory) / "data", CONFIG / "aiprism.yml").start(by_command=True)
        try:
            seed(server.url, step=15)
            stock = stocked(server.url, Path(directory) / "data" / "control.db", time.time())
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            yield Bench(browser, server, stock, runs)
            browser.close()
        finally:
            server.stop()


def told(bench: Bench, chosen: list[str]) -> Iterator[dict[str, object]]:
    """Measure, and print each figure as it is known."""
    print(f"{'measure':44}{'figure':>12} {'target':>12}  {'met':6}{'load':>5}")
    for name in chosen:
        for figure in MEASURES[name](bench):
            load = os.getloadavg()[0]
            sign = "" if figure.target is None else f"{'≤' if figure.most else '≥'} {figure.target:g} {figure.unit}"
            met = "" if figure.target is None else "met" if figure.met else "MISSED"
            value = f"{figure.value:.4g} {figure.unit}"
            print(f"{figure.name:44}{value:>12} {sign:>12}  {met:6}{load:5.1f}  {figure.note}".rstrip(), flush=True)
            yield {**asdict(figure), "met": figure.met, "load": load}


# -- how soon -----------------------------------------------------------------------------------------------------------


def now(bench: Bench) -> Iterator[Figure]:
    """*Now* for somebody who was never here."""
    usable = (
        "['open incidents', 'alerts', 'services', 'pipeline'].every(name => "
        f'document.querySelector(`table[aria-label="${{name}}"] tbody tr`)) && {NO_SKELETON}'
    )
    scripts: set[str] = set()

    def once() -> float:
        with bench.visitor() as visitor:
            page = visitor.new_page()
            page.on("request", lambda request: _kept(request, scripts))
            page.goto("/", wait_until="commit")
            return painted(page, usable) / 1000

    yield Figure("now: usable, cold cache", bench.median(once), "s", 2.0)
    size = sum(_packed(each) for each in scripts) / KB
    yield Figure("now: JavaScript, gzip", size, "kB", 350, note=f"{len(scripts)} files")


def _kept(request: Request, scripts: set[str]) -> None:
    if request.resource_type == "script":
        scripts.add(request.url)


def _packed(url: str) -> int:
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip", url
        return sum(len(each) for each in answer.iter_raw())


def dashboard(bench: Bench) -> Iterator[Figure]:
    """Ten panels: for somebody who was never here, and for one who is."""
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(bench.runs):
        with bench.visitor(WINDOW) as visitor:
            page = visitor.new_page()
            for times in (cold, warm):
                page.goto("/dashboards/technical-operations", wait_until="commit")
                times.append(painted(page, PANELS) / 1000)
    yield Figure("dashboard: ten panels painted, warm", statistics.median(warm), "s", 1.0)
    yield Figure("dashboard: ten panels painted, cold", statistics.median(cold), "s", 2.0)


# -- how evenly ---------------------------------------------------------------------------------------------------------


def chart(bench: Bench) -> Iterator[Figure]:
    """A hundred series of a thousand points: zoomed with the wheel, and dragged along."""
    with bench.visitor() as visitor:
        page = visitor.new_page()
        page.goto(bench.stock.chart)
        page.locator(".u-over").wait_for()
        page.wait_for_load_state("networkidle")
        box = page.locator(".u-over").bounding_box()
        assert box
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        yield _moved("chart: zoomed with the wheel", [_zoomed(page, middle) for _ in range(bench.runs)])
        yield _moved("chart: dragged along", [_dragged(page, middle) for _ in range(bench.runs)])
        yield _moved("chart: the cursor goes over it", [_hovered(page, middle) for _ in range(bench.runs)])


def _zoomed(page: Page, at: tuple[float, float]) -> Frames:
    page.mouse.move(*at)
    page.keyboard.down("Control")
    with frames(page) as seen:
        for turn in (-60, 60):
            for _ in range(45):
                page.mouse.wheel(0, turn)
    page.keyboard.up("Control")
    page.wait_for_load_state("networkidle")
    return seen


def _dragged(page: Page, at: tuple[float, float]) -> Frames:
    x, y = at
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    with frames(page) as seen:
        page.mouse.move(x - 300, y, steps=60)
        page.mouse.move(x, y, steps=60)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.wait_for_load_state("networkidle")
    return seen


def _hovered(page: Page, at: tuple[float, float]) -> Frames:
    x, y = at
    with frames(page) as seen:
        page.mouse.move(x - 300, y - 100, steps=60)
        page.mouse.move(x + 300, y + 100, steps=60)
    return seen


def trace(bench: Bench) -> Iterator[Figure]:
    """Five thousand spans."""
    shown = "document.querySelectorAll('[role=treeitem]').length > 10"

    def opened() -> float:
        with bench.visitor() as visitor:
            page = visitor.new_page()
            page.goto(bench.stock.trace, wait_until="commit")
            return painted(page, shown) / 1000

    yield Figure(f"trace of {SPANS} spans: shown, cold cache", bench.median(opened), "s")
    with bench.visitor() as visitor:
        page = visitor.new_page()
        page.goto(bench.stock.trace)
        yield _moved(f"trace of {SPANS} spans: scrolled", _scrolls(page, ".fall-rows", bench.runs))


def logs(bench: Bench) -> Iterator[Figure]:
    """Fifty thousand lines: while more are fetched, and once all are there."""
    with bench.visitor() as visitor:
        page = visitor.new_page()
        page.goto(bench.stock.lines)
        page.locator(".log-line").first.wait_for()
        yield _moved("log list: scrolled while more is fetched", _scrolls(page, ".log-lines", bench.runs))
        begun = time.monotonic()
        while not page.get_by_text("that is all there is").count():
            page.locator(".log-lines").evaluate("each => each.scrollTo(0, each.scrollHeight)")
            page.wait_for_timeout(30)
        took = time.monotonic() - begun
        page.locator(".log-lines").evaluate("each => each.scrollTo(0, each.scrollHeight / 2)")
        moved = _moved(f"log list of {LINES} lines: scrolled", _scrolls(page, ".log-lines", bench.runs))
        yield moved
        yield Figure(f"log list of {LINES} lines: fetched to the end", took, "s")


def _scrolls(page: Page, place: str, runs: int) -> list[Frames]:
    """Down and up again."""
    box = page.locator(place).bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + min(box["height"] / 2, 200)
    devtools = page.context.new_cdp_session(page)
    found = []
    for _ in range(runs):
        with frames(page) as seen:
            scrolled(devtools, middle, 3000, 2000)
            scrolled(devtools, middle, -2500, 2000)
        found.append(seen)
    return found


def _moved(name: str, runs: list[Frames]) -> Figure:
    middle = sorted(runs, key=lambda each: each.fps)[len(runs) // 2]
    return Figure(name, middle.fps, "fps", FPS, most=False, note=middle.told())


def room(bench: Bench) -> Iterator[Figure]:
    """A war room with all the lines that a page holds: others go on talking, and one types."""
    url = f"/aiprism/v1/incidents/{bench.stock.incident}/room/messages"
    authors = itertools.cycle(PEOPLE)
    with bench.visitor() as visitor, httpx.Client(base_url=bench.server.url) as others:
        page = visitor.new_page()
        page.add_init_script(STREAMS)
        page.add_init_script("localStorage.setItem('aiprism.actor', JSON.stringify('eve'))")
        page.goto(f"/incidents/{bench.stock.incident}/room")
        page.get_by_text("live", exact=True).wait_for()
        _all_held(page)
        with busy(page) as cost, moments(page, "line") as seen:
            for number in range(SAID_MORE):
                others.post(url, json={"actor": next(authors), "text": f"seen on node {number}"}).raise_for_status()
                page.wait_for_timeout(APART_MS)
        yield Figure(f"room of {SAID} lines: script of one more", cost.script_ms / SAID_MORE, "ms", 16.0)
        whole = f"{cost.task_ms / SAID_MORE:.1f} ms with style, layout and paint; {seen.told()}"
        yield Figure(f"room of {SAID} lines: one more is painted after", seen.median, "ms", note=whole)
        page.wait_for_timeout(10_000)  # so many may be said in ten seconds, and no more
        page.get_by_label("message").click()
        with moments(page, "keydown") as typed:
            for number, letter in enumerate("who has seen the pool of orders rise again, and on which of the nodes"):
                if number % 3 == 0:
                    others.post(url, json={"actor": next(authors), "text": f"still {number}"}).raise_for_status()
                page.keyboard.press(letter)
                page.wait_for_timeout(APART_MS)
        yield Figure(f"room of {SAID} lines: a letter is painted after", typed.median, "ms", 32.0, note=typed.told())


def _all_held(page: Page) -> None:
    """The page has every line there is, and shows the last ones."""
    said, earlier = page.get_by_role("log"), page.get_by_role("button", name="earlier messages")
    while said.evaluate("each => { each.scrollTo(0, 0); return each.scrollTop; }") or earlier.count():
        if earlier.count():
            with page.expect_response(lambda answer: "/room/messages" in answer.url):
                earlier.click()
        page.wait_for_timeout(100)
    said.evaluate("each => each.scrollTo(0, each.scrollHeight)")
    page.wait_for_timeout(1000)


# -- for everybody, and for many ----------------------------------------------------------------------------------------


def axe(bench: Bench) -> Iterator[Figure]:
    """Serious and critical violations on all pages."""
    found: dict[str, list[str]] = {}
    with bench.visitor() as visitor:
        page = visitor.new_page()
        for name, path in {**PAGES, "large trace": bench.stock.trace}.items():
            page.goto(addressed(path, bench.server))
            painted(page, f"document.querySelector('main') && {NO_SKELETON}")
            if wrong := violations(page):
                found[name] = wrong
    note = json.dumps(found) if found else ""
    yield Figure(f"axe on {len(PAGES) + 1} pages: serious or critical", sum(map(len, found.values())), "", 0, note=note)


def tabs(bench: Bench) -> Iterator[Figure]:
    """Fifty tabs of *Now* in one browser: one of them looked at, as tabs are, and each in a window of its own."""
    time.sleep(WATCHED_SECONDS)  # what was sent is worked through
    for hidden in (TABS - 1, 0):
        with bench.visitor() as visitor:
            pages = [visitor.new_page() for _ in range(TABS)]
            for page in pages[:hidden]:
                page.add_init_script(HIDDEN)  # without a window every page is told that it is seen
            for page in pages:
                page.goto("/", wait_until="commit")
            for page in pages[hidden:]:
                painted(page, NO_SKELETON)
            asked, spent = _asked(visitor), _processor(bench.server)
            pages[-1].wait_for_timeout(WATCHED_SECONDS * 1000)
            share = (_processor(bench.server) - spent) / WATCHED_SECONDS
        told = f"{TABS} tabs, {TABS - hidden} seen"
        yield Figure(f"{told}: requests a second", len(asked) / WATCHED_SECONDS, "/s", 2.0 if hidden else None)
        yield Figure(f"{told}: of a processor, in the server", 100 * share, "%")


def _processor(server: Server) -> float:
    """The seconds of a processor that the server has taken."""
    told = httpx.get(f"{server.url}/metrics", timeout=30).text
    return float(re.search(r"^process_cpu_seconds_total (\S+)", told, re.MULTILINE)[1])  # type: ignore[index]


def _asked(visitor: BrowserContext) -> list[str]:
    """What all its pages ask from now on."""
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url))
    return asked


MEASURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "now": now,
    "dashboard": dashboard,
    "chart": chart,
    "trace": trace,
    "logs": logs,
    "room": room,
    "axe": axe,
    "tabs": tabs,
}

if __name__ == "__main__":
    main()

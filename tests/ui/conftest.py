"""A browser that looks at a real server with an hour of data: an error on a page, or a request to others, fails the test."""

from __future__ import annotations

import base64
import itertools
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from tests.journeys.conftest import Server, eventually
from tests.ui.seeding import go_on, seed

_FED_SECONDS = 15.0
CALLS = {("api-gateway", "document-processor"), ("document-processor", "model-server")}
expect.set_options(timeout=60_000)  # a busy machine is no fault of a page
# The one without a window, where it is installed: the other draws a tab strip of its own beside every page.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or ""
CONFIG = Path(__file__).parent / "config"
ASKED_FOR_PICTURES = os.environ.get("AIPRISM_SCREENSHOTS", "")  # where to

# A page of this width and colour scheme at an address of the server.
Visit = Callable[..., Page]


@pytest.fixture(scope="module")  # not longer: its event loop runs meanwhile, and tests elsewhere run their own
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    if not CHROMIUM:
        pytest.skip("needs a browser: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an hour of data and an open incident, and a configuration of its own, which may be written into."""
    place = tmp_path_factory.mktemp("ui")
    config = shutil.copytree(CONFIG, place / "config") / "aiprism.yml"
    server = Server(place / "data", config).start()
    begun, over = seed(server.url), threading.Event()
    feeder = threading.Thread(target=_fed, args=(server.url, begun, over), daemon=True)
    feeder.start()
    eventually(lambda: server.get("/aiprism/v1/incidents")["incidents"], what="an incident")
    eventually(lambda: _calls(server) >= CALLS, within=300, what="who calls whom")  # joined after a minute
    yield server
    over.set()
    feeder.join()
    server.stop()


def _calls(server: Server) -> set[tuple[str, str]]:
    return {(each["caller"], each["callee"]) for each in server.get("/aiprism/v1/services/edges")["edges"]}


def _fed(url: str, begun: float, over: threading.Event) -> None:
    """Metrics go on; documents only for pictures, which would show silent services: tests count what there is."""
    for number in itertools.count(1000):
        if over.wait(_FED_SECONDS):
            return
        go_on(url, begun, number if ASKED_FOR_PICTURES else None)


@pytest.fixture
def visit(browser: Browser, platform: Server) -> Iterator[Visit]:
    """Opens pages of the platform; at the end each must have been without errors and without a request to anybody else."""
    pages: list[Any] = []

    def opened(path: str, *, width: int = 1280, height: int = 900, dark: bool = False, refused: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", base_url=platform.url
        )
        page = context.new_page()
        pages.append((context, watched := Watched(page, platform.url, refused)))
        page.set_default_timeout(60_000)
        page.goto(path, timeout=60_000)
        watched.path = path
        return page

    yield opened
    for context, watched in pages:
        context.close()
        assert watched.faults == [], watched.path


# What each page has asked and not been answered yet; streams, whose answers do not end, are left out.
_WAITS_FOR: WeakKeyDictionary[Page, set[Request]] = WeakKeyDictionary()
_ENDS = re.compile(r"^(?!.*/(live|tail)\b)")
_STILL_LOOKS = 10  # at a twentieth of a second: what is answered leads to the next question within that


def settled(page: Page) -> None:
    """Return once the page shows all that it asks for."""
    looks, deadline = 0, time.monotonic() + 120
    while looks < _STILL_LOOKS:
        assert time.monotonic() < deadline, f"{page.url} waits for {[each.url for each in _WAITS_FOR[page]]}"
        drawn = page.locator("main > *").count() > 0 and page.get_by_role("status", name="loading").count() == 0
        looks = looks + 1 if drawn and not _WAITS_FOR[page] else 0
        page.wait_for_timeout(50)


# What a browser logs of a question that was refused, and React of a part of a page that is not there.
_REFUSALS = ("the server responded with a status of 4", "could not be loaded")


# Whether one sees that an element has the focus: it looks otherwise without.
_LOOKS_FOCUSED = """(element) => {
  const look = () => {
    const style = getComputedStyle(element);
    return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.borderColor, style.boxShadow].join();
  };
  const focused = look();
  element.blur();
  const other = look();
  element.focus();
  return focused !== other;
}"""


def go_by_keys(page: Page, place: Locator, key: str = "Tab") -> None:
    """Press `key` until `place` has the focus, and is seen to have it."""
    expect(place).to_be_enabled()
    for _ in range(100):
        if place.evaluate("(element) => element === document.activeElement"):
            break
        page.keyboard.press(key)
    expect(place).to_be_focused()
    assert place.evaluate(_LOOKS_FOCUSED), place


class Watched:
    """What a page did that it must not."""

    def __init__(self, page: Page, url: str, refused: bool = False) -> None:
        self.faults: list[str] = []
        self.path = ""
        self._refused = refused  # it is about a question that the server refuses, which a browser logs
        self._host = urlsplit(url).netloc
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._asked)
        waits = _WAITS_FOR[page] = set()
        page.on("request", lambda request: waits.add(request) if _ENDS.search(request.url) else None)
        page.on("requestfinished", lambda request: waits.discard(request))
        page.on("requestfailed", lambda request: waits.discard(request))

    def _said(self, message: ConsoleMessage) -> None:
        refused = self._refused and any(each in message.text for each in _REFUSALS)
        if message.type in ("error", "warning") and not refused:
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "about") and address.netloc != self._host:
            self.faults.append(f"asked {request.url}")


def addressed(path: str, server: Server) -> str:
    """`path` with a trace that failed and the first incident in the places that ask for one."""
    if "{trace}" in path:
        found = server.get("/aiprism/v1/traces", service="api-gateway", errors=True, limit=1)["traces"]
        path = path.replace("{trace}", found[0]["trace_id"])
    if "{incident}" in path:
        incidents = server.get("/aiprism/v1/incidents", status="all")["incidents"]
        first = min(incidents, key=lambda each: each["created_at"])  # tests open others
        path = path.replace("{incident}", first["id"])
    return path


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of pages are kept: in the documentation when that is asked for (`make screenshots`)."""
    return Path(ASKED_FOR_PICTURES) if ASKED_FOR_PICTURES else tmp_path_factory.mktemp("screenshots")


MOST_OF_A_PICTURE = 60_000  # bytes


# Where the server of the tests happens to run is nothing that documentation tells.
_ANYWHERE = """(places) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode())
    for (const [place, elsewhere] of places)
      texts.currentNode.data = texts.currentNode.data.replace(new RegExp(place, "g"), elsewhere)
}"""
_PLACES = ((r"\S*/pytest-of-\S+?/ui\d*/data", "/var/lib/aiprism"), (re.escape(str(Path.cwd())), "/srv/aiprism"))


def pictured(page: Page, file: Path) -> None:
    """Keep what is seen of the page: as good as it may be and small enough for the repository."""
    if ASKED_FOR_PICTURES:
        page.evaluate(_ANYWHERE, _PLACES)
    devtools = page.context.new_cdp_session(page)
    for quality in (80, 65, 50, 35, 20):
        shot = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": quality})
        picture = base64.b64decode(shot["data"])
        if len(picture) <= MOST_OF_A_PICTURE:
            break
    file.write_bytes(picture)


AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"


# From one scheme to the other some colours go in steps.
_COLOURS_HAVE_CHANGED = """() => Promise.all(document.getAnimations()
  .filter((each) => each instanceof CSSTransition).map((each) => each.finished.catch(() => {})))"""


def recolour(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Show the page in other colours, as when somebody's system goes over to them in the evening or morning."""
    page.emulate_media(color_scheme=scheme)
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
    page.evaluate(_COLOURS_HAVE_CHANGED)


# What a page's colours alone decide: in the other scheme all else is as it was.
COLOURS = ("color-contrast", "link-in-text-block")


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What of the page keeps somebody out, seriously or worse, by axe's rules: by all of them, or by `rules`."""
    if not page.evaluate("() => 'axe' in window"):  # to read half a megabyte takes as long as to look through a page
        page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:4]]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@contextmanager
def downloaded(page: Page) -> Iterator[list[bytes]]:
    """What the page lets the browser keep as a file while the block runs."""
    kept: list[bytes] = []
    with page.expect_download() as waiting:
        yield kept
    kept.append(Path(waiting.value.path()).read_bytes())

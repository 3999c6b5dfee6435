"""A browser that looks at a real server with an hour of data: an error on a page, or a request to others, fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.journeys.conftest import Server, eventually
from tests.ui.seeding import seed

expect.set_options(timeout=60_000)  # a busy machine is no fault of a page
CHROMIUM = shutil.which("chromium") or ""
CONFIG = Path(__file__).parent / "config"

# A page of this width and colour scheme at an address of the server.
Visit = Callable[..., Page]


@pytest.fixture(scope="module")  # not longer: its event loop runs meanwhile, and tests elsewhere run their own
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    if not CHROMIUM:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an hour of data and an open incident."""
    server = Server(tmp_path_factory.mktemp("ui") / "data", CONFIG / "aiprism.yml").start()
    seed(server.url)
    eventually(lambda: server.get("/aiprism/v1/incidents")["incidents"], what="an incident")
    yield server
    server.stop()


@pytest.fixture
def visit(browser: Browser, platform: Server) -> Iterator[Visit]:
    """Opens pages of the platform; at the end each must have been without errors and without a request to anybody else."""
    pages: list[Any] = []

    def opened(path: str, *, width: int = 1280, height: int = 900, dark: bool = False, refused: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", base_url=platform.url
        )
        page = context.new_page()
        pages.append((context, watched := _Watched(page, platform.url, refused)))
        page.set_default_timeout(60_000)
        page.goto(path, timeout=60_000)
        watched.path = path
        return page

    yield opened
    for context, watched in pages:
        context.close()
        assert watched.faults == [], watched.path


class _Watched:
    """What a page did that it must not."""

    def __init__(self, page: Page, url: str, refused: bool) -> None:
        self.faults: list[str] = []
        self.path = ""
        self._refused = refused  # it is about a question that the server refuses, which a browser logs
        self._host = urlsplit(url).netloc
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        refused = self._refused and "the server responded with a status of 4" in message.text
        if message.type in ("error", "warning") and not refused:
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "about") and address.netloc != self._host:
            self.faults.append(f"asked {request.url}")


AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Page) -> list[str]:
    """What of the page keeps somebody out, seriously or worse, by axe's rules."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
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

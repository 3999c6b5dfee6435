"""Dashboards that other people share, tried as a user tries them: imported, opened, scrolled through, every row opened.

In: files or folders of Grafana's JSON. A server of its own gets an hour of made-up data for all that their queries name
(`bench/ui/madeup.py`); each dashboard is imported over the API and looked at in Debian's chromium. Told of each are the panels that
say they cannot show something, those in error, those that found nothing although there is data, those that stay blank, and what
the browser's console complained of; `--pictures` keeps what was seen.

    python bench/ui/community.py [FOLDER] [--pictures FOLDER] [--only NAME]

Without a folder they are those that Debian packages for Ceph.

The exit status is 1 when a panel is unsupported, in error or blank, or the console complained.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from bench.ui import madeup
from playwright.sync_api import Page, sync_playwright

from tests.journeys.conftest import Server
from tests.ui.conftest import CHROMIUM, CONFIG, Watched, settled

PACKAGED = Path("/etc/grafana/dashboards/ceph-dashboard")  # Debian's ceph-grafana-dashboards
WIDTH, SLICE = 1400, 2200  # pixels of a picture
MOST_ROWS = 60
# Of each panel in its turn: its title, what it says is missing, in error, or not there, and whether it shows anything.
PANELS = """() => [...document.querySelectorAll('.dashpanel')].map(each => {
    const texts = of => [...each.querySelectorAll(of)].map(one => one.innerText.trim());
    const body = each.querySelector('.body');
    return {
        title: each.querySelector('section')?.getAttribute('aria-label') ?? each.innerText.split('\\n')[0],
        missing: texts('.warn'), errors: texts('.fault'), empty: texts('.empty'),
        blank: !body || (!body.innerText.trim() && !body.querySelector('canvas, svg, img')),
    };
})"""
NEW_ROW = "button.dashrow[aria-expanded=false]"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of one dashboard; each of the lists says `panel: what`."""

    name: str
    schema: str
    panels: int = 0
    seconds: float = 0.0
    missing: Sequence[str] = field(default=())
    errors: Sequence[str] = field(default=())
    empty: Sequence[str] = field(default=())
    blank: Sequence[str] = field(default=())
    console: Sequence[str] = field(default=())

    @property
    def clean(self) -> bool:
        """Nothing that is the fault of a page."""
        return not (self.missing or self.errors or self.blank or self.console)

    def told(self) -> Iterator[str]:
        """A line of figures, and one for each thing to be looked at."""
        counts = [len(each) for each in (self.missing, self.errors, self.empty, self.blank, self.console)]
        yield f"{self.name:44.44}{self.schema:>7}{self.panels:>7}{self.seconds:>7.1f}  " + "".join(
            f"{count or '–':>9}" for count in counts
        )
        for what in ("missing", "errors", "empty", "blank", "console"):
            yield from (f"      {what}: {text}" for text in getattr(self, what))


def main() -> None:
    asked = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    asked.add_argument("files", type=Path, nargs="*", default=[PACKAGED], help="dashboards, or folders of them")
    asked.add_argument("--pictures", type=Path, help="a folder for what is seen")
    asked.add_argument("--only", default="", help="a part of the names of the files")
    wanted = asked.parse_args()
    if not CHROMIUM:
        sys.exit("needs a browser: apt-get install chromium")
    files = [file for place in wanted.files for file in ([place] if place.is_file() else sorted(place.glob("*.json")))]
    if not files:
        sys.exit(f"there is no dashboard in {PACKAGED}: apt-get install ceph-grafana-dashboards, or name files")
    boards = {file.stem: document(file) for file in files if wanted.only in file.stem}
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "data", CONFIG / "aiprism.yml").start()
        try:
            clean = tried(server.url, boards, wanted.pictures)
        finally:
            server.stop()
    sys.exit(0 if clean else 1)


def document(file: Path) -> dict[str, Any]:
    """A dashboard out of a file, also where it is wrapped as Grafana's API does."""
    read = json.loads(file.read_text(encoding="utf-8-sig"))
    inner = read.get("dashboard")
    return dict(inner if isinstance(inner, Mapping) else read)


def tried(url: str, boards: Mapping[str, Mapping[str, Any]], pictures: Path | None) -> bool:
    """Look at all of them, telling of each as it was seen."""
    metrics, unread = madeup.wanted(list(boards.values()))
    feed = madeup.Feed(url, metrics, time.time())
    print(f"{len(boards)} dashboards, {len(metrics)} metrics, {feed.go_on(time.time())} samples")
    print("".join(f"      no PromQL: {' '.join(each.split())}\n" for each in unread), end="")
    heads = ("missing", "errors", "no data", "blank", "console")
    print(f"{'dashboard':44}{'schema':>7}{'panels':>7}{'s':>7}  " + "".join(f"{each:>9}" for each in heads))
    seen = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, board in boards.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": 900}, base_url=url)
            page.set_default_timeout(60_000)
            feed.go_on(time.time())  # what is looked at last is as new as what is looked at first
            seen.append(looked(page, url, name, board))
            print("\n".join(seen[-1].told()), flush=True)
            if pictures:
                pictured(page, pictures, name)
            page.close()
        browser.close()
    print(f"{sum(each.clean for each in seen)} of {len(seen)} clean, {sum(each.panels for each in seen)} panels")
    return all(each.clean for each in seen)


def looked(page: Page, url: str, name: str, board: Mapping[str, Any]) -> Looked:
    """Import a dashboard, open it and all its rows, and see what each of its panels says."""
    answer = httpx.post(f"{url}/aiprism/v1/dashboards", json={"dashboard": board}, timeout=60)
    answer.raise_for_status()
    watched, begun = Watched(page, url), time.monotonic()
    page.goto(f"/dashboards/{answer.json()['uid']}")
    settled(page)
    for _ in range(MOST_ROWS):
        if not page.locator(NEW_ROW).count():
            break
        page.locator(NEW_ROW).first.click()
    unrolled(page)
    found = page.evaluate(PANELS)
    said = {
        key: [f"{each['title']}: {' '.join(text.split())}" for each in found for text in each[key]]
        for key in ("missing", "errors", "empty")
    }
    blank = [each["title"] for each in found if each["blank"]]
    if not found and any(madeup.panels(board)):
        blank = ["all of it"]
    schema = str(board.get("schemaVersion", "?"))
    return Looked(name, schema, len(found), time.monotonic() - begun, **said, blank=blank, console=watched.faults)


def unrolled(page: Page) -> None:
    """Make the window as high as the page, so that every panel is in sight, and wait until all of them show what they ask for."""
    for _ in range(3):  # what is drawn may make it higher
        settled(page)
        high = page.evaluate(
            "() => Math.max(document.body.scrollHeight, document.querySelector('main').scrollHeight + 80)"
        )
        page.set_viewport_size({"width": WIDTH, "height": min(int(high), 20_000)})
    settled(page)


def pictured(page: Page, folder: Path, name: str) -> None:
    """Keep the page as pictures that can be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    high = int((page.viewport_size or {"height": SLICE})["height"])
    for at, top in enumerate(range(0, high, SLICE)):
        clip = {"x": 0, "y": top, "width": WIDTH, "height": min(SLICE, high - top)}
        page.screenshot(path=folder / f"{name}-{at}.png", clip=clip)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

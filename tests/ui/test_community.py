"""Dashboards that others share, unmodified: those that Debian packages for Ceph, with made-up data for all that they ask."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import httpx
import pytest
from bench.ui import community, madeup
from playwright.sync_api import Browser, Page

from tests.journeys.conftest import Server
from tests.ui.conftest import violations

# Rows and gauges of old, tables with styles, pies, heatmaps, statistics of today, variables that name others.
TRIED = ("ceph-cluster", "host-details", "osds-overview", "pool-overview")


@pytest.fixture(scope="module")
def fed(platform: Server) -> Iterator[Server]:
    """The platform with an hour of everything that the dashboards name; they are gone at the end."""
    if not community.PACKAGED.is_dir():
        assert "CI" not in os.environ, "ceph-grafana-dashboards is not installed"
        pytest.skip("needs dashboards: apt-get install ceph-grafana-dashboards")
    metrics, unread = madeup.wanted([community.document(community.PACKAGED / f"{name}.json") for name in TRIED])
    assert unread == []
    madeup.Feed(platform.url, metrics, time.time()).go_on(time.time())
    before = _uids(platform)
    yield platform
    for uid in _uids(platform) - before:
        httpx.delete(f"{platform.url}/aiprism/v1/dashboards/{uid}").raise_for_status()


def _uids(server: Server) -> set[str]:
    return {each["uid"] for each in server.get("/aiprism/v1/dashboards")["dashboards"]}


@pytest.fixture
def page(browser: Browser, fed: Server) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": community.WIDTH, "height": 900}, base_url=fed.url)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", TRIED)
def test_a_dashboard_of_another_project_shows_all_it_has(name: str, page: Page, fed: Server) -> None:
    board = community.document(community.PACKAGED / f"{name}.json")
    seen = community.looked(page, fed.url, name, board)
    assert (seen.missing, seen.errors, seen.empty, seen.blank, seen.console) == ([], [], [], [], [])
    assert seen.panels == sum(each["type"] != "row" for each in madeup.panels(board))
    assert violations(page) == []

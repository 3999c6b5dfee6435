"""The pages: the built UI, /docs, and other UIs' addresses; whole, from this package alone, safe by their headers."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable, Mapping
from importlib.resources import files

import httpx
import pytest

from aiprism.telemetry import Telemetry
from aiprism.web import pages, routes

STATIC = files("aiprism.web") / "static"
PLACES = files("aiprism.web").joinpath("../../../ui/src/components/places.ts")

Get = Callable[..., httpx.Response]


@pytest.fixture
def get() -> Get:
    async def reload() -> None:
        return None

    application = routes.build([], Telemetry(), {}, reload)

    async def answer(path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers={"Accept-Encoding": "identity", **(headers or {})})

    return lambda path, headers=None: asyncio.run(answer(path, headers))


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_a_page_and_everything_it_names_is_served(get: Get, page: str) -> None:
    text = get(page).text
    named = set(re.findall(r'(?:src|href)="(/(?:static|assets)/[^"]+)"', text))
    for script in [name for name in named if name.startswith("/static/") and name.endswith(".js")]:
        named |= {f"/static/{name}" for name in re.findall(r'from "\./([^"]+)"', get(script).text)}
    kinds = {name: get(name).headers["content-type"].partition(";")[0] for name in named}
    assert len(kinds) >= 3
    expected = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert kinds == {name: expected[name.rpartition(".")[2]] for name in kinds}


def test_every_page_of_the_ui_is_the_same_document(get: Get) -> None:
    root = get("/")
    assert root.headers["cache-control"] == "no-cache"
    for place in pages.PLACES:
        assert get(f"/{place}").text == get(f"/{place}/of/anything").text == root.text


def test_the_server_and_the_ui_know_the_same_pages() -> None:
    assert re.findall(r'path: "/(\w+)"', PLACES.read_text(encoding="utf-8")) == list(pages.PLACES)


def test_what_the_ui_consists_of_is_kept_for_ever_and_sent_packed(get: Get) -> None:
    (script,) = re.findall(r'src="(/assets/[^"]+)"', get("/").text)
    plain, packed = get(script), get(script, {"Accept-Encoding": "gzip, deflate"})
    assert plain.headers["cache-control"] == packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content  # httpx has unpacked it
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, 9)) or len(
        plain.content
    ) > 3 * int(packed.headers["content-length"])
    assert get(script, {"If-None-Match": plain.headers["etag"]}).status_code == 304


def test_nothing_is_loaded_from_elsewhere(get: Get) -> None:
    policy = get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy  # so scripts are of this server, and none stands in a page
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file.name


def test_what_services_say_is_never_read_as_markup() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8")
        for door in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert door not in text, file.name


@pytest.mark.parametrize("place", ["static", "assets"])
def test_files_beside_those_of_pages_are_not_served(get: Get, place: str) -> None:
    for name in ("..%2froutes.py", ".hidden", "missing.js", "%2e%2e", "index.html.gz%00.js"):
        assert get(f"/{place}/{name}").status_code == 404


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("/graph?g0.expr=up&g0.tab=1", "/explore/metrics?q=up"),
        (
            "/graph?g0.expr=rate(a%5B5m%5D)&g0.range_input=2h&g1.expr=b",
            "/explore/metrics?q=rate%28a%5B5m%5D%29&q=b&from=now-2h",
        ),
        ("/query", "/explore/metrics?"),
    ],
)
def test_links_to_the_graph_page_of_prometheus_lead_to_ours(get: Get, address: str, ours: str) -> None:
    answer = get(address)
    assert (answer.status_code, answer.headers["location"]) == (302, ours)

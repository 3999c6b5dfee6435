"""The pages at / and /docs: served whole, from this package alone, safe by their headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib.resources import files

import httpx
import pytest

from aiprism.telemetry import Telemetry
from aiprism.web import routes

STATIC = files("aiprism.web") / "static"


Get = Callable[[str], httpx.Response]


@pytest.fixture
def get() -> Get:
    async def reload() -> None:
        return None

    application = routes.build([], Telemetry(), {}, reload)

    async def answer(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return lambda path: asyncio.run(answer(path))


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_a_page_and_everything_it_names_is_served(get: Get, page: str) -> None:
    text = get(page).text
    named = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text))
    scripts = [name for name in named if name.endswith(".js")]
    for script in scripts:
        named |= {f"/static/{name}" for name in re.findall(r'from "\./([^"]+)"', get(script).text)}
    kinds = {name: get(name).headers["content-type"].partition(";")[0] for name in named}
    assert len(kinds) >= 3
    expected = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert kinds == {name: expected[name.rpartition(".")[2]] for name in kinds}


def test_nothing_is_loaded_from_elsewhere(get: Get) -> None:
    policy = get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file.name


def test_what_services_say_is_never_read_as_markup() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8")
        for door in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert door not in text, file.name


def test_files_beside_the_static_ones_are_not_served(get: Get) -> None:
    for name in ("..%2froutes.py", ".hidden", "missing.js"):
        assert get(f"/static/{name}").status_code == 404

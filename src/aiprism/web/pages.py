"""The pages: the web UI as `npm run build` has made it, the documentation of the API, and the addresses of other UIs' pages.

Every page is one document, `ui/index.html`, whose script shows what its address says. Its parts have names that tell their
content, so a browser keeps them for ever and asks for the document alone. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

# What `/` answers to those who do not want the page; None to those who do.
AtRoot = Callable[[Request], Response | None]

# The first parts of the UI's addresses; `ui/src/components/places.ts` has them, too.
PLACES = ("explore", "services", "alerts", "incidents", "dashboards", "settings")
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
}
_PACKED = (("br", "br"), ("gzip", "gz"))  # as Accept-Encoding calls it, and how its file ends; the smaller first
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_FOR_EVER = "public, max-age=31536000, immutable"


def router(at_root: AtRoot) -> APIRouter:
    """The UI at / and at the addresses of its pages, /docs, and what they consist of."""
    routes = APIRouter(include_in_schema=False)
    here = Path(__file__).parent
    static, built = here / "static", here / "ui"

    @routes.api_route("/", methods=["GET", "HEAD"], response_class=Response)
    async def index(request: Request) -> Response:
        return at_root(request) or page(request)

    def page(request: Request) -> Response:
        place = built if (built / "index.html").is_file() else static  # without a build: a page that needs none
        return _sent(request, place, "index.html", "no-cache")

    for each in PLACES:
        routes.add_api_route(f"/{each}", page, methods=["GET"], name=each)
        routes.add_api_route(f"/{each}/{{rest:path}}", page, methods=["GET"], name=f"within {each}")

    @routes.get("/graph", response_class=Response)
    @routes.get("/query", response_class=Response)
    async def graph(request: Request) -> Response:
        return RedirectResponse(f"/explore/metrics?{_asked(request)}", 302)

    @routes.get("/docs", response_class=HTMLResponse)
    async def docs() -> str:
        return (static / "docs.html").read_text(encoding="utf-8")

    @routes.get("/static/{name}", response_class=Response)
    async def asset(request: Request, name: str) -> Response:
        return _sent(request, static, name, "no-cache")

    @routes.get("/assets/{name}", response_class=Response)
    async def part(request: Request, name: str) -> Response:
        return _sent(request, built / "assets", name, _FOR_EVER)

    return routes


def _asked(request: Request) -> str:
    """The queries and the range of an address of Prometheus' UI (`g0.expr`, `g0.range_input`, `g0.end_input`) as ours."""
    asked: Mapping[str, str] = request.query_params
    queries = [("q", text) for name, text in sorted(asked.items()) if re.fullmatch(r"g\d+\.expr", name)]
    length, end = asked.get("g0.range_input", ""), asked.get("g0.end_input", "")
    ended = [("to", f"{end.replace(' ', 'T')}Z")] if end else []
    return urlencode([*queries, *([("from", f"now-{length}")] if length and not end else []), *ended])


def _sent(request: Request, place: Path, name: str, keep: str) -> Response:
    """A file, packed as the client likes it, or that it has it already; 404 when there is none of that name."""
    if not _NAME.fullmatch(name) or not (place / name).is_file():
        raise HTTPException(404)
    welcome = {each.partition(";")[0].strip() for each in request.headers.get("accept-encoding", "").split(",")}
    packed = ((coding, f"{name}.{end}") for coding, end in _PACKED if coding in welcome)
    coding, file = next(((coding, file) for coding, file in packed if (place / file).is_file()), ("", name))
    content, tag = _read(place / file)
    headers = {"Cache-Control": keep, "ETag": tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    return Response(
        content, media_type=_KINDS.get(name.rpartition(".")[2], "application/octet-stream"), headers=headers
    )


def _read(file: Path) -> tuple[bytes, str]:
    """Its content and what tells it from another; read anew once it has changed, as after a build beside a running server."""
    return _kept(file, file.stat().st_mtime)


@lru_cache(maxsize=256)
def _kept(file: Path, _changed: float) -> tuple[bytes, str]:
    content = file.read_bytes()
    return content, f'"{sha256(content).hexdigest()[:20]}"'

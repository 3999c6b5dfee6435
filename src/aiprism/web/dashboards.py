"""Dashboards over HTTP: those that come with aiprism, those of folders, and those that were saved or imported.

One of a file can be changed: what is saved stands in its place until it is deleted, or is written into the file where the
configuration allows it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.errors import BadInput, NotFound
from aiprism.model import dashboards as model
from aiprism.model.dashboards import UID, Dashboard
from aiprism.store.dashboards import Dashboards, moved_on
from aiprism.web.dashboardfiles import Folders

Uid = Annotated[str, InPath(pattern=UID)]
Author = Annotated[str, Field(default="", max_length=200, description="who saves it")]


class Wanted(BaseModel):
    """A dashboard as it shall be."""

    dashboard: dict[str, Any] = Field(description="Grafana's JSON")
    folder: str = Field(default="", max_length=200)
    by: Author
    message: str = Field(default="", max_length=500, description="what was changed")


class Changed(Wanted):
    """Another one in the place of a version that was read; 0: of a file, or of nothing."""

    version: int = Field(ge=0)
    into: Literal["database", "file"] = Field(default="database", description="where it is kept")
    mark: str = Field(default="", max_length=64, description="of the file as it was read, where it is kept in the file")


class Imported(Wanted):
    """One that comes from elsewhere."""

    overwrite: bool = Field(default=False, description="also where one of that uid is there")


class Shelf:
    """Every dashboard there is: what was saved before files of the same uid."""

    def __init__(self, saved: Dashboards, folders: Folders, clock: Clock) -> None:
        self._saved, self._folders, self._clock = saved, folders, clock

    def all(self) -> Sequence[Dashboard]:
        """The last version of each, by folder and title."""
        every = {**self._folders.all(), **{each.uid: each for each in self._saved.all()}}
        return sorted(every.values(), key=lambda each: (each.folder, each.title.lower(), each.uid))

    def get(self, uid: str, version: int | None = None) -> Dashboard:
        """That version (0: of the file), or the last one; NotFound when there is none."""
        found = self._saved.find(uid, version) if version != 0 else None
        if found is None and not version:
            found = self._folders.all().get(uid)
        if found is None:
            what = f"no version {version} of it" if version else "none of that uid"
            raise NotFound(f"dashboard {uid!r}: there is {what}")
        return found

    def versions(self, uid: str) -> Sequence[Dashboard]:
        """Every version, the last one first; that of the file is the oldest."""
        file = self._folders.all().get(uid)
        found = [*self._saved.versions(uid), *([file] if file else [])]
        if not found:
            raise NotFound(f"there is no dashboard {uid!r}")
        return found

    def put(self, uid: str, wanted: Wanted, before: int) -> Dashboard:
        """Save one after version `before`."""
        document = {**model.read(wanted.dashboard).document, "uid": uid}
        made = model.read(document, folder=wanted.folder)
        if len(json.dumps(document)) > model.MOST_BYTES:
            raise BadInput(f"a dashboard may have {model.MOST_BYTES} bytes; this has more")
        if isinstance(wanted, Changed) and wanted.into == "file":
            return self._written(made, wanted, before)
        return self._saved.put(_by(made, wanted), before, self._clock.now())

    def _written(self, made: Dashboard, wanted: Changed, before: int) -> Dashboard:
        """Into its file; what was saved in the place of the file goes, or nobody would see the file."""
        kept = self._saved.find(made.uid)
        if (version := kept.version if kept else 0) != before:
            raise moved_on(made.uid, version, before)
        written = self._folders.write(made, wanted.mark, by=wanted.by, message=wanted.message)
        if kept:
            self._saved.delete(made.uid, before)
        return written

    def file(self, uid: str) -> dict[str, str] | None:
        """The user's file of that uid: its name, of what it is as it stands, and why nobody can save into it, if so."""
        place = self._folders.place(uid)
        return {"name": place.name, "mark": place.mark, "refused": place.refused} if place else None

    def imported(self, wanted: Imported) -> Dashboard:
        """Save one that comes from elsewhere: under another uid when its own is taken, unless it shall overwrite."""
        found = model.read(wanted.dashboard)
        uid, taken = found.uid, {each.uid for each in self.all()}
        if not wanted.overwrite:
            uid = next(each for each in _numbered(uid) if each not in taken)
        kept = self._saved.find(uid)
        return self.put(uid, wanted, kept.version if kept else 0)

    def delete(self, uid: str) -> None:
        """Forget what was saved; the file of that uid, if any, stands again."""
        self._saved.delete(uid)


def router(shelf: Shelf) -> APIRouter:
    """The routes under /aiprism/v1/dashboards."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["dashboards"])

    @routes.get("/dashboards", summary="Every dashboard, by folder and title")
    async def listed() -> dict[str, Any]:
        return {"dashboards": [_told(each) for each in await asyncio.to_thread(shelf.all)]}

    @routes.post("/dashboards", status_code=201, summary="Import a dashboard of Grafana's")
    async def add(wanted: Imported) -> dict[str, Any]:
        return _told(await asyncio.to_thread(shelf.imported, wanted))

    @routes.get("/dashboards/{uid}", summary="One dashboard: Grafana's JSON, and which version it is")
    async def one(uid: Uid, version: int | None = None) -> dict[str, Any]:
        file = await asyncio.to_thread(shelf.file, uid)  # before it is read: its mark is never of something newer
        found = await asyncio.to_thread(shelf.get, uid, version)
        return {**_told(found), "dashboard": found.document, "file": file}

    @routes.put("/dashboards/{uid}", summary="Save a dashboard as its next version, or into its file")
    async def change(uid: Uid, wanted: Changed) -> dict[str, Any]:
        made = await asyncio.to_thread(shelf.put, uid, wanted, wanted.version)
        return {**_told(made), "file": await asyncio.to_thread(shelf.file, uid)}

    @routes.delete(
        "/dashboards/{uid}", status_code=204, summary="Delete what was saved; a file of that uid stands again"
    )
    async def delete(uid: Uid) -> None:
        await asyncio.to_thread(shelf.delete, uid)

    @routes.get("/dashboards/{uid}/versions", summary="Versions of a dashboard, the last one first")
    async def versions(uid: Uid) -> dict[str, Any]:
        return {"versions": [_told(each) for each in await asyncio.to_thread(shelf.versions, uid)]}

    @routes.get("/dashboards/{uid}/export", summary="The dashboard as a file that Grafana imports")
    async def export(uid: Uid, version: int | None = None) -> Response:
        found = await asyncio.to_thread(shelf.get, uid, version)
        return Response(
            json.dumps(exported(found.document), indent=2, ensure_ascii=False),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{found.uid}.json"'},
        )

    return routes


def exported(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` as Grafana wants it: with a schema version, numbered panels, each in its place."""
    panels = document.get("panels")
    made = {"schemaVersion": 39, "editable": True, "id": None, **document}
    if isinstance(panels, list):
        made["panels"] = list(_placed([each for each in panels if isinstance(each, Mapping)]))
    return made


def _placed(panels: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    numbers = {panel["id"] for panel in panels if isinstance(panel.get("id"), int)}
    free = iter(number for number in range(1, 10_000) if number not in numbers)
    for at, panel in enumerate(panels):
        place = {"x": at % 3 * 8, "y": at // 3 * 8, "w": 8, "h": 8}
        targets = [
            {"refId": chr(65 + number % 26), **target} for number, target in enumerate(panel.get("targets") or [])
        ]
        yield {
            "id": panel["id"] if isinstance(panel.get("id"), int) else next(free),
            "gridPos": place,
            **{key: value for key, value in panel.items() if key not in ("id", "targets")},
            **({"targets": targets} if targets else {}),
        }


def _numbered(uid: str) -> Iterator[str]:
    yield uid
    for number in range(2, 10_000):
        yield f"{uid[:74]}-{number}"


def _by(dashboard: Dashboard, wanted: Wanted) -> Dashboard:
    return Dashboard(
        dashboard.uid,
        dashboard.title,
        dashboard.tags,
        dashboard.folder,
        dashboard.document,
        author=wanted.by,
        message=wanted.message,
    )


def _told(dashboard: Dashboard) -> dict[str, Any]:
    description = dashboard.document.get("description")
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": description if isinstance(description, str) else "",
        "tags": list(dashboard.tags),
        "folder": dashboard.folder,
        "origin": dashboard.origin,
        "version": dashboard.version,
        "at": dashboard.at,
        "by": dashboard.author,
        "message": dashboard.message,
    }

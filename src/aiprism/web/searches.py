"""Saved searches over HTTP: decode, call, encode. Who uses one is told with it, and one that a rule uses is not deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.errors import BadInput, Conflict
from aiprism.model.savedsearches import SavedSearch
from aiprism.model.signals import Signal
from aiprism.query import lucene, saved
from aiprism.store.savedsearches import SavedSearches

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # what needs no quotes behind `saved:`
Column = Annotated[str, Field(min_length=1, max_length=200)]
# The names of the rules, among those that are evaluated, that use the search of a name.
Used = Callable[[str], Sequence[str]]


class Wanted(BaseModel):
    """What is looked for, and how it is shown."""

    query: str = Field(max_length=lucene.LONGEST, description="in Lucene's syntax")
    signal: Literal["logs", "traces"] = "logs"
    columns: list[Column] = Field(default=[], max_length=50, description="fields that are shown")
    seconds: float | None = Field(
        default=None, gt=0, le=366 * 86_400, allow_inf_nan=False, description="how far back from now"
    )
    description: str = Field(default="", max_length=2000)


class Named(Wanted):
    """A new one."""

    name: str = Field(pattern=NAME)


class Changed(Wanted):
    """Another one in the place of a version that was read."""

    version: int = Field(ge=1)


def router(searches: SavedSearches, clock: Clock, used: Used) -> APIRouter:
    """The routes under /aiprism/v1/searches."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["searches"])

    @routes.get("/searches", summary="Saved searches, by name")
    async def listed() -> dict[str, Any]:
        return {"searches": [_shown(each, used) for each in await asyncio.to_thread(searches.all)]}

    @routes.get("/searches/{name}", summary="One saved search, and the rules that use it")
    async def one(name: str) -> dict[str, Any]:
        return _shown(await asyncio.to_thread(searches.get, name), used)

    @routes.post("/searches", status_code=201, summary="Save a search under a name")
    async def add(wanted: Named) -> dict[str, Any]:
        return _shown(await asyncio.to_thread(_add, searches, wanted, clock.now()), used)

    @routes.put(
        "/searches/{name}", summary="Change a saved search; rules that use it follow when they are loaded again"
    )
    async def change(name: str, wanted: Changed) -> dict[str, Any]:
        return _shown(await asyncio.to_thread(_change, searches, name, wanted, clock.now(), used), used)

    @routes.delete("/searches/{name}", status_code=204, summary="Delete a saved search that no rule uses")
    async def delete(
        name: str, version: Annotated[int | None, Query(ge=1, description="only this one")] = None
    ) -> None:
        if rules := used(name):
            raise Conflict(f"rules use the search {name!r}: {', '.join(rules)}; take it out of them and reload first")
        await asyncio.to_thread(searches.delete, name, version)

    return routes


def _add(searches: SavedSearches, wanted: Named, now: float) -> SavedSearch:
    return searches.add(_checked(_search(wanted.name, wanted, 1), searches), now)


def _change(searches: SavedSearches, name: str, wanted: Changed, now: float, used: Used) -> SavedSearch:
    changed = _checked(_search(name, wanted, wanted.version), searches)
    if rules := used(name):
        _check_users(changed, {each.name: each for each in searches.all()}, rules, used)
    return searches.change(changed, now)


def _check_users(changed: SavedSearch, kept: Mapping[str, SavedSearch], rules: Sequence[str], used: Used) -> None:
    """Conflict when rules could not be loaded again with `changed`: the next start of the server would fail for it."""
    before = kept.get(changed.name)
    if before and before.signal is not changed.signal:
        raise Conflict(
            f"rules count the search {changed.name!r} as one of {before.signal.value}: {', '.join(rules)}; "
            f"save the one of {changed.signal.value} under another name"
        )
    after = {**kept, changed.name: changed}
    for each in kept.values():
        theirs = used(each.name) if each.name != changed.name and _fault(each, kept) is None else ()
        fault = _fault(each, after) if theirs else None
        if fault:
            raise Conflict(
                f"rules use the search {each.name!r}, which is made of this one: {', '.join(theirs)}; {fault}"
            )


def _fault(search: SavedSearch, among: Mapping[str, SavedSearch]) -> BadInput | None:
    """Why a search cannot be asked, made of those."""
    try:
        saved.resolved(saved.condition(search.query, search.signal), among.get, search.signal, within=(search.name,))
    except BadInput as error:
        return error
    return None


def _search(name: str, wanted: Wanted, version: int) -> SavedSearch:
    return SavedSearch(
        name=name,
        signal=Signal(wanted.signal),
        query=wanted.query,
        columns=tuple(wanted.columns),
        seconds=wanted.seconds,
        description=wanted.description,
        version=version,
    )


def _checked(search: SavedSearch, searches: SavedSearches) -> SavedSearch:
    """The search, once it is known what it asks; BadInput otherwise."""
    saved.resolved(saved.condition(search.query, search.signal), searches.find, search.signal, within=(search.name,))
    return search


def _shown(search: SavedSearch, used: Used) -> dict[str, Any]:
    return {
        "name": search.name,
        "signal": search.signal.value,
        "query": search.query,
        "columns": list(search.columns),
        "seconds": search.seconds,
        "description": search.description,
        "version": search.version,
        "created_at": search.created_at,
        "updated_at": search.updated_at,
        "used_by": list(used(search.name)),
    }

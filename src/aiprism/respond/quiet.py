"""What people ask to be quiet about: silences and maintenance windows, made, changed and ended.

Each function is one wish on an open desk; it writes, or says why it cannot be. What is held back by them is `holding`'s.
"""

from __future__ import annotations

from dataclasses import replace

from aiprism.errors import Conflict, NotFound
from aiprism.respond.desk import Desk
from aiprism.respond.keeping import silence_of, silence_row, window_of, window_row
from aiprism.respond.mute import holding
from aiprism.respond.mute.maintenance import Window
from aiprism.respond.mute.silences import Silence, expired, kept_after
from aiprism.store import alerting
from aiprism.store import held as held_store


def put_silence(desk: Desk, wanted: Silence, fresh_id: str) -> str:
    """Make a silence, or change the one that has the id of `wanted`; the id it has now. BadInput or NotFound when that
    cannot be."""
    rows = alerting.silence_rows(desk.connection, ids=[wanted.id]) if wanted.id else []
    if wanted.id and not rows:
        raise NotFound(f"no silence {wanted.id!r}")
    kept = kept_after(wanted, silence_of(rows[0]) if rows else None, desk.now, fresh_id)
    for each in kept:
        alerting.put_silence(desk.connection, silence_row(each))
    return kept[0].id


def end_silence(desk: Desk, silence_id: str) -> None:
    """End a silence; one that is over stays as it is. NotFound when there is none of that id."""
    rows = alerting.silence_rows(desk.connection, ids=[silence_id])
    if not rows:
        raise NotFound(f"no silence {silence_id!r}")
    alerting.put_silence(desk.connection, silence_row(expired(silence_of(rows[0]), desk.now)))


def put_window(desk: Desk, window: Window) -> None:
    """Keep a maintenance window, which has an id of its own. Conflict when another one of its name is not over."""
    for each in holding.windows(desk.connection, desk.policy.planned):
        if each.name == window.name and not each.over(desk.now):
            raise Conflict(f"there is a maintenance window {window.name!r}; end it first, or choose another name")
    held_store.put_window(desk.connection, window_row(window, desk.now))


def end_window(desk: Desk, window_id: str) -> tuple[Window, Window]:
    """End a maintenance window now, by id or name; as it was, and as it is: unchanged when it was over
    before. NotFound when there is none; Conflict for one that stands in maintenance.yml."""
    asked_for = [(window_of(row), row) for row in reversed(held_store.window_rows(desk.connection))]
    meant = [(each, row) for each, row in asked_for if window_id in (each.id, each.name)]
    # A name may be given again once its window is over, also in the file: the one that is not over is meant.
    lasting = [(each, row) for each, row in meant if each.id == window_id or not each.over(desk.now)]
    if not lasting and any(each.name == window_id for each in desk.policy.planned.windows):
        raise Conflict(f"maintenance window {window_id!r} stands in maintenance.yml: change it there, and reload")
    if not meant:
        raise NotFound(f"no maintenance window {window_id!r}")
    before, row = (lasting or meant)[0]
    if before.over(desk.now):
        return before, before
    after = replace(before, ended_at=desk.now)
    held_store.put_window(desk.connection, window_row(after, row["created_at"]))
    return before, after

"""`aiprism incidents update`: an audience is told how an incident stands, and what was told whom is shown."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.incidents import identified
from aiprism.cli.remote import Remote
from aiprism.errors import BadInput

_DRAFT = ("status", "text", "template", "title")


def update(wanted: argparse.Namespace) -> int:
    """Tell an audience, or show what it would be told, or the log."""
    remote = Remote(wanted.server)
    base = f"/aiprism/v1/incidents/{identified(remote, wanted.incident_id)}/updates"
    draft = {name: getattr(wanted, name) for name in _DRAFT if getattr(wanted, name)}
    if not wanted.to:
        if draft or wanted.preview:
            raise BadInput("name the audience that is told: --to AUDIENCE")
        found = remote.get(base)
        shown = [text for each in found["updates"] for text in _update(each)] or [Text("nobody was told anything")]
    elif wanted.preview:
        found = remote.post(f"{base}/preview", {"audience": wanted.to, **draft})
        shown = [*_said(found), *(_receiver(each, "would be told") for each in found["would_tell"])]
    else:
        found = remote.post(base, {"actor": wanted.actor, "audience": wanted.to, **draft})
        shown = list(_update(found))
    if wanted.output == "json":
        printing.show_json(found)
    else:
        printing.show(*shown)
    return 0


def _update(update: Mapping[str, Any]) -> Iterator[Text]:
    who = f"  {update['author']} to {update['audience']}" + (" (public)" if update["public"] else "")
    yield Text.assemble((printing.moment(update["at"]), "dim"), (who, "bold"))
    yield from _said(update)
    for each in update["told"]:
        yield _receiver(each, each["state"])


def _said(update: Mapping[str, Any]) -> Iterator[Text]:
    yield Text.assemble("  ", printing.styled(update["status"]), f"  {update['title']}")
    yield Text(f"  {update['text']}")


def _receiver(told: Mapping[str, Any], state: str) -> Text:
    why = f": {told['error']}" if told.get("error") else ""
    return Text(f"  {told['receiver']} by {told['channel']}: {state}{why}", style="dim")

"""`aiprism incidents room`: the war room of an incident on a terminal: read, written in, followed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from aiprism.cli import dossier, printing
from aiprism.cli.incidents import identified
from aiprism.cli.remote import Remote


def room(wanted: argparse.Namespace) -> int:
    """Show the room; open it, say something, or stay and listen, as is asked for."""
    remote = Remote(wanted.server)
    base = f"/aiprism/v1/incidents/{identified(remote, wanted.incident_id)}/room"
    if wanted.open:
        remote.post(f"{base}/open", {"actor": wanted.actor})
    if wanted.say:
        remote.post(f"{base}/messages", {"actor": wanted.actor, "text": wanted.say})
    found = remote.get(base)
    if wanted.output == "json":
        printing.show_json(found)
        return 0
    printing.show(*_page(found))
    if wanted.follow:
        for event, body in remote.events(f"{base}/events", after=found["place"]):
            if event == "line":
                printing.show(_line(body))
            elif event == "timeline":
                printing.show(_entry(body))
    return 0


def _page(found: Mapping[str, Any]) -> Iterator[Text]:
    incident = found["incident"]
    yield Text.assemble(
        printing.styled(incident["priority"]),
        "  ",
        printing.styled(incident["status"]),
        "  ",
        (incident["title"], "bold"),
    )
    here = ", ".join(person["name"] for person in found["participants"])
    yield Text(f"here: {here or 'nobody'}", style="dim")
    if found["channel"]:
        yield dossier.channel(found["channel"])
    if found["pins"]:
        yield printing.titled("pinned")
        for pin in found["pins"]:
            yield Text.assemble(
                (pin["evidence"], "cyan"), f"  {pin['text']}", (f"  {pin['url']}" if pin["url"] else "")
            )
    yield printing.titled("room")
    yield from map(_line, found["messages"])


def _line(line: Mapping[str, Any]) -> Text:
    when = printing.moment(line["at"])
    if line["kind"] == "said":
        answered = f"  (on “{line['data']['reply_to']['text']}”)" if "reply_to" in line["data"] else ""
        return Text.assemble((when, "dim"), "  ", (line["author"], "bold"), (answered, "dim"), f"  {line['text']}")
    if line["kind"] == "answered":
        return Text.assemble((when, "dim"), "  ", (line["text"], "green" if line["data"]["done"] else "red"))
    told = f"{line['author']} {line['kind']}" + ("" if line["kind"] in ("joined", "left") else f": {line['text']}")
    return Text(f"{when}  {told}", style="dim")


def _entry(entry: Mapping[str, Any]) -> Text:
    return Text.assemble((printing.moment(entry["at"]), "dim"), "  ", (entry["event"], "cyan"), f"  {entry['text']}")

"""`aiprism receivers`: who is told and how they were reached, and telling one that this is a test."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from aiprism.cli import printing
from aiprism.cli.remote import Remote


def listed(wanted: argparse.Namespace) -> int:
    """Print the integrations of every receiver."""
    answer = Remote(wanted.server).get("/aiprism/v1/receivers")
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    numbers = ("sent", "failed", "waiting")
    least = ("where", "waiting", "channel")
    rows = printing.table("receiver", "channel", "where", *numbers, "last", right=numbers, fold="last", least=least)
    for receiver in answer["receivers"]:
        for each in receiver["integrations"] or [{"channel": "nobody is told", "where": "", "last": None}]:
            last = each["last"]
            said = f"{last['event']} {last['state']} {printing.moment(last['at'])} {last['error']}" if last else ""
            counts = (str(each.get(name, "")) for name in numbers)
            rows.add_row(receiver["name"], each["channel"], each["where"], *counts, printing.harmless(said.strip()))
    printing.show(rows)
    return 0


def test(wanted: argparse.Namespace) -> int:
    """Try a receiver; 1 when one of its integrations was not reached."""
    answer = Remote(wanted.server).post(f"/aiprism/v1/receivers/{quote(wanted.name, safe='')}/test", {"by": wanted.by})
    if wanted.output == "json":
        printing.show_json(answer)
    else:
        rows = printing.table("channel", "result", "took", right=("took",), fold="result")
        for each in answer["tried"]:
            said = "delivered" if each["delivered"] else each["reason"]
            rows.add_row(each["channel"], printing.harmless(said), printing.duration(each["seconds"]))
        printing.show(rows if answer["tried"] else "it has no integrations: nobody is told")
    return 0 if answer["delivered"] else 1

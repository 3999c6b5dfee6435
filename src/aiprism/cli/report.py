"""`aiprism report`: what the server tells of a week, as a document."""

from __future__ import annotations

import argparse
import sys

from aiprism.cli import printing
from aiprism.cli.remote import Remote


def weekly(wanted: argparse.Namespace) -> int:
    """The weekly review."""
    remote, end = (
        Remote(wanted.server),
        None if wanted.end is None else printing.moment_in(wanted.end, printing.present()),
    )
    if wanted.output == "json":
        printing.show_json(remote.get("/aiprism/v1/reports/weekly", end=end))
    else:
        sys.stdout.write(remote.text("/aiprism/v1/reports/weekly", end=end, form="md"))
    return 0

"""`aiprism routes test`: who would be told about an alert, as `amtool config routes test` answers.

In: an alertmanager.yml and labels. Out: receivers on stdout, one for each route that takes the alert. No server is asked.
"""

from __future__ import annotations

import argparse

from aiprism.respond import matcher, route


def run(wanted: argparse.Namespace) -> int:
    """Print the receivers."""
    labels = matcher.label_set(wanted.labels)
    print(",".join(route.load(wanted.config).receivers_for(labels)))
    return 0

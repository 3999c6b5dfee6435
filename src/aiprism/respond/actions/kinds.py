"""Which kinds of steps there are. A new one is a module with a `KIND` beside these, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from aiprism.respond.actions import command, control, issue, kubernetes, postgresql, process, wait, webhook
from aiprism.respond.actions.act import Actuator, Kind, Means

KINDS: Mapping[str, Kind] = {
    "control": control.KIND,
    "process": process.KIND,
    "kubernetes": kubernetes.KIND,
    "issue": issue.KIND,
    "webhook": webhook.KIND,
    "command": command.KIND,
    "postgresql": postgresql.KIND,
    "wait": wait.KIND,
}


def actuators(means: Means) -> Mapping[str, Actuator]:
    """What carries out each kind of step on this server."""
    return {name: kind.actuator(means) for name, kind in KINDS.items()}

"""What was changed, or happened, beside telemetry: what charts mark and what an investigation looks for first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

START = "start"  # the kind of what says that a service was seen for the first time: nothing of it was changed


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One change: a deployment, a configuration change, a restart, an annotation. `ts` is Unix seconds, to the millisecond;
    `service` is empty when it concerns none or all; the same `id` again is the same event."""

    id: str
    ts: float
    kind: str
    service: str
    title: str
    text: str
    attributes: Mapping[str, str]
    source: str

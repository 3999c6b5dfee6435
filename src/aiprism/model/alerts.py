"""Alerts: what detectors raise and the response room receives."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from aiprism.model.labels import Labels


class AlertState(Enum):
    """Where one alert stands. RESOLVED is handed on once; an inactive alert simply is not there."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Priority(Enum):
    """Tiers of requirement R6, most urgent first."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"

    @property
    def urgency(self) -> int:
        """0 for P0 … 3 for P3: smaller is more urgent."""
        return int(self.value[1])


# What rule authors write in the `severity` label, and the tier it means (plan L712: critical pages, warning informs).
SEVERITY_TIERS = {
    "critical": Priority.P0, "p0": Priority.P0, "page": Priority.P0, "p0_critical": Priority.P0,
    "high": Priority.P1, "p1": Priority.P1, "error": Priority.P1, "p1_high": Priority.P1,
    "warning": Priority.P2, "p2": Priority.P2, "medium": Priority.P2, "p2_warning": Priority.P2,
    "info": Priority.P3, "p3": Priority.P3, "low": Priority.P3, "none": Priority.P3, "p3_info": Priority.P3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one rule for one label set. Times are Unix seconds; `labels` includes `alertname`."""

    labels: Labels
    annotations: Labels
    state: AlertState
    value: float
    active_at: float
    fired_at: float | None = None
    resolved_at: float | None = None
    source: str = ""  # where it comes from: "rules.yml/group/alertname", or the sender's generatorURL
    ends_at: float | None = None  # when it is over unless it is said again; None: until its detector says so
    presumed: bool = False  # `ends_at` is not the sender's word
    # Where tiers.yml places it, when that is not what its labels say.
    tier: Priority | None = field(default=None, compare=False)
    # Sixteen hex digits that name this label set; the same alert keeps it from firing to resolved. Kept rather than
    # asked for anew: a storm looks every alert up many times.
    fingerprint: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", f"{self.labels.fingerprint:016x}")

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def priority(self) -> Priority:
        """The tier: the one it was placed in, else an explicit `priority` label, else what `severity` means, else P2."""
        if self.tier is not None:
            return self.tier
        for label in ("priority", "severity"):
            tier = SEVERITY_TIERS.get(self.labels.get(label, "").lower())
            if tier is not None:
                return tier
        return Priority.P2

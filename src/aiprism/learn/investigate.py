"""An investigation: four phases, one after the other, each within its time, whose findings are put together.

In: a `Case`, and `Sources` that read. Out: `Findings`. `PHASES` is the literal order; each phase is a function of the case, its
`Look` and what was found before, and gives what was found with its own part. A phase that fails, or whose time is over, leaves
its part as it is and says what it did not look at; the next one begins all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import structlog

from aiprism.learn.findings import Case, Findings, PhaseReport
from aiprism.learn.hypotheses import hypotheses
from aiprism.learn.look import Look, Sources
from aiprism.learn.metricchanges import metric_changes
from aiprism.learn.newlines import log_changes
from aiprism.learn.slowtraces import trace_changes
from aiprism.learn.topology import Topology
from aiprism.model.alerts import Alert
from aiprism.respond.changes import names_of
from aiprism.respond.incident import Incident
from aiprism.services import Catalogue

log = structlog.get_logger()

MOST_SERVICES = 10  # an incident is looked at as if it were about so many
MOST_NEAR = 12
_DOWN, _UP = 2, 1  # calls away that are near

Phase: TypeAlias = Callable[[Case, Look, Findings], Findings]

PHASES: tuple[tuple[str, Phase], ...] = (
    ("metrics", metric_changes),
    ("logs", log_changes),
    ("traces", trace_changes),
    ("hypotheses", hypotheses),
)


def case_of(incident: Incident, topology: Topology, catalogue: Catalogue, now: float) -> Case:
    """Where to look for what is wrong with `incident`."""
    services = tuple(dict.fromkeys(topology.named(each) or each for each in incident.services))[:MOST_SERVICES]
    near = _near(services, topology)
    known = names_of(catalogue, [incident])[incident.id]
    names = {name: topology.named(name) or name for name in (*incident.services, *sorted(known))}
    for service in (*services, *near):
        node = topology.nodes.get(service)
        names.update(dict.fromkeys((service, *(node.seen_as if node else ())), service))
    names = {name: service for name, service in names.items() if service in services or service in near}
    onset = min((alert.active_at for alert in _of_round(incident)), default=incident.begun_at)
    return Case(incident, services, near, names, min(onset, now), now, topology)


def _of_round(incident: Incident) -> Sequence[Alert]:
    return incident.firing or incident.alerts


def _near(services: Sequence[str], topology: Topology) -> dict[str, int]:
    """Whom they call, and who calls them: the nearest first, callees before callers."""
    hops: dict[str, int] = {}
    for service in services:
        for name, distance in topology.downstream(service, _DOWN).items():
            hops[name] = min(distance, hops.get(name, distance))
    for service in services:
        for name, distance in topology.upstream(service, _UP).items():
            hops.setdefault(name, -distance)
    ordered = sorted(
        (each for each in hops if each not in services), key=lambda each: (abs(hops[each]), -hops[each], each)
    )
    return {name: hops[name] for name in ordered[:MOST_NEAR]}


def investigated(case: Case, sources: Sources, seconds: float, monotonic: Callable[[], float]) -> Findings:
    """What is found about `case` within `seconds`. Blocking. A phase may take what is left, but for a fair share of those to
    come."""
    found, began = Findings(), monotonic()
    for number, (name, phase) in enumerate(PHASES):
        start = monotonic()
        left = seconds - (start - began)
        look = Look(
            sources, start + left / (len(PHASES) - number) if number + 1 < len(PHASES) else began + seconds, monotonic
        )
        try:
            found = phase(case, look, found)
        except Exception as error:  # the rim of a phase: the others are as good as without it
            log.exception("investigation.phase_failed", phase=name, incident=case.incident.id)
            look.missed.append(f"the {name}: what was read could not be understood ({type(error).__name__})")
        report = PhaseReport(name, round(monotonic() - start, 4), look.queries, tuple(look.missed))
        found = replace(found, phases=(*found.phases, report))
    return found


def conclusion(found: Findings) -> str:
    """One line: the first hypothesis, or that there is none, and whether something was not looked at."""
    if found.hypotheses:
        first = found.hypotheses[0]
        text = f"{first.statement} (confidence {100 * first.confidence:.0f} %)"
    elif found.metrics or found.logs or found.traces.slower or found.traces.origins:
        text = "no cause suggests itself: " + ", ".join(_counts(found))
    else:
        text = "nothing found: no metric, log or trace of its services differs from before"
    missed = len(found.missed)
    return text + (f"; {missed} {'question' if missed == 1 else 'questions'} without an answer" if missed else "")


def _counts(found: Findings) -> list[str]:
    told = (
        (len(found.metrics), "metrics changed"), (len(found.logs), "log statements are new or risen"),
        (len(found.traces.slower), "kinds of requests are slower"), (len(found.traces.origins), "errors in traces"),
    )  # fmt: skip
    return [f"{number} {what}" for number, what in told if number]

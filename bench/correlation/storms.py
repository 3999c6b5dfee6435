"""Storms of alerts of which is known what caused each: faults strike a system and spread to those who call what failed.

Each kind of storm is a function of a system and dice. What comes out is when which alert is delivered, and which fault it is of.
A service that two faults reach alerts because of the first; nobody can tell from outside that it was not the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.correlation.systems import System

from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels

T0 = 1_795_443_300.0
ORIGIN = {
    "service": (
        ("ServiceDown", "critical"), ("HighErrorRate", "critical"), ("PodCrashLooping", "warning"),
        ("HighMemoryUsage", "warning"),
    ),
    "store": (
        ("DatabaseDown", "critical"), ("TooManyConnections", "warning"), ("SlowQueries", "warning"),
        ("ReplicationLag", "warning"),
    ),
    "model": (("ModelServerSlow", "critical"), ("GPUMemoryFull", "warning"), ("InferenceErrors", "critical")),
    "external": (("ProbeFailed", "critical"), ("ProbeSlow", "warning")),
}  # fmt: skip
VICTIM = (
    ("HighErrorRate", "critical"), ("HighLatency", "critical"), ("HighLatency", "warning"), ("RequestTimeouts", "warning"),
    ("QueueBacklog", "warning"), ("ErrorBudgetBurn", "critical"),
)  # fmt: skip
LONE = (
    ("DiskAlmostFull", "critical"), ("CertificateExpiresSoon", "critical"), ("BackupFailed", "critical"),
    ("HighCPUUsage", "critical"),
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """An alert as it is delivered at `at`; `fault` is what it is of, empty for what nobody is to hear of, `causes` are all
    faults that reach its service."""

    at: float
    alert: Alert
    fault: str
    causes: frozenset[str] = frozenset()

    @property
    def name(self) -> tuple[str, float]:
        """What tells an episode of an alert from all others."""
        return self.alert.fingerprint, self.alert.active_at


@dataclass(frozen=True)
class Storm:
    """What is delivered, in that order; `calls` is what is known of who calls whom, `blind` of whom it is not;
    `maintained` are services in maintenance all the time."""

    kind: str
    said: Sequence[Said]
    calls: frozenset[tuple[str, str]]
    blind: frozenset[str] = frozenset()
    maintained: frozenset[str] = frozenset()
    domains: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)  # fault → the service that failed, of those that spread

    @property
    def faults(self) -> set[str]:
        return {each.fault for each in self.said if each.fault}


@dataclass(frozen=True)
class Strike:
    """How a fault goes: `reach` is how likely each caller suffers, `instances` how many of each alert there are at most."""

    reach: float = 0.85
    instances: int = 6
    silent: float = 0.15  # that a service has no rules, so its suffering is not told
    origin_silent: bool = False
    mute: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Struck:
    """The alerts of one fault, and when it reached which service."""

    fault: str
    said: Sequence[Said]
    reached: Mapping[str, float]


def struck(system: System, origin: str, at: float, dice: random.Random, how: Strike, fault: str) -> Struck:
    """The alerts of one fault: first of what fails, then of who calls it, and so on, each call some seconds later."""
    said: list[Said] = []
    if not how.origin_silent:
        rules = ORIGIN[system.kinds[origin]]
        for name, severity in [rules[0], *dice.sample(rules[1:], k=dice.randint(1, len(rules) - 1))]:
            said += _instances(system, origin, name, severity, at + dice.uniform(0, 30), dice, how, fault)
    reached, ahead = {origin: at}, [origin]
    while ahead:
        failing = ahead.pop(0)
        for caller in sorted(system.callers.get(failing, ())):
            if caller in reached or dice.random() > how.reach:
                continue
            reached[caller] = reached[failing] + dice.uniform(3, 35)
            ahead.append(caller)
            if caller in how.mute or dice.random() < how.silent:
                continue
            for name, severity in dice.sample(VICTIM, k=dice.choice((1, 1, 2, 3))):
                onset = reached[caller] + dice.uniform(0, 20)
                said += _instances(system, caller, name, severity, onset, dice, how, fault)
    return Struck(fault, said, reached)


def _instances(
    system: System, service: str, name: str, severity: str, onset: float, dice: random.Random, how: Strike, fault: str
) -> list[Said]:
    labels = {"alertname": name, "service": service, "severity": severity, "cluster": system.domains[service]}
    waits = dice.choice((0.0, 15.0, 30.0, 60.0, 60.0, 120.0))  # the `for` of the rule
    made = []
    for number in range(dice.randint(1, how.instances)):
        begun = round(onset + dice.uniform(0, 12), 3)
        alert = Alert(
            Labels({**labels, "instance": f"{service}-{number}:8080"}),
            Labels({"summary": f"{name} on {service}"}),
            AlertState.FIRING, 1.0, begun, begun + waits, source="rules.yml/bench/" + name,
        )  # fmt: skip
        made.append(Said(begun + waits + dice.uniform(0, 5), alert, fault))
    return made


def _storm(kind: str, system: System, faults: Sequence[Struck]) -> Storm:
    said = sorted((each for fault in faults for each in fault.said), key=lambda one: (one.alert.active_at, one.fault))
    first: dict[str, Said] = {}
    for each in said:
        first.setdefault(each.alert.fingerprint, each)

    def caused(each: Said) -> Said:
        reaching = {fault.fault for fault in faults if each.alert.labels["service"] in fault.reached}
        return replace(each, causes=frozenset(reaching | {each.fault}))

    kept = sorted(map(caused, first.values()), key=lambda each: (each.at, each.alert.fingerprint))
    origins = {fault.fault: min(fault.reached, key=fault.reached.__getitem__) for fault in faults if fault.reached}
    return Storm(kind, kept, system.calls, domains=system.domains, origins=origins)


def _origin(
    system: System, dice: random.Random, kinds: Sequence[str] = ("service", "store", "store", "model", "external")
) -> str:
    kind = dice.choice(kinds)
    found = [name for name in sorted(system.kinds) if system.kinds[name] == kind and system.callers.get(name)]
    return dice.choice(found or [name for name in sorted(system.kinds) if system.callers.get(name)])


def _apart(system: System, count: int, dice: random.Random) -> list[str]:
    """Origins of which none is beneath another one: nothing they do to each other is a cascade."""
    chosen: list[str] = []
    while len(chosen) < count:
        each = _origin(system, dice)
        if all(
            each != other and each not in system.above(other) and other not in system.above(each) for other in chosen
        ):
            chosen.append(each)
    return chosen


def cascade(system: System, dice: random.Random) -> Storm:
    """One fault and everybody who suffers from it."""
    return _storm("cascade", system, [struck(system, _origin(system, dice), T0, dice, Strike(), "f0")])


def unrelated(system: System, dice: random.Random) -> Storm:
    """Two to four faults within two minutes, that have nothing to do with each other but who suffers from both."""
    origins = _apart(system, dice.randint(2, 4), dice)
    faults = [
        struck(system, origin, T0 + dice.uniform(0, 120), dice, Strike(), f"f{number}")
        for number, origin in enumerate(origins)
    ]
    return _storm("unrelated", system, faults)


def background(system: System, dice: random.Random) -> Storm:
    """A cascade while services here and there have troubles of their own."""
    faults = [struck(system, _origin(system, dice), T0, dice, Strike(), "f0")]
    for number, service in enumerate(dice.sample(sorted(system.kinds), k=6)):
        (name, severity), onset = dice.choice(LONE), T0 + dice.uniform(-600, 600)
        own = _instances(system, service, name, severity, onset, dice, Strike(instances=2), f"own{number}")
        faults.append(Struck(f"own{number}", own, {}))
    return _storm("background", system, faults)


def silent(system: System, dice: random.Random) -> Storm:
    """A store fails that has no rules: only those who call it tell."""
    shared = [
        each
        for each in sorted(system.kinds)
        if system.kinds[each] == "store" and len(system.callers.get(each, ())) >= 2
    ]
    origin = dice.choice(shared)
    return _storm("silent origin", system, [struck(system, origin, T0, dice, Strike(origin_silent=True), "f0")])


def gaps(system: System, dice: random.Random) -> Storm:
    """A cascade through services of which half have no rules."""
    return _storm("silent middle", system, [struck(system, _origin(system, dice), T0, dice, Strike(silent=0.5), "f0")])


def partial(system: System, dice: random.Random) -> Storm:
    """Faults in a system of which one service in eight sends no spans, so that nobody knows whom it calls."""
    storm = unrelated(system, dice)
    telling = system.telling(0.875, dice)
    blind = frozenset(name for name, kind in system.kinds.items() if kind == "service") - telling
    calls = frozenset(call for call in system.calls if call[0] in telling)
    return replace(storm, kind="partial topology", calls=calls, blind=blind)


def unknown(system: System, dice: random.Random) -> Storm:
    """A cascade in a system nobody has described."""
    return replace(cascade(system, dice), kind="no topology", calls=frozenset())


def flapping(system: System, dice: random.Random) -> Storm:
    """A fault whose alerts come and go: each three times, two to four minutes apart."""
    said = struck(system, _origin(system, dice), T0, dice, Strike(instances=3), "f0").said
    more: list[Said] = []
    for each in said:
        at, alert = each.at, each.alert
        for _ in range(dice.randint(0, 2)):
            quiet = at + dice.uniform(30, 120)
            more.append(Said(quiet, replace(alert, state=AlertState.RESOLVED, resolved_at=quiet), ""))
            at = quiet + dice.uniform(60, 120)
            alert = replace(alert, active_at=round(at - 5, 3), fired_at=at, resolved_at=None)
            more.append(Said(at, alert, "f0", frozenset({"f0"})))
    said = [replace(each, causes=frozenset({"f0"})) for each in said]
    kept = sorted([*said, *more], key=lambda each: (each.at, each.alert.fingerprint))
    return Storm("flapping", kept, system.calls, domains=system.domains)


def maintenance(system: System, dice: random.Random) -> Storm:
    """A service is worked on, so it and its instances alert, while something else fails."""
    worked_on, failing = _apart(system, 2, dice)
    faults = [
        struck(system, worked_on, T0, dice, Strike(reach=0.0), ""),
        struck(system, failing, T0 + 60, dice, Strike(), "f0"),
    ]
    return replace(_storm("maintenance", system, faults), maintained=frozenset({worked_on}))


def late(system: System, dice: random.Random) -> Storm:
    """Two faults; a third of the alerts is delivered two to eight minutes late, what fails among them."""
    storm = unrelated(system, dice)
    slow = {each.alert.labels["service"] for each in storm.said if dice.random() < 0.33}

    def held_up(each: Said) -> Said:
        return replace(each, at=each.at + dice.uniform(120, 480)) if each.alert.labels["service"] in slow else each

    said = sorted(map(held_up, storm.said), key=lambda each: (each.at, each.alert.fingerprint))
    return replace(storm, kind="late", said=said)


def skewed(system: System, dice: random.Random) -> Storm:
    """Two faults, told by senders whose clocks are up to a minute wrong."""
    storm = unrelated(system, dice)
    wrong = {domain: dice.uniform(-60, 60) for domain in sorted(set(system.domains.values()))}

    def seen(each: Said) -> Said:
        apart = wrong[each.alert.labels["cluster"]]
        alert = replace(
            each.alert, active_at=each.alert.active_at + apart, fired_at=(each.alert.fired_at or 0.0) + apart
        )
        return replace(each, alert=alert)

    return replace(storm, kind="clock skew", said=[seen(each) for each in storm.said])


KINDS: Sequence[Callable[[System, random.Random], Storm]] = (
    cascade, unrelated, background, silent, gaps, partial, unknown, flapping, maintenance, late, skewed,
)  # fmt: skip


def big(system: System, dice: random.Random, alerts: int, instances: int = 40) -> Storm:
    """So many alerts in some hours of a very bad day: a fault every few minutes, each alert of so many instances at most."""
    faults: list[Struck] = []
    while len({each.alert.fingerprint for fault in faults for each in fault.said}) < alerts:
        how = Strike(instances=instances, silent=0.0, reach=0.95)
        at = T0 + 240.0 * len(faults)
        faults.append(struck(system, _origin(system, dice), at, dice, how, f"f{len(faults)}"))
    return _storm("big", system, faults)

"""Storms of alerts with known causes through the real pipeline: which became one incident, rightly, and how often people heard.

Each storm goes through `Respond` on a control database of its own, as its senders would tell it: what fires is said again every
minute, groups and deadlines are looked at as time passes (a clock that is set, so nobody waits). Beside it stand what others do
with the same alerts: Alertmanager's grouping by labels, windows of time, and the plan's graph of likeness alone.

    PYTHONPATH=. python bench/correlation/simulate.py [--seeds 6] [--size 200] [--only cascade] [--big 10000]
    PYTHONPATH=. python bench/correlation/simulate.py --lab

A pair of alerts is judged right when both are of one fault and in one incident. A service that two faults reach may be in the
incident of either; `strict` has it in that of the first, which nobody can know. An incident lost is a fault with no incident or
group of its own of which somebody was told.
"""

from __future__ import annotations

import argparse
import heapq
import logging
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa
import structlog
from bench.correlation import storms
from bench.correlation.storms import Said, Storm
from bench.correlation.systems import system

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.learn.weights import Figures
from aiprism.model.alerts import AlertState
from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.respond import journal, route
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Incident
from aiprism.respond.likeness import Weights, similarity
from aiprism.respond.mute.holding import Planned
from aiprism.respond.mute.maintenance import Window
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.store.records import Records, notifications

Home = Mapping[tuple[str, float], str]  # an episode of an alert → what it was put into

TARGET_F1, TARGET_TOLD, TARGET_SECONDS = 0.95, 0.10, 5.0
SAID_AGAIN, ROUNDS, STEP = 60.0, 6, 5.0
WINDOW = Weights().window
ROUTES = """
route:
  receiver: team
  group_by: [alertname, service]
  group_wait: 30s
  group_interval: 5m
receivers:
  - name: team
    webhook_configs: [{url: "http://127.0.0.1:9/"}]
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a storm in the pipeline."""

    homes: Home
    told: int
    incidents: int
    lost: int
    seconds: float
    wrongly_open: int = 0
    named: int = 0  # faults of several services whose title says where they began
    spread: int = 0  # how many of those there are


def judged(storm: Storm, homes: Home, *, strict: bool = False) -> Figures:
    """How the storm was divided, beside how its faults divide it."""
    sure: dict[str, Counter[str]] = defaultdict(Counter)
    for each in storm.said:
        if len(each.causes) == 1 and each.name in homes:
            sure[homes[each.name]][each.fault] += 1
    both: Counter[tuple[str, str]] = Counter()
    for number, each in enumerate(storm.said):
        if each.fault:
            home = homes.get(each.name, f"alone {number}")
            counts = sure[home]
            likely = max(sorted(each.causes), key=lambda fault: counts[fault])
            both[likely if counts[likely] and not strict else each.fault, home] += 1
    faults, places = Counter[str](), Counter[str]()
    for (fault, home), count in both.items():
        faults[fault] += count
        places[home] += count
    return Figures(*(sum(count * (count - 1) // 2 for count in each.values()) for each in (both, places, faults)))


# -- ours ------------------------------------------------------------------------------------------------------------


def played(storm: Storm, rounds: int = ROUNDS) -> Outcome:
    """The storm through the pipeline, as time passes; what fires is said again so many times."""
    clock = FakeClock(storms.T0 - 700.0)
    seconds = 0.0
    with tempfile.TemporaryDirectory() as place:
        records = Records.open(f"sqlite:///{place}/control.db")
        respond = Respond(records, clock, _policy(storm))
        for now, batch in _batches(storm, rounds):
            clock.jump(now - clock.now())
            began = time.process_time()
            respond.accept([each.alert for each in batch])
            seconds += time.process_time() - began
            respond.flush()
            respond.check_due()
        clock.jump(60.0)
        respond.flush()
        outcome = _read(storm, records, seconds)
        records.close()
    return outcome


def _policy(storm: Storm) -> Policy:
    ways = Ways(dict.fromkeys(storm.calls, "seen"), blind=storm.blind)
    planned = tuple(_window(service) for service in sorted(storm.maintained))
    return Policy(
        routing=route.read(yamlfile.parse(ROUTES, file="alertmanager.yml")),
        incident_receivers=("team",),
        ways=lambda: ways,
        planned=Planned(windows=planned) if planned else Planned(),
    )


def _window(service: str) -> Window:
    worked_on = Matcher("service", MatchOp.EQUAL, service)
    begun = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - by the clock on the wall
    return Window(f"work on {service}", (worked_on,), begun, 2 * 86_400.0)


def _batches(storm: Storm, rounds: int) -> Iterator[tuple[float, list[Said]]]:
    """What is delivered in each few seconds; what fires is said again each minute, some times."""
    queue = [(each.at, 0, number) for number, each in enumerate(storm.said)]
    over: dict[str, float] = {}
    for each in storm.said:
        if each.alert.state is AlertState.RESOLVED:
            over[each.alert.fingerprint] = each.at
    heapq.heapify(queue)
    while queue:
        until = queue[0][0] + STEP
        batch: list[Said] = []
        while queue and queue[0][0] <= until:
            at, again, number = heapq.heappop(queue)
            said = storm.said[number]
            if again and at >= over.get(said.alert.fingerprint, at + 1) > said.at:
                continue
            batch.append(said)
            if again < rounds and said.alert.state is AlertState.FIRING:
                heapq.heappush(queue, (at + SAID_AGAIN, again + 1, number))
        yield until, batch


def _read(storm: Storm, records: Records, seconds: float) -> Outcome:
    with records.reading() as connection:
        found = journal.listed(connection, "all", 100_000)
        letters = connection.execute(sa.select(notifications.c.incident_id, notifications.c.payload)).all()
    place = {alert.fingerprint: incident.id for incident in found for alert in incident.alerts}
    homes = {each.name: place[each.alert.fingerprint] for each in storm.said if each.alert.fingerprint in place}
    heard = {letter.incident_id for letter in letters} - {None}
    by_group = {str(Labels(alert["labels"])) for letter in letters for alert in letter.payload.get("alerts", ())}
    told_of = {each.fault for each in storm.said if homes.get(each.name) in heard or str(each.alert.labels) in by_group}
    held = {each.alert.fingerprint for each in storm.said if each.alert.labels["service"] in storm.maintained}
    named = [*_named(storm, {each.id: each for each in found}, homes)]
    lost, wrongly = len(storm.faults - told_of), len(held & place.keys())
    return Outcome(homes, len(letters), len(found), lost, seconds, wrongly, sum(named), len(named))


def _named(storm: Storm, found: Mapping[str, Incident], homes: Home) -> Iterator[bool]:
    """Of each fault of several services: whether the title of the incident that has most of it says where it began."""
    for fault, origin in storm.origins.items():
        mine = [each for each in storm.said if each.fault == fault and each.name in homes]
        if len({each.alert.labels["service"] for each in mine}) > 1:
            home = Counter(homes[each.name] for each in mine).most_common(1)[0][0]
            yield found[home].title.endswith(f"starting at {origin}")


# -- what others do --------------------------------------------------------------------------------------------------


def grouped(*names: str) -> Callable[[Storm], Home]:
    """As Alertmanager groups: by the values of labels."""

    def by_labels(storm: Storm) -> Home:
        return {each.name: " ".join(each.alert.labels.get(name, "") for name in names) for each in storm.said}

    return by_labels


def windowed(seconds: float) -> Callable[[Storm], Home]:
    """What comes within so many seconds of the one before is one."""

    def by_time(storm: Storm) -> Home:
        homes, last, number = {}, -1e18, 0
        for each in storm.said:
            number += each.at - last > seconds
            last, homes[each.name] = each.at, f"window {number}"
        return homes

    return by_time


def by_likeness(storm: Storm) -> Home:
    """The plan's graph: connected components of all pairs that reach 0.7, where a call is the only relation."""
    ways = Ways(dict.fromkeys(storm.calls, "seen"))
    parent: dict[str, str] = {}

    def top(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    subjects: dict[tuple[str, str], Said] = {}
    for each in storm.said:
        key = (each.alert.name, each.alert.labels["service"])
        first = subjects.setdefault(key, each)
        parent[top(str((*key, each.name)))] = top(str((*key, first.name)))
    firsts = [*subjects.items()]
    for at, (key, each) in enumerate(firsts):
        for other_key, other in firsts[:at]:
            near = ways.between(key[1], other_key[1])
            if near is not None and near.hops <= 1 and similarity(each.alert, other.alert, ways).score >= 0.7:
                parent[top(str((*key, each.name)))] = top(str((*other_key, other.name)))
    return {each.name: top(str((each.alert.name, each.alert.labels["service"], each.name))) for each in storm.said}


PEERS: Mapping[str, Callable[[Storm], Home]] = {
    "by alertname": grouped("alertname"),
    "by service": grouped("service"),
    "by cluster": grouped("cluster"),
    "5 min windows": windowed(300.0),
    "plan's graph": by_likeness,
}


# -- the table -------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """What all storms of a kind came to."""

    alerts: int = 0
    faults: int = 0
    incidents: int = 0
    told: int = 0
    lost: int = 0
    wrongly_open: int = 0
    seconds: float = 0.0
    named: int = 0
    spread: int = 0
    ours: Figures = field(default_factory=Figures)
    strict: Figures = field(default_factory=Figures)
    peers: dict[str, Figures] = field(default_factory=lambda: dict.fromkeys(PEERS, Figures()))

    def add(self, storm: Storm) -> None:
        outcome = played(storm)
        self.alerts += sum(each.alert.state is AlertState.FIRING for each in storm.said)
        self.faults += len(storm.faults)
        self.incidents += outcome.incidents
        self.told += outcome.told
        self.lost += outcome.lost
        self.wrongly_open += outcome.wrongly_open
        self.seconds += outcome.seconds
        self.named += outcome.named
        self.spread += outcome.spread
        self.ours += judged(storm, outcome.homes)
        self.strict += judged(storm, outcome.homes, strict=True)
        for name, peer in PEERS.items():
            self.peers[name] += judged(storm, peer(storm))


def _head() -> str:
    counts = f"{'kind':<17}{'alerts':>7}{'faults':>7}{'inc.':>6}{'told':>6}{'lost':>5}{'origin':>8}"
    return counts + f"{'P':>7}{'R':>7}{'F1':>7}{'strict':>7}" + "   F1 of " + " ".join(f"{name:>13}" for name in PEERS)


def _line(kind: str, row: Row) -> str:
    ours = f"{kind:<17}{row.alerts:>7}{row.faults:>7}{row.incidents:>6}{row.told:>6}{row.lost:>5}{f'{row.named}/{row.spread}':>8}"
    figures = f"{row.ours.precision:>7.3f}{row.ours.recall:>7.3f}{row.ours.f1:>7.3f}{row.strict.f1:>7.3f}"
    return ours + figures + "         " + " ".join(f"{figure.f1:>13.3f}" for figure in row.peers.values())


def _kinds(wanted: argparse.Namespace) -> list[Row]:
    print(_head())
    rows: list[tuple[str, Row]] = []
    for kind in storms.KINDS:
        if wanted.only and kind.__name__ not in wanted.only:
            continue
        row, name = Row(), ""
        for seed in range(wanted.first, wanted.first + wanted.seeds):
            dice = random.Random(f"{seed}{wanted.size}")
            storm = kind(system(wanted.size, dice), dice)
            name = storm.kind
            row.add(storm)
        print(_line(name, row), flush=True)
        if row.wrongly_open:
            print(f"  {row.wrongly_open} alerts of what is worked on are in incidents")
        rows.append((name, row))
    return _totals(rows)


def _totals(rows: Sequence[tuple[str, Row]]) -> list[Row]:
    totals = []
    known = [row for name, row in rows if name != "no topology"]
    for title, chosen in (("all", [row for _, row in rows]), ("with a topology", known)):
        total = Row()
        for row in chosen:
            for name in ("alerts", "faults", "incidents", "told", "lost", "seconds", "named", "spread"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
            total.ours, total.strict = total.ours + row.ours, total.strict + row.strict
            total.peers = {name: total.peers[name] + row.peers[name] for name in PEERS}
        print(_line(title, total))
        totals.append(total)
    return totals


def indistinct(storm: Storm) -> Home:
    """The storm as well divided as can be: a fault strikes what failed within a window before, and nobody can tell the two."""
    first: dict[str, float] = {}
    for each in storm.said:
        first[each.fault] = min(first.get(each.fault, each.alert.active_at), each.alert.active_at)
    seen: dict[str, tuple[float, str]] = {}  # service → when it failed last, and the fault that is taken for
    taken: dict[str, str] = {}
    for fault in sorted(first, key=first.__getitem__):
        origin = storm.origins.get(fault, fault)
        before, as_one = seen.get(origin, (-WINDOW, fault))
        taken[fault] = as_one if first[fault] - before < WINDOW else fault
        seen[origin] = first[fault], taken[fault]
    return {each.name: taken[each.fault] for each in storm.said}


def _big(wanted: argparse.Namespace) -> bool:
    """Ten thousand alerts of two very bad hours: how long the pipeline is busy until each was taken, how long when they are
    said again each minute, how they were divided, and how many are told."""
    dice = random.Random(f"{wanted.first}big")
    storm = storms.big(system(wanted.size, dice), dice, wanted.big)
    once, outcome = played(storm, rounds=0), played(storm)
    figures, services = judged(storm, outcome.homes), len({each.alert.labels["service"] for each in storm.said})
    share = outcome.told / len(storm.said)
    print(
        f"{len(storm.said)} alerts of {services} services and {len(storm.faults)} faults: {once.seconds:.2f} s of CPU "
        f"in the pipeline, {outcome.seconds:.2f} s if they are said {ROUNDS} times more,"
    )
    told = f"{outcome.told} notifications ({share:.1%}), {outcome.lost} faults lost"
    best, strict = judged(storm, indistinct(storm)), judged(storm, outcome.homes, strict=True)
    print(f"{outcome.incidents} incidents, {told},")
    print(
        f"precision {figures.precision:.3f}, recall {figures.recall:.3f}, F1 {figures.f1:.3f} (strict {strict.f1:.3f}); "
        f"at best {best.f1:.3f}, as faults of one service within ten minutes look like one"
    )
    fast = once.seconds < TARGET_SECONDS and share <= TARGET_TOLD
    return fast and not outcome.lost and figures.f1 >= TARGET_F1


def _on_the_lab() -> bool:
    """Three real faults at once: what became of their alerts, one a line, and how that is judged."""
    from bench.correlation import lab  # which starts a platform and the lab's services: the storms need neither

    seen = lab.struck()
    for each in sorted(seen.storm.said, key=lambda said: (said.fault, str(said.alert.labels))):
        home = seen.homes.get(each.name, "")
        told = f"{each.alert.name} of {each.alert.labels.get('service', '')}"
        print(f"{' or '.join(sorted(each.causes)):<45}{told:<55}{home or 'in no incident'}")
    for home, title in seen.titles.items():
        print(f"{home}: {title}")
    placed = replace(seen.storm, said=[each for each in seen.storm.said if each.name in seen.homes])
    figures = judged(placed, seen.homes)
    alerts, faults = len(seen.storm.said), len(seen.storm.faults - {"none"})
    print(f"{alerts} alerts of {faults} faults, {seen.told} notifications")
    print(f"{len(placed.said)} alerts in {len(seen.titles)} incidents, and of pairs of these:")
    print(f"precision {figures.precision:.3f}, recall {figures.recall:.3f}, F1 {figures.f1:.3f} (target {TARGET_F1})")
    return figures.f1 >= TARGET_F1 and faults == len(lab.FAULTS)


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--seeds", type=int, default=6, help="storms of each kind")
    asked.add_argument("--first", type=int, default=20, help="the first seed")
    asked.add_argument("--size", type=int, default=200, help="services")
    asked.add_argument("--only", nargs="*", help="kinds of storms, as their functions are named")
    asked.add_argument("--big", type=int, default=10_000, help="alerts of the big storm; 0: none")
    asked.add_argument(
        "--lab", action="store_true", help="strike real faults at once on a platform and the lab instead"
    )
    wanted = asked.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if wanted.lab:
        sys.exit(0 if _on_the_lab() else 1)
    _, total = _kinds(wanted)
    share = total.told / max(1, total.alerts)
    kept = total.ours.f1 >= TARGET_F1 and total.lost == 0
    met = {True: "met", False: "MISSED"}
    print(
        f"F1 {total.ours.f1:.3f} (target {TARGET_F1}), {total.lost} lost: {met[kept]}; {share:.1%} notifications per alert"
    )
    fast = _big(wanted) if wanted.big else True
    if wanted.big:
        print(
            f"the big storm is to take under {TARGET_SECONDS:g} s of CPU, to have F1 {TARGET_F1} and to tell at most "
            f"{TARGET_TOLD:.0%}: {met[fast]}"
        )
    sys.exit(0 if kept and fast else 1)


if __name__ == "__main__":
    main()

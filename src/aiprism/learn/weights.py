"""Which weights of likeness would have made, of past alerts, the incidents that people left.

In: the incidents that are kept, and what their timelines say of how their alerts came and who is related. Out: how well weights
divide those alerts, pair by pair, and weights that divide them better, if there are any and people said enough to know. What
nobody merged or split counts as right. Pure but for `read`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, permutations

from sqlalchemy import Connection

from aiprism.model.alerts import Alert
from aiprism.respond import journal
from aiprism.respond.correlate import Neighbourhood
from aiprism.respond.incident import Incident, Periods, opened
from aiprism.respond.likeness import Weights
from aiprism.respond.ways import Ways
from aiprism.store import incidents as store

ENOUGH = 5  # merges and splits by people, below which nothing is learned: all else is what the present weights made
_INCIDENTS, _ALERTS = 5000, 10_000  # the newest that are looked at
_GAP = 600.0  # seconds without an alert, after which the next one is of another stretch
_LATER = 1 / 3  # of the alerts, on which is tried what was learned from those before
_STEP = 0.05
_KEPT = ("window", "direct", "fading", "shared")  # as they are configured: they are not learned
_CAME = ("incident_created", "alert_joined")


@dataclass(frozen=True, slots=True)
class Figures:
    """Pairs of alerts: rightly together, put together, of one incident."""

    right: int = 0
    put: int = 0
    true: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(self.right + other.right, self.put + other.put, self.true + other.true)

    @property
    def precision(self) -> float:
        return self.right / self.put if self.put else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / ((self.precision + self.recall) or 1.0)


@dataclass(frozen=True, slots=True)
class Came:
    """An alert as it came, and the incident in which people left it."""

    at: float
    alert: Alert
    home: str


@dataclass(frozen=True, slots=True)
class History:
    """What came, in stretches between which nothing did; who is related; how often people merged and split."""

    stretches: tuple[tuple[Came, ...], ...] = ()
    ways: Ways = field(default_factory=Ways)
    corrections: int = 0

    @property
    def alerts(self) -> int:
        return sum(map(len, self.stretches))

    @property
    def incidents(self) -> int:
        return len({each.home for stretch in self.stretches for each in stretch})

    def parted(self) -> tuple[History, History]:
        """The earlier part and the later one; a stretch is in one of them."""
        count, earlier = 0, 0
        while earlier < len(self.stretches) - 1 and count < (1 - _LATER) * self.alerts:
            count += len(self.stretches[earlier])
            earlier += 1
        return replace(self, stretches=self.stretches[:earlier]), replace(self, stretches=self.stretches[earlier:])


@dataclass(frozen=True, slots=True)
class Lesson:
    """How the present weights did, and those that were learned, if any were `tried`: on the `later` part, which they were not
    learned from. `why` says why they are not to be adopted; empty when they are."""

    present: Figures
    later: Figures = Figures()
    tried: Weights | None = None
    tried_later: Figures = Figures()
    why: str = ""


# -- reading -----------------------------------------------------------------------------------------------------------


def read(connection: Connection, declared: Ways) -> History:
    """What the control database tells. Calls that were seen are known where an alert joined along them."""
    incidents = journal.listed(connection, "all", _INCIDENTS)
    ids = [each.id for each in incidents]
    came = [line for event in _CAME for line in store.event_rows(connection, ids, event=event)]
    merged, split = (store.event_rows(connection, ids, event=event) for event in ("merged", "alerts_parted"))
    by_people = sum("similarity" not in (line["data"] or {}) for line in (*merged, *split))
    calls = {call: "seen" for line in (*came, *merged) for call in _calls(line)} | dict(declared.calls)
    arrived = sorted(_arrivals(incidents, came), key=lambda each: (each.at, each.alert.fingerprint))[-_ALERTS:]
    return History(tuple(_stretches(arrived)), Ways(calls, declared.naming), by_people)


def _calls(line: store.EventRow) -> Iterator[tuple[str, str]]:
    way = (line["data"] or {}).get("similarity", {}).get("way") or {"path": [], "direction": ""}
    if way["direction"] == "shares":
        one, third, other = way["path"]
        yield from ((one, third), (other, third))
    else:
        yield from pairwise(way["path"])


def _arrivals(incidents: Sequence[Incident], lines: Iterable[store.EventRow]) -> Iterator[Came]:
    """Each alert of each incident that goes on, as it came to it or to one it came from."""
    came: dict[tuple[str, str], store.EventRow] = {}
    for line in lines:
        came.setdefault((line["incident_id"], line["data"]["fingerprint"]), line)
    known = {each.id: each for each in incidents}
    for incident in incidents:
        if incident.work.merged_into:
            continue
        before = _lineage(incident, known)
        for alert in incident.alerts:
            joined = [came[each, alert.fingerprint] for each in before if (each, alert.fingerprint) in came]
            for first in sorted(joined, key=lambda line: line["id"])[:1]:
                yield Came(first["at"], replace(alert, active_at=first["data"]["active_at"]), incident.id)


def _lineage(incident: Incident, known: Mapping[str, Incident]) -> list[str]:
    """It, what it took in, and what it was split off from."""
    found: list[str] = []
    at: Incident | None = incident
    while at is not None and at.id not in found:
        found += [at.id, *at.work.absorbed]
        at = known.get(at.work.split_from)
    return found


def _stretches(came: Sequence[Came]) -> Iterator[tuple[Came, ...]]:
    begun = 0
    for number in range(1, len(came) + 1):
        if number == len(came) or came[number].at - came[number - 1].at > _GAP:
            yield tuple(came[begun:number])
            begun = number


# -- learning ----------------------------------------------------------------------------------------------------------


def lesson(history: History, present: Weights) -> Lesson:
    """What the history teaches whoever uses the present weights."""
    found = Lesson(measured(history, present))
    if not history.stretches:
        return replace(found, why="there is no incident yet")
    if history.corrections < ENOUGH:
        return replace(
            found, why=f"what nobody corrects is what these weights made; {ENOUGH} merges or splits are needed"
        )
    if len(history.stretches) < 2:
        return replace(
            found, why="all of it came at one time, and what is learned from it has to be tried on another one"
        )
    earlier, later = history.parted()
    better = learned(earlier, present)
    if better == present:
        return replace(found, why="none near the present weights divide the earlier part better")
    found = replace(found, later=measured(later, present), tried=better, tried_later=measured(later, better))
    if round(found.tried_later.f1, 3) <= round(found.later.f1, 3):
        return replace(found, why="they are no better where they were not learned from")
    return found


def measured(history: History, weights: Weights) -> Figures:
    """How these weights divide it, beside how people left it."""
    found = Figures()
    for stretch in history.stretches:
        found += judged(
            [each.home for each in stretch], divided([each.alert for each in stretch], history.ways, weights)
        )
    return found


def judged(true: Sequence[str], put: Sequence[str]) -> Figures:
    """Pairs of a division beside those of the true one; of each item, where it belongs and where it was put."""
    counts = (Counter(zip(true, put, strict=True)), Counter(put), Counter(true))
    return Figures(*(sum(count * (count - 1) // 2 for count in each.values()) for each in counts))


def divided(alerts: Sequence[Alert], ways: Ways, weights: Weights) -> list[str]:
    """Into which incidents the alerts are divided as they come, were none of these closed meanwhile."""
    around = Neighbourhood((), ways, weights)
    incidents: dict[str, Incident] = {}
    taken_in: dict[str, str] = {}
    homes: list[str] = []
    for number, alert in enumerate(alerts):
        joined = around.joined(alert)
        home = joined.home.incident_id if joined else f"{number}"
        if not joined:
            incidents[home], _ = opened(alert, float(number), Periods(), id=home)
        around.add(incidents[home], alert)
        for link in joined.others if joined else ():
            around.merge(home, link.incident_id)
            taken_in[link.incident_id] = home
        homes.append(home)
    return [_in_the_end(home, taken_in) for home in homes]


def _in_the_end(home: str, taken_in: Mapping[str, str]) -> str:
    while home in taken_in:
        home = taken_in[home]
    return home


def learned(history: History, present: Weights) -> Weights:
    """The weights to which steps lead, from these and from the plan's, that each divide the history better: a part counts for
    more at the cost of another one, or less or more likeness is enough."""
    tried: dict[Weights, float] = {}

    def worth(weights: Weights) -> float:
        if weights not in tried:
            tried[weights] = measured(history, weights).f1
        return tried[weights]

    def climbed(at: Weights) -> Weights:
        best = max(_around(at), key=worth, default=at)
        return at if worth(best) <= worth(at) else climbed(best)

    usual = replace(Weights(), **{name: getattr(present, name) for name in _KEPT})
    return max((climbed(present), climbed(usual)), key=worth)  # of equals the one from the present weights


def _around(weights: Weights) -> list[Weights]:
    moved = [
        replace(weights, **{more: _stepped(weights, more, step), less: _stepped(weights, less, -step)})
        for more, less in permutations(("time", "service", "kind"), 2)
        for step in (_STEP, 2 * _STEP)
    ]
    moved += [replace(weights, threshold=_stepped(weights, "threshold", step)) for step in (-2 * _STEP, -_STEP, _STEP)]
    return [each for each in moved if not each.doubt()]


def _stepped(weights: Weights, name: str, step: float) -> float:
    before: float = getattr(weights, name)
    return round(before + step, 4)

"""The closed loop, measured: real faults struck on a running platform and lab, and how each was answered.

    python bench/loop/loop.py                      every kind of fault once (a quarter of an hour)
    python bench/loop/loop.py --runs 5             five times, as the targets are meant
    python bench/loop/loop.py --kinds model-slow,service-crash
    python bench/loop/loop.py --tell FILE          of runs that were kept with --file FILE
    python bench/loop/loop.py --healthy 2h         nothing is broken: what opens an incident all the same is false

All runs are played one after the other on one platform and one lab with the demonstration's rules and runbooks (the failover of the
database on another, with PostgreSQL); only the time
for which a cleared incident is watched is shorter. Times are the platform's own records, in seconds after the fault was
ordered. What must hold, or the exit status is 1:

* detected (an alert of the kind fires) within 30 s in 95 % of the runs; a receiver has taken the first notification within two
  minutes in 99 %;
* a runbook of the kind acted in 80 % of the runs, and where one acted, it repaired the fault and verified that in 90 %.

Besides these it tells what else was opened (extra incidents) and which other runbooks acted. A busy machine shows in the times,
so its load is written beside each run. Ctrl-C ends it with the figures so far.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.loop.faults import KINDS, Kind
from bench.loop.healthy import healthy

from aiprism.cli.demoreport import TARGETS
from aiprism.cli.demostage import Stage, staged
from aiprism.model.timerange import duration_seconds

VALIDATION = "5s"
ANSWERED_SHARE, HEALED_SHARE = 0.8, 0.9
_LOOP_SECONDS = 300.0
_CALM_SECONDS = 10.0
_SETTLE_SECONDS = 150.0
_LOOK_SECONDS = 1.0
_PAGING = ("critical", "high")
_INCIDENTS = "/aiprism/v1/incidents"
_NEVER = ("planned", "skipped", "waiting_approval", "dry_run")  # states of runs that have not acted


@dataclass(frozen=True, slots=True)
class Played:
    """One run: seconds after the fault, what happened, and what else did."""

    kind: str
    run: int
    at: float
    load: float
    detected: float | None = None
    notified: float | None = None
    answered: bool = False
    healed: bool = False
    verified: float | None = None
    resolved: float | None = None
    extra: tuple[str, ...] = ()  # incidents of this fault besides the first
    others: tuple[str, ...] = ()  # runbooks that acted without being meant


# -- playing -------------------------------------------------------------------------------------------------------------


def played(kind: Kind, run: int, stage: Stage) -> Played:
    """Break it, watch until everything is resolved or the time is up, and end the fault."""
    at = time.time()
    undo = kind.strike(stage, run)
    try:
        while True:
            found = measured(kind, run, at, _incidents(stage, at))
            if found.resolved is not None or time.time() > at + _LOOP_SECONDS:
                break
            stage.check()
            time.sleep(_LOOK_SECONDS)
    finally:
        undo()
    _settle(stage)
    # Once more: what the fault leaves behind opens its incidents later.
    return measured(kind, run, at, _incidents(stage, at))


def _incidents(stage: Stage, since: float) -> list[dict[str, Any]]:
    listed = stage.platform.get(_INCIDENTS, status="all", limit=50)["incidents"]
    return [stage.platform.get(f"{_INCIDENTS}/{each['id']}") for each in listed if each["created_at"] >= since]


def measured(kind: Kind, run: int, at: float, incidents: Sequence[Mapping[str, Any]]) -> Played:
    """What the incidents since the fault at `at` say of how it was answered."""
    ours = [each for each in incidents if any(alert["name"] in kind.alerts for alert in each["alerts"])]
    runs = [each for incident in incidents for each in incident["runs"] if each["state"] not in _NEVER]
    meant = [each for each in runs if each["runbook"] in kind.runbooks]
    good = [each for each in meant if each["state"] == "succeeded" and str(each["outcome"]).startswith("verified")]
    fired = [alert["fired_at"] for each in ours for alert in each["alerts"] if alert["name"] in kind.alerts]
    sent = [told["sent_at"] for each in ours for told in each["notifications"] if told["event"] == "opened"]
    ended = [each["resolved_at"] for each in incidents]
    return Played(
        kind.name,
        run,
        at,
        round(os.getloadavg()[0], 1),
        detected=_after(at, _first(fired)),
        notified=_after(at, _first(sent)),
        answered=bool(meant),
        healed=bool(good),
        verified=_after(at, _first([each["finished_at"] for each in good])),
        resolved=_after(at, max(ended) if ours and None not in ended else None),
        extra=tuple(each["title"] for each in incidents if each not in ours[:1]),
        others=tuple(sorted({each["runbook"] for each in runs} - set(kind.runbooks))),
    )


def _first(times: Sequence[float | None]) -> float | None:
    return min((at for at in times if at is not None), default=None)


def _after(begun: float, at: float | None) -> float | None:
    return None if at is None else round(at - begun, 2)


def _settle(stage: Stage) -> None:
    """Return once nothing is about to page anybody and nothing is open; what stays open is closed by hand."""
    deadline, calm_since = time.monotonic() + _SETTLE_SECONDS, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() < calm_since + _CALM_SECONDS:
        alerts = stage.platform.get("/api/v1/alerts")["data"]["alerts"]
        if any(each["labels"].get("severity") in _PAGING for each in alerts) or _open(stage):
            calm_since = time.monotonic()
        time.sleep(_LOOK_SECONDS)
    for each in _open(stage):
        stage.platform.post(f"{_INCIDENTS}/{each}/resolve", {"actor": "bench", "text": "the next fault is due"})


def _open(stage: Stage) -> list[str]:
    return [each["id"] for each in stage.platform.get(_INCIDENTS, limit=50)["incidents"]]


# -- telling -------------------------------------------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed; infinity stands for what never happened.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, math.inf], 0.95)
    (2.0, inf)
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def _times(runs: Sequence[Played], name: str) -> list[float]:
    return [math.inf if (at := getattr(each, name)) is None else at for each in runs]


def lines(runs: Sequence[Played]) -> Iterator[str]:
    """A line for each kind, then all of them."""
    yield (
        f"{'fault':<18}{'runs':>5}{'detect p50':>12}{'p95':>7}{'notify p50':>12}{'p99':>7}{'answered':>10}{'healed':>8}"
        f"{'heal p50':>10}{'resolve p50':>13}{'extra':>7}{'load':>6}  other runbooks"
    )
    for name in [*dict.fromkeys(each.kind for each in runs), ""]:
        mine = [each for each in runs if name in ("", each.kind)]
        detect, notify = _times(mine, "detected"), _times(mine, "notified")
        others = sorted({other for each in mine for other in each.others}) if name else []
        yield (
            f"{name or 'all':<18}{len(mine):>5}{quantile(detect, 0.5):>12.1f}{quantile(detect, 0.95):>7.1f}"
            f"{quantile(notify, 0.5):>12.1f}{quantile(notify, 0.99):>7.1f}"
            f"{sum(each.answered for each in mine):>10}{sum(each.healed for each in mine):>8}"
            f"{quantile(_times(mine, 'verified'), 0.5):>10.1f}{quantile(_times(mine, 'resolved'), 0.5):>13.1f}"
            f"{sum(len(each.extra) for each in mine):>7}{sum(each.load for each in mine) / len(mine):>6.1f}"
            f"  {', '.join(others)}"
        )


def judged(runs: Sequence[Played]) -> Iterator[tuple[str, bool]]:
    """Each target as a sentence, and whether it was met."""
    detect, notify = quantile(_times(runs, "detected"), 0.95), quantile(_times(runs, "notified"), 0.99)
    answered = [each for each in runs if each.answered]
    healed = sum(each.healed for each in answered) / len(answered) if answered else 0.0
    share = len(answered) / len(runs)
    yield f"detected within {detect:.1f} s (p95), target {TARGETS['detect']:g} s", detect < TARGETS["detect"]
    yield f"notified within {notify:.1f} s (p99), target {TARGETS['notify']:g} s", notify < TARGETS["notify"]
    yield f"answered automatically {share:.0%}, target {ANSWERED_SHARE:.0%}", share >= ANSWERED_SHARE
    yield f"self-healing succeeded {healed:.0%}, target {HEALED_SHARE:.0%}", healed >= HEALED_SHARE


def _told(one: Played) -> str:
    reached = {name: getattr(one, name) for name in ("detected", "notified", "verified", "resolved")}
    times = ", ".join(f"{name} {'–' if at is None else f'{at:.1f} s'}" for name, at in reached.items())
    more = [f"other runbooks: {', '.join(one.others)}"] * bool(one.others) + [f"extra: {each}" for each in one.extra]
    return f"{time.strftime('%H:%M:%S')}  {one.kind} {one.run + 1}  load {one.load}  {times}  {'; '.join(more)}"


# -- the whole -----------------------------------------------------------------------------------------------------------


def all_runs(wanted: argparse.Namespace, kinds: Sequence[Kind], stage: Stage) -> Iterator[Played]:
    """Round after round, so that two faults of a kind are as far apart as can be."""
    _settle(stage)
    for run in range(wanted.runs):
        for kind in kinds:
            one = played(kind, run, stage)
            print(_told(one), flush=True)
            if wanted.file:
                with wanted.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(one)) + "\n")
            yield one


def _kinds(text: str) -> list[Kind]:
    known = {kind.name: kind for kind in KINDS}
    unknown = [name for name in text.split(",") if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no kind of fault; there are {', '.join(known)}")
    return [known[name] for name in text.split(",")]


def main() -> int:
    """Run it; the exit status."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    asked.add_argument("--runs", type=int, default=1, help="of each kind")
    asked.add_argument("--kinds", type=_kinds, default=list(KINDS), help="some of them, separated by commas")
    asked.add_argument("--healthy", type=duration_seconds, metavar="TIME", help="break nothing for so long, such as 2h")
    asked.add_argument("--file", type=Path, help="a line of JSON for each run (or minute) is appended to it")
    asked.add_argument("--data", type=Path, help="directory to keep; a temporary one by default")
    asked.add_argument("--tell", type=Path, metavar="FILE", help="break nothing; tell of the runs in such a file")
    wanted = asked.parse_args()
    if wanted.tell:
        return _summary([Played(**json.loads(line)) for line in wanted.tell.read_text(encoding="utf-8").splitlines()])
    os.environ.setdefault("AIPRISM_RESPOND_VALIDATION", VALIDATION)
    with tempfile.TemporaryDirectory(prefix="aiprism-loop-") as made:
        place = wanted.data or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        if wanted.healthy:
            with staged(place.resolve(), "127.0.0.1:0", lambda *_: None) as stage:
                return healthy(stage, wanted.healthy, wanted.file)
        runs: list[Played] = []
        with suppress(KeyboardInterrupt):
            for one in _on_their_stages(wanted, place.resolve()):
                runs.append(one)
    return _summary(runs)


def _on_their_stages(wanted: argparse.Namespace, place: Path) -> Iterator[Played]:
    """All runs; what needs another database has a platform and a lab of its own."""
    for database in dict.fromkeys(kind.database for kind in wanted.kinds):
        kinds = [kind for kind in wanted.kinds if kind.database == database]
        with staged(place / database, "127.0.0.1:0", lambda *_: None, database) as stage:
            yield from all_runs(wanted, kinds, stage)


def _summary(runs: Sequence[Played]) -> int:
    if not runs:
        print("no run was finished")
        return 1
    print("\n".join(lines(runs)))
    verdicts = list(judged(runs))
    for sentence, met in verdicts:
        print(f"{sentence}: {'met' if met else 'MISSED'}")
    return 0 if all(met for _, met in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

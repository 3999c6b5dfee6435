"""`aiprism demo`: a platform, a lab under load, a real fault, and how the loop closes.

In: which scenario, for how long. Out: a view of what happens, then a report with the measured times; the exit status is
0 when every loop closed. The parts are elsewhere: processes in `demostage`, faults in `scenarios`, drawing in
`demoview`, measuring in `demoreport`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiprism.cli import demoreport, printing
from aiprism.cli.demoreport import Report
from aiprism.cli.demostage import Stage, staged
from aiprism.cli.demoview import LiveView, Picture, PlainView, View, Watch, plain_out
from aiprism.cli.remote import Away, Refusal
from aiprism.cli.scenarios import SCENARIOS, Scenario
from aiprism.errors import AiprismError

# Long enough to wait out an alert that a busy machine raised by itself while everything was starting.
WARM_UP_SECONDS = 180.0
STEADY_SECONDS = 8.0
LOOP_SECONDS = 200.0
_LOOK_SECONDS = 1.0
_USUAL_ADDRESS = "127.0.0.1:9090"
_PAGING = ("critical", "high")
# The rules read metrics; that spans arrive says nothing about them.
_METRICS = "count(rate(ai_prism_http_requests_total[15s]))"
# A receiver may still be writing down what the platform has already been told was accepted.
_AFTER_RESOLVED_SECONDS = 15.0
_POSTMORTEM_SECONDS = 180.0  # its evidence is read first, on a busy machine for a while
_CHART = re.compile(r"\]\(charts/(\d+\.svg)\)")


def run(wanted: argparse.Namespace) -> int:
    """Play it."""
    # All are played on one lab; a story that needs another one is told by itself.
    usual = [name for name, scenario in SCENARIOS.items() if scenario.database == "sqlite"]
    names = usual if wanted.scenario == "all" else [wanted.scenario]
    database = SCENARIOS[names[0]].database
    with _interruptible(), _directory(wanted.data) as data, _view(wanted) as view:
        reports: list[Report] = []
        _compile_first(view)
        with staged(data, wanted.listen or _address(wanted.once), view.step, database) as stage:
            watch = Watch(stage.platform)
            for name in names:
                _warm_up(stage, watch, view)
                reports.append(_played(SCENARIOS[name], stage, watch, view))
                if wanted.postmortems is not None:
                    view.say(_postmortem(stage, reports[-1], wanted.postmortems))
            if not wanted.once:
                _go_on(stage, watch, view, reports)
            view.say("stopping platform and lab …")
    _tell(reports, wanted)
    return 0 if all(report.closed for report in reports) else 1


# -- the course of events --------------------------------------------------------------------------------------------


def _warm_up(stage: Stage, watch: Watch, view: View) -> None:
    """Return once the traffic is steady: every service answers requests and for a while nothing has been about to page."""
    expected = set(stage.services())
    deadline, calm_since = time.monotonic() + WARM_UP_SECONDS, None
    while True:
        picture = _look(stage, watch, time.time())
        busy = {row["service"] for row in picture.services if row["rate"] > 0} & expected
        steerable = {each["service"] for each in stage.platform.get("/aiprism/v1/control/services")["services"]}
        waiting = sorted(expected - busy) or sorted({"model-server", "ai-analysis-service"} - steerable)
        waiting += [] if stage.platform.get("/api/v1/query", query=_METRICS)["data"]["result"] else ["metrics"]
        # What informs only (a slow start is still in the five-minute windows) holds nobody up.
        paging = [each["labels"] for each in picture.alerts if each["labels"].get("severity") in _PAGING]
        doubts = [*waiting, *(f"{labels['alertname']} to clear" for labels in paging)]
        calm_since = None if doubts else calm_since or time.monotonic()
        calm = 0.0 if calm_since is None else time.monotonic() - calm_since
        steady = len(expected) if calm >= STEADY_SECONDS else min(len(busy), len(expected) - 1)
        note = f"waiting for {doubts[0]}" if doubts else "steady" if calm >= STEADY_SECONDS else "settling"
        view.step("traffic", steady, len(expected), note)
        view.show(picture)
        if calm >= STEADY_SECONDS:
            return
        if time.monotonic() > deadline:
            raise AiprismError(
                f"traffic is not steady after {WARM_UP_SECONDS:g} s: {note}; logs are in {stage.data / 'logs'}"
            )
        time.sleep(_LOOK_SECONDS)


def _played(scenario: Scenario, stage: Stage, watch: Watch, view: View) -> Report:
    """Break it, and watch until the loop has closed or the time is up."""
    fault_at = time.time()
    view.say(f"{scenario.name}: {scenario.says}")
    undo = scenario.strike(stage.platform, stage.supervisor)
    try:
        deadline = fault_at + LOOP_SECONDS
        while True:
            picture = _look(stage, watch, fault_at)
            view.show(picture)
            report = demoreport.measured(
                scenario, fault_at, picture.incidents, stage.receivers.get("/received")["received"]
            )
            if report.closed or picture.at > min(deadline, _last_moment(picture)):
                break
            time.sleep(_LOOK_SECONDS)
    finally:
        undo()
    view.say(demoreport.in_a_line(report))
    return report


def _postmortem(stage: Stage, report: Report, folder: Path) -> str:
    """Write the postmortem of the scenario's incident into files named after the scenario; says where, or why not."""
    name = report.scenario.name
    if not report.closed:
        return f"{name}: no postmortem, as the loop did not close"
    where = f"/aiprism/v1/incidents/{report.incidents[0]['id']}/postmortem"
    try:
        text = _written(stage, where)
    except Refusal as error:
        return f"{name}: no postmortem after {_POSTMORTEM_SECONDS:g} s: {error}"
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    for chart in sorted(set(_CHART.findall(text))):
        drawn = stage.platform.text(f"{where}/charts/{chart}")
        (folder / name / chart).write_text(drawn, encoding="utf-8")
    page = folder / f"{name}.md"
    page.write_text(_CHART.sub(rf"]({name}/\1)", text), encoding="utf-8")
    return f"{name}: the postmortem is {page}"


def _written(stage: Stage, where: str) -> str:
    """The text of a postmortem, which is written moments after its incident is resolved."""
    deadline = time.monotonic() + _POSTMORTEM_SECONDS
    while True:
        try:
            text: str = stage.platform.get(where)["text"]
        except Refusal:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return text


def _last_moment(picture: Picture) -> float:
    """When waiting makes no sense any more: everything is resolved, and what is still missing does not come."""
    ended = [incident["resolved_at"] for incident in picture.incidents]
    if not ended or None in ended:
        return float("inf")
    return float(max(ended)) + _AFTER_RESOLVED_SECONDS


def _go_on(stage: Stage, watch: Watch, view: View, reports: Sequence[Report]) -> None:
    """Keep everything running and shown until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            view.show(_look(stage, watch, reports[0].fault_at))
            time.sleep(_LOOK_SECONDS)


def _look(stage: Stage, watch: Watch, since: float) -> Picture:
    try:
        return watch.look(since)
    except Away:
        stage.check()  # says why, when the platform has ended
        raise


# -- around it -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the demonstration like Ctrl-C, so that its children are ended, too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _directory(wanted: Path | None) -> Iterator[Path]:
    """The directory of everything; a temporary one is removed unless something went wrong."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="aiprism-demo-"))
    try:
        yield made
    except AiprismError:
        if any(made.iterdir()):
            print(f"aiprism demo: data and logs are left in {made}", file=sys.stderr)
        else:
            made.rmdir()
        raise
    except KeyboardInterrupt:
        shutil.rmtree(made, ignore_errors=True)
        raise
    shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _view(wanted: argparse.Namespace) -> Iterator[View]:
    if wanted.output == "json" or not sys.stdout.isatty():
        yield PlainView(plain_out(wanted.output == "json"))
        return
    with LiveView(wanted.scenario) as live:
        yield live


def _compile_first(view: View) -> None:
    """What the platform would do when it begins: an address that is free may be taken in the minute that it takes."""
    from aiprism.receive import kernels

    if (making := kernels.compiling()) is None:
        return
    try:
        while making.poll() is None:
            view.step("platform", 0, 1, "compiling its decoders, once after an installation")
            time.sleep(_LOOK_SECONDS)
    finally:
        making.kill()  # where somebody does not wait for it


def _address(once: bool) -> str:
    """The usual address when people will look at it and it is free, so that the other commands find it by default."""
    if once:
        return "127.0.0.1:0"
    host, _, port = _USUAL_ADDRESS.partition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return _USUAL_ADDRESS


def _tell(reports: Sequence[Report], wanted: argparse.Namespace) -> None:
    answer = {"closed": all(report.closed for report in reports), "scenarios": [each.to_json() for each in reports]}
    if wanted.report is not None:
        wanted.report.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    if wanted.output == "json":
        printing.show_json(answer)
        return
    for report in reports:
        printing.show("", *demoreport.pages(report, time.time()))

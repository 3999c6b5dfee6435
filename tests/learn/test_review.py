"""The weekly review: figures whose sums can be done by hand, of incidents as the response room keeps them."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from aiprism.cli import run
from aiprism.clock import FakeClock
from aiprism.learn.review import WEEK, review
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, Noted, ResolvedByHand
from aiprism.respond.responder import Responder
from aiprism.store import episodes, incidents
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import reports, routes
from tests.respond.making import T0, alert, cleared
from tests.web.serving import serving

END = T0 + WEEK
DAY = 86_400.0
WEEKLY = "/aiprism/v1/reports/weekly"


class Weeks:
    """A responder whose incidents are made at given moments."""

    def __init__(self, records):
        self.clock, self.records = FakeClock(T0), records
        self.responder = Responder(records, policy=Policy(), actuators={}, ask=lambda query, at: [], clock=self.clock)

    def incident(self, at, *, service="shop", name="Down", onset=20.0, acknowledged=None, cleared_after=600.0, run=""):
        """One that opens at `at`; a run of that state begins and ends 60 s later, before the acknowledgement if there is one."""
        self.clock._now = at
        fired = alert(name, service, at=at - onset)
        self.responder.accept([fired])
        with self.records.reading() as connection:
            [found] = [row["id"] for row in incidents.incident_rows(connection) if row["created_at"] == at]
        if run:
            self.clock._now = at + 60
            with self.records.begin() as connection:
                incidents.plan_run(connection, {
                    "id": f"RUN_{found}", "incident_id": found, "runbook": "restart", "state": run, "started_at": at + 30,
                    "finished_at": at + 60, "outcome": "", "data": {},
                })  # fmt: skip
            self.responder.happen(found, Noted("runbook_started", "runbook:restart", "began"))
        if acknowledged is not None:
            self.clock._now = at + acknowledged
            self.responder.happen(found, Acknowledged("ann"))
        if cleared_after is not None:
            self.clock._now = at + cleared_after
            self.responder.accept([cleared(fired, self.clock.now())])
            self.clock._now += 1800
            self.responder.pipeline.check()
        return found

    def ask(self, path=f"{WEEKLY}?end={END}"):
        app = routes.build([reports.router(self.responder, self.clock)], Telemetry(), checks={}, reload=_never)

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return await client.get(path)

        return asyncio.run(ask())


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


@pytest.fixture
def weeks(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield Weeks(records)
    records.close()


@pytest.fixture
def two_weeks(weeks):
    weeks.incident(T0 - 3 * DAY, onset=40.0, acknowledged=100.0, cleared_after=1000.0)
    weeks.incident(T0 + 1 * DAY, onset=10.0, acknowledged=60.0, cleared_after=300.0)
    weeks.incident(T0 + 2 * DAY, onset=30.0, run="succeeded", cleared_after=90.0)
    weeks.incident(T0 + 3 * DAY, service="stock", name="Full", run="failed", acknowledged=500.0, cleared_after=900.0)
    weeks.incident(T0 + 4 * DAY, service="stock", name="Full", cleared_after=310.0)
    return weeks


@pytest.mark.parametrize(
    ("state", "acted", "healed"), [("aborted", 1.0, None), ("dry_run", 0.0, None), ("skipped", 0.0, None), ("failed", 1.0, 0.0)]
)  # fmt: skip
def test_only_runs_that_acted_and_were_left_to_act_tell_how_well_runbooks_repair(weeks, state, acted, healed):
    found = weeks.incident(END - 3600, run=state)
    if not acted:  # what never began has no start
        with weeks.records.begin() as connection:
            incidents.mark_run(connection, f"RUN_{found}", started_at=None)
    told = weeks.ask().json()["week"]["all"]
    assert (told["automation_rate"], told["runbook_success"], told["self_healed"]) == (acted, healed, 0.0)


def test_incidents_that_were_merged_are_one_and_what_was_done_to_either_was_done_to_it(weeks):
    first = weeks.incident(T0 + DAY, cleared_after=None)
    second = weeks.incident(T0 + DAY + 600, service="stock", name="Full", run="succeeded", cleared_after=None)
    weeks.responder.pipeline.merge(first, second, "ann")
    weeks.clock._now = T0 + DAY + 1200
    weeks.responder.happen(first, ResolvedByHand("ann"))
    told = weeks.ask().json()["week"]
    assert (told["all"]["incidents"], told["all"]["automation_rate"], told["all"]["self_healed"]) == (1, 1.0, 1.0)
    assert told["all"]["restore"]["mean"] == 1200.0
    assert {name: each["incidents"] for name, each in told["by_service"].items()} == {"shop": 1, "stock": 1}


def test_times_are_means_and_percentiles_of_what_happened(two_weeks):
    told = two_weeks.ask().json()["week"]["all"]
    assert told["incidents"] == 4
    assert (told["detect"]["mean"], told["detect"]["p50"], told["detect"]["longest"]) == (20.0, 20.0, 30.0)
    # A run is somebody who began to work on it only when a person says so: two acknowledgements.
    assert (told["acknowledge"]["count"], told["acknowledge"]["mean"]) == (2, 280.0)
    assert (told["restore"]["count"], told["restore"]["mean"]) == (4, 400.0)
    assert told["mtbf"] == (WEEK - 1600.0) / 4


def test_automation_counts_what_runbooks_did_and_what_repaired_itself(two_weeks):
    told = two_weeks.ask().json()["week"]["all"]
    assert (told["automation_rate"], told["runbook_success"], told["self_healed"]) == (0.5, 0.5, 0.25)


def test_missed_deadlines_are_counted_by_what_was_missed(two_weeks):
    # P0: 5 minutes to acknowledge, 15 to respond. One was acknowledged after 500 s, one never within its 310 s.
    assert two_weeks.ask().json()["week"]["all"]["missed_deadlines"] == {"acknowledge": 2, "respond": 0, "resolve": 0}


def test_the_week_stands_beside_the_one_before_and_apart_by_tier_and_service(two_weeks):
    told = two_weeks.ask().json()
    assert (told["week_before"]["all"]["incidents"], told["week_before"]["all"]["restore"]["mean"]) == (1, 1000.0)
    assert (told["change"]["incidents"], told["change"]["restore"], told["change"]["acknowledge"]) == (3, -600.0, 180.0)
    assert told["change"]["runbook_success"] is None  # nothing ran the week before
    assert {name: each["incidents"] for name, each in told["week"]["by_service"].items()} == {"shop": 2, "stock": 2}
    assert list(told["week"]["by_tier"]) == ["P0"]


def test_rules_that_fire_for_nothing_are_named(two_weeks):
    told = two_weeks.ask().json()
    assert told["week"]["noisy_rules"] == [
        {"alert": "Full", "firings": 2, "in_no_incident": 0, "nobody_did_anything": 1, "flapped": 0}
    ]
    assert "no tier of tiers.yml has a digest" in told["unknown"]["noisy_rules"]


def test_without_incidents_nothing_is_known_rather_than_zero(weeks):
    told = weeks.ask().json()["week"]["all"]
    assert (told["incidents"], told["mtbf"], told["self_healed"], told["restore"]["mean"]) == (0, None, None, None)


def test_one_that_is_open_counts_as_trouble_until_the_end_and_one_closed_by_hand_is_restored(weeks):
    weeks.incident(END - 1000.0, cleared_after=None)
    told = weeks.ask().json()["week"]["all"]
    assert (told["restore"]["count"], told["mtbf"]) == (0, WEEK - 1000.0)
    with weeks.records.reading() as connection:
        [row] = incidents.incident_rows(connection)
    weeks.clock._now = END - 400.0
    weeks.responder.happen(row["id"], ResolvedByHand("ann"))
    assert weeks.ask().json()["week"]["all"]["restore"]["mean"] == 600.0


def test_as_markdown_it_has_the_same_figures(two_weeks, capsys):
    text = two_weeks.ask(f"{WEEKLY}?end={END}&form=md").text
    for said in (
        "| incidents | 4 | | 1 |",
        "| MTTR | 6m40s |",
        "| missed: to acknowledge | 2 |",
        "| Full | 2 | 0 | 1 | 0 |",
    ):
        assert said in text
    app = routes.build([reports.router(two_weeks.responder, two_weeks.clock)], Telemetry(), checks={}, reload=_never)
    with serving(app) as url:
        assert run(["report", "weekly", "--end", str(END), "--server", url]) == 0
        assert capsys.readouterr().out == text
        assert run(["report", "weekly", "--end", str(END), "-o", "json", "--server", url]) == 0
        assert json.loads(capsys.readouterr().out)["week"]["all"]["incidents"] == 4


@pytest.mark.parametrize("end", ["0", "1e12", "nan"])
def test_an_end_that_is_no_moment_is_refused(weeks, end):
    assert weeks.ask(f"{WEEKLY}?end={end}").status_code == 400


def test_firings_in_no_incident_are_noise_where_they_are_kept():
    row: episodes.EpisodeRow = {
        "fingerprint": "ab", "starts_at": T0 + 10, "ends_at": T0 + 20, "heard_at": T0 + 11, "closed_at": T0 + 21,
        "tier": "P3", "name": "Odd", "service": "", "summary": "",
    }  # fmt: skip
    told = review([], [row], END)
    assert told["week"]["noisy_rules"] == [
        {"alert": "Odd", "firings": 1, "in_no_incident": 1, "nobody_did_anything": 0, "flapped": 0}
    ]
    assert told["unknown"] == {}

"""A resolved incident has its postmortem: what was known, frozen, and every version of what people made of it."""

from __future__ import annotations

import asyncio
import re

import pytest

from aiprism.errors import Conflict, NotFound
from aiprism.learn import postmortems as module
from aiprism.learn.chart import svg
from aiprism.respond.incident import MACHINE, Evidence, Pinned, ReopenedByHand, ResolvedByHand
from aiprism.store import investigations
from aiprism.store.records import Records, incidents
from tests.learn.past import FIRST, Past
from tests.respond.making import T0, again, alert


@pytest.fixture
def records(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield records
    records.close()


@pytest.fixture
def past(records, engine, tmp_path):
    return Past(records, engine, tmp_path)


def written(past):
    past.telemetry()
    incident = past.trouble()
    assert asyncio.run(past.postmortems.write_wanting()) == 1
    return past.postmortems.read(incident)


def test_what_is_resolved_is_written_of_by_itself_once(past):
    found = written(past)
    assert (found.version, found.author, found.evidence) == (1, MACHINE, 1)
    assert asyncio.run(past.postmortems.write_wanting()) == 0
    assert past.timeline(found.incident_id)[-1]["event"] == "postmortem_written"


def test_the_document_holds_what_was_pinned(past):
    incident = past.trouble()
    past.respond.happen(incident, Pinned("ann", "https://wiki.example.com/pool", "how to drain *it*"))
    past.respond.happen(incident, Pinned("bob", "up == 0", "", Evidence.QUERY, "", "/explore/metrics"))
    assert asyncio.run(past.postmortems.write_wanting()) == 1
    text = past.postmortems.read(incident).text
    assert "## Pinned evidence\n\n- E1 https://wiki.example.com/pool: how to drain \\*it\\*, pinned by ann at " in text
    assert "- E2 up == 0 (/explore/metrics), pinned by bob at " in text


def test_the_document_says_what_telemetry_knows_and_what_nobody_does(past):
    text = written(past).text
    for said in (
        "1 alert (HighErrorRate) about shop",
        "| shop | 60 | 12 (20 %) |",
        "| 60 | 0 (0 %) |",
        "Most users active at a time meanwhile: 40",
        "Documents that failed meanwhile: unknown (no series says it)",
        "Documents processed meanwhile: 86\n",
        "Money lost: unknown",
        "| acknowledged | 6m40s | 5m | **missed** |",
        "| resolved | 39m | 1h | met |",
        "The alert's limit is 5.",
        "| shop-api | 30 | 0, new | order \\<num\\> failed: pool is full |",
        "order 0 failed: pool is full",
        "| failed | `",
        "| 14:10:00 | 4m | deployment | shop-api | shop 2.0 is out | github |",
        "- [ ] Review deployment “shop 2.0 is out”",
        "- [ ] Find out why it took 6m40s until it was acknowledged",
        "- [ ] Write a runbook for HighErrorRate",
        "- [ ] Handle the error of shop-api",
        "| 14:15:00 | `incident_created` |",
    ):
        assert said in text, text


def test_evidence_outlives_the_telemetry_and_the_incident_it_is_of(past, engine, records):
    found = written(past)
    for table in ("spans", "logs", "samples", "events"):
        engine.command(f"TRUNCATE TABLE {table}")
    with records.begin() as connection:
        connection.execute(incidents.delete())
    kept = past.postmortems.frozen(past.postmortems.read(found.incident_id))["evidence"]
    assert [len(kept[part]) for part in ("lines", "patterns", "changes", "unknown")] == [30, 1, 1, 0]
    spans = [
        span for resource in kept["otlp"]["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]
    ]  # fmt: skip
    assert {span["traceId"] for span in spans} == {each["trace_id"] for each in kept["traces"]}
    assert {(span["name"], span["kind"], len(span["spanId"])) for span in spans} == {("POST /orders", 2, 16)}
    assert {each["why"] for each in kept["traces"]} == {"failed", "slow"}
    [chart] = past.postmortems.charts(found)
    assert (chart.limit, max(value for _, value in chart.curves[0].points)) == (5.0, 9.0)
    assert svg(chart).count("<polyline") == 1
    changed = past.postmortems.edit(found.incident_id, 1, "ann", "# It was the pool")
    assert changed.text == "# It was the pool"


def test_people_change_it_and_every_version_stays_with_its_author_and_time(past):
    found = written(past)
    past.clock._now += 60
    second = past.postmortems.edit(found.incident_id, 1, "ann", "# It was the pool")
    assert (second.version, second.author, second.evidence) == (2, "ann", 1)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        past.postmortems.edit(found.incident_id, 1, "bob", "# It was not")
    assert past.postmortems.read(found.incident_id, 1).text == found.text
    assert past.postmortems.versions(found.incident_id) == [(2, found.at + 60, "ann"), (1, found.at, MACHINE)]
    assert past.timeline(found.incident_id)[-1]["actor"] == "ann"


def test_it_is_generated_again_only_when_somebody_says_so_or_after_another_round_that_nobody_wrote_of(past):
    found = written(past)
    with pytest.raises(Conflict, match="has a postmortem"):
        asyncio.run(past.postmortems.write(found.incident_id, "ann"))
    past.respond.happen(found.incident_id, ReopenedByHand("ann"))
    with pytest.raises(Conflict, match="is investigating"):
        asyncio.run(past.postmortems.write(found.incident_id, "ann", again=True))
    past.clock._now += 60
    past.respond.happen(found.incident_id, ResolvedByHand("ann"))
    assert asyncio.run(past.postmortems.write_wanting()) == 1
    assert "came back 1 time" in past.postmortems.read(found.incident_id).text
    past.postmortems.edit(found.incident_id, 2, "ann", "mine")
    past.respond.happen(found.incident_id, ReopenedByHand("ann"))
    past.clock._now += 60
    past.respond.happen(found.incident_id, ResolvedByHand("ann"))
    assert asyncio.run(past.postmortems.write_wanting()) == 0
    third = asyncio.run(past.postmortems.write(found.incident_id, "bob", again=True))
    assert (third.version, third.evidence) == (4, 4)


def test_a_part_that_cannot_be_read_is_said_to_be_unknown_and_the_others_are_there(past, engine, monkeypatch):
    past.telemetry()
    incident = past.trouble()
    engine.command("RENAME TABLE events TO events_away")
    try:
        text = asyncio.run(past.postmortems.write(incident, "ann")).text
    finally:
        engine.command("RENAME TABLE events_away TO events")
    changes = text.partition("## Changes in the two hours before, and since\n\n")[2].partition("\n")[0]
    assert changes.startswith("unknown: ")
    assert "| shop | 60 | 12 (20 %) |" in text


def test_without_any_telemetry_it_is_written_all_the_same(past):
    incident = past.trouble()
    text = asyncio.run(past.postmortems.write(incident, "ann")).text
    assert "Requests that failed: unknown (none of the services has sent spans)" in text
    assert "Its services have written no error." in text


def test_what_does_not_fit_is_left_out_and_said(past, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 3000)
    found = written(past)
    kept = past.postmortems.frozen(found)["evidence"]
    assert (kept["otlp"], kept["traces"], "traces" in kept["unknown"]) == ({}, [], True)
    assert "they did not fit" in found.text


def test_an_incident_that_comes_again_is_told_what_it_resembles_and_why(past):
    first = written(past).incident_id
    past.clock._now += 86_400
    second = past.trouble(again(FIRST, past.clock.now() - 30), None)
    assert second != first
    [found] = past.postmortems.similar(second)
    assert (found.id, found.score) == (first, 1.0)
    assert found.reasons[:2] == ("the same alerts: HighErrorRate", "the same services: shop")
    text = asyncio.run(past.postmortems.write(second, "ann")).text
    assert f"- {first} (2026-11-23 14:15:00 UTC), alike " in text
    assert past.postmortems.similar(first) == []  # what came later is no past


def test_of_what_is_not_there_nothing_is_told(past):
    for ask in (past.postmortems.read, past.postmortems.similar):
        with pytest.raises(NotFound):
            ask("INC_1")
    with pytest.raises(NotFound):
        past.postmortems.edit("INC_1", 1, "ann", "x")


def test_the_loop_writes_of_what_is_resolved_while_it_runs(past):
    past.clock._now = T0

    async def run():
        await past.postmortems.start()
        incident = await asyncio.to_thread(past.trouble)
        async with asyncio.timeout(120):
            while not past.postmortems.versions(incident):
                await past.clock.advance(1.0)
        await past.postmortems.stop()
        return incident

    assert past.postmortems.read(asyncio.run(run())).version == 1


def test_a_storm_of_four_hundred_alerts_is_a_document_people_can_read(past):
    storm = [
        alert(f"Down{number:03}", "shop", at=T0 - 60, severity="critical", kind="availability") for number in range(400)
    ]
    past.respond.accept(storm)
    [incident] = past._ids("investigating")
    past.clock._now += 60
    past.respond.happen(incident, ResolvedByHand("ann"))
    text = asyncio.run(past.postmortems.write(incident, "ann")).text
    assert re.search(r"400 alerts \((Down\d{3}(, )?){5} and 395 more\) about shop", text)
    assert "lines between the first 100 and the last 100 stand in the JSON." in text
    assert len(text) < 60_000


def test_what_the_investigation_took_for_the_cause_stands_first_among_the_factors_and_is_frozen(past):
    past.telemetry()
    incident = past.trouble()
    hypothesis = {"statement": "shop *fails*", "confidence": 0.8, "evidence": ["pool is full"]}
    findings = {"hypotheses": [hypothesis], "missed": ["traces: the store was away"]}
    with past.records.begin() as connection:
        number = investigations.ask(connection, incident, "asked for", "ann", T0)
        investigations.finish(connection, incident, number, T0 + 1, investigations.DONE, "shop fails", findings)
    assert asyncio.run(past.postmortems.write_wanting()) == 1
    found = past.postmortems.read(incident)
    factors = found.text.partition("## Contributing factors, with evidence\n\n")[2]
    assert factors.startswith("### What the investigation found\n\nshop fails\n")
    assert (
        "- shop \\*fails\\* (confidence 80 %)\n    - pool is full\n- Not looked at: traces: the store was away"
        in factors
    )
    assert past.postmortems.frozen(found)["investigation"]["findings"] == findings

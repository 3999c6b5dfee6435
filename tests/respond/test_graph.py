"""The graph of an incident (R19): which edges made its alerts one, and what was changed before."""

from __future__ import annotations

import json
import re
from pathlib import Path

from aiprism.clock import FakeClock
from aiprism.model.events import ChangeEvent
from aiprism.respond import changes, dossier, graph, journal
from aiprism.respond.desk import Policy
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.store.records import Records
from tests.respond.making import T0, alert

PAGE = Path(__file__).parents[2] / "docs" / "alert-correlation.md"
STORE = Ways({(caller, "store"): "declared" for caller in ("cart", "mail", "c", "d", "e", "f", "g")})


def shown(respond, incident_id):
    with respond.reading() as connection:
        return graph.read(connection, incident_id)


def open_ones(respond):
    with respond.reading() as connection:
        return journal.open_incidents(connection)


def rollout(at, number=1, service="model-server"):
    return ChangeEvent(f"release-{number}", at, "deployment", service, "model-server 2.2.0", "", {}, "argocd")


def example(place):
    """What the page shows: a model server that was just rolled out is slow, and who calls it has errors."""
    records = Records.open(f"sqlite:///{place}/control.db")
    calls = Ways({("api-gateway", "model-server"): "declared and seen"})
    respond = Respond(records, FakeClock(T0 + 40), Policy(ways=lambda: calls))
    respond.accept([alert("HighLatency", "model-server"), alert("HighErrorRate", "api-gateway", at=T0 + 30)])
    [incident] = open_ones(respond)
    found = [rollout(T0 - 180), rollout(T0 - 1000, 2), rollout(T0 + 20, 3)]
    for each in found:
        respond.happen(incident.id, changes.line(incident, each))
    told = shown(respond, incident.id)
    with respond.reading() as connection:
        described = dossier.dossier(connection, incident.id)["description"].splitlines()
    records.close()
    return told, described[-1]


def test_the_example_of_the_page_is_what_is_answered(tmp_path):
    said = re.search(r"/correlation`.*?```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert said is not None
    told, described = example(tmp_path)
    assert told == json.loads(said[1])
    assert described == "Changed 3 minutes before: model-server 2.2.0 (deployment)."


def test_an_edge_by_which_another_incident_was_taken_in_is_of_both(records, clock):
    respond = Respond(records, clock, Policy(ways=lambda: STORE))
    for n, name in enumerate(("cart", "mail", "store")):
        respond.accept([alert("HighErrorRate", name, at=T0 + 5 * n)])
        clock.jump(1)
    [survivor] = open_ones(respond)
    told = shown(respond, survivor.id)
    names = {each["fingerprint"]: each["service"] for each in told["alerts"]}
    edges = {(names[each["from"]], names[each["to"]]): each["took_in"] for each in told["edges"]}
    assert edges == {("store", "cart"): None, ("store", "mail"): survivor.work.absorbed[0]}
    assert told["by_hand"] == []


def test_what_people_made_one_and_two_has_no_edge_but_their_names(records, clock):
    respond = Respond(records, clock)
    respond.accept([alert("HighErrorRate"), alert("HighLatency"), alert("ServiceDown", "mail")])
    gateway, mail = sorted(open_ones(respond), key=lambda each: each.services)
    respond.merge(gateway.id, mail.id, "ann", "one power strip")
    parted = respond.split(gateway.id, [alert("HighLatency").fingerprint], "ben")
    rest, apart = shown(respond, gateway.id), shown(respond, parted.id)
    assert [(each["event"], each["other"], each["actor"]) for each in rest["by_hand"]] == [
        ("merged", mail.id, "ann"), ("alerts_parted", parted.id, "ben")
    ]  # fmt: skip
    assert (rest["edges"], apart["edges"]) == ([], [])
    assert [each["service"] for each in rest["alerts"]] == ["api-gateway", "mail"]

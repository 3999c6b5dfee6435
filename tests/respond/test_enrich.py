"""What the catalogue knows of an alert stands beside it when it is told, kept and shown, and its labels stay."""

from __future__ import annotations

import json

from aiprism.respond import board, journal
from aiprism.respond.channels import pagerduty, slack
from aiprism.respond.channels.post import Globals
from aiprism.respond.desk import Policy
from aiprism.respond.message import of_group
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import declared
from aiprism.services import Catalogue, Service
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert, everyone

SHOP = Service("shop", owner="ann", team="payments", tier=1, runbook="https://wiki/shop", aliases=("shop-api",))
KNOWN = Catalogue([SHOP, Service("db")])


def test_an_alert_is_kept_with_its_service_beside_it_and_its_labels_as_they_came(records, clock):
    respond = Respond(records, clock, Policy(services=KNOWN))
    down = alert("ShopDown", "shop-api")
    respond.accept([down, alert("DbSlow", "db", severity="warning"), alert("Other", "unknown", severity="warning")])
    with respond.reading() as connection:
        kept = {
            each.alert.labels["alertname"]: each.alert for each in board.alerts(connection, respond.holding(connection))
        }
        [incident] = journal.listed(connection, "open", 10)
    assert kept["ShopDown"].labels == down.labels
    assert kept["ShopDown"].annotations.to_dict() == {
        "summary": "ShopDown on shop-api", "runbook_url": "https://wiki/shop",
        "service_owner": "ann", "service_team": "payments", "service_tier": "1",
    }  # fmt: skip
    assert kept["DbSlow"].annotations.to_dict() == {"summary": "DbSlow on db"}
    assert kept["Other"].annotations.to_dict() == {"summary": "Other on unknown"}
    assert incident.alerts[0].annotations == kept["ShopDown"].annotations


def test_what_the_sender_says_wins(records, clock):
    respond = Respond(records, clock, Policy(services=KNOWN))
    respond.accept([alert("ShopDown", "shop", annotations={"runbook_url": "https://mine", "service_owner": "bob"})])
    with respond.reading() as connection:
        [kept] = board.alerts(connection, respond.holding(connection))
    assert kept.alert.annotations.to_dict() == {
        "runbook_url": "https://mine", "service_owner": "bob", "service_team": "payments", "service_tier": "1"
    }  # fmt: skip


def test_alerts_of_services_that_depend_on_each_other_are_one_incident(records, clock):
    tree = Catalogue([Service("web", dependencies=("db",)), Service("db"), Service("other")])
    respond = Respond(
        records, clock, Policy(routing=everyone("http://127.0.0.1:9"), services=tree, ways=lambda: declared(tree))
    )
    respond.accept([alert("DbDown", "db"), alert("WebDown", "web", at=T0 + 1), alert("OtherDown", "other", at=T0 + 1)])
    with respond.reading() as connection:
        found = {incident.services for incident in journal.listed(connection, "open", 10)}
    assert found == {("db", "web"), ("other",)}


def test_slack_and_pagerduty_show_owner_and_runbook():
    notes = {"service_owner": "ann", "service_tier": "1", "runbook_url": "https://wiki/shop"}
    said = of_group("{}:{}", alert().labels, [alert("ShopDown", "shop", annotations=notes)], at=T0, external_url="")
    blocks = json.dumps(slack.build(said, slack.read(parse('{api_url: "http://127.0.0.1:9"}'), "a", Globals())))
    assert "*Owner*\\nann" in blocks
    assert "*Tier*\\n1" in blocks
    assert "<https://wiki/shop|runbook>" in blocks
    event = pagerduty.build(said, pagerduty.read(parse("{routing_key: k}"), "a", Globals()))
    assert event["links"] == [{"href": "https://wiki/shop", "text": "runbook"}]
    assert {"owner": "ann", "tier": "1"}.items() <= event["payload"]["custom_details"].items()

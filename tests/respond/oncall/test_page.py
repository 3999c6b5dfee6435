"""The example of docs/oncall.md does what the page says."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from aiprism import yamlfile
from aiprism.model.alerts import Priority
from aiprism.respond import tiers
from aiprism.respond.oncall import reading

PAGE = (Path(__file__).parents[3] / "docs" / "oncall.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
RECEIVERS = ("ann-slack", "ann-phone", "bob-phone", "cy-phone", "management")


def test_the_example_has_the_people_on_call_that_it_speaks_of():
    rota = reading.read(yamlfile.parse(EXAMPLES[0], file="oncall.yml"), RECEIVERS)

    def on_call(text):
        moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
        return rota.on_call("primary", moment)

    assert on_call("2026-11-23T10:00") == ("ann",)  # in the office
    assert on_call("2026-11-23T21:00") == ("bob",)  # after hours, in turn by the day
    assert on_call("2026-11-30T08:30") == ("ann",)  # before the hand-off
    assert on_call("2026-11-30T09:30") == ("bob",)
    assert on_call("2026-12-01T13:00") == ("cy",)  # the override
    assert on_call("2026-12-25T10:00") == ("cy",)  # the holiday
    assert rota.policy_of(Priority.P1, {}) == "default"
    assert rota.receivers() == RECEIVERS
    assert reading.warnings(rota, datetime.fromisoformat("2026-11-24T00:00+00:00").timestamp()) == []


def test_tiers_may_name_what_the_example_has():
    rota = reading.read(yamlfile.parse(EXAMPLES[0], file="oncall.yml"), RECEIVERS)
    named = tiers.Named((), rota.schedules, rota.escalations)
    found = tiers.read(yamlfile.parse(EXAMPLES[1], file="tiers.yml"), named).of[Priority.P0]
    assert [(step.key, step.policy) for step in found.escalate] == [
        ("response", "schedule primary"), ("resolution+1800", "last")
    ]  # fmt: skip

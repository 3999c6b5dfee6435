"""Alert states in the control database."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.store.alertstates import AlertStates, KeptAlert
from aiprism.store.records import Records


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield opened
    opened.close()


def kept(name: str, state: AlertState = AlertState.FIRING, value: float = 0.5, **more: float) -> KeptAlert:
    alert = Alert(
        labels=Labels({"alertname": "A", "i": name}),
        annotations=Labels({"summary": "ü"}),
        state=state,
        value=value,
        active_at=10.5,
        fired_at=20.0 if state is AlertState.FIRING else None,
        source="r.yml/g/A",
    )
    return KeptAlert(alert, **more)


def test_an_alert_comes_back_as_it_was_kept(records: Records) -> None:
    states = AlertStates(records)
    alerts = [
        kept("a", keep_firing_since=30.0, last_sent_at=40.0),
        kept("b", AlertState.PENDING),
        kept("c", value=math.inf),
    ]
    states.save("r.yml;g", 50.0, [("rule", alert) for alert in alerts])
    back = states.load()
    assert sorted(back.alerts["rule"], key=lambda each: each.alert.labels) == alerts
    assert (back.groups, back.evaluated_at) == ({"rule": "r.yml;g"}, {"r.yml;g": 50.0})


def test_what_changed_replaces_and_what_is_gone_goes(records: Records) -> None:
    states = AlertStates(records)
    states.save("g", 1.0, [("rule", kept("a")), ("rule", kept("b")), ("other", kept("a"))])
    over = kept("a", AlertState.RESOLVED)
    states.save("g", 2.0, [("rule", over)], [("rule", kept("b").alert.fingerprint)])
    back = states.load()
    assert [each.alert.state for each in back.alerts["rule"]] == [AlertState.RESOLVED]
    assert len(back.alerts["other"]) == 1
    assert back.evaluated_at == {"g": 2.0}


def test_times_of_groups_that_are_gone_are_forgotten_unless_they_keep_an_alert(records: Records) -> None:
    states = AlertStates(records)
    for group in ("known", "gone", "gone but firing"):
        states.save(group, 1.0, [("rule", kept("a"))] if "firing" in group else [])
    states.forget_groups(["known"])
    assert set(states.load().evaluated_at) == {"known", "gone but firing"}


def test_a_value_that_is_no_number_is_kept(records: Records) -> None:
    states = AlertStates(records)
    states.save("g", 1.0, [("rule", kept("a", value=math.nan))])
    [back] = states.load().alerts["rule"]
    assert math.isnan(back.alert.value)


WRITER = """
import sys
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.store.alertstates import AlertStates, KeptAlert
from aiprism.store.records import Records
states = AlertStates(Records.open(sys.argv[1]))
for number in range(1_000_000):
    alert = Alert(Labels({"i": str(number)}), Labels(), AlertState.FIRING, 1.0, float(number))
    states.save("g", float(number), [("rule", KeptAlert(alert))])
    print(number, flush=True)
"""


def test_what_was_kept_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split()]
    writer.wait(30)
    writer.stdout.close()
    records = Records.open(url)
    back = AlertStates(records).load()
    records.close()
    there = {int(each.alert.labels["i"]) for each in back.alerts["rule"]}
    assert set(acknowledged) <= there
    assert back.evaluated_at["g"] == max(there)

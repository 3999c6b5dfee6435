"""The same rule files on the same samples, live: Debian's Prometheus and aiprism evaluate them at the same moments and come to
the same alerts, texts, values and recorded series.

What happens is written beforehand, for seconds that are still to come, so that it does not matter how busy the machine is when
they do; each server then evaluates by its own clock. If one misses a moment all the same, both try again.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from aiprism.detect import rules
from aiprism.detect.groups import first_slot_ms
from aiprism.detect.rules import Group
from aiprism.model.labels import Labels
from aiprism.receive.prometheus_proto import WriteRequest
from tests.detect.rule_cases import FAILING, RULES, SECONDS, alerts_and_metrics, case
from tests.journeys.conftest import Server
from tests.query.promql import peer
from tests.query.promql.stocked import Points

FILE = "global: {external_labels: {cluster: lab}}\nrule_files: [cases.yml, failing_cases.yml]\n"
TRIES = 3
AHEAD = 3.0  # seconds from the writing of what happens to its beginning
Samples = Mapping[str, list[tuple[float, str]]]  # by labels: (time, value)


@dataclass
class Seen:
    """What one server made of it, between its moments `begin` and `end`."""

    url: str
    begin: float
    groups: Mapping[str, Group]
    late: bool = False  # the first seconds had passed before they were written
    # By rule and moment (Unix ms) of its evaluation: its alerts, with how often they were seen so. Who looks just as a rule is
    # evaluated may see the alerts of one moment under the other.
    looks: dict[tuple[str, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    samples: Samples = field(default_factory=dict)
    steps: Samples = field(default_factory=dict)

    @property
    def end(self) -> float:
        return self.begin + SECONDS

    @property
    def alerts(self) -> dict[tuple[str, int], str]:
        return {at: looks.most_common(1)[0][0] for at, looks in self.looks.items()}

    @property
    def missed(self) -> bool:
        """Whether a group was not evaluated at one of its moments, or not on what happened by then."""
        clocks = {labels: times for labels, times in self.samples.items() if "rules:clock" in labels}
        return self.late or any(
            abs(len(clocks[labels]) - SECONDS / group.interval) >= 1
            for group in self.groups.values()
            for labels in clocks
            if f"'{group.name}'" in labels
        )

    def look(self) -> None:
        """Note the alerts as they are now."""
        for group in _get(self.url, "rules", type="alert")["groups"]:
            for rule in group["rules"]:
                evaluated_ms = round(_seconds(rule["lastEvaluation"]) * 1000)
                if evaluated_ms < self.begin * 1000:
                    continue
                following = first_slot_ms(self.groups[group["name"]], evaluated_ms)
                moment = following - round(group["interval"] * 1000)
                self.looks[rule["name"], moment]["\n".join(sorted(map(_plain, rule["alerts"])))] += 1

    def ask(self) -> None:
        """Note every sample that the rules wrote, and what a query sees of them second by second."""
        _, metrics = alerts_and_metrics([RULES, FAILING])
        every = f'{{__name__=~"{"|".join(metrics)}"}}'
        self.samples = _by_labels(_get(self.url, "query", query=f"{every}[{SECONDS}s]", time=self.end))
        # Before that, a query sees what was recorded before the beginning, by a server that was there sooner.
        first = math.ceil(self.begin + max(group.interval for group in self.groups.values()))
        self.steps = _by_labels(_get(self.url, "query_range", query=every, start=first, end=int(self.end), step=1))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Seen]:
    """What ours and theirs made of the same."""
    if not peer.installed():
        pytest.skip(peer.HINT)
    for _ in range(TRIES):
        ours, theirs = _run(tmp_path_factory.mktemp("rules"))
        if not (ours.missed or theirs.missed):
            break
    return ours, theirs


def _run(directory: Path) -> tuple[Seen, Seen]:
    for file in (RULES, FAILING):
        shutil.copy(file, directory)
    groups = {group.name: group for group in rules.load([directory / "*cases.yml"])}
    with peer.running(directory, FILE) as prometheus:
        server = Server(directory / "data", directory / "prometheus.yml").start()
        try:
            for url in (server.url, prometheus.url):  # the first write of a server takes seconds
                _write(url, [(Labels({"__name__": "first"}), [(0, 1.0)])], round(time.time() * 1000))
            begin = round(time.time() + AHEAD, 1)
            ours, theirs = Seen(server.url, begin, groups), Seen(prometheus.url, begin, groups)
            for seen in (ours, theirs):
                _write(seen.url, case().series, round(begin * 1000))
                seen.late = time.time() >= begin
            while time.time() < begin + SECONDS + 1:  # so that the last evaluation is at its end
                ours.look()
                theirs.look()
                time.sleep(0.2)
            for seen in (ours, theirs):
                seen.ask()
        finally:
            server.stop()
    return ours, theirs


def test_no_moment_is_missed_and_all_are_the_same(both: tuple[Seen, Seen]) -> None:
    ours, theirs = both
    assert not ours.missed
    assert not theirs.missed
    clocks = [{labels: found for labels, found in seen.samples.items() if "rules:clock" in labels} for seen in both]
    assert clocks[0] == clocks[1]
    assert len(clocks[0]) == len(ours.groups) == 3


def test_every_sample_of_alerts_and_recorded_series_is_the_same(both: tuple[Seen, Seen]) -> None:
    ours, theirs = both
    assert ours.samples == theirs.samples
    alerts, metrics = alerts_and_metrics([RULES, FAILING])
    assert all(any(f"'{name}'" in labels for labels in ours.samples) for name in alerts)
    assert [name for name in metrics if not any(f"'{name}'" in labels for labels in ours.samples)] == ["load:nothing"]


def test_series_end_at_the_same_second(both: tuple[Seen, Seen]) -> None:
    ours, theirs = both
    assert ours.steps == theirs.steps
    assert any(found[-1][0] < ours.end - 5 for found in ours.steps.values())


def test_alerts_are_told_with_the_same_states_times_texts_and_values(both: tuple[Seen, Seen]) -> None:
    ours, theirs = both
    told, expected = ours.alerts, theirs.alerts
    seen_of_both = told.keys() & expected.keys()
    assert {at: told[at] for at in seen_of_both} == {at: expected[at] for at in seen_of_both}
    alerts, _ = alerts_and_metrics([RULES, FAILING])
    assert all(sum(name == rule for rule, _ in seen_of_both) > SECONDS / 6 for name in alerts)


def _write(url: str, samples: Iterable[tuple[Labels, Points]], begin_ms: int) -> None:
    message = WriteRequest()
    for labels, points in samples:
        series: Any = message.timeseries.add()
        for name, text in labels.pairs:
            series.labels.add(name=name, value=text)
        for ts_ms, value in points:
            series.samples.add(timestamp=begin_ms + ts_ms, value=value)
    body = bytes(pa.Codec("snappy").compress(message.SerializeToString(), asbytes=True))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    httpx.post(f"{url}/api/v1/write", content=body, headers=headers).raise_for_status()


def _get(url: str, path: str, **parameters: object) -> Any:
    answer = httpx.get(f"{url}/api/v1/{path}", params=parameters)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def _by_labels(data: Any) -> Samples:
    return {str(sorted(each["metric"].items())): [tuple(pair) for pair in each["values"]] for each in data["result"]}


def _plain(alert: dict[str, Any]) -> str:
    """An alert with the time it began in milliseconds, which is as fine as ours are."""
    kept = {key: alert[key] for key in ("labels", "annotations", "state", "value")}
    whole, _, fraction = alert["activeAt"].removesuffix("Z").partition(".")
    return json.dumps({**kept, "activeAt": f"{whole}.{fraction[:3]:0<3}"}, sort_keys=True)


def _seconds(written: str) -> float:
    """Unix seconds of a time as Go writes it."""
    whole, _, fraction = written.removesuffix("Z").partition(".")
    if whole.startswith("0001"):
        return 0.0
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")

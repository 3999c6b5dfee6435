"""The same rules on the same seconds: promtool and `aiprism test rules` find the same alerts, texts and recorded series."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiprism.detect import ruletests
from aiprism.query.promql import PromQL
from aiprism.store.engine import Engine
from aiprism.store.scratch import Scratch
from tests.detect.rule_cases import SECONDS, STEP, alerts_and_metrics, case, file_that_expects_nothing

Found = Mapping[tuple[str, str], list[str]]  # by (alert or metric, second): what there is


def test_alerts_texts_and_recorded_series_are_those_of_promtool(promtool: str, tmp_path: Path, engine: Engine) -> None:
    path = file_that_expects_nothing(tmp_path)
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True)
    theirs = _told_by_promtool(done.stdout + done.stderr)
    store, tests = Scratch(engine), ruletests.read(path)
    ours = _told(ruletests.failures(tests, tests.cases[0], store, lambda: PromQL(store.samples)))
    assert ours == theirs
    # Something was compared: each alert was there at some time, and each metric but the one that never has a value.
    alerts, metrics = alerts_and_metrics([path.parent / "cases.yml"])
    assert {name for name, _ in theirs} == {*alerts, *metrics} - {"load:nothing"}
    assert max(len(found) for found in theirs.values()) > 20


def test_the_samples_are_of_as_many_seconds_as_are_looked_at() -> None:
    times = {ts_ms for _, points in case().series for ts_ms, _ in points}
    assert (min(times), max(times), SECONDS % STEP) == (0, SECONDS * 1000, 0)


def _told(failures: Iterable[ruletests.Failure]) -> Found:
    found = {}
    for failure in failures:
        name, second = re.findall(r"(?:alertname: |expr: ')([\w:]+)'?, time: (\S+)", failure.what)[0]
        found[name, second] = sorted(_plain(each) for each in failure.got)
    return found


def _told_by_promtool(said: str) -> Found:
    found = {}
    for block in re.split(r"^ +(?=alertname:|expr:)", said, flags=re.MULTILINE):
        if alert := re.search(r"alertname: (\w+), time: (\S+),", block):
            pairs = re.findall(r"Labels:(\{.*\})\s*Annotations:(\{.*\})", block)
            found[alert[1], alert[2]] = sorted(f"Labels:{labels} Annotations:{texts}" for labels, texts in pairs)
        elif asked := re.search(r'expr: "([\w:]+)", time: (\S+),', block):
            samples = re.findall(r"(\{[^{}]*\}) (\S+?)(?:, |$)", block.split("got: ")[1], re.MULTILINE)
            found[asked[1], asked[2]] = sorted(_plain(f"{labels} {value}") for labels, value in samples)
    return found


def _plain(sample: str) -> str:
    """A sample with its name among its labels or before them, and its number in either notation, as one text."""
    labels, _, value = sample.rpartition(" ")
    try:
        number = repr(float(value))
    except ValueError:
        return sample  # an alert
    return re.sub(r'\{__name__="([\w:]+)"(, )?', r"\1{", labels).removesuffix("{}") + " " + number

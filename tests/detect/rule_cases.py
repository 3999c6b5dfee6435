"""The rules of `cases.yml` and the seconds they look at, for whoever compares what two programs make of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiprism.detect import rules, ruletests
from aiprism.detect.rules import AlertingRule
from aiprism.detect.ruletests import Case

HERE = Path(__file__).parent
RULES, FAILING = HERE / "cases.yml", HERE / "failing_cases.yml"
SECONDS = 32
STEP = 2  # of evaluations


def case() -> Case:
    """The one case of the test file: its samples begin at the epoch."""
    [found] = ruletests.read(HERE / "cases_test.yml").cases
    return found


def alerts_and_metrics(files: Sequence[Path]) -> tuple[list[str], list[str]]:
    """The names of the alerts, and of the metrics that the rules write."""
    found = [rule for file in files for group in rules.load([file]) for rule in group.rules]
    alerts = [rule.name for rule in found if isinstance(rule, AlertingRule)]
    return alerts, ["ALERTS", "ALERTS_FOR_STATE", *(rule.name for rule in found if not isinstance(rule, AlertingRule))]


def file_that_expects_nothing(directory: Path) -> Path:
    """A test file in `directory` that asks for everything at each evaluation: what there is is told as a failure."""
    for name in (RULES.name, "cases_test.yml"):
        shutil.copy(HERE / name, directory)
    path = directory / "cases_test.yml"
    path.write_text(path.read_text(encoding="utf-8") + "\n".join(_questions()), encoding="utf-8")
    return path


def _questions() -> Iterator[str]:
    alerts, metrics = alerts_and_metrics([RULES])
    for key, field, names in (("alert_rule_test", "alertname", alerts), ("promql_expr_test", "expr", metrics)):
        yield f"  {key}:"
        yield from (f"  - {{eval_time: {at}s, {field}: '{name}'}}" for name in names for at in range(0, SECONDS, STEP))
    yield ""

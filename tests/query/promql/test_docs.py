"""docs/promql.md names exactly what there is."""

from __future__ import annotations

import re
from pathlib import Path

from aiprism.query.promql.aggregate import OPERATORS
from aiprism.query.promql.functions import FUNCTIONS, PUSHED
from aiprism.query.promql.kernels import KERNELS
from tests.query.promql.test_scripts import SCRIPTS

LIST = Path(__file__).parent / "prometheus_functions.txt"
PAGE = (Path(__file__).parents[3] / "docs" / "promql.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"### {title}\n")[2].partition("\n##")[0]


def test_every_function_is_on_the_page_and_none_that_is_not_there():
    table = "\n".join(line for line in section("Functions").splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", table)) == FUNCTIONS


def test_every_function_of_prometheus_3_is_there():
    names = {line for line in LIST.read_text(encoding="utf-8").split() if not line.startswith("#")}
    assert names - FUNCTIONS == set()
    # The old name.
    assert FUNCTIONS - names == {"holt_winters"}


def test_every_aggregation_is_on_the_page():
    assert set(re.findall(r"`(\w+)`", section("Aggregation"))) - {"by", "without"} == OPERATORS


def test_every_function_and_operator_has_a_script():
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    evaluated = "\n".join(line for line in scripts.splitlines() if line.startswith("eval"))
    missing = [name for name in (*FUNCTIONS, *OPERATORS) if not re.search(rf"\b{name}\b", evaluated)]
    assert missing == []


def test_what_is_pushed_down_has_a_kernel_too():
    assert PUSHED.keys() <= KERNELS.keys()

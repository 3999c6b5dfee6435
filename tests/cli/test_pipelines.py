"""`aiprism test pipeline`: what would become of records, in words and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "log-pipelines.md").read_text(encoding="utf-8")


@pytest.fixture
def app_log(tmp_path: Path) -> Path:
    [lines] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "app.log").write_text(lines, encoding="utf-8")
    [steps] = re.findall(r"```yaml\n# pipelines.yml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "pipelines.yml").write_text(steps, encoding="utf-8")
    return tmp_path / "app.log"


def test_the_example_of_the_page(aiprism: Run, app_log: Path) -> None:
    status, said, _ = aiprism("test", "pipeline", str(app_log), "--pipelines", str(app_log.parent / "pipelines.yml"))
    shown = PAGE.partition("--pipelines pipelines.yml\n")[2].partition("```")[0]
    assert (status, said.splitlines()) == (0, shown.splitlines())


def test_the_pipeline_of_a_configuration_as_json(aiprism: Run, app_log: Path) -> None:
    config = app_log.parent / "aiprism.yml"
    config.write_text("logs: {pipelines: pipelines.yml, redact: none}\n", encoding="utf-8")
    status, said, _ = aiprism("test", "pipeline", str(app_log), "--config", str(config), "-o", "json")
    found = json.loads(said)
    assert status == 0
    assert found["records"][0]["after"] is None
    assert found["records"][1]["after"]["body"] == "[order] of ada@example.com waits"
    status, said, _ = aiprism("check", str(config))
    assert (status, "pipelines, 6 steps" in said) == (0, True)


def test_a_file_that_is_not_there_is_said(aiprism: Run, tmp_path: Path) -> None:
    status, _, said = aiprism("test", "pipeline", str(tmp_path / "none.log"))
    assert status != 0
    assert "none.log: cannot be read" in said


def test_a_record_of_json_is_one_line_whatever_it_holds(aiprism: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes('{"message": "one\u2028two"}\r\nthree\u0085four\n\n'.encode())
    _, said, _ = aiprism("test", "pipeline", str(tmp_path / "app.log"), "-o", "json")
    assert [each["before"]["body"] for each in json.loads(said)["records"]] == ["one\u2028two", "three\u0085four"]

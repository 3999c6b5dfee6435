"""What deploy/ ships is well formed and speaks of settings and paths that exist. Images and charts are not built here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiprism.cli import run
from aiprism.config import ROLES, documented
from aiprism.receive.discovery.kubernetes import _ROLES, Kubernetes
from aiprism.receive.discovery.kubernetes_labels import ATTACHABLE

DEPLOY = Path(__file__).parent.parent / "deploy"
CHART = DEPLOY / "helm" / "aiprism"
TEMPLATES = sorted((CHART / "templates").glob("*.yaml"))
FILES = [DEPLOY / "Dockerfile", DEPLOY / "compose" / "compose.yml", CHART / "values.yaml"]


def loaded(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def without_actions(template: str) -> list[dict[str, Any]]:
    """The YAML around a template's actions: lines of nothing but an action go, others become a word."""
    lines = [line for line in template.splitlines() if not re.fullmatch(r"\s*\{\{.*\}\}\s*", line)]
    text = re.sub(r"\{\{.*?\}\}", "X", "\n".join(lines))
    return [each for each in yaml.safe_load_all(text) if each]


def paths(template: str) -> Iterator[list[str]]:
    for found in re.findall(r"\.Values((?:\.\w+)+)", template):
        yield found.strip(".").split(".")


def test_aiprism_accepts_the_shipped_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(DEPLOY / "compose" / "aiprism.yml")]) == 0, capsys.readouterr()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_variable_is_a_setting(file: Path) -> None:
    known = {variable for _, variable, _, _ in documented()}
    assert set(re.findall(r"\bAIPRISM_[A-Z_]+", file.read_text(encoding="utf-8"))) <= known


def test_images_are_named_by_name_and_tag_alone() -> None:
    images = [service["image"] for service in loaded(DEPLOY / "compose" / "compose.yml")["services"].values()]
    images += re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [image for image in images if not re.fullmatch(r"[\w-]+(/[\w-]+)?:[\w.-]+", image)] == []


def test_the_second_process_of_compose_shares_everything_but_its_directory() -> None:
    services = loaded(DEPLOY / "compose" / "compose.yml")["services"]
    one, two = services["aiprism-1"], services["aiprism-2"]
    assert one["environment"] == two["environment"]
    assert {key for key in one if one[key] != two[key]} == {"ports", "volumes"}
    assert all(port.startswith("127.0.0.1:") for each in services.values() for port in each.get("ports", []))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_a_template_is_yaml_and_asks_for_values_there_are(template: Path) -> None:
    text, values = template.read_text(encoding="utf-8"), loaded(CHART / "values.yaml")
    assert [each["kind"] for each in without_actions(text)]
    for path in paths(text):
        at = values
        for key in path:
            assert key in at, f"{template.name}: .Values.{'.'.join(path)}"
            at = at[key]


def test_the_charts_service_account_may_list_and_watch_what_discovery_asks_for() -> None:
    documents = without_actions((CHART / "templates" / "discovery.yaml").read_text(encoding="utf-8"))
    [role] = [each for each in documents if each["kind"] == "ClusterRole"]
    given = {what for rule in role["rules"] if {"list", "watch"} <= set(rule["verbs"]) for what in rule["resources"]}
    asked = {what for role in _ROLES for what in Kubernetes(role, attach=ATTACHABLE).resources()}
    assert given == asked


def test_the_chart_asks_for_life_at_the_paths_we_serve_and_runs_without_rights() -> None:
    [pod] = [
        each["spec"]["template"]["spec"]
        for each in without_actions((CHART / "templates" / "statefulset.yaml").read_text())
    ]
    [container] = pod["containers"]
    probes = {name: container[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe", "startupProbe")}
    assert probes == {"livenessProbe": "/-/healthy", "readinessProbe": "/-/ready", "startupProbe": "/-/healthy"}
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert loaded(CHART / "values.yaml")["roles"] == list(ROLES)

"""The direction of imports (architecture §2): a module imports from its own package and from packages to its left."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
ORDER = ("model", "store", "receive", "query", "detect", "respond", "learn", "web", "cli")
# Left of every package; among themselves they stand in this order.
LEFT_OF_ALL = (
    "errors",
    "clock",
    "jsontext",
    "yamlfile",
    "credentials",
    "httpconfig",
    "kubeaccess",
    "services",
    "config",
    "telemetry",
)
# What each of these may see besides itself.
ISLANDS = {"sdk": set[str](), "model": {"errors"}}


def modules() -> list[Path]:
    return sorted((SRC / "aiprism").rglob("*.py"))


def imports_of(file: Path) -> list[tuple[int, str]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "aiprism" else [node.module]
            )
            found += [(node.lineno, name) for name in names]
    return found


def room_of(module: str) -> str:
    """`aiprism.store.engine` → `store`."""
    return module.split(".")[1] if "." in module else ""


def faults_of(file: Path) -> list[str]:
    here = file.relative_to(SRC / "aiprism").parts[0].removesuffix(".py")
    faults = []
    for line, module in imports_of(file):
        if module.split(".")[0] == "aiprism_lab":
            faults.append(f"{file.name}:{line}: aiprism never imports the lab")
        if module.split(".")[0] != "aiprism":
            continue
        there = room_of(module)
        if not _may_see(here, there):
            faults.append(f"{file.relative_to(SRC)}:{line}: {here} must not import {there}")
    return faults


def _may_see(here: str, there: str) -> bool:
    if there in ("", here, "__version__"):
        return True
    if here in ISLANDS:
        return there in ISLANDS[here]
    if here == "__init__":
        return there == "sdk"
    if here in ("app", "configured", "__main__"):
        return there != "cli" or here == "__main__"
    if here in LEFT_OF_ALL:
        return there == "model" or (there in LEFT_OF_ALL and LEFT_OF_ALL.index(there) < LEFT_OF_ALL.index(here))
    if there in LEFT_OF_ALL:
        return True
    if here == "cli":
        return there in (*ORDER, "app", "sdk")
    return here in ORDER and there in ORDER and ORDER.index(there) < ORDER.index(here)


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(SRC)))
def test_imports_go_left(file: Path) -> None:
    assert faults_of(file) == []


def test_the_lab_sees_only_the_sdk() -> None:
    allowed = ("aiprism", "aiprism.sdk")
    faults = [
        f"{file.relative_to(SRC)}:{line}: {module}"
        for file in (SRC / "aiprism_lab").rglob("*.py")
        for line, module in imports_of(file)
        if module.split(".")[0] == "aiprism"
        and not (module.startswith("aiprism.sdk") or module in allowed)
        and module.count(".") != 1
    ]
    assert faults == []


def test_sql_is_written_only_in_the_store() -> None:
    statements = ("SELECT ", "INSERT INTO ", "CREATE TABLE ", "ALTER TABLE ")
    faults = [
        f"{file.relative_to(SRC)}:{node.lineno}"
        for file in modules()
        if "store" not in file.relative_to(SRC / "aiprism").parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lstrip().startswith(statements)
    ]
    assert faults == []


def test_only_the_configuration_and_the_rim_read_the_environment() -> None:
    allowed = {"config", "cli", "sdk", "__main__"}
    faults = [
        f"{file.relative_to(SRC)}:{node.lineno}"
        for file in modules()
        if file.relative_to(SRC / "aiprism").parts[0].removesuffix(".py") not in allowed
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert faults == []

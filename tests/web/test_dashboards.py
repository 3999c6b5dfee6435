"""Dashboards over HTTP: of files, imported, changed, taken back, exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from aiprism.clock import FakeClock
from aiprism.errors import BadInput, Conflict, NotFound
from aiprism.store.dashboards import Dashboards
from aiprism.store.records import Records
from aiprism.web.dashboards import SHIPPED, Changed, Folders, Imported, Shelf, exported

BOARD = {"title": "Web shop", "panels": [{"type": "stat", "targets": [{"expr": "up"}]}]}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "boards" / "team").mkdir(parents=True)
    (tmp_path / "boards" / "team" / "shop.json").write_text(json.dumps(BOARD))
    (tmp_path / "boards" / "broken.json").write_text("{")
    records = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
    return Shelf(Dashboards(records), Folders(lambda: [tmp_path / "boards"]), FakeClock(1000.0))


def test_files_are_listed_by_folder_and_read_anew_when_they_change(shelf: Shelf, tmp_path: Path) -> None:
    assert [(each.uid, each.folder) for each in shelf.all() if each.origin == "file"] == [("web-shop", "team")]
    file = tmp_path / "boards" / "team" / "shop.json"
    file.write_text(json.dumps({**BOARD, "title": "Web shop anew", "uid": "web-shop"}))
    os.utime(file, (5, 5))
    assert shelf.get("web-shop").title == "Web shop anew"


def test_what_is_saved_stands_in_the_place_of_the_file_until_it_is_deleted(shelf: Shelf) -> None:
    made = shelf.put("web-shop", Changed(dashboard={**BOARD, "title": "Mine"}, version=0, by="ann"), 0)
    assert (made.version, shelf.get("web-shop").title) == (1, "Mine")
    assert [each.version for each in shelf.versions("web-shop")] == [1, 0]
    with pytest.raises(Conflict, match="version 1, not 0"):
        shelf.put("web-shop", Changed(dashboard=BOARD, version=0, by="bob"), 0)
    assert shelf.get("web-shop", 0).title == "Web shop"
    shelf.delete("web-shop")
    assert shelf.get("web-shop").origin == "file"
    with pytest.raises(NotFound):
        shelf.delete("web-shop")


def test_an_import_never_takes_the_place_of_another_unless_it_is_told_to(shelf: Shelf) -> None:
    assert shelf.imported(Imported(dashboard=BOARD, by="")).uid == "web-shop-2"
    assert shelf.imported(Imported(dashboard=BOARD, by="", overwrite=True)).uid == "web-shop"
    with pytest.raises(BadInput, match="panels"):
        shelf.imported(Imported(dashboard={"title": "nothing"}, by=""))


def test_ours_have_all_panels_of_the_plan_and_are_whole_when_exported() -> None:
    board = exported(json.loads((SHIPPED / "technical-operations.json").read_text()))
    assert len(board["panels"]) == 10
    assert len({panel["id"] for panel in board["panels"]}) == 10
    assert {"Deployments", "Incidents"} <= {each["name"] for each in board["annotations"]["list"]}
    bare = exported(BOARD)
    assert (bare["schemaVersion"], bare["panels"][0]["gridPos"]["w"], bare["panels"][0]["targets"][0]["refId"]) == (
        39,
        8,
        "A",
    )


NODE = shutil.which("node") or str(Path(sys.executable).parent / "node")
SCHEMA = Path(__file__).parents[2] / "ui" / "scripts" / "grafanaschema.mjs"


def _against_grafana(place: Path, boards: Mapping[str, object]) -> list[str]:
    """What of dashboards is not of the form that Grafana's own types have."""
    files = [place / f"{name}.json" for name in boards]
    for file, board in zip(files, boards.values(), strict=True):
        file.write_text(json.dumps(board))
    done = subprocess.run([NODE, SCHEMA, *files], capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    return [line.removeprefix(f"{place}/") for line in done.stdout.splitlines()]


def test_what_is_exported_has_the_form_that_grafana_publishes(shelf: Shelf, tmp_path: Path) -> None:
    ours = {path.stem: exported(json.loads(path.read_text())) for path in sorted(SHIPPED.glob("*.json"))}
    assert len(ours) >= 4
    edited = {**BOARD, "templating": {"list": [{"name": "job", "type": "query", "query": "label_values(up, job)"}]}}
    made = shelf.put("web-shop", Changed(dashboard={**edited, "title": "Mine"}, version=0, by="ann"), 0)
    assert _against_grafana(tmp_path, {**ours, "edited": exported(made.document)}) == []


def test_the_form_that_grafana_publishes_is_told_from_others(tmp_path: Path) -> None:
    place = {"x": "left", "y": 0, "w": 1, "h": 1}
    stat = {"id": 1, "type": "stat", "gridPos": place, "options": {"colorMode": "pink"}}
    assert [each.partition(":")[0] for each in _against_grafana(tmp_path, {"wrong": {"panels": [stat]}})] == [
        "wrong.json.panels[0].gridPos.x",
        "wrong.json",
        "wrong.json",
    ]

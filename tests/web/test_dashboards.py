"""Dashboards over HTTP: of files, imported, changed, taken back, exported."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest
from fastapi.routing import APIRoute

from aiprism.clock import FakeClock
from aiprism.errors import BadInput, Conflict, Forbidden, NotFound
from aiprism.store.dashboards import Dashboards
from aiprism.store.records import Records
from aiprism.web.dashboardfiles import SHIPPED, Folders
from aiprism.web.dashboards import Changed, Imported, Shelf, exported, router

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


@pytest.fixture
def writing(shelf: Shelf, tmp_path: Path) -> Shelf:
    """The same folder, which may be written into."""
    records = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
    roots = [tmp_path / "boards"]
    return Shelf(Dashboards(records), Folders(lambda: roots, writable=lambda: roots), FakeClock(1000.0))


def _into_file(shelf: Shelf, title: str, *, version: int = 0, mark: str | None = None) -> Changed:
    place = shelf.file("web-shop")
    assert place
    board = {**BOARD, "title": title}
    return Changed(
        dashboard=board, version=version, by="ann", into="file", mark=place["mark"] if mark is None else mark
    )


def test_what_is_saved_into_its_file_stands_there_and_in_no_version_before_it(writing: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "boards" / "team" / "shop.json"
    file.chmod(0o640)
    writing.put("web-shop", Changed(dashboard={**BOARD, "title": "Mine"}, version=0, by="ann"), 0)
    made = writing.put("web-shop", _into_file(writing, "Übersicht", version=1), 1)
    assert (made.origin, made.version, made.title) == ("file", 0, "Übersicht")
    assert json.loads(file.read_text()) == {**BOARD, "title": "Übersicht", "uid": "web-shop"}
    assert "Übersicht" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.origin for each in writing.versions("web-shop")] == ["file"]
    assert [each.name for each in file.parent.iterdir()] == ["shop.json"]


def test_a_file_that_was_changed_meanwhile_is_not_written_over(writing: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "boards" / "team" / "shop.json"
    wanted = _into_file(writing, "Mine")
    file.write_text(json.dumps({**BOARD, "title": "Theirs", "uid": "web-shop"}))
    with pytest.raises(Conflict, match=r"boards/team/shop\.json was changed meanwhile: read it again"):
        writing.put("web-shop", wanted, 0)
    assert json.loads(file.read_text())["title"] == "Theirs"
    writing.put("web-shop", Changed(dashboard=BOARD, version=0, by="bob"), 0)
    with pytest.raises(Conflict, match="version 1, not 0"):
        writing.put("web-shop", _into_file(writing, "Mine"), 0)


def test_the_form_that_grafanas_api_wraps_a_dashboard_in_stays(writing: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "boards" / "team" / "shop.json"
    file.write_text(json.dumps({"meta": {"folder": "x"}, "dashboard": BOARD}))
    writing.put("web-shop", _into_file(writing, "Mine"), 0)
    assert json.loads(file.read_text()) == {
        "meta": {"folder": "x"},
        "dashboard": {**BOARD, "title": "Mine", "uid": "web-shop"},
    }


def test_a_folder_that_is_only_read_is_not_written_into(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(
        Forbidden, match=r"boards/team/shop\.json: its folder is only read; name it in dashboards.writable"
    ):
        shelf.put("web-shop", _into_file(shelf, "Mine"), 0)
    assert json.loads((tmp_path / "boards" / "team" / "shop.json").read_text()) == BOARD


def _linked(boards: Path) -> None:
    outside = boards.parent / "outside.json"
    (boards / "team" / "shop.json").rename(outside)
    (boards / "team" / "shop.json").symlink_to(outside)


def _yaml(boards: Path) -> None:
    (boards / "team" / "shop.json").unlink()
    (boards / "team" / "shop.yml").write_text("dashboard: {title: Web shop, panels: []}\n")


def _v2(boards: Path) -> None:
    spec = {"title": "Web shop", "elements": {}, "layout": {"kind": "GridLayout", "spec": {"items": []}}}
    board = {
        "apiVersion": "dashboard.grafana.app/v2",
        "kind": "Dashboard",
        "metadata": {"name": "web-shop"},
        "spec": spec,
    }
    (boards / "team" / "shop.json").write_text(json.dumps(board))


@pytest.mark.parametrize(
    ("made", "why"), [(_linked, "leads out of its folder"), (_yaml, "comments would be lost"), (_v2, "schema v2")]
)
def test_what_cannot_be_written_as_it_was_says_why(
    writing: Shelf, tmp_path: Path, made: Callable[[Path], None], why: str
) -> None:
    made(tmp_path / "boards")
    before = {each: each.read_bytes() for each in tmp_path.rglob("*.*") if each.suffix in (".json", ".yml")}
    with pytest.raises(Forbidden, match=why):
        writing.put("web-shop", _into_file(writing, "Mine"), 0)
    assert {each: each.read_bytes() for each in before} == before


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([[[[[[[1]]]]]]] * 60_000, "in a file this has"),  # small enough without its indentation
        ("\ud800", "cannot stand in a file"),
        (float("nan"), "cannot stand in a file"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(writing: Shelf, tmp_path: Path, more: object, why: str) -> None:
    mark = (writing.file("web-shop") or {})["mark"]
    with pytest.raises(BadInput, match=why):
        writing.put("web-shop", Changed(dashboard={**BOARD, "more": more}, version=0, by="", into="file", mark=mark), 0)
    assert [each.read_text() for each in (tmp_path / "boards" / "team").iterdir()] == [json.dumps(BOARD)]


def test_a_link_laid_beside_the_file_leads_nothing_out_of_its_folder(writing: Shelf, tmp_path: Path) -> None:
    (outside := tmp_path / "outside").write_text("theirs")
    file = tmp_path / "boards" / "team" / "shop.json"
    file.with_name(".shop.json.new").symlink_to(outside)
    writing.put("web-shop", _into_file(writing, "Mine"), 0)
    assert (outside.read_text(), file.is_symlink()) == ("theirs", False)


def test_a_file_that_nobody_may_write_is_left_and_one_that_is_replaced_stays_whose_it_was(
    writing: Shelf, tmp_path: Path
) -> None:
    file = tmp_path / "boards" / "team" / "shop.json"
    file.chmod(0o444)
    with pytest.raises(Forbidden, match="it may only be read; give the server the right"):
        writing.put("web-shop", _into_file(writing, "Mine"), 0)
    file.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(file, 1234, 1234)
    owner = file.stat().st_uid
    writing.put("web-shop", _into_file(writing, "Mine"), 0)
    assert file.stat().st_uid == owner


def test_a_file_that_changes_while_it_is_read_is_not_written_over(writing: Shelf, tmp_path: Path) -> None:
    class Overtaken:
        """Somebody writes into the file once the first question is answered."""

        def __init__(self) -> None:
            self.theirs = json.dumps({**BOARD, "uid": "web-shop", "title": "Theirs"})

        def __getattr__(self, name: str) -> Callable[..., object]:
            def asked(*args: object) -> object:
                answer = getattr(writing, name)(*args)
                (tmp_path / "boards" / "team" / "shop.json").write_text(self.theirs)
                return answer

            return asked

    routes = cast(list[APIRoute], router(cast(Shelf, Overtaken())).routes)
    one = next(each for each in routes if each.path.endswith("/{uid}") and "GET" in (each.methods or ()))
    told = asyncio.run(one.endpoint("web-shop"))
    wanted = Changed(dashboard=told["dashboard"], version=0, by="", into="file", mark=told["file"]["mark"])
    with pytest.raises(Conflict):
        writing.put("web-shop", wanted, 0)


def test_what_has_no_file_is_saved_into_none(writing: Shelf) -> None:
    assert writing.file("technical-operations") is None
    with pytest.raises(
        BadInput, match="there is no file of the dashboard 'technical-operations'; save it into the control"
    ):
        writing.put("technical-operations", Changed(dashboard=BOARD, version=0, by="", into="file"), 0)


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

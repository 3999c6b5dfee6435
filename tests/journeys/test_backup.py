"""A running platform is backed up by the command and restored into a new data directory, where it answers the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.journeys.conftest import Server, eventually
from tests.journeys.test_two_processes import push


def aiprism(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "aiprism", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_backed_up_while_it_runs_and_restored_elsewhere(server: Server, tmp_path: Path) -> None:
    push(server, "kept")
    eventually(lambda: server.instant("kept"), what="the sample")
    at = time.time()
    before = server.get("/api/v1/query", query="kept", time=at)["data"]["result"]
    there = tmp_path / "backup"
    assert httpx.post(f"{server.url}/aiprism/v1/backup", json={"directory": str(there)}, timeout=30).status_code == 401
    said = aiprism("backup", str(there), "--server", server.url, "--data", str(server.data))
    assert said.startswith("backed up ")
    push(server, "later")
    assert aiprism("restore", str(there), "--data", str(tmp_path / "new")).startswith("restored ")
    restored = Server(tmp_path / "new").start()
    assert restored.get("/api/v1/query", query="kept", time=at)["data"]["result"] == before
    assert restored.instant("later") == []
    push(restored, "anew")
    eventually(lambda: restored.instant("anew"), what="what came after the restore")
    assert restored.stop() == 0

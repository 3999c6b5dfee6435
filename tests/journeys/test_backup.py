"""A running platform is backed up by the command and restored into a new data directory, where it answers the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

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


def test_a_bucket_takes_a_backup_and_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    host, port = storage.get_host_and_port()
    httpx.put(f"http://{host}:{port}/backups").raise_for_status()
    for name, value in (("ENDPOINT", f"http://{host}:{port}"), ("KEY", "known"), ("SECRET", "never-logged")):
        monkeypatch.setenv(f"AIPRISM_BACKUP_{name}", value)
    server = Server(tmp_path / "old").start()
    push(server, "kept")
    eventually(lambda: server.instant("kept"), what="the sample")
    said = aiprism("backup", "s3://backups/today", "--server", server.url, "--data", str(server.data))
    assert said.startswith("backed up ")
    assert server.stop() == 0
    assert aiprism("restore", "s3://backups/today", "--data", str(tmp_path / "new")).startswith("restored ")
    restored = Server(tmp_path / "new").start()
    assert restored.instant("kept")
    assert restored.stop() == 0
    storage.stop()
    assert "never-logged" not in "".join(server.log)

"""What bad input gets (architecture §6), row by row, on a running server."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from aiprism.app import _disk_check
from aiprism.config import Config
from tests.journeys.conftest import Server, eventually
from tests.store.test_engine_http import ClickHouse, clickhouse
from tests.zipbomb import ZIP_BOMB

__all__ = ["clickhouse"]  # a fixture

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def spans(*trace_ids: bytes) -> bytes:
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for trace_id in trace_ids:
        scoped.spans.add(trace_id=trace_id, span_id=os.urandom(8), name="op", start_time_unix_nano=time.time_ns())
    return request.SerializeToString()


def post(server: Server, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/traces", content=body, headers={**PROTOBUF, **headers}, timeout=60)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    running = Server(tmp_path_factory.mktemp("bad")).start()
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"no protobuf", {}, 400, "ExportTraceServiceRequest"),
        (spans(b"\1" * 16)[:-3], {}, 400, "ExportTraceServiceRequest"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "text/plain"),
        (b"x", {"Content-Encoding": "br"}, 415, "br"),
        (b"not gzip", {"Content-Encoding": "gzip"}, 400, "gzip"),
        (ZIP_BOMB, {"Content-Encoding": "gzip"}, 413, "ingest.inflated_bytes"),
        (b"\0" * (33 * 1024 * 1024), {}, 413, "ingest.body_bytes"),
    ],
    ids=["garbage", "truncated", "content-type", "encoding", "bad-gzip", "zip-bomb", "large"],
)
def test_a_malformed_body_is_refused_in_words(
    shared: Server, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = post(shared, body, **headers)
    assert answer.status_code == status
    message = Status.FromString(answer.content).message if "protobuf" in answer.headers["content-type"] else answer.text
    assert says in message


def test_bad_json_is_answered_in_json(shared: Server) -> None:
    answer = post(shared, b"{", **{"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["message"]


def test_neighbours_of_a_bad_body_are_stored(shared: Server) -> None:
    good = [os.urandom(16) for _ in range(5)]
    with httpx.Client() as client:
        for trace_id in good:
            assert client.post(f"{shared.url}/v1/traces", content=spans(trace_id), headers=PROTOBUF).status_code == 200
            assert client.post(f"{shared.url}/v1/traces", content=b"bad", headers=PROTOBUF).status_code == 400
    for trace_id in good:
        assert len(shared.get(f"/aiprism/v1/traces/{trace_id.hex()}")["spans"]) == 1


def test_bad_items_are_left_out_and_counted(shared: Server) -> None:
    good = os.urandom(16)
    answer = post(shared, spans(good, b"short", b"\0" * 16))
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans) == (200, 2)
    assert "trace_id" in partial.error_message
    assert len(shared.get(f"/aiprism/v1/traces/{good.hex()}")["spans"]) == 1


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/v1/query?query=rate(up)", 400, "rate"),
        ("/api/v1/query?query=sum(", 400, "paren"),
        ("/api/v1/query_range?query=up&start=0&end=1000000000&step=1", 400, "11,000"),
        ("/aiprism/v1/traces/xyz", 400, "trace id"),
        ("/aiprism/v1/logs?limit=0", 400, "limit"),
        ("/aiprism/v1/nothing", 404, "/docs"),
    ],
)
def test_a_bad_query_is_refused_in_words(shared: Server, path: str, status: int, says: str) -> None:
    answer = httpx.get(shared.url + path)
    assert answer.status_code == status, answer.text
    assert says in answer.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("serverr: {}", "aiprism.yml:1: unknown key 'serverr'; did you mean 'server'?"),
        ("ingest:\n  linger: soon", "aiprism.yml:2: not a duration: 'soon'"),
        ("rules:\n  files: [missing.yml]", "missing.yml: no such file"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_bad_configuration_stops_the_start_with_file_line_and_fix(tmp_path: Path, text: str, says: str) -> None:
    config = tmp_path / "aiprism.yml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError) as caught:
        Server(tmp_path / "data", config).start(by_command=True)
    assert says in str(caught.value)


def test_a_bad_reload_keeps_the_old_configuration(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("groups: []", encoding="utf-8")
    config = tmp_path / "aiprism.yml"
    config.write_text(
        "rules: {files: [rules.yml], signals: ['signals/*.yml']}\nlogs: {pipelines: pipelines.yml}\n"
        "respond: {alertmanager: alertmanager.yml, oncall: oncall.yml}",
        encoding="utf-8",
    )
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: phone}\nreceivers: [{name: phone}]", encoding="utf-8")
    on_call = tmp_path / "oncall.yml"
    on_call.write_text(_ON_CALL.replace("WHO", "ann"), encoding="utf-8")
    steps = tmp_path / "pipelines.yml"
    steps.write_text("pipelines: [{name: debug, match: 'level:DEBUG', drop: true}]", encoding="utf-8")
    server = Server(tmp_path / "data", config).start()
    steps.write_text("pipelines: [{name: debug, match: '(', drop: true}]", encoding="utf-8")
    answer = httpx.post(f"{server.url}/-/reload")
    assert (answer.status_code, "pipelines.yml:1: query: a ( is not closed" in answer.text) == (400, True)
    assert _stored(server) == ["to [redacted:email]"]  # the old step is at work, and redaction without being asked for
    steps.write_text("pipelines: [{name: all, drop: true}]", encoding="utf-8")
    on_call.write_text(_ON_CALL.replace("WHO", "zoe"), encoding="utf-8")
    answer = httpx.post(f"{server.url}/-/reload")
    assert (answer.status_code, "oncall.yml:2: nobody is called 'zoe'; known: ann, bob" in answer.text) == (400, True)
    assert _on_call(server) == ["ann"]
    on_call.write_text(_ON_CALL.replace("WHO", "bob"), encoding="utf-8")
    (tmp_path / "rules.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]", encoding="utf-8")
    answer = httpx.post(f"{server.url}/-/reload")
    assert answer.status_code == 400
    assert "rules.yml:1" in answer.text
    assert _groups(server) == ["log-volume"]
    (tmp_path / "rules.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: 'vector(1)'}]}]", encoding="utf-8")
    assert httpx.post(f"{server.url}/-/reload").status_code == 200
    assert (_groups(server), _on_call(server)) == (["g", "log-volume"], ["bob"])
    assert _stored(server) == ["to [redacted:email]"]  # nothing came to it
    counts = httpx.get(f"{server.url}/metrics").text
    assert 'aiprism_redacted_total{kind="email"} 1.0' in counts
    assert 'aiprism_items_dropped_total{reason="pipeline:debug",stage="receive.pipeline"} 1.0' in counts
    assert 'aiprism_items_dropped_total{reason="pipeline:all",stage="receive.pipeline"} 2.0' in counts
    # A rule of a saved search wants it to be there, and keeps it from being deleted.
    (tmp_path / "signals").mkdir()
    rule = "{alert: A, search: errors, over: 5m, when: '> 1'}"
    (tmp_path / "signals" / "s.yml").write_text(f"groups: [{{name: s, rules: [{rule}]}}]", encoding="utf-8")
    answer = httpx.post(f"{server.url}/-/reload")
    missing = "s.yml:1: group 's': rule 'A': there is no saved search 'errors'"
    assert (answer.status_code, missing in answer.text) == (400, True)
    searches = f"{server.url}/aiprism/v1/searches"
    assert httpx.post(searches, json={"name": "errors", "query": "level:ERROR"}).status_code == 201
    assert httpx.post(f"{server.url}/-/reload").status_code == 200
    assert _groups(server) == ["g", "s", "log-volume"]
    assert httpx.delete(f"{searches}/errors").status_code == 409
    server.stop()


_ON_CALL = """people: {ann: {receivers: phone}, bob: {receivers: phone}}
schedules: {primary: {layers: [{start: 2026-01-01, people: WHO}]}}
"""


def _on_call(server: Server) -> list[str]:
    [schedule] = httpx.get(f"{server.url}/aiprism/v1/oncall").json()["schedules"]
    return [each["id"] for each in schedule["people"]]


def _stored(server: Server) -> list[str]:
    """The lines that are there after two more were sent."""
    lines = '{"level": "debug", "message": "noise"}\n{"message": "to ada@example.com"}'
    httpx.post(f"{server.url}/aiprism/v1/ingest/ndjson", content=lines).raise_for_status()
    found = httpx.get(f"{server.url}/aiprism/v1/logs").json()
    return [record["body"] for record in found["logs"]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 300 MB, which only root may mount."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        if os.environ.get("CI"):
            pytest.fail("cannot mount a tmpfs; CI must run as root")
        pytest.skip("run as root to mount a small tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_503_with_retry_after_not_ready_and_recovers_by_itself(small_disk: Path) -> None:
    server = Server(small_disk / "data").start()
    ready = {"Accept": "application/json"}
    assert httpx.get(f"{server.url}/-/ready", headers=ready).json() == {
        "ready": True,
        "checks": {"store": "ok", "control": "ok"},
    }
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        file.write(b"\0" * (shutil.disk_usage(small_disk).free - 20 * 1024 * 1024))
    answer = post(server, spans(os.urandom(16)))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "free" in Status.FromString(answer.content).message
    unready = httpx.get(f"{server.url}/-/ready", headers=ready)
    assert unready.status_code == 503
    assert "store.min_free_bytes" in unready.json()["checks"]["store"]
    filler.unlink()
    eventually(lambda: post(server, spans(os.urandom(16))).status_code == 200, what="storing again")
    assert httpx.get(f"{server.url}/-/ready").status_code == 200
    server.stop()


def _remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def test_a_read_only_data_directory_stops_the_start_in_words(small_disk: Path) -> None:
    server = Server(small_disk / "data").start()
    server.stop()
    _remount(small_disk, "ro")
    for data in (small_disk / "data", small_disk / "new"):
        with pytest.raises(AssertionError) as caught:
            Server(data).start()
        assert f"data: {data} cannot be written: Read-only file system" in str(caught.value)
        assert "Traceback" not in str(caught.value)
    _remount(small_disk, "rw")
    assert Server(small_disk / "data").start().stop() == 0


def test_a_disk_that_turns_read_only_is_a_fault_until_it_is_writable_again(small_disk: Path) -> None:
    # The kernel refuses to do this to a disk on which a server has files open; what follows from a fault is shown above.
    fault = _disk_check(Config(data=small_disk, base=small_disk))
    assert fault() is None
    _remount(small_disk, "ro")
    assert "cannot be written" in (fault() or "")
    _remount(small_disk, "rw")
    assert fault() is None


def test_the_api_describes_itself(shared: Server) -> None:
    assert shared.get("/openapi.json")["info"]["title"] == "aiprism"


def test_a_store_that_is_away_is_503_not_ready_and_comes_back_by_itself(clickhouse: ClickHouse, tmp_path: Path) -> None:
    config = tmp_path / "aiprism.yml"
    config.write_text(f"store: {{url: '{clickhouse.url}'}}", encoding="utf-8")
    server = Server(tmp_path / "data", config).start()
    assert post(server, spans(os.urandom(16))).status_code == 200
    clickhouse.stop()
    answer = post(server, spans(os.urandom(16)))
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert httpx.get(f"{server.url}/-/ready").status_code == 503
    assert httpx.get(f"{server.url}/aiprism/v1/services").status_code == 503
    clickhouse.start()
    found = os.urandom(16)
    eventually(lambda: post(server, spans(found)).status_code == 200, what="storing again")
    assert len(server.get(f"/aiprism/v1/traces/{found.hex()}")["spans"]) == 1
    assert httpx.get(f"{server.url}/-/ready").status_code == 200
    server.stop()


def test_a_limit_is_429_and_names_itself_and_the_tenant(tmp_path: Path) -> None:
    config = tmp_path / "aiprism.yml"
    config.write_text("ingest: {max_series: 3}", encoding="utf-8")
    server = Server(tmp_path / "data", config).start()

    def send(*labels: str) -> httpx.Response:
        points = [
            {
                "asInt": "1",
                "timeUnixNano": str(time.time_ns()),
                "attributes": [{"key": "k", "value": {"stringValue": each}}],
            }
            for each in labels
        ]
        metrics = [{"name": "m", "gauge": {"dataPoints": points}}]
        body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
        return httpx.post(f"{server.url}/v1/metrics", json=body, timeout=60)

    assert send("a", "b").status_code == 200
    partial = send("a", "c", "d")  # as target_info is no series here, there is room for one more
    assert partial.status_code == 200
    rejected = partial.json()["partialSuccess"]
    assert (rejected["rejectedDataPoints"], "ingest.max_series" in rejected["errorMessage"]) == ("1", True)
    refused = send("e")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert "ingest.max_series" in refused.json()["message"]
    assert "'default'" in refused.json()["message"]
    assert send("a", "b").status_code == 200  # what it has already goes on
    assert len(server.instant("m")) == 3
    server.stop()


def _groups(server: Server) -> list[str]:
    return [group["name"] for group in server.get("/api/v1/rules")["data"]["groups"]]

"""Real senders of remote write: Debian's Prometheus and VictoriaMetrics' agent, as their users set them up."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from aiprism.receive.prometheus_proto import WriteRequest
from tests.journeys.conftest import Server, eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextmanager
def running(name: str, package: str, directory: Path, *arguments: str) -> Iterator[str]:
    """The URL of the installed program `name`, which listens where `{listen}` stands in its arguments."""
    if shutil.which(name) is None:
        why = f"needs {name}: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    (directory / "prometheus.yml").write_text(
        (directory / "prometheus.yml").read_text(encoding="utf-8").replace("{listen}", listen), encoding="utf-8"
    )
    command = [name, *(argument.replace("{listen}", listen) for argument in arguments)]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_prometheus_sends_samples_metadata_exemplars_and_native_histograms(server: Server, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs: [{job_name: self, static_configs: [{targets: ['{listen}']}]}]\n" + documented(server.url),
        encoding="utf-8",
    )
    arguments = (
        "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address={listen}",
        "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage,native-histograms",
    )  # fmt: skip
    with running("prometheus", "prometheus", tmp_path, *arguments) as url:
        eventually(lambda: httpx.get(f"{url}/-/ready").status_code == 200)
        httpx.post(f"{url}/api/v1/write", content=_pushed(), headers={"Content-Encoding": "snappy"}).raise_for_status()
        eventually(lambda: [each["value"][1] for each in server.instant('up{job="self"}')] == ["1"])
        eventually(lambda: server.instant("pushed_total"))
        found = eventually(lambda: server.get("/api/v1/metadata", metric="prometheus_build_info")["data"])
        assert found["prometheus_build_info"][0]["type"] == "gauge"
        asked = {"query": "pushed_total", "start": time.time() - 600, "end": time.time() + 600}
        [exemplars] = eventually(lambda: server.get("/api/v1/query_exemplars", **asked)["data"])
        assert exemplars["exemplars"][0]["labels"]["trace_id"] == TRACE
        eventually(lambda: server.get("/api/v1/series", **{"match[]": "pushed_histogram"})["data"])
        eventually(lambda: _count(f"{url}/api/v1/query") == _count(f"{server.url}/api/v1/query"))


def test_vmagent_sends_what_it_scrapes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs: [{job_name: agent, static_configs: [{targets: ['{listen}']}]}]\n",
        encoding="utf-8",
    )
    arguments = (
        "-promscrape.config=prometheus.yml", "-httpListenAddr={listen}", "-remoteWrite.tmpDataPath=queue",
        f"-remoteWrite.url={server.url}/api/v1/push", "-remoteWrite.flushInterval=1s",
    )  # fmt: skip
    with running("vmagent", "victoria-metrics", tmp_path, *arguments):
        eventually(lambda: [each["value"][1] for each in server.instant('up{job="agent"}')] == ["1"])
        assert server.instant('vm_app_version{job="agent"}')


def documented(url: str) -> str:
    """What docs/remote-write.md tells users of Prometheus to write, with this server's address."""
    page = (Path(__file__).parents[2] / "docs" / "remote-write.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n# prometheus.yml\n")[2].partition("```")[0]
    assert "http://127.0.0.1:9090" in block
    return block.replace("http://127.0.0.1:9090", url).replace("send_interval: 1m", "send_interval: 1s")


def _count(url: str) -> str:
    """How many series of the scraped target there are."""
    found = httpx.get(url, params={"query": "count({job='self'})"}).json()["data"]["result"]
    return str(found[0]["value"][1])


def _pushed() -> bytes:
    """What a service pushes to that Prometheus: a counter with an exemplar, and a native histogram."""
    now, message = int(time.time() * 1000), WriteRequest()
    series: Any = message.timeseries.add()
    series.labels.add(name="__name__", value="pushed_total")
    series.samples.add(value=3.0, timestamp=now)
    series.exemplars.add(value=1.0, timestamp=now).labels.add(name="trace_id", value=TRACE)
    series = message.timeseries.add()
    series.labels.add(name="__name__", value="pushed_histogram")
    histogram = series.histograms.add(
        count_int=3, sum=4.0, schema=1, zero_threshold=0.01, zero_count_int=1, timestamp=now, positive_deltas=[1, 0]
    )
    histogram.positive_spans.add(offset=0, length=2)
    return bytes(pa.Codec("snappy").compress(message.SerializeToString(), asbytes=True))

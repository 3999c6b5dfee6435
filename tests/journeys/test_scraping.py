"""One prometheus.yml, unmodified: Debian's Prometheus and aiprism scrape the same targets and say the same of them."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import Server, eventually
from tests.query.promql import peer

FILE = """
global:
  scrape_interval: 1s
  external_labels: {{cluster: lab}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ['{node}', '127.0.0.1:1']
        labels: {{zone: z1}}
      - targets: ['not.wanted:80']
    relabel_configs:
      - {{source_labels: [__address__], regex: 'not.*', action: drop}}
      - {{source_labels: [zone], target_label: area}}
    metric_relabel_configs:
      - {{source_labels: [__name__], regex: 'go_.*', action: drop}}
  - job_name: prometheus
    file_sd_configs: [{{files: ['targets-*.yml'], refresh_interval: 1s}}]
  - job_name: honored
    honor_labels: true
    metrics_path: /federate
    params: {{'match[]': ['up']}}
    file_sd_configs: [{{files: ['targets-*.yml'], refresh_interval: 1s}}]
"""
RULES = """
groups:
  - name: g
    interval: 1s
    rules:
      - {record: node:up:sum, expr: sum by (job) (up)}
      - {alert: TargetDown, expr: up == 0}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """The address of a node exporter."""
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        assert not peer.installed(), "needs a node exporter: apt-get install prometheus-node-exporter"
        pytest.skip("needs a node exporter: apt-get install prometheus-node-exporter")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen([program, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: httpx.get(f"http://{address}/metrics").status_code == 200)
        yield address
    finally:
        process.kill()
        process.wait(30)


class Both:
    """The two servers, asked the same."""

    def __init__(self, ours: str, theirs: str) -> None:
        self.ours, self.theirs = ours, theirs

    def get(self, url: str, path: str, **parameters: str) -> Any:
        answer = httpx.get(url + path, params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def vector(self, url: str, query: str) -> dict[str, str]:
        found = self.get(url, "/api/v1/query", query=query)["result"]
        return {str(sorted(each["metric"].items())): each["value"][1] for each in found}

    def agree(self, query: str, series: int = 0) -> dict[str, str]:
        """What both answer, once they answer the same and something, or as many series as there are in the end."""

        def same() -> dict[str, str] | None:
            ours, theirs = self.vector(self.ours, query), self.vector(self.theirs, query)
            assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())[:10]
            assert ours == theirs
            assert len(ours) == series or not series
            return ours

        return dict(eventually(same, what=query))


@pytest.fixture(scope="module")
def both(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory = tmp_path_factory.mktemp("scraping")
    config = directory / "prometheus.yml"
    config.write_text(FILE.format(node=node))
    (directory / "rules.yml").write_text(RULES)
    (directory / "targets-none.yml").write_text("[]")
    with peer.running(directory, config.read_text()) as theirs:
        server = Server(directory / "data", config).start()
        try:
            (directory / "targets-0.yml").write_text(f"[{{targets: ['{theirs.url.removeprefix('http://')}']}}]")
            yield Both(server.url, theirs.url)
        finally:
            server.stop()


def test_the_same_targets_are_up_and_down(both: Both, node: str) -> None:
    found = both.agree('up{cluster=""}', series=4)  # the federated ones have an external label
    assert sorted(found.values()) == ["0", "1", "1", "1"]
    assert both.agree('scrape_samples_scraped{job="node"}')


def test_the_same_series_are_stored(both: Both) -> None:
    """But for `le` and `quantile`, which Prometheus 3 writes as 1.0 where 2.42 keeps the 1 of the page."""
    for query in (
        'count by (__name__, job, instance, area) ({job="node", __name__!~"up|scrape_.*|ALERTS.*|node_(cooling|scrape).*"})',
        "node_uname_info",
        'count by (job) ({__name__=~"prometheus_.*", le="", quantile=""})',
        'count by (le) (prometheus_tsdb_compaction_chunk_range_seconds_bucket{job="prometheus", le=~"[0-9]{3}.*e.*|\\\\+Inf"})',
        'count({job="honored"})',
    ):
        assert both.agree(query), query


def test_the_rules_of_the_file_are_evaluated(both: Both) -> None:
    assert both.agree("node:up:sum")
    assert both.agree('ALERTS{alertstate="firing"}')


def test_targets_are_told_as_prometheus_tells_them(both: Both) -> None:
    def told(url: str) -> dict[str, Any]:
        found = both.get(url, "/api/v1/targets")
        for target in found["activeTargets"]:
            for moving in ("lastScrape", "lastScrapeDuration", "lastError", "note", "globalUrl"):
                target.pop(moving, None)
        found["activeTargets"].sort(key=lambda target: target["scrapeUrl"])
        for target in found["droppedTargets"]:
            target.pop("scrapePool", None)  # newer than 2.42
        found.pop("droppedTargetCounts", None)
        return dict(found)

    eventually(lambda: told(both.ours) == told(both.theirs), what=f"{told(both.ours)} == {told(both.theirs)}")
    assert both.get(both.ours, "/api/v1/targets", state="dropped")["activeTargets"] == []
    assert both.get(both.ours, "/api/v1/scrape_pools") == {"scrapePools": ["node", "prometheus", "honored"]}


def test_metadata_of_a_target(both: Both, node: str) -> None:
    def told(url: str) -> Any:
        return both.get(
            url, "/api/v1/targets/metadata", match_target=f'{{instance="{node}"}}', metric="node_uname_info"
        )

    assert eventually(lambda: told(both.ours)) == told(both.theirs)

"""Many alerting rules beside Debian's Prometheus: the same rules on the same series, one server after the other.

`--series` series are sent by remote write every 15 seconds as `--rules` alerting rules in `--groups` groups select some of
them each, at an interval of 15 seconds. Prints for each server, over `--seconds`: CPU seconds of one core, what the rules of
it are (CPU less that of the same load without rules), the longest evaluation of a group, evaluations that were missed.

    python bench/detect/rules.py [--rules 5000] [--series 100000] [--seconds 60] [--only aiprism]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from bench.ingest.metrics import (
    SCRAPE_MS,
    TARGET_SERIES,
    cpu_of,
    free_port,
    labels,
    made,
    process,
    send,
)

INTERVAL = 15


def rule_files(directory: Path, rules: int, groups: int, series: int) -> None:
    """Rules of which each looks at the series of a metric at one target, and one in fifty fires."""
    targets = series // TARGET_SERIES
    for number in range(groups):
        lines = ["groups:", f"- name: g{number}", f"  interval: {INTERVAL}s", "  rules:"]
        for at in range(number, rules, groups):
            about = labels(at % targets * TARGET_SERIES + at // targets * 20 % TARGET_SERIES)
            selector = f'{about["__name__"]}{{instance="{about["instance"]}"}}'
            limit = "-1" if at % 50 == 0 else "1e15"
            lines += [
                f"  - alert: Alert{at}", f"    expr: 'rate({selector}[1m]) > {limit}'", "    for: 30s",
                "    labels: {severity: info}", "    annotations: {summary: 'it is {{ $value }}'}",
            ]  # fmt: skip
        (directory / f"rules-{number}.yml").write_text("\n".join(lines) + "\n")


@contextmanager
def aiprism(directory: Path, with_rules: bool) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    files = ['"rules-*.yml"'] if with_rules else []
    (directory / "aiprism.yml").write_text(f"rules: {{files: [{', '.join(files)}], interval: {INTERVAL}s}}\n")
    command = [sys.executable, "-m", "aiprism", "serve", "--config", f"{directory}/aiprism.yml"]
    command += ["--data", f"{directory}/data", "--listen", f"127.0.0.1:{port}", "--otlp-http", "", "--otlp-grpc", ""]
    with process(command, f"http://127.0.0.1:{port}/-/ready") as server:
        yield server, port


@contextmanager
def prometheus(directory: Path, with_rules: bool) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    files = ["rules-*.yml"] if with_rules else []
    (directory / "prometheus.yml").write_text(json.dumps({"rule_files": files}))
    command = ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]
    with process(command, f"http://127.0.0.1:{port}/-/ready") as server:
        yield server, port


SERVERS: Mapping[str, Callable[[Path, bool], Any]] = {"aiprism": aiprism, "prometheus": prometheus}


def watched(name: str, wanted: argparse.Namespace, *, with_rules: bool) -> tuple[float, float, float, int, float]:
    """(CPU seconds, longest evaluation, missed, firing, RSS MB) of a server under the load."""
    scrapes = 30 + wanted.seconds // INTERVAL  # enough for a server that takes minutes to start
    start_ms = int(time.time() * 1000) // SCRAPE_MS * SCRAPE_MS - 6 * SCRAPE_MS
    load = made(wanted.series, scrapes, start_ms)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        rule_files(directory, wanted.rules, wanted.groups, wanted.series)
        with SERVERS[name](directory, with_rules) as (server, port):
            send(port, load, 0, 6)
            stopped = threading.Event()
            sender = threading.Thread(target=_keep_sending, args=(port, load, 6, start_ms, stopped))
            sender.start()
            time.sleep(3 * INTERVAL)  # the rules have settled
            before, missed = cpu_of(server), _missed(name, port)
            time.sleep(wanted.seconds)
            cpu = cpu_of(server) - before
            groups = _get(port, "/api/v1/rules")["groups"]
            longest = max((group["evaluationTime"] for group in groups), default=0.0)
            firing = sum(len(rule["alerts"]) for group in groups for rule in group["rules"])
            rss = server.memory_info().rss / 1e6
            lost = _missed(name, port) - missed
            stopped.set()
            sender.join()
            return cpu, longest, lost, firing, rss


def _keep_sending(port: int, load: Any, scrape: int, start_ms: int, stopped: threading.Event) -> None:
    while scrape < load.scrapes:
        due = (start_ms + scrape * SCRAPE_MS) / 1000
        if stopped.wait(max(0.0, due - time.time())):
            return
        send(port, load, scrape, scrape + 1)
        scrape += 1


def _get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
        return json.load(answer)["data"]


def _missed(name: str, port: int) -> float:
    pattern = {
        "aiprism": r'aiprism_items_dropped_total\{reason="missed",stage="detect.groups"\} (\S+)',
        "prometheus": r"prometheus_rule_group_iterations_missed_total\{[^}]*\} (\S+)",
    }[name]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return sum(float(each) for each in re.findall(pattern, answer.read().decode()))


def main() -> None:
    asked = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    asked.add_argument("--rules", type=int, default=5000)
    asked.add_argument("--series", type=int, default=100_000)
    asked.add_argument("--groups", type=int, default=100)
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("--only", choices=SERVERS)
    wanted = asked.parse_args()
    print(
        f"{'':<12}{'CPU s':>8}{'of rules':>10}{'of a core':>11}{'longest s':>11}{'missed':>8}{'alerts':>8}{'RSS MB':>8}"
    )
    for name in [wanted.only] if wanted.only else list(SERVERS):
        without, *_ = watched(name, wanted, with_rules=False)
        cpu, longest, missed, firing, rss = watched(name, wanted, with_rules=True)
        print(
            f"{name:<12}{cpu:>8.1f}{cpu - without:>10.1f}{cpu / wanted.seconds:>11.2f}{longest:>11.2f}{missed:>8.0f}"
            f"{firing:>8}{rss:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""A storm: ten thousand alerts at once in two thousand groups, posted to the server's Alertmanager API and told to a receiver.

A server of its own is posted the alerts as Prometheus posts them, a group after the other; a webhook on loopback takes its
notifications. Prints when the last alert was accepted, when the first and the last group was told, what was lost, what was told
twice, and the CPU seconds of the server.

    python bench/detect/storm.py [--alerts 10000] [--groups 2000] [--post 1000] [--group-wait 1s] [--severity critical]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from bench.ingest.metrics import cpu_of, free_port, process

TARGET_SECONDS = 10.0


@dataclass
class Receiver:
    """A webhook; `told` are the moment, the group and the alerts of each notification."""

    port: int = 0
    told: list[tuple[float, str, list[str]]] = field(default_factory=list)
    connections: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, groups: int, deadline: float) -> None:
        """Return when so many groups were told, or at the deadline."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.time()):
                while len({group for _, group, _ in self.told}) < groups:
                    self.more.clear()
                    await self.more.wait()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
                names = [each["labels"]["number"] for each in body["alerts"]]
                self.told.append((time.time(), body["groupLabels"].get("group", ""), names))
                self.more.set()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that takes everything at once."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.connected, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


def configured(directory: Path, receiver: Receiver, group_wait: str) -> Path:
    """An aiprism.yml whose alertmanager.yml tells the receiver."""
    hook = {"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{receiver.port}/"}]}
    route = {"receiver": "hook", "group_by": ["group"], "group_wait": group_wait, "group_interval": "5m"}
    (directory / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": [hook]}))
    (directory / "aiprism.yml").write_text("respond: {alertmanager: alertmanager.yml}\n")
    return directory / "aiprism.yml"


def alerts(count: int, groups: int, severity: str) -> list[dict[str, Any]]:
    """Alerts that fire, those of a group one after the other."""
    each = count // groups
    return [
        {
            "labels": {"alertname": "Storm", "severity": severity, "group": f"g{at // each}", "number": str(at)},
            "annotations": {"summary": f"number {at} of a storm"},
            "generatorURL": "http://prometheus.example/graph",
        }
        for at in range(count)
    ]


async def _posted(port: int, storm: Sequence[dict[str, Any]], size: int) -> None:
    async with httpx.AsyncClient(timeout=120) as client:
        for at in range(0, len(storm), size):
            answer = await client.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=storm[at : at + size])
            answer.raise_for_status()


async def played(wanted: argparse.Namespace) -> bool:
    """Let it storm once and print how it went; whether that was as it should be."""
    storm = alerts(wanted.alerts, wanted.groups, wanted.severity)
    with tempfile.TemporaryDirectory() as place:
        async with receiving() as receiver:
            config, port = configured(Path(place), receiver, wanted.group_wait), free_port()
            command = [sys.executable, "-m", "aiprism", "serve", "--config", str(config), "--data", f"{place}/data"]
            command += ["--listen", f"127.0.0.1:{port}", "--otlp-http", "", "--otlp-grpc", ""]
            started = process(command, f"http://127.0.0.1:{port}/-/ready")
            server: psutil.Process = await asyncio.to_thread(started.__enter__)
            try:
                before, begun = cpu_of(server), time.time()
                await _posted(port, storm, wanted.post)
                accepted = time.time() - begun
                await receiver.until(wanted.groups, begun + wanted.patience)
                await asyncio.sleep(2.0)  # what is told twice would be told now
                cpu = cpu_of(server) - before
            finally:
                await asyncio.to_thread(started.__exit__, None, None, None)
    return _judged(receiver, storm, wanted, begun, accepted, cpu)


def _judged(
    receiver: Receiver, storm: Sequence[object], wanted: argparse.Namespace, begun: float, accepted: float, cpu: float
) -> bool:
    times = sorted(at - begun for at, _, _ in receiver.told) or [float("inf")]
    groups = Counter(group for _, group, _ in receiver.told)
    heard = {name for _, _, names in receiver.told for name in names}
    lost, twice = len(storm) - len(heard), sum(count - 1 for count in groups.values())
    print(
        f"{'accepted s':>11}{'first s':>9}{'last s':>9}{'groups':>8}{'lost':>7}{'twice':>7}{'CPU s':>8}{'connections':>13}"
    )
    print(
        f"{accepted:>11.2f}{times[0]:>9.2f}{times[-1]:>9.2f}{len(groups):>8}{lost:>7}{twice:>7}{cpu:>8.1f}"
        f"{receiver.connections:>13}"
    )
    return times[-1] < TARGET_SECONDS and not lost and not twice and len(groups) == wanted.groups


def main() -> None:
    asked = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    asked.add_argument("--alerts", type=int, default=10_000)
    asked.add_argument("--groups", type=int, default=2000)
    asked.add_argument("--post", type=int, default=1000, help="alerts of one request")
    asked.add_argument("--group-wait", default="1s")
    asked.add_argument("--severity", default="warning", help="critical ones open incidents, too")
    asked.add_argument("--patience", type=float, default=120.0, help="seconds after which it is over")
    kept = asyncio.run(played(asked.parse_args()))
    print(f"the target is {TARGET_SECONDS:g} s with nothing lost and nothing twice: {'met' if kept else 'MISSED'}")


if __name__ == "__main__":
    main()

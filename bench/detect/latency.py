"""How long a fault takes from the data to the alert, and to the receiver who is told of it.

A server of its own evaluates one rule every five seconds (`for: 0`) on a series that a script sends every second by remote write.
For each fault, at a moment that is spread over the interval, the series of one service rises; the script then asks
`/api/v1/alerts` until the alert fires, and a webhook on loopback notes when it was told. Prints the median, the 99th percentile
and the longest of both, from the moment the sample that shows the fault is sent.

    python bench/detect/latency.py [--faults 100] [--interval 5] [--at-once 10]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from bench.detect.storm import Receiver, receiving
from bench.ingest.metrics import free_port, process

from aiprism.receive.prometheus_proto import WriteRequest

TARGETS = {"firing": 10.0, "told": 15.0}


def configured(directory: Path, receiver: Receiver, interval: float) -> Path:
    """An aiprism.yml with one rule, one receiver."""
    rule = {"alert": "Fault", "expr": "fault > 0", "labels": {"severity": "warning", "group": "{{ $labels.number }}"}}
    groups = [{"name": "faults", "interval": f"{interval:g}s", "rules": [rule]}]
    (directory / "rules.yml").write_text(json.dumps({"groups": groups}))
    hook = {"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{receiver.port}/"}]}
    route = {"receiver": "hook", "group_by": ["group"], "group_wait": "1s"}
    (directory / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": [hook]}))
    (directory / "aiprism.yml").write_text("respond: {alertmanager: alertmanager.yml}\nrules: {files: [rules.yml]}\n")
    return directory / "aiprism.yml"


async def measured(wanted: argparse.Namespace, port: int, receiver: Receiver) -> dict[str, list[float]]:
    """Seconds from each fault to the alert and to the receiver."""
    begun: dict[str, float] = {}
    firing: dict[str, float] = {}
    chance = random.Random(7)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        watching = asyncio.create_task(_watch(client, firing))
        senders = [
            asyncio.create_task(_faults(client, range(first, wanted.faults, wanted.at_once), begun, chance, wanted))
            for first in range(wanted.at_once)
        ]
        await asyncio.gather(*senders)
        await asyncio.sleep(3 * TARGETS["told"])
        watching.cancel()
    told = {name: at for at, _, names in reversed(receiver.told) for name in names}
    missing = float("inf")
    return {
        "firing": [firing.get(name, missing) - at for name, at in begun.items()],
        "told": [told.get(name, missing) - at for name, at in begun.items()],
    }


async def _faults(
    client: httpx.AsyncClient, numbers: Sequence[int], begun: dict[str, float], chance: random.Random, wanted: Any
) -> None:
    for number in numbers:
        await asyncio.sleep(chance.uniform(0.0, 2.0 * wanted.interval))
        begun[str(number)] = time.time()
        await _send(client, str(number), 1.0)


async def _send(client: httpx.AsyncClient, number: str, value: float) -> None:
    message = WriteRequest()
    series: Any = message.timeseries.add()
    for name, text in (("__name__", "fault"), ("number", number)):
        series.labels.add(name=name, value=text)
    series.samples.add(value=value, timestamp=int(time.time() * 1000))
    body = bytes(pa.Codec("snappy").compress(message.SerializeToString(), asbytes=True))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    (await client.post("/api/v1/write", content=body, headers=headers)).raise_for_status()


async def _watch(client: httpx.AsyncClient, firing: dict[str, float]) -> None:
    while True:
        for alert in (await client.get("/api/v1/alerts")).json()["data"]["alerts"]:
            if alert["state"] == "firing":
                firing.setdefault(alert["labels"]["number"], time.time())
        await asyncio.sleep(0.1)


async def played(wanted: argparse.Namespace) -> None:
    """Let the faults happen and print how long each took."""
    with tempfile.TemporaryDirectory() as place:
        async with receiving() as receiver:
            config, port = configured(Path(place), receiver, wanted.interval), free_port()
            command = [sys.executable, "-m", "aiprism", "serve", "--config", str(config), "--data", f"{place}/data"]
            command += ["--listen", f"127.0.0.1:{port}", "--otlp-http", "", "--otlp-grpc", ""]
            started = process(command, f"http://127.0.0.1:{port}/-/ready")
            await asyncio.to_thread(started.__enter__)
            try:
                found = await measured(wanted, port, receiver)
            finally:
                await asyncio.to_thread(started.__exit__, None, None, None)
    print(f"{'':<8}{'faults':>8}{'p50 s':>8}{'p99 s':>8}{'max s':>8}{'target p99':>12}")
    for name, seconds in found.items():
        ordered = sorted(seconds)
        p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        met = "met" if p99 <= TARGETS[name] else "MISSED"
        print(f"{name:<8}{len(ordered):>8}{p50:>8.2f}{p99:>8.2f}{ordered[-1]:>8.2f}{TARGETS[name]:>8g} {met}")


def main() -> None:
    asked = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    asked.add_argument("--faults", type=int, default=100)
    asked.add_argument("--interval", type=float, default=5.0)
    asked.add_argument("--at-once", type=int, default=10, help="faults that happen independently of each other")
    asyncio.run(played(asked.parse_args()))


if __name__ == "__main__":
    main()

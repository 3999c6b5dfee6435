"""What idle connections cost: memory of the server, and the latency of one sender that works beside them.

    python -m bench.ingest.idle [--connections 10000]

HTTP connections that have sent one request and keep their connection; half of them dribble the head of a next one. The
server closes them after `server.idle`, which is set to ten minutes here. Exit status 1 when the sender is refused or slowed
down to more than twice its latency without them, or when a connection costs more than 50 kB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.ingest.soak import Server

GET = b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BYTES_EACH = 50_000


def records(count: int = 100) -> bytes:
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for at in range(count):
        scoped.log_records.add(time_unix_nano=time.time_ns()).body.string_value = f"line {at}"
    return request.SerializeToString()


async def latency_ms(url: str, requests: int = 40) -> float:
    """Median time until a body is acknowledged."""
    times = []
    async with httpx.AsyncClient(timeout=60) as client:
        for _ in range(requests):
            begun = time.perf_counter()
            answer = await client.post(
                f"{url}/v1/logs", content=records(), headers={"Content-Type": "application/x-protobuf"}
            )
            answer.raise_for_status()
            times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


async def opened(url: str, count: int) -> list[asyncio.StreamWriter]:
    """Connections that have been answered once; every other one has begun a next request."""
    where, gate = urlsplit(url), asyncio.Semaphore(200)

    async def one(at: int) -> asyncio.StreamWriter:
        async with gate:
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            if at % 2:
                writer.write(GET[:20])
            return writer

    return list(await asyncio.gather(*(one(at) for at in range(count))))


async def measured(server: Server, count: int) -> bool:
    await latency_ms(server.url)  # the first bodies compile kernels
    before_ms, before = await latency_ms(server.url), server.rss()
    writers = await opened(server.url, count)
    after_ms, after = await latency_ms(server.url), server.rss()
    lost = sum(writer.is_closing() for writer in writers)
    each = (after - before) / count
    print(f"{'':22} {'memory, MB':>11} {'acknowledged after, ms':>23}")
    print(f"{'without connections':22} {before / 1e6:11.0f} {before_ms:23.0f}")
    print(f"{f'{count:,} idle':22} {after / 1e6:11.0f} {after_ms:23.0f}")
    print(f"{each / 1000:.1f} kB a connection, {lost} of them lost")
    for writer in writers:
        writer.close()
    return not lost and each < BYTES_EACH and after_ms < 2 * before_ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    wanted = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ["AIPRISM_SERVER_IDLE"] = "10m"
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "data")
        server.start()
        try:
            holds = asyncio.run(measured(server, wanted.connections))
        finally:
            server.stop()
    print("holds" if holds else "VIOLATED")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

"""What redaction costs of the way of a log record: CPU of each step for records as they are, and with secrets in some of them.

    python -m bench.ingest.redaction [--items 100000] [--repeats 5]

The steps are those of one process: decode, columns, redact, patterns, and the INSERT with all of its merges. Redaction is
set against the sum without it, by lines without secrets (a plain server's), with one in a hundred and with one in each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from bench.ingest import payloads
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.receive import otlp
from aiprism.receive.redaction import Redaction
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import sent_columns, with_patterns
from aiprism.store.schema import migrate
from aiprism.store.wire import joined

_SECRET = " for ada@example.com password=hunter2"


def cpu(work: Callable[[], object], repeats: int) -> float:
    """Least CPU seconds of the process for `work`, threads of the store among them."""
    least = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        work()
        least = min(least, time.process_time() - begun)
    return least


def with_secrets(bodies: list[bytes], every: int) -> list[bytes]:
    """The same requests with secrets in each `every`-th record; 0 for none."""
    if not every:
        return bodies
    made, number = list[bytes](), 0
    for body in bodies:
        request = ExportLogsServiceRequest.FromString(body)
        for record in request.resource_logs[0].scope_logs[0].log_records:
            number += 1
            if number % every == 0:
                record.body.string_value += _SECRET
        made.append(request.SerializeToString())
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    wanted = parser.parse_args()
    plain = [payload.body for payload in payloads.logs(wanted.items, start_ns=time.time_ns() - 5_000_000_000)]
    redaction = Redaction()
    with tempfile.TemporaryDirectory(prefix="aiprism-bench-") as directory:
        engine = Engine.open(f"chdb:///{Path(directory) / 'telemetry'}")
        migrate(engine)
        for every in (0, 100, 1):
            bodies = with_secrets(plain, every)
            rows = sent_columns(joined(bodies))
            redacted, found = redaction.columns(rows)
            stored = with_patterns(redacted)
            steps = {
                "decode": lambda: [otlp.logs(body) for body in bodies],  # noqa: B023
                "columns": lambda: sent_columns(joined(bodies)),  # noqa: B023
                "patterns": lambda: with_patterns(redacted),  # noqa: B023
                "insert": lambda: engine.insert_arrow("logs_received", stored, token=uuid.uuid4().hex),  # noqa: B023
            }
            took = {name: cpu(step, wanted.repeats) / wanted.items * 1e6 for name, step in steps.items()}
            cost = cpu(lambda: redaction.columns(rows), wanted.repeats) / wanted.items * 1e6  # noqa: B023
            parts = "  ".join(f"{name} {micro:.2f}" for name, micro in took.items())
            what = f"one in {every}" if every else "none"
            print(
                f"secrets: {what:12} redaction {cost:.2f} µs a record, {cost / sum(took.values()):.1%} of the rest "
                f"({parts})   {sum(found.values()):,} replaced"
            )
        engine.close()


if __name__ == "__main__":
    main()

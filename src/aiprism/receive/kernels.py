"""All of the compiled code made ahead, so that the first body need not wait for it: `python -m aiprism.receive.kernels`.

numba compiles a kernel when it is first called (half a minute for all of them) and keeps the result on disk. `make install`
does it once, and `aiprism serve` before it begins when nobody has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_PACKAGE = Path(__file__).parent.parent
# One of the kernels of each room; numba keeps them beside their source when it can.
_SIGNS = (_PACKAGE / "store" / "spancolumns.py", _PACKAGE / "receive" / "wirescan.py")


def compile_all() -> None:
    """Every kernel is compiled and, where a directory can be written, kept for other processes."""
    from aiprism.receive import otlp, otlpscan, wirescan
    from aiprism.store.columns import FingerprintTable
    from aiprism.store.logcolumns import log_columns
    from aiprism.store.spancolumns import span_columns
    from aiprism.store.wire import joined

    span_columns(joined([otlp.traces(_traces()).body]))
    log_columns(otlp.logs(_logs()).body)
    otlpscan.scan(b"", otlpscan.Known(), 0, (0, 0), histograms=True)
    for version in (1, 2):
        wirescan.scan(b"", FingerprintTable(), 0, version=version)


def are_kept() -> bool:
    """True when compiled code that is newer than its source lies beside it."""
    return all(
        any(kept.stat().st_mtime >= sign.stat().st_mtime for kept in sign.parent.glob(f"__pycache__/{sign.stem}.*.nbi"))
        for sign in _SIGNS
    )


def compile_first() -> None:
    """Return once compiled code is kept, or cannot be. It is made in another process: making it would hold up this one, in
    which numba would stay for good."""
    if not are_kept() and os.access(_PACKAGE / "store", os.W_OK):
        print("aiprism compiles its decoders, once after an installation (half a minute)", flush=True)  # noqa: T201
        subprocess.run([sys.executable, "-m", "aiprism.receive.kernels"], check=False)


def _traces() -> bytes:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1, name="compiled"
    )
    return request.SerializeToString()


def _logs() -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1)
    record.body.string_value = "compiled"
    return request.SerializeToString()


if __name__ == "__main__":
    compile_all()

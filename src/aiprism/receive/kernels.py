"""All of the compiled code made ahead, so that the first body need not wait for it: `python -m aiprism.receive.kernels`.

numba compiles a kernel when it is first called (half a minute for all of them) and keeps the result on disk. `make install`
does it once, and `aiprism serve` before it begins when nobody has.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_PACKAGE = Path(__file__).parent.parent
_SOURCES = (
    *(
        f"store/{name}.py"
        for name in ("wire", "attributes", "spancolumns", "logcolumns", "logpatterns", "numbertext", "origin")
    ),
    *(
        f"receive/{name}.py"
        for name in ("bytehash", "otlpwire", "otlpwalk", "otlppointscan", "wirescan", "secretscan", "exposition/scan")
    ),
)


def compile_all() -> None:
    """Every kernel is compiled and, where a directory can be written, kept for other processes."""
    from aiprism.receive import otlp, otlpscan, secretscan, wirescan
    from aiprism.receive.exposition import scan
    from aiprism.receive.inflight import unbounded
    from aiprism.store import numbertext
    from aiprism.store.columns import FingerprintTable
    from aiprism.store.logcolumns import log_columns
    from aiprism.store.spancolumns import span_columns
    from aiprism.store.wire import joined

    numbertext.points(np.zeros(1), np.zeros(1, np.int64), np.ones(1, np.int64))
    span_columns(joined([otlp.traces(_traces()).body]))
    log_columns(otlp.logs(_logs()).body)
    secretscan.kinds_in(np.zeros(1, np.uint8), np.array([0, 1], np.int32))
    secretscan.card_ends(b"1")
    otlpscan.scan(b"", otlpscan.Known(), 0, (0, 0), histograms=True)
    for openmetrics in (False, True):
        scan.scan(b"compiled 1\n# EOF", FingerprintTable(), 0, 0, openmetrics=openmetrics)
    for major in (1, 2):
        wirescan.scan(b"", FingerprintTable(), 0, unbounded(), version=major)


def are_kept() -> bool:
    """True when `compile_and_keep` was run with these sources, this Python and this numba."""
    return _mark().exists()


def compile_and_keep() -> None:
    """As `compile_all`, and noted down, so that nobody does it again."""
    compile_all()
    with suppress(OSError):  # where this cannot be written, numba keeps its code elsewhere or not at all
        _mark().touch()


def forget_others() -> None:
    """Nothing is kept that was compiled of other sources. numba itself looks whether the file of a kernel is another, not
    whether those of the kernels in it are."""
    if not are_kept():
        for room in ("store", "receive", "receive/exposition"):
            for kept in (_PACKAGE / room / "__pycache__").glob("*.nb[ic]"):
                with suppress(OSError):  # as above
                    kept.unlink()


def compile_first() -> None:
    """Return once compiled code is kept, or cannot be."""
    if (making := compiling()) is not None:
        print("aiprism compiles its decoders, once after an installation (half a minute)", flush=True)  # noqa: T201
        try:
            making.wait()
        finally:
            making.kill()  # where somebody does not wait for it


def compiling() -> subprocess.Popen[bytes] | None:
    """The process that makes what is not kept yet; None where all is kept, or cannot be. It is another one: making it would hold
    up this one, in which numba would stay for good."""
    if are_kept() or not os.access(_PACKAGE / "store", os.W_OK):
        return None
    return subprocess.Popen([sys.executable, "-m", "aiprism.receive.kernels"])


def _mark() -> Path:
    # By content: the times of files change with every checkout.
    digest = hashlib.sha256(version("numba").encode())
    for source in _SOURCES:
        digest.update((_PACKAGE / source).read_bytes())
    return (
        _PACKAGE / "receive" / "__pycache__" / f"kernels-{sys.implementation.cache_tag}-{digest.hexdigest()[:16]}.made"
    )


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
    forget_others()
    compile_and_keep()

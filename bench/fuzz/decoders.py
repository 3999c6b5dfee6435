"""Fuzzing of what reads bodies, without a server: a coverage-guided fuzzer writes the bodies, one process a decoder.

    uv pip install -e '.[fuzz]'          # atheris; the suite and CI do without it
    python -m bench.fuzz.decoders --seconds 240 [--decoder syslog]

Bodies begin as the good ones of doors.py; libFuzzer changes them, or doors.py's edits do. What must hold of every body:

* nothing but a refusal (`Refused`) is raised, and none takes longer than 20 s;
* what is accepted can be made rows, as many as were counted: an acknowledged body that the store refuses is lost;
* OTLP metrics read by machine code and message by message are the same samples, and so are the zeros at start times.

Each finding is printed once, with the body that makes it again. The test suite runs some hundred bodies through `tried`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from bench.fuzz import doors

NOW = int(time.time())  # of which the good bodies are, too
NOW_NS = NOW * 1_000_000_000
# What runs as machine code is not watched: its bytecode must stay what numba can compile.
MACHINE_CODE = (
    "receive.otlppointscan", "receive.otlpscan", "receive.otlpwalk", "receive.otlpwire", "receive.bytehash",
    "receive.wirescan", "store.attributes", "store.logcolumns",
    "store.logpatterns", "store.origin", "store.spancolumns", "store.wire",
)  # fmt: skip


NAMES = (
    "otlp.traces", "otlp.logs", "otlp.metrics", "remote_write.1", "remote_write.2", "loki", "elastic", "ndjson", "zipkin",
    "fluent", "syslog",
)  # fmt: skip


class Broken(AssertionError):
    """What must hold does not."""


@dataclass(frozen=True)
class Decoder:
    """What takes a body, and good ones to begin with. `take` raises Refused, or something that is a finding."""

    take: Callable[[bytes], None]
    good: Sequence[Callable[[], bytes]]


def tried(decoder: Decoder, body: bytes) -> str:
    """What is wrong with how `body` is taken, in one line; empty when nothing is."""
    from aiprism.errors import Refused

    try:
        decoder.take(body)
    except Refused:
        return ""
    except Exception as error:
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "aiprism" in frame.filename]
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        return f"{type(error).__name__} at {at}: {str(error)[:200]}"
    return ""


@cache
def decoders() -> Mapping[str, Decoder]:
    """Every decoder by its name, those of `NAMES`; loads all of them."""
    from aiprism.receive import elastic_bulk, loki_push, ndjson, otlp, zipkin

    both: list[Callable[[], bytes]] = [doors.traces, lambda: doors.otlp_json("traces")]
    logs: list[Callable[[], bytes]] = [doors.logs, lambda: doors.otlp_json("logs")]
    of_spans, of_logs = _within("spans"), _within("logs")
    return {
        "otlp.traces": Decoder(lambda body: _spans(otlp.traces(body, is_json=body[:1] == b"{", within=of_spans)), both),
        "otlp.logs": Decoder(lambda body: _records(otlp.logs(body, is_json=body[:1] == b"{", within=of_logs)), logs),
        "otlp.metrics": Decoder(_Metrics(), [doors.metrics]),
        "remote_write.1": Decoder(_Writes(1), [doors.write1]),
        "remote_write.2": Decoder(_Writes(2), [doors.write2]),
        "loki": Decoder(
            lambda body: _records(loki_push.push(body, NOW_NS, is_json=body[:1] == b"{", within=of_logs)),
            [doors.loki_json, _loki_protobuf],
        ),
        "elastic": Decoder(
            lambda body: _records(elastic_bulk.bulk(body, NOW_NS, lambda: "id", index="app", within=of_logs)),
            [doors.bulk],
        ),
        "ndjson": Decoder(lambda body: _records(ndjson.records(body, NOW_NS, within=of_logs)), [doors.ndjson]),
        "zipkin": Decoder(lambda body: _spans(zipkin.spans(body, NOW_NS)), [doors.zipkin]),
        "fluent": Decoder(_fluent, [doors.fluent_chunk]),
        "syslog": Decoder(_syslog, [doors.syslog_frames]),
    }


# -- what must hold of what is accepted --------------------------------------------------------------------------------


def _within(signal: str) -> Any:
    from aiprism.config import LimitsConfig
    from aiprism.receive.items import bounds

    # A day more than that: good bodies are of the time they are made at.
    return replace(bounds(LimitsConfig(), "fuzz", signal, NOW), latest_ns=NOW_NS + 86_400 * 10**9)


def _spans(accepted: Any) -> None:
    from aiprism.store.spancolumns import span_columns

    _rows(accepted, span_columns)


def _records(accepted: Any) -> None:
    from aiprism.store.logcolumns import log_columns

    _rows(accepted, log_columns)


def _rows(accepted: Any, columns: Callable[[bytes], Any]) -> None:
    from aiprism.store.wire import joined

    table = columns(joined([accepted.body]))
    table.validate(full=True)
    if table.num_rows != accepted.items:
        raise Broken(f"{accepted.items} items were counted, {table.num_rows} are rows")


class _Nowhere:
    """An engine that takes rows as if it stored them."""

    def insert_arrow(self, table: str, rows: Any, *, token: str) -> None:
        rows.validate(full=True)


class _Series:
    """An index and a writer that makes rows of batches; begins anew before it fills the memory."""

    def __init__(self) -> None:
        from aiprism.receive.remote_write import RemoteWriteDecoder
        from aiprism.store.engine import Engine
        from aiprism.store.metricwriting import MetricWriter
        from aiprism.store.series import SeriesIndex

        self.index = SeriesIndex()
        self.writer = MetricWriter(cast(Engine, _Nowhere()), self.index)
        self.remote_write = RemoteWriteDecoder(self.admit)

    def admit(self, sets: Any) -> Any:
        from aiprism.store.writing import Admitted

        return Admitted(self.index.admit(sets, NOW), None)


class _Writes:
    """Remote write of one version, rows made of it."""

    def __init__(self, version: int) -> None:
        self._version, self._taken = version, 0
        self._series = _Series()

    def __call__(self, body: bytes) -> None:
        self._taken += 1
        if self._taken % 2000 == 0:
            self._series = _Series()
        decoded = self._series.remote_write.decode(body, self._version, _within("samples"), now=NOW)
        if not decoded.batch.is_empty:
            self._series.writer.insert([decoded.batch], "token", NOW)
        self._series.remote_write.remember(decoded)
        if decoded.written.samples + decoded.written.histograms > len(decoded.batch):
            raise Broken(f"{decoded.written} are said to be written of {len(decoded.batch)} in the batch")


class _Metrics:
    """OTLP metrics in both ways, which must agree; JSON has one.

    Of a stream whose start time goes to and fro one of the ways may say once more that it began at zero, which it did: a zero
    of one way must be one that the other has said, now or before.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._begin()

    def _begin(self) -> None:
        from aiprism.config import OtlpConfig
        from aiprism.receive.otlp_bodies import MetricBodies

        self._series = _Series(), _Series()
        self._zeros: tuple[set[Sample], set[Sample]] = set(), set()
        # Any start is recent enough for a zero, or it would depend on which of its points comes when it is new.
        config = OtlpConfig(start_zeros=1e9)
        self._ways = [
            MetricBodies(series.admit, config, compiled=compiled)
            for series, compiled in zip(self._series, (True, False), strict=True)
        ]

    def __call__(self, body: bytes) -> None:
        self._taken += 1
        if self._taken % 500 == 0:
            self._begin()
        found = [self._decoded(way, body, series) for way, series in zip(self._ways, self._series, strict=True)]
        if found[0] != found[1]:
            raise Broken(f"machine code and decoder disagree: {_difference(*found)}")
        one, other = self._zeros
        if one != other:
            self._begin()
            raise Broken(f"machine code and decoder disagree on what began: {_difference([one], [other])}")

    def _decoded(self, way: Any, body: bytes, series: _Series) -> tuple[object, ...]:
        from aiprism.errors import BadInput

        decode = way.decode_json if body[:1] == b"{" else way.decode
        try:
            decoded = decode(body, NOW, _within("samples"))
            for _ in range(3):
                if decoded.levels:  # as the door does: they begin at zero
                    way.seed({fingerprint: 0.0 for _, fingerprint in decoded.levels})
                    decoded = decode(body, NOW, _within("samples"))
        except BadInput:
            return ("refused",)
        if not decoded.levels and not decoded.batch.is_empty:
            series.writer.insert([decoded.batch], "token", NOW)
        samples = _samples(series, decoded.batch)
        zeros = {sample for sample in samples if sample[2] == _ZERO}
        self._zeros[self._series.index(series)].update(zeros)
        return decoded.points, decoded.rejected, samples - zeros, len(decoded.batch.histograms)


Sample = tuple[str, int, bytes]
_ZERO = bytes(8)


def _samples(series: _Series, batch: Any) -> frozenset[Sample]:
    """What is in `batch`: labels, time and bits of the value."""
    names = [repr(sorted(labels)) for labels in series.index.labels(batch.positions)]
    rows = zip(names, batch.ts_ms.tolist(), batch.values, strict=True)
    return frozenset((name, ts_ms, value.tobytes()) for name, ts_ms, value in rows)


def _difference(one: Sequence[object], other: Sequence[object]) -> str:
    shown = []
    for a, b in zip(one, other, strict=False):
        if isinstance(a, set | frozenset) and isinstance(b, set | frozenset) and a != b:
            shown.append(f"{sorted(a - b)!r:.150} against {sorted(b - a)!r:.150}")
        elif a != b:
            shown.append(f"{a!r:.150} against {b!r:.150}")
    return "; ".join(shown)


def _loki_protobuf() -> bytes:
    from aiprism.receive import loki_push

    request: Any = loki_push._PushRequest()
    stream = request.streams.add(labels=b'{service="fuzz", level="info"}')
    stream.entries.add(line=b"line", timestamp={"seconds": NOW}).metadata.add(name=b"trace_id", value=b"ab" * 16)
    return bytes(request.SerializeToString())


def _fluent(body: bytes) -> None:
    from aiprism.errors import BadInput
    from aiprism.receive import fluent

    events, chunks = fluent.Events(2**20), []
    half = len(body) // 2
    try:
        for part in (body[:half], body[half:]):
            for message, size in events.feed(part):
                with contextlib.suppress(BadInput):
                    fluent.Handshake("key", b"nonce", {"user": "password"}, b"salt").pong(message)
                if chunk := fluent.chunk_of(message, size, 2**20):
                    chunks.append(chunk)
                    fluent.acknowledgement(chunk.acknowledge)
    finally:
        _records(fluent.records(chunks, NOW_NS, _within("logs")))


def _syslog(body: bytes) -> None:
    from aiprism.receive.syslog import Frames
    from aiprism.receive.syslog_server import Packet, records

    frames, half = Frames(1000), len(body) // 2
    whole = [*frames.feed(body[:half]), *frames.feed(body[half:]), *frames.rest()]
    accepted = records([Packet("127.0.0.1", whole)], NOW_NS, None, _within("logs"))
    _records(accepted)
    if accepted.items + accepted.rejected != len(whole):
        raise Broken(f"of {len(whole)} messages {accepted.items} are taken and {accepted.rejected} refused")


# -- the long form -------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--decoder", default="", help="only decoders whose name holds this")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.inside:
        _fuzz(wanted.inside, wanted.seconds)
    found = 0
    for name in NAMES:
        if wanted.decoder in name:
            found += _beside(name, wanted.seconds)
    return 1 if found else 0


def _beside(name: str, seconds: int) -> int:
    """Fuzz one decoder in a process of its own, which libFuzzer ends; how many findings there were."""
    command = [sys.executable, "-m", "bench.fuzz.decoders", "--inside", name, "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory() as place:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env={**os.environ, "TMPDIR": place}
        )
    said = ran.stdout + ran.stderr
    done = re.findall(r"Done (\d+) runs in (\d+) second", said)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
    findings = [line for line in said.splitlines() if line.startswith("FOUND ")]
    if not done:  # it ended before its time: too slow, too large, or a crash of native code
        findings.append(f"FOUND {name} ended with {ran.returncode}: {said[-1500:]}")
    runs = f"{int(done[-1][0]):,} bodies in {done[-1][1]} s" if done else "cut short"
    print(
        f"{name:16} {runs}, (edges, features, corpus) {covered[-1] if covered else '?'}, {len(findings)} findings",
        flush=True,
    )
    for line in findings:
        print(line, flush=True)
    return len(findings)


def _fuzz(name: str, seconds: int) -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("the fuzzer is not installed; install it with: uv pip install -e '.[fuzz]'")

    with atheris.instrument_imports(include=["aiprism"], exclude=[f"aiprism.{module}" for module in MACHINE_CODE]):
        decoder = decoders()[name]
        decoder.take(decoder.good[0]())  # imports the rest
    known: set[str] = set()

    def one(body: bytes) -> None:
        if not (wrong := tried(decoder, body)):
            return
        kind = re.sub(r"[\d']+", "#", wrong.partition(": ")[0])
        if kind not in known:
            known.add(kind)
            print(f"FOUND {name}: {wrong} of {body[:1500]!r}", flush=True)

    def changed(body: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        return doors.broken(body, chance)[:most] if chance.random() < 0.4 else bytes(atheris.Mutate(body, most))

    corpus = Path(tempfile.mkdtemp())
    for at, good in enumerate(decoder.good):
        (corpus / f"good-{at}").write_bytes(good())
    options = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=4000",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

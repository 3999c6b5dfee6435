"""OTLP metrics from bodies: what repeats is read by machine code, the rest decoded message by message.

In: the protobuf of an ExportMetricsServiceRequest. Out: `Decoded`. The machine code (otlpscan.py) knows the streams that
the decoder (otlp_metrics.py) has met, and hands it whatever else a body holds as a smaller request. It takes seconds to
compile on a new machine and memory for ever, so it is loaded beside the work once a body comes that is worth it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar as SentExemplar
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

from aiprism.config import OtlpConfig
from aiprism.errors import TooMany
from aiprism.receive.items import ANYTHING, Bounds, SeriesFault, no_fault, without_stray_exemplars
from aiprism.receive.otlp import metrics_request
from aiprism.receive.otlp_metrics import Decoded, MetricDecoder, info_times
from aiprism.receive.otlp_points import exemplar_of
from aiprism.receive.otlp_series import CACHE_LIMIT, Stream
from aiprism.store.batches import Exemplar, SampleBatch
from aiprism.store.writing import Admit

if TYPE_CHECKING:
    from aiprism.receive.otlpscan import Known, Scanned

# Bodies below this are decoded in less time than anybody would notice.
WORTH_COMPILING = 64 * 1024
_LOOKED_EVERY = 60.0  # seconds


class MetricBodies:
    """Turns bodies into batches. Not thread-safe. `compiled` begins with the machine code instead of waiting for it."""

    def __init__(
        self,
        admit: Admit,
        config: OtlpConfig | None = None,
        fault: SeriesFault = no_fault,
        *,
        alone: bool = True,
        compiled: bool = False,
    ) -> None:
        self._config = config or OtlpConfig()
        self._decoder = MetricDecoder(admit, self._config, fault, alone=alone)
        self._salt = secrets.randbits(64)
        self._known: Known | None = None
        self._info: dict[int, Stream | None] = {}  # target_info, by hash of the resource
        self._loading: threading.Thread | None = None
        self._described = 0.0  # until when streams were looked for that must be described again
        if compiled:
            self._load()

    def decode(self, body: bytes, now: float, within: Bounds = ANYTHING) -> Decoded:
        """As `MetricDecoder.decode`; BadInput when `body` is no request."""
        if self._known is None:
            if len(body) >= WORTH_COMPILING and self._loading is None:
                self._loading = threading.Thread(target=self._load, name="compile-otlp-metrics", daemon=True)
                self._loading.start()
            return self._decoder.decode(metrics_request(body), now, within)
        return self._scanned(body, self._known, now, within)

    def decode_json(self, body: bytes, now: float, within: Bounds = ANYTHING) -> Decoded:
        """The same of a body in OTLP/JSON."""
        return self._decoder.decode(metrics_request(body, is_json=True), now, within)

    def undo(self, decoded: Decoded) -> None:
        """What `decoded` holds was not stored."""
        self._decoder.undo(decoded)

    def seed(self, levels: Mapping[int, float]) -> None:
        """As `MetricDecoder.seed`."""
        self._decoder.seed(levels)

    def _load(self) -> None:
        from aiprism.receive import otlpscan

        known = otlpscan.Known()
        otlpscan.scan(b"", known, 0, (0, 0), histograms=True)  # compiles
        self._known = known

    def _scanned(self, body: bytes, known: Known, now: float, within: Bounds) -> Decoded:
        from aiprism.receive import otlpscan

        if len(known) > CACHE_LIMIT:
            known = self._known = otlpscan.Known()
            self._info = {}
        self._describe_again(known, now)
        times = (within.earliest_ns, within.latest_ns)
        custom_buckets = self._config.convert_histograms_to_nhcb
        scanned = otlpscan.scan(body, known, self._salt, times, histograms=not custom_buckets)
        if scanned is None:
            return self._decoder.decode(metrics_request(body), now, within)  # which says what is wrong, if anything is
        try:
            exemplars = _exemplars(body, scanned, known)
        except DecodeError:
            return self._decoder.decode(metrics_request(body), now, within)
        rest = metrics_request(scanned.rest(body)) if len(scanned.left) else ExportMetricsServiceRequest()
        decoded = self._decoder.decode(rest, now, within)
        if decoded.levels:
            return decoded
        try:
            info, refusal = self._target_info(body, scanned)
        except BaseException:
            self.undo(decoded)
            raise
        fresh = self._remember(scanned, decoded, known)
        return replace(
            decoded,
            batch=without_stray_exemplars(_together(scanned, info, exemplars, decoded.batch), within),
            points=decoded.points + scanned.points,
            reason=decoded.reason or (str(refusal) if refusal else ""),
            undo=[*decoded.undo, partial(known.forget_start, fresh)],
        )

    def _describe_again(self, known: Known, now: float) -> None:
        if abs(now - self._described) >= _LOOKED_EVERY:
            known.describe_again(self._described, now)
            self._described = now

    def _remember(self, scanned: Scanned, decoded: Decoded, known: Known) -> NDArray[np.uint64]:
        """Let the machine code know the streams that the decoder has met; their hashes."""
        met = {
            key: (stream.positions, stream.start_ns)
            for key, stream in zip(scanned.hashes.tolist(), decoded.streams, strict=True)
            if key and stream is not None
        }
        hashes = np.fromiter(met, np.uint64, len(met))
        known.put(hashes, list(met.values()))
        return hashes

    def _target_info(self, body: bytes, scanned: Scanned) -> tuple[list[tuple[int, int]], TooMany | None]:
        """(position, time) of `target_info` beside the samples of each resource, and why there is none of some."""
        found, refusal = list[tuple[int, int]](), None
        for number, (start, end) in enumerate(scanned.resources.tolist()):
            if start == end:
                continue
            key = int(scanned.resource_hashes[number])
            if key not in self._info:
                resource = ResourceMetrics.FromString(scanned.resource(body, number)).resource
                stream = self._decoder.info(resource)
                if isinstance(stream, TooMany):  # asked for again with the next request
                    refusal = stream
                    continue
                self._info[key] = stream
            if stream := self._info[key]:
                found += [(stream.positions[0], ts_ms) for ts_ms in info_times(scanned.ts_ms[start:end])]
        return found, refusal


def _exemplars(body: bytes, scanned: Scanned, known: Known) -> list[Exemplar]:
    """The exemplars of the points in the columns; DecodeError when one is none."""
    found: list[Exemplar] = []
    positions = known.positions.view()
    for first, start, end, bounds_at, count in scanned.exemplars.tolist():
        bounds = np.frombuffer(body, "<f8", count, bounds_at).tolist() if count else []
        message = SentExemplar.FromString(body[start:end])
        found.append(exemplar_of(message, positions[first : first + count + 1].tolist(), bounds))
    return found


def _together(
    scanned: Scanned, info: list[tuple[int, int]], exemplars: Sequence[Exemplar], rest: SampleBatch
) -> SampleBatch:
    at, ts_ms = np.array(info, dtype=np.int64).reshape(-1, 2).T
    return replace(
        rest,
        positions=np.concatenate([scanned.positions, at, rest.positions]),
        ts_ms=np.concatenate([scanned.ts_ms, ts_ms, rest.ts_ms]),
        values=np.concatenate([scanned.values, np.ones(len(info)), rest.values]),
        exemplars=[*exemplars, *rest.exemplars],
    )

"""What a tenant may send: so many items and bytes a second, so many new series a minute.

In: how much of what a request brings, and the time. Out: nothing, or a refusal that names the limit, its setting and the
tenant. Buckets are frozen values and `Bucket.taken` a plain function of time, so that every decision can be replayed.
Time here is monotonic: a wall clock that jumps neither opens nor closes a door. Bounds of single items are in items.py.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiprism.clock import Clock
from aiprism.config import LimitsConfig
from aiprism.errors import TooLarge, TooMany
from aiprism.receive.items import Bounds, Fault, bounds, labels_fault
from aiprism.telemetry import Telemetry

STAGE = "receive.admission"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `level` of at most `burst` tokens at time `at`, filling by `rate` a second.

    >>> full = Bucket(rate=10.0, burst=30.0, level=30.0, at=0.0)
    >>> emptied = full.taken(30, now=0.0)
    >>> emptied.level, emptied.taken(5, now=0.1), emptied.taken(5, now=0.5).level
    (0.0, None, 0.0)
    """

    rate: float
    burst: float
    level: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> Bucket:
        return cls(rate, burst, burst, now)

    def filled(self, now: float) -> Bucket:
        """This bucket at `now`; a time before `at` changes nothing."""
        if now <= self.at:
            return self
        return replace(self, level=min(self.burst, self.level + self.rate * (now - self.at)), at=now)

    def taken(self, amount: float, now: float) -> Bucket | None:
        """The bucket after `amount` was taken; None when that much is not in it."""
        filled = self.filled(now)
        return replace(filled, level=filled.level - amount) if amount <= filled.level else None

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` could be taken."""
        return max(0.0, (amount - self.filled(now).level) / self.rate)


@dataclass(frozen=True, slots=True)
class _Limit:
    """One bucket and the words for its refusal."""

    setting: str
    what: str
    bucket: Bucket


class Admission:
    """The buckets of one tenant. May be called from any thread."""

    def __init__(self, tenant: str, limits: LimitsConfig, clock: Clock, telemetry: Telemetry) -> None:
        self._tenant, self._config, self._clock, self._telemetry = tenant, limits, clock, telemetry
        self._lock = threading.Lock()
        self._limits: dict[str, _Limit] = {}
        for setting, what, per_second in (
            ("spans_per_second", "spans a second", limits.spans_per_second),
            ("log_records_per_second", "log records a second", limits.log_records_per_second),
            ("samples_per_second", "samples a second", limits.samples_per_second),
            ("bytes_per_second", "bytes a second", limits.bytes_per_second),
        ):
            if per_second:
                bucket = Bucket.full(per_second, per_second * limits.burst, clock.monotonic())
                self._limits[setting] = _Limit(f"limits.{setting}", f"{per_second} {what}", bucket)
        if limits.new_series_per_minute:
            many = limits.new_series_per_minute
            bucket = Bucket.full(many / 60, many, clock.monotonic())
            self._limits["new_series_per_minute"] = _Limit(
                "limits.new_series_per_minute", f"{many} new metric series a minute", bucket
            )

    def spans(self, items: int, size: int) -> None:
        """Let `items` spans of `size` bytes in; TooMany or TooLarge when that is over a rate."""
        self._take({"spans_per_second": items, "bytes_per_second": size}, items)

    def logs(self, items: int, size: int) -> None:
        """Let `items` log records of `size` bytes in; TooMany or TooLarge when that is over a rate."""
        self._take({"log_records_per_second": items, "bytes_per_second": size}, items)

    def samples(self, items: int, size: int) -> None:
        """Let `items` samples of `size` bytes in; TooMany or TooLarge when that is over a rate."""
        self._take({"samples_per_second": items, "bytes_per_second": size}, items)

    def new_series(self, items: int) -> tuple[int, TooMany | None]:
        """How many of `items` series may come into being now, and why it is not all of them."""
        name, now = "new_series_per_minute", self._clock.monotonic()
        with self._lock:
            limit = self._limits.get(name)
            if limit is None:
                return items, None
            bucket = limit.bucket.filled(now)
            some = min(items, int(bucket.level))
            limit = self._limits[name] = replace(limit, bucket=replace(bucket, level=bucket.level - some))
        if some == items:
            return items, None
        self._telemetry.dropped(STAGE, name, items - some)
        return some, self._over(limit, limit.bucket.wait(min(items - some, limit.bucket.burst), now))

    def bounds(self, signal: str) -> Bounds:
        """What single spans, logs or samples may be like just now."""
        return bounds(self._config, self._tenant, signal, self._clock.now())

    def series_fault(self, labels: Mapping[str, str]) -> Fault | None:
        """What is wrong with a series of these labels, its name among them."""
        return labels_fault(labels, self._config, self._tenant)

    def _take(self, wanted: dict[str, int], items: int) -> None:
        """Take from all buckets or from none."""
        now = self._clock.monotonic()
        with self._lock:
            after: dict[str, _Limit] = {}
            for name, amount in wanted.items():
                limit = self._limits.get(name)
                if limit is None:
                    continue
                bucket = limit.bucket.taken(amount, now)
                if bucket is None:
                    self._telemetry.dropped(STAGE, name, items)
                    raise self._refusal(limit, amount, now)
                after[name] = replace(limit, bucket=bucket)
            self._limits.update(after)

    def _refusal(self, limit: _Limit, amount: int, now: float) -> TooMany | TooLarge:
        if amount > limit.bucket.burst:
            return TooLarge(
                f"this request brings {amount} at once, tenant {self._tenant!r} may send {limit.what} and no more than "
                f"{int(limit.bucket.burst)} at once ({limit.setting}, limits.burst); send smaller batches",
                details={"limit": limit.setting, "tenant": self._tenant},
            )
        return self._over(limit, limit.bucket.wait(amount, now))

    def _over(self, limit: _Limit, wait: float) -> TooMany:
        return TooMany(
            f"tenant {self._tenant!r} is over its limit of {limit.what} ({limit.setting}); "
            f"send this again in {wait:.1f} s",
            retry_after=wait,
            details={"limit": limit.setting, "tenant": self._tenant},
        )

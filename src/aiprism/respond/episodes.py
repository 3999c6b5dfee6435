"""What alerts did, kept for the digests of their tiers: each from its firing to its end.

In: what is known of alerts after a report, inside the transaction that keeps it. Out: rows. ALERTS series would not do: they
hold only the alerts of our own rules, and a digest is also of what Prometheus and others send. Beside when an alert fired it is
kept when we heard of it: that decides which digest tells of it, as word of it may come a little after one was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from aiprism.respond.known import Known
from aiprism.respond.subject import service_of
from aiprism.respond.tiers import Tiers
from aiprism.store import episodes as store

_SUMMARY = 300


def note(connection: Connection, tiers: Tiers, known: Iterable[Known], now: float) -> None:
    """Keep what these alerts do, of tiers that have a digest."""
    if not any(tier.digest for tier in tiers.of.values()):
        return
    placed = [(each, tiers.of[tiers.priority_of(each.labels)]) for each in known]
    told = {each.fingerprint: (each, tier.priority.value) for each, tier in placed if tier.digest}
    lasting = store.lasting_episodes(connection, sorted(told))
    rows = [
        row for fingerprint, (each, tier) in told.items() for row in _rows(each, tier, lasting.get(fingerprint), now)
    ]
    store.put_episodes(connection, rows)


def _rows(alert: Known, tier: str, lasting: store.EpisodeRow | None, now: float) -> Iterator[store.EpisodeRow]:
    if lasting is not None and alert.starts_at > lasting["starts_at"] and not alert.over(now):
        # Another one began, and nobody told us of the end of the last.
        yield {**lasting, "ends_at": alert.starts_at, "closed_at": now}
        lasting = None
    if alert.over(now):
        if lasting is not None:  # of one that was never seen to fire there is nothing to tell
            yield {**lasting, "ends_at": alert.ends_at, "closed_at": now}
    elif lasting is None:
        yield {
            "fingerprint": alert.fingerprint,
            "starts_at": alert.starts_at,
            "ends_at": None,
            "heard_at": now,
            "closed_at": None,
            "tier": tier,
            "name": alert.labels.get("alertname", ""),
            "service": service_of(alert.labels),
            "summary": (alert.annotations.get("summary") or alert.annotations.get("description", ""))[:_SUMMARY],
        }

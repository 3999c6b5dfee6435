"""Log records as they come in: what `following` needs to know of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from aiprism.model.logs import LogRecord
from aiprism.store.logs import LogSearch, LogStore
from aiprism.web import links
from aiprism.web.following import Followed

_WINDOW = 2_000


def followed_records(logs: LogStore, wanted: LogSearch) -> Followed[LogRecord]:
    """An event `log` for each record that fits."""
    return Followed(
        event="log",
        plural="records",
        look=lambda span, most: logs.search(replace(wanted, span=span, limit=most)),
        key=identity,
        tell=lambda records: [links.told(each) for each in records],
        window=_WINDOW,
    )


def identity(record: LogRecord) -> Hashable:
    """What tells a record from others."""
    return record.ts_ns, record.service, record.body, record.span_id

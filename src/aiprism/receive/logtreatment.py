"""What becomes of log records between their door and the store: secrets are replaced.

In: the columns of a batch of records (`store/logcolumns.py`), whichever door they came by. Out: the columns that are stored,
and a function that counts what was done, called once they are: a batch that is tried again is not counted twice.
"""

from __future__ import annotations

import pyarrow as pa

from aiprism.receive.redaction import Redaction
from aiprism.store.writing import Treated
from aiprism.telemetry import Telemetry


class LogTreatment:
    """`treat(rows)`, as it was last configured. May be called from any thread."""

    def __init__(self, telemetry: Telemetry, redact: Redaction) -> None:
        self._telemetry, self._redact = telemetry, redact

    def reload(self, redact: Redaction) -> None:
        """What comes from now on is treated so."""
        self._redact = redact

    def treat(self, rows: pa.Table) -> Treated:
        """The records as they are to be stored."""
        kept, secrets = self._redact.columns(rows)

        def count() -> None:
            for kind, number in secrets.items():
                self._telemetry.redacted(kind, number)

        return Treated(kept, count)

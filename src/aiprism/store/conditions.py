"""Which rows of the store are of a selection of series: the conditions that find them, and whose they are when found.

In: a selection and a time window. Out: what stands after FROM and WHERE, with its parameters; for fingerprints that came
back, their rows in the selection. What is read of the rows is left to samples.py and grids.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store.columns import Ints
from aiprism.store.corrections import corrected
from aiprism.store.rollups import Source
from aiprism.store.series import Selection

# A list of fingerprints in the statement costs about 3 µs each; reading a metric's other series costs more beyond these.
_LIST_AT_MOST = 64
_LIST_SHARE = 8


def relation(selection: Selection, source: Source, after_ms: int, until_ms: int, *, always_list: bool = False) -> str:
    """What stands after FROM; binds what `rows_where` binds, for the same times."""
    whose, _ = series_where(selection, always_list=always_list)
    first, last = selection.corrected_ms or (until_ms, after_ms)
    if last <= after_ms or first > until_ms:
        return source.relation(whose)
    where, _ = rows_where(selection, after_ms, until_ms, stale=True, always_list=always_list)
    return source.relation(whose, corrected(where))


def rows_where(
    selection: Selection, after_ms: int, until_ms: int, *, stale: bool, always_list: bool = False
) -> tuple[str, dict[str, Any]]:
    """The condition that finds the samples, and its parameters. It may let other series of the same metrics through
    (see `rows_of`), unless `always_list`."""
    whose, parameters = series_where(selection, always_list=always_list)
    parts = [
        whose,
        "ts > fromUnixTimestamp64Milli({after:Int64}, 'UTC')",
        "ts <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')",
    ]
    if not stale:
        parts.append(f"reinterpretAsUInt64(value) != {STALE_NAN_BITS}")
    return " AND ".join(parts), parameters | {"after": after_ms, "until": until_ms}


def series_where(selection: Selection, *, always_list: bool = False) -> tuple[str, dict[str, Any]]:
    """As `rows_where`, without times."""
    parameters: dict[str, Any] = {}
    if len(selection.metrics) == 1:
        whose, parameters["metric"] = "metric = {metric:String}", selection.metrics[0]
    else:
        whose, parameters["metric"] = "metric IN {metric:Array(String)}", list(selection.metrics)
    chosen = len(selection)
    if chosen < selection.of and (always_list or chosen <= max(_LIST_AT_MOST, selection.of // _LIST_SHARE)):
        whose += " AND fp IN {fps:Array(UInt64)}"
        # As text: the client would write each number on its own, at ten times the cost.
        parameters["fps"] = f"[{','.join(map(str, selection.fps.tolist()))}]"
    return whose, parameters


def rows_of(selection: Selection, fps: NDArray[np.uint64]) -> Ints:
    """For each fingerprint its row in the selection, -1 for one that is not in it."""
    order, ordered = selection.ascending()
    slots = np.minimum(np.searchsorted(ordered, fps), len(ordered) - 1)
    return np.where(ordered[slots] == fps, order[slots], -1)

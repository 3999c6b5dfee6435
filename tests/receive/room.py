"""A series index with room for so many more series, for decoders to admit into."""

from __future__ import annotations

from collections.abc import Sequence

from aiprism.errors import TooMany
from aiprism.model.labels import Labels
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted

LIMIT = "ingest.max_series"


class Room:
    """`admit` for decoders; `left` is for how many more series there is room, `asked` how many it was asked for."""

    def __init__(self, left: int = 10**9) -> None:
        self.index, self.left, self.asked = SeriesIndex(), left, list[int]()

    def admit(self, sets: Sequence[Labels]) -> Admitted:
        self.asked.append(len(sets))
        refusal: TooMany | None = None

        def room(fresh: int) -> int:
            nonlocal refusal
            some = min(fresh, self.left)
            self.left -= some
            if some < fresh:
                refusal = TooMany(f"no room for {fresh - some} ({LIMIT})", details={"limit": LIMIT}, retry_after=7)
            return some

        return Admitted(self.index.admit(sets, 0.0, room), refusal)

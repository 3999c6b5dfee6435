"""Values as decimal fractions: a whole number and how many decimals it has, which costs a third less than the bits of floats.

In: values with the positions of their series. Out: the columns `scaled` and `unscaled` of `samples`, out of which its alias
`value` gives each value back bit for bit (sql/0007_decimal_samples.sql, docs/adr/0007). A series keeps to the most decimals
it has ever shown: whole numbers of one scale differ by little from one sample to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprism.store.columns import Floats, Growing, Ints

MOST_PLACES = 9  # nanoseconds in seconds; what seems to have more is a float by nature
_POWERS = 10.0 ** np.arange(MOST_PLACES + 1)
# Up to this a float says a whole number exactly, and divided by a power of ten it is rounded only once.
_EXACT = 1 << 53
# Of floats by nature less than one in a hundred is by chance a fraction with a numerator this small.
_BY_DESIGN = 1 << 46
_LIMITS = _BY_DESIGN / _POWERS[::-1]  # a value below the first may have the most decimals


class Decimals:
    """Remembers of each series how many decimals it has shown. One thread at a time."""

    def __init__(self) -> None:
        self._places = Growing(np.uint8)  # by position

    def split(self, positions: Ints, values: Floats) -> tuple[Ints, Floats]:
        """`scaled` (sixteen times the whole number, plus one and the decimals, or 0) and `unscaled` (the value, or 0)."""
        self._places.reach(int(positions.max(initial=-1)) + 1)
        known = self._places.view()
        places = known[positions]
        whole, exact = _whole(values, places)
        missed = np.flatnonzero(~exact)
        scaled, unscaled = _packed(whole, places), np.zeros(len(values))
        if len(missed):
            scaled[missed], unscaled[missed] = 0, values[missed]
            own, decimal = _fewest_places(values[missed])
            at, own = missed[decimal], own[decimal]
            np.maximum.at(known, positions[at], own)
            unscaled[at] = 0.0
            of_series = known[positions[at]]
            _, exact = _whole(values[at], of_series)
            wanted = np.where(exact, of_series, own)  # its own where those of its series are too many for it
            whole, _ = _whole(values[at], wanted)
            scaled[at] = _packed(whole, wanted)
        return scaled, unscaled


def joined(scaled: Ints, unscaled: Floats) -> Floats:
    """The values that were split, as the alias `value` gives them."""
    values: Floats = (scaled >> 4) / _POWERS[np.maximum((scaled & 15) - 1, 0)]
    return values if scaled.all() else np.where(scaled == 0, unscaled, values)


def _packed(whole: Ints, places: NDArray[np.uint8]) -> Ints:
    packed = whole << 4
    packed += places
    packed += 1
    return packed


def _whole(values: Floats, places: NDArray[np.uint8]) -> tuple[Ints, NDArray[np.bool_]]:
    """Each value times ten to its places as a whole number, and whether that over the power of ten is the value again."""
    powers = _POWERS[places]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not a number or too great is not found again
        whole = np.rint(values * powers).astype(np.int64)
    again = (whole / powers).view(np.uint64) == values.view(np.uint64)  # bits: -0.0 is no 0
    return whole, again & ((whole + _EXACT).view(np.uint64) < 2 * _EXACT)


def _fewest_places(values: Floats) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """With how few decimals each value can be written, and whether it can."""
    places = (MOST_PLACES - np.searchsorted(_LIMITS[:-1], np.abs(values), side="right")).astype(np.uint8)
    # What can be written with few decimals can be with as many as there is room for.
    _, decimal = _whole(values, places)
    left = np.flatnonzero(decimal)
    for number in range(MOST_PLACES):
        _, fits = _whole(values[left], np.full(len(left), number, np.uint8))
        places[left[fits]] = number
        left = left[~fits]
    return places, decimal

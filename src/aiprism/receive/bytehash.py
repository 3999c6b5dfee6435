"""Bytes known by a hash, for compiled code: 64 bits, salted so that nobody can aim at a collision.

In: bytes where they lie in a body and words, one after the other. Out: a hash, and the position that a FingerprintTable of
store/columns.py holds under it. Importing this module imports numba: do it when the first body arrives.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from aiprism.store.wire import fixed64, inlined


@inlined
def multiplier(salt):
    """The number that hashes salted so multiply by: odd, and secret as the salt is."""
    return finished(salt ^ np.uint64(0x9FB21C651E98DF25)) | np.uint64(1)


@inlined
def mixed(state, word, by):
    """`state` with one more word stirred in.

    Both the state and the multiplier are secret: with a constant multiplier some bits of a word turn the same bits of the
    state whatever the salt, and the next word can turn them back.
    """
    return _folded(state ^ word, by)


@inlined
def hashed(buf, at, end, state, by):
    """`state` and the bytes from `at` to `end`, and how many they are, stirred together."""
    state = mixed(state, np.uint64(end - at), by)
    while at + 8 <= end:
        state = mixed(state, fixed64(buf, at), by)
        at += 8
    if at < end:
        word = np.uint64(0)
        shift = np.uint64(0)
        while at < end:
            word |= np.uint64(buf[np.uint64(at)]) << shift
            shift += np.uint64(8)
            at += 1
        state = mixed(state, word, by)
    return state


@inlined
def finished(state):
    """The hash that `state` comes to: every bit of it depends on every bit that went in."""
    state = (state ^ (state >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return state ^ (state >> np.uint64(32))


@inlined
def position(keys, places, state):
    """The position that a FingerprintTable of these `keys` and `places` holds under a hash, -1 when it has none."""
    mask = np.uint64(len(keys) - 1)
    slot = state & mask
    while places[slot] >= 0:
        if keys[slot] == state:
            return np.int64(places[slot])
        slot = (slot + np.uint64(1)) & mask
    return -1


@intrinsic
def _folded(context, one, other):
    """The two halves of the 128-bit product of two words, one over the other."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return builder.xor(builder.trunc(product, ir.IntType(64)), high)

    return types.uint64(types.uint64, types.uint64), generate

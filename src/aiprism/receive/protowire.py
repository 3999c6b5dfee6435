"""The protobuf wire format for compiled code: numbers, lengths and hashes read from bytes where they lie.

Everything takes an array of bytes, a place in it and the end of the message at hand; no read goes past that end. A place
of -1 stands for "not well formed". Importing this module imports numba: do it when the first body arrives. The compiled
code is kept beside the source, or in the user's cache directory, when that can be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """`function` as machine code that runs beside other threads, kept on disk for the next start where that can be."""
    try:
        made: F = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no directory that the compiled code could be kept in
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return made


def inlined(function: F) -> F:
    """`function` as a part of the compiled functions that call it."""
    made: F = numba.njit(nogil=True, error_model="numpy", inline="always")(function)
    return made


@intrinsic
def octet_at(context, octets, at):
    """One byte. Plain indexing would look for negative indices each time."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        octet = builder.load(builder.gep(array.data, [arguments[1]]))
        return builder.zext(octet, ir.IntType(64))

    return types.uint64(octets, at), generate


@intrinsic
def word_at(context, octets, at):
    """Eight bytes as one number, in the machine's order; the caller has checked that they are there."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(start, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(octets, at), generate


@inlined
def varint(octets, at, end):
    """(value, where it ends)."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        octet = octet_at(octets, at)
        at += 1
        value |= (octet & np.uint64(0x7F)) << shift
        if octet < np.uint64(0x80):
            return value, at
        shift += np.uint64(7)
        if shift > np.uint64(63):
            break
    return np.uint64(0), -1


@inlined
def length(octets, at, end):
    """(start, end) of the bytes of a length-delimited field."""
    size, at = varint(octets, at, end)
    if at < 0 or size > np.uint64(end - at):
        return -1, -1
    return at, at + np.int64(size)


@compiled
def skipped(octets, tag, at, end):
    """Where the field with that tag ends."""
    wire = tag & np.uint64(7)
    if tag >> np.uint64(3) == np.uint64(0):
        return -1
    if wire == np.uint64(0):
        return varint(octets, at, end)[1]
    if wire == np.uint64(1):
        return at + 8 if at + 8 <= end else -1
    if wire == np.uint64(2):
        return length(octets, at, end)[1]
    if wire == np.uint64(5):
        return at + 4 if at + 4 <= end else -1
    return -1  # groups: not in these messages, gone from protobuf


@intrinsic
def folded(context, one, other):
    """The two halves of the 128-bit product of two words, one over the other."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return builder.xor(builder.trunc(product, ir.IntType(64)), high)

    return types.uint64(types.uint64, types.uint64), generate


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
    return folded(state ^ word, by)


@inlined
def hashed(octets, at, end, state, by):
    """`state` and the bytes from `at` to `end`, and how many they are, stirred together."""
    state = mixed(state, np.uint64(end - at), by)
    while at + 8 <= end:
        state = mixed(state, word_at(octets, at), by)
        at += 8
    if at < end:
        word = np.uint64(0)
        shift = np.uint64(0)
        while at < end:
            word |= octet_at(octets, at) << shift
            shift += np.uint64(8)
            at += 1
        state = mixed(state, word, by)
    return state


@inlined
def finished(state):
    """The hash that `state` comes to: every bit of it depends on every bit that went in."""
    state = (state ^ (state >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return state ^ (state >> np.uint64(32))

"""Bodies before anybody parses them: decompressed, and never larger than allowed.

In: bytes as sent, with their Content-Encoding. Out: plain bytes. A zip bomb ends at the limit, not in memory.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable, Iterator

import pyarrow as pa

from aiprism.errors import BadInput, TooLarge, Unsupported

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STEP = 1024 * 1024
_SLICE = 64 * 1024  # of the input at a time, so that what is left over is never copied as a whole
_MAX_MEMBERS = 1000
_SNAPPY_GAIN = 64  # an element of two bytes or more yields 64 at most


def inflated(body: bytes, encoding: str, limit: int, grow: Callable[[int], None] = lambda size: None) -> bytes:
    """`body` without its Content-Encoding (identity, gzip, deflate, zstd, snappy blocks), at most `limit` bytes.

    `grow` is told of each part before it is kept, and may raise to end it there. Raises Unsupported for another encoding,
    BadInput for damaged data, TooLarge over the limit.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _within(body, limit)
    if name == "snappy":
        return _unsnapped(body, limit, grow)
    expand = _EXPANDERS.get(name)
    if expand is None:
        raise Unsupported(
            f"Content-Encoding {encoding!r} is not supported; use gzip, zstd, deflate, snappy or identity"
        )
    whole, size = io.BytesIO(), 0  # gives its buffer away as bytes, where joining parts would hold everything twice
    try:
        for part in expand(body):
            size += len(part)
            if size > limit:
                raise TooLarge(
                    f"the body inflates to more than {limit} bytes (ingest.inflated_bytes); send smaller batches"
                )
            grow(len(part))
            whole.write(part)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise BadInput(f"the body is not valid {name}: {error}") from None
    return whole.getvalue()


def _unsnapped(body: bytes, limit: int, grow: Callable[[int], None]) -> bytes:
    size, at = 0, 0
    while True:  # what the body says it holds: a varint of at most 32 bits before the blocks, believed only so far
        if at >= len(body) or at > 4:
            raise BadInput("the body is not valid snappy: it does not begin with a length")
        size |= (body[at] & 0x7F) << 7 * at
        at += 1
        if body[at - 1] < 0x80:
            break
    if size > limit:
        raise TooLarge(f"the body inflates to more than {limit} bytes (ingest.inflated_bytes); send smaller batches")
    if size > _SNAPPY_GAIN * len(body):
        raise BadInput("the body is not valid snappy: it claims more than it can hold")
    grow(size)
    try:
        return bytes(pa.Codec("snappy").decompress(body, size, asbytes=True)) if size else b""
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(f"the body is not valid snappy: {error}") from None


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes (ingest.inflated_bytes); send smaller batches")
    return body


def _zlib(body: bytes, window: int) -> Iterator[bytes]:
    # Concatenated members are legal gzip (RFC 1952 §2.2), so go on while input is left.
    at, members = 0, 0
    while at < len(body):
        stream, members = zlib.decompressobj(window), _counted(members)
        while not stream.eof:
            piece = stream.unconsumed_tail or body[at : at + _SLICE]
            if not piece:
                raise EOFError("it ends before its end marker")
            at += 0 if stream.unconsumed_tail else len(piece)
            yield stream.decompress(piece, _STEP)
        at -= len(stream.unused_data)


def _zstd(body: bytes) -> Iterator[bytes]:
    at, members = 0, 0
    while at < len(body):
        stream, members = zstd.ZstdDecompressor(), _counted(members)
        while not stream.eof:
            piece = body[at : at + _SLICE] if stream.needs_input else b""
            if stream.needs_input and not piece:
                raise EOFError("it ends before its end marker")
            at += len(piece)
            yield stream.decompress(piece, _STEP)
        at -= len(stream.unused_data)


def _counted(members: int) -> int:
    # Empty members cost work and yield nothing, so the size limit would never end them.
    if members >= _MAX_MEMBERS:
        raise BadInput(f"the body has more than {_MAX_MEMBERS} compressed members")
    return members + 1


_EXPANDERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": lambda body: _zlib(body, 16 + zlib.MAX_WBITS),
    "deflate": lambda body: _zlib(body, zlib.MAX_WBITS),
    "zstd": _zstd,
}

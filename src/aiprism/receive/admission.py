"""Bodies before anybody parses them: decompressed, and never larger than allowed.

In: bytes as sent, with their Content-Encoding. Out: plain bytes. A zip bomb ends at the limit, not in memory.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator

from aiprism.errors import BadInput, TooLarge, Unsupported

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STEP = 1024 * 1024


def inflated(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` without its Content-Encoding (identity, gzip, deflate, zstd), at most `limit` bytes.

    Raises Unsupported for another encoding, BadInput for damaged data, TooLarge over the limit.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _within(body, limit)
    expand = _EXPANDERS.get(name)
    if expand is None:
        raise Unsupported(f"Content-Encoding {encoding!r} is not supported; use gzip, zstd, deflate or identity")
    parts, size = [], 0
    try:
        for part in expand(body):
            size += len(part)
            if size > limit:
                raise TooLarge(
                    f"the body inflates to more than {limit} bytes (ingest.inflated_bytes); send smaller batches"
                )
            parts.append(part)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise BadInput(f"the body is not valid {name}: {error}") from None
    return b"".join(parts)


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes (ingest.inflated_bytes); send smaller batches")
    return body


def _zlib(body: bytes, window: int) -> Iterator[bytes]:
    # Concatenated members are legal gzip (RFC 1952 §2.2), so go on while input is left.
    left = body
    while left:
        stream = zlib.decompressobj(window)
        yield stream.decompress(left, _STEP)
        while stream.unconsumed_tail:
            yield stream.decompress(stream.unconsumed_tail, _STEP)
        if not stream.eof:
            raise EOFError("it ends before its end marker")
        left = stream.unused_data


def _zstd(body: bytes) -> Iterator[bytes]:
    left = body
    while left:
        stream = zstd.ZstdDecompressor()
        yield stream.decompress(left, _STEP)
        while not stream.eof:
            if stream.needs_input:
                raise EOFError("it ends before its end marker")
            yield stream.decompress(b"", _STEP)
        left = stream.unused_data


_EXPANDERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": lambda body: _zlib(body, 16 + zlib.MAX_WBITS),
    "deflate": lambda body: _zlib(body, zlib.MAX_WBITS),
    "zstd": _zstd,
}

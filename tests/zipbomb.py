"""A small body that is a large one once it is inflated."""

from __future__ import annotations

import struct
import zlib

_PIECE, _PIECES = b"\0" * 1_000_000, 200


def _gzip() -> bytes:
    # RFC 1951: what is compressed up to a full flush stands by itself, so one piece is compressed and repeated.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(_PIECE) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(_PIECES):
        checksum = zlib.crc32(_PIECE, checksum)
    return b"".join(
        [
            b"\x1f\x8b\x08\0\0\0\0\0\0\xff",  # RFC 1952: deflate, no flags, no time, no system
            piece * _PIECES,
            zlib.compressobj(9, zlib.DEFLATED, -15).flush(),
            struct.pack("<II", checksum, len(_PIECE) * _PIECES),
        ]
    )


ZIP_BOMB = _gzip()

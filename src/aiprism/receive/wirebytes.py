"""Protobuf messages put together from bytes that are there already."""

from __future__ import annotations


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field.

    >>> field(1, b"ab")
    b'\\n\\x02ab'
    """
    return header(number, len(content)) + content


def header(number: int, size: int) -> bytes:
    """What comes before the `size` bytes of a length-delimited field.

    >>> header(1, 300)
    b'\\n\\xac\\x02'
    """
    return varint(number << 3 | 2) + varint(size)


def varint(value: int) -> bytes:
    """A number of seven bits a byte.

    >>> varint(300)
    b'\\xac\\x02'
    """
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)

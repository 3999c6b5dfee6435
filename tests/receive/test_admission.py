"""Bodies before anybody parses them."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Callable

import pyarrow as pa
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput, TooLarge, Unsupported
from aiprism.receive.admission import inflated


def snappy(body: bytes) -> bytes:
    return bytes(pa.Codec("snappy").compress(body, asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "snappy": snappy,
    "GZIP": gzip.compress,
}


@given(st.binary(max_size=5000), st.sampled_from(sorted(COMPRESS)))
def test_what_was_compressed_comes_back(body: bytes, encoding: str) -> None:
    assert inflated(COMPRESS[encoding](body), encoding, 10_000) == body


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy", ""])
def test_a_bomb_ends_at_the_limit(encoding: str) -> None:
    with pytest.raises(TooLarge, match=r"ingest\.inflated_bytes"):
        inflated(COMPRESS[encoding](b"\0" * 50_000_000), encoding, 1_000_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
@given(garbage=st.binary(max_size=200))
def test_garbage_is_bad_input_and_nothing_else(encoding: str, garbage: bytes) -> None:
    with contextlib.suppress(BadInput, TooLarge):
        inflated(garbage, encoding, 100_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
def test_a_body_cut_short_is_bad_input(encoding: str) -> None:
    whole = COMPRESS[encoding](bytes(range(256)) * 40)
    with pytest.raises(BadInput):
        inflated(whole[:-6], encoding, 100_000)


def test_two_gzip_members_are_one_body() -> None:
    assert inflated(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", 100) == b"one two"


def test_an_unknown_encoding_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="'br'"):
        inflated(b"", "br", 100)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_of_countless_empty_members_is_refused(encoding: str) -> None:
    with pytest.raises(BadInput, match="members"):
        inflated(COMPRESS[encoding](b"") * 100_000, encoding, 1_000_000)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_members_of_any_size_are_put_together(encoding: str) -> None:
    parts = [bytes([at]) * (at * 40_000) for at in range(5)]
    assert inflated(b"".join(COMPRESS[encoding](part) for part in parts), encoding, 1_000_000) == b"".join(parts)

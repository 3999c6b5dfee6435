"""The beginning of an HTTP answer: as much as we look at, however much the other side sends.

In: a response that is being streamed. Out: its first characters. Time limits are the caller's.
"""

from __future__ import annotations

import httpx

_MOST = 64 * 1024
# To be sent with the request: a few compressed bytes could become any number.
PLAIN = {"Accept-Encoding": "identity"}


async def beginning(response: httpx.Response, most: int = _MOST) -> str:
    """The text in the first 64 KiB of the body, or in `most` bytes; the rest is not read."""
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk[: most - len(read)]
        if len(read) >= most:
            break
    return read.decode("utf-8", "replace")

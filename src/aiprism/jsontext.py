"""JSON that others wrote, refused where a text in it holds half of a surrogate pair: no file, answer or database could hold that.

`json.loads` takes what RFC 8259 (section 8.2) leaves open. All doors read by `loads`, or look at what they read by `whole`.
"""

from __future__ import annotations

import json
import re
from typing import Any

# An escape of a half, one in bytes, or another encoding than UTF-8, of which `json.loads` takes some.
_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|\x00")


class LoneSurrogate(ValueError):
    """Half of a surrogate pair stands alone."""

    def __init__(self) -> None:
        super().__init__("half of a surrogate pair stands alone in it")


def loads(text: str | bytes) -> Any:
    r"""The document in `text`; ValueError for what is none, or none that can be written again.

    >>> loads(b'"\\ud83d\\ude00"')
    '😀'
    """
    return whole(json.loads(text), text)


def whole(document: Any, text: str | bytes) -> Any:
    """The document that was read from `text`; LoneSurrogate when it could not be written again."""
    if _SUSPECT.search(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text):
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise LoneSurrogate from None
    return document

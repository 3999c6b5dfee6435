"""How a webhook is believed, and read: what its sender signs or shows is compared with a secret, then its body is taken apart.

In: headers, body, secret. Out: JSON, or Forbidden and BadInput in words. All comparisons take constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aiprism import jsontext
from aiprism.errors import BadInput, Refused
from aiprism.httpconfig import Secret


class Forbidden(Refused):
    """Whoever sent this does not know the secret, or sent it too long ago."""

    status, code = 403, "forbidden"


def keys_of(secret: Secret) -> list[str]:
    """The secrets in `secret`: several are separated by spaces or commas, as each webhook may have its own."""
    return [key for key in re.split(r"[\s,]+", secret.reveal()) if key]


def hmac_of(key: str, body: bytes) -> str:
    """The HMAC-SHA256 of `body`, hexadecimal."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def any_equal(right: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether one of `shown` is one of `right`; all are compared, each in constant time."""
    found = [hmac.compare_digest(one.encode(), other.encode()) for one in right for other in shown]
    return any(found)


def bearer(headers: Mapping[str, str], secret: Secret, setting: str) -> None:
    """Forbidden unless a bearer token that `secret` names is shown; `setting` is where the secret stands."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not any_equal([*keys_of(secret), secret.reveal()], [token.strip()]):
        raise Forbidden(f"show {setting}: give the webhook the header Authorization: Bearer <secret>")


def json_object(text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text`; BadInput names it as `what`."""
    try:
        found = jsontext.loads(text)
    except jsontext.LoneSurrogate as error:
        raise BadInput(f"{what} is no JSON: {error}") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{what} is no JSON") from None
    if not isinstance(found, dict):
        raise BadInput(f"{what} is no JSON object")
    return found


def part(whole: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object that stands in `whole` under `key`; BadInput when there is none."""
    found = whole.get(key)
    if not isinstance(found, dict):
        raise BadInput(f"{key!r} is missing, or no object")
    return found


def moment(text: object, key: str) -> float:
    """The time that `text` says in ISO 8601, as Unix seconds; BadInput names it as `key`."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(f"{key}: {text!r} is no time; write for example 2026-11-23T14:15:00Z") from None

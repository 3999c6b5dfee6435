"""The exception tree: what went wrong, where, and what to do about it.

AiprismError
├── ConfigError        a file we read is wrong; carries file, line and key
├── Refused            a request we will not serve; becomes a 4xx/5xx at the edge
│   ├── BadInput         400  malformed body, query or parameter
│   ├── Forbidden        403  who asks may not do this
│   ├── TooSlow          408  a body that did not arrive in time
│   ├── TooLarge         413  body over a size limit, before or after decompression
│   ├── Unsupported      415  content type or encoding we do not speak
│   ├── LimitExceeded    422  a query needs more than its limit allows
│   ├── Cancelled        499  who asked has hung up
│   ├── TooMany          429  a tenant is over its rate or its series limit
│   ├── NotFound         404
│   ├── Conflict         409  the state does not allow this move
│   └── Unavailable      503  the store or a dependency is away; carries retry_after seconds
│       └── TimedOut     503  a query ran longer than it may
└── StoreError         the engine refused a statement (the text of its answer inside)
"""

from __future__ import annotations

from collections.abc import Mapping


class AiprismError(Exception):
    """Every error aiprism raises on purpose."""


class ConfigError(AiprismError):
    """A file we were given is wrong.

    >>> print(ConfigError("unknown key 'recievers'; did you mean 'receivers'?", file="am.yml", line=3))
    am.yml:3: unknown key 'recievers'; did you mean 'receivers'?
    """

    def __init__(self, message: str, *, file: str = "", line: int = 0) -> None:
        self.message, self.file, self.line = message, file, line
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{message}")


class Refused(AiprismError):
    """A request that will not be served; `status` is its HTTP answer, `code` its stable name."""

    status = 400
    code = "refused"
    retry_after: float | None = None  # seconds after which the same request may be served; None: it will not be

    def __init__(self, message: str, *, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})


class BadInput(Refused):
    """Malformed body, query or parameter."""

    status, code = 400, "bad_data"


class Forbidden(Refused):
    """Who asks may not do this; the message says who may."""

    status, code = 403, "forbidden"


class TooSlow(Refused):
    """A body that did not arrive in time."""

    status, code = 408, "too_slow"


class TooLarge(Refused):
    """A body over a size limit, before or after decompression."""

    status, code = 413, "too_large"


class Unsupported(Refused):
    """A content type or encoding we do not speak."""

    status, code = 415, "unsupported_media_type"


class LimitExceeded(Refused):
    """A query that needs more than its limit allows; the message names the limit."""

    status, code = 422, "limit_exceeded"


class Cancelled(Refused):
    """Nobody waits for the answer any more; 499 is what nginx and Prometheus write down for it."""

    status, code = 499, "cancelled"


class TooMany(Refused):
    """A tenant over its rate or series limit; the message names limit and tenant."""

    status, code = 429, "too_many"

    def __init__(
        self, message: str, *, retry_after: float | None = None, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, details=details)
        self.retry_after = retry_after


class NotFound(Refused):
    """Nothing of that name or id."""

    status, code = 404, "not_found"


class Conflict(Refused):
    """The present state does not allow this move."""

    status, code = 409, "conflict"


class Unavailable(Refused):
    """A dependency is away; the sender should come again after `retry_after` seconds."""

    status, code = 503, "unavailable"

    def __init__(self, message: str, *, retry_after: float = 5.0, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message, details=details)
        self.retry_after = retry_after


class TimedOut(Unavailable):
    """A query that ran longer than it may."""

    code = "timeout"


class StoreError(AiprismError):
    """ClickHouse refused a statement; `code` is its error number (0 when it gave none)."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

"""The Fluent forward protocol, version 1, as Fluentd, Fluent Bit and the Fluent loggers of languages speak it.

In: MessagePack objects of a connection. Out: `Chunk`s (Message, Forward, PackedForward and CompressedPackedForward mode),
their log records, and the messages of the handshake with a shared key and users. Fields are read as fields.py reads them;
the tag is kept as `fluent.tag` and names the service of records that name none.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgpack

from aiprism.errors import BadInput, Unsupported
from aiprism.receive import fields
from aiprism.receive.admission import inflated
from aiprism.receive.items import Bounds, OutOfBounds
from aiprism.receive.loglines import LogLines, nanoseconds
from aiprism.receive.otlp import Accepted

# Fluentd refuses a server that has its own name, and may well run on this machine.
SERVER_NAME = "aiprism"
_EVENT_TIME = 0  # MessagePack extension type: seconds and nanoseconds
_LOGS = 0  # Fluent Bit's `fluent_signal`; it sends metrics (1) and traces (2) in forms of its own
_MOST_FIELDS, _MOST_ENTRIES = 10_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events of one tag: a MessagePack stream of them, or a list. `acknowledge` is what the sender waits for, if it does."""

    tag: str
    entries: bytes | Sequence[object]
    size: int
    acknowledge: str | bytes = ""


class Events:
    """The objects in a connection's bytes. Holds at most `limit` bytes of one that is not whole yet."""

    def __init__(self, limit: int) -> None:
        # Fluentd sends packed entries as text (an older MessagePack had no bytes), so what is no text must survive.
        self._unpacker = _unpacker(limit, "surrogateescape")
        self._at = self._fed = 0

    @property
    def pending(self) -> int:
        """Bytes of the object that is not whole yet."""
        return self._fed - self._at

    def feed(self, data: bytes) -> list[tuple[object, int]]:
        """(object, its size) of those that are whole with `data`; BadInput when this is no MessagePack or over the limit."""
        try:
            self._unpacker.feed(data)
            self._fed += len(data)
            return list(self._whole())
        except msgpack.BufferFull:
            raise BadInput(
                "a chunk is larger than streams.chunk_bytes; set chunk_limit_size of the sender lower"
            ) from None
        except _DAMAGE as error:
            raise BadInput(f"this is no MessagePack of the forward protocol: {error!r}") from None

    def _whole(self) -> Iterator[tuple[object, int]]:
        for found in self._unpacker:
            at = self._unpacker.tell()
            yield found, at - self._at
            self._at = at


def chunk_of(message: object, size: int, limit: int, grow: Callable[[int], None] = lambda size: None) -> Chunk | None:
    """The chunk that `message` is; None for a heartbeat. BadInput when it is neither, or inflates to over `limit` bytes.

    `grow` is told of each part that is inflated before it is kept, and may raise to end it there.
    """
    try:
        return None if message is None else _chunk(message, size, limit, grow)
    except RecursionError:
        raise BadInput("a record is nested too deeply") from None


def records(chunks: Sequence[Chunk], now_ns: int, within: Bounds | None = None) -> Accepted:
    """The log records of `chunks`; an entry that is none stays behind and is counted."""
    lines, rejected, reason = LogLines(now_ns, within), 0, ""
    for chunk in chunks:
        known = {"fluent.tag": chunk.tag}
        try:
            for time, record in _entries(chunk.entries):
                with suppress(OutOfBounds):  # counted there
                    lines.add(*fields.record_of(record, service=chunk.tag, extra=known, time_ns=_time_ns(time)))
        except (BadInput, RecursionError) as fault:
            rejected += 1
            reason = reason or (str(fault) if isinstance(fault, BadInput) else "a record is nested too deeply")
    accepted = lines.accepted()
    return replace(accepted, rejected=accepted.rejected + rejected, reason=accepted.reason or reason)


def acknowledgement(identity: str | bytes) -> bytes:
    """What tells a sender that its chunk is stored."""
    return _packed({"ack": identity})


# -- the handshake ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handshake:
    """What one connection is asked: the shared key, and when there are `users` a name of them with its password.

    `nonce` and `salt` are random bytes of this connection, so that nobody can say what was overheard on another.
    """

    shared_key: str
    nonce: bytes
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    salt: bytes = b""

    def helo(self) -> bytes:
        """The server's first message: whoever goes on must know what is asked."""
        salt = self.salt if self.users else b""  # empty: no user is asked for
        return _packed(["HELO", {"nonce": self.nonce, "auth": salt, "keepalive": True}])

    def pong(self, ping: object) -> tuple[str, bytes]:
        """(what the sender does not know, the answer to it), nothing when it is let in; BadInput when `ping` is no PING."""
        if not isinstance(ping, list) or len(ping) < 4 or not all(isinstance(part, str | bytes) for part in ping[:6]):
            raise BadInput(_NO_PING)
        kind, host, salt, shown, user, password = (_bytes(part) for part in [*ping[:6], b"", b""][:6])
        if kind != b"PING":
            raise BadInput(_NO_PING)
        key = self.shared_key.encode()
        if not hmac.compare_digest(_digest(salt, host, self.nonce, key), shown):
            return "shared_key", _packed(["PONG", False, "shared key mismatch", "", ""])
        if self.users and not self._is_user(user, password):
            return "user", _packed(["PONG", False, "username/password mismatch", "", ""])
        ours = _digest(salt, SERVER_NAME.encode(), self.nonce, key).decode()
        return "", _packed(["PONG", True, "", SERVER_NAME, ours])

    def _is_user(self, name: bytes, shown: bytes) -> bool:
        password = self.users.get(_text(name))
        # Of a name that is none the same is computed: the time of the answer does not tell which it was.
        wanted = _digest(self.salt, name, (password or "").encode())
        return hmac.compare_digest(wanted, shown) and password is not None


_NO_PING = "the forward protocol's doors ask for the shared key first: expected a PING message"


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).hexdigest().encode()


# -- inside ----------------------------------------------------------------------------------------------------------

_DAMAGE = (msgpack.UnpackException, ValueError, TypeError, OverflowError, RecursionError)


def _chunk(message: object, size: int, limit: int, grow: Callable[[int], None]) -> Chunk:
    if not isinstance(message, list) or not 2 <= len(message) <= 4 or not isinstance(message[0], str | bytes):
        raise BadInput("a message of the forward protocol is [tag, entries, option] or [tag, time, record, option]")
    tag, entries = _text(message[0]), message[1]
    if isinstance(entries, list) and not _is_time(entries):
        option, found = _option(message, 2), Chunk(tag, [_cleaned(entry) for entry in entries], size)
    elif isinstance(entries, str | bytes):
        option, packed = _option(message, 2), entries if isinstance(entries, bytes) else _raw(entries)
        packed = _inflated(packed, option, limit, grow)
        found = Chunk(tag, packed, max(size, len(packed)))
    elif len(message) >= 3:
        option, found = _option(message, 3), Chunk(tag, [[entries, _cleaned(message[2])]], size)
    else:
        raise BadInput("a message of the forward protocol has a time and a record, or entries")
    if option.get("fluent_signal", _LOGS) != _LOGS:
        raise BadInput("Fluent Bit's metrics and traces come in by OTLP, not by the forward protocol")
    identity = option.get("chunk", "")
    return replace(found, acknowledge=identity) if isinstance(identity, str | bytes) else found


def _unpacker(limit: int, errors: str) -> msgpack.Unpacker:
    return msgpack.Unpacker(
        raw=False,
        unicode_errors=errors,
        strict_map_key=False,
        ext_hook=_extension,
        max_buffer_size=limit,
        max_map_len=_MOST_FIELDS,
        max_array_len=_MOST_ENTRIES,
        max_ext_len=64 * 1024,
    )


def _extension(kind: int, data: bytes) -> object:
    if kind == _EVENT_TIME and len(data) == 8:
        seconds, rest = struct.unpack(">II", data)
        return msgpack.ExtType(_EVENT_TIME, struct.pack(">Q", seconds * 1_000_000_000 + rest))
    return msgpack.ExtType(kind, data)


def _is_time(value: object) -> bool:
    """A time, or the [time, metadata] that Fluent Bit sends in its place."""
    if isinstance(value, list):
        return len(value) == 2 and isinstance(value[1], dict) and _is_time(value[0]) and not isinstance(value[0], list)
    return isinstance(value, int | float | msgpack.ExtType | msgpack.Timestamp) and not isinstance(value, bool)


def _time_ns(value: object) -> int:
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, msgpack.ExtType):
        found = int.from_bytes(value.data, "big")
        return found if 0 < found < 2**63 else 0
    if isinstance(value, msgpack.Timestamp):
        value = value.to_unix_nano()
    return nanoseconds(value) or 0


def _entries(entries: bytes | Sequence[object]) -> Iterator[tuple[object, dict[str, object]]]:
    found = _unpacked(entries) if isinstance(entries, bytes) else entries
    for entry in found:
        if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], dict) or not _is_time(entry[0]):
            raise BadInput("an entry of the forward protocol is [time, record]; the ones after it are left out")
        record = {
            key if type(key) is str else _key(key): value if type(value) is str else _value(value)
            for key, value in entry[1].items()
        }
        if isinstance(entry[0], list):
            record = {**{_key(key): _value(value) for key, value in entry[0][1].items()}, **record}
        yield entry[0], record


def _unpacked(packed: bytes) -> Iterator[object]:
    unpacker = _unpacker(max(1, len(packed)), "replace")
    unpacker.feed(packed)
    try:
        yield from unpacker
    except _DAMAGE as error:
        raise BadInput(f"packed entries are no MessagePack: {error!r}") from None
    if unpacker.tell() < len(packed):
        raise BadInput("the last of the packed entries is cut short")


def _option(message: Sequence[object], at: int) -> Mapping[object, object]:
    option = message[at] if len(message) > at else None
    return option if isinstance(option, dict) else {}


def _inflated(packed: bytes, option: Mapping[object, object], limit: int, grow: Callable[[int], None]) -> bytes:
    compressed = option.get("compressed", "text")
    if compressed == "text":
        return packed
    if compressed not in ("gzip", "zstd"):
        raise Unsupported(f"a chunk is compressed by {str(compressed)[:40]!r}; use gzip or zstd")
    return inflated(packed, str(compressed), limit, grow)


def _cleaned(value: object) -> object:
    """`value` with every text a text: bytes that are no UTF-8 have come as half surrogates."""
    if isinstance(value, str):
        return value if value.isascii() else _text(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    return value


def _key(key: object) -> str:
    return key if isinstance(key, str) else _text(key) if isinstance(key, bytes) else str(key)


def _value(value: object) -> object:
    if isinstance(value, str | int | float) or value is None:
        return value
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, dict):
        return {_key(key): _value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_value(each) for each in value]
    if isinstance(value, msgpack.ExtType):
        return value.data.hex()
    return str(value)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else _raw(value) if isinstance(value, str) else b""


def _text(value: str | bytes) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _packed(message: object) -> bytes:
    return bytes(msgpack.packb(message, unicode_errors="surrogateescape"))

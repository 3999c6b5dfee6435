"""The Fluent forward protocol: messages, records, handshake."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from typing import Any

import msgpack
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import BadInput, Refused
from aiprism.receive import fluent
from aiprism.receive.fluent import Chunk, Events, Handshake
from aiprism.store.anyvalue import json_value
from tests.receive.test_loglines import NOW, documents

AT = 1_795_525_200
EVENT_TIME = msgpack.ExtType(0, AT.to_bytes(4, "big") + (5).to_bytes(4, "big"))
LIMIT = 1_000_000
ONE = [EVENT_TIME, {"message": "one", "level": "warn", "n": 1}]
TWO = [AT, {"log": "two", b"raw": b"caf\xe9", "host": {"name": "web-1"}}]
PACKED = b"".join(msgpack.packb(each) for each in (ONE, TWO))

BOTH = [
    {"service": "app.web", "body": "one", "ts": AT * 10**9 + 5, "level": "warn", "attributes": {"n": 1, "fluent.tag": "app.web"}},
    {
        "service": "app.web",
        "body": "two",
        "ts": AT * 10**9,
        "level": "",
        "attributes": {"raw": "caf\N{REPLACEMENT CHARACTER}", "fluent.tag": "app.web"},
    },
]  # fmt: skip


def received(*messages: bytes, limit: int = LIMIT) -> list[Chunk]:
    events = Events(limit)
    found = [fluent.chunk_of(*each, limit) for message in messages for each in events.feed(message)]
    return [chunk for chunk in found if chunk]


def stored(*chunks: Chunk) -> list[dict[str, Any]]:
    request = ExportLogsServiceRequest.FromString(fluent.records(chunks, NOW).body)
    return [
        {
            "service": next(p.value.string_value for p in each.resource.attributes if p.key == "service.name"),
            "body": record.body.string_value,
            "ts": record.time_unix_nano,
            "level": record.severity_text,
            "attributes": {p.key: json_value(p.value) for p in record.attributes},
        }
        for each in request.resource_logs
        for scope in each.scope_logs
        for record in scope.log_records
    ]


OPTION = {"chunk": "id-1", "size": 2}
MODES = {
    "forward": msgpack.packb(["app.web", [ONE, TWO], OPTION]),
    "packed forward": msgpack.packb(["app.web", PACKED, OPTION]),
    "packed forward, as text": msgpack.packb([b"app.web", PACKED, OPTION], use_bin_type=False),
    "compressed": msgpack.packb(["app.web", gzip.compress(PACKED), {**OPTION, "compressed": "gzip"}]),
    "compressed in two members": msgpack.packb(
        [
            "app.web",
            gzip.compress(msgpack.packb(ONE)) + gzip.compress(msgpack.packb(TWO)),
            {**OPTION, "compressed": "gzip"},
        ]
    ),
    "compressed by zstd": msgpack.packb(["app.web", zstd.compress(PACKED), {**OPTION, "compressed": "zstd"}]),
}


@pytest.mark.parametrize("message", list(MODES.values()), ids=list(MODES))
def test_every_mode_brings_the_same_records(message: bytes) -> None:
    [chunk] = received(message)
    assert chunk.acknowledge in ("id-1", b"id-1")
    assert stored(chunk) == BOTH


def test_message_mode() -> None:
    chunks = received(
        msgpack.packb(["app.web", *ONE, {"chunk": "id-1"}]), msgpack.packb(["app.web", *TWO]), msgpack.packb(None)
    )
    assert [chunk.acknowledge for chunk in chunks] == ["id-1", ""]
    assert stored(*chunks) == BOTH


def test_the_metadata_fluent_bit_sends_beside_the_time_is_kept() -> None:
    [chunk] = received(msgpack.packb(["app", [[[AT, {"region": "eu"}], {"message": "x"}]]]))
    assert stored(chunk)[0]["attributes"] == {"region": "eu", "fluent.tag": "app"}


def test_a_text_that_is_no_utf8_is_kept_as_far_as_it_is() -> None:
    [chunk] = received(msgpack.packb(["app", [[AT, {b"message": b"caf\xe9"}]]], use_bin_type=False))
    assert stored(chunk)[0]["body"] == "caf\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("step", [1, 7, 100])
def test_messages_come_in_whatever_pieces(step: int) -> None:
    stream = b"".join(MODES.values())
    chunks = received(*(stream[at : at + step] for at in range(0, len(stream), step)))
    found = stored(*chunks)
    assert [found.count(each) for each in BOTH] == [len(MODES)] * 2


def test_an_entry_that_is_none_stays_behind_with_those_after_it_and_is_counted() -> None:
    good, bad = Chunk("app", PACKED, 1), Chunk("app", msgpack.packb(ONE) + b"\xc1", 1)
    accepted = fluent.records([bad, good, Chunk("app", [["no time", {}]], 1), Chunk("a", PACKED[:-1], 1)], NOW)
    assert (accepted.items, accepted.rejected) == (4, 3)
    assert "packed entries" in accepted.reason


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (5, "a message of the forward protocol"),
        ([], "a message of the forward protocol"),
        ([1, []], "a message of the forward protocol"),
        (["tag", {}], "has a time and a record"),
        (["tag", b"x", {"compressed": "gzip"}], "not valid gzip"),
        (["tag", b"x", {"compressed": "lz4"}], "'lz4'"),
        (["tag", gzip.compress(b"\0" * 2_000_000), {"compressed": "gzip"}], "inflates to more than 1000000"),
        (["tag", [], {"fluent_signal": 1}], "OTLP"),
    ],
)
def test_what_is_no_chunk_is_refused(message: object, says: str) -> None:
    with pytest.raises(Refused) as caught:
        received(msgpack.packb(message))
    assert says in str(caught.value)


@pytest.mark.parametrize("stream", [b"\xc1", msgpack.packb({(): 1}), b"\x91" * 5000])
def test_what_is_no_messagepack_is_bad_input(stream: bytes) -> None:
    with pytest.raises(BadInput):
        received(stream)


def test_another_protocol_on_this_port_is_bad_input() -> None:
    with pytest.raises(BadInput):
        received(b"GET / HTTP/1.1\r\n\r\n")


def test_a_message_over_the_limit_ends_before_it_is_held() -> None:
    with pytest.raises(BadInput, match=r"streams\.chunk_bytes"):
        received(*[b"\xdb\x00\x10\x00\x00" + b"x" * 500] * 3, limit=1000)


def test_nesting_without_end_is_bad_input() -> None:
    deep: object = 1
    for _ in range(500):
        deep = {"a": deep}
    with contextlib.suppress(BadInput):
        stored(*received(msgpack.packb(["tag", [[AT, {"a": deep}]]])))
    fluent.records([Chunk("tag", msgpack.packb([AT, {"a": deep}]), 1)], NOW)


@given(st.lists(documents, max_size=4), st.text(max_size=10))
def test_every_record_is_taken(some: list[dict[str, object]], tag: str) -> None:
    some = [_packable(each) for each in some]
    [chunk] = received(msgpack.packb([tag, [[AT, each] for each in some]], unicode_errors="surrogateescape"))
    assert fluent.records([chunk], NOW).items == len(some)


def _packable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _packable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_packable(each) for each in value]
    return str(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else(stream: bytes) -> None:
    for each in (stream, b"\x93\xa1t" + stream, msgpack.packb(["t", stream])):
        with contextlib.suppress(Refused):
            fluent.records(received(each), NOW)


# -- the handshake ---------------------------------------------------------------------------------------------------


def ping(key: str, nonce: bytes, user: str = "", password: str = "", user_salt: bytes = b"") -> list[object]:
    salt, host = b"salt", "web-1"
    shown = hashlib.sha512(user_salt + user.encode() + password.encode()).hexdigest() if user else ""
    return ["PING", host, salt, hashlib.sha512(salt + host.encode() + nonce + key.encode()).hexdigest(), user, shown]


def test_who_knows_the_key_is_let_in_and_shown_that_we_know_it_too() -> None:
    asked = Handshake("secret", b"\xff" * 16, salt=b"unused")
    assert msgpack.unpackb(asked.helo()) == ["HELO", {"nonce": asked.nonce, "auth": b"", "keepalive": True}]
    shown = hashlib.sha512(b"salt" + b"aiprism" + asked.nonce + b"secret").hexdigest()
    for message in (
        ping("secret", asked.nonce),
        ping("secret", asked.nonce, "any", "body"),
        ping("secret", asked.nonce)[:4],
    ):
        unknown, answer = asked.pong(message)
        assert not unknown
        assert msgpack.unpackb(answer) == ["PONG", True, "", "aiprism", shown]


def test_who_does_not_know_the_key_is_told() -> None:
    unknown, answer = Handshake("secret", b"n").pong(ping("guess", b"n"))
    assert unknown == "shared_key"
    assert msgpack.unpackb(answer) == ["PONG", False, "shared key mismatch", "", ""]


USERS = Handshake("secret", b"n", {"shop": "páss", "empty": ""}, b"\xfe" * 16)


def test_a_user_is_let_in_by_the_password_and_the_salt_of_this_connection() -> None:
    assert msgpack.unpackb(USERS.helo()) == ["HELO", {"nonce": b"n", "auth": b"\xfe" * 16, "keepalive": True}]
    unknown, answer = USERS.pong(ping("secret", b"n", "shop", "páss", USERS.salt))
    assert (unknown, msgpack.unpackb(answer)[:3]) == ("", ["PONG", True, ""])


@pytest.mark.parametrize(
    "message",
    [
        ping("secret", b"n"),
        ping("secret", b"n")[:4],
        ping("secret", b"n", "shop", "guess", USERS.salt),
        ping("secret", b"n", "nobody", "", USERS.salt),
        ping("secret", b"n", "shop", "páss", b"of another connection"),
    ],
)
def test_nobody_else_is_and_is_not_told_which_it_was(message: list[object]) -> None:
    unknown, answer = USERS.pong(message)
    assert (unknown, msgpack.unpackb(answer)) == ("user", ["PONG", False, "username/password mismatch", "", ""])


def test_a_user_who_does_not_know_the_key_is_not_let_in() -> None:
    assert USERS.pong(ping("guess", b"n", "shop", "páss", USERS.salt))[0] == "shared_key"


@pytest.mark.parametrize(
    "message",
    [None, [], ["PING"], ["PONG", "a", "b", "c"], ["tag", [], {}, {}], "PING", [*ping("secret", b"n")[:4], {}, 7]],
)
def test_what_comes_before_the_key_is_refused(message: object) -> None:
    with pytest.raises(BadInput, match="shared key"):
        USERS.pong(message)

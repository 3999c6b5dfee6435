"""Syslog messages and their frames."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.receive.loglines import LogLines
from aiprism.receive.syslog import Frame, Frames, Scene, message

NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
SCENE = Scene(int(NOW.timestamp()) * 1_000_000_000, UTC, "10.0.0.7")


def ns(*when: int, fraction: int = 0) -> int:
    return int(datetime(*when).replace(tzinfo=UTC).timestamp()) * 1_000_000_000 + fraction  # type: ignore[arg-type]  # noqa: DTZ001


def read(raw: bytes, scene: Scene = SCENE) -> dict[str, Any]:
    resource, line = message(Frame(raw), scene)
    return {
        **dict(resource),
        "ts": line.time_ns,
        "level": (line.severity.number, line.severity.text),
        "body": line.body,
        **dict(line.attributes),
    }


CASES: list[tuple[str, bytes, dict[str, Any]]] = [
    (
        "RFC 5424 §6.5, example 1",
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
        {
            "service.name": "su",
            "host.name": "mymachine.example.com",
            "ts": ns(2003, 10, 11, 22, 14, 15, fraction=3_000_000),
            "level": (18, "crit"),
            "body": "'su root' failed",
            "syslog.msgid": "ID47",
            "syslog.facility": "auth",
        },
    ),
    (
        "RFC 5424 §6.5, example 2",
        b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time",
        {
            "service.name": "myproc",
            "host.name": "192.0.2.1",
            "ts": ns(2003, 8, 24, 12, 14, 15, fraction=3_000),
            "level": (10, "notice"),
            "body": "%% It's time",
            "process.pid": "8710",
            "syslog.facility": "local4",
        },
    ),
    (
        "RFC 5424 §6.5, examples 3 and 4: structured data",
        b'<165>1 2003-10-11T22:14:15.003Z - evntslog - ID47 [exampleSDID@32473 iut="3" note="a \\"b\\" \\] c\\\\"]'
        b'[origin ip="192.0.2.1" ip="192.0.2.2"][empty@1] text',
        {
            "service.name": "evntslog",
            "host.name": "10.0.0.7",
            "ts": ns(2003, 10, 11, 22, 14, 15, fraction=3_000_000),
            "level": (10, "notice"),
            "body": "text",
            "syslog.msgid": "ID47",
            "syslog.structured_data.exampleSDID@32473.iut": "3",
            "syslog.structured_data.exampleSDID@32473.note": 'a "b" ] c\\',
            "syslog.structured_data.origin.ip": '["192.0.2.1","192.0.2.2"]',
            "syslog.structured_data.empty@1": "",
            "syslog.facility": "local4",
        },
    ),
    (
        "nothing but the header",
        b"<14>1 - - - - - -",
        {"service.name": "syslog", "host.name": "10.0.0.7", "ts": 0,
         "level": (9, "info"), "body": "", "syslog.facility": "user"},
    ),
    (
        "RFC 3164 §5.4, example 1",
        b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        {
            "service.name": "su",
            "host.name": "mymachine",
            "ts": ns(2026, 10, 11, 22, 14, 15),
            "level": (18, "crit"),
            "body": "'su root' failed for lonvick on /dev/pts/8",
            "syslog.facility": "auth",
        },
    ),
    (
        "a day of one digit, a process id, fractions",
        b"<86>Nov  4 01:02:03.250 web-1 sshd[4711]: Accepted",
        {
            "service.name": "sshd",
            "host.name": "web-1",
            "ts": ns(2026, 11, 4, 1, 2, 3, fraction=250_000_000),
            "level": (9, "info"),
            "body": "Accepted",
            "process.pid": "4711",
            "syslog.facility": "authpriv",
        },
    ),
    (
        "the local form of glibc: no host name",
        b"<13>Nov 24 12:59:59 shop[7]: paid",
        {
            "service.name": "shop",
            "host.name": "10.0.0.7",
            "ts": ns(2026, 11, 24, 12, 59, 59),
            "level": (10, "notice"),
            "body": "paid",
            "process.pid": "7",
            "syslog.facility": "user",
        },
    ),
    (
        "rsyslog's forward format: RFC 3339 in the old place",
        b"<30>2026-11-24T12:00:00.123456+01:00 web-1 systemd[1]: Started",
        {
            "service.name": "systemd",
            "host.name": "web-1",
            "ts": ns(2026, 11, 24, 11, 0, 0, fraction=123_456_000),
            "level": (9, "info"),
            "body": "Started",
            "process.pid": "1",
            "syslog.facility": "daemon",
        },
    ),
    (
        "Python's SysLogHandler: a priority and a text",
        b"<11>card declined\0",
        {"service.name": "syslog", "host.name": "10.0.0.7", "ts": 0,
         "level": (17, "err"), "body": "card declined", "syslog.facility": "user"},
    ),
    (
        "a level is not the name of a program",
        b"<11>error: declined",
        {"service.name": "syslog", "host.name": "10.0.0.7", "ts": 0,
         "level": (17, "err"), "body": "error: declined", "syslog.facility": "user"},
    ),
    (
        "no syslog at all",
        b"hello world\r\n",
        {"service.name": "syslog", "host.name": "10.0.0.7", "ts": 0,
         "level": (0, ""), "body": "hello world", "syslog.malformed": "no priority"},
    ),
    (
        "a priority that is none",
        b"<192>x",
        {"service.name": "syslog", "host.name": "10.0.0.7", "ts": 0,
         "level": (0, ""), "body": "<192>x", "syslog.malformed": "priority 192 is over 191"},
    ),
    (
        "structured data cut short",
        b'<14>1 - h a - - [x y="1 text',
        {
            "service.name": "a",
            "host.name": "h",
            "ts": 0,
            "level": (9, "info"),
            "body": '[x y="1 text',
            "syslog.facility": "user",
            "syslog.malformed": "structured data is not well formed",
        },
    ),
    (
        "a time that is none",
        b"<14>1 yesterday h a - - - text",
        {
            "service.name": "a",
            "host.name": "h",
            "ts": 0,
            "level": (9, "info"),
            "body": "text",
            "syslog.facility": "user",
            "syslog.malformed": "timestamp 'yesterday' is not RFC 3339",
        },
    ),
    (
        "bytes that are not UTF-8",
        b"<14>1 - h a - - - caf\xe9",
        {"service.name": "a", "host.name": "h", "ts": 0,
         "level": (9, "info"), "body": "caf\N{REPLACEMENT CHARACTER}", "syslog.facility": "user"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_message_has_its_parts(raw: bytes, expected: dict[str, Any]) -> None:
    assert read(raw) == expected


@pytest.mark.parametrize(("priority", "number"), list(enumerate([21, 19, 18, 17, 13, 10, 9, 5])))
def test_severities_are_those_of_opentelemetry(priority: int, number: int) -> None:
    assert read(b"<%d>1 - - - - - - x" % priority)["level"][0] == number


@pytest.mark.parametrize(
    ("now", "stamp", "when"),
    [
        (datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC), "Dec 31 23:59:59", (2026, 12, 31, 23, 59, 59)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "Jan  1 00:00:03", (2027, 1, 1, 0, 0, 3)),
        (datetime(2026, 11, 24, tzinfo=UTC), "Nov 24 05:00:00", (2026, 11, 24, 5, 0, 0)),
        (datetime(2028, 3, 1, tzinfo=UTC), "Feb 29 12:00:00", (2028, 2, 29, 12, 0, 0)),
        (datetime(2026, 11, 24, tzinfo=UTC), "Nov 24 2024 05:00:00", (2024, 11, 24, 5, 0, 0)),
    ],
)
def test_the_year_is_that_of_the_last_such_day(now: datetime, stamp: str, when: tuple[int, ...]) -> None:
    scene = Scene(int(now.timestamp()) * 1_000_000_000)
    assert read(f"<14>{stamp} h a: x".encode(), scene)["ts"] == ns(*when)


def test_the_zone_is_that_of_the_sender() -> None:
    scene = Scene(SCENE.now_ns, ZoneInfo("Europe/Berlin"))
    assert read(b"<14>Jul  1 12:00:00 h a: x", scene)["ts"] == ns(2026, 7, 1, 10, 0, 0)


def test_a_date_that_is_none_is_said() -> None:
    assert read(b"<14>Jun 31 12:00:00 h a: x")["syslog.malformed"].startswith("timestamp 'Jun 31")


def test_a_trace_in_structured_data_joins_the_message_to_it() -> None:
    raw = b'<14>1 - h a - - [otel@1 trace_id="463ac35c9f6413ad48485a3953bb6124" span_id="00f067aa0ba902b7"] x'
    _, line = message(Frame(raw), SCENE)
    assert (line.trace_id.hex(), line.span_id.hex()) == ("463ac35c9f6413ad48485a3953bb6124", "00f067aa0ba902b7")


words = st.from_regex(r"[!-~]{1,20}", fullmatch=True).filter(lambda word: word != "-")
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\ufeff"), max_size=40)


@given(st.integers(0, 191), words, words, words, texts, texts)
def test_what_is_written_by_rfc_5424_comes_back(
    priority: int, host: str, app: str, kind: str, value: str, body: str
) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    raw = f'<{priority}>1 2026-11-24T13:00:00.5Z {host} {app} - {kind} [id@1 key="{escaped}"] {body}'.encode()
    found = read(raw)
    assert found["host.name"] == host
    assert found["service.name"] == app
    assert found["syslog.msgid"] == kind
    assert found["syslog.structured_data.id@1.key"] == value
    assert (found["body"], "syslog.malformed" in found) == (body, False)


@given(st.binary(max_size=300) | st.from_regex(rb"<\d{1,3}>.{0,80}"))
def test_anything_is_a_line(raw: bytes) -> None:
    lines = LogLines(SCENE.now_ns)
    lines.add(*message(Frame(raw), SCENE))
    assert lines.accepted().items == 1


# -- frames ----------------------------------------------------------------------------------------------------------


def frames(*parts: bytes, limit: int = 100) -> list[Frame]:
    reader = Frames(limit)
    return [frame for part in parts for frame in reader.feed(part)] + reader.rest()


@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        (b"<1>a\n<2>b\r\n<3>c", [b"<1>a", b"<2>b", b"<3>c"]),
        (b"4 <1>a6 <2>b\nc", [b"<1>a", b"<2>b\nc"]),
        (b"4 <1>a<2>b\n4 <3>c", [b"<1>a", b"<2>b", b"<3>c"]),
        (b"<1>a\0<2>b\0", [b"<1>a", b"<2>b"]),
        (b"2026 was a year\n\n\n5 apples\n", [b"2026 was a year", b"5 apples"]),
        (b"", []),
        (b"\n", []),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_stream_is_cut_into_messages_wherever_it_is_cut_into_packets(
    stream: bytes, messages: list[bytes], step: int
) -> None:
    parts = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert frames(*parts) == [Frame(each) for each in messages]


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("long", [b"<1>" + b"x" * 300 + b"\n", b"303 <1>" + b"x" * 300])
def test_a_long_message_is_cut_and_the_next_one_is_whole(long: bytes, step: int) -> None:
    stream = long + b"<2>next\n"
    parts = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert frames(*parts) == [Frame(b"<1>" + b"x" * 97, cut=True), Frame(b"<2>next")]


def test_a_counted_message_whose_end_never_comes_is_cut() -> None:
    assert frames(b"50 <1>abc") == [Frame(b"<1>abc", cut=True)]


@given(st.lists(st.binary(min_size=1, max_size=60).map(lambda body: b"<1>" + body), max_size=6), st.integers(1, 20))
def test_counted_messages_come_back_whatever_is_in_them(messages: list[bytes], step: int) -> None:
    stream = b"".join(b"%d %b" % (len(each), each) for each in messages)
    parts = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert frames(*parts) == [Frame(each) for each in messages]


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_no_stream_makes_it_hold_more_than_its_limit(parts: list[bytes]) -> None:
    reader = Frames(32)
    for part in parts:
        assert all(len(frame.data) <= 32 for frame in reader.feed(part))
        assert len(reader._buffer) <= 32 + 12

"""Secrets in log records are replaced, whatever they stand in, and nothing else is touched."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import ConfigError
from aiprism.receive import redaction
from aiprism.receive.redaction import KINDS, MOST, Redaction, kinds, named_kind
from aiprism.receive.secretscan import card_ends, kinds_in
from aiprism.store.logcolumns import sent_columns, with_patterns
from aiprism.store.otlpexport import _put_pairs

EVERY = Redaction()


def redacted(text: str) -> str:
    return EVERY.text(text)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ada@example.com, bob.x+y@mail.example.co.uk!", "mail [redacted:email], [redacted:email]!"),
        ("grüße an jörg@bücher.example", "grüße an [redacted:email]"),
        ("GET /login?email=ada%40example.com&next=%2F", "GET /login?email=[redacted:email]&next=%2F"),
        ("token=abcdefghijklmnop12.x/y", "token=[redacted:token]"),
        ("password=hunter2&user=x", "password=[redacted:password]&user=x"),
        ("DB_PASSWORD = 'two words' retries=3", "DB_PASSWORD = '[redacted:password]' retries=3"),
        ("login --password hunter2 --host db", "login --password [redacted:password] --host db"),
        ("Server=db;User=sa;Pwd=S3cret!;Encrypt=yes", "Server=db;User=sa;Pwd=[redacted:password];Encrypt=yes"),
        (r'{"password":"hun\"ter","n":1}', '{"password":"[redacted:password]","n":1}'),
        (r'{"m":"{\"password\":\"x1\",\"n\":1}"}', r'{"m":"{\"password\":\"[redacted:password]\",\"n\":1}"}'),
        ('{"pin":1,"db_password": 12345}', '{"pin":1,"db_password": "[redacted:password]"}'),
        ('{"n":[4111111111111111, 7]}', '{"n":["[redacted:card]", 7]}'),
        ("paid with 4111 1111 1111 1111 (3 items)", "paid with [redacted:card] (3 items)"),
        ("3782-822463-10005 was declined", "[redacted:card] was declined"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [redacted:token]"),
        ("authorization: Basic dXNlcjpwYXNzMQ==", "authorization: Basic [redacted:token]"),
        ("sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def.", "sent [redacted:token]"),
        ('{"access_token": "abc"}', '{"access_token": "[redacted:token]"}'),
        ("postgres://ada:p@ss@db:5432/shop", "postgres://[redacted:url_credentials]@db:5432/shop"),
        (r"{\"k\":\"\nAKIAIOSFODNN7EXAMPLE\"}", r"{\"k\":\"\n[redacted:aws_key]\"}"),
        ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key=[redacted:api_key]"),
        ("with sk-proj-abcdefghijklmnop1234 and xoxb-1234567890-abc", "with [redacted:api_key] and [redacted:api_key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nnext", "[redacted:private_key]\nnext"),
        ('{"key":"-----BEGIN PRIVATE KEY-----MII","n":1}', '{"key":"[redacted:private_key]","n":1}'),
        ("cut -----BEGIN PRIVATE KEY-----\nMII", "cut [redacted:private_key]"),
        (r'{"k":"-----BEGIN PRIVATE KEY-----\nMII\"x","n":1}', r'{"k":"[redacted:private_key]\"x","n":1}'),
        # A value ends where its string of JSON does.
        ('{"a":"password=\'x","b":"it\'s"}', '{"a":"password=\'[redacted:password]","b":"it\'s"}'),
        (r'{"a":"password=\"x\\\\","b":"c"}', r'{"a":"password=\"[redacted:password]\\\\","b":"c"}'),
        (
            r'["password: \"x y\" z", "pwd = w"]',
            r'["password: \"[redacted:password]\" z", "pwd = [redacted:password]"]',
        ),
    ],
)
def test_a_secret_is_replaced_by_its_kind(text: str, expected: str) -> None:
    assert redacted(text) == expected
    assert redacted(expected) == expected  # what has passed one server passes the next


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication failed",
        "authorization: required",
        "PASSWORD: None",
        "secret=***",
        "unexpected token: }",
        "input_tokens=812 token: 12",
        "Bad activity token: android.os.BinderProxy, stream/token: com.apple.xpc.activity/4505, done 40%",
        "password_reset_sent=true",
        "https://shop.example:8080/a?b=c",
        "task-force-something-very-long-1234",
        "disk-usage sk-learn-pipeline-without-a-number",
        "trace 4111111111111112 and a4111111111111111f and 0.4111111111111111",
        "at 2026-09-21T13:00:05.123Z took 1767323045123 ns, uuid 8c5a2f0e-1111-4111-8111-111111111111",
        "lodash@4.17.21 @decorator a@b",
        "clone of git@github.com:shop/cart.git",
        "PWD=/home/ada/shop OLDPWD=/var/lib/x.d --password /run/secrets/db",
        '{"url":"/login?password=","user":"ada"}',
        '{"a":"the secret: ","b":"c"}',
        r'{"token":{"access_token":null},"b":"api_key=\\\\"}',
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "",
    ],
)
def test_what_is_no_secret_stays_byte_for_byte(text: str) -> None:
    assert EVERY.text(text) == (text, {})


# -- generated secrets -------------------------------------------------------------------------------------------------

LETTERS = string.ascii_letters + string.digits


def texts(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


def card(prefix: str, size: int, rest: str) -> str:
    body = (prefix + rest)[: size - 1]
    total = sum(
        sum(divmod(int(digit) * 2, 10)) if at % 2 == 0 else int(digit) for at, digit in enumerate(reversed(body))
    )
    return f"{body}{-total % 10}"


CARDS = st.builds(
    lambda issuer, rest: card(issuer[0], issuer[1], rest),
    st.sampled_from(
        [("4", 16), ("4", 13), ("52", 16), ("2300", 16), ("37", 15), ("6011", 16), ("3530", 16), ("36", 14)]
    ),
    texts(string.digits, 20, 20),
)
GROUPED = st.builds(
    lambda number, by: by.join(number[at : at + 4] for at in range(0, 16, 4)),
    st.builds(lambda rest: card("4", 16, rest), texts(string.digits, 20, 20)),
    st.sampled_from(" -"),
)
SECRETS: dict[str, st.SearchStrategy[tuple[str, str]]] = {
    # (the text as it stands in a line, the part that must not be left)
    "email": st.builds(
        lambda user, host, top: (f"{user}@{host}.{top}",) * 2,
        texts(LETTERS + "._%+", 1, 20).filter(lambda user: user[-1] not in "."),
        texts(LETTERS, 1, 20),
        texts(string.ascii_lowercase, 2, 10),
    ),
    "card": (CARDS | GROUPED).map(lambda number: (number, number)),
    "password": st.builds(
        lambda name, to, value, quote: (f"{name}{to}{quote}{value}{quote}", value),
        st.sampled_from(["password", "db_password", "PASSWD", "userPassword", "pwd", "passphrase"]),
        st.sampled_from(["=", ": ", " = ", "=  "]),
        texts(LETTERS + "!$%/*+.:?@^_~#-", 6, 24).map(lambda value: f"Z{value}9"),
        st.sampled_from(["", '"', "'"]),
    ),
    "token": st.builds(
        lambda form, value: (form.format(value), value),
        st.sampled_from(["Bearer {}", "authorization: {}", '"access_token":"{}"', "token={}", "eyJhbGciOi.{}.sig"]),
        texts(LETTERS + "_-", 24, 60),
    ),
    "aws_key": st.builds(lambda head, rest: (head + rest,) * 2, st.sampled_from(["AKIA", "ASIA"]),
                         texts(string.ascii_uppercase + string.digits, 16, 16)),
    "api_key": st.builds(
        lambda form, value: (form.format(value), value),
        st.sampled_from(
            ["sk-{}", "ghp_{}", "xoxb-{}", "glpat-{}", "sk_live_{}", "hf_{}", "AIza{}", "api_key={}", "client_secret: {}"]
        ),
        texts(LETTERS, 36, 48).map(lambda value: f"{value}7"),
    ),
    "url_credentials": st.builds(
        lambda user, word: (f"amqp://{user}:{word}@broker:5672/", f"{user}:{word}"),
        texts(LETTERS, 0, 10), texts(LETTERS + "!$*+.:_~@-", 1, 20),
    ),
    "private_key": texts(LETTERS + "+/=\n", 20, 200).map(
        lambda key: (f"-----BEGIN EC PRIVATE KEY-----\n{key}\n-----END EC PRIVATE KEY-----", key)
    ),
}  # fmt: skip
LINES_WITH_ONE = st.one_of([each.map(lambda said: said[0]) for each in SECRETS.values()])
# Words around a secret, such as logs have: no letter, digit or dash touches it.
AROUND = st.lists(
    st.sampled_from(["order", "17", "0.25s", "failed", "user:", "(retry)", "took=3ms", "→", "at 10.0.0.7:443", "a/b"]),
    max_size=4,
).map(" ".join)


def left_nothing(secret: tuple[str, str], kind: str, before: str, after: str) -> None:
    said, hidden = secret
    out, counts = EVERY.text(f"{before} {said} {after}")
    assert hidden not in out
    assert counts.get(kind, 0) >= 1
    assert out.startswith(before)
    assert out.endswith(after)


@pytest.mark.parametrize("kind", KINDS)
def test_no_generated_secret_is_left(kind: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(SECRETS[kind], AROUND, AROUND)
    def check(secret: tuple[str, str], before: str, after: str) -> None:
        left_nothing(secret, kind, before, after)

    check()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(texts(LETTERS, 1, 8), LINES_WITH_ONE))
def test_json_stays_json(document: dict[str, str]) -> None:
    line = json.dumps(document, ensure_ascii=False)
    assert json.loads(redacted(line)).keys() == document.keys()
    nested = json.dumps({"message": line, "n": 4111111111111111})
    assert json.loads(redacted(nested))["n"] == "[redacted:card]"


PIECES = st.lists(
    st.sampled_from(
        ["@", "%40", "a", ".com", "-----BEGIN", " PRIVATE KEY-----", "password", "=", ":", "://", "eyJ", ".", "AKIA", "sk-", "4111",
         " ", "-", "1111", '"', "\\", "n", "bearer ", "token", "_", "0", "é", "xox", "gh", "p", "secret", "key", "SG.", "AIza", "4"]
    ),
    max_size=24,
).map("".join)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(PIECES)
@example("-----BEGIN PRIVATE KEY-----")
def test_whatever_the_expressions_find_the_quick_look_has_seen(text: str) -> None:
    found = int(kinds_in(np.frombuffer(text.encode(), np.uint8), np.array([0, len(text.encode())], np.int32))[0])
    for kind, cuts in redaction._FINDERS:
        if cuts(text.encode(), kind):
            assert found & redaction._BITS[kind], (kind, text)


IN_JSON = st.lists(
    st.sampled_from(["password", "secret", "token", "access_token", "=", ":", " ", "'", '"', "\\", "\n", "x", ",", "{", "}", "17",
                     "-----BEGIN PRIVATE KEY-----", "ada@b.cc", "null", "[", "bearer ", "://a:b@c"]),
    max_size=8,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(IN_JSON, IN_JSON | st.integers(-9, 9) | st.none() | st.lists(IN_JSON, max_size=2), max_size=4))
def test_no_field_of_json_is_lost_or_broken(document: dict[str, object]) -> None:
    after = json.loads(redacted(json.dumps(document, ensure_ascii=False)), object_pairs_hook=list)
    assert len(after) == len(document)  # as pairs: two names may be the same now
    for was, (_, now) in zip(document.values(), after, strict=True):
        assert now == was or isinstance(now, list if isinstance(was, list) else str)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(IN_JSON, IN_JSON, max_size=4))
@example({"a": "ada@example.com " * (MOST + 1), "b": "it's"})
@example({"a": '-----BEGIN PRIVATE KEY-----\nabc"rest'})
@example({"a": "password='abc", "b": "it's"})
@example({"a": "/login?password=", "b": "c"})
def test_resources_of_any_words_are_taken_and_keep_their_names(resource: dict[str, str]) -> None:
    rows, _ = EVERY.columns(sent_columns(request(["x"], dict(resource))))
    [said], [letters] = rows["resource_json"].to_pylist(), rows["resource_kinds"].to_pylist()
    assert list(json.loads(said or "{}")) == list(resource)
    assert letters == "s" * len(resource)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab1 .,:;/_-=→é"), max_size=30).filter(lambda text: "@" not in text)))
def test_lines_without_secrets_are_the_same_table(lines: list[str]) -> None:
    rows = sent_columns(request(lines))
    treated, counts = EVERY.columns(rows)
    assert treated.equals(rows)
    assert counts == {}


@settings(max_examples=40, deadline=None)
@given(st.lists(PIECES | LINES_WITH_ONE, min_size=1, max_size=8), st.data())
def test_where_batches_are_split_changes_nothing(lines: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(lines)))
    whole = EVERY.columns(sent_columns(request(lines)))[0]["body"].to_pylist()
    halves = [EVERY.columns(sent_columns(request(part)))[0]["body"].to_pylist() for part in (lines[:at], lines[at:])]
    assert whole == halves[0] + halves[1] == [redacted(line) for line in lines]


@pytest.mark.parametrize(
    "piece",
    ["@", "a@", "7", "4111 ", "4111111111111111 ", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJaaaaa.", "password=", "://a:", "sk-",
     "bearer ", "a@b.c", 'password="', "-", "token=", "AKIA", "a@b.cc ", "x@", "\\"],
)  # fmt: skip
def test_a_line_made_to_cost_much_costs_its_length(piece: str) -> None:
    """A megabyte of each: what took the square of its length would take hours, and be ended by the limit of tests."""
    line = piece * (1_000_000 // len(piece))
    assert len(redacted(line)) > 0


def test_a_line_with_more_secrets_than_anybody_writes_is_replaced_as_a_whole() -> None:
    assert redacted("ada@example.com " * MOST).count("[redacted:email]") == MOST
    assert redacted("ada@example.com " * (MOST + 1)) == "[redacted:email]"
    assert redacted("4111111111111111 " * (MOST + 1)) == "[redacted:card]"
    assert redacted("password: None " * MOST + "password: hunter2") == "[redacted:password]"
    mails = "ada@example.com " * (MOST + 1)
    assert redacted(json.dumps({"to": mails})) == '{"redacted":"[redacted:email]"}'
    assert redacted(json.dumps([mails])) == '["[redacted:email]"]'


# -- columns -----------------------------------------------------------------------------------------------------------


def request(lines: Iterable[str] = (), resource: dict[str, str | int] | None = None, **attributes: object) -> bytes:
    message = ExportLogsServiceRequest()
    logs = message.resource_logs.add()
    for key, value in (resource or {}).items():
        pair = logs.resource.attributes.add(key=key)
        if isinstance(value, str):
            pair.value.string_value = value
        else:
            pair.value.int_value = value
    records = logs.scope_logs.add().log_records
    for line in lines:
        record = records.add(time_unix_nano=1)
        record.body.string_value = line
        for key, said in attributes.items():
            pair = record.attributes.add(key=key.replace("__", "."))
            if isinstance(said, bool):
                pair.value.bool_value = said
            elif isinstance(said, int):
                pair.value.int_value = said
            elif isinstance(said, list):
                for each in said:
                    pair.value.array_value.values.add().string_value = each
            else:
                pair.value.string_value = str(said)
    return message.SerializeToString()


def test_attributes_are_redacted_by_what_they_hold_and_by_their_names() -> None:
    sent = request(
        ["first", "second"],
        user__mail="ada@example.com", db__password="hunter2", password=True, card=4111111111111111, n=17,
        to=["ada@example.com", "x"], http__request__header__authorization=["Basic abc"], note="plain",
    )  # fmt: skip
    rows, counts = EVERY.columns(sent_columns(sent))
    assert [dict(each) for each in rows["attributes"].to_pylist()] == 2 * [
        {
            "user.mail": "[redacted:email]", "db.password": "[redacted:password]", "password": "true",
            "card": "[redacted:card]", "n": "17", "to": '["[redacted:email]","x"]',
            "http.request.header.authorization": "[redacted:token]", "note": "plain",
        }
    ]  # fmt: skip
    assert rows["attribute_kinds"].to_pylist() == 2 * ["ssbsiass"]
    assert counts == {"email": 4, "password": 2, "card": 2, "token": 2}


def test_resources_and_their_kinds_are_redacted_and_can_be_given_back_as_otlp() -> None:
    resource: dict[str, str | int] = {
        "service.name": "mail-to-ada@example.com",
        "db.password": "x",
        "card": 4111111111111111,
        "pid": 7,
    }
    rows, counts = EVERY.columns(sent_columns(request(["line"], resource)))
    assert rows["service"].to_pylist() == ["[redacted:email]"]
    [text], [letters] = rows["resource_json"].to_pylist(), rows["resource_kinds"].to_pylist()
    said = json.loads(text)
    assert said == {
        "service.name": "[redacted:email]", "db.password": "[redacted:password]", "card": "[redacted:card]", "pid": "7",
    }  # fmt: skip
    assert letters == "sssi"
    message = ExportLogsServiceRequest().resource_logs.add().resource
    _put_pairs(message.attributes, list(said), list(said.values()), letters)
    assert message.attributes[2].value.string_value == "[redacted:card]"
    assert counts == {"email": 2, "password": 1, "card": 1}


def test_a_body_that_is_a_number_or_a_map_is_redacted_too() -> None:
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    records.add(time_unix_nano=1).body.int_value = 4111111111111111
    pair = records.add(time_unix_nano=1).body.kvlist_value.values.add(key="password")
    pair.value.int_value = 12345
    rows, _ = EVERY.columns(sent_columns(message.SerializeToString()))
    assert rows["body"].to_pylist() == ["[redacted:card]", '{"password":"[redacted:password]"}']
    assert rows["body_kind"].to_pylist() == [1, 6]


def test_patterns_are_those_of_what_is_stored() -> None:
    rows, _ = EVERY.columns(
        sent_columns(request(["mail to ada@example.com, bob@example.com", "mail to eve@example.com"]))
    )
    assert set(with_patterns(rows)["pattern"].to_pylist()) == {"mail to <email>"}


def test_a_sliced_array_of_texts_is_read_where_it_begins() -> None:
    column = pa.array(["x@y.zz", "plain", "ada@example.com"]).slice(1)
    assert EVERY._texts(column, Counter())[0].to_pylist() == ["plain", "[redacted:email]"]


# -- the setting -------------------------------------------------------------------------------------------------------


def test_kinds_are_chosen_by_name_or_left_out() -> None:
    assert kinds(["all"]) == kinds(KINDS) == set(KINDS)
    assert kinds(["none"]) == kinds([]) == frozenset()
    assert kinds(["email", "card"]) == {"email", "card"}
    assert kinds(["-email"]) == kinds(["all", "-email"]) == set(KINDS) - {"email"}
    some = Redaction(kinds(["card"]))
    assert some.text("ada@example.com 4111111111111111") == ("ada@example.com [redacted:card]", {"card": 1})
    rows = sent_columns(request(["ada@example.com"], password="x"))
    assert Redaction(kinds(["none"])).columns(rows) == (rows, {})
    assert Redaction(kinds(["email"])).columns(rows)[0]["attributes"].to_pylist() == [[("password", "x")]]


def test_what_is_no_kind_is_said_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"logs\.redact: 'e-mail' is no kind of secret; .*email"):
        kinds(["e-mail"])


def test_names_say_what_kind_of_secret_a_field_holds() -> None:
    names = [
        "db.password",
        "apiKey",
        "client_secret",
        "refresh_token",
        "proxy-authorization",
        "token",
        "tokens",
        "pwdx",
    ]
    assert [named_kind(name) for name in names] == ["password", "api_key", "api_key", "token", "token", "", "", ""]


def test_cards_are_told_by_issuer_length_and_check_digit() -> None:
    assert card_ends(b"4111111111111111 4111111111111112 9111111111111111") == [(0, 16)]
    assert card_ends(b"1234 4111 1111 1111 1111") == [(5, 24)]

"""Which lines a query finds, on the real store; no text of a query leaves its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from aiprism.errors import BadInput
from aiprism.model.search import Is
from aiprism.model.timerange import TimeRange
from aiprism.query.lucene import condition
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.logs import Cursor, LogSearch, LogStore

AT = 1_800_000_000
TRACE = "ab" * 16
# Number of the record → level, service, line, attributes.
RECORDS: list[tuple[str, str, str, dict[str, str | int | float]]] = [
    ("INFO", "api", "Request 17 timed out of patience", {"http.status_code": 504, "path": "/api/v1"}),
    ("ERROR", "api", "connection refused by cart-db:5432", {"http.status_code": "500", "user": "ada"}),
    ("WARN", "cart", "Timeout: cart is out of order", {"wait": 0.25}),
    ("DEBUG", "cart", '{"msg": "checked out", "code": 7, "who": {"name": "Bob"}}', {}),
    ("FATAL", "cart", 'level=fatal msg="no disk" free=3 order=12345678901234567', {}),
    ("INFO", "api", "naïve café 100% 'quoted' \\ back", {"odd key": "a'b\"c\\d", "empty": ""}),
]
FOUND = [
    ("", "012345"),
    ("timeout", "2"),
    ("TIMED", "0"),
    ("time", ""),
    ("time*", "02"),
    ("*ime?", "0"),
    ('"timed out"', "0"),
    ('"out of"', "02"),
    ('"med out"', ""),
    ("out", "023"),
    ("out -cart", "03"),
    ("cart-db", "1"),
    ('"cart-db:5432"', "1"),
    ("db OR disk", "14"),
    ("/ref.*by/", "1"),
    ("/REF/", ""),
    ("level:error", "1"),
    ("level:(WARN OR fatal)", "24"),
    ("level:>=WARN", "124"),
    ("level:[INFO TO WARN}", "05"),
    ("service:api out", "0"),
    ("service:c*", "234"),
    ("http.status_code:500", "1"),
    ("http.status_code:[500 TO 503]", "1"),
    ("http.status_code:>=500", "01"),
    ("attributes.user:ada", "1"),
    ("user:ADA", ""),
    ("wait:<0.3", "2"),
    ("wait:0.250", "2"),
    ("path:/api/v1", "0"),
    ("path:/^.api/", "0"),
    ("path:/api/*", "0"),
    ("level:>=WARNING", "124"),
    ("order:12345678901234567", "4"),
    ("order:>12345678901234567", ""),
    ("order:>=12345678901234566", "4"),
    ("wait:2.5e-1", ""),
    ("timestamp:2027-01-15T08:00:01Z", "1"),
    ("_exists_:user", "1"),
    ("-_exists_:http.status_code", "2345"),
    ("-http.status_code:500", "02345"),
    ("code:7", "3"),
    ("code:>6", "3"),
    ("who.name:Bob", "3"),
    ("free:3", "4"),
    ("host.name:h1 wait:*", "2"),
    ("resource.host.name:h1", "012345"),
    (f"trace_id:{TRACE}", "1"),
    (f"trace_id:{TRACE.upper()}", "1"),
    ("trace_id:zz", ""),
    ("_exists_:trace_id", "1"),
    ("@timestamp:>=2027-01-15T08:00:04Z", "45"),
    ("café", "5"),
    ("CAFÉ", "5"),
    ("naïve", "5"),
    ('"100%"', "5"),
    ("\"'quoted'\"", "5"),
    ('"\\\\ back"', "5"),
    ('"--"', ""),
]


def log_record(
    ts_ns: int,
    level: str,
    line: str,
    service: str = "api",
    trace: str = "",
    attributes: Mapping[str, object] | None = None,
) -> bytes:
    """One record of a service on the host h1, as it is sent."""
    request = ExportLogsServiceRequest()
    of_resource = request.resource_logs.add()
    of_resource.resource.attributes.add(key="service.name").value.string_value = service
    of_resource.resource.attributes.add(key="host.name").value.string_value = "h1"
    record = of_resource.scope_logs.add().log_records.add(time_unix_nano=ts_ns, severity_text=level)
    record.severity_number = SeverityNumber.Value(f"SEVERITY_NUMBER_{level}")
    record.body.string_value = line
    record.trace_id = bytes.fromhex(trace)
    for key, value in (attributes or {}).items():
        attribute = record.attributes.add(key=key).value
        setattr(attribute, {str: "string_value", int: "int_value", float: "double_value"}[type(value)], value)
    return request.SerializeToString()


def body() -> bytes:
    return b"".join(
        log_record((AT + number) * 10**9, level, line, service, TRACE if number == 1 else "", attributes)
        for number, (level, service, line, attributes) in enumerate(RECORDS)
    )


SPAN = TimeRange(AT - 3600, AT + 3600)


@pytest.fixture
def logs(engine: Engine) -> LogStore:
    engine.insert_arrow("logs_received", log_columns(body()), token="t")
    return LogStore(engine)


def numbers(logs: LogStore, wanted: LogSearch) -> list[int]:
    return [record.ts_ns // 10**9 - AT for record in logs.search(wanted)]


def test_a_query_finds_its_lines(logs: LogStore) -> None:
    found = {
        text: "".join(map(str, sorted(numbers(logs, LogSearch(SPAN, asked=condition(text)))))) for text, _ in FOUND
    }
    assert found == dict(FOUND)


TEXTS = st.text(st.sampled_from("ab'\"\\`{}%_:;-/*\x00\n\té0 "), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS)
def test_no_text_leaves_its_parameters(logs: LogStore, name: str, value: str) -> None:
    for asked in (Is("attributes." + name, value), Is(name, value), Is("", value)):
        assert len(logs.search(LogSearch(SPAN, asked=asked))) <= len(RECORDS)
    with suppress(BadInput):
        logs.search(LogSearch(SPAN, asked=condition(f"{name}:{value}")))


def test_values_of_any_characters_are_found(logs: LogStore) -> None:
    assert numbers(logs, LogSearch(SPAN, asked=Is("odd key", "a'b\"c\\d"))) == [5]


def test_pages_hold_each_record_once_also_within_one_moment(engine: Engine) -> None:
    engine.command(
        "INSERT INTO logs (ts, service, level, body) SELECT toDateTime64("
        f"{AT}, 9, 'UTC') + intDiv(number, 4) * 600, 'api', 'INFO', toString(intDiv(number, 2)) FROM numbers(24)"
    )
    logs = LogStore(engine)
    for oldest_first in (False, True):
        wanted = LogSearch(SPAN, limit=5, oldest_first=oldest_first)
        seen: list[str] = []
        while True:
            page = logs.page(wanted)
            seen += [record.body for record in page.records]
            if page.after is None:
                break
            if not oldest_first:  # what arrives meanwhile is newer
                engine.command(f"INSERT INTO logs (ts, body) SELECT toDateTime64({AT + 3599}, 9, 'UTC'), 'new'")
            wanted = replace(wanted, after=Cursor.of(str(page.after)))
        inserted = seen.count("new")
        assert sorted(seen, key=str) == sorted([*(str(number // 2) for number in range(24)), *["new"] * inserted])
        assert inserted == (4 if oldest_first else 0)
    with pytest.raises(BadInput, match="take the one of the page before"):
        Cursor.of("x")


def test_records_that_differ_only_in_attributes_are_each_on_one_page(engine: Engine) -> None:
    engine.command(
        f"INSERT INTO logs (ts, service, body, attributes) SELECT toDateTime64({AT}, 9, 'UTC'), 'api', 'same', "
        "map('n', toString(number)) FROM numbers(300)"
    )
    wanted, seen = LogSearch(SPAN, limit=37), list[str]()
    while True:
        page = LogStore(engine).page(wanted)
        seen += [record.attributes["n"] for record in page.records]
        if page.after is None:
            break
        wanted = replace(wanted, after=page.after)
    assert sorted(map(int, seen)) == list(range(300))


def test_a_page_goes_on_where_its_cursor_is_out_of_the_range_by_now(logs: LogStore) -> None:
    first = logs.page(LogSearch(TimeRange(AT, AT + 60), limit=1, oldest_first=True))
    moved = LogSearch(TimeRange(AT + 0.5, AT + 60), limit=1, oldest_first=True, after=first.after)
    assert numbers(logs, moved) == [1]


def test_what_is_found_is_counted_by_time_level_and_value(logs: LogStore) -> None:
    wanted = LogSearch(TimeRange(AT, AT + 60), asked=condition("-service:nobody"))
    assert logs.count(wanted) == 6
    assert logs.histogram(wanted, 3) == [
        (AT, "ERROR", 1), (AT, "INFO", 1), (AT, "WARN", 1), (AT + 3, "DEBUG", 1), (AT + 3, "FATAL", 1), (AT + 3, "INFO", 1),
    ]  # fmt: skip
    assert logs.facet(wanted, "service") == [("api", 3), ("cart", 3)]
    assert logs.facet(wanted, "http.status_code") == [("500", 1), ("504", 1)]
    assert logs.facet(replace(wanted, limit=1), "level") == [("INFO", 2)]
    with pytest.raises(BadInput, match="take a longer step"):
        logs.histogram(wanted, 0.1)


def test_neighbours_are_those_of_the_service(logs: LogStore) -> None:
    before, later = logs.around((AT + 1) * 10**9, "api", 5)
    assert [[record.ts_ns // 10**9 - AT for record in part] for part in (before, later)] == [[0], [1, 5]]

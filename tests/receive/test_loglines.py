"""How the world writes levels, times and ids, and what becomes of them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import BadInput
from aiprism.receive import otlp
from aiprism.receive.items import Bounds, OutOfBounds
from aiprism.receive.loglines import Line, LogLines, Severity, detected, flattened, id_bytes, nanoseconds, severity

NOW = 1_790_000_000_000_000_000

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.dictionaries(
    st.text(),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20),
    max_size=8,
)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("info", 9), ("INFO", 9), (" Warning ", 13), ("err", 17), ("E", 17), ("CRITICAL", 18), ("emerg", 21), ("notice", 10),
        (30, 9), ("50", 17), (60, 21), (7, 0), ("", 0), ("gold", 0), (True, 0), (None, 0), ("10000", 0),
    ],
)  # fmt: skip
def test_a_level_has_its_number(written: object, number: int) -> None:
    assert severity(written).number == number


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ('{"level":"error","msg":"x"}', 17),
        ('ts=1 level=warn msg="it was an ERROR"', 13),
        ("2026-11-24 10:00:00,123 ERROR [main] com.acme.Shop - declined", 17),
        ("[warn] upstream is slow", 13),
        ("error: no such file", 17),
        ("WARNING: deprecated", 13),
        ("an error occurred", 0),  # a word of a sentence is no level
        ("errors=0 warnings=0", 0),
        ("x" * 600 + " ERROR", 0),
        ("", 0),
    ],
)
def test_a_line_without_a_level_may_show_it(line: str, number: int) -> None:
    assert detected(Severity(), line).number == number


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("2026-11-24T13:00:00Z", 1_795_525_200_000_000_000),
        ("2026-11-24T14:00:00.5+01:00", 1_795_525_200_500_000_000),
        ("2026-11-24 13:00:00,123", 1_795_525_200_123_000_000),
        ("2026-11-24T13:00:00.123456789Z", 1_795_525_200_123_456_789),
        ("2026-11-24", 1_795_478_400_000_000_000),
        (1_795_525_200, 1_795_525_200_000_000_000),
        (1_795_525_200.25, 1_795_525_200_250_000_000),
        ("1795525200.25", 1_795_525_200_250_000_000),
        (1_795_525_200_123, 1_795_525_200_123_000_000),
        (1_795_525_200_123_456, 1_795_525_200_123_456_000),
        ("1795525200123456789", 1_795_525_200_123_456_789),
        ("0.012", None),  # nginx calls the duration of a request its time
        ("yesterday", None),
        ("", None),
        (True, None),
        (None, None),
        (float("inf"), None),
        (10**30, None),
        (-5, None),
        ("2290-01-01", None),
        ("9" * 5000, None),
    ],
)
def test_a_time_is_nanoseconds_or_nothing(written: object, ns: int | None) -> None:
    assert nanoseconds(written) == ns


@given(scalars)
def test_whatever_is_called_a_time_is_one_the_store_can_hold(written: object) -> None:
    found = nanoseconds(written)
    assert found is None or 0 < found < 2**63


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("463ac35c9f6413ad48485a3953bb6124", "463ac35c9f6413ad48485a3953bb6124"),
        ("463ac35c9f6413ad", "0000000000000000463ac35c9f6413ad"),
        ("463ac35c-9f64-13ad-4848-5a3953bb6124", "463ac35c9f6413ad48485a3953bb6124"),
        ("0" * 32, ""),
        ("none", ""),
        ("zz3ac35c9f6413ad", ""),
        (17, ""),
    ],
)
def test_a_trace_id_is_sixteen_bytes_or_nothing(written: object, found: str) -> None:
    assert id_bytes(written, 16).hex() == found


@given(documents)
def test_every_value_of_a_document_is_kept_as_a_scalar(document: dict[str, object]) -> None:
    flat = flattened(document)
    assert all(isinstance(value, str | int | float) for value in flat.values())
    assert len(flat) >= len(
        {key for key, value in document.items() if value is not None and not isinstance(value, dict)}
    )


def test_what_lies_too_deep_is_bad_input() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(BadInput, match="too deeply"):
        flattened(deep)


def test_lines_of_one_sender_share_a_resource() -> None:
    lines = LogLines(NOW)
    web, api = (("service.name", "web"),), (("service.name", "api"),)
    for resource in (web, api, web):
        lines.add(resource, Line("INFO hello", attributes=[("n", 2**70), ("ok", True), ("share", 0.5), ("who", "me")]))
    accepted = lines.accepted()
    request = ExportLogsServiceRequest.FromString(accepted.body)
    assert [len(each.scope_logs[0].log_records) for each in request.resource_logs] == [2, 1]
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    assert (record.time_unix_nano, record.observed_time_unix_nano, record.severity_number) == (NOW, NOW, 9)
    assert [each.time_unix_nano - NOW for each in request.resource_logs[0].scope_logs[0].log_records] == [0, 2]
    assert [(pair.key, pair.value.WhichOneof("value")) for pair in record.attributes] == [
        ("n", "string_value"),
        ("ok", "bool_value"),
        ("share", "double_value"),
        ("who", "string_value"),
    ]
    assert otlp.logs(accepted.body).items == 3  # what OTLP's own door would take


def test_lines_that_repeat_more_of_their_sender_than_may_be_stay_behind() -> None:
    # A small body with a long label and very many lines would be gigabytes in the store.
    lines = LogLines(NOW, Bounds(expanded_bytes=10_000, tenant="t", signal="logs"))
    label = (("pod", "x" * 1000),)
    for _ in range(50):
        with suppress(OutOfBounds):
            lines.add(label, Line("hello"))
    accepted = lines.accepted()
    assert accepted.items == 9
    assert accepted.causes == {"expanded": 41}
    assert "limits.expanded_bytes" in accepted.reason


def test_lines_of_a_sender_with_too_many_labels_stay_behind_alone() -> None:
    lines = LogLines(NOW, Bounds(attributes=2))
    with pytest.raises(OutOfBounds, match="3 attributes"):
        lines.add(tuple((name, "1") for name in "abc"), Line("no"))
    lines.add((("a", "1"),), Line("yes"))
    assert lines.accepted().items == 1

"""Lines of JSON → log records, line by line."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import BadInput
from aiprism.receive import ndjson
from aiprism.receive.ndjson import LineFault
from tests.receive.test_loglines import NOW, documents


def bodies(body: bytes) -> list[str]:
    request = ExportLogsServiceRequest.FromString(body)
    return [
        record.body.string_value
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def test_good_lines_are_taken_and_bad_ones_named_by_number() -> None:
    taken = ndjson.records(b'{"msg":"a"}\n\n{"msg":\r\n[1]\r\n{"msg":"b"}', NOW, service="shop")
    assert (taken.items, taken.rejected) == (2, 2)
    assert [fault.line for fault in taken.faults] == [3, 4]
    assert taken.faults[1] == LineFault(4, "not an object but list")
    assert bodies(taken.body) == ["a", "b"]


def test_a_body_without_any_record_is_bad_input() -> None:
    with pytest.raises(BadInput, match="line 2"):
        ndjson.records(b"\nnot json\n", NOW)


def test_an_empty_body_holds_nothing() -> None:
    assert ndjson.records(b"", NOW).items == 0


def test_only_the_first_faults_are_listed_and_all_are_counted() -> None:
    taken = ndjson.records(b'{"msg":"a"}\n' + b"?\n" * 500, NOW)
    assert (taken.rejected, len(taken.faults)) == (500, ndjson.MAX_FAULTS)


@given(st.lists(documents, max_size=5))
def test_every_document_comes_through(lines: list[dict[str, object]]) -> None:
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    assert ndjson.records(body, NOW).items == len(lines)


@given(st.binary(max_size=300))
def test_garbage_is_bad_input_and_nothing_else(body: bytes) -> None:
    with contextlib.suppress(BadInput):
        ndjson.records(body, NOW)


def test_nesting_without_end_is_a_fault_of_its_line() -> None:
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
    taken = ndjson.records(b'{"msg":"ok"}\n' + deep, NOW)
    assert (taken.items, taken.rejected) == (1, 1)

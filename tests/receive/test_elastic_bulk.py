"""Elasticsearch bulk bodies → log records, and what became of each action."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import BadInput
from aiprism.receive import elastic_bulk
from aiprism.receive.elastic_bulk import AcceptedBulk, Outcome
from tests.receive.test_loglines import NOW, documents


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def bulk(body: bytes, index: str = "") -> AcceptedBulk:
    return elastic_bulk.bulk(body, NOW, lambda: "made", index=index)


def records(body: bytes) -> list[dict[str, Any]]:
    request = ExportLogsServiceRequest.FromString(body)
    return [
        {
            "service": next((p.value.string_value for p in each.resource.attributes if p.key == "service.name"), ""),
            "body": record.body.string_value,
            "attributes": {pair.key: pair.value.string_value for pair in record.attributes},
        }
        for each in request.resource_logs
        for scope in each.scope_logs
        for record in scope.log_records
    ]


def test_index_and_create_add_a_record_update_and_delete_do_not() -> None:
    body = lines(
        {"index": {"_index": "app-2026.11.24", "_id": "7"}},
        {"message": "one"},
        {"delete": {"_index": "app", "_id": "1"}},
        {"update": {"_index": "app", "_id": "2"}},
        {"doc": {"a": 1}},
        {"create": {}},
        {"message": "two"},
    )
    taken = bulk(body, index="logs-shop.web-prod")
    assert (taken.items, taken.rejected) == (2, 2)
    assert [(each.operation, each.index, each.id, each.error) for each in taken.outcomes] == [
        ("index", "app-2026.11.24", "7", ""),
        ("delete", "app", "1", "illegal_argument_exception"),
        ("update", "app", "2", "illegal_argument_exception"),
        ("create", "logs-shop.web-prod", "made", ""),
    ]
    assert records(taken.body) == [
        {
            "service": "app",
            "body": "one",
            "attributes": {"elasticsearch.index": "app-2026.11.24", "elasticsearch.id": "7"},
        },
        {
            "service": "shop.web",
            "body": "two",
            "attributes": {
                "data_stream.type": "logs",
                "data_stream.dataset": "shop.web",
                "data_stream.namespace": "prod",
            },
        },
    ]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"{", "failed to parse"),
        (b"", "failed to parse"),
        (b"[1]", "not list"),
        (b'{"@timestamp": "yesterday"}', "[@timestamp] of type [date]"),
    ],
)
def test_a_bad_document_is_the_fault_of_its_item(document: bytes, says: str) -> None:
    good = lines({"index": {"_index": "a"}}, {"message": "good"})
    taken = bulk(lines({"index": {"_index": "a"}}) + document + b"\n" + good)
    assert (taken.items, taken.rejected) == (1, 1)
    assert taken.outcomes[0].error == "document_parsing_exception"
    assert says in taken.outcomes[0].reason
    assert taken.outcomes[1] == Outcome("index", "a", "made")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "request body is required"),
        (b"\n", "request body is required"),
        (b'{"index":{"_index":"a"}}\n{"message":"x"}', "terminated by a newline"),
        (lines({"index": {"_index": "a"}}), "has no document after it"),
        (lines({"index": {}}, {}), "index is missing"),
        (lines({"upsert": {"_index": "a"}}, {}), "but found [upsert]"),
        (lines([], {}), "Malformed action/metadata line [1]"),
        (b"x\n{}\n", "Malformed action/metadata line [1]"),
        (lines({"index": {"_index": "a"}}, {"m": 1}, {"index": 5}), "Malformed action/metadata line [3]"),
        (lines({"index": {"_index": "a" * 256}}, {}), "at most 255"),
    ],
)
def test_a_malformed_request_is_refused_whole(body: bytes, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        bulk(body)
    assert says in str(caught.value)


@given(st.lists(documents, min_size=1, max_size=5))
def test_every_document_is_taken(all_of_them: list[dict[str, object]]) -> None:
    body = b"".join(
        lines({"create": {"_index": "a"}}, {**each, "@timestamp": 1_790_000_000_000}) for each in all_of_them
    )
    assert bulk(body).items == len(all_of_them)


@given(st.binary(max_size=300), st.lists(documents, max_size=4))
def test_garbage_is_bad_input_and_nothing_else(body: bytes, some: list[dict[str, object]]) -> None:
    for each in (body, body + b"\n", lines(*some), lines({"index": {"_index": "a"}}) + body + b"\n"):
        with contextlib.suppress(BadInput):
            bulk(each)

"""Elasticsearch's API: bulk answers in their exact shape, and the handshakes of shippers."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import httpx
import pytest

from aiprism.store.engine import Engine
from aiprism.web.elastic import filtered
from tests.web.test_agents import counts, lines_of, with_doors
from tests.zipbomb import ZIP_BOMB

NDJSON = {"Content-Type": "application/x-ndjson"}


def bulk_of(*documents: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def now(fraction: str = "") -> str:
    """A moment ago, whatever the fraction: a search ends now."""
    return time.strftime(f"%Y-%m-%dT%H:%M:%S{fraction}Z", time.gmtime(time.time() - 2))


def test_a_bulk_answer_tells_of_each_item(engine: Engine) -> None:
    body = bulk_of(
        {"create": {"_index": "logs-shop-prod", "_id": "1"}},
        {"@timestamp": now(), "message": "paid", "log": {"level": "info"}},
        {"delete": {"_index": "old", "_id": "2"}},
        {"index": {"_index": "logs-shop-prod"}},
        {"@timestamp": now(".5"), "message": "declined", "log.level": "error"},
    )

    async def story(client: httpx.AsyncClient) -> None:
        headers = {**NDJSON, "Content-Encoding": "gzip"}
        answer = await client.post("/_bulk", content=gzip.compress(body), headers=headers)
        assert (answer.status_code, answer.headers["X-Elastic-Product"]) == (200, "Elasticsearch")
        said = answer.json()
        assert isinstance(said.pop("took"), int)
        made = said["items"][2]["index"].pop("_id")
        stored = {"_version": 1, "result": "created", "_shards": {"total": 1, "successful": 1, "failed": 0}}
        stored |= {"_seq_no": 0, "_primary_term": 1, "status": 201}
        assert said == {
            "errors": True,
            "items": [
                {"create": {"_index": "logs-shop-prod", "_id": "1", **stored}},
                {
                    "delete": {
                        "_index": "old",
                        "_id": "2",
                        "status": 400,
                        "error": {
                            "type": "illegal_argument_exception",
                            "reason": "log records are only added: [delete] is not possible, send [create] or [index]",
                        },
                    }
                },
                {"index": {"_index": "logs-shop-prod", **stored}},
            ],
        }
        assert len(made) == 20
        assert await lines_of(client, "shop") == [("INFO", "paid"), ("ERROR", "declined")]

    telemetry = with_doors(engine, story)
    assert counts(telemetry, "receive.elastic")["dropped"] == {"rejected_item": 1.0}


def test_the_index_may_be_in_the_path_and_the_answer_filtered(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/app/_bulk",
            params={"filter_path": "errors,items.*.error,items.*.status"},
            content=bulk_of({"index": {}}, {"message": "x"}, {"update": {"_id": "1"}}, {}),
            headers=NDJSON,
        )
        said = answer.json()
        assert said["errors"] is True
        assert said["items"][0] == {"index": {"status": 201}}
        assert said["items"][1]["update"]["status"] == 400
        assert await lines_of(client, "app") == [("", "x")]

    with_doors(engine, story)


@pytest.mark.parametrize("path", ["/app/_doc", "/app/_doc/7", "/app/_create/7"])
def test_a_single_document(engine: Engine, path: str) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post(path, json={"message": "x"})
        assert (answer.status_code, answer.json()["result"], answer.json()["_index"]) == (201, "created", "app")
        assert (await client.post(path, content=b"{", headers={"Content-Type": "application/json"})).status_code == 400
        assert await lines_of(client, "app") == [("", "x")]

    with_doors(engine, story)


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"x\n", NDJSON, 400, "illegal_argument_exception"),
        (b"x\n", {"Content-Type": "text/plain"}, 415, "media_type_header_exception"),
        (b"x\n", {**NDJSON, "Content-Encoding": "gzip"}, 400, "illegal_argument_exception"),
        (b"x\n", {**NDJSON, "Content-Encoding": "br"}, 415, "media_type_header_exception"),
        (ZIP_BOMB, {**NDJSON, "Content-Encoding": "gzip"}, 413, "content_too_long_exception"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_elasticsearchs_form(
    engine: Engine, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/_bulk", content=body, headers=headers)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert (error["type"], error["root_cause"][0]["type"], answer.json()["status"]) == (kind, kind, status)

    with_doors(engine, story)


def test_a_store_that_takes_nothing_is_503_for_the_whole_request(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/a/_bulk", content=bulk_of({"index": {}}, {"message": "x"}), headers=NDJSON)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        assert answer.json()["error"]["type"] == "unavailable_shards_exception"

    with_doors(engine, story, fault="the disk is full")


@pytest.mark.parametrize(
    ("headers", "is_page"),
    [
        ({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}, True),
        ({"Accept": "*/*", "User-Agent": "curl/7.88.1"}, True),
        ({"Accept": "application/vnd.elasticsearch+json; compatible-with=9"}, False),
        ({"Accept": "application/json", "User-Agent": "Elastic-filebeat/8.11.0 (linux; amd64)"}, False),
        ({"Accept": "*/*", "User-Agent": "logstash/8.11.0 (OS=Linux) logstash-output-elasticsearch/11.22"}, False),
        ({"User-Agent": "Manticore 0.9.1"}, False),
        ({"User-Agent": "Vector/0.40.0"}, False),
        ({"User-Agent": "Fluent-Bit"}, False),
    ],
)
def test_the_root_is_the_page_for_people_and_elasticsearch_for_its_clients(
    engine: Engine, headers: dict[str, str], is_page: bool
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, "/", headers=headers)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/html") is is_page
            assert ("X-Elastic-Product" in answer.headers) is not is_page
            if method == "GET" and not is_page:
                assert answer.json()["version"]["number"].startswith("8.")

    with_doors(engine, story)


def test_the_answer_is_in_the_media_type_the_client_asked_for(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        kind = "application/vnd.elasticsearch+json; compatible-with=9"
        assert (await client.get("/", headers={"Accept": kind})).headers["content-type"] == kind

    with_doors(engine, story)


# (method, path, what the answer must hold), as the shippers ask before they send.
HANDSHAKES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/_license", {"license": {"status": "active", "type": "basic"}}),
    ("GET", "/_license?human=false", {"license": {"status": "active"}}),
    ("GET", "/_xpack", {"features": {"ilm": {"available": True, "enabled": True}}}),
    ("GET", "/_cluster/health", {"status": "green"}),
    ("GET", "/_ilm/status", {"operation_mode": "RUNNING"}),
    ("HEAD", "/_index_template/filebeat-8.11.0", {}),
    ("PUT", "/_index_template/filebeat-8.11.0", {"acknowledged": True}),
    ("GET", "/_index_template/logs", {"index_templates": [{"name": "logs"}]}),
    ("PUT", "/_component_template/x", {"acknowledged": True}),
    ("HEAD", "/_template/logstash", {}),
    ("GET", "/_template/logstash", {"logstash": {"order": 0}}),
    ("PUT", "/_template/logstash", {"acknowledged": True}),
    ("GET", "/_ilm/policy/filebeat", {"filebeat": {"version": 1}}),
    ("PUT", "/_ilm/policy/filebeat", {"acknowledged": True}),
    ("HEAD", "/_alias/logstash", {}),
    ("GET", "/_alias/logstash", {"logstash": {"aliases": {"logstash": {"is_write_index": True}}}}),
    ("PUT", "/logstash-000001/_alias/logstash", {"acknowledged": True}),
    ("GET", "/_ingest/pipeline/filebeat-8.11.0-nginx", {}),
    ("PUT", "/_ingest/pipeline/filebeat-8.11.0-nginx", {"acknowledged": True}),
    ("GET", "/_data_stream/filebeat-8.11.0", {"data_streams": [{"name": "filebeat-8.11.0"}]}),
    ("PUT", "/_data_stream/filebeat-8.11.0", {"acknowledged": True}),
    ("HEAD", "/logstash-000001", {}),
    ("PUT", "/logstash-000001", {"acknowledged": True, "index": "logstash-000001"}),
    ("POST", "/logstash-000001/_refresh", {"_shards": {"failed": 0}}),
]


@pytest.mark.parametrize(("method", "path", "holds"), HANDSHAKES, ids=[f"{each[0]} {each[1]}" for each in HANDSHAKES])
def test_a_handshake_is_answered(engine: Engine, method: str, path: str, holds: dict[str, Any]) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, json={"policy": {}} if method == "PUT" else None)
        assert (answer.status_code, answer.headers["X-Elastic-Product"]) == (200, "Elasticsearch")
        if method != "HEAD":
            assert _holds(answer.json(), holds)

    with_doors(engine, story)


def test_a_client_that_follows_addresses_comes_back_here(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        said = (await client.get("/_nodes/http", headers={"Host": "127.0.0.1:9090"})).json()
        [node] = said["nodes"].values()
        assert node["http"]["publish_address"] == "127.0.0.1:9090"

    with_doors(engine, story)


def _holds(value: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in value and _holds(value[key], each) for key, each in part.items())
    if isinstance(part, list):
        return len(value) == len(part) and all(_holds(one, other) for one, other in zip(value, part, strict=True))
    return bool(value == part)


ANSWER = {
    "took": 3,
    "errors": True,
    "items": [{"index": {"_id": "1", "status": 201}}, {"create": {"_id": "2", "error": {"type": "x", "reason": "y"}}}],
}


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("took", {"took": 3}),
        ("errors,took", {"took": 3, "errors": True}),
        ("items.*.status", {"items": [{"index": {"status": 201}}]}),
        ("items.*.error", {"items": [{"create": {"error": {"type": "x", "reason": "y"}}}]}),
        ("items.ind*._id", {"items": [{"index": {"_id": "1"}}]}),
        ("**.type", {"items": [{"create": {"error": {"type": "x"}}}]}),
        ("-items", {"took": 3, "errors": True}),
        (
            "items,-items.*._id,-**.reason",
            {"items": [{"index": {"status": 201}}, {"create": {"error": {"type": "x"}}}]},
        ),
        ("nothing", {}),
        ("t*k", {"took": 3}),
        ("t*k*", {"took": 3}),
        ("*", ANSWER),
    ],
)
def test_filter_path(asked: str, given: dict[str, Any]) -> None:
    assert filtered(ANSWER, asked.split(",")) == given

"""What Filebeat, Logstash, Fluent Bit, Vector and Promtail send, by their documentation, answered as they expect it."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from aiprism.store.engine import Engine
from tests.web.test_agents import with_doors

STAMP = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
NS = str(time.time_ns())
TRACE = "463ac35c9f6413ad48485a3953bb6124"


def ndjson(*documents: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


FILEBEAT = {
    "@timestamp": STAMP,
    "message": "declined",
    "log": {"offset": 42, "file": {"path": "/var/log/shop.log"}, "level": "error"},
    "input": {"type": "filestream"},
    "ecs": {"version": "8.0.0"},
    "host": {"name": "web-1", "ip": ["10.0.0.1", "fe80::1"], "os": {"platform": "debian"}},
    "agent": {"type": "filebeat", "version": "8.11.0", "id": "a-1"},
    "service": {"name": "shop"},
    "trace": {"id": TRACE},
}
LOGSTASH = {
    "@timestamp": STAMP,
    "@version": "1",
    "message": "declined",
    "level": "ERROR",
    "host": {"name": "web-1"},
    "service": {"name": "shop"},
    "tags": ["beats_input"],
    "event": {"original": "declined"},
}
FLUENT_BIT = {
    "@timestamp": STAMP,
    "log": "declined",
    "level": "error",
    "stream": "stderr",
    "kubernetes": {"pod_name": "shop-1", "container_name": "shop", "host": "web-1", "labels": {"app": "shop"}},
}
VECTOR = {
    "timestamp": STAMP,
    "message": "declined",
    "level": "error",
    "host": "web-1",
    "source_type": "file",
    "file": "/var/log/shop.log",
    "service": "shop",
}
CASES: dict[str, tuple[str, dict[str, str], bytes, dict[str, str], dict[str, str]]] = {
    "Filebeat": (
        "/_bulk?filter_path=errors%2Citems.%2A.error%2Citems.%2A.status",
        {
            "Content-Type": "application/vnd.elasticsearch+x-ndjson; compatible-with=8",
            "Accept": "application/json",
            "User-Agent": "Elastic-Filebeat/8.11.0 (linux; amd64)",
        },
        ndjson({"create": {"_index": "filebeat-8.11.0"}}, FILEBEAT),
        {"host.name": "web-1", "agent.type": "filebeat", "host.ip": '["10.0.0.1","fe80::1"]'},
        {"log.file.path": "/var/log/shop.log", "elasticsearch.index": "filebeat-8.11.0", "ecs.version": "8.0.0"},
    ),
    "Logstash": (
        "/_bulk?filter_path=errors,items.*.error,items.*.status",
        {"Content-Type": "application/json", "User-Agent": "logstash/8.11.0 logstash-output-elasticsearch/11.22.1"},
        ndjson({"create": {"_id": None, "_index": "logs-generic-default", "routing": None}}, LOGSTASH),
        {"host.name": "web-1"},
        {"data_stream.dataset": "generic", "tags": '["beats_input"]', "event.original": "declined"},
    ),
    "Fluent Bit": (
        "/_bulk",
        {"Content-Type": "application/x-ndjson", "User-Agent": "Fluent-Bit"},
        ndjson({"create": {"_index": "fluent-bit", "_type": "_doc"}}, FLUENT_BIT),
        {"kubernetes.pod_name": "shop-1", "kubernetes.labels.app": "shop"},
        {"stream": "stderr", "elasticsearch.index": "fluent-bit"},
    ),
    "Vector": (
        "/_bulk?timeout=60s",
        {"Content-Type": "application/x-ndjson", "User-Agent": "Vector/0.40.0"},
        ndjson({"index": {"_index": "vector-2026.11.24", "_type": "_doc"}}, VECTOR),
        {"host.name": "web-1"},
        {"source_type": "file", "file": "/var/log/shop.log"},
    ),
    "Promtail": (
        "/loki/api/v1/push",
        {"Content-Type": "application/json", "User-Agent": "promtail/3.0.0", "X-Scope-OrgID": "fake"},
        json.dumps(
            {
                "streams": [
                    {
                        "stream": {"job": "shop", "filename": "/var/log/shop.log", "hostname": "web-1"},
                        "values": [[NS, "declined", {"detected_level": "error"}]],
                    }
                ]
            }
        ).encode(),
        {"filename": "/var/log/shop.log", "job": "shop"},
        {"detected_level": "error"},
    ),
    "Fluent Bit's Loki output": (
        "/loki/api/v1/push",
        {"Content-Type": "application/json", "User-Agent": "Fluent-Bit"},
        json.dumps(
            {
                "streams": [
                    {"stream": {"job": "fluent-bit", "app": "shop"}, "values": [[NS, 'level=error msg="declined"']]}
                ]
            }
        ).encode(),
        {"job": "fluent-bit"},
        {},
    ),
}


@pytest.mark.parametrize("shipper", list(CASES))
def test_what_a_shipper_sends_is_stored_in_its_place(engine: Engine, shipper: str) -> None:
    path, headers, body, resource, attributes = CASES[shipper]

    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post(path, content=body, headers=headers)
        if path.startswith("/_bulk"):
            said: dict[str, Any] = answer.json()
            assert (answer.status_code, said["errors"]) == (200, False)
            [item] = said["items"]
            assert [outcome["status"] for outcome in item.values()] == [201]
        else:
            assert answer.status_code == 204
        [line] = (await client.get("/aiprism/v1/logs", params={"service": "shop"})).json()["logs"]
        assert (line["level"], "declined" in line["body"]) == ("ERROR", True)
        assert resource.items() <= line["resource"].items()
        assert attributes.items() <= line["attributes"].items()
        assert line["trace_id"] == (TRACE if shipper == "Filebeat" else "")

    with_doors(engine, story)

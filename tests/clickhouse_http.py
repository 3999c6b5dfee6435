"""ClickHouse's HTTP interface in front of chDB, in a process of its own: the server that a cluster user would have.

    python tests/clickhouse_http.py DIRECTORY PORT [CLUSTER]

Speaks what clickhouse-connect needs: SQL in the body or in `query`, data in the body, `param_…`, `database`, settings as
URL parameters, gzip/zstd/lz4 bodies refused by not being offered. Used to test the HTTP path and a store that goes away.

CLUSTER is one of `CLUSTERS`: chDB knows Distributed tables, and runs them in its own process when every shard is itself.
It has no ClickHouse Keeper, so what needs one is left away here: ON CLUSTER, and the Replicated of an engine.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import chdb

_NOT_SETTINGS = {"database", "query", "session_id", "query_id", "client_protocol_version", "default_format", "compress",
                 "decompress", "wait_end_of_query", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
                 "buffer_size", "enable_http_compression", "role", "session_timeout", "session_check", "quota_key"}  # fmt: skip
_INSERT = re.compile(r"^\s*INSERT\s.*?\bFORMAT\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)
_SETTINGS_LATER = re.compile(r"\bFORMAT\s+(\w+)\s*$", re.IGNORECASE)


# Shards of each cluster; all of them are this process, and so hold the same tables.
CLUSTERS = {"one": 1, "two": 2}
_SHARD = """<shard><internal_replication>true</internal_replication>
<replica><host>127.0.0.1</host><port>9000</port></replica></shard>"""
_KEEPER = ((re.compile(r"\sON CLUSTER \w+"), ""), (re.compile(r"\bReplicated(\w*MergeTree)(\('/[^)]*\))?"), r"\1"),
           (re.compile(r"\breplicated_dedup"), "non_replicated_dedup"))  # fmt: skip


def cluster_configuration(file: Path) -> str:
    """A chDB connection's option that gives it the CLUSTERS; `file` is written for it."""
    # Nobody listens at the port: a shard is this process when its port is ours.
    servers = "".join(f"<{name}>{_SHARD * shards}</{name}>" for name, shards in CLUSTERS.items())
    file.write_text(
        f"<clickhouse><tcp_port>9000</tcp_port><remote_servers>{servers}</remote_servers></clickhouse>",
        encoding="utf-8",
    )
    return f"?config-file={file}"


def without_keeper(sql: str) -> str:
    """The statement without what only a ClickHouse Keeper makes possible."""
    for form, instead in _KEEPER:
        sql = form.sub(instead, sql)
    return sql


class Database:
    """The one chDB connection, used by one request at a time."""

    def __init__(self, directory: str, cluster: str = "") -> None:
        options = cluster_configuration(Path(tempfile.mkdtemp()) / "cluster.xml") if cluster else ""
        self._cluster = cluster
        self._connection = chdb.connect(f"{directory}{options}")
        self._lock = threading.Lock()

    def run(self, sql: str, data: bytes, parameters: dict[str, str]) -> bytes:
        bound = {key[6:]: value for key, value in parameters.items() if key.startswith("param_")}
        settings = {k: v for k, v in parameters.items() if not k.startswith("param_") and k not in _NOT_SETTINGS}
        # A server takes a schema's text where the embedded engine would cache it in the working directory.
        os.chdir(tempfile.gettempdir())
        if self._cluster and re.match(r"\s*(CREATE|ALTER|DROP|RENAME|EXCHANGE|OPTIMIZE|TRUNCATE)\b", sql):
            sql = without_keeper(sql)
        with self._lock:
            self._connection.query(f"USE {parameters.get('database') or 'default'}")
            for name, value in settings.items():
                escaped = value.replace("\\", "\\\\").replace("'", "\\'")
                self._connection.query(f"SET {name} = '{escaped}'")
            try:
                if insert := _INSERT.match(sql):
                    return self._insert(sql, insert.group(1), data)
                return bytes(self._connection.query(sql, "TabSeparated", params=bound).bytes() or b"")
            finally:
                for name in settings:
                    self._connection.query(f"SET {name} = DEFAULT")

    def _insert(self, sql: str, form: str, data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            statement = _SETTINGS_LATER.sub("", sql.strip())
            self._connection.query(f"{statement} FROM INFILE '{file.name}' FORMAT {form}")
        return b""


def handler(database: Database) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, body: bytes) -> None:
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            sql, data = parameters.get("query", ""), body
            if not sql:
                sql, data = _split(body)
            try:
                status, answer = 200, database.run(sql, data, parameters) if sql else b"Ok.\n"
            except Exception as error:
                status, answer = 500, str(error).encode()
            self.send_response(status)
            if status == 200:
                self.send_header("X-ClickHouse-Format", (_SETTINGS_LATER.search(sql) or ["", "TabSeparated"])[1])
                self.send_header("X-ClickHouse-Summary", "{}")
            else:
                code = re.search(rb"Code: (\d+)", answer)
                self.send_header("X-ClickHouse-Exception-Code", code.group(1).decode() if code else "1002")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            return None

    return Handler


def _split(body: bytes) -> tuple[str, bytes]:
    """An INSERT may carry its data behind the first line of the body."""
    first, newline, rest = body.partition(b"\n")
    if newline and _INSERT.match(first.decode("utf-8", "replace")):
        return first.decode(), rest
    return body.decode(), b""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), handler(Database(sys.argv[1], *sys.argv[3:])))
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever()

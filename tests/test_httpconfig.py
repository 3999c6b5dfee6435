"""HTTP client options, each seen from the server's side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from aiprism import __version__, yamlfile
from aiprism.clock import FakeClock
from aiprism.errors import ConfigError
from aiprism.httpconfig import HttpOptions, Proxy, Secret, TokenRefused, Unreadable, _goes_around, client, http_options
from tests.webserver import Answer, Asked, Server, serving


@dataclass(frozen=True)
class Pair:
    """A self-signed certificate of 127.0.0.1 and its key."""

    cert: Path
    key: Path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    return _pair(folder, "one", "IP:127.0.0.1"), _pair(folder, "two", "DNS:two.example")


def _pair(folder: Path, name: str, alternative: str) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
    ]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}"]
    subprocess.run([*command, *names, "-out", pair.cert, "-keyout", pair.key], check=True, capture_output=True)
    return pair


def serves(pair: Pair, *, wants: Pair | None = None) -> ssl.SSLContext:
    """A server's context; with `wants`, clients must show that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    if wants:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(wants.cert)
    return context


def options(text: str, file: str = "f") -> HttpOptions:
    return http_options(yamlfile.parse(text, file=file))


def hello(asked: Asked) -> Answer:
    return Answer("hello")


def asked_with(text: str, file: str = "f") -> Asked:
    """What a server sees of a GET with these options."""

    async def run() -> Asked:
        async with serving(hello) as server, client(options(text, file)) as asker:
            assert (await asker.get(f"{server.url}/x")).text == "hello"
            return server.asked[0]

    return asyncio.run(run())


def test_who_we_are_is_said_in_one_header(tmp_path: Path):
    (tmp_path / "p").write_text("pass\n")
    basic = b64encode(b"user:pass").decode()
    for text, header in [
        ("basic_auth: {username: user, password: pass}", f"Basic {basic}"),
        ("basic_auth: {username: user, password_file: p}", f"Basic {basic}"),
        ("authorization: {credentials: pass}", "Bearer pass"),
        ("authorization: {type: Token, credentials_file: p}", "Token pass"),
        ("bearer_token_file: p", "Bearer pass"),
    ]:
        headers = asked_with(text, str(tmp_path / "f.yml")).headers
        assert (headers["authorization"], headers["user-agent"]) == (header, f"aiprism/{__version__}")


def test_headers_of_every_source_are_sent(tmp_path: Path):
    (tmp_path / "h").write_text("three")
    text = "http_headers: {X-Scope: {values: [one], secrets: [two], files: [h]}}"
    assert asked_with(text, str(tmp_path / "f.yml")).headers["x-scope"] == "one, two, three"


def test_a_secret_in_a_file_is_read_anew_and_its_absence_is_an_http_error_that_shows_nothing(tmp_path: Path):
    async def run() -> list[str]:
        async with serving(hello) as server, client(options("bearer_token_file: t", str(tmp_path / "f"))) as asker:
            for token in ("old", "new"):
                (tmp_path / "t").write_text(token)
                await asker.get(server.url)
            (tmp_path / "t").unlink()
            with pytest.raises(Unreadable, match=r"/t cannot be read: No such file or directory$"):
                await asker.get(server.url)
            return [asked.headers["authorization"] for asked in server.asked]

    assert asyncio.run(run()) == ["Bearer old", "Bearer new"]


def test_redirects_are_followed_unless_told_otherwise_and_never_carry_our_name_to_another_host():
    async def run(text: str) -> tuple[int, list[bool]]:
        async with (
            serving(hello) as other,
            serving(lambda asked: Answer(status=302, headers={"Location": other.url})) as first,
        ):
            async with client(options(text)) as asker:
                status = (await asker.get(first.url)).status_code
            return status, ["authorization" in asked.headers for asked in (*first.asked, *other.asked)]

    assert asyncio.run(run("bearer_token: t")) == (200, [True, False])
    assert asyncio.run(run("{bearer_token: t, follow_redirects: false}")) == (302, [True])


# -- certificates ----------------------------------------------------------------------------------------------------


def trusts(text: str, server: ssl.SSLContext, file: str = "f") -> bool:
    async def run() -> bool:
        async with serving(hello, server) as there, client(options(text, file)) as asker:
            try:
                return (await asker.get(there.url)).text == "hello"
            except httpx.TransportError:
                return False

    return asyncio.run(run())


def indented(path: Path) -> str:
    return path.read_text().replace("\n", "\n    ")


def test_whom_we_trust(pairs: tuple[Pair, Pair]):
    one, two = pairs
    assert not trusts("", serves(one))
    assert trusts(f"tls_config: {{ca_file: {one.cert}}}", serves(one))
    assert trusts(f"tls_config:\n  ca: |\n    {indented(one.cert)}", serves(one))
    assert not trusts(f"tls_config: {{ca_file: {two.cert}}}", serves(one))
    assert trusts("tls_config: {insecure_skip_verify: true}", serves(one))
    assert not trusts(f"tls_config: {{ca_file: {two.cert}}}", serves(two))
    assert trusts(f"tls_config: {{ca_file: {two.cert}, server_name: two.example}}", serves(two))


def test_we_show_a_certificate_of_ours(pairs: tuple[Pair, Pair]):
    one, two = pairs
    server = serves(one, wants=two)
    assert not trusts(f"tls_config: {{ca_file: {one.cert}}}", server)
    assert trusts(f"tls_config: {{ca_file: {one.cert}, cert_file: {two.cert}, key_file: {two.key}}}", server)
    inline = f"  cert: |\n    {indented(two.cert)}\n  key: |\n    {indented(two.key)}"
    assert trusts(f"tls_config:\n  ca_file: {one.cert}\n{inline}", server)


def test_versions_are_bounded(pairs: tuple[Pair, Pair]):
    server = serves(pairs[0])
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    trusted = f"ca_file: {pairs[0].cert}"
    assert trusts(f"tls_config: {{{trusted}, max_version: TLS12}}", server)
    assert not trusts(f"tls_config: {{{trusted}, min_version: TLS13}}", server)


def test_a_changed_authority_is_found_by_a_client_that_lives(pairs: tuple[Pair, Pair], tmp_path: Path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pairs[1].cert.read_bytes())

    async def run() -> str:
        async with (
            serving(hello, serves(pairs[0])) as server,
            client(options(f"tls_config: {{ca_file: {ca}}}")) as asker,
        ):
            with pytest.raises(httpx.ConnectError):
                await asker.get(server.url)
            ca.write_bytes(pairs[0].cert.read_bytes())
            os.utime(ca, ns=(1, 1))
            return (await asker.get(server.url)).text

    assert asyncio.run(run()) == "hello"


def test_contexts_are_made_once():
    assert HttpOptions().tls.context() is HttpOptions(proxy=Proxy(Secret("http://p"))).tls.context()
    insecure = options("tls_config: {insecure_skip_verify: true}").tls
    assert insecure.context() is insecure.context() is not HttpOptions().tls.context()


# -- proxies ---------------------------------------------------------------------------------------------------------


def test_requests_go_through_the_proxy_but_for_the_hosts_it_is_not_for(monkeypatch: pytest.MonkeyPatch):
    async def run(text: str) -> list[str]:
        async with serving(hello) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "direct.invalid")
            text = text.replace("PROXY", proxy.url)
            async with client(options(text)) as asker:
                await asker.get("http://far.invalid/a")
                with pytest.raises(httpx.ConnectError):
                    await asker.get("http://direct.invalid/b")
            return [asked.target for asked in proxy.asked]

    assert asyncio.run(run("{proxy_url: 'PROXY', no_proxy: direct.invalid}")) == ["http://far.invalid/a"]
    assert asyncio.run(run("{proxy_from_environment: true}")) == ["http://far.invalid/a"]


def test_a_proxy_is_told_our_connect_headers():
    async def run() -> Asked:
        async with serving(lambda asked: Answer(status=403)) as proxy:
            async with client(options(f"{{proxy_url: '{proxy.url}', proxy_connect_header: {{X-Key: [k]}}}}")) as asker:
                with pytest.raises(httpx.ProxyError):
                    await asker.get("https://far.invalid/")
            return proxy.asked[0]

    asked = asyncio.run(run())
    assert (asked.method, asked.target, asked.headers["x-key"]) == ("CONNECT", "far.invalid:443", "k")


@pytest.mark.parametrize(
    ("host", "port", "names", "around"),
    [
        ("a.example", 80, "*", True),
        ("a.example", 80, "example", True),
        ("a.example", 80, ".example", True),
        ("example", 80, ".example", False),
        ("an-example", 80, "example", False),
        ("a.example", 81, "a.example:80", False),
        ("a.example", 80, "b, A.Example:80", True),
        ("10.2.3.4", 80, "10.0.0.0/8", True),
        ("11.2.3.4", 80, "10.0.0.0/8", False),
        ("10.2.3.4", 80, "10.2.3.4", True),
        ("::1", 80, "::1", True),
    ],
)
def test_where_no_proxy_is_used(host: str, port: int, names: str, around: bool):
    assert _goes_around(host, port, tuple(name.strip().lower() for name in names.split(","))) is around


# -- tokens ----------------------------------------------------------------------------------------------------------

OAUTH = (
    "oauth2: {client_id: me, client_secret: 'se cret', token_url: 'URL/token', scopes: [a, b], endpoint_params: {x: y}}"
)


@contextlib.asynccontextmanager
async def tokens(*answers: Answer) -> AsyncIterator[Server]:
    left = list(answers)
    async with serving(lambda asked: left.pop(0) if asked.path == "/token" else hello(asked)) as server:
        yield server


def token(value: str, **more: object) -> Answer:
    return Answer({"access_token": value, "token_type": "bearer", **more})


def test_a_token_is_asked_for_once_and_again_when_it_is_nearly_over():
    async def run() -> list[str]:
        clock = FakeClock()
        async with tokens(token("one", expires_in=60), token("two", expires_in="60")) as server:
            async with client(options(OAUTH.replace("URL", server.url)), clock=clock) as asker:
                for _ in range(3):
                    await asker.get(server.url)
                    await clock.advance(26)
            first = server.asked[0]
            assert first.form == {"grant_type": "client_credentials", "scope": "a b", "x": "y"}
            assert first.headers["authorization"] == "Basic " + b64encode(b"me:se+cret").decode()
            return [asked.headers["authorization"] for asked in server.asked if asked.path != "/token"]

    assert asyncio.run(run()) == ["Bearer one", "Bearer one", "Bearer two"]


def test_a_server_that_wants_the_secret_in_the_body_gets_it_there():
    async def run() -> Asked:
        async with tokens(Answer(status=401), token("one")) as server:
            async with client(options(OAUTH.replace("URL", server.url))) as asker:
                await asker.get(server.url)
            return server.asked[1]

    asked = asyncio.run(run())
    assert (asked.form["client_id"], asked.form["client_secret"]) == ("me", "se cret")
    assert "authorization" not in asked.headers


def test_no_token_is_an_http_error_without_secrets_and_the_next_request_asks_again():
    async def run() -> str:
        async with tokens(Answer("se cret", 403), Answer("se cret", 403), token("one")) as server:
            async with client(options(OAUTH.replace("URL", server.url))) as asker:
                with pytest.raises(TokenRefused) as told:
                    await asker.get(server.url)
                await asker.get(server.url)
            return str(told.value)

    assert asyncio.run(run()) == "oauth2: no token from token_url: HTTP 403"


def test_a_token_url_that_is_none_is_an_http_error():
    async def run() -> None:
        async with client(options(OAUTH.replace("URL/token", "http://[::1"))) as asker:
            with pytest.raises(TokenRefused, match=r"it is no http\(s\) URL"):
                await asker.get("http://127.0.0.1:9/")

    asyncio.run(run())


def test_a_token_that_is_refused_is_not_used_again():
    async def run() -> list[str]:
        answers = [token("one"), token("two")]
        statuses = [401, 200]

        def answer(asked: Asked) -> Answer:
            return answers.pop(0) if asked.path == "/token" else Answer(status=statuses.pop(0))

        async with serving(answer) as server, client(options(OAUTH.replace("URL", server.url))) as asker:
            return [str((await asker.get(server.url)).status_code) for _ in range(2)]

    assert asyncio.run(run()) == ["401", "200"]


def test_the_header_of_a_mistake_names_no_secret():
    with pytest.raises(ConfigError) as told:
        options("{basic_auth: {username: u, password: SECRET}, bearer_token: SECRET}")
    assert "SECRET" not in str(told.value)

"""Secrets and certificates that configuration files name: kept out of sight, read when they are needed.

In: nodes such as `password`/`password_file` and `tls_config`. Out: a `Secret` that shows itself only to who asks for
it, and `Tls`, whose context is made once and again when one of its files changed.
"""

from __future__ import annotations

import functools
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from aiprism.yamlfile import Node

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class Secret:
    """A text that shows itself only when asked to; `file` is read at each use, so a rotated secret is found."""

    __slots__ = ("_file", "_text")

    def __init__(self, text: str = "", *, file: str = "") -> None:
        self._text, self._file = text, file

    def reveal(self) -> str:
        """The text itself; OSError when its file cannot be read."""
        return Path(self._file).read_text(encoding="utf-8").strip() if self._file else self._text

    @property
    def file(self) -> str:
        """The file it is read from; empty when it stands in the configuration itself."""
        return self._file

    def __bool__(self) -> bool:
        return bool(self._text or self._file)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._text, self._file) == (other._text, other._file)

    def __hash__(self) -> int:
        return hash((self._text, self._file))

    def __repr__(self) -> str:
        return "<secret>" if self else "<no secret>"

    __str__ = __repr__


NO_SECRET = Secret()


def secret(node: Node, key: str) -> Secret:
    """The secret under `key`, or in the file named under `key_file`; ConfigError when both are given."""
    named = node[f"{key}_file"]
    if node[key] and named:
        raise named.error(f"give {key} or {key}_file, not both")
    return Secret(node[key].text(""), file=beside(named))


def beside(node: Node) -> str:
    """The file named in `node`, relative names taken from the directory of the file that names it; empty when missing."""
    name = node.text("")
    return str(Path(node.file).parent / name) if name else ""


# -- certificates ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tls:
    """A `tls_config`: whom to trust and who we are. Certificates are PEM texts or files."""

    ca: Secret = NO_SECRET
    cert: Secret = NO_SECRET
    key: Secret = NO_SECRET
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""

    def files(self) -> tuple[str, ...]:
        """The files that are read for it."""
        return tuple(part.file for part in (self.ca, self.cert, self.key) if part.file)

    def state(self) -> tuple[int, ...]:
        """What changes when one of the files does; OSError when one is not there."""
        return tuple(Path(name).stat().st_mtime_ns for name in self.files())

    def context(self) -> ssl.SSLContext:
        """What connections are made with, the same object while its files stay; OSError when one cannot be read."""
        if replace(self, server_name="") == Tls():
            return _usual_context()
        return _own_context(replace(self, server_name=""), self.state())


@functools.cache
def _usual_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()  # besides Mozilla's authorities those of this machine, which Go goes by
    return _lenient(context)


@functools.lru_cache(maxsize=256)
def _own_context(tls: Tls, _state: tuple[int, ...]) -> ssl.SSLContext:
    context = _lenient(ssl.create_default_context(cadata=tls.ca.reveal() if tls.ca else None))
    if tls.insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls.min_version:
        context.minimum_version = _VERSIONS[tls.min_version]
    if tls.max_version:
        context.maximum_version = _VERSIONS[tls.max_version]
    if tls.cert:
        _load_certificate(context, tls)
    return context


def _lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python 3.13 asks of certificates what RFC 5280 wants and Go does not; private authorities often lack it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    # OpenSSL reads files only: what stands in the configuration is written to one that nobody else may read.
    with tempfile.TemporaryDirectory(prefix="aiprism-") as folder:
        names: list[str] = []
        for part, name in ((tls.cert, "cert.pem"), (tls.key, "key.pem")):
            path = Path(part.file or Path(folder) / name)
            if not part.file:
                path.touch(mode=0o600)
                path.write_text(part.reveal(), encoding="utf-8")
            names.append(str(path))
        context.load_cert_chain(names[0], names[1])


def tls(node: Node) -> Tls:
    """The `tls_config` in `node`, as Prometheus and Alertmanager read it."""
    node.fields(
        "ca", "ca_file", "cert", "cert_file", "key", "key_file", "server_name", "insecure_skip_verify", "min_version",
        "max_version",
    )  # fmt: skip
    found = Tls(
        ca=secret(node, "ca"),
        cert=secret(node, "cert"),
        key=secret(node, "key"),
        server_name=node["server_name"].text(""),
        insecure_skip_verify=node["insecure_skip_verify"].flag(False),
        min_version=node["min_version"].one_of(*_VERSIONS, "", default=""),
        max_version=node["max_version"].one_of(*_VERSIONS, "", default=""),
    )
    if bool(found.cert) != bool(found.key):
        raise node.error("a client certificate needs both: cert or cert_file, and key or key_file")
    if found.min_version and found.max_version and found.min_version > found.max_version:
        raise node["max_version"].error(f"max_version {found.max_version} is below min_version {found.min_version}")
    return found

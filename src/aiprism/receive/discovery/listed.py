"""Targets that somebody listed: in the configuration (static_configs), in files (file_sd), behind a URL (http_sd).

All three hold the same: a list of `{targets: [host:port, …], labels: {…}}`.
"""

from __future__ import annotations

import asyncio
import glob
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx

from aiprism import yamlfile
from aiprism.clock import Clock
from aiprism.errors import BadInput, ConfigError
from aiprism.httpconfig import HTTP_KEYS, HttpOptions, client, inline_http_options
from aiprism.receive.discovery.following import Group, Tell, polled
from aiprism.yamlfile import Node

ADDRESS = "__address__"
_LOOK = 5.0  # seconds between two looks at whether a file changed
_FILE_NAME = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")
_BODY = 64 * 1024 * 1024


# -- static_configs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Static:
    """`static_configs`: it never changes."""

    kind: ClassVar[str] = "static"
    groups: tuple[Group, ...]
    patience: float = 60.0

    async def follow(self, tell: Tell, clock: Clock) -> None:
        tell.all(self.groups)


def read_static(node: Node, index: int) -> Static:
    """One entry of `static_configs`."""
    return Static((_group(node, str(index)),))


def _group(node: Node, source: str, meta: Mapping[str, str] | None = None) -> Group:
    if node.missing:
        raise node.error("empty entry: a list of targets and their labels stands here")
    node.fields("targets", "labels")
    labels = {**node["labels"].mapping(), **(meta or {})}
    return Group(source, _targets([item.text("") for item in node["targets"].items()], labels))


def _targets(addresses: Iterable[str], labels: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    return tuple({**labels, ADDRESS: address} for address in addresses)


# -- file_sd_configs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Files:
    """`file_sd_configs`: JSON and YAML files, looked at every 5 seconds and read when they changed."""

    kind: ClassVar[str] = "file"
    patterns: tuple[str, ...]
    refresh: float = 300.0

    @property
    def patience(self) -> float:
        return _LOOK

    async def follow(self, tell: Tell, clock: Clock) -> None:
        read: dict[str, tuple[int, ...]] = {}
        anew = clock.monotonic() + self.refresh
        while True:
            if clock.monotonic() >= anew:  # where changes do not show in a file's times
                read.clear()
                anew = clock.monotonic() + self.refresh
            failure = await self._look(tell, read)
            if failure:
                raise failure
            tell.well()
            await clock.sleep(_LOOK)

    def check(self) -> tuple[str, ...]:
        """The patterns that no file has; ConfigError with the place in a file that is wrong."""
        for name in sorted(name for pattern in self.patterns for name in glob.glob(pattern)):  # noqa: PTH207
            _file_groups(name)
        return tuple(pattern for pattern in self.patterns if not glob.glob(pattern))  # noqa: PTH207

    async def _look(self, tell: Tell, read: dict[str, tuple[int, ...]]) -> Exception | None:
        """Tell of every file that is new, other or gone. A file that is wrong keeps its groups; the first such is returned."""
        names = sorted(name for pattern in self.patterns for name in glob.glob(pattern))  # noqa: PTH207
        failure: Exception | None = None
        for name in names:
            try:
                state = _state(name)
                if read.get(name) == state:
                    continue
                groups = await asyncio.to_thread(_file_groups, name)
            except (OSError, ConfigError) as error:
                failure = failure or error
                continue
            read[name] = state
            tell.some(*groups, *_over(tell, name, len(groups)))
        for source in [source for source in tell.known if source.rpartition(":")[0] not in names]:
            tell.some(Group(source, ()))
        return failure


def _state(name: str) -> tuple[int, ...]:
    stat = Path(name).stat()
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _over(tell: Tell, name: str, count: int) -> list[Group]:
    """The groups that a file had besides those it has now."""
    of_it = [source for source in tell.known if source.rpartition(":")[0] == name]
    return [Group(source, ()) for source in of_it if int(source.rpartition(":")[2]) >= count]


def _file_groups(name: str) -> list[Group]:
    meta = {"__meta_filepath": name}
    if name.endswith(".json"):
        try:
            content = json.loads(Path(name).read_text(encoding="utf-8"))
            return _plain_groups(content, name, meta)
        except (ValueError, BadInput) as error:
            raise ConfigError(f"is no list of target groups: {error}", file=name) from None
    items = yamlfile.read(Path(name)).items()
    return [_group(item, f"{name}:{at}", meta) for at, item in enumerate(items)]


def _plain_groups(content: Any, source: str, meta: Mapping[str, str]) -> list[Group]:
    """The groups of a JSON document; BadInput says what is not as it must be."""
    if not isinstance(content, list):
        raise BadInput("expected a list of target groups")
    return [_plain_group(item, f"{source}:{at}", meta) for at, item in enumerate(content)]


def _plain_group(item: Any, source: str, meta: Mapping[str, str]) -> Group:
    where = f"group {source.rpartition(':')[2]}"
    if not isinstance(item, dict):
        raise BadInput(f"{where}: expected targets and labels")
    unknown = item.keys() - {"targets", "labels"}
    if unknown:
        raise BadInput(f"{where}: unknown key {min(unknown)!r}")
    targets, labels = item.get("targets") or [], item.get("labels") or {}
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise BadInput(f"{where}: targets is a list of texts")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise BadInput(f"{where}: labels map names to texts")
    return Group(source, _targets(targets, {**labels, **meta}))


def read_files(node: Node, index: int) -> Files:
    """One entry of `file_sd_configs`."""
    node.fields("files", "refresh_interval")
    names = node["files"].items()
    if not names:
        raise node.error("file service discovery config must contain at least one path name")
    return Files(tuple(_pattern(name) for name in names), node["refresh_interval"].seconds(300.0))


def _pattern(node: Node) -> str:
    name = node.text("")
    if not _FILE_NAME.fullmatch(name):
        raise node.error(
            f"path name {name!r} is not valid for file discovery: it ends in .json, .yml or .yaml, "
            "and a * may stand in its last part only"
        )
    return str(Path(node.file).parent / name)


# -- http_sd_configs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Web:
    """`http_sd_configs`: a URL that answers with a JSON list of target groups."""

    kind: ClassVar[str] = "http"
    url: str
    refresh: float = 60.0
    http: HttpOptions = field(default_factory=HttpOptions)

    @property
    def patience(self) -> float:
        return self.refresh

    async def follow(self, tell: Tell, clock: Clock) -> None:
        async with client(self.http, timeout=max(self.refresh, 1.0), clock=clock) as asker:
            await polled(lambda: self._groups(asker), self.refresh, tell, clock)

    async def _groups(self, asker: httpx.AsyncClient) -> Sequence[Group]:
        headers = {"Accept": "application/json", "X-Prometheus-Refresh-Interval-Seconds": f"{self.refresh:g}"}
        async with asker.stream("GET", self.url, headers=headers) as response:
            if response.status_code != 200:
                raise BadInput(f"server returned HTTP status {response.status_code}")
            if response.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
                raise BadInput(f"unsupported content type {response.headers.get('Content-Type', '')!r}")
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _BODY:
                    raise BadInput(f"the answer is longer than {_BODY} bytes")
        try:
            content = json.loads(body)
        except ValueError as error:
            raise BadInput(f"the answer is no JSON: {error}") from None
        return _plain_groups(content, self.url, {"__meta_url": self.url})


def read_web(node: Node, index: int) -> Web:
    """One entry of `http_sd_configs`."""
    node.fields("url", "refresh_interval", *HTTP_KEYS)
    url = node["url"].text("")
    if not url:
        raise node.error("URL is missing")
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise node["url"].error(f"is no URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise node["url"].error("URL scheme must be 'http' or 'https'")
    if not parts.host:
        raise node["url"].error("host is missing in URL")
    return Web(url, node["refresh_interval"].seconds(60.0), inline_http_options(node))

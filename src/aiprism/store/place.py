"""Where files of ours lie: a directory, or a bucket of an S3-compatible object storage. Archives and backups are kept there.

In: a name as the configuration has it, and the credentials. Out: files by their path below the place, and the SQL with
which ClickHouse reads and writes them itself. Keys are in nobody's representation or log. They stand in the text of the
statement, as ClickHouse's manual has it: that travels in the body of a request and is masked in the server's logs, where a
parameter would be part of the request's address.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote

from pyarrow import fs

from aiprism.config import Config
from aiprism.errors import BadInput, ConfigError, Unavailable
from aiprism.store.engine import Engine, quoted

S3 = "s3://"


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached: the address of an S3-compatible server (empty: AWS), its region, and the keys (empty: none)."""

    endpoint: str = ""
    region: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


def archive_place(config: Config) -> Place | None:
    """Where the configuration wants archives; None when it wants none."""
    asked = config.retention
    if asked.archive == "none":
        return None
    access = Access(asked.archive_endpoint, asked.archive_region, asked.archive_key, asked.archive_secret)
    if asked.archive.startswith(S3):
        return Place.of(asked.archive, access)
    return Place.of(str((config.base / asked.archive if asked.archive else config.data / "archive").resolve()), access)


def backup_place(where: str, config: Config) -> Place:
    """The directory (with its full path) or bucket `where`, reached as section `backup` says, else as the archive is."""
    asked, archive = config.backup, config.retention
    if where.startswith(S3):
        keys = (asked.key, asked.secret) if asked.key else (archive.archive_key, archive.archive_secret)
        endpoint, region = asked.endpoint or archive.archive_endpoint, asked.region or archive.archive_region
        try:
            return Place.of(where, Access(endpoint, region, *keys))
        except ConfigError as error:  # asked for in a request, not in a file of ours
            raise BadInput(str(error)) from None
    if "://" in where or not Path(where).is_absolute():
        raise BadInput(f"{where}: name a directory with its full path, or s3://bucket/prefix")
    return Place.of(where, Access())


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, or a bucket with how to reach it. Paths are relative to it, with slashes."""

    name: str  # as people know it
    root: str
    filesystem: fs.FileSystem
    url: str = ""  # of the bucket, as ClickHouse's s3() wants it; empty for a directory
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, where: str, access: Access) -> Place:
        """The place `where` means: the path of a directory, or ``s3://bucket/prefix``; ConfigError for no bucket,
        a prefix that is no path, or half a key."""
        if not where.startswith(S3):
            return cls(where, str(Path(where)), fs.LocalFileSystem())
        bucket, _, prefix = where.removeprefix(S3).strip("/").partition("/")
        if not bucket:
            raise ConfigError(f"{where!r} names no bucket; write s3://bucket/prefix")
        if prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/")):
            raise ConfigError(
                f"{where!r}: a prefix is names with single slashes between them, none of them a dot or two"
            )
        if bool(access.key) != bool(access.secret):
            raise ConfigError(f"{where}: an access key and its secret go together; one of them is empty")
        region = access.region or "us-east-1"
        filesystem = fs.S3FileSystem(
            access_key=access.key or None,
            secret_key=access.secret or None,
            region=region,
            endpoint_override=access.endpoint or None,
            connect_timeout=10,
            request_timeout=60,
        )
        root = f"{bucket}/{prefix}".rstrip("/")
        address = access.endpoint or f"https://s3.{region}.amazonaws.com"
        return cls(where, root, filesystem, f"{address.rstrip('/')}/{quote(root)}", access.key, access.secret)

    # -- for ClickHouse ------------------------------------------------------------------------------------------

    def relation(self, engine: Engine, paths: str) -> tuple[str, Mapping[str, str]]:
        """The table function for Parquet files at `paths` (a pattern), and its parameters but for the structure."""
        if self.url:
            return f"s3({{place:String}}, {self._keys() or 'NOSIGN'}, 'Parquet', {{structure:String}})", self._named(
                paths
            )
        if not engine.embedded:
            raise BadInput(
                "the archive is a directory of aiprism's machine, which a ClickHouse server cannot read or write; "
                "set retention.archive to s3://bucket/prefix, or to none"
            )
        return "file({place:String}, 'Parquet', {structure:String})", self._named(paths)

    def target(self, path: str) -> tuple[str, Mapping[str, str]]:
        """What stands after ``BACKUP … TO`` and ``RESTORE … FROM`` for `path`, and its parameters."""
        if not self.url:
            return "File({place:String})", self._named(path)
        keys = self._keys()
        return f"S3({{place:String}}, {keys})" if keys else "S3({place:String})", self._named(path)

    def _keys(self) -> str:
        return f"{quoted(self.key)}, {quoted(self.secret)}" if self.key else ""

    def _named(self, path: str) -> Mapping[str, str]:
        return {"place": f"{self.url or self.root}/{path}"}

    # -- files ---------------------------------------------------------------------------------------------------

    def files(self, path: str = "") -> dict[str, int]:
        """Every file below `path`, with its size; none when there is no such path."""
        selector = fs.FileSelector(self._whole(path), recursive=True, allow_not_found=True)
        with self._reachable():
            found = self.filesystem.get_file_info(selector)
        cut = len(self.root) + 1
        return {info.path[cut:]: info.size for info in found if info.type is fs.FileType.File}

    def read(self, path: str) -> bytes:
        """What the file holds; FileNotFoundError when there is none."""
        with self.reading(path) as file:
            return file.read()

    def write(self, path: str, content: bytes) -> None:
        """The file holds `content`, and nothing else."""
        with self.writing(path) as file:
            file.write(content)

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[BinaryIO]:
        """The file, to be read from its beginning on; FileNotFoundError when there is none."""
        with self._reachable(), self.filesystem.open_input_stream(self._whole(path), compression=None) as file:
            yield cast(BinaryIO, file)

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """A new file, whole once this is left."""
        with self._reachable(), self.filesystem.open_output_stream(self._whole(path), compression=None) as file:
            yield cast(BinaryIO, file)

    def make(self, path: str = "") -> None:
        """There is such a directory."""
        with self._reachable():
            self.filesystem.create_dir(self._whole(path), recursive=True)

    def remove(self, path: str) -> None:
        """There is no such file or directory."""
        whole = self._whole(path)
        with self._reachable():
            kind = self.filesystem.get_file_info(whole).type
            if kind is fs.FileType.Directory:
                self.filesystem.delete_dir(whole)
            elif kind is fs.FileType.File:
                self.filesystem.delete_file(whole)

    def _whole(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unavailable(f"{self.name} cannot be reached: {str(error).splitlines()[0][:200]}") from error

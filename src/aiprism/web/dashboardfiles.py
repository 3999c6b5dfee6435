"""The dashboards of files: read anew when they change, and written where the configuration allows it.

A folder is written into only if `dashboards.writable` names it. A file is replaced as a whole, if it still is what was read.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import structlog

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError, Conflict, Forbidden
from aiprism.model import dashboards as model
from aiprism.model.dashboards import Dashboard, Origin
from aiprism.model.dashboardv2 import is_v2

log = structlog.get_logger()

SHIPPED = Path(__file__).parents[1] / "dashboards"
ENDINGS = (".json", ".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class Place:
    """The file of a dashboard, below its folder."""

    path: Path
    name: str
    mark: str  # of what stands in it
    refused: str  # why nothing is saved into it; empty: it is


class Folders:
    """The dashboards of files below folders. What is no dashboard is told in the log, once for each change of it."""

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]],
        *,
        writable: Callable[[], Sequence[Path]] = tuple,
        shipped: Path | None = SHIPPED,
    ) -> None:
        self._folders, self._writable, self._shipped = folders, writable, shipped
        self._read: dict[Path, tuple[tuple[int, int], Dashboard | None]] = {}
        self._writing = Lock()

    def all(self) -> dict[str, Dashboard]:
        """Every one by uid; of two with one uid the first, and those of the user's folders before ours."""
        found: dict[str, Dashboard] = {}
        for _, one in self._each():
            found.setdefault(one.uid, one)
        for path in sorted(self._shipped.glob("*.json")) if self._shipped else ():
            if ours := self._of(path, "shipped", "aiprism"):
                found.setdefault(ours.uid, ours)
        return found

    def place(self, uid: str) -> Place | None:
        """The user's file of that uid; None when there is none."""
        for (root, path), one in self._each():
            if one.uid == uid:
                name = f"{root.name}/{path.relative_to(root).as_posix()}"
                return Place(path, name, _mark(path.read_bytes()), self._refused(root, path))
        return None

    def write(self, dashboard: Dashboard, mark: str, *, by: str = "", message: str = "") -> Dashboard:
        """`dashboard` in the place of what stands in its file, if that is still what `mark` is of; as it is read from there.

        Conflict when the file is another by now, Forbidden when it is not to be written.
        """
        with self._writing:
            place = self.place(dashboard.uid)
            if place is None:
                raise BadInput(
                    f"there is no file of the dashboard {dashboard.uid!r}; save it into the control database"
                )
            if place.refused:
                raise Forbidden(f"{place.name}: {place.refused}; or save into the control database")
            if place.mark != mark:
                raise Conflict(
                    f"the file {place.name} was changed meanwhile: read it again, or save into the control database",
                    details={"mark": place.mark},
                )
            _replace(place.path.resolve(), _written(document_of(place.path), dashboard.document))
            log.info("dashboards.written", file=str(place.path), by=by, message=message)
        return self.all()[dashboard.uid]

    def _each(self) -> Iterator[tuple[tuple[Path, Path], Dashboard]]:
        """The user's, each with its folder and its file."""
        for root in self._folders():
            for path in sorted(each for each in root.rglob("*") if each.suffix in ENDINGS):
                inside = path.parent.relative_to(root)
                if one := self._of(path, "file", root.name if inside == Path() else inside.as_posix()):
                    yield (root, path), one

    def _refused(self, root: Path, path: Path) -> str:
        """Why nothing is saved into the file, and what to do about it."""
        if root.resolve() not in {each.resolve() for each in self._writable()}:
            return "its folder is only read; name it in dashboards.writable as well"
        if not path.resolve().is_relative_to(root.resolve()):
            return "it is a link that leads out of its folder; put the file itself there"
        if path.suffix != ".json":
            return "it is YAML, whose comments would be lost; write it as JSON"
        if is_v2(document_of(path)):
            return "it is of Grafana's schema v2, which is only read; write it in the classic model"
        if not os.access(path.resolve().parent, os.W_OK):
            return "the server may not write in its folder; give it the right to"
        if not _is_writable(path):
            return "it may only be read; give the server the right to write it"
        return ""

    def _of(self, path: Path, origin: Origin, folder: str) -> Dashboard | None:
        try:
            now = path.stat()
            state = (now.st_mtime_ns, now.st_size)
        except OSError:
            return None  # it went away meanwhile
        kept = self._read.get(path)
        if kept and kept[0] == state:
            return kept[1]
        try:
            made = model.read(document_of(path), name=path.stem, folder=folder, origin=origin, at=now.st_mtime)
        except (BadInput, ConfigError, OSError) as error:
            log.warning("dashboards.unreadable", file=str(path), error=str(error))
            made = None
        self._read[path] = (state, made)
        return made


def document_of(path: Path) -> object:
    """What stands in a file of JSON or YAML; ConfigError where it can be neither."""
    if path.suffix != ".json":
        return yamlfile.read(path).plain()
    if path.stat().st_size > model.MOST_BYTES:
        raise ConfigError(f"is larger than {model.MOST_BYTES} bytes", file=str(path))
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"is no JSON: {error}", file=str(path)) from error


def _mark(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _is_writable(path: Path) -> bool:
    """Whether the server may write it, and anybody at all: root may write what its owner has shut."""
    return os.access(path, os.W_OK) and bool(path.stat().st_mode & 0o222)


def _written(before: object, document: Mapping[str, object]) -> bytes:
    """`document` as it stands in a file: as Grafana's API wraps it, where what stood there before is wrapped so."""
    wrapped = isinstance(before, Mapping) and isinstance(before.get("dashboard"), Mapping)
    whole = {**before, "dashboard": document} if wrapped and isinstance(before, Mapping) else document
    try:
        content = (json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise BadInput(f"this cannot stand in a file of JSON: {error}") from error
    if len(content) > model.MOST_BYTES:  # with its indentation: it would not be read again
        raise BadInput(
            f"in a file this has {len(content)} bytes, and may have {model.MOST_BYTES}; save it into the control database"
        )
    return content


def _replace(path: Path, content: bytes) -> None:
    """`content` as all of the file at once: who reads it meanwhile, and who finds it after a crash, has one or the other."""
    try:
        # By a name that nobody could have laid a link under, with no ending by which it would be read.
        number, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", suffix=".new", dir=path.parent)
        fresh = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            before = path.stat()
            with suppress(PermissionError):  # it stays whose it was where the server may say so
                os.chown(fresh, before.st_uid, before.st_gid)
            fresh.chmod(stat.S_IMODE(before.st_mode))
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Forbidden(
            f"{path.name} could not be written: {error.strerror}; save into the control database"
        ) from error

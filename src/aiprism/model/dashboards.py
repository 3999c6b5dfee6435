"""A dashboard as it is kept: Grafana's classic JSON as it was written, and what lists of dashboards tell of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiprism.errors import BadInput
from aiprism.model.dashboardv2 import classic, is_v2

MOST_BYTES = 4 * 1024 * 1024
UID = r"^[A-Za-z0-9_-]{1,80}$"
Origin = Literal["shipped", "file", "saved"]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One version of a dashboard. Version 0 is that of a file, which nobody has changed here."""

    uid: str
    title: str
    tags: tuple[str, ...]
    folder: str
    document: Mapping[str, Any]
    origin: Origin = "saved"
    version: int = 0
    at: float = 0.0
    author: str = ""
    message: str = ""


def read(document: object, *, name: str = "", folder: str = "", origin: Origin = "saved", at: float = 0.0) -> Dashboard:
    """A dashboard out of Grafana's JSON (also as its API wraps it, and of schema v2, which becomes the classic model) or the
    plan's YAML; BadInput for anything else.

    >>> read({"dashboard": {"title": "Web shop", "panels": []}}).uid
    'web-shop'
    """
    if not isinstance(document, Mapping):
        raise BadInput("a dashboard is a JSON object, such as Grafana's export gives; this is none")
    if is_v2(document):
        document = classic(document)
    inner = document.get("dashboard")
    found = inner if isinstance(inner, Mapping) else document
    if not isinstance(found.get("panels"), list) and not isinstance(found.get("rows"), list):
        raise BadInput("a dashboard has a list of `panels` (old ones: of `rows`); this has neither")
    title = found.get("title") if isinstance(found.get("title"), str) else ""
    uid = found.get("uid")
    if not isinstance(uid, str) or not re.fullmatch(UID, uid):
        uid = slug(str(title or name))
    tags = found.get("tags")
    told = tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
    return Dashboard(uid, str(title or name or uid), told, folder, dict(found), origin, at=at)


def slug(title: str) -> str:
    """A title as it can stand in an address.

    >>> slug("AI-Prism: Technische Übersicht")
    'ai-prism-technische-ubersicht'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80] or "dashboard"

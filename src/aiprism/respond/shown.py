"""An alertmanager.yml as anybody may see it: the same document with its secrets hidden.

In: the document. Out: YAML that Alertmanager's own tools read again, so addresses stay addresses.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import yaml

from aiprism.yamlfile import Node

HIDDEN = "<secret>"
_SECRET = re.compile(r"(password|secret|token|token_id|credentials|_key|slack_api_url|webhook_url)$")
_ADDRESSES = {"slack_configs": ("api_url",), "webhook_configs": ("url",), "apprise_configs": ("url",)}


def shown(root: Node) -> str:
    """The document as YAML without secrets."""
    plain = _hidden(root.plain(), "")
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000) if plain else ""


def _hidden(value: Any, within: str) -> Any:
    if isinstance(value, list):
        return [_hidden(each, within) for each in value]
    if isinstance(value, dict):
        return {key: _entry(key, each, within) for key, each in value.items()}
    return value


def _entry(key: str, value: Any, within: str) -> Any:
    if isinstance(value, dict | list):
        return _hidden(value, key)
    if not isinstance(value, str):
        return HIDDEN if _SECRET.search(key) and value is not None else value
    if key in _ADDRESSES.get(within, ()):
        # The way to a webhook is often its only secret. Tools refuse what is no address, so the host stays.
        return _host(value) if within == "webhook_configs" else HIDDEN
    if _SECRET.search(key):
        return HIDDEN
    return re.sub(r"://[^/@]*@", "://", value) if "url" in key else value


def _host(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or 'unknown'}/{HIDDEN}"

"""The sections of a prometheus.yml that aiprism accepts and does not act on: checked as Prometheus checks them.

In: the document. Out: one warning for each section that is there, with the reason; ConfigError for what Prometheus
would refuse, so that a file that passes here passes there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from aiprism.credentials import tls
from aiprism.httpconfig import HTTP_KEYS, inline_http_options, is_web_address
from aiprism.receive import relabel
from aiprism.receive.discovery import kinds
from aiprism.yamlfile import Node

_REASONS = {
    "alerting": "alerts go to aiprism's own receivers (respond.alertmanager), not to other Alertmanagers",
    "remote_write": "what is scraped is stored here and sent nowhere else",
    "remote_read": "queries read what is stored here",
    "storage": "how long data stays is said by aiprism.yml (retention)",
    "tracing": "aiprism's own spans are sent where OTEL_EXPORTER_OTLP_ENDPOINT says",
    "otlp": "how OTLP metrics are named is said by aiprism.yml (otlp)",
    "runtime": "the settings of Go's runtime mean nothing here",
}
SECTIONS = tuple(_REASONS)
_OUTGOING = ("url", "remote_timeout", "headers", "name", *HTTP_KEYS)
_QUEUE = ("capacity", "max_shards", "min_shards", "max_samples_per_send", "batch_send_deadline", "min_backoff",
          "max_backoff", "retry_on_http_429", "sample_age_limit")  # fmt: skip
_CLOUDS = ("sigv4", "azuread", "google_iam")


def read(root: Node, *, legacy: bool) -> Iterator[str]:
    """A warning for each of these sections that `root` has."""
    for key, reason in _REASONS.items():
        if root[key]:
            _CHECKS[key](root[key], legacy)
            yield told(root[key], reason)


def told(node: Node, reason: str) -> str:
    """A warning about what stands at `node`."""
    return f"{node.file}:{node.line}: {node.path} is not acted on: {reason}"


def _alerting(node: Node, legacy: bool) -> None:
    node.fields("alert_relabel_configs", "alertmanagers")
    relabel.read(node["alert_relabel_configs"], legacy=legacy)
    for item in node["alertmanagers"].items():
        item.fields(
            "scheme", "path_prefix", "timeout", "api_version", "relabel_configs", "alert_relabel_configs", "sigv4",
            *HTTP_KEYS, *kinds.READERS, *kinds.NOT_FOLLOWED,
        )  # fmt: skip
        item["timeout"].seconds(10.0)
        item["api_version"].one_of("v1", "v2", default="v2")
        inline_http_options(item)
        relabel.read(item["relabel_configs"], legacy=legacy)
        relabel.read(item["alert_relabel_configs"], legacy=legacy)
        kinds.read(item)


def _remote_write(node: Node, legacy: bool) -> None:
    for item in _outgoing(
        node, "write_relabel_configs", "send_exemplars", "send_native_histograms", "round_robin_dns", "protobuf_message",
        "queue_config", "metadata_config", *_CLOUDS,
    ):  # fmt: skip
        relabel.read(item["write_relabel_configs"], legacy=legacy)
        queue = item["queue_config"].fields(*_QUEUE)
        for key in ("batch_send_deadline", "min_backoff", "max_backoff", "sample_age_limit"):
            queue[key].seconds(0.0)
        item["metadata_config"].fields("send", "send_interval", "max_samples_per_send")
        item["send_exemplars"].flag(False)


def _remote_read(node: Node, legacy: bool) -> None:
    for item in _outgoing(node, "read_recent", "required_matchers", "filter_external_labels", "chunked_read_limit"):
        item["read_recent"].flag(False)
        item["required_matchers"].mapping()


def _outgoing(node: Node, *keys: str) -> Iterator[Node]:
    names: set[str] = set()
    for item in node.items():
        if item.missing:
            raise item.error(f"empty or null {node.path} section")
        item.fields(*_OUTGOING, *keys)
        if not item["url"]:
            raise item.error(f"url for {node.path} is empty")
        if not is_web_address(item["url"].text()):
            raise item["url"].error("expected an http(s) URL")
        name = item["name"].text("")
        if name and name in names:
            raise item["name"].error(f"found multiple {node.path} configs with name {name!r}")
        names.add(name)
        for header in item["headers"].mapping():
            if header.lower() in ("authorization", "content-encoding", "content-type", "user-agent", "host"):
                raise item["headers"].error(f"{header} is set by the sender itself; use the HTTP client options")
        item["remote_timeout"].seconds(30.0)
        inline_http_options(item)
        yield item


def _storage(node: Node, legacy: bool) -> None:
    node.fields("tsdb", "exemplars")
    node["tsdb"].fields("out_of_order_time_window", "retention")["out_of_order_time_window"].seconds(0.0)
    node["exemplars"].fields("max_exemplars")["max_exemplars"].integer(0)


def _tracing(node: Node, legacy: bool) -> None:
    node.fields(
        "client_type", "endpoint", "sampling_fraction", "insecure", "tls_config", "headers", "compression", "timeout"
    )
    if not node["endpoint"]:
        raise node.error("tracing endpoint must be set")
    node["client_type"].one_of("grpc", "http", default="grpc")
    node["compression"].one_of("gzip", "", default="")
    node["sampling_fraction"].number(0.0)
    tls(node["tls_config"])


def _otlp(node: Node, legacy: bool) -> None:
    node.fields(
        "promote_resource_attributes", "promote_all_resource_attributes", "ignore_resource_attributes", "promote_scope_metadata",
        "translation_strategy", "keep_identifying_resource_attributes", "convert_histograms_to_nhcb",
        "label_name_underscore_sanitization", "label_name_preserve_multiple_underscores",
    )  # fmt: skip
    promoted = node["promote_resource_attributes"].texts()
    if len(set(promoted)) < len(promoted) or "" in promoted:
        raise node["promote_resource_attributes"].error("an attribute is empty or stands twice")
    node["translation_strategy"].one_of(
        "UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes", "NoUTF8EscapingWithSuffixes", "NoTranslation",
        "", default="",
    )  # fmt: skip


def _runtime(node: Node, legacy: bool) -> None:
    node.fields("gogc")["gogc"].integer(75)


_CHECKS: Mapping[str, Callable[[Node, bool], None]] = {
    "alerting": _alerting,
    "remote_write": _remote_write,
    "remote_read": _remote_read,
    "storage": _storage,
    "tracing": _tracing,
    "otlp": _otlp,
    "runtime": _runtime,
}

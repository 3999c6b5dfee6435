"""prometheus.yml files, good and bad, as data: what we say of each is compared with what promtool says."""

# ruff: noqa: E501  a case is a line
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bad:
    """A file that is refused, with the line and some words of ours."""

    name: str
    text: str
    line: int
    words: str


def job(more: str = "", name: str = "a") -> str:
    """A file with one job and `more` of its keys, from line 3 on."""
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return f"scrape_configs:\n  - job_name: {name}\n{lines}"


# The plan's own file, as it stands there (L345).
PLAN = (Path(__file__).parent / "plan_prometheus.yml").read_text(encoding="utf-8")

GOOD: dict[str, str] = {
    "empty_global": "global:\n",
    "nothing_but_a_job": job(),
    "times": "global: {scrape_interval: 5s}\n" + job("scrape_timeout: 5s"),
    "a timeout that global makes too long is cut": job("scrape_interval: 3s"),
    "static": job("static_configs: [{targets: ['h:1', 'h:2'], labels: {x: 'y', n: 8080}}]"),
    "a URL that a rule mends": job("static_configs: [{targets: ['http://h/x']}]\nrelabel_configs: [{target_label: __address__, replacement: h}]"),
    "basic auth": job("basic_auth: {username: u, password: p}"),
    "authorization": job("authorization: {credentials: x}"),
    "oauth2": job("oauth2: {client_id: i, client_secret: s, token_url: 'http://t/', scopes: [a], endpoint_params: {a: b}}"),
    "limits": job("sample_limit: 1000\nlabel_limit: 30\nbody_size_limit: 10MB\ntarget_limit: 3"),
    "params": job("params: {module: [http_2xx], target: [a, b]}"),
    "relabel": job("relabel_configs:\n- {source_labels: [a, b], separator: '|', regex: '(.*)x', target_label: c, replacement: '$1'}\n"
                   "- {action: labelmap, regex: '__meta_(.+)'}\n- {action: labeldrop, regex: tmp}\n"
                   "- {action: hashmod, source_labels: [a], modulus: 4, target_label: shard}\n- {action: Keep, source_labels: [a], regex: true}"),
    "target label with a group": job("relabel_configs: [{source_labels: [a], regex: '(.*)', target_label: 'x_${1}_y'}]"),
    "keepequal": job("relabel_configs: [{action: keepequal, source_labels: [a], target_label: b}]"),
    "lowercase": job("relabel_configs: [{action: lowercase, source_labels: [a], target_label: b}]"),
    "file_sd": job("file_sd_configs: [{files: ['targets/*.json', one.yml], refresh_interval: 1m}]"),
    "http_sd": job("http_sd_configs: [{url: 'https://h/x', basic_auth: {username: u, password: p}}]"),
    "ways we do not follow": job("hetzner_sd_configs: [{role: hcloud, bearer_token: x}]"),
    "alerting": "alerting:\n  alert_relabel_configs: [{action: labeldrop, regex: replica}]\n  alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]\n",
    "remote": "remote_write: [{url: 'http://h/w', queue_config: {capacity: 10}, write_relabel_configs: [{action: drop, source_labels: [a], regex: b}]}]\n"
              "remote_read: [{url: 'http://h/r', read_recent: true, required_matchers: {a: b}}]\n",
    "storage": "storage: {tsdb: {out_of_order_time_window: 30m}, exemplars: {max_exemplars: 1000}}\n",
    "tracing": "tracing: {endpoint: 'h:4317', client_type: grpc, sampling_fraction: 0.1}\n",
    "honor": job("honor_labels: true\nhonor_timestamps: false"),
    "no redirects": job("follow_redirects: false\nenable_http2: false"),
    "tls": job("tls_config: {server_name: x, insecure_skip_verify: true, min_version: TLS12}"),
}  # fmt: skip

# What Prometheus 3 reads and 2.42 does not know yet, or Debian builds without.
GOOD_SINCE_3: dict[str, str] = {
    "the plan's": PLAN,
    "proxy": job("proxy_url: http://p:3128\nno_proxy: a.example,10.0.0.0/8"),
    "protocols": job("scrape_protocols: [PrometheusProto, PrometheusText1.0.0]\nfallback_scrape_protocol: PrometheusText0.0.4"),
    "histograms": job("always_scrape_classic_histograms: true\nconvert_classic_histograms_to_nhcb: true\nscrape_native_histograms: true\n"
                      "native_histogram_bucket_limit: 160\nnative_histogram_min_bucket_factor: 1.1"),
    "names": "global: {metric_name_validation_scheme: legacy}\n" + job("metric_name_escaping_scheme: underscores"),
    "utf8 labels": "global: {external_labels: {'service.name': x}}\n" + job("relabel_configs: [{target_label: 'a.b', replacement: c}]"),
    "headers": job("http_headers: {X-Scope: {values: [a], secrets: [b]}}"),
    "limits": job("keep_dropped_targets: 10\nenable_compression: false\ntrack_timestamps_staleness: true"),
    "inline certificates": job("tls_config: {ca: 'x', cert: 'y', key: 'z', max_version: TLS13}"),
    "offsets": "global: {rule_query_offset: 30s}\nruntime: {gogc: 50}\notlp: {promote_resource_attributes: [a]}\n",
    "user name in a file": job("basic_auth: {username_file: u, password_file: p}"),
    "proxy of the environment": job("proxy_from_environment: true\nproxy_connect_header: {X: [y]}"),
}  # fmt: skip

BAD: list[Bad] = [
    Bad("a key nobody knows", job("metric_path: /x"), 3, "did you mean 'metrics_path'?"),
    Bad("a key nobody knows above", "scrape_config: []\n", 1, "did you mean 'scrape_configs'?"),
    Bad("a key twice", job("scheme: http\nscheme: https"), 4, "stands twice"),
    Bad("no name", "scrape_configs:\n  - scheme: http\n", 2, "job_name is empty"),
    Bad("a null job", "scrape_configs:\n  -\n", 2, "empty or null scrape config"),
    Bad("a name twice", job() + "  - job_name: a\n", 3, "found multiple scrape configs with job name 'a'"),
    Bad("timeout over interval", job("scrape_interval: 5s\nscrape_timeout: 6s"), 4, "scrape timeout greater than scrape interval"),
    Bad("global timeout over interval", "global:\n  scrape_interval: 5s\n  scrape_timeout: 6s\n", 3, "global scrape timeout greater"),
    Bad("no duration", job("scrape_interval: soon"), 3, "not a duration"),
    Bad("a number for a flag", job("honor_labels: 7"), 3, "expected true or false"),
    Bad("a URL as target", job("static_configs: [{targets: ['http://h/x']}]"), 3, "'http://h/x' is not a valid hostname"),
    Bad("a null group", job("static_configs: [null]"), 3, "empty or null section"),
    Bad("a group of another form", job("static_configs: [{target: ['h:1']}]"), 3, "did you mean 'targets'?"),
    Bad("two ways to authorize", job("basic_auth: {username: u}\nbearer_token: t"), 4, "give one of basic_auth and bearer_token"),
    Bad("authorization basic", job("authorization: {type: Basic, credentials: x}"), 3, "is written as basic_auth"),
    Bad("two passwords", job("basic_auth: {username: u, password: p, password_file: f}"), 3, "not both"),
    Bad("oauth2 without token_url", job("oauth2: {client_id: i, client_secret: s}"), 3, "oauth2 needs client_id and token_url"),
    Bad("oauth2 and basic", job("oauth2: {client_id: i, client_secret: s, token_url: 'http://t'}\nbasic_auth: {username: u}"), 3, "give one of"),
    Bad("a certificate without key", job("tls_config: {cert_file: c}"), 3, "needs both"),
    Bad("a TLS version", job("tls_config: {min_version: SSL3}"), 3, "expected one of TLS10"),
    Bad("no such action", job("relabel_configs: [{action: replaced}]"), 3, "unknown relabel action 'replaced'"),
    Bad("no target", job("relabel_configs: [{source_labels: [a]}]"), 3, "requires 'target_label'"),
    Bad("a null rule", job("relabel_configs: [null]"), 3, "empty relabeling rule"),
    Bad("a broken expression", job("relabel_configs: [{source_labels: [a], regex: '(', target_label: b}]"), 3, "regular expression"),
    Bad("hashmod without modulus", job("relabel_configs: [{action: hashmod, source_labels: [a], target_label: b}]"), 3, "non-zero modulus"),
    Bad("labeldrop with a source", job("relabel_configs: [{action: labeldrop, source_labels: [a], regex: b}]"), 3, "requires only 'regex'"),
    Bad("labelmap with a bad name", job("relabel_configs: [{action: labelmap, replacement: '$1-$'}]"), 3, "invalid 'replacement'"),
    Bad("lowercase with a replacement", job("relabel_configs: [{action: lowercase, source_labels: [a], target_label: b, replacement: c}]"), 3, "can not be set"),
    Bad("keepequal with more", job("relabel_configs: [{action: keepequal, source_labels: [a], target_label: b, regex: c}]"), 3, "and no other fields"),
    Bad("a file of no known end", job("file_sd_configs: [{files: [targets.txt]}]"), 3, "not valid for file discovery"),
    Bad("file_sd without files", job("file_sd_configs: [{refresh_interval: 1m}]"), 3, "at least one path name"),
    Bad("http_sd without URL", job("http_sd_configs: [{refresh_interval: 1m}]"), 3, "URL is missing"),
    Bad("http_sd of no URL", job("http_sd_configs: [{url: 'http://[::1'}]"), 3, "is no URL"),
    Bad("http_sd of another scheme", job("http_sd_configs: [{url: 'ftp://h/'}]"), 3, "must be 'http' or 'https'"),
    Bad("a size without unit", job("body_size_limit: 100"), 3, "not a size"),
    Bad("a negative limit", job("sample_limit: -1"), 3, "whole number from 0 up"),
    Bad("remote_write without URL", "remote_write:\n  - name: x\n", 2, "url for remote_write"),
    Bad("a null remote_write", "remote_write: [null]\n", 1, "empty or null remote_write"),
    Bad("alert relabeling", "alerting:\n  alert_relabel_configs: [{action: hashmod}]\n", 2, "non-zero modulus"),
    Bad("an API of Alertmanager", "alerting:\n  alertmanagers: [{api_version: v3}]\n", 2, "expected one of v1, v2"),
    Bad("tracing to nowhere", "tracing: {client_type: http}\n", 1, "endpoint must be set"),
    Bad("a glob in a folder", "rule_files: ['*/x.yml']\n", 1, "in its last part only"),
    Bad("no YAML", "scrape_configs: [\n", 2, "is not valid YAML"),
]  # fmt: skip

# Refused by Prometheus 3; 2.42 knows nothing of it or takes it.
BAD_SINCE_3: list[Bad] = [
    Bad("a protocol", job("scrape_protocols: [Text]"), 3, "expected one of PrometheusProto"),
    Bad("no protocol", job("scrape_protocols: []"), 3, "cannot be empty"),
    Bad("a protocol twice", job("scrape_protocols: [PrometheusProto, PrometheusProto]"), 3, "stands twice"),
    Bad("a validation scheme", job("metric_name_validation_scheme: utf16"), 3, "expected one of utf8, legacy"),
    Bad("names that contradict", job("metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8"), 4, "set to legacy"),
    Bad("legacy label", job("metric_name_validation_scheme: legacy\nrelabel_configs: [{target_label: 'a.b', replacement: c}]"), 4, "invalid 'target_label'"),
    Bad("a header of our own", job("http_headers: {Authorization: {values: [x]}}"), 3, "cannot be set here"),
    Bad("no_proxy alone", job("no_proxy: x"), 3, "without proxy_url"),
    Bad("two proxies", job("proxy_url: http://p\nproxy_from_environment: true"), 4, "not both"),
    Bad("TLS versions", job("tls_config: {min_version: TLS13, max_version: TLS12}"), 3, "is below min_version"),
]  # fmt: skip

"""Every setting as one frozen value: what `aiprism.yml` says, `AIPRISM_<PATH>` variables laid over it, defaults below.

`load(path, environ)` is the only reader of file and environment; the result is passed down. Names of native files
(Prometheus rules, alertmanager.yml, runbooks) are resolved against the directory of aiprism.yml and read by the rooms
that understand them. Errors carry file:line and the fix.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.timerange import duration_seconds, format_duration

MIB = 1024 * 1024
# What a process may do of what the platform does.
ROLES = ("receive", "query", "rule", "respond")
DAY = 86_400.0
# What a prometheus.yml has at its top, and an aiprism.yml never.
_PROMETHEUS_KEYS = frozenset(("global", "scrape_configs", "rule_files", "scrape_config_files", "alerting"))


def setting(default: Any, help_: str, *, kind: str = "", choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that is a setting; `kind` tells durations, sizes and secrets from plain numbers and texts."""
    return field(default=default, metadata={"help": help_, "kind": kind, "choices": choices})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where doors open. All on loopback unless told otherwise."""

    listen: str = setting("127.0.0.1:9090", "HTTP API, UI and every HTTP door; port 0 picks a free one")
    otlp_http: str = setting("127.0.0.1:4318", "OTLP over HTTP on its usual port; empty closes it")
    otlp_grpc: str = setting("127.0.0.1:4317", "OTLP over gRPC; empty closes it")
    syslog_udp: str = setting("", "syslog over UDP, like 127.0.0.1:5514; empty: closed")
    syslog_tcp: str = setting("", "syslog over TCP; empty: closed")
    syslog_tls: str = setting("", "syslog over TLS, with streams.tls_certificate; empty: closed")
    fluent: str = setting("", "Fluent forward protocol, like 127.0.0.1:24224; empty: closed")
    fluent_tls: str = setting("", "Fluent forward protocol over TLS, with streams.tls_certificate; empty: closed")
    connections: int = setting(
        16_000, "most HTTP connections at a time, as far as the limit of open files allows; further ones get 503"
    )
    idle: float = setting(
        75.0, "an HTTP connection that sends no whole request head for so long is closed", kind="seconds"
    )
    roles: tuple[str, ...] = setting(ROLES, "what this process does: receive, query, rule, respond (cluster)")
    external_url: str = setting("", "how people reach this server; used in links of notifications")
    cors_origin: str = setting(
        "",
        "pages whose origin this regular expression matches as a whole may ask /api/v1, as https://grafana.example; empty: none",
    )


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where telemetry lives."""

    url: str = setting(
        "",
        "http(s)://user:password@host:port of a ClickHouse server; empty: embedded in the data directory",
        kind="secret",
    )
    cluster: str = setting(
        "",
        "name of the cluster, as that server knows it; its tables are then replicated, sharded and made on every node",
    )
    tenant: str = setting("default", "its database is called aiprism_<tenant>")
    workers: int = setting(6, "threads that run blocking statements")
    min_free_bytes: int = setting(64 * MIB, "with less free disk than this the doors answer 503 until there is more")


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Control state (alerts, incidents, runbook runs) and the channel to instrumented services."""

    database: str = setting(
        "", "SQLAlchemy URL of the control database; empty: SQLite in the data directory", kind="secret"
    )
    token: str = setting(
        "",
        "what services and operators show to use the control channel; empty: made once and kept in <data>/control.token",
        kind="secret",
    )


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """Group commit and body limits of the receiving doors."""

    linger: float = setting(
        0.2, "shortest time between two INSERTs while little arrives; a lone request does not wait", kind="seconds"
    )
    batch_bytes: int = setting(8 * MIB, "an INSERT is sent once this much waits")
    queue_bytes: int = setting(128 * MIB, "more than this waiting per signal is refused with 503")
    body_bytes: int = setting(32 * MIB, "largest request body as sent")
    inflated_bytes: int = setting(128 * MIB, "largest request body after decompression")
    body_timeout: float = setting(60.0, "longest time a request body may take to arrive", kind="seconds")
    in_flight_bytes: int = setting(
        512 * MIB, "most memory the bodies of all requests under way may hold; more is refused with 503"
    )
    max_series: int = setting(
        2_000_000, "most active metric series of a tenant; requests that bring more are refused with 429"
    )
    active_window: float = setting(
        3600.0, "a series is active this long after something of it last came in", kind="seconds"
    )


@dataclass(frozen=True, slots=True)
class StreamsConfig:
    """Doors whose senders keep a connection: syslog and Fluent forward."""

    connections: int = setting(1000, "most connections of each door")
    idle: float = setting(3600.0, "a connection that is silent for so long is closed", kind="seconds")
    message_bytes: int = setting(64 * 1024, "largest syslog message; a longer one is cut and marked")
    chunk_bytes: int = setting(32 * MIB, "largest Fluent chunk, before and after decompression")
    waiting_bytes: int = setting(32 * MIB, "more than this waiting for the store stops reading, and drops datagrams")
    syslog_zone: str = setting("", "time zone of RFC 3164 timestamps, like Europe/Berlin; empty: that of this machine")
    tls_certificate: str = setting("", "PEM file of the certificate, for server.syslog_tls and server.fluent_tls")
    tls_key: str = setting("", "PEM file of its key")
    tls_client_ca: str = setting("", "PEM file of the authority that must have signed the certificates of senders")
    fluent_shared_key: str = setting("", "secret that Fluent senders must know", kind="secret")
    fluent_users: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"help": "user → password that Fluent senders must know besides the shared key", "kind": "secrets"},
    )


_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long what is kept, and what becomes of it then. A period of 0 keeps for ever."""

    metrics: float = setting(395 * _DAY, "samples as they were sent", kind="seconds")
    metrics_5m: float = setting(1825 * _DAY, "their downsampling to 5 minutes", kind="seconds")
    metrics_1h: float = setting(1825 * _DAY, "their downsampling to 1 hour", kind="seconds")
    downsample: bool = setting(True, "downsample metrics, and answer queries from it where that is as good")
    logs: float = setting(90 * _DAY, "log records, searchable", kind="seconds")
    traces: float = setting(7 * _DAY, "all traces", kind="seconds")
    traces_sampled: float = setting(30 * _DAY, "the sample of traces that is left after that", kind="seconds")
    traces_keep_share: float = setting(0.05, "share of the traces without error that the sample takes, by trace id")
    traces_keep_slowest: float = setting(0.01, "share of the slowest traces of each operation that it takes")
    logs_archived: float = setting(730 * _DAY, "log records in the archive", kind="seconds")
    traces_archived: float = setting(730 * _DAY, "sampled traces in the archive", kind="seconds")
    rollups: float = setting(395 * _DAY, "counts per minute: services, edges, log patterns", kind="seconds")
    events: float = setting(2555 * _DAY, "change events: deployments, annotations", kind="seconds")
    records: float = setting(
        2555 * _DAY, "incidents with all of theirs, notifications, runbook runs, control commands", kind="seconds"
    )
    archive: str = setting(
        "",
        "directory or s3://bucket/prefix of the archive; empty: <data>/archive; none: what is too old is not archived",
    )
    archive_endpoint: str = setting("", "URL of an S3-compatible server; empty: AWS")
    archive_region: str = setting("", "its region; empty: us-east-1")
    archive_key: str = setting("", "access key; empty: the bucket asks for none", kind="secret")
    archive_secret: str = setting("", "secret key", kind="secret")
    min_free_bytes: int = setting(256 * MIB, "with less free disk than this the oldest data leaves")
    interval: float = setting(300.0, "how often housekeeping looks for something to do", kind="seconds")


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """How the bucket of `aiprism backup s3://…` and `aiprism restore s3://…` is reached. What is empty is as for the archive."""

    endpoint: str = setting("", "URL of an S3-compatible server; empty: retention.archive_endpoint, else AWS")
    region: str = setting("", "its region; empty: retention.archive_region, else us-east-1")
    key: str = setting("", "access key; empty: retention.archive_key", kind="secret")
    secret: str = setting("", "secret key", kind="secret")


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What a tenant may send. 0 switches a limit off."""

    spans_per_second: int = setting(1_000_000, "most spans a second, on average over `limits.burst`")
    log_records_per_second: int = setting(1_000_000, "most log records a second")
    samples_per_second: int = setting(5_000_000, "most metric samples a second")
    bytes_per_second: int = setting(1024 * MIB, "most bytes of decompressed bodies a second, all signals together")
    burst: float = setting(
        10.0, "how long a tenant that was quiet may send at once what it may send in this time", kind="seconds"
    )
    new_series_per_minute: int = setting(1_000_000, "most new metric series a minute")
    new_series_per_request: int = setting(
        100_000, "most series that one metric request may bring which were not met before, also since the start"
    )
    spans_past: float = setting(400 * DAY, "oldest start of a span that is taken", kind="seconds")
    spans_future: float = setting(3600.0, "how far ahead of our clock a span may start", kind="seconds")
    logs_past: float = setting(400 * DAY, "oldest log record that is taken", kind="seconds")
    logs_future: float = setting(3600.0, "how far ahead of our clock a log record may be", kind="seconds")
    samples_past: float = setting(400 * DAY, "oldest metric sample that is taken", kind="seconds")
    samples_future: float = setting(3600.0, "how far ahead of our clock a metric sample may be", kind="seconds")
    attributes: int = setting(1024, "most attributes of a span, event, link, log record, resource or scope")
    value_bytes: int = setting(MIB, "longest attribute value and log body")
    events_per_span: int = setting(4096, "most events of a span")
    links_per_span: int = setting(4096, "most links of a span")
    expanded_bytes: int = setting(
        256 * MIB, "most bytes a request may become when each item repeats its resource and scope"
    )
    labels_per_series: int = setting(128, "most labels of a metric series")
    label_name_bytes: int = setting(1024, "longest label name")
    label_value_bytes: int = setting(16 * 1024, "longest label value")


@dataclass(frozen=True, slots=True)
class OtlpConfig:
    """How OpenTelemetry metrics become Prometheus series; the first seven are those of Prometheus' own `otlp` section."""

    translation_strategy: str = setting(
        "UnderscoreEscapingWithSuffixes",
        "what becomes of names: this, UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes or NoTranslation",
        choices=(
            "UnderscoreEscapingWithSuffixes",
            "UnderscoreEscapingWithoutSuffixes",
            "NoUTF8EscapingWithSuffixes",
            "NoTranslation",
        ),
    )
    promote_resource_attributes: tuple[str, ...] = setting((), "resource attributes that become labels of every series")
    promote_all_resource_attributes: bool = setting(
        False, "all resource attributes become labels but those of `ignore_resource_attributes`"
    )
    ignore_resource_attributes: tuple[str, ...] = setting((), "the exceptions of `promote_all_resource_attributes`")
    keep_identifying_resource_attributes: bool = setting(
        False, "`target_info` keeps service.name, service.namespace and service.instance.id"
    )
    promote_scope_metadata: bool = setting(
        False, "the instrumentation scope becomes labels: otel_scope_name, _version, _schema_url, _<attribute>"
    )
    convert_histograms_to_nhcb: bool = setting(
        False,
        "histograms of explicit bounds are stored as native histograms with custom buckets, not as `_bucket` series",
    )
    deltas: str = setting(
        "accumulate",
        "what becomes of delta temporality: accumulate (made cumulative) or refuse (partial success)",
        choices=("accumulate", "refuse"),
    )
    delta_streams: int = setting(
        200_000,
        "most streams of delta sums added up at a time, a tenth as many histograms, a twentieth as many exponential ones",
    )
    delta_idle: float = setting(3600.0, "a stream of deltas not heard of for this long begins anew", kind="seconds")
    start_zeros: float = setting(
        900.0,
        "a counter or histogram that began at most this long before a point gets a zero at its start time; 0 turns it off",
        kind="seconds",
    )


@dataclass(frozen=True, slots=True)
class QueryConfig:
    """What one query may use."""

    timeout: float = setting(120.0, "longest run of one query", kind="seconds")
    max_samples: int = setting(50_000_000, "most samples one query may read")
    remote_read_samples: int = setting(5_000_000, "most samples one remote-read request may ask for")
    max_series: int = setting(500_000, "most series one selector may match")
    recent_bytes: int = setting(268_435_456, "most memory for samples kept from query to query; 0 keeps none")
    results_bytes: int = setting(
        134_217_728, "most memory for results of range queries kept for the next refresh; 0 keeps none"
    )
    late_window: float = setting(
        600.0,
        "how late samples may come for results to tell, where other processes store samples, too",
        kind="seconds",
    )
    max_points: int = setting(11_000, "most steps of a range query")
    concurrency: int = setting(4, "most PromQL queries at work at a time; fewer than `store.workers`")
    waiting: int = setting(128, "most PromQL queries that wait for their turn; further ones get 503")
    lookback: float = setting(300.0, "how far back an instant selector looks for a sample", kind="seconds")
    sql: bool = setting(True, "SQL may be asked, read-only (docs/sql.md)")
    sql_timeout: float = setting(30.0, "longest run of one query in SQL", kind="seconds")
    sql_rows: int = setting(10_000, "most rows of an answer in SQL")
    sql_read_rows: int = setting(1_000_000_000, "most rows that one query in SQL may read")
    sql_memory_bytes: int = setting(1_073_741_824, "most memory of one query in SQL")


@dataclass(frozen=True, slots=True)
class ScrapeConfig:
    """What is scraped, as Prometheus' own file says it."""

    file: str = setting(
        "", "prometheus.yml: its jobs are scraped, its rule files are loaded beside `rules.files`; empty: none"
    )


@dataclass(frozen=True, slots=True)
class RulesConfig:
    """Prometheus rule files, and those with rules on logs and traces."""

    files: tuple[str, ...] = setting((), "rule files or globs")
    signals: tuple[str, ...] = setting((), "files of rules on logs and traces, or globs")
    signal_delay: float = setting(
        10.0,
        "rules on logs and traces are asked so late, as records come in batches; groups may say `query_offset`",
        kind="seconds",
    )
    log_volume: bool = setting(
        True, "log records are counted by service and level, each minute, as log_records:count1m"
    )
    signal_series: int = setting(1000, "most series that a rule on logs or traces may give")
    interval: float = setting(15.0, "evaluation interval of groups that name none", kind="seconds")
    external_labels: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"help": "labels every alert leaves with, over those of `scrape.file`", "kind": "mapping"},
    )


@dataclass(frozen=True, slots=True)
class LogsConfig:
    """What is done to log records before they are stored, and found in them by itself."""

    redact: tuple[str, ...] = setting(
        ("all",), "kinds of secrets that are replaced: all, none, -kind for all but that one, or names of kinds"
    )
    hints: str = setting("", "file of hints at causes, which adds to those that are shipped")
    sigma: tuple[str, ...] = setting((), "files of Sigma rules, or globs, besides those that are shipped")
    slow: float = setting(
        1.0, "an operation is slow when a twentieth of its lines tell of more than this", kind="seconds"
    )
    pipelines: str = setting("", "pipelines.yml: the steps that records go through before they are stored; empty: none")
    watch: bool = setting(True, "raise an alert when a service writes an error pattern that it never wrote before")
    watch_interval: float = setting(3.0, "how often new patterns are looked for", kind="seconds")
    watch_baseline: float = setting(
        600.0, "what a service writes in its first such time is usual, and no alert", kind="seconds"
    )
    watch_memory: float = setting(
        7 * DAY, "a pattern that was not written for so long is forgotten, and new when it comes again", kind="seconds"
    )
    watch_silence: float = setting(
        900.0, "an alert is over when its pattern was not written for so long", kind="seconds"
    )
    watch_most: int = setting(20, "most such alerts that begin within an hour; what is above is counted and logged")
    watch_severity: str = setting("warning", "their label `severity`")


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    """The cluster that `kubernetes:` steps change, and how far they may go there."""

    kubeconfig: str = setting("", "kubeconfig file of the cluster (extra `aiprism[kubernetes]`)")
    context: str = setting("", "its context; empty: the current one")
    in_cluster: bool = setting(False, "the cluster that aiprism runs in, as the pod's service account")
    api_server: str = setting("", "address of an API server that asks nobody who they are, such as `kubectl proxy`")
    namespaces: tuple[str, ...] = setting((), "the only namespaces whose workloads steps may change")
    nodes: bool = setting(False, "whether steps may cordon and uncordon nodes")
    max_replicas: int = setting(50, "most replicas a step may give a workload or its autoscaler")
    dry_run: bool = setting(False, "have the cluster check every change, and make none")


@dataclass(frozen=True, slots=True)
class RespondConfig:
    """Routing, runbooks and the life of incidents."""

    alertmanager: str = setting("", "alertmanager.yml: receivers and the routing tree")
    incident_receivers: tuple[str, ...] = setting(
        (), "receivers of alertmanager.yml that are told how incidents go: opened, escalated, resolved …"
    )
    tiers: str = setting("", "tiers.yml: who is told of each tier, by when they are to act, what follows if not")
    oncall: str = setting("", "oncall.yml: people, on-call schedules and escalation policies")
    war_room: str = setting(
        "", "war-room.yml: which incidents get a war room by themselves; audiences and words of status updates"
    )
    slack_bot_token: str = setting(
        "",
        "token (xoxb-…) of the Slack app that makes a channel for each war room; without one there is none",
        kind="secret",
    )
    slack_bot_token_file: str = setting("", "file with it")
    runbooks: tuple[str, ...] = setting((), "runbook files or globs, or builtin:emergency")
    dry_run: bool = setting(False, "runbooks say what they would do, and do nothing")
    max_runs_per_hour: int = setting(0, "runs of all runbooks together that may begin in an hour; 0: any number")
    roles: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"help": "role → people who have it, separated by commas, for approvals", "kind": "mapping"},
    )
    services: str = setting("", "services.yml: owner, tier, runbook and dependencies of each service")
    maintenance: str = setting("", "maintenance.yml: maintenance windows and suppression rules")
    flap_changes: int = setting(
        0, "an alert that changes more often than this within `flap_window` flaps; 0: none does"
    )
    flap_window: float = setting(3600.0, "… and this is the time in which its changes are counted", kind="seconds")
    flap_stable: float = setting(
        900.0, "an alert that flaps is told as it is once it has not changed for so long", kind="seconds"
    )
    validation: float = setting(1800.0, "how long an incident is watched after its alerts cleared", kind="seconds")
    progress: float = setting(60.0, "how often an open incident is checked", kind="seconds")
    supervisor_url: str = setting("", "HTTP API of a process supervisor for `process:` steps")
    supervisor_token: str = setting("", "its bearer token", kind="secret")
    commands: Mapping[str, str] = field(
        default_factory=dict, metadata={"help": "name → command line that `command:` steps may run", "kind": "mapping"}
    )
    trackers: str = setting("", "trackers.yml: the issue trackers that `issue:` steps write to")
    kubernetes: KubernetesConfig = field(
        default_factory=KubernetesConfig,
        metadata={"help": "the cluster that `kubernetes:` steps change", "kind": "section"},
    )

    @property
    def people_of(self) -> Mapping[str, tuple[str, ...]]:
        """The people of each role."""
        return {role: tuple(filter(None, map(str.strip, who.split(",")))) for role, who in self.roles.items()}


@dataclass(frozen=True, slots=True)
class CorrelationConfig:
    """What makes two alerts one incident's: their likeness is the weighted sum of three parts from 0 to 1."""

    time: float = setting(0.3, "what counts that they began together")
    service: float = setting(0.4, "what counts that they are of one service, or of two that are related")
    kind: float = setting(0.3, "what counts that they are of one kind")
    threshold: float = setting(0.7, "the likeness that is enough")
    window: float = setting(600.0, "onsets so far apart have nothing in common", kind="seconds")
    direct: float = setting(0.7, "the service part of two services of which one calls the other")
    fading: float = setting(0.95, "… times this for each further call between them")
    shared: float = setting(
        0.3, "two services may suffer from a silent third that both call if this part of its callers began to suffer"
    )


@dataclass(frozen=True, slots=True)
class DashboardsConfig:
    """Where dashboards come from besides those that were saved."""

    folders: tuple[str, ...] = setting(
        (), "folders of Grafana's JSON (or YAML); they are read anew when a file changes"
    )
    writable: tuple[str, ...] = setting(
        (), "those of the folders into whose files what is edited on the page can be saved"
    )
    shipped: bool = setting(True, "whether the dashboards that come with aiprism are shown")


@dataclass(frozen=True, slots=True)
class LearnConfig:
    """What is found out about incidents."""

    investigation_timeout: float = setting(
        30.0, "an investigation of an incident may take so long; what was not looked at by then is said", kind="seconds"
    )
    investigations: int = setting(2, "investigations at a time; 0: none begins by itself or by hand")
    investigation_wait: float = setting(
        900.0, "an investigation whose turn has not come within this is skipped, and counted", kind="seconds"
    )


@dataclass(frozen=True, slots=True)
class HooksConfig:
    """Doors for what people do, and what is changed, in other tools. A secret is given as it is or in a file; without one
    its door is closed."""

    slack_secret: str = setting("", "signing secret of the Slack app whose button acknowledges", kind="secret")
    slack_secret_file: str = setting("", "file with it")
    pagerduty_secret: str = setting(
        "", "secret of the PagerDuty webhook (V3); several are separated by spaces", kind="secret"
    )
    pagerduty_secret_file: str = setting("", "file with it")
    opsgenie_secret: str = setting("", "what Opsgenie's webhook shows as a bearer token", kind="secret")
    opsgenie_secret_file: str = setting("", "file with it")
    github_secret: str = setting("", "secret of GitHub's webhook that tells of changes", kind="secret")
    github_secret_file: str = setting("", "file with it")
    gitlab_secret: str = setting("", "secret token of GitLab's webhook that tells of changes", kind="secret")
    gitlab_secret_file: str = setting("", "file with it")
    argocd_secret: str = setting("", "what Argo CD's notifications show as a bearer token", kind="secret")
    argocd_secret_file: str = setting("", "file with it")
    kubernetes_secret: str = setting("", "what senders of Kubernetes' events show as a bearer token", kind="secret")
    kubernetes_secret_file: str = setting("", "file with it")


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. `data` is the directory everything embedded is kept in; `base` is where relative names start."""

    data: Path
    base: Path
    server: ServerConfig = field(default_factory=ServerConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    ingest: IngestConfig = field(default_factory=IngestConfig)
    streams: StreamsConfig = field(default_factory=StreamsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    backup: BackupConfig = field(default_factory=BackupConfig)
    otlp: OtlpConfig = field(default_factory=OtlpConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    scrape: ScrapeConfig = field(default_factory=ScrapeConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    logs: LogsConfig = field(default_factory=LogsConfig)
    respond: RespondConfig = field(default_factory=RespondConfig)
    correlation: CorrelationConfig = field(default_factory=CorrelationConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)
    hooks: HooksConfig = field(default_factory=HooksConfig)
    dashboards: DashboardsConfig = field(default_factory=DashboardsConfig)
    # What native files may refer to; not a setting.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def store_url(self) -> str:
        """Where the engine opens: the configured server, else chDB under the data directory."""
        return self.store.url or f"chdb:///{(self.data / 'telemetry').resolve()}"

    @property
    def control_database(self) -> str:
        """SQLAlchemy URL of the control database."""
        return self.control.database or f"sqlite:///{(self.data / 'control.db').resolve()}"

    def resolved(self, patterns: tuple[str, ...]) -> list[Path]:
        """The files that `patterns` (names, globs, or `builtin:NAME` for what comes with aiprism) mean, in order; ConfigError for
        a plain name that is not there."""
        found: list[Path] = []
        for pattern in patterns:
            path = Path(pattern)
            if pattern.startswith(_BUILTIN):
                found.append(_builtin(pattern))
            elif any(mark in pattern for mark in "*?["):
                root = Path(path.anchor) if path.is_absolute() else self.base
                found += sorted(root.glob(str(path.relative_to(path.anchor) if path.is_absolute() else path)))
            elif (self.base / path).is_file():
                found.append(self.base / path)
            else:
                raise ConfigError("no such file", file=str(self.base / path))
        return found


_BUILTIN = "builtin:"
_BOOKS = Path(__file__).parent / "respond" / "books"


def _builtin(pattern: str) -> Path:
    """A file of runbooks that comes with aiprism."""
    name = pattern.removeprefix(_BUILTIN)
    known = sorted(path.stem for path in _BOOKS.glob("*.yml"))
    if name not in known:
        raise ConfigError(f"respond.runbooks: no {pattern!r} comes with aiprism; there are {', '.join(known)}")
    return _BOOKS / f"{name}.yml"


SECTIONS: Mapping[str, type[Any]] = {
    "server": ServerConfig,
    "store": StoreConfig,
    "control": ControlConfig,
    "ingest": IngestConfig,
    "streams": StreamsConfig,
    "limits": LimitsConfig,
    "retention": RetentionConfig,
    "backup": BackupConfig,
    "otlp": OtlpConfig,
    "query": QueryConfig,
    "scrape": ScrapeConfig,
    "rules": RulesConfig,
    "logs": LogsConfig,
    "respond": RespondConfig,
    "correlation": CorrelationConfig,
    "learn": LearnConfig,
    "hooks": HooksConfig,
    "dashboards": DashboardsConfig,
}


def load(path: Path | None, environ: Mapping[str, str], *, data: Path | None = None) -> Config:
    """The configuration of `path` (None: defaults alone), environment laid over it, `data` over both."""
    root = yamlfile.read(path) if path else yamlfile.parse("")
    if path and _PROMETHEUS_KEYS & root.entries().keys():  # Prometheus' own file, with our defaults around it
        found = load(None, environ, data=data)
        return replace(found, base=path.resolve().parent, scrape=ScrapeConfig(path.name))
    root.fields("data", *SECTIONS)
    base = path.resolve().parent if path else Path.cwd()
    sections = {name: _section(kind, root[name], name, environ) for name, kind in SECTIONS.items()}
    checked_roles(sections["server"].roles, str(path or ""))
    directory = data or Path(environ.get("AIPRISM_DATA") or base / root["data"].text("data"))
    return Config(data=directory, base=base, environment=environ, **sections)


def checked_roles(roles: Sequence[str], file: str = "") -> tuple[str, ...]:
    """`roles` without spaces, each of them known; ConfigError otherwise."""
    named = tuple(role.strip() for role in roles if role.strip())
    unknown = [role for role in named if role not in ROLES]
    if unknown or not named:
        what = f"unknown role {unknown[0]!r}" if unknown else "a process needs a role"
        raise ConfigError(f"server.roles: {what}; known: {', '.join(ROLES)}", file=file)
    return named


def control_token(config: Config) -> str:
    """The control channel's secret: the configured one, else one made at first use and kept with mode 0600."""
    if config.control.token:
        return config.control.token
    file = config.data / "control.token"
    if not file.exists():
        config.data.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")  # renamed once it is whole: a crash leaves no empty token behind
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(32), encoding="utf-8")
        fresh.rename(file)
    return file.read_text(encoding="utf-8").strip()


def documented() -> list[tuple[str, str, Any, str]]:
    """(path, variable, default, help) of every setting, for the reference page and its test."""
    rows: list[tuple[str, str, Any, str]] = [("data", "AIPRISM_DATA", "data", "directory of everything embedded")]
    for name, kind in SECTIONS.items():
        rows += _documented(name, kind)
    return rows


def _documented(name: str, kind: type[Any]) -> list[tuple[str, str, Any, str]]:
    rows: list[tuple[str, str, Any, str]] = []
    for item in fields(kind):
        if item.metadata["kind"] == "section":
            rows += _documented(f"{name}.{item.name}", get_type_hints(kind)[item.name])
            continue
        default = item.default if item.default is not MISSING else {}
        rows.append((f"{name}.{item.name}", _variable(name, item.name), default, item.metadata["help"]))
    return rows


def as_yaml(config: Config) -> str:
    """`config` as a file that says all of it, but for the secrets: they are covered."""
    said: dict[str, Any] = {"data": str(config.data)}
    for name in SECTIONS:
        said[name] = _shown(getattr(config, name), "section")
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def _shown(value: Any, kind: str) -> Any:
    if kind == "section":
        return {item.name: _shown(getattr(value, item.name), item.metadata["kind"]) for item in fields(value)}
    if kind == "secret":
        return "<secret>" if value else ""
    if kind == "secrets":
        return dict.fromkeys(value, "<secret>")
    if kind == "seconds":
        return format_duration(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _section(kind: type[Any], node: yamlfile.Node, name: str, environ: Mapping[str, str]) -> Any:
    node.fields(*(item.name for item in fields(kind)))
    types = get_type_hints(kind)
    values = {}
    for item in fields(kind):
        variable = _variable(name, item.name)
        given = node[item.name]
        how = item.metadata["kind"] or getattr(types[item.name], "__name__", "")
        choices = item.metadata.get("choices", ())
        if how == "section":
            values[item.name] = _section(types[item.name], given, f"{name}.{item.name}", environ)
            continue
        if variable in environ:
            values[item.name] = _from_text(environ[variable], how, types[item.name], variable)
            if choices and values[item.name] not in choices:
                raise ConfigError(f"{variable}: expected one of {', '.join(choices)}, not {values[item.name]!r}")
        elif given and choices:
            values[item.name] = given.one_of(*choices)
        elif given:
            values[item.name] = _from_node(given, how, types[item.name])
    return kind(**values)


def _from_node(node: yamlfile.Node, how: str, kind: Any) -> Any:
    if how == "seconds":
        return node.seconds()
    if how in ("mapping", "secrets"):
        return node.mapping()
    if kind is int:
        return node.integer()
    if kind is float:
        return node.number()
    if kind is bool:
        return node.flag()
    if kind == tuple[str, ...]:
        return tuple(node.texts())
    return node.text()


def _from_text(text: str, how: str, kind: Any, variable: str) -> Any:
    try:
        if how == "seconds":
            return duration_seconds(text)
        if how in ("mapping", "secrets"):
            return dict(pair.split("=", 1) for pair in text.split(",") if pair)
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
        if kind is bool:
            return {"true": True, "false": False}[text]
        if kind == tuple[str, ...]:
            return tuple(part for part in text.split(",") if part)
    except (BadInput, ValueError, KeyError) as error:
        if how == "secrets":  # which no log should hold
            raise ConfigError(f"{variable}: expected name=secret, one or more, separated by commas") from None
        raise ConfigError(f"{variable}={text!r} is not a {how}: {error}") from None
    return text


def _variable(section: str, name: str) -> str:
    return f"AIPRISM_{section}_{name}".replace(".", "_").upper()

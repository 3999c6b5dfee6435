"""A prometheus.yml, whole, as frozen values: which jobs there are, how each is scraped, and what of the file we leave.

In: the file (and the files of `scrape_config_files`), as Prometheus 3 reads it. Out: `ScrapeFile`. ConfigError carries
file:line for what `promtool check config` would refuse. What is valid and not acted on is listed in `unused`, with the
reason, for a warning.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiprism import yamlfile
from aiprism.httpconfig import HTTP_KEYS, HttpOptions, inline_http_options
from aiprism.model.labels import Labels
from aiprism.receive import relabel, unusedsections
from aiprism.receive.discovery import kinds
from aiprism.receive.discovery.following import Provider
from aiprism.receive.discovery.listed import ADDRESS, Static
from aiprism.receive.relabel import Rule, is_label_name
from aiprism.yamlfile import Node

PROTOCOLS = (
    "PrometheusProto",
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
)
_TEXTS = PROTOCOLS[1:]
_LIMITS = ("sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit", "target_limit",
           "keep_dropped_targets")  # fmt: skip
# Of `global`, what is the default of the same key of each job.
_SHARED = (
    "scrape_interval", "scrape_timeout", "scrape_protocols", "body_size_limit", *_LIMITS, "scrape_failure_log_file",
    "metric_name_validation_scheme", "metric_name_escaping_scheme", "always_scrape_classic_histograms",
    "convert_classic_histograms_to_nhcb", "scrape_native_histograms", "extra_scrape_metrics",
)  # fmt: skip
_GLOBAL = (*_SHARED, "evaluation_interval", "rule_query_offset", "external_labels", "query_log_file")
_JOB = (
    *_SHARED, "job_name", "honor_labels", "honor_timestamps", "track_timestamps_staleness", "params", "scheme",
    "metrics_path", "enable_compression", "fallback_scrape_protocol", "scrape_classic_histograms",
    "native_histogram_bucket_limit", "native_histogram_min_bucket_factor", "relabel_configs", "metric_relabel_configs",
    *HTTP_KEYS, *kinds.READERS, *kinds.NOT_FOLLOWED,
)  # fmt: skip
FILE_KEYS = ("global", "rule_files", "scrape_configs", "scrape_config_files", *unusedsections.SECTIONS)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|[KMGTPE]i?B)")
_POWERS = "BKMGTPE"
_GLOB = re.compile(r"[^*]*(\*[^/]*)?")
NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Job:
    """One scrape_config, with what it takes from `global` filled in. Times are seconds; a limit of 0 is none."""

    name: str
    interval: float = 60.0
    timeout: float = 10.0
    metrics_path: str = "/metrics"
    scheme: str = "http"
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    scrape_protocols: tuple[str, ...] = _TEXTS
    fallback_scrape_protocol: str = ""
    scrape_native_histograms: bool = False
    always_scrape_classic_histograms: bool = False
    convert_classic_histograms_to_nhcb: bool = False
    native_histogram_bucket_limit: int = 0
    native_histogram_min_bucket_factor: float = 0.0
    metric_name_validation_scheme: str = "utf8"
    metric_name_escaping_scheme: str = "allow-utf-8"
    extra_scrape_metrics: bool = False
    scrape_failure_log_file: str = ""  # with its directory
    body_size_limit: int = 0
    sample_limit: int = 0
    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0
    target_limit: int = 0
    keep_dropped_targets: int = 0
    enable_compression: bool = True
    http: HttpOptions = field(default_factory=HttpOptions)
    relabel: tuple[Rule, ...] = ()
    metric_relabel: tuple[Rule, ...] = ()
    discovery: tuple[Provider, ...] = ()


@dataclass(frozen=True, slots=True)
class ScrapeFile:
    """What a prometheus.yml says. `rule_files` are globs with their directory; `files` are all files that were read."""

    file: str
    jobs: tuple[Job, ...] = ()
    external_labels: Labels = field(default_factory=Labels)
    evaluation_interval: float = 60.0
    rule_query_offset: float = 0.0
    rule_files: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def read(path: Path, environ: Mapping[str, str] = NO_ENVIRONMENT) -> ScrapeFile:
    """What the file says; `$NAME` in external labels is looked up in `environ`."""
    return of(yamlfile.read(path), environ)


def of(root: Node, environ: Mapping[str, str] = NO_ENVIRONMENT) -> ScrapeFile:
    """What a document says."""
    root.fields(*FILE_KEYS)
    defaults = _defaults(root["global"])
    others = tuple(_other_files(root["scrape_config_files"]))
    nodes = [*root["scrape_configs"].items()]
    for name in others:
        nodes += yamlfile.read(Path(name)).fields("scrape_configs")["scrape_configs"].items()
    jobs = _jobs(nodes, defaults)
    return ScrapeFile(
        file=root.file,
        jobs=jobs,
        external_labels=_external_labels(root["global"], environ, legacy=_is_legacy(defaults)),
        evaluation_interval=root["global"]["evaluation_interval"].seconds(0.0) or 60.0,
        rule_query_offset=root["global"]["rule_query_offset"].seconds(0.0),
        rule_files=tuple(_beside(item) for item in root["rule_files"].items()),
        files=(root.file, *others),
        unused=tuple(_unused(root, nodes, legacy=_is_legacy(defaults))),
    )


# -- global ----------------------------------------------------------------------------------------------------------


def _defaults(node: Node) -> Job:
    """What every job begins with; it has no name yet."""
    node.fields(*_GLOBAL)
    interval = node["scrape_interval"].seconds(0.0) or 60.0
    timeout = node["scrape_timeout"].seconds(0.0)
    if timeout > interval:
        raise node["scrape_timeout"].error("global scrape timeout greater than scrape interval")
    return _shared(node, Job(name="", interval=interval, timeout=timeout or min(10.0, interval)))


def _shared(node: Node, above: Job) -> Job:
    """`above` with what stands in both `global` and jobs, but for the times."""
    validation = node["metric_name_validation_scheme"].one_of("utf8", "legacy", "", default="")
    validation = validation or above.metric_name_validation_scheme
    native = node["scrape_native_histograms"].flag(above.scrape_native_histograms)
    limits: dict[str, Any] = {key: _limit(node[key]) or getattr(above, key) for key in _LIMITS}
    inherited = above.scrape_protocols
    if native != above.scrape_native_histograms and inherited in (_TEXTS, PROTOCOLS):
        inherited = PROTOCOLS if native else _TEXTS  # native histograms come in protobuf only
    return replace(
        above,
        scrape_native_histograms=native,
        scrape_protocols=_protocols(node["scrape_protocols"], inherited),
        always_scrape_classic_histograms=node["always_scrape_classic_histograms"].flag(
            above.always_scrape_classic_histograms
        ),
        convert_classic_histograms_to_nhcb=node["convert_classic_histograms_to_nhcb"].flag(
            above.convert_classic_histograms_to_nhcb
        ),
        scrape_failure_log_file=_placed(node["scrape_failure_log_file"]) or above.scrape_failure_log_file,
        extra_scrape_metrics=node["extra_scrape_metrics"].flag(above.extra_scrape_metrics),
        metric_name_validation_scheme=validation,
        metric_name_escaping_scheme=_escaping(node["metric_name_escaping_scheme"], validation, above),
        body_size_limit=_size(node["body_size_limit"]) or above.body_size_limit,
        **limits,
    )


def _is_legacy(job: Job) -> bool:
    return job.metric_name_validation_scheme == "legacy"


def _escaping(node: Node, validation: str, above: Job) -> str:
    given = node.one_of("allow-utf-8", "underscores", "dots", "values", "", default="")
    if validation != "legacy":
        return given or above.metric_name_escaping_scheme
    if given == "allow-utf-8":
        raise node.error("utf8 metric names requested but validation is set to legacy")
    return given or "underscores"


def _protocols(node: Node, default: tuple[str, ...]) -> tuple[str, ...]:
    if node.missing:
        return default
    found = tuple(item.one_of(*PROTOCOLS) for item in node.items())
    if not found:
        raise node.error(f"scrape_protocols cannot be empty; known: {', '.join(PROTOCOLS)}")
    if len(set(found)) < len(found):
        raise node.error("a protocol stands twice in scrape_protocols")
    return found


def _placed(node: Node) -> str:
    """A file by its directory, which is that of the configuration unless it is given."""
    name = node.text("")
    return str(Path(node.file).parent / name) if name else ""


def _limit(node: Node) -> int:
    value = node.integer(0)
    if value < 0:
        raise node.error("expected a whole number from 0 up")
    return value


def _size(node: Node) -> int:
    """Bytes of `100MB`, which are 100 × 1024 × 1024 as Prometheus counts."""
    text = node.text("0")
    if text == "0":
        return 0
    found = _SIZE.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise node.error(f"not a size: {text!r}; write for example 512KB, 100MB, 1GB")
    return int(sum(float(number) * 1024 ** _POWERS.index(unit[0]) for number, unit in found))


def _external_labels(node: Node, environ: Mapping[str, str], *, legacy: bool) -> Labels:
    values = {}
    for name, value in node["external_labels"].entries().items():
        if not is_label_name(name, legacy=legacy):
            raise value.error(f"{name!r} is not a valid label name")
        values[name] = _from_environment(value.text(""), environ)
    return Labels(values)


def _from_environment(text: str, environ: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced as Go's os.Expand does it; `$$` is a dollar sign, an unknown name is empty."""
    return re.sub(
        r"\$(?:(\$)|\{([^}]*)\}|(\w+))", lambda found: "$" if found[1] else environ.get(found[2] or found[3], ""), text
    )


# -- jobs ------------------------------------------------------------------------------------------------------------


def _jobs(nodes: Iterable[Node], defaults: Job) -> tuple[Job, ...]:
    jobs: dict[str, Job] = {}
    for node in nodes:
        job = _job(node, defaults)
        if job.name in jobs:
            raise node["job_name"].error(f"found multiple scrape configs with job name {job.name!r}")
        jobs[job.name] = job
    return tuple(jobs.values())


def _job(node: Node, defaults: Job) -> Job:
    if node.missing:
        raise node.error("empty or null scrape config section")
    node.fields(*_JOB)
    name = node["job_name"].text("")
    if not name:
        raise node.error("job_name is empty")
    base = _shared(node, defaults)
    legacy = _is_legacy(base)
    interval, timeout = _times(node, name, defaults)
    job = replace(
        base,
        name=name,
        interval=interval,
        timeout=timeout,
        metrics_path=node["metrics_path"].text("/metrics"),
        scheme=node["scheme"].text("http"),
        params=tuple((key, tuple(values.texts())) for key, values in sorted(node["params"].entries().items())),
        honor_labels=node["honor_labels"].flag(False),
        honor_timestamps=node["honor_timestamps"].flag(True),
        track_timestamps_staleness=node["track_timestamps_staleness"].flag(False),
        fallback_scrape_protocol=node["fallback_scrape_protocol"].one_of(*PROTOCOLS, "", default=""),
        # Prometheus 2 called it so.
        always_scrape_classic_histograms=node["scrape_classic_histograms"].flag(base.always_scrape_classic_histograms),
        native_histogram_bucket_limit=_limit(node["native_histogram_bucket_limit"]),
        native_histogram_min_bucket_factor=node["native_histogram_min_bucket_factor"].number(0.0),
        enable_compression=node["enable_compression"].flag(True),
        http=inline_http_options(node),
        relabel=relabel.read(node["relabel_configs"], legacy=legacy),
        metric_relabel=relabel.read(node["metric_relabel_configs"], legacy=legacy),
        discovery=kinds.read(node),
    )
    if not job.relabel:
        _check_addresses(node, job)
    return job


def _times(node: Node, name: str, defaults: Job) -> tuple[float, float]:
    interval = node["scrape_interval"].seconds(0.0) or defaults.interval
    timeout = node["scrape_timeout"].seconds(0.0)
    if timeout > interval:
        where = node["scrape_timeout"]
        raise where.error(f"scrape timeout greater than scrape interval for scrape config with job name {name!r}")
    return interval, timeout or min(defaults.timeout, interval)


def _check_addresses(node: Node, job: Job) -> None:
    """Without rules that could mend it, an address with a slash is a URL somebody wrote by mistake."""
    static = [provider for provider in job.discovery if isinstance(provider, Static)]
    for provider in static:
        for target in provider.groups[0].targets:
            if "/" in target[ADDRESS]:
                address = target[ADDRESS]
                raise node["static_configs"].error(f"{address!r} is not a valid hostname; write host:port, "
                                                   "and the rest as scheme and metrics_path")  # fmt: skip


# -- other files, and what is left ------------------------------------------------------------------------------------


def _other_files(node: Node) -> Iterator[str]:
    for item in node.items():
        yield from sorted(glob.glob(_beside(item)))  # noqa: PTH207


def _beside(node: Node) -> str:
    name = node.text("")
    if not _GLOB.fullmatch(name):
        raise node.error(f"invalid file path {name!r}: a * may stand in its last part only")
    return str(Path(node.file).parent / name)


def _unused(root: Node, jobs: Iterable[Node], *, legacy: bool) -> Iterator[str]:
    yield from unusedsections.read(root, legacy=legacy)
    if root["global"]["query_log_file"]:
        yield unusedsections.told(root["global"]["query_log_file"], "what goes wrong is in aiprism's own log")
    for node in jobs:
        name = node["job_name"].text("")
        for entries in kinds.not_followed(node):
            yield unusedsections.told(entries, f"job {name!r}: no targets are found this way")

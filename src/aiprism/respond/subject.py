"""What alerts speak of: the service and the kind of trouble.

Labels and names come in, words go out; pure. `likeness` compares subjects, `wording` makes sentences of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

# Where rule authors put the name of the thing that is in trouble, most telling first (the plan's rules use three of them).
SERVICE_LABELS = ("service", "service_name", "job", "component")


class Kind(Enum):
    """The family of trouble an alert's name speaks of."""

    AVAILABILITY = "availability"
    ERRORS = "errors"
    LATENCY = "latency"
    SATURATION = "saturation"
    SECURITY = "security"
    BUSINESS = "business"
    OTHER = "other"


# One fault in a service shows as any of these, so they are half alike; security and business troubles stand alone.
SYMPTOMS = frozenset({Kind.AVAILABILITY, Kind.ERRORS, Kind.LATENCY, Kind.SATURATION})

_TELLING: Mapping[Kind, str] = {
    Kind.SECURITY: "security breach intrusion unauthorized login vulnerability",
    Kind.AVAILABILITY: "down unavailable availability absent unhealthy crash crashed crashing dead missing unreachable"
    " outage restarted",
    Kind.LATENCY: "latency slow slowness duration degraded degradation timeout timeouts response",
    Kind.ERRORS: "error errors failure failures failed failing exception exceptions 5xx rejected",
    Kind.SATURATION: "cpu memory disk queue backlog saturation saturated resource resources capacity pool connections"
    " usage full leak throttled throttling lag backlogged exhausted exhaustion pressure filling inodes space oom"
    " evicted overcommit",
    Kind.BUSINESS: "satisfaction revenue kpi conversion engagement users adoption cost",
}
_WORDS = {kind: frozenset(words.split()) for kind, words in _TELLING.items()}

_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+(?:xx)?")
# What these send is about others, whom further labels name; they are the job of every alert of Kubernetes and of hosts.
_EXPORTERS = frozenset({
    "kube-state-metrics", "kubelet", "kubernetes-pods", "kubernetes-nodes", "cadvisor", "node", "node-exporter",
    "node_exporter", "blackbox", "blackbox-exporter",
})  # fmt: skip
_WORKLOADS = (
    "deployment", "statefulset", "daemonset", "cronjob", "job_name", "horizontalpodautoscaler", "hpa", "container",
    "persistentvolumeclaim", "pod", "node", "nodename", "instance",
)  # fmt: skip
_POD = re.compile(
    r"-(?:[0-9a-f]{6,10}-[0-9a-z]{5}|[0-9a-z]{5}|\d+)$"
)  # what a workload adds to its name for each of its pods
_PORT = re.compile(r":\d+$")


def service_of(labels: Mapping[str, str]) -> str:
    """The service these labels name, or an empty string. What an exporter tells is about the workload or host that it names.

    >>> service_of({"service": "shop"}), service_of({"job": "kube-state-metrics", "pod": "shop-6d4cf56db6-x7k2p"})
    ('shop', 'shop')
    """
    found = next((labels[name] for name in SERVICE_LABELS if labels.get(name)), "")
    return _workload(labels) or found if found in _EXPORTERS else found


def _workload(labels: Mapping[str, str]) -> str:
    name = next((name for name in _WORKLOADS if labels.get(name)), "")
    said = labels.get(name, "")
    return _POD.sub("", said) if name == "pod" else _PORT.sub("", said) if name == "instance" else said


def words_of(name: str) -> tuple[str, ...]:
    """The words of an alert's name, in lower case; abbreviations stay whole.

    >>> words_of("AIModelPerformanceDegraded"), words_of("db_5xx")
    (('ai', 'model', 'performance', 'degraded'), ('db', '5xx'))
    """
    return tuple(word.lower() for word in _CAMEL.findall(name))


def kind_of(labels: Mapping[str, str]) -> Kind:
    """The kind an alert's name speaks of; a `kind` label that names one wins.

    >>> kind_of({"alertname": "HighErrorRate"}), kind_of({"alertname": "HighErrorRate", "kind": "latency"})
    (<Kind.ERRORS: 'errors'>, <Kind.LATENCY: 'latency'>)
    """
    return _kind(labels.get("alertname", ""), labels.get("kind", ""))


@lru_cache(maxsize=10_000)  # there are as many as rules, and each alert of a storm asks
def _kind(name: str, stated: str) -> Kind:
    if stated in {kind.value for kind in Kind}:
        return Kind(stated)
    words = set(words_of(name))
    return next((kind for kind, telling in _WORDS.items() if words & telling), Kind.OTHER)


def spelled(name: str) -> str:
    """The name of an alert as words: abbreviations stay as they are.

    >>> spelled("AIModelDrift")
    'AI model drift'
    """
    return " ".join(word if word.isupper() else word.lower() for word in _CAMEL.findall(name))

"""What a human would write over alerts (R19): of the plan's rules, and of those that everybody has."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.respond.incident import AlertCleared, AlertFired, Parted, Periods, advance, opened
from aiprism.respond.subject import service_of
from aiprism.respond.wording import Gist, description_of, gist_of, title_of
from tests.respond.making import T0, again, alert, cleared


def of(name, **labels):
    """An alert as an exporter's rules raise it."""
    return Alert(Labels({"alertname": name, **labels}), Labels(), AlertState.FIRING, 1.0, T0)


KUBE = {"job": "kube-state-metrics", "namespace": "shop"}
NODE = {"job": "node-exporter", "instance": "web-1:9100"}
COMMUNITY = [
    # the plan's
    (alert("ServiceDown", "document-processor"), "document-processor down"),
    (alert("HighErrorRate", "api-gateway"), "api-gateway errors"),
    (alert("DatabaseConnectionFailure", "user-service"), "user-service errors"),
    (alert("HighLatency", "ai-analysis"), "slow ai-analysis"),
    (alert("AIModelPerformanceDegraded", "ai-analysis"), "slow ai-analysis"),
    (alert("DocumentProcessingBacklog", "document-processor"), "document processing backlog in document-processor"),
    (alert("UserSatisfactionDrop", "portal"), "user satisfaction drop in portal"),
    (alert("SecurityBreach", "auth"), "security alarm in auth"),
    (alert("HighMemoryUsage", "ocr"), "ocr short of memory"),
    # Kubernetes' mixin
    (of("KubePodCrashLooping", pod="shop-6d4cf56db6-x7k2p", **KUBE), "shop crash-looping"),
    (of("KubeDeploymentReplicasMismatch", deployment="shop", **KUBE), "shop short of replicas"),
    (of("KubeNodeNotReady", node="worker-3", **KUBE), "worker-3 not ready"),
    (of("KubeContainerOOMKilled", container="shop", **KUBE), "shop out of memory"),
    (of("CPUThrottlingHigh", container="shop", **KUBE), "shop throttled"),
    (of("KubePersistentVolumeFillingUp", persistentvolumeclaim="data-db-0", job="kubelet"),
     "volume of data-db-0 filling up"),
    (of("TargetDown", job="shop"), "shop down"),
    (of("Watchdog"), "watchdog"),
    # node-exporter's
    (of("NodeFilesystemSpaceFillingUp", **NODE), "disk filling up on web-1"),
    (of("NodeFilesystemAlmostOutOfSpace", **NODE), "disk filling up on web-1"),
    (of("NodeFilesystemFilesFillingUp", **NODE), "inodes running out on web-1"),
    (of("NodeCPUHighUsage", **NODE), "web-1 short of CPU"),
    (of("HostOutOfMemory", **NODE), "web-1 out of memory"),
    (of("NodeClockSkewDetected", **NODE), "node clock skew detected in web-1"),
    # of databases and certificates
    (of("PostgresqlDown", job="postgres"), "postgres down"),
    (of("PostgresqlTooManyConnections", job="postgres"), "too many connections to postgres"),
    (of("PostgresqlReplicationLag", job="postgres"), "postgres replication behind"),
    (of("PostgresqlDeadLocks", job="postgres"), "deadlocks in postgres"),
    (of("RedisOutOfConfiguredMaxmemory", job="redis"), "redis out of configured maxmemory in redis"),
    (of("RedisMissingBackup", job="redis"), "no backup of redis"),
    (of("SSLCertExpiringSoon", job="shop"), "certificate of shop expiring"),
    (of("KafkaConsumerLag", job="orders"), "orders lagging"),
    (of("ErrorBudgetBurn", service="shop"), "shop burning the error budget"),
    # and what nobody has
    (alert("AIModelDrift", ""), "AI model drift"),
    (of("", job="x"), "unnamed alert in x"),
    (of("Odd{it}Name", job="x"), "odd it name in x"),
]  # fmt: skip


@pytest.mark.parametrize(("alert", "words"), COMMUNITY, ids=[each.name for each, _ in COMMUNITY])
def test_an_alert_is_called_what_it_means(alert, words):
    assert title_of([alert]) == f"{words} since 14:15 UTC"


@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        ([alert("HighErrorRate", "api-gateway"), alert("HighErrorRate", "api-gateway", endpoint="/b")],
         "api-gateway errors since 14:15 UTC"),
        ([alert("HighErrorRate", "api-gateway", at=T0 + 90), alert("HighLatency", "ai-analysis")],
         "slow ai-analysis and api-gateway errors since 14:15 UTC, starting at ai-analysis"),
        ([alert("HighErrorRate", "api-gateway", at=T0 + 4), alert("HighLatency", "ai-analysis")],
         "slow ai-analysis and api-gateway errors since 14:15 UTC"),
        ([alert("ServiceDown", f"s{n}", at=T0 + n) for n in range(5)], "s0, s1, s2 and 2 others down since 14:15 UTC"),
        ([alert("ServiceDown", f"s{n}", at=T0 + n) for n in range(4)], "s0, s1, s2 and s3 down since 14:15 UTC"),
        ([alert("HighErrorRate", f"s{n}", at=T0 + n) for n in range(2)], "errors in s0 and s1 since 14:15 UTC"),
        ([alert(f"Odd{n}", "s", at=T0 + n) for n in range(5)],
         "odd 0 in s, odd 1 in s, odd 2 in s and 2 more problems since 14:15 UTC"),
        ([*(alert("HighLatency", f"s{n}", at=T0 + n) for n in range(4)), alert("ServiceDown", "auth", at=T0 + 9),
          *(alert("HighErrorRate", f"s{n}", at=T0 + 9 + n) for n in range(2)), alert("Odd", "s0", at=T0 + 99)],
         "slow s0 and 3 others, auth down, errors in s0 and s1 and 1 more problem since 14:15 UTC"),
        ([alert("ServiceDown", f"a\nb {'x' * 500}")], f"a b {'x' * 75}… down since 14:15 UTC"),
        ([alert("Odd" * 200, "s")], f"{('odd ' * 20)[:79]}… in s since 14:15 UTC"),
    ],
)  # fmt: skip
def test_a_title_is_what_a_human_would_write(alerts, title):
    assert title_of(alerts) == title
    assert title_of(list(reversed(alerts))) == title


LED = [alert("HighErrorRate", "api-gateway"), alert("HighLatency", "ai-analysis", at=T0 + 40)]


@pytest.mark.parametrize(
    ("origin", "title"),
    [
        # who calls whom shows it, whoever told first
        ("ai-analysis", "api-gateway errors and slow ai-analysis since 14:15 UTC, starting at ai-analysis"),
        ("api-gateway", "api-gateway errors and slow ai-analysis since 14:15 UTC, starting at api-gateway"),
        # both call it, and it raises no alert
        ("model-server", "api-gateway errors and slow ai-analysis since 14:15 UTC, perhaps starting at model-server"),
        # nobody knows: who led
        ("", "api-gateway errors and slow ai-analysis since 14:15 UTC, starting at api-gateway"),
    ],
)
def test_a_title_says_where_it_began_as_the_topology_has_it(origin, title):
    assert title_of(LED, origin) == title


def test_a_description_says_how_much_fires_and_what_the_rules_say_once_each():
    told = description_of([
        alert("A", "x", annotations={"summary": "It is bad.", "description": "Very bad"}),
        alert("A", "x", annotations={"summary": "It is bad.", "description": "Very bad"}, pod="2"),
        alert("B", "y", at=T0 + 120, annotations={}),
    ])  # fmt: skip
    assert told == ("3 alerts of x and y since 14:15 UTC, the last one at 14:17 UTC.\nA: It is bad. Very bad\nB on y")


def test_of_one_alert_the_description_is_what_its_rule_says():
    assert description_of([alert("A", "x", annotations={"summary": "It is bad."})]) == "A: It is bad"


def test_a_long_description_says_how_much_it_leaves_out():
    alerts = [alert(f"Alert{n}", "x", at=T0 + n) for n in range(25)]
    assert description_of(alerts).splitlines()[-1] == "… and 5 more"


def storms():
    """Some alerts, in the order they are told, which is not the one they began in."""
    one = st.builds(
        lambda name, service, later, said, pod: alert(
            name, service, at=T0 + later, annotations={"summary": said}, pod=pod
        ),
        st.sampled_from(["HighErrorRate", "HighLatency", "Odd", "ServiceDown"]), st.sampled_from(["a", "b", "c", ""]),
        st.sampled_from([0, 4, 15, 90, 600]), st.sampled_from(["", "bad", "worse"]), st.sampled_from("123"),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=14, unique_by=lambda each: each.fingerprint)


@given(storms())
def test_what_is_said_as_alerts_join_is_what_is_said_of_all_of_them(alerts):
    grown = reduce(Gist.grown, alerts, Gist())
    assert (grown.title(), grown.description()) == (title_of(alerts), description_of(alerts))
    assert grown.labels.pairs == tuple(sorted(set.intersection(*(set(each.labels.pairs) for each in alerts))))
    assert grown == gist_of(alerts)


@given(storms(), st.data())
def test_the_title_of_an_incident_is_that_of_its_alerts_whatever_it_went_through(alerts, data):
    periods = Periods()
    incident = opened(alerts[0], T0, periods)[0]
    for each in alerts[1:]:
        incident = advance(incident, AlertFired(each), T0, periods)[0]
        said = data.draw(st.sampled_from(["", "read", "quiet", "again", "parted"]))
        held = incident.alerts[0]
        if said == "read":
            assert incident.title == title_of(incident.alerts)
        if said == "quiet":
            incident = advance(incident, AlertCleared(cleared(held, T0 + 700)), T0, periods)[0]
        if said == "again":
            later = replace(again(held, held.active_at + 700), annotations=Labels({"summary": "again"}))
            incident = advance(incident, AlertFired(later), T0, periods)[0]
        if said == "parted" and len(incident.alerts) > 1:
            incident = advance(incident, Parted(frozenset({held.fingerprint}), "INC_2", "ann"), T0, periods)[0]
    assert (incident.title, incident.description) == (title_of(incident.alerts), description_of(incident.alerts))
    assert incident.services == tuple(dict.fromkeys(filter(None, (service_of(e.labels) for e in incident.alerts))))


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "shop", "job": "kube-state-metrics", "pod": "x-1"}, "shop"),
        ({"job": "kube-state-metrics", "pod": "db-0"}, "db"),
        ({"job": "kube-state-metrics", "pod": "api-7f9c6d5b8-abcde"}, "api"),
        ({"job": "node-exporter", "instance": "10.0.0.7:9100"}, "10.0.0.7"),
        ({"job": "node-exporter"}, "node-exporter"),
        ({"job": "shop", "instance": "10.0.0.7:80", "pod": "shop-1"}, "shop"),
        ({"instance": "10.0.0.7:80"}, ""),
    ],
)  # fmt: skip
def test_what_an_exporter_tells_is_about_the_workload_or_host_that_it_names(labels, service):
    assert service_of(labels) == service

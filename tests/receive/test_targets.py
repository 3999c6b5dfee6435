"""Targets: what was found becomes what is scraped, as Prometheus 3 lays it out."""

from __future__ import annotations

import json
import textwrap
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiprism import yamlfile
from aiprism.model.labels import Labels
from aiprism.model.timerange import duration_seconds
from aiprism.receive import relabel, scrapeconfig
from aiprism.receive.discovery.following import Group
from aiprism.receive.discovery.listed import Static
from aiprism.receive.scrapeconfig import Job
from aiprism.receive.targets import Found, Layout, Target, targets
from tests.journeys.conftest import eventually
from tests.query.promql import peer
from tests.receive.test_relabel import CASES, GIVEN

JOB = Job("node", interval=15.0, timeout=10.0)


def rules(text: str) -> tuple[relabel.Rule, ...]:
    return relabel.read(yamlfile.parse(text, file="f"))


def found(job: Job, *labels: dict[str, str]) -> Found:
    return targets(job, [Group("0", labels)])


def only(job: Job, **labels: str) -> Target:
    (target,) = found(job, {"__address__": "h:1", **labels}).active
    return target


def test_a_target_has_the_defaults_of_its_job():
    target = only(JOB, __meta_zone="x", zone="y", empty="")
    assert target == Target(
        JOB, Labels({"instance": "h:1", "job": "node", "zone": "y"}), {}, "http://h:1/metrics", 15.0, 10.0
    )
    assert target.discovered == {
        "__address__": "h:1",
        "__meta_zone": "x",
        "__metrics_path__": "/metrics",
        "__scheme__": "http",
        "__scrape_interval__": "15s",
        "__scrape_timeout__": "10s",
        "job": "node",
        "zone": "y",
    }


@pytest.mark.parametrize(
    ("labels", "url"),
    [
        ({"__scheme__": "https"}, "https://h:1/metrics"),
        ({"__address__": "h"}, "http://h/metrics"),
        ({"__address__": "[::1]:80"}, "http://[::1]:80/metrics"),
        ({"__metrics_path__": "a b?c"}, "http://h:1/a%20b%3Fc"),
        ({"__param_q": "a b&c"}, "http://h:1/metrics?q=a+b%26c"),
        ({"__param_module": "other"}, "http://h:1/metrics?module=other&module=two"),
    ],
)
def test_labels_say_where_a_target_is(labels: dict[str, str], url: str):
    job = replace(JOB, params=(("module", ("one", "two")),)) if "__param_module" in labels else JOB
    assert only(job, **labels).url == url


def test_params_of_the_job_stand_in_the_url_and_their_first_values_are_labels():
    target = only(replace(JOB, params=(("b", ("1", "2")), ("a", ("x",)))))
    assert target.url == "http://h:1/metrics?a=x&b=1&b=2"
    assert (target.discovered["__param_a"], target.discovered["__param_b"]) == ("x", "1")


def test_rules_rewrite_and_drop_and_what_they_drop_is_kept_as_it_was_found():
    job = replace(
        JOB,
        relabel=rules(
            "[{source_labels: [role], regex: web, action: keep}, {source_labels: [role], target_label: job},\n"
            " {target_label: __scrape_interval__, replacement: 30s}, {target_label: instance, replacement: i}]"
        ),
    )
    result = found(job, {"__address__": "h:1", "role": "web"}, {"__address__": "h:2", "role": "db"})
    labels = Labels({"instance": "i", "job": "web", "role": "web"})
    assert result.active == (Target(job, labels, {}, "http://h:1/metrics", 30.0, 10.0),)
    assert ([each["__address__"] for each in result.dropped], result.dropped_count) == (["h:2"], 1)
    limited = found(replace(job, keep_dropped_targets=1), *({"__address__": f"h:{at}"} for at in range(3)))
    assert (len(limited.dropped), limited.dropped_count) == (1, 3)


def test_the_same_target_found_twice_is_scraped_once():
    result = targets(
        JOB, [Group("a", ({"__address__": "h:1", "__meta_x": "1"},)), Group("b", ({"__address__": "h:1"},))]
    )
    assert len(result.active) == 1
    other = found(JOB, {"__address__": "h:1"}, {"__address__": "h:1", "__scheme__": "https"})
    assert len(other.active) == 2


def test_a_group_that_did_not_change_keeps_its_targets_as_they_are():
    layout, groups = Layout(JOB), [Group(at, ({"__address__": f"{at}:1"},)) for at in "abc"]
    before = layout.found(groups)
    changed = [groups[0], Group("b", ({"__address__": "b:2"},))]
    after = layout.found(changed)
    assert after == targets(JOB, changed)
    assert after.active[0] is before.active[0]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"__address__": ""}, "no address"),
        ({"__address__": "http://h"}, "'http://h' is not a valid hostname"),
        ({"__scrape_interval__": "0s"}, "scrape interval cannot be 0"),
        ({"__scrape_timeout__": "soon"}, "error parsing scrape timeout: not a duration: 'soon'"),
        ({"__scrape_timeout__": "16s"}, "scrape timeout cannot be greater than scrape interval (16 s > 15 s)"),
    ],
)
def test_what_cannot_be_scraped_is_told(labels: dict[str, str], reason: str):
    result = found(JOB, {"__address__": "h:1", **labels}, {"__address__": "h:2"})
    assert len(result.active) == 1
    (told,) = result.failed
    assert reason in told


def test_more_targets_than_the_limit_are_all_refused():
    job = replace(JOB, target_limit=1)
    assert found(job, {"__address__": "h:1"}, {"__address__": "h:2"}).error == (
        "target_limit exceeded (number of targets: 2, limit: 1)"
    )
    assert found(job, {"__address__": "h:1"}).error == ""


# -- beside Prometheus -------------------------------------------------------------------------------------------------

# Besides what each rule of test_relabel leaves of one target: what targets themselves may say.
TARGETS = [
    "static_configs: [{targets: ['127.0.0.1:9', '127.0.0.1:9', '127.0.0.2:9'], labels: {__scheme__: https, zone: z}}]",
    "static_configs: [{targets: ['127.0.0.1:9']}]\nmetrics_path: /a b\nparams: {q: ['x y', z], a: ['&']}",
    # Since Prometheus 3 a target's own __param_q stands before the job's; 2.42 lets only rules change it.
    "static_configs: [{targets: ['127.0.0.1:9']}]\nparams: {q: [x]}\nrelabel_configs: [{target_label: __param_q, replacement: o}]",
    "static_configs: [{targets: ['127.0.0.1:9'], labels: {job: mine, instance: i, __meta_x: m}}]",
    "static_configs: [{targets: ['127.0.0.1:9'], labels: {__scrape_interval__: 2h, __scrape_timeout__: 90s}}]",
    "static_configs: [{targets: ['127.0.0.1:9'], labels: {__scrape_interval__: 0s}}]",
    "static_configs: [{targets: ['127.0.0.1:9', 'b/c']}]\nrelabel_configs: [{target_label: x, replacement: y}]",
    "static_configs: [{targets: ['127.0.0.1:9'], labels: {__scrape_timeout__: 2h}}]",
    "static_configs: [{targets: ['127.0.0.1:9']}]\nrelabel_configs: [{target_label: __address__, replacement: ''}]",
]


def prometheus_yml() -> str:
    """A job for each case; nothing is scraped, for the first scrape is an hour away at most and goes to a closed port."""
    given = ", ".join(f"{name}: '{value}'" for name, value in GIVEN.items() if name != "__address__")
    static = f"static_configs: [{{targets: ['{GIVEN['__address__']}'], labels: {{{given}}}}}]"
    jobs = [f"{static}\nrelabel_configs:\n{textwrap.indent(rules, '  ')}" for rules, _ in CASES] + TARGETS
    texts = (
        f"- job_name: '{at}'\n" + "".join(f"  {line}\n" for line in job.splitlines()) for at, job in enumerate(jobs)
    )
    return "global: {scrape_interval: 1h, scrape_timeout: 1m}\nscrape_configs:\n" + "".join(texts)


def ours(path: Path) -> dict[str, Any]:
    told = {}
    for job in scrapeconfig.read(path).jobs:
        found = targets(job, [group for each in job.discovery if isinstance(each, Static) for group in each.groups])
        told[job.name] = (
            sorted((sorted(each.labels.pairs), each.url, each.interval, each.timeout) for each in found.active),
            [sorted(each.items()) for each in found.dropped],
        )
    return told


def theirs(url: str, names: Mapping[str, Any]) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/api/v1/targets") as answer:
        data = json.load(answer)["data"]
    active: dict[str, list[Any]] = {name: [] for name in names}
    for each in data["activeTargets"]:
        times = (duration_seconds(each["scrapeInterval"]), duration_seconds(each["scrapeTimeout"]))
        active[each["scrapePool"]].append((sorted(each["labels"].items()), each["scrapeUrl"], *times))
    dropped: dict[str, list[Any]] = {name: [] for name in names}
    for each in data["droppedTargets"]:
        dropped[each["discoveredLabels"]["job"]].append(sorted(each["discoveredLabels"].items()))
    return {name: (sorted(active[name]), dropped[name]) for name in names}


@pytest.mark.skipif(not peer.installed(), reason=peer.HINT)
def test_prometheus_has_the_same_targets(tmp_path: Path):
    with peer.running(tmp_path, prometheus_yml()) as prometheus:
        expected = ours(tmp_path / "prometheus.yml")
        eventually(lambda: theirs(prometheus.url, expected) == expected, what="the same targets")

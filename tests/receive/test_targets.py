"""Targets: what was found becomes what is scraped, as Prometheus 3 lays it out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiprism import yamlfile
from aiprism.model.labels import Labels
from aiprism.receive import relabel
from aiprism.receive.discovery.following import Group
from aiprism.receive.scrapeconfig import Job
from aiprism.receive.targets import Found, Target, targets

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

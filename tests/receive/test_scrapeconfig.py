"""prometheus.yml: what it says, what is refused and where, and that promtool is of the same mind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.httpconfig import Authorization, HttpOptions, Secret
from aiprism.model.labels import Labels
from aiprism.receive import scrapeconfig, unusedsections
from aiprism.receive.discovery import kinds
from aiprism.receive.discovery.listed import ADDRESS, Static
from aiprism.receive.scrapeconfig import PROTOCOLS, Job
from tests.receive import prometheus_files
from tests.receive.prometheus_files import BAD, BAD_SINCE_3, GOOD, GOOD_SINCE_3, PLAN, Bad, job


def of(text: str, environ: dict[str, str] | None = None, file: str = "dir/prometheus.yml") -> scrapeconfig.ScrapeFile:
    return scrapeconfig.of(yamlfile.parse(text, file=file), environ or {})


def only(text: str) -> Job:
    (found,) = of(text).jobs
    return found


@pytest.mark.parametrize("text", [*GOOD.values(), *GOOD_SINCE_3.values()], ids=[*GOOD, *GOOD_SINCE_3])
def test_good_files_are_read(text: str):
    assert of(text).file == "dir/prometheus.yml"


@pytest.mark.parametrize("bad", [*BAD, *BAD_SINCE_3], ids=lambda bad: bad.name)
def test_a_mistake_is_told_with_its_line(bad: Bad):
    with pytest.raises(ConfigError) as told:
        of(bad.text)
    assert (told.value.line, bad.words in told.value.message) == (bad.line, True), told.value


@pytest.mark.skipif(not shutil.which("promtool"), reason="apt-get install prometheus")
def test_promtool_says_the_same_of_every_file(tmp_path: Path):
    names = {}
    for at, (text, good) in enumerate([*((text, True) for text in GOOD.values()), *((bad.text, False) for bad in BAD)]):
        file = tmp_path / f"{at:03}.yml"
        file.write_text(text)
        names[str(file)] = good
    command = ["promtool", "check", "config", "--syntax-only", *names]
    # Its names go to one stream and its verdicts to the other.
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    told = _told(run.stdout)
    assert told == names


def _told(output: str) -> dict[str, bool]:
    """Whether promtool found each file good: it prints `Checking NAME`, then FAILED for a bad one."""
    blocks = output.split("Checking ")[1:]
    return {block.split("\n", 1)[0].strip(): "FAILED" not in block for block in blocks}


def test_a_job_takes_from_global_what_it_does_not_say():
    text = "global: {scrape_interval: 20s, scrape_timeout: 5s, sample_limit: 7, label_limit: 9, body_size_limit: 1KB}\n"
    found = only(text + job("scrape_timeout: 4s\nlabel_limit: 3"))
    assert found == Job("a", 20.0, 4.0, sample_limit=7, label_limit=3, body_size_limit=1024)


def test_what_stands_in_a_job_is_kept():
    found = only(
        job(
            "scheme: https\nmetrics_path: /m\nparams: {b: [x, y], a: [1]}\nhonor_labels: true\nbearer_token_file: t\n"
            "static_configs: [{targets: ['h:1'], labels: {zone: 08}}]"
        )
    )
    assert found == Job(
        "a",
        scheme="https",
        metrics_path="/m",
        params=(("a", ("1",)), ("b", ("x", "y"))),
        honor_labels=True,
        http=HttpOptions(Authorization("Bearer", Secret(file="dir/t"))),
        discovery=found.discovery,
    )
    (static,) = found.discovery
    assert isinstance(static, Static)
    assert static.groups[0].targets == ({ADDRESS: "h:1", "zone": "08"},)


def test_native_histograms_ask_for_protobuf_first_unless_protocols_are_named():
    assert only(job("scrape_native_histograms: true")).scrape_protocols == PROTOCOLS
    above = "global: {scrape_native_histograms: true}\n"
    assert only(above + job("")).scrape_protocols == PROTOCOLS
    assert only(above + job("scrape_native_histograms: false")).scrape_protocols == PROTOCOLS[1:]
    named = job("scrape_native_histograms: true\nscrape_protocols: [PrometheusText1.0.0]")
    assert only(named).scrape_protocols == ("PrometheusText1.0.0",)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1B", 1), ("2KB", 2048), ("1.5MB", 3 << 19), ("1GiB", 1 << 30), ("1MB1KB", 1049600)]
)
def test_sizes_are_powers_of_1024(text: str, size: int):
    assert only(job(f"body_size_limit: {text}")).body_size_limit == size


def test_external_labels_take_words_from_the_environment():
    found = of(
        "global: {external_labels: {a: '${WHO}-$WHERE', b: '$$x', c: '${NOBODY}'}}\n", {"WHO": "me", "WHERE": "here"}
    )
    assert found.external_labels == Labels({"a": "me-here", "b": "$x"})


def test_the_plans_file_is_read_as_it_is():
    found = of(PLAN)
    kinds = {each.name: [provider.kind for provider in each.discovery] for each in found.jobs}
    assert kinds == {
        "kubernetes-apiservers": ["kubernetes"],
        "kubernetes-nodes": ["kubernetes"],
        "kubernetes-pods": ["kubernetes"],
        "ai-prism-services": ["static"],
        "external-dependencies": ["static"],
    }
    assert found.unused == ()
    assert found.rule_files == ("/etc/prometheus/rules/*.yml",)
    assert found.external_labels == Labels({"cluster": "ai-prism-prod", "region": "us-east-1"})


def test_jobs_of_other_files_follow_and_are_checked_with_them(tmp_path: Path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "b.yml").write_text(job(name="b"))
    main = tmp_path / "prometheus.yml"
    main.write_text("scrape_config_files: [jobs/*.yml]\n" + job())
    found = scrapeconfig.read(main)
    assert [each.name for each in found.jobs] == ["a", "b"]
    assert found.files == (str(main), str(tmp_path / "jobs" / "b.yml"))
    (tmp_path / "jobs" / "c.yml").write_text("#\n" + job(name="a"))
    with pytest.raises(ConfigError, match=r"c\.yml:3: found multiple scrape configs"):
        scrapeconfig.read(main)


def test_what_is_not_acted_on_is_named_with_its_line_and_reason():
    text = (
        prometheus_files.GOOD["alerting"]
        + prometheus_files.GOOD["storage"]
        + job("hetzner_sd_configs: [{role: hcloud}]")
    )
    assert of(text).unused == (
        "dir/prometheus.yml:1: alerting is not acted on: alerts go to aiprism's own receivers (respond.alertmanager), "
        "not to other Alertmanagers",
        "dir/prometheus.yml:4: storage is not acted on: how long data stays is said by aiprism.yml (retention)",
        "dir/prometheus.yml:7: scrape_configs[0].hetzner_sd_configs is not acted on: job 'a': no targets are found this way",
    )


def test_no_secret_of_a_file_is_shown():
    first = job("basic_auth: {username: u, password: SECRET1}\nproxy_url: 'http://u:SECRET2@p'", "x")
    second = job(
        "http_headers: {X: {secrets: [SECRET3]}}\noauth2: {client_id: i, client_secret: SECRET4, token_url: 'http://t'}"
    )
    assert "SECRET" not in repr(of(first + second.split("\n", 1)[1]))


def test_the_file_of_failures_lies_beside_the_configuration_and_a_job_may_have_its_own():
    text = "global: {scrape_failure_log_file: f.log}\n"
    assert only(text + job()).scrape_failure_log_file == "dir/f.log"
    assert only(text + job("scrape_failure_log_file: /var/own.log")).scrape_failure_log_file == "/var/own.log"
    assert only(job()).scrape_failure_log_file == ""


def test_the_documentation_names_all_that_is_not_acted_on():
    page = (Path(__file__).parents[2] / "docs/scraping.md").read_text()
    said = page[page.index("## What is not acted on") : page.index("## Speaking HTTP")]
    missing = {name for name in (*unusedsections.SECTIONS, *kinds.NOT_FOLLOWED) if f"`{name}`" not in said}
    assert not missing

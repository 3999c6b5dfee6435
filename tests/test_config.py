"""One frozen value from file, environment and flags."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from aiprism import config
from aiprism.errors import ConfigError
from aiprism.receive import scrapeconfig


def loaded(tmp_path: Path, text: str = "", **environ: str) -> config.Config:
    file = tmp_path / "aiprism.yml"
    file.write_text(text, encoding="utf-8")
    return config.load(file, environ)


def test_the_defaults_are_safe(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert all(
        address.startswith("127.0.0.1:")
        for address in (found.server.listen, found.server.otlp_http, found.server.otlp_grpc)
    )
    assert found.store_url.startswith("chdb:///")
    assert found.control_database.startswith("sqlite:///")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = "server: {listen: '127.0.0.1:1'}\ningest: {linger: 1s, batch_bytes: 10}\nrules: {files: [a.yml]}"
    found = loaded(
        tmp_path,
        text,
        AIPRISM_SERVER_LISTEN="127.0.0.1:2",
        AIPRISM_INGEST_LINGER="250ms",
        AIPRISM_RULES_FILES="x.yml,y.yml",
        AIPRISM_RULES_EXTERNAL_LABELS="cluster=a,region=b",
    )
    assert (found.server.listen, found.ingest.linger, found.ingest.batch_bytes) == ("127.0.0.1:2", 0.25, 10)
    assert found.rules.files == ("x.yml", "y.yml")
    assert found.rules.external_labels == {"cluster": "a", "region": "b"}


def test_a_section_within_a_section_is_read_shown_and_named_like_any_other(tmp_path: Path) -> None:
    text = "respond: {kubernetes: {context: prod, namespaces: [a], nodes: true}}"
    found = loaded(tmp_path, text, AIPRISM_RESPOND_KUBERNETES_NAMESPACES="b,c").respond.kubernetes
    assert (found.context, found.namespaces, found.nodes, found.max_replicas) == ("prod", ("b", "c"), True, 50)
    shown = yaml.safe_load(config.as_yaml(loaded(tmp_path, text)))["respond"]["kubernetes"]
    assert (shown["namespaces"], shown["dry_run"]) == (["a"], False)
    with pytest.raises(
        ConfigError, match=r"yml:1: unknown key 'contxt' in respond\.kubernetes; did you mean 'context'"
    ):
        loaded(tmp_path, "respond: {kubernetes: {contxt: prod}}")


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AIPRISM_STORE_WORKERS='many'"):
        loaded(tmp_path, AIPRISM_STORE_WORKERS="many")


def test_names_of_files_start_at_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for name in ("b.yml", "a.yml"):
        (tmp_path / "rules" / name).touch()
    found = loaded(tmp_path)
    assert found.resolved(("rules/*.yml",)) == [tmp_path / "rules" / "a.yml", tmp_path / "rules" / "b.yml"]
    with pytest.raises(ConfigError, match="no such file"):
        found.resolved(("rules/c.yml",))


def test_the_control_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    token = config.control_token(found)
    assert len(token) >= 32
    assert config.control_token(found) == token
    assert stat.S_IMODE((found.data / "control.token").stat().st_mode) == 0o600


def test_every_setting_is_documented_with_a_sentence() -> None:
    assert all(help_ for *_, help_ in config.documented())


def test_a_prometheus_yml_is_a_configuration(tmp_path: Path) -> None:
    page = Path("docs/scraping.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n# prometheus.yml\n")[2].partition("```")[0]
    (tmp_path / "prometheus.yml").write_text(example, encoding="utf-8")
    given = {"AIPRISM_DATA": "/data", "AIPRISM_QUERY_LOOKBACK": "7s"}
    found = config.load(tmp_path / "prometheus.yml", given)
    assert (found.scrape.file, found.base, found.data, found.query.lookback) == (
        "prometheus.yml",
        tmp_path,
        Path("/data"),
        7.0,
    )
    [path] = found.resolved((found.scrape.file,))
    file = scrapeconfig.read(path, found.environment)
    assert ([job.name for job in file.jobs], file.external_labels.to_dict()) == (["node"], {"cluster": "lab"})
    assert file.rule_files == (str(tmp_path / "rules/*.yml"),)

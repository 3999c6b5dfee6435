"""What the document generator promises."""

import pytest

from aiprism_lab import generate
from aiprism_lab.__main__ import main
from aiprism_lab.documents import DocumentFormat, format_of, parse


@pytest.mark.parametrize("kind", generate.KINDS)
def test_the_same_seed_makes_the_same_draft_and_another_seed_another(kind):
    assert generate.draft(5, kind) == generate.draft(5, kind)
    assert generate.draft(5, kind) != generate.draft(6, kind)
    assert generate.draft(5, kind).kind == kind


def test_some_drafts_lack_a_section_and_most_do_not():
    missing = [bool(generate.draft(seed).missing) for seed in range(300)]
    assert 60 < sum(missing) < 150


def test_no_placeholder_survives_in_a_draft():
    for seed in range(60):
        source = generate.draft(seed)
        text = " ".join([source.title, *(t for p in source.passages for t in (*p.paragraphs, *p.bullets))])
        assert "{" not in text


def test_the_generate_command_writes_readable_documents_of_every_format(tmp_path, capsys):
    assert main(["generate", str(tmp_path / "out"), "--count", "4", "--seed", "3"]) == 0
    written = sorted((tmp_path / "out").iterdir())
    assert {path.suffix for path in written} == {".txt", ".md", ".docx", ".pdf"}
    assert len(capsys.readouterr().out.splitlines()) == 4
    for path in written:
        content = path.read_bytes()
        assert parse(content, format_of(path.name, content)).word_count > 100
    assert {DocumentFormat(path.suffix[1:]) for path in written} == set(DocumentFormat)

"""How a document is cut into sections, and what each one is taken to be about."""

import pytest

from aiprism_lab.documents import Block, DocumentFormat, ParsedDocument, parse
from aiprism_lab.sections import PART_WORDS, complexity_level, complexity_score, document_kind, outline, section_type


def parsed(text) -> ParsedDocument:
    return parse(text.encode(), DocumentFormat.MARKDOWN)


def test_text_before_the_first_heading_is_the_preamble():
    found = outline(parsed("# Report\n\nWords first.\n\n## Scope\n\nThe rest."))
    assert [(each.name, each.text) for each in found.sections] == [("Preamble", "Words first."), ("Scope", "The rest.")]


def test_deeper_headings_stay_inside_their_section():
    found = outline(parsed("# Report\n\n## Scope\n\nA.\n\n### Details\n\nB.\n\n## Risks\n\nC."))
    assert [(each.name, each.text) for each in found.sections] == [("Scope", "A.\nDetails\nB."), ("Risks", "C.")]


def test_several_headings_of_the_first_level_are_sections_not_titles():
    found = outline(parsed("# Scope\n\nA.\n\n# Risks\n\nB."))
    assert [each.name for each in found.sections] == ["Scope", "Risks"]


def test_a_text_without_headings_is_cut_into_parts_at_paragraph_ends():
    paragraph = " ".join(["word"] * 100)
    document = ParsedDocument("words", tuple(Block(paragraph) for _ in range(7)), 1)
    found = outline(document)
    assert [each.name for each in found.sections] == ["Part 1", "Part 2", "Part 3"]
    assert [each.word_count for each in found.sections] == [300, 300, 100]
    assert all(each.word_count >= PART_WORDS for each in found.sections[:-1])


def test_a_heading_without_text_makes_no_section():
    found = outline(parsed("# Report\n\n## Scope\n\n## Risks\n\nThere are some."))
    assert [each.name for each in found.sections] == ["Risks"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2. Root Cause Analysis", "root_cause"),
        ("Executive Summary", "summary"),
        ("Costs and Resources", "budget"),
        ("Fees and Payment", "payment"),
        ("Warranty and Liability", "liability"),
        ("Something Else", "general"),
    ],
)
def test_the_heading_tells_what_a_section_is_about(name, expected):
    assert section_type(name) == expected


@pytest.mark.parametrize(
    ("title", "types", "kind"),
    [
        ("Research Summary: Automatic Review of Contracts", [], "research_summary"),
        ("Access Control Policy", [], "policy"),
        ("Untitled", ["summary", "methodology", "results"], "research_summary"),
        ("Untitled", ["general"], "general"),
    ],
)
def test_the_kind_comes_from_the_title_or_else_from_the_sections(title, types, kind):
    assert document_kind(title, types) == kind


def test_dense_text_scores_as_more_complex_than_plain_text():
    plain = "The team ships on Monday. The test runs at noon. All is well."
    dense = (
        "Notwithstanding organizational interdependencies, comprehensive reconciliation procedures necessitate "
        "interdepartmental harmonization of heterogeneous administrative responsibilities throughout implementation."
    )
    assert complexity_score(plain) < 0.2 < complexity_score(dense) <= 1.0
    assert (complexity_level(complexity_score(plain)), complexity_level(complexity_score(dense))) == ("low", "high")
    assert complexity_score("") == 0.0

"""What the reviewer marks in a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism_lab import generate
from aiprism_lab.review import (
    ALL_CHECKS,
    MAX_PER_CHECK,
    QUICK_CHECKS,
    SEVERITIES,
    readability,
    review_outline,
    review_section,
)
from aiprism_lab.sections import EXPECTED_SECTIONS

ENOUGH = (
    "The team ships the release on Monday and tests it for a week with the customers who asked for it first of all. "
)


def categories(text, kind="general") -> set[str]:
    return {item.category for item in review_section("Section", kind, ENOUGH + text)}


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("The report was written in a hurry.", "passive_voice"),
        ("The budget has been carefully approved by the board.", "passive_voice"),
        ("We will do it as soon as possible.", "weasel_words"),
        ("The file is sent to the KPMX office.", "undefined_acronyms"),
        ("The broker is a single point of failure.", "risk_words"),
        ("The service will be improved.", "vague_promises"),
        (" ".join(["and then the next word follows"] * 8) + ".", "long_sentences"),
    ],
)
def test_a_fault_is_found(text, category):
    assert category in categories(text)
    assert category not in categories("")


@pytest.mark.parametrize(
    "text",
    [
        "The Data Processing Agreement (DPA) holds. The DPA ends in May.",
        "The API answers in JSON to every user of the PDF and SQL tools in the EU.".replace("JSON", "text"),
    ],
)
def test_an_abbreviation_that_is_explained_or_known_is_not_marked(text):
    assert "undefined_acronyms" not in categories(text)


@pytest.mark.parametrize(
    ("kind", "bad", "good"),
    [
        ("budget", "It will cost money.", "It will cost EUR 5000."),
        ("timeline", "It starts soon.", "It starts on 2026-05-01."),
        ("remediation", "Someone fixes it.", "The platform team fixes it."),
        ("results", "It got better.", "It got better by 12 percent."),
    ],
)
def test_a_section_without_what_its_type_needs_is_marked(kind, bad, good):
    def found(text) -> set[str]:
        return {item.category for item in review_section("Section", kind, text)}

    assert "missing_content" in found(bad)
    assert "missing_content" not in found(good)


def test_a_severe_risk_is_high_and_stands_first():
    items = review_section("Liability", "liability", "The report was written. There is unlimited liability, perhaps.")
    assert (items[0].severity, items[0].category) == ("high", "risk_words")
    assert "unlimited liability" in items[0].quote


@pytest.mark.parametrize("kind", EXPECTED_SECTIONS)
def test_every_expected_section_that_is_absent_is_missed(kind):
    wanted = EXPECTED_SECTIONS[kind]
    assert [item.section for item in review_outline(kind, [])] == [
        each.replace("_", " ").capitalize() for each in wanted
    ]
    assert review_outline(kind, [each.replace("_", " ") for each in wanted]) == ()
    assert review_outline("general", []) == ()


@pytest.mark.parametrize("seed", range(12))
def test_what_a_draft_left_out_is_what_the_reviewer_misses(seed):
    draft = generate.draft(seed)
    missed = [
        item.section.lower().replace(" ", "_")
        for item in review_outline(draft.kind, [p.heading for p in draft.passages])
    ]
    assert tuple(missed) == draft.missing


@settings(deadline=None)
@given(st.text(max_size=600), st.sampled_from(["budget", "general", "timeline"]))
def test_any_text_is_reviewed_the_same_way_twice_and_each_remark_is_complete(text, kind):
    first = review_section("Section", kind, text)
    assert first == review_section("Section", kind, text)
    assert all(item.severity in SEVERITIES and item.message and item.suggestion for item in first)
    assert [SEVERITIES.index(item.severity) for item in first] == sorted(SEVERITIES.index(i.severity) for i in first)


@settings(deadline=None)
@given(st.text(alphabet="abc .,\n", max_size=400))
def test_the_quick_checks_find_a_part_of_what_all_checks_find(text):
    quick = set(review_section("Section", "general", text, QUICK_CHECKS))
    assert quick <= set(review_section("Section", "general", text, ALL_CHECKS))


def test_no_check_marks_more_than_an_editor_would():
    text = " ".join(f"The part {number} was written." for number in range(40))
    items = review_section("Section", "general", text)
    assert sum(item.category == "passive_voice" for item in items) == MAX_PER_CHECK


def test_short_words_and_sentences_read_more_easily_than_long_ones():
    assert readability("The cat sat on the mat.") > 90
    assert readability("Interdepartmental harmonization necessitates comprehensive reconciliation.") < 0
    assert readability("") == 100.0

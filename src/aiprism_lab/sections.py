"""Finds the sections of a parsed document and says what each one is about.

In: a `ParsedDocument`. Out: an `Outline`: the kind of document, its sections with type, word count and complexity.
What is wrong with a section is the reviewer's business (`review`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from aiprism_lab.documents import Block, ParsedDocument

# The sections a reader expects in each kind of document, in their usual order.
EXPECTED_SECTIONS: dict[str, tuple[str, ...]] = {
    "project_proposal": ("summary", "objectives", "scope", "timeline", "budget", "risks"),
    "incident_report": ("summary", "impact", "timeline", "root_cause", "remediation"),
    "contract": ("parties", "scope", "payment", "confidentiality", "liability", "termination"),
    "research_summary": ("summary", "methodology", "results", "limitations", "conclusion"),
    "policy": ("purpose", "scope", "responsibilities", "requirements", "enforcement"),
}

_KIND_WORDS = {
    "project_proposal": ("proposal", "project plan", "business case"),
    "incident_report": ("incident", "postmortem", "post-mortem", "outage"),
    "contract": ("contract", "agreement"),
    "research_summary": ("research", "study", "findings"),
    "policy": ("policy", "guideline", "code of conduct"),
}

# First match wins, so the narrow words stand before the wide ones.
_TYPE_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("root_cause", ("root cause", "cause analysis", "what happened")),
    ("remediation", ("remediation", "action item", "follow-up", "corrective", "mitigation plan")),
    ("impact", ("impact", "affected")),
    ("confidentiality", ("confidential", "non-disclosure", "data protection")),
    ("liability", ("liability", "indemn", "warrant")),
    ("termination", ("termination", "term and", "duration of the agreement")),
    ("payment", ("payment", "fees", "invoic", "compensation")),
    ("parties", ("parties",)),
    ("responsibilities", ("responsibilit", "roles", "ownership")),
    ("requirements", ("requirement", "rules", "policy statement", "controls")),
    ("enforcement", ("enforcement", "compliance", "review cycle", "violations")),
    ("purpose", ("purpose", "intent")),
    ("objectives", ("objective", "goals", "aims")),
    ("methodology", ("method", "approach", "study design", "experimental")),
    ("results", ("result", "findings", "observations")),
    ("limitations", ("limitation", "threats to validity")),
    ("timeline", ("timeline", "schedule", "milestone", "chronology")),
    ("budget", ("budget", "cost", "financial", "resources")),
    ("risks", ("risk", "assumption")),
    ("scope", ("scope", "services", "deliverable", "applicab")),
    ("summary", ("summary", "abstract", "overview", "at a glance")),
    ("background", ("background", "introduction", "context", "motivation")),
    ("conclusion", ("conclusion", "recommendation", "next steps", "outlook")),
    ("references", ("reference", "bibliography", "appendix", "annex", "glossary")),
)

PART_WORDS = 220  # length of the parts a text without headings is cut into


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with all text up to the next heading of its level; `complexity` is low, medium or high."""

    name: str
    section_type: str
    text: str
    complexity_score: float

    @property
    def word_count(self) -> int:
        return len(self.text.split())

    @property
    def complexity(self) -> str:
        return complexity_level(self.complexity_score)


@dataclass(frozen=True, slots=True)
class Outline:
    """A document as its reader sees it; `complexity_score` is between 0 and 1, weighted by the sections' length."""

    title: str
    kind: str
    sections: tuple[Section, ...]

    @property
    def complexity_score(self) -> float:
        words = sum(section.word_count for section in self.sections)
        return sum(section.complexity_score * section.word_count for section in self.sections) / max(1, words)


def outline(document: ParsedDocument) -> Outline:
    """The document's sections in order; text before the first heading becomes the section "Preamble".

    A text without headings is cut into parts of about `PART_WORDS` words at paragraph ends.
    """
    body = _without_title(document)
    level = _section_level(body)
    named = _grouped(body, level) if level else _parts(body)
    sections = tuple(
        Section(name, section_type(name), text, complexity_score(text)) for name, text in named if text.strip()
    )
    return Outline(document.title, document_kind(document.title, [each.section_type for each in sections]), sections)


def section_type(name: str) -> str:
    """What a section of that name is about; "general" when the name tells nothing.

    >>> section_type("3. Project Timeline"), section_type("Miscellany")
    ('timeline', 'general')
    """
    lowered = name.lower()
    return next((kind for kind, words in _TYPE_WORDS if any(word in lowered for word in words)), "general")


def document_kind(title: str, types: list[str]) -> str:
    """The kind first named in the title, else the kind whose expected sections are best met (at least half), else "general".

    >>> document_kind("Services Agreement", [])
    'contract'
    >>> document_kind("Untitled", ["impact", "root_cause", "remediation"])
    'incident_report'
    """
    lowered = title.lower()
    pairs = ((word, kind) for kind, words in _KIND_WORDS.items() for word in words)
    named = {lowered.find(word): kind for word, kind in pairs if word in lowered}
    if named:
        return named[min(named)]
    share = {kind: len(set(types) & set(wanted)) / len(wanted) for kind, wanted in EXPECTED_SECTIONS.items()}
    best = max(share, key=lambda kind: share[kind])
    return best if share[best] >= 0.5 else "general"


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


def sentences(text: str) -> list[str]:
    """The text's sentences; a line end also ends one, so that bullets do not run together."""
    return [part for line in text.splitlines() for part in _SENTENCE_END.split(line.strip()) if part]


def complexity_score(text: str) -> float:
    """0 (plain) … 1 (dense): the mean of sentence length, share of long words and length, each cut off at 1."""
    words = _WORD.findall(text)
    if not words:
        return 0.0
    length = len(words) / max(1, len(sentences(text))) / 35
    long_words = sum(len(word) >= 9 for word in words) / len(words) / 0.35
    volume = len(words) / 400
    return round(sum(min(1.0, part) for part in (length, long_words, volume)) / 3, 3)


def complexity_level(score: float) -> str:
    """The metric label of a complexity score: few values, because each one is a series."""
    return "low" if score < 0.2 else "medium" if score < 0.3 else "high"


def _without_title(document: ParsedDocument) -> list[Block]:
    """The blocks after the title; a first heading that stands alone on its level is the title, not a section."""
    blocks = list(document.blocks)
    first = blocks[0]
    alone = first.heading and sum(block.heading == first.heading for block in blocks) == 1
    return blocks[1:] if alone and any(block.heading for block in blocks[1:]) else blocks


def _section_level(blocks: list[Block]) -> int:
    """The highest heading level in use, 0 without headings."""
    return min((block.heading for block in blocks if block.heading), default=0)


def _grouped(blocks: list[Block], level: int) -> list[tuple[str, str]]:
    starts = [index for index, block in enumerate(blocks) if block.heading == level]
    preamble = ("Preamble", _joined(blocks[: starts[0]]))
    rest = [(_bare(blocks[a].text), _joined(blocks[a + 1 : b])) for a, b in pairwise([*starts, len(blocks)])]
    return [preamble, *rest]


def _bare(heading: str) -> str:
    """The heading without its number."""
    return re.sub(r"^\d+(?:\.\d+)*\.?\s+", "", heading).strip()


def _joined(blocks: list[Block]) -> str:
    return "\n".join(block.text for block in blocks)


def _parts(blocks: list[Block]) -> list[tuple[str, str]]:
    parts: list[list[Block]] = [[]]
    for block in blocks:
        if sum(len(each.text.split()) for each in parts[-1]) >= PART_WORDS:
            parts.append([])
        parts[-1].append(block)
    return [(f"Part {number}", _joined(part)) for number, part in enumerate(parts, start=1)]

"""Computes feedback on a text: what a careful editor would mark, the same for the same text every time.

In: a section's name, type and text, or a document's outline. Out: `FeedbackItem`s, most severe first. The model server
runs every check; the analysis service runs only `QUICK_CHECKS` when the model is cut off.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from aiprism_lab.sections import EXPECTED_SECTIONS, section_type, sentences

SEVERITIES = ("high", "medium", "low")
LONG_SENTENCE_WORDS = 32
MAX_PER_CHECK = 4  # an editor who marks everything is not read


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """One remark: `severity` is high, medium or low; `quote` is the place in the text, empty for what is missing."""

    section: str
    category: str
    severity: str
    message: str
    suggestion: str
    quote: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Finding:
    severity: str
    message: str
    suggestion: str
    quote: str = ""


Check = Callable[[str], Iterable[_Finding]]

_WORDS = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being)\s+(?:\w+ly\s+)?"
    r"(?:\w{2,}ed|made|done|given|taken|held|kept|seen|shown|known|found|built|sent|paid|lost|written|chosen|driven|"
    r"brought|set|put|run|met|left|told|thrown|begun|broken)\b(?P<by>\s+by\s+\w+)?",
    re.IGNORECASE,
)
_WEASEL = re.compile(
    r"\b(?:various|several|many|some|arguably|possibly|probably|generally|mostly|somewhat|fairly|quite|very|"
    r"as soon as possible|in due course|as appropriate|where possible|best effort|etc\.?|and so on|significantly|"
    r"it is believed|it is expected|should be able to|more or less)(?![A-Za-z])",
    re.IGNORECASE,
)
_RISK = re.compile(
    r"\b(?:unlimited liability|sole discretion|without notice|irrevocabl[ey]|perpetual|penalt(?:y|ies)|breach|"
    r"data loss|single point of failure|no fallback|not tested|untested|unencrypted|plaintext|shared password|"
    r"no owner|unowned|overrun|lawsuit|non-complian(?:t|ce)|vendor lock-in|critical dependency)\b",
    re.IGNORECASE,
)
_SEVERE_RISK = re.compile(
    r"unlimited liability|sole discretion|data loss|unencrypted|plaintext|shared password|no fallback", re.IGNORECASE
)
_ACRONYM = re.compile(r"\b[A-Z][A-Z0-9]{1,5}\b")
_DEFINED = re.compile(r"\(([A-Z][A-Z0-9]{1,5})s?\)|\b([A-Z][A-Z0-9]{1,5})\s+\([a-z]")
_EVERYONE_KNOWS = frozenset(
    {
        "AI",
        "API",
        "CEO",
        "CFO",
        "CTO",
        "EU",
        "HR",
        "HTTP",
        "ID",
        "IT",
        "PDF",
        "SQL",
        "UK",
        "US",
        "USA",
        "URL",
        "USD",
        "EUR",
    }
)
_NUMBER = re.compile(r"\d")
_DATE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b(?:January|February|March|April|May|June|July|August|September|October|November|"
    r"December)\b|\bQ[1-4]\b|\bweek \d+|\b\d{1,2}:\d{2}\b",
)
_OWNER = re.compile(
    r"\b(?:team|owner|lead|manager|engineer|officer|department|committee|responsible|director)\b", re.IGNORECASE
)
_VAGUE_PROMISE = re.compile(
    r"\b(?:will|shall|must)\s+(?:be\s+)?(?:improved?|optimi[sz]ed?|enhanced?|addressed)\b", re.I
)


def readability(text: str) -> float:
    """Flesch reading ease: 100 is plain, below 30 is hard (Flesch 1948); 100 for an empty text."""
    words = _WORDS.findall(text)
    if not words:
        return 100.0
    syllables = sum(map(_syllables, words))
    return 206.835 - 1.015 * len(words) / max(1, len(sentences(text))) - 84.6 * syllables / len(words)


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent = word.lower().endswith("e") and not word.lower().endswith("le")
    return max(1, groups - silent)


def _hard_to_read(text: str) -> Iterator[_Finding]:
    ease = readability(text)
    if len(text.split()) < 25 or ease >= 30:
        return
    yield _Finding(
        "medium" if ease < 10 else "low",
        f"This section is hard to read (Flesch reading ease {ease:.0f}).",
        "Use shorter words and split sentences until the reading ease is above 40.",
    )


def _long_sentences(text: str) -> Iterator[_Finding]:
    for sentence in sentences(text):
        count = len(sentence.split())
        if count > LONG_SENTENCE_WORDS:
            yield _Finding(
                "medium" if count > 45 else "low",
                f"A sentence of {count} words loses its reader.",
                "Split it at its conjunctions; keep one statement in each sentence.",
                _shortened(sentence),
            )


def _passive_voice(text: str) -> Iterator[_Finding]:
    for sentence in sentences(text):
        found = _PASSIVE.search(sentence)
        if found:
            hidden = not found["by"]
            yield _Finding(
                "medium" if hidden and _VAGUE_PROMISE.search(sentence) else "low",
                f"Passive voice: “{found[0]}”" + (" hides who acts." if hidden else "."),
                "Name who acts and make that the subject of the sentence.",
                _shortened(sentence),
            )


def _weasel_words(text: str) -> Iterator[_Finding]:
    for phrase, count in _counted(_WEASEL, text):
        yield _Finding(
            "low",
            f"“{phrase}” says little" + (f" ({count} times)." if count > 1 else "."),
            "Give the number, the date or the name, or delete the word.",
            phrase,
        )


def _risk_words(text: str) -> Iterator[_Finding]:
    for phrase, _ in _counted(_RISK, text):
        yield _Finding(
            "high" if _SEVERE_RISK.fullmatch(phrase) else "medium",
            f"Risk: “{phrase}”.",
            "Say who carries this risk, how likely it is, and what reduces it; have it reviewed before signing off.",
            _sentence_with(phrase, text),
        )


def _undefined_acronyms(text: str) -> Iterator[_Finding]:
    defined = {name for pair in _DEFINED.findall(text) for name in pair if name}
    for acronym in sorted(set(_ACRONYM.findall(text)) - defined - _EVERYONE_KNOWS):
        if re.fullmatch(r"Q\d|[A-Z]\d*", acronym):
            continue
        yield _Finding(
            "low",
            f"The abbreviation {acronym} is not explained.",
            f"Write it out at its first use: “… ({acronym})”.",
            _sentence_with(acronym, text),
        )


def _vague_promises(text: str) -> Iterator[_Finding]:
    for sentence in sentences(text):
        found = _VAGUE_PROMISE.search(sentence)
        if found and not _NUMBER.search(sentence):
            yield _Finding(
                "medium",
                f"“{found[0]}” cannot be checked: there is no measure.",
                "State by how much and until when.",
                _shortened(sentence),
            )


def _thin(text: str) -> Iterator[_Finding]:
    words = len(text.split())
    if words < 25:
        yield _Finding(
            "medium" if words < 10 else "low",
            f"This section has only {words} words.",
            "Say what the reader must know here, or fold the section into its neighbour.",
        )


def _needs(pattern: re.Pattern[str], severity: str, message: str, suggestion: str) -> Check:
    def check(text: str) -> Iterator[_Finding]:
        if not pattern.search(text):
            yield _Finding(severity, message, suggestion)

    return check


# What a section of a type must contain to be of use.
_NEEDED: dict[str, Check] = {
    "budget": _needs(_NUMBER, "high", "The budget names no amount.", "Give the amounts and what each one pays for."),
    "payment": _needs(_NUMBER, "high", "The payment terms name no amount.", "Give amount, currency, due date."),
    "timeline": _needs(_DATE, "high", "The timeline has no date.", "Give each milestone a date and an owner."),
    "remediation": _needs(_OWNER, "medium", "No action has an owner.", "Give each action an owner and a due date."),
    "responsibilities": _needs(_OWNER, "medium", "No role is named.", "Name the role that answers for each duty."),
    "results": _needs(_NUMBER, "medium", "The results hold no figures.", "Give figures with their uncertainty."),
    "objectives": _needs(_NUMBER, "medium", "The objectives cannot be measured.", "Give each one a target value."),
}

QUICK_CHECKS: tuple[Check, ...] = (_risk_words, _long_sentences, _thin)
ALL_CHECKS: tuple[Check, ...] = (
    _risk_words,
    _vague_promises,
    _hard_to_read,
    _long_sentences,
    _passive_voice,
    _undefined_acronyms,
    _weasel_words,
    _thin,
)


def review_section(name: str, kind: str, text: str, checks: tuple[Check, ...] = ALL_CHECKS) -> tuple[FeedbackItem, ...]:
    """The remarks on one section of type `kind`, most severe first, at most `MAX_PER_CHECK` of each check."""
    found: list[FeedbackItem] = []
    for check in (*checks, *filter(None, [_NEEDED.get(kind)])):
        category = check.__name__.strip("_") if check in ALL_CHECKS else "missing_content"
        items = (FeedbackItem(name, category, f.severity, f.message, f.suggestion, f.quote) for f in check(text))
        found.extend(sorted(items, key=_by_severity)[:MAX_PER_CHECK])
    return tuple(sorted(found, key=_by_severity))


def review_outline(kind: str, headings: Iterable[str]) -> tuple[FeedbackItem, ...]:
    """The sections that a document of that kind should have and has not.

    >>> [item.section for item in review_outline("policy", ["Purpose", "Scope", "Roles", "Rules"])]
    ['Enforcement']
    """
    present = {section_type(heading) for heading in headings}
    missing = [wanted for wanted in EXPECTED_SECTIONS.get(kind, ()) if wanted not in present]
    return tuple(_missing_section(kind, wanted) for wanted in missing)


def _missing_section(kind: str, wanted: str) -> FeedbackItem:
    named = wanted.replace("_", " ")
    grave = wanted in {"risks", "liability", "root_cause", "limitations", "enforcement", "budget"}
    return FeedbackItem(
        section=named.capitalize(),
        category="missing_section",
        severity="high" if grave else "medium",
        message=f"A {kind.replace('_', ' ')} is expected to have a section on {named}.",
        suggestion=f"Add a section “{named.capitalize()}”, or say why it does not apply.",
    )


def _by_severity(item: FeedbackItem) -> int:
    return SEVERITIES.index(item.severity)


def _counted(pattern: re.Pattern[str], text: str) -> list[tuple[str, int]]:
    return Counter(found[0].lower() for found in pattern.finditer(text)).most_common()


def _sentence_with(phrase: str, text: str) -> str:
    lowered = phrase.lower()
    return _shortened(next((each for each in sentences(text) if lowered in each.lower()), phrase))


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= 160 else sentence[:157] + "…"

"""Makes realistic documents from a seed: what the lab's users upload.

In: a seed, a kind, a format. Out: a `Draft` (title and sections) and its bytes as .txt, .md, .docx or .pdf. The same
seed gives the same draft. Some drafts lack a section or carry the faults an editor would mark; that is their purpose.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from datetime import date, timedelta

import docx
from fpdf import FPDF

from aiprism_lab.documents import DocumentFormat
from aiprism_lab.sections import EXPECTED_SECTIONS

KINDS = tuple(EXPECTED_SECTIONS)


@dataclass(frozen=True, slots=True)
class Passage:
    """One section of a draft."""

    heading: str
    paragraphs: tuple[str, ...]
    bullets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before it is given a format; `missing` names the section types left out on purpose."""

    kind: str
    title: str
    passages: tuple[Passage, ...]
    missing: tuple[str, ...]


_TITLES = {
    "project_proposal": ("Project Proposal: {product}", "Business Case for {product}"),
    "incident_report": ("Incident Report: {product} Outage of {date}", "Postmortem of the {product} Incident"),
    "contract": ("Services Agreement with {vendor}", "Contract for {product} between {vendor} and {customer}"),
    "research_summary": ("Research Summary: {topic}", "Study on {topic}"),
    "policy": ("{area} Policy", "Policy on {area}"),
}

_HEADINGS = {
    "summary": ("Executive Summary", "Summary", "Overview"),
    "objectives": ("Objectives", "Goals"),
    "scope": ("Scope", "Scope of Services"),
    "timeline": ("Timeline", "Milestones", "Schedule"),
    "budget": ("Budget", "Costs and Resources"),
    "risks": ("Risks", "Risks and Assumptions"),
    "impact": ("Impact", "Customer Impact"),
    "root_cause": ("Root Cause", "Root Cause Analysis"),
    "remediation": ("Remediation", "Action Items"),
    "parties": ("Parties",),
    "payment": ("Payment", "Fees and Payment"),
    "confidentiality": ("Confidentiality",),
    "liability": ("Liability", "Warranty and Liability"),
    "termination": ("Termination",),
    "methodology": ("Methodology", "Methods"),
    "results": ("Results", "Findings"),
    "limitations": ("Limitations",),
    "conclusion": ("Conclusion", "Conclusion and Next Steps"),
    "purpose": ("Purpose",),
    "responsibilities": ("Roles and Responsibilities", "Responsibilities"),
    "requirements": ("Requirements", "Rules"),
    "enforcement": ("Enforcement", "Compliance and Enforcement"),
}

_SENTENCES: dict[str, tuple[str, ...]] = {
    "summary": (
        "{product} gives {team} one place to see every order, from receipt to delivery.",
        "We ask for {amount} and {weeks} weeks of work, and expect to save {percent} percent of the handling time.",
        "The present process was built in stages over several years and is quite difficult to change.",
        "{team} spends about {hours} hours a week on copying figures between systems.",
        "Customers in {region} have asked for this since {month}, and {percent} percent of them named it first.",
        "It is expected that various departments will benefit, although the exact extent is not known yet.",
    ),
    "objectives": (
        "Reduce the mean handling time from {hours} to {days} hours by the end of {month}.",
        "Raise the share of documents processed without rework to {percent} percent.",
        "The reliability of the platform will be improved as soon as possible.",
        "{team} shall be able to publish a change on any working day without asking {other}.",
        "The user experience must be enhanced and the SLA must be met in most cases.",
    ),
    "scope": (
        "The work covers the intake, the review and the archive of {product}; billing stays as it is.",
        "{vendor} delivers the interfaces to the ERP and the DMS, including tests and a manual.",
        "Data from before {year} is not migrated and remains readable in the old archive.",
        "Various further adjustments may be made where possible, provided that the effort remains somewhat limited.",
        "The rules apply to every employee of {team}, to contractors and to all devices that hold customer data.",
    ),
    "timeline": (
        "The pilot starts on {date} with {team} and {count} documents a day.",
        "{team} finishes the interfaces by {date2}; {other} accepts them within {days} working days.",
        "At 09:{minute} the first alarm was raised, and at 10:{minute} the on-call engineer found the failing node.",
        "The remaining regions follow in due course.",
        "Training for {team} takes place in {month}, one day for each group.",
    ),
    "budget": (
        "The licences cost {amount} a year, the introduction {amount2} once.",
        "{team} needs {count} days of its own people, which the department has reserved.",
        "An overrun of up to {percent} percent is covered by the reserve; anything beyond goes to {other}.",
        "Hosting is charged by use and comes to about {amount2} a quarter at the present volume.",
    ),
    "risks": (
        "The message broker is a single point of failure, and there is no fallback if it stops.",
        "{vendor} is a critical dependency: only two of its engineers know the interface.",
        "The restore of the archive is not tested, so data loss cannot be ruled out.",
        "If the migration is delayed beyond {date2}, the old licences must be renewed for {amount}.",
        "Exports are stored unencrypted on a shared drive until the new vault is ready in {month}.",
    ),
    "impact": (
        "Between 09:{minute} and 11:{minute} about {percent} percent of the requests from {region} failed.",
        "{count} customers were affected, and {days} of them opened a ticket.",
        "No data was lost, but orders of {amount} were processed late.",
        "The support team was told late, and many customers were informed by their own users.",
    ),
    "root_cause": (
        "A configuration change on {date} set the connection limit of {product} to {count}, a tenth of what it needs.",
        "The change was reviewed by one person and was not tested under load, because the test system has no traffic.",
        "The alarm for the queue length had no owner, so its first three messages were left unanswered.",
        "When the pool was exhausted every worker waited for a connection that the others held, which kept all of "
        "them from finishing, and since the health check used a connection of its own from the same pool it failed as "
        "well, so that the balancer took healthy nodes out of service one after the other.",
    ),
    "remediation": (
        "The platform team raises the limit to {count} and adds an alarm at {percent} percent of use by {date2}.",
        "{team} repeats the load test with real traffic every {month}.",
        "The health check will be improved.",
        "The owner of each alarm is recorded in the service catalogue; {other} checks this every quarter.",
    ),
    "parties": (
        "This agreement is made between {vendor} (the Supplier) and {customer} (the Customer).",
        "Both parties name one contact; notices are valid when they are sent to that contact in writing.",
        "The Customer may appoint affiliates, which are treated as if they were the Customer itself.",
    ),
    "payment": (
        "The Customer pays {amount} for each quarter, within {days} days of the invoice.",
        "Late payments bear interest of {small} percent a month and may lead to penalties.",
        "Travel is charged at cost and needs consent in advance above {amount2}.",
        "The Supplier may change its prices at its sole discretion once a year.",
    ),
    "confidentiality": (
        "Each party keeps the information of the other secret for {years} years after the agreement ends.",
        "Personal data is processed under the GDPR and the DPA in the annex, and only in {region}.",
        "Information that is generally known or was lawfully received from others is not covered.",
        "A breach of this clause must be reported within {hours} hours.",
    ),
    "liability": (
        "The Supplier is liable without limit for intent and gross negligence, otherwise up to {amount} a year.",
        "The Customer accepts unlimited liability for content that its users upload.",
        "Claims for loss of profit are excluded, except where the law does not allow such an exclusion.",
        "The Supplier keeps an insurance of at least {amount} and proves it on request.",
    ),
    "termination": (
        "The agreement runs for {years} years and ends on {date2} unless both parties extend it in writing.",
        "Either party may end it with {days} days' notice at the end of a quarter.",
        "The Supplier may suspend the service without notice if an invoice stays unpaid.",
        "After the end the Supplier returns all data within {days} days and deletes its copies.",
    ),
    "methodology": (
        "We compared {count} documents that {team} had reviewed by hand with the answers of two models.",
        "Every document was read by two reviewers, who did not know the answer of the other.",
        "The sample was drawn at random from the archive of {year}, in equal parts from each department.",
        "Agreement was measured with Cohen's kappa, and the intervals come from a BCa bootstrap of 2000 draws.",
    ),
    "results": (
        "The larger model found {percent} percent of the marked passages, the smaller one {small} points fewer.",
        "The median time for one document fell from {hours} minutes to {days} minutes.",
        "The reviewers agreed in most cases, with a kappa of 0.{minute}.",
        "Contracts were significantly harder than reports, and tables were missed in {small} of {count} documents.",
    ),
    "limitations": (
        "All documents were in English and came from one company in {region}.",
        "The reviewers knew that they were observed, which probably made them more careful.",
        "We did not measure the cost of wrong remarks, which may be very high in contracts.",
    ),
    "conclusion": (
        "The models can do the first reading of reports; contracts still need a person.",
        "We recommend a trial with {team} from {date} on, with a review after {weeks} weeks.",
        "Further aspects should be addressed in future work, as appropriate.",
        "{other} decides on the next step by {date2}.",
    ),
    "purpose": (
        "This policy protects the data that customers entrust to us and tells everyone what that asks of them.",
        "It replaces the rules of {year} and takes effect on {date}.",
        "It follows ISO and the NIS requirements where possible.",
    ),
    "responsibilities": (
        "The security officer answers for this policy and reviews it every {month}.",
        "Each team lead makes sure that new colleagues are trained in their first {days} days.",
        "Exceptions are granted in writing by {other} and end after {weeks} weeks.",
        "Incidents are reported by whoever sees them first.",
    ),
    "requirements": (
        "Customer data must be encrypted at rest and in transit; unencrypted copies are deleted within {hours} hours.",
        "Access is granted for a task and is removed within {days} days after the task ends.",
        "A shared password is not allowed, not even for a test system.",
        "Logs are kept for {weeks} weeks and are read only with the consent of {other}.",
        "Devices that are lost must be reported as soon as possible.",
    ),
    "enforcement": (
        "{other} checks {small} teams each quarter and reports the result to the board.",
        "A breach may lead to the loss of access and to measures under employment law.",
        "Non-compliance that is reported by the person concerned is treated with leniency.",
        "The key figures are the share of trained people, now {percent} percent, and the number of open exceptions.",
    ),
}

_BULLETS = (
    "{team}: {count} open points, next review on {date}",
    "{region}: {percent} percent done",
    "Owner: the lead of {team}",
    "Reserve: {amount2}",
    "Decision needed from {other} by {date2}",
)

_NAMES = {
    "product": ("Order Desk", "Claims Portal", "Archive Search", "Supplier Hub", "Field Reports", "Tender Room"),
    "team": ("the intake team", "the operations team", "the finance team", "the data team", "the support team"),
    "other": ("the steering committee", "the legal department", "the product lead", "the security officer"),
    "vendor": ("Northlight Systems", "Hallam & Boyd", "Quayside Software", "Meridian Works"),
    "customer": ("Alder Insurance", "Brightwater Energy", "Castell Logistics", "Dunmore Health"),
    "region": ("northern Europe", "the Baltic states", "Canada", "the Rhine region", "Singapore"),
    "topic": ("Automatic Review of Contracts", "Reading Times of Reports", "Model Agreement on Risk Passages"),
    "area": ("Data Protection", "Access Control", "Use of AI", "Mobile Devices", "Records Retention"),
    "month": ("March", "May", "June", "September", "November"),
}

_NUMBERS = {
    "percent": (8, 95),
    "small": (2, 9),
    "hours": (12, 72),
    "days": (3, 30),
    "weeks": (4, 20),
    "count": (40, 900),
    "years": (2, 6),
    "minute": (10, 59),
}


def draft(seed: int, kind: str | None = None) -> Draft:
    """A document of the kind (a random one when None); about one in three lacks one of its expected sections."""
    rng = random.Random(seed)
    kind = kind or rng.choice(KINDS)
    facts = _facts(rng)
    expected = EXPECTED_SECTIONS[kind]
    missing = (rng.choice(expected[1:]),) if rng.random() < 0.35 else ()
    present = [each for each in expected if each not in missing]
    passages = tuple(_passage(rng, each, facts) for each in present)
    return Draft(kind, rng.choice(_TITLES[kind]).format_map(facts), passages, missing)


def _facts(rng: random.Random) -> dict[str, str]:
    start = date(2026, 1, 5) + timedelta(days=rng.randrange(300))
    numbers = {name: str(rng.randrange(low, high)) for name, (low, high) in _NUMBERS.items()}
    return {
        **{name: rng.choice(choices) for name, choices in _NAMES.items()},
        **numbers,
        "date": start.isoformat(),
        "date2": (start + timedelta(days=rng.randrange(30, 120))).isoformat(),
        "year": str(start.year - 1),
        "amount": f"EUR {rng.randrange(20, 400)},000",
        "amount2": f"EUR {rng.randrange(1, 19)},500",
    }


def _passage(rng: random.Random, wanted: str, facts: dict[str, str]) -> Passage:
    bank = _SENTENCES[wanted]
    chosen = rng.sample(bank, k=rng.randint(min(3, len(bank)), len(bank)))
    written = [_capitalised(sentence.format_map(facts)) for sentence in chosen]
    cut = rng.randint(1, len(written) - 1) if len(written) > 3 else len(written)
    paragraphs = tuple(" ".join(part) for part in (written[:cut], written[cut:]) if part)
    bullets = tuple(_capitalised(each.format_map(facts)) for each in rng.sample(_BULLETS, k=rng.choice((0, 0, 2, 3))))
    return Passage(rng.choice(_HEADINGS[wanted]), paragraphs, bullets)


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def render(source: Draft, document_format: DocumentFormat) -> bytes:
    """The draft as a file of that format."""
    match document_format:
        case DocumentFormat.TEXT:
            return _as_text(source).encode()
        case DocumentFormat.MARKDOWN:
            return _as_markdown(source).encode()
        case DocumentFormat.WORD:
            return _as_word(source)
        case DocumentFormat.PDF:
            return _as_pdf(source)


def _as_text(source: Draft) -> str:
    lines = [source.title, "=" * len(source.title), ""]
    for number, passage in enumerate(source.passages, start=1):
        heading = f"{number}. {passage.heading}"
        lines += [heading, "-" * len(heading), ""]
        lines += [line for paragraph in passage.paragraphs for line in (paragraph, "")]
        lines += [f"- {bullet}" for bullet in passage.bullets] + [""]
    return "\n".join(lines)


def _as_markdown(source: Draft) -> str:
    lines = [f"# {source.title}", ""]
    for passage in source.passages:
        lines += [f"## {passage.heading}", ""]
        lines += [line for paragraph in passage.paragraphs for line in (paragraph, "")]
        lines += [f"- {bullet}" for bullet in passage.bullets] + [""]
    return "\n".join(lines)


def _as_word(source: Draft) -> bytes:
    document = docx.Document()
    document.add_heading(source.title, level=0)
    for passage in source.passages:
        document.add_heading(passage.heading, level=1)
        for paragraph in passage.paragraphs:
            document.add_paragraph(paragraph)
        for bullet in passage.bullets:
            document.add_paragraph(bullet, style="List Bullet")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _as_pdf(source: Draft) -> bytes:
    pdf = FPDF(format="A4")
    pdf.set_title(source.title)
    pdf.add_page()
    _pdf_line(pdf, source.title, size=18, style="B", height=9)
    for passage in source.passages:
        _pdf_line(pdf, passage.heading, size=14, style="B", height=8)
        for paragraph in passage.paragraphs:
            _pdf_line(pdf, paragraph, size=11, height=6)
        for bullet in passage.bullets:
            _pdf_line(pdf, f"- {bullet}", size=11, height=6)
    return bytes(pdf.output())


def _pdf_line(pdf: FPDF, text: str, *, size: int, height: float, style: str = "") -> None:
    pdf.set_font("Helvetica", style=style, size=size)
    # The built-in fonts know Latin-1 only.
    pdf.multi_cell(0, height, text.encode("latin-1", "replace").decode("latin-1"), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(2)

"""What the lab reads of a file, for each of the four formats."""

import io
import zipfile

import docx
import pytest
from fpdf import FPDF
from fpdf.enums import AccessPermission

from aiprism_lab import generate
from aiprism_lab.documents import Block, DocumentFormat, UnreadableDocumentError, blocks_of_lines, format_of, parse
from aiprism_lab.sections import outline


@pytest.mark.parametrize("document_format", DocumentFormat)
@pytest.mark.parametrize("seed", range(8))
def test_a_generated_document_is_read_back_with_its_title_and_sections(seed, document_format):
    source = generate.draft(seed)
    found = outline(parse(generate.render(source, document_format), document_format))
    assert found.title == source.title
    assert found.kind == source.kind
    assert [section.name for section in found.sections] == [passage.heading for passage in source.passages]


@pytest.mark.parametrize("document_format", DocumentFormat)
def test_every_word_of_a_generated_document_is_read(document_format):
    source = generate.draft(3, "incident_report")
    found = outline(parse(generate.render(source, document_format), document_format))
    for passage, section in zip(source.passages, found.sections, strict=True):
        written = " ".join([*passage.paragraphs, *passage.bullets]).split()
        # In a PDF a bullet is just a line; its dash stays when the line before it was a full one.
        assert [word for word in section.text.split() if word != "-"] == written


def test_markdown_tables_lists_and_code_are_text():
    source = "# T\n\n## Budget\n\n| item | cost |\n|---|---|\n| disk | 5 |\n\n- one\n- *two*\n\n```\nx = 1\n```\n"
    assert parse(source.encode(), DocumentFormat.MARKDOWN).blocks == (
        Block("T", 1),
        Block("Budget", 2),
        Block("item | cost"),
        Block("disk | 5"),
        Block("one"),
        Block("two"),
        Block("x = 1"),
    )


def test_tables_of_a_word_document_are_read_in_their_place():
    document = docx.Document()
    document.add_heading("Plan", level=0)
    document.add_paragraph("Before.")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "item", "cost"
    document.add_paragraph("After.")
    buffer = io.BytesIO()
    document.save(buffer)
    texts = [block.text for block in parse(buffer.getvalue(), DocumentFormat.WORD).blocks]
    assert texts == ["Plan", "Before.", "item | cost", "After."]


@pytest.mark.parametrize(
    ("lines", "headings"),
    [
        (["Title", "=====", "", "Text."], [("Title", 1)]),
        (["Part", "----", "Text."], [("Part", 2)]),
        (["1. Scope", "", "It covers all."], [("1. Scope", 2)]),
        (["2.1 Details", "", "Text."], [("2.1 Details", 3)]),
        (["GENERAL REMARKS", "", "Text."], [("GENERAL REMARKS", 2)]),
        (["A line.", "Another line."], []),
        (["- a bullet", "----", "Text."], [("- a bullet", 2)]),
        (["1. a small point of a list that goes on and ends with a full stop."], []),
    ],
)
def test_headings_of_plain_text_are_known_by_underline_number_or_capitals(lines, headings):
    assert [(block.text, block.heading) for block in blocks_of_lines(lines) if block.heading] == headings


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfna\xc3\xafve", "naïve"),
        ("naïve".encode("utf-16"), "naïve"),
        ("naïve".encode("cp1252"), "naïve"),
    ],
)
def test_text_is_decoded_whatever_its_encoding(content, text):
    assert parse(content, DocumentFormat.TEXT).blocks == (Block(text),)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.exe", b"MZ", "cannot read .exe files; send one of .txt, .md, .docx, .pdf"),
        ("noextension", b"text", "cannot read .? files"),
        ("a.pdf", b"not a pdf", "named .pdf but does not start like one"),
        ("a.docx", b"not a zip", "named .docx but does not start like one"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_with_the_reason(name, content, reason):
    with pytest.raises(UnreadableDocumentError, match=r"^'") as refused:
        format_of(name, content)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("content", "document_format"),
    [
        (b"%PDF-1.7 garbage", DocumentFormat.PDF),
        (b"PK\x03\x04 garbage", DocumentFormat.WORD),
        (b"\x00\x01\x02", DocumentFormat.TEXT),
        (b"", DocumentFormat.TEXT),
        (b"   \n\n", DocumentFormat.MARKDOWN),
        (generate.render(generate.draft(1), DocumentFormat.WORD)[:9000], DocumentFormat.WORD),
    ],
)
def test_a_damaged_or_empty_file_is_unreadable_and_nothing_worse(content, document_format):
    with pytest.raises(UnreadableDocumentError):
        parse(content, document_format)


@pytest.mark.parametrize("cut", range(0, 2600, 130))
def test_a_pdf_cut_anywhere_is_read_or_refused(cut):
    whole = generate.render(generate.draft(2), DocumentFormat.PDF)
    try:
        parse(whole[: len(whole) - cut], DocumentFormat.PDF)
    except UnreadableDocumentError:
        return


def test_an_encrypted_pdf_is_refused():
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(text="secret")
    pdf.set_encryption(owner_password="o", user_password="u", permissions=AccessPermission.none())
    with pytest.raises(UnreadableDocumentError, match="encrypted"):
        parse(bytes(pdf.output()), DocumentFormat.PDF)


def test_a_word_file_that_would_unfold_to_gigabytes_is_refused_before_unpacking():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", b"\0" * (65 * 1024 * 1024))
    with pytest.raises(UnreadableDocumentError, match="unfolds to"):
        parse(buffer.getvalue(), DocumentFormat.WORD)

"""Reads an uploaded file into blocks of text: .txt, .md, .docx and .pdf.

In: the bytes and the format. Out: a `ParsedDocument`, the headings and paragraphs in reading order. What cannot be read
raises `UnreadableDocumentError` with the reason. Which headings make a section is decided in `sections`.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby, zip_longest
from pathlib import PurePath

import docx
import pypdf
from docx.table import Table
from docx.text.paragraph import Paragraph
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pypdf.errors import PyPdfError

# A .docx is a zip file: a few kilobytes may unfold to gigabytes, so the declared size is looked at before unpacking.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_PAGES = 500


class UnreadableDocumentError(ValueError):
    """The file is not what its name says, is damaged, is encrypted or has no text."""


class DocumentFormat(StrEnum):
    """The formats the lab reads; the value is the file name's extension."""

    TEXT = "txt"
    MARKDOWN = "md"
    WORD = "docx"
    PDF = "pdf"


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, list item or table row; `heading` is its level from 1 on, or 0 for body text."""

    text: str
    heading: int = 0


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What was read: `title` is the first heading of the top level, or the first line when there is none."""

    title: str
    blocks: tuple[Block, ...]
    pages: int

    @property
    def word_count(self) -> int:
        return sum(len(block.text.split()) for block in self.blocks)


def format_of(filename: str, content: bytes) -> DocumentFormat:
    """The format by extension, checked against the first bytes.

    >>> format_of("Plan.MD", b"# Plan")
    <DocumentFormat.MARKDOWN: 'md'>
    """
    extension = PurePath(filename).suffix.lower().lstrip(".")
    aliases = {"markdown": "md", "text": "txt"}
    try:
        found = DocumentFormat(aliases.get(extension, extension))
    except ValueError:
        readable = ", ".join(f".{each}" for each in DocumentFormat)
        raise UnreadableDocumentError(
            f"{filename!r}: cannot read .{extension or '?'} files; send one of {readable}"
        ) from None
    magic = {DocumentFormat.PDF: b"%PDF-", DocumentFormat.WORD: b"PK"}.get(found, b"")
    if magic not in content[:1024]:
        raise UnreadableDocumentError(f"{filename!r}: named .{found} but does not start like one")
    return found


def parse(content: bytes, document_format: DocumentFormat) -> ParsedDocument:
    """The document's blocks in reading order; raises `UnreadableDocumentError` when there is no text to be had."""
    blocks, pages = _READERS[document_format](content)
    kept = tuple(block for block in blocks if block.text)
    if not kept:
        raise UnreadableDocumentError(f"the .{document_format} file holds no text")
    return ParsedDocument(title=_title(kept), blocks=kept, pages=pages)


def _title(blocks: tuple[Block, ...]) -> str:
    headings = [block for block in blocks if block.heading]
    if not headings:
        return blocks[0].text[:120]
    return min(headings, key=lambda block: block.heading).text


# ---- text ------------------------------------------------------------------------------------------------------------


def _read_text(content: bytes) -> tuple[Iterable[Block], int]:
    text = _decoded(content)
    return blocks_of_lines(text.splitlines()), text.count("\f") + 1


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise UnreadableDocumentError("the file holds binary data, not text")
    return text


_RULE = re.compile(r"^(=|-)\1{2,}\s*$")
_NUMBERED = re.compile(r"^(?P<number>\d+(?:\.\d+)*)\.?\s+(?P<title>[A-Z][^.!?]{2,70})$")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


def blocks_of_lines(lines: Iterable[str]) -> Iterator[Block]:
    """Blocks of plain text: paragraphs are parted by blank lines, headings are underlined, numbered or in capitals.

    >>> list(blocks_of_lines(["Scope", "=====", "It covers", "all of it."]))
    [Block(text='Scope', heading=1), Block(text='It covers all of it.', heading=0)]
    """
    pending: list[str] = []
    stripped = [line.replace("\f", "").strip() for line in lines]
    for line, following in zip_longest(stripped, stripped[1:], fillvalue=""):
        if _RULE.match(line):
            continue
        level = _heading_level(line, following) if line and not pending else 0
        if level or not line or _BULLET.match(line):
            yield from _paragraph(pending)
        if level:
            yield Block(line, level)
        elif line:
            pending.append(line)
    yield from _paragraph(pending)


def _paragraph(pending: list[str]) -> Iterator[Block]:
    if pending:
        yield Block(_BULLET.sub("", " ".join(pending)))
    pending.clear()


def _heading_level(line: str, following: str) -> int:
    """The level of a heading by its underline, its number or its capitals; 0 for other lines."""
    underline = _RULE.match(following)
    if underline:
        return 1 if underline[1] == "=" else 2
    numbered = _NUMBERED.match(line)
    if numbered:
        return 2 + numbered["number"].count(".")
    shouted = line.isupper() and 3 < len(line) <= 70 and line[-1] not in ".!?,;"
    return 2 if shouted else 0


# ---- Markdown --------------------------------------------------------------------------------------------------------


def _read_markdown(content: bytes) -> tuple[Iterable[Block], int]:
    tokens = MarkdownIt("commonmark").enable("table").parse(_decoded(content))
    return _markdown_blocks(tokens), 1


def _markdown_blocks(tokens: list[Token]) -> Iterator[Block]:
    level, cells = 0, list[str]()
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1:])
            case "heading_close":
                level = 0
            case "tr_open":
                cells = [""]
            case "tr_close":
                yield Block(" | ".join(filter(None, cells)))
                cells = []
            case "inline" if cells:
                cells.append(_inline_text(token))
            case "inline":
                yield Block(_inline_text(token), level)
            case "fence" | "code_block":
                yield Block(token.content.strip())
            case _:
                pass


def _inline_text(token: Token) -> str:
    parts = (" " if child.type in ("softbreak", "hardbreak") else child.content for child in token.children or ())
    return "".join(parts).strip()


# ---- Word ------------------------------------------------------------------------------------------------------------


def _read_word(content: bytes) -> tuple[Iterable[Block], int]:
    try:
        _refuse_zip_bomb(content)
        document = docx.Document(io.BytesIO(content))
    except UnreadableDocumentError:
        raise
    except Exception as error:  # a damaged package fails in zipfile, lxml or python-docx, each with its own type
        raise UnreadableDocumentError(f"the .docx file is damaged: {error}") from error
    blocks = [block for item in document.iter_inner_content() for block in _word_blocks(item)]
    return blocks, 1


def _refuse_zip_bomb(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        unpacked = sum(entry.file_size for entry in package.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise UnreadableDocumentError(f"the .docx file unfolds to {unpacked} bytes; the limit is {MAX_UNPACKED_BYTES}")


def _word_blocks(item: Paragraph | Table) -> Iterator[Block]:
    if isinstance(item, Paragraph):
        yield Block(item.text.strip(), _style_level(item.style.name if item.style else ""))
        return
    for row in item.rows:
        yield Block(" | ".join(cell.text.strip() for cell in row.cells))


def _style_level(style: str | None) -> int:
    if style == "Title":
        return 1
    found = re.fullmatch(r"Heading (\d)", style or "")
    return int(found[1]) + 1 if found else 0


# ---- PDF -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float


def _read_pdf(content: bytes) -> tuple[Iterable[Block], int]:
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            raise UnreadableDocumentError("the .pdf file is encrypted")
        if len(reader.pages) > MAX_PAGES:
            raise UnreadableDocumentError(f"the .pdf file has {len(reader.pages)} pages; the limit is {MAX_PAGES}")
        lines = [line for page in reader.pages for line in _page_lines(page)]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        # pypdf raises plain built-in errors on some damaged objects.
        if isinstance(error, UnreadableDocumentError):
            raise
        raise UnreadableDocumentError(f"the .pdf file is damaged: {error}") from error
    return _pdf_blocks(lines), len(reader.pages)


def _page_lines(page: pypdf.PageObject) -> Iterator[_Line]:
    """The page's lines with their font size in points; a PDF has no headings, only larger letters."""
    runs: list[tuple[str, float]] = []

    def visit(text: str, _cm: object, matrix: list[float], _font: object, size: float) -> None:
        runs.append((text, abs(size * (matrix[3] or 1.0))))

    page.extract_text(visitor_text=visit)
    text, largest = "", 0.0
    for run, size in runs:
        for index, part in enumerate(run.split("\n")):
            if index:
                yield _Line(text.strip(), round(largest, 1))
                text, largest = "", 0.0
            text += part
            largest = max(largest, size if part.strip() else 0.0)
    yield _Line(text.strip(), round(largest, 1))


def _pdf_blocks(lines: list[_Line]) -> Iterator[Block]:
    letters: Counter[float] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    body = letters.most_common(1)[0][0] if letters else 0.0
    larger = sorted((size for size in letters if size > body + 0.5), reverse=True)
    if not larger:
        yield from blocks_of_lines(line.text for line in lines)
        return
    levels = {size: level for level, size in enumerate(larger, start=1)}
    for level, group in groupby((line for line in lines if line.text), key=lambda line: levels.get(line.size, 0)):
        texts = [line.text for line in group]
        if level:
            yield Block(" ".join(texts), level)  # a long heading runs over several lines
        else:
            yield from _pdf_paragraphs(texts)


def _pdf_paragraphs(texts: list[str]) -> Iterator[Block]:
    """Paragraphs of set lines: a line that ends a sentence well before the margin ends its paragraph."""
    margin = 0.8 * max(map(len, texts))
    pending: list[str] = []
    for text in texts:
        if _BULLET.match(text):
            yield from _paragraph(pending)
        pending.append(text)
        if text[-1] in ".!?" and len(text) < margin:
            yield from _paragraph(pending)
    yield from _paragraph(pending)


_READERS: dict[DocumentFormat, Callable[[bytes], tuple[Iterable[Block], int]]] = {
    DocumentFormat.TEXT: _read_text,
    DocumentFormat.MARKDOWN: _read_markdown,
    DocumentFormat.WORD: _read_word,
    DocumentFormat.PDF: _read_pdf,
}

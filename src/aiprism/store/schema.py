"""The tables, as numbered SQL migrations under `sql/`, and the version a database is at.

`migrate(engine)` brings an empty or older database to this version, once, in order. A database written by a newer
aiprism is refused: its rows may mean something this version does not know.
"""

from __future__ import annotations

import re
from importlib.resources import files

import structlog

from aiprism.errors import StoreError
from aiprism.store.engine import Engine

log = structlog.get_logger()

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")

SCALAR = (
    "Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), "
    "double_value Nullable(Float64), bytes_value Nullable(String))"
)


def _text_of(value: str) -> str:
    """SQL: the text of one scalar AnyValue; an AnyValue that holds nothing is an empty string."""
    return (
        f"coalesce({value}.string_value, toString({value}.int_value), toString({value}.double_value), "
        f"toString({value}.bool_value), base64Encode({value}.bytes_value), '')"
    )


# The masks a log line goes through to become its pattern, most specific first. Each is (RE2 expression, placeholder).
PATTERN_MASKS = (
    (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "<uuid>"),
    (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", "<email>"),
    (r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?", "<time>"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<ip>"),
    (r"\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]*\d[0-9a-fA-F]*[a-fA-F][0-9a-fA-F]{4,}|[0-9a-fA-F]{16,})\b", "<hex>"),
    (r"[-+]?\b\d+(?:\.\d+)?", "<num>"),
)


def _masked(expression: str) -> str:
    for regex, placeholder in PATTERN_MASKS:
        expression = f"replaceRegexpAll({expression}, {_quoted(regex)}, {_quoted(placeholder)})"
    return expression


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_IS_NUMBER = "isNotNull(pair.value.int_value) OR isNotNull(pair.value.double_value)"

# Fragments the .sql files name in braces: they stand in several views and must not drift apart.
FRAGMENTS = {
    "scalar": SCALAR,
    "attributes": f"Array(Tuple(key String, value {SCALAR}))",
    "to_text": f"(pairs) -> mapFromArrays(pairs.key, arrayMap(pair -> {_text_of('pair.value')}, pairs))",
    "to_numbers": (
        "(pairs) -> mapFromArrays("
        f"arrayMap(pair -> pair.key, arrayFilter(pair -> {_IS_NUMBER}, pairs)), "
        "arrayMap(pair -> coalesce(pair.value.double_value, toFloat64(pair.value.int_value), 0), "
        f"arrayFilter(pair -> {_IS_NUMBER}, pairs)))"
    ),
    "body_text": _text_of("record.body"),
    # A pattern of the first kilobyte: what follows in a longer line is a stack trace or a payload.
    "pattern_of_body": _masked("substringUTF8(body, 1, 1024)"),
}


def otlp_settings(engine: Engine, message: str) -> dict[str, str]:
    """Insert settings that make ClickHouse read a body as `message` (``Traces`` or ``Logs``) of sql/otlp.proto.

    A server is sent the schema's text with the insert. The embedded engine would cache that text in the process's
    working directory, so there it is given the file's path instead (which a server would refuse).
    """
    file = files("aiprism.store") / "sql" / "otlp.proto"
    if engine.embedded:
        return {"format_schema_source": "file", "format_schema": f"{file}:{message}"}
    return {
        "format_schema_source": "string",
        "format_schema": file.read_text(encoding="utf-8"),
        "format_schema_message_name": message,
    }


def migrate(engine: Engine) -> int:
    """The version the database is at afterwards; StoreError when it is from a newer aiprism."""
    engine.command(
        "CREATE TABLE IF NOT EXISTS schema_version (version UInt32, name String, applied DateTime DEFAULT now()) "
        "ENGINE = MergeTree ORDER BY version"
    )
    at = int(engine.query("SELECT max(version) FROM schema_version")[0][0])
    known = _migrations()
    if at > known[-1][0]:
        raise StoreError(
            f"the database is at schema version {at}, this aiprism knows {known[-1][0]}: "
            "start the newer aiprism, or restore a backup made before the upgrade"
        )
    for version, name, text in known:
        if version <= at:
            continue
        for statement in _statements(text):
            engine.command(statement)
        engine.command(
            "INSERT INTO schema_version (version, name) SELECT {version:UInt32}, {name:String}",
            {"version": version, "name": name},
        )
        log.info("store.migrated", version=version, name=name)
        at = version
    return at


def _migrations() -> list[tuple[int, str, str]]:
    found = []
    for file in (files("aiprism.store") / "sql").iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            found.append((int(match.group(1)), match.group(2), file.read_text(encoding="utf-8")))
    return sorted(found)


def _statements(text: str) -> list[str]:
    """The statements of a file; a CREATE that was done before a crash is passed over the second time."""
    for name, fragment in FRAGMENTS.items():
        text = text.replace("{" + name + "}", fragment)
    without_comments = re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
    statements = (statement.strip() for statement in without_comments.split(";\n"))
    return [
        re.sub(r"^CREATE (TABLE|MATERIALIZED VIEW) ", r"CREATE \1 IF NOT EXISTS ", statement.rstrip(";\n "))
        for statement in statements
        if statement
    ]

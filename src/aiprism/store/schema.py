"""The tables, as numbered SQL migrations under `sql/`, and the version a database is at.

`migrate(engine)` brings an empty or older database to this version, once, in order. A database written by a newer
aiprism is refused: its rows may mean something this version does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import structlog

from aiprism.errors import StoreError
from aiprism.store import cluster
from aiprism.store.engine import Engine, quoted

log = structlog.get_logger()

# A table that is there from the first step of a restore to its last; its comment names the backup.
UNFINISHED = "restore_unfinished"

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
        expression = f"replaceRegexpAll({expression}, {quoted(regex)}, {quoted(placeholder)})"
    return expression


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


def migrate(engine: Engine, *, to: int | None = None) -> int:
    """The version the database is at afterwards, this aiprism's or an older one asked for by `to`; StoreError when it is
    from a newer aiprism, or what an unfinished restore left. What a crash left half done is done again: every statement may
    be repeated."""
    if (place := unfinished_restore(engine)) is not None:
        raise StoreError(
            f"the database {engine.database} holds part of a backup: the restore from {place} has not finished. Run that "
            "`aiprism restore` again, it begins anew; or remove the data directory (the database of a server) for an empty start"
        )
    engine.command(_version_table(engine))
    done = {int(version) for (version,) in engine.query("SELECT version FROM schema_version")}
    at, known = max(done, default=0), migrations()
    if at > known[-1].version:
        raise StoreError(
            f"the database is at schema version {at}, this aiprism knows {known[-1].version}: "
            "start the newer aiprism, or restore a backup made before the upgrade"
        )
    layout = cluster.Layout(engine.cluster, engine.database) if engine.cluster else None
    for migration in known:
        if to is not None and migration.version > to:
            break
        # On a cluster the statements of former versions are read again: they tell what each name stands for.
        steps = migration.steps(layout)
        if migration.version in done:
            continue
        for step in steps:
            if not step.done or not engine.query(step.done):
                engine.command(step.statement)
        engine.command(
            "INSERT INTO schema_version (version, name) SELECT {version:UInt32}, {name:String}",
            {"version": migration.version, "name": migration.name},
        )
        log.info("store.migrated", version=migration.version, name=migration.name)
        at = max(at, migration.version)
    return at


def is_older(engine: Engine) -> bool:
    """Whether the database holds what an older aiprism has laid out; False while it is empty."""
    if not engine.query("SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'schema_version'"):
        return False
    at = int(engine.query("SELECT max(version) FROM schema_version")[0][0])
    return 0 < at < migrations()[-1].version


def unfinished_restore(engine: Engine) -> str | None:
    """The backup that is being restored into the database, or was when that broke off; None when there is no such."""
    found = engine.query(
        "SELECT comment FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": engine.database, "name": UNFINISHED},
    )
    return str(found[0][0]) if found else None


def change(engine: Engine, statement: str, parameters: Mapping[str, object] | None = None) -> None:
    """Carry out a schema statement of the running platform (`ALTER TABLE samples DROP PARTITION …`) wherever the table
    is: here, or on every node of the cluster."""
    if not engine.cluster:
        engine.command(statement, parameters)
        return
    layout = cluster.Layout(engine.cluster, engine.database)
    for migration in migrations():
        migration.on(layout)
    for each in layout.rewritten(statement, "at run time"):
        engine.command(each, parameters)


@dataclass(frozen=True, slots=True)
class Step:
    """One statement; where the query `done` gives a row it was carried out before."""

    statement: str
    done: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of `sql/`: (statement, table.column that is there once it was carried out, or nothing)."""

    version: int
    name: str
    statements: tuple[tuple[str, str], ...]

    def on(self, layout: cluster.Layout | None) -> Sequence[str]:
        """Its statements, for one machine or for the cluster of `layout`."""
        return [step.statement for step in self.steps(layout)]

    def steps(self, layout: cluster.Layout | None) -> Sequence[Step]:
        """Its statements, with how to know that one was carried out before a crash."""
        file, found = f"{self.version:04}_{self.name}.sql", []
        for number, (statement, unless) in enumerate(self.statements, 1):
            written = layout.rewritten(statement, f"{file}, statement {number}") if layout else [statement]
            for each in written:
                # A front of a cluster follows whatever lies behind it, also the second time.
                again = not unless or each.startswith("CREATE OR REPLACE")
                found.append(Step(each, "" if again else _has_column(unless, layout)))
        return found


def _has_column(name: str, layout: cluster.Layout | None) -> str:
    table, _, column = name.partition(".")
    kept = table + cluster.LOCAL if layout else table
    return f"SELECT 1 FROM system.columns WHERE database = currentDatabase() AND table = '{kept}' AND name = '{column}'"


def migrations() -> Sequence[Migration]:
    """Every migration this aiprism knows, in order."""
    found = []
    for file in (files("aiprism.store") / "sql").iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            statements = tuple(_statements(file.read_text(encoding="utf-8")))
            found.append(Migration(int(match.group(1)), match.group(2), statements))
    return sorted(found, key=lambda migration: migration.version)


def _version_table(engine: Engine) -> str:
    if engine.cluster:
        return cluster.version_table(engine.cluster, engine.database)
    return (
        "CREATE TABLE IF NOT EXISTS schema_version (version UInt32, name String, applied DateTime DEFAULT now()) "
        "ENGINE = MergeTree ORDER BY version"
    )


# What was done before a crash is passed over the second time.
_REPEATABLE = (
    (re.compile(r"^CREATE (TABLE|MATERIALIZED VIEW) (?!IF )"), r"CREATE \1 IF NOT EXISTS "),
    (re.compile(r"^DROP (TABLE|VIEW) (?!IF )"), r"DROP \1 IF EXISTS "),
    (re.compile(r"\bADD (COLUMN|INDEX|PROJECTION) (?!IF )"), r"ADD \1 IF NOT EXISTS "),
    (re.compile(r"\bDROP (COLUMN|INDEX|PROJECTION) (?!IF )"), r"DROP \1 IF EXISTS "),
)


# A line before a statement that may not be carried out twice: the column that is there once it was.
_UNLESS = re.compile(r"^-- unless (\w+\.\w+)$", flags=re.MULTILINE)


def _statements(text: str) -> list[tuple[str, str]]:
    for name, fragment in FRAGMENTS.items():
        text = text.replace("{" + name + "}", fragment)
    found = []
    for part in text.split(";\n"):
        statement = re.sub(r"^\s*--.*$", "", part, flags=re.MULTILINE).strip().rstrip(";\n ")
        if statement:
            unless = _UNLESS.search(part)
            found.append((_repeatable(statement), unless[1] if unless else ""))
    return found


def _repeatable(statement: str) -> str:
    for form, again in _REPEATABLE[: 2 if statement.startswith(("CREATE", "DROP")) else None]:
        statement = form.sub(again, statement)
    return statement

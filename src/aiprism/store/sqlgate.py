"""Whether SQL that somebody wrote may be asked of the store, and the statement that is asked then.

In: text. Out: `Admitted`, or BadInput that says what, where, and what to write instead. Everything that is not known to be
harmless is refused: statements that do not read, tables that are not telemetry, table functions, functions that are not listed
in `sqlfunctions`, settings, formats, files. Nothing of the text is ever executed: what is executed is written anew from the tree
that was checked, and ClickHouse's own reading of that (`confirm`) must name the same few things. chDB has no other wall: its
`file()` and `url()` read whatever this process may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from typing import Any, ClassVar

from sqlglot import errors, exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.generators.clickhouse import ClickHouseGenerator
from sqlglot.parsers.clickhouse import ClickHouseParser
from sqlglot.tokenizer_core import Token, TokenType

from aiprism.errors import BadInput
from aiprism.store.engine import quoted
from aiprism.store.sqlfunctions import ZONED, is_allowed, named

LONGEST = 20_000  # characters
_DEEPEST = 40  # brackets in one another
_MOST_TOKENS = 5_000
_MOST_WITHS = 8  # the parser tries each twice
_MOST_STEPS = 50_000  # of the parser from word to word; the longest queries take some 7 000
_DEAREST = 10_000  # pattern: its length times what its {n,m} repeat
_APART = "with__"  # before the names of WITHs
_ALIKE = 0.75  # how like a name must be to be what was meant

# A name that may stand in a statement; that of a column or table is a word.
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .,:/%()+\-]*")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+")
_PLAIN = re.compile(r"[A-Za-z0-9_ ]*")
_REPEATED = re.compile(r"\{([0-9]{1,5})(?:,([0-9]{0,5}))?\}")
_OF_PATTERNS = frozenset({"match", "extract", "extractall", "extractgroups", "replaceregexpone", "replaceregexpall"})
_FILE = "file:"
_EXPLAIN = re.compile(r"[ \t]*EXPLAIN(?=\s)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A statement that may be executed as it is; `tables` are those it reads, `words` the names of its subqueries."""

    sql: str
    tables: frozenset[str]
    words: frozenset[str]
    explain: bool = False


class _Dialect(ClickHouse):
    """ClickHouse's, with functions under the names they were written with: nothing is translated."""

    # Or what stands in brackets would be calculated with, which takes ever longer from one to the next.
    INDEX_OFFSET = 0

    class Parser(ClickHouseParser):
        """Gives up after so many steps. What may be a type or a call is tried as both, and so is all within it: forty of
        ``date(`` in one another would be read 2^40 times, and no limit of time ends that."""

        steps = 0

        def _advance(self, times: int = 1) -> None:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise BadInput("the query is too intricate to be read: nest less of it")
            super()._advance(times)

        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            name: ClickHouseParser.FUNCTION_PARSERS[name] for name in ("CAST", "AND", "OR")
        }
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            "CASE": ClickHouseParser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }

    class Generator(ClickHouseGenerator):
        def literal_sql(self, expression: exp.Literal) -> str:
            return quoted(expression.name) if expression.is_string else str(expression.name)

        def identifier_sql(self, expression: exp.Identifier) -> str:
            return f"`{expression.name}`"


_DIALECT = _Dialect()

# Which parts a node may have. A node that is not here is refused; of one with None every part is looked at by itself.
_QUERY = frozenset({"with_", "order", "limit", "offset"})
_NODES: Mapping[type[exp.Expr], frozenset[str] | None] = {
    exp.Select: _QUERY
    | {"expressions", "distinct", "from_", "joins", "prewhere", "where", "group", "having", "windows"},
    exp.Union: _QUERY | {"this", "expression", "distinct"},
    exp.Except: _QUERY | {"this", "expression", "distinct"},
    exp.Intersect: _QUERY | {"this", "expression", "distinct"},
    exp.Subquery: frozenset({"this", "alias"}),
    exp.With: frozenset({"expressions"}),
    exp.CTE: frozenset({"this", "alias", "scalar"}),
    exp.TableAlias: frozenset({"this"}),
    exp.From: frozenset({"this"}),
    exp.Table: frozenset({"this", "db", "alias"}),
    exp.Final: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "using", "side", "kind", "method", "expressions"}),
    exp.Group: frozenset({"expressions", "all"}),
    exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
    exp.Order: frozenset({"expressions"}),
    exp.Limit: frozenset({"expression", "expressions"}),
    exp.Offset: frozenset({"expression"}),
    exp.Distinct: frozenset({"expressions"}),
    exp.Star: frozenset({"except_"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.DataType: frozenset({"this", "expressions", "nested", "nullable"}),
    exp.Interval: frozenset({"this", "unit"}),
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec", "alias", "over"}),
    exp.WindowSpec: frozenset({"kind", "start", "start_side", "end", "end_side"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Bracket: frozenset({"this", "expressions", "offset"}),
    exp.Literal: frozenset({"this", "is_string"}),
    **dict.fromkeys(
        (
            exp.Where, exp.PreWhere, exp.Having, exp.Alias, exp.Identifier, exp.Boolean, exp.Null, exp.Paren, exp.Tuple,
            exp.Array, exp.Dot, exp.Lambda, exp.DataTypeParam, exp.Var, exp.Case, exp.If, exp.Between, exp.Like, exp.ILike,
            exp.Is, exp.Not, exp.And, exp.Or, exp.Xor, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Add, exp.Sub,
            exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe, exp.Exists, exp.Anonymous, exp.AnonymousAggFunc,
            exp.ParameterizedAgg, exp.CombinedAggFunc, exp.CombinedParameterizedAgg,
        )
    ),
}  # fmt: skip
_CALLS = (exp.Anonymous, exp.AnonymousAggFunc, exp.ParameterizedAgg, exp.CombinedAggFunc, exp.CombinedParameterizedAgg)

_INSTEAD: Mapping[str, str] = {
    "settings": "SETTINGS are the server's",
    "format": "FORMAT is the server's: the answer is JSON",
    "into": "nothing is written: no INTO OUTFILE",
    "is_global": "write IN without GLOBAL",
    "field": "after IN stands a list or a query: write IN (1, 2), or IN (SELECT … FROM …); has(array, x) looks into an array",
    "recursive": "WITH RECURSIVE may never end",
    "sample": "the tables have no sampling key: write WHERE with a hash, such as cityHash64(trace_id) % 10 = 0",
    "with_fill": "WITH FILL may make any number of rows",
}


# -- the first reading -----------------------------------------------------------------------------------------------------


def admitted(
    text: str, *, database: str, tables: Collection[str], values: Mapping[str, Callable[[str], str]]
) -> Admitted:
    """What is asked when somebody wrote `text`: one SELECT (or EXPLAIN of one) of `tables` of `database`. `values` says for
    each ``{name:Type}`` what is asked for it, given the type."""
    # Blanks in the place of the word: what follows keeps its lines and columns.
    explain = _EXPLAIN.match(text)
    text = f"{' ' * len(explain[0])}{text[len(explain[0]) :]}" if explain else text
    tree = _tree(_tokens(text), text)
    try:
        tree = tree.transform(lambda node: _valued(node, values), copy=False)
        read, words = _checked(tree, database, tables)
        sql = tree.sql(dialect=_DIALECT, comments=False, normalize_functions=False)
    except RecursionError:
        raise BadInput("the query is nested too deeply") from None
    return Admitted(sql, frozenset(read), frozenset(words), explain=bool(explain))


def _tokens(text: str) -> list[Token]:
    if len(text) > LONGEST:
        raise BadInput(f"the query has {len(text)} characters; {LONGEST} are the most")
    if "\0" in text:
        raise BadInput("the query holds a zero byte")
    try:
        tokens = _DIALECT.tokenize(text)
    except errors.SqlglotError as error:
        raise BadInput(f"the query cannot be read: {error}") from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise BadInput("there is no query: write one, such as SELECT service, count() FROM spans GROUP BY service")
    if len(tokens) > _MOST_TOKENS:
        raise BadInput(f"the query has {len(tokens)} words; {_MOST_TOKENS} are the most")
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            raise BadInput(f"one statement at a time{_at(token)}", details=_place(token))
    if sum(token.token_type == TokenType.WITH for token in tokens) > _MOST_WITHS:
        raise BadInput(f"the query has more than {_MOST_WITHS} WITHs")
    _bounded(tokens)
    first = tokens[0]
    if first.token_type not in (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN):
        raise BadInput(
            f"{first.text[:40]!r} does not read: write SELECT, WITH … SELECT, EXPLAIN SELECT, DESCRIBE or SHOW TABLES",
            details=_place(first),
        )
    return tokens


def _bounded(tokens: Sequence[Token]) -> None:
    depth = 0
    for token in tokens:
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE):
            depth += 1
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE):
            depth -= 1
        if depth > _DEEPEST:
            raise BadInput(f"more than {_DEEPEST} brackets stand in one another{_at(token)}", details=_place(token))


def _tree(tokens: list[Token], text: str) -> exp.Expr:
    try:
        trees = _DIALECT.parser(error_level=errors.ErrorLevel.RAISE).parse(tokens, text)
    except errors.ParseError as error:
        found = error.errors[0] if error.errors else {}
        at = {"line": found["line"], "column": found["col"]} if found.get("line") else {}
        where = f" at line {found['line']}, column {found['col']}" if at else ""
        near = f", near {found['highlight']!r}" if found.get("highlight") else ""
        raise BadInput(
            f"the query cannot be read{where}{near}: {found.get('description', error)}", details=at
        ) from None
    except (RecursionError, errors.SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        # The parser stumbles over some texts that are no SQL; whatever it makes of them is not asked.
        raise BadInput(f"the query cannot be read ({type(error).__name__})") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Select | exp.SetOperation | exp.Subquery):
        raise BadInput("write one SELECT")
    return trees[0]


def _valued(node: exp.Expr, values: Mapping[str, Callable[[str], str]]) -> exp.Expr:
    if not isinstance(node, exp.Placeholder):
        return node
    name, kind = node.name, node.args.get("kind")
    if name not in values:
        raise BadInput(f"{{{name}:…}} has no value; those are {', '.join(f'{{{each}:…}}' for each in values)}")
    value = values[name](kind.sql(dialect=_DIALECT) if isinstance(kind, exp.Expr) else str(kind))
    made = _DIALECT.parser().parse(_DIALECT.tokenize(f"SELECT {value}"), value)[0]
    assert isinstance(made, exp.Select)
    put: exp.Expr = made.expressions[0]
    return put


def _checked(tree: exp.Expr, database: str, tables: Collection[str]) -> tuple[set[str], set[str]]:
    """The tables that are read and the names of subqueries; BadInput for whatever is not known to be harmless."""
    read: set[str] = set()
    words: set[str] = set()
    for node in tree.walk():
        _check_kind(node)
        match node:
            case exp.Select() if not node.expressions:
                raise BadInput("SELECT says nothing to select")
            case exp.From() | exp.Final() if not isinstance(node.this, exp.Table | exp.Subquery | exp.Final):
                raise BadInput(f"FROM is followed by a table or a query in brackets: {_strange(node.this)}")
            case exp.Identifier():
                _check_name(node.name, _NAME)
            case exp.Literal() if not node.is_string and not _NUMBER.fullmatch(node.name):
                raise BadInput(f"{node.name[:40]!r} is no number that is understood")
            case exp.In():
                _check_in(node)
            case exp.DataType():
                _check_type(node)
            case exp.CTE() if not node.args.get("scalar"):
                node.args["alias"].set("this", exp.to_identifier(_APART + node.alias))
            case exp.Table():
                if _stands_for_a_query(node):
                    words.add(_called_apart(node))
                else:
                    read.add(_telemetry(node, database, tables))
                    node.set("db", exp.to_identifier(database))
            case _ if isinstance(node, _CALLS):
                _check_call(node)
    return read, words


def _check_kind(node: exp.Expr) -> None:
    kind = type(node)
    if kind not in _NODES:
        raise BadInput(_strange(node))
    parts = _NODES[kind]
    for name, value in node.args.items():
        if not value:
            continue
        if parts is not None and name not in parts:
            raise BadInput(
                _INSTEAD.get(name) or f"{name.strip('_').upper()} of {kind.__name__.upper()} is not allowed here"
            )
        if isinstance(value, str) and kind not in (exp.Identifier, exp.Literal) and not _PLAIN.fullmatch(value):
            raise BadInput(f"{value[:40]!r} is not understood")


def _said(node: exp.Expr) -> str:
    try:
        return node.sql(dialect=_DIALECT, comments=False)[:80]
    except (errors.SqlglotError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return ""


def _strange(node: exp.Expr) -> str:
    said = _said(node)
    return f"{type(node).__name__} is not allowed here{f': {said}' if said else ''}"


def _check_name(name: str, form: re.Pattern[str]) -> None:
    if not form.fullmatch(name):
        raise BadInput(f"{name[:60]!r} cannot be a name here: letters, digits, spaces and _ . , : / % ( ) + - only")


def _check_in(node: exp.In) -> None:
    """IN of a bare name reads the table of that name, brackets or not."""
    items = [each.unnest() for each in node.expressions]
    if not items and not node.args.get("query"):
        raise BadInput("after IN stands a list or a query: write IN (1, 2), or IN (SELECT … FROM …)")
    if len(items) == 1 and not isinstance(items[0], exp.Literal | exp.Boolean | exp.Null | exp.Tuple | exp.Neg):
        raise BadInput("IN of one thing takes it for a table: write = for a value, or IN (SELECT … FROM …)")
    if any(isinstance(each, exp.Column) for each in items):
        raise BadInput("a list of IN holds values: write = and OR for columns")


def _check_call(node: exp.Expr) -> None:
    called = node.this
    name = called.name if isinstance(called, exp.Expr) else str(called)
    if is_allowed(name) and _WORD.fullmatch(name):
        if name.casefold() in _OF_PATTERNS:
            _check_pattern(name, node.expressions[1:2])
        if (leading := ZONED.get(name.casefold())) is not None:
            _check_zones(name, node.expressions[leading:])
        return
    known = {each.casefold(): each for each in named()}
    close = get_close_matches(name.casefold(), known, 1, _ALIKE)
    hint = f"; did you mean {known[close[0]]}?" if close else "; GET /aiprism/v1/sql names those that may"
    raise BadInput(f"the function {name[:60]!r} may not be called{hint}", details={"function": name[:60]})


def _check_zones(name: str, given: Sequence[exp.Expr]) -> None:
    """The name of a time zone that begins with ``file:`` is a file, which ClickHouse opens and reads, within a lock that all other
    zones wait for: what may be a zone is a text that can be looked at, or no text at all."""
    for each in given:
        if isinstance(each, exp.Interval) or (isinstance(each, exp.Neg) and isinstance(each.this, exp.Literal)):
            continue
        if isinstance(each, exp.Anonymous) and each.name.casefold().startswith("tointerval"):
            continue
        if not isinstance(each, exp.Literal):
            raise BadInput(f"formats, zones and precisions of {name} are written out: {_said(each)} is none")
        if each.is_string and _FILE in each.name.casefold():
            raise BadInput(f"{each.name[:60]!r} is no time zone")


def _check_type(node: exp.DataType) -> None:
    """Types may name zones, and functions whose states somebody could make up."""
    if "AGGREGATE" in str(node.this).upper():
        raise BadInput("a state of an aggregate is made by the store alone: CAST to another type")
    for each in node.expressions:
        literal = each.this if isinstance(each, exp.DataTypeParam) else each
        if isinstance(literal, exp.Literal) and _FILE in literal.name.casefold():
            raise BadInput(f"{literal.name[:60]!r} is no time zone")


def _check_pattern(name: str, given: Sequence[exp.Expr]) -> None:
    """ClickHouse ends a query between blocks, not within a function: a pattern whose automaton is large would run for minutes over
    one long text, whatever the limit of time."""
    if not given or not isinstance(given[0], exp.Literal) or not given[0].is_string:
        raise BadInput(f"the pattern of {name} is a text: write it in quotes")
    pattern = given[0].name
    repeated = prod(max(1, int(most or least)) for least, most in _REPEATED.findall(pattern))
    if len(pattern) * repeated > _DEAREST:
        raise BadInput(f"the pattern of {name} repeats too much: {pattern[:60]!r}")


def _telemetry(node: exp.Table, database: str, tables: Collection[str]) -> str:
    if not isinstance(node.this, exp.Identifier):
        said = node.this.sql(dialect=_DIALECT, comments=False)[:80] if isinstance(node.this, exp.Expr) else ""
        raise BadInput(f"tables are named, table functions are not allowed: {said}")
    name, within = node.name, node.db
    if within in ("", database) and name in tables:
        return name
    close = get_close_matches(name, tables, 1)
    said = f"{within}.{name}" if within else name
    hint = f"did you mean {close[0]}?" if close else f"tables: {', '.join(sorted(tables))}"
    raise BadInput(f"there is no table {said[:80]!r} to read; {hint}", details={"table": said[:80]})


def _called_apart(table: exp.Table) -> str:
    """Have `table` ask for a query of a WITH by a name that no table has, and be called what it was: whatever ClickHouse takes
    the scope of a WITH for, what it looks for under that name is no table."""
    if not table.alias:
        table.set("alias", exp.TableAlias(this=table.this.copy()))
    table.set("this", exp.to_identifier(_APART + table.name))
    return table.name


def _stands_for_a_query(table: exp.Table) -> bool:
    """Whether `table` names a WITH, of the queries around it or of its own WITH one before it."""
    if not isinstance(table.this, exp.Identifier) or table.args.get("db"):
        return False
    node: exp.Expr = table
    inside: exp.CTE | None = None
    while (above := node.parent) is not None:
        if isinstance(node, exp.CTE):
            inside = node
        with_ = above.args.get("with_") if not isinstance(above, exp.With) else None
        if isinstance(with_, exp.With):
            before: list[exp.Expr] = list(with_.expressions)
            if inside is not None and inside.parent is with_:
                before = before[: before.index(inside)]
            # The walk is from above: a WITH has its other name before those who ask for it.
            names = {each.alias for each in before if isinstance(each, exp.CTE) and not each.args.get("scalar")}
            if names & {table.name, _APART + table.name}:
                return True
        node = above
    return False


def _at(token: Token) -> str:
    return f" (line {token.line}, column {token.col})"


def _place(token: Token) -> dict[str, object]:
    return {"line": token.line, "column": token.col}


# -- the second reading ----------------------------------------------------------------------------------------------------

_LINE = re.compile(r"(?P<indent> *)(?P<kind>[A-Za-z]+)(?: (?P<name>.*?))?(?: \(alias .*\))?(?: \(children \d+\))?")
_KINDS = frozenset({
    "SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "ExpressionList", "WithElement", "Subquery", "Identifier",
    "TableIdentifier", "Function", "Literal", "Asterisk", "QualifiedAsterisk", "TablesInSelectQuery",
    "TablesInSelectQueryElement", "TableExpression", "TableJoin", "ArrayJoin", "OrderByElement", "WindowDefinition",
    "WindowListElement", "ColumnsExceptTransformer", "ColumnsTransformerList",
})  # fmt: skip
# Operators, under the names that ClickHouse's parser gives them.
_OPERATORS = frozenset({
    "in", "notin", "lambda", "exists", "casewithexpression", "casewithoutexpression", "isnotdistinctfrom", "singlevalueornull",
})  # fmt: skip


def confirm(statement: Admitted, database: str, lines: Sequence[str]) -> None:
    """Hold what ClickHouse reads (`lines` of its EXPLAIN AST) against what was admitted; BadInput where it sees more. No text is
    known for which the two readings differ; the next version of either may bring one."""
    tables = {f"{database}.{name}" for name in statement.tables} | statement.words
    nodes = [_LINE.fullmatch(line) for line in lines]
    for number, node in enumerate(nodes):
        if node is None or node["kind"] not in _KINDS:
            raise _unsure(lines[number])
        name = (node["name"] or "").strip()
        if node["kind"] == "TableIdentifier" and name not in tables:
            raise _unsure(lines[number])
        if node["kind"] == "Function":
            if not is_allowed(name) and name.casefold() not in _OPERATORS:
                raise _unsure(lines[number])
            if name.casefold() in ("in", "notin") and _names_a_table(nodes[number + 1 :], len(node["indent"])):
                raise _unsure(lines[number])


def _names_a_table(below: Sequence[re.Match[str] | None], indent: int) -> bool:
    """Whether the second argument of a function, whose lines begin below it, is a bare name."""
    arguments = 0
    for node in below:
        if node is None or len(node["indent"]) <= indent:
            break
        if len(node["indent"]) == indent + 2:
            arguments += 1
            if arguments == 2:
                return node["kind"] in ("Identifier", "TableIdentifier")
    return False


def _unsure(line: str) -> BadInput:
    return BadInput(
        f"the store reads this query in another way than it was checked ({line.strip()[:80]}): write it differently"
    )

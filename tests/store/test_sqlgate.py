"""SQL of others reads the tables of telemetry and nothing else: attacks, words in any order, and ClickHouse's own opinion."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput, LimitExceeded, StoreError, Unavailable
from aiprism.store import sqlanswer, sqlgate
from aiprism.store.engine import Engine
from aiprism.store.sqlanswer import Asked, Limits
from aiprism.store.sqlcatalogue import EXAMPLES, NAMES, Example

VALUES: Mapping[str, Callable[[str], str]] = {"from": lambda kind: "1", "step": lambda kind: "60"}
SECRET = "EXAMPLE-never-to-be-read"
LIMITS = Limits(rows=100, read_rows=1_000_000, memory=200_000_000)

READS_ELSEWHERE = """
SELECT * FROM file('/etc/passwd', 'LineAsString')
SELECT * FROM `file`('/etc/passwd')
SELECT * FROM "file"('/etc/passwd')
SELECT * FROM FILE ('/etc/passwd')
SELECT * FROM/**/file/**/('/etc/passwd')
SELECT file('/etc/passwd')
SELECT `file`('/etc/passwd')
SELECT 1 FROM logs WHERE body IN file('/etc/passwd')
SELECT 1 FROM logs WHERE body IN (SELECT line FROM file('/etc/passwd'))
SELECT * FROM logs WHERE 1 = (SELECT count() FROM system.users)
SELECT EXISTS(SELECT 1 FROM system.users)
SELECT * FROM url('http://127.0.0.1/', 'RawBLOB')
SELECT * FROM urlCluster('c', 'http://127.0.0.1/')
SELECT * FROM s3('http://127.0.0.1/b/k')
SELECT * FROM gcs('http://127.0.0.1/b/k')
SELECT * FROM hdfs('hdfs://127.0.0.1/x')
SELECT * FROM azureBlobStorage('x')
SELECT * FROM executable('id', 'TSV', 'a String')
SELECT * FROM remote('127.0.0.1', system.one)
SELECT * FROM remoteSecure('127.0.0.1', 'system', 'one')
SELECT * FROM cluster('default', system.one)
SELECT * FROM mysql('127.0.0.1', 'd', 't', 'u', 'p')
SELECT * FROM postgresql('127.0.0.1', 'd', 't', 'u', 'p')
SELECT * FROM sqlite('/tmp/x.db', 't')
SELECT * FROM mongodb('127.0.0.1', 'd', 't', 'u', 'p', 'a Int8')
SELECT * FROM jdbc('x', 'y')
SELECT * FROM merge('system', '.*')
SELECT * FROM merge(REGEXP('.*'), '.*')
SELECT * FROM view(SELECT * FROM system.users)
SELECT * FROM loop(spans)
SELECT * FROM dictionary('x')
SELECT * FROM fuzzJSON('x')
SELECT * FROM input('a String')
SELECT * FROM python('x')
SELECT * FROM Python(x)
SELECT * FROM numbers(1000000000)
SELECT * FROM zeros(1)
SELECT * FROM generateRandom('a Int8')
SELECT * FROM generate_series(1, 10)
SELECT * FROM values('a Int8', 1)
SELECT * FROM (VALUES (1))
SELECT * FROM system.users
SELECT * FROM system . users
SELECT * FROM `system`.`users`
SELECT * FROM "system"."users"
SELECT * FROM `system.users`
SELECT * FROM information_schema.tables
SELECT * FROM housekeeping
SELECT * FROM schema_version
SELECT * FROM aiprism_other.spans
SELECT * FROM spans UNION ALL SELECT * FROM system.tables
SELECT * FROM spans EXCEPT SELECT * FROM system.tables
SELECT * FROM spans INTERSECT SELECT * FROM system.tables
SELECT * FROM spans, system.users
SELECT * FROM spans CROSS JOIN system.users
SELECT * FROM spans JOIN housekeeping USING (name)
SELECT * FROM spans PASTE JOIN housekeeping
SELECT * FROM (SELECT * FROM (SELECT * FROM system.users))
SELECT * FROM logs, LATERAL (SELECT * FROM system.users)
FROM system.users SELECT *
TABLE system.users
WITH t AS (SELECT * FROM system.users) SELECT * FROM t
WITH housekeeping AS (SELECT * FROM housekeeping) SELECT * FROM housekeeping
WITH a AS (SELECT * FROM housekeeping), housekeeping AS (SELECT 1) SELECT * FROM a
SELECT * FROM (WITH housekeeping AS (SELECT 1) SELECT 1) AS a, housekeeping
WITH 1 AS housekeeping SELECT * FROM housekeeping
SELECT * FROM spans AS housekeeping JOIN housekeeping ON 1 = 1
SELECT * FROM (SELECT 1) AS housekeeping, housekeeping
SELECT 1 IN system.users
SELECT 1 IN (system.users)
SELECT 1 IN ((housekeeping))
SELECT 1 NOT IN housekeeping
SELECT 1 GLOBAL IN housekeeping
SELECT in(1, housekeeping)
SELECT `in`(1, housekeeping)
SELECT nullIn(1, housekeeping)
SELECT globalIn(1, housekeeping)
SELECT 1 IN tuple(housekeeping)
SELECT 1 IN identity(housekeeping)
WITH system.users AS t SELECT 1 IN t
WITH x AS (SELECT 1 AS housekeeping) SELECT housekeeping IN housekeeping FROM x
SELECT 1 IN (x) FROM (SELECT 1 AS x)
SELECT dictGet('d', 'a', 1)
SELECT dictHas('d', 1)
SELECT joinGet('t', 'a', 1)
SELECT hasColumnInTable('system', 'users', 'name')
SELECT getSetting('max_threads')
SELECT getServerSetting('x'), getMacro('x'), getOSKernelVersion()
SELECT currentUser(), hostName(), version(), currentDatabase(), serverUUID()
SELECT user()
SELECT @@version
SELECT filesystemAvailable(), demangle('x'), addressToLine(1)
SELECT catboostEvaluate('/x', 1), evalMLMethod(1)
SELECT initializeAggregation('sumState', 1), arrayReduce('sum', [1])
SELECT sleep(3), sleepEachRow(1)
SELECT throwIf(1)
SELECT * FROM {t:Identifier}
SELECT * APPLY(file) FROM logs
SELECT * REPLACE(file('/x') AS body) FROM logs
SELECT COLUMNS('.*') FROM logs
SELECT '\\'', * FROM system.users -- '
SELECT '''', * FROM system.users
SELECT `a\\` FROM system.users`
SELECT 1 AS `x`` FROM system.users`
SELECT 1 AS "x"" FROM system.users"
SELECT $$a$$ FROM system.users
SELECT $x$ ' $x$ FROM system.users
SELECT $1$ FROM logs
SELECT toTimeZone(now(), 'file:/etc/passwd')
SELECT toString(now(), 'file:/etc/passwd')
SELECT now('file:/etc/passwd')
SELECT toStartOfInterval(ts, INTERVAL 1 DAY, 'file:/etc/passwd') FROM logs
SELECT dateDiff('day', ts, ts, 'file:/etc/passwd') FROM logs
SELECT formatDateTime(ts, '%F', lower('FILE:/etc/passwd')) FROM logs
SELECT toTimeZone(ts, 'fi' || 'le:/etc/passwd') FROM logs
WITH concat('fi', 'le:/etc/passwd') AS z SELECT toTimeZone(ts, z) FROM logs
SELECT toHour(ts, (SELECT 'file:/etc/passwd')) FROM logs
SELECT toDateTimeOrNull('2020-01-01', 'file:/etc/passwd')
SELECT CAST(now() AS DateTime('file:/etc/passwd'))
SELECT CAST(now() AS Nullable(DateTime64(3, 'file:/etc/passwd')))
SELECT now()::DateTime('file:/etc/passwd')
SELECT CAST(now(), 'DateTime(\'file:/etc/passwd\')')
SELECT accurateCastOrNull(now(), 'DateTime(\'\\x66ile:/etc/passwd\')')
SELECT CAST(unhex('00') AS AggregateFunction(groupArray, String))
SELECT CAST(1 AS SimpleAggregateFunction(sum, UInt64))
SELECT match(body, service) FROM logs
SELECT match(body, '((a{1,30}){1,30})b') FROM logs
SELECT replaceRegexpAll(body, '(.{900}){2,}', '') FROM logs
""".strip().splitlines()

DOES_MORE = """
SELECT 1; DROP TABLE spans
SELECT 1; SELECT 2
;;
DROP TABLE spans
INSERT INTO spans SELECT * FROM spans
INSERT INTO FUNCTION file('/tmp/x') SELECT 1
CREATE TABLE x (a Int8) ENGINE = File(TSV)
CREATE VIEW v AS SELECT 1
ALTER TABLE spans DELETE WHERE 1
TRUNCATE TABLE spans
SET readonly = 0
SYSTEM SHUTDOWN
ATTACH TABLE x
KILL QUERY WHERE 1
BACKUP TABLE spans TO File('/tmp/x')
GRANT ALL ON *.* TO x
USE system
CALL x
EXPLAIN DROP TABLE spans
EXPLAIN SELECT * FROM system.users
EXPLAIN ESTIMATE SELECT 1
EXPLAIN
SELECT 1 INTO OUTFILE '/tmp/x'
SELECT 1 FORMAT JSON INTO OUTFILE '/tmp/x'
SELECT 1 INTO x FROM spans
SELECT 1 SETTINGS readonly = 0
SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)
SELECT 1 UNION ALL SELECT 1 SETTINGS max_execution_time = 0
SELECT 1 FORMAT Null
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t
SELECT ts FROM logs ORDER BY ts WITH FILL FROM 0 TO 1000000000
SELECT * FROM samples SAMPLE 0.1
SELECT * FROM logs FOR UPDATE
SELECT * FROM logs LIMIT 1 WITH TIES
SELECT 0xFF, b'1'
""".strip().splitlines()


def admitted(text: str) -> sqlgate.Admitted:
    return sqlgate.admitted(text, database="aiprism_default", tables=NAMES, values=VALUES)


@pytest.mark.parametrize("text", [*READS_ELSEWHERE, *DOES_MORE])
def test_what_reads_elsewhere_or_does_more_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        admitted(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT fil FROM spans", ""),
        ("SELECT service FROM span", "there is no table 'span' to read; did you mean spans?"),
        (
            "SELECT toStartOfHours(ts) FROM logs",
            "the function 'toStartOfHours' may not be called; did you mean toStartOfHour?",
        ),
        ("SELECT 1;\nDROP TABLE x", "one statement at a time (line 1, column 9)"),
        ("SELECT 1 FROM logs\nWHERE (", "the query cannot be read at line 2, column 7"),
        ("SELECT {nobody:UInt8}", "{nobody:…} has no value; those are {from:…}, {step:…}"),
        ("SELECT 1 SETTINGS max_threads = 1", "SETTINGS are the server's"),
    ],
)
def test_a_refusal_says_what_and_what_to_write_instead(text: str, said: str) -> None:
    if not said:
        assert admitted(text).tables == {"spans"}  # columns are the store's to know
        return
    with pytest.raises(BadInput, match=r"(?s)") as refused:
        admitted(text)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        (
            "select service, Count(*) n -- how many\nfrom spans /* ; */ where name = 'a\\'b\\\\' group by service",
            "SELECT `service`, Count(*) AS `n` FROM `aiprism_default`.`spans` WHERE `name` = 'a\\'b\\\\' GROUP BY `service`",
        ),
        (
            "WITH c AS (SELECT 1 AS x) SELECT c.x FROM c WHERE x IN (1, 2) LIMIT 3",
            "WITH `with__c` AS (SELECT 1 AS `x`) SELECT `c`.`x` FROM `with__c` AS `c` WHERE `x` IN (1, 2) LIMIT 3",
        ),
        (
            "SELECT quantileIf(0.9)(duration_ns, status = 'error') AS \"p 90\" FROM spans WHERE start >= {from:DateTime64}",
            "SELECT quantileIf(0.9)(`duration_ns`, `status` = 'error') AS `p 90` FROM `aiprism_default`.`spans` WHERE `start` >= 1",
        ),
        ("EXPLAIN SELECT body FROM logs;", "SELECT `body` FROM `aiprism_default`.`logs`"),
    ],
)
def test_what_is_executed_is_written_anew_from_what_was_checked(text: str, sql: str) -> None:
    assert admitted(text).sql == sql


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000 + "1",
        "SELECT " + "(" * 200 + "1" + ")" * 200,
        "WITH " * 30 + "1",
        "SELECT " + "1+" * 20_000 + "1",
        # Forty of these in one another were read 2^40 times, in a thread of the store that nothing could end.
        *("SELECT " + f"{name}(" * 38 + "1" + ")" * 38 for name in ("date", "DateTime64", "struct", "decimal")),
        "SELECT CAST(1 AS " + "Tuple(" * 38 + "UInt8" + ")" * 38 + ")",
        "SELECT a" + "[1]" * 1600,
        "SELECT \0",
        "",
    ],
)
def test_what_would_cost_the_parser_much_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadInput):
        admitted(text)


# -- in the store ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(engine: Engine, tmp_path: Path) -> Engine:
    """A store with a secret in a table of its own database, in another database, and in a file."""
    engine.command("INSERT INTO housekeeping (name, value) VALUES ({secret:String}, 1)", {"secret": SECRET})
    (tmp_path / "secret.txt").write_text(SECRET)
    return engine


def ask(engine: Engine, text: str) -> sqlanswer.Found:
    return sqlanswer.answer(engine, Asked(text, 1_700_000_000, 1_700_003_600, 60), LIMITS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_every_example_can_be_asked(engine: Engine, example: Example) -> None:
    assert ask(engine, example.sql).rows == []


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("WITH c AS (SELECT 7 AS x), d AS (SELECT x + 1 AS y FROM c) SELECT c.x, d.y FROM c, d", [[7, 8]]),
        ("WITH c AS (SELECT 7 AS x) SELECT 1 AS x UNION ALL SELECT x FROM c ORDER BY 1", [[1], [7]]),
        ("WITH housekeeping AS (SELECT 7 AS x) SELECT 7 AS x UNION ALL SELECT * FROM housekeeping", [[7], [7]]),
        ("WITH spans AS (SELECT 7 AS x) SELECT s.x FROM (SELECT * FROM spans) AS s", [[7]]),
        ("WITH 7 AS k SELECT k, (SELECT count() FROM spans), 3 IN (SELECT 3)", [[7, 0, 1]]),
        ("SELECT CASE WHEN 1 THEN 'a' ELSE 'b' END, 7 % 4, -1, 1 ? 2 : 3, 'x' NOT LIKE 'y%'", [["a", 3, -1, 2, 1]]),
        ("SELECT rank() OVER (ORDER BY x), lagInFrame(x) OVER w FROM (SELECT arrayJoin([5, 6]) AS x) WINDOW w AS (ORDER BY x)",
         [[1, 0], [2, 5]]),
        ("SELECT [1, 2][2], (1, 'a').2, map('k', 3)['k'], arrayMap((a, b) -> a + b, [1], [2])", [[2, "a", 3, [3]]]),
        ("SELECT toTimeZone(toDateTime('2024-01-01 00:00:00', 'UTC'), 'Asia/Tokyo')", [["2024-01-01T00:00:00.000Z"]]),
        ("SELECT formatDateTime(toDateTime(0), '%H:%i', 'Asia/Tokyo'), toString(CAST(0 AS DateTime('UTC')))",
         [["09:00", "1970-01-01 00:00:00"]]),
        ("SELECT toStartOfInterval(toDateTime(7300), INTERVAL 1 HOUR, 'UTC') = toDateTime(7200), dateDiff('day', t, t + 86400) "
         "FROM (SELECT toDateTime(0) AS t)", [[1, 1]]),
        ("SELECT [1, 2][1 + 1], [[1, 2], [3]][1][2], [1, 2, 3][-1], map('k', [4])['k'][1]", [[2, 2, 3, 4]]),
        ("SELECT match('1.20.3.4', '^\\\\d{1,3}(\\\\.\\\\d{1,3}){3}$')", [[1]]),
        ("SELECT en FROM (SELECT ['a', 'b'] AS names) ARRAY JOIN names AS en", [["a"], ["b"]]),
    ],
)  # fmt: skip
def test_what_may_be_asked_is_answered_as_the_store_does(engine: Engine, text: str, rows: list[list[object]]) -> None:
    assert ask(engine, text).rows == rows


def test_every_listed_function_is_known_to_the_store(engine: Engine) -> None:
    from aiprism.store.sqlfunctions import named

    known = {
        name.casefold()
        for (name,) in engine.query(
            "SELECT name FROM system.functions UNION ALL SELECT alias_to FROM system.functions WHERE alias_to != ''"
        )
    }
    syntax = {"date_add", "date_sub", "dateAdd", "dateSub"}  # which ClickHouse's parser makes other functions of
    assert [name for name in named() if name.casefold() not in known and name not in syntax] == []


WORDS = (
    "SELECT FROM WHERE spans logs housekeeping system users . , ( ) * IN NOT AS a WITH UNION ALL JOIN ON USING 1 'x' service name "
    "value file 'secret.txt' count() body GROUP BY ORDER LIMIT ARRAY -- \n /* */ ` \" ' \\ ; = tuple [ ] { } numbers(3) FINAL "
    "GLOBAL EXISTS CASE WHEN THEN END -> :: String # $$ merge"
)
FRAGMENTS = WORDS.split(" ")
FRAMES = [
    "SELECT {} FROM spans", "SELECT * FROM {}", "SELECT 1 IN {}", "SELECT 1 WHERE {}", "WITH {} SELECT 1", "SELECT * FROM spans {}",
    "{}", "SELECT '{}' FROM logs", "SELECT `{}` FROM logs", "SELECT service FROM spans WHERE name IN ({})",
]  # fmt: skip


def test_words_in_any_order_never_tell_a_secret(guarded: Engine, tmp_path: Path) -> None:
    """Of thousands of texts made of what attacks are made of, none that is let through shows what is not telemetry, and
    ClickHouse's analyser finds no other table."""
    dice, passed = random.Random(20_240_817), 0
    tables = {f"{guarded.database}.{name}" for name in NAMES} | {"system.one"}  # of SELECTs without FROM
    for _ in range(6_000):
        words = " ".join(dice.choice(FRAGMENTS) for _ in range(dice.randint(1, 9)))
        text = dice.choice(FRAMES).replace("{}", words).replace("secret.txt", str(tmp_path / "secret.txt"))
        try:
            statement = sqlgate.admitted(text, database=guarded.database, tables=NAMES, values=VALUES)
        except BadInput:
            continue
        try:
            rows = ask(guarded, text).rows
        except (BadInput, LimitExceeded, StoreError, Unavailable):
            continue
        passed += 1
        assert SECRET not in str(rows), text
        # What the analyser, which knows every table, resolved the names to.
        tree = "\n".join(str(line) for (line,) in guarded.query(f"EXPLAIN QUERY TREE {statement.sql}"))
        assert set(re.findall(r"table_name: ([^\s,]+)", tree)) <= tables, text
        assert "TABLE_FUNCTION" not in tree, text
    assert passed > 100  # else this has shown nothing


@given(st.text(max_size=30))
def test_a_text_is_a_text_in_the_store_too(text: str) -> None:
    """What stands in quotes comes back as it was: it cannot get out of them."""
    if "\0" in text or any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        return
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    statement = admitted(f"SELECT '{escaped}'")
    assert statement.sql == f"SELECT '{escaped}'"


TREE = ["SelectWithUnionQuery (children 1)", " ExpressionList (children 1)", "  SelectQuery (children 2)"]


@pytest.mark.parametrize(
    "line",
    [
        "   TableIdentifier system.users", "   Function file (children 1)", "   Set", "   Function `file` (children 1)",
        "   TableIdentifier housekeeping (alias spans)", "   InsertQuery", "\tFunction count",
    ],
)  # fmt: skip
def test_what_the_store_reads_and_we_did_not_is_refused(line: str) -> None:
    statement = admitted("SELECT count() FROM spans")
    sqlgate.confirm(statement, "aiprism_default", [*TREE, "   TableIdentifier aiprism_default.spans (alias s)"])
    with pytest.raises(BadInput, match="in another way"):
        sqlgate.confirm(statement, "aiprism_default", [*TREE, line])


def test_a_name_behind_in_is_refused_in_the_second_reading_too() -> None:
    statement = admitted("SELECT count() FROM spans")
    arguments = [" Function in (children 1)", "  ExpressionList (children 2)", "   Literal UInt64_1"]
    sqlgate.confirm(statement, "aiprism_default", [*arguments, "   Literal Tuple_(UInt64_1, UInt64_2)"])
    with pytest.raises(BadInput):
        sqlgate.confirm(statement, "aiprism_default", [*arguments, "   Identifier housekeeping"])


# -- limits ----------------------------------------------------------------------------------------------------------------

BOMBS = [
    "SELECT arrayJoin(range(1000000000000))",
    "SELECT arraySum(arrayMap(x -> arraySum(arrayMap(y -> x * y, range(100000))), range(100000)))",
    "SELECT length(leftPad('x', 2000000000))",
    # Names that stand for two of the one before.
    "WITH c0 AS (SELECT 1 AS x), "
    + ", ".join(f"c{n + 1} AS (SELECT a.x FROM c{n} AS a, c{n} AS b)" for n in range(11))
    + " SELECT * FROM c11",
    "SELECT " + "*, " * 1500 + "1 FROM spans",
    # Small in the store, large as JSON: a text written a hundred times, and a million lists.
    "SELECT CAST(leftPad('x', 1000000) AS LowCardinality(String)) FROM (SELECT arrayJoin(range(100)))",
    "SELECT arrayMap(x -> [], range(999999)), 1",
    "SELECT groupArray(a.value) FROM (SELECT arrayJoin(range(900000)) AS value) AS a, (SELECT arrayJoin(range(900000)) AS v) AS b",
]


@pytest.mark.parametrize("text", BOMBS)
def test_a_bomb_is_refused_and_the_store_answers_on(engine: Engine, text: str) -> None:
    with pytest.raises((BadInput, LimitExceeded)):
        ask(engine, text)
    assert ask(engine, "SELECT 1").rows == [[1]]


def test_an_answer_ends_with_its_limit_and_says_so(engine: Engine) -> None:
    found = ask(engine, "SELECT arrayJoin(range(1000)) AS n ORDER BY n DESC")
    assert (found.cut, len(found.rows), found.rows[0]) == (True, 100, [999])
    whole = ask(engine, "SELECT arrayJoin(range(1000)) AS n ORDER BY n DESC LIMIT 100")
    assert (whole.cut, len(whole.rows)) == (False, 100)


def test_a_query_that_reads_too_much_names_the_limit(engine: Engine) -> None:
    engine.command("INSERT INTO events (id, ts) SELECT toString(number), now() FROM numbers(1000)")
    small = Limits(rows=10, read_rows=100, memory=100_000_000)
    with pytest.raises(LimitExceeded, match=r"query\.sql_read_rows"):
        sqlanswer.answer(engine, Asked("SELECT sum(cityHash64(id)) FROM events", 0, 1, 1), small)


def test_values_keep_what_json_would_lose(engine: Engine) -> None:
    found = ask(
        engine,
        "SELECT toUInt64('18446744073709551615') AS large, toFixedString('ab', 2) AS bytes, {from:DateTime64} AS t, "
        "log(-1) AS n, map('a', 1) AS m, [1, 2] AS l, NULL AS nothing, {step:UInt32} AS step",
    )
    values = dict(zip(found.names, found.rows[0], strict=True))
    assert values["large"] == "18446744073709551615"
    assert values["bytes"] == "6162"
    assert values["t"] == "2023-11-14T22:13:20.000Z"
    assert (values["n"], values["m"], values["l"], values["nothing"], values["step"]) == (
        "nan",
        {"a": 1},
        [1, 2],
        None,
        60,
    )


def test_tables_and_columns_tell_what_they_are(engine: Engine) -> None:
    assert [row[0] for row in ask(engine, "show tables;").rows] == list(NAMES)
    assert ["level", "LowCardinality(String)", "TRACE DEBUG INFO WARN ERROR FATAL"] in ask(engine, "DESCRIBE logs").rows
    with pytest.raises(BadInput, match="no table 'housekeeping'"):
        ask(engine, "DESCRIBE TABLE housekeeping")
    assert "Keys: service" in str(ask(engine, "EXPLAIN SELECT count(), service FROM spans GROUP BY 2").rows)


def test_a_column_that_is_not_there_is_said_in_the_stores_words(engine: Engine) -> None:
    with pytest.raises(BadInput, match="nonsense"):
        ask(engine, "SELECT nonsense FROM spans")

"""Every type of PostgreSQL: what a file says is what the table holds, and a second run writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import syncengine
from tests.builders import a_spec
from tests.runs import counts, places
from tests.servers import Database, Server

# Types of the tests' own; extensions where the server has them.
SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy, "very"');
CREATE TYPE pair AS (a int, b text, c numeric);
CREATE DOMAIN positive AS numeric(8,2) CHECK (VALUE > 0);
CREATE DOMAIN word AS varchar(20) NOT NULL DEFAULT 'x' CHECK (VALUE !~ ' ');
CREATE DOMAIN numbers AS int[];
CREATE TYPE tag;
CREATE FUNCTION tag_in(cstring) RETURNS tag LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION tag_out(tag) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE tag (INPUT = tag_in, OUTPUT = tag_out, LIKE = text);
"""
EXTENSIONS = ("citext", "hstore", "ltree", "cube", "seg", "isn", "vector")

# type → texts that go in; `json` types hold JSON.
TYPES: dict[str, list[str]] = {
    "smallint": ["-32768", "32767", " 7 ", "+1", "007"],
    "integer": ["-2147483648", "2147483647", "0"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric": ["0.1", "1.10", "-0.00", "1e5", "1.5E-20", "NaN", "Infinity", "-Infinity", "9" * 400 + ".5"],
    "numeric(12,2)": ["1.5", "1.50", "1.5000", "-9999999999.99", "1e3", "NaN", "0"],
    "numeric(5,0)": ["12345", "1.0", "-0"],
    "real": ["0.1", "1e-38", "3.4028235e+38", "NaN", "Infinity", "-inf", "1.1754944e-38", "-0"],
    "double precision": [
        *("0.1", "0.30000000000000004", "1e-300", "1.7976931348623157e+308", "5e-324"),
        *("NaN", "inf", "-Infinity", "-0", "123456789012345680"),
    ],
    "money": ["$1,234.50", "-12.3", "(5.25)", "0"],
    "boolean": ["true", "f", "yes", "OFF", "1", "tr", " t "],
    "char(5)": ["ab", "ab   ", "äöüßé", ""],
    "varchar(5)": ["ab", "ab ", "äöüßé", "", "NULL"],
    "text": ["", " x ", "NULL", "null", "\\N", 'a,"b"\nc\td\\', "ä漢字🎉", "\u2028", "a\\.b"],
    '"char"': ["a", "+"],
    "name": ["table", "x" * 63],
    "bytea": ["\\x", "\\xDEADbeef", "abc", "a\\\\b\\000\\377", ""],
    "bit(4)": ["1010", "B0101", "xF"],
    "varbit(8)": ["1", "", "x0f"],
    "date": ["2024-02-29", "0044-03-15 BC", "12022-12-31", "5874897-12-31", "infinity", "-infinity", "epoch"],
    "time": ["12:34:56.123456", "24:00", "23:59:60", "01:02 PM", "040506"],
    "time(3)": ["12:34:56.123", "00:00"],
    "timetz": ["12:34:56.5+05:30", "00:00Z", "23:59:59-15:59:59", "01:02 PM +02"],
    "timetz(0)": ["12:34:56-03"],
    "timestamp": [
        *(
            "2024-02-29 12:34:56.123456",
            "2024-02-29T00:00",
            "0044-03-15 12:00 BC",
            "294276-12-31 23:59:59.999999",
        ),
        *(
            "infinity",
            "-infinity",
            "epoch",
            "20240229T123456",
            "Feb 29 2024 1:02 PM",
            "2024-02-29",
            "J2451187",
        ),
    ],
    "timestamp(0)": ["2024-02-29 12:34:56", "infinity"],
    "timestamptz": [
        *("2024-02-29 12:34:56.123456+05:30", "2024-02-29T12:34:56Z", "0044-03-15 12:00:00-03 BC"),
        *("2024-07-01 12:00 Europe/Berlin", "2024-01-01 12:00 EST", "12022-01-01 00:00+14", "-infinity"),
        "2024-01-01 00:00",
    ],
    "timestamptz(3)": ["2024-02-29 12:34:56.120+05:30"],
    "interval": [
        *(
            "1 year 2 mons 3 days 04:05:06.789",
            "P1Y2M3DT4H5M6.5S",
            "-1 day +02:00:00",
            "P-1Y2M",
            "1.5 months",
        ),
        *("-00:00:00.000001", "@ 3 weeks ago", "0", "30 days", "1 mon", "178000000 years"),
    ],
    "interval(0)": ["1 day 00:00:05"],
    "interval year to month": ["3 years 2 mons"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"],
    "inet": ["192.168.0.1/24", "::ffff:1.2.3.4", "2001:db8::/32", "10.0.0.1"],
    "cidr": ["192.168.0.0/24", "2001:db8::/32", "10"],
    "macaddr": ["08:00:2b:01:02:03", "08002b-010203"],
    "macaddr8": ["08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03"],
    "json": ['{"b": 1, "a": [1.10, null]}', '  {"a":1} ', "12345678901234567890.10", '"\\ud834\\udd1e"'],
    "jsonb": ['{"b": 1, "a": [1.10, 1e400]}', "12345678901234567890.10", '"x\\n"', "[]", "1.0"],
    "xml": ["<a b='1'>x&amp;</a>", "text <b/>"],
    "int[]": ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:2]={1,2,3}", "[-1:0][2:3]={{1,2},{3,4}}"],
    "text[]": ['{a,"b c",NULL,"NULL","","\\"q\\\\,{}"}', '{{"x"},{"y"}}'],
    "numeric(6,2)[]": ["{1.5,NULL,NaN}"],
    "timestamp[]": ['{"2024-01-01 12:00:00",infinity}'],
    "jsonb[]": ['{"{\\"a\\": 1}",NULL,"[1, 2]","\\"x\\""}'],
    "bytea[]": ['{"\\\\xdead",NULL}'],
    "int4range": ["[1,5]", "(,)", "empty", "[3,)"],
    "numrange": ["[1.10,2.5)", "(,0]"],
    "daterange": ["[2024-01-01,2024-01-31]", "(,infinity]"],
    "tsrange": ['["2024-01-01 12:00","2024-01-02 00:00:00.5")'],
    "tstzrange": ['["2024-01-01 12:00+05","2024-01-02 00:00Z")'],
    "int8range[]": ['{"[1,2)",empty}'],
    "int4multirange": ["{}", "{[1,3),[5,7]}"],
    "tsmultirange": ["{[2024-01-01,2024-01-02)}"],
    "mood": ["sad", 'happy, "very"'],
    "mood[]": ['{ok,"happy, \\"very\\"",NULL}'],
    "pair": ['(1,"a ""b"", c",1.10)', "(,,)", '(1,"",)'],
    "pair[]": ['{"(1,x,2)",NULL}'],
    "positive": ["1.5", "0.01"],
    "word": ["hello"],
    "numbers": ["{1,2}"],
    "tag": ["x y"],
    "point": ["(1.5,-2)", "1,2"],
    "line": ["{1,2,3}", "[(0,0),(1,1)]"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(1,1),(0,0)", "(0,0),(1,1)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "circle": ["<(1,2),3.5>"],
    "tsvector": ["'a':1A 'b':2,3 'c d'", "fat cat"],
    "tsquery": ["'a' & !'b':*A", "fat <-> cat"],
    "pg_lsn": ["16/B374D848", "0/0"],
    "oid": ["4294967295", "0"],
    "regclass": ["pg_class", "12345678"],
    "regtype": ["integer", "character varying"],
    "regproc": ["now"],
    "xid": ["7"],
    "tid": ["(0,1)"],
    "txid_snapshot": ["10:20:10,14,15"],
    "jsonpath": ["$.a[*] ? (@.b > 1)", 'strict $."x y"'],
    "citext": ["ABC", "abc"],
    "hstore": ['"a"=>"1", "b"=>NULL', "x => y"],
    "ltree": ["a.b.c"],
    "lquery": ["a.*{1,2}.c"],
    "cube": ["(1.5, 2),(3, 4)"],
    "seg": ["1.50 .. 2.0", "~5"],
    "isbn13": ["978-0-393-04002-9"],
    "vector(3)": ["[1,2.5,-3]"],
}
ROWS = max(map(len, TYPES.values()))


@dataclass(frozen=True, kw_only=True)
class Tables:
    """`wanted` holds the texts as the server's input functions read them, `t` is to be filled; a column a type."""

    db: Database
    columns: dict[str, str]

    def differing(self) -> dict[str, list[tuple[object, ...]]]:
        """Return what differs from what is wanted, by type."""
        found = {}
        for column, name in self.columns.items():
            # What JSON holds counts, for a file of JSON does not keep its spelling.
            shown = "jsonb" if name == "json" else "text"
            query = (
                f"SELECT id, w.{column}::text, t.{column}::text FROM wanted AS w FULL JOIN t USING (id)"
                f" WHERE w.{column}::text::{shown} IS DISTINCT FROM t.{column}::text::{shown}"
            )
            if rows := self.db.execute(query):
                found[name] = rows
        return found


@pytest.fixture(scope="module")
def tables(server: Server) -> Iterator[Tables]:
    with server.database() as database:
        for statement in SETUP.strip().split(";\n"):
            database.execute(statement)
        known = {str(name) for (name,) in database.execute("SELECT name FROM pg_available_extensions")}
        for name in sorted(known.intersection(EXTENSIONS)):
            database.execute(f"CREATE EXTENSION {name}")
        columns = {f"c{number}": name for number, name in enumerate(TYPES) if works(database, name)}
        made = ", ".join(f"{column} {name}" for column, name in columns.items())
        for table in ("wanted", "t"):
            database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {made})")
        statement = f"INSERT INTO wanted VALUES (%s{', %s' * len(columns)})"
        database.execute("SET TimeZone = 'UTC'")
        for number in range(ROWS):
            database.execute(statement, [number, *(text_of(name, number) for name in columns.values())])
        yield Tables(db=database, columns=columns)


def works(db: Database, name: str) -> bool:
    """Tell whether the server has the type; one built without XML has the name alone."""
    try:
        db.execute(f"SELECT '{'<a/>' if name == 'xml' else ''}'::text, NULL::{name}")
        return name != "xml" or db.one("SELECT CAST('<a/>' AS xml) IS NOT NULL") is True
    except psycopg.Error:
        return False


def text_of(name: str, number: int) -> str | None:
    """Return the text of a row; NULL where there are fewer texts, but in the domain that is NOT NULL."""
    texts = TYPES[name]
    return texts[number] if number < len(texts) else texts[0] if name == "word" else None


def write(path: Path, columns: dict[str, str]) -> Path:
    """Write a file of all the texts: of CSV, or of JSON with the JSON types as they are and the others as strings."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            file.write(f"id,{','.join(columns)}\n")
        for number in range(ROWS):
            texts = {column: text_of(name, number) for column, name in columns.items()}
            if path.suffix == ".csv":
                # Quoted, for an empty text is not NULL.
                cells = [
                    "" if text is None else '"' + text.replace('"', '""') + '"' for text in texts.values()
                ]
                file.write(f"{number},{','.join(cells)}\n")
            else:
                values = (
                    text if text and columns[column] in ("json", "jsonb") else json.dumps(text)
                    for column, text in texts.items()
                )
                pairs = (f'"{column}": {value}' for column, value in zip(columns, values, strict=True))
                file.write(f'{{"id": {number}, {", ".join(pairs)}}}\n')
    return path


@pytest.mark.parametrize("file", ["rows.csv", "rows.jsonl"])
@pytest.mark.parametrize("method", ["staged", "rows"])
def test_what_the_file_says_is_what_the_table_holds(tables: Tables, tmp_path: Path, file: str, method: str):
    db = tables.db
    db.execute("TRUNCATE t")
    write(tmp_path / file, tables.columns)
    spec = a_spec(tmp_path, file, conflict_keys=["id"], execution={"method": method})

    first = syncengine.run(spec, connection=db.url)
    stored = places(db)
    second = syncengine.run(spec, connection=db.url)

    assert tables.differing() == {}
    assert (counts(first), counts(second)) == ({"inserted": ROWS}, {"unchanged": ROWS})
    assert places(db) == stored

"""Bad files: each gives one clear error with its place and its remedy, and the target stays as it was."""

from __future__ import annotations

import bz2
import gzip
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec, untouched
from tests.servers import Database

TABLE = """
CREATE TYPE mood AS ENUM ('calm', 'glad');
CREATE TABLE t (id int PRIMARY KEY, name varchar(10) NOT NULL, qty numeric(6,2), day date, doc jsonb, mood mood);
INSERT INTO t VALUES (1, 'one', 1.50, '2024-01-01', '{"a": 1}', 'calm'), (2, 'two', 2, NULL, NULL, NULL)"""


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A file, and what is said of it; `line` is that of the error's place, 0 for the whole file."""

    data: bytes
    says: tuple[str, ...]
    line: int = 0
    code: str = "bad-row"
    source: dict[str, object] = field(default_factory=dict)
    keys: dict[str, object] = field(default_factory=dict)
    file: str = "rows.csv"


def bad(data: bytes | str, *says: str, line: int = 0, **more: object) -> Bad:
    return Bad(data=data.encode() if isinstance(data, str) else data, says=says, line=line, **more)  # type: ignore[arg-type]  # passed on


FILES = {
    "empty": bad(b"", "rows.csv is empty", code="source-unreadable"),
    "bom-only": bad(b"\xef\xbb\xbf", "empty", code="source-unreadable"),
    "blank-line-only": bad(b"\n", "x"),
    "no-header": bad("1,one\n2,two\n", "x", code="invalid-spec"),
    "wrong-delimiter": bad("id;name\n1;one\n", "delimiter", code="invalid-spec"),
    "wrong-delimiter-tab": bad("id\tname\n1\tone\n", "delimiter", code="invalid-spec"),
    "too-few": bad("id,name,qty\n1,one,1\n2,two\n", "x", line=3),
    "too-many": bad("id,name\n1,one\n2,two,3\n", "x", line=3),
    "blank-line": bad("id,name\n1,one\n\n2,two\n", "x", line=3),
    "open-quote": bad('id,name\n1,one\n2,"two\n3,three\n', "x", line=3),
    "open-quote-header": bad('id,"name\n1,one\n2,two\n', "x", line=1),
    "text-after-quote": bad('id,name\n1,"one"x\n2,"two" "\n', "x", line=3),
    "utf16": bad("id,name\n1,one\n".encode("utf-16"), "utf-16", code="source-unreadable"),
    "utf16-le-no-bom": bad("id,name\n1,one\n".encode("utf-16-le"), "utf-16-le", code="source-unreadable"),
    "utf32": bad("id,name\n1,one\n".encode("utf-32"), "x", code="source-unreadable"),
    "latin1": bad("id,name\n1,one\n2,caf\xe9\n".encode("latin-1"), "encoding", line=3),
    "latin1-header": bad("id,na\xefme\n1,one\n".encode("latin-1"), "encoding", line=1),
    "wrong-encoding-stated": bad("id,name\n1,é\n", "x", source={"encoding": "ascii"}, line=2, code="source-unreadable"),
    "nul": bad(b"id,name\n1,one\n2,tw\0o\n", "NUL", line=3),
    "nul-header": bad(b"id,na\0me\n1,one\n", "NUL", line=1),
    "backslash-dot-too-few": bad("id,name\n1,one\n\\.\n2,two\n", "x", line=3),
    "binary": bad(bytes(range(256)) * 4, "x"),
    "gzip-as-csv": bad(gzip.compress(b"id,name\n1,one\n"), "gzip", code="source-unreadable"),
    "header-twice": bad("id,name,name\n1,a,b\n", "more than once", line=1, code="source-unreadable"),
    "header-empty-name": bad("id,name,\n1,a,b\n", "no name", line=1, code="source-unreadable"),
    "text-in-number": bad("id,name,qty\n1,one,1\n2,two,zwei\n", "qty", line=3),
    "text-in-key": bad("id,name\n1,one\nx,two\n", "id", line=3),
    "number-out-of-range": bad("id,name,qty\n1,one,1\n2,two,123456789\n", "qty", line=3),
    "int-out-of-range": bad("id,name\n1,one\n99999999999,two\n", "id", line=3),
    "varchar-too-long": bad("id,name\n1,one\n2,two and a half\n", "name", line=3),
    "bad-date": bad("id,name,day\n1,one,2024-02-30\n", "day", line=2),
    "bad-json": bad('id,name,doc\n1,one,"{""a"": }"\n', "doc", line=2),
    "bad-enum": bad("id,name,mood\n1,one,sad\n", "mood", line=2),
    "null-in-not-null": bad("id,name\n3,\n", "name", line=2),
    "null-key": bad("id,name\n1,one\n,two\n", "x", code="null-keys"),
    "duplicate-key": bad("id,name\n1,one\n2,two\n2,zwei\n", "2", code="duplicate-keys"),
    "unknown-field": bad("id,nmae\n1,one\n", "nmae", "did you mean name", code="invalid-spec"),
    "nothing-matches": bad("a,b\n1,one\n", "x", code="invalid-spec"),
    "nothing-matches-ignored": bad("a,b\n1,one\n", "x", code="invalid-spec", keys={"ignore_fields": "*"}),
    "long-line-in-number": bad("id,name,qty\n1,one," + "9" * 2_000_000 + "\n", "qty", line=2),
    "megabytes-in-number": bad("id,name,qty\n1,one," + "x" * 2_000_000 + "\n", "qty", line=2),
    "megabytes-in-json": bad('id,name,doc\n1,one,"{""a"": ' + "x" * 2_000_000 + '}"\n', "doc", line=2),
}


def run_refused(db: Database, folder: Path, case: Bad, **keys: object) -> SyncError:
    (folder / case.file).write_bytes(case.data)
    source = {"path": case.file, **case.source} if case.source else case.file
    spec = a_spec(folder, source, **{"conflict_keys": ["id"], **case.keys, **keys})
    db.execute(TABLE)
    with untouched(db), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=db.url)
    show(caught.value)
    return caught.value


def show(error):
    from syncengine.views.text import PLUGIN
    with open("/tmp/w/bad/out.txt", "a") as f:
        f.write(os.environ["PYTEST_CURRENT_TEST"] + "\n" + PLUGIN.problems("", error)[:3000] + "\n")


@pytest.mark.parametrize("method", ["rows", "staged"])
@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_bad_file_is_refused_with_its_place(case: Bad, method: str, db: Database, tmp_path: Path):
    error = run_refused(db, tmp_path, case, execution={"method": method})

    assert error.code == case.code
    for text in case.says:
        assert text in str(error)
    assert error.location is not None
    assert error.location.line == case.line


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_copy_into_the_target_refuses_a_bad_file_likewise(case: Bad, db: Database, tmp_path: Path):
    error = run_refused(db, tmp_path, case, mode="insert", conflict_keys=[], execution={"method": "copy"})

    assert error.code == case.code
    assert error.location is not None
    assert error.location.line == case.line

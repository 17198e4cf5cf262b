"""What rows tell of their fields; that a run infers the same types is shown in tests/pg/test_init.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.propose import keys, look
from syncengine.propose.keys import find_keys
from syncengine.propose.look import Look
from syncengine.propose.reading import File, read


def looked(folder: Path, text: str, name: str = "rows.csv") -> Look:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return read(a_file(folder, name)).seen


def a_file(folder: Path, name: str = "rows.csv") -> File:
    kind = name.partition(".")[2]
    return File(type=kind, path=name, folder=str(folder), roots=(str(folder),))


@pytest.mark.parametrize(
    ("values", "type_name"),
    [
        pytest.param(["1", "-20"], "bigint", id="integers"),
        pytest.param(["1", "007"], "text", id="leading-zeros"),
        pytest.param(["1", "2.5"], "numeric", id="integers-and-fractions"),
        pytest.param(["1", "", "x"], "text", id="one-text-among-numbers"),
        pytest.param(["1", ""], "bigint", id="gaps"),
        pytest.param(["true", "False"], "boolean", id="booleans"),
        pytest.param(["t", "f"], "text", id="letters-are-no-booleans"),
        pytest.param(["2024-02-29"], "date", id="date"),
        pytest.param(["2023-02-29"], "text", id="no-such-day"),
        pytest.param(["2024-02-29 10:00", "2024-02-29T10:00:00.5"], "timestamp", id="timestamps"),
        pytest.param(["2024-02-29T10:00Z", "2024-02-29 10:00 +02"], "timestamp with time zone", id="zones"),
        pytest.param(["2024-02-29T10:00+17"], "text", id="no-such-zone"),
        pytest.param(["6f9619ff-8b86-d011-b42d-00c04fc964ff"], "uuid", id="uuid"),
        pytest.param(["", ""], "text", id="nothing"),
        pytest.param(['"1\n"'], "text", id="line-end-after-a-number"),
    ],
)
def test_type_is_that_of_all_values(values: list[str], type_name: str, tmp_path: Path):
    seen = looked(tmp_path, "v,w\n" + "".join(f"{value},x\n" for value in values))

    assert seen.fields[0].type == type_name


@pytest.mark.parametrize(
    ("values", "type_name"),
    [
        pytest.param(["1", "2"], "bigint", id="integers"),
        pytest.param(["1", "2.50"], "decimal", id="numbers"),
        pytest.param(["true"], "boolean", id="booleans"),
        pytest.param(['"1"'], "text", id="text-of-digits"),
        pytest.param(["1", '"a"'], "text", id="number-and-text"),
        pytest.param(['{"a": 1}', "[]"], "jsonb", id="nested"),
        pytest.param(['"2024-02-29"', "null"], "date", id="date-and-null"),
    ],
)
def test_type_of_json_values_is_what_they_say_they_are(values: list[str], type_name: str, tmp_path: Path):
    seen = looked(tmp_path, "".join(f'{{"v": {value}}}\n' for value in values), "rows.jsonl")

    assert seen.fields[0].type == type_name


def test_gaps_rows_and_lengths_are_told(tmp_path: Path):
    seen = looked(tmp_path, 'a,b,c\nää,,\nb,"",\n')

    assert seen.rows == 2
    assert [(field.gaps, field.empty, field.longest) for field in seen.fields] == [
        (False, False, 4),
        (True, False, 0),
        (True, True, 0),
    ]


def test_only_so_many_rows_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(look, "MOST_ROWS", 3)
    rows = "id\n1\n2\n3\n"

    whole, cut = looked(tmp_path, rows), looked(tmp_path, rows + "x\n")

    assert (whole.rows, whole.cut) == (3, False)
    assert (cut.rows, cut.cut, cut.fields[0].type) == (3, True, "bigint")


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        pytest.param("name,id\nx,1\nx,2\n", [["id"]], id="the-unique-one"),
        pytest.param("name,id\nx,1\ny,2\n", [["id"], ["name"]], id="id-comes-first"),
        pytest.param("email,user_id\na,1\nb,2\n", [["email"], ["user_id"]], id="first-and-well-named"),
        pytest.param(
            "a,email,user_id\na,a,1\nb,b,2\n", [["user_id"], ["email"], ["a"]], id="id-before-email"
        ),
        pytest.param("a,b,code\n1,1,x\n2,2,y\n", [["code"], ["a"], ["b"]], id="code-before-the-first"),
        pytest.param("id,v\n1,1\n,2\n", [["v"]], id="a-gap-is-no-key"),
        pytest.param("price,v\n1.5,1\n2.5,1\n", [], id="prices-are-no-keys"),
        pytest.param(
            "day,cur,rate\n2026-01-01,A,1\n2026-01-01,B,1\n2026-01-02,A,1\n", [["day", "cur"]], id="pair"
        ),
        pytest.param("a,b,c\n1,1,1\n1,1,2\n1,2,1\n", [["b", "c"]], id="pair-of-later-fields"),
        pytest.param("a,b\n1,1\n1,1\n", [], id="same-row-twice"),
        pytest.param("a,b\n", [], id="no-row"),
        pytest.param("id\n" + "x" * 300 + "\n" + "y" * 300 + "\n", [], id="too-long-for-an-index"),
        pytest.param(
            "id,v\nABCDEF00-8b86-d011-b42d-00c04fc964ff,1\nabcdef00-8b86-d011-b42d-00c04fc964ff,2\n",
            [["v"]],
            id="one-uuid-in-two-spellings",
        ),
        pytest.param(
            "id,v\n2026-01-01T10:00Z,1\n2026-01-01 12:00+02,2\n", [["v"]], id="one-moment-in-two-zones"
        ),
        pytest.param(
            "id,v\n" + "1" * 20 + ",1\n" + "2" * 20 + ",1\n", [["id"]], id="long-number-by-its-name"
        ),
    ],
)
def test_key_is_what_is_unique_and_never_empty(rows: str, found: list[list[str]], tmp_path: Path):
    (tmp_path / "rows.csv").write_text(rows)

    assert [list(key) for key in read(a_file(tmp_path)).keys] == found


def test_keys_are_found_where_memory_holds_the_values_of_one_field_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keys, "MOST_HELD", 3)
    (tmp_path / "rows.csv").write_text("id,code,v\n1,a,1\n2,b,2\n3,c,3\n1,d,4\n")
    source = a_file(tmp_path).open({})

    assert find_keys(source, look.look(source)) == [("code",)]

"""Parquet and Arrow files as sources: what they say of themselves, what they give, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from syncengine import registry
from syncengine.errors import SpecError, SyncError
from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.protocols import ArrowStream, Position, Source, Whereabouts

TABLE = pa.table({"id": list(range(10)), "v": [f"v{n}" for n in range(10)]})


def write(folder: Path, name: str, table: Any = TABLE) -> None:
    if name.endswith("parquet"):
        pyarrow.parquet.write_table(table, folder / name, row_group_size=4)
    elif name.endswith("arrow"):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    else:
        pyarrow.feather.write_feather(table, str(folder / name), chunksize=3)


def source(folder: Path, path: str, **options: object) -> Source:
    kind = "parquet" if "parquet" in path else "arrow"
    spec = SourceSpec(type=kind, options={"path": path, **options})
    return registry.source(kind).open_source(spec, Whereabouts(folder=str(folder), roots=(str(folder),)))


def rows(found: Source, after: int = 0) -> list[tuple[object, ...]]:
    with found.open(Handover.ROWS, Position(records=after)) as stream:
        assert isinstance(stream, ArrowStream)
        return list(stream)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
@pytest.mark.parametrize("after", [0, 1, 4, 5, 9, 10])
def test_reading_goes_on_behind_any_row(tmp_path: Path, name: str, after: int):
    write(tmp_path, name)

    assert rows(source(tmp_path, name), after) == [(n, f"v{n}") for n in range(after, 10)]


def test_reading_goes_on_behind_any_row_of_several_files_with_a_filter(tmp_path: Path):
    write(tmp_path, "1.parquet")
    write(tmp_path, "2.parquet", pa.table({"v": ["x", "y"], "id": [4, 100]}))
    found = source(tmp_path, "*.parquet", filter="id >= 4")
    whole = [*((n, f"v{n}") for n in range(4, 10)), (4, "x"), (100, "y")]

    assert [rows(found, after) for after in range(9)] == [whole[after:] for after in range(9)]


def test_rows_are_told_by_their_file_and_number(tmp_path: Path):
    write(tmp_path, "1.parquet")
    write(tmp_path, "2.parquet")

    with source(tmp_path, "*.parquet").open(Handover.ARROW) as stream:
        assert isinstance(stream, ArrowStream)
        assert sum(batch.num_rows for batch in stream.batches()) == 20
        assert [stream.locate(row) for row in (1, 10, 11)] == [
            "1.parquet, row 1",
            "1.parquet, row 10",
            "2.parquet, row 1",
        ]
        assert stream.bytes_read == sum((tmp_path / f"{n}.parquet").stat().st_size for n in (1, 2))


def test_facts_tell_fields_types_and_rows(tmp_path: Path):
    write(tmp_path, "a.parquet")

    facts = source(tmp_path, "a.parquet", columns=["v"]).describe()

    assert (facts.fields, facts.types, facts.rows, facts.exact) == (("v",), ("text",), 10, True)
    assert facts.handovers == Handover.ARROW | Handover.ROWS


def refused(folder: Path, path: str, **options: object) -> SyncError:
    with pytest.raises(SyncError) as failure:
        rows(source(folder, path, **options))
    return failure.value


def test_what_is_no_such_file_is_refused(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"id,v\n1,a\n")
    (tmp_path / "old.feather").write_bytes(b"FEA1....")

    assert refused(tmp_path, "a.parquet").message == "a.parquet can't be read"
    assert "first version of Feather" in refused(tmp_path, "old.feather").message


def test_a_damaged_file_is_refused_whole(tmp_path: Path):
    write(tmp_path, "a.parquet", pa.table({"id": list(range(100_000))}))
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[50_000:50_200] = bytes(200)
    (tmp_path / "a.parquet").write_bytes(data[: len(data) // 2])

    assert refused(tmp_path, "a.parquet").message == "a.parquet can't be read"


def test_standard_input_and_packed_files_are_refused_by_name(tmp_path: Path):
    spec = SourceSpec(type="parquet", options={"path": "-"})
    with pytest.raises(SyncError, match="can't be read from standard input"):
        registry.source("parquet").open_source(spec, Whereabouts(folder=str(tmp_path), roots=()))
    (tmp_path / "a.parquet.gz").write_bytes(b"")

    assert "is compressed as a whole with gzip" in refused(tmp_path, "a.parquet.gz").message


def test_files_of_other_fields_are_refused(tmp_path: Path):
    write(tmp_path, "1.parquet")
    write(tmp_path, "2.parquet", pa.table({"id": [1], "w": ["x"]}))

    assert "2.parquet has other fields" in refused(tmp_path, "*.parquet").message
    assert len(rows(source(tmp_path, "*.parquet", columns=["id"]))) == 11


ONE = pa.table({"id": [1], "n": [1]})


@pytest.mark.parametrize(
    ("other", "message", "detail"),
    [
        pytest.param(
            pa.table({"id": [2]}), "names the field 'n', which 2.parquet does not have", None, id="absent"
        ),
        pytest.param(
            pa.table({"id": [2], "n": ["x"]}),
            "compares the field n, which is string, with 1",
            "in 2.parquet",
            id="of-another-type",
        ),
        pytest.param(
            pa.table([[2], [1], [2]], ["id", "n", "n"]),
            "names the field 'n', of which 2.parquet has two",
            None,
            id="two-of-them",
        ),
    ],
)
def test_a_filter_must_fit_every_file_before_one_is_read(
    tmp_path: Path, other: Any, message: str, detail: str | None
):
    write(tmp_path, "1.parquet", ONE)
    write(tmp_path, "2.parquet", other)

    with pytest.raises(SpecError) as failure:
        source(tmp_path, "*.parquet", columns=["id"], filter="n = 1").describe()

    assert message in failure.value.message
    assert failure.value.detail == detail


def test_a_filter_may_fit_files_of_other_types(tmp_path: Path):
    write(tmp_path, "1.parquet", ONE)
    write(tmp_path, "2.parquet", pa.table({"id": [2], "n": [1.0]}))

    assert rows(source(tmp_path, "*.parquet", filter="n = 1", columns=["id"])) == [(1,), (2,)]


def test_two_fields_of_one_name_are_refused(tmp_path: Path):
    write(tmp_path, "a.feather", pa.table([pa.array([1]), pa.array([2])], ["id", "id"]))

    assert "two fields called 'id'" in refused(tmp_path, "a.feather").message


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path):
    write(tmp_path, "a.parquet")
    found = source(tmp_path, "a.parquet")
    found.describe()
    write(tmp_path, "a.parquet", pa.table({"id": [1], "v": ["x"]}))

    with pytest.raises(SyncError, match="changed"):
        rows(found)


def test_without_pyarrow_the_error_names_what_to_install(tmp_path: Path):
    write(tmp_path, "a.parquet")
    code = f"""
import sys
sys.modules["pyarrow"] = None
from syncengine.protocols import Whereabouts
from syncengine.model.spec import SourceSpec
from syncengine.sources.parquet import PLUGIN
where = Whereabouts(folder={str(tmp_path)!r}, roots=({str(tmp_path)!r},))
try:
    PLUGIN.open_source(SourceSpec(type="parquet", options={{"path": "a.parquet"}}), where).describe()
except Exception as error:
    print(error.code, error.hint)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert found.stdout == "not-available pip install 'syncengine[arrow]'\n", found.stderr


def test_nothing_of_arrow_is_imported_before_it_is_needed():
    code = "import sys, syncengine.api, syncengine.jobs; print({'pyarrow', 'numpy', 'pandas'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert found.stdout == "set()\n"

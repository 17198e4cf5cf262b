"""Arrow data that a Python caller hands over: what can be read again, and whose length is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from syncengine.errors import SourceError
from syncengine.model.facts import Handover
from syncengine.protocols import ArrowStream
from syncengine.sources._frames import frame_source, is_arrow
from syncengine.sources._tables import ArrowSource

TABLE = pa.table({"id": [1, 2, 3]})


class Query:
    """Like a relation of DuckDB: it has a length, and gives what is asked for at that moment."""

    def __init__(self) -> None:
        self.rows = 0

    def __len__(self) -> int:
        return self.rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        self.rows += 1
        return pa.table({"id": list(range(self.rows))}).__arrow_c_stream__(requested_schema)


class Table(Query):
    """Called like pyarrow's."""


class DataFrame(pd.DataFrame):
    """What is made of a DataFrame by somebody else."""


def files(folder: Path) -> Any:
    pyarrow.parquet.write_table(TABLE, folder / "a.parquet")
    return pyarrow.dataset.dataset(folder / "a.parquet")


def rows(found: ArrowSource) -> list[tuple[object, ...]]:
    with found.open(Handover.ROWS) as stream:
        assert isinstance(stream, ArrowStream)
        return list(stream)


# what is handed over, and the rows known beforehand
HELD: dict[str, tuple[Any, int | None]] = {
    "table": (TABLE, 3),
    "batch": (TABLE.to_batches()[0], 3),
    "structs": (TABLE.to_struct_array(), 3),
    "one-array-of-structs": (TABLE.to_struct_array().combine_chunks(), 3),
    "dataset": (pyarrow.dataset.dataset(TABLE), None),
    "datasets": (pyarrow.dataset.dataset([pyarrow.dataset.dataset(TABLE)]), None),
    "pandas": (TABLE.to_pandas(), 3),
    "polars": (pl.from_arrow(TABLE), 3),
}
PASSING: dict[str, Any] = {
    "reader": lambda: TABLE.to_reader(),
    "scanner": lambda: pyarrow.dataset.dataset(TABLE).scanner(),
    "query": Query,
    "of-the-same-name": Table,
    "of-a-class-made-of-it": lambda: DataFrame(TABLE.to_pandas()),
}


@pytest.mark.parametrize(("held", "count"), HELD.values(), ids=HELD)
def test_what_holds_its_rows_can_be_read_again(held: Any, count: int | None):
    found = frame_source(held)

    facts = found.describe()
    assert (facts.reopenable, facts.rows, facts.exact) == (True, count, count is not None)
    assert rows(found) == rows(found) == [(1,), (2,), (3,)]


def test_files_of_a_dataset_can_be_read_again(tmp_path: Path):
    found = frame_source(files(tmp_path))

    assert found.describe().reopenable
    assert rows(found) == rows(found) == [(1,), (2,), (3,)]


@pytest.mark.parametrize("make", PASSING.values(), ids=PASSING)
def test_what_may_give_other_rows_is_read_once_and_its_length_not_believed(make: Any):
    found = frame_source(make())

    facts = found.describe()
    assert (facts.reopenable, facts.rows, facts.exact) == (False, None, False)
    assert rows(found)
    with pytest.raises(SourceError, match="can be read only once"):
        rows(found)


def test_a_lazy_frame_is_no_table():
    assert not is_arrow(pl.LazyFrame({"id": [1]}))

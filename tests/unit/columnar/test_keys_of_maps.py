"""Maps and structs of Arrow as JSON: no value is lost where two keys would be one."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from syncengine.columnar import values, words
from syncengine.columnar.fields import Declined
from syncengine.execute.values import for_json
from syncengine.model.badrows import NoText


def maps(key: Any, *found: object) -> Any:
    return pa.array(found, pa.map_(key, pa.int32()))


def structs(*names: str) -> Any:
    return pa.StructArray.from_arrays([pa.array([1, None])] * len(names), names)


LISTS, STRUCTS = pa.list_(pa.int32()), pa.struct([("a", pa.int32())])
# the array, part of what is said of its first value, and of the detail
LOST = {
    "texts": (maps(pa.string(), [("a", 1), ("b", 1), ("a", 2)]), "two keys of a map", "the key 'a'"),
    "numbers": (maps(pa.int64(), [(1, 1), (1, 2)]), "two keys of a map", "the key 1"),
    "zeros": (maps(pa.float64(), [(0.0, 1), (-0.0, 2)]), "two keys of a map", "the key -0.0"),
    "no-numbers": (maps(pa.float64(), [(math.nan, 1), (math.nan, 2)]), "two keys of a map", "the key 'nan'"),
    "lists": (maps(LISTS, [([1], 1)]), "keys of a map are lists", ""),
    "structs": (maps(STRUCTS, [({"a": 1}, 1)]), "keys of a map are lists", ""),
    "fields": (structs("a", "b", "a"), "two fields called 'a'", ""),
    "fields-in-a-list": (pa.ListArray.from_arrays([0, 2], structs("a", "a")), "two fields called 'a'", ""),
    "in-a-union": (
        pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [structs("a", "a")]),
        "a union can't be read",
        "duplicate",
    ),
    "in-a-map": (
        pa.MapArray.from_arrays([0, 1], pa.array(["k"]), maps(pa.string(), [("a", 1), ("a", 2)])),
        "two keys of a map",
        "the key 'a'",
    ),
}
KEPT: dict[str, tuple[Any, list[object]]] = {
    "texts": (maps(pa.string(), [("a", 1), ("b", None)], [], None), [{"a": 1, "b": None}, {}, None]),
    "booleans": (maps(pa.bool_(), [(True, 1), (False, 2)]), [{"true": 1, "false": 2}]),
    "floats": (maps(pa.float64(), [(1.0, 1), (1.5, 2)]), [{"1.0": 1, "1.5": 2}]),
    "decimals": (maps(pa.decimal128(5, 2), [(Decimal("1.10"), 1)]), [{"1.10": 1}]),
    "dates": (maps(pa.date32(), [(0, 1), (1, 2)]), [{"1970-01-01": 1, "1970-01-02": 2}]),
    "bytes": (maps(pa.binary(), [(b"a", 1)]), [{"\\x61": 1}]),
    "no-lists": (maps(LISTS, [], None), [{}, None]),
    "fields": (structs("a", "b"), [{"a": 1, "b": 1}, {"a": None, "b": None}]),
    "no-structs": (pa.nulls(2, pa.struct([("a", pa.int32()), ("a", pa.int32())])), [None, None]),
}


@pytest.mark.parametrize(("array", "message", "detail"), LOST.values(), ids=LOST)
def test_a_value_that_would_be_lost_is_told_of(array: Any, message: str, detail: str):
    with pytest.raises(NoText) as failure:
        for_json(values.values(array)[0])

    assert message in str(failure.value)
    assert detail in (failure.value.detail or "")
    assert failure.value.hint


@pytest.mark.parametrize("array", [array for array, _, _ in LOST.values()], ids=LOST)
def test_such_columns_have_no_binary_form(array: Any):
    with pytest.raises(Declined):
        words.words(array, for_json)


@pytest.mark.parametrize(("array", "expected"), KEPT.values(), ids=KEPT)
def test_other_keys_are_written_as_their_texts(array: Any, expected: list[object]):
    texts = [for_json(value) for value in values.values(array)]

    assert [None if text is None else json.loads(text) for text in texts] == expected


def test_only_the_rows_that_lose_something_are_told_of():
    good, bad = values.values(maps(pa.string(), [("a", 1)], [("a", 1), ("a", 2)]))

    assert for_json(good) == '{"a": 1}'
    for _ in range(2):
        with pytest.raises(NoText):
            str(bad)

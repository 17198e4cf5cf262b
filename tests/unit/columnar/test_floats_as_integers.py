"""Floats in columns of integers: the number is that of the digits that are sent where the value goes as text."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncengine.columnar import numbers, values
from syncengine.columnar.fields import Declined
from syncengine.execute.values import for_integer

WIDTHS = {"smallint": 2, "integer": 4, "bigint": 8}
KINDS = {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}


def any_floats(width: int) -> st.SearchStrategy[float]:
    """Floats of all sizes, half of them whole ones that a bigint may hold."""
    whole = st.integers(-(2**63), 2**63).map(float) if width > 16 else st.integers(-65504, 65504).map(float)
    return st.floats(width=width) | whole.map(lambda one: _narrowed(one, width))


def _narrowed(number: float, width: int) -> float:
    form = {16: "e", 32: "f", 64: "d"}[width]
    return float(struct.unpack(form, struct.pack(form, number))[0])


def sent(array: Any, target: str) -> int | None:
    """Return the integer that the binary field holds, None if the value goes as text."""
    try:
        ((field,),) = (numbers.integer(array, target),)
    except Declined:
        return None
    size, number = field[0].as_py()[:4], field[0].as_py()[4:]
    assert int.from_bytes(size, "big") == len(number) == WIDTHS[target]
    return int.from_bytes(number, "big", signed=True)


@pytest.mark.parametrize("target", WIDTHS)
@pytest.mark.parametrize("width", KINDS)
def test_the_binary_form_is_the_integer_of_the_text(width: int, target: str):
    @example(float(2**24))
    @example(-0.0)
    @given(any_floats(width))
    def check(number: float) -> None:
        array = pa.array([number], pa.float64()).cast(KINDS[width], safe=False)
        found = sent(array, target)
        assert found is None or str(found) == for_integer(values.values(array)[0])

    check()


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        pytest.param(pa.float16(), 65504.0, 65504, id="the-largest-of-two-bytes"),
        pytest.param(pa.float32(), 3.0, 3, id="small"),
        pytest.param(pa.float32(), 16777216.0, 16777216, id="the-last-that-all-integers-precede"),
        pytest.param(pa.float32(), 123456789.0, 123456790, id="the-digits-and-not-the-bits"),
        pytest.param(pa.float64(), 123456789.0, 123456789, id="a-double-has-more-digits"),
        pytest.param(pa.float64(), float(2**60), 2**60, id="a-double-beyond-all-integers"),
        pytest.param(pa.float32(), 1.5, None, id="a-fraction"),
        pytest.param(pa.float32(), float(2**64), None, id="too-large"),
        pytest.param(pa.float64(), float(2**63), None, id="a-double-too-large"),
        pytest.param(pa.float32(), float("nan"), None, id="no-number"),
    ],
)
def test_whole_floats_are_integers_and_others_go_as_text(kind: Any, number: float, expected: int | None):
    assert sent(pa.array([number, None], pa.float64()).cast(kind), "bigint") == expected

"""Moments at the ends of what 64 bits hold: what PostgreSQL does not have goes as text, which it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from syncengine.columnar import times
from syncengine.columnar.fields import Declined

LEAST, MOST = -(2**63), 2**63 - 1


# The most that microseconds reach is a moment of the year 294247, which PostgreSQL has.
@pytest.mark.parametrize(
    ("unit", "number"),
    [
        *((unit, LEAST) for unit in ("s", "ms", "us", "ns")),
        *((unit, LEAST + 10**14) for unit in ("s", "ms", "us")),
        *((unit, MOST) for unit in ("s", "ms", "ns")),
    ],
)
def test_no_moment_comes_round_at_the_end(unit: Any, number: int):
    numbers = np.array([number, 5], dtype="int64")
    array = pa.Array.from_buffers(pa.timestamp(unit), 2, [None, pa.py_buffer(numbers)])

    with pytest.raises(Declined):
        times.timestamp(array, zoned=False, utc=True, digits=None)

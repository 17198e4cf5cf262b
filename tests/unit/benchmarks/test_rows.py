from itertools import islice

import pytest

from benchmarks.rows import BASE, Delta, generate
from benchmarks.shapes import INDEXED, NARROW, WIDE, Shape


@pytest.mark.parametrize("shape", [NARROW, INDEXED, WIDE], ids=lambda shape: shape.name)
def test_a_row_has_a_value_for_each_column(shape: Shape):
    assert {len(row) for row in generate(shape.data, 100)} == {len(shape.columns)}


def test_the_same_rows_come_each_time():
    assert list(generate("narrow", 500)) == list(generate("narrow", 500))


def test_more_rows_begin_with_the_same_ones():
    assert list(islice(generate("narrow", 900), 300)) == list(generate("narrow", 300))


@pytest.mark.parametrize("data", ["narrow", "wide"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_the_stated_share_of_rows_is_changed(data: str, share: float):
    rows = 10_007 if data == "narrow" else 1_000
    pairs = zip(generate(data, rows), generate(data, rows, Delta(changed=share)), strict=True)

    assert sum(before != after for before, after in pairs) / rows == pytest.approx(share, abs=0.02)


def test_the_stated_share_of_changed_rows_is_older():
    stored = generate("narrow", 5000)
    incoming = generate("narrow", 5000, Delta(changed=1.0, stale=0.5))
    older = sum(str(after[7]) < str(before[7]) for before, after in zip(stored, incoming, strict=True))

    assert older / 5000 == pytest.approx(0.5, abs=0.02)


def test_the_stated_share_of_rows_is_gone():
    assert 10_000 - sum(1 for _ in generate("narrow", 10_000, Delta(gone=0.01))) == pytest.approx(100, abs=10)


def test_each_n_th_row_keeps_its_number():
    assert [row[0] for row in generate("narrow", 100, Delta(every=25))] == ["25", "50", "75", "100"]


def test_names_hold_what_is_hard_to_read():
    names = "/".join(str(row[2]) for row in generate("narrow", 20_000, BASE))

    assert all(odd in names for odd in ('"', ",", "\n", "\\", "é"))

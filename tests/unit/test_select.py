"""--select: names, tags, and what a spec depends on."""

from __future__ import annotations

import pytest

from syncengine.errors import OptionError
from syncengine.order import Wait
from syncengine.select import select
from tests.builders import parsed

SPECS = [
    parsed("name: customers\ntags: [master, daily]"),
    parsed("name: products\ntags: [master]"),
    parsed("name: orders\ntags: [daily]"),
    parsed("name: order_items"),
]
# order_items -> orders -> customers by dependency; products only because of its target.
WAITS = [
    Wait(spec=3, after=2, reason="depends_on"),
    Wait(spec=2, after=0, reason="depends_on"),
    Wait(spec=2, after=1, reason="same target", needs=False),
]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        pytest.param([], "customers products orders order_items", id="nothing-means-all"),
        pytest.param(["orders"], "orders", id="name"),
        pytest.param(["orders", "customers"], "customers orders", id="several-keep-the-given-order"),
        pytest.param(["orders", "orders"], "orders", id="twice-is-once"),
        pytest.param(["tag:master"], "customers products", id="tag"),
        pytest.param(["tag:master", "order_items"], "customers products order_items", id="tag-and-name"),
        pytest.param(["+customers"], "customers", id="with-nothing-it-depends-on"),
        pytest.param(["+order_items"], "customers orders order_items", id="with-all-it-depends-on"),
        pytest.param(["+tag:daily"], "customers orders", id="a-tag-with-all-it-depends-on"),
    ],
)
def test_select(wanted: list[str], chosen: str):
    assert [SPECS[number].name for number in select(SPECS, wanted, WAITS)] == chosen.split()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        pytest.param("order_itmes", "did you mean order_items?", id="name"),
        pytest.param("+odrers", "did you mean orders?", id="name-with-needs"),
        pytest.param("tag:mater", "did you mean tag:master?", id="tag"),
        pytest.param("zzz", "known: customers, order_items, orders, products", id="nothing-near"),
        pytest.param("orders*", "did you mean orders?", id="no-wildcards"),
    ],
)
def test_what_selects_nothing_is_an_error(pattern: str, hint: str):
    with pytest.raises(OptionError) as raised:
        select(SPECS, ["customers", pattern])

    assert (raised.value.message, raised.value.hint) == (f"--select {pattern} selects nothing", hint)

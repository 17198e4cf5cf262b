"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import syncengine

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(syncengine.__path__, prefix="syncengine.")
    if module.name != "syncengine.__main__"
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name: str):
    module = importlib.import_module(name)

    assert doctest.testmod(module).failed == 0

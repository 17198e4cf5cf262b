"""What docs/spec.md describes and this version does not carry out: the only list of it.

Each gives NotAvailable at its place; nothing is accepted and ignored.  A value that asks for nothing
(`checks: []`) or for what happens anyway (`transaction: all`) is fine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

LATER_SOURCES = ("sql", "python", "singer")
LATER_SCHEMES = ("http", "https", "s3", "gs", "az")
_LATER_KEYS = [
    "incremental",
    "keep_before_images",
    "notify",
    "matrix",
]
_LATER_VALUES: dict[str, Callable[[object], bool]] = {
    "execution/engine": lambda value: value != "local",
    "execution/method": lambda value: value == "server",
}


def not_available(data: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield pointer and name of each key of a spec that is not available yet; a `:` in the name tells a
    value.
    """
    for path in _LATER_KEYS:
        found, value = _find(data, path)
        if found and value not in ({}, [], False, None):
            yield _pointer(path), path.replace("/", ".")
    for path, is_later in _LATER_VALUES.items():
        found, value = _find(data, path)
        if found and is_later(value):
            yield _pointer(path), f"{path.replace('/', '.')}: {_word(value)}"


def _find(data: dict[str, object], path: str) -> tuple[bool, object]:
    value: object = data
    for key in path.split("/"):
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _pointer(path: str) -> str:
    return f"/{path}"


def _word(value: object) -> str:
    return str(next(iter(value), "")) if isinstance(value, dict) else str(value)


_ROWS_FROM_PYTHON = "hand the rows over in Python: syncengine.run(spec, source=rows)"
# What to do meanwhile, by the beginning of a name; the first that fits.
_INSTEAD = {
    "source type sql": f"export the query's rows as CSV, or {_ROWS_FROM_PYTHON}",
    "source type python": _ROWS_FROM_PYTHON,
    "source type singer": f"write its records as JSON lines, or {_ROWS_FROM_PYTHON}",
    "source type": "write the rows as CSV or JSON lines",
    **{f"{scheme}://": "fetch it first, and name the file" for scheme in LATER_SCHEMES},
}


def instead(name: str) -> str:
    """Return how to do without what is not available yet.

    >>> instead("matrix"), instead("execution/engine: ray")
    ('remove it: docs/spec.md says what there is', 'use another value: docs/spec.md says which there are')
    """
    known = next((text for start, text in _INSTEAD.items() if name.startswith(start)), None)
    if known is None and ": " in name:
        return "use another value: docs/spec.md says which there are"
    return known or "remove it: docs/spec.md says what there is"


def later_keys() -> tuple[str, ...]:
    """Return the keys of a spec that are not available yet, such as `matrix` and `execution/workers`."""
    return tuple(_LATER_KEYS)


def later_values() -> dict[str, Callable[[object], bool]]:
    """Return keys of a spec, each with what tells whether a value of it is not available yet."""
    return dict(_LATER_VALUES)

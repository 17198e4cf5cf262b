"""What docs/spec.md describes and this version does not carry out: the only list of it.

Each gives NotAvailable at its place; nothing is accepted and ignored.  A value that asks for nothing
(`checks: []`) or for what happens anyway (`transaction: all`) is fine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

LATER_SOURCES = ("parquet", "arrow", "sql", "python", "singer")
LATER_EXTENSIONS = {"parquet": "parquet", "arrow": "arrow", "feather": "arrow"}
LATER_SCHEMES = ("http", "https", "s3", "gs", "az")
_LATER_KEYS = [
    "incremental",
    "keep_before_images",
    "notify",
    "matrix",
    "execution/chunk_rows",
    "execution/workers",
]
_LATER_VALUES: dict[str, Callable[[object], bool]] = {
    "bad_rows": lambda value: value != "fail",
    "null_keys": lambda value: value == "quarantine",
    "execution/transaction": lambda value: value != "all",
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

"""Conditions on the rows of Arrow data, by pyarrow's own comparisons."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

from syncengine.columnar.lib import DataType, pa, pc
from syncengine.errors import SpecError

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compared(name: str, kind: DataType, op: str, values: Sequence[object]) -> Any:
    """Return the condition that a field stands so to literals.  Raises SpecError where they are of no such type."""
    field = pc.field(name)
    if op == "null":
        return field.is_null()
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        field = field.cast(kind)
    literals = [_literal(name, kind, value) for value in values]
    try:
        return reduce(operator.or_, [_COMPARE[op if op != "in" else "="](field, one) for one in literals])
    except pa.ArrowException as error:
        raise _unfit(name, kind, values[0]) from error


def joined(op: str, parts: Sequence[Any]) -> Any:
    """Return conditions joined by `and` or `or`; the opposite of the only one for `not`."""
    if op == "not":
        return ~parts[0]
    return reduce(operator.and_ if op == "and" else operator.or_, parts)


def _literal(name: str, kind: DataType, value: object) -> Any:
    wanted = bool if pa.types.is_boolean(kind) else Decimal if _is_number(kind) else str
    if not isinstance(value, wanted):
        raise _unfit(name, kind, value)
    try:
        if pa.types.is_floating(kind):
            return pa.scalar(float(str(value)), kind)
        return pa.scalar(value if isinstance(value, bool) else str(value)).cast(kind)
    except (pa.ArrowException, ValueError) as error:
        raise _unfit(name, kind, value) from error


def _is_number(kind: DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _unfit(name: str, kind: DataType, value: object) -> SpecError:
    return SpecError(
        f"`filter` compares the field {name}, which is {kind}, with {value!s}",
        hint="write numbers plainly, and texts, dates and times in single quotes",
    )

"""SQL expressions of a spec: parsed by PostgreSQL's own grammar, allow-listed, deparsed and cut at columns.

What goes to the server is the deparsed text, never the user's.  The fragment is parsed unwrapped as
`SELECT 1 WHERE <fragment>`: in parentheses `true) OR (1=1` would pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from syncengine.errors import Location, SpecError
from syncengine.model.spec import ColumnRef, Expression
from syncengine.spec.allowed import Check, functions
from syncengine.spec.grammar import (
    Place,
    Tree,
    deparse,
    excerpt,
    nodes,
    offsets,
    on_one_line,
    raw,
    readable,
    tree_of,
)
from syncengine.spec.names import column_alone
from syncengine.values import replace

_PREFIX = "SELECT 1 WHERE "
_TYPE_HINT = "write a type as in SQL, such as numeric(12,2)"
_TYPE_PREFIX = "SELECT CAST(NULL AS "
_PLACES = frozenset(
    ["location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end", "stmt_location", "stmt_len"]
)

# Kinds of PostgreSQL's A_Expr: operators that OPERATOR(schema.name) can stand for (plain, ANY, ALL) …
_NAMEABLE = frozenset([1, 2, 3])
# … and BETWEEN in its four forms, which is made of comparisons.
_BEHIND = dict.fromkeys([11, 12, 13, 14], "<=")


def parse(
    text: str,
    *,
    location: Location,
    allowed: frozenset[str],
    allow_functions: frozenset[str] = frozenset(),
    place: Place | None = None,
) -> Expression:
    """Return the expression that `text` holds; `allowed` are the relations it may name.

    With no relation allowed, columns stand alone; otherwise each needs its relation.  `place` gives the
    location of the character at an offset of the text; without it the text is taken to stand plain on one
    line at `location`. Raises SpecError for syntax errors and for everything that is not allow-listed.
    """
    if not allowed and (column := column_alone(text)):
        return Expression(text=text, parts=(ColumnRef(relation=None, name=column),), location=location)
    place = place or on_one_line(text, location)
    tree = tree_of(text, _PREFIX, place)
    select = tree.stmts[0].stmt.select_stmt
    _check_shape(tree, text, place)
    offset = offsets(text, _PREFIX)
    check = Check(allowed, allow_functions, lambda position: place(offset(position)))
    check.node(select.where_clause)
    parts = _cut(tree, check.columns, place(0))
    return Expression(
        text=text,
        parts=parts,
        functions=tuple(sorted(check.functions)),
        volatility="stable" if check.depends_on_time else "immutable",
        location=location,
    )


def of_catalog(text: str) -> Expression:
    """Return a default that the server deparsed under the pinned path; it is the table's owner's, so all is allowed.

    It counts as immutable only where all of its functions are known to be.
    """
    tree = readable(_PREFIX + text)
    if tree is None:
        return Expression(text=text, parts=(text,), volatility="stable")
    names = [[part.string.sval for part in node.funcname] for node in nodes(tree, "FuncCall")]
    known = functions()
    fixed = all(len(name) == 1 and known.get(name[0]) is False for name in names)
    fixed = fixed and not nodes(tree, "SQLValueFunction")
    called = tuple(sorted({".".join(name) for name in names}))
    return Expression(
        text=text, parts=(text,), functions=called, volatility="immutable" if fixed else "stable"
    )


def with_operators(value: Expression, schema_of: Callable[[str, ColumnRef], str | None]) -> Expression:
    """Return the expression with operators beside columns named with the schema that `schema_of` gives, if any.

    Raises SpecError where the syntax leaves no room for a schema, as IN and LIKE do.
    """
    if _is_column(value):
        return value
    location = value.location or Location("")
    tree, names = _read_again(value)
    found = False
    for node in nodes(tree, "A_Expr"):
        operator = _BEHIND.get(node.kind, node.name[-1].string.sval)
        refs = (names.get(_column_name(operand)) for operand in (node.lexpr, node.rexpr))
        schema = next((s for ref in refs if ref is not None and (s := schema_of(operator, ref))), None)
        if schema is None:
            continue
        if node.kind not in _NAMEABLE:
            hint = "write it with operators such as = ANY (…), or cast the column to text"
            message = f"this syntax can't name {schema}'s operator {operator}"
            raise SpecError(message, detail=excerpt(value.text), hint=hint, location=location)
        del node.name[:]
        for word in (schema, operator):
            node.name.add().string.sval = word
        found = True
    if not found:
        return value
    return replace(value, parts=_cut(tree, _columns(tree, names), location))


def in_full(value: Expression) -> Expression:
    """Return the expression with its functions, types and operators named with their schema, pg_catalog.

    Under a path that anybody may put objects on, `lower(k)` could be a function of somebody's that suits k better.
    IN, LIKE and BETWEEN leave no room for a schema.
    """
    if _is_column(value):
        return value
    tree, names = _read_again(value)
    for node in nodes(tree, "FuncCall"):
        _in_catalog(node.funcname)
    for node in nodes(tree, "TypeName"):
        _in_catalog(node.names)
    for node in nodes(tree, "A_Expr"):
        if node.kind in _NAMEABLE:
            _in_catalog(node.name)
    return replace(value, parts=_cut(tree, _columns(tree, names), value.location or Location("")))


def _is_column(value: Expression) -> bool:
    """Tell whether an expression is one column: nothing in it needs the grammar, which takes 0.1 s to import."""
    return len(value.parts) == 1 and isinstance(value.parts[0], ColumnRef)


def _in_catalog(name: Tree) -> None:
    """Put pg_catalog before a name that has no schema yet."""
    if len(name) == 1:
        own = name[0].string.sval
        name[0].string.sval = "pg_catalog"
        name.add().string.sval = own


def without_collation(value: Expression) -> tuple[Expression, tuple[str, ...]]:
    """Take apart `expression COLLATE name`: the expression, and the name's parts; () if that is not what it is."""
    if _is_column(value):
        return value, ()
    tree, names = _read_again(value)
    node = tree.stmts[0].stmt.select_stmt.where_clause
    if not node.HasField("collate_clause"):
        return value, ()
    collation = tuple(part.string.sval for part in node.collate_clause.collname)
    inner = type(node)()
    inner.CopyFrom(node.collate_clause.arg)
    node.CopyFrom(inner)
    parts = _cut(tree, _columns(tree, names), value.location or Location(""))
    return replace(value, parts=parts), collation


def _read_again(value: Expression) -> tuple[Tree, dict[str, ColumnRef]]:
    """Return the tree of an expression with a name for each of its columns, and what they stand for."""
    names = {f"c{number}": ref for number, ref in enumerate(value.columns)}
    numbers = iter(names)
    text = "".join(part if isinstance(part, str) else next(numbers) for part in value.parts)
    return raw(_PREFIX + text), names


def _columns(tree: Tree, names: dict[str, ColumnRef]) -> list[tuple[Tree, ColumnRef]]:
    return [(node, names[node.fields[0].string.sval]) for node in nodes(tree, "ColumnRef")]


def _column_name(operand: Tree) -> str:
    return operand.column_ref.fields[0].string.sval if operand.HasField("column_ref") else ""


def parse_type(text: str, *, location: Location) -> str:
    """Return an SQL type's name with its modifiers, as PostgreSQL's grammar reads it.  Raises SpecError."""
    place = on_one_line(text, location)
    tree = tree_of(text, _TYPE_PREFIX, place, ")")
    select = tree.stmts[0].stmt.select_stmt
    cast = select.target_list[0].res_target.val
    if _without_target(tree) != _without_target(raw(f"{_TYPE_PREFIX}text)")) or not cast.HasField(
        "type_cast"
    ):
        raise SpecError(f"`{text}` is not a type", hint=_TYPE_HINT, location=location)
    name = cast.type_cast.type_name
    if name.setof or name.pct_type or not cast.type_cast.arg.HasField("a_const"):
        raise SpecError(f"`{text}` is not a type", hint=_TYPE_HINT, location=location)
    return deparse(tree, location).removeprefix("SELECT NULL::")


def _check_shape(tree: Tree, text: str, place: Place) -> None:
    """Refuse everything beside WHERE: GROUP BY, UNION, LIMIT, FOR UPDATE, …"""
    rest, template = type(tree)(), raw(f"{_PREFIX}true")
    rest.CopyFrom(tree)
    for one in (rest, template):
        one.stmts[0].stmt.select_stmt.ClearField("where_clause")
    if rest.stmts[0].stmt.select_stmt != template.stmts[0].stmt.select_stmt:
        raise SpecError(
            "the SQL is more than one expression",
            detail=excerpt(text),
            hint="clauses such as GROUP BY, ORDER BY, LIMIT or UNION have no place here",
            location=place(0),
        )


def _without_target(tree: Tree) -> Tree:
    rest = type(tree)()
    rest.CopyFrom(tree)
    rest.stmts[0].ClearField("stmt_len")
    select = rest.stmts[0].stmt.select_stmt
    if len(select.target_list) == 1:
        select.target_list[0].res_target.ClearField("val")
    return rest


def _cut(
    tree: Tree, columns: Iterable[tuple[Tree, ColumnRef]], location: Location
) -> tuple[str | ColumnRef, ...]:
    """Deparse the tree with a placeholder for each column, and cut the text there."""
    before = deparse(tree, location)
    # Cheap beside what a wrong deparse would do: the text that is sent must mean what was checked.
    again = readable(before)
    if again is None or _without_places(again) != _without_places(tree):
        raise SpecError("the SQL cannot be written back as it was read", location=location)
    mark = "ref_"
    while mark in before:
        mark = f"_{mark}"
    refs: list[ColumnRef] = []
    for node, ref in columns:
        del node.fields[:]
        node.fields.add().string.sval = f"{mark}{len(refs)}_"
        refs.append(ref)
    pieces = re.split(f"{mark}([0-9]+)_", deparse(tree, location).removeprefix(_PREFIX))
    parts = [refs[int(piece)] if number % 2 else piece for number, piece in enumerate(pieces)]
    return tuple(part for part in parts if part)


def _without_places(tree: Tree) -> Tree:
    copy = type(tree)()
    copy.CopyFrom(tree)
    waiting: list[Any] = [copy]
    while waiting:
        message = waiting.pop()
        for field, value in message.ListFields():
            if field.name in _PLACES:
                message.ClearField(field.name)
            elif field.message_type is not None:
                waiting.extend((value,) if hasattr(value, "DESCRIPTOR") else value)
    return copy

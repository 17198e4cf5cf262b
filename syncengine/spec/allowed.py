"""What an SQL expression may hold: an allow-list of syntax, functions, types and columns.

Works on the parse tree by its field names alone, so that it needs no import of the parser.  A node type that
is not listed is refused: subqueries, parameters, aggregates, window functions, stars, XML and JSON
constructors, ….
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any

from syncengine.errors import Location, SpecError
from syncengine.model.spec import ColumnRef

# Nodes are protobuf messages; their classes differ node by node, and fields are read by name.
Node = Any

_TRANSPARENT = frozenset(
    [
        "A_Const",
        "A_ArrayExpr",
        "A_Indices",
        "BoolExpr",
        "BooleanTest",
        "CaseExpr",
        "CaseWhen",
        "CoalesceExpr",
        "List",
        "MinMaxExpr",
        "NamedArgExpr",
        "NullTest",
        "RowExpr",
        "Integer",
        "Float",
        "Boolean",
        "String",
        "BitString",
    ]
)
_REFUSED = {
    "SubLink": "subqueries are not allowed",
    "ParamRef": "parameters are not allowed",
    "A_Star": "`*` is not allowed",
    "GroupingFunc": "GROUPING is not allowed",
    "SetToDefault": "DEFAULT is not allowed",
    "XmlExpr": "XML constructors are not allowed",
    "XmlSerialize": "XMLSERIALIZE is not allowed",
    "CurrentOfExpr": "CURRENT OF is not allowed",
    "MergeSupportFunc": "merge_action() is not allowed",
}
# Types whose texts name things of the database, their arrays, and the rows of the catalog, which hold such.
_LOOKS_UP = re.compile("_?(?:reg|aclitem|pg_(?!lsn|snapshot))")
_NOW = frozenset({"now", "today", "tomorrow", "yesterday"})
_INCOMING = frozenset(
    [
        "incoming",
        "new",
        "new_row",
        "inserted",
        "values",
        "src",
        "source",
        "staged",
        "staging",
        "stage",
        "s",
        "excluded",
    ]
)
_STORED = frozenset(
    [
        "old",
        "old_row",
        "existing",
        "current",
        "dst",
        "dest",
        "destination",
        "stored",
        "self",
        "t",
        "this",
        "target",
        "table",
    ]
)


@lru_cache(maxsize=1)
def functions() -> dict[str, bool]:
    """Return the allowed functions of pg_catalog; True: the value depends on the time of the run."""
    text = files("syncengine.spec").joinpath("functions.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {name: bool(flags) for name, *flags in lines}


class Check:
    """Walks one expression; raises SpecError at the first node that is not allowed, and gathers columns on
    the way.
    """

    def __init__(
        self, relations: frozenset[str], allow_functions: frozenset[str], place: Callable[[int], Location]
    ) -> None:
        self.relations = relations
        self.allow_functions = allow_functions
        self.place = place
        self.columns: list[tuple[Node, ColumnRef]] = []
        self.functions: set[str] = set()
        self.depends_on_time = False

    def node(self, wrapped: Node) -> None:
        """Check one node and all below it."""
        node = _unwrapped(wrapped)
        kind = type(node).__name__
        special = getattr(self, f"_{kind.lower()}", None)
        if special is not None:
            special(node)
        elif kind in _TRANSPARENT:
            self._below(node)
        else:
            raise self._error(node, _REFUSED.get(kind, f"{kind} is not allowed in an expression"))

    def _below(self, node: Node, *skip: str) -> None:
        for name, message in _children(node):
            if name not in skip:
                self.node(message)

    def _columnref(self, node: Node) -> None:
        parts = [_unwrapped(part) for part in node.fields]
        if any(type(part).__name__ != "String" for part in parts):
            raise self._error(node, "`*` is not allowed")
        names = [part.sval for part in parts]
        if len(names) > 2:
            raise self._error(node, f"`{'.'.join(names)}` has too many parts", self._right(names[-1]))
        relation = names[0] if len(names) == 2 else None
        if relation is None and self.relations:
            raise self._error(node, f"the column `{names[-1]}` needs its relation", self._right(names[-1]))
        if relation is not None and relation not in self.relations:
            raise self._error(
                node, f"there is no relation `{relation}` here", self._right(names[-1], relation=relation)
            )
        self.columns.append((node, ColumnRef(relation=relation, name=names[-1])))

    def _right(self, column: str, relation: str | None = None) -> str:
        if not self.relations:
            return f"write the column alone: {column}"
        meant = sorted(self.relations, reverse=True)
        if relation in _INCOMING:
            meant = sorted(self.relations - {"target"}) or meant
        elif relation in _STORED:
            meant = sorted(self.relations & {"target"}) or meant
        elif relation and (near := get_close_matches(relation, meant, n=1)):
            meant = near
        return f"write {' or '.join(f'{name}.{column}' for name in meant)}"

    def _a_expr(self, node: Node) -> None:
        names = [_unwrapped(part).sval for part in node.name]
        if not _built_in(names):
            raise self._error(node, f"the operator {'.'.join(names)} of a schema is not allowed")
        self._below(node, "name")

    def _a_indirection(self, node: Node) -> None:
        # `(x).f` may call a function f, so only subscripts are let through.
        if any(type(_unwrapped(part)).__name__ != "A_Indices" for part in node.indirection):
            raise self._error(_unwrapped(node.arg), "fields of composite values are not allowed")
        self._below(node)

    def _collateclause(self, node: Node) -> None:
        names = [_unwrapped(part).sval for part in node.collname]
        if not _built_in(names):
            raise self._error(node, f"the collation {'.'.join(names)} of a schema is not allowed")
        self._below(node, "collname")

    def _typecast(self, node: Node) -> None:
        constant = _unwrapped(node.arg)
        if type(constant).__name__ == "A_Const" and constant.sval.sval.strip().lower() in _NOW:
            self.depends_on_time = True
        self._below(node)

    def _typename(self, node: Node) -> None:
        names = [_unwrapped(part).sval for part in node.names]
        wrong = not _built_in(names) or _LOOKS_UP.match(names[-1])
        if wrong or node.setof or node.pct_type:
            raise self._error(node, f"the type {'.'.join(names)} is not allowed in an expression")
        self._below(node, "names")

    def _sqlvaluefunction(self, node: Node) -> None:
        name = type(node).DESCRIPTOR.fields_by_name["op"].enum_type.values_by_number[node.op].name
        if not any(word in name for word in ("DATE", "TIME")):
            word = name.removeprefix("SVFOP_").lower()
            raise self._error(node, f"{word} is not allowed: its value depends on who runs the spec")
        self.depends_on_time = True

    def _funccall(self, node: Node) -> None:
        names = [_unwrapped(part).sval for part in node.funcname]
        if node.agg_star or node.agg_distinct or node.agg_within_group or node.agg_order:
            raise self._error(node, f"{names[-1]} is called as an aggregate, which is not allowed")
        if node.HasField("over") or node.HasField("agg_filter"):
            raise self._error(node, f"{names[-1]} is called as a window function, which is not allowed")
        self._function(node, names)
        self._below(node, "funcname")

    def _function(self, node: Node, names: list[str]) -> None:
        name = names[-1]
        built_in = _built_in(names)
        full = ".".join(names) if len(names) > 1 else f"pg_catalog.{name}"
        if built_in and name in functions():
            at_two_times = name == "age" and len(node.args) == 2
            self.depends_on_time |= functions()[name] or (name == "age" and not at_two_times)
        elif full in self.allow_functions and not any("." in part for part in names):
            self.functions.add(full)
            # An allowed built-in function is not in the list because it is volatile or stable.
            self.depends_on_time |= built_in
        else:
            raise self._error(
                node, f"the function {'.'.join(names)} is not allowed", self._function_hint(names)
            )

    def _function_hint(self, names: list[str]) -> str:
        elsewhere = sorted(full for full in self.allow_functions if full.endswith(f".{names[-1]}"))
        if elsewhere:
            return f"write {' or '.join(elsewhere)}"
        # A slip in a short name leaves little that is alike.
        cutoff = 0.6 if len(names[-1]) < 5 else 0.8
        near = get_close_matches(names[-1], functions(), n=1, cutoff=cutoff) if len(names) == 1 else []
        full = ".".join(names) if len(names) > 1 else f"SCHEMA.{names[-1]}"
        ask = f"put {full} under `allow_functions:` in syncengine.yaml (pg_catalog for a built-in function)"
        return f"did you mean {near[0]}? Otherwise {ask}" if near else ask

    def _error(self, node: Node, message: str, hint: str | None = None) -> SpecError:
        return SpecError(f"SQL: {message}", hint=hint, location=self.place(_position(node)))


def _built_in(names: Sequence[str]) -> bool:
    """Tell whether a name is found in pg_catalog; three parts would begin with a database's name."""
    return len(names) == 1 or (len(names) == 2 and names[0] == "pg_catalog")


def _unwrapped(node: Node) -> Node:
    if node.DESCRIPTOR.name != "Node":
        return node
    kind = node.WhichOneof("node")
    return getattr(node, kind) if kind else node


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    for field, value in node.ListFields():
        if field.message_type is not None:
            for item in (value,) if hasattr(value, "DESCRIPTOR") else value:
                yield field.name, item


def _position(node: Node) -> int:
    """Return the first byte offset known for the node or the nodes below it, 0 if none is."""
    own = getattr(node, "location", -1)
    if own > 0:
        return int(own)
    below = (_position(_unwrapped(item)) for _, item in _children(node))
    return next((position for position in below if position > 0), 0)

"""PostgreSQL's own grammar: SQL text -> tree -> SQL text, with places of errors.  The only importer of postgast."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from syncengine.errors import Location, SpecError

# The C parser and deparser recurse: 600 kB of `a||a||…` overran the stack, 60 kB did not.
_MAX_LENGTH = 10_000
_MAX_READ_BACK = 50_000

# What a SELECT may have inside, and still writes.
_WRITING = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "LockingClause")
# What stays with the session when its transaction is over.
_OF_THE_SESSION = frozenset(["listen_stmt", "prepare_stmt", "load_stmt", "discard_stmt"])

Place = Callable[[int], Location]
# A protobuf message; its class is known to the parser alone.
Tree = Any


def tree_of(text: str, prefix: str, place: Place, suffix: str = "") -> Tree:
    """Return the tree of one SELECT that `text`, between `prefix` and `suffix`, is a part of.  Raises SpecError."""
    tree = _tree(text, prefix, place, suffix)
    if kinds(tree) != ["select_stmt"]:
        raise SpecError("the SQL holds more than one expression", detail=excerpt(text), location=place(0))
    return tree


def query(text: str, place: Place) -> str:
    """Return a text that is one query, without what follows it.  Raises SpecError."""
    tree = _tree(text, "", place)
    if kinds(tree) != ["select_stmt"] or tree.stmts[0].stmt.select_stmt.HasField("into_clause"):
        raise SpecError(
            "the SQL is not one query",
            detail=excerpt(text),
            hint="write one SELECT that gives a boolean",
            location=place(0),
        )
    if any(nodes(tree, kind) for kind in _WRITING):
        raise SpecError(
            "the SQL holds a data-modifying statement or locks rows",
            detail=excerpt(text),
            hint="a check may only read; statements that write belong under `before` or `after`",
            location=place(0),
        )
    return _alone(tree, text)


def statement(text: str, place: Place) -> str:
    """Return a text that is one statement of which nothing outlives its transaction but what it writes.

    Raises SpecError.
    """
    tree = _tree(text, "", place)
    found = kinds(tree)
    if len(found) != 1:
        hint = "make each statement an item of the list"
        message = "the SQL holds more than one statement" if found else "the SQL holds no statement"
        raise SpecError(message, detail=excerpt(text), hint=hint, location=place(0))
    message, hint = _misplaced(tree.stmts[0].stmt)
    if message:
        raise SpecError(message, detail=excerpt(text), hint=hint, location=place(0))
    return _alone(tree, text)


def _misplaced(found: Tree) -> tuple[str, str]:
    """Return why a statement can't be one of the publishing transaction, and the remedy; empty texts if it can."""
    match found.WhichOneof("node"):
        case "transaction_stmt":
            hint = "leave it out: the run begins and commits by itself"
            return "the SQL would end the publishing transaction", hint
        case "variable_set_stmt" if not found.variable_set_stmt.is_local:
            # The connection serves other specs as well, or other clients of a pooler.
            if found.variable_set_stmt.name != "TRANSACTION":
                return "the setting would outlive the run", "write SET LOCAL, or give it under `session`"
        case kind if kind in _OF_THE_SESSION:
            return "what this does to the session would outlive the run", "leave it out"
        case "copy_stmt" if not found.copy_stmt.filename:
            hint = "rows come from the `source`; see `returning` for rows that are to come out"
            return "there is nobody to COPY from or to within a run", hint
    return "", ""


def _alone(tree: Tree, text: str) -> str:
    """Return a statement without the semicolon that ends it and the comments after that."""
    found = tree.stmts[0]
    end = found.stmt_location + found.stmt_len if found.stmt_len else None
    return text.encode()[:end].decode().strip()


def redirected(sql: str, table: tuple[str, str], to: tuple[str, str]) -> str:
    """Return a query that reads the relation `to` where it read the table; the table's name stays as an alias.

    An unqualified name is taken for the table's, unless the query gives it to a subquery by WITH.
    """
    tree = raw(sql)
    if any(node.ctename == table[1] for node in nodes(tree, "CommonTableExpr")):
        return sql
    for node in nodes(tree, "RangeVar"):
        if node.relname != table[1] or node.schemaname not in ("", table[0]):
            continue
        if not node.HasField("alias"):
            node.alias.aliasname = node.relname
        node.schemaname, node.relname = to
    return str(_parser().deparse(tree))


def relations(sql: str) -> list[tuple[str | None, str]]:
    """Return the tables and views that a statement names, with their schemas where it states them."""
    tree = raw(sql)
    own = {node.ctename for node in nodes(tree, "CommonTableExpr")}
    named = [(node.schemaname or None, str(node.relname)) for node in nodes(tree, "RangeVar")]
    return [(schema, name) for schema, name in dict.fromkeys(named) if schema or name not in own]


def nodes(tree: Tree, kind: str) -> list[Tree]:
    """Return all messages of a kind below a tree."""
    found, waiting = [], [tree]
    while waiting:
        message = waiting.pop()
        if message.DESCRIPTOR.name in (kind, kind.replace("_", "")):
            found.append(message)
        for field, inner in message.ListFields():
            if field.message_type is not None:
                waiting.extend((inner,) if hasattr(inner, "DESCRIPTOR") else inner)
    return found


def kinds(tree: Tree) -> list[str]:
    """Return what each statement of a tree is, such as select_stmt."""
    return [str(item.stmt.WhichOneof("node")) for item in tree.stmts]


def _tree(text: str, prefix: str, place: Place, suffix: str = "") -> Tree:
    parser, protobuf = _parser(), import_module("google.protobuf.message")
    if "\x00" in text or len(text) > _MAX_LENGTH or not text.strip():
        wrong = "is empty" if not text.strip() else "holds a NUL character or more than 10,000 characters"
        raise SpecError(f"the SQL {wrong}", location=place(0))
    try:
        tree = raw(f"{prefix}{text}\n{suffix}")
    except parser.PgQueryError as error:
        position = min(offsets(text, prefix)(error.cursorpos - 1), len(text.rstrip()))
        message = error.message.replace("at end of input", "at the end")
        raise SpecError(f"SQL: {message}", detail=excerpt(text), location=place(position)) from error
    except protobuf.DecodeError as error:
        # protobuf reads 100 levels of messages, which is about 45 of expressions.
        raise SpecError(
            "the SQL is nested too deep",
            location=place(0),
            hint="nest less: concat(a, b, …) in place of a || b || …",
        ) from error
    except UnicodeEncodeError as error:
        raise SpecError("the SQL is not valid Unicode", location=place(0)) from error
    return tree


def raw(sql: str) -> Tree:
    return _parser().parse(sql)


def readable(sql: str) -> Tree | None:
    """Return the tree of a text that nobody has checked yet, None if it can't be had."""
    if len(sql) > _MAX_READ_BACK:
        return None
    protobuf = import_module("google.protobuf.message")
    try:
        return raw(sql)
    except (_parser().PgQueryError, protobuf.DecodeError, UnicodeEncodeError):
        return None


def _parser() -> Any:
    # Late, as it takes 0.1 s; by name, as the type stubs that it brings cannot be read.
    return import_module("postgast")


def deparse(tree: Tree, location: Location) -> str:
    parser = _parser()
    try:
        return str(parser.deparse(tree))
    except parser.PgQueryError as error:
        raise SpecError(f"SQL: {error.message}", location=location) from error


def offsets(text: str, prefix: str) -> Callable[[int], int]:
    """Return how a byte offset in the parsed statement becomes a character offset in `text`."""
    data = text.encode("utf-8", "replace")

    def offset(position: int) -> int:
        return len(data[: max(position - len(prefix), 0)].decode("utf-8", "ignore"))

    return offset


def on_one_line(text: str, location: Location) -> Place:
    def place(offset: int) -> Location:
        if not location.line or "\n" in text:
            return location
        return Location(location.file, location.line, location.column + offset)

    return place


def excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}…"

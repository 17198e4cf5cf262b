"""Names as SQL: quoting, and names derived for the engine's own relations."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

MAX_BYTES = 63
# Every table has these; no column of its own can be called so.
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


def ident(*parts: str) -> Identifier:
    """Return a quoted, dotted name.

    PostgreSQL cuts longer names and stops at a NUL without a word, so neither gets here: the spec loader and the
    catalog have refused them.

    >>> ident("public", "Users").as_string()
    '"public"."Users"'
    """
    for part in parts:
        if "\0" in part or len(part.encode()) > MAX_BYTES:
            raise ValueError(f"not a PostgreSQL name: {part!r}")
    return Identifier(*parts)


def quoted(names: Iterable[str], alias: str | None = None) -> Composed:
    """Return a comma-separated list of quoted names, each behind `alias` if given.

    >>> quoted(["a", "B"], "target").as_string()
    '"target"."a", "target"."B"'
    """
    parts = [ident(alias, name) if alias else ident(name) for name in names]
    return SQL(", ").join(parts)


def literal(text: str) -> str:
    """Return a text as an SQL literal that means the same whatever the server's settings.

    >>> literal("it's")
    "'it''s'"
    """
    return str(Literal(text).as_string())


def commas(parts: Iterable[Composable]) -> Composed:
    return SQL(", ").join(list(parts))


def operator(name: tuple[str, str]) -> Composed:
    """Return an operator named with its schema, so that no search_path can exchange it.

    >>> operator(("pg_catalog", "=")).as_string()
    'OPERATOR("pg_catalog".=)'
    """
    return SQL("OPERATOR({}.{})").format(Identifier(name[0]), SQL(name[1]))


def beside(taken: Collection[str], name: str) -> str:
    """Return `name`, with underscores put before it until no column is called so.

    >>> beside(["id", "_op"], "_op")
    '__op'
    """
    while name in taken:
        name = f"_{name}"
    return name


STAGE_PREFIX = "stage_"


def of_stage(run: str) -> str:
    """Return the staging table's name for a run (docs/spec.md §9)."""
    return f"{STAGE_PREFIX}{run}"


def fit(name: str, taken: Collection[str]) -> str:
    """Return a name for a staging column: `name` cut to 63 bytes as SQL would, made unique among `taken`."""
    taken = SYSTEM_COLUMNS.union(taken)
    short = name.encode()[:MAX_BYTES].decode(errors="ignore").replace("\0", "") or "_"
    number = 1
    candidate = short
    while candidate in taken:
        number += 1
        suffix = f"_{number}"
        candidate = short.encode()[: MAX_BYTES - len(suffix)].decode(errors="ignore") + suffix
    return candidate


# Behind the name of a staging column that holds a value before its type's modifiers round it, and of the constraint by
# which such a value is refused.
AS_READ = " (as read)"


def as_read(name: str, taken: Collection[str]) -> str:
    """Return a name for the staging column beside `name`; errors about it are told of `name` (execute/blame.py).

    >>> as_read("amount", [])
    'amount (as read)'
    """
    short = name.encode()[: MAX_BYTES - len(AS_READ)].decode(errors="ignore")
    return fit(f"{short}{AS_READ}", taken)


def in_parameters(part: Composable) -> SQL:
    """Return a part of a statement that is run with parameters, in which a `%` is doubled.

    >>> in_parameters(ident("50%")).as_string()
    '"50%%"'
    """
    return SQL(part.as_string().replace("%", "%%"))

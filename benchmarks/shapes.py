"""The tables of the benchmark: their columns, and the statements that make them."""

from __future__ import annotations

from dataclasses import dataclass

TARGET = "bench.t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A table whose first column is its primary key.

    `data` names how its rows are generated; `needs` makes what it refers to, `extras` comes once it is filled.
    """

    name: str
    data: str
    columns: tuple[Column, ...]
    needs: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def others(self) -> tuple[str, ...]:
        """Return the columns that are not the key."""
        return self.names[1:]

    @property
    def create(self) -> str:
        key, *others = (f"{column.name} {column.type}" for column in self.columns)
        return f"CREATE TABLE {TARGET} ({', '.join((f'{key} PRIMARY KEY', *others))})"


def _columns(text: str) -> tuple[Column, ...]:
    pairs = (item.split(maxsplit=1) for item in text.split(";"))
    return tuple(Column(name=name, type=kind.strip()) for name, kind in pairs)


NARROW = Shape(
    name="narrow",
    data="narrow",
    columns=_columns(
        "id bigint; email text; name text; amount numeric(12,2); quantity integer; active boolean;"
        " created_at timestamptz; updated_at timestamptz; note text; attrs jsonb"
    ),
)

# The same rows, in a table that has more to keep in step at each write.
INDEXED = Shape(
    name="indexed",
    data="narrow",
    columns=NARROW.columns,
    needs=(
        "CREATE TABLE bench.sizes (quantity integer PRIMARY KEY)",
        "INSERT INTO bench.sizes SELECT generate_series(0, 999)",
        "CREATE TABLE bench.states (active boolean PRIMARY KEY)",
        "INSERT INTO bench.states VALUES (false), (true)",
    ),
    extras=(
        *(f"CREATE INDEX ON {TARGET} ({name})" for name in ("email", "name", "created_at", "updated_at")),
        f"CREATE INDEX ON {TARGET} (quantity, active)",
        f"CREATE INDEX ON {TARGET} (amount) WHERE active",
        f"ALTER TABLE {TARGET} ADD FOREIGN KEY (quantity) REFERENCES bench.sizes",
        f"ALTER TABLE {TARGET} ADD FOREIGN KEY (active) REFERENCES bench.states",
    ),
)

WIDE_TYPES = ("integer", "text", "numeric(12,2)", "timestamptz", "boolean", "double precision")

WIDE = Shape(
    name="wide",
    data="wide",
    columns=(
        Column(name="id", type="bigint"),
        Column(name="updated_at", type="timestamptz"),
        *(Column(name=f"c{number}", type=WIDE_TYPES[number % len(WIDE_TYPES)]) for number in range(1, 199)),
    ),
)

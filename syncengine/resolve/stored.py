"""What a mode does to stored rows beside updating them: soft deletes, versions, resets to defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from syncengine.arbiter import quote_if_needed
from syncengine.errors import SpecError, SyncError, TargetError
from syncengine.model.facts import ColumnFacts, TableFacts
from syncengine.model.spec import Expression, Spec
from syncengine.model.task import Assignment, Loaded, SoftDelete, Versions
from syncengine.protocols import Mode
from syncengine.resolve.columns import Columns
from syncengine.resolve.loading import is_stable
from syncengine.resolve.lookup import did_you_mean, find, in_sql
from syncengine.values import replace

Parse = Callable[[str], Expression]
_NULL = Expression(text="NULL", parts=("NULL",))
_TIME = ColumnFacts(
    name="", type="timestamp with time zone", base_type="timestamp with time zone", identity_equal=True
)
_FLAG = replace(_TIME, type="boolean", base_type="boolean")
_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
# Their values name rows: a new one for the same row would break what refers to it.
_NUMBERING = frozenset(
    [
        "nextval",
        "gen_random_uuid",
        "uuidv4",
        "uuidv7",
        "uuid_generate_v1",
        "uuid_generate_v1mc",
        "uuid_generate_v4",
    ]
)


class Stored(Struct, frozen=True, kw_only=True):
    """What a mode sets by itself; `resets` are columns that go back to their defaults."""

    soft: SoftDelete | None = None
    versions: Versions | None = None
    resets: tuple[Assignment, ...] = ()
    problems: tuple[SyncError, ...] = ()


def find_stored(spec: Spec, columns: Columns, mode: Mode, parse: Parse, unstable: frozenset[str]) -> Stored:
    """Return what the mode does to stored rows beside updating them; `parse` reads a column's default."""
    finder = _Finder(spec, columns.table, columns.loaded, parse, mapped=not columns.problems)
    return Stored(
        soft=finder.soft(),
        versions=finder.versions() if mode.versions else None,
        resets=finder.resets(unstable) if mode.resets else (),
        problems=tuple(finder.problems),
    )


class _Finder:
    """Finds names among a table's columns; the problems gather in `problems`.

    `mapped`: the loaded columns are those that the source has, and not all for want of a mapping.
    """

    def __init__(
        self, spec: Spec, table: TableFacts, loaded: Sequence[Loaded], parse: Parse, *, mapped: bool
    ) -> None:
        self._mapped = mapped
        self._spec = spec
        self._table = table
        self._loaded = {column.name: column for column in loaded}
        self._parse = parse
        self.problems: list[SyncError] = []

    def soft(self) -> SoftDelete | None:
        """Return the soft delete of a spec, if it has one."""
        delete, pointer = self._spec.delete, "/delete/soft"
        if delete.soft is None or delete.soft.expression is None:
            return None
        column = self._column(delete.soft.column, pointer, missing=_TIME)
        if column is None:
            return None
        if self._mapped and column.name in self._loaded:
            self._complain(
                pointer,
                f"column {column.name} is loaded from the source and set by the soft delete",
                f"leave it out: `ignore_fields: [{column.name}]`",
            )
        self._check_frozen(column, pointer)
        default = self._parse(column.default) if column.default is not None else _NULL
        if delete.soft.expression.parts == (delete.live or default).parts:
            hint = "say what a live row holds: `live: …`, or write another value"
            self._complain(
                pointer, f"a live row holds {column.name} = {delete.soft.expression.text} as well", hint
            )
        return SoftDelete(
            column=column.name,
            type=column.type,
            base_type=column.base_type,
            identity_equal=column.identity_equal,
            value=delete.soft.expression,
            live=delete.live or default,
            stated=delete.live is not None,
        )

    def versions(self) -> Versions | None:
        """Return the columns of versions, or None after noting what is wrong with them."""
        history = self._spec.history
        starts = self._version_column("valid_from", history.valid_from, loadable=history.since is not None)
        ends = self._version_column("valid_to", history.valid_to)
        current = (
            self._version_column("current", history.current, missing=_FLAG)
            if history.current is not None
            else None
        )
        if ends is not None and ends.not_null:
            message = f"column {ends.name} of {self._table} is NOT NULL: the current version has no end"
            column = quote_if_needed(ends.name)
            hint = f"ALTER TABLE {in_sql(self._table)} ALTER COLUMN {column} DROP NOT NULL;"
            self.problems.append(
                TargetError(message, hint=hint, location=self._spec.mark("/history/valid_to"))
            )
        if current is not None and current.base_type != "boolean":
            self._complain(
                "/history/current", f"column {current.name} is no boolean but {current.type}", None
            )
        if starts is not None and ends is not None:
            self._check_times(starts, ends)
        tracked = tuple(self._tracked(history.track, history.valid_from))
        if starts is None or ends is None:
            return None
        return Versions(
            valid_from=starts.name,
            from_type=starts.type,
            valid_to=ends.name,
            to_type=ends.base_type,
            current=current.name if current is not None else None,
            since=history.since,
            tracked=tracked,
        )

    def _check_times(self, starts: ColumnFacts, ends: ColumnFacts) -> None:
        """Note what keeps one version from ending exactly when the next begins."""
        if starts.base_type not in _TIMES:
            self._complain(
                "/history/valid_from", f"column {starts.name} is no date or time but {starts.type}", None
            )
        elif starts.base_type != ends.base_type:
            message = f"column {starts.name} is {starts.type}, but {ends.name} {ends.type}"
            hint = "versions without gaps need one type for both"
            self._complain("/history/valid_to", message, hint)

    def _version_column(
        self, key: str, name: str, *, loadable: bool = False, missing: ColumnFacts = _TIME
    ) -> ColumnFacts | None:
        pointer = f"/history/{key}"
        column = self._column(name, pointer, missing=missing)
        if column is not None and self._mapped and column.name in self._loaded and not loadable:
            hint = f"leave it out: `ignore_fields: [{name}]`"
            if key == "valid_from":
                hint = f"write `valid_from: {{{name}: excluded.{name}}}`, or {hint}"
            self._complain(pointer, f"column {name} is loaded from the source and set by the history", hint)
        if column is not None:
            self._check_frozen(column, pointer)
        return column

    def _check_frozen(self, column: ColumnFacts, pointer: str) -> None:
        if column.generated or column.identity == "always":
            what = "generated" if column.generated else "GENERATED ALWAYS AS IDENTITY"
            message = f"column {column.name} of {self._table} is {what} and can't be set"
            hint = "name another column"
            self.problems.append(TargetError(message, hint=hint, location=self._spec.mark(pointer)))

    def _tracked(self, track: Sequence[str] | None, valid_from: str) -> Iterator[Loaded]:
        """Yield the columns whose change makes a version; what depends on the run's time always changes."""
        if track is None:
            yield from (c for c in self._loaded.values() if not c.stable and c.name != valid_from)
            return
        for number, name in enumerate(track):
            found = find(name, self._loaded)
            if found is None:
                message = f"the source loads no column {name!r}"
                self._complain(f"/history/track/{number}", message, did_you_mean(name, self._loaded))
            else:
                yield self._loaded[found]

    def resets(self, unstable: frozenset[str]) -> tuple[Assignment, ...]:
        """Return the columns that are not loaded, each set to its default (docs/spec.md §11, rule 8).

        Numbers from a sequence stay; what depends on the run's time is set where a row is written anyway.
        """
        return tuple(self._resets(unstable))

    def _resets(self, unstable: frozenset[str]) -> Iterator[Assignment]:
        for column in self._table.columns:
            if column.name in self._loaded or column.generated or column.identity:
                continue
            value = self._parse(column.default) if column.default is not None else _NULL
            if not _NUMBERING.isdisjoint(name.rpartition(".")[2] for name in value.functions):
                continue
            yield Assignment(
                column=column.name,
                type=column.type,
                base_type=column.base_type,
                identity_equal=column.identity_equal,
                expression=value,
                compared=not is_stable(value, unstable),
            )

    def _column(self, name: str, pointer: str, *, missing: ColumnFacts) -> ColumnFacts | None:
        """Return the column called so; a table that is yet to be made gets it, with the type of `missing`."""
        names = [column.name for column in self._table.columns]
        found = find(name, names)
        if found is not None:
            return self._table.column(found)
        if not self._table.exists:
            return replace(missing, name=name)
        self._complain(pointer, f"{self._table} has no column {name!r}", did_you_mean(name, names))
        return None

    def _complain(self, pointer: str, message: str, hint: str | None) -> None:
        self.problems.append(SpecError(message, hint=hint, location=self._spec.mark(pointer)))

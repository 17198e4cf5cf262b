"""Statements after which staging holds each key once, and no row without a key that it must not hold."""

from __future__ import annotations

from psycopg.sql import SQL, Composed

from syncengine.model.task import Task
from syncengine.sql.clauses import incoming, incoming_predicate, key, key_list, outside, sample
from syncengine.sql.names import commas, ident, operator, quoted
from syncengine.sql.staging import row_number

REPEATED = ("pg_temp", "repeated")


def check_null_keys(task: Task) -> Composed | None:
    """Return the query for rows that can meet no conflict; None where there can be none."""
    condition, stated = outside(task), task.spec.conflict_where
    if stated is not None and stated != task.predicate:
        beyond = SQL("{} IS NOT TRUE").format(incoming(task, stated))
        condition = SQL(" OR ").join([condition, beyond]) if condition is not None else beyond
    if condition is None or task.null_keys not in ("error", "quarantine"):
        return None
    text = SQL("SELECT {}, count(*) OVER () FROM {} AS excluded WHERE {} LIMIT 5")
    return text.format(sample(task.keys, "excluded"), ident(*task.relation), condition)


def _keyed(task: Task) -> Composed:
    """Return a WHERE clause that leaves out the rows which never conflict."""
    condition = outside(task)
    return SQL(" WHERE ({}) IS NOT TRUE").format(condition) if condition is not None else Composed([])


def index_keys(task: Task) -> Composed:
    """Return the unique index that can only be made if each key comes once."""
    nulls = SQL(" NULLS NOT DISTINCT" if any(part.match_nulls for part in task.keys) else "")
    predicate = incoming_predicate(task, alias=None)
    where = SQL(" WHERE {}").format(predicate) if predicate is not None else SQL("")
    keys = commas(SQL("({})").format(key(part, None)) for part in task.keys)
    return SQL("CREATE UNIQUE INDEX ON {} ({}){}{}").format(ident(*task.relation), keys, nulls, where)


def find_repeated_keys(task: Task) -> Composed:
    """Return the statement that keeps the keys which come more than once in `pg_temp.repeated`."""
    columns = [
        SQL("{} AS {}").format(key(part, "excluded"), ident(f"k{number}"))
        for number, part in enumerate(task.keys)
    ]
    text = SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} AS excluded{} GROUP BY {}{}")
    return text.format(
        ident(*REPEATED),
        commas(columns),
        ident(*task.relation),
        _keyed(task),
        key_list(task.keys, "excluded"),
        SQL(" HAVING count(*) > 1"),
    )


def _is_repeated(task: Task) -> Composed:
    """Return the condition that joins `excluded` with the repeated keys."""
    tests = []
    for number, part in enumerate(task.keys):
        left, right = key(part, "excluded"), ident("repeated", f"k{number}")
        if part.match_nulls:
            tests.append(SQL("ARRAY[{}] {} ARRAY[{}]").format(left, operator(("pg_catalog", "=")), right))
        else:
            tests.append(SQL("{} {} {}").format(left, operator(part.equality), right))
    return SQL(" AND ").join(tests)


def check_duplicate_keys(task: Task) -> Composed:
    """Return the query for repeated keys whose rows are not all identical."""
    told = [column.name for column in task.loaded if not column.stable]
    told += [task.absent] if task.absent is not None else []
    image = SQL("CAST(ROW({}) AS record)").format(quoted(told, "excluded"))
    keys = key_list(task.keys, "excluded")
    text = SQL(
        "SELECT sample, count(*) OVER () FROM (SELECT {} AS sample, {} AS image,"
        " first_value({}) OVER (PARTITION BY {}) AS first FROM {} AS excluded JOIN {} AS repeated ON {}) AS rows"
        " WHERE image OPERATOR(pg_catalog.*<>) first GROUP BY sample LIMIT 5"
    )
    sampled = sample(task.keys, "excluded")
    relation, repeated = ident(*task.relation), ident(*REPEATED)
    return text.format(sampled, image, image, keys, relation, repeated, _is_repeated(task))


def delete_duplicates(task: Task) -> Composed:
    """Return the statement that takes all but the winning row of each repeated key out of staging."""
    text = SQL(
        "DELETE FROM {} AS staged USING (SELECT excluded.ctid AS tid, row_number() OVER (PARTITION BY {}{}) AS place"
        " FROM {} AS excluded JOIN {} AS repeated ON {}) AS ranked"
        " WHERE staged.ctid = ranked.tid AND ranked.place > 1"
    )
    relation = ident(*task.relation)
    keys = key_list(task.keys, "excluded")
    return text.format(relation, keys, _winner(task), relation, ident(*REPEATED), _is_repeated(task))


def _winner(task: Task) -> Composed:
    """Return the ORDER BY that puts the winner first; ties go to the later record, NULL loses."""
    number = ident("excluded", row_number(task))
    match task.spec.duplicates.keep:
        case "error" if not task.tolerant:
            return Composed([])
        case "first" | "error":
            return SQL(" ORDER BY {}").format(number)
        case "last":
            return SQL(" ORDER BY {} DESC").format(number)
        case "max":
            by = ident("excluded", task.spec.duplicates.by or "")
            return SQL(" ORDER BY {} DESC NULLS LAST, {} DESC").format(by, number)
        case "min":
            by = ident("excluded", task.spec.duplicates.by or "")
            return SQL(" ORDER BY {} NULLS LAST, {} DESC").format(by, number)

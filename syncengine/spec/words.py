"""The words of other tools, and the nearest word of this one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def _by_word(meanings: Mapping[str, str]) -> dict[str, str]:
    """Turn meaning -> words around."""
    return {word: meaning for meaning, words in meanings.items() for word in words.split()}


# Keys that people know from elsewhere, and what to write here; as `normal` spells them.
FOREIGN_KEYS = _by_word(
    {
        "write `conflict_keys: [column, …]`": (
            "primary_key primary_keys pk pk_fields key keys unique_key unique_keys merge_key merge_keys "
            "upsert_key upsert_keys key_properties match_columns match_on unique_on unique_by "
            "id_columns join_keys conflict_columns on_conflict conflict conflict_target"
        ),
        "write `conflict_constraint: name`": "constraint conflict_constraint_name",
        "write `mode: insert`, `ignore`, `upsert`, `update`, `mirror`, `replace` or `history`": (
            "write_disposition write_mode insert_mode load_mode sync_mode destination_sync_mode "
            "incremental_strategy strategy disposition action operation materialized"
        ),
        "write `incremental: {cursor: field}`": (
            "update_key cursor cursor_field cursor_path cursor_column incremental_key replication_key "
            "watermark replication_method incremental_predicates"
        ),
        "write `mode: replace`": "truncate overwrite full_refresh drop_and_create",
        "write `mode: history`": "scd2 scd snapshot scd_type_2",
        "write `mode: upsert` with `conflict_keys`": "merge upsert",
        "write `mode: insert`": "append insert",
        "write `mode: ignore`": "insert_ignore do_nothing ignore_duplicates",
        "write `mode: mirror`": (
            "delete_missing hard_delete delete_stale delete_enabled invalidate_hard_deletes"
        ),
        "write `bad_rows: quarantine`": (
            "on_error on_bad_row on_bad_rows error_handling errors_tolerance discard_row reject_limit "
            "max_errors"
        ),
        "write `execution: {chunk_rows: …}`": "chunk_size batch_size batch chunksize",
        "write `execution: {workers: …}`": "parallel threads concurrency parallelism",
        "write `before: […]`": "pre_sql pre_hook pre_hooks before_sql before_load preactions",
        "write `after: […]`": "post_sql post_hook post_hooks after_sql after_load postactions",
        "write `target: schema.table`": (
            "dest destination dest_table destination_table target_table table into to object sink "
            "output table_name dest_table_name"
        ),
        "write `source: path`": "from stream input src file path in source_file inputs files source_path",
        "write `update_columns: [column, …]`": (
            "update merge_update_columns fields_whitelist set update_set on_match when_matched"
        ),
        'write `update_columns: ["*", {column: keep}]`': (
            "update_exclude merge_exclude_columns exclude_columns"
        ),
        "write `where: target.column < excluded.column`": (
            "guard update_where update_condition merge_condition incremental_predicate condition update_if"
        ),
        "write `columns: {target_column: source field}`": (
            "column_mapping mapping mappings map rename fields schema column_map field_mapping"
        ),
        "write `ignore_fields: [field, …]`": "exclude skip_fields drop_columns ignore_columns",
        "write `duplicates: last`": "dedup deduplicate dedupe dedup_sort on_duplicate",
        "write `returning: {columns: […], to: path.csv}`": "output_columns return",
        "write `checks: [{name, sql, message}]`": "tests assertions expectations",
        "write `target: {table: schema.table, create: true}`": "create_table auto_create create",
        "write `depends_on: [name, …]`": "dependencies requires ref",
        "write `session: {…}`": "settings set_options guc",
        "write `target: {connection: name, table: …}`": "conn dsn url database connection",
    }
)
FOREIGN_MODES = _by_word(
    {
        "upsert": "merge upsert_delete delsert delete_insert delete+insert incremental upserts",
        "insert": "append insert_only append_only",
        "ignore": "insert_ignore ignore_duplicates insert_if_not_exists do_nothing skip insert_or_ignore",
        "replace": (
            "full_refresh truncate overwrite truncate_insert truncate_and_load full drop_create full_table"
        ),
        "history": "scd2 scd snapshot scd_type_2 type2 historize",
        "mirror": "sync delete_missing full_sync",
        "update": "update_only modify",
    }
)
# In the source, or in one of its types.
FOREIGN_OPTIONS = _by_word(
    {
        "delimiter": "sep separator fields_terminated_by field_delimiter delim",
        "quote": "quotechar quote_char quote_character",
        "escape": "escapechar escape_char",
        "null": "nulls null_value null_values null_string null_if na_values nullstr",
        "skip_lines": "skiprows skip skip_rows skip_header",
        "path": "file filename file_path filepath location uri glob paths",
        "encoding": "charset codec",
        "type": "format file_type kind file_format",
        "rows": "data values records",
        "header": "has_header headers",
        "compression": "compress",
    }
)
FOREIGN_TARGET = _by_word(
    {
        "table": "name object into destination table_name",
        "connection": "conn dsn url database",
        "create": "auto_create create_table if_not_exists",
    }
)
FOREIGN_COLUMN = _by_word(
    {
        "field": "from source name column src",
        "expression": "expr sql value formula transform",
        "type": "data_type datatype dtype cast",
    }
)
FOREIGN_EXECUTION = _by_word(
    {
        "chunk_rows": "chunk_size batch_size",
        "workers": "threads parallel concurrency",
        "method": "strategy",
        "statement_timeout": "timeout",
        "retries": "max_retries retry",
    }
)


def normal(word: str) -> str:
    """Return a word of another tool as the tables here spell it."""
    return word.strip().lower().replace("-", "_").replace(".", "_").replace(" ", "_")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like `word`, None if none does."""
    lowered = {name.lower(): name for name in sorted(known, reverse=True)}
    near = get_close_matches(word.lower().replace("-", "_")[:100], list(lowered), n=1, cutoff=0.7)
    return lowered[near[0]] if near else None


def hint_for_key(key: str, pointer: str, known: Iterable[str]) -> str | None:
    """Return how to mend the unknown key `key` of the mapping at `pointer`, whose keys are `known`."""
    known = tuple(known)
    pointer = _in_spec(pointer)
    room = pointer.strip("/").split("/")
    if not pointer and normal(key) in FOREIGN_KEYS:
        return FOREIGN_KEYS[normal(key)]
    if (word := _foreign(room).get(normal(key))) and word in known:
        return f"write `{word}`"
    if near := nearest(key, known):
        return f"did you mean `{near}`?"
    return f"known: {', '.join(sorted(known))}" if pointer and known else None


def _in_spec(pointer: str) -> str:
    """Return the pointer in a spec that a pointer into a project file's defaults stands for."""
    return re.sub(r"\A(?:/environments/[^/]+)?/defaults(?=/|\Z)", "", pointer)


def _foreign(room: list[str]) -> dict[str, str]:
    match room:
        case ["source"]:
            return FOREIGN_OPTIONS
        case ["target"]:
            return FOREIGN_TARGET
        case ["execution"]:
            return FOREIGN_EXECUTION
        case ["columns", _]:
            return FOREIGN_COLUMN
        case _:
            return {}


def hint_for_value(value: object, pointer: str, known: Iterable[str]) -> str | None:
    """Return how to mend a value that is not one of the `known` words at `pointer`."""
    known = tuple(known)
    if not isinstance(value, str):
        return f"one of: {', '.join(known)}"
    if _in_spec(pointer) == "/mode" and normal(value) in FOREIGN_MODES:
        return f"write `mode: {FOREIGN_MODES[normal(value)]}`"
    near = nearest(value, known)
    return f"did you mean `{near}`?" if near else f"one of: {', '.join(known)}"

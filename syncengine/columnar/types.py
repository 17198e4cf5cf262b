"""The PostgreSQL type that a field of Arrow's has by nature: what `create` makes of it."""

from __future__ import annotations

from syncengine.columnar.lib import DataType, is_bytes, is_list, is_text, is_uuid, pa

_BY_NAME = {
    "bool": "boolean",
    "int8": "smallint",
    "uint8": "smallint",
    "int16": "smallint",
    "uint16": "integer",
    "int32": "integer",
    "uint32": "bigint",
    "int64": "bigint",
    "uint64": "numeric(20,0)",
    "halffloat": "real",
    "float": "real",
    "double": "double precision",
}


def natural(kind: DataType) -> str:
    """Return the type; jsonb for what has a structure of its own, text for what is only NULL."""
    while pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
    if is_uuid(kind):
        return "uuid"
    if isinstance(kind, pa.BaseExtensionType):
        return "jsonb" if kind.extension_name == "arrow.json" else natural(kind.storage_type)
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else "numeric"
    if pa.types.is_temporal(kind) or pa.types.is_interval(kind):
        return _of_time(kind)
    if is_list(kind):
        item = natural(kind.value_type)
        nested = item.endswith("[]") or item == "jsonb"
        return "jsonb" if nested else f"{item}[]"
    if pa.types.is_nested(kind):
        return "jsonb"
    if is_bytes(kind):
        return "bytea"
    return "text" if is_text(kind) else _BY_NAME.get(str(kind), "text")


def _of_time(kind: DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz is not None else "timestamp without time zone"
    if pa.types.is_date(kind):
        return "date"
    return "time without time zone" if pa.types.is_time(kind) else "interval"

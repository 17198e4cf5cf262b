"""Which unique index arbitrates a conflict target, and what to say when none does.

Pure, and after PostgreSQL's own inference (infer_arbiter_indexes): an index fits if it has exactly the keys,
in any order.  Expressions and predicates are compared as text, where the server compares parse trees and
proves implications; it can be asked by `catalog.server_arbiter`, and `pick_inferred` judges its answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from syncengine.model.facts import IndexFacts, TableFacts

# Everything that can't stand bare as a column's or a table's name (pg_get_keywords: all but the unreserved),
# the same set that the server's quote_ident quotes.
_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both
    case cast char character check coalesce collate collation column concurrently constraint create cross
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec
    decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
    freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect
    interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg
    json_query json_scalar json_serialize json_table json_value lateral leading least left like limit
    localtime localtimestamp merge_action national natural nchar none normalize not notnull null nullif
    numeric offset on only or order out outer overlaps overlay placing position precision primary real
    references returning right row select session_user setof similar smallint some substring symmetric
    system_user table tablesample then time timestamp to trailing treat trim true union unique user using
    values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists
    xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
_KEYWORDS = frozenset(_WORDS.split())
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")

_TOKEN = re.compile(
    r"""(?P<string>[eEbBxXnN]?'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")+")|(?P<word>[^\W\d][\w$]*)"""
    r"""|(?P<number>\d[\d.]*)|(?P<cast>::)|(?P<sign>[-+*/<>=~!@#%^&|`?]+)|(?P<other>\S)"""
)
# The casts that the server writes out where one string type stands in for another.
_STRING_TYPES = frozenset({"text", "character varying", "varchar", "bpchar"})
_TWO_WORDS = {"character": "varying", "double": "precision", "bit": "varying"}
_SPELLINGS = {"!=": "<>"}


def find_arbiter(
    keys: Sequence[str], indexes: Sequence[IndexFacts], *, predicate: str | None = None
) -> IndexFacts | None:
    """Return the index that ON CONFLICT (keys) WHERE predicate will use, None if there is none.

    Keys are column names or the text of expressions.  Of several that match, a full index goes before a
    partial one, then the primary key, then a constraint.
    """
    return _best([index for index in indexes if _matches(index, keys, predicate)])


def pick_inferred(names: Collection[str], indexes: Sequence[IndexFacts]) -> IndexFacts | None:
    """Return the arbiter among the indexes that the server has inferred."""
    return _best([index for index in indexes if index.name in names])


def _best(matching: list[IndexFacts]) -> IndexFacts | None:
    # The server infers all that match, and the statement then fails (55000) if any of them is deferrable.
    if not matching or not all(index.immediate for index in matching):
        return None
    best = min(matching, key=_rank)
    return best if all(senses(index) == senses(best) for index in _rivals(best, matching)) else None


def _rank(index: IndexFacts) -> tuple[bool, bool, bool, bool, str]:
    # Where NULLs conflict in one of several indexes, they do.
    distinct = not index.nulls_not_distinct
    return index.predicate is not None, not index.primary, distinct, not index.constraint, index.name


def _rivals(best: IndexFacts, matching: Sequence[IndexFacts]) -> list[IndexFacts]:
    """Return the indexes that arbitrate along with the best one."""
    return [index for index in matching if index != best and index.predicate == best.predicate]


def senses(index: IndexFacts) -> dict[str, tuple[tuple[str, str], tuple[str, str] | None]]:
    """Return each key's equality operator and its collation where that matters; expressions as normal text."""
    flags = index.expressions or (False,) * len(index.keys)
    names = [normal(key) if flag else key for key, flag in zip(index.keys, flags, strict=True)]
    collations = index.collations or (None,) * len(index.keys)
    return (
        dict(zip(names, zip(index.equality, collations, strict=True), strict=True)) if index.equality else {}
    )


def _matches(index: IndexFacts, keys: Sequence[str], predicate: str | None) -> bool:
    usable = index.unique and index.valid and not index.exclusion
    return usable and _covers(index, keys) and _implied(index, predicate)


def _covers(index: IndexFacts, keys: Sequence[str]) -> bool:
    columns, expressions = _parts(index)
    plain = {key for key in keys if key in columns}
    return plain == columns and {normal(key) for key in keys if key not in plain} == expressions


def _parts(index: IndexFacts) -> tuple[set[str], set[str]]:
    """Return the index's columns and its expressions, these as normal text."""
    flags = index.expressions or (False,) * len(index.keys)
    parts = list(zip(index.keys, flags, strict=True))
    return {key for key, flag in parts if not flag}, {normal(key) for key, flag in parts if flag}


def _implied(index: IndexFacts, predicate: str | None) -> bool:
    if index.predicate is None:
        return True
    return predicate is not None and normal(predicate) == normal(index.predicate)


def explain_misfit(
    keys: Sequence[str], indexes: Sequence[IndexFacts], *, predicate: str | None = None
) -> str:
    """Say why no index arbitrates the keys: what is wrong with those that come near, else which exist."""
    if not indexes:
        return "the table has no unique index"
    near = [
        f"{_label(index)} {fault}"
        for index in indexes
        if _covers(index, keys) and (fault := _fault(index, predicate)) is not None
    ]
    if near:
        return "; ".join(near)
    matching = [index for index in indexes if _matches(index, keys, predicate)]
    if matching:
        names = " and ".join(_label(index) for index in matching)
        return f"{names} arbitrate both, but do not take the same values for equal: drop one of them"
    return "; ".join(f"{_label(index)} {_difference(index, keys)}" for index in indexes)


def _label(index: IndexFacts) -> str:
    return f"{index.name} ({', '.join(index.keys)})"


def _fault(index: IndexFacts, predicate: str | None) -> str | None:
    if index.exclusion:
        return "is an exclusion constraint, which can't be matched to keys"
    if not index.unique:
        return "is not unique"
    if not index.valid:
        return f"is invalid, its creation failed: REINDEX INDEX CONCURRENTLY {quote_if_needed(index.name)}"
    if not index.immediate:
        return "is DEFERRABLE, which rules out ON CONFLICT on its columns"
    if not _implied(index, predicate):
        return _partial(index, predicate)
    return None


def _partial(index: IndexFacts, predicate: str | None) -> str:
    if predicate is None:
        return f"is partial (WHERE {index.predicate}): add conflict_where with this predicate"
    return f"is partial, and its predicate is another: WHERE {index.predicate}"


def _difference(index: IndexFacts, keys: Sequence[str]) -> str:
    columns, expressions = _parts(index)
    wanted = {key if key in columns else normal(key) for key in keys}
    has = columns | expressions
    if wanted < has:
        return "has more keys"
    return "has fewer keys" if has < wanted else "has other keys"


def arbiter_hint(
    table: TableFacts, keys: Sequence[str], keys_sql: Sequence[str], predicate: str | None
) -> str:
    """Return what to do so that the keys can be arbitrated; `keys_sql` are the keys as SQL texts."""
    matching = [index for index in table.indexes if _matches(index, keys, predicate)]
    if matching and all(index.immediate for index in matching):
        return "keep the one whose idea of equality is meant"
    for index in table.indexes:
        if index.constraint and not index.immediate and _covers(index, keys):
            # A new index would not help: the server would infer both, and refuse the deferrable one.
            where = f"{quote_if_needed(table.schema)}.{quote_if_needed(table.name)}"
            name = quote_if_needed(index.constraint)
            return f"ALTER TABLE {where} DROP CONSTRAINT {name}, ADD UNIQUE ({', '.join(keys_sql)});"
    partitioned = table.relation == "partitioned"
    create = create_index_hint(table.schema, table.name, keys_sql, predicate, concurrently=not partitioned)
    return f"{create} -- must include the partition key" if partitioned else create


def create_index_hint(
    schema: str,
    table: str,
    keys_sql: Sequence[str],
    predicate_sql: str | None = None,
    *,
    concurrently: bool = True,
) -> str:
    """Return the CREATE UNIQUE INDEX statement that would make the keys arbitrable.

    `keys_sql` are SQL texts: pass a column's name through `quote_if_needed`.  A partitioned table takes no
    CONCURRENTLY.

    >>> create_index_hint("shop", "Order", ["region", "lower(email)", "a || b"], "live")
    'CREATE UNIQUE INDEX CONCURRENTLY ON shop."Order" (region, lower(email), (a || b)) WHERE live;'
    """
    how = "CONCURRENTLY " if concurrently else ""
    where = f" WHERE {predicate_sql}" if predicate_sql else ""
    keys = ", ".join(_index_key(key) for key in keys_sql)
    return f"CREATE UNIQUE INDEX {how}ON {quote_if_needed(schema)}.{quote_if_needed(table)} ({keys}){where};"


def quote_if_needed(name: str) -> str:
    """Return a name as people would write it in SQL: quoted only where it must be, as quote_ident does.

    >>> quote_if_needed("email"), quote_if_needed("E-Mail"), quote_if_needed("order")
    ('email', '"E-Mail"', '"order"')
    """
    if _PLAIN_NAME.fullmatch(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def _index_key(text: str) -> str:
    """Put an expression in parentheses, which CREATE INDEX wants around all but names and function calls."""
    tokens = _tokens(text)
    if len(tokens) == 1 or _closing(tokens, 0) == len(tokens) - 1:
        return text
    is_call = re.match(r"[a-z_]", tokens[0]) is not None and tokens[0] not in _KEYWORDS
    return text if is_call and _closing(tokens, 1) == len(tokens) - 1 else f"({text})"


def normal(expression: str) -> str:
    """Return an expression's text without what only spelling makes different.

    Space, letter case of unquoted words, needless quotes, casts that the server adds to literals and strings,
    parentheses around the whole or around a single word.

    >>> normal("lower( (Email)::text )") == normal('LOWER("email")')
    True
    """
    tokens = _without_lone_parentheses(_tokens(expression))
    tokens = _without_lone_parentheses(_without_casts(tokens))
    while tokens and _closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return " ".join(tokens)


def _tokens(text: str) -> list[str]:
    return [_token(match) for match in _TOKEN.finditer(text)]


def _token(match: re.Match[str]) -> str:
    text = match.group()
    if match.lastgroup == "word":
        return text.lower()
    if match.lastgroup == "quoted":
        return quote_if_needed(text[1:-1].replace('""', '"'))
    return _SPELLINGS.get(text, text)


def _closing(tokens: Sequence[str], start: int) -> int:
    """Return where the parenthesis at `start` is closed, -1 if there is none."""
    if start >= len(tokens) or tokens[start] != "(":
        return -1
    depth = 0
    for place in range(start, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[place], 0)
        if depth == 0:
            return place
    return -1


def _without_casts(tokens: list[str]) -> list[str]:
    """Drop `::type` behind a literal, and behind anything else where the type is a string type.

    Types with modifiers stay: they can change the value.
    """
    kept: list[str] = []
    place = 0
    while place < len(tokens):
        if tokens[place] == "::":
            after = _type_end(tokens, place + 1)
            type_name = " ".join(tokens[place + 1 : after])
            literal = bool(kept) and (kept[-1][-1] == "'" or kept[-1][0].isdigit())
            if type_name in _STRING_TYPES or (literal and "(" not in type_name):
                place = after
                continue
        kept.append(tokens[place])
        place += 1
    return kept


def _type_end(tokens: list[str], start: int) -> int:
    """Return the place behind the type that starts at `start`."""
    words = tokens[start : start + 2]
    end = start + (2 if len(words) == 2 and _TWO_WORDS.get(words[0]) == words[1] else 1)
    end = max(end, _closing(tokens, end) + 1)
    if tokens[end + 1 : end + 3] == ["time", "zone"]:
        end += 3
    return end + 2 if tokens[end : end + 2] == ["[", "]"] else end


def _without_lone_parentheses(tokens: list[str]) -> list[str]:
    """Drop parentheses around a single word, unless they are a call's."""
    kept: list[str] = []
    place = 0
    while place < len(tokens):
        before = kept[-1] if kept else "("
        opens_call = re.match(r"[\w\"]", before) is not None and before not in ("and", "or", "not")
        lone = _closing(tokens, place) == place + 2 and not opens_call
        kept.append(tokens[place + 1] if lone else tokens[place])
        place += 3 if lone else 1
    return kept

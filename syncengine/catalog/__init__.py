"""Connection -> facts about the server, a table, types and expressions; the only reader of pg_catalog.

Every look is a read-only transaction that is rolled back, so nothing is left behind and no lock is kept.
"""

from syncengine.catalog.probes import check_expressions, check_settings, server_arbiter
from syncengine.catalog.references import References, references
from syncengine.catalog.rights import default_sequences, existing, held, is_secured, role_named, tables_in
from syncengine.catalog.server import function_volatility, operators, server_facts
from syncengine.catalog.tables import table_facts
from syncengine.catalog.types import types

__all__ = [
    "References",
    "check_expressions",
    "check_settings",
    "default_sequences",
    "existing",
    "function_volatility",
    "held",
    "is_secured",
    "operators",
    "references",
    "role_named",
    "server_arbiter",
    "server_facts",
    "table_facts",
    "tables_in",
    "types",
]

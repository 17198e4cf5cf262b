"""Names as people write SQL: of a table from a file's name, of columns from the fields of a header."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from syncengine.sql.names import fit

_EXTENSIONS = re.compile(r"(\.[A-Za-z]+)?(\.(gz|zst|bz2))?\Z", re.IGNORECASE)


def sql_name(text: str) -> str:
    """Return a name that needs no quotes in SQL, as far as its letters go; empty if none are left.

    >>> sql_name("E-Mail"), sql_name(" Größe (cm)"), sql_name("2024"), sql_name("🦆")
    ('e_mail', 'größe_cm', '_2024', '')
    """
    letters = unicodedata.normalize("NFC", text).lower()
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" else "_" for letter in letters)
    name = re.sub("_+", "_", kept).strip("_")
    return f"_{name}" if name and not (name[0].isascii() and name[0].isalpha()) and name[0] < "\x80" else name


def column_names(fields: Sequence[str]) -> tuple[str, ...]:
    """Return a name for the column of each field: no two are equal, and PostgreSQL cuts none.

    A field that is such a name already keeps it.

    >>> column_names(["ID", "id", "", "ctid"])
    ('id_2', 'id', 'column_3', 'ctid_2')
    """
    names: dict[int, str] = {}
    for clean in (True, False):
        for number, field in enumerate(fields):
            name = sql_name(field)
            if (name == field != "") is clean:
                names[number] = fit(name or f"column_{number + 1}", names.values())
    return tuple(names[number] for number in range(len(fields)))


def table_name(file_name: str) -> str:
    """Return a table's name for a file.

    >>> table_name("Users 2026.csv.gz"), table_name("---.csv")
    ('users_2026', 'rows')
    """
    return fit(sql_name(_EXTENSIONS.sub("", file_name)) or "rows", ())

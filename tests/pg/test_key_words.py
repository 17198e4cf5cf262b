"""Words that are no column's name, against the servers' own list."""

from __future__ import annotations

import pytest

from syncengine.spec.names import column_alone
from tests.servers import Database


@pytest.mark.every_server
def test_no_reserved_word_of_the_server_is_taken_for_a_column(db: Database) -> None:
    reserved = db.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")

    assert len(reserved) > 90
    assert [word for (word,) in reserved if column_alone(str(word))] == []

"""What of an error is masked where columns are sensitive, and what is not."""

from __future__ import annotations

import pytest

from syncengine.errors import BadRow, DuplicateKeys, SourceError, SyncError
from syncengine.execute.masking import mask, mask_sample, masking


def test_without_sensitive_columns_nothing_is_touched():
    error = BadRow("not an object", detail='{"email": hush}')

    mask(error, [])

    assert error.detail == '{"email": hush}'


def test_what_a_source_quotes_of_a_record_is_masked_and_so_is_its_cause():
    error = BadRow("not an object", detail='{"email": hush}', hint="mend the line")
    error.__cause__ = ValueError('{"email": hush}')

    with pytest.raises(BadRow), masking(["email"], "public.t"):
        raise error

    assert (error.message, error.detail, error.hint) == ("not an object", "***", "mend the line")
    assert error.__cause__ is None


@pytest.mark.parametrize(
    "error",
    [SourceError("the source raised KeyError", detail="'x'"), DuplicateKeys("keys: 2", detail='{"id": 1}')],
)
def test_errors_that_quote_no_row_keep_their_words_and_their_cause(error: SyncError):
    error.__cause__ = cause = KeyError("x")
    words = (error.message, error.detail)

    mask(error, ["email"])

    assert (error.message, error.detail) == words
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    ("sample", "shown"),
    [
        ('{"id" : 1}', '{"id" : 1}'),
        ('{"email" : "hush"}', '{"email": "***"}'),
        ('{"id" : 1.50, "email" : null, "é" : "ü"}', '{"id": "1.50", "email": "***", "é": "ü"}'),
    ],
)
def test_keys_are_masked_by_name(sample: str, shown: str):
    assert mask_sample(sample, ["email"]) == shown

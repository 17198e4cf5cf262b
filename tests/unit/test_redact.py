"""Secrets are masked wherever they stand in a text."""

from __future__ import annotations

import pytest

from syncengine.errors import OptionError
from syncengine.redact import passwords, redact, redact_error, remember


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("to postgresql://u:pw@h/d now", "to postgresql://u:***@h/d now", id="url"),
        pytest.param("postgresql://u:p%40w@h:5432/d", "postgresql://u:***@h:5432/d", id="encoded"),
        pytest.param("redis://:pw@h", "redis://:***@h", id="no-user"),
        pytest.param("postgresql://u:a@b@h/d", "postgresql://u:***@h/d", id="at-sign-in-the-password"),
        pytest.param("host=h password=pw user=u", "host=h password=*** user=u", id="conninfo"),
        pytest.param("password = 'a b\\'c' user=u", "password = *** user=u", id="quoted-conninfo"),
        pytest.param("postgresql://h/d?password=pw&x=1", "postgresql://h/d?password=***&x=1", id="query"),
        pytest.param("postgresql://u@h:5432/d", "postgresql://u@h:5432/d", id="no-password"),
        pytest.param("at 12:30:45 a@b", "at 12:30:45 a@b", id="plain-text"),
    ],
)
def test_passwords_in_urls_and_conninfo_are_masked(text: str, masked: str) -> None:
    assert redact(text) == masked


def test_a_remembered_secret_is_masked_also_percent_encoded_and_line_by_line() -> None:
    remember("topsecret/one\nsecond line!")

    assert redact("<topsecret/one> <topsecret%2Fone> <second line!>") == "<***> <***> <***>"


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    remember("abcdefgh")
    remember("abcdefghijk")

    assert redact("abcdefghijk") == "***"


def test_masking_twice_changes_nothing() -> None:
    once = redact("postgresql://u:pw@h/d password=pw")

    assert redact(once) == once


def test_an_errors_texts_are_all_masked() -> None:
    remember("hush-hush")
    error = redact_error(OptionError("a hush-hush", detail="b hush-hush", hint="c hush-hush"))

    assert (str(error), error.args) == ("a ***\n  detail: b ***\n  hint:   c ***", ("a ***",))


def test_passwords_are_found() -> None:
    assert passwords("postgresql://u:one@h and password='two'") == ("one", "two")

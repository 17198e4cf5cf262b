"""Secrets are masked wherever they stand in a text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import Literal
from rich.pretty import pretty_repr

from syncengine.errors import OptionError
from syncengine.model.spec import SourceSpec
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


ODD = "s3cr3t\"'\\ é/@:"


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(str, id="plain"),
        pytest.param(json.dumps, id="json"),
        pytest.param(lambda text: json.dumps(text, ensure_ascii=False), id="json-as-it-is"),
        pytest.param(repr, id="python"),
        pytest.param(lambda text: str(Literal(text).as_string()), id="sql"),
        pytest.param(lambda text: json.dumps(str(Literal(text).as_string())), id="sql-in-json"),
        pytest.param(lambda text: make_conninfo(password=text, host="h"), id="conninfo"),
        pytest.param(lambda text: quote(text, safe=""), id="url"),
    ],
)
def test_a_secret_is_masked_however_it_is_written(shown: Callable[[str], str]) -> None:
    remember(ODD)

    assert "s3cr3t" in shown(ODD)
    assert "s3cr3t" not in redact(f"x {shown(ODD)} y")


def test_a_long_secret_is_masked_in_no_time() -> None:
    remember("0123456789" * 100_000)
    started = time.process_time()

    assert redact("<" + "0123456789" * 100_000 + ">") == "<***>"

    assert time.process_time() - started < 1


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


def test_a_spec_is_shown_without_secrets_also_by_rich() -> None:
    remember("hush-hush-hush")
    spec = SourceSpec(type="csv", options={"url": "postgresql://u:topsecret@h/d", "token": "hush-hush-hush"})

    shown = f"{spec!r} {spec} {pretty_repr(spec)} {pretty_repr([spec])}"

    assert shown.count("u:***@h/d") == 4
    assert "topsecret" not in shown
    assert "hush-hush" not in shown

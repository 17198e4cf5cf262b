"""YAML values remember their place, and only a small part of YAML is taken."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import SpecError
from syncengine.spec.positions import MAX_BYTES, decode, documents, scalar


def _value(text: str) -> Any:
    return documents(text, file="s.yaml")[0].value


def _error(text: str) -> SpecError:
    with pytest.raises(SpecError) as raised:
        documents(text, file="s.yaml")
    return raised.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("true", True, id="true"),
        pytest.param("FALSE", False, id="capitals"),
        pytest.param("~", None, id="tilde"),
        pytest.param("Null", None, id="null"),
        pytest.param("-12", -12, id="integer"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("0o17", 15, id="octal"),
        pytest.param("1.5e3", 1500.0, id="float"),
        pytest.param("0.1", 0.1, id="short-fraction-is-a-float"),
        pytest.param(
            "12345678901234567.89", Decimal("12345678901234567.89"), id="too-exact-for-a-float-is-a-decimal"
        ),
        pytest.param("1e999", Decimal("1e999"), id="too-large-for-a-float-is-a-decimal"),
        pytest.param(".inf", float("inf"), id="infinity"),
        pytest.param("on", "on", id="on-is-text"),
        pytest.param("yes", "yes", id="yes-is-text"),
        pytest.param("no", "no", id="no-is-text"),
        pytest.param("off", "off", id="off-is-text"),
        pytest.param("012", "012", id="leading-zero-is-text"),
        pytest.param("12:30:45", "12:30:45", id="time-is-text"),
        pytest.param("2024-01-01", "2024-01-01", id="date-is-text"),
        pytest.param("1_000", "1_000", id="underscore-is-text"),
        pytest.param("tRue", "tRue", id="mixed-case-is-text"),
        pytest.param("9" * 5000, "9" * 5000, id="endless-number-is-text"),
    ],
)
def test_plain_scalars_are_read_as_yaml_1_2_says(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(_value(f"a: {text}")["a"]) is type(value)


def test_quoted_scalars_are_texts() -> None:
    assert _value("""{a: "true", b: '1', c: "null"}""") == {"a": "true", "b": "1", "c": "null"}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        pytest.param("a: 1\nb: &x 2\n", "2:4", "anchors", id="anchor"),
        pytest.param("a: 1\nb: *x\n", "2:4", "aliases", id="alias"),
        pytest.param("a: 1\n  \nb: [1, {c: 1, c: 2}]\n", "3:15", "`c` is there twice", id="duplicate-key"),
        pytest.param("a: !!str 1\n", "1:4", "tags", id="tag"),
        pytest.param("a: !!python/name:os.system x\n", "1:4", "tags", id="python-tag"),
        pytest.param("1: a\n", "1:1", "`1` is not a text", id="number-as-key"),
        pytest.param("a: {true: 1}\n", "1:5", "`true` is not a text", id="boolean-as-key"),
        pytest.param("? [a]\n: 1\n", "1:3", "not a list", id="list-as-key"),
        pytest.param("a: 1\nb: [1, 2\nc: 3\n", "3:2", "not YAML", id="open-bracket"),
        pytest.param("a:\n\t- 1\n", "2:1", "not YAML", id="tab"),
        pytest.param('a: "\\0"\n', "1:4", "U+0000", id="escaped-nul"),
        pytest.param("a: b\x00c\n", "1:5", "U+0000", id="nul"),
        pytest.param("[" * 60 + "]" * 60, "1:52", "deeper than 50", id="deep-flow"),
        pytest.param("a: " + "[" * 200_000, "1:54", "deeper than 50", id="endless-flow"),
        pytest.param("a: [" + "x, " * 400_000 + "]", "", "larger than 1 MB", id="huge"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, place: str, words: str) -> None:
    error = _error(text)

    assert str(error.location) == f"s.yaml:{place}".rstrip(":")
    assert words in error.message


def test_a_billion_laughs_is_refused_at_its_first_anchor() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

    assert str(_error("\n".join(lines)).location) == "s.yaml:1:5"


def test_the_first_of_two_equal_keys_is_named() -> None:
    assert _error("a: 1\nb: 2\na: 3\n").hint == "first at s.yaml:1:1"


def test_values_and_keys_are_found_by_json_pointer() -> None:
    document = documents("a:\n  - x: 1\n    'y/z': 2\n", file="s.yaml")[0]

    assert str(document.at("/a/0/x")) == "s.yaml:2:8"
    assert str(document.at_key("/a/0/x")) == "s.yaml:2:5"
    assert str(document.at("/a/0/y~1z")) == "s.yaml:3:12"


def test_a_place_that_is_not_there_is_that_of_its_parent() -> None:
    document = documents("a: {b: 1}\n", file="s.yaml")[0]

    assert str(document.at("/a/b/c/d")) == "s.yaml:1:8"


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        pytest.param("a: one two\n", 4, "1:8", id="plain"),
        pytest.param("a: 'one two'\n", 4, "1:9", id="quoted"),
        pytest.param("a: 'o''ne two'\n", 4, "1:4", id="escaped-is-the-start"),
        pytest.param("a: |\n  one\n  two x\n", 8, "3:7", id="block"),
        pytest.param("a: >\n  one\n  two x\n", 8, "1:4", id="folded-is-the-start"),
        pytest.param("a: 'é ö'\n", 2, "1:7", id="characters-not-bytes"),
    ],
)
def test_a_place_inside_a_scalar_is_found_where_it_is_plain(text: str, offset: int, place: str) -> None:
    document = documents(text, file="s.yaml")[0]

    assert str(document.inside("/a", offset)) == f"s.yaml:{place}"


def test_several_documents_are_several_values_and_empty_ones_are_none() -> None:
    found = documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n", file="s.yaml")

    assert [document.value for document in found] == [{"a": 1}, {"b": 2}]
    assert str(found[1].start) == "s.yaml:6:1"


def test_a_byte_order_mark_moves_nothing() -> None:
    document = documents(decode(b"\xef\xbb\xbfa: 1\n", file="s.yaml"), file="s.yaml")[0]

    assert str(document.at_key("/a")) == "s.yaml:1:1"


def test_windows_line_ends_count_once() -> None:
    assert str(documents("a: 1\r\nb: 2\r\n", file="s.yaml")[0].at("/b")) == "s.yaml:2:4"


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        pytest.param("a: 1\nb: ü\n".encode("latin-1"), "s.yaml:2:4", "0xfc", id="latin-1"),
        pytest.param("a: 1\n".encode("utf-16"), "s.yaml:1:1", "0xff", id="utf-16"),
        pytest.param(b" " * (MAX_BYTES + 1), "s.yaml", "larger than 1 MB", id="large"),
    ],
)
def test_a_file_must_be_small_utf_8(data: bytes, place: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as raised:
        decode(data, file="s.yaml")

    assert str(raised.value.location) == place


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@`\n\t ,?~\x00\ud800\ufeff0.~$"), max_size=60))
def test_no_text_raises_anything_but_a_spec_error(text: str) -> None:
    with suppress(SpecError):
        assert all(document.value is not None for document in documents(text, file="s.yaml"))

"""The page of errors: every code has a section, and all sections have the same parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncengine.cli import _code
from syncengine.cli.pages import meaning, plain, section, sections
from syncengine.errors import Blocked, SyncError

DOCS = Path(__file__).parents[3] / "docs"
CLASS_IN_PYTHON = re.compile(r"\AExit code (\d+), in Python ((?:`\w+`(?:; several at once are )?)+)")
PARTS = [r"Exit code \d", r"\*\*Why it happens:\*\* ", r"\*\*How to mend it:\*\* ", r"\*\*Example:\*\*\Z"]


def below(kind: type[SyncError]) -> Iterator[type[SyncError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from below(subclass)


# It is never raised itself: the name of what its subclasses have in common.
ABSTRACT = (Blocked,)
CLASSES = sorted(
    {kind for kind in below(SyncError) if kind.__module__ == "syncengine.errors"}.difference(ABSTRACT),
    key=str,
)


def test_every_code_has_a_section_and_every_section_a_code():
    assert sorted(sections()) == sorted({kind.code for kind in CLASSES})


@pytest.mark.parametrize("code", sections())
def test_every_section_has_the_same_parts_in_the_same_order(code: str):
    summary, *paragraphs = re.split(r"\n{2,}", section(code).strip())
    outline = [part for text in paragraphs for part in PARTS if re.match(part, text)]

    assert summary.endswith(".")
    assert len(meaning(code)) <= 80
    assert outline == PARTS
    assert paragraphs[-1].startswith("```text\n")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_section_names_the_class_and_its_exit_code(kind: type[SyncError]):
    told = CLASS_IN_PYTHON.match(section(kind.code).split("\n\n")[1])

    assert told is not None
    assert int(told[1]) == kind.exit_code
    assert f"`{kind.__name__}`" in told[2]
    assert ("the same call may succeed later" in section(kind.code)) == kind.retryable


@pytest.mark.parametrize("code", [code for code in sections() if code != "interrupted"])
def test_example_shows_the_code_and_a_hint(code: str):
    shown = section(code).rpartition("```text\n")[2]

    assert f" [{code}]\n" in shown
    assert "\n  hint:   " in shown


def test_page_is_in_the_docs_and_in_the_package():
    assert (DOCS / "errors.md").resolve().parent.name == "pages"
    assert (DOCS / "errors.md").read_text(encoding="utf-8").startswith("# Errors\n")


@pytest.mark.parametrize("written", ["null-keys", "[null-keys]", "NULL_KEYS"])
def test_explain_prints_the_section_of_a_code(written: str, capsys: pytest.CaptureFixture[str]):
    code = _code(["explain", written])

    assert (code, capsys.readouterr().out) == (0, plain("null-keys"))


def test_section_on_a_terminal_has_no_marks_and_indented_examples():
    shown = plain("bad-row")

    assert shown.startswith("bad-row\n\nA row holds a value ")
    assert "\nHow to mend it: " in shown
    assert "\n    bob@example.com,unknown\n" in shown
    assert "```" not in shown


def test_explain_alone_lists_every_code_with_its_meaning(capsys: pytest.CaptureFixture[str]):
    code = _code(["explain"])

    assert code == 0
    assert [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()] == list(sections())


@pytest.mark.parametrize(
    ("written", "hint"),
    [("null-kyes", "did you mean null-keys?"), ("42P01", "`syncengine explain` lists them")],
)
def test_unknown_code_is_refused_with_the_nearest_or_the_list(
    written: str, hint: str, capsys: pytest.CaptureFixture[str]
):
    code = _code(["explain", written])

    said = capsys.readouterr().err
    assert code == 3
    assert f"there is no error code `{written}`" in said
    assert all(known in said for known in sections())
    assert said.endswith(f"hint:   {hint}\n")

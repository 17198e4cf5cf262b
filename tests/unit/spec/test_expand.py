"""`${…}` in scalar values: expanded after parsing, secrets remembered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from syncengine.errors import SpecErrors
from syncengine.model.spec import Spec
from syncengine.redact import redact
from syncengine.spec.load import load_text
from syncengine.spec.project import Project

REST = "\ntarget: t\n"


def _load(text: str, environ: Mapping[str, str], folder: Path = Path("/project")) -> Spec:
    return load_text(text, file="s.yaml", folder=folder, project=Project(folder=folder), environ=environ)[0]


def _problem(
    text: str, environ: Mapping[str, str], folder: Path = Path("/project")
) -> tuple[str, str | None]:
    with pytest.raises(SpecErrors) as raised:
        _load(text, environ, folder)
    first = raised.value.each()[0]
    return f"{first.location}: {first.message}", first.hint


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        pytest.param("${A}", {"A": "x"}, "x", id="variable"),
        pytest.param("a ${A}-${B} z", {"A": "1", "B": "2"}, "a 1-2 z", id="several-in-a-text"),
        pytest.param("${A:-y}", {}, "y", id="default"),
        pytest.param("${A:-y}", {"A": ""}, "y", id="default-for-empty-as-the-shell-does"),
        pytest.param("${A:-}", {}, "", id="empty-default"),
        pytest.param("${A}", {"A": ""}, "", id="empty-is-set"),
        pytest.param("$${A}", {}, "${A}", id="literal"),
        pytest.param("$A", {"A": "x"}, "$A", id="no-braces-no-reference"),
        pytest.param("${A}", {"A": "${B}"}, "${B}", id="expanded-once"),
        pytest.param("'${A}'", {"A": 'x", y: [1'}, 'x", y: [1', id="a-value-cannot-inject-yaml"),
        pytest.param("${A}", {"A": "12"}, "12", id="always-a-text"),
    ],
)
def test_references_stand_for_their_values(text: str, environ: dict[str, str], value: str) -> None:
    assert _load(f"source: a.csv{REST}description: {text}\n", environ).description == value


def test_keys_are_not_expanded() -> None:
    assert _load(f"source: a.csv{REST}columns: {{'${{A}}': x}}\n", {"A": "y"}).columns[0].column == "${A}"


def test_a_text_becomes_a_number_or_boolean_where_one_is_wanted() -> None:
    spec = _load(
        f"source: {{path: a.csv, header: '${{H}}'}}{REST}execution: {{retries: '${{R:-3}}'}}\n"
        "touch_unchanged: ${T}\nconflict_keys: [a]\n",
        {"H": "false", "T": "true"},
    )

    assert spec.source.options["header"] is False
    assert (spec.execution.retries, spec.touch_unchanged) == (3, True)


def test_a_quoted_number_that_was_not_expanded_stays_a_text() -> None:
    told, _ = _problem(f"source: a.csv{REST}execution: {{retries: '3'}}\n", {})

    assert told == "s.yaml:3:22: `execution.retries` must be an integer, not `3`"


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        pytest.param(
            "a ${B}",
            "3:16",
            "the environment variable B is not set",
            "set B, or write ${B:-default}",
            id="unset",
        ),
        pytest.param(
            "${HOEM}",
            "3:14",
            "the environment variable HOEM is not set",
            "did you mean HOME?",
            id="nearly",
        ),
        pytest.param(
            "${secret:B}",
            "3:14",
            "the environment variable B is not set",
            "set B, or write ${B:-default}",
            id="secret",
        ),
        pytest.param(
            "a ${",
            "3:16",
            "`${` starts no reference",
            "write ${NAME}, ${NAME:-default}, ${secret:NAME} or ${file:path}; $${ is a literal ${",
            id="open",
        ),
        pytest.param(
            "${A:-${B}}",
            "3:14",
            "`${` starts no reference",
            "write ${NAME}, ${NAME:-default}, ${secret:NAME} or ${file:path}; $${ is a literal ${",
            id="nested",
        ),
        pytest.param(
            "${file:gone}",
            "3:14",
            "there is no file gone",
            "the path is relative to the spec's folder",
            id="no-file",
        ),
        pytest.param(
            "${file:/etc/hostname}",
            "3:14",
            "the path /etc/hostname leads out of the project",
            "list its folder under `roots:` in syncengine.yaml",
            id="file-outside",
        ),
    ],
)
def test_a_reference_that_fails_is_told_at_its_place(
    text: str, place: str, message: str, hint: str | None
) -> None:
    told = _problem(f"source: a.csv{REST}description: {text}\n", {"HOME": "/"})

    assert told == (f"s.yaml:{place}: {message}", hint)


def test_a_failed_reference_brings_no_further_errors() -> None:
    with pytest.raises(SpecErrors) as raised:
        _load(f"source: a.csv{REST}conflict_keys: [a]\nwhere: target.a > ${{LIMIT}}\n", {})

    assert [problem.message for problem in raised.value.each()] == [
        "the environment variable LIMIT is not set"
    ]


def test_a_file_is_read_without_its_last_line_end_and_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("hunter-two-file\n")

    spec = _load(f"source: a.csv{REST}description: ${{file:pass}}\n", {}, tmp_path)

    assert spec.description == "hunter-two-file"
    assert redact("it is hunter-two-file.") == "it is ***."


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "outside").write_text("x")
    (tmp_path / "project" / "link").symlink_to(tmp_path / "outside")

    told, _ = _problem(f"source: a.csv{REST}description: ${{file:link}}\n", {}, tmp_path / "project")

    assert "leads out of the project" in told


def test_a_secret_never_stands_in_an_error() -> None:
    environ = {"PASS": "huntertwoenv"}

    told, _ = _problem("source: a.csv\ntarget: a.${secret:PASS}.b.c\n", environ)

    assert told == "s.yaml:2:9: `a.***.b.c` has 4 parts"


@pytest.mark.parametrize(
    "text",
    [
        "source: {url: 'postgresql://u:hunter2@h/d', query: q}",
        "source: {url: 'postgresql://u:pre${A:-x}@h/d', query: q}",
        "source: {url: 'host=h password=hunter2', query: q}",
        "source: {url: 'postgresql://h/d?password=hunter2', query: q}",
    ],
)
def test_a_password_that_is_written_out_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SpecErrors) as raised:
        _load(f"{text}{REST}", {})

    assert "a password stands in the file" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_password_by_reference_is_fine() -> None:
    with pytest.raises(SpecErrors) as raised:
        _load(f"source: {{url: 'postgresql://u:${{secret:P}}@h/d', query: q}}{REST}", {"P": "hunter-three"})

    assert [problem.message for problem in raised.value.each()] == ["`source type sql` is not available yet"]
    assert redact("hunter-three") == "***"

"""YAML that is small and becomes large, or is large: refused within a second at its place, wherever it stands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from syncengine.errors import SpecErrors, SyncError
from syncengine.spec.load import load_text
from syncengine.spec.project import Project, load_project
from tests.conftest import RunCli

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "billion-laughs": (LAUGHS, "1:4", "anchors (&a) are not allowed"),
    "alias": ("a: *x", "1:4", "aliases (*x) are not allowed"),
    "merge-key": ("d: 1\n<<: {source: x}\n", "2:1", "unknown key `<<`"),
    "merge-of-an-anchor": ("source:\n  <<: &d {path: x}\n", "2:7", "anchors (&d) are not allowed"),
    "python-object": (
        "source: !!python/object/apply:os.system ['id']",
        "1:9",
        "tags (tag:yaml.org,2002:python",
    ),
    "tag-of-ones-own": (
        "%TAG ! tag:x,2000:\n---\nsource: !foo a\n",
        "3:9",
        "tags (tag:x,2000:foo) are not allowed",
    ),
    "binary": ("source: !!binary aGk=", "1:9", "tags (tag:yaml.org,2002:binary)"),
    "key-twice": ("source: a\ntarget: t\nsource: b\n", "3:1", "the key `source` is there twice"),
    "key-twice-below": ("source: {path: a, path: b}", "1:19", "the key `path` is there twice"),
    "deep-lists": (f"a: {'[' * 20_000}{']' * 20_000}", "1:54", "nested deeper than 50 levels"),
    "deep-mappings": (f"{'{a: ' * 20_000}1{'}' * 20_000}", "1:205", "nested deeper than 50 levels"),
    "deep-blocks": ("".join(f"{' ' * depth}a:\n" for depth in range(1_000)), "52:52", "nested deeper"),
    "deep-keys": ("? " * 400_000, "1:3", "a key must be a text"),
    "two-megabytes": (f"a: {'x' * 2_000_000}", "", "larger than 1 MB"),
    "many-keys": ("".join(f"k{number}: 1\n" for number in range(80_000)), "2001:1", "more than 2,000 keys"),
    "many-values": (f"a: [{'1,' * 400_000}]", "1:100001", "more than 50,000 values"),
    "many-rows": (f"source: {{rows: [{'{a: 1},' * 100_000}]}}", "1:175007", "more than 50,000 values"),
    "many-references": (f"source: {'${NOT_SET}' * 90_000}", "1:9", "NOT_SET is not set"),
    "many-openings": (f"source: {'${' * 400_000}", "1:9", "`${` starts no reference"),
    "long-number": (f"a: {'9' * 900_000}", "1:1", "unknown key `a`"),
    "large-exponent": ("version: 1e999999999", "1:10", "`version`"),
}
ONLY_SPECS = {
    "many-documents": ("---\n{a: 1}\n" * 80_000, "2002:1", "more than 1,000 documents"),
    "many-empty-documents": ("---\n" * 240_000, "1002:1", "more than 1,000 documents"),
    "many-conflict-keys": (
        f"conflict_keys: [{','.join(f'k{number}' for number in range(20_000))}]",
        "1:16",
        "holds more than 1,600 items",
    ),
    "many-assignments": (
        f"update_columns: {{{','.join(f'c{number}: now()' for number in range(20_000))}}}",
        "1:",
        "more than 2,000 keys",
    ),
}


def spec_problems(text: str, tmp_path: Path) -> tuple[SyncError, ...]:
    with pytest.raises(SpecErrors) as raised:
        load_text(text, file="f.yaml", folder=tmp_path, project=Project(folder=tmp_path), environ={})
    return raised.value.each()


def project_problems(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SyncError, ...]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syncengine.yaml").write_text(text)
    with pytest.raises(SpecErrors) as raised:
        load_project(tmp_path, {})
    return raised.value.each()


def told(problems: tuple[SyncError, ...], file: str, place: str, words: str) -> bool:
    """Tell whether a problem is told at its place."""
    start = ":".join(filter(None, (file, place)))
    return any(str(problem.location).startswith(start) and words in problem.message for problem in problems)


@pytest.mark.parametrize(("text", "place", "words"), (BOMBS | ONLY_SPECS).values(), ids=BOMBS | ONLY_SPECS)
def test_bomb_in_a_spec_is_refused_at_once(text: str, place: str, words: str, tmp_path: Path) -> None:
    started = time.process_time()

    problems = spec_problems(text, tmp_path)

    assert time.process_time() - started < 1
    assert told(problems, "f.yaml", place, words), problems[:3]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [case for name, case in BOMBS.items() if "source" not in case[0] and name not in ("large-exponent",)],
    ids=[name for name, case in BOMBS.items() if "source" not in case[0] and name not in ("large-exponent",)],
)
def test_bomb_in_a_project_file_is_refused_at_once(
    text: str, place: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.process_time()

    problems = project_problems(text, tmp_path, monkeypatch)

    assert time.process_time() - started < 1
    assert told(problems, "syncengine.yaml", place, words), problems[:3]


def test_references_to_a_long_file_do_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x" * 900_000)
    references = ", ".join(["'${file:long.txt}'"] * 500)
    text = f"source: a.csv\ntarget: t\ntags: [{references}]"
    started = time.process_time()

    (problem,) = spec_problems(text, tmp_path)

    assert time.process_time() - started < 1
    assert problem.message == "the values are longer than 4 MB once they are expanded"
    assert str(problem.location) == "f.yaml:3:88"


def test_bombs_on_standard_input_are_refused_likewise(cli: RunCli) -> None:
    laughs = cli("validate", "-", input=LAUGHS)
    long = cli("run", "-", input=BOMBS["two-megabytes"][0])

    assert (laughs.returncode, long.returncode) == (3, 3)
    assert laughs.stderr.startswith("<stdin>:1:4: anchors (&a) are not allowed")
    assert long.stderr.startswith("<stdin>: the file is larger than 1 MB")

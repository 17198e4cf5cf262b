"""`depends_on` and `specs`: names that exist, no circles, and the paths of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

import syncengine
from syncengine.errors import OptionError, SpecErrors

SPEC = "source: a.csv\ntarget: t\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(**depends_on: str) -> None:
    """Write a spec of each name; what it depends on are words."""
    for name, others in depends_on.items():
        Path(f"{name}.yaml").write_text(f"{SPEC}depends_on: [{', '.join(others.split())}]\n")


def problems(*paths: str) -> list[tuple[str, str, str | None]]:
    with pytest.raises(SpecErrors) as raised:
        syncengine.load(paths, environ={})
    return [(str(one.location), one.message, one.hint) for one in raised.value.each()]


def names(*paths: str, **options: list[str]) -> list[str]:
    return [job.spec.name for job in syncengine.load(paths, environ={}, **options)]


def test_known_dependencies_are_kept():
    write(orders="customers products", customers="", products="")

    by_name = {job.spec.name: job.spec for job in syncengine.load(["."], environ={})}

    assert by_name["orders"].depends_on == ("customers", "products")


def test_unknown_dependency_is_told_with_the_nearest_name():
    write(orders="custmers zzz", customers="")

    assert problems(".") == [
        ("orders.yaml:3:14", "there is no spec `custmers`", "did you mean `customers`?"),
        ("orders.yaml:3:24", "there is no spec `zzz`", "`depends_on` takes the names of specs"),
    ]


def test_dependency_named_twice_is_an_error():
    write(orders="customers customers", customers="")

    assert [place for place, _, _ in problems(".")] == ["orders.yaml:3:25"]


@pytest.mark.parametrize("project", [None, "", "specs: [sub]\n"], ids=["no-project", "project", "specs"])
def test_dependency_elsewhere_in_the_project_is_known(project: str | None, folder: Path):
    write(orders="customers")
    (folder / "sub").mkdir()
    neighbour = folder / "customers.yaml" if project is None else folder / "sub" / "two.yaml"
    neighbour.write_text(f"name: products\n{SPEC}---\nname: customers\n{SPEC}")
    (folder / "broken.yaml").write_text("a: [")
    if project is not None:
        (folder / "syncengine.yaml").write_text(project)

    assert names("orders.yaml") == ["orders"]


@pytest.mark.parametrize(
    ("depends_on", "way"),
    [
        pytest.param({"a": "a"}, "a -> a", id="itself"),
        pytest.param({"a": "b", "b": "a"}, "a -> b -> a", id="two"),
        pytest.param({"a": "c", "b": "a", "c": "b"}, "a -> c -> b -> a", id="three"),
    ],
)
def test_circle_is_told_with_its_whole_way(depends_on: dict[str, str], way: str):
    write(**depends_on)

    assert problems(".") == [("a.yaml:3:14", f"`depends_on` goes in a circle: {way}", "take one of them out")]


def test_every_circle_is_told():
    write(a="b", b="a", c="d", d="c")

    assert [message.partition(": ")[2] for _, message, _ in problems(".")] == ["a -> b -> a", "c -> d -> c"]


def test_names_of_two_projects_of_one_call_must_differ(folder: Path):
    for project in ("one", "two"):
        (folder / project).mkdir()
        (folder / project / "syncengine.yaml").write_text("version: 1\n")
        (folder / project / "a.yaml").write_text(SPEC)

    assert problems("one", "two") == [
        ("two/a.yaml:1:1", "the name `a` is there twice", "give one of them another `name`")
    ]


# Selection and paths


def test_selection_while_loading_follows_depends_on():
    write(orders="customers", customers="", products="")

    assert names(".", select=["+orders"]) == ["customers", "orders"]


def test_paths_of_the_project_are_used_where_none_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch):
    write(a="", b="", c="")
    (folder / "syncengine.yaml").write_text("specs: [c.yaml, a.yaml]\n")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")

    assert names() == ["c", "a"]
    assert names("../b.yaml") == ["b"]


def test_path_of_the_project_that_is_not_there():
    Path("syncengine.yaml").write_text("specs: [a.yaml, b]\n")
    write(a="")

    assert problems() == [("syncengine.yaml:1:17", "there is no file or folder b", None)]


@pytest.mark.parametrize(
    ("project", "why"),
    [
        pytest.param(None, "there is no syncengine.yaml", id="no-project-file"),
        pytest.param("version: 1\n", "syncengine.yaml names no specs", id="no-specs"),
        pytest.param("specs: []\n", "syncengine.yaml names no specs", id="empty"),
    ],
)
def test_no_paths_at_all(project: str | None, why: str):
    if project is not None:
        Path("syncengine.yaml").write_text(project)

    with pytest.raises(OptionError) as raised:
        syncengine.load(environ={})

    assert raised.value.message == f"no PATH is given, and {why}"
    assert "under `specs:`" in (raised.value.hint or "")

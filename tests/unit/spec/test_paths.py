"""Paths of a spec stay inside the folders it may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import Location, SpecError
from syncengine.spec.paths import resolve_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param("a.csv", "project/specs/a.csv", id="relative"),
        pytest.param("../a.csv", "project/a.csv", id="up-to-the-project"),
        pytest.param("../../data/x/*.csv", "data/x/*.csv", id="glob-in-a-root"),
        pytest.param("x/../../a.csv", "project/a.csv", id="down-and-up"),
    ],
)
def test_a_path_inside_is_made_absolute(tmp_path: Path, path: str, found: str) -> None:
    roots = [tmp_path / "project", tmp_path / "data"]

    assert resolve_path(path, tmp_path / "project" / "specs", roots) == tmp_path / found


@pytest.mark.parametrize(
    "path", ["../../a.csv", "/etc/passwd", "../../project2/a.csv", "file:///etc/passwd", "a\x00b"]
)
def test_a_path_outside_is_refused_at_its_place(tmp_path: Path, path: str) -> None:
    place = Location("s.yaml", 1, 9)

    with pytest.raises(SpecError) as raised:
        resolve_path(path, tmp_path / "project" / "specs", [tmp_path / "project"], place)

    assert raised.value.location == place


def test_a_symbolic_link_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "link").symlink_to(tmp_path)

    with pytest.raises(SpecError):
        resolve_path("link/a.csv", tmp_path / "project", [tmp_path / "project"])


def test_a_file_url_is_its_path(tmp_path: Path) -> None:
    url = (tmp_path / "a b.csv").as_uri()

    assert resolve_path(url, tmp_path, [tmp_path]) == tmp_path / "a b.csv"

"""Passwords that are written out in specs and project files are refused at their place, and not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import SpecErrors
from syncengine.spec.load import load_text
from syncengine.spec.project import Project, load_project

# What <URL> stands for.
URL = "postgresql://u:hunter2@h/d"
IN_SPECS = {
    "connection": ("source: a.csv\ntarget: {table: t, connection: '<URL>'}", "2:32"),
    "conninfo": ("source: a.csv\ntarget: {table: t, connection: 'host=h password=hunter2'}", "2:32"),
    "quoted-conninfo": ("source: a.csv\ntarget: {table: t, connection: \"password='hunter2 x'\"}", "2:32"),
    "in-the-query": (
        "source: a.csv\ntarget: {table: t, connection: 'postgresql://h/d?password=hunter2'}",
        "2:32",
    ),
    "of-the-key": (
        "source: a.csv\ntarget: {table: t, connection: 'postgresql://h/d?sslpassword=hunter2'}",
        "2:32",
    ),
    "source": ("source: https://u:hunter2@h/a.csv\ntarget: t", "1:9"),
    "source-path": ("source: {path: 's3://u:hunter2@h/a.csv'}\ntarget: t", "1:16"),
    "source-url": ("source: {url: 'mysql://u:hunter2@h/d', query: q}\ntarget: t", "1:15"),
    "webhook": ("source: a.csv\ntarget: t\nnotify: {webhook: 'https://u:hunter2@h/'}", "3:19"),
    "description": ("source: a.csv\ntarget: t\ndescription: see <URL>", "3:14"),
    "statement": ("source: a.csv\ntarget: t\nbefore: [\"SELECT dblink_connect('<URL>')\"]", "3:10"),
    "guard": ("source: a.csv\ntarget: t\nconflict_keys: [id]\nwhere: target.u = '<URL>'", "4:8"),
    "partly-a-reference": ("source: {url: 'mysql://u:pre${A:-}@h/d', query: q}\ntarget: t", "1:15"),
    "default-of-a-reference": ("source: {url: 'mysql://u:${A:-hunter2}@h/d', query: q}\ntarget: t", "1:15"),
    "whole-url-as-default": ("source: a.csv\ntarget: t\ndescription: '${A:-<URL>}'", "3:14"),
}
IN_PROJECTS = {
    "connection": ("connections: {a: '<URL>'}", "1:18"),
    "conninfo": ("connections: {a: 'host=h password=hunter2'}", "1:18"),
    "default-of-a-reference": ("connections: {a: 'postgresql://u:${P:-hunter2}@h/d'}", "1:18"),
    "of-an-environment": ("environments: {prod: {connections: {a: '<URL>'}}}", "1:40"),
    "default": ("defaults: {target: {connection: '<URL>'}}", "1:33"),
    "default-of-an-environment": ("environments: {p: {defaults: {source: {url: '<URL>'}}}}", "1:45"),
    "elsewhere": ("roots: ['<URL>']", "1:9"),
    "misspelt-key": ("conections: {a: '<URL>'}", "1:17"),
    "in-a-mapping": ("connections: {a: {url: '<URL>'}}", "1:24"),
}


def told(error: SpecErrors, place: str) -> None:
    """Check that the password is named at its place with a remedy, and shown nowhere."""
    found = [one for one in error.each() if one.message == "a password stands in the file"]
    assert [str(one.location) for one in found] == [place]
    assert all(word in (found[0].hint or "") for word in ("${secret:NAME}", "~/.pgpass", "service"))
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.each())


@pytest.mark.parametrize(("text", "place"), IN_SPECS.values(), ids=IN_SPECS)
def test_password_in_a_spec_is_refused(text: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(SpecErrors) as raised:
        load_text(
            text.replace("<URL>", URL),
            file="s.yaml",
            folder=tmp_path,
            project=Project(folder=tmp_path),
            environ={},
        )

    told(raised.value, f"s.yaml:{place}")


@pytest.mark.parametrize(("text", "place"), IN_PROJECTS.values(), ids=IN_PROJECTS)
def test_password_in_a_project_file_is_refused(
    text: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syncengine.yaml").write_text(text.replace("<URL>", URL))

    with pytest.raises(SpecErrors) as raised:
        load_project(tmp_path, {})

    told(raised.value, f"syncengine.yaml:{place}")


FINE = {
    "secret": "connections: {a: 'postgresql://u:${secret:P}@h/d'}",
    "variable": "connections: {a: 'postgresql://u:${P}@h/d'}",
    "file": "connections: {a: 'postgresql://u:${file:pw}@h/d'}",
    "empty-default": "connections: {a: 'postgresql://u:${P:-}@h/d'}",
    "whole-url": "connections: {a: '${URL}'}",
    "no-password": "connections: {a: 'postgresql://u@h/d'}",
    "service": "connections: {a: 'service=shop'}",
}


@pytest.mark.parametrize("text", FINE.values(), ids=FINE)
def test_reference_to_a_password_is_fine(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syncengine.yaml").write_text(text)

    assert list(load_project(tmp_path, {}).connections) == ["a"]


def test_what_only_looks_like_a_password_is_data_or_sql(tmp_path: Path) -> None:
    text = """
source: {type: rows, rows: [{id: 1, url: 'https://u:hunter2@h/'}]}
target: t
conflict_keys: [id]
where: target.password = excluded.password AND target.url <> 'postgresql://h:5432/d'
before: ["UPDATE users SET password = 'x' WHERE false"]
"""

    (spec,) = load_text(text, file="s.yaml", folder=tmp_path, project=Project(folder=tmp_path), environ={})

    assert spec.where is not None

"""Which database a spec goes to, and where falling back to the embedded one would hide a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncengine.errors import OptionError
from syncengine.spec.project import Project
from syncengine.targets import choose
from tests.builders import parsed


def a_project(**keys: Any) -> Project:
    return Project(folder=Path("/project"), **keys)


@pytest.mark.parametrize(
    ("project", "environ", "chosen"),
    [
        pytest.param(a_project(), {}, "embedded", id="nothing-said"),
        pytest.param(a_project(env="prod", embedded=True), {"CI": "1"}, "embedded", id="embedded-is-meant"),
        pytest.param(a_project(env="prod"), {"DATABASE_URL": "service=x"}, "$DATABASE_URL", id="a-variable"),
    ],
)
def test_choice(project: Project, environ: dict[str, str], chosen: str):
    assert choose(parsed(""), project, None, environ).name == chosen


@pytest.mark.parametrize(
    ("project", "environ", "why"),
    [
        pytest.param(a_project(env="prod"), {}, "the environment `prod` is chosen", id="environment"),
        pytest.param(
            a_project(connections={"a": "service=x"}),
            {},
            "the project file names connections",
            id="connections",
        ),
        pytest.param(a_project(), {"CI": "1"}, "$CI is set", id="ci"),
        pytest.param(
            a_project(env="prod"), {"SYNCENGINE_URL": ""}, "the environment `prod`", id="empty-variable"
        ),
    ],
)
def test_no_fallback_to_the_embedded_server(project: Project, environ: dict[str, str], why: str):
    with pytest.raises(OptionError, match="the embedded server would hide a mistake") as raised:
        choose(parsed(""), project, None, environ)

    assert why in raised.value.message

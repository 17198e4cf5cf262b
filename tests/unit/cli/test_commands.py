"""The command line without a server: help, version, mistakes, exit codes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from syncengine.cli import _code
from syncengine.cli.output import exit_code

COMMANDS = ["db", "explain", "init", "plan", "run", "schema", "validate"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call a command in this process; what is imported for one is there for the next."""

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = _code(list(arguments))
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return called


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 2], 2),
        ([2, 4], 4),
        ([4, 5], 5),
        ([5, 1], 1),
        ([1, 3], 3),
        ([3, 1, 5, 4, 2, 0], 3),
    ],
    ids=str,
)
def test_of_several_exit_codes_the_gravest_is_taken(codes: list[int], expected: int):
    assert {exit_code(order) for order in itertools.permutations(codes)} == {expected}


def test_help_names_every_command(call: Call):
    done = call("--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert [command for command in COMMANDS if f"\n  {command} " in done.stdout] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_its_exit_codes_or_options(call: Call, command: str):
    done = call(command, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: syncengine {command}" in done.stdout


def test_version(call: Call):
    done = call("--version")

    assert done.returncode == 0
    assert done.stdout.startswith("syncengine, version ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            ["rnu", "x.yaml"], "there is no command 'rnu'; did you mean run?", id="slip-of-a-command"
        ),
        pytest.param(["frobnicate"], "there are db, explain, gc, grants", id="no-such-command"),
        pytest.param(["run", "--quite", "x.yaml"], "--quiet", id="slip-of-an-option"),
        pytest.param(["run", "--frobnicate", "x.yaml"], "No such option", id="no-such-option"),
        pytest.param(["run", "--format", "yaml", "x.yaml"], "'json', 'text'", id="no-such-format"),
        pytest.param(["plan", "--log-level", "loud", "x.yaml"], "'debug'", id="no-such-level"),
        pytest.param(["run"], "no PATH is given, and there is no syncengine.yaml", id="no-path"),
        pytest.param(
            ["plan", "--env", "prod", "."], "there is no environment `prod`", id="no-such-environment"
        ),
        pytest.param(["run", "--jobs", "0", "."], "--jobs", id="no-jobs"),
        pytest.param(["db", "sotp"], "sotp", id="slip-of-a-command-of-db"),
    ],
)
def test_mistakes_of_the_caller_exit_with_3(
    call: Call, arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    done = call(*arguments)

    assert (done.returncode, done.stdout) == (3, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["plan", "--help"], ["--version"]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[str]):
    program = (
        "import sys\nfrom syncengine.cli import _code\n"
        f"assert _code({arguments!r}) == 0\n"
        "heavy = {'psycopg', 'rich', 'jsonschema', 'structlog', 'yaml', 'postgast', 'zstandard'}\n"
        "heavy &= set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_importing_the_package_imports_nothing_heavy():
    program = (
        "import sys, syncengine; print(sorted({'psycopg', 'rich', 'jsonschema', 'yaml'} & set(sys.modules)))"
    )

    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def test_a_reader_that_goes_away_is_no_failure():
    command = f"{sys.executable} -m syncengine schema | head -0; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("0\n", "")

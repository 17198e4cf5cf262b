"""Files that are not what their names say: elsewhere, endless, exchanged meanwhile, or much larger inside."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from syncengine.errors import SourceError, SpecError, SpecErrors, SyncError
from syncengine.protocols import Whereabouts
from syncengine.sources import _files
from syncengine.sources._decompress import BZ2_PIECE, Decompressor
from syncengine.sources._files import FileInput
from syncengine.sources._paths import find, inputs
from syncengine.spec.load import load_text
from syncengine.spec.project import Project

SECRET = b"root:s3cr3t\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project beside a secret that is no part of it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.csv").write_bytes(SECRET)
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "project" / "data" / "rows.csv").write_bytes(b"id\n1\n")
    return tmp_path / "project"


def where(folder: Path) -> Whereabouts:
    return Whereabouts(folder=str(folder), roots=(str(folder),))


def refusal(path: str, folder: Path) -> SyncError:
    with pytest.raises((SourceError, SpecError)) as raised:
        read(path, folder)
    return raised.value


def read(path: str, folder: Path) -> None:
    for found in inputs(path, None, where(folder)):
        with found.open() as reader:
            list(reader.blocks())


def a_link(project: Path) -> None:
    (project / "rows.csv").symlink_to("../outside/secret.csv")


def a_link_to_a_link(project: Path) -> None:
    (project / "data" / "first.csv").symlink_to("../../outside/secret.csv")
    (project / "rows.csv").symlink_to("data/first.csv")


def a_linked_folder(project: Path) -> None:
    (project / "linked").symlink_to("../outside")


def a_circle(project: Path) -> None:
    (project / "rows.csv").symlink_to("rows.csv")


def a_pipe(project: Path) -> None:
    os.mkfifo(project / "rows.csv")


def a_device(project: Path) -> None:
    (project / "rows.csv").symlink_to("/dev/zero")


def a_file_of_the_kernel(project: Path) -> None:
    (project / "rows.csv").symlink_to("/proc/self/environ")


def nothing(project: Path) -> None:
    """Leave the project as it is."""


REFUSED: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "upwards": (nothing, "../outside/secret.csv", "outside the folders"),
    "down-and-upwards": (nothing, "data/../../outside/secret.csv", "outside the folders"),
    "absolute": (nothing, "/etc/passwd", "outside the folders"),
    "url": (nothing, "file:///etc/passwd", "outside the folders"),
    "encoded-url": (nothing, "file:///%65tc/passwd", "outside the folders"),
    "glob-upwards": (nothing, "../outside/*.csv", "outside the folders"),
    "glob-of-all": (nothing, "../**/secret.csv", "outside the folders"),
    "link": (a_link, "rows.csv", "outside the folders"),
    "link-to-a-link": (a_link_to_a_link, "rows.csv", "outside the folders"),
    "glob-of-a-link": (a_link, "r*.csv", "outside the folders"),
    "all-files-with-a-link": (a_link, "**/*.csv", "outside the folders"),
    "linked-folder": (a_linked_folder, "linked/secret.csv", "outside the folders"),
    "glob-in-a-linked-folder": (a_linked_folder, "linked/*.csv", "outside the folders"),
    "glob-of-linked-folders": (a_linked_folder, "*/secret.csv", "outside the folders"),
    "device": (a_device, "rows.csv", "outside the folders"),
    "file-of-the-kernel": (a_file_of_the_kernel, "rows.csv", "outside the folders"),
    "circle": (a_circle, "rows.csv", "Too many levels of symbolic links|no such file"),
    "pipe": (a_pipe, "rows.csv", "is a pipe or a device"),
    "glob-of-a-pipe": (a_pipe, "r*.csv", "is a pipe or a device"),
    "folder": (nothing, "data", "is a folder"),
}


@pytest.mark.parametrize(("make", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_file_of_the_project_is_refused(
    make: Callable[[Path], None], path: str, words: str, project: Path
) -> None:
    make(project)

    error = refusal(path, project)

    assert any(text in error.message for text in words.split("|")), error
    assert "s3cr3t" not in str(error)


def test_devices_and_files_of_the_kernel_are_refused_even_if_their_folder_may_be_read(project: Path) -> None:
    (zero,) = (FileInput(Path("/dev/zero"), "zero", None),)
    with pytest.raises(SourceError, match="is a pipe or a device"), zero.open():
        pass


def test_links_within_the_project_are_followed(project: Path) -> None:
    (project / "here.csv").symlink_to("data/rows.csv")

    (found,) = inputs("here.csv", None, where(project))

    with found.open() as reader:
        assert b"".join(reader.blocks()) == b"id\n1\n"


def test_folders_that_lead_around_in_a_circle_are_passed_once(project: Path) -> None:
    for name in ("one", "two", "three"):
        (project / "data" / name).symlink_to("..")
    (project / "data" / ".hidden").mkdir()
    (project / "data" / ".hidden" / "rows.csv").touch()

    found = [str(path.relative_to(project)) for path in find("**/*.csv", where(project))]

    assert found == ["data/rows.csv"]
    assert len(find("data/**/rows.csv", where(project))) == 1
    assert len(find("**/data/**/*.csv", where(project))) == 1


# The file is exchanged after it was looked at, and before it is opened.
EXCHANGES: dict[str, Callable[[Path], None]] = {
    "link-outwards": lambda path: path.symlink_to("../../outside/secret.csv"),
    "link-to-a-device": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "another-file": lambda path: path.write_bytes(b"id\n1\n") and None,
}


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_file_that_is_exchanged_while_it_is_opened_is_not_read(
    exchange: Callable[[Path], None], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "data" / "rows.csv"
    (found,) = inputs("data/rows.csv", None, where(project))
    list(found.sample())
    opened = _files.opened

    def late(name: Path) -> object:
        path.rename(path.with_name("kept.csv"))
        exchange(path)
        os.utime(path, (0, 0)) if path.is_file() and not path.is_symlink() else None
        return opened(name)

    monkeypatch.setattr(_files, "opened", late)

    with pytest.raises((SourceError, SpecError)) as raised, found.open() as reader:
        pytest.fail(str(list(reader.blocks())))

    assert any(words in raised.value.message for words in ("outside", "pipe or a device", "changed after"))


def test_folder_that_is_exchanged_for_a_link_is_not_read(project: Path) -> None:
    (found,) = inputs("data/rows.csv", None, where(project))
    (project / "data").rename(project / "kept")
    (project / "data").symlink_to("../outside")
    (project / ".." / "outside" / "rows.csv").write_bytes(SECRET)

    with pytest.raises((SourceError, SpecError), match="outside the folders"), found.open():
        pass


# What specs name beside their sources.


def problems(project: Path, **keys: str) -> str:
    text = "\n".join(["target: t", *(f"{key}: {value}" for key, value in keys.items())])
    with pytest.raises(SpecErrors) as raised:
        load_text(text, file="s.yaml", folder=project, project=Project(folder=project), environ={})
    return str(raised.value)


@pytest.mark.parametrize(
    ("make", "to"),
    [
        pytest.param(nothing, "../out.csv", id="upwards"),
        pytest.param(nothing, "/tmp/out.csv", id="absolute"),
        pytest.param(nothing, "~/out.csv", id="home"),
        pytest.param(a_link, "rows.csv", id="link"),
        pytest.param(a_linked_folder, "linked/out.csv", id="linked-folder"),
        pytest.param(a_linked_folder, "linked/new/out.csv", id="new-folder-in-a-linked-one"),
    ],
)
def test_returned_rows_go_nowhere_else(make: Callable[[Path], None], to: str, project: Path) -> None:
    make(project)

    said = problems(project, source="rows.csv", returning=f"{{columns: [id], to: '{to}'}}")

    assert "s.yaml:3:" in said
    assert "leads out of the project" in said


@pytest.mark.parametrize(
    ("make", "name"),
    [
        pytest.param(nothing, "../outside/secret.csv", id="upwards"),
        pytest.param(nothing, "/etc/passwd", id="absolute"),
        pytest.param(nothing, "~/.pgpass", id="home"),
        pytest.param(a_link, "rows.csv", id="link"),
        pytest.param(a_link_to_a_link, "rows.csv", id="link-to-a-link"),
        pytest.param(a_linked_folder, "linked/secret.csv", id="linked-folder"),
        pytest.param(a_device, "rows.csv", id="device"),
        pytest.param(a_file_of_the_kernel, "rows.csv", id="file-of-the-kernel"),
        pytest.param(a_pipe, "rows.csv", id="pipe"),
        pytest.param(nothing, "data", id="folder"),
    ],
)
def test_file_of_a_reference_is_one_of_the_project(
    make: Callable[[Path], None], name: str, project: Path
) -> None:
    make(project)

    said = problems(project, source="rows.csv", description=f"'${{file:{name}}}'")

    assert "s.yaml:3:15" in said
    assert "s3cr3t" not in said


# Compressed data.

TEN_MEGABYTES = bytes(10_000_000)
# Of zeros, ten megabytes a member.
PACKED: dict[str, bytes] = {
    ".gz": gzip.compress(TEN_MEGABYTES),
    ".bz2": bz2.compress(TEN_MEGABYTES),
    ".zst": zstandard.ZstdCompressor().compress(TEN_MEGABYTES),
}


@pytest.mark.parametrize("extension", PACKED)
def test_bomb_is_refused_by_name_when_it_has_unfolded_a_little(extension: str, tmp_path: Path) -> None:
    (tmp_path / f"x.csv{extension}").write_bytes(PACKED[extension] * 30)
    (found,) = inputs(f"x.csv{extension}", None, where(tmp_path))

    with pytest.raises(SourceError) as raised, found.open() as reader:
        pytest.fail(f"{sum(len(block) for block in reader.blocks())} bytes came out")

    assert raised.value.message.startswith(f"x.csv{extension} unpacks to more than 1,000 times its size")
    assert "unpack it yourself" in (raised.value.hint or "")
    assert raised.value.location is not None


# One block of bzip2 holds 45 MB of zeros, in 40 bytes.
def test_one_call_unpacks_little() -> None:
    pieces = Decompressor("bz2", "x").feed(bz2.compress(bytes(60_000_000)))

    assert max(len(piece) for piece in pieces) <= BZ2_PIECE


@pytest.mark.parametrize("extension", PACKED)
def test_small_file_may_be_as_monotonous_as_it_likes(extension: str, tmp_path: Path) -> None:
    (tmp_path / f"x{extension}").write_bytes(PACKED[extension] * 5)
    (found,) = inputs(f"x{extension}", None, where(tmp_path))

    with found.open() as reader:
        assert sum(len(block) for block in reader.blocks()) == 50_000_000


def a_zstd_frame(window: int) -> bytes:
    """Return a frame that holds one byte and asks for 2**window bytes to be unpacked in."""
    last_raw_block = struct.pack("<I", 1 << 3 | 1)[:3]
    return b"\x28\xb5\x2f\xfd" + bytes([0, (window - 10) << 3]) + last_raw_block + b"a"


def test_zstd_window_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "fine.zst").write_bytes(a_zstd_frame(27))
    (tmp_path / "bomb.zst").write_bytes(a_zstd_frame(31))

    (fine,) = inputs("fine.zst", None, where(tmp_path))
    with fine.open() as reader:
        assert list(reader.blocks()) == [b"a"]
    error = refusal("bomb.zst", tmp_path)

    assert error.message == "bomb.zst needs more than 128 MB of memory to be unpacked"
    assert "--long" in (error.hint or "")

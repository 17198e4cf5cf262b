"""Files of a source: finding them, decompressing them, and noticing that they change."""

from __future__ import annotations

import bz2
import gzip
import os
from pathlib import Path

import pytest
import zstandard

from syncengine.errors import NotAvailable, SourceError, SpecError
from syncengine.protocols import Whereabouts
from syncengine.sources._files import FileInput
from syncengine.sources._paths import find, inputs

PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.ZstdCompressor().compress}
TEXT = b"some text that goes on and on\n" * 5000


def a_place(folder: Path, *roots: Path) -> Whereabouts:
    return Whereabouts(folder=str(folder), roots=tuple(str(root) for root in roots))


def read(path: Path, data: bytes, compression: str | None = None) -> bytes:
    path.write_bytes(data)
    (found,) = inputs(path.name, compression, a_place(path.parent))
    with found.open() as reader:
        return b"".join(reader.blocks())


@pytest.mark.parametrize("extension", PACKERS)
def test_extension_chooses_the_decompression(tmp_path, extension):
    assert read(tmp_path / f"x.csv{extension}", PACKERS[extension](TEXT)) == TEXT


@pytest.mark.parametrize("extension", PACKERS)
def test_members_that_follow_one_another_are_one_text(tmp_path, extension):
    pack = PACKERS[extension]

    assert read(tmp_path / f"x{extension}", pack(b"a") + pack(b"") + pack(b"b")) == b"ab"


@pytest.mark.parametrize("extension", PACKERS)
@pytest.mark.parametrize("left", [0, 1, 10, -10, -1])
def test_truncated_file_is_an_error_wherever_it_was_cut(tmp_path, extension, left):
    with pytest.raises(SourceError, match="truncated"):
        read(tmp_path / f"x{extension}", PACKERS[extension](os.urandom(9000))[:left])


@pytest.mark.parametrize("extension", PACKERS)
@pytest.mark.parametrize("garbage", [b"x", b"id,name\n", b"garbage, much of it" * 500])
def test_trailing_garbage_is_an_error(tmp_path, extension, garbage):
    # Of a byte or two it can't be told whether more of the same was to come.
    with pytest.raises(SourceError, match=r"goes on after the end of its|is truncated"):
        read(tmp_path / f"x{extension}", PACKERS[extension](TEXT) + garbage)


@pytest.mark.parametrize("extension", PACKERS)
def test_plain_text_under_a_packed_name_is_an_error(tmp_path, extension):
    with pytest.raises(SourceError, match="is not valid"):
        read(tmp_path / f"x{extension}", TEXT)


@pytest.mark.parametrize("extension", PACKERS)
def test_packed_nothing_is_empty(tmp_path, extension):
    assert read(tmp_path / f"x{extension}", PACKERS[extension](b"")) == b""


def test_gzip_may_be_padded_with_nuls(tmp_path):
    assert read(tmp_path / "x.gz", gzip.compress(b"a") + b"\0" * 5000) == b"a"


def test_compression_option_wins_over_the_extension(tmp_path):
    assert read(tmp_path / "x.csv", gzip.compress(b"a"), "gzip") == b"a"
    assert read(tmp_path / "x.gz", b"a", "none") == b"a"


def test_glob_finds_files_sorted_and_no_folders(tmp_path):
    for name in ("b.csv", "a.csv", "sub/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()

    assert [path.name for path in find("*.csv", a_place(tmp_path))] == ["a.csv", "b.csv"]
    assert [path.name for path in find("**/*.csv", a_place(tmp_path))] == ["a.csv", "b.csv", "c.csv"]


def test_name_that_exists_is_no_glob(tmp_path):
    (tmp_path / "a[1].csv").touch()

    assert [path.name for path in find("a[1].csv", a_place(tmp_path))] == ["a[1].csv"]


def test_file_url_is_a_path(tmp_path):
    (tmp_path / "a b.csv").touch()

    assert find(f"file://{tmp_path}/a%20b.csv", a_place(tmp_path)) == (tmp_path / "a b.csv",)


def test_other_urls_are_not_available(tmp_path):
    with pytest.raises(NotAvailable, match="s3://"):
        find("s3://bucket/x.csv", a_place(tmp_path))


def test_missing_file_is_named_with_the_nearest_one(tmp_path):
    (tmp_path / "users.csv").touch()

    with pytest.raises(SourceError, match=r"no such file: user\.csv") as caught:
        find("user.csv", a_place(tmp_path))
    assert caught.value.hint == "did you mean users.csv?"


def test_glob_without_a_match_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"no file matches \*\.csv"):
        find("*.csv", a_place(tmp_path))


def test_folder_and_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")

    with pytest.raises(SourceError, match="is a folder"):
        find(".", a_place(tmp_path))
    with pytest.raises(SourceError, match="is a pipe or a device"):
        find("pipe.csv", a_place(tmp_path))


@pytest.mark.parametrize("path", ["../secret.csv", "link.csv", "l*.csv"])
def test_files_outside_the_roots_are_refused_also_through_links(tmp_path, path):
    inside = tmp_path / "project"
    inside.mkdir()
    (tmp_path / "secret.csv").touch()
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")

    with pytest.raises(SpecError, match="outside the folders"):
        find(path, a_place(inside))
    assert find(path, a_place(inside, inside, tmp_path))


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"b")


def replaced(path: Path) -> None:
    path.with_name("y").write_bytes(path.read_bytes())
    path.with_name("y").rename(path)


def written_as_if_never(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"z")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "append": (appended, "it grew from 600,000 to 600,001 bytes"),
    "replace": (replaced, "another file has taken its place"),
    "remove": (Path.unlink, "it is gone"),
    "truncate": (lambda path: os.truncate(path, 300_000), "it shrank from 600,000 to 300,000 bytes"),
    "touch": (lambda path: os.utime(path, (1, 1)), "it was written to"),
    "restored-time": (written_as_if_never, "its contents are others now"),
}


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_change_while_reading_is_an_error(tmp_path, change, says):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\n" * 300_000)
    with FileInput(path, "x.csv", None).open() as reader:
        blocks = reader.blocks()
        next(blocks)
        change(path)
        with pytest.raises(SourceError, match="changed while it was being read") as caught:
            list(blocks)
    assert caught.value.detail == says


def test_change_between_look_and_read_is_an_error(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\n")
    found = FileInput(path, "x.csv", None)
    list(found.sample())
    path.write_bytes(b"a,b\n")

    with pytest.raises(SourceError, match="changed after it was looked at"), found.open():
        pass

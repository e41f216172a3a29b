"""The runtime folder: who may enter it, how it is found, and that nothing else is taken for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.folders import runtime, runtime_files
from launcher.folders.ownership import FolderId
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.runtime import RuntimeFolder

ME = ProcessRecord(7, "start")
DATA = FolderId(1, 2)
NODES = {1: ProcessRecord(8, "start"), 2: ProcessRecord(9, "start")}


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for module in (runtime, runtime_files):
            monkeypatch.setattr(module, "parent", lambda: Path(folder))
        yield Path(folder)


@pytest.fixture
def made(parent: Path) -> Iterator[RuntimeFolder]:
    folder = RuntimeFolder.make()
    runtime_files.assign(folder, DATA, Path("/p/data"), ME)
    runtime_files.record(folder, NODES)
    yield folder
    folder.remove()


def test_it_is_found_with_what_was_written_there(made: RuntimeFolder) -> None:
    (seen,) = runtime_files.look_around()

    assert seen == runtime_files.look(made.path)
    assert (seen.path, seen.is_held) == (made.path, True)
    owner = seen.owner_for(DATA)
    assert owner is not None
    assert (owner.process, owner.data_dir) == (ME, "/p/data")
    assert seen.owner_for(FolderId(1, 3)) is None
    assert runtime_files.listed_in(seen) == NODES


def test_it_is_held_until_its_process_ends(parent: Path) -> None:
    code = "from launcher.folders.runtime import RuntimeFolder as R; print(R.make().path); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(parent)},
        cwd=Path(runtime.__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    path = Path(holder.stdout.readline().strip())
    seen = runtime_files.look(path)
    assert seen is not None
    assert (path.parent, seen.is_held) == (parent, True)

    holder.kill()
    holder.communicate()

    seen = runtime_files.look(path)
    assert seen is not None
    assert not seen.is_held


def test_a_folder_that_others_may_enter_is_none(made: RuntimeFolder) -> None:
    made.path.chmod(0o750)

    assert runtime_files.look(made.path) is None


def test_a_folder_of_another_user_is_none(
    made: RuntimeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: made.status.st_uid + 1)

    assert runtime_files.look(made.path) is None


def test_a_link_to_one_is_none(made: RuntimeFolder) -> None:
    link = made.path.with_name("leeky-link")
    link.symlink_to(made.path)

    assert runtime_files.look(link) is None


@pytest.mark.parametrize("path", ["", "/", "/nowhere/leeky-a", "leeky-\0", "/tmp", "/etc/passwd"])
def test_what_is_no_runtime_folder_is_none(path: str) -> None:
    assert runtime_files.look(Path(path)) is None


def test_a_copy_of_one_serves_nobody(made: RuntimeFolder) -> None:
    copy = made.path.with_name("leeky-copy")
    shutil.copytree(made.path, copy)
    seen = runtime_files.look(copy)

    assert seen is not None
    assert seen.owner is not None
    assert seen.owner_for(DATA) is None


def test_another_folder_in_its_place_is_not_removed(made: RuntimeFolder) -> None:
    seen = runtime_files.look(made.path)
    assert seen is not None
    made.path.rename(made.path.with_name("leeky-moved"))
    made.path.mkdir(mode=0o700)

    runtime.remove(seen.path, seen.status)
    assert runtime_files.listed_in(seen) == {}
    made.remove()

    assert made.path.is_dir()


def test_a_temporary_folder_with_a_long_name_or_no_name_in_utf8_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for usual in ("/" + "long" * 20, "/\udcff"):
        monkeypatch.setattr(tempfile, "tempdir", usual)
        assert runtime.parent.__wrapped__() == Path("/tmp")
    monkeypatch.setattr(tempfile, "tempdir", "/short")
    assert runtime.parent.__wrapped__() == Path("/short")


# -- damage ----------------------------------------------------------------------------------------

WHOLE = st.integers(0, 10**6)
RUBBISH = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [b"null", b"[]", b"7", b'"x"', b"{}", b'{"nodes":7}', b"\xff\xfe", b"[" * 5000]
    ),
)


@pytest.mark.parametrize("name", [runtime_files.OWNER_FILE, runtime_files.PROCESSES_FILE])
@given(bit=WHOLE, cut=WHOLE, rubbish=RUBBISH)
def test_a_damaged_file_says_nothing(name: str, bit: int, cut: int, rubbish: bytes) -> None:
    """Neither whose the folder is nor which processes might be killed."""
    with tempfile.TemporaryDirectory() as parent:
        path = Path(parent) / "leeky-x"
        path.mkdir(mode=0o700)
        folder = RuntimeFolder(path, os.open(path, os.O_RDONLY))
        runtime_files.assign(folder, DATA, Path("/p/data"), ME)
        runtime_files.record(folder, NODES)
        whole = (path / name).read_bytes()
        flipped = bytearray(whole)
        flipped[bit // 8 % len(whole)] ^= 1 << bit % 8

        for said in (bytes(flipped), whole[: cut % (len(whole) - 1)], rubbish):
            (path / name).write_bytes(said)
            seen = runtime_files.look(path)
            assert seen is not None
            if name == runtime_files.OWNER_FILE:
                assert seen.owner is None
            else:
                assert runtime_files.listed_in(seen) == {}
        folder.remove()


def as_fifo(path: Path) -> None:
    os.mkfifo(path)  # which would block a reader


def as_folder(path: Path) -> None:
    path.mkdir()


def as_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [as_fifo, as_folder, as_link])
def test_what_is_no_file_says_nothing(made: RuntimeFolder, make: Callable[[Path], None]) -> None:
    for name in (runtime_files.OWNER_FILE, runtime_files.PROCESSES_FILE):
        (made.path / name).unlink()
        make(made.path / name)

    seen = runtime_files.look(made.path)
    assert seen is not None
    assert seen.owner is None
    assert runtime_files.listed_in(seen) == {}


def test_a_file_that_can_be_read_but_means_something_else(made: RuntimeFolder) -> None:
    """Sealed, and of the other kind."""
    (made.path / runtime_files.PROCESSES_FILE).rename(made.path / runtime_files.OWNER_FILE)

    seen = runtime_files.look(made.path)
    assert seen is not None
    assert seen.owner is None
    assert runtime_files.listed_in(seen) == {}

"""A cluster's folders: whatever they are called, whatever they lie on, whoever removes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SETTINGS = "name: lab\nnodes: 3\n"


@pytest.mark.parametrize(
    "name",
    [
        b"bytes \xff\xfe",
        b"two\nlines",
        b"'quotes' \"and\" $HOME; *",
        b"long" * 60 + b"/" + b"x" * 250,
    ],
    ids=["no UTF-8", "newline", "quotes", "long"],
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    folder.mkdir(parents=True)
    lab = Lab(folder, SETTINGS)
    try:
        up = lab.launcher("up", "3", "-d", stdin="", check=True)
        assert len(up.err.splitlines() + up.lines) == 1
        assert lab.launcher("submit", "ADD a", check=True).lines == ["2\tadded"]
        lab.launcher("snapshot", "all", check=True)
        lab.launcher("restart", "all", check=True)
        assert lab.launcher("read", "LS", check=True).lines == ["a"]
        again = lab.launcher("up", "3", "-d", stdin="")
        assert (again.status, len(again.err.splitlines())) == (1, 1)
        assert lab.launcher("timeline", "-n", "3", check=True).lines
        shown = lab.launcher("config", check=True).out
        (folder / "same.yaml").write_text(shown)
        assert lab.launcher("-c", "same.yaml", "config", "--json", check=True).json["data_dir"] == (
            str(folder / "data")
        )
        down = lab.launcher("down", "-v", check=True)
        assert len(down.lines) == 1
        assert not (folder / "data").exists()
    finally:
        lab.close()


# -- folders that cannot simply be removed ---------------------------------------------------------


def begun(lab: Lab) -> None:
    """There is data, of a cluster that does not run."""
    lab.up(3)
    lab.launcher("submit", "ADD a", check=True)
    lab.launcher("down", check=True)


def contents(lab: Lab) -> dict[str, bytes]:
    """All files of all nodes, and the records."""
    found = (path for path in (lab.folder / "data").rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in found if path.name != "supervisor.lock"}


@pytest.fixture
def mounted(lab: Lab) -> Iterator[Path]:
    """The folder of n2 is a mount point; of the same file system, so that no look at it says so."""
    elsewhere = lab.folder / "a disk"
    elsewhere.mkdir()
    (elsewhere / "lost+found").mkdir()
    folder = lab.folder / "data" / "node-2"
    folder.mkdir(parents=True)
    mount = subprocess.run(["mount", "--bind", elsewhere, folder], check=False, capture_output=True)
    if mount.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        lab.close()
        subprocess.run(["umount", folder], check=True)


def use_everything(lab: Lab) -> None:
    """Whatever removes a node's data, on a cluster whose n2 has a folder that is to stay."""
    begun(lab)
    lab.launcher("up", "3", "-d", "--fresh", stdin="", check=True)
    assert lab.launcher("read", "LS", check=True).out == ""
    lab.launcher("rebuild", "2", check=True)
    lab.launcher("down", "-v", check=True)
    lab.launcher("up", "3", "-d", stdin="", check=True)
    lab.launcher("remove", "2", check=True)


def test_a_folder_of_a_node_may_be_a_mount_point(lab: Lab, mounted: Path) -> None:
    use_everything(lab)

    assert mounted.is_dir()
    assert [path.name for path in mounted.iterdir()] == ["lost+found"]


def test_a_folder_of_a_node_may_be_a_link(lab: Lab) -> None:
    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    (lab.folder / "data").mkdir()
    (lab.folder / "data" / "node-2").symlink_to(elsewhere)

    use_everything(lab)

    assert list(elsewhere.iterdir()) == []


def test_data_and_logs_may_be_links(lab: Lab) -> None:
    for name in ("data", "logs"):
        (lab.folder / f"real {name}").mkdir()
        (lab.folder / name).symlink_to(f"real {name}")

    begun(lab)
    lab.launcher("up", "3", "-d", "--fresh", stdin="", check=True)
    lab.launcher("down", "-v", check=True)

    assert list((lab.folder / "real data").iterdir()) == []


def in_the_way(lab: Lab, what: str) -> str:
    """Something that cannot be removed, and of which nobody knows. Returns what has to be said."""
    node, logs = lab.folder / "data" / "node-2", lab.folder / "logs"
    if what == "a file":
        shutil.rmtree(node)
        node.write_bytes(b"")
        return "is no folder"
    if what == "a link to nothing":
        shutil.rmtree(node)
        node.symlink_to("nowhere")
        return "link to a folder that is not there"
    if what == "a log that is a folder":
        (logs / "node-1.jsonl.000007").mkdir()
        return "is a folder"
    inside = node / "inside"
    inside.mkdir()
    if subprocess.run(
        ["mount", "--bind", logs, inside], check=False, capture_output=True
    ).returncode:
        pytest.skip("nothing can be mounted here")
    return "unmount it"


@pytest.mark.parametrize(
    "what",
    ["a file", "a link to nothing", "a log that is a folder", "a mount within a node's folder"],
)
def test_fresh_data_is_refused_before_any_is_removed(lab: Lab, what: str) -> None:
    begun(lab)
    said = in_the_way(lab, what)
    try:
        before = contents(lab)
        up = lab.launcher("up", "3", "-d", "--fresh", stdin="")
        assert (up.status, len(up.err.splitlines())) == (1, 1)
        assert said in up.err
        assert contents(lab) == before
    finally:
        subprocess.run(
            ["umount", lab.folder / "data/node-2/inside"], check=False, capture_output=True
        )


def test_a_cluster_runs_on_when_its_data_cannot_be_removed(lab: Lab) -> None:
    lab.up(3)
    said = in_the_way(lab, "a mount within a node's folder")
    try:
        for words in (("down", "-v"), ("rebuild", "2"), ("remove", "2")):
            done = lab.launcher(*words)
            assert (done.status, len(done.err.splitlines())) == (1, 1), words
            assert said in done.err
        status = lab.ps()
        assert status["membership"]["voters"] == [1, 2, 3]
        assert {node["state"] for node in status["nodes"]} == {"up"}
        lab.launcher("submit", "ADD a", check=True)
    finally:
        subprocess.run(["umount", lab.folder / "data/node-2/inside"], check=True)

"""A cluster's folders: whatever they are called, whatever they lie on, whoever removes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Cluster
from launcher.config import load
from launcher.folders import emptying, lock
from tests.cluster.lab import Lab, eventually

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


# -- another user ----------------------------------------------------------------------------------

AS_ANOTHER_USER = """
import codecs, importlib, os, pkgutil, sys
import launcher, node
for package in (launcher, node):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if "__main__" not in found.name and "benchmark" not in found.name:
            importlib.import_module(found.name)
codecs.lookup("utf-8-sig")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
from launcher.cli.shell import main
sys.exit(main(sys.argv[1:], lambda cluster: 0))
"""
"""Everything is imported before: the interpreter's own files may be closed to that user."""


@pytest.fixture
def open_lab() -> Iterator[Lab]:
    """A lab in a folder that any user can enter, with the usual umask."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        lab = Lab(folder, SETTINGS)
        before = os.umask(0o022)
        try:
            yield lab
        finally:
            os.umask(before)
            lab.close()


def as_another_user(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, *words],
        cwd=lab.folder,
        env=lab.environment(None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def open_to_others(folder: Path) -> list[str]:
    found = [folder, *folder.rglob("*")]
    return [str(path) for path in found if path.lstat().st_mode & 0o077]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_all_that_a_cluster_makes_is_its_users_alone(lab: Lab, umask: int) -> None:
    before = os.umask(umask)
    try:
        lab.up(3)
        for words in (("submit", "ADD a"), ("snapshot", "all"), ("restart", "all"), ("kill", "1")):
            lab.launcher(*words, check=True)
        running = lock.running(load(lab.folder / "cluster.yaml"))
        assert running is not None
        for folder in (lab.folder / "data", lab.folder / "logs", running.runtime_dir):
            assert open_to_others(folder) == []
        lab.launcher("down", check=True)
        lab.launcher("recover", "1", "--yes", check=True)
        assert open_to_others(lab.folder / "data") == []
    finally:
        os.umask(before)


def test_what_an_earlier_version_left_open_is_closed(lab: Lab) -> None:
    begun(lab)
    for folder in (lab.folder / "data", lab.folder / "logs"):
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)

    lab.up(3)

    assert open_to_others(lab.folder / "data") + open_to_others(lab.folder / "logs") == []


def test_what_was_left_open_beside_the_logs_is_closed_too(lab: Lab) -> None:
    """As in a copy that was made with another umask."""
    (lab.folder / "cluster.yaml").write_text("name: lab\ntap: {mode: ring}\n")
    lab.up(3)
    lab.launcher("workload", "--time", "1s", "--rate", "20", check=True)
    lab.launcher("down", check=True)
    run = lab.folder / "logs" / "runs" / "20261129-014500-7"
    run.mkdir(parents=True)
    (run / "run.json").write_text("")
    (run.parent / "latest").symlink_to(run.name)
    (lab.folder / "data" / "safety.json").touch()
    for folder in (lab.folder / "data", lab.folder / "logs"):
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)

    up = lab.launcher("up", "-d", stdin="", check=True)

    assert up.err == ""
    found = open_to_others(lab.folder / "data") + open_to_others(lab.folder / "logs")
    assert [path for path in found if not Path(path).is_symlink()] == []
    folders = [path for path in (lab.folder / "logs").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_a_folder_that_holds_more_than_the_cluster_stays_open_with_a_warning(lab: Lab) -> None:
    data = lab.folder / "data"
    data.mkdir()
    (data / "another's").write_text("")
    data.chmod(0o777)

    up = lab.launcher("up", "3", "-d", stdin="", check=True)

    assert f"lab: other users can write to the data folder {data}" in up.err
    assert data.stat().st_mode & 0o777 == 0o777
    assert open_to_others(data / "node-1") == []


def test_another_user_is_told_whose_the_cluster_is(open_lab: Lab) -> None:
    open_lab.up(3)
    commands = [
        *(("ps",), ("up", "3", "-d"), ("up", "3", "-d", "--fresh"), ("down",), ("down", "-v")),
        *(("submit", "ADD a"), ("read", "LS"), ("timeline",), ("wait",), ("recover", "1")),
    ]
    for running in (True, False):
        for words in commands:
            done = as_another_user(open_lab, *words)
            assert done.returncode == 1, (words, done)
            assert len(done.stderr.splitlines()) == 1, (words, done)
            assert "belongs to the user root, and you are" in done.stderr, (words, done)
        if running:
            assert {node["state"] for node in open_lab.ps()["nodes"]} == {"up"}
            open_lab.launcher("down", check=True)


def test_root_is_told_whose_the_cluster_is_that_runs(open_lab: Lab) -> None:
    open_lab.up(3)
    running = lock.running(load(open_lab.folder / "cluster.yaml"))
    assert running is not None
    os.chown(running.runtime_dir, 65534, 65534)
    try:
        for words in (("ps",), ("up", "3", "-d")):
            done = open_lab.launcher(*words)
            assert done.status == 1
            assert "belongs to the user" in done.last_error
    finally:
        os.chown(running.runtime_dir, 0, 0)


# -- the folder of the sockets ---------------------------------------------------------------------


def sockets_folder(lab: Lab) -> Path:
    running = lock.running(load(lab.folder / "cluster.yaml"))
    assert running is not None
    return running.runtime_dir


@pytest.mark.parametrize("what", ["the folder", "all that is in it", "a squatter"])
def test_a_cluster_is_reachable_again_when_its_sockets_were_removed(lab: Lab, what: str) -> None:
    lab.up(3)
    pids = [node["pid"] for node in lab.ps()["nodes"]]
    folder = sockets_folder(lab)
    with Cluster.attach(lab.folder / "cluster.yaml") as cluster:
        cluster.submit("ADD before")
        if what == "all that is in it":
            emptying.empty(folder)
        else:
            shutil.rmtree(folder)
        if what == "a squatter":
            folder.mkdir(0o700)

        assert [node["pid"] for node in lab.ps()["nodes"]] == pids
        again = lab.launcher("up", "3", "-d", stdin="")
        assert "a cluster is running here already" in again.last_error
        lab.launcher("submit", "ADD after", check=True)
        eventually(lambda: len(list(sockets_folder(lab).glob("node-*.sock"))) == 3, "sockets")
        for words in (("kill", "2"), ("start", "2"), ("restart", "3"), ("add",)):
            lab.launcher(*words, check=True)
        assert cluster.read("LS").text.split() == ["after", "before"]
    assert open_to_others(sockets_folder(lab)) == []
    found = sockets_folder(lab)
    lab.launcher("down", check=True)
    assert not found.exists()
    eventually(lambda: lab.left() == [], "the end of all processes")
    if what == "a squatter":
        folder.rmdir()


def test_a_paused_node_stays_paused_when_the_sockets_were_removed(lab: Lab) -> None:
    """Its fork server lives on: else the kernel would let it go on, and end it."""
    lab.up(3)
    lab.launcher("pause", "3", check=True)
    shutil.rmtree(sockets_folder(lab))
    lab.launcher("restart", "1", check=True)
    assert lab.node(3)["state"] == "paused"

    lab.launcher("resume", "3", check=True)
    lab.converge()
    eventually(lambda: len(list(sockets_folder(lab).glob("node-*.sock"))) == 3, "its socket")


@pytest.mark.parametrize("place", [".", "relative", "removed"])
def test_any_folder_for_temporary_files_will_do(lab: Lab, place: str) -> None:
    temporary = lab.folder / place
    temporary.mkdir(exist_ok=True)
    lab.launcher("up", "3", "-d", stdin="", check=True, env={"TMPDIR": place})
    assert sockets_folder(lab).is_absolute()
    if place == "removed":
        shutil.rmtree(temporary)

    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    for words in (("ps",), ("submit", "ADD a"), ("restart", "1")):
        lab.launcher(*words, check=True, env={"TMPDIR": str(elsewhere)})
    again = lab.launcher("up", "3", "-d", stdin="", env={"TMPDIR": str(elsewhere)})
    assert "a cluster is running here already" in again.last_error
    lab.launcher("down", check=True, env={"TMPDIR": str(elsewhere)})


def test_a_node_whose_folder_is_gone_says_so_while_it_runs(lab: Lab) -> None:
    lab.up(3)
    assert {node["disk"] for node in lab.ps()["nodes"]} == {""}
    shutil.rmtree(lab.folder / "data" / "node-2")

    assert [node["disk"] for node in lab.ps()["nodes"]] == [
        "",
        "its folder was removed or replaced",
        "",
    ]
    assert "its folder was removed" in lab.launcher("ps", check=True).out


# -- what is refused -------------------------------------------------------------------------------


def test_all_that_differs_from_the_data_is_said_at_once(lab: Lab) -> None:
    begun(lab)
    (lab.folder / "cluster.yaml").write_text("name: lab\nsessions: {timeout: 5m}\n")

    up = lab.launcher("up", "5", "-d", "--machine", "kv", stdin="")

    assert len(up.err.splitlines()) == 1
    for part in (
        "a cluster of 3 nodes with the machine files with sessions.timeout 1h",
        "`up 3 --machine files`",
        "those sessions in cluster.yaml",
        "5 nodes with the machine kv with sessions.timeout 5m",
    ):
        assert part in up.err


def test_a_script_with_an_endless_line_takes_little_memory(lab: Lab) -> None:
    lab.up(3)
    script = lab.folder / "script"
    script.write_bytes(b"ADD a\n" + b"x" * (200 << 20))
    measure = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdin=open('script'))\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", measure, *lab.command("repl")],
        cwd=lab.folder,
        env=lab.environment(None),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *_, kilobytes, status = ran.stdout.split()
    assert status == "2"
    assert "is over the limit" in ran.stderr
    assert int(kilobytes) < 150_000

"""Changes of the membership that are broken off: by Ctrl-C, by `down`, by the supervisor's end.

Each test holds a change in a stage: new nodes by links that are cut or by a machine that waits
while it is made, a joint configuration by a disk that hangs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from launcher import Cluster
from node.wire import LinkFault
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

WAITING_MACHINE = """
import pathlib, time
from node.machines.files import Files

class Waiting(Files):
    def __init__(self):
        while pathlib.Path({hold!r}).exists():
            time.sleep(0.01)
        super().__init__()
"""


class Held:
    """Nodes that start wait with it as long as `hold` exists."""

    def __init__(self, lab: Lab) -> None:
        self.file = lab.folder / "hold"
        (lab.folder / "waiting.py").write_text(WAITING_MACHINE.format(hold=str(self.file)))

    def on(self) -> None:
        self.file.touch()

    def off(self) -> None:
        self.file.unlink()


def written(lab: Lab) -> list[str]:
    """Submits entries; returns those that were acknowledged."""
    names = [f"f{number:03d}" for number in range(100)]
    lab.launcher("submit", "-", stdin="".join(f"ADD {name}\n" for name in names), check=True)
    return names


def cut_off(lab: Lab, node: int) -> None:
    """Nothing reaches the node, which need not be there yet, and nothing comes from it."""
    links = [(other, node) for other in range(1, 10) if other != node]
    faults = [LinkFault(source=a, target=b, cut=True) for one in links for a, b in (one, one[::-1])]
    Cluster.attach(lab.folder / "cluster.yaml").set_links(faults)


@contextmanager
def asked(lab: Lab, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that is not waited for, and is gone at the end."""
    command = lab.spawn(*words)
    try:
        yield command
    finally:
        command.kill()
        command.communicate()


def on_record(lab: Lab) -> Any:
    """The change that cluster.json tells of, or None."""
    return json.loads((lab.folder / "data" / "cluster.json").read_text())["change"]


def say_why(lab: Lab, node: int, why: str) -> None:
    """Waits until `ps` says so of the node."""

    def told() -> bool:
        nodes = {one["id"]: one for one in lab.ps()["nodes"]}
        return node in nodes and why in nodes[node]["change"]

    eventually(told, f"ps says {why!r} of n{node}")
    assert why in lab.launcher("ps", check=True).out


def kill_supervisor(lab: Lab) -> None:
    lab.remember()
    os.kill(lab.ps()["supervisor_pid"], signal.SIGKILL)
    eventually(lambda: lab.launcher("ps").status == 3, "the supervisor is gone")


def is_clean(lab: Lab, nodes: list[int]) -> None:
    """Waits until these, and no others, are there, and all vote, in no change."""

    def clean() -> bool:
        if on_record(lab) is not None:
            return False
        found = lab.ps()
        return found["membership"] == {"voters": nodes, "target": nodes, "outgoing": []} and [
            (one["id"], one["state"], one["voter"], one["change"]) for one in found["nodes"]
        ] == [(node, "up", True, "") for node in nodes]

    eventually(clean, f"{nodes} are there, and all vote")
    folders = sorted(path.name for path in (lab.folder / "data").glob("node-*"))
    assert folders == [f"node-{node}" for node in nodes]
    assert " why" not in lab.launcher("ps", check=True).lines[0]


def up_again(lab: Lab) -> None:
    assert lab.launcher("up", "-d", "--timeout", str(PATIENCE_S), stdin="").status == 0


def changes(lab: Lab) -> list[str]:
    return [event["event"] for event in lab.events() if event["event"].startswith("change.")]


# -- add -----------------------------------------------------------------------------------------


def test_an_add_that_ctrl_c_and_down_broke_off_is_finished_by_the_next_up(lab: Lab) -> None:
    lab.up(3)
    names = written(lab)
    cut_off(lab, 4)
    with asked(lab, "add") as adding:
        say_why(lab, 4, "being added: learns the log")
        adding.send_signal(signal.SIGINT)
        assert adding.wait(PATIENCE_S) == 130
        assert adding.stderr is not None
        assert b"the change continues: `launcher ps` shows its progress" in adding.stderr.read()
    say_why(lab, 4, "being added: learns the log")
    lab.launcher("stop", "followers", check=True)
    lab.launcher("down", check=True)

    up_again(lab)
    is_clean(lab, [1, 2, 3, 4])
    assert lab.launcher("read", "LS", check=True).lines == names
    assert changes(lab)[-2:] == ["change.resumed", "change.done"]
    up_down_up = lab.launcher("down", check=True)
    assert up_down_up.status == 0
    up_again(lab)
    is_clean(lab, [1, 2, 3, 4])


def test_nothing_is_added_while_there_is_no_quorum(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("stop", "followers", check=True)
    done = lab.launcher("add")
    assert done.status == 1
    expected = ("1 of 3 voters are up and it takes 2; n", "there is no leader now")
    assert any(said in done.last_error for said in expected)
    lab.launcher("down", check=True)

    up_again(lab)
    is_clean(lab, [1, 2, 3])


def test_an_add_that_no_log_has_heard_of_is_undone(lab: Lab) -> None:
    """The supervisor is killed while the new node starts."""
    held = Held(lab)
    lab.up(3, "--machine", "waiting:Waiting")
    names = written(lab)
    held.on()
    with asked(lab, "add"):
        say_why(lab, 4, "being added: starts")
        kill_supervisor(lab)
    held.off()

    lab.launcher("up", "-d", "--machine", "waiting:Waiting", stdin="", check=True)
    is_clean(lab, [1, 2, 3])
    assert changes(lab)[-2:] == ["change.undone", "change.done"]
    assert lab.launcher("read", "LS", check=True).lines == names
    added = lab.launcher("add", "--json", check=True).json["chosen"]
    assert [node["id"] for node in added] == [5], "no id is given twice"


def test_an_add_that_the_log_has_heard_of_is_finished(lab: Lab) -> None:
    lab.up(3)
    names = written(lab)
    cut_off(lab, 4)
    with asked(lab, "add"):
        say_why(lab, 4, "being added: learns the log")
        kill_supervisor(lab)

    up_again(lab)
    is_clean(lab, [1, 2, 3, 4])
    assert changes(lab)[-2:] == ["change.resumed", "change.done"]
    assert lab.launcher("read", "LS", check=True).lines == names


def test_a_node_that_does_not_start_is_not_added(lab: Lab) -> None:
    (lab.folder / "choosy.py").write_text(
        "import os\n"
        "from node.machines.files import Files\n"
        "class Choosy(Files):\n"
        "    def __init__(self):\n"
        f"        assert not os.path.exists({str(lab.folder / 'refuse')!r}), 'not now'\n"
        "        super().__init__()\n"
    )
    lab.up(3, "--machine", "choosy:Choosy")
    (lab.folder / "refuse").touch()
    done = lab.launcher("add")
    assert done.status == 1
    assert "n4 not added: n4 is failed" in done.last_error
    is_clean(lab, [1, 2, 3])
    (lab.folder / "refuse").unlink()
    lab.launcher("add", check=True)
    is_clean(lab, [1, 2, 3, 5])


def test_to_remove_a_node_that_is_being_added_gives_that_up_at_once(lab: Lab) -> None:
    lab.up(3)
    cut_off(lab, 4)
    with asked(lab, "add") as adding:
        say_why(lab, 4, "being added: learns the log")
        lab.launcher("remove", "4", check=True)
        assert adding.wait(PATIENCE_S) == 1
        assert adding.stderr is not None
        assert "given up: n4 is being removed" in adding.stderr.read().decode()
    is_clean(lab, [1, 2, 3])


def test_a_node_that_hangs_while_it_starts_can_be_removed(lab: Lab) -> None:
    held = Held(lab)
    lab.up(3, "--machine", "waiting:Waiting")
    held.on()
    with asked(lab, "add"):
        say_why(lab, 4, "being added: starts")
        lab.launcher("remove", "4", check=True)
    is_clean(lab, [1, 2, 3])


def test_another_change_is_refused_and_the_commands_of_the_cluster_go_on(lab: Lab) -> None:
    lab.up(3)
    cut_off(lab, 4)
    with asked(lab, "add") as adding:
        say_why(lab, 4, "being added: learns the log")
        for words in (["add"], ["remove", "3"], ["rebuild", "2"], ["rebuild", "4"]):
            refused = lab.launcher(*words)
            assert refused.status == 1
            assert refused.last_error == (
                "launcher: one change is made at a time, and n4 is being added: `launcher ps` "
                "shows how far it is, `launcher remove 4` gives it up"
            )
        lab.launcher("kill", "4", check=True)
        assert "being added" in lab.node(4)["change"]
        lab.launcher("start", "4", check=True)
        lab.launcher("submit", "ADD beside", check=True)
        lab.launcher("heal", check=True)
        assert adding.wait(PATIENCE_S) == 0
    is_clean(lab, [1, 2, 3, 4])


def test_down_does_not_wait_for_a_change_and_whoever_does_is_told(lab: Lab) -> None:
    lab.up(3)
    cut_off(lab, 4)
    with asked(lab, "add") as adding:
        say_why(lab, 4, "being added: learns the log")
        lab.launcher("down", check=True, timeout_s=15)
        assert adding.wait(PATIENCE_S) == 1
        assert adding.stderr is not None
        last = adding.stderr.read().decode().strip().splitlines()[-1]
        assert last.endswith(
            "the cluster is being taken down; the next `launcher up` goes on with this"
        )


# -- rebuild and remove --------------------------------------------------------------------------


def about_to_be_joint_for_long(lab: Lab) -> int:
    """Of three nodes, two would be left without this one, and the disk of one of those hangs."""
    lab.up(3)
    leader = lab.leader()
    goes, hangs = (node for node in (1, 2, 3) if node != leader)
    lab.launcher("disk", str(hangs), "hang", check=True)
    return goes


def joint(lab: Lab) -> bool:
    return bool(lab.ps()["membership"]["outgoing"])


def test_a_rebuild_whose_node_still_has_its_data_is_finished(lab: Lab) -> None:
    goes = about_to_be_joint_for_long(lab)
    with asked(lab, "rebuild", str(goes)):
        eventually(lambda: joint(lab), "the configuration is joint")
        say_why(lab, goes, "being rebuilt: is to be set aside")
        assert on_record(lab)["done"] == 0
        kill_supervisor(lab)

    up_again(lab)
    is_clean(lab, [1, 2, 3])
    assert [event["target"] for event in lab.events("node.renewed")] == [goes]


def test_a_rebuild_whose_node_has_lost_its_data_does_not_begin_from_the_front(lab: Lab) -> None:
    held = Held(lab)
    lab.up(3, "--machine", "waiting:Waiting")
    names = written(lab)
    held.on()
    with asked(lab, "rebuild", "2"):
        eventually(lambda: (on_record(lab) or {}).get("done") == 3, "its data is removed")
        say_why(lab, 2, "set aside: its rebuild goes on")
        kill_supervisor(lab)
    held.off()

    lab.launcher("up", "-d", "--machine", "waiting:Waiting", stdin="", check=True)
    is_clean(lab, [1, 2, 3])
    assert len(lab.events("node.renewed")) == 1
    stale = lab.launcher("read", "LS", "--stale", "--node", "2", check=True)
    assert stale.lines == names


def test_a_rebuild_whose_node_learns_is_finished(lab: Lab) -> None:
    lab.up(3)
    names = written(lab)
    cut_off(lab, 2)
    with asked(lab, "rebuild", "2"):
        say_why(lab, 2, "being rebuilt: learns the log")
        kill_supervisor(lab)

    up_again(lab)
    is_clean(lab, [1, 2, 3])
    assert len(lab.events("node.renewed")) == 1
    lab.converge()
    stale = lab.launcher("read", "LS", "--stale", "--node", "2", check=True)
    assert stale.lines == names


def test_a_node_without_its_data_is_rebuilt_also_when_that_is_broken_off(lab: Lab) -> None:
    lab.up(3)
    names = written(lab)
    lab.converge()
    lab.launcher("kill", "2", check=True)
    for path in (lab.folder / "data" / "node-2").iterdir():
        path.unlink()
    assert lab.launcher("start", "2").status == 1
    assert lab.node(2)["state"] == "failed"
    cut_off(lab, 2)
    with asked(lab, "rebuild", "2"):
        say_why(lab, 2, "being rebuilt: learns the log")
        kill_supervisor(lab)

    up_again(lab)
    is_clean(lab, [1, 2, 3])
    assert lab.launcher("read", "LS", check=True).lines == names


def test_a_node_that_loses_its_data_while_it_learns_is_rebuilt_again_when_asked_to(
    lab: Lab,
) -> None:
    lab.up(3)
    names = written(lab)
    cut_off(lab, 2)
    with asked(lab, "rebuild", "2") as first:
        say_why(lab, 2, "being rebuilt: learns the log")
        lab.launcher("kill", "2", check=True)
        for path in (lab.folder / "data" / "node-2").iterdir():
            path.unlink()
        assert lab.launcher("start", "2").status == 1
        lab.launcher("heal", check=True)
        lab.launcher("rebuild", "2", check=True)
        assert first.wait(PATIENCE_S) == 0, "it waited for that"
    is_clean(lab, [1, 2, 3])
    assert lab.launcher("read", "LS", check=True).lines == names


def test_two_who_ask_for_the_same_rebuild_both_have_it(lab: Lab) -> None:
    lab.up(3)
    cut_off(lab, 2)
    with asked(lab, "rebuild", "2") as one, asked(lab, "rebuild", "2") as other:
        say_why(lab, 2, "being rebuilt: learns the log")
        lab.launcher("heal", check=True)
        assert one.wait(PATIENCE_S) == 0
        assert other.wait(PATIENCE_S) == 0
    is_clean(lab, [1, 2, 3])
    assert len(lab.events("node.renewed")) <= 2


def test_a_remove_that_is_not_committed_is_finished(lab: Lab) -> None:
    goes = about_to_be_joint_for_long(lab)
    with asked(lab, "remove", str(goes)):
        eventually(lambda: joint(lab), "the configuration is joint")
        say_why(lab, goes, "being removed")
        kill_supervisor(lab)

    up_again(lab)
    is_clean(lab, [node for node in (1, 2, 3) if node != goes])
    assert changes(lab)[-2:] == ["change.resumed", "change.done"]


def test_a_removed_node_that_had_not_stopped_yet_is_not_started_again(lab: Lab) -> None:
    """Its disk hangs, and so it takes some seconds to stop."""
    lab.up(3)
    leader = lab.leader()
    goes = next(node for node in (1, 2, 3) if node != leader)
    lab.launcher("disk", str(goes), "hang", check=True)
    lab.launcher("submit", "ADD a", check=True)
    with asked(lab, "remove", str(goes)):
        eventually(lambda: (on_record(lab) or {}).get("done") == 1, "it is no voter any more")
        kill_supervisor(lab)

    up_again(lab)
    is_clean(lab, [node for node in (1, 2, 3) if node != goes])
    spawned = [event["target"] for event in lab.events("node.spawned")]
    assert spawned.count(goes) == 1


def test_a_rebuild_beside_a_restart_of_the_same_node_begins_when_it_has_stopped(lab: Lab) -> None:
    """Its disk hangs, so the restart takes seconds to stop it, and would start it after that. The
    outcome is the same whichever of the two the supervisor hears first."""
    lab.up(3)
    names = written(lab)
    lab.converge()
    leader = lab.leader()
    goes = next(node for node in (1, 2, 3) if node != leader)
    lab.launcher("disk", str(goes), "hang", check=True)
    lab.launcher("submit", "ADD z", check=True)
    with asked(lab, "restart", str(goes)) as restart:
        with asked(lab, "rebuild", str(goes)) as rebuild:
            eventually(lambda: lab.events("node.renewed"), "its data is removed")
            lab.launcher("disk", str(goes), "ok", check=True)
            assert rebuild.wait(PATIENCE_S) == 0
        restart.wait(PATIENCE_S)
    is_clean(lab, [1, 2, 3])
    lab.converge()
    stale = lab.launcher("read", "LS", "--stale", "--node", str(goes), check=True)
    assert stale.lines == [*names, "z"]


@pytest.mark.parametrize("command", ["rebuild", "remove"])
def test_a_node_whose_data_cannot_be_removed_keeps_its_vote(lab: Lab, command: str) -> None:
    lab.up(3)
    folder = lab.folder / "data" / "node-3"
    with write_protected(str(folder)):
        refused = lab.launcher(command, "3")
        assert refused.status == 1
        assert refused.last_error == (
            f"launcher: the data of n3 cannot be removed: {folder} cannot be written to"
        )
        is_clean(lab, [1, 2, 3])
    lab.launcher(command, "3", check=True)


@contextmanager
def write_protected(folder: str) -> Iterator[None]:
    """Also for root, for whom permissions mean nothing."""
    if os.geteuid() != 0:
        os.chmod(folder, 0o500)
        try:
            yield
        finally:
            os.chmod(folder, 0o700)
        return
    try:
        done = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no chattr")
    if done.returncode:
        pytest.skip("no file can be made immutable here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)

"""Machines of users that loop, exit, fail, are slow, or do not compute the same everywhere."""

from __future__ import annotations

import json
import os

import pytest

from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster

MACHINE = """\
import os, sys, time
from helper import STEP

class M:
    def __init__(self):
        self.n = 0
    def apply(self, index, command):
        if command == b"loop":
            while True:
                pass
        if command == b"exit":
            sys.exit("bye")
        if command == b"os._exit":
            os._exit(0)
        if command == b"lines":
            raise ValueError("one\\ntwo")
        if command == b"slow":
            time.sleep(0.2)
        if command == b"pid":
            return b"%d" % os.getpid()
        self.n += STEP
        return b"%d" % self.n
    def query(self, request):
        return b"%d" % self.n
    def snapshot(self):
        return [b"%d" % self.n]
    def restore(self, chunks):
        self.n = int(b"".join(chunks))

class Unrestorable(M):
    def restore(self, chunks):
        if b"".join(chunks) != b"0":
            raise KeyError("lost")
"""

LOOPS = """\
class M:
    def apply(self, index, command): pass
    query = snapshot = restore = apply
    def __init__(self):
        while True: pass
"""


@pytest.fixture
def machines(lab: Lab) -> Lab:
    """Machines that differ freeze the cluster as a rule; here it goes on (`test_safety.py`)."""
    (lab.folder / "cluster.yaml").write_text("name: lab\nsafety: report\n")
    (lab.folder / "mine.py").write_text(MACHINE)
    (lab.folder / "helper.py").write_text("STEP = 1\n")
    return lab


def why(lab: Lab) -> list[str]:
    """The table of `ps`, a line for each node."""
    return lab.launcher("ps", check=True).lines[1:]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("while True:\n    pass\n", "takes longer than 1 s; it is at odd.py:"),
        (LOOPS, "constructing it takes longer than 1 s; it is at odd.py:5"),
        ("import os\nos._exit(0)\n", "it ends the process that imports it, with exit status 0"),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one two (odd.py:1)"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt (odd.py:1)"),
        ("def f(:\n", "odd.py:1"),
        (
            MACHINE.replace("from helper import STEP", "STEP = 1").replace(
                'if b"".join(chunks) != b"0":', "if True:"
            )
            + "M = Unrestorable\n",
            "failed when it was tried, by restoring an empty one (KeyError: 'lost' (odd.py:",
        ),
    ],
)
def test_a_machine_is_tried_before_anything_is_started(lab: Lab, source: str, said: str) -> None:
    (lab.folder / "odd.py").write_text(source)

    done = lab.launcher("up", "1", "-d", "--machine", "odd:M", "--timeout", "1")

    assert done.status == 2, done.err
    assert len(done.err.strip().splitlines()) == 1
    assert said in done.err
    assert not (lab.folder / "data").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit", "ended itself on entry 2 (SystemExit: bye (mine.py:12))"),
        ("lines", "failed on entry 2 (ValueError: one two (mine.py:16))"),
    ],
)
def test_a_machine_that_fails_is_told_to_the_client_in_ps_and_in_the_timeline(
    machines: Lab, command: str, said: str
) -> None:
    machines.up(3, "--machine", "mine:M")

    done = machines.launcher("submit", command, "--timeout", "2")

    assert done.status == 4
    assert "has failed: the machine mine:M " + said in done.err
    assert len(why(machines)) == 3, "one line a node"
    assert sum(said in line for line in why(machines)) >= 2
    shown = machines.launcher("timeline", "--event", "machine.failed", check=True)
    assert said in shown.lines[0]
    logged = (machines.folder / "logs" / "timeline.jsonl").read_text().splitlines()
    told = next(event for event in map(json.loads, logged) if event["event"] == "machine.failed")
    assert told["command"] == command
    assert "mine.py" in told["traceback"]
    assert "in apply\n" in told["traceback"]


def test_a_client_that_comes_after_the_failure_is_told_of_it_too(machines: Lab) -> None:
    """No node is left that could say it, so the supervisor is asked."""
    machines.up(3, "--machine", "mine:M")
    machines.launcher("submit", "lines", "--timeout", "2")
    eventually(
        lambda: [node["state"] for node in machines.ps()["nodes"]].count("failed") >= 2,
        "two nodes have failed",
    )

    done = machines.launcher("submit", "a", "--timeout", "1")

    assert done.status == 4
    assert "failed (the machine mine:M failed on entry 2 (ValueError: one two (mine.py:16))" in (
        done.err
    )
    assert len(done.err.splitlines()) == 1


def test_a_process_that_is_ended_by_its_machine_was_not_stopped_from_outside(
    machines: Lab,
) -> None:
    machines.up(1, "--machine", "mine:M")

    machines.launcher("submit", "os._exit", "--timeout", "1")

    said = "ended with exit status 0 and without a word"
    eventually(lambda: said in machines.node(1)["reason"], "ps says how the node has ended")


def test_a_node_that_hangs_in_its_machine_is_shown_as_not_responding(machines: Lab) -> None:
    machines.up(3, "--machine", "mine:M")
    first = machines.leader()
    machines.launcher("submit", "loop", "--timeout", "1")

    eventually(
        lambda: sum(not node["responding"] for node in machines.ps()["nodes"]) == 2,
        "two nodes hang",
    )

    status = machines.ps()
    assert {node["state"] for node in status["nodes"]} == {"up"}
    assert [n["id"] for n in status["nodes"] if n["role"] == "leader"] in ([], [status["leader"]])
    assert next(n for n in status["nodes"] if n["id"] == first)["last_answer_s"] >= 3
    assert sum("not responding for" in line for line in why(machines)) == 2
    late = machines.launcher("wait", "--leader", "--timeout", "0.5")
    assert "not responding" in late.err
    unanswered = machines.launcher("submit", "a", "--timeout", "1")
    assert "not responding (for " in unanswered.err


def test_nodes_that_answer_otherwise_are_marked_and_never_converge(machines: Lab) -> None:
    machines.up(3, "--machine", "mine:M")
    machines.launcher("submit", "a", "b", check=True)
    machines.converge()
    machines.launcher("submit", "pid", check=True)

    done = machines.launcher("wait", "--converged", "--timeout", "10")

    assert done.status == 1
    assert "has diverged: its answers differ from those of" in done.err
    diverged = [node["diverged"] for node in machines.ps()["nodes"]]
    assert all(mark and mark["up_to"] == mark["after"] + 1 for mark in diverged)
    assert not any(mark["odd"] for mark in diverged)
    eventually(lambda: machines.events("node.diverged"), "it is in the timeline")


def test_a_node_with_other_code_is_refused_until_it_is_allowed(machines: Lab) -> None:
    """A module that the machine's own imports counts too."""
    machines.up(3, "--machine", "mine:M")
    machines.launcher("submit", "a", check=True)
    helper = machines.folder / "helper.py"
    before = helper.stat()
    helper.write_text("STEP = 2\n")
    os.utime(helper, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an edit within a second

    done = machines.launcher("restart", "all", "--rolling")

    assert done.status == 1
    assert "the code of the machine mine:M is not what the nodes that run have" in done.err
    assert "--other-machine-code" in done.err
    states = sorted(node["state"] for node in machines.ps()["nodes"])
    assert states == ["failed", "up", "up"]
    odd = next(node["id"] for node in machines.ps()["nodes"] if node["state"] == "failed")

    machines.launcher("start", str(odd), "--other-machine-code", check=True)
    machines.launcher("submit", "b", check=True)

    done = machines.launcher("wait", "--converged", "--timeout", "10")
    assert f"n{odd} has diverged" in done.err
    marks = {node["id"]: node["diverged"] for node in machines.ps()["nodes"]}
    assert [node for node, mark in marks.items() if mark] == [odd]
    assert marks[odd]["odd"]
    assert machines.events("machine.other_code")


def test_new_code_for_all_nodes_at_once_is_taken(machines: Lab) -> None:
    machines.up(3, "--machine", "mine:M")
    machines.launcher("submit", "a", check=True)
    machines.converge()
    machines.launcher("snapshot", "all", check=True)
    (machines.folder / "helper.py").write_text("STEP = 10\n")

    machines.launcher("stop", "all", check=True)
    machines.launcher("start", "all", check=True)

    machines.leader()
    assert machines.launcher("submit", "b", check=True).lines[-1].endswith("11")
    machines.converge()


def test_a_snapshot_that_cannot_be_restored_is_in_ps(machines: Lab) -> None:
    machines.up(1, "--machine", "mine:Unrestorable")
    machines.launcher("submit", "a", check=True)

    done = machines.launcher("snapshot", "1")

    assert done.status == 1
    assert "failed to restore the snapshot at 2 (KeyError: 'lost' (mine.py:" in done.err
    assert "KeyError: 'lost'" in machines.node(1)["snapshot"]
    assert "no snapshot: the machine mine:Unrestorable failed" in why(machines)[0]


def test_ps_shows_how_slow_the_slowest_call_was(machines: Lab) -> None:
    machines.up(1, "--machine", "mine:M")
    machines.launcher("submit", "slow", check=True)

    eventually(
        lambda: "slow machine: entries took up to " in why(machines)[-1],
        "the supervisor has heard of it",
    )

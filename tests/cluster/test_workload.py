"""Clients that use a real cluster, what they record, and what is said of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from launcher.lab import history
from launcher.lab.clients import kept_plan
from tests.cluster.lab import PATIENCE_S, ROOT, Lab, eventually

pytestmark = pytest.mark.cluster

ODD = """
import os, time
from launcher.lab.workloads import Operation, invalid, unknown, valid

class Fine:
    machine = "kv"
    def next(self, client, number, rng, last):
        return Operation(f="keys", how="read", command="KEYS")
    def check(self, history):
        return valid()

class Raises(Fine):
    def next(self, client, number, rng, last):
        return {}[number]

class Nonsense(Fine):
    def next(self, client, number, rng, last):
        return "GET a"

class Leaves(Fine):
    def next(self, client, number, rng, last):
        os._exit(3)

class Hangs(Fine):
    def next(self, client, number, rng, last):
        while True: pass

class CannotTell(Fine):
    def check(self, history):
        return unknown("nobody was there")

class Wrong(Fine):
    def check(self, history):
        return invalid("all of it is wrong", history[:2])

class BadCheck(Fine):
    def check(self, history):
        return 1 / 0

class Elsewhere(Fine):
    machine = "files"
"""


@pytest.fixture
def kv(lab: Lab) -> Iterator[Lab]:
    """Three nodes with the machine kv. When the test ends, no process of a client is left."""
    (lab.folder / "odd.py").write_text(ODD)
    lab.up(3, "--machine", "kv")
    yield lab
    eventually(lambda: not clients(lab), "the clients to end")


def clients(lab: Lab) -> list[int]:
    """The processes of workloads that were started in the lab's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            is_client = any("launcher.lab.clients" in word for word in process.cmdline())
            if is_client and Path(process.cwd()) == lab.folder.resolve():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def recorded(folder: Path) -> int:
    """How many operations a history has; it must be readable."""
    if not (folder / "history").exists():
        return 0
    return len(history.read(folder).operations)


def begun(lab: Lab, *words: str) -> subprocess.Popen[bytes]:
    """A workload that records into `run`, and has begun to."""
    process = lab.spawn("workload", "--time", "60s", "--to", "run", *words)
    eventually(lambda: recorded(lab.folder / "run") > 50, "operations are recorded")
    return process


def said(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The exit status of a command, and the last line that it said."""
    _, err = process.communicate(timeout=PATIENCE_S)
    text = err.decode()
    assert "Traceback" not in text
    return process.returncode, text.strip().splitlines()[-1]


def test_what_clients_see_while_the_leader_dies_is_valid(kv: Lab) -> None:
    words = ["--time", "5s", "--rate", "150", "--to", "run", "--seed", "7", "--json"]
    process = kv.spawn("workload", "kv", *words)
    eventually(lambda: recorded(kv.folder / "run") > 100, "operations are recorded")
    kv.launcher("kill", "leader", check=True)

    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, err
    told = json.loads(out)
    operations = history.read(kv.folder / "run").operations
    assert told["verdict"] == "valid"
    assert told["all"]["ok"] + told["all"]["fail"] > 200
    assert set(told["by_operation"]) == {"read", "write", "cas", "stale"}
    assert {one.process for one in operations} == set(range(9))
    assert {one.node for one in operations if one.process == 2 and one.f == "read"} == {1}
    assert {one.node for one in operations if one.process == 1} == {None}
    assert kept_plan(kv.folder / "run").plan.seed == 7


def test_a_bug_in_a_users_machine_is_found(lab: Lab) -> None:
    """The bank of the examples; here it gives money that an account does not have."""
    (lab.folder / "mine").mkdir()
    bank = (ROOT / "examples" / "bank.py").read_text().replace("examples.bank", "mine.bank")
    checked = "if self.accounts[source] < amount:"
    assert checked in bank
    (lab.folder / "mine" / "bank.py").write_text(bank.replace(checked, "if amount > 1000:"))
    lab.up(3, "--machine", "mine.bank:Bank")

    done = lab.launcher("workload", "mine.bank:Transfers", "--time", "3s")

    assert done.status == 1
    assert done.last_error.startswith("launcher: invalid: ")
    assert " has -" in done.last_error
    assert "look" in done.out


def test_a_users_workload_passes_on_a_machine_without_a_bug(lab: Lab) -> None:
    (lab.folder / "mine").mkdir()
    bank = (ROOT / "examples" / "bank.py").read_text().replace("examples.bank", "mine.bank")
    (lab.folder / "mine" / "bank.py").write_text(bank)
    lab.up(3, "--machine", "mine.bank:Bank")

    done = lab.launcher("workload", "mine.bank:Transfers", "--time", "2s", check=True)

    assert "none lost and none done twice" in done.lines[-1]


@pytest.mark.parametrize("machine", ["files", "multicast", "lock", "election"])
def test_every_machine_with_a_workload_is_valid_twice(lab: Lab, machine: str) -> None:
    """What the first run leaves in the machine is no matter to the second."""
    lab.up(3, "--machine", machine)

    for _ in range(2):
        done = lab.launcher("workload", "--time", "2s", check=True)
        assert done.lines[-1].startswith("valid")
        assert f"{machine}, 8 clients" in done.out


def test_bad_input_is_one_line_and_its_status(kv: Lab) -> None:
    table = [
        ("nobody", 2, "no workload is called 'nobody'"),
        ("kv --mix fly=1", 2, "there is no operation 'fly'"),
        ("kv --mix read=0", 2, "nothing would be done"),
        ("kv --rate 0", 2, "--rate 0: operations a second, above 0"),
        ("kv --clients 0", 2, "--clients 0: from 1 to 200"),
        ("kv --keys 0", 2, "--keys 0: from 1 to 10000"),
        ("kv --time soon", 2, "--time: 'soon' is not a duration"),
        ("kv --timeout 0", 2, "a timeout is a number of seconds above 0"),
        ("files", 2, "workload files needs the machine files; this cluster runs kv"),
        ("odd:Elsewhere", 2, "needs the machine files; this cluster runs kv"),
        ("odd:Nobody", 2, "workload odd:Nobody: there is no such class; odd has "),
        ("odd:Fine --keys 3", 2, "--keys is for election, files,"),
        ("odd:Fine --to /proc/there", 1, "the run cannot be recorded in /proc/there"),
        ("odd:Raises", 1, "workload odd:Raises: next failed: KeyError: 0 (odd.py:"),
        ("odd:Nonsense", 1, "next returned 'GET a', and not an Operation"),
        ("odd:Leaves", 1, "ended itself with exit status 3"),
        ("odd:Hangs", 1, "next takes longer than 5 s; it is at odd.py:"),
        ("odd:BadCheck", 1, "check failed: ZeroDivisionError: division by zero (odd.py:"),
        ("odd:Wrong", 1, "launcher: invalid: all of it is wrong"),
        ("odd:CannotTell", 5, "launcher: unknown: nobody was there"),
    ]
    for words, status, text in table:
        done = kv.launcher(
            "workload", *words.split(), *([] if "--time" in words else ["--time", "1s"])
        )
        assert (done.status, text in done.last_error) == (status, True), (words, done.err)
        eventually(lambda: not clients(kv), f"the clients of {words} to end")


def test_an_invalid_history_is_explained_by_the_records_of_the_cluster(kv: Lab) -> None:
    leader = kv.leader()
    done = kv.launcher("workload", "odd:Wrong", "--time", "1s")
    assert done.status == 1
    said = done.out.partition("why, as far as the cluster's records tell:\n")[2]
    assert "odd:Wrong IS BROKEN: all of it is wrong" in said
    assert f"n{leader} became leader" in said
    done = kv.launcher("workload", "odd:Wrong", "--time", "1s", "--json")
    assert "odd:Wrong IS BROKEN" in done.json["why"][0]
    assert kv.launcher("workload", "--time", "1s", "--json", check=True).json["why"] == []


def test_a_machine_without_a_workload_is_said(lab: Lab) -> None:
    lab.up(1, "--machine", "journal")

    done = lab.launcher("workload")

    assert done.status == 2
    assert "the machine journal has no workload that comes along" in done.last_error


def test_without_a_cluster_it_is_said(lab: Lab) -> None:
    assert lab.launcher("workload", "kv").status == 3


def test_a_folder_that_has_a_history_is_not_written_to(kv: Lab) -> None:
    kv.launcher("workload", "--time", "1s", "--to", "run", check=True)
    before = recorded(kv.folder / "run")

    done = kv.launcher("workload", "--time", "1s", "--to", "run")

    assert done.status == 2
    assert "has a history already" in done.last_error
    assert recorded(kv.folder / "run") == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_and_keeps_what_was_recorded(
    kv: Lab, number: signal.Signals, status: int
) -> None:
    process = begun(kv)
    process.send_signal(number)

    ended, line = said(process)

    assert ended == status
    assert line.startswith("launcher: interrupted after")
    assert line.endswith("what was recorded is in run")
    eventually(lambda: not clients(kv), "the clients to end")
    assert recorded(kv.folder / "run") > 50


def test_clients_end_with_a_launcher_that_is_killed(kv: Lab) -> None:
    process = begun(kv)
    process.kill()
    process.wait()

    eventually(lambda: clients(kv) == [], "the clients have ended")

    assert recorded(kv.folder / "run") > 50


def test_a_client_that_is_killed_is_said(kv: Lab) -> None:
    process = begun(kv)
    os.kill(max(clients(kv)), signal.SIGKILL)

    status, line = said(process)

    assert status == 1
    assert "was ended by SIGKILL; what was recorded is in" in line


def test_a_cluster_that_goes_away_is_said(kv: Lab) -> None:
    process = begun(kv)
    kv.launcher("down", check=True)

    status, line = said(process)

    assert status == 3
    assert "the cluster has gone while the workload ran; what was recorded is in" in line
    assert recorded(kv.folder / "run") > 50


def test_a_disk_that_is_full_is_said(kv: Lab) -> None:
    """A limit on the size of a file stands for the disk: the same call fails."""
    limited = ["bash", "-c", 'ulimit -f 16; exec "$@"', "bash"]
    command = [*limited, *kv.command("workload", "--time", "60s", "--to", "run")]
    done = subprocess.run(
        command, cwd=kv.folder, env=kv.environment(None), capture_output=True, timeout=120,
        check=False,
    )  # fmt: skip

    line = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 1
    assert "cannot be written" in line
    assert "what was recorded is in" in line
    assert recorded(kv.folder / "run") > 10


def test_a_verdict_that_nobody_reads_is_in_the_exit_status(kv: Lab) -> None:
    """`launcher workload | true`"""
    for name, status in (("odd:Fine", 0), ("odd:Wrong", 1), ("odd:CannotTell", 5)):
        reader, writer = os.pipe()
        os.close(reader)
        process = kv.spawn("workload", name, "--time", "1s", stdout=writer)
        os.close(writer)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == status, name


def test_a_cluster_that_has_lost_its_quorum_is_judged_by_what_was_seen(kv: Lab) -> None:
    process = kv.spawn("workload", "--time", "4s", "--to", "run", "--timeout", "1")
    eventually(lambda: recorded(kv.folder / "run") > 50, "operations are recorded")
    kv.launcher("kill", "1", "2", check=True)

    out, err = process.communicate(timeout=90)

    assert process.returncode == 0, err
    assert b"the last reads had no answer" in err
    assert out.decode().splitlines()[-1].startswith("valid")

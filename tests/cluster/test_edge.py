"""Where an application meets a cluster: forks, retries, refusals, and what it leaves open.

Scripts run as an application would: in a process of their own, attached to a cluster that runs.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from launcher import Cluster, CommandError, NoAnswer
from launcher.errors import NotRunning
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

BANK = """\
from node.errors import CommandError

class Bank:
    def __init__(self):
        self.paid = []

    def apply(self, index, command):
        if command.startswith(b"REFUSE"):
            raise CommandError("not that")
        self.paid.append(command)
        return b"%d payments" % len(self.paid)

    def query(self, request):
        if request == b"REFUSE":
            raise CommandError("not that")
        return b"\\n".join(self.paid)

    def snapshot(self):
        yield b"\\n".join(self.paid)

    def restore(self, chunks):
        self.paid = b"".join(chunks).split(b"\\n")
"""


@pytest.fixture(name="bank", scope="module")
def _bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three nodes of a bank, which tells a payment that is made twice."""
    lab = Lab(tmp_path_factory.mktemp("bank"), "name: bank\nmachine: bank:Bank\n")
    (lab.folder / "bank.py").write_text(BANK)
    try:
        lab.up(3)
        yield lab
    finally:
        lab.close()


@pytest.fixture(name="cluster")
def _cluster(bank: Lab) -> Iterator[Cluster]:
    with Cluster.attach(bank.folder / "cluster.yaml") as cluster:
        yield cluster
        cluster.resume("all")
        cluster.wait(leader=True, timeout_s=PATIENCE_S)


def paid(cluster: Cluster, what: str) -> list[str]:
    """The payments that begin so."""
    return [line for line in cluster.read("ALL").text.splitlines() if line.startswith(what)]


def script(lab: Lab, body: str) -> list[str]:
    """Runs a script to its end; the lines that it and its children print."""
    head = "import os, sys, time\nfrom launcher import Cluster\nfrom launcher.errors import *\n"
    ran = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(body)],
        cwd=lab.folder,
        env=lab.environment(None),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout.splitlines()


# -- forks -----------------------------------------------------------------------------------------


def test_forked_children_begin_sessions_of_their_own(bank: Lab, cluster: Cluster) -> None:
    """A server that has submitted before it forks its workers, twice over."""
    said = script(
        bank,
        """
        cluster = Cluster.attach()
        cluster.submit("fork parent 0")

        def work(name):
            if os.fork():
                return
            for number in range(20):
                done = cluster.submit(f"fork {name} {number}")
                assert done.entry == f"fork {name} {number}".encode()
            assert f"fork {name} 19" in cluster.read("ALL").text
            os._exit(0)

        for name in ("ann", "bob", "cid"):
            work(name)
        for number in range(1, 20):
            cluster.submit(f"fork parent {number}")
        print(*(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3)))
        """,
    )
    assert said == ["0 0 0"]
    for name in ("parent", "ann", "bob", "cid"):
        assert paid(cluster, f"fork {name} ") == [f"fork {name} {n}" for n in range(20)]


def test_a_stream_belongs_to_the_process_that_began_it(bank: Lab, cluster: Cluster) -> None:
    """The child gets a clear error, and its end disturbs nothing of its parent's."""
    said = script(
        bank,
        """
        import gc

        cluster = Cluster.attach()
        source = (f"stream {number}" for number in range(3000))
        stream = cluster.submit_many(source)
        unbegun = cluster.submit_many([f"unbegun {number}" for number in range(3)])
        timeline, watch = cluster.timeline(follow=True), cluster.watch()
        first = next(stream)
        next(timeline)
        for _ in range(3):
            child = os.fork()
            if not child:
                for items in (stream, unbegun, timeline, watch):
                    try:
                        next(items)
                    except UsageError as error:
                        print(error)
                del stream, timeline, items
                gc.collect()
                cluster.submit("stream child")
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
        done = [first, *stream]
        print(len(done), done[-1].entry.decode(), len(list(unbegun)))
        next(timeline)
        """,
    )
    calls = ["submit_many", "submit_many", "timeline", "watch"]
    each = [
        f"this {call} was begun before the process was forked, and belongs to the parent: "
        f"begin another {call} here"
        for call in calls
    ]
    assert said == [*each, *each, *each, "3000 stream 2999 3"]
    assert paid(cluster, "stream ").count("stream child") == 3
    assert len(paid(cluster, "unbegun ")) == 3


def test_a_child_holds_no_connection_of_its_parent(bank: Lab) -> None:
    said = script(
        bank,
        """
        import psutil

        cluster = Cluster.attach()
        cluster.submit("held")
        cluster.read("ALL")
        before = len(psutil.Process().net_connections("unix"))
        child = os.fork()
        if not child:
            print(before > 0, len(psutil.Process().net_connections("unix")))
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        """,
    )
    assert said == ["True 0"]


inherited: list[Cluster] = []
"""What forked workers find in a global variable."""


def _submit(number: int) -> bytes:
    return inherited[0].submit(f"worker {number}").entry


def test_a_pool_of_forked_workers_shares_a_global_cluster(cluster: Cluster) -> None:
    cluster.submit("worker parent")
    inherited[:] = [cluster]
    with multiprocessing.get_context("fork").Pool(3) as pool:
        done = pool.map_async(_submit, range(30), chunksize=1).get(timeout=PATIENCE_S)
    assert done == [f"worker {number}".encode() for number in range(30)]
    wanted = ["worker parent", *(f"worker {number}" for number in range(30))]
    assert sorted(paid(cluster, "worker ")) == sorted(wanted)


# -- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before it is committed", "after it was committed"])
def test_an_entry_that_was_not_answered_is_applied_once(
    bank: Lab, cluster: Cluster, when: str
) -> None:
    """The leader has it in its log, and nobody to commit it with."""
    payment = f"PAY {when.split()[0]} 10"
    cluster.submit("OPEN")
    cluster.pause("followers")
    with pytest.raises(NoAnswer) as caught:
        cluster.submit(payment, timeout_s=1)
    error = caught.value
    assert error.unanswered == [payment.encode()]
    assert error.left is not None
    assert error.left.sent

    if when == "after it was committed":
        cluster.resume("all")
        eventually(lambda: paid(cluster, payment), "the entry is committed by itself")
        (done,) = error.resend()
    else:
        with pytest.raises(NoAnswer) as again:
            error.resend(timeout_s=0.5)
        assert again.value.unanswered == error.unanswered
        cluster.resume("all")
        (done,) = error.resend(timeout_s=PATIENCE_S)

    (same,) = cluster.resend(error)
    assert (same.index, same.text) == (done.index, done.text)
    assert paid(cluster, payment) == [payment]


def test_an_entry_that_no_node_has_seen_is_applied_once(bank: Lab) -> None:
    """All are paused, and a new client does not get as far as to begin its session."""
    with Cluster.attach(bank.folder / "cluster.yaml") as cluster:
        cluster.pause("all")
        with pytest.raises(NoAnswer) as caught:
            cluster.submit("PAY unseen 10", timeout_s=0.5)
        cluster.resume("all")
        for _ in range(3):
            (done,) = caught.value.resend(timeout_s=PATIENCE_S)
            assert done.ok
        assert paid(cluster, "PAY unseen") == ["PAY unseen 10"]


def _pay(config: Path) -> int:
    with Cluster.attach(config) as cluster:
        cluster.submit("OPEN")
        cluster.pause("followers")
        return cluster.submit("PAY pool 10", timeout_s=1).index


def test_an_error_from_another_process_is_resent_here(bank: Lab, cluster: Cluster) -> None:
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as pool, pytest.raises(NoAnswer) as caught:
        pool.map_async(_pay, [bank.folder / "cluster.yaml"]).get(timeout=PATIENCE_S)
    cluster.resume("all")
    (done,) = caught.value.resend(timeout_s=PATIENCE_S)
    assert cluster.resend(caught.value)[0].index == done.index
    assert paid(cluster, "PAY pool") == ["PAY pool 10"]


def test_it_is_resent_after_the_cluster_was_down(lab: Lab) -> None:
    """The place in the session is in the log, as the entry is."""
    lab.up(3, "--machine", "journal")
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    cluster.submit("begin")
    cluster.pause("followers")
    with pytest.raises(NoAnswer) as caught:
        cluster.submit("once", timeout_s=1)
    lab.launcher("down", check=True)
    with pytest.raises(NotRunning):
        caught.value.resend()
    lab.up(3)
    (done,) = caught.value.resend(timeout_s=PATIENCE_S)
    assert caught.value.resend()[0].index == done.index
    assert cluster.read("COUNT").text == "2"
    os.kill(lab.ps()["supervisor_pid"], signal.SIGKILL)
    eventually(lambda: lab.launcher("ps").status == 3, "the cluster to be gone")
    with pytest.raises(NotRunning):
        cluster.submit("nobody")
    lab.up(3)
    cluster.submit("after a crash")
    assert cluster.read("COUNT").text == "3"
    cluster.close()


# -- refusals --------------------------------------------------------------------------------------


def test_a_refusal_is_never_a_value(cluster: Cluster) -> None:
    with pytest.raises(CommandError, match="not that"):
        cluster.submit("REFUSE it")
    taken, refused = cluster.submit_many(["refusal taken", "REFUSE it"])
    assert (taken.ok, refused.ok, refused.error) == (True, False, "not that")
    with pytest.raises(CommandError, match="not that"):
        _ = refused.result
    answer = cluster.read("REFUSE")
    assert (answer.ok, answer.error) == (False, "not that")
    with pytest.raises(CommandError, match="not that"):
        _ = answer.text


# -- what is left open -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "with", "dropped"])
def test_an_attached_cluster_leaves_no_descriptor_open(bank: Lab, how: str) -> None:
    config = bank.folder / "cluster.yaml"
    process = psutil.Process()
    gc.collect()  # what other tests have left
    before = process.num_fds()
    for _ in range(20):
        cluster = Cluster.attach(config)
        cluster.submit("left open")
        cluster.read("ALL")
        assert process.num_fds() > before
        if how == "close":
            cluster.close()
            cluster.read("ALL")  # one that was closed opens what it needs
            cluster.close()
        elif how == "with":
            with cluster:
                cluster.read("ALL")
        else:
            del cluster
        assert process.num_fds() == before


def test_leaving_an_attached_cluster_leaves_it_running(bank: Lab) -> None:
    pid = bank.ps()["supervisor_pid"]
    with Cluster.attach(bank.folder / "cluster.yaml") as cluster:
        cluster.submit("attached")
    with Cluster(3, machine="bank:Bank", config=bank.folder / "cluster.yaml") as cluster:
        cluster.submit("adopted")
    assert bank.ps()["supervisor_pid"] == pid

"""A cluster within narrow limits: few open files, small files, little memory."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from contextlib import ExitStack, suppress

import pytest

from launcher.config import load
from launcher.folders import lock
from tests.cluster.lab import PATIENCE_S, Done, Lab, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def limited(lab: Lab, limit: str, *words: str) -> Done:
    """Runs a command in a shell with this `ulimit`."""
    done = subprocess.run(
        ["bash", "-c", f"ulimit {limit} && exec {shlex.join(lab.command(*words))}"],
        cwd=lab.folder,
        env=lab.environment(None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lab.remember()
    assert "Traceback" not in done.stderr + done.stdout
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("limit", "nodes", "said"),
    [("-n 64", "31", "31 nodes need 255 open files"), ("-f 1000", "3", "raise that (`ulimit -f`)")],
)
def test_a_limit_that_is_too_low_is_told_before_anything_is_begun(
    lab: Lab, limit: str, nodes: str, said: str
) -> None:
    up = limited(lab, limit, "up", nodes, "-d")

    assert (up.status, len(up.err.splitlines())) == (1, 1)
    assert said in up.err
    assert not (lab.folder / "data").exists()


def test_a_node_that_cannot_have_its_files_is_not_added(lab: Lab) -> None:
    limited(lab, "-n 64", "up", "3", "-d", "--timeout", str(PATIENCE_S))

    added = lab.launcher("add")

    assert (added.status, len(added.err.splitlines())) == (1, 1)
    assert "4 nodes need 66 open files" in added.err
    assert len(lab.ps()["nodes"]) == 3


def test_a_low_limit_that_may_be_raised_is_raised(lab: Lab) -> None:
    up = limited(lab, "-S -n 64", "up", "13", "-d", "--json", "--timeout", str(PATIENCE_S))

    assert up.status == 0, up.err
    assert {node["state"] for node in json.loads(up.out)["nodes"]} == {"up"}


def test_clients_cannot_use_up_the_files_of_a_node_or_of_the_supervisor(lab: Lab) -> None:
    """They had: the next snapshot ended the node."""
    (lab.folder / "cluster.yaml").write_text(
        "name: lab\nlimits: {entry: 1KiB}\nstorage: {segment: 4KiB}\n"
    )
    up = limited(lab, "-n 64", "up", "3", "-d", "--timeout", str(PATIENCE_S))
    assert up.status == 0, up.err
    running = lock.running(load(lab.folder / "cluster.yaml"))
    assert running is not None

    with ExitStack() as stack:
        for name in ("node-1.sock", "node-2.sock", "node-3.sock", "control.sock"):
            for _ in range(150):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(5)
                with suppress(BlockingIOError):
                    client.connect(str(running.runtime_dir / name))
        for turn in range(3):
            entries = [f"ADD {'x' * 200}-{turn}-{n}" for n in range(40)]
            lab.launcher("submit", *entries, check=True)
            lab.launcher("snapshot", "all", check=True)
        lab.launcher("restart", "follower", check=True)
        lab.launcher("submit", "ADD the last", check=True)

    lab.converge()
    assert lab.events("node.failed") == []
    assert [node["restarts"] for node in lab.ps()["nodes"]].count(0) == 2


def test_a_snapshot_that_finds_no_process_is_tried_again(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("submit", "ADD a", check=True)
    pid = lab.node(1)["pid"]
    used = len(os.listdir(f"/proc/{pid}/fd"))
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={used}:20000"], check=True)

    refused = lab.launcher("snapshot", "1")
    assert (refused.status, len(refused.err.splitlines())) == (1, 1)
    assert "Too many open files" in refused.err

    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=20000:20000"], check=True)
    eventually(lambda: lab.launcher("snapshot", "1").status == 0, "a snapshot")
    assert lab.node(1)["pid"] == pid

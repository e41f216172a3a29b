"""The Python API, as the README shows it, from a plain script without a main guard."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cluster.lab import Lab

pytestmark = pytest.mark.cluster

SCRIPT = """\
from launcher import Cluster
from node.errors import CommandError

with Cluster(5, machine="kv") as cluster:
    first = cluster.submit("SET a 1")
    killed = cluster.kill("leader")
    print(killed[0].role, cluster.read("GET a").text)
    done = list(cluster.submit_many(f"SET k{n} {n}" for n in range(500)))
    print(len(done), all(one.ok for one in done), done[0].index > first.index)
    try:
        cluster.submit("CAS a 2 3")
    except CommandError as refusal:
        print(refusal)
    cluster.start(killed[0].id)
    status = cluster.wait(converged=True, timeout_s=30)
    print(len({node.applied_index for node in status.nodes}), cluster.read("KEYS").text.count("k"))
print("down")
"""


def test_a_script_runs_a_cluster(lab: Lab) -> None:
    (lab.folder / "script.py").write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=lab.folder,
        env=lab.environment(None),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    assert lines == ["leader 1", "500 True True", "CAS failed: a is 1", "1 500", "down"]
    assert lab.launcher("ps").status == 3

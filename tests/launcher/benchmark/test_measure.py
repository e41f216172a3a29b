"""Measuring a load generator, played by small programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil
import pytest

from launcher.benchmark import measure
from launcher.benchmark.figures import Figures
from launcher.benchmark.usage import Usage, usage
from launcher.errors import LauncherError

GENERATOR = """
import array, json, os, sys, time
def say(**what): print(json.dumps(what), flush=True)
say(servers=[], client=os.getpid())
file = sys.argv[sys.argv.index("--latencies") + 1]
say(begun=True)
{work}
open(file, "wb").write(array.array("d", {latencies}).tobytes())
say(ended=True, entries=4, seconds=0.5)
sys.stdin.read()
"""


def generate(
    work: str = "",
    latencies: str = "[0.004, 0.001, 0.002, 0.003]",
    servers: Sequence[int] = (),
) -> Figures:
    program = GENERATOR.format(work=work, latencies=latencies)
    return measure.measure(
        [sys.executable, "-c", program],
        size_bytes=10,
        warm_up_s=0.1,
        duration_s=0.5,
        servers=servers,
    )


def test_throughput_and_percentiles() -> None:
    figures = generate()
    assert figures.throughput == 8.0
    assert (figures.p50_ms, figures.p99_ms, figures.p999_ms) == (2.0, 4.0, 4.0)


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes a generator wait until its use of the machine has been looked at."""
    file = tmp_path / "looked"

    def look(pids: Iterable[int]) -> Usage:
        seen = usage(pids)
        file.touch()
        return seen

    monkeypatch.setattr(measure, "usage", look)
    return f"while not os.path.exists({str(file)!r}): time.sleep(0.01)\n"


def test_the_time_on_a_core_is_counted(looked: str) -> None:
    """Spins for a fifth of a second of its own time: 0.05 s for each of the four entries."""
    spin = "begun = time.process_time()\nwhile time.process_time() - begun < 0.2: pass"
    per_thousand = generate(looked + spin).cpu_s_per_1000
    assert per_thousand is not None
    assert 40 <= per_thousand < 100


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what is written")
def test_what_is_written_to_files_is_counted_and_to_sockets_is_not(looked: str) -> None:
    work = """
import socket, tempfile
one, other = socket.socketpair()
one.send(bytes(100_000))
with tempfile.TemporaryFile() as opened:
    os.pwrite(opened.fileno(), bytes(400_000), 0)
"""
    written = generate(looked + work).written_per_byte
    assert written is not None
    assert 10_000 <= written < 10_200, "400,000 bytes for 4 entries of 10, and a little"


def test_what_ended_children_used_counts() -> None:
    before = usage([os.getpid()])
    pid = os.fork()
    if not pid:
        begun = psutil.Process().cpu_times().user
        while psutil.Process().cpu_times().user - begun < 0.1:
            pass
        os._exit(0)
    os.waitpid(pid, 0)
    assert usage([os.getpid()]).cpu_s - before.cpu_s >= 0.1


def test_a_generator_that_fails_is_told_by_its_last_line() -> None:
    with pytest.raises(LauncherError, match="a load generator failed: ValueError: no such luck"):
        generate("raise ValueError('no such luck')")


def test_a_generator_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PATIENCE_S", 0.5)
    with pytest.raises(LauncherError, match="it hung, and was ended"):
        generate("time.sleep(600)")


def test_a_server_that_has_ended_is_told() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(LauncherError, match=f"process {ended.pid} ended while it was measured"):
        generate(servers=[ended.pid])


def test_nothing_answered_is_no_result() -> None:
    with pytest.raises(LauncherError, match=r"nothing was answered in 0\.5 s"):
        generate(latencies="[]")


def test_no_process_is_left_of_a_generator_that_fails(tmp_path: Path) -> None:
    """Its children neither: it is ended as a group."""
    work = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
raise SystemExit
"""
    with pytest.raises(LauncherError):
        generate(work)
    pid = int((tmp_path / "pid").read_text())
    give_up = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up, f"process {pid} is still there"
        time.sleep(0.01)

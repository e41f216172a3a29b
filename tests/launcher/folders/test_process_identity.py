"""A pid is not a process: what tells one from the next that gets its pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from launcher.folders import process_identity
from launcher.folders.process_identity import ProcessRecord, start_of
from tests.launcher.fake_cluster import until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's ticks are in /proc")


def test_a_process_is_found_again_by_another_process() -> None:
    me = ProcessRecord.of(os.getpid())
    code = f"from launcher.folders.process_identity import start_of; print(start_of({me.pid}))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(process_identity.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.strip() == me.start
    found = me.find()
    assert found is not None
    assert found.pid == os.getpid()


def test_the_next_process_with_a_pid_is_another() -> None:
    me = ProcessRecord.of(os.getpid())

    assert msgspec.structs.replace(me, start="earlier").find() is None
    assert ProcessRecord.of(os.getppid()).start != me.start


def test_a_zombie_is_nobody() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    record = ProcessRecord.of(child.pid)
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "it to end")

    assert record.find() is None
    with pytest.raises(psutil.NoSuchProcess):
        ProcessRecord.of(child.pid)
    child.wait(5)


@pytest.mark.parametrize("pid", [0, -1, 1 << 31, 1 << 80])
def test_what_is_no_pid_is_nobody(pid: int) -> None:
    assert start_of(pid) is None or pid == 0
    assert ProcessRecord(pid, "x").find() is None
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(msgspec.json.encode({"pid": pid, "start": ""}), type=ProcessRecord)


@on_linux
def test_a_name_with_parentheses_and_spaces(tmp_path: Path) -> None:
    """proc(5): the name stands in parentheses, and may hold anything."""
    program = tmp_path / ") S 1 (x"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "60"])
    try:
        until(lambda: psutil.Process(child.pid).name() == program.name, "its name")
        boot, namespace, ticks = str(start_of(child.pid)).split()
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
        assert 0 <= age_s < 60
        assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert namespace == os.readlink("/proc/self/ns/pid")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(5)


@on_linux
def test_a_clock_that_steps_makes_nobody_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil counts from the time of the boot, which moves when the clock is set."""
    me = ProcessRecord.of(os.getpid())
    set_clock_forward(monkeypatch)

    assert me.find() is not None


@on_linux
@pytest.mark.parametrize("has_handles", [True, False])
def test_a_signal_arrives_after_the_clock_was_set(
    has_handles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psutil before 7.1 compares start times by the wall clock before it sends a signal."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        record = ProcessRecord.of(child.pid)
        set_clock_forward(monkeypatch)
        if not has_handles:  # an old kernel, or a sandbox
            monkeypatch.setattr(os, "pidfd_open", refuse)

        assert record.send_signal(signal.SIGTERM)
        assert child.wait(10) == -signal.SIGTERM
        assert not record.send_signal(signal.SIGTERM)
    finally:
        child.kill()
        child.communicate()


def test_no_signal_reaches_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(signal, "pidfd_send_signal", refuse, raising=False)

    assert not ProcessRecord(os.getpid(), "earlier").send_signal(signal.SIGKILL)


@on_linux
def test_whether_a_process_is_stopped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record = ProcessRecord.of(child.pid)
    try:
        assert not record.is_stopped()
        record.send_signal(signal.SIGSTOP)
        until(record.is_stopped, "it to be stopped")
    finally:
        record.send_signal(signal.SIGKILL)
        child.communicate()
    assert not record.is_stopped()


def refuse(*arguments: object) -> int:
    raise OSError(f"not now: {arguments}")


def set_clock_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an old psutil sees it; the machine's clock stays as it is."""
    boot = psutil.boot_time() + 3600
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot)
    monkeypatch.setattr("psutil._pslinux.BOOT_TIME", boot, raising=False)
    monkeypatch.setattr(psutil.Process, "_get_ident", ident_by_wall_clock)


def ident_by_wall_clock(process: psutil.Process) -> tuple[int, float]:
    """What psutil before 7.1 tells processes by."""
    return process.pid, process.create_time()


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    me = ProcessRecord.of(os.getpid())

    assert float(me.start) == pytest.approx(psutil.Process().create_time(), abs=0.001)
    assert me.find() is not None
    assert msgspec.structs.replace(me, start="1.000").find() is None

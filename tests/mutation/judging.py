"""One mutant: whether the unit tests of its folder notice it.

This process imports what the tests need from elsewhere, once, and nothing of the product. It forks
for each mutant. The child finds the mutated module in place of the original, and so do the tests
that it then imports and runs. Time is CPU time, because the machine may be busy.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType

import pytest

ROOT = Path(__file__).parents[2]

WARM = ("_hypothesis_pytestplugin", "asyncio", "click", "hypothesis.strategies", "psutil", "yaml")
"""Imported once, for all mutants; none of it depends on the product."""

LAST = ("test_wal_crashes.py", "test_wal_damage.py", "test_sanity.py", "test_server_fuzz.py")
"""Tests that try very many cases: others kill most mutants before."""

MOST_CPU_S = 60
"""Ten times what the tests of one folder take: a mutant that uses so much hangs."""

MOST_WALL_S = 40 * 60
"""For a mutant that waits for ever and uses no CPU time; generous, for a machine that is busy."""

MOST_MEMORY_BYTES = 4 << 30
"""For a mutant that fills a list for ever."""


def warm_up() -> None:
    """Import what all the tests need."""
    for name in WARM:
        importlib.import_module(name)


class InPlace(SourceFileLoader):
    """Finds one module, with other code than that of its file."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Of that module only."""
        if fullname != self.name:
            return None
        return spec_from_loader(fullname, self)

    def get_code(self, fullname: str) -> CodeType:
        """The code that it was given."""
        return self._code


class FirstFailure:
    """A plugin of pytest's that writes the name of the first test that fails."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            os.write(self._descriptor, report.nodeid.encode() + b"\n")


def fitting_tests(path: str) -> list[str]:
    """The test files of a source file's folder: those that are named like it first."""
    folder, name = os.path.split(path)
    stem = name.removesuffix(".py")
    files = (ROOT / "tests" / folder).glob("test_*.py")

    def rank(file: Path) -> tuple[bool, bool, str]:
        return stem not in file.name, file.name in LAST, file.name

    return [str(file.relative_to(ROOT)) for file in sorted(files, key=rank)]


def judge(path: str, code: CodeType | None, tests: Sequence[str]) -> tuple[str, str]:
    """killed, survived or timed out, and the test that failed. Without `code`: the original."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        return _judge(path, code, [f"--basetemp={folder}/tests", *tests])


def _judge(path: str, code: CodeType | None, arguments: Sequence[str]) -> tuple[str, str]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 3
        try:
            os.close(reader)
            status = _run(path, code, arguments, writer)
        finally:
            os._exit(status)
    os.close(writer)
    ends = time.monotonic() + MOST_WALL_S
    try:
        while (waited := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > ends:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.05)
    finally:  # also after an interrupt, and what its tests have started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
    with open(reader, encoding="utf-8") as pipe:
        first = pipe.readline().strip()
    status = os.waitstatus_to_exitcode(waited[1])
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "timed out", first
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise RuntimeError(f"no test: {arguments}")
    return ("survived" if status == 0 else "killed"), first


def _run(path: str, code: CodeType | None, arguments: Sequence[str], writer: int) -> int:
    """In the child."""
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 5))
    with contextlib.suppress(OSError, ValueError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    if code is not None:
        name = path.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, InPlace(name, path, code))
    options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not soak and not cluster"]
    options += ["-o", "timeout=0", "-o", "addopts="]
    return int(pytest.main([*options, *arguments], plugins=[FirstFailure(writer)]))

"""How a name becomes a workload, and what is said of one that is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.lab.workloads import loading
from launcher.lab.workloads.loading import Options, check_options, load
from launcher.lab.workloads.protocol import Framed, Workload

GOOD = """
from launcher.lab.workloads import Operation, valid

class Good:
    machine = "kv"
    def next(self, client, number, rng, last):
        return Operation(f="read", how="read", command="GET a")
    def check(self, history):
        return valid()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, where a user's modules are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("mine"):
            del sys.modules[name]


def refused(name: str, options: Options | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        load(name, options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", loading.names())
def test_each_that_comes_along_is_a_workload_for_the_machine_of_its_name(name: str) -> None:
    workload = load(name)

    assert isinstance(workload, Workload)
    assert workload.machine == name
    assert loading.is_shipped(name)
    assert sum(loading.operations_of(name).values()) == 100


def test_those_that_end_a_run_with_reads() -> None:
    assert [name for name in loading.names() if hasattr(load(name), "closing")] == [
        "files", "kv", "multicast",
    ]  # fmt: skip
    assert isinstance(load("multicast"), Framed)


def test_a_users_workload_is_loaded(folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD)

    workload = load("mine:Good")

    assert workload.machine == "kv"


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (GOOD, "nobody", "no workload is called 'nobody': there are election, files,"),
        (GOOD, "mine:", "no workload is called 'mine:'"),
        (GOOD, "mine_too:Good", "no module 'mine_too' here or on PYTHONPATH"),
        (GOOD, "mine:Bad", "there is no such class; mine has Good"),
        (GOOD, "mine:valid", "valid is no class"),
        ("import mine_lacks", "mine:Good", "needs the module 'mine_lacks'"),
        ("1 / 0", "mine:Good", "failed: ZeroDivisionError: division by zero (mine.py:1)"),
        ("def", "mine:Good", "importing it failed: SyntaxError"),
        ("raise SystemExit(3)", "mine:Good", "importing it failed: SystemExit"),
        ("class Good: ...", "mine:Good", "it lacks next, check, machine"),
        (GOOD.replace("kv", ""), "mine:Good", "machine is the name of a machine, not ''"),
        (GOOD.replace('"kv"', "7"), "mine:Good", "machine is the name of a machine, not 7"),
        (GOOD.replace(", last", ""), "mine:Good", "next must take (client, number, rng, last)"),
        (GOOD + "    def closing(self): ...\n", "mine:Good", "closing must take (number, last)"),
        (
            GOOD + "    def __init__(self): self.x = {}[1]\n",
            "mine:Good",
            "Good() failed, and a workload is constructed without arguments: KeyError: 1 (mine.py:",
        ),
    ],
)  # fmt: skip
def test_what_is_no_workload_is_refused_in_one_line(
    folder: Path, text: str, name: str, said: str
) -> None:
    (folder / "mine.py").write_text(text)

    assert said in refused(name)


def test_a_module_that_hides_behind_one_of_the_library_is_said(folder: Path) -> None:
    (folder / "json").mkdir()
    (folder / "json" / "__init__.py").write_text(GOOD)

    assert refused("json:Good").startswith("workload json:Good: the module json is ")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("kv", Options(mix="fly=1"), "there is no operation 'fly'"),
        ("kv", Options(keys=0), "--keys 0: from 1 to 10000"),
        ("kv", Options(keys=10_001), "--keys 10001: from 1 to 10000"),
        ("multicast", Options(keys=3), "--keys: the workload multicast has none"),
        ("a:B", Options(mix="read=1"), "--mix is for election, files,"),
        ("files", Options(values=3), "--values is for the workload kv alone"),
        ("kv", Options(values=-1), "--values -1: how many different values"),
        ("a:B", Options(values=3), "--values is for election, files,"),
        ("a:B", Options(keys=3), "--keys is for election, files,"),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: Options, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_options(name, options)

"""`launcher bench`: what it refuses, and what it keeps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from launcher.benchmark.report import Table
from launcher.cli import shell
from launcher.cli.commands import bench, bench_rows
from launcher.cli.context import Context


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["load", "--nodes", "0"], "--nodes 0: from 1 to 31"),
        (["load", "--nodes", "32"], "--nodes 32: from 1 to 31"),
        (["load", "--window", "0"], "--window 0: from 1 to 65536"),
        (["load", "--size", "0"], "--size 0: from 1 to 1048576"),
        (["load", "--rounds", "0"], "--rounds 0: from 1 to 1000"),
        (["load", "--seconds", "0"], "--seconds 0.0: from 0.1 to 600"),
        (["load", "--seconds", "nan"], "--seconds nan: from 0.1 to 600"),
        (["load", "--machine", "nothing"], "nothing"),
        (["load", "--window", "40", "--size", "1048576"], "41943040 bytes would be unanswered"),
        (["reads", "--window", "-1"], "--window -1: from 1 to 65536"),
        (["page", "--readers", "33"], "--readers 33: from 1 to 32"),
        (["sweep", "--rounds", "0"], "--rounds 0: from 1 to 1000"),
        (["laod"], "no command 'laod'; did you mean load?"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path)] if len(arguments) > 1 else []
    assert shell.run(["bench", *arguments, *out], Context()) == 2
    out_text, err = capfd.readouterr()
    assert out_text == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_without_a_name_it_lists_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert shell.run(["bench", "--help"], Context()) == 0
    out, _ = capfd.readouterr()
    for name, command in bench.bench.all().items():
        assert command.help
        assert f"\n  {name} " in out


@pytest.mark.parametrize("as_json", [False, True])
def test_what_came_out_is_printed_and_kept(
    as_json: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = Table(title="a title", headers=["", "n"], rows=[["a row", "7"]])
    bench_rows.conclude("thing", tmp_path, as_json, {"n": 7}, [table])

    out, err = capfd.readouterr()
    if as_json:
        assert json.loads(out) == {"n": 7}
    else:
        assert out.startswith("on ")
        assert "a title" in out
        assert "a row" in out
    assert err == f"kept: {tmp_path / 'thing.json'}\n"
    assert json.loads((tmp_path / "thing.json").read_text())["results"] == {"n": 7}


def test_one_line_says_how_to_get_plots(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    nothing = {"one": lambda figure: None, "two": lambda figure: None}
    bench_rows.conclude("thing", tmp_path, False, {}, [], nothing)
    err = capfd.readouterr().err.splitlines()
    assert err[0] == "no plots: matplotlib is not installed (pip install 'leeky-raft[bench]')"
    assert len(err) == 2

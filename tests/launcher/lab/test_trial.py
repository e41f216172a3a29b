"""What a test is made of before anything starts: circumstances, what is asked for, plots."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from launcher.config import load
from launcher.errors import UsageError
from launcher.lab.chaos.kinds import KINDS
from launcher.lab.chaos.record import Happening, What
from launcher.lab.folder import RunFolder
from launcher.lab.trial import plots
from launcher.lab.trial.asked import Asked
from launcher.lab.trial.circumstances import as_yaml, circumstances


def test_a_seed_gives_the_same_circumstances_and_schedule_whatever_else_is_random() -> None:
    first = [(Asked(seed=seed).settings(), Asked(seed=seed).schedule()) for seed in range(30)]
    random.seed(1)
    random.random()

    assert [(Asked(seed=n).settings(), Asked(seed=n).schedule()) for n in range(30)] == first


def test_seeds_differ_in_their_circumstances() -> None:
    drawn = [circumstances(seed) for seed in range(60)]

    assert {one["nodes"] for one in drawn} == {"3", "5"}
    assert {one["raft.reads"] for one in drawn} == {"lease", "read-index"}
    assert {one["log.digest_every"] for one in drawn} == {"20"}
    assert len({one["snapshot.entries"] for one in drawn}) > 2


def test_what_a_user_fixes_changes_nothing_else() -> None:
    assert circumstances(7, 9) == circumstances(7) | {"nodes": "9"}


@pytest.mark.parametrize("seed", range(40))
def test_all_circumstances_make_a_legal_configuration(tmp_path: Path, seed: int) -> None:
    settings = Asked(seed=seed).settings()
    (tmp_path / "cluster.yaml").write_text(as_yaml(settings))

    config = load(tmp_path / "cluster.yaml")

    assert config.nodes == int(settings["nodes"])
    assert config.digest_every == 20
    assert config.data_dir == tmp_path / "data"
    assert config.session_timeout_s <= 8


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(seed=1, faults="none"), "nothing is tested"),
        (Asked(seed=1, exclude=("all",)), "no fault is allowed"),
        (Asked(seed=1, exclude=("leader", "followers")), "no fault is allowed"),
        (Asked(seed=1, nodes=3, exclude=("1", "n2", "3")), "all 3 nodes are left out"),
        (Asked(seed=1, faults="freeze"), "add --beyond-quorum"),
        (Asked(seed=1, faults="freeze,supervisor"), "add --beyond-quorum"),
        (Asked(seed=1, nodes=1), "survives no fault"),
        (Asked(seed=1, nodes=2), "survives no fault"),
        (Asked(seed=1, nodes=99), "from 3 to"),
        (Asked(seed=1, time_s=0.1), "no fault begins within 100ms"),
        (Asked(seed=1, faults="flip-bit"), "damages what was acknowledged"),
        (Asked(seed=1, faults="nonsense"), "nonsense"),
        (Asked(seed=1, interval_s=0), "--interval"),
    ],
)
def test_a_test_without_a_fault_is_refused_in_one_line(asked: Asked, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        asked.schedule()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(seed=1, faults="freeze", beyond_quorum=True),
        Asked(seed=1, nodes=5, exclude=("1", "2", "3")),
        Asked(seed=1, exclude=("leader",)),
    ],
)
def test_a_test_in_which_some_fault_may_be_injected_is_not_refused(asked: Asked) -> None:
    assert asked.schedule().faults


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(seed=1, machine="journal"), "--workload package.module:Class"),
        (Asked(seed=1, machine="my.bank:Bank"), "no workload for it"),
        (Asked(seed=1, workload="my.bank:Transfers"), "name the machine that it is for"),
        (Asked(seed=1, workload="nonsense", machine="kv"), "nonsense"),
        (Asked(seed=1, rate=0), "--rate"),
        (Asked(seed=1, clients=0), "--clients"),
        (Asked(seed=1, mix="read=0"), "--mix"),
        (Asked(seed=1, mix=""), "--mix: write F=N"),
        (Asked(seed=1, mix=" "), "--mix"),
        (Asked(seed=1, workload="lock", machine="kv"), "leave --machine out"),
        (Asked(seed=1, keys=0), "--keys"),
    ],
)
def test_a_workload_that_makes_no_sense_is_refused_in_one_line(asked: Asked, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        asked.plan()
    assert "\n" not in str(error.value)


def test_a_shipped_workload_brings_its_machine_and_a_machine_its_workload() -> None:
    assert Asked(seed=1).the_machine == Asked(seed=1).the_workload == "kv"
    assert Asked(seed=1, workload="kv").the_machine == "kv"
    assert Asked(seed=1, machine="kv").the_workload == "kv"
    own = Asked(seed=1, machine="bank:Bank", workload="bank:Transfers")
    assert (own.the_machine, own.the_workload) == ("bank:Bank", "bank:Transfers")


def test_the_command_that_repeats_a_run_says_all_that_was_asked_for() -> None:
    assert Asked(seed=7).command() == "launcher test --seed 7 --time 1m --faults all"
    asked = Asked(
        seed=7, time_s=20.0, faults="kill,power", interval_s=0.5, nodes=3, clients=4, rate=50.5,
        exclude=("2",), beyond_quorum=True, machine="a:B", workload="a:C",
    )  # fmt: skip

    assert asked.command() == (
        "launcher test --seed 7 --time 20s --faults kill,power --interval 500ms --nodes 3 "
        "--machine a:B --workload a:C --clients 4 --rate 50.5 --exclude 2 --beyond-quorum"
    )


# -- plots -----------------------------------------------------------------------------------------


def happened(what: What, number: int, at_s: float, kind: str = "kill") -> Happening:
    return Happening(t=int(at_s * 1e9), at_s=at_s, what=what, number=number, kind=kind)


def test_faults_are_shaded_from_their_beginning_to_their_end() -> None:
    told = [
        happened("began", 1, 2),
        happened("began", 2, 3, "pause"),
        happened("left-out", 3, 4),
        happened("ended", 1, 5),
        happened("over", 0, 9),
    ]

    found = plots.shades(told, 1_000_000_000)

    assert [(one.does, one.began_s, one.ended_s) for one in found] == [
        ("processes end", 1.0, 4.0), ("processes stop", 2.0, 8.0)
    ]  # fmt: skip


def test_every_kind_of_fault_has_a_colour() -> None:
    assert {plots.does(kind) for kind in KINDS} == set(plots.COLOURS)


def test_without_matplotlib_the_run_says_that_plots_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert plots.try_plot(RunFolder(tmp_path)) == plots.NO_PLOTS


def test_a_run_is_plotted_also_when_it_was_cut_short(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = RunFolder(tmp_path)
    assert plots.try_plot(run) == "no plots: nothing was done"
    run.note(0, "load")
    run.history_dir.mkdir()
    line = {"t": 5, "process": 1, "id": 1, "type": "invoke", "f": "write"}
    (run.history_dir / "client-1.jsonl").write_text(json.dumps(line) + "\n")

    assert plots.try_plot(run) == "plots:     latency.png rate.png in the run's folder"
    assert (tmp_path / "latency.png").stat().st_size > 1000

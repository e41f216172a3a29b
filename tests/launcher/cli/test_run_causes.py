"""The report on an invalid run of `launcher test` ends with why, from the run's own logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli.run_causes import first_causes
from launcher.lab.folder import RunFolder
from launcher.lab.verdict.finding import FORMAT, Finding, Outcome, Verdict
from tests.launcher.evidence.why.made import SECOND, line


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run in which n1 led on after n2 had been elected: the link between them was cut."""
    folder = RunFolder(tmp_path)
    folder.config_file.write_text("name: run\n")
    folder.log_dir.mkdir()
    of_node = {
        "node-1": [line(1, SECOND, "leader.elected", votes=[1, 2], last_index=0, role="leader")],
        "node-2": [line(2, 4 * SECOND, "leader.elected", votes=[2, 3], last_index=0, term=2)],
        "supervisor": [
            line(0, 2 * SECOND, "fault.injected", fault="partition", groups=[[1], [2, 3]], id=4)
        ],
    }
    for name, lines in of_node.items():
        (folder.log_dir / f"{name}.jsonl").write_text("".join(one + "\n" for one in lines))
    return folder


def verdict(outcome: Outcome) -> Verdict:
    finding = Finding(check="linearizability", outcome=outcome, reason="a read of k1 is stale")
    return Verdict(
        format=FORMAT, run="run", seed=1, outcome=outcome, findings=[finding], situations={},
        operations={},
    )  # fmt: skip


def test_what_the_history_shows_is_explained_by_who_led(run: RunFolder) -> None:
    first, *below = first_causes(run, verdict("invalid"))
    assert "linearizability IS BROKEN: a read of k1 is stale" in first
    assert (
        "n1 still believed that it leads term 1, though n2 had been elected in term 2" in below[0]
    )
    assert any("the network was split by a fault: 1 | 2,3 (fault 4)" in one for one in below)


def test_a_violation_that_the_supervisor_has_seen_is_the_one_that_is_explained(
    run: RunFolder,
) -> None:
    seen = line(0, 5 * SECOND, "safety.violated", promise="digest", found="n1 and n2 differ")
    with (run.log_dir / "supervisor.jsonl").open("a") as log:
        log.write(seen + "\n")
    assert "SAFETY IS VIOLATED (digest)" in first_causes(run, verdict("invalid"))[0]


def test_a_valid_run_has_nothing_to_explain(run: RunFolder) -> None:
    assert first_causes(run, verdict("valid")) == []


def test_a_run_whose_configuration_is_gone_says_so_in_one_line(run: RunFolder) -> None:
    run.config_file.unlink()
    (said,) = first_causes(run, verdict("invalid"))
    assert said.startswith("why: ")

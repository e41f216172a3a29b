"""What the supervisor has found while a run's cluster was up makes the run invalid."""

from __future__ import annotations

from pathlib import Path

from launcher.lab.folder import FORMAT, Made, RunFolder
from launcher.lab.verdict.judge import judge
from tests.launcher.lab.verdict.made_up import event, write_events


def test_a_violation_that_the_supervisor_has_found_makes_the_run_invalid(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    made = Made(format=FORMAT, seed=7, begun="", versions={}, asked={}, circumstances={}, again="")
    run.write_made(made)
    found = event(
        0,
        "safety.violated",
        5,
        9,
        promise="one vote in each term",
        found="n1 has voted for n2 in term 5, and has forgotten it",
        reports=["n1 said before: its data holds term 5 and a vote for n2"],
    )
    write_events(run.log_dir, {0: [found]})

    verdict = judge(run)

    assert verdict.outcome == "invalid"
    (one,) = [one for one in verdict.findings if one.check == "safety"]
    assert one.reason == (
        "found while the cluster ran: one vote in each term: "
        "n1 has voted for n2 in term 5, and has forgotten it"
    )
    (told,) = one.window
    assert told.endswith("[n1 said before: its data holds term 5 and a vote for n2]")

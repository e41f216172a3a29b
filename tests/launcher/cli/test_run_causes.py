"""The report on an invalid run of `launcher test` ends with why, from the run's own logs."""

from __future__ import annotations

import json
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


def verdict(outcome: Outcome, *window: str) -> Verdict:
    finding = Finding(
        check="linearizability", outcome=outcome, reason="a read of k1 is stale", window=[*window]
    )
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


WINDOW = (
    '4.100000 s .. 4.200000 s  client 6, operation 30: write {"key":"k8"}: ok: ok (entry 149)',
    '4.300000 s .. 4.400000 s  client 6, operation 31 at n3: read {"key":"k8"}: ok: 1 (entry 147)',
)


def test_a_stale_read_is_explained_by_who_answered_it(run: RunFolder) -> None:
    of_n3 = "n3 answered from its state after entry 147 and did not lead"
    said = "\n".join(first_causes(run, verdict("invalid", *WINDOW)))
    assert of_n3 in said
    assert "n2 became leader of term 2" in said

    fresh = (WINDOW[0], WINDOW[1].replace("entry 147", "entry 149"))
    assert of_n3 not in "\n".join(first_causes(run, verdict("invalid", *fresh)))


def test_what_happened_after_the_stale_read_does_not_count(run: RunFolder) -> None:
    history = run.path / "history"
    history.mkdir()
    common = {"process": 6, "id": 31, "f": "read"}
    ends = [{"t": 3 * SECOND, "type": "invoke"}, {"t": 3 * SECOND + 5, "type": "ok", "index": 147}]
    text = "".join(json.dumps({**common, **end}) + "\n" for end in ends)
    (history / "client-6.jsonl").write_text(text)

    said = "\n".join(first_causes(run, verdict("invalid", *WINDOW)))

    assert "n1 became leader of term 1" in said, "it led when the read was answered"
    assert "n2 became leader" not in said

"""The report on an invalid run of `launcher test` ends with why, from the run's own logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli.run_causes import first_causes
from launcher.lab.folder import RunFolder
from launcher.lab.history import Completed, Done, Invoked, Writer
from launcher.lab.verdict.finding import FORMAT, Finding, Outcome, Verdict
from launcher.lab.verdict.operations import told
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


def keep(run: RunFolder, *operations: Done) -> tuple[str, ...]:
    """Writes them into the run's history; returns the window that shows them."""
    for one in operations:
        writer = Writer(run.path, one.process)
        writer.write(
            Invoked(t=one.invoked, process=one.process, id=one.id, f=one.f, command=one.command)
        )
        writer.write(
            Completed(
                t=one.completed or 0, process=one.process, id=one.id, type="ok", f=one.f,
                value=one.result, index=one.index, by=one.by,
            )
        )  # fmt: skip
        writer.close()
    return tuple(told(one, begun=0) for one in operations)


def operation(number: int, f: str, begins: int, index: int, by: int) -> Done:
    """One of client 6, which takes a tenth of a second; a write or a read."""
    return Done(
        process=6, id=number, f=f, command="k8=1" if f == "write" else None, outcome="ok",
        invoked=begins, completed=begins + SECOND // 10, result="1", index=index, by=by,
    )  # fmt: skip


OF_N3 = "n3 answered from its state after entry 147 and did not lead"


def test_a_stale_read_is_explained_by_who_answered_it(run: RunFolder) -> None:
    write = operation(30, "write", 4 * SECOND + 1, index=149, by=2)
    read = operation(31, "read", 5 * SECOND, index=147, by=3)
    window = keep(run, write, read)
    assert "client 6, operation 31, answered by n3: read: ok: 1 (entry 147)" in window[1]

    said = "\n".join(first_causes(run, verdict("invalid", *window)))

    assert OF_N3 in said
    assert "n2 became leader of term 2" in said


def test_the_stale_read_is_found_though_others_stand_before_it(run: RunFolder) -> None:
    fresh = operation(29, "read", 4 * SECOND, index=147, by=1)
    write = operation(30, "write", 4 * SECOND + 1, index=149, by=2)
    read = operation(31, "read", 5 * SECOND, index=147, by=3)
    window = keep(run, fresh, write, read)
    assert OF_N3 in "\n".join(first_causes(run, verdict("invalid", *window)))


def test_a_read_that_saw_the_last_write_is_not_called_stale(run: RunFolder) -> None:
    write = operation(30, "write", 4 * SECOND + 1, index=149, by=2)
    read = operation(31, "read", 5 * SECOND, index=149, by=3)
    window = keep(run, write, read)
    assert "did not lead" not in "\n".join(first_causes(run, verdict("invalid", *window)))


def test_without_a_history_the_last_election_is_told(run: RunFolder) -> None:
    window = told(operation(31, "read", 5 * SECOND, index=147, by=3), begun=0)
    assert "n1 still believed" in "\n".join(first_causes(run, verdict("invalid", window)))


def test_what_happened_after_the_stale_read_does_not_count(run: RunFolder) -> None:
    write = operation(30, "write", 2 * SECOND, index=149, by=1)
    read = operation(31, "read", 3 * SECOND, index=147, by=3)
    window = keep(run, write, read)

    said = "\n".join(first_causes(run, verdict("invalid", *window)))

    assert "n1 became leader of term 1" in said, "it led when the read was answered"
    assert "n2 became leader" not in said

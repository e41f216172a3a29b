"""The verdict on a run's folder, which is made here by hand: what is edited in it is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import LauncherError
from launcher.lab.clients.plan import Kept, Plan, keep_plan
from launcher.lab.folder import FORMAT, Made, RunFolder
from launcher.lab.history import Completed, Invoked, Writer
from launcher.lab.verdict import telling
from launcher.lab.verdict.finding import Verdict
from launcher.lab.verdict.judge import judge
from launcher.lab.workloads.loading import Options
from node.raft.messages import Batch, HardState
from node.storage.disk import OsDisk
from node.storage.lives import Life
from node.storage.segment import Identity
from node.storage.wal import WriteAheadLog
from tests.launcher.lab.verdict.made_up import (
    commands,
    digest_of,
    elected,
    event,
    noop,
    request,
    write_events,
)

SECOND = 1_000_000_000

LOG = [
    noop(1, 1),
    *(commands(n + 1, 1, request(n, f"SET k0 1.{n}", lowest=n)) for n in range(1, 6)),
]
COMMITTED = LOG[-1].last_index


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Three nodes with one log; client 1 wrote five values, client 2 read each."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.write_made(
        Made(
            format=FORMAT, seed=7, begun="", versions={}, asked={"rate": 10.0},
            circumstances={}, again="",
        )
    )  # fmt: skip
    run.config_file.write_text("machine: kv\n")
    keep_plan(run.path, Kept(machine="kv", plan=Plan(options=Options(keys=1)), begun=0))
    run.note(0, "load")
    for node in (1, 2, 3):
        _write_log(run.data_dir / f"node-{node}", node, LOG)
    digest = digest_of(LOG)
    told = {
        node: [
            event(node, "applied.digest", 1, COMMITTED, index=COMMITTED, digest=digest, answers="0")
        ]
        for node in (1, 2, 3)
    }
    told[1].insert(0, elected(1, 1))
    write_events(run.log_dir, told)
    writer, reader = Writer(run.path, 1), Writer(run.path, 2)
    for number in range(1, 6):
        begun = number * SECOND
        wrote: dict[str, Any] = {"f": "write", "value": {"key": "k0", "value": f"1.{number}"}}
        command = f"SET k0 1.{number}"
        writer.write(Invoked(t=begun, process=1, id=number, command=command, **wrote))
        writer.write(
            Completed(
                t=begun + 1000, process=1, id=number, type="ok", value="ok", f="write",
                index=number + 1,
            )
        )  # fmt: skip
        asked: dict[str, Any] = {"process": 2, "id": number, "f": "read"}
        reader.write(Invoked(t=begun + 2000, value={"key": "k0"}, **asked))
        reader.write(
            Completed(t=begun + 3000, type="ok", value=f"1.{number}", index=number + 1, **asked)
        )
    writer.close()
    reader.close()
    return run


def _write_log(folder: Path, node: int, batches: list[Batch]) -> None:
    folder.mkdir(parents=True)
    log, _ = WriteAheadLog.open(
        OsDisk(folder), Identity("c0ffee", node), segment_bytes=1 << 14, life=Life(1, node)
    )
    for one in batches:
        log.append(HardState(one.term, 1), [one])
    log.close()


def edit(run: RunFolder, client: int, number: int, **changes: Any) -> None:
    """Changes fields of the line with this number, from 0 on."""
    path = run.history_dir / f"client-{client}.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    path.write_text("".join(f"{line}\n" for line in lines))


def finding(verdict: Verdict, name: str) -> Any:
    (found,) = [one for one in verdict.findings if one.check == name]
    return found


def test_an_untouched_run_is_valid_and_weak(run: RunFolder) -> None:
    verdict = judge(run)

    assert verdict.outcome == "valid", verdict
    assert verdict.is_weak
    assert verdict.exit_status == 0
    assert telling.summary(verdict).startswith("valid, and weak: no situation reached")
    assert "workload kv" in "\n".join(telling.lines(verdict))


def test_a_stale_read_is_invalid_with_its_window(run: RunFolder) -> None:
    edit(run, 2, 7, value="1.2")

    verdict = judge(run)

    assert verdict.outcome == "invalid"
    assert verdict.exit_status == 1
    window = finding(verdict, "workload kv").window
    assert 0 < len(window) < 6
    assert any("client 2, operation 4: read" in line and "ok: 1.2" in line for line in window)


def test_a_lost_write_is_invalid_with_its_operation(run: RunFolder) -> None:
    """Someone else's value was acknowledged: no read saw it, and no log has it."""
    lines = (run.history_dir / "client-1.jsonl").read_text().splitlines()
    asked = json.loads(lines[-2]) | {"id": 6, "t": 9 * SECOND, "command": "SET k0 1.6"}
    asked["value"] = {"key": "k0", "value": "1.6"}
    ended = json.loads(lines[-1]) | {"id": 6, "t": 9 * SECOND + 1, "index": 7}
    with (run.history_dir / "client-1.jsonl").open("a") as opened:
        opened.write(f"{json.dumps(asked)}\n{json.dumps(ended)}\n")

    verdict = judge(run)

    assert verdict.outcome == "invalid"
    one = finding(verdict, "exactly-once")
    assert "the acknowledged entry 7 is lost" in one.reason
    assert "client 1, operation 6" in one.window[0]


def test_a_doubled_write_is_invalid_with_both_operations(run: RunFolder) -> None:
    lines = (run.history_dir / "client-1.jsonl").read_text().splitlines()
    again = [json.loads(line) | {"id": 6, "t": 9 * SECOND} for line in lines[-2:]]
    with (run.history_dir / "client-1.jsonl").open("a") as opened:
        opened.writelines(f"{json.dumps(line)}\n" for line in again)

    one = finding(judge(run), "exactly-once")

    assert one.outcome == "invalid"
    assert [("operation 5" in line, "operation 6" in line) for line in one.window] == [
        (True, False), (False, True)
    ]  # fmt: skip


def test_what_was_acknowledged_by_a_leader_alone_is_lost(run: RunFolder) -> None:
    """Node 1 has committed five more entries, which nobody else has; then node 2 leads."""
    alone = [commands(n + 1, 1, request(n, f"SET k0 1.{n}", lowest=n)) for n in range(6, 11)]
    shutil.rmtree(run.data_dir)
    for node in (1, 2, 3):
        other = alone if node == 1 else [noop(7, 2)]
        _write_log(run.data_dir / f"node-{node}", node, LOG + other)
    write_events(
        run.log_dir,
        {
            1: [elected(1, 1), event(1, "leader.heard", 1, 11)],
            2: [elected(2, 2, 6), event(2, "leader.heard", 2, 7)],
        },
    )
    writer = Writer(run.path, 3)
    writer.write(Invoked(t=9 * SECOND, process=3, id=1, f="write", command="SET k0 1.6",
                         value={"key": "k0", "value": "1.6"}))  # fmt: skip
    writer.write(Completed(t=9 * SECOND + 1, process=3, id=1, type="ok", f="write", value="ok",
                           index=7))  # fmt: skip
    writer.close()

    verdict = judge(run)

    assert finding(verdict, "state-machine-safety").outcome == "invalid"
    assert "entry 7" in finding(verdict, "exactly-once").reason


def test_a_leader_that_the_logs_contradict_is_found(run: RunFolder) -> None:
    write_events(run.log_dir, {2: [elected(2, 1)]})

    verdict = judge(run)

    assert finding(verdict, "election-safety").outcome == "invalid"
    assert telling.summary(verdict).startswith("invalid: election-safety: ")


def test_what_the_supervisor_found_is_told(run: RunFolder) -> None:
    told = event(0, "safety.violated", promise="one vote in each term", found="n2 voted twice")
    write_events(run.log_dir, {0: [told]})

    assert telling.summary(judge(run)) == (
        "invalid: reports: one vote in each term is broken: n2 voted twice"
    )


def test_machines_that_answer_differently_are_found(run: RunFolder) -> None:
    digest = digest_of(LOG)
    told = event(2, "applied.digest", 1, 6, index=COMMITTED, digest=digest, answers="f")
    write_events(run.log_dir, {2: [told]})

    one = finding(judge(run), "same answers")

    assert one.outcome == "invalid"
    assert "not deterministic" in one.reason


@pytest.mark.parametrize(
    ("name", "reason", "outcome"),
    [
        ("node.failed", "internal error: AssertionError: a belief", "invalid"),
        ("node.failed", "0000000001.wal: damaged at byte 16: record 2 was synced", "invalid"),
        ("machine.failed", "Traceback\nZeroDivisionError: division by zero", "invalid"),
        ("node.failed", "write of 0000000001.wal failed: No space left on device", "valid"),
    ],
)
def test_a_node_that_ends_by_an_error_of_its_own_is_found(
    run: RunFolder, name: str, reason: str, outcome: str
) -> None:
    write_events(run.log_dir, {2: [event(2, name, 1, 6, reason=reason)]})

    verdict = judge(run)

    assert verdict.outcome == outcome
    if outcome == "invalid":
        assert reason.splitlines()[-1] in finding(verdict, "crash").reason


def test_a_run_below_a_tenth_of_its_rate_is_unknown(run: RunFolder) -> None:
    run.note(10 * SECOND, "faults")
    assert finding(judge(run), "load").outcome == "valid"
    made = run.read_made()
    run.write_made(
        Made(**{name: getattr(made, name) for name in made.__struct_fields__}
             | {"asked": {"rate": 101.0}})
    )  # fmt: skip

    verdict = judge(run)

    assert verdict.outcome == "unknown"
    assert verdict.exit_status == 5
    assert "1 operations a second before the first fault" in telling.summary(verdict)


def test_a_run_in_which_nothing_was_broken_is_unknown(run: RunFolder) -> None:
    run.note(40 * SECOND, "recovered", injected=0, left_out=3)

    verdict = judge(run)

    assert verdict.outcome == "unknown"
    assert "no fault was injected" in finding(verdict, "faults").reason
    assert "3 were left out" in finding(verdict, "faults").reason


def test_a_cluster_that_did_not_recover_is_invalid(run: RunFolder) -> None:
    run.note(1, "not-recovered", reason="no leader in 60 s")

    assert telling.summary(judge(run)) == (
        "invalid: recovery: after every fault had ended: no leader in 60 s"
    )


def test_chaos_over_its_budget_makes_a_run_fail(run: RunFolder) -> None:
    up, down = ({"id": node, "state": state} for node, state in ((1, "up"), (2, "down")))
    fine = {"t": SECOND, "voters": [1, 2, 3], "nodes": [up, up | {"id": 2}, down | {"id": 3}]}
    over = {"t": 3 * SECOND, "voters": [1, 2, 3], "nodes": [up, down, down | {"id": 3}]}
    run.samples_file.write_text(json.dumps(fine) + "\n")
    assert finding(judge(run), "budget").outcome == "valid"
    run.samples_file.write_text(f"{json.dumps(fine)}\n{json.dumps(over)}\n{{")

    run.note(5 * SECOND, "violated")
    frozen = {"t": 2, "voters": [1, 2, 3], "nodes": [], "frozen": True}
    ended = over | {"t": 6 * SECOND}
    run.samples_file.write_text(f"{json.dumps(frozen)}\n{json.dumps(ended)}\n")
    assert finding(judge(run), "budget").outcome == "valid", "it was the supervisor"
    run.samples_file.write_text(f"{json.dumps(fine)}\n{json.dumps(over)}\n{{")

    verdict = judge(run)

    assert telling.summary(verdict) == (
        "invalid: budget: the chaos broke more than it may, at 3.0 s: n2, n3 are out"
    )


def test_a_required_situation_that_was_not_reached_fails(run: RunFolder) -> None:
    verdict = judge(run, ["torn-tail"])

    assert verdict.outcome == "valid"
    assert verdict.exit_status == 1
    assert telling.summary(verdict) == "valid, but not reached: torn-tail (--require)"


@pytest.mark.parametrize("missing", ["data", "logs", "history", "workload.json", "course.jsonl"])
def test_a_run_that_lacks_a_part_is_judged_by_the_others(run: RunFolder, missing: str) -> None:
    path = run.path / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    verdict = judge(run)

    assert verdict.outcome in ("valid", "unknown")
    assert verdict.missing


def test_a_run_of_an_older_version_needs_no_key_of_its_cluster_yaml(run: RunFolder) -> None:
    run.config_file.write_text("a_key_that_was_removed: 1\n")
    assert judge(run).outcome == "valid"
    run.config_file.unlink()

    verdict = judge(run)

    assert (verdict.outcome, verdict.missing) == ("valid", judge(run).missing)


def test_a_run_with_nothing_but_its_beginning_is_unknown(tmp_path: Path, run: RunFolder) -> None:
    made = run.read_made()
    alone = RunFolder(tmp_path / "alone")
    alone.path.mkdir()
    alone.write_made(made)

    verdict = judge(alone)

    assert verdict.outcome == "unknown"
    assert len(verdict.missing) >= 4


def test_half_a_line_at_the_end_is_said(run: RunFolder) -> None:
    with (run.history_dir / "client-1.jsonl").open("a") as opened:
        opened.write('{"t": 1')

    verdict = judge(run)

    assert verdict.outcome == "valid"
    assert verdict.remarks == [
        "1 file of the history ends in half a line: what was being written when it ended"
    ]


def test_lines_that_the_event_logs_have_lost_are_said(run: RunFolder) -> None:
    (log, *_) = sorted(run.log_dir.glob("node-*.jsonl"))
    line = json.loads(log.read_text().splitlines()[-1])
    lost = {**line, "t": line["t"] + 1, "event": "log.lost", "lines": 3}
    log.write_text(log.read_text() + json.dumps(lost) + "\n")

    assert judge(run).remarks == ["3 lines of the event logs were damaged, or could not be written"]


def test_any_other_damage_is_one_line(run: RunFolder) -> None:
    edit(run, 1, 0, f=7)

    with pytest.raises(LauncherError, match=r"client-1\.jsonl:1: this is no line of a history"):
        judge(run)

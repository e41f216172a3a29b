"""Puts the verdict on a run together, by what its folder holds.

A run may have been killed at any second: then what it had not written is missing, and that is said.
A file that is there and damaged is an error, except for the ends of files that were being written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from launcher.checking.checker import Validity
from launcher.errors import LauncherError
from launcher.lab import history
from launcher.lab.chaos import watching
from launcher.lab.clients import judge as judge_workload
from launcher.lab.clients import kept_plan
from launcher.lab.folder import Made, RunFolder, Step
from launcher.lab.history import Done, History
from launcher.lab.verdict import exactly_once, figure3, situations
from launcher.lab.verdict.chain import Chain, committed_chain
from launcher.lab.verdict.exactly_once import Applied
from launcher.lab.verdict.figure3 import Nodes
from launcher.lab.verdict.finding import (
    FORMAT,
    INVALID,
    UNKNOWN,
    VALID,
    Finding,
    Verdict,
    overall,
)
from launcher.lab.verdict.operations import told
from launcher.lab.verdict.replay import Replay
from launcher.lab.verdict.seen import Seen, see
from launcher.lab.verdict.situations import Facts
from launcher.lab.verdict.written import Kept, node_folders, read_node
from launcher.timeline.reading import read_timeline
from node.printable import error_line
from node.raft.messages import NodeId

MOST_SHOWN = 40
"""At most this many operations of a window are shown; it is nearly always far smaller."""

LEAST_SHARE = 0.1
"""Of the rate that was asked for. A run that did not come near it has tested nothing."""

SESSIONS_S, MOST_SESSIONS = 3600.0, 10_000
"""When sessions end in a log that does not tell: as cluster.yaml has it by default."""

LEAST_MEASURED_S = 0.3
"""A rate is not measured in less time."""

COPIED, LOAD, FAULTS, STOPPED = "copied", "load", "faults", "stopped"
"""Steps of a run: its evidence is copied; clients begin; faults begin; the cluster is down."""

RECOVERED, NOT_RECOVERED = "recovered", "not-recovered"
"""Steps: after the faults the cluster converged and took a write; or it did not."""

_CRASHED, _DAMAGED = "internal error: ", ": damaged at byte "
"""How `node/process/reports.py` tells of an error that is none of ours, and of a damaged log."""

CUT_SHORT, VIOLATED = "cut-short", "violated"
"""Steps: the run was ended before its time; it was, because a promise was found broken."""


def judge(run: RunFolder, required: Sequence[str] = ()) -> Verdict:
    """The verdict on a run.

    required: situations that must have been reached

    Raises LauncherError when the folder is no run's, damaged, or of a newer format.
    """
    made = run.read_made()
    return _Judging(run, made).verdict(required)


class _Judging:
    """One run, read once."""

    def __init__(self, run: RunFolder, made: Made) -> None:
        self._run = run
        self._made = made
        self._steps: dict[str, Step] = {step.step: step for step in run.course()}
        self.missing: list[str] = []
        self.remarks: list[str] = []

    def verdict(self, required: Sequence[str]) -> Verdict:
        recorded = self._history()
        nodes = self._nodes()
        ends, by_end = nodes.replay.ends, nodes.replay.by_end
        latest = committed_chain(ends, by_end, nodes.seen.claims, latest=True)
        applied = _applied(latest, nodes.kept)
        operations = [] if recorded is None else recorded.operations
        findings = [
            *self._of_history(recorded),
            exactly_once.check(operations, latest, applied, self._begun),
            *figure3.check(nodes),
            *_reported(nodes.seen),
            *_crashes(nodes.seen),
            *_machines(nodes.seen),
            *self._of_course(operations),
        ]
        reached = situations.count(Facts(nodes, applied))
        self._say_what_is_missing(nodes)
        return Verdict(
            format=FORMAT,
            run=self._run.path.name,
            seed=self._made.seed,
            outcome=overall(findings),
            findings=findings,
            situations=reached,
            operations=dict(Counter(one.outcome for one in operations)),
            missing=self.missing,
            remarks=self.remarks,
            required=[name for name in required if not reached[name]],
        )

    @property
    def _begun(self) -> int:
        """When the clients began, in nanoseconds; 0 when nobody knows."""
        step = self._steps.get(LOAD)
        return 0 if step is None else step.t

    # -- reading -----------------------------------------------------------------------------------

    def _history(self) -> History | None:
        if not self._run.history_dir.is_dir():
            return None
        return history.read(self._run.path)

    def _nodes(self) -> Nodes:
        seen = self._seen()
        kept = self._kept()
        books = [book for one in kept.values() for book in one.books]
        replay = Replay(books, seen.leaders_and_floors())
        chain = committed_chain(replay.ends, replay.by_end, seen.claims)
        return Nodes(kept, seen, replay, chain)

    def _seen(self) -> Seen:
        if not self._run.log_dir.is_dir():
            return Seen()
        try:
            return see(read_timeline(self._run.log_dir))
        except OSError as error:
            raise LauncherError(f"{self._run}: the logs cannot be read: {error}") from error

    def _kept(self) -> dict[NodeId, Kept]:
        """The copies; and the nodes' own files, where they were not copied in the end."""
        folders: dict[NodeId, list[Path]] = {}
        places = [self._run.wal_dir] + ([] if COPIED in self._steps else [self._run.data_dir])
        for place in places:
            for node, folder in node_folders(place).items():
                folders.setdefault(node, []).append(folder)
        return {node: read_node(node, paths) for node, paths in sorted(folders.items())}

    # -- findings ----------------------------------------------------------------------------------

    def _of_history(self, recorded: History | None) -> list[Finding]:
        """What the workload's own check says."""
        if recorded is None:
            self.missing.append("history: no client had begun")
            return [Finding(check="workload", outcome=UNKNOWN, reason="there is no history")]
        if recorded.torn:
            count = recorded.torn
            files = (
                "1 file of the history ends" if count == 1 else f"{count} files of the history end"
            )
            self.remarks.append(f"{files} in half a line: what was being written when it ended")
        if not (self._run.path / "workload.json").exists():
            self.missing.append("workload.json: which workload the clients did")
            reason = "nobody knows what its workload was"
            return [Finding(check="workload", outcome=UNKNOWN, reason=reason)]
        kept = kept_plan(self._run.path)
        judgement = judge_workload(self._run.path)
        name = f"workload {kept.plan.workload}"
        window = [told(one, self._begun) for one in judgement.window[:MOST_SHOWN]]
        if len(judgement.window) > MOST_SHOWN:
            window.append(f"and {len(judgement.window) - MOST_SHOWN} operations more")
        answered = sum(one.outcome != "info" for one in recorded.operations)
        if judgement.validity is Validity.INVALID:
            reason = judgement.reason
            return [Finding(check=name, outcome=INVALID, reason=reason, window=window)]
        if judgement.validity is Validity.UNKNOWN or not answered:
            reason = judgement.reason or "no operation was answered"
            return [Finding(check=name, outcome=UNKNOWN, reason=reason)]
        unknown = len(recorded.operations) - answered
        reason = judgement.reason or (
            f"{answered} operations, and {unknown} of which nobody knows whether they happened"
        )
        return [Finding(check=name, outcome=VALID, reason=reason)]

    def _of_course(self, operations: Sequence[Done]) -> list[Finding]:
        """What the run itself was: its load, its budget, its end."""
        steps = self._steps
        findings = []
        if (rate := self._rate(operations)) is not None:
            findings.append(rate)
        findings += self._injected()
        findings += self._budget()
        if (failed := steps.get(NOT_RECOVERED)) is not None:
            reason = f"after every fault had ended: {failed.detail.get('reason', '')}"
            findings.append(Finding(check="recovery", outcome=INVALID, reason=reason))
        elif RECOVERED in steps:
            reason = "after the faults all nodes had the same log, and a write was taken"
            findings.append(Finding(check="recovery", outcome=VALID, reason=reason))
        return findings

    def _injected(self) -> list[Finding]:
        """Whether anything was broken at all; nothing where that is so, or was not recorded."""
        end = self._steps.get(RECOVERED) or self._steps.get(NOT_RECOVERED)
        if end is None or end.detail.get("injected") != 0:
            return []
        left_out = end.detail.get("left_out")
        reason = f"no fault was injected, so nothing was tested ({left_out} were left out)"
        return [Finding(check="faults", outcome=UNKNOWN, reason=reason)]

    def _budget(self) -> list[Finding]:
        """Whether the faults left a majority at every moment, by the samples of the status."""
        if self._made.asked.get("beyond_quorum") or not self._run.samples_file.exists():
            return []
        try:
            samples = watching.read(self._run.samples_file)
        except (OSError, msgspec.MsgspecError) as error:
            text = error_line(error)
            raise LauncherError(f"{self._run} is damaged: samples.jsonl: {text}") from error
        if (violated := self._steps.get(VIOLATED)) is not None:
            # The supervisor has frozen every node, and then the cluster is ended: not by chaos.
            samples = [one for one in samples if one.t < violated.t and not one.frozen]
        found = watching.broken(samples)
        if found is None:
            reason = f"a majority worked in each of {len(samples)} samples of the status"
            return [Finding(check="budget", outcome=VALID, reason=reason)]
        at_s = (found.t - self._begun) / 1e9
        reason = f"the chaos broke more than it may, at {at_s:.1f} s: {found.why}"
        return [Finding(check="budget", outcome=INVALID, reason=reason)]

    def _rate(self, operations: Sequence[Done]) -> Finding | None:
        """Whether the clients came near the rate that was asked for while nothing was broken; None
        where that was not long enough to tell."""
        began, until = self._steps.get(LOAD), self._steps.get(FAULTS)
        asked = self._made.asked.get("rate")
        if began is None or until is None or not isinstance(asked, int | float):
            return None
        seconds = (until.t - began.t) / 1e9
        if seconds < LEAST_MEASURED_S:
            return None
        answered = sum(
            one.completed is not None and began.t <= one.completed < until.t for one in operations
        )
        rate = answered / seconds
        text = f"{rate:.0f} operations a second before the first fault, of {asked:g} asked for"
        if rate < asked * LEAST_SHARE:
            reason = f"{text}: too few to test anything"
            return Finding(check="load", outcome=UNKNOWN, reason=reason)
        return Finding(check="load", outcome=VALID, reason=text)

    def _say_what_is_missing(self, nodes: Nodes) -> None:
        steps = self._steps
        if not nodes.kept:
            self.missing.append("wal: no copy of any node's log")
        if not nodes.seen.elections:
            self.missing.append("logs: no event of an election")
        for one in nodes.kept.values():
            self.missing += one.problems
        self.missing += nodes.replay.gaps
        if nodes.chain.batches and not nodes.chain.is_whole:
            self.missing.append(
                f"wal: no copy has the committed entries before {nodes.chain.first_index}"
            )
        if (cut := steps.get(CUT_SHORT)) is not None:
            self.remarks.append(f"the run was ended before its time: {cut.detail.get('reason')}")
        elif STOPPED not in steps:
            self.missing.append("the end: the run was killed, or goes on")
        self.remarks += _failures(nodes.seen)
        if lost := nodes.seen.lost_lines:
            lines = "1 line" if lost == 1 else f"{lost} lines"
            self.remarks.append(f"{lines} of the event logs were damaged, or could not be written")


def _applied(chain: Chain, kept: Mapping[NodeId, Kept]) -> Applied:
    """What the committed log comes to. When sessions end stands in each node's log."""
    founding = next((one.founding for one in kept.values() if one.founding is not None), None)
    timeout_s = SESSIONS_S if founding is None else founding.session_timeout_s
    most = MOST_SESSIONS if founding is None else founding.most_sessions
    return exactly_once.apply(chain, timeout_s, most)


def _failures(seen: Seen) -> list[str]:
    """Which nodes ended by themselves, and why: once for each reason."""
    by_reason: dict[str, list[str]] = {}
    for node, life, reason in seen.failures:
        kind = reason.rpartition(" (injected: ")[2].rstrip(")") if "(injected: " in reason else ""
        text = f"a disk fault, {kind}" if kind else reason
        if "its data is" in reason:
            text = "its data was taken away or set back, as a fault wanted it"
        by_reason.setdefault(text, []).append(f"n{node} (life {life})")
    return [f"{', '.join(nodes)} ended: {reason}" for reason, nodes in by_reason.items()]


def _reported(seen: Seen) -> list[Finding]:
    """What the supervisor found while the run went on, by comparing what nodes reported."""
    if not seen.violations:
        return []
    window = list(dict.fromkeys(seen.violations))[:MOST_SHOWN]
    return [Finding(check="reports", outcome=INVALID, reason=window[0], window=window)]


def _crashes(seen: Seen) -> list[Finding]:
    """Whether a node ended by an error of its own: no fault that is injected leads to that."""
    own = [
        f"n{node}, life {life}: {reason}"
        for node, life, reason in seen.failures
        if reason.startswith(_CRASHED) or _DAMAGED in reason
    ]
    own += [f"n{node}, life {life}: {reason}" for node, life, reason in seen.machine_failures]
    if not own:
        return []
    reason = f"a node ended by an error that no fault explains: {own[0]}"
    return [Finding(check="crash", outcome=INVALID, reason=reason, window=own[:MOST_SHOWN])]


def _machines(seen: Seen) -> list[Finding]:
    """Whether nodes that had applied the same entries gave the same answers."""
    name = "same answers"
    for index, of_nodes in sorted(seen.digests.items()):
        by_digest: dict[str, dict[str, set[NodeId]]] = {}
        for node, digests in of_nodes.items():
            for one in digests:
                by_digest.setdefault(one.digest, {}).setdefault(one.answers, set()).add(node)
        for answers in by_digest.values():
            if len(answers) > 1:
                named = " | ".join(
                    ",".join(f"n{node}" for node in sorted(nodes)) for nodes in answers.values()
                )
                reason = (
                    f"the machine is not deterministic: up to entry {index} nodes applied the "
                    f"same entries and answered differently: {named}"
                )
                window = list(dict.fromkeys(seen.diverged))[:MOST_SHOWN]
                return [Finding(check=name, outcome=INVALID, reason=reason, window=window)]
    if not seen.digests:
        return []
    reason = f"all nodes answered the same at {len(seen.digests)} indexes"
    return [Finding(check=name, outcome=VALID, reason=reason)]


def as_json(verdict: Verdict) -> dict[str, object]:
    """The contract of `check --json`, and of verdict.json."""
    said: dict[str, object] = msgspec.to_builtins(verdict)
    return {**said, "weak": verdict.is_weak}

"""The situations that a run has reached, of twelve that have a name. Pure.

A run that passes says little if nothing has happened in it. So what happened is counted: in the
committed log, in what each node wrote, and in the event logs. A run that reaches fewer than
`finding.FEW_SITUATIONS` of these is called weak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from launcher.errors import UsageError
from launcher.lab.verdict.chain import Chain
from launcher.lab.verdict.exactly_once import Applied
from launcher.lab.verdict.figure3 import Nodes
from launcher.lab.verdict.seen import Seen
from node.raft import membership
from node.raft.membership import majority
from node.raft.messages import CONFIGURATION, Membership


class Facts(msgspec.Struct):
    """What situations are counted in."""

    nodes: Nodes
    applied: Applied

    @property
    def seen(self) -> Seen:
        """The event logs."""
        return self.nodes.seen


class Situation(msgspec.Struct, frozen=True):
    """What has a name.

    text: what has happened, for people
    count: how often it has
    """

    text: str
    count: Callable[[Facts], int]


def _event(name: str) -> Callable[[Facts], int]:
    return lambda facts: facts.seen.count[name]


def _truncated(facts: Facts) -> int:
    return max(facts.seen.count["log.truncated"], len(facts.nodes.replay.truncated))


def _died_before_commit(facts: Facts) -> int:
    """Leaders that died when the last entry of their term in their log was not committed in it: no
    majority wrote it while it was in that term."""
    nodes, seen = facts.nodes, facts.seen
    died = {(ended.node, ended.life) for ended in seen.ends} - seen.stopped
    count = 0
    for end in nodes.replay.life_ends:
        led = (end.node, end.life) in seen.leaders.get(end.term, {})
        stepped_down = (end.node, end.life, end.term) in seen.stepped_down
        if not led or stepped_down or (end.node, end.life) not in died or end.own is None:
            continue
        index, term = end.own
        held = nodes.replay.by_end.get((index, term))
        voters = _voters_at(nodes.chain, index)
        count += held is not None and len(held.in_time & set(voters)) < majority(voters)
    return count


def _voters_at(chain: Chain, index: int) -> tuple[int, ...]:
    """The voters in force at an index, as far as the committed log says it."""
    last: tuple[int, ...] = ()
    for at, _, one in _configurations(chain):
        if at > index:
            break
        last = one.voters
    return last


def _configurations(chain: Chain) -> Iterator[tuple[int, int, Membership]]:
    """The configurations in the committed log: index, term, and what each says."""
    for batch in chain.batches:
        if batch.kind is CONFIGURATION:
            yield batch.first_index, batch.term, membership.decode(batch.data)


def _joint(*, by_one: bool) -> Callable[[Facts], int]:
    """Joint configurations that were left, in the term in which they began, or in a later one."""

    def count(facts: Facts) -> int:
        begun: int | None = None
        found = 0
        for _, term, one in _configurations(facts.nodes.chain):
            if one.outgoing:
                begun = term if begun is None else begun
            elif begun is not None:
                found += (begun == term) is by_one
                begun = None
        return found

    return count


SITUATIONS: dict[str, Situation] = {
    "leader-died-before-commit": Situation(
        "a leader died between append and commit", _died_before_commit
    ),
    "log-truncated": Situation("a log was truncated", _truncated),
    "snapshot-sent": Situation("a snapshot was sent", _event("snapshot.sent")),
    "snapshot-resumed": Situation(
        "a snapshot was broken off while it was sent, and resumed", _event("snapshot.resumed")
    ),
    "joint-led-through": Situation(
        "a joint configuration was led through by one leader", _joint(by_one=True)
    ),
    "joint-two-leaders": Situation(
        "a joint configuration was led through by two leaders", _joint(by_one=False)
    ),
    "session-expired": Situation("a session expired", lambda facts: facts.applied.sessions_ended),
    "retry-answered": Situation(
        "a retry was answered from the session", lambda facts: facts.applied.answered_again
    ),
    "leader-without-quorum": Situation(
        "a leader stepped down for lack of a quorum", _event("leader.without_quorum")
    ),
    "vote-refused-shorter-log": Situation(
        "a vote was refused for a shorter log", _event("vote.shorter_log")
    ),
    "handover-failed": Situation("a handover failed", _event("transfer.aborted")),
    "torn-tail": Situation("a node recovered from a torn tail", _event("log.torn_tail_dropped")),
}
"""All that have a name."""


def count(facts: Facts) -> dict[str, int]:
    """How often each was reached."""
    return {name: situation.count(facts) for name, situation in SITUATIONS.items()}


def check_names(names: tuple[str, ...]) -> None:
    """Raises UsageError for a situation that has no such name."""
    for name in names:
        if name not in SITUATIONS:
            raise UsageError(
                f"--require {name}: there is no such situation; there are {', '.join(SITUATIONS)}"
            )

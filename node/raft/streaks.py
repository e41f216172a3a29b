"""What repeats in elections, so that the event log can tell it once and count it.

A server that is cut off asks for votes for as long as it is cut off, and a server that hears a
leader refuses them for as long. At `info` only the first of a row is told, and then the second, the
4th, the 8th and so on, each with its count; the others are told at `debug`. Whatever is different
from the last one is told at once. So an event log grows by the logarithm of what repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.raft.messages import NodeId

MOST_CANDIDATES = 64
"""More candidates than any cluster has at once. A row that is forgotten is counted anew."""


@dataclass(frozen=True, slots=True)
class Lost:
    """How an election, or a question for pre-votes, ended that nobody has won in time.

    yes, no: the other voters that answered; silent: those that did not
    """

    pre_vote: bool
    yes: tuple[NodeId, ...]
    no: tuple[NodeId, ...]
    silent: tuple[NodeId, ...]


@dataclass(slots=True)
class Streaks:
    """One server's rows.

    reason: why this server may campaign before an election timeout is over, or empty
    attempts: how often in a row it has asked for votes or pre-votes since it has heard a leader
    lost: how the last attempt ended that was told at `info`
    refused: for each candidate, what was refused it and why, and how often in a row
    """

    reason: str = ""
    attempts: int = 0
    lost: Lost | None = None
    refused: dict[NodeId, tuple[tuple[bool, str], int]] = field(default_factory=dict)

    def attempt(self, lost: Lost | None) -> tuple[str, int]:
        """This server asks once more: the level at which to tell it, and the number of the attempt.

        lost: how the attempt before it ended; None when there was none
        """
        self.attempts += 1
        if lost == self.lost and not is_told(self.attempts):
            return "debug", self.attempts
        self.lost = lost
        return "info", self.attempts

    def end(self) -> int:
        """There is a leader: how many attempts there were. The next one is the first again."""
        attempts, self.attempts = self.attempts, 0
        self.reason, self.lost = "", None
        return attempts

    def refuse(self, candidate: NodeId, *, pre_vote: bool, reason: str) -> tuple[str, int]:
        """A vote, or a pre-vote, is refused: the level at which to tell it, and its count."""
        if len(self.refused) >= MOST_CANDIDATES:
            self.refused.clear()
        kind = (pre_vote, reason)
        last, count = self.refused.get(candidate, (kind, 0))
        count = count + 1 if last == kind else 1
        self.refused[candidate] = (kind, count)
        return "info" if is_told(count) else "debug", count


def is_told(count: int) -> bool:
    """Whether the event that is the `count`th in a row is told at `info`: 1, 2, 4, 8, ..."""
    return count & (count - 1) == 0

"""What a leader believes of each peer (§5.3), and in which of three modes it sends to it.

                 refused, or its process is new              installed
        .--------------------------------------.      .---------------------.
        v                                      |      v                     |
      PROBE --- accepted where guessed ---> REPLICATE                    SNAPSHOT
        |                                      |                            ^
        '-------- the peer's next entry is gone from the leader's log ------'

`next_index` is a guess and moves both ways. `match_index` is a proof, the end of what the peer's
disk is known to share with the leader's log, and only rises while the peer's process lives. In
every mode `match_index < next_index`.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from node.raft.messages import Snapshot


class Mode(enum.Enum):
    """How a leader sends to one peer.

    PROBE: it is not known where the logs agree, so `next_index` is an unconfirmed guess. One
        message with batches is sent from there, and no other until a reply moves or confirms the
        guess. Heartbeats end at the guess too, so a lost probe is found out by the next one.
        Nothing is in `inflight`.
    REPLICATE: the peer has accepted a message where the leader guessed. Messages follow each other
        without waiting; `next_index` is one past the last that was sent, and `inflight` holds what
        is not acknowledged yet, within `Limits`.
    SNAPSHOT: the peer's next entry is gone from the log, so it is sent `snapshot`, one chunk at a
        time, and no batches. `next_index` is one past the snapshot's end; heartbeats ask how much
        of it has arrived. Nothing is in `inflight`.
    """

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


# Looking up a member of an Enum takes ten times as long as a name.
PROBE: Final = Mode.PROBE
REPLICATE: Final = Mode.REPLICATE
SNAPSHOT: Final = Mode.SNAPSHOT


@dataclass(slots=True)
class Progress:
    """One peer, as the leader sees it.

    last_contact: when the peer last replied in this term, in seconds on the core's time scale
    first_round: replies to earlier rounds are not this peer's own: a node that was removed, lost
        its data and was added again does not hold what it acknowledged before
    round_acked: the latest round that it has replied to
    commit_sent: the commit index that it was last told
    died: its process is known to be dead, and no other has been heard since
    caught_up: a learner's: a round of replication to it was short enough (thesis §4.2.1)
    round_end, round_began: the learner's round under way ends when it holds this entry, and began
        at this time

    Only in mode PROBE:
    probe_sent: a message with batches has been sent since the guess last moved

    Only in mode REPLICATE:
    inflight: last index and bytes of each AppendEntries sent and not yet acknowledged
    inflight_bytes: the sum of those bytes

    Only in mode SNAPSHOT:
    snapshot: what the peer is sent; None in the other modes
    snapshot_offset: bytes of it that the peer is known to hold
    chunk_read: the caller is reading a chunk of it
    chunk_round: the round in which the last chunk left; None before the first
    """

    next_index: int
    last_contact: float
    match_index: int = 0
    mode: Mode = PROBE
    first_round: int = 0
    round_acked: int = 0
    commit_sent: int = 0
    died: bool = False
    caught_up: bool = False
    round_end: int = 0
    round_began: float = 0.0
    probe_sent: bool = False
    inflight: deque[tuple[int, int]] = field(default_factory=deque)
    inflight_bytes: int = 0
    snapshot: Snapshot | None = None
    snapshot_offset: int = 0
    chunk_read: bool = False
    chunk_round: int | None = None

    # -- modes -----------------------------------------------------------------------------------

    def become_probe(self, next_index: int) -> None:
        """Guess `next_index`, with nothing in flight, and find out whether the logs agree there."""
        self.mode = PROBE
        self.next_index = next_index
        self.probe_sent = False
        self.inflight.clear()
        self.inflight_bytes = 0
        self.snapshot = None

    def become_replicate(self) -> None:
        """The guess is confirmed: send from `next_index` on without waiting for replies."""
        assert self.mode is PROBE
        self.mode = REPLICATE

    def become_snapshot(self, snapshot: Snapshot) -> None:
        """Send `snapshot` from its beginning, and guess that its end is where the log goes on."""
        self.become_probe(snapshot.last_included_index + 1)
        self.mode = SNAPSHOT
        self.snapshot = snapshot
        self.snapshot_offset = 0
        self.chunk_read = False
        self.chunk_round = None

    # -- replies ---------------------------------------------------------------------------------

    def heard(self, now: float, acked: int) -> None:
        """The peer has replied, in this term, to round `acked` or to a later one."""
        self.last_contact = now
        self.round_acked = max(self.round_acked, acked)
        self.died = False

    def acknowledge(self, match_index: int) -> None:
        """The peer's disk agrees with our log up to `match_index`.

        A proof that reaches the guess of a PROBE confirms it, whichever message it replies to: the
        reply to the probe itself may be overtaken, and names a guess that has moved since.
        """
        self.match_index = max(self.match_index, match_index)
        self.next_index = max(self.next_index, self.match_index + 1)
        if self.mode is PROBE and self.match_index == self.next_index - 1:
            self.become_replicate()
        while self.inflight and self.inflight[0][0] <= self.match_index:
            self.inflight_bytes -= self.inflight.popleft()[1]

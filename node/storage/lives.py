"""Lives: how data that has forgotten something is told from data that has not begun. Pure.

A node that voted, or acknowledged an entry, made a promise that its folder keeps. When the folder
is emptied, or an older copy of it is put back, the node has forgotten the promise and must not
take part: it would vote a second time, or elect a leader that lacks what it acknowledged. The
folder alone cannot show this, so the same fact stands in two places and is compared at each start:

- In the node's log stands its *life*: its start, counted, with a random token. The node writes it
  before it says anything to anybody (`WriteAheadLog.open`).
- With whoever starts the node (`launcher/folders/lives.py`) stands what the node has confirmed: the
  last life, and how many records its log was known to hold. The node speaks only when that is
  recorded.

Each append to a log is one record with the next number (`sequence` in `segment.py`), whatever it
holds: a term, a vote, entries, or a truncation. So a log that ends before the recorded number has
lost a promise, and one that reaches it has kept them all.
"""

from __future__ import annotations

import msgspec

from node.errors import LostData


class Life(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One start of a node.

    number: 1 for the first start; 0 in a log that does not tell (format 2)
    token: random; two histories that began from one copy count the same numbers
    """

    number: int = 0
    token: int = 0


class Founding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """With what the cluster began. Each node's log repeats it, so that no other file decides it.

    founders: the nodes that the cluster began with
    session_timeout_s, most_sessions: when sessions end (`node/machines/sessions.py`)
    """

    founders: tuple[int, ...]
    session_timeout_s: float
    most_sessions: int

    def describe(self) -> str:
        """`nodes 1, 2, 3, sessions.timeout 3600 s, sessions.most 10000`."""
        nodes = ", ".join(map(str, self.founders))
        return (
            f"nodes {nodes}, sessions.timeout {self.session_timeout_s:g} s, "
            f"sessions.most {self.most_sessions}"
        )


class LastKnown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node's data is known to have held.

    lived: the node has written a log; without it an empty folder is a beginning
    life: the last one that the node has confirmed
    sequence: of the last record that its log was known to hold
    last_index, term: the end of that log and the node's term then, for messages to people
    """

    lived: bool = False
    life: Life = Life()
    sequence: int = 0
    last_index: int = 0
    term: int = 0


def check_not_lost(found: Life | None, sequence: int, starting: Life, known: LastKnown) -> None:
    """Raises LostData when a log that ends so cannot hold what it is known to have held.

    found, sequence: the life in the log and its last record; None: there is no log
    starting: the life that begins now
    """
    was = f"it was known to reach at least entry {known.last_index}"
    if found is None:
        if known.lived:
            raise LostData(f"its data is gone, and it has lived before: {was}")
        return
    if found.number < known.life.number:
        raise LostData(
            f"its data is an older copy, of start {found.number}: "
            f"start {known.life.number} wrote more, and {was}"
        )
    other_history = found.number == known.life.number and found.token != known.life.token
    if other_history or 0 < starting.number <= found.number:
        raise LostData(
            f"its data is of another history of this cluster: it tells of start {found.number}, "
            f"which is not the one on record"
        )
    if sequence < known.sequence:
        raise LostData(
            f"its data is an older copy: its log ends with record {sequence} of at least "
            f"{known.sequence}, and {was}"
        )

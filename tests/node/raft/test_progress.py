"""The modes of `Progress`: what holds in each, and what leads from one to another."""

from __future__ import annotations

from collections import deque

import pytest

from node.raft.membership import stable
from node.raft.messages import Snapshot
from node.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress

SENT = Snapshot(40, 3, 0, stable((1, 2, 3)), 100, 7)


def replicating() -> Progress:
    """A peer that holds everything up to 5 and has been sent 6 to 9."""
    progress = Progress(next_index=6, last_contact=0.0, match_index=5)
    progress.become_replicate()
    progress.inflight.extend([(7, 20), (9, 30)])
    progress.inflight_bytes = 50
    progress.next_index = 10
    return progress


def replacing_an_earlier_snapshot() -> Progress:
    """A peer that was sent part of another snapshot, and has entries in flight."""
    progress = replicating()
    progress.snapshot_offset, progress.chunk_read, progress.chunk_round = 60, True, 8
    return progress


def test_a_new_peer_is_probed() -> None:
    progress = Progress(next_index=6, last_contact=0.0)

    assert (progress.mode, progress.probe_sent, progress.snapshot) == (PROBE, False, None)


def test_a_probe_begins_with_nothing_in_flight() -> None:
    progress = replicating()
    progress.become_probe(4)

    assert (progress.mode, progress.next_index, progress.probe_sent) == (PROBE, 4, False)
    assert (progress.inflight, progress.inflight_bytes) == (deque(), 0)


def test_a_guess_that_moves_may_be_probed_again() -> None:
    progress = Progress(next_index=6, last_contact=0.0)
    progress.probe_sent = True
    progress.become_probe(3)

    assert not progress.probe_sent


def test_a_confirmed_guess_leads_to_replication() -> None:
    progress = Progress(next_index=6, last_contact=0.0)
    progress.become_replicate()

    assert (progress.mode, progress.next_index) == (REPLICATE, 6)


def test_only_a_probe_leads_to_replication() -> None:
    progress = Progress(next_index=6, last_contact=0.0)
    progress.become_snapshot(SENT)

    with pytest.raises(AssertionError):
        progress.become_replicate()


def test_a_snapshot_is_sent_from_its_beginning_with_nothing_else_in_flight() -> None:
    progress = replacing_an_earlier_snapshot()
    progress.become_snapshot(SENT)

    assert (progress.mode, progress.snapshot, progress.next_index) == (SNAPSHOT, SENT, 41)
    assert (progress.snapshot_offset, progress.chunk_read, progress.chunk_round) == (0, False, None)
    assert (progress.inflight, progress.inflight_bytes) == (deque(), 0)


def test_a_probe_after_a_snapshot_sends_it_no_more() -> None:
    progress = Progress(next_index=6, last_contact=0.0)
    progress.become_snapshot(SENT)
    progress.become_probe(41)

    assert (progress.mode, progress.snapshot) == (PROBE, None)


def test_an_acknowledgement_frees_what_it_covers() -> None:
    progress = replicating()
    progress.acknowledge(8)

    assert (progress.match_index, progress.next_index) == (8, 10)
    assert (progress.inflight, progress.inflight_bytes) == (deque([(9, 30)]), 30)


def test_a_proof_beyond_the_guess_moves_the_guess() -> None:
    progress = Progress(next_index=3, last_contact=0.0)
    progress.acknowledge(8)

    assert (progress.match_index, progress.next_index) == (8, 9)
    progress.acknowledge(2)
    assert (progress.match_index, progress.next_index) == (8, 9), "a late one takes nothing back"


def test_a_proof_confirms_the_guess_that_it_reaches_whatever_it_replies_to() -> None:
    progress = Progress(next_index=3, last_contact=0.0)
    progress.probe_sent = True
    progress.acknowledge(1)
    assert progress.mode is PROBE, "it is below the guess"

    progress.acknowledge(8)
    assert (progress.mode, progress.next_index) == (REPLICATE, 9)

"""The properties of Figure 3, from what the nodes wrote and told. Pure.

    Election Safety          two nodes told that they lead one term; a node voted twice in a term
    Leader Append-Only       a leader's log lost an entry while it led (`replay.py`)
    Log Matching             two logs hold different entries of one index and term (`replay.py`)
    Leader Completeness      a leader lacked an entry that an earlier term had committed
    State Machine Safety     two nodes applied, or know as committed, different entries

Digests are the running hash of what a node has applied. All nodes that tell one for an index must
tell the same, in all of their lives, and so must their snapshots. Where the committed log is known
from its beginning, its own hash must be that digest too: then what was applied is what was
committed.

What cannot be seen here: what a node held only in memory, and what was dropped between two copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from launcher.lab.verdict.chain import Chain
from launcher.lab.verdict.finding import INVALID, UNKNOWN, VALID, Finding
from launcher.lab.verdict.replay import Elected, LogModel, Replay, Violation
from launcher.lab.verdict.seen import Seen
from launcher.lab.verdict.written import Kept
from node.raft.invariants import (
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    MONOTONIC,
    STATE_MACHINE_SAFETY,
)
from node.raft.messages import NodeId
from node.server.digest import running_digest

PROPERTIES = (
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LOG_MATCHING,
    LEADER_COMPLETENESS,
    STATE_MACHINE_SAFETY,
)

MOST_SHOWN = 5
"""At most this many violations of one property are shown."""


class Nodes(msgspec.Struct):
    """What is known of the nodes of one run.

    kept: the files of each node
    """

    kept: dict[NodeId, Kept]
    seen: Seen
    replay: Replay
    chain: Chain


def check(nodes: Nodes) -> list[Finding]:
    """One finding for each property; one more for promises that a node has taken back, if any."""
    found: dict[str, list[Violation]] = {}
    for violation in _violations(nodes):
        found.setdefault(violation.broken, []).append(violation)
    names = [*PROPERTIES, *([MONOTONIC] if MONOTONIC in found else [])]
    return [_finding(name, found.get(name, []), nodes) for name in names]


def _violations(nodes: Nodes) -> Iterator[Violation]:
    yield from nodes.replay.violations
    yield from _elections(nodes.seen)
    for elected in nodes.replay.elected:
        yield from _completeness(elected, nodes.chain)
    yield from _commits(nodes.replay.ends, nodes.seen.claims, nodes.chain)
    yield from _digests(nodes.seen, nodes.kept)
    yield from _applied_is_committed(nodes.seen, nodes.chain)


def _finding(name: str, found: list[Violation], nodes: Nodes) -> Finding:
    if found:
        first = min(found, key=_place)
        told = list(dict.fromkeys(one.belief for one in sorted(found, key=_place)))
        window = told[:MOST_SHOWN]
        if len(told) > MOST_SHOWN:
            window.append(f"and {len(told) - MOST_SHOWN} more like these")
        return Finding(check=name, outcome=INVALID, reason=first.belief, window=window)
    problem = _cannot_tell(name, nodes)
    if problem:
        return Finding(check=name, outcome=UNKNOWN, reason=problem)
    return Finding(check=name, outcome=VALID, reason=_what_was_seen(name, nodes))


def _cannot_tell(name: str, nodes: Nodes) -> str:
    """Why nothing can be said of a property; empty if something can."""
    if name == ELECTION_SAFETY and not nodes.seen.leaders:
        return "the event logs tell of no leader"
    if name in (LOG_MATCHING, LEADER_APPEND_ONLY) and not nodes.replay.held:
        return "there is no copy of any node's log"
    if name in (LEADER_COMPLETENESS, STATE_MACHINE_SAFETY) and not nodes.chain.batches:
        return "no committed entry is known"
    return ""


def _what_was_seen(name: str, nodes: Nodes) -> str:
    seen, replay = nodes.seen, nodes.replay
    if name == ELECTION_SAFETY:
        return f"{_count(len(seen.leaders), 'term')} with a leader"
    if name == LEADER_APPEND_ONLY:
        return f"{_count(len(replay.truncated), 'removal')} of entries, none by a leader"
    if name == LOG_MATCHING:
        return f"{_count(len(replay.held), 'batch')} of entries in {len(replay.ends)} logs"
    if name == LEADER_COMPLETENESS:
        return f"the logs of {_count(len(replay.elected), 'leader')}"
    return (
        f"{_count(nodes.chain.last_index, 'committed entry')}, "
        f"digests at {_count(len(seen.digests), 'index')}"
    )


# -- the properties --------------------------------------------------------------------------------


def _elections(seen: Seen) -> Iterator[Violation]:
    for term, leaders in sorted(seen.leaders.items()):
        nodes = sorted({node for node, _ in leaders})
        if len(nodes) > 1:
            named = " and ".join(f"n{node}" for node in nodes)
            belief = f"a term has one leader, and term {term} had {named}"
            yield Violation(ELECTION_SAFETY, belief)
    for (node, term), candidates in sorted(seen.votes.items()):
        if len(candidates) > 1:
            named = " and for ".join(f"n{one}" for one in sorted(candidates))
            belief = f"n{node} votes once in a term, and in term {term} it voted for {named}"
            yield Violation(ELECTION_SAFETY, belief)


def _completeness(elected: Elected, chain: Chain) -> Iterator[Violation]:
    index = elected.committed
    expected = chain.term_at(index)
    if not elected.is_known or expected is None or elected.term_there == expected:
        return
    there = elected.term_there
    has = (
        f"its log ends with entry {elected.last_index}"
        if elected.last_index < index
        else f"it has an entry of term {there} there"
    )
    yield Violation(
        LEADER_COMPLETENESS,
        f"a leader holds all that was committed before: n{elected.node}, elected in term "
        f"{elected.term}, lacks entry {index} of term {expected}; {has}",
        index,
    )


def _commits(
    ends: Mapping[NodeId, LogModel], claims: Mapping[NodeId, int], chain: Chain
) -> Iterator[Violation]:
    """The last entry that each node knows to be committed is the one of the chain."""
    for node, log in sorted(ends.items()):
        index = min(claims.get(node, 0), log.last_index, chain.last_index)
        term, expected = log.term_at(index), chain.term_at(index)
        if None not in (term, expected) and term != expected:
            yield Violation(
                STATE_MACHINE_SAFETY,
                f"what is committed never changes: n{node} knows entry {index} of term {term} as "
                f"committed, and others that of term {expected}",
                index,
            )


def _digests(seen: Seen, kept: Mapping[NodeId, Kept]) -> Iterator[Violation]:
    told: dict[int, dict[str, set[NodeId]]] = {}
    for index, of_nodes in seen.digests.items():
        for node, digests in of_nodes.items():
            for one in digests:
                told.setdefault(index, {}).setdefault(one.digest, set()).add(node)
    for node, files in kept.items():
        for stands in files.snapshots:
            at = told.setdefault(stands.last_included_index, {})
            at.setdefault(stands.digest.hex(), set()).add(node)
    for index, by_digest in sorted(told.items()):
        if len(by_digest) > 1:
            groups = sorted(sorted(nodes) for nodes in by_digest.values())
            named = " | ".join(",".join(f"n{node}" for node in nodes) for nodes in groups)
            yield Violation(
                STATE_MACHINE_SAFETY,
                f"all nodes apply the same, and up to entry {index} they applied different "
                f"entries: {named}",
                index,
            )
            return  # and so do all later digests


def _applied_is_committed(seen: Seen, chain: Chain) -> Iterator[Violation]:
    """What was applied up to an index is the chain up to there."""
    if not chain.is_whole:
        return
    digest = b""
    for batch in chain.batches:
        digest = running_digest(digest, batch)
        for node, told in seen.digests.get(batch.last_index, {}).items():
            if any(one.digest != digest.hex() for one in told):
                yield Violation(
                    STATE_MACHINE_SAFETY,
                    f"what is applied is what is committed, and up to entry {batch.last_index} "
                    f"n{node} applied something else",
                    batch.last_index,
                )
                return


def _place(violation: Violation) -> tuple[int, str]:
    return violation.at, violation.belief


def _count(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    plural = {"batch": "batches", "committed entry": "committed entries", "index": "indexes"}
    return f"{number} {plural.get(what, what + 's')}"

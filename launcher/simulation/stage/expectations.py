"""The expectations of a script: `expect leader 1`, `expect log 3 1 1 4`, and the others.

Each is a function that returns if the expectation is met, and raises `Unmet` with what was found if
it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from launcher.simulation.stage.cores import terms_of
from launcher.simulation.stage.play import Play
from launcher.simulation.stage.words import (
    Unmet,
    Words,
    Wrong,
    alone,
    first,
    nothing,
    number,
    unknown,
)
from node.raft.membership import Configuration
from node.raft.messages import COMMANDS, NodeId
from node.raft.state import Role

REFUSALS = ("NotLeader", "Busy", "ImpossibleTransfer")

Expectation: TypeAlias = Callable[[Play, Words], None]


def expect(play: Play, words: Words) -> None:
    """Checks one expectation. Raises Wrong if it is invalid, Unmet if it is not met."""
    what, rest = first(words), words[1:]
    if what == "no":
        what, rest = f"no {first(rest)}", rest[1:]
    if what not in EXPECTATIONS:
        raise unknown("expectation", what, EXPECTATIONS)
    usage, expectation = EXPECTATIONS[what]
    try:
        expectation(play, rest)
    except Wrong as error:
        raise Wrong(f"{error}, in: expect {usage}") from error
    play.tell("ok")


def expect_leader(play: Play, words: Words) -> None:
    """Expects one of these servers to be the leader of the newest term that has one."""
    wanted, leader = play.servers(alone(words)), play.net.leader
    if leader is None:
        raise Unmet("there is no leader")
    if leader not in wanted:
        term, found = play.net[leader].state.current_term, play.names[leader]
        raise Unmet(f"the leader of term {term} is {found}, not {play.listed(wanted)}")


def _no_leader(play: Play, words: Words) -> None:
    nothing(words)
    if play.net.leader is not None:
        raise Unmet(f"{play.names[play.net.leader]} leads")


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Unmet(f"{what} is {found}, not {wanted}")


def _each(play: Play, words: Words, value: Callable[[NodeId], str], what: str) -> None:
    """Expects each server of the first word to have the value in the other words."""
    wanted = " ".join(words[1:])
    for node_id in play.servers(first(words)):
        found = value(node_id)
        if found != wanted:
            raise Unmet(f"{what} of {play.names[node_id]} is {found!r}, not {wanted!r}")


def _role(play: Play, words: Words) -> None:
    names = [*(role.value for role in Role), "pre-vote", "down"]
    if alone(words[1:]) not in names:
        raise unknown("role", words[1], names)
    _each(play, words, lambda node_id: play.row(node_id).role, "the role")


def _term(play: Play, words: Words) -> None:
    number(alone(words[1:]))
    _each(play, words, lambda node_id: str(play.row(node_id).term), "the term")


def _commit(play: Play, words: Words) -> None:
    number(alone(words[1:]))
    _each(play, words, lambda node_id: str(play.row(node_id).commit), "the commit index")


def _vote(play: Play, words: Words) -> None:
    named = alone(words[1:])
    wanted = play.vote_of(None if named == "none" else play.server(named))
    _each(play, [words[0], wanted], lambda node_id: play.row(node_id).vote, "the vote")


def _log(play: Play, words: Words) -> None:
    def terms(node_id: NodeId) -> str:
        return " ".join(str(term) for term in play.row(node_id).terms)

    _each(play, words, terms, "the log")


def _disk(play: Play, words: Words) -> None:
    def terms(node_id: NodeId) -> str:
        return " ".join(str(term) for term in terms_of(play.net.disks[node_id].batches))

    _each(play, words, terms, "the disk")


def _snapshot(play: Play, words: Words) -> None:
    wanted = alone(words[1:])
    if wanted != "none" and not re.fullmatch("[0-9]+@[0-9]+", wanted):
        raise Wrong(f"{wanted!r} is no snapshot such as 5@2")

    def newest(node_id: NodeId) -> str:
        held = play.net.disks[node_id].snapshot
        return f"{held.last_included_index}@{held.last_included_term}" if held else "none"

    _each(play, words, newest, "the snapshot")


def _voters(play: Play, words: Words) -> None:
    _members(play, words, lambda configuration: configuration.voters, "voters")


def _outgoing(play: Play, words: Words) -> None:
    _members(play, words, lambda configuration: configuration.membership.outgoing, "outgoing")


def _learners(play: Play, words: Words) -> None:
    _members(play, words, lambda configuration: configuration.learners, "learners")


def _members(
    play: Play, words: Words, those: Callable[[Configuration], Iterable[NodeId]], what: str
) -> None:
    """Expects some members of the configuration that a server uses."""
    wanted = play.listed(play.node_ids(alone(words[1:])))

    def found(node_id: NodeId) -> str:
        running = play.running(play.names[node_id])
        return play.listed(sorted(those(play.net[running].state.configuration)))

    _each(play, [first(words), wanted], found, what)


def _applied(play: Play, words: Words) -> None:
    def commands(node_id: NodeId) -> str:
        applied = play.net.servers[play.running(play.names[node_id])].applied
        wanted = (batch.data.decode() for batch in applied if batch.kind is COMMANDS)
        return " ".join(wanted)

    _each(play, words, commands, "what is applied")


def _progress(play: Play, words: Words) -> tuple[int, int, int, str]:
    """A leader's next_index and match_index for a peer, the expected index, and the peer's name."""
    if len(words) != 3:
        raise Wrong("it needs two servers and an index")
    leader, peer = play.running(words[0]), play.server(words[1])
    progress = play.net[leader].state.progress
    if peer not in progress:
        raise Unmet(f"{play.names[leader]} does not lead {play.names[peer]}")
    held = progress[peer]
    return held.next_index, held.match_index, number(words[2]), f"for {play.names[peer]}"


def _next(play: Play, words: Words) -> None:
    next_index, _, wanted, peer = _progress(play, words)
    _same(f"next_index {peer}", next_index, wanted)


def _match(play: Play, words: Words) -> None:
    _, match_index, wanted, peer = _progress(play, words)
    _same(f"match_index {peer}", match_index, wanted)


def _read(play: Play, words: Words) -> None:
    context, rest = number(first(words)), words[1:]
    if not 1 <= context <= play.reads:
        raise Unmet(f"{play.reads} reads have been asked for")
    found = play.answers.get(context)
    if rest == ["unanswered"]:
        _same(f"the answer to read {context}", found, None)
    elif rest[:1] == ["at"]:
        _same(f"the index of read {context}", found, number(alone(rest[1:])))
    else:
        raise Wrong("write `at` and an index, or `unanswered`")


def _refused(play: Play, words: Words) -> None:
    if alone(words) not in REFUSALS:
        raise Wrong(f"no refusal {words[0]!r}; there are {', '.join(REFUSALS)}")
    _same("the last refusal", play.refusal, words[0])


def _events(play: Play, words: Words) -> int:
    node_id = play.running(first(words))
    return play.net.servers[node_id].events.count(alone(words[1:]))


def _event(play: Play, words: Words) -> None:
    if not _events(play, words):
        raise Unmet("it has not happened")


def _no_event(play: Play, words: Words) -> None:
    if _events(play, words):
        raise Unmet("it has happened")


def _in_flight(play: Play, words: Words) -> None:
    wanted, chosen = number(first(words)), play.selection(words[1:])
    _same("the number in flight", sum(map(chosen.holds, play.net.mail)), wanted)


def _agreement(play: Play, words: Words) -> None:
    nothing(words)
    one, *others = play.servers("all")
    for other in others:
        logs = [play.net[node_id].state.log for node_id in (one, other)]
        base_index = max(log.base_index for log in logs)
        ours, theirs = (log.batches_from(base_index + 1) for log in logs)
        if ours != theirs or logs[0].term_at(base_index) != logs[1].term_at(base_index):
            raise Unmet(f"{play.names[one]} and {play.names[other]} have different logs")


EXPECTATIONS: dict[str, tuple[str, Expectation]] = {
    "leader": ("leader S[,S]", expect_leader),
    "no leader": ("no leader", _no_leader),
    "role": ("role S follower", _role),
    "term": ("term S 2", _term),
    "commit": ("commit S 3", _commit),
    "vote": ("vote S S, or: vote S none", _vote),
    "log": ("log S 1 1 4", _log),
    "disk": ("disk S 1 1 4", _disk),
    "snapshot": ("snapshot S 5@2, or: snapshot S none", _snapshot),
    "voters": ("voters S S,S", _voters),
    "outgoing": ("outgoing S S,S, or: outgoing S none", _outgoing),
    "learners": ("learners S S,S, or: learners S none", _learners),
    "applied": ("applied S x y", _applied),
    "next": ("next S S 4", _next),
    "match": ("match S S 4", _match),
    "read": ("read 1 at 3, or: read 1 unanswered", _read),
    "refused": (f"refused {'|'.join(REFUSALS)}", _refused),
    "event": ("event S log.truncated", _event),
    "no event": ("no event S log.truncated", _no_event),
    "in-flight": ("in-flight 2 [KIND] [from S] [to S]", _in_flight),
    "agreement": ("agreement", _agreement),
}
"""Of each expectation, by name: how it is written, and the function that checks it."""

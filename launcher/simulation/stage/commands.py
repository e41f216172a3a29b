"""The commands of a script: what each is called, how it is written, and what it does.

Each is a function of the `Play` and of the words after the command's name. It raises `Wrong` for
invalid words, and `Unmet` when the state of the servers does not allow the command. `script.py`
documents the language, and reads the lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TypeAlias

from launcher.log_table import table
from launcher.simulation.stage import notation
from launcher.simulation.stage.cores import CHUNK_BYTES, TIMING, Network, Stored, batches, terms_of
from launcher.simulation.stage.expectations import expect, expect_leader
from launcher.simulation.stage.play import Mail, Play
from launcher.simulation.stage.words import (
    Unmet,
    Words,
    Wrong,
    alone,
    duration,
    first,
    nothing,
    number,
    numbers,
)
from node.errors import NotLeader, RaftError
from node.raft.messages import HardState, NodeId
from node.raft.settings import Limits
from node.raft.state import LEADER

MOST_SERVERS = 25
NAME = r"(?!all$|S\d+$)[A-Za-z]\w*"
BOUNDS = [bound.name for bound in fields(Limits)]
SETTING = {"start", "log", "term", "show", "expect"}
"""The commands that set the stage, or only look at the servers. After any other one, `log` and
`term` are refused."""


# -- setting the stage ---------------------------------------------------------------------------


def _start(play: Play, words: Words) -> None:
    size = number(words.pop(0)) if words else 0
    if not 1 <= size <= MOST_SERVERS:
        raise Wrong(f"N is 1..{MOST_SERVERS}")
    play.names = {node_id: f"S{node_id}" for node_id in range(1, size + 1)}
    if words[:1] == ["named"]:
        names, words = words[1 : size + 1], words[size + 1 :]
        if len(set(names)) < size:
            raise Wrong(f"{size} servers need {size} names")
        if unfit := [name for name in names if not re.fullmatch(NAME, name)]:
            raise Wrong(f"{unfit[0]!r} is no name: a word of letters that is not all or S1")
        play.names = dict(enumerate(names, 1))
    timing, limits = TIMING, Limits()
    members: tuple[NodeId, ...] = tuple(play.names)
    if len(words) % 2:
        raise Wrong(f"{words[-1]} has no value")
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "failure_hint" and value in {"on", "off"}:
            timing = replace(timing, failure_hint=value == "on")
        elif option == "lease" and value in {"on", "off"}:
            timing = replace(timing, lease=value == "on")
        elif option == "members":
            members = tuple(play.server(one) for one in value.split(","))
        elif option in BOUNDS:
            limits = replace(limits, **{option: number(value)})
        else:
            raise Wrong(f"no option {option} {value}; BOUND is {', '.join(BOUNDS)}")
    play.moved, play.refusal, play.reads = False, None, 0
    play.delayed.clear()
    play.answers.clear()
    play.network = Network(
        size, timing=timing, limits=limits, seed=play.seed, witness=play, members=members
    )


def _log(play: Play, words: Words) -> None:
    node_id, terms = _set_up(play, words), numbers(words[1:])
    if terms != sorted(terms) or 0 in terms:
        raise Wrong("terms are 1 or more, and never decrease along a log")
    term = max([play.net.disks[node_id].hard_state.current_term, *terms])
    play.net.disks[node_id] = Stored(HardState(term), batches(terms))
    play.net.start(node_id)


def _term(play: Play, words: Words) -> None:
    node_id, term = _set_up(play, words), number(alone(words[1:]))
    disk = play.net.disks[node_id]
    if term < max(terms_of(disk.batches), default=0):
        raise Wrong("the log has entries of a later term")
    disk.hard_state = HardState(term)
    play.net.start(node_id)


def _set_up(play: Play, words: Words) -> NodeId:
    if play.moved:
        raise Wrong("it must come before the servers do anything")
    return play.server(first(words))


# -- what a server does --------------------------------------------------------------------------


def _time_out(play: Play, words: Words) -> None:
    node_id = play.running(first(words))
    if words[1:] not in ([], ["early"]):
        raise Wrong(f"cannot make sense of {words[1]!r}")
    state = play.net[node_id].state
    if state.role is LEADER:
        raise Unmet("it leads, so it has no election timeout")
    if words[1:]:
        state.election_deadline = play.net.now
        play.net.elapse(node_id)
    else:
        play.net.time_out(node_id)


def _elect(play: Play, words: Words) -> None:
    alone(words)
    _time_out(play, words)
    play.net.settle()
    expect_leader(play, words)


def _propose(play: Play, words: Words) -> None:
    node_id, commands = play.running(first(words)), words[1:]
    if not commands:
        raise Wrong("the commands are missing")
    raft = play.net[node_id]
    with _asked(play, node_id):
        index = raft.propose(len(commands), " ".join(commands).encode(), play.net.now)
        (batch,) = raft.state.log.batches_from(index)
        play.tell(f"{play.names[node_id]} appends {notation.of_batch(batch)}")


def _ask(play: Play, words: Words) -> None:
    node_id = play.running(first(words))
    if words[1:] not in ([], ["here"]):
        raise Wrong(f"cannot make sense of {words[1]!r}")
    with _asked(play, node_id):
        play.net[node_id].read(play.reads + 1, play.net.now, follower=bool(words[1:]))
        play.reads += 1
        play.tell(f"{play.names[node_id]} is asked for read {play.reads}")


def _transfer(play: Play, words: Words) -> None:
    node_id, rest = play.running(first(words)), words[1:]
    if rest and rest[0] != "to":
        raise Wrong(f"cannot make sense of {rest[0]!r}")
    target = play.server(alone(rest[1:])) if rest else None
    with _asked(play, node_id):
        play.net[node_id].transfer(target, play.net.now)


def _reconfigure(play: Play, words: Words) -> None:
    node_id, rest = play.running(first(words)), words[1:]
    if rest[:1] != ["to"]:
        raise Wrong("the new voters are missing")
    target = play.node_ids(alone(rest[1:]))
    if not target:
        raise Wrong("there must be at least one voter")
    with _asked(play, node_id):
        play.net[node_id].change_membership(target, play.net.now)


def _snapshot(play: Play, words: Words) -> None:
    node_id, rest = play.running(first(words)), words[1:]
    size = number(alone(rest)) if rest else 3 * CHUNK_BYTES
    if not size:
        raise Wrong("a snapshot has at least one byte")
    state, held = play.net[node_id].state, play.net.disks[node_id].snapshot
    if state.last_applied <= (held.last_included_index if held else 0):
        raise Unmet("it has applied nothing since the last snapshot")
    snapshot = notation.of_snapshot(play.net.take_snapshot(node_id, size))
    play.tell(f"{play.names[node_id]} takes {snapshot}, and its log begins at "
              f"{state.log.first_index}")  # fmt: skip


@contextmanager
def _asked(play: Play, node_id: NodeId) -> Iterator[None]:
    """For a block that asks a server: records a refusal, or else collects what the server does."""
    play.refusal = None
    try:
        yield
    except RaftError as error:
        play.refusal = type(error).__name__
        reason = str(error)
        if isinstance(error, NotLeader) and error.leader_id is not None:
            reason = f"the leader is {play.names[error.leader_id]}"
        play.tell(f"{play.names[node_id]} refuses: {play.refusal}, {reason}")
    else:
        play.net.collect(node_id)


def _persist(play: Play, words: Words) -> None:
    once = words[-1:] == ["once"]
    named = words[:-1] if once else words
    chosen = [play.running(alone(named))] if named else list(play.net.servers)
    wrote = [play.net.persist(node_id) for node_id in chosen]
    if not any(wrote):
        raise Unmet("nothing waits to be written")
    for node_id in () if once else chosen:
        while play.net.persist(node_id):
            pass


def _crash(play: Play, words: Words) -> None:
    node_id = play.running(alone(words))
    lost = sum(ready.must_persist for ready in play.net.servers[node_id].unsaved)
    play.tell(f"{play.names[node_id]} is down; {lost} of its writes had not reached its disk")
    play.net.crash(node_id)


def _restart(play: Play, words: Words) -> None:
    node_id = play.server(alone(words))
    if node_id in play.net.servers:
        raise Wrong(f"{play.names[node_id]} is up; crash it first")
    disk = play.net.disks[node_id]
    vote = play.vote_of(disk.hard_state.voted_for)
    held = f"term={disk.hard_state.current_term} vote={vote}"
    if disk.snapshot is not None:
        held += f" {notation.of_snapshot(disk.snapshot)}"
    log = notation.of_batches(disk.batches)
    play.tell(f"{play.names[node_id]} starts with {held} entries={log}")
    play.net.start(node_id)


def _forget(play: Play, words: Words) -> None:
    node_id = play.server(alone(words))
    if node_id in play.net.servers:
        raise Wrong(f"{play.names[node_id]} is up; crash it first")
    play.net.forget(node_id)
    play.tell(f"the disk of {play.names[node_id]} is empty")


def _hint(play: Play, words: Words) -> None:
    if len(words) not in (2, 4) or words[1] != "died" or words[2:3] not in ([], ["at"]):
        raise Wrong("cannot make sense of this")
    dead = play.server(words[0])
    if dead in play.net.servers:
        raise Wrong(f"{play.names[dead]} is up; crash it first")
    told = words[3].split(",") if words[3:] else [play.names[peer] for peer in play.net.servers]
    for node_id in map(play.running, told):
        if (dead, node_id) in play.net.cut:
            play.tell(f"{play.names[node_id]} is not told: the link is cut")
            continue
        play.tell(f"{play.names[node_id]} is told that {play.names[dead]} has died")
        play.net[node_id].hint_failure(dead, play.net.now)
        play.net.collect(node_id)


# -- what happens in between ---------------------------------------------------------------------


def _deliver(play: Play, words: Words) -> None:
    for before, position in enumerate(play.positions(words)):
        play.net.deliver(position - before)


def _drop(play: Play, words: Words) -> None:
    for sender, to, message in _take(play, words):
        play.lost(sender, to, message, "dropped")


def _duplicate(play: Play, words: Words) -> None:
    for position in play.positions(words):
        sender, to, message = play.net.mail[position]
        link = f"{play.names[sender]} => {play.names[to]}"
        play.tell(f"{link} {notation.of_message(message)} (a duplicate)")
        play.net.mail.append((sender, to, message))


def _delay(play: Play, words: Words) -> None:
    for sender, to, message in _take(play, words):
        link = f"{play.names[sender]} .. {play.names[to]}"
        play.tell(f"{link} {notation.of_message(message)} (delayed)")
        play.delayed.append((sender, to, message))


def _take(play: Play, words: Words) -> list[Mail]:
    positions = play.positions(words)
    taken = [play.net.mail[position] for position in positions]
    for position in reversed(positions):
        del play.net.mail[position]
    return taken


def _release(play: Play, words: Words) -> None:
    nothing(words)
    if not play.delayed:
        raise Unmet("nothing is delayed")
    for sender, to, message in play.delayed:
        play.sent(sender, to, message)
    play.net.mail.extend(play.delayed)
    play.delayed.clear()


def _settle(play: Play, words: Words) -> None:
    play.net.settle(play.servers(alone(words)) if words else None)


def _cut(play: Play, words: Words) -> None:
    if not words:
        raise Wrong("no link is named")
    play.net.cut |= play.links(words)


def _heal(play: Play, words: Words) -> None:
    play.net.cut -= play.links(words) if words else set(play.net.cut)


def _elapse(play: Play, words: Words) -> None:
    only = None if len(words) == 1 else play.servers(alone(words[1:]))
    play.net.run(duration(first(words)), settle=False, only=only)


def _run(play: Play, words: Words) -> None:
    play.net.run(duration(alone(words)))


def _show(play: Play, words: Words) -> None:
    nothing(words)
    play.told += table([play.row(node_id) for node_id in play.names])


Command: TypeAlias = Callable[[Play, Words], None]
CHOICE = "[one|last] [KIND] [from S] [to S]"
COMMANDS: dict[str, tuple[str, Command]] = {
    "start": (
        "start N [named A B ..] [failure_hint on] [lease on] [members S,S] [BOUND n ..]",
        _start,
    ),
    "log": ("log S 1 1 4", _log),
    "term": ("term S 7", _term),
    "time-out": ("time-out S [early]", _time_out),
    "elect": ("elect S", _elect),
    "propose": ("propose S x [y z]", _propose),
    "read": ("read S [here]", _ask),
    "transfer": ("transfer S [to S]", _transfer),
    "reconfigure": ("reconfigure S to S,S", _reconfigure),
    "snapshot": ("snapshot S [bytes]", _snapshot),
    "persist": ("persist [S] [once]", _persist),
    "crash": ("crash S", _crash),
    "restart": ("restart S", _restart),
    "forget": ("forget S", _forget),
    "hint": ("hint S died [at S,S]", _hint),
    "deliver": (f"deliver {CHOICE}", _deliver),
    "drop": (f"drop {CHOICE}", _drop),
    "duplicate": (f"duplicate {CHOICE}", _duplicate),
    "delay": (f"delay {CHOICE}", _delay),
    "release": ("release", _release),
    "settle": ("settle [S,S]", _settle),
    "cut": ("cut S|S,S or cut S->S", _cut),
    "heal": ("heal [S|S, S->S]", _heal),
    "elapse": ("elapse 200ms [S,S]", _elapse),
    "run": ("run 2s", _run),
    "expect": ("expect WHAT ..", expect),
    "show": ("show", _show),
}
"""Of each command, by name: how it is written, and the function that executes it."""

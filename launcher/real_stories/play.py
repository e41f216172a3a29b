"""Plays a story on real processes: each word, by the Python API of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeAlias

from launcher.client.client import NoAnswer
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError, UsageError
from launcher.real_stories.servers import MOST_SERVERS, WAIT_S, Servers, running
from launcher.real_stories.words import REAL_COMMANDS, REAL_EXPECTATIONS, check
from launcher.simulation.stage.script import (
    COMMENT,
    ScenarioFailed,
    Step,
    is_transcript,
    kind_of,
    words_of,
)
from launcher.simulation.stage.words import Unmet, Words, Wrong, alone, first, nothing, number
from node.raft.messages import NodeId

Told: TypeAlias = list[str]
"""What a line caused, a line each."""


def play_on_real_processes(text: str) -> Generator[Step]:
    """Yields the steps of the script, as `script.py: play_steps` does; each command twice, when it
    begins and when it is over.

    A generator: when it is closed, or fails, the cluster is taken down.

    Raises UsageError for an invalid line, before anything is started if its first word says so, and
    ScenarioFailed.
    """
    check(text)
    with ExitStack() as stack:
        servers: Servers | None = None
        for at, line in enumerate(text.splitlines(), 1):
            if is_transcript(line):
                continue
            words = words_of(line)
            if not words:
                yield Step(at, line.rstrip(), (), COMMENT)
                continue
            is_quiet = words[0] == "quietly" and len(words) > 1
            begun = Step(at, line.rstrip(), (), kind_of(words), is_quiet, is_over=False)
            yield begun
            told: Told = []
            failure: Exception | None = None
            try:
                if words[0] == "start":
                    stack.close()
                    servers, told = _start(stack, words[1:])
                else:
                    told = _perform(servers, words[1:] if is_quiet else words)
            except (Wrong, Unmet, LauncherError) as error:
                failure = error
            yield replace(begun, told=() if is_quiet else tuple(told), is_over=True)
            if isinstance(failure, Wrong):
                usage = REAL_COMMANDS[words[is_quiet]]
                raise UsageError(f"line {at}: {words[is_quiet]}: {failure}; write: {usage}")
            if failure is not None:
                raise ScenarioFailed(at, words, str(failure)) from failure


def _start(stack: ExitStack, words: Words) -> tuple[Servers, Told]:
    size = number(words.pop(0)) if words else 0
    if not 1 <= size <= MOST_SERVERS:
        raise Wrong(f"on real processes N is 1..{MOST_SERVERS}")
    names = {node_id: f"S{node_id}" for node_id in range(1, size + 1)}
    if words[:1] == ["named"]:
        names = dict(enumerate(words[1 : size + 1], 1))
        words = words[size + 1 :]
        if len(set(names.values())) < size:
            raise Wrong(f"{size} servers need {size} names")
    if words not in ([], ["failure_hint", "on"], ["failure_hint", "off"]):
        raise Wrong(f"cannot make sense of {words[0]!r}")
    hint = words[1:] == ["on"]
    servers = stack.enter_context(running(size, names, failure_hint=hint))
    return servers, [f"{size} servers run, each a process of its own"]


def _perform(servers: Servers | None, words: Words) -> Told:
    if servers is None:
        raise Wrong("a story on real processes begins with: start N")
    name, rest = words[0], words[1:]
    return COMMANDS[name](servers, rest)


def _elect(servers: Servers, words: Words) -> Told:
    return [servers.elect(servers.server(alone(words)))]


def _propose(servers: Servers, words: Words) -> Told:
    node_id = servers.server(first(words))
    if not words[1:]:
        raise Wrong("the commands are missing")
    return servers.propose(node_id, words[1:])


def _transfer(servers: Servers, words: Words) -> Told:
    node_id, rest = servers.server(first(words)), words[1:]
    if rest and rest[0] != "to":
        raise Wrong(f"cannot make sense of {rest[0]!r}")
    if servers.cluster.status().leader != node_id:
        raise Unmet(f"{servers.names[node_id]} does not lead")
    target = str(servers.server(alone(rest[1:]))) if rest else "follower"
    done = servers.cluster.transfer(target)
    return [f"{servers.names[node_id]} hands over to {servers.names[done.leads]}"]


def _snapshot(servers: Servers, words: Words) -> Told:
    node_id = servers.server(alone(words))
    servers.cluster.snapshot(node_id)
    index = servers.cluster.status().node(node_id).snapshot_index
    return [f"{servers.names[node_id]} takes a snapshot of all up to index {index}"]


def _crash(servers: Servers, words: Words) -> Told:
    node_id = servers.server(alone(words))
    servers.cluster.kill(node_id)
    return [f"the process of {servers.names[node_id]} is killed"]


def _restart(servers: Servers, words: Words) -> Told:
    node_id = servers.server(alone(words))
    servers.cluster.start(node_id)
    return [f"{servers.names[node_id]} runs again, with what is on its disk"]


def _cut(servers: Servers, words: Words) -> Told:
    if not words:
        raise Wrong("no link is named")
    servers.set_cuts(servers.cut | servers.links(words))
    return []


def _heal(servers: Servers, words: Words) -> Told:
    servers.set_cuts(servers.cut - servers.links(words) if words else set())
    return []


def _show(servers: Servers, words: Words) -> Told:
    nothing(words)
    return servers.table()


def _expect(servers: Servers, words: Words) -> Told:
    what, rest = first(words), words[1:]
    if what == "no":
        what, rest = f"no {first(rest)}", rest[1:]
    try:
        EXPECTATIONS[what](servers, rest)
    except Wrong as error:
        raise Wrong(f"{error}, in: expect {REAL_EXPECTATIONS[what]}") from error
    return ["ok"]


# -- expectations: each waits until it is met ------------------------------------------------------


def _expect_leader(servers: Servers, words: Words) -> Told:
    wanted = servers.servers(alone(words))
    servers.until_met(lambda status: servers.not_leading(status, wanted))
    return []


def _expect_no_leader(servers: Servers, words: Words) -> Told:
    nothing(words)

    def problem(status: ClusterStatus) -> str:
        leader = status.leader
        return "" if leader is None else f"{servers.names[leader]} leads"

    servers.until_met(problem)
    return []


def _expect_role(servers: Servers, words: Words) -> Told:
    wanted = alone(words[1:])
    chosen = servers.servers(words[0])

    def problem(status: ClusterStatus) -> str:
        for node_id in chosen:
            node = status.node(node_id)
            found = node.role if node.state == "up" else "down"
            if found != wanted:
                return f"the role of {servers.names[node_id]} is {found}, not {wanted}"
        return ""

    servers.until_met(problem)
    return []


def _expect_applied(servers: Servers, words: Words) -> Told:
    wanted, chosen = " ".join(words[1:]), servers.servers(first(words))

    def problem(status: ClusterStatus) -> str:
        for node_id in chosen:
            try:
                found = servers.applied(node_id)
            except NoAnswer as error:
                return f"{servers.names[node_id]}: {error}"
            if found != wanted:
                return f"what {servers.names[node_id]} has applied is {found!r}, not {wanted!r}"
        return ""

    servers.until_met(problem)
    return []


def _expect_answered(servers: Servers, words: Words) -> Told:
    nothing(words)
    if servers.answered is not True:
        raise Unmet("the last propose has no answer")
    return []


def _expect_unanswered(servers: Servers, words: Words) -> Told:
    nothing(words)
    if servers.answered is not False:
        raise Unmet("the last propose has an answer, so it is committed")
    return []


def _expect_agreement(servers: Servers, words: Words) -> Told:
    nothing(words)
    servers.cluster.wait(converged=True, timeout_s=WAIT_S)
    one, *others = servers.servers("all")
    applied = servers.applied(one)
    different: list[NodeId] = [other for other in others if servers.applied(other) != applied]
    if different:
        raise Unmet(f"{servers.names[one]} and {servers.names[different[0]]} have applied "
                    "different commands")  # fmt: skip
    return []


Command: TypeAlias = Callable[[Servers, Words], Told]

COMMANDS: dict[str, Command] = {
    "elect": _elect,
    "propose": _propose,
    "transfer": _transfer,
    "snapshot": _snapshot,
    "crash": _crash,
    "restart": _restart,
    "cut": _cut,
    "heal": _heal,
    "expect": _expect,
    "show": _show,
}

EXPECTATIONS: dict[str, Command] = {
    "leader": _expect_leader,
    "no leader": _expect_no_leader,
    "role": _expect_role,
    "applied": _expect_applied,
    "answered": _expect_answered,
    "unanswered": _expect_unanswered,
    "agreement": _expect_agreement,
}

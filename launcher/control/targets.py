"""TARGET and SPEC: the words with which an operator points at nodes. Pure.

    TARGET   2   n2   1,2   leader   follower   followers   minority   majority   all   random

Ids mean those nodes whatever their state. Words choose among the nodes that the command can do
something to: `kill random` never picks a dead one, and `start random` picks nothing else. Several
targets mean all of them together.

    SPEC     1,2|3,4,5    leader,1|followers    minority|majority

A partition's groups are lists of targets. Ids are taken first, then the words choose, from left to
right, among the nodes that are left; a node that no group takes is on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Literal, TypeAlias

from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import LauncherError, UsageError
from node.raft.membership import majority
from node.raft.messages import NodeId

Action: TypeAlias = Literal[
    "kill",
    "stop",
    "start",
    "restart",
    "transfer",
    "remove",
    "rebuild",
    "pause",
    "resume",
    "snapshot",
    "partition",
    "log",
    "disk",
    "disk ok",
    "arm",
    "arm off",
    "time-out",
    "drop",
    "tap",
    "link",
    "clock",
    "clock ok",
    "throttle",
    "throttle ok",
]

_MOST_DIGITS = 9
"""No cluster comes to an id of more."""

_SHOWN_CHARACTERS = 60

WORDS = ("leader", "follower", "followers", "minority", "majority", "all", "random")
_NEEDS_ROLES = ("leader", "follower", "followers")
_SEVERAL = ("followers", "minority", "majority", "all")


def resolve(
    targets: Sequence[str], status: ClusterStatus, action: Action, random: Random
) -> list[NodeId]:
    """The ids that the targets mean now, in order, each once; none for `all` when it is so already.

    Raises UsageError for a target that is none or makes no sense for `action`, and LauncherError
    when it means nobody at the moment.
    """
    words = split(targets)
    if not words:
        raise UsageError(f"no target: {_allowed(status)}")
    parsed = [_parse(word, status) for word in words]
    chosen: set[NodeId] = set()
    for target in parsed:
        if isinstance(target, int):
            chosen.add(target)
        else:
            chosen.update(_choose(target, _candidates(status, action), status, action, random))
    return sorted(chosen)


def parse_partition(spec: str, status: ClusterStatus, random: Random) -> list[list[NodeId]]:
    """The groups of `spec`; with the nodes that it leaves out, each on its own, they are all nodes.

    Raises UsageError for a spec that is none, LauncherError when a word means nobody now.
    """
    groups = [[_parse(word, status) for word in split([part])] for part in spec.split("|")]
    if not all(groups):
        raise UsageError(f"partition {shown(spec)}: a group is empty; write for example 1,2|3,4,5")
    left = [node.id for node in status.nodes]
    for target in (target for group in groups for target in group):
        if isinstance(target, int):
            if target not in left:
                raise UsageError(f"partition {shown(spec)}: n{target} can be on one side only")
            left.remove(target)

    resolved = []
    for group in groups:
        members = [target for target in group if isinstance(target, int)]
        for word in (target for target in group if isinstance(target, str)):
            free = [node for node in status.nodes if node.id in left]
            picked = _choose(word, free, status, "partition", random)
            left = [node for node in left if node not in picked]
            members += picked
        resolved.append(sorted(members))
    resolved += [[node] for node in left]
    if len(resolved) == 1:
        raise UsageError(
            f"partition {shown(spec)} cuts no link: "
            "separate the groups with |, for example 1,2|3,4,5"
        )
    return resolved


def words_for(command: str) -> list[str]:
    """The words, beside ids, that make sense as a target of this command."""
    senseless: tuple[str, ...] = ()
    if command in ("start", "resume"):
        senseless = _NEEDS_ROLES
    elif command == "transfer":
        senseless = _SEVERAL
    return [word for word in WORDS if word not in senseless]


def split(targets: Sequence[str]) -> list[str]:
    """Targets may be separated by commas as well as spaces: `1,2 leader`."""
    return [word for target in targets for word in target.replace(",", " ").split()]


def words(targets: Iterable[str | int]) -> list[str]:
    """Targets as they travel in a request."""
    return [str(target) for target in targets]


def parse_id(word: str) -> NodeId:
    """`2` or `n2`, of a cluster that need not run. Raises UsageError."""
    node = _id_in(word)
    if node is None:
        raise UsageError(f"{shown(word)} names no node: write an id, such as 2 or n2")
    return node


def is_target(word: str) -> bool:
    """Whether it is a word for a target, or an id, whether or not there is such a node."""
    return word.lower() in WORDS or _id_in(word) is not None


def shown(word: str) -> str:
    """What somebody wrote, in quotes, on one line and of bounded length."""
    return repr(word if len(word) <= _SHOWN_CHARACTERS else word[:_SHOWN_CHARACTERS] + "...")


def _id_in(word: str) -> NodeId | None:
    """The id that `2` or `n2` is; None for a word that is none, or too long to be one."""
    digits = word.lower().removeprefix("n")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return None
    return int(digits)


def _parse(word: str, status: ClusterStatus) -> NodeId | str:
    lower = word.lower()
    if lower in WORDS:
        return lower
    node_id = _id_in(word)
    if node_id is None:
        raise UsageError(f"unknown target {shown(word)}: {_allowed(status)}")
    if not any(node.id == node_id for node in status.nodes):
        raise UsageError(f"there is no node {node_id}: {_allowed(status)}")
    return node_id


def _allowed(status: ClusterStatus) -> str:
    ids = [node.id for node in status.nodes]
    if ids == list(range(1, len(ids) + 1)):
        named = f"an id from 1 to {len(ids)}"
    else:
        named = f"one of the ids {', '.join(map(str, ids))}"
    return f"a target is {named}, or {', '.join(WORDS)}"


def _candidates(status: ClusterStatus, action: Action) -> list[NodeStatus]:
    """The nodes to which `action` would do something."""
    match action:
        case "start":
            return [node for node in status.nodes if not node.running]
        case "pause" | "snapshot":
            return status.up
        case "transfer" | "time-out":
            return [node for node in status.up if node.id != status.leader]
        case "resume":
            return [node for node in status.nodes if node.state == "paused"]
        case "kill" | "stop" | "disk" | "clock" | "arm" | "throttle":
            return [node for node in status.nodes if node.running]
        case "restart" | "remove" | "rebuild" | "partition" | "log" | "drop" | "tap" | "link":
            return status.nodes
        case "disk ok" | "clock ok" | "arm off" | "throttle ok":
            return status.nodes


_IDLE = {
    "kill": "no node is running",
    "stop": "no node is running",
    "start": "every node is running",
    "restart": "there is no node",
    "remove": "there is no node",
    "rebuild": "there is no node",
    "transfer": "no other node is up",
    "pause": "no node is running that is not paused",
    "resume": "no node is paused",
    "snapshot": "no node is running that is not paused",
    "log": "there is no node",
    "partition": "the other groups have taken every node",
    "disk": "no node is running",
    "disk ok": "there is no node",
    "arm": "no node is running",
    "arm off": "there is no node",
    "time-out": "no other node is up",
    "drop": "there is no node",
    "tap": "there is no node",
    "link": "there is no node",
    "clock": "no node is running",
    "clock ok": "there is no node",
    "throttle": "no node is running",
    "throttle ok": "there is no node",
}


def _choose(
    word: str, among: list[NodeStatus], status: ClusterStatus, action: Action, random: Random
) -> list[NodeId]:
    if action in ("start", "resume") and word in _NEEDS_ROLES:
        state = "down" if action == "start" else "paused"
        raise UsageError(
            f"{action} {word}: a node that is {state} has no role; "
            f"{action} takes ids, or minority, majority, all, random among those that are {state}"
        )
    if action == "transfer" and word in _SEVERAL:
        raise UsageError(f"transfer {word}: one node leads; transfer takes an id, follower, random")
    if word == "leader":
        may_lead = action in ("transfer", "time-out")
        return [_leader(status.nodes if may_lead else among, status)]
    if not among and word == "all":
        return []  # it is so already: no reason to fail
    if not among:
        raise LauncherError(f"{action} {word}: {_IDLE[action]}")
    ids = [node.id for node in among]
    size, most = len(status.nodes), majority(tuple(node.id for node in status.nodes))
    match word:
        case "follower":
            return [random.choice(_followers(among, status, action, word))]
        case "followers":
            return _followers(among, status, action, word)
        case "minority":
            return _sample(ids, size - most, action, word, random)
        case "majority":
            return _sample(ids, most, action, word, random)
        case "random":
            return [random.choice(ids)]
        case _:
            return ids


def _leader(among: list[NodeStatus], status: ClusterStatus) -> NodeId:
    if status.leader is None:
        raise LauncherError("there is no leader now: `launcher wait --leader` waits for one")
    if all(node.id != status.leader for node in among):
        raise LauncherError(f"the leader, n{status.leader}, is in another group")
    return status.leader


def _followers(
    among: list[NodeStatus], status: ClusterStatus, action: Action, word: str
) -> list[NodeId]:
    """Who is running and does not lead: a candidate is a follower that has heard of no leader."""
    found = [node.id for node in among if node.running and node.id != status.leader]
    if action in ("partition", "link"):  # a node that is down now has the fault when it starts
        found = [node.id for node in among if node.id != status.leader]
    if not found:
        raise LauncherError(f"{action} {word}: there is no follower now")
    return found


def _sample(ids: list[NodeId], count: int, action: Action, word: str, random: Random) -> list[int]:
    if count == 0:
        raise LauncherError(f"{action} {word}: a cluster this small has no {word} to choose")
    return sorted(random.sample(ids, min(count, len(ids))))

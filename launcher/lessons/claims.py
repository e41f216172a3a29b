"""What a lesson can claim after a command, and how it is checked.

A claim of the cluster's state is waited for, because an election takes its time. A claim of what a
command printed is of that command's output. `CLAIMS` has the words; a name in capitals is an
argument.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import LauncherError

PATIENCE_S = 90.0
"""How long a claim may take to come true: a bound for what hangs, on a slow machine."""

_POLL_S = 0.05


@dataclass
class Scene:
    """What claims are about.

    look: the cluster's status now
    output, exit_status: of the command above the claim
    leader, term: who led when a leader was last claimed, and in which term
    """

    look: Callable[[], ClusterStatus]
    output: str = ""
    exit_status: int = 0
    leader: int | None = None
    term: int = 0


class NotSo(Exception):
    """A claim does not hold: what was found instead."""


_Check: TypeAlias = Callable[[Scene, tuple[str, ...]], None]


def check(claim: str, scene: Scene, patience_s: float = PATIENCE_S) -> None:
    """Returns when the claim holds. Raises NotSo when it does not, in `patience_s`, and ValueError
    when it is no claim."""
    function, arguments, waits = find(claim)
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return function(scene, arguments)
        except (NotSo, LauncherError) as error:
            if not waits or time.monotonic() > give_up:
                raise NotSo(str(error)) from error
        time.sleep(_POLL_S)


def find(claim: str) -> tuple[_Check, tuple[str, ...], bool]:
    """The function that checks a claim, its arguments, and whether it waits.

    Raises ValueError when it is no claim.
    """
    for words, (function, waits) in CLAIMS.items():
        pattern = re.sub(r"[A-Z]{2,}", "(.+)", re.escape(words))
        match = re.fullmatch(pattern, claim)
        if match is not None:
            return function, match.groups(), waits
    raise ValueError(f"no claim {claim!r}; there are: {'; '.join(CLAIMS)}")


def is_of_output(claim: str) -> bool:
    """Whether the claim is about what a command printed, and so cannot be waited for."""
    return not find(claim)[2]


# -- of the cluster ----------------------------------------------------------------------------


def _remember(scene: Scene, status: ClusterStatus) -> None:
    assert status.leader is not None
    scene.leader, scene.term = status.leader, status.node(status.leader).term


def _served(scene: Scene) -> ClusterStatus:
    status = scene.look()
    if not status.served:
        raise NotSo("no leader has a majority that follows it")
    return status


def _node(scene: Scene, name: str) -> NodeStatus:
    for node in scene.look().nodes:
        if f"n{node.id}" == name:
            return node
    raise NotSo(f"{name} is unknown")


def _a_leader(scene: Scene, _: tuple[str, ...]) -> None:
    _remember(scene, _served(scene))


def _leads(scene: Scene, arguments: tuple[str, ...]) -> None:
    status = _served(scene)
    if f"n{status.leader}" != arguments[0]:
        raise NotSo(f"n{status.leader} leads")
    _remember(scene, status)


def _new_leader(scene: Scene, _: tuple[str, ...]) -> None:
    status = _served(scene)
    if status.leader == scene.leader:
        raise NotSo(f"n{scene.leader} still leads")
    if status.term <= scene.term:
        raise NotSo(f"the term is still {status.term}")
    _remember(scene, status)


def _same_leader(scene: Scene, _: tuple[str, ...]) -> None:
    status = _served(scene)
    if status.leader != scene.leader:
        raise NotSo(f"n{scene.leader} led, and now n{status.leader} does")


def _later_term(scene: Scene, _: tuple[str, ...]) -> None:
    status = scene.look()
    if status.term <= scene.term:
        raise NotSo(f"the term is {status.term}, and was {scene.term}")


def _no_leader(scene: Scene, _: tuple[str, ...]) -> None:
    status = scene.look()
    if status.served:
        raise NotSo(f"n{status.leader} leads, and a majority follows it")


def _two_leaders(scene: Scene, _: tuple[str, ...]) -> None:
    led = [node.id for node in scene.look().nodes if node.role == "leader"]
    if len(led) != 2:
        raise NotSo(f"the nodes that say they lead are {led}")


def _state(scene: Scene, arguments: tuple[str, ...]) -> None:
    node, state = arguments
    found = _node(scene, node)
    if state not in (found.state, found.role):
        raise NotSo(f"{node} is {found.state}, {found.role or 'without a role'}")


def _converged(scene: Scene, _: tuple[str, ...]) -> None:
    if not scene.look().converged:
        raise NotSo("the nodes' logs are not all the same, committed and applied")


def _has_entries(scene: Scene, arguments: tuple[str, ...]) -> None:
    node, index = arguments
    found = _node(scene, node)
    if found.last_index < int(index):
        raise NotSo(f"the log of {node} ends at {found.last_index}")


# -- of what was printed -----------------------------------------------------------------------


def _prints(scene: Scene, arguments: tuple[str, ...]) -> None:
    if arguments[0] not in scene.output:
        raise NotSo(f"it printed {scene.output.strip()!r}")


def _prints_not(scene: Scene, arguments: tuple[str, ...]) -> None:
    if arguments[0] in scene.output:
        raise NotSo(f"it printed {scene.output.strip()!r}")


def _exit_status(scene: Scene, arguments: tuple[str, ...]) -> None:
    if scene.exit_status != int(arguments[0]):
        printed = scene.output.strip()
        raise NotSo(f"the exit status is {scene.exit_status}, and it printed {printed!r}")


CLAIMS: dict[str, tuple[_Check, bool]] = {
    "a leader": (_a_leader, True),
    "NODE leads": (_leads, True),
    "a new leader": (_new_leader, True),
    "the same leader": (_same_leader, True),
    "a later term": (_later_term, True),
    "no leader": (_no_leader, True),
    "two leaders": (_two_leaders, True),
    "all logs are the same": (_converged, True),
    "the log of NODE reaches INDEX": (_has_entries, True),
    "it prints `TEXT`": (_prints, False),
    "it does not print `TEXT`": (_prints_not, False),
    "exit status NUMBER": (_exit_status, False),
    "NODE is STATE": (_state, True),
}
"""Each claim, and whether it is waited for. NODE is `n3`; STATE is a state or a role of `ps`."""

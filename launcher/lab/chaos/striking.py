"""How each kind of fault begins and ends on a cluster, by the methods of `launcher.Cluster`.

Each is a generator: what stands before its first `yield` begins the fault, what it yields is how
long it lasts, in seconds, and what stands behind ends it. A fault ends by the handle that its
beginning has returned, so it ends only what it has begun. Whatever fails raises LauncherError; the
player says so and goes on.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeAlias

import msgspec

from launcher.cluster import Cluster
from launcher.control.naming import Link
from launcher.control.targets import words as as_words
from launcher.errors import LauncherError
from launcher.fault_kinds import (
    ADD,
    ALL,
    ANY,
    LEADER,
    POINT,
    REBUILD,
    RECONFIGURE,
    RECOVER,
    REMOVE,
    ROLL,
    SET_BACK,
    SUPERVISOR,
    THROTTLE,
    WIPE,
)
from launcher.folders import lock
from launcher.lab.chaos.aiming import Aim
from launcher.lab.chaos.course import Course
from launcher.lab.chaos.handing_over import add_led_by_two, transfer_in_vain
from launcher.lab.chaos.kinds import DROP, FREEZE, TIME_OUT
from launcher.lab.chaos.leading import once_led
from launcher.lab.chaos.schedule import Fault
from launcher.lab.chaos.wording import (
    ADDITIONS,
    DISK_KINDS,
    IN_VAIN,
    LED_BY_TWO,
    LINK_KINDS,
    TRANSFERS,
    link_words,
    point_and_action,
    type_and_count,
)
from node.raft.messages import NodeId

BEGUN = 0.0
"""What a fault yields first that takes long to carry out: it begins with the command."""

HUNT_PAUSE_S = 0.1
"""How often a hunt looks for a new leader."""

HUNTED_S = 0.6
"""How long a leader that was hunted down stays down."""

WRITES_WAIT, WRITES_WAIT_S = "100*sleep(30ms)", 0.1
"""What delays writes before a torn power failure, and for how many seconds before."""


class Strike:
    """One fault in force. key: under which the course counts it"""

    def __init__(self, course: Course, fault: Fault, struck: Aim, key: str) -> None:
        self.course = course
        self.cluster: Cluster = course.cluster
        self.fault = fault
        self.struck = struck
        self.nodes = struck.nodes
        self.key = key
        self.rng = Random(f"{fault.draw} strike")

    @property
    def lasts_s(self) -> float:
        """How long it lasts."""
        return self.fault.duration_s

    def revive(self) -> None:
        """Lets the nodes that it struck run again."""
        self.course.revive(self.nodes, self.key)

    def give_back(self) -> None:
        """What it took away is there again, before its end."""
        self.course.give_back(self.key)

    def another(
        self, kind: str, target: str, words: str, number: int = 0
    ) -> AbstractContextManager[Aim | str]:
        """What its end does is a fault of its own, which the budget may not allow."""
        fault = msgspec.structs.replace(
            self.fault, kind=kind, target=target, words=words, draw=self.fault.draw + number + 1
        )
        return self.course.taken(f"{self.key} {number}", fault)

    def folder(self, node: NodeId) -> Path:
        """The data folder of a node."""
        return self.cluster.config.node_data_dir(node)


Steps: TypeAlias = Iterator[float]
Begin: TypeAlias = Callable[[Strike], Steps]


# -- processes -----------------------------------------------------------------------------------


def _kill(strike: Strike) -> Steps:
    strike.cluster.kill(*strike.nodes)
    yield strike.lasts_s
    strike.revive()


def _power(strike: Strike) -> Steps:
    """Where writes are to be torn, there must be one: so each waits between its bytes and its sync
    from a moment before the power fails."""
    torn = strike.fault.words == "torn"
    if torn:
        strike.cluster.arm(*strike.nodes, point="before-sync", action=WRITES_WAIT)
        yield WRITES_WAIT_S
    strike.cluster.kill(*strike.nodes, power=True, torn=torn)
    if torn:
        strike.cluster.arm(*strike.nodes, point="before-sync", action="off")
    yield strike.lasts_s
    strike.revive()


def _kill_twice(strike: Strike) -> Steps:
    """The second time while it recovers, a moment after it was started."""
    strike.cluster.kill(*strike.nodes)
    yield strike.lasts_s / 2

    def start() -> None:
        with suppress(LauncherError):  # it is killed before it answers
            strike.cluster.start(*strike.nodes)

    starter = threading.Thread(target=start, daemon=True)
    starter.start()
    yield 0.3 * strike.rng.random()
    with suppress(LauncherError):  # it is not there yet
        strike.cluster.kill(*strike.nodes)
    starter.join()
    yield strike.lasts_s / 2
    strike.revive()


def _pause(strike: Strike) -> Steps:
    handle = strike.cluster.pause(*strike.nodes)
    yield strike.lasts_s
    handle.end()
    strike.revive()


def _throttle(strike: Strike) -> Steps:
    handle = strike.cluster.throttle(_joined(strike.nodes), strike.fault.words)
    yield strike.lasts_s
    handle.end()


def _freeze(strike: Strike) -> Steps:
    handle = strike.cluster.freeze()
    yield strike.lasts_s
    handle.end()


def _supervisor(strike: Strike) -> Steps:
    """All nodes end with it. Whoever has started the cluster does not own the next one."""
    running = lock.running(strike.cluster.config)
    if running is not None:
        running.process.send_signal(9)
    yield strike.lasts_s
    strike.cluster.up(detached=True)


def _hunt(strike: Strike) -> Steps:
    """Each strike is a fault of its own, which the budget may not allow."""
    course, until_s, count = strike.course, strike.course.at_s + strike.lasts_s, 0
    while course.at_s < until_s:
        count += 1
        fault = msgspec.structs.replace(
            strike.fault, kind=strike.fault.words, target=LEADER, words="", duration_s=HUNTED_S
        )
        key = f"{strike.key}/{count}"
        with course.taken(key, fault) as struck:
            if isinstance(struck, Aim):
                course.say("began", fault, struck)
                with course.noting(fault, struck):
                    yield from BEGINS[fault.kind](Strike(course, fault, struck, key))
                course.say("ended", fault, struck)
        yield HUNT_PAUSE_S


# -- points --------------------------------------------------------------------------------------


def _arm(strike: Strike) -> Steps:
    point, action = point_and_action(strike.fault.words)
    handle = strike.cluster.arm(*strike.nodes, point=point, action=action)
    yield strike.lasts_s
    handle.end()
    strike.revive()


# -- disks and clocks ----------------------------------------------------------------------------


def _disk(strike: Strike) -> Steps:
    handle = strike.cluster.disk(*strike.nodes, fault=strike.fault.words)
    yield strike.lasts_s
    handle.end()
    strike.revive()


def _clock(strike: Strike) -> Steps:
    words = strike.fault.words
    handle = strike.cluster.clock(
        _joined(strike.nodes), words.removesuffix(" wall"), wall=words.endswith(" wall")
    )
    yield strike.lasts_s
    handle.end()


# -- links ---------------------------------------------------------------------------------------


def _partition(strike: Strike) -> Steps:
    if not strike.struck.spec:
        yield from _links(strike)
        return
    handle = strike.cluster.partition(strike.struck.spec)
    yield strike.lasts_s
    handle.end()


def _links(strike: Strike) -> Steps:
    words = (
        "cut"
        if strike.fault.kind == "partition"
        else link_words(strike.fault.kind, strike.fault.words)
    )
    with ExitStack() as handles:
        for text in link_texts(strike.struck.links):
            handles.enter_context(strike.cluster.link(text, words))
        yield strike.lasts_s


def link_texts(links: Sequence[Link]) -> list[str]:
    """These links as LINKS, in few texts: one for each node that sends."""
    heard: dict[NodeId, list[NodeId]] = {}
    for source, target in sorted(links):
        heard.setdefault(source, []).append(target)
    return [f"{source}>{_joined(targets)}" for source, targets in heard.items()]


def _drop(strike: Strike) -> Steps:
    kind, count = type_and_count(strike.fault.words)
    for source, target in strike.struck.links:
        strike.cluster.drop(f"n{source}>n{target}", kind, count=count)
    yield strike.lasts_s


# -- what an operator does -----------------------------------------------------------------------


def _snapshot(strike: Strike) -> Steps:
    yield BEGUN
    strike.cluster.snapshot(*strike.nodes)
    yield strike.lasts_s


def _transfer(strike: Strike) -> Steps:
    """To the node that was chosen, and then to whichever."""
    yield BEGUN
    if strike.fault.words == IN_VAIN:
        transfer_in_vain(strike.cluster, strike.nodes[0])
    else:
        strike.cluster.transfer(strike.nodes[0])
    for _ in range(TRANSFERS[strike.fault.words] - 1):
        yield strike.lasts_s / 3
        strike.cluster.transfer("random")
    yield strike.lasts_s / 3


def _time_out(strike: Strike) -> Steps:
    strike.cluster.time_out(*strike.nodes)
    yield strike.lasts_s


def _roll(strike: Strike) -> Steps:
    yield BEGUN
    strike.cluster.restart(*sorted(strike.struck.effect.next_out), rolling=True)
    yield strike.lasts_s


def _add(strike: Strike) -> Steps:
    """In the end others go, so that there are as many nodes as before; if the budget allows it."""
    count = ADDITIONS[strike.fault.words]
    yield BEGUN
    if strike.fault.words == LED_BY_TWO:
        add_led_by_two(strike.cluster, strike.course.wait)
    else:
        strike.cluster.add(count)
    strike.give_back()
    yield strike.lasts_s
    for number in range(count):
        with strike.another(REMOVE, ANY, "", number) as struck:
            if isinstance(struck, Aim):
                strike.cluster.remove(*struck.nodes)


def _remove(strike: Strike) -> Steps:
    """In the end a new node comes, if the budget allows it."""
    yield BEGUN
    strike.cluster.remove(*strike.nodes)
    strike.give_back()
    yield strike.lasts_s
    with strike.another(ADD, ALL, "1 node") as struck:
        if isinstance(struck, Aim):
            strike.cluster.add(1)


def _reconfigure(strike: Strike) -> Steps:
    yield BEGUN
    strike.cluster.add(1)
    yield strike.lasts_s
    strike.cluster.remove(*strike.nodes)


def _rebuild(strike: Strike) -> Steps:
    yield BEGUN
    strike.cluster.rebuild(*strike.nodes)
    yield strike.lasts_s


# -- lost data -----------------------------------------------------------------------------------


def _wipe(strike: Strike) -> Steps:
    """The nodes notice that their folders were emptied, and are rebuilt from the others."""
    strike.cluster.kill(*strike.nodes)
    for node in strike.nodes:
        strike.course.lost.add(node)
        _empty(strike.folder(node))
    yield strike.lasts_s
    _refused_then_rebuilt(strike, "an emptied folder")


def _set_back(strike: Strike) -> Steps:
    """The folder is as it was a life ago. Its node notices that, and is rebuilt from the others."""
    (node,) = strike.nodes
    with tempfile.TemporaryDirectory(prefix="leeky-chaos-") as kept:
        strike.cluster.kill(node)
        shutil.copytree(strike.folder(node), kept, dirs_exist_ok=True)
        strike.cluster.start(node)
        yield strike.lasts_s
        if strike.course.ends.is_set():
            return
        strike.cluster.kill(node)
        strike.course.lost.add(node)
        _empty(strike.folder(node))
        shutil.copytree(kept, strike.folder(node), dirs_exist_ok=True)
    _refused_then_rebuilt(strike, "an older copy of its folder")


def _refused_then_rebuilt(strike: Strike, what: str) -> None:
    for node in strike.nodes:
        try:
            strike.cluster.start(node)
        except LauncherError:
            continue
        raise LauncherError(f"n{node} was started with {what}, and did not refuse to run")
    once_led(strike.cluster, partial(strike.cluster.rebuild, *strike.nodes))
    strike.course.lost -= set(strike.nodes)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _joined(nodes: Sequence[NodeId]) -> str:
    return ",".join(as_words(nodes))


BEGINS: dict[str, Begin] = {
    "partition": _partition,
    **dict.fromkeys(LINK_KINDS, _links),
    **dict.fromkeys(("kill", "kill-all"), _kill),
    "kill-twice": _kill_twice,
    **dict.fromkeys(("power", "blackout"), _power),
    "hunt": _hunt,
    **dict.fromkeys(("ambush", POINT), _arm),
    "pause": _pause,
    "clock": _clock,
    **dict.fromkeys(DISK_KINDS, _disk),
    "snapshot": _snapshot,
    RECONFIGURE: _reconfigure,
    REBUILD: _rebuild,
    "transfer": _transfer,
    **dict.fromkeys((WIPE, RECOVER), _wipe),
    SET_BACK: _set_back,
    ADD: _add,
    REMOVE: _remove,
    SUPERVISOR: _supervisor,
    ROLL: _roll,
    THROTTLE: _throttle,
    FREEZE: _freeze,
    DROP: _drop,
    TIME_OUT: _time_out,
}
"""How each kind begins and ends."""

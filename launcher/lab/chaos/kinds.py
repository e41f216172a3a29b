"""The kinds of faults that chaos injects into real processes: what each is aimed at, how long it
lasts, and its words. Pure.

The names are those of the simulated world (`launcher/fault_kinds.py`), and each kind does the same
here, by commands that an operator could give. Where that would break the quorum or lose the data of
too many, it does as much of it as the budget allows; `IN_REALITY` says what becomes of each such
kind. Flipped bits are for the simulated world alone: they damage what was acknowledged, and a node
whose log is damaged is for its operator to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

import msgspec

from launcher.fault_kinds import (
    ADD,
    ALL,
    ANY,
    CYCLE_DISK,
    FLIP_BIT,
    FOLLOWER,
    GROUPS,
    HOLD,
    LEADER,
    POINT,
    RATE,
    REBUILD,
    RECONFIGURE,
    RECOVER,
    REMOVE,
    ROLL,
    SET_BACK,
    SUPERVISOR,
    TEXTS,
    THROTTLE,
    WIPE,
)

FREEZE = "freeze"
DROP = "drop"
TIME_OUT = "time-out"

IN_REALITY = {
    "kill-all": "SIGKILL of as many nodes at once as the budget allows",
    "blackout": "the power of as many nodes at once fails as the budget allows",
    "hunt": "each new leader is killed, paused or cut off within moments, while the budget allows",
    "ambush": "a node is armed to be struck just after a vote, a snapshot or the like",
    "slow-disk": "syncs are slow, by too little to count",
    RECONFIGURE: "a node is added, and another one is removed",
    WIPE: "SIGKILL, the node's folder is emptied, the node refuses to start, and is rebuilt",
    SET_BACK: (
        "SIGKILL, an older copy of the node's folder is put back, the node refuses to start, and "
        "is rebuilt"
    ),
    RECOVER: "as many nodes as the budget allows lose their data at once, and are rebuilt",
    ADD: "one or two new nodes are added, and in the end others are removed",
    REMOVE: "a node is removed, and in the end a new one is added",
    SUPERVISOR: "SIGKILL of the supervisor, and of all nodes with it: only beyond the quorum",
    FREEZE: "every node is stopped at one moment: only beyond the quorum",
    DROP: "the next messages of a type are lost on some links",
    TIME_OUT: "a follower's election timer fires",
}
"""What a kind does to real processes, where that is not what `launcher/fault_kinds.py` says."""

_SHAPES = (
    "two groups", "two groups", "three groups", "halves", "minority", "leader", "bridge",
    "majorities-ring",
)  # fmt: skip
_LONG_POINTS = ("before-sync", "after-sync", "before-apply", "before-reply", "after-vote")
_POINTS = (
    *_LONG_POINTS,
    *("before-leader-send", "before-follower-send", "before-apply-configuration"),
    *("before-save-snapshot", "after-save-snapshot", "before-send-snapshot"),
    *("before-install-snapshot", "after-install-snapshot"),
)
_AMBUSHES = (
    *("after-vote", "before-apply-configuration", "before-send-snapshot"),
    *("after-save-snapshot", "before-install-snapshot", "after-install-snapshot"),
)
_TYPES = (
    *("AppendEntries", "AppendEntriesReply", "RequestVote", "RequestVoteReply", "heartbeat"),
    *("PreVote", "PreVoteReply", "InstallSnapshot", "InstallSnapshotReply", "TimeoutNow"),
)

Words: TypeAlias = Callable[[Random], str]


class Kind(msgspec.Struct, frozen=True):
    """One kind of fault on real processes.

    targets: what it may be aimed at, each equally likely
    weight: how often it is chosen, relative to the other kinds
    lasts_s: the least and the most that it lasts, in seconds
    words: draws what it does exactly, as the commands of the launcher say it; empty: there is
        nothing to say
    """

    targets: tuple[str, ...]
    weight: float = 1.0
    lasts_s: tuple[float, float] = (0.3, 3.0)
    words: Words = lambda rng: ""


def _one_of(*texts: str) -> Words:
    return lambda rng: rng.choice(texts)


def _slow_link(rng: Random) -> str:
    if rng.random() < 0.3:
        return f"profile {rng.choice(['3g', 'dsl', 'wifi', 'satellite'])}"
    delay = round(10 * 40 ** rng.random())
    return f"delay {delay}ms {rng.randint(0, delay)}ms"


def _flaky(rng: Random) -> str:
    return f"loss {rng.randint(1, 25)}% duplicate {rng.randint(1, 20)}%"


def _reorder(rng: Random) -> str:
    return f"reorder {rng.randint(5, 40)}% duplicate {rng.randint(1, 10)}%"


def _clock(rng: Random) -> str:
    step = round(5 * 200 ** rng.random())
    return rng.choice(
        [
            f"bump {step}ms",
            f"bump -{step}ms",
            f"strobe {step}ms {rng.randint(50, 300)}ms",
            f"rate {rng.choice(['0.2', '0.5', '0.96', '1.04', '2', '5'])}",
            f"bump {rng.choice(['', '-'])}{10 * step}ms wall",
        ]
    )


def _point(rng: Random) -> str:
    passing = rng.choice([0, 0, 1, 3, 10])
    point = rng.choice(_LONG_POINTS if passing else _POINTS)
    actions = ["kill", "kill", "power", "power", "1*pause", f"3*sleep({rng.randint(20, 800)}ms)"]
    action = rng.choice([*actions, "fail-sync"])
    return f"{point} {f'{passing}*off->' if passing else ''}{action}"


def _ambush(rng: Random) -> str:
    return f"{rng.choice(_AMBUSHES)} {rng.choice(['kill', 'kill', 'power', '1*pause'])}"


_ONE = (LEADER, FOLLOWER, ANY)

KINDS: dict[str, Kind] = {
    "partition": Kind((ALL,), 2.0, words=_one_of(*_SHAPES)),
    "isolate": Kind(_ONE),
    "deafen": Kind(_ONE),
    "mute": Kind(_ONE),
    "cut": Kind((ALL,), words=lambda rng: f"{rng.randint(10, 50)}% of the links"),
    "flaky": Kind((ALL,), words=_flaky),
    "reorder": Kind((ALL,), words=_reorder),
    "slow-link": Kind(_ONE, words=_slow_link),
    "kill": Kind(_ONE, 2.0, (0.1, 3.0)),
    "kill-twice": Kind(_ONE, 0.5),
    "kill-all": Kind((ALL,), 0.5, (0.1, 1.5)),
    "power": Kind(_ONE, 2.0, (0.1, 3.0), _one_of("", "torn")),
    "blackout": Kind((ALL,), 0.5, (0.1, 1.5), _one_of("", "torn")),
    "hunt": Kind((ALL,), 1.0, (1.0, 6.0), _one_of("kill", "pause", "isolate")),
    "ambush": Kind((ANY, ALL), 0.7, (1.0, 6.0), _ambush),
    "pause": Kind(_ONE, 1.5),
    "clock": Kind((ANY, ALL), 0.7, (0.5, 5.0), _clock),
    "slow-disk": Kind((*_ONE, ALL), 1.0, words=lambda rng: f"slow {rng.randint(5, 150)}ms"),
    "hang-disk": Kind(_ONE, words=_one_of("hang")),
    "full-disk": Kind(_ONE, 0.5, (0.2, 1.0), _one_of("full")),
    "fail-write": Kind(_ONE, 0.5, (0.2, 1.0), _one_of("fail-write")),
    "fail-sync": Kind(_ONE, 0.5, (0.2, 1.0), _one_of("fail-sync")),
    "snapshot": Kind((*_ONE, ALL), 1.0, (0.0, 0.0)),
    RECONFIGURE: Kind((ANY,), 0.5, (0.0, 0.0)),
    REBUILD: Kind(_ONE, 0.5, (0.0, 0.0)),
    "transfer": Kind(
        (FOLLOWER,), 1.0, (0.0, 1.0), _one_of("once", "twice", "3 times", "in vain")
    ),
    WIPE: Kind(_ONE, 0.4, (0.1, 1.0)),
    SET_BACK: Kind(_ONE, 0.4, (0.3, 2.0)),
    RECOVER: Kind((ALL,), 0.3, (0.1, 1.0)),
    ADD: Kind((ALL,), 0.5, (0.5, 6.0), _one_of("1 node", "2 nodes", "1 node, led by two")),
    REMOVE: Kind(_ONE, 0.5, (0.5, 6.0)),
    SUPERVISOR: Kind((ALL,), 0.2, (0.1, 1.0)),
    ROLL: Kind((ALL,), 0.4, (0.0, 0.0)),
    THROTTLE: Kind(
        (*_ONE, ALL), 1.0, (0.5, 4.0), lambda rng: f"{rng.choice([2, 5, 10, 20, 50])}%"
    ),
    CYCLE_DISK: Kind(
        (*_ONE, ALL), 1.0, (0.5, 4.0),
        lambda rng: f"cycle {rng.randint(100, 900)}ms {rng.randint(100, 900)}ms",
    ),
    RATE: Kind(_ONE, words=lambda rng: f"rate {round(10 * 300 ** rng.random())}kbit"),
    HOLD: Kind(_ONE, words=_one_of("hold")),
    POINT: Kind((*_ONE, ALL), 1.5, (0.5, 5.0), _point),
    FREEZE: Kind((ALL,), 0.2, (0.2, 1.5)),
    DROP: Kind((ALL,), 0.5, (0.0, 0.0), lambda rng: f"{rng.choice(_TYPES)} {rng.randint(1, 3)}"),
    TIME_OUT: Kind((FOLLOWER,), 1.0, (0.0, 0.0)),
}  # fmt: skip
"""Every kind that is injected into real processes."""

ALL_GROUPS: dict[str, tuple[str, ...]] = {
    **GROUPS,
    "all": tuple(KINDS),
    "disk": (*GROUPS["disk"], CYCLE_DISK),
    "membership": (RECONFIGURE, REBUILD, ADD, REMOVE),
}
"""Names for several kinds together."""

BEYOND = (SUPERVISOR, FREEZE)
"""Kinds that take every node at once: no budget ever allows them."""

NOT_HERE = tuple(kind for kind in TEXTS if kind not in KINDS)
assert NOT_HERE == (FLIP_BIT,), "every other kind of the simulated world is known here"


def text_of(kind: str) -> str:
    """What the kind does to real processes, for people."""
    return IN_REALITY.get(kind) or TEXTS[kind]

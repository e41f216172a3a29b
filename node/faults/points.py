"""Armed points: named places in the code at which a fault strikes, as a pure verdict.

A point is named after what is about to happen there, or has just happened: `before-sync`,
`after-vote`. Whoever comes to one asks what is to be done. The answer is in the chain with which
the point is armed, in the grammar of fail-rs:

    [p%][cnt*]action[(args)] -> ...

    kill          the process kills itself with SIGKILL
    power         the machine loses its power: the process ends, and what was not synced is lost
    pause         the process stops itself with SIGSTOP, until it is resumed
    sleep(1s)     whoever came to the point waits for so long: the loop of the node, or its disk
                  thread
    fail-sync     the next sync fails with EIO
    cut           nothing crosses the links of this node any more, in both directions
    off           nothing

Each time that the point is reached, the first link of the chain that is not used up, and that its
percentage lets strike, does so; the links behind it have to wait. So `3*off->kill` kills at the
fourth hit, and `20%pause->sleep(10ms)` pauses in one case of five and otherwise sleeps.

`kill`, `power`, `fail-sync` and `cut` are used up when they have struck once, unless a count says
otherwise: a node that is started again would only die again. With `2*kill` it does, once.

Here is no clock, and the randomness is handed in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import get_args

import msgspec

from node.quantities import parse_duration_s, write_duration
from node.wire import ArmedPoint, PointAction, PointTerm


class Point(msgspec.Struct, frozen=True):
    """One place in the code.

    text: when it is reached, for people
    etcd: the names that etcd has for it; empty where it has none
    """

    text: str
    etcd: str = ""


POINTS: dict[str, Point] = {
    "before-leader-send": Point("a leader is about to send messages", "raftBeforeLeaderSend"),
    "before-follower-send": Point(
        "a node that does not lead is about to send messages", "raftBeforeFollowerSend"
    ),
    "before-sync": Point(
        "a record of the log is written, and not synced", "raftBeforeSave, walBeforeSync"
    ),
    "after-sync": Point("a record of the log is durable", "raftAfterSave, walAfterSync"),
    "after-vote": Point("a vote for another node is durable, and nobody has heard of it"),
    "before-apply": Point(
        "a committed batch of entries is about to be applied", "beforeApplyOneEntryNormal"
    ),
    "before-apply-configuration": Point(
        "a committed configuration is about to be applied", "beforeApplyOneConfChange"
    ),
    "before-reply": Point("an entry is applied, and its client is about to be told"),
    "before-save-snapshot": Point(
        "a snapshot of this node is written, and has no name yet", "raftBeforeSaveSnap"
    ),
    "after-save-snapshot": Point("a snapshot of this node counts", "raftAfterSaveSnap"),
    "before-send-snapshot": Point("a leader is about to read and send a piece of its snapshot"),
    "before-install-snapshot": Point(
        "a leader's snapshot has arrived whole, and is about to replace the log",
        "raftBeforeApplySnap",
    ),
    "after-install-snapshot": Point(
        "a leader's snapshot has replaced the log, and is not restored", "raftAfterApplySnap"
    ),
}
"""Every point, in the order in which an entry comes by, and then a snapshot."""

ACTIONS: tuple[PointAction, ...] = get_args(PointAction)

_ONCE = ("kill", "power", "fail-sync", "cut")
"""What strikes once, unless a count says otherwise."""

MOST_TERMS = 20
MOST_COUNT = 1_000_000
LEAST_SLEEP_S = 0.001
"""Each strike is an event: a shorter sleep would write nothing else."""

MOST_SLEEP_S = 3600.0

_LINK = re.compile(r"(?:([^%]*)%)?(?:([^*]*)\*)?\s*([^()]*?)\s*(?:\((.*)\))?", re.DOTALL)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


# -- the grammar ---------------------------------------------------------------------------------


def parse(text: str) -> list[PointTerm]:
    """The chain that the text stands for; one that is only `off` is empty. Raises ValueError."""
    links = [part.strip() for part in text.split("->")]
    if len(links) > MOST_TERMS:
        raise ValueError(f"a chain has at most {MOST_TERMS} actions, not {len(links)}")
    terms = [_parse_link(link) for link in links]
    for place, term in enumerate(terms[:-1]):
        if term.count is None and term.percent == 100:
            after = links[place + 1]
            raise ValueError(
                f"{after} is never reached behind {links[place]}, which strikes every time: "
                "give that a count (3*) or a percentage (50%)"
            )
    return [] if terms == [PointTerm("off")] else terms


def check(terms: Sequence[PointTerm]) -> None:
    """Raises ValueError for a chain that `parse` would not have made."""
    if len(terms) > MOST_TERMS:
        raise ValueError(f"a chain has at most {MOST_TERMS} actions, not {len(terms)}")
    for term in terms:
        if not 0 < term.percent <= 100:  # catches NaN too
            raise ValueError(f"a percentage is above 0 and at most 100, not {term.percent}")
        if term.count is not None and not 1 <= term.count <= MOST_COUNT:
            raise ValueError(f"a count is from 1 to {MOST_COUNT}, not {term.count}")
        if term.action == "sleep" and not LEAST_SLEEP_S <= term.seconds <= MOST_SLEEP_S:
            raise ValueError("sleep takes a duration from 1ms to 1h, such as sleep(100ms)")


def write(terms: Iterable[PointTerm]) -> str:
    """The text of a chain, without what is used up; empty when all of it is."""
    return "->".join(_write_link(term) for term in terms if term.count != 0)


def _parse_link(link: str) -> PointTerm:
    found = _LINK.fullmatch(link)
    if not link or found is None:
        what = "an action is missing" if not link else f"{link} is no action"
        raise ValueError(f"{what}: write for example kill, 2*kill, 20%sleep(1s), 3*off->kill")
    percent, count, action, argument = found.groups()
    if action not in ACTIONS:
        raise ValueError(
            f"no action is called {action or link!r}: there are {', '.join(ACTIONS[:-1])} and off"
        )
    seconds = 0.0
    if action == "sleep":
        seconds = _sleep_s(argument)
    elif argument is not None:
        raise ValueError(f"{action} takes nothing in brackets; only sleep does: sleep(1s)")
    term = PointTerm(action, _percent(percent), _count(count, action), seconds)
    check([term])
    return term


def _sleep_s(argument: str | None) -> float:
    try:
        return parse_duration_s((argument or "").strip())
    except ValueError:
        raise ValueError("sleep takes a duration with a unit, such as sleep(100ms)") from None


def _percent(text: str | None) -> float:
    if text is None:
        return 100.0
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{text.strip()}% is no percentage: write for example 20%kill")
    return float(text)


def _count(text: str | None, action: str) -> int | None:
    if text is None:
        return 1 if action in _ONCE else None
    word = text.strip()
    if not (word.isascii() and word.isdigit()):
        raise ValueError(f"{word}* is no count: write for example 2*kill")
    if len(word) > len(str(MOST_COUNT)):
        raise ValueError(f"a count is from 1 to {MOST_COUNT}")
    return int(word)


def _write_link(term: PointTerm) -> str:
    percent = ""
    if term.percent != 100:
        percent = f"{term.percent:.9f}".rstrip("0").rstrip(".") + "%"
    count = "" if term.count is None else f"{term.count}*"
    argument = f"({write_duration(term.seconds)})" if term.action == "sleep" else ""
    return f"{percent}{count}{term.action}{argument}"


# -- the verdict ---------------------------------------------------------------------------------


class Strike(msgspec.Struct, frozen=True):
    """What is to be done at a point now.

    state: the point, with this strike counted
    """

    state: ArmedPoint
    term: PointTerm


class ArmedPoints:
    """The points of one node.

    armed: whether any of them may strike
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._points: dict[str, ArmedPoint] = {}
        self.armed = False

    def arm(self, points: Iterable[ArmedPoint]) -> None:
        """From now on these are armed, and no others. One that is armed already, with the same id,
        keeps its counts."""
        known, self._points = self._points, {}
        for point in points:
            before = known.get(point.point)
            same = before is not None and before.id == point.id
            self._points[point.point] = before if before is not None and same else point
        self._look()

    def reach(self, name: str) -> Strike | None:
        """The point of this name is reached: what strikes there, if anything."""
        point = self._points.get(name)
        if point is None or point.is_spent:
            return None
        place = self._draw(point.terms)
        terms, strikes = point.terms, point.strikes
        if place is not None:
            terms = [_used(term) if at == place else term for at, term in enumerate(terms)]
            strikes += terms[place].action != "off"
        point = msgspec.structs.replace(point, hits=point.hits + 1, terms=terms, strikes=strikes)
        self._points[name] = point
        self._look()
        if place is None or terms[place].action == "off":
            return None
        return Strike(point, terms[place])

    def states(self) -> list[ArmedPoint]:
        """All of them, those too whose chain is used up."""
        return list(self._points.values())

    def _draw(self, terms: Sequence[PointTerm]) -> int | None:
        """The place of the link that strikes. No draw for what is certain."""
        for place, term in enumerate(terms):
            if term.count == 0:
                continue
            if term.percent >= 100 or 100 * self._rng.random() < term.percent:
                return place
        return None

    def _look(self) -> None:
        self.armed = any(not point.is_spent for point in self._points.values())


def _used(term: PointTerm) -> PointTerm:
    """With one strike less."""
    if term.count is None:
        return term
    return msgspec.structs.replace(term, count=term.count - 1)

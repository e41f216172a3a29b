"""The causes of an event as a tree of sentences, newest first.

Each cause stands under what it caused. What has been explained above is not explained again, so a
tree has no more lines than there are things in it. It ends where something came from outside, where
no rule knows more, and at a bound of depth and of lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from launcher.evidence.why.cause import Cause
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.table import causes_of, without_rule
from launcher.evidence.why.things import Happening, Message, Thing
from node.printable import escaped

MOST_LINES = 40
MOST_DEPTH = 12


@dataclass
class Branch:
    """A cause, and what caused it.

    repeated: its causes stand above, under the same thing
    is_cut: it has more causes, which a bound has left out
    """

    cause: Cause
    below: list[Branch] = field(default_factory=list)
    repeated: bool = False
    is_cut: bool = False


def grow(
    past: Past, root: Cause, *, most_lines: int = MOST_LINES, most_depth: int = MOST_DEPTH
) -> Branch:
    """The tree under a cause. Breadth does not crowd out depth: a branch is grown to its end before
    the next, and the newest is first."""
    return _Growth(past, most_lines, most_depth).grow(root, 0)


class _Growth:
    def __init__(self, past: Past, most_lines: int, most_depth: int) -> None:
        self._past = past
        self._left = most_lines
        self._most_depth = most_depth
        self._explained: set[int] = set()

    def grow(self, cause: Cause, depth: int) -> Branch:
        self._left -= 1
        branch = Branch(cause)
        if depth >= self._most_depth:
            branch.is_cut = not cause.is_end or bool(cause.because)
            return branch
        below = list(cause.because)
        thing = cause.thing
        if not (cause.is_end or cause.is_aside) and thing is not None and not below:
            if id(thing) in self._explained:
                branch.repeated = True
                return branch
            self._explained.add(id(thing))
            below = causes_of(self._past, thing)
        for one in sorted(below, key=lambda one: (one.is_aside, -one.at)):
            if self._left <= 0:
                branch.is_cut = True
                break
            branch.below.append(self.grow(one, depth + 1))
        return branch


# -- as text -------------------------------------------------------------------------------------


def lines(
    tree: Branch,
    *,
    clock: Callable[[int], str],
    ids: bool = False,
    width: int | None = None,
    style: Callable[[str, str], str] = lambda text, _: text,
) -> Iterator[str]:
    """The tree, a line for each cause.

    clock: says a time
    ids: with the id of what each line is about
    width: columns; longer sentences go on in the next line. None: they are not broken
    style: given text and what it is (`time`, `branch`, `root`, `end`, `id`), adds colours
    """
    blank = " " * len(clock(0))
    for cause, stem, follows, below in _walk(tree, "", "", True):
        when = clock(cause.at_ns) if cause.at_ns is not None else blank
        said = escaped(cause.said)
        name = _name(cause.thing) if ids else ""
        room = None if width is None else max(width - len(when) - 2 - len(stem), 20)
        parts = [said] if room is None else textwrap.wrap(said, room) or [""]
        kind = "end" if cause.is_end and not below else "root" if not stem else ""
        for number, part in enumerate(parts):
            first = number == 0
            column = style(when if first else blank, "time")
            joint = style(stem if first else follows, "branch")
            tail = f"  {style(name, 'id')}" if name and number == len(parts) - 1 else ""
            yield f"{column}  {joint}{style(part, kind)}{tail}"


def _walk(
    branch: Branch, stem: str, follows: str, last: bool
) -> Iterator[tuple[Cause, str, str, bool]]:
    """Each cause, with what stands before its first line and before the lines that follow."""
    cause = branch.cause
    if branch.repeated:
        cause = Cause(f"{cause.said} (see above)", cause.thing, is_end=True, when_ns=cause.at_ns)
    yield cause, stem, follows, bool(branch.below)
    base = "" if not stem else follows
    for number, one in enumerate(branch.below):
        ends = number == len(branch.below) - 1
        yield from _walk(
            one, base + ("└─ " if ends else "├─ "), base + ("   " if ends else "│  "), ends
        )


def _name(thing: Thing | None) -> str:
    return "" if thing is None else thing.name


def to_json(branch: Branch) -> dict[str, object]:
    """The tree for programs."""
    cause, thing = branch.cause, branch.cause.thing
    found: dict[str, object] = {"said": cause.said, "t_ns": cause.at_ns}
    if thing is not None:
        found["id"] = thing.name
        found["event"] = thing.kind if isinstance(thing, Happening) else thing.type
    if cause.is_order:
        found["only_before"] = True
    if branch.below:
        found["because"] = [to_json(one) for one in branch.below]
    return found


def notes(past: Past, root: Cause, tree: Branch) -> list[str]:
    """What the reader has to know of the explanation: what is missing in what it rests on."""
    said: list[str] = []
    thing = root.thing
    if thing is not None and not root.because and (line := without_rule(thing)):
        said.append(line)
    if past.left_out:
        said.append(
            f"{past.left_out} older events and messages were left out to bound the memory; what "
            "rests on them is not explained"
        )
    if is_cut(tree):
        said.append("more causes are not shown: -n all shows all of them")
    if past.damaged:
        said.append(f"{past.damaged} messages could not be read and were left out")
    return said


def mentions(branch: Branch) -> Iterator[Thing]:
    """Every thing that the tree is about."""
    if branch.cause.thing is not None:
        yield branch.cause.thing
    for one in branch.below:
        yield from mentions(one)


def is_cut(branch: Branch) -> bool:
    """Whether a bound has left out causes somewhere in the tree."""
    return branch.is_cut or any(map(is_cut, branch.below))


def has_messages(branch: Branch) -> bool:
    """Whether the tree rests on a message at all."""
    return any(isinstance(one, Message) for one in mentions(branch))

"""What a planted bug is, how it gets into the product and out again, and how it is searched for.

A bug is a patch of one function. Most are an edit of the function's own source: the line as it is,
and the line as a tired programmer would have written it. So a bug cannot drift away from the
product unseen: when the line is gone, the edit fails, and somebody has to look at it again.

The patch is in memory only, and in one process. A worker process plants the bug itself
(`searching.py`).
"""

from __future__ import annotations
import __future__

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from launcher.errors import LauncherError
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.world import Failure

TIME_S = 20.0
"""How long faults happen in each seed of a search, in simulated seconds."""

PRODUCT = ("node", "launcher")


@dataclass(frozen=True)
class Planted:
    """One bug.

    key: a short name that is easy to type
    name: in plain words
    pitfall: the line of the list of pitfalls that it is, such as "Raft itself 5", or nothing
    story: what is wrong, and what it leads to
    target, attribute: the module or class that holds the function, and its name there
    plant: takes the original, returns the broken one
    expected: which properties may catch it
    shows: which property caught it when the table in docs/SIMULATION.md was made; nothing if none
        did
    within: how many seeds, from 1 on, are enough to find it
    options: what its search needs other than the defaults
    """

    key: str
    name: str
    pitfall: str
    story: str
    target: ModuleType | type
    attribute: str
    plant: Callable[[Any], Any]
    expected: tuple[str, ...]
    within: int
    options: Mapping[str, Any] = field(default_factory=dict)
    shows: str = ""


@dataclass(frozen=True)
class Edited:
    """A plant: the function with pieces of its source replaced, each of which stands there once.

    edits: each piece as it is, and as it becomes
    """

    edits: tuple[tuple[str, str], ...]

    def __call__(self, original: Any) -> Any:
        """Raises LauncherError, as `source_of`."""
        function = function_of(original)
        code = compile(
            self.source_of(function),
            f"<{function.__qualname__}, with a bug>",
            "exec",
            flags=__future__.annotations.compiler_flag,
            dont_inherit=True,
        )
        made: dict[str, Any] = {}
        exec(code, function.__globals__, made)
        return made[function.__name__]

    def source_of(self, function: FunctionType) -> str:
        """The function's source with the bug in it, from the left margin on.

        Raises LauncherError when a piece is not there, or when there is no source to edit.
        """
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except OSError as error:
            raise LauncherError(
                f"{function.__qualname__} has no source that could be edited; a bug can only be "
                "planted where the program is installed as .py files"
            ) from error
        for old, new in self.edits:
            found = source.count(old)
            if found != 1:
                raise LauncherError(f"{function.__qualname__} has {found} times {old!r}")
            source = source.replace(old, new)
        return source


def edited(*edits: tuple[str, str]) -> Edited:
    """The plant that makes these edits."""
    return Edited(edits)


def function_of(original: Any) -> FunctionType:
    """The function behind a method, a property or a decorator."""
    if isinstance(original, property):
        original = original.fget
    function = inspect.unwrap(getattr(original, "__func__", original))
    assert isinstance(function, FunctionType)
    return function


def holders(bug: Planted) -> list[tuple[ModuleType | type, str]]:
    """Every place in the product that holds the function, under whatever name."""
    original = vars(bug.target)[bug.attribute]
    places: list[tuple[ModuleType | type, str]] = [(bug.target, bug.attribute)]
    for module_name, module in sorted(sys.modules.items()):
        if module_name.partition(".")[0] not in PRODUCT or module is bug.target:
            continue
        places += [(module, name) for name, held in vars(module).items() if held is original]
    return places


@contextmanager
def planted(bug: Planted) -> Iterator[None]:
    """The product with the bug in it, for as long as the context lasts."""
    original = vars(bug.target)[bug.attribute]
    broken = bug.plant(original)
    places = holders(bug)
    for place, name in places:
        setattr(place, name, broken)
    try:
        yield
    finally:
        for place, name in places:
            setattr(place, name, original)


def options_of(bug: Planted) -> Options:
    """What its search simulates."""
    return Options(**{"time_s": TIME_S, **bug.options})


def find(bug: Planted, known: int = 1) -> tuple[int, Failure] | None:
    """The first seed that fails with the bug in, and how; None when all pass.

    known: a seed to try before all others
    """
    with planted(bug):
        for seed in dict.fromkeys([known, *range(1, bug.within + 1)]):
            failure = run_seed(options_of(bug), seed).failure
            if failure is not None:
                return seed, failure
    return None

"""Every exception of ours survives pickling: a pool of processes hands it on as it was raised."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import types
import typing
from collections.abc import Iterator, Sequence
from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from pkgutil import walk_packages
from typing import Any

import pytest

import launcher
import node
from launcher.client.client import NoAnswer
from launcher.client.session import Unanswered
from launcher.errors import LauncherError
from node.errors import DamagedLog, LeekyError
from node.wire import Appended

LEFT = Unanswered(b"some id", 7, [b"an entry"], sent=True)

SAMPLES: list[tuple[Any, Any]] = [
    (str, "some text"),
    (int, 7),
    (bool, True),
    (bytes, b"some bytes"),
    (OSError, OSError(28, "No space left on device", "some file")),
    (list[bytes], [b"an entry", b"another"]),
    (list[str], ["an", "expectation"]),
    (Appended, Appended(7, 3)),
    (list[int], [1, 3]),
    (Sequence[int], [1, 3]),
    (Unanswered, LEFT),
]


def sample(kind: Any) -> object:
    """Something of that type, for a parameter of an exception."""
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
    for known, value in SAMPLES:
        if known == kind:
            return value
    raise AssertionError(f"no sample of {kind}: add one to SAMPLES")


def modules() -> Iterator[types.ModuleType]:
    for package in (node, launcher):
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            try:
                yield import_module(found.name)
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] in ("node", "launcher"):
                    raise  # else it is of an extra that is not installed


def exceptions() -> list[type[BaseException]]:
    found = {
        kind
        for module in modules()
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, BaseException)
        and kind.__module__ == module.__name__
    }
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


def example(kind: type[BaseException]) -> BaseException:
    if isinstance(kind.__init__, types.WrapperDescriptorType):  # that of a built-in exception
        return kind("some text")
    hints = typing.get_type_hints(kind.__init__)
    positional: list[object] = []
    named: dict[str, object] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            named["fact"] = "any value"
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = sample(hints[name])
        else:
            positional.append(sample(hints[name]))
    return kind(*positional, **named)


def comparable(error: BaseException) -> object:
    described = {
        name: (type(value), value.args) if isinstance(value, BaseException) else value
        for name, value in vars(error).items()
        if not name.startswith("_") or name == "__notes__"
    }
    return type(error), str(error), error.args, described


def pickled(error: BaseException) -> BaseException:
    copy: BaseException = ForkingPickler.loads(bytes(ForkingPickler.dumps(error)))
    return copy


def test_all_of_them_are_looked_at() -> None:
    found = exceptions()
    assert {NoAnswer, DamagedLog, LauncherError} <= set(found)
    assert len([kind for kind in found if issubclass(kind, LeekyError)]) >= 20


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: f"{kind.__name__}")
def test_an_exception_survives_pickling(kind: type[BaseException]) -> None:
    error = example(kind)
    error.add_note("a note")

    copy = pickled(error)

    assert comparable(copy) == comparable(error)
    assert comparable(pickled(copy)) == comparable(error)


def test_what_belongs_to_the_process_stays_behind() -> None:
    error = NoAnswer("nobody", [b"an entry"], left=LEFT)
    error.resent_here(lambda error, timeout_s: [])

    copy = pickled(error)

    assert isinstance(copy, NoAnswer)
    assert copy.left == LEFT
    assert not [name for name in vars(copy) if name.startswith("_")]


def _raise(number: int) -> None:
    if number == 1:
        raise NoAnswer(f"nobody, says {os.getpid()}", [b"an entry"], left=LEFT, missing=[2])
    raise DamagedLog("some file", 9, "a bad checksum")


@pytest.mark.parametrize(("number", "kind"), [(1, NoAnswer), (2, DamagedLog)])
def test_a_pool_hands_an_exception_on(number: int, kind: type[LeekyError]) -> None:
    """One that cannot be unpickled ends the pool's thread for results, and `get` never returns."""
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        with pytest.raises(kind) as caught:
            pool.map_async(_raise, [number]).get(timeout=60)
        if isinstance(caught.value, NoAnswer):
            assert caught.value.left == LEFT
            assert caught.value.missing == [2]

"""Which workloads there are, and how a name becomes one.

A name is one of those that come along, which are called as the machine that they need, or
`package.module:Class` for a user's own. That module is found as a user's machine is: whoever loads
it begins with `node.module_path.use`. Loading runs the module's code, so it is done in a process of
its own (`launcher/lab/clients/`), never in the launcher.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from launcher.errors import LauncherError, UsageError
from launcher.lab.workloads.election import ElectionLoad
from launcher.lab.workloads.files import FilesLoad
from launcher.lab.workloads.kv import KeyValueLoad
from launcher.lab.workloads.lock import LockLoad
from launcher.lab.workloads.mix import Mix, parse_mix
from launcher.lab.workloads.multicast import MulticastLoad
from launcher.lab.workloads.protocol import Workload
from node import module_path
from node.errors import MachineError
from node.machines.failures import what

MOST_KEYS = 10_000
DEFAULT_KEYS = 10

_METHODS = {"next": ("client", "number", "rng", "last"), "check": ("history",)}
_FRAME = {"opening": ("number", "last"), "closing": ("number", "last")}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may be chosen of a workload that comes along.

    mix: shares of its operations, as text (`mix.py`); empty for its own default
    keys: how many keys, names or messages it is spread over, where it has such
    values: `kv`: how many different values are written; 0: every value is written once
    tag: begins every name that the run gives, so that two runs on one cluster share none
    """

    mix: str = ""
    keys: int = DEFAULT_KEYS
    values: int = 0
    tag: str = ""


_Make: TypeAlias = Callable[[Mix, int, str], Workload]

_SHIPPED: dict[str, tuple[_Make, Mapping[str, int]]] = {
    "election": (ElectionLoad, ElectionLoad.MIX),
    "files": (FilesLoad, FilesLoad.MIX),
    "kv": (KeyValueLoad, KeyValueLoad.MIX),
    "lock": (LockLoad, LockLoad.MIX),
    "multicast": (MulticastLoad, MulticastLoad.MIX),
}
"""What makes each of them, of a mix, how many keys, and a tag; and its default mix."""

_WITHOUT_KEYS = frozenset({"multicast"})


def names() -> list[str]:
    """The workloads that come along, sorted."""
    return sorted(_SHIPPED)


def is_shipped(name: str) -> bool:
    """Whether a workload comes along, and not from a user."""
    return name in _SHIPPED


def operations_of(name: str) -> Mapping[str, int]:
    """The operations of a workload that comes along, and their default shares."""
    return _SHIPPED[name][1]


def check_options(name: str, options: Options) -> None:
    """Raises UsageError for a name that cannot be one, or options that make no sense for it.

    It loads nothing of a user's.
    """
    if is_shipped(name):
        if options.mix:
            parse_mix(options.mix, operations_of(name))
        if name in _WITHOUT_KEYS and options.keys != DEFAULT_KEYS:
            raise UsageError(f"--keys: the workload {name} has none")
        if not 1 <= options.keys <= MOST_KEYS:
            raise UsageError(f"--keys {options.keys}: from 1 to {MOST_KEYS}")
        if options.values and name != "kv":
            raise UsageError("--values is for the workload kv alone")
        if options.values < 0:
            raise UsageError(f"--values {options.values}: how many different values, from 1 on")
        return
    module, colon, class_name = name.partition(":")
    if not (module and colon and class_name):
        raise UsageError(
            f"no workload is called {name!r}: there are {', '.join(names())}, and "
            "package.module:Class for one of your own (docs/LAB.md)"
        )
    given = {"--mix": options.mix, "--keys": options.keys != DEFAULT_KEYS}
    for option, is_given in (given | {"--values": options.values}).items():
        if is_given:
            raise UsageError(f"{option} is for {', '.join(names())}; {name} decides for itself")


def load(name: str, options: Options | None = None) -> Workload:
    """A new workload.

    Raises UsageError, whose text is one line, when there is none of that name, its options make no
    sense, its module or its class cannot be used, or it is no workload.
    """
    options = options or Options()
    check_options(name, options)
    shipped = _SHIPPED.get(name)
    if shipped is not None:
        make, shares = shipped
        if options.mix:
            shares = parse_mix(options.mix, shares)
        if name == "kv":
            return KeyValueLoad(Mix(shares), options.keys, options.tag, values=options.values)
        return make(Mix(shares), options.keys, options.tag)
    module_name, _, class_name = name.partition(":")
    return _constructed(name, _find(name, module_name, class_name))


def _find(name: str, module_name: str, class_name: str) -> type[object]:
    try:
        module = module_path.load(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name.partition(".")[0] in sys.modules:
            _check_resolved(name, module_name)
        if module_name == missing or module_name.startswith(f"{missing}."):
            said = f"workload {name}: no module {missing!r} here or on PYTHONPATH"
            raise UsageError(f"{said}; those that come along are {', '.join(names())}") from error
        said = f"{module_name} needs the module {missing!r}, which is not installed"
        raise UsageError(f"workload {name}: {said}") from error
    except LauncherError:  # of whoever limits the time that this takes
        raise
    except BaseException as error:  # whatever the user's module does when it is run
        raise UsageError(f"workload {name}: importing it failed: {what(error)}") from error
    _check_resolved(name, module_name)
    found: object = getattr(module, class_name, None)
    if isinstance(found, type):
        return found
    there = sorted(
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    )
    problem = "there is no such class" if found is None else f"{class_name} is no class"
    has = f"has {', '.join(there)}" if there else "has none"
    raise UsageError(f"workload {name}: {problem}; {module_name} {has}")


def _check_resolved(name: str, module_name: str) -> None:
    try:
        module_path.check_resolved(name, module_name, "workload")
    except MachineError as error:
        raise UsageError(str(error)) from error


def _constructed(name: str, found: type[object]) -> Workload:
    missing = [method for method in _METHODS if not callable(getattr(found, method, None))]
    missing += [] if hasattr(found, "machine") else ["machine"]
    if missing:
        raise UsageError(
            f"workload {name}: {found.__name__} is no workload: it lacks {', '.join(missing)}; "
            "a workload has machine, next and check"
        )
    try:
        workload: object = found()
    except LauncherError:
        raise
    except BaseException as error:
        raise UsageError(
            f"workload {name}: {found.__name__}() failed, and a workload is constructed without "
            f"arguments: {what(error)}"
        ) from error
    machine: object = getattr(workload, "machine", None)
    if not isinstance(machine, str) or not machine:
        raise UsageError(f"workload {name}: machine is the name of a machine, not {machine!r:.80}")
    for method, arguments in (_METHODS | _FRAME).items():
        bound: object = getattr(workload, method, None)
        if callable(bound):
            _check_arguments(name, bound, method, arguments)
    assert isinstance(workload, Workload), "all that a workload has was just found"
    return workload


def _check_arguments(
    name: str, bound: Callable[..., object], method: str, arguments: tuple[str, ...]
) -> None:
    """Tells a method that cannot be called as a workload's is now, not in the middle of a run."""
    try:
        signature = inspect.signature(bound)
    except (TypeError, ValueError):  # written in C: it says nothing about its arguments
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise UsageError(
            f"workload {name}: {method} must take ({', '.join(arguments)}): {error}"
        ) from error

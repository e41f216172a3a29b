"""Which machines there are, and how a name becomes one.

A name is one of the shipped machines', or `package.module:Class` for the user's own, which is
imported from `sys.path`; whoever starts the node puts the user's folder there, behind all others
(`node/module_path.py`). Importing runs the
module's code: a machine is trusted as the node itself is.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType

from node import module_path
from node.errors import MachineError
from node.machines.election import Election
from node.machines.failures import what
from node.machines.files import Files
from node.machines.journal import Journal
from node.machines.kv import KeyValue
from node.machines.lock import Lock
from node.machines.members import Members
from node.machines.multicast import Multicast
from node.machines.protocol import Machine

_SHIPPED: dict[str, type[Machine]] = {
    "election": Election,
    "files": Files,
    "journal": Journal,
    "kv": KeyValue,
    "lock": Lock,
    "members": Members,
    "multicast": Multicast,
}

_ARGUMENTS = {
    "apply": ("index", "command"),
    "query": ("request",),
    "snapshot": (),
    "restore": ("chunks",),
}


def names() -> list[str]:
    """The machines that come with the house, sorted."""
    return sorted(_SHIPPED)


def is_shipped(name: str) -> bool:
    """Whether a machine comes with the house, and not from a user."""
    return name in _SHIPPED


def load(name: str) -> Machine:
    """A new machine, in its initial state.

    Raises MachineError, whose text is one line, when there is none of that name, its module or its
    class cannot be used, or it is no machine.
    """
    shipped = _SHIPPED.get(name)
    if shipped is not None:
        return shipped()
    module_name, colon, class_name = name.partition(":")
    if not (colon and module_name and class_name):
        raise MachineError(
            f"no machine is called {name!r}: there are {', '.join(names())}, "
            "and package.module:Class for one of your own"
        )
    return _construct(name, _find_class(name, _import(name, module_name), class_name))


def _import(name: str, module_name: str) -> ModuleType:
    try:
        module = module_path.load(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name.partition(".")[0] in sys.modules:
            module_path.check_resolved(name, module_name)
        if module_name == missing or module_name.startswith(missing + "."):
            raise MachineError(
                f"machine {name}: no module {missing!r} here or on PYTHONPATH; "
                f"the machines that come along are {', '.join(names())}"
            ) from error
        raise MachineError(
            f"machine {name}: {module_name} needs the module {missing!r}, which is not installed"
        ) from error
    except BaseException as error:  # whatever the user's module does when it is run
        raise MachineError(f"machine {name}: importing it failed: {what(error)}") from error
    module_path.check_resolved(name, module_name)
    return module


def _find_class(name: str, module: ModuleType, class_name: str) -> type[object]:
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
    raise MachineError(f"machine {name}: {problem}; {module.__name__} {has}")


def _construct(name: str, found: type[object]) -> Machine:
    missing = [method for method in _ARGUMENTS if not callable(getattr(found, method, None))]
    if missing:
        raise MachineError(
            f"machine {name}: {found.__name__} is no machine: it lacks {', '.join(missing)}; "
            f"a machine has {', '.join(_ARGUMENTS)}"
        )
    try:
        machine: object = found()
    except BaseException as error:
        raise MachineError(
            f"machine {name}: {found.__name__}() failed, and a machine is constructed without "
            f"arguments: {what(error)}"
        ) from error
    for method, arguments in _ARGUMENTS.items():
        _check_arguments(name, getattr(machine, method), method, arguments)
    assert isinstance(machine, Machine), "all that a machine has was just found"
    return machine


def _check_arguments(name: str, bound: object, method: str, arguments: tuple[str, ...]) -> None:
    """Tells a method that cannot be called as a machine's is now, not at the first entry."""
    assert callable(bound), f"{method} was callable on the class"
    try:
        signature = inspect.signature(bound)
    except (TypeError, ValueError):  # written in C: it says nothing about its arguments
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise MachineError(
            f"machine {name}: {method} must take ({', '.join(arguments)}): {error}"
        ) from error

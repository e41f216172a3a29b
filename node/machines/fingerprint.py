"""The fingerprint of a machine's code: nodes of one cluster are to run the same.

A node that applies an entry by other code than its peers computes another state from it, silently
and for good. The commonest way there is a rolling restart after the machine's file was edited. So
each node says what code it runs, and one that has other code than those that run is refused.

What is covered: the file that the machine's module was imported from, and every file of the user's
own that this process has imported by the time that the machine is constructed, helper modules and
packages beside it above all. It is their bytes that count, so a changed comment counts too. What is
not: modules that are imported later, from within a method; whatever was installed (a library of
another version); files that the machine reads; Python itself. A shipped machine has no fingerprint:
nodes are forked from one process, so all of a cluster have the same.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection
from pathlib import Path

from node.errors import MachineError
from node.machines.failures import is_users

_LENGTH_BYTES = 8


def fingerprint(name: str) -> str:
    """Of the machine called so, which this process has loaded: hexadecimal digits; empty for one
    that has no file of its own that can be read, and then there is nothing to compare."""
    module_name, colon, _ = name.partition(":")
    if not colon:
        return ""
    own = _file(module_name)
    if own is None:
        return ""
    hashed = hashlib.blake2b(digest_size=_LENGTH_BYTES)
    for module in sorted(sys.modules):
        file = own if module == module_name else _users_file(module)
        if file is None:
            continue
        try:
            data = file.read_bytes()
        except OSError:
            if module == module_name:
                return ""
            continue  # a module that made itself a `__file__` that is no file
        hashed.update(b"%s\0%d\0" % (module.encode("utf-8", "backslashreplace"), len(data)))
        hashed.update(data)
    return hashed.hexdigest()


def checked(machine: str, node: int, others: Collection[str]) -> str:
    """The fingerprint of the machine's code, which is to be one of those that the other nodes run.

    others: their fingerprints; none: it may have any. Raises MachineError.
    """
    code = fingerprint(machine)
    if code and others and code not in others:
        raise MachineError(other_code(node, machine))
    return code


def other_code(node: int, machine: str) -> str:
    """Why a node is refused whose machine has other code than the cluster runs, and what to do."""
    return (
        f"the code of the machine {machine} is not what the nodes that run have, and n{node} would "
        "compute another state: put the code back; or take the new code everywhere at once: "
        "`launcher snapshot all`, `launcher stop all`, `launcher start all`; or, if both compute "
        f"the same, `launcher start {node} --other-machine-code`"
    )


def _file(module: str) -> Path | None:
    found = getattr(sys.modules.get(module), "__file__", None)
    return Path(found) if isinstance(found, str) else None


def _users_file(module: str) -> Path | None:
    """The file of a module that is the user's own code."""
    if module == "__main__":
        return None  # of the process, and none of the machine's
    file = _file(module)
    return file if file is not None and is_users(str(file)) else None

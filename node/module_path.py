"""Where Python finds modules: those of the library first, the user's own last.

A file in the user's folder may be called `random.py` or `node.py`, and nothing of ours may import
it in the place of the library's module. So the folders of the user's code stand behind all others
on `sys.path`. A user's machine in a module that has another one's name is then not found; it is
refused, with what is to be done (`check_resolved`).

Whatever tries a machine before a node runs it has to begin with `use`, as the node does; else the
two may find different modules.
"""

from __future__ import annotations

import importlib
import os
import site
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from node.errors import MachineError

OURS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
"""The folder with the packages `node` and `launcher`."""


def users() -> Iterator[str]:
    """Where this process finds modules, the current folder first: for `use` in another process."""
    found = (_absolute(path) for path in ("", *sys.path))
    yield from dict.fromkeys(filter(None, found))


def use(folders: Iterable[str]) -> None:
    """Puts what `users` has said elsewhere behind all that this process has on `sys.path`.

    Our own folder, where it was only put there for us to begin, stands no longer in front of them:
    its `tests` are not the user's. What is loaded of it finds the rest by itself.
    """
    own = [path for path in sys.path if path and (path != OURS or is_installed())]
    sys.path[:] = dict.fromkeys([*own, *folders])


def load(module_name: str) -> ModuleType:
    """Imports a module of the user's, and keeps no bytecode of it and of what it imports.

    Python takes kept bytecode for that of a file which was edited within the same second and has
    the same length. So nodes would go on with code that the user has changed.

    Raises whatever the module raises.
    """
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        return importlib.import_module(module_name)
    finally:
        sys.dont_write_bytecode = kept


def environment() -> dict[str, str]:
    """Of a Python that finds our packages, and nothing in the current folder before the library's.

    It is to be started with -P. Other folders that the user has put on PYTHONPATH stay there.
    """
    here = current_folder()
    wanted = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in wanted if path and _absolute(path) != here]
    paths = kept if is_installed() else [OURS, *kept]
    said = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    if not paths:
        del said["PYTHONPATH"]
    return said


def protect_children() -> None:
    """Whatever Python this process starts from now on begins as `environment` says, and with -P."""
    said = environment() | {"PYTHONSAFEPATH": "1"}
    os.environ.pop("PYTHONPATH", None)  # it may not be there any more
    os.environ.update(said)


def is_installed() -> bool:
    """Whether every Python of this installation finds our packages, with others."""
    return OURS in map(os.path.realpath, [*site.getsitepackages(), site.getusersitepackages()])


def check_resolved(name: str, module_name: str, kind: str = "machine") -> None:
    """Raises MachineError when the module was found elsewhere though the current folder has one.

    kind, name: of what is loaded, for the message; module_name: imported already
    """
    here = current_folder()
    top, *rest = module_name.split(".")
    if here is None:
        return
    file, folder = Path(here, f"{top}.py"), Path(here, top)
    within = folder.joinpath(*rest)
    signs = (file, folder / "__init__.py", within.with_suffix(".py"), within / "__init__.py")
    own = next((path for path in signs if path.is_file()), None)
    places = [Path(place) for place in _places(sys.modules[top])]
    meant = os.path.realpath(file), os.path.realpath(folder)
    if own and not any(place.is_relative_to(path) for place in places for path in meant):
        where = places[0] if places else "part of Python itself"
        raise MachineError(
            f"{kind} {name}: the module {top} is {where}, which comes first, and not {own}: "
            "give yours another name"
        )


def _places(module: ModuleType) -> Iterator[str]:
    """Where a module's file is, or the folders of a package; nothing for one without a file."""
    spec = module.__spec__
    if spec is not None and spec.has_location and spec.origin:
        yield os.path.realpath(spec.origin)
    for folder in getattr(module, "__path__", ()):
        yield os.path.realpath(folder)


def current_folder() -> str | None:
    """None when it was removed."""
    with suppress(OSError):
        return os.getcwd()
    return None


def _absolute(path: str) -> str | None:
    """As Python understands an entry of `sys.path`; "" is the current folder."""
    with suppress(OSError):
        return os.path.abspath(path)
    return None

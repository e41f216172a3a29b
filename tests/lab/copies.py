"""A copy of the product with a bug in it, as files: what real processes are started from.

The simulated world plants its bugs in memory, in one process
(`launcher/simulation/planted/form.py`).
A real cluster is many processes, which all import the files of the product. So the same edits are
made to a copy of these files.
"""

from __future__ import annotations

import inspect
import os
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import launcher
from launcher.simulation.planted.form import PRODUCT, Edited, Planted, function_of

ROOT = Path(launcher.__file__).resolve().parents[1]


def patched_copy(folder: Path, bugs: Iterable[Planted]) -> Path:
    """Makes a copy of the product in `folder`, with these bugs in it. Returns its root, which is to
    be in PYTHONPATH (`environment`).

    Raises LauncherError when a line that is to be edited is not there any more.
    """
    for package in PRODUCT:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for bug in bugs:
        _plant(folder, bug)
    return folder


def environment(root: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process needs to import the product from `root`, wherever it is started."""
    inherited = os.environ if base is None else base
    before = [one for one in inherited.get("PYTHONPATH", "").split(os.pathsep) if one]
    others = [one for one in before if Path(one).resolve() != ROOT]
    path = os.pathsep.join([str(root), *others])
    # The current folder may be the product's own: it must not come first.
    return {**inherited, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def _plant(folder: Path, bug: Planted) -> None:
    assert isinstance(bug.plant, Edited), f"{bug.key} is no edit of a function's source"
    function = function_of(vars(bug.target)[bug.attribute])
    file = Path(inspect.getsourcefile(function) or "").resolve()
    lines, start = inspect.getsourcelines(function)
    first = lines[0]
    margin = first[: len(first) - len(first.lstrip())]
    broken = textwrap.indent(bug.plant.source_of(function), margin)
    copy = folder / file.relative_to(ROOT)
    source = copy.read_text().splitlines(keepends=True)
    there = source[start - 1 : start - 1 + len(lines)]
    assert there == lines, f"{bug.key}: another bug has changed {copy} already"
    source[start - 1 : start - 1 + len(lines)] = broken.splitlines(keepends=True)
    copy.write_text("".join(source))

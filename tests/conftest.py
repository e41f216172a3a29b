"""What holds for every test.

Each folder of tests is a package that mirrors one of the product (`tests/node/raft` is for
`node/raft`), so that two files may share a name and a test imports its own vocabulary by its full
path.

`make test` runs the tests that are neither `slow` nor `soak`, `make test-slow` the `slow` ones, and
`make soak` the others. The first two use three worker processes, for tests that start a
cluster's processes mostly wait. Those of one file all go to the same worker, one after the other.
"""

from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest

# A slow, shared machine is no bug: only pytest-timeout says when a test has hung.
hypothesis.settings.register_profile("leeky", deadline=None)
hypothesis.settings.load_profile("leeky")

# Whoever runs this in the background (`nohup`, a shell's `&`) has these ignored, and a process that
# a test starts would ignore them too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def promises() -> dict[str, list[str]]:
    """Each promise of `promises.txt`, with the places of its tests: `test_life.py: test_up`."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "promises.txt").read_text().splitlines():
        if line.startswith(" "):
            found[list(found)[-1]].append(line.strip())
        elif line and not line.startswith("#"):
            found[line] = []
    return found


@pytest.hookimpl(tryfirst=True)  # before pytest looks at -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests with real processes together, file by file, and leaves those that hold no
    promise by themselves to `make test-slow`."""
    fast = {place for places in promises().values() for place in places}
    for item in items:
        if item.get_closest_marker("cluster") is None:
            continue
        item.add_marker(pytest.mark.xdist_group(item.path.name))
        place = f"{item.path.name}: {getattr(item, 'originalname', item.name)}"
        if item.path.parent.name == "cluster" and place not in fast:
            item.add_marker(pytest.mark.slow)

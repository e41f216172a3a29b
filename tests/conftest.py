"""What holds for every test.

Each folder of tests is a package that mirrors one of the product (`tests/node/raft` is for
`node/raft`), so that two files may share a name and a test imports its own vocabulary by its full
path.

`make test` uses three worker processes, for tests that start a cluster's processes mostly wait.
Those of one file all go to the same worker, one after the other.
"""

from __future__ import annotations

import signal

import hypothesis
import pytest

# A slow, shared machine is no bug: only pytest-timeout says when a test has hung.
hypothesis.settings.register_profile("leeky", deadline=None)
hypothesis.settings.load_profile("leeky")

# Whoever runs this in the background (`nohup`, a shell's `&`) has these ignored, and a process that
# a test starts would ignore them too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests with real processes together, file by file."""
    for item in items:
        if item.get_closest_marker("cluster") is not None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))

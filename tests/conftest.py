"""What holds for every test.

Each folder of tests is a package that mirrors one of the product (`tests/node/raft` is for
`node/raft`), so that two files may share a name and a test imports its own vocabulary by its full
path.
"""

from __future__ import annotations

import hypothesis

# A slow, shared machine is no bug: only pytest-timeout says when a test has hung.
hypothesis.settings.register_profile("leeky", deadline=None)
hypothesis.settings.load_profile("leeky")

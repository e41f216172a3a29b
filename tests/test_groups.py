"""The tests of a group share one worker process, as tests/conftest.py relies on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

GROUPED = """
import os
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_where_it_runs(number, request):
    place = request.config.rootpath / f"ran-{os.getpid()}"
    place.touch()
"""


def test_the_tests_of_a_group_share_a_worker(tmp_path: Path) -> None:
    """With pytest 9.2 and pytest-xdist 3.8 they do not, and nothing says so."""
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}

    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "2",
            "--dist",
            "loadgroup",
            "-p",
            "no:cacheprovider",
        ],
        cwd=tmp_path,
        env=own,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(list(tmp_path.glob("ran-*"))) == 1, "install the versions of constraints.txt"
